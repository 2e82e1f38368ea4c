"""What the account allows of the strategies' targets, in a stated order, every adjustment explained. Pure.

The order is: no short; the volatility target, which scales everything; the cap of each symbol; the cap of each group of symbols. Each
step works on what the steps before it left, and none of them ever raises a weight, so a later step cannot break an earlier cap. What is
taken away stays in cash. A strategy that keeps what it holds is not adjusted: what it holds counts against every cap, and the others get
the rest. The cap on turnover comes after the plan has netted the wishes, in ``plan``; the smallest trade is a pre-trade check.

Weights are shares of the equity that the strategies share. Where several strategies want a symbol, they give way in proportion.
"""

from collections.abc import Callable, Mapping

import msgspec

from alchemiser.domain.intents import Adjustment

Weights = dict[str, float]
Volatility = Callable[[Mapping[str, float]], float | None]
"""The yearly volatility, as a fraction, of holding these account weights; ``None`` when it cannot be computed."""

TOLERANCE = 1e-12
HALVINGS = 50


class GroupCap(msgspec.Struct, frozen=True, kw_only=True):
    """The most that some symbols may weigh together, as a share of equity."""

    symbols: frozenset[str]
    at_most: float


class Constraints(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that limits a target; ``None`` and empty tables do not. Weights are shares of equity, the volatility is yearly."""

    symbol_at_most: float | None = None
    groups: Mapping[str, GroupCap] = {}
    target_volatility: float | None = None
    turnover_at_most: float | None = None


class Constrained(msgspec.Struct, frozen=True):
    """The targets as the account allows them, and what was changed."""

    targets: dict[str, Weights | None]
    adjustments: tuple[Adjustment, ...]


def leaves_as_they_are(targets: Mapping[str, Weights | None], rules: Constraints) -> bool:
    """Whether :func:`constrain` changes nothing, whatever the allocations are: mostly nothing is limited and nobody is short."""
    if rules.target_volatility is not None or rules.symbol_at_most is not None or rules.groups:
        return False
    lowest = 0.0
    for weights in targets.values():
        if weights:
            lowest = min(lowest, min(weights.values()))
    return lowest >= 0.0


def constrain(
    targets: Mapping[str, Weights | None],
    allocations: Mapping[str, float],
    kept: Mapping[str, float],
    rules: Constraints,
    volatility: Volatility = lambda weights: None,
) -> Constrained:
    """Return the targets inside the constraints.

    ``allocations`` are the strategies' shares of the equity; ``kept`` what strategies without a target hold, as account weights by symbol.
    """
    work = _Work(targets, allocations, kept)
    work.refuse_shorts()
    if rules.target_volatility is not None:
        work.hold_volatility(rules.target_volatility, volatility)
    if rules.symbol_at_most is not None:
        for symbol in work.symbols():
            work.hold_below("symbol_weight", symbol, frozenset({symbol}), rules.symbol_at_most)
    for name in sorted(rules.groups):
        group = rules.groups[name]
        work.hold_below("group_weight", name, group.symbols, group.at_most)
    return Constrained(work.targets, tuple(work.adjustments))


class _Work:
    """Targets on their way through the steps."""

    def __init__(self, targets: Mapping[str, Weights | None], allocations: Mapping[str, float], kept: Mapping[str, float]) -> None:
        self.targets = {name: None if weights is None else dict(weights) for name, weights in targets.items()}
        self.adjustments: list[Adjustment] = []
        self._names = sorted(targets)
        self._allocations = allocations
        self._kept = kept

    def symbols(self) -> list[str]:
        return sorted({symbol for weights in self.targets.values() for symbol in weights or {}})

    def refuse_shorts(self) -> None:
        for name, weights in sorted(self.targets.items()):
            for symbol, weight in sorted((weights or {}).items()):
                if weights is not None and weight < 0:
                    weights[symbol] = 0.0
                    self._note("no_short", symbol, weight, 0.0, f"{name} wanted {symbol} short; nothing is sold that is not held")

    def hold_volatility(self, target: float, volatility: Volatility) -> None:
        wanted = {symbol: self._wanted({symbol}) for symbol in self.symbols()}
        expected = volatility(self._mixed(wanted, 1.0))
        if expected is None:
            text = f"the volatility of the target cannot be computed, so it is not held to {target:.1%}"
            self._note("target_volatility", "account", 0.0, 0.0, text)
            return
        if expected <= target:
            return
        factor = self._largest_factor(wanted, target, volatility)
        self._scale(frozenset(wanted), factor)
        text = f"the target's yearly volatility of {expected:.1%} is above {target:.1%}; every weight is multiplied by {factor:.4f}"
        self._note("target_volatility", "account", expected, volatility(self._mixed(wanted, factor)) or 0.0, text)

    def _largest_factor(self, wanted: Weights, target: float, volatility: Volatility) -> float:
        """Return how much of what is wanted fits under the volatility beside what is kept; 0 when what is kept fills it already.

        The volatility is convex in the factor, so halving finds the end of the stretch that begins at 0.
        """
        low, high = 0.0, 1.0
        if (volatility(self._mixed(wanted, low)) or 0.0) > target:
            return low
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            if (volatility(self._mixed(wanted, middle)) or 0.0) <= target:
                low = middle
            else:
                high = middle
        return low

    def _mixed(self, wanted: Weights, factor: float) -> Weights:
        return {symbol: self._kept.get(symbol, 0.0) + factor * wanted.get(symbol, 0.0) for symbol in sorted({*self._kept, *wanted})}

    def hold_below(self, code: str, subject: str, symbols: frozenset[str], cap: float) -> None:
        kept = sum(self._kept.get(symbol, 0.0) for symbol in sorted(symbols))
        wanted = self._wanted(symbols)
        if wanted <= TOLERANCE or kept + wanted <= cap + TOLERANCE:
            return
        left = max(cap - kept, 0.0)
        self._scale(symbols, left / wanted)
        counted = f", {kept:.2%} of it kept by strategies that do not trade" if kept else ""
        text = f"{subject} would weigh {kept + wanted:.2%}{counted}, its cap is {cap:.2%}; the rest stays in cash"
        self._note(code, subject, kept + wanted, kept + left, text)

    def _wanted(self, symbols: frozenset[str] | set[str]) -> float:
        ordered = sorted(symbols)
        return sum(
            self._allocations[name] * weights[symbol]
            for name in self._names
            if (weights := self.targets[name]) is not None
            for symbol in ordered
            if symbol in weights
        )

    def _scale(self, symbols: frozenset[str], factor: float) -> None:
        for weights in self.targets.values():
            for symbol in symbols & (weights or {}).keys():
                if weights is not None:
                    weights[symbol] *= factor

    def _note(self, code: str, subject: str, before: float, after: float, message: str) -> None:
        self.adjustments.append(Adjustment(code=code, subject=subject, before=before, after=after, message=message))
