"""The market-data side of Alpaca's messages: REST in JSON, the stream in msgpack or JSON, and what they mean in the domain.

A frame of the stream is an array of messages. The usual frame is decoded in one go by a union of types; a frame that holds a type nobody
here knows, or a value that is wrong, is taken apart so that one bad message does not cost its neighbours.
Prices and sizes that are negative or not finite are refused here, because a comparison with NaN would let them pass as a good quote.
"""

from datetime import UTC, datetime
from typing import Annotated, Any, Final

import msgspec

from alchemiser.alpaca.wire import Moment
from alchemiser.domain.market import Bar, MarketSnapshot, Quote

Amount = Annotated[float, msgspec.Meta(ge=0, le=1e15)]
"""A price or a size: finite and not negative."""


class WireQuote(msgspec.Struct, frozen=True, gc=False, tag_field="T", tag="q"):
    """A quote of the stream."""

    symbol: str = msgspec.field(name="S")
    bid: Amount = msgspec.field(name="bp")
    bid_size: Amount = msgspec.field(name="bs")
    ask: Amount = msgspec.field(name="ap")
    ask_size: Amount = msgspec.field(name="as")
    at: Moment = msgspec.field(name="t")


class WireTrade(msgspec.Struct, frozen=True, gc=False, tag_field="T", tag="t"):
    """A trade of the stream."""

    symbol: str = msgspec.field(name="S")
    price: Amount = msgspec.field(name="p")
    size: Amount = msgspec.field(name="s")
    at: Moment = msgspec.field(name="t")


class WireMinuteBar(msgspec.Struct, frozen=True, gc=False, tag_field="T", tag="b"):
    """A closed minute bar of the stream; ``start`` is its first moment."""

    symbol: str = msgspec.field(name="S")
    open: Amount = msgspec.field(name="o")
    high: Amount = msgspec.field(name="h")
    low: Amount = msgspec.field(name="l")
    close: Amount = msgspec.field(name="c")
    volume: Amount = msgspec.field(name="v")
    start: Moment = msgspec.field(name="t")


class WireStatus(msgspec.Struct, frozen=True, gc=False, tag_field="T", tag="s"):
    """A trading status of the stream."""

    symbol: str = msgspec.field(name="S")
    code: str = msgspec.field(name="sc")
    at: Moment = msgspec.field(name="t")
    message: str = msgspec.field(name="sm", default="")
    reason_code: str = msgspec.field(name="rc", default="")
    reason: str = msgspec.field(name="rm", default="")


class Success(msgspec.Struct, frozen=True, tag_field="T", tag="success"):
    """A step of the session: ``connected`` or ``authenticated``."""

    msg: str = ""


class Refusal(msgspec.Struct, frozen=True, tag_field="T", tag="error"):
    """An error frame."""

    code: int = 0
    msg: str = ""


class Acknowledgement(msgspec.Struct, frozen=True, tag_field="T", tag="subscription"):
    """What is subscribed now, all of it."""

    quotes: tuple[str, ...] = ()
    trades: tuple[str, ...] = ()
    bars: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()


class _Correction(msgspec.Struct, frozen=True, gc=False, tag_field="T", tag="c"):
    """Comes with trades by itself; not used."""


class _Cancelled(msgspec.Struct, frozen=True, gc=False, tag_field="T", tag="x"):
    """Comes with trades by itself; not used."""


class Unreadable(msgspec.Struct, frozen=True):
    """Messages of one frame that could not be read: how many, and what is wrong with the first."""

    count: int
    error: str


Known = WireQuote | WireTrade | WireMinuteBar | WireStatus | Success | Refusal | Acknowledgement | _Correction | _Cancelled
Message = Known | Unreadable

_TAGS: Final = frozenset({"q", "t", "b", "s", "success", "error", "subscription", "c", "x"})


class _Decoders(msgspec.Struct, frozen=True):
    """The decoders of one encoding: a whole frame, a frame's parts, the type of a part, one part."""

    frame: Any
    parts: Any
    peek: Any
    one: Any


class _Peek(msgspec.Struct, frozen=True):
    T: str


_MSGPACK: Final = _Decoders(
    msgspec.msgpack.Decoder(list[Known]),
    msgspec.msgpack.Decoder(list[msgspec.Raw]),
    msgspec.msgpack.Decoder(_Peek),
    msgspec.msgpack.Decoder(Known),
)
_JSON: Final = _Decoders(
    msgspec.json.Decoder(list[Known]),
    msgspec.json.Decoder(list[msgspec.Raw]),
    msgspec.json.Decoder(_Peek),
    msgspec.json.Decoder(Known),
)

decode_msgpack = _MSGPACK.frame.decode
"""Decode a usual binary frame; raises ``msgspec.DecodeError`` for one that :func:`read_apart` must look at."""

decode_json = _JSON.frame.decode
"""The same for a text frame."""


def read_apart(frame: bytes, *, is_text: bool) -> list[Message]:
    """Return the readable messages of a frame one by one, leaving out types nobody here knows, and at last an ``Unreadable`` if any was."""
    decoders = _JSON if is_text else _MSGPACK
    try:
        parts = decoders.parts.decode(frame)
    except msgspec.DecodeError as error:
        return [Unreadable(1, str(error))]
    messages: list[Message] = []
    unreadable, first_error = 0, ""
    for part in parts:
        try:
            if decoders.peek.decode(part).T in _TAGS:
                messages.append(decoders.one.decode(part))
        except msgspec.DecodeError as error:
            unreadable += 1
            first_error = first_error or str(error)
    if unreadable:
        messages.append(Unreadable(unreadable, first_error))
    return messages


class HaltBook:
    """Which symbols are halted, as far as the stream has told.

    Both tapes speak here: CTA says 2 for a halt and 3 for its end; UTP says H for a halt, P for a volatility pause and T when trading
    is on again (Q resumes only the quoting). Any other code, such as an imbalance or a short-sale restriction, leaves a symbol as it was.
    """

    _HALTING: Final = frozenset({"2", "H", "P"})
    _RESUMING: Final = frozenset({"3", "T"})

    def __init__(self) -> None:
        self._halted: set[str] = set()

    def observe(self, symbol: str, code: str) -> bool:
        """Take note of a status; return whether the symbol is halted after it."""
        if code in self._HALTING:
            self._halted.add(symbol)
        elif code in self._RESUMING:
            self._halted.discard(symbol)
        return symbol in self._halted


class RestBar(msgspec.Struct, frozen=True, gc=False):
    """A bar of the REST API."""

    t: Moment
    o: Amount
    h: Amount
    l: Amount  # noqa: E741 - the venue's name
    c: Amount
    v: Amount

    def bar(self, symbol: str) -> Bar:
        """Return the bar as a value."""
        return Bar(symbol=symbol, start=self.t.astimezone(UTC), open=self.o, high=self.h, low=self.l, close=self.c, volume=self.v)


class RestQuote(msgspec.Struct, frozen=True, gc=False):
    """A quote of the REST API."""

    t: Moment
    bid: Amount = msgspec.field(name="bp", default=0.0)
    bid_size: Amount = msgspec.field(name="bs", default=0.0)
    ask: Amount = msgspec.field(name="ap", default=0.0)
    ask_size: Amount = msgspec.field(name="as", default=0.0)


class RestTrade(msgspec.Struct, frozen=True, gc=False):
    """A trade of the REST API."""

    t: Moment
    p: Amount


class RestSnapshot(msgspec.Struct, frozen=True, rename="camel"):
    """A snapshot of the REST API; each part may be missing."""

    latest_trade: RestTrade | None = None
    latest_quote: RestQuote | None = None
    daily_bar: RestBar | None = None
    prev_daily_bar: RestBar | None = None


class RestBars(msgspec.Struct, frozen=True):
    """One page of bars of several symbols."""

    bars: dict[str, list[RestBar]] | None = None
    next_page_token: str | None = None


def snapshot_of(symbol: str, wire: RestSnapshot) -> MarketSnapshot:
    """Return the snapshot as a value."""
    quote, trade = wire.latest_quote, wire.latest_trade
    return MarketSnapshot(
        symbol=symbol,
        quote=None if quote is None else quote_of(symbol, quote),
        last_price=None if trade is None else trade.p,
        last_at=None if trade is None else _utc(trade.t),
        today=None if wire.daily_bar is None else wire.daily_bar.bar(symbol),
        previous=None if wire.prev_daily_bar is None else wire.prev_daily_bar.bar(symbol),
    )


def quote_of(symbol: str, wire: RestQuote) -> Quote:
    """Return the quote as a value."""
    return Quote(symbol=symbol, bid=wire.bid, bid_size=wire.bid_size, ask=wire.ask, ask_size=wire.ask_size, at=_utc(wire.t))


def _utc(when: datetime) -> datetime:
    return when.astimezone(UTC)
