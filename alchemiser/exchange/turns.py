"""Long answers in turns: work that stops again and again, so that nobody else waits until it is done.

A piece of work is a generator that yields where others may have their turn, and returns what it has found. :func:`in_turns` does it between
other things, :func:`at_once` in one go, for callers that nobody waits for.
"""

import asyncio
from collections.abc import Generator, Iterable
from typing import TypeVar

T = TypeVar("T")

Work = Generator[None, None, T]


async def in_turns(work: Work[T]) -> T:
    """Return what a piece of work finds, and let others have their turn wherever it yields."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            found: T = end.value
            return found
        await asyncio.sleep(0)


def at_once(work: Work[T]) -> T:
    """Return what a piece of work finds."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            found: T = end.value
            return found


def collect(rows: Iterable[T], *, in_one_go: int) -> Work[list[T]]:
    """Put rows together, so many in one go."""
    found: list[T] = []
    for row in rows:
        found.append(row)
        if len(found) % in_one_go == 0:
            yield
    return found
