"""Limit-up and limit-down: between which prices a symbol may trade, by the rules of the national plan, somewhat simplified.

The reference price is the average of the last five minutes' trades, one a minute; it moves only when that average is a percent away. The
band is five percent around it (leveraged funds: times their leverage), a fifth for prices up to three dollars, and twice that in the
first fifteen and the last twenty-five minutes. Pure.
"""

from collections import deque
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from alchemiser.domain.market import Session
from alchemiser.exchange.assets import AssetRecord

_MINUTES: Final = 5
_MOVE: Final = 0.01
_USUAL: Final = 0.05
_LOW_PRICED: Final = 0.20
_LOW_PRICE: Final = 3.0
_WIDE_AFTER_OPEN: Final = timedelta(minutes=15)
_WIDE_BEFORE_CLOSE: Final = timedelta(minutes=25)
_LEVERAGE: Final = {Decimal(50): 2, Decimal(75): 3}
"""Leverage of a fund by its maintenance margin."""


class BandKeeper:
    """The bands of every symbol through a session."""

    def __init__(self, assets: Mapping[str, AssetRecord]) -> None:
        self._assets = assets
        self._prices: dict[str, deque[float]] = {}
        self._references: dict[str, tuple[float, bool, Session]] = {}

    def move(self, symbol: str, price: float, at: datetime, session: Session) -> tuple[float, float] | None:
        """Take the price of a minute mark; return the new band (down, up), ``None`` when it stays as it is."""
        known = self._references.get(symbol)
        if known is None or known[2] != session:
            self._prices[symbol] = deque(maxlen=_MINUTES)
            known = None
        prices = self._prices[symbol]
        prices.append(price)
        average = sum(prices) / len(prices)
        is_wide = at < session.opens_at + _WIDE_AFTER_OPEN or at >= session.closes_at - _WIDE_BEFORE_CLOSE
        if known is not None and known[1] == is_wide and abs(average / known[0] - 1) < _MOVE:
            return None
        reference = average if known is None or abs(average / known[0] - 1) >= _MOVE else known[0]
        self._references[symbol] = (reference, is_wide, session)
        width = self._width(symbol, reference) * (2 if is_wide else 1)
        return round(max(reference * (1 - width), 0.01), 2), round(reference * (1 + width), 2)

    def forget(self, symbol: str) -> None:
        """Forget a symbol, whose next price begins anew."""
        self._prices.pop(symbol, None)
        self._references.pop(symbol, None)

    def _width(self, symbol: str, reference: float) -> float:
        asset = self._assets.get(symbol)
        leverage = 1 if asset is None else _LEVERAGE.get(asset.maintenance_percent, 1)
        return min((_LOW_PRICED if reference <= _LOW_PRICE else _USUAL) * leverage, 0.5)
