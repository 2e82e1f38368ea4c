"""A coroutine that is begun at once, by whoever has something for it, and finished by a task only if it has to wait."""

from collections.abc import Coroutine, Generator
from types import coroutine
from typing import Any


def begin(work: Coroutine[Any, Any, None]) -> Coroutine[Any, Any, None] | None:
    """Run a coroutine until it is done or has to wait; return what is left of it, to be awaited, ``None`` when that is nothing.

    What it raises until then is raised here.
    """
    try:
        awaited = work.send(None)
    except StopIteration:
        return None
    return _rest(work, awaited)


async def _rest(work: Coroutine[Any, Any, None], awaited: object) -> None:
    await _resumed(work, awaited)


@coroutine
def _resumed(work: Coroutine[Any, Any, None], awaited: object) -> Generator[Any, Any, None]:
    """Go on with a coroutine that was begun elsewhere and waits for ``awaited``."""
    try:
        while True:
            try:
                sent = yield awaited
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is meant for the coroutine
                awaited = work.throw(error)
            else:
                awaited = work.send(sent)
    except StopIteration:
        pass
