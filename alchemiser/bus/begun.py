"""A coroutine that is begun at once, by whoever has something for it, and finished by a task only if it has to wait.

What is begun so may wait for futures. What asks which task it runs in, a timeout for one, has to :func:`breathe` first: until then it runs
in whichever task, or in none.
"""

from collections.abc import Coroutine, Generator, Iterator
from contextvars import Context
from types import coroutine
from typing import Any, Final

_DONE: Final = object()


def begin(work: Coroutine[Any, Any, None], context: Context | None = None) -> Coroutine[Any, Any, None] | None:
    """Run a coroutine until it is done or has to wait; return what is left of it, to be awaited, ``None`` when that is nothing.

    It sees the variables of the ``context``, without one those of whoever calls. What it raises until then is raised here.
    """
    # What is done says so without an exception, which would be most of the cost.
    steps = work.__await__()
    awaited = next(steps, _DONE) if context is None else context.run(next, steps, _DONE)
    return None if awaited is _DONE else _Rest(work, awaited)


@coroutine
def breathe() -> Generator[None, None, None]:
    """Let the loop run everybody else once."""
    yield


class _Rest(Coroutine[Any, Any, None], Iterator[Any]):
    """What is left of a coroutine that was begun and waits for ``awaited``.

    Not a coroutine function that awaits the other: cancelled before its first step, that would leave the other one where it is.
    """

    def __init__(self, work: Coroutine[Any, Any, None], awaited: object) -> None:
        self._work = work
        self._awaited = awaited
        self._is_told = False

    def send(self, value: Any) -> Any:
        """Say first what is waited for, and go on when it has come."""
        if self._is_told:
            return self._work.send(value)
        self._is_told = True
        return self._awaited

    def throw(self, *error: Any) -> Any:
        """Raise an error where the coroutine waits."""
        self._is_told = True
        return self._work.throw(*error)

    def close(self) -> None:
        """End the coroutine where it waits."""
        self._work.close()

    def __next__(self) -> Any:
        """Go on as an ``await`` does."""
        return self.send(None)

    def __await__(self) -> Generator[Any, Any, None]:
        """Be awaited."""
        return self  # type: ignore[return-value] # all that an await calls is here
