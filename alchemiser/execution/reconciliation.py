"""The reconciliation kernels: our state and the venue's answers, compared as a union of both sides. Pure.

Every difference has a name and its numbers (``domain.reconciliation``). What the venue knows better comes out as execution reports, which
the caller applies together with the differences in one step. Nothing here decides about time: whether a difference is only the venue's
list being late is for the caller to find out by asking again.

A fact of the venue is believed where it says more than we know; where it says less, silence is no evidence. What the daemon does not
own, orders and shares of a person who trades the same account, is named and left alone.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Final

import msgspec

from alchemiser.domain.account import BrokerActivity, BrokerPosition
from alchemiser.domain.ids import is_of_a_kill, split_client_order_id
from alchemiser.domain.money import ZERO, number_string
from alchemiser.domain.orders import Execution, ExecutionReport, Fill, Order, OrderState, Side, apply_report, broken_by
from alchemiser.domain.reconciliation import Difference, DifferenceCode
from alchemiser.execution.missed_fills import missed_fills

CENT: Final = Decimal("0.01")
"""Cash is compared to the cent."""

_ENDED_AT_VENUE: Final = frozenset({"filled", "canceled", "expired", "rejected", "replaced"})
_UNCONFIRMED: Final = (OrderState.INTENDED, OrderState.UNKNOWN, OrderState.CANCELLING)


class OwnSide(msgspec.Struct, frozen=True, kw_only=True):
    """What we know: all orders, oldest first, the executions by id, the shares and the cash of the books, ``None`` before the first look.

    ``epoch`` is that of our journal, ``unfinished`` the id of the rebalance that is in progress, if there is one.
    """

    epoch: str
    orders: tuple[Order, ...]
    fills: Mapping[str, Fill]
    holdings: Mapping[str, Decimal]
    cash: Decimal | None
    unfinished: str | None


class VenueSide(msgspec.Struct, frozen=True, kw_only=True):
    """What the venue answered: its open orders, those asked for by our id (``None`` where it knows none), executions, shares and cash.

    ``replayed`` is what its replayable event source tells since the last event that we know, if it serves one.
    """

    open_orders: tuple[ExecutionReport, ...]
    looked_up: Mapping[str, ExecutionReport | None]
    executions: tuple[BrokerActivity, ...]
    positions: tuple[BrokerPosition, ...]
    cash: Decimal
    replayed: tuple[ExecutionReport, ...] = ()


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """What a comparison found: reports in the order in which they are applied, every difference, the venue's ids of orders to take back.

    ``unresolved`` are the symbols of orders that have not ended although their rebalance has. A comparison is doubtful when an order has
    not arrived and there is an execution of an unknown order that may be its: the look-up may only be late.
    """

    reports: tuple[ExecutionReport, ...]
    differences: tuple[Difference, ...]
    cancels: Mapping[str, str]
    unresolved: frozenset[str] = frozenset()
    is_doubtful: bool = False

    @property
    def is_settled(self) -> bool:
        """Whether asking again would change nothing: no difference is one that the venue's lists may only be late about."""
        return not self.is_doubtful and not any(difference.parks for difference in self.differences)


def to_look_up(orders: Iterable[Order], open_at_venue: Iterable[ExecutionReport]) -> tuple[str, ...]:
    """Return the client order ids that have to be asked about one by one.

    An open order that is not listed may have ended or never have arrived; one that has ended and is listed may be a list that is late.
    """
    listed = {report.client_order_id for report in open_at_venue}
    return tuple(order.client_order_id for order in orders if order.is_terminal is (order.client_order_id in listed))


def more_to_look_up(orders: Iterable[Order], executions: Iterable[BrokerActivity]) -> tuple[str, ...]:
    """Return the orders that were taken for never sent or rejected, and that an execution of an unknown order may belong to after all."""
    known = {order.venue_order_id for order in orders}
    strange = {(one.symbol, one.side) for one in executions if one.venue_order_id not in known and one.correction is None}
    return tuple(
        order.client_order_id
        for order in orders
        if order.is_terminal and order.venue_order_id is None and (order.request.symbol, order.request.side.value) in strange
    )


def reconcile(own: OwnSide, venue: VenueSide) -> Findings:
    """Compare both sides. The findings are meant for exactly the state that was compared."""
    view = _View(own)
    found = [
        *_compare_orders(own, venue, view),
        *_compare_executions(own, venue, view),
        *_compare_states(own, view),
    ]
    found += _compare_ownership(own, view)
    found += _compare_positions(own, venue, view)
    found += _compare_cash(own, venue, view)
    cancels = {
        difference.subject: view.venue_ids[difference.subject]
        for difference in found
        if difference.code in _TAKEN_BACK and difference.subject in view.venue_ids
    }
    unresolved = frozenset(order.request.symbol for order in view if not order.is_terminal and not _is_owned(order, own.unfinished))
    return Findings(
        reports=tuple(view.reports),
        differences=tuple(found),
        cancels=cancels,
        unresolved=unresolved,
        is_doubtful=_is_doubtful(found, venue, view),
    )


_TAKEN_BACK: Final = (
    DifferenceCode.ORDER_REVIVED,
    DifferenceCode.ORDER_UNOWNED,
    DifferenceCode.ORDER_UNRECORDED,
    DifferenceCode.INTENT_DOUBLED,
)


class _View:
    """Our orders as the venue's answers change them, and the reports that do it."""

    def __init__(self, own: OwnSide) -> None:
        self._orders = {order.client_order_id: order for order in own.orders}
        self._by_venue_id = {order.venue_order_id: key for key, order in self._orders.items() if order.venue_order_id is not None}
        self.reports: list[ExecutionReport] = []
        self.shares: dict[str, Decimal] = {}
        self.cash = ZERO
        self.counted: dict[str, Decimal] = {}
        self.live: dict[str, None] = {}
        self.venue_ids: dict[str, str] = {}
        self.unclear: set[str] = set()

    def get(self, key: str) -> Order | None:
        return self._orders.get(key)

    def by_venue_id(self, venue_order_id: str) -> Order | None:
        key = self._by_venue_id.get(venue_order_id)
        return None if key is None else self._orders[key]

    def of(self, report: ExecutionReport) -> Order | None:
        return self._orders.get(report.client_order_id) or self.by_venue_id(report.venue_order_id)

    def __iter__(self) -> Iterator[Order]:
        return iter(self._orders.values())

    def apply(self, order: Order, report: ExecutionReport) -> Iterator[Difference]:
        """Let an order follow a report, and yield what that moves; a report that changes nothing is forgotten."""
        self._by_venue_id[report.venue_order_id] = order.client_order_id
        broken = broken_by(order, report)
        changed, fill = apply_report(order, report)
        if changed != order:
            self._orders[order.client_order_id] = changed
            self.reports.append(report)
        if broken is not None:
            self._move(order, -broken.quantity, broken.price)
            yield _broken(order, broken, fill)
        if fill is not None:
            self._move(order, fill.quantity, fill.price)
            if broken is None:
                yield _missed(order, fill)

    def _move(self, order: Order, quantity: Decimal, price: Decimal) -> None:
        symbol, signed = order.request.symbol, order.request.side.sign * quantity
        self.shares[symbol] = self.shares.get(symbol, ZERO) + signed
        self.cash -= signed * price


def _compare_orders(own: OwnSide, venue: VenueSide, view: _View) -> Iterator[Difference]:
    """Yield what the venue's open orders and its answers about single ones say, those that we do not have included."""
    answered = dict(venue.looked_up)
    listed = {report.venue_order_id for report in venue.open_orders}
    answers = [*(report for report in venue.open_orders if answered.get(report.client_order_id) is None), *answered.values()]
    for report in answers:
        if report is None:
            continue
        order = view.of(report)
        if order is None:
            yield from _of_nobody(own, report, view)
        elif _is_altered(order, report):
            view.unclear.add(order.request.symbol)
            yield _difference(DifferenceCode.ORDER_ALTERED, order, _body(order), _body(report))
        else:
            yield from _of_ours(order, report, listed, view)
    listed_ids = {report.client_order_id for report in venue.open_orders}
    for key, answer in answered.items():
        order = view.get(key)
        if answer is None and order is not None and key not in listed_ids:
            yield from _of_no_answer(order, view)


def _of_ours(order: Order, report: ExecutionReport, listed: set[str], view: _View) -> Iterator[Difference]:
    """Yield what one answer says about one of our orders, and let the order follow it."""
    code, limit = DifferenceCode, order.request.limit_price
    is_live = report.status not in _ENDED_AT_VENUE
    if is_live:
        view.live[order.client_order_id] = None
        view.venue_ids[order.client_order_id] = report.venue_order_id
    if is_live and order.is_terminal:
        view.unclear.add(order.request.symbol)
        yield _difference(code.ORDER_REVIVED, order, order.state.value, report.status)
    if limit is not None and report.limit_price is not None and limit != report.limit_price:
        yield _difference(code.ORDER_REPRICED, order, number_string(limit), number_string(report.limit_price))
    view.counted[order.client_order_id] = report.cumulative_quantity
    successor = report.replaced_by
    if report.status == "replaced" and successor is not None and successor not in listed and view.by_venue_id(successor) is None:
        view.unclear.add(order.request.symbol)
        yield _difference(code.ORDER_REPLACED, order, order.state.value, f"replaced by {successor}")
    yield from view.apply(order, report)


def _of_nobody(own: OwnSide, report: ExecutionReport, view: _View) -> Iterator[Difference]:
    """Yield what an open order is that we do not have."""
    parts = split_client_order_id(report.client_order_id)
    replaced = None if report.replaces is None else view.by_venue_id(report.replaces)
    if replaced is not None:
        view.unclear.add(report.symbol)
        yield _difference(DifferenceCode.ORDER_REPLACED, replaced, replaced.state.value, f"replaced by {report.venue_order_id}")
        return
    code = DifferenceCode.ORDER_FOREIGN
    if parts is not None:
        code = DifferenceCode.ORDER_UNRECORDED if parts[0] == own.epoch else DifferenceCode.ORDER_OF_ANOTHER_JOURNAL
    if code is DifferenceCode.ORDER_UNRECORDED:
        view.venue_ids[report.client_order_id] = report.venue_order_id
    yield Difference(code=code, subject=report.client_order_id, symbol=report.symbol, ours="unknown", theirs=_body(report))


def _of_no_answer(order: Order, view: _View) -> Iterator[Difference]:
    """Yield what it means that the venue does not know one of our open orders."""
    if order.is_terminal:
        return
    if order.venue_order_id is None and order.state in _UNCONFIRMED:
        yield _difference(DifferenceCode.ORDER_NOT_ARRIVED, order, order.state.value, "not found")
    else:
        view.unclear.add(order.request.symbol)
        yield _difference(DifferenceCode.ORDER_VANISHED, order, order.state.value, "not found")


def _compare_executions(own: OwnSide, venue: VenueSide, view: _View) -> Iterator[Difference]:
    """Yield the executions that we had not heard of, those that changed, and those that are not ours."""
    for report in venue.replayed:
        order = view.of(report)
        if order is not None and not _is_altered(order, report):
            yield from view.apply(order, report)
    for activity in venue.executions:
        known = own.fills.get(activity.execution_id)
        if known is not None and (known.quantity, known.price) != (activity.quantity, activity.price):
            view.unclear.add(known.symbol)
            ours, theirs = _shares(known.quantity, known.price), _shares(activity.quantity, activity.price)
            yield Difference(code=DifferenceCode.FILL_ALTERED, subject=activity.execution_id, symbol=known.symbol, ours=ours, theirs=theirs)
        elif activity.correction is None and view.by_venue_id(activity.venue_order_id) is None:
            shares = f"{activity.side} {_shares(activity.quantity, activity.price)}"
            yield Difference(
                code=DifferenceCode.FILL_FOREIGN, subject=activity.execution_id, symbol=activity.symbol, ours="unknown", theirs=shares
            )
    for report in missed_fills(venue.executions, view):
        order = view.of(report)
        assert order is not None, "a missed execution is one of our orders"
        yield from view.apply(order, report)


def _compare_states(own: OwnSide, view: _View) -> Iterator[Difference]:
    """Yield the orders that go on from where we thought they were, and those whose executions are not all there."""
    for before in own.orders:
        after = view.get(before.client_order_id)
        assert after is not None, "no order is forgotten"
        if after.state is not before.state:
            code = DifferenceCode.ORDER_ENDED if after.is_terminal else DifferenceCode.ORDER_BEHIND
            yield _difference(code, before, before.state.value, after.state.value)
        counted = view.counted.get(before.client_order_id, after.cumulative_quantity)
        if counted < min(before.cumulative_quantity, after.cumulative_quantity):
            view.unclear.add(before.request.symbol)
            yield _difference(DifferenceCode.FILLS_EXCESS, before, number_string(before.cumulative_quantity), number_string(counted))
        if after.missing_quantity:
            view.unclear.add(before.request.symbol)
            ours, theirs = number_string(after.cumulative_quantity), number_string(after.reported_quantity)
            yield _difference(DifferenceCode.FILLS_UNLISTED, before, ours, theirs)


def _compare_ownership(own: OwnSide, view: _View) -> list[Difference]:
    """Return the live orders of which there should be none: of a rebalance that has ended, or a second one of an intent."""
    found: list[Difference] = []
    first: dict[tuple[str, str, str], str] = {}
    for order in view:
        parts = split_client_order_id(order.client_order_id)
        if order.is_terminal or order.client_order_id not in view.live or parts is None:
            continue
        if not _is_owned(order, own.unfinished):
            found.append(_difference(DifferenceCode.ORDER_UNOWNED, order, f"rebalance {parts[1]} has ended", "live"))
        elif (earlier := first.setdefault(parts[:3], order.client_order_id)) != order.client_order_id:
            found.append(_difference(DifferenceCode.INTENT_DOUBLED, order, f"{earlier} is live", "live"))
    return found


def _is_doubtful(found: Iterable[Difference], venue: VenueSide, view: _View) -> bool:
    strange = {
        (one.symbol, one.side) for one in venue.executions if one.correction is None and view.by_venue_id(one.venue_order_id) is None
    }
    missing = [view.get(difference.subject) for difference in found if difference.code is DifferenceCode.ORDER_NOT_ARRIVED]
    return any((order.request.symbol, order.request.side.value) in strange for order in missing if order is not None)


def _is_owned(order: Order, unfinished: str | None) -> bool:
    parts = split_client_order_id(order.client_order_id)
    return parts is not None and (parts[1] == unfinished or is_of_a_kill(parts[1]))


def _compare_positions(own: OwnSide, venue: VenueSide, view: _View) -> Iterator[Difference]:
    """Yield where the shares of the books, missed executions included, are not those of the broker."""
    books = {symbol: own.holdings.get(symbol, ZERO) + view.shares.get(symbol, ZERO) for symbol in sorted({*own.holdings, *view.shares})}
    at_broker = {position.symbol: position for position in venue.positions}
    at_work = view.unclear | {order.request.symbol for order in view if not order.is_terminal}
    for symbol in sorted({*books, *at_broker}):
        position = at_broker.get(symbol)
        ours, theirs = books.get(symbol, ZERO), ZERO if position is None else position.quantity
        code = _position_code(ours, theirs, is_at_work=symbol in at_work)
        if code is not None:
            yield Difference(code=code, subject=symbol, symbol=symbol, ours=number_string(ours), theirs=number_string(theirs))
        if position is not None and symbol not in at_work and ZERO < ours <= theirs and position.available_quantity < ours:
            free = number_string(position.available_quantity)
            yield Difference(
                code=DifferenceCode.POSITION_HELD, subject=symbol, symbol=symbol, ours=number_string(ours), theirs=f"{free} free"
            )


def _position_code(ours: Decimal, theirs: Decimal, *, is_at_work: bool) -> DifferenceCode | None:
    if ours == theirs:
        return None if ours >= 0 else DifferenceCode.POSITION_OWED
    table: tuple[tuple[bool, DifferenceCode], ...] = (
        (ours < 0, DifferenceCode.BOOKS_SHORT),
        (ours == 0 and theirs > 0 and not is_at_work, DifferenceCode.POSITION_FOREIGN),
        (ours == 0 and theirs < 0 and not is_at_work, DifferenceCode.POSITION_FOREIGN_SHORT),
        (is_at_work, DifferenceCode.POSITION_UNSETTLED),
        (theirs < 0, DifferenceCode.POSITION_OPPOSITE),
        (theirs == 0, DifferenceCode.POSITION_MISSING),
        (theirs < ours, DifferenceCode.POSITION_LESS),
    )
    return next((code for applies, code in table if applies), DifferenceCode.POSITION_MORE)


def _compare_cash(own: OwnSide, venue: VenueSide, view: _View) -> Iterator[Difference]:
    """Yield where the cash of the books, missed executions included, is not the broker's."""
    if own.cash is None:
        return
    ours = own.cash + view.cash
    if abs(ours - venue.cash) < CENT:
        return
    code = DifferenceCode.CASH_MORE if venue.cash > ours else DifferenceCode.CASH_LESS
    if view.unclear or any(not order.is_terminal for order in view):
        code = DifferenceCode.CASH_UNSETTLED
    yield Difference(code=code, subject="cash", symbol=None, ours=f"{ours:.2f}", theirs=f"{venue.cash:.2f}")


def _difference(code: DifferenceCode, order: Order, ours: str, theirs: str) -> Difference:
    return Difference(code=code, subject=order.client_order_id, symbol=order.request.symbol, ours=ours, theirs=theirs)


def _missed(order: Order, fill: Fill) -> Difference:
    theirs = f"{order.request.side.value} {_shares(fill.quantity, fill.price)}"
    return Difference(
        code=DifferenceCode.FILL_MISSED, subject=fill.execution_id, symbol=order.request.symbol, ours="unknown", theirs=theirs
    )


def _broken(order: Order, broken: Execution, instead: Fill | None) -> Difference:
    theirs = "taken back" if instead is None else _shares(instead.quantity, instead.price)
    ours = _shares(broken.quantity, broken.price)
    return Difference(code=DifferenceCode.FILL_BROKEN, subject=broken.execution_id, symbol=order.request.symbol, ours=ours, theirs=theirs)


def _is_altered(order: Order, report: ExecutionReport) -> bool:
    return order.is_altered_by(report.symbol, report.side, report.quantity)


def _body(one: Order | ExecutionReport) -> str:
    said: Callable[[Decimal | None], str] = lambda quantity: "?" if quantity is None else number_string(quantity)  # noqa: E731
    if isinstance(one, Order):
        return f"{Side(one.request.side).value} {said(one.request.quantity)} {one.request.symbol}"
    return f"{Side(one.side).value} {said(one.quantity)} {one.symbol}"


def _shares(quantity: Decimal, price: Decimal) -> str:
    return f"{number_string(quantity)} at {number_string(price)}"
