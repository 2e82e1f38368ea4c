"""Takes the usual frames off a web socket's bytes and leaves all others to the library. No socket; pure.

A server's data message is nearly always one unmasked frame. Its header is two to ten bytes, and reading those here, instead of walking
through a parser made for every case, more than halves what a frame costs (``benchmarks/market_stream.py``). Everything that is not such
a frame (fragments, control frames, anything odd) is handed on as a whole frame, so that the library keeps judging the protocol.
"""

from collections.abc import Callable
from typing import Final

_WHOLE_TEXT: Final = 0x81
_WHOLE_BINARY: Final = 0x82
_MASKED: Final = 0x80
_LENGTH_IN_2: Final = 126


class FrameSplitter:
    """Calls ``take`` with the payload of each usual frame and whether it is text, ``leave`` with every other frame as it came.

    A frame longer than ``bytes_at_most``, or one that a server may not send, ends the splitting: from there on all bytes are left.
    """

    def __init__(self, take: Callable[[bytes, bool], None], leave: Callable[[bytes], None], *, bytes_at_most: int) -> None:
        self._take = take
        self._leave = leave
        self._bytes_at_most = bytes_at_most
        self._rest = bytearray()
        self._needed = 2
        self._is_inside_message = False
        self._is_over = False

    def feed(self, data: bytes) -> None:
        """Take more bytes, cut anywhere."""
        if self._is_over:
            self._leave(data)
            return
        if self._rest:
            self._rest += data
            if len(self._rest) < self._needed:
                return
            data = bytes(self._rest)
            self._rest.clear()
        taken = self._split(data)
        if taken < len(data):
            self._keep(data[taken:])

    def _split(self, data: bytes) -> int:
        """Deal with every whole frame; return how many bytes they were."""
        start, end = 0, len(data)
        while end - start >= 2:
            first, length, body = data[start], data[start + 1], start + 2
            if length >= _LENGTH_IN_2:
                body += 2 if length == _LENGTH_IN_2 else 8
                if length & _MASKED:
                    self._is_over = True
                    return start
                if body > end:
                    self._needed = body - start
                    return start
                length = int.from_bytes(data[start + 2 : body], "big")
                if length > self._bytes_at_most:
                    self._is_over = True
                    return start
            stop = body + length
            if stop > end:
                self._needed = stop - start
                return start
            if first == _WHOLE_BINARY and not self._is_inside_message:
                self._take(data[body:stop], False)
            elif first == _WHOLE_TEXT and not self._is_inside_message:
                self._take(data[body:stop], True)
            else:
                self._hand_on(first, data[start:stop])
            start = stop
        self._needed = 2
        return start

    def _hand_on(self, first: int, frame: bytes) -> None:
        is_data = not first & 0x08
        if is_data:
            # Until the last fragment even a whole frame is the library's business: it would be a mistake of the server.
            self._is_inside_message = not first & 0x80
        self._leave(frame)

    def _keep(self, rest: bytes) -> None:
        if self._is_over:
            self._leave(rest)
        else:
            self._rest += rest
