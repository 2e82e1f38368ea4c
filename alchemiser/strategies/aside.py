"""Work that takes long, run where it holds nothing up."""

from collections.abc import Callable
from importlib import import_module
from typing import Protocol, TypeVar

Done = TypeVar("Done")


class RunAside(Protocol):
    """Runs a function without holding up the event loop."""

    async def __call__(self, function: Callable[[], Done]) -> Done:
        """Return what the function returns."""


async def at_once(function: Callable[[], Done]) -> Done:
    """Run a function here and now: on virtual time, and for who has nothing else to do."""
    return function()


async def in_thread(function: Callable[[], Done]) -> Done:
    """Run a function in a thread; when cancelled, wait for its end."""
    # Loaded now, with its whole back end: a daemon that listens for hours has no such work.
    to_thread = import_module("anyio.to_thread")
    done: Done = await to_thread.run_sync(function)
    return done
