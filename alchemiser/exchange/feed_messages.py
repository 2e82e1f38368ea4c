"""What the market feed says, made of what the tape knows: quotes, trades and bars as the stream and as REST send them. Pure.

Also the test symbol, whose market follows from the clock alone.
"""

from datetime import datetime
from typing import Any, Final

import msgspec

from alchemiser.domain.market import Quote
from alchemiser.exchange.path import TapeBar, TapePrint
from alchemiser.exchange.print_book import Mark
from alchemiser.exchange.ticks import SECOND
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
_TEST_TURN_SECONDS: Final = 30


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


def trade_fields(trade: TapePrint, mark: Mark | None = None) -> TradeFields:
    """Return a trade as REST sends it, with what became of it."""
    update = msgspec.UNSET if mark is None else mark
    return TradeFields(at=trade.at, price=trade.price, size=trade.size, trade_id=trade.number, update=update)


def trade_message(trade: TapePrint) -> TradeMessage:
    """Return a trade as the stream sends it."""
    return TradeMessage(symbol=trade.symbol, at=trade.at, price=trade.price, size=trade.size, trade_id=trade.number)


def bar_fields(bar: TapeBar) -> BarFields:
    """Return a bar as REST sends it."""
    return BarFields(**bar_values(bar))


def bar_message(bar: TapeBar) -> BarMessage:
    """Return a minute bar as the stream sends it."""
    return BarMessage(symbol=bar.symbol, **bar_values(bar))


def daily_bar_message(bar: TapeBar) -> DailyBarMessage:
    """Return the running bar of the day as the stream sends it."""
    return DailyBarMessage(symbol=bar.symbol, **bar_values(bar))


def bar_values(bar: TapeBar) -> dict[str, Any]:
    """Return what every message and every row about a bar says."""
    return {
        "start": bar.start,
        "open": bar.open,
        "high": bar.high,
        "low": bar.low,
        "close": bar.close,
        "volume": bar.volume,
        "trade_count": bar.trade_count,
        "average": bar.vwap,
    }


def status_message(symbol: str, status: tuple[str, str], at: datetime, reason: tuple[str, str] = ("", "")) -> StatusMessage:
    """Return that trading of a symbol was halted or resumed; status and reason are each a code and its words."""
    code, text = status
    return StatusMessage(symbol=symbol, status_code=code, status_message=text, reason_code=reason[0], reason_message=reason[1], at=at)


def _test_price(at: datetime) -> float:
    """Return the price of the test symbol, which goes down and up once a minute."""
    return round(_TEST_PRICE + abs(at.second - _TEST_TURN_SECONDS) / 100, 2)


def test_messages(at: datetime) -> list[MarketMessage]:
    """Return what the test symbol says at a second."""
    price = _test_price(at)
    return [
        QuoteMessage(symbol=TEST_SYMBOL, bid=round(price - 0.01, 2), bid_size=100, ask=round(price + 0.01, 2), ask_size=100, at=at),
        TradeMessage(symbol=TEST_SYMBOL, at=at, price=price, size=100, trade_id=int(at.timestamp())),
    ]


def fake_bar(start: datetime) -> BarMessage:
    """Return the bar of the test symbol for the minute that begins at ``start``: sixty trades of a hundred shares."""
    prices = [_test_price(start + place * SECOND) for place in range(60)]
    return BarMessage(
        symbol=TEST_SYMBOL,
        start=start,
        open=prices[0],
        high=max(prices),
        low=min(prices),
        close=prices[-1],
        volume=6_000,
        trade_count=60,
        average=round(sum(prices) / 60, 6),
    )
