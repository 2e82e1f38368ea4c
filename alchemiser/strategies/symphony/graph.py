"""A symphony as a picture: an SVG of its tree, the path of a decision highlighted.

Rows are nodes, indented by depth like an outline, because conditions nest far deeper than they branch; a sub-tree that is used many times
is drawn once and pointed at by its line afterwards. Trees of more than :data:`MAX_ROWS` rows show the highlighted path and what hangs
directly on it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from alchemiser.strategies.symphony.explain import Branch, Entered, Step, label
from alchemiser.strategies.symphony.tree import (
    Asset,
    Filter,
    Group,
    If,
    Node,
    Symphony,
    WeightEqual,
    WeightInverseVolatility,
    WeightSpecified,
    children_of,
)

MAX_ROWS = 2_000
_ROW, _STEP, _LEFT, _TOP = 18, 16, 12, 40
_LETTER = 6.6
_COLOURS = {"taken": "#0b6b3a", "fragile": "#b35900", "other": "#8a8f98"}


@dataclass(frozen=True, slots=True)
class _Row:
    depth: int
    text: str
    is_taken: bool
    is_fragile: bool
    above: int | None


def draw(symphony: Symphony, decision: Branch | None = None, *, title: str = "") -> str:
    """Return the picture. With a decision its path is highlighted, close steps in another colour, and the numbers are shown."""
    taken = decision.nodes() if decision is not None else set()
    steps: dict[Node, Step] = {step.node: step for _, step in decision.steps()} if decision is not None else {}
    rows = list(_rows(symphony, taken, steps, only_path=False))
    if len(rows) > MAX_ROWS:
        rows = list(_rows(symphony, taken, steps, only_path=True))[:MAX_ROWS]
    width = max((_LEFT + row.depth * _STEP + len(row.text) * _LETTER for row in rows), default=0) + 2 * _LEFT
    height = _TOP + len(rows) * _ROW + _LEFT
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height}" font-family="monospace" font-size="11">',
        f'<rect width="100%" height="100%" fill="#ffffff"/><text x="{_LEFT}" y="22" font-size="14">{escape(title or symphony.name)}</text>',
        *(_drawn(rows, place) for place in range(len(rows))),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _rows(symphony: Symphony, taken: set[Node], steps: dict[Node, Step], *, only_path: bool) -> Iterator[_Row]:
    """Yield the rows from the root down, each sub-tree in full where it is met first; ``only_path`` closes what is not taken."""
    drawn: set[Node] = set()
    waiting: list[tuple[Node, int, str, int | None]] = [(symphony.root, 0, "", None)]
    count = 0
    while waiting:
        node, depth, role, above = waiting.pop()
        is_again = node in drawn and not isinstance(node, Asset)
        text = f"{role}{_text(symphony, node)}"
        step = steps.get(node)
        if step is not None and not is_again and not isinstance(step, Entered):
            text = f"{role}{step}"
        yield _Row(depth, f"{text} (as above)" if is_again else text, node in taken, step is not None and step.is_fragile, above)
        place, count = count, count + 1
        if is_again or (only_path and taken and node not in taken):
            continue
        drawn.add(node)
        waiting.extend((child, depth + 1, role_of, place) for child, role_of in reversed(list(_children(node))))


def _children(node: Node) -> Iterator[tuple[Node, str]]:
    match node:
        case If(then=then, otherwise=otherwise):
            yield then, "yes: "
            yield otherwise, "no: "
        case WeightSpecified(shares=shares, children=children):
            yield from ((child, f"{share:.4g}: ") for share, child in zip(shares, children, strict=True) if share)
        case _:
            yield from ((child, "") for child in children_of(node))


def _text(symphony: Symphony, node: Node) -> str:
    match node:
        case Asset() | Group():
            return label(symphony, node)
        case If(condition=condition):
            return f"{condition}?"
        case Filter():
            return str(node)
        case WeightEqual():
            return "equal weights"
        case WeightSpecified():
            return "weights"
        case WeightInverseVolatility(window=window):
            return f"inverse volatility of {window} sessions"


def _drawn(rows: list[_Row], place: int) -> str:
    row = rows[place]
    colour = _COLOURS["fragile" if row.is_fragile else "taken" if row.is_taken else "other"]
    x, y = _LEFT + row.depth * _STEP, _TOP + place * _ROW + 12
    parts = []
    if row.above is not None:
        corner, begins = x - _STEP + 3, _TOP + row.above * _ROW + 16
        width = 2 if row.is_taken else 1
        parts.append(f'<path d="M{corner} {begins} V{y - 4} H{x - 2}" fill="none" stroke="{colour}" stroke-width="{width}"/>')
    weight = ' font-weight="bold"' if row.is_taken else ""
    parts.append(f'<text x="{x}" y="{y}" fill="{colour}"{weight}>{escape(row.text)}</text>')
    return "".join(parts)
