"""The slow, obvious reading of a symphony: one node, one day, from the definitions, with recursion and nothing shared but a memory.

It is what the fast evaluation is compared with, bit for bit. Only the indicators are those of the house, each asked for the bars up to the
day and no more; they are checked against an independent library elsewhere.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from alchemiser.market.indicators import Measure, tail
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

Closes = Sequence[float | None]
Weights = dict[str, float]


class SlowInterpreter:
    """Decides a symphony on closes by symbol, one per session, ``None`` where a symbol has none."""

    def __init__(self, symphony: Symphony, closes: Mapping[str, Closes], *, own_volatility: bool = False) -> None:
        self._own_volatility = own_volatility
        self._root = symphony.root
        self._closes = closes
        self._held: dict[tuple[Node, int], Weights | None] = {}
        self._streams: dict[Node, tuple[list[float], list[int]]] = {}
        self._measured: dict[tuple[str, Measure, int], float | None] = {}

    def target(self, day: int) -> Weights | None:
        """Return the weights of a day, ``None`` when they cannot be computed."""
        return self.held(self._root, day)

    def held(self, node: Node, day: int) -> Weights | None:
        key = (node, day)
        if key not in self._held:
            self._held[key] = self._hold(node, day)
        return self._held[key]

    def _hold(self, node: Node, day: int) -> Weights | None:
        match node:
            case Asset(symbol=symbol):
                return {symbol: 1.0} if self.close(symbol, day) is not None else None
            case Group(child=child):
                return self.held(child, day)
            case If():
                left, right = self.side(node.condition.left, day), self.side(node.condition.right, day)
                if left is None or right is None:
                    return None
                outcomes = {">": left > right, "<": left < right, ">=": left >= right, "<=": left <= right, "=": left == right}
                return self.held(node.then if outcomes[node.condition.comparator] else node.otherwise, day)
            case WeightEqual(children=children):
                return self.mix([(child, 1.0 / len(children)) for child in children], day)
            case WeightSpecified(shares=shares, children=children):
                return self.mix([(child, share) for child, share in zip(children, shares, strict=True) if share > 0], day)
            case Filter():
                return self.filtered(node, day)
            case WeightInverseVolatility():
                return self.weighed(node, day)

    def mix(self, parts: Sequence[tuple[Node, float]], day: int) -> Weights | None:
        total: Weights = {}
        for child, share in parts:
            held = self.held(child, day)
            if held is None:
                return None
            for symbol, weight in held.items():
                total[symbol] = total.get(symbol, 0.0) + share * weight
        return total

    def filtered(self, node: Filter, day: int) -> Weights | None:
        scores: list[float] = []
        for child in node.children:
            if isinstance(child, Asset):
                score = self.measure(child.symbol, node.measure, day)
            else:
                values = tail(node.measure, np.array(self.values(child, day)))
                score = float(values[-1]) if len(values) else None
            if score is None:
                return None
            scores.append(score)
        left = list(range(len(scores)))
        kept: list[int] = []
        while left and len(kept) < node.count:
            best = (max if node.select == "top" else min)(scores[place] for place in left)
            ties = [place for place in left if abs(scores[place] - best) <= 1e-9 * max(abs(scores[place]), abs(best))]
            kept += ties[: node.count - len(kept)]
            left = [place for place in left if place not in ties]
        return self.mix([(node.children[place], 1.0 / len(kept)) for place in sorted(kept)], day)

    def weighed(self, node: WeightInverseVolatility, day: int) -> Weights | None:
        sigmas: list[float] = []
        for child in node.children:
            held = self.held(child, day)
            if held is None:
                return None
            if self._own_volatility and not isinstance(child, Asset):
                values = tail(Measure("stdev-return", (node.window,)), np.array(self.values(child, day)))
                if not len(values):
                    return None
                sigmas.append(float(values[-1]))
                continue
            sigma = 0.0
            for symbol, weight in held.items():
                one = self.measure(symbol, Measure("stdev-return", (node.window,)), day)
                if one is None:
                    return None
                sigma += weight * one
            sigmas.append(sigma)
        still = [sigma == 0 for sigma in sigmas]
        if any(still):
            return self.mix([(child, 1.0 / sum(still)) for child, is_still in zip(node.children, still, strict=True) if is_still], day)
        total = 0.0
        for sigma in sigmas:
            total += 1.0 / sigma
        return self.mix([(child, 1.0 / sigma / total) for child, sigma in zip(node.children, sigmas, strict=True)], day)

    def values(self, node: Node, day: int) -> list[float]:
        """Return the value stream of a node from its last new beginning up to a day."""
        values, starts = self._streams.setdefault(node, ([], []))
        for known in range(len(values), day + 1):
            earned = self.earned(node, known)
            values.append(1.0 if earned is None else values[-1] * (1.0 + earned))
            starts.append(known if earned is None else starts[-1])
        return values[starts[day] : day + 1]

    def earned(self, node: Node, day: int) -> float | None:
        held = self.held(node, day - 1) if day > 0 else None
        if held is None:
            return None
        total = 0.0
        for symbol, weight in held.items():
            before, after = self.close(symbol, day - 1), self.close(symbol, day)
            if before is None or after is None:
                return None
            total += weight * (after / before - 1.0)
        return total

    def side(self, side: Operand, day: int) -> float | None:
        return side.value if isinstance(side, Number) else self.measure(side.symbol, side.measure, day)

    def measure(self, symbol: str, measure: Measure, day: int) -> float | None:
        key = (symbol, measure, day)
        if key not in self._measured:
            own = [close for close in self._closes.get(symbol, ())[: day + 1] if close is not None]
            values = tail(measure, np.array(own))
            self._measured[key] = float(values[-1]) if len(values) and self.close(symbol, day) is not None else None
        return self._measured[key]

    def close(self, symbol: str, day: int) -> float | None:
        closes = self._closes.get(symbol, ())
        return closes[day] if day < len(closes) else None
