"""Bugs of what is on the disk before it is acted upon: planted one at a time, see ``planted``."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec

from alchemiser.domain.money import ONE
from alchemiser.execution import ahead, order_states, release
from alchemiser.execution.handler import ExecutionHandler
from alchemiser.execution.work import Work
from alchemiser.journal.committers import InlineCommitter
from alchemiser.journal.store import Store

MANY_EVENTS = 40
"""How many events the careless journal keeps to itself."""


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
def empty_promise() -> Iterator[None]:
    """The journal says that events are durable which it has not even written, until there are many of them."""
    durable = InlineCommitter.durable

    async def careless(committer: InlineCommitter, sequence: int) -> None:
        if len(committer._drafts) > MANY_EVENTS:
            await durable(committer, sequence)

    with patch.object(InlineCommitter, "durable", careless):
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
def forgotten_preparation() -> Iterator[None]:
    """After a crash nobody asks about what was written ahead."""
    with patch.object(order_states.OrderStates, "_prepare", lambda states, event: None):
        yield
