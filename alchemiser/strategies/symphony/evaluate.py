"""A checked tree and the numbers of one moment to target weights, with the path taken.

Only the nodes on the path that is taken are looked at, so a hole in the data of a branch that is not taken is harmless. A number that
cannot be had on the path is never replaced by another: the result is then a :class:`NotComputable` with the chain of reasons.
A node's portfolio is the mix of its children's, in the order of the file, by the same arithmetic by which
:mod:`~alchemiser.strategies.symphony.history` mixes all sessions at once: both agree to the last bit.

Where the numbers come from is the caller's: anything that answers :class:`Readings`.
"""

from collections.abc import Mapping
from typing import Literal, Protocol

from msgspec import Struct, field

from alchemiser.market.indicators import Measure
from alchemiser.strategies.outcome import NotComputable
from alchemiser.strategies.panel import PRICE
from alchemiser.strategies.symphony.choice import COMPARE, inverse_shares, rank
from alchemiser.strategies.symphony.explain import Branch, Compared, Entered, Ranked, Shared, Step, Weighed, label
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
        """Return the volatility of a node that holds ``holdings`` today: by weight the average of that of the symbols, by default."""


class Rules(Struct, frozen=True):
    """How a symphony is read where engines differ.

    By default a number that cannot be computed stops the strategy for this decision, and it keeps what it holds. The other readings exist
    so that results can be compared with engines that take an uncomputable condition for false (``else``), or leave an uncomputable
    candidate out of a filter (``drop``). The volatility of what is not an asset is by default that of what it holds today, by weight;
    ``own`` takes its own value stream.
    """

    on_condition: Literal["stop", "else"] = "stop"
    on_candidate: Literal["stop", "drop"] = "stop"
    volatility: Literal["holdings", "own"] = "holdings"


STOP = Rules()


def rules_of(on_missing: Literal["stop", "else"], volatility: Literal["holdings", "own"]) -> Rules:
    """Return the rules that the settings name."""
    return Rules(on_condition=on_missing, on_candidate="stop" if on_missing == "stop" else "drop", volatility=volatility)


class Decision(Struct, frozen=True):
    """Target weights, sorted by symbol and adding up to 1, and the path that led to them."""

    weights: Portfolio
    tree: Branch

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps that decided something, in the order in which they were taken."""
        return tuple(step for _, step in self.tree.steps() if not isinstance(step, Entered))


def decide(symphony: Symphony, readings: Readings, rules: Rules = STOP) -> Decision | NotComputable:
    """Evaluate the whole symphony and keep the path that was taken."""
    found = _Walk(symphony, readings, rules).holdings(symphony.root)
    if isinstance(found, NotComputable):
        return found
    portfolio, tree = found
    return Decision({symbol: portfolio[symbol] for symbol in sorted(portfolio)}, tree)


def portfolio_of(symphony: Symphony, node: Node, readings: Readings, rules: Rules = STOP) -> Portfolio | NotComputable:
    """Return what a node holds now; symbols come in the order in which the path reaches them."""
    found = _Walk(symphony, readings, rules).holdings(node)
    return found if isinstance(found, NotComputable) else found[0]


Parts = list[tuple[Node, float]]


class _Split(Struct):
    """A portfolio in the making: the children and their shares, and what was found of them so far."""

    share: float
    path: list[Step]
    parts: Parts
    weights: Portfolio = field(default_factory=dict)
    branches: list[Branch] = field(default_factory=list)

    @property
    def is_done(self) -> bool:
        return len(self.branches) == len(self.parts)

    @property
    def next_part(self) -> tuple[Node, float]:
        """The child that is waited for, and its share of the whole."""
        child, part = self.parts[len(self.branches)]
        return child, self.share * part

    def take(self, weights: Portfolio, branch: Branch) -> None:
        """Add the portfolio of the child that was waited for."""
        add(self.weights, self.parts[len(self.branches)][1], weights)
        self.branches.append(branch)


class _Walk:
    """One evaluation: a list of splits that are not finished takes the place of recursion."""

    def __init__(self, symphony: Symphony, readings: Readings, rules: Rules) -> None:
        self._symphony = symphony
        self._readings = readings
        self._rules = rules

    def holdings(self, root: Node) -> tuple[Portfolio, Branch] | NotComputable:
        unfinished: list[_Split] = []
        node, share = root, 1.0
        while True:
            path: list[Step] = []
            end = self._follow(node, path)
            if isinstance(end, NotComputable):
                return end
            if isinstance(end, Asset):
                weights, branch = {end.symbol: 1.0}, Branch(share, path, asset=end)
                while unfinished:
                    split = unfinished[-1]
                    split.take(weights, branch)
                    if not split.is_done:
                        break
                    unfinished.pop()
                    weights, branch = split.weights, Branch(split.share, split.path, parts=split.branches)
                else:
                    return weights, branch
            else:
                unfinished.append(_Split(share, path, end))
            node, share = unfinished[-1].next_part

    def _follow(self, node: Node, path: list[Step]) -> Asset | Parts | NotComputable:
        """Follow the tree to the symbol that is held, or to the next split; the steps on the way are added to the path."""
        while not isinstance(node, Asset):
            if isinstance(node, Group):
                path.append(Entered(self._symphony.line_of(node), node))
                node = node.child
                continue
            if isinstance(node, If):
                branch = self._branch(node, path)
                if isinstance(branch, NotComputable):
                    return branch
                node = branch
                continue
            parts = self._parts(node, path)
            if isinstance(parts, NotComputable) or len(parts) > 1:
                return parts
            if isinstance(node, WeightEqual | WeightSpecified):
                path.append(Entered(self._symphony.line_of(node), node))
            ((node, _),) = parts
        price = self._readings.of_symbol(node.symbol, PRICE)
        if isinstance(price, NotComputable):
            return price.because(f"line {self._symphony.line_of(node)}: {node.symbol} would be held")
        return node

    def _parts(self, node: WeightEqual | WeightSpecified | WeightInverseVolatility | Filter, path: list[Step]) -> Parts | NotComputable:
        """Return the children that get something and their shares of this node."""
        match node:
            case WeightEqual(children=children):
                parts = [(child, 1.0 / len(children)) for child in children]
            case WeightSpecified(shares=shares, children=children):
                parts = [(child, share) for child, share in zip(children, shares, strict=True) if share]
            case Filter():
                return self._ranked(node, path)
            case WeightInverseVolatility():
                return self._weighed(node, path)
        if len(parts) > 1:
            shared = tuple((label(self._symphony, child), share) for child, share in parts)
            path.append(Shared(self._symphony.line_of(node), node, shared))
        return parts

    # --- conditions ---

    def _branch(self, node: If, path: list[Step]) -> Node | NotComputable:
        condition = node.condition
        line = self._symphony.line_of(node)
        left, right = self._side(condition.left), self._side(condition.right)
        missing = left if isinstance(left, NotComputable) else right
        if isinstance(missing, NotComputable):
            if self._rules.on_condition == "else":
                path.append(Compared.unknown(line, node, str(missing)))
                return node.otherwise
            return missing.because(f"line {line}: {condition}")
        assert not isinstance(left, NotComputable)
        assert not isinstance(right, NotComputable)
        holds = bool(COMPARE[condition.comparator](left, right))
        path.append(Compared(line, node, left, right, holds))
        return node.then if holds else node.otherwise

    def _side(self, side: Operand) -> float | NotComputable:
        return side.value if isinstance(side, Number) else self._readings.of_symbol(side.symbol, side.measure)

    # --- filters ---

    def _ranked(self, node: Filter, path: list[Step]) -> Parts | NotComputable:
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
        names = [label(self._symphony, scored[place][0]) for place in order]
        path.append(Ranked(line, node, names, [scored[place][1] for place in order], len(kept), dropped))
        # In the order of the file, not of the ranking: that is how weights are added up.
        return [(scored[place][0], 1.0 / len(kept)) for place in sorted(kept)]

    def _score(self, child: Node, measure: Measure) -> float | NotComputable:
        if isinstance(child, Asset):
            return self._readings.of_symbol(child.symbol, measure)
        return self._readings.of_node(child, measure)

    # --- inverse volatility ---

    def _weighed(self, node: WeightInverseVolatility, path: list[Step]) -> Parts | NotComputable:
        line = self._symphony.line_of(node)
        sigmas: list[float] = []
        for child in node.children:
            holdings = portfolio_of(self._symphony, child, self._readings, self._rules)
            sigma = holdings if isinstance(holdings, NotComputable) else self._readings.volatility(child, holdings, node.measure)
            if isinstance(sigma, NotComputable):
                return sigma.because(f"line {line}: the volatility of {label(self._symphony, child)}")
            sigmas.append(sigma)
        shares = inverse_shares(sigmas)
        weighed = [(label(self._symphony, child), sigma, share) for child, sigma, share in zip(node.children, sigmas, shares, strict=True)]
        path.append(Weighed(line, node, weighed))
        return [(child, share) for child, share in zip(node.children, shares, strict=True) if share]
