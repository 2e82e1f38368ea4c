"""Bugs of how orders are sent, taken back and counted: planted one at a time, see ``planted``."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from typing import Any
from unittest.mock import PropertyMock, patch

import msgspec

from alchemiser.alpaca.venue import AlpacaVenue
from alchemiser.domain.errors import OutcomeUnknown
from alchemiser.domain.events import OrderNotFound
from alchemiser.domain.market import Session
from alchemiser.domain.money import ZERO
from alchemiser.domain.orders import BUY, SELL, NewOrder, OrderState, Side
from alchemiser.domain.venue import After
from alchemiser.execution.gate import SubmitGate
from alchemiser.execution.handler import ExecutionHandler
from alchemiser.execution.pacing import RebalanceRun
from alchemiser.execution.requests import OrderRequests
from alchemiser.execution.work import Cancel
from alchemiser.service.scheduler import Scheduler
from alchemiser.service.sessions import SessionTimes


@contextmanager
def blind_retry() -> Iterator[None]:
    """A submit without an answer is sent once more."""
    submit, submit_now = AlpacaVenue.submit, AlpacaVenue.submit_now

    async def stubborn(venue: AlpacaVenue, order: NewOrder, *, after: After | None = None) -> Any:
        try:
            return await submit(venue, order, after=after)
        except OutcomeUnknown:
            return await submit(venue, order)

    async def stubborn_now(venue: AlpacaVenue, order: NewOrder) -> Any:
        try:
            return await submit_now(venue, order)
        except OutcomeUnknown:
            return await submit(venue, order)

    with patch.object(AlpacaVenue, "submit", stubborn), patch.object(AlpacaVenue, "submit_now", stubborn_now):
        yield


@contextmanager
def missing_look_up() -> Iterator[None]:
    """An order without an answer is taken for one that never arrived."""

    async def presumptuous(requests: OrderRequests, key: str) -> None:
        await requests.publish(OrderNotFound, key)

    with patch.object(OrderRequests, "_look_up", presumptuous):
        yield


@contextmanager
def ignored_gate() -> Iterator[None]:
    """The gate is asked and not obeyed."""

    def open_to_all(gate: SubmitGate, symbol: str, side: Side = SELL) -> str | None:
        return gate.why_parked(symbol) or (gate.reduces if side is BUY else None)

    with (
        patch.object(SubmitGate, "why_not", open_to_all),
        patch.object(SubmitGate, "reasons", PropertyMock(return_value={})),
        patch.object(SubmitGate, "is_open", PropertyMock(return_value=True)),
    ):
        yield


@contextmanager
def missed_cut_off() -> Iterator[None]:
    """The cut-off of the session is taken for that of the next day, by the pacing and by the gate that is behind it."""
    cut_off, begin = SessionTimes.cut_off_on, SubmitGate.__init__

    def late(times: SessionTimes, day: date) -> datetime:
        return cut_off(times, day) + timedelta(days=1)

    def lenient(gate: SubmitGate, **parts: Any) -> None:
        at = parts.pop("cut_off")
        begin(gate, cut_off=lambda session: at(session) + timedelta(days=1), **parts)

    with patch.object(SessionTimes, "cut_off_on", late), patch.object(SubmitGate, "__init__", lenient):
        yield


@contextmanager
def amnesia() -> Iterator[None]:
    """A rebalance is taken up again after a restart as if nothing of it had been done."""

    def blank(run: RebalanceRun, orders: Any, now: Any) -> None:
        return

    with patch.object(RebalanceRun, "resume", blank):
        yield


@contextmanager
def half_of_a_cancel() -> Iterator[None]:
    """What an order had filled is forgotten when it is cancelled: its rest is sent as if it were all."""
    ended = RebalanceRun.on_end

    def forgetful(run: RebalanceRun, order: Any, now: Any) -> bool:
        work = run._work_of(order.client_order_id)
        if work is not None and order.state in (OrderState.CANCELLED, OrderState.REPLACED):
            run.count(work, -order.cumulative_quantity, ZERO)
        return ended(run, order, now)

    with patch.object(RebalanceRun, "on_end", forgetful):
        yield


@contextmanager
def presumed_cancel() -> Iterator[None]:
    """A cancel is taken for confirmed as soon as it is asked for: what is left goes out again beside the order that still works."""
    carry_out = ExecutionHandler._carry_out

    async def rash(handler: ExecutionHandler, commands: Any, run: RebalanceRun) -> None:
        for command in commands:
            await carry_out(handler, [command], run)
            order = handler._parts.orders.get(command.client_order_id) if isinstance(command, Cancel) else None
            if order is not None and handler._run is not None:
                handler._run.on_end(msgspec.structs.replace(order, state=OrderState.CANCELLED), handler._parts.clock.now())

    with patch.object(ExecutionHandler, "_carry_out", rash):
        yield


@contextmanager
def deaf_halt() -> Iterator[None]:
    """A halt closes the gate, and what works goes on working."""
    with patch.object(ExecutionHandler, "_bar", lambda handler, run: None):
        yield


@contextmanager
def silent_miss() -> Iterator[None]:
    """A decision whose moment passed while nobody was there is neither made nor said to be missed."""
    decide = Scheduler._decide

    async def silent(scheduler: Scheduler, session: Session) -> None:
        if scheduler._clock.now() < scheduler._timetable.decide(session) + timedelta(minutes=1):
            await decide(scheduler, session)

    with patch.object(Scheduler, "_decide", silent):
        yield
