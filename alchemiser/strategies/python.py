"""Strategies written in Python: a class that says what it needs and returns weights from a view of the market.

::

    class Momentum(Strategy):
        symbols = ("SPY", "BIL")
        bars_needed = 127

        def decide(self, market: MarketView) -> Mapping[str, float]:
            return {"SPY": 1.0} if market.measure("cumulative-return", "SPY", 126) > 0 else {"BIL": 1.0}

A view ends at the session that is decided, so there is nothing to look ahead at. What such a class returns is checked and never
repaired: weights that are negative, not finite, of an undeclared symbol or not adding up to 1, and any exception, are the reason why
there is no target today.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import date

from msgspec import Struct, field

from alchemiser.domain.errors import DataError
from alchemiser.domain.rebalancing import Frequency, Header
from alchemiser.market.arrays import Floats
from alchemiser.market.indicators import Measure
from alchemiser.strategies.outcome import WEIGHTS_TOLERANCE, NotComputable, Proposal
from alchemiser.strategies.panel import Panel


class MarketView:
    """What a Python strategy sees: prices of its own symbols, up to the session that is decided."""

    def __init__(self, panel: Panel, place: int, symbols: tuple[str, ...], bars_needed: int) -> None:
        self._panel = panel
        self._place = place
        self._symbols = symbols
        self._bars_needed = bars_needed
        self.notes: list[str] = []

    @property
    def session(self) -> date:
        """The session that is decided."""
        return self._panel.session(self._place)

    def closes(self, symbol: str) -> Floats:
        """Return the adjusted closes of a symbol, oldest first, the price of this session last.

        Raises ``DataError`` when the symbol was not declared, has no price at this session, or fewer closes than the strategy needs.
        """
        self.measure("current-price", symbol)
        closes = self._panel.closes(symbol, self._place)
        if len(closes) < self._bars_needed:
            raise DataError(f"{symbol} has {len(closes)} closes up to {self.session}, {self._bars_needed} are needed")
        # A copy: the history is that of all strategies, and who wants to can write into a view of it.
        own = closes.copy()
        own.flags.writeable = False
        return own

    def measure(self, name: str, symbol: str, *windows: int) -> float:
        """Return an indicator of the symphony language, for example ``measure("rsi", "SPY", 10)``.

        Raises ``DataError`` when it cannot be had.
        """
        if symbol not in self._symbols:
            raise DataError(f"{symbol} is not among the symbols that this strategy declares")
        value = self._panel.value(symbol, Measure(name, windows), self._place)
        if isinstance(value, NotComputable):
            raise DataError(str(value))
        return value

    def note(self, text: str) -> None:
        """Add a line to the explanation of this decision."""
        self.notes.append(text)


class Strategy(ABC):
    """The base of strategies written in Python. ``symbols`` are all that it looks at or holds."""

    symbols: tuple[str, ...] = ()
    bars_needed: int = 1

    @abstractmethod
    def decide(self, market: MarketView) -> Mapping[str, float]:
        """Return target weights: none negative, adding up to 1. A pure function of the market it is shown."""


class PythonStrategy(Struct, frozen=True):
    """A Python strategy with its name and its share of the account."""

    name: str
    allocation: float
    strategy: Strategy
    header: Header = field(default=Header(Frequency.DAILY))

    @property
    def symbols(self) -> tuple[str, ...]:
        """Every symbol whose prices it may need, sorted."""
        return tuple(sorted(set(self.strategy.symbols)))

    @property
    def symbols_held(self) -> tuple[str, ...]:
        """All of them: which it only looks at is not declared."""
        return self.symbols

    @property
    def bars_needed(self) -> int:
        """The fewest daily closes per symbol that it asks for."""
        return self.strategy.bars_needed

    @property
    def bars_settled(self) -> int:
        """The same: what else it would like is not known."""
        return self.strategy.bars_needed

    @property
    def is_large(self) -> bool:
        """Always: how long somebody's code takes is not known."""
        return True

    def on(self, panel: Panel) -> "PythonDecider":
        """Return the strategy bound to these prices."""
        return PythonDecider(self, panel)


class PythonDecider:
    """Decides a Python strategy at any session of a panel."""

    def __init__(self, loaded: PythonStrategy, panel: Panel) -> None:
        self._loaded = loaded
        self._panel = panel

    def decide(self, place: int, *, explain: bool = True) -> Proposal | NotComputable:
        """Return the target at a session, from prices up to and including it."""
        view = MarketView(self._panel, place, self._loaded.symbols, self._loaded.bars_needed)
        try:
            weights = self._loaded.strategy.decide(view)
        except DataError as error:
            return NotComputable((str(error),))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - somebody else's code: whatever it raises is the reason why it has no target
            return NotComputable((f"{type(self._loaded.strategy).__name__}.decide raised {type(error).__name__}", str(error)))
        fault = _fault_of(weights, self._loaded.symbols)
        if fault is not None:
            return NotComputable((f"{type(self._loaded.strategy).__name__}.decide returned {fault}",))
        held = {symbol: float(weights[symbol]) for symbol in sorted(weights) if weights[symbol] > 0}
        for symbol in held:
            price = self._panel.value(symbol, Measure("current-price"), place)
            if isinstance(price, NotComputable):
                return price.because(f"{symbol} would be held")
        return Proposal(held, tuple(view.notes) if explain else ())


def _fault_of(weights: object, symbols: tuple[str, ...]) -> str | None:
    """Return what is wrong with the weights somebody returned, or ``None``."""
    if not isinstance(weights, Mapping):
        return f"{type(weights).__name__}, expected a mapping of symbol to weight"
    for symbol, weight in weights.items():
        if symbol not in symbols:
            return f"a weight of {symbol!r}, which is not among the symbols it declares"
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not math.isfinite(weight) or weight < 0:
            return f"{weight!r} for {symbol}, expected a number that is finite and not negative"
    total = math.fsum(weights.values())
    if abs(total - 1.0) > WEIGHTS_TOLERANCE:
        return f"weights that add up to {total:.12g}, not to 1"
    return None
