"""What a person is told, and what not: few messages, none twice, no flood."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alchemiser.domain import events
from alchemiser.domain.day_comparison import OtherWeight, Part, StrategyDay, compared
from alchemiser.domain.orders import Fill, Side
from alchemiser.domain.reconciliation import Parking
from alchemiser.service.bulletins import HOUR_SECONDS, WRITERS, Bulletin, Editor, Level, bulletin_of, digest

AT = datetime(2025, 3, 3, 21, 0, tzinfo=UTC)
DAY = date(2025, 3, 3)
FILL = Fill(
    execution_id="e",
    client_order_id="c",
    venue_order_id="v",
    symbol="TECL",
    side=Side.BUY,
    quantity=Decimal(2),
    price=Decimal(100),
    at=AT,
)
PARKING = Parking(code="split", reason="the broker has twice as many", since=AT)

OFF = StrategyDay(
    strategy="tecl",
    compared=compared(Decimal(1000), Decimal(-6), Decimal(0), [(Part.EXECUTION, Decimal("-5.5")), (Part.FEES, Decimal("-0.5"))]),
    other_weights=(OtherWeight(symbol="SPY", live=1.0, backtest=None),),
)
UNCOMPARED = StrategyDay(strategy="klm", reason="no decision was due")

TOLD: tuple[tuple[events.Event, Level, str], ...] = (
    (events.StrategyFailed(at=AT, rebalance_id="r", strategy="tecl", reason="no bars of KMLM"), Level.ERROR, "no bars of KMLM"),
    (events.DecisionMissed(at=AT, session=DAY, reason="started too late"), Level.ERROR, "started too late"),
    (events.RebalanceParked(at=AT, rebalance_id="r", reason="cut-off", outcomes=()), Level.WARNING, "cut-off"),
    (events.SymbolParked(at=AT, symbol="TECL", parking=PARKING), Level.ERROR, "twice as many"),
    (
        events.Reconciled(at=AT, reason="timer", attempts=1, reports=(), differences=(), parked={"TECL": PARKING}),
        Level.ERROR,
        "TECL: the broker has",
    ),
    (
        events.ReconciliationFailed(at=AT, reason="gap", code="credentials_refused", error="401", retries=True),
        Level.ERROR,
        "401",
    ),
    (events.LedgerCompared(at=AT, session=DAY, differences=("cash is 1.00 off",)), Level.ERROR, "cash is 1.00 off"),
    (
        events.KillSwitchPulled(at=AT, by="file", reason="drill", flattens=True, pulled_at=AT),
        Level.ERROR,
        "by file: drill; everything is cancelled and sold, trading is halted",
    ),
    (events.KillSwitchReported(at=AT, ended={"a": "canceled"}, sold={}, could_not=()), Level.WARNING, "1 open orders ended, 0 symbols"),
    (events.KillSwitchReported(at=AT, ended={}, sold={}, could_not=("no SPY",)), Level.ERROR, "0 symbols were sold; no SPY"),
    (events.TradingStateChanged(at=AT, state="halted", by="daily_loss", reason="-5 %"), Level.WARNING, "by daily_loss: -5 %"),
    (
        events.GuardTripped(
            at=AT,
            guard="daily_loss",
            strategy="tecl",
            action="halt",
            value=Decimal("0.06"),
            limit=Decimal("0.05"),
            cleared=Decimal("0.04"),
            text="tecl lost 6 % today",
        ),
        Level.ERROR,
        "tecl lost 6 % today (limit 0.05, action halt)",
    ),
    (
        events.HandlerFailed(at=AT, handler="strategies", event_type="x", sequence=4, error="boom", action="restarted"),
        Level.ERROR,
        "strategies raised at event 4: boom; restarted",
    ),
    (events.GapOpened(at=AT, stream="orders", since=AT, reason="closed 1006"), Level.WARNING, "closed 1006"),
    (events.FillBroken(at=AT, fill=FILL, replaced_by=None, reason="bust"), Level.WARNING, "2 TECL at 100 were taken back"),
    (events.SettingsNotReloaded(at=AT, by="SIGHUP", reason="a.toml, line 3"), Level.WARNING, "a.toml, line 3"),
    (events.StrategyNotReloaded(at=AT, strategy="tecl", reason="line 3"), Level.WARNING, "line 3"),
    (
        events.DayCompared(
            at=AT, session=DAY, rebalance_id="r", strategies=(OFF, UNCOMPARED), closes={}, limit_bps=Decimal(50), beyond=("tecl",)
        ),
        Level.WARNING,
        "tecl: -60.0 basis points off its backtest (execution -55.0, fees -5.0); decided otherwise of SPY.",
    ),
)

NOT_TOLD: tuple[events.Event, ...] = (
    events.Reconciled(at=AT, reason="timer", attempts=1, reports=(), differences=(), parked={}),
    events.ReconciliationFailed(at=AT, reason="gap", code="venue_unavailable", error="x", retries=True),
    events.LedgerCompared(at=AT, session=DAY, differences=()),
    events.DayCompared(at=AT, session=DAY, rebalance_id="r", strategies=(OFF,), closes={}, limit_bps=Decimal(60)),
    events.TradingStateChanged(at=AT, state="active", by="operator", reason="fine"),
    events.OrderFilled(at=AT, fill=FILL),
)


@pytest.mark.parametrize(("event", "level", "words"), TOLD, ids=lambda value: type(value).__name__)
def test_what_needs_a_person_is_told_in_words(event: events.Event, level: Level, words: str) -> None:
    """The level says how soon, the text has the numbers."""
    bulletin = bulletin_of(event)

    assert bulletin is not None
    assert level == bulletin.level
    assert words in bulletin.text
    assert bulletin.title


def test_every_kind_of_news_is_in_the_table_above() -> None:
    """A new kind comes with its case."""
    assert {type(event) for event, _, _ in TOLD} == set(WRITERS)


@pytest.mark.parametrize("event", NOT_TOLD, ids=lambda event: type(event).__name__)
def test_good_news_is_no_news(event: events.Event) -> None:
    """What mends itself or went well wakes nobody."""
    assert bulletin_of(event) is None


def news(key: str, level: Level = Level.ERROR) -> Bulletin:
    """Return a message."""
    return Bulletin(level, key, key, f"text of {key}")


def editor(*, least: Level = Level.WARNING, repeat: float = 100.0, at_most: int = 3) -> Editor:
    """Return an editor with small bounds."""
    return Editor(least=least, repeat_seconds=repeat, at_most_per_hour=at_most)


def test_the_same_news_is_told_once_in_a_while() -> None:
    """It is told again after the pause, with the number of times that it was not."""
    chief = editor()

    assert chief.admit(news("a"), 0.0) is not None
    assert chief.admit(news("a"), 50.0) is None
    again = chief.admit(news("a"), 100.0)
    assert again is not None
    assert "(1 more were not sent" in again.text


def test_a_flood_is_held_back_and_counted() -> None:
    """After an hour the next message says how many there were."""
    chief = editor()
    admitted = [chief.admit(news(str(number)), 0.0) for number in range(10)]

    assert [True] * 3 + [False] * 7 == [one is not None for one in admitted]
    later = chief.admit(news("later"), HOUR_SECONDS)
    assert later is not None
    assert "(7 more were not sent" in later.text


def test_what_is_less_than_wanted_is_not_sent_but_the_digest_is() -> None:
    """The level is a bound; the digest is asked for by its own setting."""
    chief = editor(least=Level.ERROR)

    assert chief.admit(news("gap", Level.WARNING), 0.0) is None
    assert chief.admit(news("digest 2025-03-03", Level.INFO), 0.0) is not None


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.floats(0, 900)), max_size=80), st.integers(1, 5))
def test_never_more_than_the_bound_in_any_hour(arrivals: list[tuple[str, float]], at_most: int) -> None:
    """Whatever happens and whenever."""
    chief, now, sent = editor(at_most=at_most), 0.0, []
    for key, pause in arrivals:
        now += pause
        if chief.admit(news(key), now) is not None:
            sent.append(now)
            assert sum(1 for at in sent if now - at < HOUR_SECONDS) <= at_most


def test_a_part_too_small_to_be_seen_is_not_told() -> None:
    """What rounds to nothing explains nothing; the journal has it exactly."""
    parts = [(Part.PLAN, Decimal("0.01")), (Part.EXECUTION, Decimal("-6.01")), (Part.FEES, Decimal("-0.01"))]
    day = StrategyDay(strategy="tecl", compared=compared(Decimal(10_000), Decimal("-6.01"), Decimal(0), parts))
    event = events.DayCompared(at=AT, session=DAY, rebalance_id="r", strategies=(day,), closes={}, limit_bps=Decimal(5), beyond=("tecl",))
    bulletin = bulletin_of(event)

    assert bulletin is not None
    assert bulletin.text.endswith("tecl: -6.0 basis points off its backtest (execution -6.0).")


def test_the_digest_tells_the_session_at_a_glance() -> None:
    """Equity, its change, profit by strategy, orders and what they cost."""
    result = events.ResultReported(
        at=AT,
        session=DAY,
        equity=Decimal("101000"),
        cash=Decimal("500.5"),
        realised={"tecl": Decimal(100)},
        unrealised={"tecl": Decimal(-30), "klm": Decimal(5)},
    )
    history = [{"session": date(2025, 2, 28), "equity": Decimal(100000)}, {"session": DAY, "equity": Decimal(101000)}]
    orders: list[dict[str, object]] = [
        {"intended_at": AT, "cumulative_quantity": Decimal(quantity), "arrival_bps": bps}
        for quantity, bps in ((3, 2.0), (1, 4.0), (0, None))
    ]

    assert digest(result, history, orders).text.splitlines() == [
        "Equity 101,000.00, cash 500.50.",
        "+1,000.00 since 2025-02-28 (+1.00%).",
        "klm: +5.00 in all (+0.00 realised, +5.00 open).",
        "tecl: +70.00 in all (+100.00 realised, -30.00 open).",
        "2 of 3 orders filled.",
        "Slippage from the arrival price +3.0 basis points on average.",
    ]
    assert "No orders." in digest(result, [], []).text
    nothing_before = [{"session": date(2025, 2, 28), "equity": Decimal(0)}]
    assert "+101,000.00 since 2025-02-28." in digest(result, nothing_before, []).text.splitlines(), "no share of nothing"
    later = msgspec.structs.replace(result, session=DAY + timedelta(days=1))
    assert "No orders." in digest(later, history, orders).text, "those of the day before are no news"
