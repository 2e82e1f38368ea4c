"""What the frames of the order stream mean. Bytes in, values out; no socket.

Paper sends its JSON in binary frames and live in text frames; both are read alike. Nothing a frame may hold raises: what cannot be read is
:class:`Unreadable`, what is of no concern is :class:`Other`.
"""

from datetime import datetime
from typing import Final

import msgspec

from alchemiser.alpaca.wire import WireUpdate, update_report
from alchemiser.domain.orders import ExecutionReport


class Authorization(msgspec.Struct, frozen=True):
    """The answer to an authentication."""

    is_authorized: bool
    text: str


class Listening(msgspec.Struct, frozen=True):
    """The streams that are listened to now, all of them."""

    streams: tuple[str, ...]


class Update(msgspec.Struct, frozen=True):
    """Something happened to an order."""

    report: ExecutionReport


class ProtocolError(msgspec.Struct, frozen=True):
    """The venue complains about the conversation, for example of another connection of the account."""

    text: str


class Other(msgspec.Struct, frozen=True):
    """A readable frame that is of no concern here."""

    stream: str


class Unreadable(msgspec.Struct, frozen=True):
    """A frame that cannot be read, and why."""

    error: str


OrderFrame = Authorization | Listening | Update | ProtocolError | Other | Unreadable


class _Outer(msgspec.Struct, frozen=True):
    stream: str | None = None
    action: str | None = None
    data: msgspec.Raw = msgspec.Raw(b"null")


class _Authorization(msgspec.Struct, frozen=True):
    status: str
    action: str = ""
    message: str = ""


class _Listening(msgspec.Struct, frozen=True):
    streams: tuple[str, ...] = ()


class _Complaint(msgspec.Struct, frozen=True):
    error_message: str = ""


_OUTER: Final = msgspec.json.Decoder(_Outer)
_UPDATE: Final = msgspec.json.Decoder(WireUpdate)
_AUTHORIZATION: Final = msgspec.json.Decoder(_Authorization)
_LISTENING: Final = msgspec.json.Decoder(_Listening)
_COMPLAINT: Final = msgspec.json.Decoder(_Complaint)


def read_frame(raw: str | bytes, *, now: datetime) -> OrderFrame:
    """Return what a frame says; ``now`` dates an update that carries no time at all."""
    try:
        outer = _OUTER.decode(raw)
        match outer.stream:
            case "trade_updates":
                return Update(update_report(_UPDATE.decode(outer.data), fallback_at=now))
            case "authorization":
                answer = _AUTHORIZATION.decode(outer.data)
                return Authorization(answer.status == "authorized", " ".join(filter(None, (answer.status, answer.action, answer.message))))
            case "listening":
                return Listening(_LISTENING.decode(outer.data).streams)
        if outer.action == "error":
            return ProtocolError(_COMPLAINT.decode(outer.data).error_message)
    except msgspec.DecodeError as error:
        return Unreadable(str(error))
    return Other(outer.stream or outer.action or "")
