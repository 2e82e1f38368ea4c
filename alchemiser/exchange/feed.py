"""The market of the exchange at work: at each tick the tape's quotes and trades go into the core and out to the data stream.

Only what changed is fed and sent, and messages are only made for what somebody is subscribed to. A quote that was pinned by hand stays,
and its symbol prints no trades, until the session closes or the pin is taken away. What REST calls the latest is what the core last
saw, so that a client prices its orders on the market they will meet.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from alchemiser.domain.market import Quote
from alchemiser.exchange.engine import Exchange
from alchemiser.exchange.market_stream import MarketStream
from alchemiser.exchange.path import TapeBar, TapePrint
from alchemiser.exchange.tape import MarketTape
from alchemiser.exchange.ticks import MINUTE, SECOND, floor_to
from alchemiser.exchange.wire import (
    BarFields,
    BarMessage,
    DailyBarMessage,
    MarketMessage,
    QuoteFields,
    QuoteMessage,
    StatusMessage,
    TradeFields,
    TradeMessage,
)

TEST_SYMBOL: Final = "FAKEPACA"
_TEST_PRICE: Final = 134.0


class MarketFeed:
    """What the market shows now, and who is told."""

    def __init__(self, *, tape: MarketTape, core: Exchange, stream: MarketStream) -> None:
        self._tape = tape
        self._core = core
        self._stream = stream
        self._quotes: dict[str, Quote] = {}
        self._trades: dict[str, TapePrint] = {}
        self._pinned: dict[str, datetime] = {}
        self._symbols = frozenset(tape.symbols)

    @property
    def symbols(self) -> frozenset[str]:
        """The symbols that have a market."""
        return self._symbols

    def quote(self, symbol: str) -> Quote | None:
        """Return the quote that orders meet now."""
        return self._quotes.get(symbol)

    def trade(self, symbol: str) -> TapePrint | None:
        """Return the last trade."""
        return self._trades.get(symbol)

    def tick(self, at: datetime, now: datetime) -> None:
        """Move the market to ``at``; the core has already reached ``now``, which is not earlier when a request came between two ticks."""
        messages: list[MarketMessage] = []
        for symbol, quote in self._tape.quotes_at(at).items():
            if self._pinned and self._is_pinned(symbol, at):
                continue
            before, self._quotes[symbol] = self._quotes.get(symbol), quote
            if _differs(before, quote):
                messages.extend(self._take_quote(quote, now))
            trade = self._tape.trade_at(symbol, at)
            if trade is not None and trade != self._trades.get(symbol):
                messages.extend(self._take_trade(trade, now))
        if floor_to(at, MINUTE) == at:
            messages.extend(self._bars(at))
        self._stream.publish(messages, at)
        if self._stream.has_clients("test"):
            self._stream.publish_test(_test_messages(at))

    def pin(self, quote: Quote, now: datetime) -> None:
        """Set a symbol's quote by hand; it stays until the session that is open, or the next one, closes."""
        calendar = self._tape.calendar
        session = calendar.session_at(now) or calendar.next_session(now)
        self._pinned[quote.symbol] = session.closes_at
        self._stream.publish(self._take_quote(quote, now), now)

    def unpin(self, symbol: str | None, now: datetime) -> None:
        """Give one symbol, or all, back to the tape."""
        if symbol is None:
            self._pinned.clear()
        else:
            self._pinned.pop(symbol, None)
        self.tick(now, now)

    def halt(self, symbol: str, halted: bool, now: datetime) -> None:
        """Halt or resume trading of a symbol and say so."""
        self._core.on_halt(symbol, halted, now)
        code, text = ("2", "Trading Halt") if halted else ("3", "Resume")
        self._stream.publish([StatusMessage(symbol=symbol, status_code=code, status_message=text, at=now)], now)

    def _is_pinned(self, symbol: str, at: datetime) -> bool:
        until = self._pinned.get(symbol)
        if until is None:
            return False
        if at < until:
            return True
        del self._pinned[symbol]
        return False

    def _take_quote(self, quote: Quote, now: datetime) -> list[MarketMessage]:
        self._quotes[quote.symbol] = quote
        self._core.on_quote(quote, now)
        return [quote_message(quote)] if self._stream.is_wanted("quotes", quote.symbol) else []

    def _take_trade(self, trade: TapePrint, now: datetime) -> list[MarketMessage]:
        before = self._trades.get(trade.symbol)
        self._trades[trade.symbol] = trade
        self._core.on_trade(trade.symbol, trade.price, trade.size, now)
        if not self._stream.is_wanted("trades", trade.symbol):
            return []
        missed = () if before is None else self._tape.trades_between(trade.symbol, before.at, trade.at)
        return [trade_message(each) for each in missed or (trade,)]

    def _bars(self, at: datetime) -> Iterable[MarketMessage]:
        """Yield the bars of the minute that ended at this mark, and the running bars of the day, to whoever wants them."""
        if self._tape.calendar.session_at(at - SECOND) is None:
            return
        for symbol in self._tape.symbols:
            if self._stream.is_wanted("bars", symbol):
                bar = self._tape.minute_bar(symbol, at)
                if bar is not None and bar.start == at - MINUTE:
                    yield bar_message(bar)
            if self._stream.is_wanted("dailyBars", symbol):
                bar = self._tape.day_bar(symbol, at)
                if bar is not None:
                    yield daily_bar_message(bar)


def quote_fields(quote: Quote) -> QuoteFields:
    """Return a quote as REST sends it."""
    return QuoteFields(
        ask=quote.ask,
        ask_size=int(quote.ask_size),
        ask_exchange="P" if quote.ask > 0 else "",
        bid=quote.bid,
        bid_size=int(quote.bid_size),
        bid_exchange="P" if quote.bid > 0 else "",
        at=quote.at,
    )


def quote_message(quote: Quote) -> QuoteMessage:
    """Return a quote as the stream sends it."""
    return QuoteMessage(
        symbol=quote.symbol,
        ask=quote.ask,
        ask_size=int(quote.ask_size),
        ask_exchange="P" if quote.ask > 0 else "",
        bid=quote.bid,
        bid_size=int(quote.bid_size),
        bid_exchange="P" if quote.bid > 0 else "",
        at=quote.at,
    )


def trade_fields(trade: TapePrint) -> TradeFields:
    """Return a trade as REST sends it."""
    return TradeFields(at=trade.at, price=trade.price, size=trade.size, trade_id=trade.number)


def trade_message(trade: TapePrint) -> TradeMessage:
    """Return a trade as the stream sends it."""
    return TradeMessage(symbol=trade.symbol, at=trade.at, price=trade.price, size=trade.size, trade_id=trade.number)


def bar_fields(bar: TapeBar) -> BarFields:
    """Return a bar as REST sends it."""
    return BarFields(
        start=bar.start,
        open=bar.open,
        high=bar.high,
        low=bar.low,
        close=bar.close,
        volume=bar.volume,
        trade_count=bar.trade_count,
        average=bar.vwap,
    )


def bar_message(bar: TapeBar) -> BarMessage:
    """Return a minute bar as the stream sends it."""
    return BarMessage(
        symbol=bar.symbol,
        start=bar.start,
        open=bar.open,
        high=bar.high,
        low=bar.low,
        close=bar.close,
        volume=bar.volume,
        trade_count=bar.trade_count,
        average=bar.vwap,
    )


def daily_bar_message(bar: TapeBar) -> DailyBarMessage:
    """Return the running bar of the day as the stream sends it."""
    return DailyBarMessage(
        symbol=bar.symbol,
        start=bar.start,
        open=bar.open,
        high=bar.high,
        low=bar.low,
        close=bar.close,
        volume=bar.volume,
        trade_count=bar.trade_count,
        average=bar.vwap,
    )


def _differs(before: Quote | None, after: Quote) -> bool:
    return before is None or (before.bid, before.bid_size, before.ask, before.ask_size) != (
        after.bid,
        after.bid_size,
        after.ask,
        after.ask_size,
    )


def _test_messages(at: datetime) -> list[MarketMessage]:
    """Return the market of the test symbol: a price that goes up and down once a minute."""
    price = _TEST_PRICE + abs(at.second - 30) / 100
    return [
        QuoteMessage(symbol=TEST_SYMBOL, bid=round(price - 0.01, 2), bid_size=100, ask=round(price + 0.01, 2), ask_size=100, at=at),
        TradeMessage(symbol=TEST_SYMBOL, at=at, price=round(price, 2), size=100, trade_id=int(at.timestamp())),
    ]
