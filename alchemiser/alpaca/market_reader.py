"""From the bytes of the market-data stream to typed events. No socket, no waiting: one plain call per frame.

This is the hottest path of the daemon: a frame is decoded in one go and each quote becomes one event (``benchmarks/market_stream.py``).
"""

from collections.abc import Callable
from typing import Final

import msgspec
import structlog

from alchemiser.alpaca.market_wire import (
    Acknowledgement,
    HaltBook,
    Message,
    Refusal,
    Success,
    Unreadable,
    WireMinuteBar,
    WireQuote,
    WireStatus,
    WireTrade,
    decode_json,
    decode_msgpack,
    read_apart,
)
from alchemiser.domain.events import BarClosed, Event, FrameUnreadable, QuoteUpdated, TradePrinted, TradingStatusChanged
from alchemiser.domain.market import Bar
from alchemiser.domain.runtime import Clock

_log = structlog.get_logger(__name__)

STREAM: Final = "market"
RAW_CHARACTERS: Final = 2_000
"""So much of an unreadable frame is kept."""

Post = Callable[[Event], object]
"""Publishes an event without waiting."""

Control = Success | Refusal | Acknowledgement
"""What the venue says about the session itself."""


class MarketReader:
    """Posts what the frames hold; what concerns the session goes to ``on_control``."""

    def __init__(self, *, post: Post, clock: Clock, on_control: Callable[[Control], None]) -> None:
        self._post = post
        self._clock = clock
        self._on_control = on_control
        self._halts = HaltBook()
        self.frames = 0
        self.unreadable = 0
        self.last_frame_at: float | None = None

    def receive(self, frame: bytes, is_text: bool) -> None:
        """Post the events of one frame. A frame that is not as usual is taken apart, and what cannot be read is posted as such."""
        self.frames += 1
        self.last_frame_at = self._clock.monotonic()
        messages: list[Message]
        try:
            messages = decode_json(frame) if is_text else decode_msgpack(frame)
        except msgspec.DecodeError:
            messages = read_apart(frame, is_text=is_text)
        post = self._post
        for message in messages:
            if type(message) is WireQuote:
                post(
                    QuoteUpdated(
                        at=message.at,
                        symbol=message.symbol,
                        bid=message.bid,
                        bid_size=message.bid_size,
                        ask=message.ask,
                        ask_size=message.ask_size,
                    )
                )
            elif type(message) is WireTrade:
                post(TradePrinted(at=message.at, symbol=message.symbol, price=message.price, size=message.size))
            elif isinstance(message, Unreadable):
                self._report(frame, message)
            else:
                self._take(message)

    def _take(self, message: Message) -> None:
        match message:
            case WireMinuteBar():
                self._post(BarClosed(at=self._clock.now(), bar=_bar_of(message)))
            case WireStatus():
                self._post(
                    TradingStatusChanged(
                        at=message.at,
                        symbol=message.symbol,
                        code=message.code,
                        message=": ".join(filter(None, (message.message, message.reason))),
                        is_halted=self._halts.observe(message.symbol, message.code),
                    )
                )
            case Success() | Refusal() | Acknowledgement():
                self._on_control(message)

    def _report(self, frame: bytes, message: Unreadable) -> None:
        self.unreadable += 1
        _log.error("frame of the market stream cannot be read", error=message.error, messages=message.count)
        raw = frame[:RAW_CHARACTERS].decode("utf-8", "backslashreplace")[:RAW_CHARACTERS]
        self._post(FrameUnreadable(at=self._clock.now(), stream=STREAM, raw=raw, error=message.error))


def _bar_of(message: WireMinuteBar) -> Bar:
    return Bar(
        symbol=message.symbol,
        start=message.start,
        open=message.open,
        high=message.high,
        low=message.low,
        close=message.close,
        volume=message.volume,
    )
