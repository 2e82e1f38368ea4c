"""Calls that may never come back, in threads that nobody has to wait for: neither a caller, nor the end of the process.

For what is done by libraries that block and trust the other side. A thread cannot be ended from outside, so one that hangs is left
behind; there is never more than one for each place that is called.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Generic, TypeVar

Done = TypeVar("Done")


class Impatient(Generic[Done]):
    """Runs one call at a time, and waits for it at most so many seconds of the loop."""

    def __init__(self, name: str, *, seconds: float) -> None:
        self._name: Final = name
        self._seconds: Final = seconds
        self.hangs = False
        """Whether an earlier call has not come back."""

    async def run(self, function: Callable[[], Done]) -> Done:
        """Return what the function returns, or raise what it raises.

        Raises ``TimeoutError`` when it takes too long, and at once while an earlier call hangs.
        """
        if self.hangs:
            raise TimeoutError(f"{self._name}: an earlier call has not come back")
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[Done] = loop.create_future()

        def call() -> None:
            try:
                done = function()
            except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
                tell, told = outcome.set_exception, error
            else:
                tell, told = outcome.set_result, done  # type: ignore[assignment]
            self.hangs = False  # Before it is told: whoever hears of it may call again at once.
            with suppress(RuntimeError):  # The loop is closed: nobody waits any more.
                loop.call_soon_threadsafe(lambda: None if outcome.done() else tell(told))

        # A daemon thread, unlike those of a pool: the interpreter does not wait for it when it ends.
        self.hangs = True
        threading.Thread(target=call, name=self._name, daemon=True).start()
        async with asyncio.timeout(self._seconds):
            return await outcome
