"""The endpoints that are answered at once: from the bytes of a plain request to the bytes of its answer, without a task in between.

What passes here passes the same gate and is answered by the same function as through aiohttp, and the bytes that go out are those that
aiohttp would send.
"""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http import SERVER_SOFTWARE

from alchemiser.exchange.calls import JSON_TYPE, Answering, AnsweringRoute, Call
from alchemiser.exchange.gate import Gate
from alchemiser.exchange.heads import Head

_STATUS_LINES: Final = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}
_NO_PARTS: Final[dict[str, str]] = {}


class Express:
    """A table of endpoints, each with whether it makes the market move; the last segment of a path may be a name in braces."""

    def __init__(self, gate: Gate, routes: Iterable[tuple[AnsweringRoute, bool]]) -> None:
        self._gate = gate
        self._fixed: dict[tuple[str, str], tuple[Answering, bool]] = {}
        self._named: dict[tuple[str, str], tuple[str, tuple[Answering, bool]]] = {}
        for (method, path, answering), is_trading in routes:
            before, _, last = path.rpartition("/")
            if last.startswith("{"):
                self._named[method, before] = last.strip("{}"), (answering, is_trading)
            else:
                self._fixed[method, path] = answering, is_trading

    def answer(self, head: Head, body: bytes) -> bytes | None:
        """Return the whole answer to a request; ``None``, and nothing has happened, for one that is not answered here or not now."""
        parts = _NO_PARTS
        found = self._fixed.get((head.method, head.path))
        if found is None:
            before, _, last = head.path.rpartition("/")
            named = self._named.get((head.method, before))
            if named is None:
                return None
            name, found = named
            parts = {name: last}
        answering, is_trading = found
        call = Call(head.method, head.path, head.query, head.query_text, parts, body)
        given = self._gate.answer_at_once(call, head.keys, answering, is_trading=is_trading)
        if given is None:
            return None
        reply, lines = given
        content = "" if reply.body is None else f"Content-Type: {JSON_TYPE}\r\nContent-Length: {len(reply.body)}\r\n"
        text = f"{_STATUS_LINES[reply.status]}{content}{lines}Date: {rfc822_formatted_time()}\r\nServer: {SERVER_SOFTWARE}\r\n\r\n"
        return text.encode() + (reply.body or b"")
