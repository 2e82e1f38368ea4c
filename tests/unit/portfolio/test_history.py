"""Who held what on which day: what is old becomes one sum, whatever was heard of late, renamed or taken back."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from alchemiser.portfolio.history import KEPT_DAYS, History, day_of

BEGAN = date(2025, 1, 6)
SHARES = st.sampled_from([Decimal(-2), Decimal(-1), Decimal(1), Decimal("2.5")])
TRADE = st.tuples(
    st.sampled_from(["traded", "undone"]), st.sampled_from("xy"), st.sampled_from("ABC"), st.sampled_from([0, 0, 0, 1, 3, 130]), SHARES
)
RENAMING = st.tuples(st.just("renamed"), st.sampled_from(["AB", "BA", "CA"]))
NEXT_SESSION = st.tuples(st.just("forget"), st.sampled_from([1, 3, 60]))
RESTART = st.tuples(st.just("restart"))


@given(st.lists(st.one_of(TRADE, NEXT_SESSION, TRADE, RENAMING, RESTART), max_size=60))
def test_forgetting_changes_no_answer_that_is_asked_for(steps: list[tuple[str | int | Decimal, ...]]) -> None:
    """Whatever was heard of late, renamed or taken back: of the days that are kept, who remembers everything says the same."""
    everything, found, today = History(), History(), BEGAN
    for step in steps:
        match step:
            case ("forget", int(days)):
                today += timedelta(days=days)
                found.forget(today)
                oldest = today - timedelta(days=KEPT_DAYS)
                for days_moved in [[move.day for move in moves] for by in found.moves.values() for moves in by.values()]:
                    assert days_moved == sorted({day for day in days_moved if day >= oldest})
                assert all(held and all(held.values()) for held in found.before.values())
            case ("renamed", str(names)):
                everything.renamed(names[0], names[1])
                found.renamed(names[0], names[1])
            case (str(what), str(strategy), str(symbol), int(late), Decimal() as shares):
                at = datetime(today.year, today.month, today.day, 15, tzinfo=UTC) - timedelta(days=late)
                for history in (everything, found):
                    getattr(history, what)(strategy, symbol, at, shares, -3 * shares)
            case _:
                found = msgspec.json.decode(msgspec.json.encode(found), type=History)
        for symbol in "ABC":
            for age in (-1, 0, 1, 60, KEPT_DAYS):
                day = today - timedelta(days=age)
                assert everything.held_before(symbol, day) == found.held_before(symbol, day)
            since = today - timedelta(days=KEPT_DAYS)
            assert [day for day in everything.days_of(symbol) if day >= since] == [day for day in found.days_of(symbol) if day >= since]
        assert everything.traded_before(today) == found.traded_before(today)


def test_a_sum_keeps_what_is_held() -> None:
    """What a strategy held before a day does not change by forgetting how it came to hold it."""
    history = History()
    first = datetime(2025, 1, 6, 15, tzinfo=UTC)
    for number in range(200):
        history.traded("s", "SPY", first + timedelta(days=number), Decimal(1), Decimal(-100))
    today = (first + timedelta(days=200)).date()
    before = history.held_before("SPY", today)

    history.forget(today)

    assert {"s": Decimal(200)} == before == history.held_before("SPY", today)
    assert KEPT_DAYS == len(history.days_of("SPY"))
    assert {day_of(first + timedelta(days=number)) for number in range(200 - KEPT_DAYS, 200)} == {
        move.day for move in history.moves["SPY"]["s"]
    }


def test_a_day_whose_trades_were_taken_back_had_none() -> None:
    """A fee is for the last day on which something was sold, or else traded, and stayed so."""
    history = History()
    monday, tuesday = datetime(2025, 1, 6, 15, tzinfo=UTC), datetime(2025, 1, 7, 15, tzinfo=UTC)
    history.traded("a", "SPY", monday, Decimal(2), Decimal(-20))
    history.traded("b", "SPY", monday, Decimal(-1), Decimal(10))
    for name, shares in (("a", Decimal(-1)), ("b", Decimal(3))):
        history.traded(name, "SPY", tuesday, shares, -10 * shares)

    assert {"a": Decimal(10)} == history.traded_before(date(2025, 1, 8))
    history.undone("a", "SPY", tuesday, Decimal(-1), Decimal(10))
    assert {"b": Decimal(30)} == history.traded_before(date(2025, 1, 8))
    history.undone("b", "SPY", tuesday, Decimal(3), Decimal(-30))
    assert {"b": Decimal(10)} == history.traded_before(date(2025, 1, 8))
    assert {} == history.traded_before(date(2025, 1, 6))
