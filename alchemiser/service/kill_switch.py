"""The kill switch of a running daemon: its own task and its own connection to the venue, beside the bus.

It can be pulled by the API, by a file, by a signal, and from the first moment of a start to the last of a stop. Pulled, it closes the gate
by a call and not by an event, says so to the journal if that can be done, and works until the account is free of orders: see
:mod:`alchemiser.execution.kill`. Trading is halted from then on, also after a restart, until somebody resumes it; while the file is there
nobody can. The orders with which it sells are planned and intended like any other, so that their fills are booked to who held the shares;
what the journal could not take up is in ``STATE/kill.json``, and the next start takes it over.
"""

import asyncio
import signal
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import structlog
from msgspec import Struct, structs

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.errors import BusClosed, JournalFailed
from alchemiser.domain.events import (
    Event,
    ExecutionReported,
    KillSwitchPulled,
    KillSwitchReported,
    RebalanceParked,
    RebalancePlanned,
    ReconciliationDue,
    RecoveryCompleted,
    TradingStateChanged,
)
from alchemiser.domain.ids import FIRST_KILL_NUMBER, client_order_id
from alchemiser.domain.orders import ExecutionReport, NewOrder
from alchemiser.domain.runtime import Clock
from alchemiser.domain.trading import HALTED
from alchemiser.execution.kill import Kill, KillParts, KillReport, KillVenue
from alchemiser.service.clock import wait_loop_seconds
from alchemiser.service.kill_record import (
    DIRECT_FILE,
    FLATTEN_WORD,
    RECORD_FILE,
    SWITCH_FILE,
    KillRecord,
    SentOrder,
    new_record,
    read_record,
    read_switch,
    write_record,
)
from alchemiser.service.kill_sales import Books, intended, outcomes, sales_of, summed
from alchemiser.service.kill_signal import EARLY

BY: Final = "kill switch"
"""Who halts trading."""

_log = structlog.get_logger(__name__)


class KillSwitchParts(Struct, frozen=True):
    """What the switch works with.

    ``open_venue`` makes a connection of its own; ``books`` are what the strategies hold by the journal; ``poll_seconds`` is how often the
    file is looked for, ``end_seconds`` how long the end of the process waits for a kill that is under way, both in seconds of the loop.
    """

    state: Path
    clock: Clock
    epoch: str
    open_venue: Callable[[], AbstractAsyncContextManager[KillVenue]]
    books: Callable[[], Books]
    poll_seconds: float = 1.0
    end_seconds: float = 10.0
    takes_signals: bool = False


class KillSwitch:
    """An asynchronous context manager that owns the tasks of the switch, and an inline listener."""

    listens_to: tuple[type[Event], ...] = (RecoveryCompleted,)

    def __init__(self, parts: KillSwitchParts) -> None:
        self._parts = parts
        self._pulled = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._tasks: asyncio.TaskGroup | None = None
        self._running: list[asyncio.Task[None]] = []
        self._post: Callable[[Event], object] | None = None
        self._books = parts.books
        self._close_gate: Callable[[str], None] = lambda reason: None
        self._heard_at: Callable[[], datetime | None] = lambda: None
        self._known: Callable[[str], object | None] = lambda key: None
        self._path = parts.state / RECORD_FILE
        self._before = read_record(self._path)
        self._seen_file: str | None = None
        self._seen_direct: KillRecord | None = None
        self._report: KillReport | None = None
        self._signal_before: Any = signal.SIG_DFL
        # What an earlier kill sold is not in the books before the venue has been asked; what it left unsold is still to be sold.
        self._is_unfinished = self._before is not None and not self._before.is_over and self._before.epoch == parts.epoch
        self._books_are_true = asyncio.Event()
        if not self._is_unfinished:
            self._books_are_true.set()
        self.record: KillRecord | None = None

    async def __aenter__(self) -> Self:
        self._tasks = asyncio.TaskGroup()
        await self._tasks.__aenter__()
        self._running = [
            self._tasks.create_task(self._watch(), name="kill switch file"),
            self._tasks.create_task(self._work(), name="kill switch"),
        ]
        if self._parts.takes_signals:
            self._signal_before = signal.getsignal(signal.SIGUSR1)
            asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, self.pull, "signal", "SIGUSR1 was received")
            if EARLY.taken():
                self.pull("signal", "SIGUSR1 was received while the daemon was starting")
        self._look_for_file()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        assert self._tasks is not None
        if self._parts.takes_signals:
            asyncio.get_running_loop().remove_signal_handler(signal.SIGUSR1)
            # What comes from here on must not end a process that is writing its last words.
            signal.signal(signal.SIGUSR1, self._signal_before)
        await self.wait(self._parts.end_seconds)
        self._leave()
        await self._tasks.__aexit__(kind, error, traceback)

    def _leave(self) -> None:
        """End the tasks, and say so if a kill is not finished."""
        if not self._idle.is_set():
            _log.error("kill_not_finished", report=self.document(), action="look at the venue; the next start carries on from kill.json")
        for task in self._running:
            task.cancel("the daemon has ended")

    # --- pulling ---

    def pull(self, by: str, reason: str, *, flattens: bool = False) -> None:
        """Pull the switch. Pulled again while it works, it can only be asked to sell, too."""
        _log_pulled(by, reason, flattens=flattens)
        if self.record is not None and not self.record.is_over:
            if flattens and not self.record.flattens:
                self.record.flattens = True
                write_record(self._path, self.record)
            return
        # The record of an unfinished kill is written over now; what it was to sell must not be forgotten with it.
        flattens = flattens or self._owes_a_sale()
        self.record = new_record(
            self._path,
            now=self._parts.clock.now(),
            by=by,
            reason=reason,
            flattens=flattens,
            epoch=self._parts.epoch,
            first_number=FIRST_KILL_NUMBER,
        )
        self._close_gate(self._words())
        write_record(self._path, self.record)
        self._say_pulled(self.record)
        self._idle.clear()
        self._pulled.set()

    def why_not_resume(self) -> str | None:
        """Return why trading may not be resumed, ``None`` when it may."""
        if not self._idle.is_set():
            return "the kill switch is still at work; `alchemiser status` says how far it is"
        if read_switch(self._parts.state) is not None:
            return f"the kill switch is pulled as long as {self._parts.state / SWITCH_FILE} is there; remove it first"
        return None

    async def wait(self, seconds: float) -> bool:
        """Wait until nothing is under way, at most so many seconds of the loop, and return whether that is so."""
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    def document(self) -> dict[str, Any] | None:
        """Return what the present or last kill of this process did and could not, ``None`` when there was none."""
        if self.record is None:
            return None
        report = self._report or KillReport()
        shown = {"by": self.record.by, "reason": self.record.reason, "at": self.record.pulled_at, "flattens": self.record.flattens}
        return shown | structs.asdict(report)

    # --- the daemon ---

    def attach(
        self,
        *,
        post: Callable[[Event], object],
        books: Callable[[], Books],
        close_gate: Callable[[str], None],
        heard: Callable[[], datetime | None],
        known: Callable[[str], object | None],
    ) -> None:
        """Tell the bus from now on, and take over what its journal does not hold of earlier kills.

        ``books`` are those of the running daemon, ``heard`` says when the last kill was pulled that the journal knows of, ``known`` returns
        the order of an id as the journal has it. Called by a daemon whose bus has begun, before anything can be sent.
        """
        self._post, self._books, self._close_gate, self._heard_at, self._known = post, books, close_gate, heard, known
        for record in (self._before, read_record(self._parts.state / DIRECT_FILE), self.record):
            if record is not None:
                self._adopt(record)
        if self.record is not None:
            close_gate(self._words())
        elif self._before is not None and not self._before.is_over:
            self.pull("restart", f"an earlier process ended before its kill was over{self._and_sells()}", flattens=self._owes_a_sale())

    def __call__(self, envelope: Envelope) -> None:
        """Let a kill that carries on an earlier one sell: the books follow the venue, which has been asked what that one sold."""
        self._books_are_true.set()

    def _owes_a_sale(self) -> bool:
        return self._is_unfinished and self._before is not None and self._before.flattens

    def _and_sells(self) -> str:
        return "; what it was to sell is sold when the books follow the venue again" if self._owes_a_sale() else ""

    def _adopt(self, record: KillRecord) -> None:
        """Have the journal hold a kill that it does not, by events: that it was pulled, and the orders with which it sold."""
        if self._post is None or record.epoch != self._parts.epoch:
            return
        heard = self._heard_at()
        if heard is None or record.pulled_at > heard:
            if record is not self.record:
                _log_pulled(record.by, record.reason, flattens=record.flattens, pulled_at=record.pulled_at.isoformat())
            self._say_pulled(record)
        missing = [sent for sent in record.orders if self._known(sent.order.client_order_id) is None]
        if missing:
            quantities = {sent.order.symbol: sent.order.quantity for sent in reversed(missing)}
            seen = {sent.order.symbol: sent.price for sent in missing}
            self._tell(sales_of(record, self._books(), quantities, seen, self._parts.clock.now()))
        for sent in missing:
            self._tell(intended(record, sent))
        if missing:
            self._tell(ReconciliationDue(at=self._parts.clock.now(), reason=BY))

    # --- at work ---

    def _words(self) -> str:
        assert self.record is not None
        return f"the kill switch was pulled by {self.record.by}: {self.record.reason}"

    async def _watch(self) -> None:
        while True:
            await wait_loop_seconds(self._parts.poll_seconds)  # Whoever makes the file waits in real time.
            self._look_for_file()

    def _look_for_file(self) -> None:
        """Pull the switch when the file has come, and when its text has changed."""
        text = read_switch(self._parts.state)
        if text is not None and text != self._seen_file:
            reason = f"{self._parts.state / SWITCH_FILE} is there" + (f": {text}" if text else "")
            self.pull("file", reason, flattens=FLATTEN_WORD in text.lower())
        self._seen_file = text
        direct = read_record(self._parts.state / DIRECT_FILE)
        if direct != self._seen_direct and direct is not None:
            self._adopt(direct)
        self._seen_direct = direct

    async def _work(self) -> None:
        while True:
            await self._pulled.wait()
            self._pulled.clear()
            release = self._parts.clock.hold(BY)
            try:
                await self._kill()
            finally:
                release()
                self._idle.set()

    async def _kill(self) -> None:
        record = self.record
        assert record is not None
        prices: dict[str, Decimal] = {}
        plans: list[RebalancePlanned] = []

        def planned(quantities: Mapping[str, Decimal], seen: Mapping[str, Decimal]) -> None:
            prices.update(seen)
            plans.append(sales_of(record, self._books(), quantities, prices, self._parts.clock.now()))
            self._tell(plans[-1])

        async def intends(order: NewOrder, attempt: int) -> None:
            sent = SentOrder(order=order, attempt=attempt, price=prices[order.symbol], at=self._parts.clock.now())
            record.orders.append(sent)
            write_record(self._path, record)
            self._tell(intended(record, sent))

        async with self._parts.open_venue() as venue:
            kill = Kill(
                KillParts(
                    venue=venue,
                    clock=self._parts.clock,
                    flattens=lambda: record.flattens,
                    may_sell=self._books_are_true.wait,
                    holdings=lambda: summed(self._books()),
                    order_id=lambda symbol, attempt: client_order_id(record.epoch, record.rebalance_id, symbol, attempt),
                    planned=planned,
                    intends=intends,
                    heard=self._heard,
                )
            )
            self._report = kill.report
            report = await kill.run()
        self._is_unfinished = False
        record.ended, record.sold, record.could_not, record.is_over = report.ended, report.sold, report.could_not, True
        write_record(self._path, record)
        log = _log.info if report.is_clean else _log.error
        log("kill_over", ended=report.ended, sold={symbol: str(sold) for symbol, sold in report.sold.items()}, could_not=report.could_not)
        now = self._parts.clock.now()
        for plan in plans:
            reason = "; ".join(report.could_not) or "everything was sold by the kill switch"
            self._tell(RebalanceParked(at=now, rebalance_id=plan.rebalance_id, reason=reason, outcomes=outcomes(plan, report)))
        self._tell(KillSwitchReported(at=now, ended=report.ended, sold=report.sold, could_not=tuple(report.could_not)))
        self._tell(ReconciliationDue(at=now, reason=BY))

    def _heard(self, report: ExecutionReport) -> None:
        self._tell(ExecutionReported(at=self._parts.clock.now(), report=report))

    # --- telling ---

    def _say_pulled(self, record: KillRecord) -> None:
        now = self._parts.clock.now()
        self._tell(KillSwitchPulled(at=now, by=record.by, reason=record.reason, flattens=record.flattens, pulled_at=record.pulled_at))
        self._tell(TradingStateChanged(at=now, state=HALTED, by=BY, reason=f"pulled by {record.by}: {record.reason}"))

    def _tell(self, event: Event) -> None:
        """Publish an event if there is a bus that takes it; a kill waits for nobody to hear of it."""
        if self._post is None:
            return
        try:
            self._post(event)
        except (BusClosed, JournalFailed) as error:
            _log.warning("kill_not_journaled", event_type=type(event).__name__, error=str(error), action="kill.json holds it")


def _log_pulled(by: str, reason: str, **more: Any) -> None:
    """Write the line of a pulled switch, here and not where events are told: it must not wait for a bus that may be stuck."""
    _log.error("kill_switch_pulled", by=by, reason=reason, **more)
