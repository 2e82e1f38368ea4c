"""Who held what on which day: what is old becomes one sum, whatever was heard of late, renamed or taken back."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from alchemiser.domain.money import ZERO
from alchemiser.portfolio.history import FEES_WITHIN_DAYS, KEPT_DAYS, History, day_of

BEGAN = date(2025, 1, 6)
SHARES = st.sampled_from([Decimal(-2), Decimal(-1), Decimal(1), Decimal("2.5")])
TRADE = st.tuples(
    st.sampled_from(["traded", "undone"]), st.sampled_from("xy"), st.sampled_from("ABC"), st.sampled_from([0, 0, 0, 1, 3, 130]), SHARES
)
RENAMING = st.tuples(st.just("renamed"), st.sampled_from(["AB", "BA", "CA"]))
NEXT_SESSION = st.tuples(st.just("forget"), st.sampled_from([1, 3, 60]))
RESTART = st.tuples(st.just("restart"))


def gone_through(history: History, today: date) -> None:
    """Forget as it is meant: every symbol of every strategy is gone through, day by day."""
    oldest = (today - timedelta(days=KEPT_DAYS)).isoformat()
    for symbol, strategies in list(history.moves.items()):
        for strategy, days in list(strategies.items()):
            old = [day for day in days if day < oldest]
            if old not in ([], ["0001-01-01"]):
                before = sum([days.pop(day) for day in old], ZERO)
                strategies[strategy] = {"0001-01-01": before, **days} if before else days
            if not strategies[strategy]:
                del strategies[strategy]
        if not strategies:
            del history.moves[symbol]
    recent = (today - timedelta(days=2 * FEES_WITHIN_DAYS)).isoformat()
    history.trades = {day: by_name for day, by_name in history.trades.items() if day >= recent}


@given(st.lists(st.one_of(TRADE, NEXT_SESSION, TRADE, RENAMING, RESTART), max_size=60))
def test_what_is_old_is_summed_up_as_if_everything_were_gone_through(steps: list[tuple[str | int | Decimal, ...]]) -> None:
    """Only what changed on a day that becomes old is looked at; the result is that of looking at everything, in the same order."""
    expected, found, today = History(), History(), BEGAN
    for step in steps:
        match step:
            case ("forget", int(days)):
                today += timedelta(days=days)
                gone_through(expected, today)
                found.forget(today)
            case ("renamed", str(names)):
                expected.renamed(names[0], names[1])
                found.renamed(names[0], names[1])
            case (str(what), str(strategy), str(symbol), int(late), Decimal() as shares):
                at = datetime(today.year, today.month, today.day, 15, tzinfo=UTC) - timedelta(days=late)
                for history in (expected, found):
                    getattr(history, what)(strategy, symbol, at, shares, Decimal(3))
            case _:
                found = msgspec.json.decode(msgspec.json.encode(found), type=History)
        assert msgspec.json.encode(expected) == msgspec.json.encode(found)


def test_a_sum_keeps_what_is_held() -> None:
    """What a strategy held before a day does not change by forgetting how it came to hold it."""
    history = History()
    first = datetime(2025, 1, 6, 15, tzinfo=UTC)
    for number in range(200):
        history.traded("s", "SPY", first + timedelta(days=number), Decimal(1), Decimal(100))
    today = (first + timedelta(days=200)).date()
    before = history.held_before("SPY", today)

    history.forget(today)

    assert {"s": Decimal(200)} == before == history.held_before("SPY", today)
    assert KEPT_DAYS == len(history.days_of("SPY"))
    assert {day_of(first + timedelta(days=number)) for number in range(180, 200)} == set(history.trades)
