"""Awaited durability: the journal against SQLite at its safest, one event per commit, with one producer and with 256.

- Ours: each producer appends an event and waits until it is durable; what was appended meanwhile shares the commit. The events are made
  beforehand; envelope, JSON and the chain of checksums are part of the work.
- Peer: ``sqlite3`` with a write-ahead log and ``synchronous=FULL``, the same rows made beforehand, one transaction for each. One
  connection can commit for one producer at a time, so 256 producers take turns.

Both write to the same disk, in turns within one run. Before anything is timed the rows are read back, complete and in order, by another
connection, and ours pass the journal's own verification. How often each asked the disk to make something durable is counted, not
inferred: in a run of its own, SQLite's ``xSync`` is replaced by one that counts and calls it.

``python benchmarks/journal.py`` prints a table and exits with 1 when a target is missed.
"""

import _sqlite3
import asyncio
import ctypes
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import uvloop
from measure import environment, flush_milliseconds

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import OrderIntended
from alchemiser.domain.orders import NewOrder, OrderType, Side, TimeInForce
from alchemiser.journal.format import COLUMNS, SCHEMA, Row, encode_row, first_checksum
from alchemiser.journal.journal import Journal
from alchemiser.journal.reader import JournalReader

AT_LEAST = {1: 0.5, 256: 20.0}
"""Producers, and how many times as many durable events per second as the peer we must take."""

EVENTS = {1: 200, 256: 10_240}
PEER_EVENTS = 200
ROUNDS = 9
EPOCH = "bench1"
NOW = datetime(2025, 3, 3, 16, tzinfo=UTC)


def made(sequence: int) -> OrderIntended:
    """Return an event as the daemon journals it before an order leaves."""
    order = NewOrder(
        client_order_id=f"{EPOCH}-20250303.1-S{sequence % 50:02}-{sequence}",
        symbol=f"S{sequence % 50:02}",
        side=Side.BUY,
        quantity=Decimal("9.99"),
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.DAY,
        limit_price=Decimal("100.02"),
    )
    return OrderIntended(at=NOW, rebalance_id="20250303.1", intent_id=order.symbol, attempt=1, order=order)


def envelope(sequence: int, event: OrderIntended) -> Envelope:
    """Return the event as it travels."""
    return Envelope(sequence, event, 0.0, "20250303.1", None)


def rows(count: int) -> list[Row]:
    """Return that many rows, chained."""
    chained: list[Row] = []
    for sequence in range(1, count + 1):
        previous = chained[-1].checksum if chained else first_checksum(EPOCH)
        chained.append(encode_row(envelope(sequence, made(sequence)), previous))
    return chained


def ours(path: Path, producers: int, events: int) -> float:
    """Return durable events per second of the journal."""
    given = [made(sequence) for sequence in range(1, events + 1)]

    async def main() -> float:
        sequence = 0

        async def produce() -> None:
            nonlocal sequence
            for _ in range(events // producers):
                sequence += 1
                mine = sequence
                journal.append(envelope(mine, given[mine - 1]))
                await journal.durable(mine)
                assert journal.durable_sequence >= mine

        with Journal.open(path, new_epoch=lambda: EPOCH) as journal:
            began = time.perf_counter()
            async with asyncio.TaskGroup() as group:
                for number in range(producers):
                    group.create_task(produce(), name=f"producer {number}")
            return events / (time.perf_counter() - began)

    return uvloop.run(main())


def peer(path: Path, producers: int, events: int) -> float:
    """Return durable events per second of SQLite with one event per commit."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    for statement in SCHEMA:
        connection.execute(statement)
    given = rows(events)
    began = time.perf_counter()
    for row in given:
        connection.execute(f"INSERT INTO events ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)  # noqa: S608
    seconds = time.perf_counter() - began
    connection.close()
    return events / seconds


Taken = Callable[[Path, int, int], float]


def measure(side: Taken, producers: int, events: int) -> float:
    """Run a side in a new directory."""
    with tempfile.TemporaryDirectory() as folder:
        return side(Path(folder) / "journal.sqlite", producers, events)


def check(side: Taken, producers: int, events: int) -> None:
    """Stop unless every event is there, in order."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.sqlite"
        side(path, producers, events)
        with sqlite3.connect(path) as connection:
            found = [row[0] for row in connection.execute("SELECT sequence FROM events ORDER BY rowid")]
        connection.close()
        if found != list(range(1, events + 1)):
            sys.exit(f"{side.__name__}: {len(found)} of {events} events were kept, or not in order")
        if side is ours:
            with JournalReader.open(path) as reader:
                verification = reader.verify()
            if not verification.is_intact:
                sys.exit(f"ours: {verification}")


# --- counting ---

_SYNC = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int)
# The name is handed on as the address it is: SQLite keeps it as long as the file is open.
_OPEN = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)


class _Methods(ctypes.Structure):
    """The beginning of ``sqlite3_io_methods``, and room for the rest of it."""

    _fields_ = (
        ("version", ctypes.c_int),
        ("before", ctypes.c_void_p * 5),  # xClose, xRead, xWrite, xTruncate, then xSync
        ("rest", ctypes.c_void_p * 16),
    )


class _FileSystem(ctypes.Structure):
    """The beginning of ``sqlite3_vfs``."""

    _fields_ = (
        ("version", ctypes.c_int),
        ("file_bytes", ctypes.c_int),
        ("path_bytes", ctypes.c_int),
        ("next", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("data", ctypes.c_void_p),
        ("open", ctypes.c_void_p),
    )


@contextmanager
def counted_syncs() -> Iterator[list[int]]:
    """Count SQLite's requests to make a file durable, each one ``fdatasync`` or ``fsync``, while the block runs."""
    library = ctypes.CDLL(_sqlite3.__file__)
    library.sqlite3_vfs_find.restype = ctypes.POINTER(_FileSystem)
    files = library.sqlite3_vfs_find(None).contents
    original = files.open
    opens, count = _OPEN(original), [0]
    kept: list[object] = []
    wrapped: dict[int, int] = {}

    def wrap(address: int) -> int:
        if address not in wrapped:
            methods = _Methods.from_buffer_copy(ctypes.string_at(address, ctypes.sizeof(_Methods)))
            sync = _SYNC(methods.before[4])

            def counting(file: int, flags: int) -> int:
                count[0] += 1
                return sync(file, flags)

            replaced = _SYNC(counting)
            methods.before[4] = ctypes.cast(replaced, ctypes.c_void_p).value
            kept.extend((methods, sync, replaced))
            wrapped[address] = ctypes.addressof(methods)
        return wrapped[address]

    @_OPEN
    def opened(system: int, name: int, file: int, flags: int, out: int) -> int:
        result = opens(system, name, file, flags, out)
        held = ctypes.cast(file, ctypes.POINTER(ctypes.c_void_p))
        if result == 0 and held[0]:
            held[0] = wrap(held[0])
        return result

    files.open = ctypes.cast(opened, ctypes.c_void_p).value
    try:
        yield count
    finally:
        files.open = original


def syncs(side: Taken, producers: int, events: int) -> int:
    """Return how often a side asked the disk during a run."""
    with counted_syncs() as count:
        measure(side, producers, events)
    return count[0]


def main() -> int:
    """Check, count, measure, print; return 1 when a target is missed."""
    print(f"{environment('msgspec', 'uvloop')}, SQLite {sqlite3.sqlite_version}; {ROUNDS} rounds, durable events per second")
    print(f"one fdatasync of this disk: {flush_milliseconds():.3f} ms")
    print(f"{'producers':>9} {'ours':>10} {'SQLite':>10} {'ratio':>7} {'rounds':>13} {'at least':>8} {'fsyncs per 1,000 events':>28}")
    missed = False
    for producers, target in AT_LEAST.items():
        events = EVENTS[producers]
        check(ours, producers, events)
        check(peer, producers, PEER_EVENTS)
        mine = syncs(ours, producers, events) / events * 1000
        theirs = syncs(peer, producers, PEER_EVENTS) / PEER_EVENTS * 1000
        pairs = [(measure(ours, producers, events), measure(peer, producers, PEER_EVENTS)) for _ in range(ROUNDS)]
        found = [one / other for one, other in pairs]
        ratio = statistics.median(found)
        missed |= ratio < target
        medians = [statistics.median(pair[side] for pair in pairs) for side in (0, 1)]
        spread = f"{min(found):>6.2f}-{max(found):<6.2f}"
        print(
            f"{producers:>9} {medians[0]:>10,.0f} {medians[1]:>10,.0f} {ratio:>6.2f}x {spread} {target:>7.1f}x "
            f"{f'ours {mine:,.0f}, SQLite {theirs:,.0f}':>28}{'' if ratio >= target else '  MISSED'}"
        )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
