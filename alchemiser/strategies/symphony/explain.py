"""The path of a decision: each condition with the numbers on both sides, each ranking, each volatility, every tie, and how close it was.

A decision is a tree of :class:`Branch`: the steps passed on the way, and then either the symbol that is held or a split with the branches
that got something. Steps are values with the raw numbers. :func:`lines_of` puts a tree into sentences for the journal, the log and the
terminal, indented by how often the weight was split; :meth:`Branch.plain` into what JSON can say.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import Struct

from alchemiser.market.indicators import Measure
from alchemiser.strategies.symphony.choice import is_tie
from alchemiser.strategies.symphony.tree import (
    Asset,
    Condition,
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
)

Plain = dict[str, Any]

FRAGILE_POINTS = 2.0
"""Sides up to 100 that are closer than this make a decision fragile; above 100 it is half a percent."""
FRAGILE_PART = 0.005


class Compared(Struct, frozen=True):
    """A condition and the numbers it compared; ``missing`` says why it could not be computed and was taken for false."""

    line: int
    node: If
    left: float
    right: float
    holds: bool
    missing: str | None = None

    @classmethod
    def unknown(cls, line: int, node: If, missing: str) -> "Compared":
        """Return the step of a condition that could not be computed and was taken for false."""
        return cls(line, node, left=0.0, right=0.0, holds=False, missing=missing)

    @property
    def condition(self) -> Condition:
        """The comparison."""
        return self.node.condition

    @property
    def margin(self) -> float:
        """How far apart the sides are: what a number must move for the outcome to change."""
        return abs(self.left - self.right)

    @property
    def is_fragile(self) -> bool:
        """Whether the sides are so close that a small move of a price would have changed the outcome."""
        if self.missing is not None:
            return False
        largest = max(abs(self.left), abs(self.right))
        return self.margin < (FRAGILE_POINTS if largest <= 100.0 else FRAGILE_PART * largest)

    def __str__(self) -> str:
        if self.missing is not None:
            return f"{self.condition}: taken for no, because {self.missing}"
        left, right = _side(self.condition.left, self.left), _side(self.condition.right, self.right)
        return f"{left} {self.condition.comparator} {right}: {'yes' if self.holds else 'no'}{', closely' if self.is_fragile else ''}"

    def plain(self) -> Plain:
        """Return the step as JSON can say it."""
        numbers = {"left": self.left, "right": self.right, "margin": self.margin} if self.missing is None else {"missing": self.missing}
        return {"kind": "condition", "condition": str(self.condition), "holds": self.holds, "is_fragile": self.is_fragile, **numbers}


class Ranked(Struct, frozen=True):
    """A filter: its candidates from best to worst, how many of them were kept, and those that had no score."""

    line: int
    node: Filter
    names: Sequence[str]
    scores: Sequence[float]
    kept: int
    dropped: Sequence[tuple[str, str]]

    @property
    def margin(self) -> float | None:
        """How far the last candidate that was kept is from the first that was not; ``None`` when all were kept."""
        return abs(self.scores[self.kept - 1] - self.scores[self.kept]) if self.kept < len(self.scores) else None

    @property
    def is_tie_at_cut(self) -> bool:
        """Whether the order of the file, and not the scores, decided who was kept."""
        return self.kept < len(self.scores) and is_tie(self.scores[self.kept - 1], self.scores[self.kept])

    @property
    def is_fragile(self) -> bool:
        """Whether the scores on both sides of the cut differ by no more than half a percent."""
        if self.margin is None:
            return False
        return self.is_tie_at_cut or self.margin < FRAGILE_PART * max(abs(self.scores[self.kept - 1]), abs(self.scores[self.kept]))

    def __str__(self) -> str:
        ranking = ", ".join(f"{name} {_number(score)}" for name, score in zip(self.names, self.scores, strict=True))
        text = f"{self.node} of {ranking}: {', '.join(self.names[: self.kept])}"
        if self.is_tie_at_cut:
            text += " (a tie, broken by the order in the file)"
        elif self.is_fragile:
            text += ", closely"
        for name, reason in self.dropped:
            text += f"; left out {name}, because {reason}"
        return text

    def plain(self) -> Plain:
        """Return the step as JSON can say it."""
        candidates = [
            {"name": name, "score": score, "is_kept": place < self.kept}
            for place, (name, score) in enumerate(zip(self.names, self.scores, strict=True))
        ]
        found: Plain = {"kind": "filter", "filter": str(self.node), "candidates": candidates, "margin": self.margin}
        if self.dropped:
            found["dropped"] = [{"name": name, "reason": reason} for name, reason in self.dropped]
        return found | {"is_tie": self.is_tie_at_cut, "is_fragile": self.is_fragile}


class Weighed(Struct, frozen=True):
    """An inverse volatility weighting: each child with its volatility and its share."""

    line: int
    node: WeightInverseVolatility
    shares: Sequence[tuple[str, float, float]]

    @property
    def measure(self) -> Measure:
        """The volatility that was asked of each symbol held."""
        return self.node.measure

    @property
    def is_fragile(self) -> bool:
        """Never: shares move with the volatilities and do not jump."""
        return False

    def __str__(self) -> str:
        shares = ", ".join(f"{name} {_percent(share)} (volatility {_number(sigma)})" for name, sigma, share in self.shares)
        return f"inverse volatility by {self.measure}: {shares}"

    def plain(self) -> Plain:
        """Return the step as JSON can say it."""
        shares = [{"name": name, "volatility": sigma, "share": share} for name, sigma, share in self.shares]
        return {"kind": "inverse-volatility", "measure": str(self.measure), "shares": shares}


class Shared(Struct, frozen=True):
    """Fixed shares of several children."""

    line: int
    node: WeightEqual | WeightSpecified
    shares: Sequence[tuple[str, float]]

    @property
    def is_fragile(self) -> bool:
        """Never: the file says what everybody gets."""
        return False

    def __str__(self) -> str:
        return "split: " + ", ".join(f"{name} {_percent(share)}" for name, share in self.shares)

    def plain(self) -> Plain:
        """Return the step as JSON can say it."""
        return {"kind": "split", "shares": [{"name": name, "share": share} for name, share in self.shares]}


class Entered(Struct, frozen=True):
    """A group on the way, or weights that have one child only."""

    line: int
    node: Group | WeightEqual | WeightSpecified

    @property
    def is_fragile(self) -> bool:
        """Never: there was nothing to decide."""
        return False

    def __str__(self) -> str:
        return f'group "{self.node.name}"' if isinstance(self.node, Group) else "everything to the only child"

    def plain(self) -> Plain:
        """Return the step as JSON can say it."""
        return {"kind": "group", "name": self.node.name} if isinstance(self.node, Group) else {"kind": "only-child"}


Step = Compared | Ranked | Weighed | Shared | Entered


class Branch(Struct, frozen=True):
    """A part of a decision: its share of the whole, the steps on the way, and what they end in.

    It ends in ``asset``, or in a last step that splits the weight among ``parts``.
    """

    share: float
    path: Sequence[Step]
    asset: Asset | None = None
    parts: Sequence["Branch"] = ()

    def steps(self) -> Iterator[tuple[int, Step]]:
        """Yield every step in the order in which they were taken, each with how often the weight was split before it."""
        waiting: list[tuple[int, Branch]] = [(0, self)]
        while waiting:
            level, branch = waiting.pop()
            yield from ((level, step) for step in branch.path)
            waiting.extend((level + 1, part) for part in reversed(branch.parts))

    def nodes(self) -> set[Node]:
        """Return the nodes on the path, for membership."""
        found: set[Node] = {step.node for _, step in self.steps()}
        waiting = [self]
        while waiting:
            branch = waiting.pop()
            waiting.extend(branch.parts)
            if branch.asset is not None:
                found.add(branch.asset)
        return found

    @property
    def is_fragile(self) -> bool:
        """Whether any of the steps was close."""
        return any(step.is_fragile for _, step in self.steps())

    def plain(self) -> Plain:
        """Return the tree as JSON can say it. It nests as often as the weight was split."""
        found: Plain = {
            "share": self.share,
            "path": [{"line": step.line, "text": str(step), **step.plain()} for step in self.path if _is_told(step)],
        }
        if self.asset is not None:
            found["symbol"] = self.asset.symbol
        else:
            found["parts"] = [part.plain() for part in self.parts]
        return found


def _is_told(step: Step) -> bool:
    return not isinstance(step, Entered) or isinstance(step.node, Group)


def lines_of(tree: Branch) -> tuple[str, ...]:
    """Return one line of text per step that decided something, in the order in which they were taken."""
    return tuple(f"{'  ' * level}line {step.line}: {step}" for level, step in tree.steps() if not isinstance(step, Entered))


def label(symphony: Symphony, node: Node) -> str:
    """Return how people recognise a node: its symbol, its name, or where it is written."""
    match node:
        case Asset(symbol=symbol):
            return symbol
        case Group(name=name):
            return f'group "{name}"'
        case If():
            return f"the if of line {symphony.line_of(node)}"
        case Filter():
            return f"the filter of line {symphony.line_of(node)}"
        case _:
            return f"the weights of line {symphony.line_of(node)}"


def _side(side: Number | Reading, value: float) -> str:
    return str(side) if isinstance(side, Number) else f"{side} {_number(value)}"


def _number(value: float) -> str:
    return f"{value:.6g}"


def _percent(share: float) -> str:
    return f"{share * 100:.4g}%"
