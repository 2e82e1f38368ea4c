"""Missed executions: those of the venue's list that the orders have not seen, and nothing that they have."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.account import BrokerActivity
from alchemiser.domain.events import Event, ExecutionReported, OrderFilled, OrderIntended
from alchemiser.domain.orders import NewOrder, OrderState
from alchemiser.execution.missed_fills import missed_fills
from alchemiser.execution.order_states import OrderStates
from tests.unit.execution.desk import START, buy, order_of, report_of
from tests.unit.execution.desk import activity as listed

ORDER = order_of(buy())


class Book:
    """Order states that hear what is posted, as they would on the bus."""

    def __init__(self, *orders: NewOrder) -> None:
        self.fills: list[Decimal] = []
        self.states = OrderStates(self._posted)
        for number, order in enumerate(orders, start=1):
            intended = OrderIntended(at=START, rebalance_id="20250303.1", intent_id=order.symbol, attempt=number, order=order)
            self.states(Envelope(number, intended, 0.0))

    def _posted(self, event: Event, correlation: str | None = None) -> None:
        if isinstance(event, OrderFilled):
            self.fills.append(event.fill.quantity)
        self.states(Envelope(99, event, 0.0))

    def hear(self, order: NewOrder, event: str, status: str, *, last: str | None = None, total: str = "0", execution: str = "") -> None:
        """Take in what the order stream says."""
        report = report_of(order, event, status, last=last, cumulative=total, execution=execution or None)
        self.states(Envelope(50, ExecutionReported(at=START, report=report), 0.0))


def working(*orders: NewOrder) -> Book:
    """Return a book of orders that the venue has taken."""
    book = Book(*orders)
    for order in orders:
        book.hear(order, "new", "new")
    return book


def activity(execution: str, quantity: str, total: str, order: NewOrder = ORDER) -> BrokerActivity:
    """Return one execution as the venue lists it, at a time of its own."""
    return listed(order, execution, quantity, total, START + timedelta(seconds=float(total)))


def missed(book: Book, *activities: BrokerActivity) -> list[str | None]:
    """Return the executions that were missed, by id."""
    return [report.execution_id for report in missed_fills(activities, book.states)]


def test_an_execution_that_was_never_heard_of_is_missed() -> None:
    """It comes as the execution report that the stream would have brought."""
    book = working(ORDER)

    part, rest = missed_fills([activity("a", "4", "4"), activity("b", "6", "10")], book.states)
    assert ("partial_fill", "new", Decimal(4), Decimal(4)) == (part.event, part.status, part.last_quantity, part.cumulative_quantity)
    assert ("fill", "filled", Decimal(6), Decimal(10)) == (rest.event, rest.status, rest.last_quantity, rest.cumulative_quantity)
    assert {("activity", ORDER.client_order_id, Decimal(100))} == {
        (one.source, one.client_order_id, one.last_price) for one in (part, rest)
    }
    assert part.at == START + timedelta(seconds=4)


def test_an_execution_that_was_heard_of_is_not() -> None:
    """By its id, or by the shares that it brought the order to: the two roads need not use the same ids."""
    book = working(ORDER)
    book.hear(ORDER, "partial_fill", "partially_filled", last="4", total="4", execution="a")

    assert missed(book, activity("a", "4", "4")) == []
    assert missed(book, activity("another-name", "4", "4")) == []
    assert missed(book, activity("another-name", "4", "4"), activity("b", "6", "10")) == ["b"]


def test_an_execution_that_was_lost_before_a_later_one_is_missed() -> None:
    """The stream brought the second and not the first: it is the first that is missing, however many shares the second brought."""
    book = working(ORDER)
    book.hear(ORDER, "fill", "filled", last="6", total="10", execution="b")

    assert missed(book, activity("a", "4", "4"), activity("b", "6", "10")) == ["a"]


def test_an_answer_that_begins_in_the_middle_is_understood() -> None:
    """The venue is asked from the last known execution on: what lies before was heard of."""
    book = working(ORDER)
    book.hear(ORDER, "partial_fill", "partially_filled", last="4", total="4", execution="a")

    assert missed(book, activity("b", "3", "7"), activity("c", "3", "10")) == ["b", "c"]
    book.hear(ORDER, "partial_fill", "partially_filled", last="3", total="7", execution="b")
    assert missed(book, activity("b", "3", "7"), activity("c", "3", "10")) == ["c"]
    assert missed(book, activity("b-as-listed", "3", "7"), activity("c", "3", "10")) == ["c"]


def test_orders_that_are_not_ours_are_left_alone() -> None:
    """A person trades the same account."""
    foreign = order_of(buy("QQQ"))

    assert missed(working(ORDER), activity("x", "10", "10", foreign)) == []


def test_an_execution_listed_twice_is_missed_once() -> None:
    """Pages of the venue's list may overlap."""
    assert missed(working(ORDER), activity("a", "10", "10"), activity("a", "10", "10")) == ["a"]


@given(sizes=st.lists(st.integers(1, 5), min_size=1, max_size=6), data=st.data())
def test_every_execution_is_applied_once(sizes: Sequence[int], data: st.DataObject) -> None:
    """Whatever the stream brought before, with the same ids or with its own: afterwards every share is there, and none twice."""
    total = sum(sizes)
    order = order_of(buy(quantity=str(total)))
    book = working(order)
    reached, listed = 0, []
    for number, size in enumerate(sizes):
        reached += size
        listed.append(activity(f"a{number}", str(size), str(reached), order))
    agrees = data.draw(st.booleans(), label="the ids agree")
    # With ids of its own a stream that lost one in the middle cannot be told from one that lost the last.
    subset = st.sets(st.sampled_from(range(len(sizes))))
    prefix = st.integers(0, len(sizes)).map(lambda length: set(range(length)))
    heard = data.draw(subset if agrees else prefix, label="heard")
    for number, one in enumerate(listed):
        if number in heard:
            name = one.execution_id if agrees else f"s{number}"
            book.hear(order, "partial_fill", "partially_filled", last=str(one.quantity), total=str(one.cumulative_quantity), execution=name)

    for report in missed_fills(listed, book.states):
        book.states(Envelope(60, ExecutionReported(at=report.at, report=report), 0.0))
    assert sorted(Decimal(size) for size in sizes) == sorted(book.fills)
    known = book.states.get(order.client_order_id)
    assert known is not None
    assert (OrderState.FILLED, Decimal(total)) == (known.state, known.cumulative_quantity)
    assert missed_fills(listed, book.states) == ()


def taken_back(execution: str, previous: str, quantity: str, total: str, minutes: int, word: str = "trade_bust") -> BrokerActivity:
    """Return a row that takes an execution back, and brings another when it corrects."""
    row = activity(execution, quantity, total)
    at = START + timedelta(minutes=minutes)
    return msgspec.structs.replace(row, correction=word, previous_execution_id=previous, at=at)


def test_what_was_taken_back_is_missed_once() -> None:
    """By the ids alone: totals rise and fall, and an execution after a bust takes the order to a total that it has had before."""
    rows = [activity("a", "4", "4"), activity("b", "6", "10"), taken_back("c", "a", "-4", "6", 1)]
    again = msgspec.structs.replace(activity("d", "4", "10"), at=START + timedelta(minutes=2))
    corrected = taken_back("e", "d", "3", "9", 3, word="trade_correct")
    book = working(ORDER)
    book.hear(ORDER, "partial_fill", "partially_filled", last="4", total="4", execution="a")

    assert missed(book, *rows) == ["b", "c"]
    reports = missed_fills([*rows, again, corrected], book.states)
    assert [report.event for report in reports] == ["fill", "trade_bust", "fill", "trade_correct"]
    for report in reports:
        book.states(Envelope(60, ExecutionReported(at=START, report=report), 0.0))
    order = book.states.get(ORDER.client_order_id)
    assert order is not None
    assert (Decimal(9), Decimal(0)) == (order.cumulative_quantity, order.missing_quantity)
    assert missed(book, *rows, again, corrected) == []
    assert missed(book, again) == []


def test_rows_under_other_ids_never_make_more_than_the_venue_counts() -> None:
    """The two roads need not use the same ids; where totals do not help, nothing is better than twice."""
    book = working(ORDER)
    book.hear(ORDER, "partial_fill", "partially_filled", last="4", total="4", execution="s1")
    book.hear(ORDER, "fill", "filled", last="6", total="10", execution="s2")

    assert missed(book, activity("a", "4", "4"), activity("b", "6", "10"), taken_back("c", "a", "-4", "6", 1)) == []


def test_a_list_that_does_not_add_up_is_not_believed() -> None:
    """An execution of more shares than the venue itself counts as filled is none that was missed."""
    book = working(ORDER)
    book.hear(ORDER, "partial_fill", "partially_filled", last="4", total="4", execution="e1")
    listed = [activity("e1", "4", "4"), activity("too large", "5", "6")]
    assert missed_fills(listed, book.states) == ()
