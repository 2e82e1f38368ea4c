"""Who evaluates variants: this process, or one process per core that shares the bars with all others.

Every kind of workers takes portions of variants as bytes and yields the answers as they come, so that a sweep does not know where it runs.
A worker whose parent is gone ends itself.
"""

import multiprocessing
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.shared_memory import SharedMemory
from typing import Protocol

import msgspec

from alchemiser.backtest.sweep.bench import Bench, Scored
from alchemiser.backtest.sweep.job import Job
from alchemiser.backtest.sweep.space import Values
from alchemiser.domain.errors import DataError

_PORTION = msgspec.msgpack.Decoder(list[Values])
_ANSWER = msgspec.msgpack.Decoder(list[Scored])


class Workers(Protocol):
    """Evaluates portions of variants."""

    @property
    def count(self) -> int:
        """How many portions are evaluated at the same time."""

    def scored(self, portions: Sequence[Sequence[Values]]) -> Iterator[list[Scored]]:
        """Yield what became of each portion, as they are done. Raises ``DataError`` when the workers are lost."""


class HereAndNow:
    """One bench in this process."""

    count = 1

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def scored(self, portions: Sequence[Sequence[Values]]) -> Iterator[list[Scored]]:
        """Evaluate one after the other."""
        for portion in portions:
            yield [self._bench.scored(values) for values in portion]


class Processes:
    """A process per core, each with its own bench on the shared bars."""

    def __init__(self, executor: ProcessPoolExecutor, count: int) -> None:
        self._executor = executor
        self.count = count

    def scored(self, portions: Sequence[Sequence[Values]]) -> Iterator[list[Scored]]:
        """Evaluate side by side."""
        waiting = [self._executor.submit(_evaluate, msgspec.msgpack.encode(portion)) for portion in portions]
        try:
            for done in as_completed(waiting):
                yield _ANSWER.decode(done.result())
        except BrokenProcessPool as error:
            waiting.clear()  # The pool ends them, and its thread would stumble over one that somebody cancels meanwhile.
            raise DataError(f"a worker process of the sweep ended ({error}); what was done is in the results, call it again") from error
        finally:
            for future in waiting:
                future.cancel()


@contextmanager
def processes(job: Job, block: bytes, count: int) -> Iterator[Processes]:
    """Start worker processes for a job, and end them with the block."""
    shared = SharedMemory(create=True, size=max(1, len(block)))
    try:
        assert shared.buf is not None
        shared.buf[: len(block)] = block
        executor = ProcessPoolExecutor(
            count,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_prepare,
            initargs=(msgspec.msgpack.encode(job), shared.name),
        )
        with executor:
            try:
                yield Processes(executor, count)
            finally:
                executor.shutdown(wait=True, cancel_futures=True)
    finally:
        shared.close()
        shared.unlink()


class _Place:
    """The bench of a worker process."""

    bench: Bench
    shared: SharedMemory


def _prepare(job: bytes, name: str) -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), name="sweep parent watch", daemon=True).start()
    _Place.shared = SharedMemory(name)
    _Place.bench = Bench(msgspec.msgpack.decode(job, type=Job), _Place.shared.buf)


def _end_with(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)


def _evaluate(portion: bytes) -> bytes:
    return msgspec.msgpack.encode([_Place.bench.scored(values) for values in _PORTION.decode(portion)])
