"""Bugs of gaps, starts and health: planted one at a time, see ``planted``."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import PropertyMock, patch
from weakref import WeakKeyDictionary

from alchemiser.bus.mailbox import Mailbox
from alchemiser.bus.reports import TurnReport
from alchemiser.domain.events import Reconciled
from alchemiser.execution.gaps import GapKeeper
from alchemiser.execution.gate import SubmitGate
from alchemiser.service.state import JournaledState


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
def ready_too_soon() -> Iterator[None]:
    """The gate opens with the comparison, an event before recovery is complete."""
    agree = SubmitGate._agree

    def early(gate: SubmitGate, reconciled: Reconciled) -> None:
        agree(gate, reconciled)
        gate._reasons.pop("recovery", None)

    with patch.object(SubmitGate, "_agree", early):
        yield


@contextmanager
def snapshot_for_all() -> Iterator[None]:
    """A start takes up the newest snapshot and leaves out what was written after it."""
    replay = JournaledState.replay

    def short(state: JournaledState, envelopes: Iterable[Any]) -> int:
        events = list(envelopes)
        return replay(state, events if not events or events[0].sequence == 1 else [])

    with patch.object(JournaledState, "replay", short):
        yield


@contextmanager
def fed_watchdog() -> Iterator[None]:
    """That the bus turns is taken for granted: the round trip is said to be well whoever did not answer."""
    with patch.object(TurnReport, "is_healthy", PropertyMock(return_value=True)):
        yield


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """The handlers share one turn: while one takes its time nobody else deals with anything."""
    deliver, turns = Mailbox._deliver, WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock]()

    async def in_turn(mailbox: Mailbox, envelope: Any) -> None:
        async with turns.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
            await deliver(mailbox, envelope)

    with patch.object(Mailbox, "_deliver", in_turn):
        yield
