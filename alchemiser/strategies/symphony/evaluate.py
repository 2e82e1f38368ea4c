"""A checked tree and the numbers of one moment to target weights, with the path taken.

Only the nodes on the path that is taken are looked at, so a hole in the data of a branch that is not taken is harmless. A number that
cannot be had on the path is never replaced by another: the result is then a :class:`NotComputable` with the chain of reasons.
A node's portfolio is the mix of its children's, in the order of the file, by the same arithmetic by which
:mod:`~alchemiser.strategies.symphony.history` mixes all sessions at once: both agree to the last bit.

Where the numbers come from is the caller's: anything that answers :class:`Readings`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from alchemiser.market.indicators import Measure
from alchemiser.strategies.outcome import NotComputable
from alchemiser.strategies.panel import PRICE
from alchemiser.strategies.symphony.choice import COMPARE, inverse_shares, is_tie, rank
from alchemiser.strategies.symphony.explain import Compared, Ranked, Shared, Step, Weighed, label
from alchemiser.strategies.symphony.holdings import Weights, add
from alchemiser.strategies.symphony.tree import (
    Asset,
    Filter,
    Group,
    If,
    Node,
    Number,
    Operand,
    Symphony,
    WeightEqual,
    WeightInverseVolatility,
    WeightSpecified,
)

Portfolio = Weights


class Readings(Protocol):
    """The numbers of one decision."""

    def of_symbol(self, symbol: str, measure: Measure) -> float | NotComputable:
        """Return a measure of a symbol's adjusted closes, the live price last."""

    def of_node(self, node: Node, measure: Measure) -> float | NotComputable:
        """Return a measure of a node's own value stream: what one would have earned by holding it day after day."""

    def volatility(self, node: Node, holdings: Mapping[str, float], measure: Measure) -> float | NotComputable:
        """Return the volatility of a node that holds ``holdings`` today: by weight the average of that of the symbols."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What to do about a number that cannot be computed.

    By default the strategy stops for this decision and keeps what it holds. The other readings exist so that results can be compared with
    engines that take an uncomputable condition for false (``else``), or leave an uncomputable candidate out of a filter (``drop``).
    """

    on_condition: Literal["stop", "else"] = "stop"
    on_candidate: Literal["stop", "drop"] = "stop"


STOP = Rules()


@dataclass(frozen=True, slots=True)
class Decision:
    """Target weights, sorted by symbol and adding up to 1, and the steps that led to them."""

    weights: Portfolio
    steps: tuple[Step, ...]


def decide(symphony: Symphony, readings: Readings, rules: Rules = STOP) -> Decision | NotComputable:
    """Evaluate the whole symphony and keep the path that was taken."""
    steps: list[Step] = []
    portfolio = portfolio_of(symphony, symphony.root, readings, rules, steps)
    if isinstance(portfolio, NotComputable):
        return portfolio
    return Decision({symbol: portfolio[symbol] for symbol in sorted(portfolio)}, tuple(steps))


def portfolio_of(
    symphony: Symphony, node: Node, readings: Readings, rules: Rules = STOP, steps: list[Step] | None = None
) -> Portfolio | NotComputable:
    """Return what a node holds now; symbols come in the order in which the path reaches them. Steps are added when a list is given."""
    return _Walk(symphony, readings, rules, steps).portfolio(node)


@dataclass(slots=True)
class _Mix:
    """A portfolio in the making: the children and their shares, how many of them were added, and what they add up to so far."""

    parts: Sequence[tuple[Node, float]]
    level: int
    done: int = 0
    weights: Portfolio = field(default_factory=dict)

    @property
    def next_child(self) -> Node:
        return self.parts[self.done][0]

    def take(self, weights: Portfolio) -> bool:
        """Add the portfolio of the child that was waited for; return whether another one follows."""
        share = self.parts[self.done][1]
        if len(self.parts) == 1 and share == 1.0:
            self.weights = weights
        else:
            add(self.weights, share, weights)
        self.done += 1
        return self.done < len(self.parts)


class _Walk:
    """One evaluation: a list of nodes still to be visited takes the place of recursion."""

    def __init__(self, symphony: Symphony, readings: Readings, rules: Rules, steps: list[Step] | None) -> None:
        self._symphony = symphony
        self._readings = readings
        self._rules = rules
        self._steps = steps

    def portfolio(self, root: Node) -> Portfolio | NotComputable:
        unfinished: list[_Mix] = []
        node, level = root, 0
        while True:
            found = self._resolved(node, level)
            if isinstance(found, NotComputable):
                return found
            if isinstance(found, Asset):
                weights = {found.symbol: 1.0}
                while unfinished and not unfinished[-1].take(weights):
                    weights = unfinished.pop().weights
                if not unfinished:
                    return weights
            else:
                parts = self._parts(found, level)
                if isinstance(parts, NotComputable):
                    return parts
                unfinished.append(_Mix(parts, level if len(parts) == 1 else level + 1))
            node, level = unfinished[-1].next_child, unfinished[-1].level

    def _resolved(self, node: Node, level: int) -> Node | NotComputable:
        """Return the node behind groups and conditions; of an asset, that it has a price is certain then."""
        while isinstance(node, If | Group):
            if isinstance(node, Group):
                node = node.child
                continue
            branch = self._branch(node, level)
            if isinstance(branch, NotComputable):
                return branch
            node = branch
        if isinstance(node, Asset):
            price = self._readings.of_symbol(node.symbol, PRICE)
            if isinstance(price, NotComputable):
                return price.because(f"line {self._symphony.line_of(node)}: {node.symbol} would be held")
        return node

    def _parts(self, node: Node, level: int) -> list[tuple[Node, float]] | NotComputable:
        """Return the children that get something and their shares of this node."""
        match node:
            case WeightEqual(children=children):
                parts = [(child, 1.0 / len(children)) for child in children]
            case WeightSpecified(shares=shares, children=children):
                parts = [(child, share) for child, share in zip(children, shares, strict=True) if share]
            case Filter():
                return self._ranked(node, level)
            case WeightInverseVolatility():
                return self._weighed(node, level)
            case _:
                raise AssertionError(f"{type(node).__name__} is resolved by the walk itself")
        if self._steps is not None and len(parts) > 1:
            shared = tuple((label(self._symphony, child), share) for child, share in parts)
            self._steps.append(Shared(level, self._symphony.line_of(node), shared))
        return parts

    # --- conditions ---

    def _branch(self, node: If, level: int) -> Node | NotComputable:
        condition = node.condition
        line = self._symphony.line_of(node)
        left, right = self._side(condition.left), self._side(condition.right)
        missing = left if isinstance(left, NotComputable) else right
        if isinstance(missing, NotComputable):
            if self._rules.on_condition == "else":
                self._note(Compared.unknown(level, line, condition, str(missing)))
                return node.otherwise
            return missing.because(f"line {line}: {condition}")
        assert not isinstance(left, NotComputable)
        assert not isinstance(right, NotComputable)
        holds = bool(COMPARE[condition.comparator](left, right))
        if self._steps is not None:
            self._steps.append(Compared(level, line, condition, left, right, holds))
        return node.then if holds else node.otherwise

    def _side(self, side: Operand) -> float | NotComputable:
        return side.value if isinstance(side, Number) else self._readings.of_symbol(side.symbol, side.measure)

    # --- filters ---

    def _ranked(self, node: Filter, level: int) -> list[tuple[Node, float]] | NotComputable:
        line = self._symphony.line_of(node)
        scored: list[tuple[Node, float]] = []
        dropped: list[tuple[str, str]] = []
        for child in node.children:
            score = self._score(child, node.measure)
            if not isinstance(score, NotComputable):
                scored.append((child, score))
            elif self._rules.on_candidate == "drop":
                dropped.append((label(self._symphony, child), str(score)))
            else:
                return score.because(f"line {line}: {node} ranks {label(self._symphony, child)}")
        if not scored:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in dropped)
            return NotComputable((f"line {line}: {node} has no candidate left", reasons))
        order = rank([score for _, score in scored], largest_first=node.select == "top")
        kept = order[: node.count]
        if self._steps is not None:
            names = [label(self._symphony, scored[place][0]) for place in order]
            scores = [scored[place][1] for place in order]
            is_tie_at_cut = len(kept) < len(scores) and is_tie(scores[len(kept) - 1], scores[len(kept)])
            self._steps.append(Ranked(level, line, node, names, scores, len(kept), is_tie_at_cut, dropped))
        # In the order of the file, not of the ranking: that is how weights are added up.
        return [(scored[place][0], 1.0 / len(kept)) for place in sorted(kept)]

    def _score(self, child: Node, measure: Measure) -> float | NotComputable:
        if isinstance(child, Asset):
            return self._readings.of_symbol(child.symbol, measure)
        return self._readings.of_node(child, measure)

    # --- inverse volatility ---

    def _weighed(self, node: WeightInverseVolatility, level: int) -> list[tuple[Node, float]] | NotComputable:
        line = self._symphony.line_of(node)
        sigmas: list[float] = []
        for child in node.children:
            holdings = portfolio_of(self._symphony, child, self._readings, self._rules)
            sigma = holdings if isinstance(holdings, NotComputable) else self._readings.volatility(child, holdings, node.measure)
            if isinstance(sigma, NotComputable):
                return sigma.because(f"line {line}: the volatility of {label(self._symphony, child)}")
            sigmas.append(sigma)
        shares = inverse_shares(sigmas)
        if self._steps is not None:
            weighed = [
                (label(self._symphony, child), sigma, share) for child, sigma, share in zip(node.children, sigmas, shares, strict=True)
            ]
            self._steps.append(Weighed(level, line, node.measure, weighed))
        return [(child, share) for child, share in zip(node.children, shares, strict=True) if share]

    def _note(self, step: Step) -> None:
        if self._steps is not None:
            self._steps.append(step)
