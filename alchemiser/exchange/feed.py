"""The market of the exchange at work: at each tick the tape's quotes and trades go into the core and out to the data stream.

Only what changed is fed and sent, and messages are only made for what somebody is subscribed to. A quote that was pinned by hand stays,
and its symbol prints no trades and has no limit bands, until the session closes or the pin is taken away. What REST calls the latest is
what the core last saw, so that a client prices its orders on the market they will meet.

The test symbol has a market of its own, which never closes.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final, Literal

import msgspec

from alchemiser.domain.market import Quote
from alchemiser.exchange.bands import BandKeeper
from alchemiser.exchange.engine import Exchange
from alchemiser.exchange.feed_messages import (
    bar_message,
    bar_values,
    daily_bar_message,
    fake_bar,
    quote_message,
    status_message,
    test_messages,
    trade_message,
)
from alchemiser.exchange.halts import Halt, HaltKeeper
from alchemiser.exchange.market_stream import MarketStream
from alchemiser.exchange.path import TapePrint
from alchemiser.exchange.print_book import PrintBook
from alchemiser.exchange.tape import MarketTape
from alchemiser.exchange.ticks import MINUTE, SECOND, floor_to
from alchemiser.exchange.wire import (
    CancelErrorMessage,
    CorrectionMessage,
    ImbalanceMessage,
    LuldMessage,
    MarketMessage,
    StatusMessage,
    UpdatedBarMessage,
)

_IMBALANCES: Final = timedelta(minutes=10)  # how long before the close the closing auction shows what it would do
_ONE_DAY: Final = timedelta(days=1)
_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)
_INSTANT: Final = timedelta(microseconds=1)
_HALTED: Final = ("2", "Trading Halt")
_RESUMED: Final = ("3", "Resume")
_BY_HAND: Final = 9_000_000  # where the numbers of prints begin that the tape does not know


class MarketFeed:
    """What the market shows now, and who is told."""

    def __init__(self, *, tape: MarketTape, core: Exchange, stream: MarketStream, limit_bands: bool = True) -> None:
        """With ``limit_bands`` nothing trades outside of the bands of limit-up and limit-down."""
        self._tape = tape
        self._core = core
        self._stream = stream
        self._quotes: dict[str, Quote] = {}
        self._trades: dict[str, TapePrint] = {}
        self._pinned: dict[str, datetime] = {}
        self._bands = BandKeeper(core.assets) if limit_bands else None
        self._halts = HaltKeeper(tape if tape.has_halts else None, core.pauses) if tape.has_halts or limit_bands or core.pauses else None
        self._bands_by_hand: set[str] = set()
        self._resumed_at: dict[str, datetime] = {}
        self._tested_at: datetime | None = None
        self._prints_by_hand = 0
        self._units_of: date | None = None
        self._units_until = _LONG_AGO
        self.prints = PrintBook()

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols that have a market."""
        return self._tape.symbols

    def quote(self, symbol: str) -> Quote | None:
        """Return the quote that orders meet now."""
        return self._quotes.get(symbol)

    def trade(self, symbol: str) -> TapePrint | None:
        """Return the last trade."""
        return self._trades.get(symbol)

    def tick(self, at: datetime, now: datetime) -> None:
        """Move the market to ``at``; the core has already reached ``now``, which is not earlier when a request came between two ticks."""
        messages = self._move(self._tape.quotes_at(at), at, now)
        if floor_to(at, MINUTE) == at:
            messages.extend(self._bars(at))
            messages.extend(self._move_bands(at, now))
            messages.extend(self._imbalances(at))
        self._stream.publish(messages, at)

    def show(self, symbols: Sequence[str], now: datetime) -> None:
        """Give symbols that were just listed the market that they have now."""
        at = floor_to(now, SECOND)
        self._stream.publish(self._move(self._tape.quotes_at(at, symbols), at, now), at)

    def _move(self, quotes: Mapping[str, Quote], at: datetime, now: datetime) -> list[MarketMessage]:
        messages: list[MarketMessage] = []
        for symbol, quote in quotes.items():
            is_pinned = bool(self._pinned) and self._is_pinned(symbol, at)
            shown = self._quotes[symbol] if is_pinned else quote
            resumed, halt = (None, None) if self._halts is None else self._halts.turn(shown, at)
            if halt is not None:
                if resumed is None:
                    messages.append(self._halt(symbol, halt, at, now))
                continue
            if resumed is not None:
                messages.append(self._resume(symbol, resumed, at))
            if is_pinned:
                if resumed is not None:
                    self._core.on_halt(symbol, False, now)
                continue
            before = self._quotes.get(symbol)
            if before is not None and before.at < at and self._tape.is_recorded(symbol, at):
                messages.extend(self._catch_up(symbol, before.at, at, now))
                before = self._quotes.get(symbol)
            self._quotes[symbol] = quote
            if _differs(before, quote):
                messages.extend(self._take_quote(quote, now))
            trade = self._tape.trade_at(symbol, at)
            if resumed is not None:
                # Whoever waited meets the first quote after the halt, not the last one before it, and trades at its first print.
                is_first = trade is not None and trade.at >= resumed.ends_at
                self._core.on_halt(symbol, False, now, cross=trade.price if trade is not None and is_first else None)
            if trade is not None and trade != self._trades.get(symbol) and not self.prints.is_amended(trade):
                messages.extend(self._take_trade(trade, now))
        return messages

    def next_turn(self, after: datetime) -> datetime | None:
        """Return when a symbol may be paused, or trades again, next; ``None`` while nothing is near it."""
        return None if self._halts is None else self._halts.next_turn(after)

    def _halt(self, symbol: str, halt: Halt, at: datetime, now: datetime) -> StatusMessage:
        self._core.on_halt(symbol, True, now, until=halt.ends_at)
        self._lift_bands(symbol, now)
        return status_message(symbol, _HALTED, at, reason=(halt.reason, halt.reason_message))

    def _resume(self, symbol: str, halt: Halt, at: datetime) -> StatusMessage:
        self._resumed_at[symbol] = at
        self.prints.silence(symbol, halt.begins_at, at)
        return status_message(symbol, _RESUMED, at)

    def _is_halted(self, symbol: str) -> bool:
        return self._halts is not None and self._halts.is_halted(symbol)

    def _lift_bands(self, symbol: str, now: datetime) -> None:
        """Let a symbol trade at any price, until the market, or somebody, sets new bands."""
        self._core.on_bands(symbol, None, now)
        self._bands_by_hand.discard(symbol)
        if self._bands is not None:
            self._bands.forget(symbol)
        if self._halts is not None:
            self._halts.set_band(symbol, None, now)

    def _catch_up(self, symbol: str, after: datetime, until: datetime, now: datetime) -> Iterable[MarketMessage]:
        """Let the core see every recorded quote and print since the last tick, in the order in which they happened."""
        after = self._heard_until(symbol, after)
        happened: list[Quote | TapePrint] = [*(self._tape.quotes_between(symbol, after, until) or ())]
        happened += self._tape.trades_between(symbol, after, until)[:-1]  # The last one is what the tick itself shows.
        for event in sorted(happened, key=lambda each: each.at):
            if isinstance(event, Quote):
                yield from self._take_quote(event, now)
            elif not self.prints.is_amended(event):
                self._trades[symbol] = event
                self._core.on_trade(symbol, event.price, event.size, now)
                if self._stream.is_wanted("trades", symbol):
                    yield trade_message(event)

    def begin_units(self, now: datetime) -> None:
        """Restate what stands of the symbols that split today, once, when the units of the day have begun; the core does so by itself."""
        if now < self._units_until:
            return
        today, self._units_until = self._tape.units_of(now), self._tape.units_change_after(now)
        if today == self._units_of:
            return
        before, self._units_of = self._units_of or today, today
        for symbol in [symbol for symbol in self._tape.symbols if self._tape.splits(symbol, before + _ONE_DAY, today)]:
            quote, trade = self._tape.quote_at(symbol, now), self._tape.trade_at(symbol, now)
            if quote is not None:
                self._quotes[symbol] = quote
            if trade is not None:
                self._trades[symbol] = trade
            self._pinned.pop(symbol, None)

    def next_pulse(self, now: datetime) -> datetime | None:
        """Return when the test symbol says something next, ``None`` when nobody listens."""
        return floor_to(now, SECOND) + SECOND if self._stream.has_clients("test") else None

    def pulse(self, now: datetime) -> None:
        """Let the test symbol say what it does at this second, once."""
        if self._tested_at is not None and now < self._tested_at + SECOND:
            return
        at = floor_to(now, SECOND)
        is_new_minute = self._tested_at is not None and floor_to(at, MINUTE) > self._tested_at
        self._tested_at = at
        if self._stream.has_clients("test"):
            self._stream.publish_test([*test_messages(at), *([fake_bar(floor_to(at, MINUTE) - MINUTE)] if is_new_minute else [])])

    def pin(self, quote: Quote, now: datetime) -> None:
        """Set a symbol's quote by hand; it stays until the session that is open, or the next one, closes.

        A market that was moved away from its last trade trades where it is now: one share at the middle, so that stops, trailing stops and
        the worth of positions follow. Nobody who waits gets that share: what can be had is what the quote displays.
        """
        calendar = self._tape.calendar
        session = calendar.session_at(now)
        self._pinned[quote.symbol] = (session or calendar.next_session(now)).closes_at
        if self._bands is not None and quote.symbol not in self._bands_by_hand:
            self._lift_bands(quote.symbol, now)
        self._stream.publish(self._take_quote(quote, now), now)
        if self._halts is not None:
            self._halts.watch(quote, now)
        last = self._trades.get(quote.symbol)
        is_away = last is not None and not quote.bid <= last.price <= quote.ask
        if is_away and session is not None and 0 < quote.bid <= quote.ask and not self._is_halted(quote.symbol):
            self._print_by_hand(quote.symbol, round((quote.bid + quote.ask) / 2, 4), 1, now, reaching=0)

    def unpin(self, symbol: str | None, now: datetime) -> None:
        """Give one symbol, or all, back to the tape."""
        if symbol is None:
            self._pinned.clear()
        else:
            self._pinned.pop(symbol, None)
        self.tick(now, now)

    def halt(self, symbol: str, halted: bool, now: datetime) -> None:
        """Halt or resume trading of a symbol and say so."""
        if self._halts is not None:
            self._halts.overrule(symbol)
        self._core.on_halt(symbol, halted, now)
        self._stream.publish([status_message(symbol, _HALTED if halted else _RESUMED, now)], now)

    def print_trade(self, symbol: str, price: float, size: int, now: datetime) -> TapePrint:
        """Print a trade by hand."""
        return self._print_by_hand(symbol, price, size, now, reaching=size)

    def _print_by_hand(self, symbol: str, price: float, size: int, now: datetime, *, reaching: int) -> TapePrint:
        """Print a trade of which resting orders get no more than ``reaching`` shares."""
        self._prints_by_hand += 1
        trade = TapePrint(symbol, price, size, now, _BY_HAND + self._prints_by_hand)
        self._trades[symbol] = trade
        self.prints.add(trade)
        self._core.on_trade(symbol, price, reaching, now)
        self._stream.publish([trade_message(trade)], now)
        return trade

    def correct_trade(self, symbol: str, price: float, size: int | None, now: datetime) -> TapePrint | None:
        """Say that the last trade of a symbol was another one, and that its minute's bar was; return it, ``None`` when there was none."""
        before = self._trades.get(symbol)
        if before is None:
            return None
        after = self._trades[symbol] = TapePrint(symbol, price, before.size if size is None else size, before.at, before.number)
        self.prints.correct(before, after, now)
        correction = CorrectionMessage(
            symbol=symbol,
            original_id=before.number,
            original_price=before.price,
            original_size=before.size,
            corrected_id=after.number,
            corrected_price=after.price,
            corrected_size=after.size,
            at=now,
        )
        self._stream.publish([correction, *self._updated_bar(after, now)], now)
        return after

    def cancel_trade(self, symbol: str, action: Literal["C", "E"], now: datetime) -> TapePrint | None:
        """Say that the last trade of a symbol never was; return it, ``None`` when there was none."""
        trade = self._trades.get(symbol)
        if trade is not None:
            self.prints.cancel(trade)
            self._stream.publish(
                [CancelErrorMessage(symbol=symbol, trade_id=trade.number, price=trade.price, size=trade.size, action=action, at=now)], now
            )
        return trade

    def set_bands(self, symbol: str, band: tuple[float, float] | None, now: datetime) -> None:
        """Set the prices (down, up) outside of which a symbol does not trade, until the market moves them; ``None`` lifts them."""
        if band is None:
            self._lift_bands(symbol, now)
            return
        self._core.on_bands(symbol, band, now)
        self._bands_by_hand.add(symbol)
        session, quote = self._tape.calendar.session_at(now), self._quotes.get(symbol)
        if self._halts is not None and session is not None:
            self._halts.set_band(symbol, band, session.closes_at)
            if quote is not None:
                self._halts.watch(quote, now)
        self._stream.publish([LuldMessage(symbol=symbol, down=band[0], up=band[1], at=now)], now)

    def storm(self, symbol: str, messages: int, now: datetime) -> None:
        """Send the same quote very many times, each with a size of its own."""
        quote = self._quotes.get(symbol)
        if quote is not None:
            first = quote_message(quote)
            self._stream.publish([msgspec.structs.replace(first, bid_size=100 + place, at=now) for place in range(messages)], now)

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
        self._core.on_quotes((quote,), now)
        return [quote_message(quote)] if self._stream.is_wanted("quotes", quote.symbol) else []

    def _take_trade(self, trade: TapePrint, now: datetime) -> list[MarketMessage]:
        before = self._trades.get(trade.symbol)
        self._trades[trade.symbol] = trade
        self._core.on_trade(trade.symbol, trade.price, trade.size, now)
        if not self._stream.is_wanted("trades", trade.symbol):
            return []
        missed = () if before is None else self._tape.trades_between(trade.symbol, self._heard_until(trade.symbol, before.at), trade.at)
        return [trade_message(each) for each in missed or (trade,)]

    def _heard_until(self, symbol: str, before: datetime) -> datetime:
        """Return after which moment prints are news: what the tape printed during a pause never was."""
        resumed = self._resumed_at.get(symbol)
        return before if resumed is None else max(before, resumed - _INSTANT)

    def _updated_bar(self, trade: TapePrint, now: datetime) -> list[MarketMessage]:
        """Return the bar of the trade's minute as the trade has changed it, when that minute is over."""
        start = floor_to(trade.at, MINUTE)
        bars = self._tape.minute_bars(trade.symbol, start, start, until=now)
        if not bars or now < start + MINUTE:
            return []
        bar = bars[0]
        changed = msgspec.structs.replace(bar, high=max(bar.high, trade.price), low=min(bar.low, trade.price), close=trade.price)
        return [UpdatedBarMessage(symbol=trade.symbol, **bar_values(changed))]

    def _move_bands(self, at: datetime, now: datetime) -> Iterable[MarketMessage]:
        """Move the limit bands to where this minute's trades put them."""
        session = self._tape.calendar.session_at(at)
        if self._bands is None or session is None:
            return
        for symbol, trade in self._trades.items():
            if trade.at < session.opens_at or symbol in self._pinned or self._is_halted(symbol):
                continue
            band = self._bands.move(symbol, trade.price, at, session)
            if band is not None:
                self._core.on_bands(symbol, band, now)
                self._bands_by_hand.discard(symbol)
                if self._halts is not None:
                    self._halts.set_band(symbol, band, session.closes_at)
                if self._stream.is_wanted("lulds", symbol):
                    yield LuldMessage(symbol=symbol, down=band[0], up=band[1], at=at)

    def _imbalances(self, at: datetime) -> Iterable[MarketMessage]:
        """Yield at which price an auction would trade: the closing one in its last minutes, the reopening one during a halt."""
        session = self._tape.calendar.session_at(at)
        if session is None:
            return
        is_late = at >= session.closes_at - _IMBALANCES
        for symbol, trade in self._trades.items():
            if (is_late or self._is_halted(symbol)) and self._stream.is_wanted("imbalances", symbol):
                yield ImbalanceMessage(symbol=symbol, price=trade.price, at=at)

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


def _differs(before: Quote | None, after: Quote) -> bool:
    return before is None or (before.bid, before.bid_size, before.ask, before.ask_size) != (
        after.bid,
        after.bid_size,
        after.ask,
        after.ask_size,
    )
