"""What a tree says of itself without prices: symbols, windows, the history it needs, and what is odd about it.

Everything is computed bottom up over the list of nodes, where children stand before their parents: no recursion, and each distinct
node once.
"""

from collections.abc import Iterable, Sequence
from itertools import chain

from msgspec import Struct

from alchemiser.market.indicators import Measure
from alchemiser.strategies.symphony.reachability import fixed_conditions
from alchemiser.strategies.symphony.tree import (
    Asset,
    Condition,
    Filter,
    If,
    Node,
    Reading,
    WeightInverseVolatility,
    WeightSpecified,
    children_of,
    reachable,
)

MAX_NESTED_EVALUATIONS = 32
"""Groups ranked inside groups that are ranked themselves, and so on: each costs an evaluation inside an evaluation. Published
symphonies go three deep."""


class Facts(Struct, frozen=True):
    """The facts of a tree; ``oddities`` are for people, each with the node it is about."""

    symbols_held: tuple[str, ...]
    symbols_watched: tuple[str, ...]
    longest_window: int
    bars_needed: int
    bars_settled: int
    nested_evaluations: int
    ranks_groups: bool
    oddities: tuple[tuple[Node, str], ...]


def facts_of(root: Node, nodes: Sequence[Node]) -> Facts:
    """Return the facts of the tree under ``root``; ``nodes`` lists children before their parents."""
    live = reachable(root)
    reached = [node for node in nodes if node in live]
    held = {node.symbol for node in reached if isinstance(node, Asset)}
    looked_at = {reading.symbol for node in reached if isinstance(node, If) for reading in _readings(node.condition)}
    needed: dict[Node, int] = {}
    settled: dict[Node, int] = {}
    nested: dict[Node, int] = {}
    for node in reached:
        needed[node] = _bars(node, needed, settled=False)
        settled[node] = _bars(node, settled, settled=True)
        nested[node] = max((nested[child] + _evaluates(node, child) for child in children_of(node)), default=0)
    return Facts(
        symbols_held=tuple(sorted(held)),
        symbols_watched=tuple(sorted(looked_at - held)),
        longest_window=max(chain((1,), (measure.longest_window for node in reached for measure in _measures(node)))),
        bars_needed=needed[root],
        bars_settled=settled[root],
        nested_evaluations=nested[root],
        ranks_groups=any(_ranks_group(node, child) for node in reached for child in children_of(node)),
        oddities=_in_order([*fixed_conditions(root, reached), *((node, oddity) for node in reached for oddity in _oddities(node))]),
    )


def _in_order(oddities: Iterable[tuple[Node, str]]) -> tuple[tuple[Node, str], ...]:
    return tuple(sorted(oddities, key=lambda oddity: oddity[0].index))


def _readings(condition: Condition) -> list[Reading]:
    return [side for side in (condition.left, condition.right) if isinstance(side, Reading)]


def _measures(node: Node) -> list[Measure]:
    match node:
        case If(condition=condition):
            return [reading.measure for reading in _readings(condition)]
        case Filter(measure=measure):
            return [measure]
        case WeightInverseVolatility():
            return [node.measure]
        case _:
            return []


def _bars(node: Node, of_child: dict[Node, int], *, settled: bool) -> int:
    """Return the closes needed up to a decision of ``node``.

    A ranked group is also decided on the days before, once per bar it must show.
    """
    own = max((measure.bars_settled if settled else measure.bars_needed for measure in _measures(node)), default=1)
    needs = [own]
    for child in children_of(node):
        past_decisions = own - 1 if _ranks_group(node, child) else 0
        needs.append(of_child[child] + past_decisions)
    return max(needs)


def _ranks_group(node: Node, child: Node) -> bool:
    """Return whether a filter needs the child's own history."""
    return isinstance(node, Filter) and not isinstance(child, Asset)


def _evaluates(node: Node, child: Node) -> bool:
    """Return whether deciding ``node`` needs the whole portfolio of the child: to rank it, or to know how volatile it is."""
    return isinstance(node, Filter | WeightInverseVolatility) and not isinstance(child, Asset)


def _oddities(node: Node) -> list[str]:
    match node:
        case Filter(children=children, count=count):
            odd = []
            if count >= len(children):
                odd.append(f"the filter keeps {count} of {len(children)} children: it keeps everything")
            if len(set(children)) < len(children):
                odd.append("a child is listed twice in the filter; it is ranked twice")
            return odd
        case WeightSpecified(shares=shares) if not all(shares):
            return ["a child with weight 0 is never used"]
        case _:
            return []
