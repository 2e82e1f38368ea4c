"""The symbols that this process has prices of: subscribed on the market stream, with their daily history.

It grows when a new version of a strategy needs more, before that version is swapped in, and shrinks when nobody needs or holds a symbol
any more. Growing is all or nothing: the venue is asked whether it knows the symbols, their history is fetched, and only then are they
subscribed, which the venue confirms.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

import structlog

from alchemiser.domain.errors import ConfigError, DataError, VenueError, VenueUnavailable
from alchemiser.domain.venue import Venue
from alchemiser.service.decision_market import DecisionMarket
from alchemiser.strategies.base import LoadedStrategy

_log = structlog.get_logger(__name__)

FETCH_SECONDS = 30.0
"""How long assets and history may take together; a decision may be waiting behind them."""


class SymbolStream(Protocol):
    """The market stream, as far as its symbols go."""

    @property
    def is_connected(self) -> bool:
        """Whether the stream is subscribed now."""

    async def set_symbols(self, symbols: Collection[str]) -> None:
        """Want these symbols from now on; return when the venue has confirmed it. Raises ``ConfigError`` and ``VenueUnavailable``."""


class Universe:
    """Implements the strategies' supply. ``stream`` is given once there is one."""

    def __init__(
        self,
        symbols: Sequence[str],
        *,
        venue: Venue,
        market: DecisionMarket,
        held: Callable[[], Collection[str]],
        list_symbols: Callable[[Sequence[str]], None] | None = None,
    ) -> None:
        """``held`` are the symbols that the books hold, whoever needs them; ``list_symbols`` is how an embedded exchange gets more."""
        self.stream: SymbolStream | None = None
        self._symbols = frozenset(symbols)
        self._venue = venue
        self._market = market
        self._held = held
        self._list_symbols = list_symbols

    @property
    def symbols(self) -> tuple[str, ...]:
        """Every symbol that is subscribed, sorted."""
        return tuple(sorted(self._symbols))

    async def admit(self, new: LoadedStrategy, old: LoadedStrategy | None) -> tuple[str, ...]:
        """Arrange for everything that a new version needs, or a strategy without an old one, and return what should be known about it.

        Raises ``DataError`` when the venue does not know a symbol, may not trade one that would be held, or has no history of one,
        ``ConfigError`` when the data plan does not allow as many, and ``VenueError`` when it could not be asked. Then nothing has changed.
        """
        fresh = [symbol for symbol in new.symbols if symbol not in self._symbols]
        stream = self.stream
        if fresh and (stream is None or not stream.is_connected):
            raise VenueUnavailable(f"the market stream is not connected, so {', '.join(fresh)} cannot be subscribed")
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                if unasked := sorted({*fresh, *new.symbols_held} - set(old.symbols_held if old else ())):
                    await self._look_at(unasked, new.symbols_held)
                more = await self._market.fetch_more(fresh, new.bars_needed)
        except TimeoutError:
            raise VenueUnavailable(f"the history was not there after {FETCH_SECONDS:g} s") from None
        if fresh:
            assert stream is not None, "it was connected"
            await stream.set_symbols(self._symbols.union(fresh))
            self._symbols = self._symbols.union(fresh)
            _log.info("symbols_subscribed", symbols=fresh)
        self._market.take(more)
        short = [(symbol, len(more.bars.get(symbol, ()))) for symbol in fresh]
        return tuple(
            f"{symbol} has {bars} daily bars, up to {new.bars_needed} are needed" for symbol, bars in short if bars < new.bars_needed - 1
        )

    async def release(self, strategies: Sequence[LoadedStrategy]) -> None:
        """Unsubscribe what none of these strategies needs and nobody holds; what cannot be now is tried at the next occasion."""
        needed = {symbol for strategy in strategies for symbol in strategy.symbols} | set(self._held())
        idle = self._symbols - needed
        if not idle:
            return
        try:
            if self.stream is not None:
                await self.stream.set_symbols(self._symbols - idle)
        except (VenueError, ConfigError) as error:
            _log.warning("symbols_not_released", symbols=sorted(idle), reason=str(error), next="tried again after the next rebalance")
            return
        self._symbols -= idle
        self._market.forget(idle)
        _log.info("symbols_released", symbols=sorted(idle))

    async def _look_at(self, symbols: Sequence[str], held: Collection[str]) -> None:
        """Raise ``DataError`` for a symbol that the venue does not know, or may not trade although it would be held."""
        if self._list_symbols is not None:
            self._list_symbols(symbols)
        assets = await self._venue.assets(symbols)
        if unknown := [symbol for symbol in symbols if symbol not in assets]:
            raise DataError(f"it needs {', '.join(unknown)}, unknown to the venue")
        if untradable := [symbol for symbol in symbols if symbol in held and not assets[symbol].is_tradable]:
            raise DataError(f"it may hold {', '.join(untradable)}, which cannot be traded at the venue")
