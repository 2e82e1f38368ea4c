"""How the daemon stops: what each stage of the staircase does, how long it may take, and what is left when it is over.

1. *gate*: nothing more is submitted; the reason is durable.
2. *drain*: whatever has left the process is answered, or is known to be unknown.
3. *cancel*: open orders are cancelled, or left where they are, by policy.
4. *final states*: each cancelled order has reached its last state; a cancel without an effect is sent again.
5. *snapshot*: the streams are closed, the state is written down and durable. Vital.
6. *exit*: the last event is durable, the handlers have finished. Vital.

A second request skips to the fifth. Nothing is guessed: an order whose end was not seen stays open in the journal, is named, and is the
first thing that the next start asks about.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import structlog
from msgspec import Struct
from msgspec.structs import replace

from alchemiser.bus.bus import Bus
from alchemiser.bus.envelope import Envelope
from alchemiser.bus.reports import DrainReport
from alchemiser.domain.events import (
    DaemonStopped,
    DaemonStopping,
    ExecutionReported,
    OrderClosed,
    OrderFilled,
    OrderNotFound,
    OrderOutcomeUnknown,
    OrderRejected,
    OrderWithheld,
)
from alchemiser.domain.orders import OrderState
from alchemiser.domain.runtime import Clock
from alchemiser.execution.order_states import OrderStates
from alchemiser.service.snapshots import SnapshotKeeper
from alchemiser.service.staircase import DONE, TIMED_OUT, Stage, Staircase

SHARES: Final = {"gate": 0.05, "drain": 0.15, "cancel": 0.1, "final states": 0.4, "snapshot": 0.15, "exit": 0.15}
"""The share of ``service.stop_seconds`` that each stage may take; together they are all of it."""

CANCEL_AGAIN_SECONDS: Final = 2.0
"""How long the end of a cancelled order is waited for before its cancel is sent again: a venue may lose one."""

LEFT_OPEN: Final = 5
"""The exit code of a stop that could not confirm its cancels: that of a venue which could not be reached."""

_log = structlog.get_logger(__name__)


@asynccontextmanager
async def stopping_on_signals(stop: Callable[[str], None], *, enabled: bool) -> AsyncIterator[None]:
    """Let SIGTERM and SIGINT ask for an orderly stop while the block runs."""
    loop = asyncio.get_running_loop()
    wanted = (signal.SIGTERM, signal.SIGINT) if enabled else ()
    for number in wanted:
        loop.add_signal_handler(number, stop, f"{number.name} was received")
    try:
        yield
    finally:
        for number in wanted:
            loop.remove_signal_handler(number)


class StopParts(Struct, frozen=True, kw_only=True):
    """What a stop works with. ``hold`` begins nothing new in execution, ``cancel`` asks for the cancel of every open order.

    ``tell_repeats`` writes what the log still counts, before the last words.
    """

    bus: Bus
    orders: OrderStates
    snapshots: SnapshotKeeper
    clock: Clock
    hold: Callable[[str], Awaitable[None]]
    cancel: Callable[[str], Awaitable[None]]
    seconds: float
    cancels_orders: bool
    tell_repeats: Callable[[], None] = lambda: None


class Stopping:
    """One stop of the daemon. Subscribed inline it hears what becomes of orders."""

    listens_to = (
        ExecutionReported,
        OrderFilled,
        OrderRejected,
        OrderOutcomeUnknown,
        OrderNotFound,
        OrderWithheld,
        OrderClosed,
    )

    def __init__(self, parts: StopParts) -> None:
        self._parts = parts
        self._asked = asyncio.Event()
        self._news = asyncio.Event()
        self._sources: Sequence[asyncio.Task[None]] = ()
        self._stairs = self._staircase()
        self.reason = ""

    def __call__(self, envelope: Envelope) -> None:
        """Take note that something became of an order."""
        self._news.set()

    @property
    def stage(self) -> str | None:
        """The stage in progress, ``None`` before and after."""
        return self._stairs.current

    def allow(self, *, seconds: float, cancels_orders: bool) -> None:
        """Take so long, and do so with open orders, unless a stop is in progress: that one ends as it began."""
        if not self._asked.is_set():
            self._parts = replace(self._parts, seconds=seconds, cancels_orders=cancels_orders)
            self._stairs = self._staircase()

    def ask(self, reason: str) -> None:
        """Ask for a stop; the first reason counts."""
        if not self._asked.is_set():
            self.reason = reason
            self._asked.set()

    def ask_again(self, reason: str) -> None:
        """Ask for a stop, or for haste when one is in progress already."""
        if self._asked.is_set():
            _log.warning("stop_hurried", reason=reason, stage=self.stage, action="skips to the snapshot and leaves")
            self._stairs.hurry()
        else:
            self.ask(reason)

    def told(self, reason: str) -> dict[str, Any]:
        """Ask for a stop on behalf of an operator, and say what that did."""
        is_second = self._asked.is_set()
        self.ask_again(f"asked for by the operator: {reason}")
        return {"stopping": True, "hurried": is_second, "stage": self.stage}

    async def wait(self) -> None:
        """Return when somebody has asked for a stop."""
        await self._asked.wait()

    async def run(self, sources: Sequence[asyncio.Task[None]]) -> int:
        """Walk the staircase and return the exit code. ``sources`` are the tasks that bring events from outside."""
        self._sources = sources
        stages = await self._stairs.walk()
        still_open = tuple(order.client_order_id for order in self._parts.orders.open_orders())
        unconfirmed = still_open if self._parts.cancels_orders else ()
        stopped = DaemonStopped(at=self._parts.clock.now(), open_orders=still_open, unconfirmed=unconfirmed, stages=stages)
        limit = self._parts.seconds * SHARES["exit"]
        try:
            async with asyncio.timeout(limit / 2):
                self._parts.bus.post(stopped)
                await self._parts.bus.durable()
        except TimeoutError:
            _log.error("stop_not_durable", waited_seconds=limit / 2, action="the journal is closed, which waits for the disk once more")
        report = await self._parts.bus.close(drain_seconds=limit / 2)
        self._parts.tell_repeats()
        _tell_exit(report)
        if unconfirmed:
            _log.error("orders_left_open", orders=list(unconfirmed), action="the next start asks the venue about them; look there now")
        return LEFT_OPEN if unconfirmed else 0

    # --- the stages ---

    async def _shut(self) -> None:
        self._parts.bus.post(DaemonStopping(at=self._parts.clock.now(), reason=self.reason))
        await self._parts.hold(self.reason)
        await self._parts.bus.durable()

    async def _drain(self) -> None:
        await self._until(lambda: not self._unanswered())

    async def _cancel(self) -> None:
        if self._parts.cancels_orders:
            await self._parts.cancel(self.reason)
            await self._until(lambda: not self._uncancelled())

    async def _await_ends(self) -> None:
        while self._parts.cancels_orders and self._parts.orders.open_orders():
            try:
                async with asyncio.timeout(CANCEL_AGAIN_SECONDS):
                    await self._until(lambda: not self._parts.orders.open_orders())
            except TimeoutError:
                await self._parts.cancel(self.reason)

    async def _write_down(self) -> None:
        for source in self._sources:
            source.cancel("the daemon is stopping")
        if self._sources:
            await asyncio.wait(self._sources, timeout=self._parts.seconds * SHARES["snapshot"] / 2)
        self._parts.snapshots.take()
        await self._parts.bus.durable()

    # --- what they left ---

    def _unanswered(self) -> str:
        return self._named(OrderState.INTENDED)

    def _uncancelled(self) -> str:
        return self._named(OrderState.INTENDED, OrderState.WORKING, OrderState.UNKNOWN)

    def _open_in_words(self) -> str:
        return self._named(OrderState.INTENDED, OrderState.WORKING, OrderState.UNKNOWN, OrderState.CANCELLING)

    def _named(self, *states: OrderState) -> str:
        found = [order for order in self._parts.orders.open_orders() if order.state in states]
        return ", ".join(f"{order.client_order_id} is {order.state.value}" for order in found)

    async def _until(self, is_so: Callable[[], bool]) -> None:
        while not is_so():
            self._news.clear()
            await self._news.wait()

    def _staircase(self) -> Staircase:
        return Staircase(
            [
                self._stage("gate", self._shut, str),
                self._stage("drain", self._drain, self._unanswered),
                self._stage("cancel", self._cancel, self._uncancelled),
                self._stage("final states", self._await_ends, self._open_in_words),
                self._stage("snapshot", self._write_down, str, is_vital=True),
            ]
        )

    def _stage(self, name: str, work: Callable[[], Awaitable[None]], left: Callable[[], str], *, is_vital: bool = False) -> Stage:
        return Stage(name=name, limit_seconds=self._parts.seconds * SHARES[name], work=work, left=left, is_vital=is_vital)


def _tell_exit(report: DrainReport) -> None:
    for left in report.unfinished:
        _log.warning("handler_not_finished", handler=left.handler, waiting=left.waiting, event_type=left.event_type)
    _log.info("stop_stage", stage="exit", outcome=TIMED_OUT if report.unfinished else DONE, seconds=round(report.seconds, 3), left="")
