"""The same work on a Dask cluster: the job and the bars are sent once, portions and answers travel as bytes.

Needs the extra ``dask`` here and on the workers, and this package there; a Python strategy has to be importable there too.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final

import distributed
import msgspec
from distributed.comm import get_address_host_port

from alchemiser.backtest.sweep.bench import Bench, Scored
from alchemiser.backtest.sweep.job import Job
from alchemiser.backtest.sweep.space import Values
from alchemiser.domain.errors import DataError, UsageError

CONNECT_SECONDS: Final = 10

_PORTION = msgspec.msgpack.Decoder(list[Values])
_ANSWER = msgspec.msgpack.Decoder(list[Scored])
_one_at_a_time = threading.Lock()


class Cluster:
    """The workers of a Dask scheduler."""

    def __init__(self, client: Any, job: Any, block: Any, count: int) -> None:
        self._client = client
        self._job = job
        self._block = block
        self.count = count

    def scored(self, portions: Sequence[Sequence[Values]]) -> Iterator[list[Scored]]:
        """Evaluate side by side."""
        waiting = [
            self._client.submit(evaluate, self._job, self._block, msgspec.msgpack.encode(portion), pure=False) for portion in portions
        ]
        try:
            for done in distributed.as_completed(waiting, loop=self._client.loop):
                yield _ANSWER.decode(done.result())
        except (distributed.CancelledError, distributed.scheduler.KilledWorker, OSError) as error:
            raise DataError(f"the cluster lost the sweep ({error}); what was done is in the results, call it again") from error


@contextmanager
def cluster(job: Job, block: bytes, address: str) -> Iterator[Cluster]:
    """Connect to a scheduler and send it the job.

    Raises ``UsageError`` for what is no address, and ``DataError`` when the scheduler cannot be reached or has no workers.
    """
    try:
        get_address_host_port(address)  # A client that is given something else is made by half, and waits at its end.
    except ValueError as error:
        raise UsageError(f"--cluster {address}: expected an address such as tcp://host:8786 ({error})") from error
    try:
        client = distributed.Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise DataError(f"--cluster {address}: the scheduler cannot be reached ({error})") from error
    with client:
        threads = sum(worker["nthreads"] for worker in client.scheduler_info(n_workers=-1)["workers"].values())
        if not threads:
            raise DataError(f"--cluster {address}: the scheduler has no workers")
        sent_job, sent_block = client.scatter([msgspec.msgpack.encode(job), block], broadcast=True, hash=False)
        yield Cluster(client, sent_job, sent_block, threads)


def evaluate(job: bytes, block: bytes, portion: bytes) -> bytes:
    """Evaluate a portion on a worker of the cluster; its bench is kept for the next one."""
    with _one_at_a_time:
        bench = _bench(job, block)
        return msgspec.msgpack.encode([bench.scored(values) for values in _PORTION.decode(portion)])


@lru_cache(maxsize=2)
def _bench(job: bytes, block: bytes) -> Bench:
    return Bench(msgspec.msgpack.decode(job, type=Job), block)
