"""One WebSocket connection of a client: a bounded queue of frames and the task that writes them.

Publishing never waits for a client. A client that reads too slowly fills its queue; its connection is then ended, which it can see,
instead of frames being dropped, which it could not. A client of which nothing is heard, not even the answer to a ping, is gone: its
connection is cut and its place is free.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NamedTuple

from aiohttp import WSCloseCode, WSMsgType, web

_CLOSE_SECONDS: Final = 1.0
"""How long an ending connection waits for the client to take the last frames and to close, in seconds of the loop."""

PING_AFTER_SECONDS: Final = 60.0
"""How long a client may be silent before it is asked whether it lives, in seconds of the loop."""

GONE_AFTER_SECONDS: Final = 90.0
"""How long a client may be silent at all: as long as the service keeps the place of one that is gone (section 5.3)."""

_MOST_BYTES: Final = 2**24
"""The largest frame of a client that is read; a larger one ends the connection with close code 1009."""


class Frame(NamedTuple):
    """A frame: its payload, and whether its opcode says text or binary."""

    payload: bytes
    is_text: bool


class _End(NamedTuple):
    """The end of the queue: close with this code."""

    code: int


class Connection:
    """The sending side of one client, and the loop that reads it."""

    def __init__(self, request: web.Request, *, queue_frames: int, overflow: Frame | None = None, deflate: bool = False) -> None:
        """``overflow`` is the last frame of a client that is too far behind; ``deflate`` lets clients ask for permessage-deflate."""
        self._request = request
        self._socket = web.WebSocketResponse(timeout=_CLOSE_SECONDS, compress=deflate, autoping=False, max_msg_size=_MOST_BYTES)
        self._frames: asyncio.Queue[Frame | _End] = asyncio.Queue()
        self._queue_frames = queue_frames
        self._overflow = overflow
        self._ending = asyncio.Event()
        self._is_frozen = False
        self._heard_at = asyncio.get_running_loop().time()

    @property
    def ended_cleanly(self) -> bool:
        """Whether the connection ended with a close frame, so that both sides know; otherwise it was broken."""
        return self._socket.close_code not in (None, WSCloseCode.ABNORMAL_CLOSURE)

    @property
    def socket(self) -> web.WebSocketResponse:
        """The answer to the request that opened the connection."""
        return self._socket

    def send(self, frame: Frame) -> None:
        """Queue a frame; a client that is too far behind loses its connection, after one last frame that says so."""
        if self._ending.is_set() or self._is_frozen:
            return
        if self._frames.qsize() >= self._queue_frames:
            while not self._frames.empty():
                self._frames.get_nowait()
            self.close(self._overflow, code=1008)
            return
        self._frames.put_nowait(frame)

    def close(self, last: Frame | None = None, *, code: int = 1000) -> None:
        """End the connection in order, after what is queued and ``last``; one that does not take them in time is cut."""
        if self._ending.is_set():
            return
        if last is not None:
            self._frames.put_nowait(last)
        self._frames.put_nowait(_End(code))
        self._ending.set()

    def abort(self) -> None:
        """Cut the connection as a broken network would: nothing that is queued is sent, not even a close frame."""
        self._ending.set()
        if self._request.transport is not None:
            self._request.transport.abort()

    def drop(self, code: int | None) -> None:
        """End it as a broken network would, or by a close frame with this code."""
        if code is None:
            self.abort()
        else:
            self.close(code=code)

    def freeze(self) -> None:
        """Become half open: what the client sends is not read, a ping not answered, and nothing is sent any more."""
        self._is_frozen = True
        if self._request.transport is not None:
            self._request.transport.pause_reading()

    async def serve(self, receive: Callable[[Frame], None], *, opened: Callable[[], None], ended: Callable[[], None]) -> None:
        """Accept the connection, then hand every frame of the client to ``receive`` until either side ends it.

        ``ended`` is called at once then, before anything is awaited, so that a client that comes right back finds its place free.
        """
        await self._socket.prepare(self._request)
        opened()
        async with asyncio.TaskGroup() as group:
            writer = group.create_task(self._write(), name=f"stream writer {self._request.path}")
            watch = group.create_task(self._cut_when_gone(), name=f"stream watch {self._request.path}")
            try:
                async for message in self._socket:
                    self._heard_at = asyncio.get_running_loop().time()
                    if message.type is WSMsgType.PING:
                        with suppress(ConnectionResetError):  # The client is gone, which the next reading sees.
                            await self._socket.pong(message.data)
                    elif message.type in (WSMsgType.TEXT, WSMsgType.BINARY) and not self._ending.is_set():
                        is_text = message.type is WSMsgType.TEXT
                        receive(Frame(message.data.encode() if is_text else message.data, is_text))
            finally:
                ended()
                self._ending.set()
                writer.cancel()
                watch.cancel()

    async def _write(self) -> None:
        """Write what is queued; once the end is in sight, for a bounded time only."""
        async with asyncio.TaskGroup() as group:
            watch = group.create_task(self._cut_when_stuck(), name=f"stream end {self._request.path}")
            try:
                while isinstance(frame := await self._frames.get(), Frame):
                    await self._socket.send_frame(frame.payload, WSMsgType.TEXT if frame.is_text else WSMsgType.BINARY)
                await self._socket.close(code=frame.code)
            except ConnectionResetError:
                pass  # The client is gone; the reading side sees it too and ends the connection.
            finally:
                watch.cancel()

    async def _cut_when_gone(self) -> None:
        """Ping a silent client, and abort the connection of one that stays silent."""
        while True:
            heard_at = self._heard_at
            if await self._ends_before(heard_at + PING_AFTER_SECONDS):
                return
            if self._heard_at == heard_at and await self._ends_before(heard_at + GONE_AFTER_SECONDS, ping=not self._is_frozen):
                return
            if self._heard_at == heard_at:
                self.abort()
                return

    async def _ends_before(self, at: float, *, ping: bool = False) -> bool:
        """Wait for the end until that time of the loop; return whether it came."""
        try:
            async with asyncio.timeout_at(at):
                if ping:
                    await self._socket.ping()
                await self._ending.wait()
        except TimeoutError:
            return False
        except ConnectionResetError:
            pass  # The client is gone; the reading side sees it too.
        return True

    async def _cut_when_stuck(self) -> None:
        """Abort a connection whose client takes nothing more: closing it in order would wait for ever."""
        await self._ending.wait()
        try:
            async with asyncio.timeout(2 * _CLOSE_SECONDS):
                await asyncio.Event().wait()
        except TimeoutError:
            self.abort()
