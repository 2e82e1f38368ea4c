"""A symphony over all sessions of a panel at once: every distinct node once, bottom up.

A node's answer is one portfolio number per session (:mod:`~alchemiser.strategies.symphony.holdings`). A condition is one comparison of two
columns, a filter one ranking of a matrix of scores, and a group that is ranked gets its own value stream on the way: nested groups add up
and never multiply. A session's answer depends on that session and earlier ones only.

What cannot be computed on the path taken is no portfolio; why it cannot is worked out for the session asked for, by walking that one
path again (:mod:`~alchemiser.strategies.symphony.evaluate`).
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from alchemiser.market.arrays import Flags, Floats, Numbers
from alchemiser.market.indicators import Measure
from alchemiser.strategies.panel import PRICE, Column, PricePanel
from alchemiser.strategies.symphony.choice import COMPARE, best_of, inverse_shares_of, kept_of
from alchemiser.strategies.symphony.evaluate import Rules
from alchemiser.strategies.symphony.holdings import LEFT_OUT, NOTHING, Holdings, Weights
from alchemiser.strategies.symphony.stream import Stream
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
    children_of,
    reachable,
)


class History:
    """The portfolios of a symphony on every session of a panel, and the streams of the nodes that are ranked."""

    def __init__(self, symphony: Symphony, panel: PricePanel, rules: Rules) -> None:
        self._begin(panel, rules)
        self._root = self._evaluate(symphony)

    def _begin(self, panel: PricePanel, rules: Rules) -> None:
        self._panel = panel
        self._rules = rules
        self._holdings = Holdings()
        self._sorted: dict[int, Weights] = {}
        self._streams: dict[Node, Stream] = {}
        self._returns: dict[str, Column] = {}
        self._numbers: dict[Node, Numbers] = {}

    def weights(self, place: int) -> Mapping[str, float] | None:
        """Return the weights of a session by symbol in order, ``None`` when there are none."""
        number: int = self._root.item(place)
        if number == NOTHING:
            return None
        sorted_weights = self._sorted.get(number)
        if sorted_weights is None:
            weights = self._holdings.weights(number)
            sorted_weights = self._sorted[number] = dict(sorted(weights.items()))
        return sorted_weights

    def has_target(self) -> Flags:
        """Return for every session whether there is a target."""
        found: Flags = self._root != NOTHING
        return found

    def all_weights(self) -> tuple[list[str], Floats]:
        """Return symbols, and the weights of each on every session: a row per symbol, zeros where there is no target."""
        return self._holdings.matrix(self._root)

    def stream(self, node: Node) -> Stream:
        """Return the value stream of a node that a filter ranks."""
        return self._streams[node]

    def returns(self, symbol: str) -> Column:
        """Return the change of a symbol's close from each session to the next, as a fraction, at the later one."""
        column = self._returns.get(symbol)
        if column is None:
            price = self._panel.column(symbol, PRICE)
            values, known = np.zeros(len(self._panel)), np.zeros(len(self._panel), dtype=np.bool_)
            known[1:] = price.known[1:] & price.known[:-1]
            np.divide(price.values[1:], price.values[:-1], out=values[1:], where=known[1:])
            values[known] -= 1.0
            column = self._returns[symbol] = Column(values, known)
        return column

    # --- bottom up ---

    def _evaluate(self, symphony: Symphony) -> Numbers:
        if not len(self._panel):
            return np.empty(0, dtype=np.int32)
        live = reachable(symphony.root)
        nodes = [node for node in symphony.nodes if node in live]
        ranked = self._ranked_children(nodes)
        parents_left = Counter(child for node in nodes for child in set(children_of(node)))
        for node in nodes:
            self._numbers[node] = numbers = self._holdings.compact(self._of(node))
            if node in ranked:
                self._streams[node] = self._stream(numbers)
            for child in set(children_of(node)):
                # A node whose parents are all done is not needed again; a large tree would not fit otherwise.
                parents_left[child] -= 1
                if not parents_left[child]:
                    del self._numbers[child]
        return self._numbers.pop(symphony.root)

    def _ranked_children(self, nodes: Sequence[Node]) -> set[Node]:
        """Return the nodes whose own value stream somebody asks for."""
        measured = (Filter, WeightInverseVolatility) if self._rules.volatility == "own" else (Filter,)
        return {child for node in nodes if isinstance(node, measured) for child in node.children if not isinstance(child, Asset)}

    def _of(self, node: Node) -> Numbers:
        match node:
            case Asset(symbol=symbol):
                number = self._holdings.of_asset(symbol)
                known = self._panel.column(symbol, PRICE).known
                if known.all():
                    return np.full(len(known), number, dtype=np.int32)
                return np.where(known, np.int32(number), np.int16(NOTHING))
            case Group(child=child):
                return self._numbers[child]
            case If():
                return self._branches(node)
            case WeightEqual(children=children):
                return self._shared(children, (1.0 / len(children),) * len(children))
            case WeightSpecified(shares=shares, children=children):
                used = [(child, share) for child, share in zip(children, shares, strict=True) if share]
                return self._shared([child for child, _ in used], tuple(share for _, share in used))
            case Filter():
                return self._ranked(node)
            case WeightInverseVolatility():
                return self._weighed(node)

    def _shared(self, children: Sequence[Node], shares: tuple[float, ...]) -> Numbers:
        parts = [self._numbers[child] for child in children]
        return parts[0] if len(parts) == 1 else self._holdings.mixed(parts, shares)

    def _branches(self, node: If) -> Numbers:
        condition = node.condition
        left, right = self._side(condition.left), self._side(condition.right)
        known = left.known & right.known
        holds = COMPARE[condition.comparator](left.values, right.values) & known
        numbers = np.where(holds, self._numbers[node.then], self._numbers[node.otherwise])
        return np.where(known, numbers, np.int16(NOTHING)) if self._rules.on_condition == "stop" else numbers

    def _side(self, side: Operand) -> Column:
        if isinstance(side, Number):
            return Column(np.array([side.value]), np.array([True]))
        return self._panel.column(side.symbol, side.measure)

    def _ranked(self, node: Filter) -> Numbers:
        scores, known = self._scores(node)
        parts = np.array([self._numbers[child] for child in node.children])
        largest_first = node.select == "top"
        if node.count == 1:
            best = best_of(scores, known, largest_first=largest_first)
            numbers: Numbers = np.take_along_axis(parts, best[None, :], axis=0)[0]
        else:
            kept = kept_of(scores, known, node.count, largest_first=largest_first)
            numbers = self._holdings.mixed(list(np.where(kept, parts, np.int16(LEFT_OUT))))
        enough = known.any(axis=0) if self._rules.on_candidate == "drop" else known.all(axis=0)
        return np.where(enough, numbers, np.int16(NOTHING))

    def _measured(self, node: Filter | WeightInverseVolatility, measure: Measure) -> list[Column]:
        """Return a measure of each child: of an asset's prices, of any other child's own stream."""
        return [
            self._panel.column(child.symbol, measure) if isinstance(child, Asset) else self._streams[child].column(measure)
            for child in node.children
        ]

    def _scores(self, node: Filter) -> tuple[Floats, Flags]:
        columns = self._measured(node, node.measure)
        return np.array([column.values for column in columns]), np.array([column.known for column in columns])

    def _weighed(self, node: WeightInverseVolatility) -> Numbers:
        parts = [self._numbers[child] for child in node.children]
        if self._rules.volatility == "own":
            sigmas = self._measured(node, node.measure)
        else:
            sigmas = [self._volatility(child, part, node.measure) for child, part in zip(node.children, parts, strict=True)]
        known = np.ones(len(self._panel), dtype=np.bool_)
        for part, sigma in zip(parts, sigmas, strict=True):
            known &= sigma.known & (part != NOTHING)
        shares = inverse_shares_of(np.where(known, np.array([sigma.values for sigma in sigmas]), 1.0))
        numbers = np.full(len(self._panel), NOTHING, dtype=np.int32)
        chosen = np.flatnonzero(known)
        numbers[chosen] = self._holdings.block(np.array(parts), chosen, shares)
        return numbers

    def _volatility(self, child: Node, held: Numbers, measure: Measure) -> Column:
        """Return the average volatility of what a child holds, by weight: of an asset it is its own."""
        if isinstance(child, Asset):
            return self._panel.column(child.symbol, measure)
        return self._holdings.average(held, lambda symbol: self._panel.column(symbol, measure))

    def _stream(self, numbers: Numbers) -> Stream:
        before = np.concatenate((np.array([NOTHING], dtype=np.int32), numbers[:-1]))
        last = int(numbers[-1])
        return Stream(self._holdings.average(before, self.returns), None if last == NOTHING else self._holdings.weights(last))
