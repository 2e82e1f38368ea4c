"""Repeated log lines collapse: the first is written at once, the others of the next minute become one line with their count.

Two lines are the same when they say the same of the same thing: level, logger, event and context are equal, leaving out times, sequence
numbers and measured figures. The line of the count is the last of them with ``repeated`` added. Lines about an order or a rebalance are
never collapsed: each of them is a fact of its own. What is pending is told when its time is up, and all of it at the end of the process.
"""

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any, Final, TypeVar

import msgspec

from alchemiser.domain.runtime import Clock

WINDOW_SECONDS: Final = 60.0
"""How long the repeats of a line are gathered."""

SUBJECTS_AT_MOST: Final = 1_000
"""How many different lines are remembered; of the oldest its count is told before its time."""

_NEVER_COLLAPSED: Final = ("order", "rebalance")
_VOLATILE: Final = frozenset({"timestamp", "market_time", "sequence"})

Line = MutableMapping[str, Any]
Write = Callable[[Line], object]

Result = TypeVar("Result")


class _Pending(msgspec.Struct):
    until: float
    last: Line
    repeated: int = 0


class Repeats:
    """Decides which lines are written, and writes the counts of the others to ``write``. It may be used from any thread."""

    def __init__(self, clock: Clock, *, window_seconds: float = WINDOW_SECONDS) -> None:
        self._clock = clock
        self._window_seconds = window_seconds
        self._pending: OrderedDict[str, _Pending] = OrderedDict()
        self._lock = threading.Lock()
        self.write: Write = lambda line: None

    def admit(self, line: Line) -> bool:
        """Return whether a line is to be written now; one that is not is counted."""
        if any(name in line for name in _NEVER_COLLAPSED):
            return True
        now = self._clock.monotonic()
        key = _key(line)
        with self._lock:
            told = self._take(now)
            known = self._pending.get(key)
            if known is None:
                self._pending[key] = _Pending(now + self._window_seconds, line)
                if len(self._pending) > SUBJECTS_AT_MOST:
                    told.append(self._pending.popitem(last=False)[1])
            else:
                known.last, known.repeated = dict(line), known.repeated + 1
        self._tell(told)
        return known is None

    def tell_all(self) -> None:
        """Write every count that is pending."""
        with self._lock:
            told = list(self._pending.values())
            self._pending.clear()
        self._tell(told)

    async def beside(self, work: Awaitable[Result]) -> Result:
        """Await some work, writing each count when its time is up, and what is left at the end."""
        timer = asyncio.create_task(self._tell_in_time(), name="counts of repeated log lines")
        try:
            return await work
        finally:
            timer.cancel()
            with suppress(asyncio.CancelledError):
                await timer
            self.tell_all()

    async def _tell_in_time(self) -> None:
        while True:
            await self._clock.sleep(self._window_seconds / 4)
            with self._lock:
                told = self._take(self._clock.monotonic())
            self._tell(told)

    def _take(self, now: float) -> list[_Pending]:
        """Forget the lines whose time is up, which stand in the order of their times."""
        told: list[_Pending] = []
        while self._pending and (oldest := next(iter(self._pending.values()))).until <= now:
            self._pending.popitem(last=False)
            told.append(oldest)
        return told

    def _tell(self, pending: list[_Pending]) -> None:
        for one in pending:
            if one.repeated:
                self.write({**one.last, "repeated": one.repeated})


def _key(line: Line) -> str:
    return repr(sorted((name, repr(value)) for name, value in line.items() if name not in _VOLATILE and not isinstance(value, float)))
