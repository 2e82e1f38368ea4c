"""Bugs put into the daemon on purpose, one at a time: a referee that never says no proves nothing.

Each is a context in which the daemon has one classical fault of its kind. They are not tests of the daemon; they are the test of the test.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import date, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import PropertyMock, patch

import msgspec

from alchemiser.alpaca.venue import AlpacaVenue
from alchemiser.domain.errors import OutcomeUnknown
from alchemiser.domain.events import OrderNotFound, Reconciled
from alchemiser.domain.money import ONE, ZERO
from alchemiser.domain.orders import OrderState, apply_report
from alchemiser.execution import ahead, order_states, release
from alchemiser.execution.gaps import GapKeeper
from alchemiser.execution.gate import SubmitGate
from alchemiser.execution.handler import ExecutionHandler
from alchemiser.execution.pacing import RebalanceRun
from alchemiser.execution.work import Work
from alchemiser.journal.committers import InlineCommitter
from alchemiser.journal.store import Store
from alchemiser.portfolio.ledger import Ledger
from alchemiser.service.sessions import SessionTimes

MANY_EVENTS = 40
"""How many events the careless journal keeps to itself."""


@contextmanager
def double_apply() -> Iterator[None]:
    """An execution that comes by a second road counts a second time."""

    def forgetful(order: Any, report: Any) -> Any:
        return apply_report(msgspec.structs.replace(order, execution_ids=()), report)

    with patch.object(order_states, "apply_report", forgetful):
        yield


@contextmanager
def blind_retry() -> Iterator[None]:
    """A submit without an answer is sent once more."""
    submit = AlpacaVenue.submit

    async def stubborn(venue: AlpacaVenue, order: Any) -> Any:
        try:
            return await submit(venue, order)
        except OutcomeUnknown:
            return await submit(venue, order)

    with patch.object(AlpacaVenue, "submit", stubborn):
        yield


@contextmanager
def dropped_fill() -> Iterator[None]:
    """Every seventh fill is not booked."""
    book, number = Ledger._book, count(1)

    def careless(ledger: Ledger, fill: Any) -> None:
        if next(number) % 7:
            book(ledger, fill)

    with patch.object(Ledger, "_book", careless):
        yield


@contextmanager
def missing_look_up() -> Iterator[None]:
    """An order without an answer is taken for one that never arrived."""

    async def presumptuous(handler: ExecutionHandler, key: str) -> None:
        await handler._publish(OrderNotFound, key)

    with patch.object(ExecutionHandler, "_look_up", presumptuous):
        yield


@contextmanager
def forgotten_reservation() -> Iterator[None]:
    """The cash that a working buy may still take is offered to the next one."""
    with patch.object(Work, "reserved", PropertyMock(return_value=ZERO)):
        yield


@contextmanager
def ignored_gate() -> Iterator[None]:
    """The gate is asked and not obeyed."""
    with (
        patch.object(SubmitGate, "reasons", PropertyMock(return_value={})),
        patch.object(SubmitGate, "is_open", PropertyMock(return_value=True)),
    ):
        yield


@contextmanager
def early_submit() -> Iterator[None]:
    """An order leaves before its intention is durable."""
    begin = ExecutionHandler.__init__

    def hasty(handler: ExecutionHandler, parts: Any) -> None:
        async def at_once(sequence: int | None = None) -> None:
            return

        begin(handler, msgspec.structs.replace(parts, durable=at_once, is_durable=lambda sequence: True))

    with patch.object(ExecutionHandler, "__init__", hasty):
        yield


@contextmanager
def missing_fsync() -> Iterator[None]:
    """A commit comes back before the disk has it: the log is flushed at checkpoints only, and a power failure takes what was promised."""
    opened = Store.open

    def lazy(path: Path, *, new_epoch: Callable[[], str], is_synchronous: bool) -> Store:
        store = opened(path, new_epoch=new_epoch, is_synchronous=is_synchronous)
        store._connection.execute("PRAGMA synchronous = NORMAL")
        return store

    with patch.object(Store, "open", lazy):
        yield


@contextmanager
def generous_preparation() -> Iterator[None]:
    """What was written ahead is taken to cover an order whatever it says, and is written for a share at most."""
    most_of = ahead._most_of

    def small(work: Work, client_order_id: str) -> Any:
        return msgspec.structs.replace(most_of(work, client_order_id), quantity=min(work.leaves_quantity, ONE))

    with patch.object(ahead, "_most_of", small), patch.object(release, "is_covered", lambda order, prepared: prepared is not None):
        yield


@contextmanager
def empty_promise() -> Iterator[None]:
    """The journal says that events are durable which it has not even written, until there are many of them."""
    durable = InlineCommitter.durable

    async def careless(committer: InlineCommitter, sequence: int) -> None:
        if len(committer._drafts) > MANY_EVENTS:
            await durable(committer, sequence)

    with patch.object(InlineCommitter, "durable", careless):
        yield


@contextmanager
def forgotten_preparation() -> Iterator[None]:
    """After a crash nobody asks about what was written ahead."""
    with patch.object(order_states.OrderStates, "_prepare", lambda states, event: None):
        yield


@contextmanager
def amnesia() -> Iterator[None]:
    """A rebalance is taken up again after a restart as if nothing of it had been done."""

    def blank(run: RebalanceRun, orders: Any, now: Any) -> None:
        return

    with patch.object(RebalanceRun, "resume", blank):
        yield


@contextmanager
def deaf_recovery() -> Iterator[None]:
    """After a gap nobody asks what it hid."""

    async def deaf(keeper: GapKeeper, reason: str) -> int:
        return 0

    with patch.object(GapKeeper, "_recover", deaf):
        yield


@contextmanager
def hasty_recovery() -> Iterator[None]:
    """A gap, or a restart, is said to be over before what it hid has been asked for."""
    closed, recover = GapKeeper._closed, GapKeeper._recover

    async def hasty(keeper: GapKeeper, reason: str) -> int:
        await closed(keeper, 0)
        return await recover(keeper, reason)

    with patch.object(GapKeeper, "_recover", hasty):
        yield


@contextmanager
def half_of_a_cancel() -> Iterator[None]:
    """What an order had filled is forgotten when it is cancelled: its rest is sent as if it were all."""
    ended = RebalanceRun.on_end

    def forgetful(run: RebalanceRun, order: Any, now: Any) -> None:
        work = run._work_of(order.client_order_id)
        if work is not None and order.state in (OrderState.CANCELLED, OrderState.REPLACED):
            work.filled_quantity -= order.cumulative_quantity
        ended(run, order, now)

    with patch.object(RebalanceRun, "on_end", forgetful):
        yield


@contextmanager
def one_of_an_instant() -> Iterator[None]:
    """Of two executions with one time stamp the second is taken for the first again."""
    last: dict[str, Any] = {}

    def careless(order: Any, report: Any) -> Any:
        changed, fill = apply_report(order, report)
        if fill is not None and last.get("at") == fill.at and last.get("id") != fill.execution_id:
            return order, None
        if fill is not None:
            last.update(at=fill.at, id=fill.execution_id)
        return changed, fill

    with patch.object(order_states, "apply_report", careless):
        yield


@contextmanager
def ready_too_soon() -> Iterator[None]:
    """The gate opens with the comparison, an event before recovery is complete."""
    apply = SubmitGate._apply

    def early(gate: SubmitGate, event: Any) -> None:
        apply(gate, event)
        if isinstance(event, Reconciled):
            gate._reasons.pop("recovery", None)

    with patch.object(SubmitGate, "_apply", early):
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


PLANTED: Mapping[str, Callable[[], AbstractContextManager[None]]] = {
    plant.__name__: plant
    for plant in (
        double_apply,
        blind_retry,
        dropped_fill,
        missing_look_up,
        forgotten_reservation,
        ignored_gate,
        early_submit,
        missing_fsync,
        empty_promise,
        generous_preparation,
        forgotten_preparation,
        amnesia,
        deaf_recovery,
        hasty_recovery,
        half_of_a_cancel,
        one_of_an_instant,
        ready_too_soon,
        missed_cut_off,
    )
}
