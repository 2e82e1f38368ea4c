"""Events as lines for people."""

from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.activities import AccountActivity, ActivityEntry, Treatment
from alchemiser.domain.events import ActivityBooked, DaemonStarted, LedgerCompared, SessionOpened, TargetProposed
from alchemiser.domain.market import Session
from alchemiser.journal.lines import WIDEST, line_of, story_of
from tests.unit.journal.scenes import START, booked, fill, intended, lost, order, planned, report

SESSION = Session(date=date(2025, 3, 3), opens_at=START, closes_at=START)
STARTED = DaemonStarted(at=START, mode="embedded", version="0.1.0", epoch="abc123", account_number="A1", strategies={"tecl": 1.0})


def test_a_line_names_place_time_type_story_and_cause() -> None:
    """The time in the zone asked for."""
    envelope = Envelope(12, lost(1, "reset by peer").event, 0.0, None, 11)

    assert '      12  2025-03-03 20:50:01.000  StreamLost            stream=orders  reason="reset by peer"  <- 11' == line_of(envelope, UTC)
    assert "2025-03-03 15:50:01.000" in line_of(envelope, ZoneInfo("America/New_York"))
    assert "<-" not in line_of(Envelope(1, envelope.event, 0.0), None)


def test_orders_and_fills_read_as_traders_say_them() -> None:
    """Side, quantity, symbol, price."""
    assert "buy 10 TECL limit at 70.05 day  abc123-20250303.1-TECL-1 (intent TECL, attempt 1)" == story_of(intended(order()))
    assert "buy 4 TECL at 70  abc123-20250303.1-TECL-1 (execution e1)" == story_of(fill("e1", "4"))
    assert "TECL: one 3, two 1" == story_of(booked("e1", one="3", two="1"))
    assert "new -> accepted  buy TECL, 0 filled  abc123-20250303.1-TECL-1 by stream" == story_of(report("new", "0", status="accepted"))


def test_any_other_event_shows_its_fields() -> None:
    """Whatever they hold."""
    target = TargetProposed(
        at=START, rebalance_id="20250303.1", strategy="tecl", weights={"TECL": 1.0}, prices={}, explanation=("RSI of TQQQ", "")
    )
    shown = 'rebalance_id=20250303.1  strategy=tecl  weights={TECL 1.0}  prices={}  explanation=["RSI of TQQQ", ""]'
    assert f'{shown}  header=(frequency=daily threshold=-)  tree=-  is_fragile=False  bars=""' == story_of(target)

    assert "session=(date=2025-03-03 " in story_of(SessionOpened(at=START, session=SESSION))
    assert "capital={one 1000}  intents=[]" in story_of(planned())
    assert "strategies={tecl 1.0}" in story_of(STARTED)
    assert "session=-" in story_of(LedgerCompared(at=START, session=None, differences=()))


def test_long_stories_are_cut() -> None:
    """A line stays a line."""
    line = line_of(lost(1, "x" * 1000), UTC)

    assert line.endswith("…")
    assert WIDEST + 60 > len(line)


def test_a_row_without_a_trade_says_who_got_what() -> None:
    """Its kind, its symbol if it has one, its cash, the rule, and each part."""
    at = datetime(2025, 3, 5, 14, tzinfo=UTC)
    row = AccountActivity(activity_id="x", kind="SPLIT", on=at.date(), at=at, symbol="SPY", amount=Decimal("1.50"))
    entry = ActivityEntry(strategy="a", symbol="SPY", quantity=Decimal(3), cash=Decimal("1.50"))
    event = ActivityBooked(at=at, activity=row, treatment=Treatment.SPLIT, entries=(entry,))
    assert "SPLIT SPY 1.5 as split, a 3 and 1.5" == story_of(event)
