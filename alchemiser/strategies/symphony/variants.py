"""Variants of one symphony: the numbers in it that can be changed, the changed tree, and all sessions of many variants at once.

A changed tree shares every node that did not change, so a sub-tree without a changed number is evaluated once for all variants. A sub-tree
that is written several times in the file is one node, and changes in all places.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec
import numpy as np

from alchemiser.domain.errors import StrategyError, UsageError
from alchemiser.market.arrays import Floats, Numbers
from alchemiser.strategies.panel import PricePanel
from alchemiser.strategies.symphony.check import check_text
from alchemiser.strategies.symphony.evaluate import Rules
from alchemiser.strategies.symphony.history import History
from alchemiser.strategies.symphony.holdings import NOTHING
from alchemiser.strategies.symphony.printer import print_symphony
from alchemiser.strategies.symphony.tree import (
    Filter,
    Group,
    If,
    Node,
    Number,
    Reading,
    Symphony,
    WeightEqual,
    WeightInverseVolatility,
    WeightSpecified,
    children_of,
    reachable,
)

KnobKind = Literal["threshold", "window", "deviations", "count", "share"]

LARGEST_WINDOW: Final = 2_000
PORTFOLIOS_AT_MOST: Final = 3_000_000
"""So many portfolios of earlier variants are remembered before the shared work is begun anew."""

_WHOLE: Final = frozenset({"window", "count"})


class Knob(msgspec.Struct, frozen=True):
    """A number of a symphony that can be changed: ``key`` names it, ``value`` is what the file says, ``text`` is for people."""

    key: str
    kind: KnobKind
    line: int
    value: float
    text: str
    node: int
    slot: tuple[str, int]

    @property
    def is_whole(self) -> bool:
        """Whether only whole numbers make sense."""
        return self.kind in _WHOLE


def knobs_of(symphony: Symphony) -> tuple[Knob, ...]:
    """Return the numbers that can be changed, in the order of the file.

    The key is ``LINE:KIND``, with a number behind it where a line has several of a kind.
    """
    live = reachable(symphony.root)
    nodes = sorted((node for node in symphony.nodes if node in live), key=lambda node: symphony.places[node.index])
    found = [(symphony.line_of(node), node, *slot) for node in nodes for slot in _slots(node)]
    counts: dict[tuple[int, str], int] = {}
    for line, _, kind, *_ in found:
        counts[line, kind] = counts.get((line, kind), 0) + 1
    seen: dict[tuple[int, str], int] = {}
    knobs = []
    for line, node, kind, slot, value in found:
        seen[line, kind] = seen.get((line, kind), 0) + 1
        ordinal = f":{seen[line, kind]}" if counts[line, kind] > 1 else ""
        knobs.append(Knob(f"{line}:{kind}{ordinal}", kind, line, value, _said(node, slot), node.index, slot))
    return tuple(knobs)


def varied(symphony: Symphony, changes: Mapping[Knob, float]) -> Symphony:
    """Return the symphony with other numbers. Raises ``UsageError`` for a number that cannot stand there.

    Only the tree is new: what the symphony says of itself, its windows and the history it needs, is that of the original until it is
    :func:`read_again`.
    """
    by_node: dict[int, dict[tuple[str, int], float]] = {}
    for knob, value in changes.items():
        by_node.setdefault(knob.node, {})[knob.slot] = _checked(knob, value)
    if not by_node:
        return symphony
    new: dict[Node, Node] = {}
    for node in symphony.nodes:
        children = tuple(new[child] for child in _all_children(node))
        changed = _changed(node, by_node.get(node.index, {}))
        if changed is node and all(child is old for child, old in zip(children, _all_children(node), strict=True)):
            new[node] = node
        else:
            new[node] = _with_children(changed, children)
    return msgspec.structs.replace(symphony, root=new[symphony.root], nodes=tuple(new[node] for node in symphony.nodes))


def read_again(symphony: Symphony) -> Symphony:
    """Return a varied symphony as it is read from its own text, with everything that is known of it."""
    return check_text(print_symphony(symphony))


class Targets(msgspec.Struct, frozen=True):
    """The target of every session: a column of ``weights`` per distinct one, ``rows`` says which, -1 for none. Symbols are the rows."""

    symbols: tuple[str, ...]
    rows: Numbers
    weights: Floats


class VariantHistory(History):
    """All sessions of a symphony and of its variants, on one panel; what they share is worked out once."""

    def __init__(self, symphony: Symphony, panel: PricePanel, rules: Rules) -> None:
        self._base = symphony
        self._begin(panel, rules)
        self._kept: frozenset[Node] = frozenset()
        self._kept = frozenset(self._learn(symphony))

    def targets(self, symphony: Symphony) -> Targets:
        """Return the targets of a variant, those of :class:`~alchemiser.strategies.symphony.history.History` to the last bit."""
        if len(self._holdings) > PORTFOLIOS_AT_MOST:
            self._begin(self._panel, self._rules)
            self._kept = frozenset(self._learn(self._base))
        fresh = self._learn(symphony)
        numbers = self._numbers[symphony.root]
        distinct, back = np.unique(numbers, return_inverse=True)
        first = 1 if len(distinct) and distinct[0] == NOTHING else 0
        symbols, weights = self._holdings.matrix(distinct[first:])
        for node in fresh:
            if node not in self._kept:
                del self._numbers[node]
                self._streams.pop(node, None)
        return Targets(tuple(symbols), back - first, weights)

    def _learn(self, symphony: Symphony) -> list[Node]:
        """Evaluate the nodes that are not known yet, and return them."""
        live = reachable(symphony.root)
        nodes = [node for node in symphony.nodes if node in live]
        fresh = [node for node in nodes if node not in self._numbers]
        ranked = self._ranked_children(nodes)
        for node in fresh:
            self._numbers[node] = self._holdings.compact(self._of(node))
            if node in ranked:
                self._streams[node] = self._stream(self._numbers[node])
        return fresh


def _slots(node: Node) -> list[tuple[KnobKind, tuple[str, int], float]]:
    """Return what can be changed of a node: its kind, where it stands, and its number."""
    match node:
        case If(condition=condition):
            found: list[tuple[KnobKind, tuple[str, int], float]] = []
            for name, side in (("left", condition.left), ("right", condition.right)):
                if isinstance(side, Number):
                    found.append(("threshold", (name, -1), side.value))
                else:
                    found += [("window", (name, place), float(window)) for place, window in enumerate(side.measure.windows)]
                    if side.measure.deviations is not None:
                        found.append(("deviations", (name, -2), side.measure.deviations))
            return found
        case Filter(measure=measure, count=count):
            windows: list[tuple[KnobKind, tuple[str, int], float]] = [
                ("window", ("measure", place), float(window)) for place, window in enumerate(measure.windows)
            ]
            return [*windows, ("count", ("count", 0), float(count))]
        case WeightInverseVolatility(window=window):
            return [("window", ("window", 0), float(window))]
        case WeightSpecified(shares=shares):
            return [("share", ("shares", place), share) for place, share in enumerate(shares)]
        case _:
            return []


def _said(node: Node, slot: tuple[str, int]) -> str:
    match node:
        case If(condition=condition):
            return str(condition)
        case WeightSpecified(children=children):
            child = children[slot[1]]
            return f"share of {getattr(child, 'symbol', getattr(child, 'name', 'a part'))}"
        case WeightInverseVolatility(window=window):
            return f"inverse volatility over {window}"
        case _:
            return str(node)


def _checked(knob: Knob, value: float) -> float:
    limits = {"window": (1, LARGEST_WINDOW), "count": (1, LARGEST_WINDOW), "share": (0, 1), "deviations": (0, 100)}
    low, high = limits.get(knob.kind, (-1e12, 1e12))
    if not low <= value <= high or (knob.is_whole and value != int(value)):
        expected = f"a whole number from {low} to {high}" if knob.is_whole else f"a number from {low:g} to {high:g}"
        raise UsageError(f"{knob.key} = {value:g}: expected {expected} ({knob.text})")
    return value


def _changed(node: Node, changes: Mapping[tuple[str, int], float]) -> Node:
    for (name, place), value in changes.items():
        node = _with(node, name, place, value)
    return node


def _with(node: Node, name: str, place: int, value: float) -> Node:
    match node:
        case If(condition=condition):
            side: Any = getattr(condition, name)
            side = Number(value) if isinstance(side, Number) else _with_measure(side, place, value)
            return msgspec.structs.replace(node, condition=msgspec.structs.replace(condition, **{name: side}))
        case Filter() if name == "count":
            if value > len(node.children):
                raise UsageError(f"a filter cannot keep {value:g} of its {len(node.children)} children")
            return msgspec.structs.replace(node, count=int(value))
        case Filter(measure=measure):
            return msgspec.structs.replace(node, measure=_with_window(measure, place, value))
        case WeightInverseVolatility():
            return msgspec.structs.replace(node, window=int(value))
        case WeightSpecified(shares=shares):
            return msgspec.structs.replace(node, shares=_with_share(shares, place, value))
    raise AssertionError("a node without numbers has no knobs")


def _with_measure(side: Reading, place: int, value: float) -> Reading:
    if place == -2:
        return msgspec.structs.replace(side, measure=msgspec.structs.replace(side.measure, deviations=value))
    return msgspec.structs.replace(side, measure=_with_window(side.measure, place, value))


def _with_window(measure: Any, place: int, value: float) -> Any:
    windows = tuple(int(value) if at == place else window for at, window in enumerate(measure.windows))
    return msgspec.structs.replace(measure, windows=windows)


def _with_share(shares: Sequence[float], place: int, value: float) -> tuple[float, ...]:
    """Return the shares with another one; the others keep their proportions and all add up to 1."""
    rest = sum(share for at, share in enumerate(shares) if at != place)
    if not rest and value != 1.0:
        raise StrategyError("the other shares are 0, so a share cannot be less than 1")
    return tuple(value if at == place else share / rest * (1.0 - value) if rest else 0.0 for at, share in enumerate(shares))


def _all_children(node: Node) -> tuple[Node, ...]:
    """Return all children, those with a share of 0 too."""
    return node.children if isinstance(node, WeightSpecified) else children_of(node)


def _with_children(node: Node, children: tuple[Node, ...]) -> Node:
    match node:
        case Group():
            return msgspec.structs.replace(node, child=children[0])
        case If():
            return msgspec.structs.replace(node, then=children[0], otherwise=children[1])
        case WeightEqual() | WeightSpecified() | WeightInverseVolatility() | Filter():
            return msgspec.structs.replace(node, children=children)
    raise AssertionError("an asset has no children and no knobs")
