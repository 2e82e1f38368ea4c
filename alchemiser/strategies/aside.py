"""Work that takes long, run where it holds nothing up."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from anyio import to_thread

Done = TypeVar("Done")


class RunAside(Protocol):
    """Runs a function without holding up the event loop."""

    async def __call__(self, function: Callable[[], Done]) -> Done:
        """Return what the function returns."""


async def in_thread(function: Callable[[], Done]) -> Done:
    """Run a function in a thread."""
    return await to_thread.run_sync(function)
