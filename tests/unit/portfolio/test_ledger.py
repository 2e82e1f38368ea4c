"""The ledger: each fill booked once to who asked for it, the sum over strategies equal to the account, also after a replay."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.account import Account
from alchemiser.domain.activities import AccountActivity
from alchemiser.domain.errors import InvariantBroken
from alchemiser.domain.events import (
    AccountObserved,
    DaemonStarted,
    Event,
    FillBooked,
    FillBroken,
    OrderClosed,
    OrderFilled,
    OrderIntended,
    RebalancePlanned,
    SessionClosed,
    SessionOpened,
)
from alchemiser.domain.intents import Crossing, Intent, Wish
from alchemiser.domain.market import Session
from alchemiser.domain.orders import Fill, NewOrder, OrderType, Side, TimeInForce
from alchemiser.portfolio.ledger import Ledger

AT = datetime(2025, 3, 3, 20, 50, tzinfo=UTC)
DAY = date(2025, 3, 3)


class Tape:
    """Feeds events to a ledger as the bus does, what it posts included, and remembers them all."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.ledger = Ledger(self.feed)

    def feed(self, event: Event) -> None:
        """Publish an event."""
        self.events.append(event)
        self.ledger(Envelope(len(self.events), event, 0.0))

    def start(self, cash: str = "1000") -> None:
        """Open the account."""
        account = Account(account_number="A", cash=Decimal(cash), equity=Decimal(cash), buying_power=Decimal(cash), multiplier=1)
        self.feed(DaemonStarted(at=AT, mode="paper", version="0", epoch="e", account_number="A", strategies={"a": 0.5, "b": 0.5}))
        self.feed(AccountObserved(at=AT, account=account, positions=(), reason="start"))

    def plan(self, number: int, side: Side, wishes: dict[str, str], crossings: tuple[Crossing, ...] = ()) -> str:
        """Plan a rebalance of one symbol and intend its order; return the order's id."""
        quantities = tuple(Wish(strategy=name, quantity=Decimal(quantity)) for name, quantity in wishes.items())
        total = sum((wish.quantity for wish in quantities), Decimal(0))
        intent = Intent(intent_id="SPY", symbol="SPY", side=side, quantity=total, reference_price=Decimal(10), drift=0.1, wishes=quantities)
        self.feed(
            RebalancePlanned(
                at=AT,
                rebalance_id=f"20250303.{number}",
                session=DAY,
                equity=Decimal(0),
                cash=Decimal(0),
                target={},
                prices={},
                capital={},
                intents=(intent,) if wishes else (),
                denials=(),
                crossings=crossings,
            )
        )
        key = f"e-20250303.{number}-SPY-1"
        if wishes:
            order = NewOrder(
                client_order_id=key,
                symbol="SPY",
                side=side,
                quantity=total,
                order_type=OrderType.MARKET,
                time_in_force=TimeInForce.DAY,
            )
            self.feed(OrderIntended(at=AT, rebalance_id=f"20250303.{number}", intent_id="SPY", attempt=1, order=order))
        return key

    def fill(self, key: str, side: Side, quantity: str, price: str = "10", execution: str = "") -> None:
        """Fill an order."""
        fill = Fill(
            execution_id=execution or f"x{len(self.events)}",
            client_order_id=key,
            venue_order_id="v",
            symbol="SPY",
            side=side,
            quantity=Decimal(quantity),
            price=Decimal(price),
            at=AT,
        )
        self.feed(OrderFilled(at=AT, fill=fill))

    def broken(self, execution: str) -> None:
        """Let the venue take an execution back."""
        (fill,) = [event.fill for event in self.events if isinstance(event, OrderFilled) and event.fill.execution_id == execution]
        self.feed(FillBroken(at=AT, fill=fill, replaced_by=None, reason="trade_bust"))

    def state(self) -> bytes:
        """Return the books as bytes."""
        return msgspec.json.encode((dict(self.ledger.books), self.ledger.cash), order="sorted")


def replayed(events: list[Event]) -> Tape:
    """Return a ledger that has replayed these events and published nothing."""
    tape = Tape()
    for number, event in enumerate(events, start=1):
        tape.ledger.replay(Envelope(number, event, 0.0))
    assert tape.events == []
    return tape


def test_a_shared_fill_goes_to_who_asked_for_it() -> None:
    """Two strategies that bought together own the shares in proportion, and the cash is exact."""
    tape = Tape()
    tape.start()
    key = tape.plan(1, Side.BUY, {"a": "3", "b": "1"})
    tape.fill(key, Side.BUY, "4", "10.01")

    assert {"a": Decimal(3), "b": Decimal(1)} == {name: book.quantity("SPY") for name, book in tape.ledger.books.items()}
    assert tape.ledger.cash == Decimal("959.96")
    assert tape.ledger.holdings() == {"SPY": Decimal(4)}


def test_an_execution_is_booked_once() -> None:
    """The same execution id by a second road changes nothing."""
    tape = Tape()
    tape.start()
    key = tape.plan(1, Side.BUY, {"a": "4"})
    tape.fill(key, Side.BUY, "2", execution="x")
    tape.fill(key, Side.BUY, "2", execution="x")

    assert tape.ledger.holdings() == {"SPY": Decimal(2)}


def test_a_fill_that_is_told_after_the_next_plan_is_booked() -> None:
    """The venue may be late to tell of an execution of a rebalance that was parked; it belongs to who asked for it then."""
    tape = Tape()
    tape.start()
    late = tape.plan(1, Side.BUY, {"a": "4"})
    tape.plan(2, Side.BUY, {"b": "1"})
    tape.fill(late, Side.BUY, "4")

    assert {"a": Decimal(4), "b": Decimal(0)} == {name: book.quantity("SPY") for name, book in tape.ledger.books.items()}
    assert replayed(tape.events).state() == tape.state()


def test_a_fill_that_is_not_ours_is_left_alone() -> None:
    """A manual trade in the account belongs to no strategy."""
    tape = Tape()
    tape.start()
    tape.fill("somebody-elses-id", Side.BUY, "2")

    assert tape.ledger.holdings() == {}
    assert tape.ledger.cash == 1000


def test_a_crossing_moves_shares_between_books_without_the_account_noticing() -> None:
    """What one strategy sells to another is booked to both, and cash and shares of the account stay as they are."""
    tape = Tape()
    tape.start()
    key = tape.plan(1, Side.BUY, {"a": "4"})
    tape.fill(key, Side.BUY, "4")
    crossing = Crossing(symbol="SPY", seller="a", buyer="b", quantity=Decimal(3), price=Decimal(12))
    tape.plan(2, Side.BUY, {}, (crossing,))

    assert tape.ledger.books["a"].quantity("SPY") == 1
    assert tape.ledger.books["b"].quantity("SPY") == 3
    assert tape.ledger.books["a"].realised == 6
    assert tape.ledger.cash == 960


def test_an_overfill_stops_the_process() -> None:
    """More shares than were asked for cannot be booked to anybody."""
    tape = Tape()
    tape.start()
    key = tape.plan(1, Side.BUY, {"a": "4"})
    with pytest.raises(InvariantBroken):
        tape.fill(key, Side.BUY, "5")


def test_differences_are_named() -> None:
    """Fewer shares or other cash at the broker are differences; more shares are somebody else's."""
    tape = Tape()
    tape.start()
    assert Ledger(lambda event: None).differences({}, Decimal(5)) == ()
    key = tape.plan(1, Side.BUY, {"a": "4"})
    tape.fill(key, Side.BUY, "4")

    assert tape.ledger.differences({"SPY": Decimal(9), "QQQ": Decimal(1)}, Decimal("960.004")) == ()
    found = tape.ledger.differences({"SPY": Decimal(3)}, Decimal(961))
    assert found == ("SPY: the books hold 4, the broker 3", "cash: the books hold 960.00, the broker 961.00")


def test_a_journal_cut_between_fill_and_booking_is_completed() -> None:
    """A crash after the fill and before its booking loses nothing: settling books it, once."""
    tape = Tape()
    tape.start()
    key = tape.plan(1, Side.BUY, {"a": "3", "b": "1"})
    tape.fill(key, Side.BUY, "4")
    assert isinstance(tape.events[-1], FillBooked)

    cut = replayed(tape.events[:-1])
    assert cut.ledger.settle() == 1
    assert cut.ledger.settle() == 0
    assert [tape.events[-1]] == cut.events
    assert tape.state() == cut.state()


def test_other_events_change_nothing() -> None:
    """The ledger moves only by what concerns it."""
    tape = Tape()
    tape.start()
    before = tape.state()
    tape.feed(SessionClosed(at=AT, session=Session(date=DAY, opens_at=AT, closes_at=AT)))

    assert before == tape.state()


@settings(deadline=None)
@given(st.data())
def test_a_replay_gives_the_same_books_and_the_sum_is_the_account(data: st.DataObject) -> None:
    """Random rebalances with random partial fills: strategies add up to the account, and a replay repeats every byte."""
    tape = Tape()
    tape.start("100000")
    position = cash = Decimal(0)
    for number in range(1, data.draw(st.integers(1, 6)) + 1):
        held = {name: book.quantity("SPY") for name, book in tape.ledger.books.items()}
        side = data.draw(st.sampled_from(Side)) if any(held.values()) else Side.BUY
        wishes = {}
        for name in ("a", "b"):
            limit = held[name] if side is Side.SELL else Decimal(100)
            wish = (limit * data.draw(st.integers(0, 100)) / 100).quantize(Decimal("1e-9"))
            if wish:
                wishes[name] = str(wish)
        key = tape.plan(number, side, wishes)
        left = sum((Decimal(wish) for wish in wishes.values()), Decimal(0))
        for _ in range(data.draw(st.integers(0, 3))):
            quantity = (left * data.draw(st.integers(1, 100)) / 100).quantize(Decimal("1e-9"))
            price = data.draw(st.decimals(min_value=1, max_value=50, places=4))
            if quantity <= left and quantity > 0:
                tape.fill(key, side, str(quantity), str(price))
                left -= quantity
                position += side.sign * quantity
                cash -= side.sign * quantity * price

    assert tape.ledger.holdings().get("SPY", Decimal(0)) == position
    assert tape.ledger.cash == 100_000 + cash
    assert tape.state() == replayed(tape.events).state()


def balanced(tape: Tape) -> None:
    """Check that in each book cash, lots at cost and profit add up, and that a replay tells the same."""
    for book in tape.ledger.books.values():
        assert book.cash_flow + sum((book.cost(symbol) for symbol in book.lots), Decimal(0)) == book.realised
    assert replayed(tape.events).state() == tape.state()


def test_a_broken_purchase_is_as_if_it_had_never_been() -> None:
    """Shares and cash go back to where they came from, and the order may be filled anew, to the same strategies."""
    tape = Tape()
    tape.start()
    key = tape.plan(1, Side.BUY, {"a": "3", "b": "1"})
    before = (dict(tape.ledger.books), tape.ledger.cash)
    tape.fill(key, Side.BUY, "4", "10.01", execution="x")
    tape.broken("x")
    tape.broken("x")
    assert before == (dict(tape.ledger.books), tape.ledger.cash)
    balanced(tape)

    tape.fill(key, Side.BUY, "4", "10", execution="y")
    assert {"a": Decimal(3), "b": Decimal(1)} == {name: book.quantity("SPY") for name, book in tape.ledger.books.items()}
    balanced(tape)


def test_a_broken_sale_gives_the_very_lots_back() -> None:
    """At their own cost, oldest first, and the profit is taken back."""
    tape = Tape()
    tape.start()
    for number, price in ((1, "10"), (2, "13")):
        tape.fill(tape.plan(number, Side.BUY, {"a": "2"}), Side.BUY, "2", price)
    tape.fill(tape.plan(3, Side.SELL, {"a": "3"}), Side.SELL, "3", "12", execution="s")
    assert tape.ledger.books["a"].realised == 3
    tape.broken("s")

    book = tape.ledger.books["a"]
    assert (Decimal(0), Decimal(-46), Decimal(4)) == (book.realised, book.cash_flow, book.quantity("SPY"))
    assert [(Decimal(2), Decimal(10)), (Decimal(2), Decimal(13))] == [(lot.quantity, lot.price) for lot in book.lots["SPY"]]
    balanced(tape)


def test_a_broken_purchase_that_was_sold_in_part_was_sold_from_the_next_lots() -> None:
    """What earned its profit cost something else, as it turns out."""
    tape = Tape()
    tape.start()
    tape.fill(tape.plan(1, Side.BUY, {"a": "2"}), Side.BUY, "2", "10", execution="x")
    tape.fill(tape.plan(2, Side.BUY, {"a": "2"}), Side.BUY, "2", "13")
    tape.fill(tape.plan(3, Side.SELL, {"a": "1"}), Side.SELL, "1", "15")
    assert tape.ledger.books["a"].realised == 5
    tape.broken("x")

    book = tape.ledger.books["a"]
    assert (Decimal(2), Decimal(1)) == (book.realised, book.quantity("SPY"))
    balanced(tape)


def test_shares_that_were_sold_before_their_purchase_was_broken_are_owed() -> None:
    """Books and broker are short alike, nothing is earned until they are bought back, and cash is exact."""
    tape = Tape()
    tape.start()
    tape.fill(tape.plan(1, Side.BUY, {"a": "2"}), Side.BUY, "2", "10", execution="x")
    tape.fill(tape.plan(2, Side.SELL, {"a": "2"}), Side.SELL, "2", "15")
    tape.broken("x")
    assert {"SPY": Decimal(-2)} == tape.ledger.holdings()
    assert () == tape.ledger.differences({"SPY": Decimal(-2)}, Decimal(1030))
    assert (Decimal(0), Decimal(30)) == (tape.ledger.books["a"].realised, tape.ledger.books["a"].cash_flow)

    tape.fill(tape.plan(3, Side.BUY, {"a": "3"}), Side.BUY, "3", "14")
    assert [(Decimal(1), Decimal(14))] == [(lot.quantity, lot.price) for lot in tape.ledger.books["a"].lots["SPY"]]
    assert (Decimal(2), Decimal(-12)) == (tape.ledger.books["a"].realised, tape.ledger.books["a"].cash_flow)
    balanced(tape)


def test_an_execution_that_is_broken_before_it_is_booked_is_not_booked() -> None:
    """The journal was cut between the fill and its booking; the next process hears of the bust before it has booked."""
    tape = Tape()
    tape.start()
    key = tape.plan(1, Side.BUY, {"a": "4"})
    tape.fill(key, Side.BUY, "4", execution="x")
    broken = FillBroken(at=AT, fill=next(e.fill for e in tape.events if isinstance(e, OrderFilled)), replaced_by=None, reason="trade_bust")
    cut = replayed([*tape.events[:-1], broken])
    assert 0 == cut.ledger.settle()
    assert {} == cut.ledger.holdings()
    assert replayed([*tape.events[:-1], broken, tape.events[-1]]).state() == cut.state()


def test_a_break_of_what_is_not_ours_is_left_alone() -> None:
    """A manual trade in the account belongs to no strategy."""
    tape = Tape()
    tape.start()
    before = tape.state()
    tape.fill("somebody-elses-id", Side.BUY, "2", execution="theirs")
    tape.broken("theirs")
    assert before == tape.state()


def test_fills_that_come_at_once_are_booked_one_after_the_other() -> None:
    """A reconciliation brings many in one event: each booking knows what the one before it left to be waited for, and what it sold."""
    tape = Tape()
    tape.start()
    tape.fill(tape.plan(1, Side.BUY, {"a": "2"}), Side.BUY, "2", "10")
    tape.fill(tape.plan(2, Side.BUY, {"a": "2"}), Side.BUY, "2", "13")
    key = tape.plan(3, Side.SELL, {"a": "4"})
    queue: list[Event] = []
    ledger = Ledger(queue.append)
    for number, event in enumerate(tape.events, start=1):
        ledger.replay(Envelope(number, event, 0.0))
    for name in ("s1", "s2"):
        fill = Fill(
            execution_id=name,
            client_order_id=key,
            venue_order_id="v",
            symbol="SPY",
            side=Side.SELL,
            quantity=Decimal(2),
            price=Decimal(15),
            at=AT,
        )
        ledger(Envelope(100, OrderFilled(at=AT, fill=fill), 0.0))
    said = []
    while queue:
        booked = queue.pop(0)
        assert isinstance(booked, FillBooked)
        said.append(booked.entries[0].realised)
        ledger(Envelope(200, booked, 0.0))
    assert [Decimal(10), Decimal(4)] == said
    assert ledger.books["a"].realised == 14


def test_a_booking_of_what_was_never_a_fill_stops_the_process() -> None:
    """Somebody else wrote into the journal, or an order was forgotten too soon: nothing is built on it."""
    tape = Tape()
    tape.start()
    with pytest.raises(InvariantBroken, match="it was never a fill of ours"):
        tape.feed(FillBooked(at=AT, execution_id="strange", symbol="SPY", entries=()))


def test_rows_of_an_account_that_was_never_looked_at_are_left_alone() -> None:
    """What was before us is not ours."""
    tape = Tape()
    row = AccountActivity(activity_id="a1", kind="INT", on=DAY, at=AT, amount=Decimal(1))
    assert tape.ledger.take([row], {}) == 0
    assert tape.events == []


def test_a_row_is_booked_once_whoever_tells_of_it() -> None:
    """The same event again changes nothing."""
    tape = Tape()
    tape.start()
    tape.ledger.take([AccountActivity(activity_id="a1", kind="INT", on=DAY, at=AT + timedelta(hours=1), amount=Decimal(1))], {})
    cash = tape.ledger.cash
    tape.feed(tape.events[-1])
    assert tape.ledger.cash == cash


@pytest.mark.parametrize(("status", "entries"), [("canceled", 0), ("correct", 1)])
def test_a_row_that_takes_back_what_was_never_heard_of_takes_back_nothing(status: str, entries: int) -> None:
    """A correction then counts as a row of its own, a cancel as none."""
    tape = Tape()
    tape.start()
    gone = AccountActivity(
        activity_id="a2", kind="INT", on=DAY, at=AT + timedelta(hours=1), amount=Decimal(3), status=status, previous_id="a1"
    )
    before = tape.ledger.cash
    assert tape.ledger.take([gone], {}) == 1
    assert before is not None
    assert tape.ledger.cash == before + 3 * entries


def test_a_session_that_opens_again_after_a_restart_forgets_nothing() -> None:
    """Orders are forgotten at the first opening after the next session, and not before."""
    tape = Tape()
    tape.start()
    opened = SessionOpened(at=AT, session=Session(date=DAY, opens_at=AT, closes_at=AT + timedelta(minutes=10)))
    tape.feed(opened)
    key = tape.plan(1, Side.BUY, {"a": "10"})
    tape.feed(
        OrderClosed(
            at=AT, client_order_id=key, symbol="SPY", state="filled", cumulative_quantity=Decimal(4), average_price=Decimal(10), reason=None
        )
    )
    tape.feed(opened)
    tape.fill(key, Side.BUY, "4")
    assert tape.ledger.holdings() == {"SPY": 4}


def test_a_new_week_forgets_the_orders_that_have_ended_and_no_share() -> None:
    """Also in an account on which nothing but orders ever happens; an order that may still be executed is kept."""
    tape = Tape()
    tape.start()
    ended, working = tape.plan(1, Side.BUY, {"a": "10"}), tape.plan(2, Side.BUY, {"b": "5"})
    tape.fill(ended, Side.BUY, "10")
    tape.feed(
        OrderClosed(
            at=AT,
            client_order_id=ended,
            symbol="SPY",
            state="filled",
            cumulative_quantity=Decimal(10),
            average_price=Decimal(10),
            reason=None,
        )
    )
    for days in (1, 4, 7):  # Tuesday, Friday, and the Monday after.
        opens = AT + timedelta(days=days)
        session = Session(date=opens.date(), opens_at=opens, closes_at=opens + timedelta(minutes=10))
        tape.feed(SessionOpened(at=opens, session=session))
        assert tape.ledger.holdings() == {"SPY": 10}
        assert set(tape.ledger.memory().orders) == ({working} if days == 7 else {ended, working})


def test_the_end_of_an_order_that_is_not_ours_is_left_alone() -> None:
    """Somebody else trades on the account, too."""
    tape = Tape()
    tape.start()
    before = tape.state()

    tape.feed(
        OrderClosed(
            at=AT,
            client_order_id="theirs",
            symbol="SPY",
            state="cancelled",
            cumulative_quantity=Decimal(0),
            average_price=None,
            reason=None,
        )
    )

    assert before == tape.state()


def test_the_opening_is_known_once_the_account_was_seen() -> None:
    """Before that there is none."""
    tape = Tape()
    assert tape.ledger.opened is None
    tape.start("750")
    assert tape.ledger.opened == (AT, Decimal(750))


def test_a_journal_that_booked_to_somebody_else_is_followed() -> None:
    """What was written down was booked so, whoever waited for it; and it is taken back from whom it was booked to."""
    tape = Tape()
    tape.start()
    tape.fill(tape.plan(1, Side.BUY, {"a": "10"}), Side.BUY, "4", execution="e1")
    events: list[Event] = []
    for event in tape.events:
        if isinstance(event, FillBooked):
            event = msgspec.structs.replace(event, entries=tuple(msgspec.structs.replace(one, strategy="z") for one in event.entries))
        events.append(event)
    again = replayed(events)
    assert {name: book.holdings() for name, book in again.ledger.books.items() if book.holdings()} == {"z": {"SPY": 4}}
    again.events = events
    again.broken("e1")
    assert again.ledger.holdings() == {}
