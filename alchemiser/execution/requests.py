"""What is asked of the venue about orders, each request in a task of its own; the answers come back as events.

Nothing leaves before its intention is durable, or what was written ahead of it; no submit is ever repeated blindly; an answer that cannot
be read is looked up by client order id until the venue says what became of the order. What is asked for, and when, others decide.
"""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import structlog

from alchemiser.bus.begun import begin, breathe
from alchemiser.domain.account import Account
from alchemiser.domain.errors import (
    BusClosed,
    CredentialsRefused,
    NotFoundAtVenue,
    OutcomeUnknown,
    VenueError,
    VenueUnavailable,
)
from alchemiser.domain.errors import OrderRejected as RejectedByVenue
from alchemiser.domain.events import (
    AccountObserved,
    CancelRequested,
    Event,
    ExecutionReported,
    OrderNotFound,
    OrderOutcomeUnknown,
    OrderRejected,
    OrderWithheld,
    TradingStateChanged,
)
from alchemiser.domain.orders import ExecutionReport, NewOrder, OrderState
from alchemiser.execution.missed_fills import CLOCK_DOUBT, missed_fills
from alchemiser.execution.parts import ExecutionParts

LOOK_UP_PAUSES_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
"""Pauses between look-ups of an order whose outcome is unknown; the last repeats."""

NOT_FOUND_ANSWERS = 4
"""How often the venue must say that it does not know an order before it is believed: its lists are only eventually consistent."""

LOOK_REASON = "a buy was refused"
"""The reason of a look at the account that lowers the cash of the rebalance in progress."""

SENDERS = 8
"""How many requests about orders may be under way at once, beside those for which a connection was at hand."""

_log = structlog.get_logger(__name__)


class OrderRequests:
    """The requests that are under way. Each method but :meth:`publish` returns at once, with the request begun.

    ``on_account`` is told of each account that was looked at because a buy was refused.
    """

    def __init__(self, parts: ExecutionParts, on_account: Callable[[Account], None]) -> None:
        self._parts = parts
        self._on_account = on_account
        self._tasks: asyncio.TaskGroup | None = None
        self._senders = asyncio.Semaphore(SENDERS)
        self._is_stopping = False
        self.begun = 0
        """How many requests had to wait for something, and were given tasks."""

    def begin_in(self, tasks: asyncio.TaskGroup) -> None:
        """Let these tasks own the requests from now on."""
        self._tasks = tasks

    def stop(self) -> None:
        """Look up no more orders: the next start does."""
        self._is_stopping = True

    def submit(self, order: NewOrder, rebalance_id: str, tells: int) -> None:
        """Send an order of which the event of that number tells: at once where that can be, else in a task."""
        left = begin(self._place(order, rebalance_id, tells))
        if left is not None:
            self._own(left, f"submit {order.client_order_id}")

    def replace(self, old_key: str, order: NewOrder, rebalance_id: str) -> None:
        """Ask for an order in the place of a live one."""
        self._own(self._place(order, rebalance_id, replaces=old_key), f"replace {old_key} by {order.client_order_id}")

    def cancel(self, key: str, reason: str) -> None:
        """Ask for the end of an order, unless it has ended."""
        self._spawn(partial(self._cancel, key, reason), f"cancel {key}")

    def ask(self, key: str) -> None:
        """Ask for the state of an order, and for the executions that the venue counts and we have not seen."""
        self._spawn(partial(self._ask, key), f"ask {key}")

    def look_up(self, key: str) -> None:
        """Ask about an order of unknown outcome until the venue has answered."""
        self._spawn(partial(self._look_up, key), f"look up {key}")

    def look_at_account(self) -> None:
        """Ask what the broker has; without an answer our own count stays."""
        self._spawn(self._look_at_account, "look at the account")

    def flush(self, name: str) -> None:
        """Have all that was published so far made durable, behind what is done meanwhile."""
        self._spawn(self._flush, name)

    async def publish(self, kind: type[Event], key: str, **fields: object) -> None:
        """Publish an event of that kind about an order."""
        await self._parts.publish(kind(at=self._parts.clock.now(), client_order_id=key, **fields))  # type: ignore[call-arg]

    # --- the tasks ---

    def _spawn(self, work: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        self._own(self._finished(work, name), name)

    def _own(self, work: Coroutine[Any, Any, None], name: str) -> None:
        assert self._tasks is not None, "run() owns the tasks and has not been started"
        self.begun += 1
        try:
            self._tasks.create_task(work, name=name)
        except RuntimeError:  # The tasks are being ended and take no more; the next start asks what became of the order.
            work.close()
            raise

    async def _finished(self, work: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        """See a request through; when its answer comes after the bus has ended, the next start asks for it again."""
        try:
            await work()
        except BusClosed:
            _answered_late(name)

    # --- the requests ---

    async def _submit(self, order: NewOrder, needed: int) -> ExecutionReport:
        """Send an order when the event of that number is durable, and a connection is free."""
        await breathe()  # From here on in a task of its own.
        async with self._senders:
            self._check_gate(order)
            return await self._parts.venue.submit(order, after=partial(self._parts.durable, needed))

    def _check_gate(self, order: NewOrder) -> None:
        """Raise ``VenueUnavailable`` where the gate is closed; the venue asks again when the bytes are about to leave."""
        why_not = self._parts.gate.why_not(order.symbol, order.side)
        if why_not is not None:
            raise VenueUnavailable(why_not)

    async def _flush(self) -> None:
        await self._parts.durable()

    async def _replace(self, old_key: str, order: NewOrder) -> ExecutionReport:
        """Ask the venue to put the order in the place of a live one. It may fill that one first, and refuses then."""
        async with self._senders:
            self._check_gate(order)
            await self._parts.durable()
            old = self._parts.orders.get(old_key)
            if old is None or old.is_terminal or old.venue_order_id is None or order.limit_price is None:
                raise VenueUnavailable(f"order {old_key} has ended, nothing was asked for in its place")
            try:
                return await self._parts.venue.replace(
                    old.venue_order_id,
                    symbol=order.symbol,
                    side=order.side,
                    client_order_id=order.client_order_id,
                    quantity=order.quantity,
                    limit_price=order.limit_price,
                )
            except NotFoundAtVenue as error:
                raise VenueUnavailable(f"the venue does not know order {old_key}, nothing took its place: {error}") from error

    async def _place(self, order: NewOrder, rebalance_id: str, tells: int = 0, replaces: str | None = None) -> None:
        """Send what makes a new order, in the place of another where it ``replaces`` one, and say which of the four outcomes it had.

        It leaves when the event of the number ``tells`` is durable, which tells of it, and the one that opened the gate. What came after
        them becomes durable while it travels. Where it was written ahead they have mostly long been, a connection is at hand, and the order
        leaves before this is awaited for the first time.
        """
        key, parts = order.client_order_id, self._parts
        try:
            try:
                if replaces is not None:
                    report = await self._replace(replaces, order)
                else:
                    opened_by = parts.gate.opened_by
                    needed = tells if tells > opened_by else opened_by
                    at_once = await parts.venue.submit_now(order) if parts.is_durable(needed) else None
                    report = await self._submit(order, needed) if at_once is None else at_once
            except RejectedByVenue as error:
                await self.publish(OrderRejected, key, code=error.code, message=str(error))
            except CredentialsRefused as error:
                await self.publish(OrderWithheld, key, reason=str(error))
                await self._halt(str(error))
            except VenueUnavailable as error:
                await self.publish(OrderWithheld, key, reason=str(error))
            except OutcomeUnknown as error:
                await self.publish(OrderOutcomeUnknown, key, reason=str(error))
                await self._look_up(key)
            else:
                known = parts.orders.get(key)
                if known is None or report.cumulative_quantity > known.cumulative_quantity or not known.is_terminal:
                    # Otherwise the stream has told of its end already.
                    await parts.publish(ExecutionReported(at=parts.clock.now(), report=report), rebalance_id)
        except BusClosed:
            _answered_late(key)

    async def _cancel(self, key: str, reason: str) -> None:
        order = self._parts.orders.get(key)
        if order is None or order.is_terminal:
            return
        if order.state is not OrderState.CANCELLING:
            await self.publish(CancelRequested, key, reason=reason)
        await self._parts.durable()
        async with self._senders:
            try:
                venue_order_id = order.venue_order_id or (await self._parts.venue.order_by_client_id(key)).venue_order_id
                await self._parts.venue.cancel(venue_order_id)
            except VenueError:
                # Whatever the reason, what counts is the state of the order; asked for here and, if need be, again by the pacing.
                await self._ask(key)

    async def _ask(self, key: str) -> None:
        """Ask the venue for the state of an order, and for the executions that it counts and we have not seen."""
        try:
            report = await self._parts.venue.order_by_client_id(key)
            await self._parts.publish(ExecutionReported(at=self._parts.clock.now(), report=report))
            order = self._parts.orders.get(key)
            if order is not None and order.missing_quantity:
                activities = await self._parts.venue.fills_since(order.intended_at - CLOCK_DOUBT)
                for missed in missed_fills(activities, self._parts.orders):
                    await self._parts.publish(ExecutionReported(at=missed.at, report=missed))
        except CredentialsRefused as error:
            await self._halt(str(error))
        except VenueError:
            return  # No evidence about the order; the pacing asks again.

    async def _look_at_account(self) -> None:
        """Ask what the broker has; without an answer our own count stays."""
        try:
            account, positions = await self._parts.venue.account_and_positions()
        except CredentialsRefused as error:
            await self._halt(str(error))
        except (VenueUnavailable, OutcomeUnknown):
            return
        else:
            now = self._parts.clock.now()
            await self._parts.publish(AccountObserved(at=now, account=account, positions=positions, reason=LOOK_REASON))
            self._on_account(account)

    async def _look_up(self, key: str) -> None:
        """Ask about an order of unknown outcome until the venue has answered; only silence from a stopping daemon ends it early."""
        not_found, number = 0, 0
        while not self._is_stopping:
            await self._parts.clock.sleep(LOOK_UP_PAUSES_SECONDS[min(number, len(LOOK_UP_PAUSES_SECONDS) - 1)])
            number += 1
            try:
                report = await self._parts.venue.order_by_client_id(key)
            except NotFoundAtVenue:
                not_found += 1
                if not_found >= NOT_FOUND_ANSWERS:
                    await self.publish(OrderNotFound, key)
                    return
            except CredentialsRefused as error:
                await self._halt(str(error))
            except VenueError:
                continue  # An error on the way says nothing about the order.
            else:
                await self._parts.publish(ExecutionReported(at=self._parts.clock.now(), report=report))
                return

    async def _halt(self, reason: str) -> None:
        """Halt trading, unless that has been done."""
        if self._parts.gate.is_halted:
            return
        now = self._parts.clock.now()
        await self._parts.publish(TradingStateChanged(at=now, state="halted", by="execution", reason=reason))


def _answered_late(request: str) -> None:
    _log.warning("answer_after_the_end", request=request)
