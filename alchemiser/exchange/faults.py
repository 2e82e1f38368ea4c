"""Faults that a drill or a test asks of the exchange, and when each one strikes.

Every fault is one JSON object with a ``kind``. Common members: ``at`` (market time before which it sleeps; default at once),
``skip`` (how many matching requests or messages it lets pass first; default 0) and ``times`` (how often it strikes; default 1). Seconds are
seconds of the machine, because they are about sockets.

REST (``path`` is a prefix, ``/`` matches all; ``method`` is optional):

``http``                  answer ``status`` with ``body`` (a text; default a JSON error) and ``headers``;
                          with ``"after_effect": true`` the request is done first
``delay``                 wait ``seconds`` before the request is looked at
``timeout``               never answer and do nothing; the connection ends after ``seconds`` (default 30)
``timeout_after_effect``  do the request, then never answer

Streams (``stream`` is ``orders`` or ``market``):

``drop_stream``           end every connection: without ``code`` as a broken network would, with one by a close frame
``refuse_stream``         answer the next handshakes with ``status`` (default 429)
``mute_stream``           send nothing more on the connections until the fault is deleted; pings are still answered
``send_frame``            send ``text`` as it is: null payloads, truncated JSON, anything
``lose_updates``          order updates that happen but are not sent
``duplicate_updates``     order updates that are sent twice

Pure: this module only remembers and decides; the faces do the damage.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

import msgspec

Stream = Literal["orders", "market"]


class Fault(msgspec.Struct, kw_only=True, tag_field="kind", forbid_unknown_fields=True):
    """What all faults have in common; ``times`` and ``skip`` count down as they are used up."""

    at: datetime | None = None
    skip: int = 0
    times: int = 1

    def is_armed(self, now: datetime) -> bool:
        """Return whether the fault may strike at this time."""
        return self.times > 0 and (self.at is None or self.at <= now)

    def strike(self) -> bool:
        """Count one occasion; return whether the fault strikes this time."""
        if self.skip > 0:
            self.skip -= 1
            return False
        self.times -= 1
        return True


class RequestFault(Fault, kw_only=True):
    """A fault of REST requests whose path begins with ``path``."""

    path: str = "/"
    method: str | None = None

    def concerns(self, method: str, path: str) -> bool:
        """Return whether this request is one of those meant."""
        return path.startswith(self.path) and (self.method is None or self.method.upper() == method)


class HttpFault(RequestFault, kw_only=True, tag="http"):
    """An answer that the exchange would not give."""

    status: int
    body: str | None = None
    headers: dict[str, str] = {}
    after_effect: bool = False


class DelayFault(RequestFault, kw_only=True, tag="delay"):
    """A slow answer."""

    seconds: float


class TimeoutFault(RequestFault, kw_only=True, tag="timeout"):
    """No answer and no effect."""

    seconds: float = 30.0


class TimeoutAfterEffectFault(RequestFault, kw_only=True, tag="timeout_after_effect"):
    """An effect and no answer."""

    seconds: float = 30.0


class StreamFault(Fault, kw_only=True):
    """A fault of one of the two streams."""

    stream: Stream


class DropStream(StreamFault, kw_only=True, tag="drop_stream"):
    """Every connection ends."""

    code: int | None = None


class RefuseStream(StreamFault, kw_only=True, tag="refuse_stream"):
    """Handshakes are refused."""

    status: int = 429


class MuteStream(StreamFault, kw_only=True, tag="mute_stream"):
    """Connections stay open and say nothing."""


class SendFrame(StreamFault, kw_only=True, tag="send_frame"):
    """A frame that the exchange would not send."""

    text: str


class LoseUpdates(Fault, kw_only=True, tag="lose_updates"):
    """Order updates that nobody hears of."""


class DuplicateUpdates(Fault, kw_only=True, tag="duplicate_updates"):
    """Order updates that come twice."""


AnyFault = (
    HttpFault
    | DelayFault
    | TimeoutFault
    | TimeoutAfterEffectFault
    | DropStream
    | RefuseStream
    | MuteStream
    | SendFrame
    | LoseUpdates
    | DuplicateUpdates
)

F = TypeVar("F", bound=Fault)


def parse_faults(document: Any) -> list[AnyFault]:
    """Return the faults of a decoded JSON document, one object or a list; raise ``ValueError`` that names what is wrong."""
    items = document if isinstance(document, list) else [document]
    faults = []
    for place, item in enumerate(items):
        try:
            fault = msgspec.convert(item, AnyFault, strict=True, str_keys=True, builtin_types=())
        except msgspec.ValidationError as error:
            raise ValueError(f"fault {place}: {error}") from error
        if fault.at is not None and fault.at.tzinfo is None:
            raise ValueError(f"fault {place}: `at` needs a zone, for example 2025-03-03T15:00:00Z, not {fault.at.isoformat()}")
        if fault.times < 1 or fault.skip < 0:
            raise ValueError(f"fault {place}: `times` must be at least 1 and `skip` at least 0")
        faults.append(fault)
    return faults


class FaultBook:
    """The faults that are waiting to strike, in the order in which they were asked for."""

    def __init__(self) -> None:
        self._faults: list[AnyFault] = []

    def add(self, faults: list[AnyFault]) -> None:
        """Remember more faults."""
        self._faults.extend(faults)

    def clear(self) -> None:
        """Forget all faults."""
        self._faults.clear()

    def waiting(self) -> list[AnyFault]:
        """Return the faults that have not been used up."""
        return [fault for fault in self._faults if fault.times > 0]

    def for_request(self, method: str, path: str, now: datetime) -> RequestFault | None:
        """Return the fault that strikes this request, counting it, or ``None``."""
        for fault in self._armed(RequestFault, now):
            if fault.concerns(method, path) and fault.strike():
                return self._used(fault)
        return None

    def refusal(self, stream: Stream, now: datetime) -> RefuseStream | None:
        """Return the fault that refuses this handshake, counting it, or ``None``."""
        for fault in self._armed(RefuseStream, now):
            if fault.stream == stream and fault.strike():
                return self._used(fault)
        return None

    def is_mute(self, stream: Stream, now: datetime) -> bool:
        """Return whether the stream has to be silent."""
        return any(fault.stream == stream for fault in self._armed(MuteStream, now))

    def copies_of_update(self, now: datetime) -> int:
        """Return how often the next order update is to be sent: once, unless a fault says never or twice."""
        for lose in self._armed(LoseUpdates, now):
            if lose.strike():
                self._used(lose)
                return 0
        for duplicate in self._armed(DuplicateUpdates, now):
            if duplicate.strike():
                self._used(duplicate)
                return 2
        return 1

    def due(self, now: datetime) -> list[DropStream | SendFrame]:
        """Return, and use up, the faults that strike by themselves and whose time has come."""
        due: list[DropStream | SendFrame] = []
        for fault in self.waiting():
            if isinstance(fault, DropStream | SendFrame) and fault.is_armed(now):
                due.extend([fault] * fault.times)
                fault.times = 0
        self._faults = self.waiting()
        return due

    def next_due(self) -> datetime | None:
        """Return when the next fault strikes by itself, or ``None``; one without a time has already struck."""
        times = [fault.at or datetime.min.replace(tzinfo=UTC) for fault in self._faults if isinstance(fault, DropStream | SendFrame)]
        return min(times, default=None)

    def _armed(self, kind: type[F], now: datetime) -> Iterator[F]:
        return iter([fault for fault in self._faults if isinstance(fault, kind) and fault.is_armed(now)])

    def _used(self, fault: F) -> F:
        self._faults = [other for other in self._faults if other.times > 0]
        return fault
