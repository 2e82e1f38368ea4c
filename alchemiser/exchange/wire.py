"""What market data looks like on the wire, in both encodings of Alpaca's streams and in its REST answers.

Promises: ``T`` is the first key of every stream message (the official Go client relies on it); sizes, volumes and counts are integers;
times are RFC 3339 with ``Z`` in JSON and the timestamp extension in msgpack. A message is encoded once per encoding, however many
clients get it. Sections 6.2, 6.4 and 7.3 of the protocol reference. Nothing here knows the account or a socket.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import Enum
from typing import Any, ClassVar, Final

import msgspec

_EXCHANGE: Final = "P"  # NYSE Arca, where the shipped strategies' funds are listed
_TAPE: Final = "B"  # and the tape of its listings


UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What reading the bytes of a client may raise: they are malformed, no UTF-8, or nested too deeply."""


class Encoding(Enum):
    """How the frames of one connection are written."""

    JSON = "json"
    MSGPACK = "msgpack"


class QuoteFields(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename={
        "ask_exchange": "ax",
        "ask": "ap",
        "ask_size": "as",
        "bid_exchange": "bx",
        "bid": "bp",
        "bid_size": "bs",
        "conditions": "c",
        "at": "t",
        "tape": "z",
        "symbol": "S",
    },
):
    """A quote as REST returns it: prices in dollars, sizes in shares."""

    ask_exchange: str = _EXCHANGE
    ask: float
    ask_size: int
    bid_exchange: str = _EXCHANGE
    bid: float
    bid_size: int
    conditions: tuple[str, ...] = ("R",)
    at: datetime
    tape: str = _TAPE


class TradeFields(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename={
        "at": "t",
        "exchange": "x",
        "price": "p",
        "size": "s",
        "conditions": "c",
        "trade_id": "i",
        "tape": "z",
        "symbol": "S",
        "update": "u",
    },
):
    """A trade as REST returns it; ``update`` is there only when it was corrected or cancelled since."""

    at: datetime
    exchange: str = _EXCHANGE
    price: float
    size: int
    conditions: tuple[str, ...] = (" ",)  # a regular sale on this tape
    trade_id: int
    tape: str = _TAPE
    update: str | msgspec.UnsetType = msgspec.UNSET


class BarFields(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename={
        "start": "t",
        "open": "o",
        "high": "h",
        "low": "l",
        "close": "c",
        "volume": "v",
        "trade_count": "n",
        "average": "vw",
        "symbol": "S",
    },
):
    """A bar as REST returns it; ``start`` is when it begins, midnight in New York for a daily one."""

    start: datetime
    open: float
    high: float
    low: float
    close: float
    volume: int
    trade_count: int
    average: float


class QuoteMessage(QuoteFields, frozen=True, kw_only=True, tag_field="T", tag="q"):
    """A new best bid or offer."""

    channel: ClassVar[str] = "quotes"
    symbol: str


class TradeMessage(TradeFields, frozen=True, kw_only=True, tag_field="T", tag="t"):
    """A trade."""

    channel: ClassVar[str] = "trades"
    symbol: str


class BarMessage(BarFields, frozen=True, kw_only=True, tag_field="T", tag="b"):
    """A minute bar, sent right after its minute."""

    channel: ClassVar[str] = "bars"
    symbol: str


class UpdatedBarMessage(BarFields, frozen=True, kw_only=True, tag_field="T", tag="u"):
    """A minute bar that a late trade changed."""

    channel: ClassVar[str] = "updatedBars"
    symbol: str


class DailyBarMessage(BarFields, frozen=True, kw_only=True, tag_field="T", tag="d"):
    """The running bar of the day, sent after each minute."""

    channel: ClassVar[str] = "dailyBars"
    symbol: str


class StatusMessage(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="T",
    tag="s",
    rename={
        "symbol": "S",
        "status_code": "sc",
        "status_message": "sm",
        "reason_code": "rc",
        "reason_message": "rm",
        "at": "t",
        "tape": "z",
    },
):
    """Trading of a symbol was halted or resumed; the codes are those of the CTA tape."""

    channel: ClassVar[str] = "statuses"
    symbol: str
    status_code: str
    status_message: str
    reason_code: str = ""
    reason_message: str = ""
    at: datetime
    tape: str = _TAPE


class LuldMessage(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="T",
    tag="l",
    rename={"symbol": "S", "up": "u", "down": "d", "indicator": "i", "at": "t", "tape": "z"},
):
    """The prices above and below which a symbol does not trade have changed."""

    channel: ClassVar[str] = "lulds"
    symbol: str
    up: float
    down: float
    indicator: str = "B"
    at: datetime
    tape: str = _TAPE


class ImbalanceMessage(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="T",
    tag="i",
    rename={"symbol": "S", "price": "p", "at": "t", "tape": "z"},
):
    """The price at which the auction to come would pair most orders."""

    channel: ClassVar[str] = "imbalances"
    symbol: str
    price: float
    at: datetime
    tape: str = _TAPE


class CorrectionMessage(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="T",
    tag="c",
    rename={
        "symbol": "S",
        "exchange": "x",
        "original_id": "oi",
        "original_price": "op",
        "original_size": "os",
        "original_conditions": "oc",
        "corrected_id": "ci",
        "corrected_price": "cp",
        "corrected_size": "cs",
        "corrected_conditions": "cc",
        "at": "t",
        "tape": "z",
    },
):
    """A trade was not what it had been said to be."""

    channel: ClassVar[str] = "corrections"
    symbol: str
    exchange: str = _EXCHANGE
    original_id: int
    original_price: float
    original_size: int
    original_conditions: tuple[str, ...] = (" ",)
    corrected_id: int
    corrected_price: float
    corrected_size: int
    corrected_conditions: tuple[str, ...] = (" ",)
    at: datetime
    tape: str = _TAPE


class CancelErrorMessage(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="T",
    tag="x",
    rename={"symbol": "S", "trade_id": "i", "exchange": "x", "price": "p", "size": "s", "action": "a", "at": "t", "tape": "z"},
):
    """A trade was cancelled, or was an error."""

    channel: ClassVar[str] = "cancelErrors"
    symbol: str
    trade_id: int
    exchange: str = _EXCHANGE
    price: float
    size: int
    action: str = "C"
    at: datetime
    tape: str = _TAPE


MarketMessage = (
    QuoteMessage
    | TradeMessage
    | BarMessage
    | UpdatedBarMessage
    | DailyBarMessage
    | StatusMessage
    | LuldMessage
    | ImbalanceMessage
    | CorrectionMessage
    | CancelErrorMessage
)


class Batch:
    """The messages of one moment, each encoded at most once per encoding and joined per client as its subscription asks."""

    def __init__(self, messages: Sequence[MarketMessage]) -> None:
        self.messages = messages
        self._parts: dict[Encoding, list[msgspec.Raw | None]] = {encoding: [None] * len(messages) for encoding in Encoding}

    def frame(self, indices: Sequence[int], encoding: Encoding) -> bytes:
        """Return one frame, an array, that holds the messages at these places."""
        parts = self._parts[encoding]
        chosen: list[msgspec.Raw] = []
        for index in indices:
            part = parts[index]
            if part is None:
                part = parts[index] = msgspec.Raw(encode(self.messages[index], encoding))
            chosen.append(part)
        return encode(chosen, encoding)


def encode(value: Any, encoding: Encoding) -> bytes:
    """Return ``value`` as JSON or msgpack."""
    return msgspec.json.encode(value) if encoding is Encoding.JSON else msgspec.msgpack.encode(value)


def decode(data: bytes, encoding: Encoding, *, is_text: bool) -> Any:
    """Return what a client sent.

    A client of a msgpack connection may still talk JSON, which its text opcode then says. Raises one of :data:`UNREADABLE`.
    """
    if encoding is Encoding.MSGPACK and not is_text:
        return msgspec.msgpack.decode(data)
    return msgspec.json.decode(data)
