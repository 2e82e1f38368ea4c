"""The path of a decision in words: each condition with the numbers on both sides, each ranking, each volatility, every tie.

A step is a value with the raw numbers; :func:`lines_of` puts steps into sentences for the journal, the log and the terminal. Steps
are indented by how often the weight was split before them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from alchemiser.market.indicators import Measure
from alchemiser.strategies.symphony.tree import Asset, Condition, Filter, Group, If, Node, Number, Reading, Symphony

FRAGILE_POINTS = 2.0
"""Sides up to 100 that are closer than this make a decision fragile; above 100 it is half a percent."""
FRAGILE_PART = 0.005


@dataclass(frozen=True, slots=True)
class Compared:
    """A condition and the numbers it compared; ``missing`` says why it could not be computed and was taken for false."""

    level: int
    line: int
    condition: Condition
    left: float
    right: float
    holds: bool
    missing: str | None = None

    @classmethod
    def unknown(cls, level: int, line: int, condition: Condition, missing: str) -> "Compared":
        """Return the step of a condition that could not be computed and was taken for false."""
        return cls(level, line, condition, left=0.0, right=0.0, holds=False, missing=missing)

    @property
    def is_fragile(self) -> bool:
        """Whether the sides are so close that a small move of a price would have changed the outcome."""
        if self.missing is not None:
            return False
        largest = max(abs(self.left), abs(self.right))
        margin = FRAGILE_POINTS if largest <= 100.0 else FRAGILE_PART * largest
        return abs(self.left - self.right) < margin

    def __str__(self) -> str:
        if self.missing is not None:
            return f"{self.condition}: taken for no, because {self.missing}"
        left, right = _side(self.condition.left, self.left), _side(self.condition.right, self.right)
        return f"{left} {self.condition.comparator} {right}: {'yes' if self.holds else 'no'}{', closely' if self.is_fragile else ''}"


@dataclass(frozen=True, slots=True)
class Ranked:
    """A filter: its candidates from best to worst, how many of them were kept, and those that had no score.

    ``is_tie_at_cut`` says that the order of the file, and not the scores, decided who was kept.
    """

    level: int
    line: int
    filter: Filter
    names: Sequence[str]
    scores: Sequence[float]
    kept: int
    is_tie_at_cut: bool
    dropped: Sequence[tuple[str, str]]

    def __str__(self) -> str:
        ranking = ", ".join(f"{name} {_number(score)}" for name, score in zip(self.names, self.scores, strict=True))
        text = f"{self.filter} of {ranking}: {', '.join(self.names[: self.kept])}"
        if self.is_tie_at_cut:
            text += " (a tie, broken by the order in the file)"
        for name, reason in self.dropped:
            text += f"; left out {name}, because {reason}"
        return text


@dataclass(frozen=True, slots=True)
class Weighed:
    """An inverse volatility weighting: each child with its volatility and its share."""

    level: int
    line: int
    measure: Measure
    shares: Sequence[tuple[str, float, float]]

    def __str__(self) -> str:
        shares = ", ".join(f"{name} {_percent(share)} (volatility {_number(sigma)})" for name, sigma, share in self.shares)
        return f"inverse volatility by {self.measure}: {shares}"


@dataclass(frozen=True, slots=True)
class Shared:
    """Fixed shares of several children."""

    level: int
    line: int
    shares: Sequence[tuple[str, float]]

    def __str__(self) -> str:
        return "split: " + ", ".join(f"{name} {_percent(share)}" for name, share in self.shares)


Step = Compared | Ranked | Weighed | Shared


def lines_of(steps: Iterable[Step]) -> tuple[str, ...]:
    """Return one line of text per step, in the order in which they were taken."""
    return tuple(f"{'  ' * step.level}line {step.line}: {step}" for step in steps)


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
