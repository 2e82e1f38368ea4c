"""The checked tree of a symphony: immutable, and hash-consed so that equal sub-trees are one node.

Exported symphonies repeat themselves thousands of times; here each distinct sub-tree exists once per symphony, so what is computed of
a node can be kept under the node itself. Nodes compare by identity for that reason, and because comparing deep trees field by field
would recurse; their printed form leaves out the children. ``index`` is a node's place in ``Symphony.nodes``, where children always
stand before their parents.
"""

from typing import Literal

from msgspec import Struct

from alchemiser.domain.rebalancing import Header
from alchemiser.market.indicators import Measure
from alchemiser.strategies.symphony.reader import Source


class Number(Struct, frozen=True):
    """A constant side of a comparison."""

    value: float

    def __str__(self) -> str:
        return f"{self.value:g}"


class Reading(Struct, frozen=True):
    """An indicator of a symbol as a side of a comparison."""

    measure: Measure
    symbol: str

    def __str__(self) -> str:
        return self.measure.of(self.symbol)


Operand = Number | Reading
Comparator = Literal[">", "<", ">=", "<=", "="]


class Condition(Struct, frozen=True):
    """A comparison of two operands, strict or not exactly as written, without tolerance."""

    comparator: Comparator
    left: Operand
    right: Operand

    def __str__(self) -> str:
        return f"{self.left} {self.comparator} {self.right}"


_CHILDREN = frozenset({"child", "children", "then", "otherwise"})


class _TreeNode(Struct, frozen=True, eq=False):
    """A node: compared by identity, and printed without its children, which may be hundreds of levels deep."""

    index: int

    def __repr__(self) -> str:
        said = (f"{name}={getattr(self, name)!r}" for name in self.__struct_fields__ if name not in _CHILDREN)
        return f"{type(self).__name__}({', '.join(said)})"


class Asset(_TreeNode, frozen=True, eq=False):
    """All of the weight in one symbol."""

    symbol: str


class Group(_TreeNode, frozen=True, eq=False):
    """A name around one child; the name is for people and need not be unique."""

    name: str
    child: "Node"


class WeightEqual(_TreeNode, frozen=True, eq=False):
    """Each child gets the same share."""

    children: tuple["Node", ...]


class WeightSpecified(_TreeNode, frozen=True, eq=False):
    """Each child gets its stated share; the shares add up to 1, and a child with share 0 is never evaluated."""

    shares: tuple[float, ...]
    children: tuple["Node", ...]


class WeightInverseVolatility(_TreeNode, frozen=True, eq=False):
    """Each child gets a share proportional to one over the volatility of what it holds today."""

    window: int
    children: tuple["Node", ...]

    @property
    def measure(self) -> Measure:
        """The volatility asked of each symbol held."""
        return Measure("stdev-return", (self.window,))


class If(_TreeNode, frozen=True, eq=False):
    """One of two children, as the condition says."""

    condition: Condition
    then: "Node"
    otherwise: "Node"


class Filter(_TreeNode, frozen=True, eq=False):
    """The ``count`` children with the largest (``top``) or smallest (``bottom``) measure, equal shares among them."""

    measure: Measure
    select: Literal["top", "bottom"]
    count: int
    children: tuple["Node", ...]

    def __str__(self) -> str:
        return f"{self.select} {self.count} by {self.measure}"


Node = Asset | Group | WeightEqual | WeightSpecified | WeightInverseVolatility | If | Filter


def children_of(node: Node) -> tuple[Node, ...]:
    """Return the children that may ever be evaluated, in source order."""
    match node:
        case Asset():
            return ()
        case Group(child=child):
            return (child,)
        case If(then=then, otherwise=otherwise):
            return (then, otherwise)
        case WeightSpecified(shares=shares, children=children):
            return tuple(child for share, child in zip(shares, children, strict=True) if share)
        case _:
            return node.children


def reachable(root: Node) -> set[Node]:
    """Return the nodes that may ever be evaluated. For membership only: a set of nodes has no repeatable order."""
    reached = {root}
    waiting = [root]
    while waiting:
        for child in children_of(waiting.pop()):
            if child not in reached:
                reached.add(child)
                waiting.append(child)
    return reached


class CheckWarning(Struct, frozen=True):
    """Something odd in a file that does not stop it from being traded as written."""

    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}: {self.message}"


class Symphony(Struct, frozen=True, eq=False):
    """A checked symphony and what can be known of it without prices.

    ``symbols_watched`` are only looked at and never held. ``bars_needed`` closes give every number of the tree a value;
    with ``bars_settled`` closes also the starts of its smoothed averages have lost their influence. ``ranks_groups`` says that a filter
    ranks something that is not an asset, so that past decisions are needed for today's. ``depth`` is the nesting of brackets in the file.
    """

    name: str
    header: Header
    root: Node
    nodes: tuple[Node, ...]
    source: Source
    places: tuple[int, ...]
    symbols_held: tuple[str, ...]
    symbols_watched: tuple[str, ...]
    longest_window: int
    bars_needed: int
    bars_settled: int
    depth: int
    ranks_groups: bool
    warnings: tuple[CheckWarning, ...]

    @property
    def symbols(self) -> tuple[str, ...]:
        """Every symbol whose prices are needed, sorted."""
        return tuple(sorted((*self.symbols_held, *self.symbols_watched)))

    def line_of(self, node: Node) -> int:
        """Return the line of the file where the node is written first."""
        return self.source.line_and_column(self.places[node.index])[0]
