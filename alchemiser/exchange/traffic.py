"""What the exchange has seen: every request with its answer's status, every frame of a client, every order frame sent.

Market data frames are counted, not kept. The log is bounded; secrets never leave it.
"""

from collections import deque
from datetime import datetime
from typing import Any, Final

import msgspec

from alchemiser.exchange.access import Credentials
from alchemiser.exchange.formats import time_text
from alchemiser.exchange.wire import UNREADABLE

KEPT_ENTRIES: Final = 20_000
_KEPT_CHARACTERS: Final = 4_000
_SECRET_MEMBERS: Final = frozenset({"secret", "secret_key", "oauth_token"})


class RequestEntry(msgspec.Struct, gc=False):
    """One request; ``status`` is that of its answer, once there is one."""

    seq: int
    at: datetime
    method: str
    path: str
    query: str
    body: bytes
    status: int | None = None


class TrafficLog:
    """The last entries, oldest first, numbered from 1 without holes."""

    def __init__(self, credentials: Credentials, *, kept_entries: int = KEPT_ENTRIES) -> None:
        self._credentials = credentials
        self._entries: deque[RequestEntry | dict[str, Any]] = deque(maxlen=kept_entries)
        self._sequence = 0

    @property
    def seen(self) -> int:
        """How many entries there have been."""
        return self._sequence

    @property
    def entries(self) -> list[dict[str, Any]]:
        """What is kept, oldest first."""
        return [self._readable(entry) for entry in self._entries]

    def request(self, at: datetime, method: str, path: str, query: str, body: bytes) -> RequestEntry:
        """Note a request; the returned entry is completed with the ``status`` of the answer."""
        self._sequence += 1
        entry = RequestEntry(self._sequence, at, method, path, query, body)
        self._entries.append(entry)
        return entry

    def frame(self, at: datetime, stream: str, direction: str, data: str | bytes | Any) -> None:
        """Note a frame that was received (``in``) or sent (``out``)."""
        self._add(at, "frame", stream=stream, direction=direction, data=data)

    def event(self, at: datetime, stream: str, what: str) -> None:
        """Note that a connection was opened, refused or ended."""
        self._add(at, "connection", stream=stream, what=what)

    def _add(self, at: datetime, kind: str, **members: Any) -> None:
        self._sequence += 1
        self._entries.append({"seq": self._sequence, "at": at, "kind": kind, **members})

    def _readable(self, noted: RequestEntry | dict[str, Any]) -> dict[str, Any]:
        """Return an entry with what was said in it as JSON; done when somebody reads the log, which is seldom."""
        entry = noted if isinstance(noted, dict) else {"seq": noted.seq, "at": noted.at, "kind": "request", **msgspec.structs.asdict(noted)}
        said: dict[str, Any] = {name: self._content(entry[name]) for name in ("body", "data") if name in entry}
        said.update((name, self._credentials.mask(entry[name])) for name in ("path", "query") if name in entry)
        return {**entry, "at": time_text(entry["at"]), **said}

    def _content(self, data: str | bytes | Any) -> Any:
        """Return what was said, as JSON where it can be read, without secrets."""
        if isinstance(data, str | bytes):
            if not data:
                return None
            try:
                data = msgspec.json.decode(data)
            except UNREADABLE:
                text = data.decode(errors="replace") if isinstance(data, bytes) else data
                return self._credentials.mask(text)[:_KEPT_CHARACTERS]
        return self._masked(data)

    def _masked(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {str(key): "***" if key in _SECRET_MEMBERS else self._masked(member) for key, member in value.items()}
        if isinstance(value, list):
            return [self._masked(member) for member in value]
        return self._credentials.mask(value) if isinstance(value, str) else value
