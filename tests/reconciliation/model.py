"""A venue on paper: what it would answer in a case, without an exchange. Lists that are late are shown as they are at first."""

from datetime import timedelta
from decimal import Decimal

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.account import BrokerActivity, BrokerPosition
from alchemiser.domain.events import Event
from alchemiser.domain.orders import ExecutionReport, Side
from alchemiser.execution.reconciliation import Findings, OwnSide, VenueSide, more_to_look_up, reconcile, to_look_up
from alchemiser.service.state import JournaledState
from tests.reconciliation.language import EPOCH, PAST, SYMBOL, Case, Own, There
from tests.reconciliation.record import BEGAN, OPENING, events_of, orders_of, pieces_of

CASH, PRICE = Decimal(100_000), Decimal(100)


class PaperVenue:
    """The venue's side of a case."""

    def __init__(self, case: Case) -> None:
        self.case = case
        opening = (There("filled", (case.books,), name=OPENING, quantity=case.books, rebalance=PAST),) if case.books else ()
        self.orders = (*opening, *case.venue)
        self._late = {late.what for late in case.late}

    def report(self, one: There, *, event: str = "query", status: str | None = None, cumulative: int | None = None) -> ExecutionReport:
        """Return what the venue says of an order."""
        done = sum(one.pieces) if cumulative is None else cumulative
        shown = {"open": "partially_filled" if done else "new"}.get(one.status, one.status)
        return ExecutionReport(
            event=event,
            status=status or shown,
            client_order_id=one.client_order_id,
            venue_order_id=f"v-{one.client_order_id}",
            symbol=one.symbol,
            side=one.side,
            quantity=Decimal(one.quantity),
            cumulative_quantity=Decimal(done),
            average_price=PRICE if done else None,
            at=BEGAN + timedelta(seconds=1),
            limit_price=Decimal(one.limit),
            replaced_by=f"v-by-hand-{one.name}" if one.status == "replaced" else None,
            replaces=f"v-{self.case.ours[0].client_order_id}" if one.kind == "by hand" and self._replaced(one) else None,
        )

    def heard(self, own: Own, step: str) -> ExecutionReport:
        """Return what the stream said of an order of ours."""
        one = next((there for there in self.orders if there.client_order_id == own.client_order_id), None)
        pieces = pieces_of(own, one)
        sent = There("open", pieces, own.name, own.side, own.quantity, own.limit, own.symbol, own.rebalance, own.attempt)
        if not step.isdecimal():
            return _as(self.report(sent, event=step, status=step, cumulative=sum(pieces[number] for number in own.heard)), "stream")
        number = int(step)
        total = sum(pieces[: number + 1])
        event, status = ("fill", "filled") if total == own.quantity else ("partial_fill", "partially_filled")
        report = self.report(sent, event=event, status=status, cumulative=total)
        prefix = "other-" if own.other_ids else "x-"
        return _as(report, "stream", f"{prefix}{own.client_order_id}-{number}", pieces[number])

    def answers(self, own: OwnSide) -> VenueSide:
        """Return what the venue answers to whoever is in our state."""
        live = tuple(self.report(one) for one in self.orders if one.status == "open")
        listed = () if "orders" in self._late else live
        executions = () if "executions" in self._late or not own.orders else self._executions()
        known = {} if "look-up" in self._late else {one.client_order_id: self.report(one) for one in self.orders}
        asked = [*to_look_up(own.orders, listed), *more_to_look_up(own.orders, executions)]
        cash = CASH - sum((one.side.sign * sum(one.pieces) * PRICE for one in self.orders), Decimal(0)) - self.case.by_hand * PRICE
        return VenueSide(
            open_orders=listed,
            looked_up={key: known.get(key) for key in asked},
            executions=executions,
            positions=self._positions(),
            cash=cash,
        )

    def _executions(self) -> tuple[BrokerActivity, ...]:
        found = []
        for one in self.orders:
            for number in range(len(one.pieces)):
                found.append(self._activity(one, number, one.pieces[number], sum(one.pieces[: number + 1])))
        if self.case.by_hand:
            side = Side.BUY if self.case.by_hand > 0 else Side.SELL
            size = abs(self.case.by_hand)
            person = There("filled", (size,), name="hand", side=side, quantity=size, kind="by hand")
            found.append(self._activity(person, 0, size, size))
        return tuple(found)

    def _activity(self, one: There, number: int, size: int, total: int) -> BrokerActivity:
        execution = f"x-{one.client_order_id}-{number}"
        return BrokerActivity(
            activity_id=execution,
            execution_id=execution,
            venue_order_id=f"v-{one.client_order_id}",
            symbol=one.symbol,
            side=one.side.value,
            quantity=Decimal(size),
            price=PRICE,
            cumulative_quantity=Decimal(total),
            at=BEGAN + timedelta(seconds=2 + number),
        )

    def _positions(self) -> tuple[BrokerPosition, ...]:
        held: dict[str, int] = {SYMBOL: self.case.by_hand}
        bound: dict[str, int] = {}
        for one in self.orders:
            held[one.symbol] = held.get(one.symbol, 0) + one.side.sign * sum(one.pieces)
            if one.status == "open" and one.side is Side.SELL:
                bound[one.symbol] = bound.get(one.symbol, 0) + one.quantity - sum(one.pieces)
        return tuple(
            BrokerPosition(
                symbol=symbol,
                quantity=Decimal(shares),
                available_quantity=Decimal(shares - bound.get(symbol, 0)),
                average_entry_price=PRICE,
                current_price=PRICE,
            )
            for symbol, shares in sorted(held.items())
            if shares
        )

    def _replaced(self, one: There) -> bool:
        return any(other.status == "replaced" and other.name == one.name for other in self.case.venue)


def _as(report: ExecutionReport, source: str, execution: str | None = None, size: int | None = None) -> ExecutionReport:
    fields = {name: getattr(report, name) for name in report.__struct_fields__} | {"source": source}
    if execution is not None and size is not None:
        fields |= {"execution_id": execution, "last_quantity": Decimal(size), "last_price": PRICE}
    return ExecutionReport(**fields)


class Lived:
    """The state of a daemon that has lived through the events of a case."""

    def __init__(self, events: list[Event]) -> None:
        self._sequence = 0
        self.state = JournaledState(self.feed)
        for event in events:
            self.feed(event)

    def feed(self, event: Event, correlation: str | None = None) -> None:
        """Apply an event and what follows from it, as the bus does."""
        self._sequence += 1
        envelope = Envelope(self._sequence, event, 0.0)
        state = self.state
        for part in (state.orders, state.parked, state.ledger, state.rebalances, state.overview):
            if isinstance(event, part.listens_to):
                part(envelope)

    def own_side(self) -> OwnSide:
        """Return our side of a comparison."""
        state = self.state
        return OwnSide(
            epoch=EPOCH,
            orders=tuple(state.orders),
            fills=state.orders.fills,
            holdings=state.ledger.holdings(),
            cash=state.ledger.cash,
            unfinished=state.rebalances.unfinished_id(),
        )


def compared(case: Case) -> tuple[Lived, Findings]:
    """Return our state in a case, and what one comparison finds."""
    venue = PaperVenue(case)
    lived = Lived(list(events_of(case, venue.heard, cash=CASH)))
    assert len(list(lived.state.orders)) == len(orders_of(case))
    own = lived.own_side()
    return lived, reconcile(own, venue.answers(own))
