"""A TCP proxy that is as bad as a network can be, from one seed: it delays, cuts, goes half-open and says garbage.

Garbage goes to the client only, as bytes that are nobody's protocol, and the connection ends after it: what a broken middle box does to a
connection. A request that the other side understands differently than it was meant does not exist behind TLS, and so not here.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from random import Random
from typing import Literal
from urllib.parse import urlsplit

Kind = Literal["pass", "refuse", "delay", "cut", "half-open", "garbage"]

WEIGHTS: dict[Kind, float] = {"pass": 6.0, "refuse": 1.0, "delay": 1.5, "cut": 1.5, "half-open": 1.0, "garbage": 1.0}
"""How likely a new connection is to be treated how."""

CHUNK = 16_384


@dataclass
class Proxy:
    """One port in front of another; ``is_sound`` switches its faults off for connections to come and ends the spoiled ones."""

    target: tuple[str, int]
    random: Random
    is_sound: bool = False
    struck: Counter[str] = field(default_factory=Counter)
    port: int = 0
    _spoiled: set[asyncio.StreamWriter] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def end(self) -> None:
        """End every connection."""
        self._ended.set()
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def heal(self) -> None:
        """Be a good network from now on."""
        self.is_sound = True
        for writer in tuple(self._spoiled):
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Treat one connection."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        kind: Kind = "pass" if self.is_sound else self.random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        self.struck[kind] += 1
        if kind == "refuse":
            writer.transport.abort()
            return
        try:
            up_reader, up_writer = await asyncio.open_connection(*self.target)
        except OSError:
            writer.transport.abort()
            return
        if kind != "pass":
            self._spoiled.add(writer)
        after = self.random.choice((0, 200, 1_000, 5_000, 20_000)) if kind in ("cut", "half-open", "garbage") else None
        lag = self.random.choice((0.01, 0.1, 0.5)) if kind == "delay" else 0.0
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, up_writer, lag=lag), name="to the exchange")
                group.create_task(self._pump(up_reader, writer, lag=lag, kind=kind, after=after), name="from the exchange")
        except* OSError:
            pass
        finally:
            self._spoiled.discard(writer)
            for end in (writer, up_writer):
                end.transport.abort()
                with suppress(OSError):
                    await end.wait_closed()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, lag: float, kind: Kind = "pass", after: int | None = None
    ) -> None:
        """Carry bytes one way until somebody ends it, or the fault strikes."""
        carried = 0
        while data := await reader.read(CHUNK):
            if lag:
                await self._pause(lag)
            carried += len(data)
            if after is not None and carried > after:
                if kind == "half-open":
                    await self._ended.wait()  # Until the connection is given up by its ends, or the run is over.
                if kind == "garbage":
                    writer.write(self.random.randbytes(200))
                    await writer.drain()
                raise ConnectionAbortedError(f"the proxy ends a connection: {kind}")
            writer.write(data)
            await writer.drain()
        raise ConnectionAbortedError("one end has closed")

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ended.wait()


@asynccontextmanager
async def proxy_of(rest: str, random: Random) -> AsyncIterator[Proxy]:
    """Yield a proxy in front of the exchange at that address; its port is free to choose."""
    where = urlsplit(rest)
    assert where.hostname is not None
    assert where.port is not None
    proxy = Proxy((where.hostname, where.port), random)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.end()
