"""Why a run wanted what it wanted, on every session: the path of each strategy, small enough for a page that needs nothing else.

The decisions are asked for again from the same prices, so they are those of the run. Whether a target was acted upon that day is the
header's affair, and told beside it.
"""

import base64
import gzip
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

import msgspec

from alchemiser.strategies.base import Decider, LoadedStrategy
from alchemiser.strategies.outcome import NotComputable
from alchemiser.strategies.panel import Panel, PricePanel


class Step(msgspec.Struct, frozen=True, array_like=True):
    """One line of a path: where it is in the file, what it says, and whether it held; ``None`` where there was nothing to hold."""

    line: int
    text: str
    holds: bool | None


class Branch(msgspec.Struct, frozen=True, omit_defaults=True):
    """A path to a symbol, or to several branches; ``share`` is of the whole."""

    path: list[Step]
    share: float
    symbol: str | None = None
    parts: tuple["Branch", ...] = ()


class Decided(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one strategy decided on a session: the path of a symphony, or the notes of a class, or the reason for no target."""

    strategy: str
    weights: dict[str, float] = {}
    tree: Branch | None = None
    notes: tuple[str, ...] = ()
    reason: str | None = None


def decisions_of(
    strategies: Sequence[LoadedStrategy], panel: PricePanel, dates: Sequence[date], *, seen_at: Callable[[int], Panel] | None = None
) -> list[list[Decided]]:
    """Return the decisions of the strategies on each of these sessions; ``seen_at`` gives what was seen where that was not the panel."""
    if seen_at is not None:
        views = (seen_at(panel.place_through(day)) for day in dates)  # One at a time: each has computed all its indicators.
        return [[_decided(strategy.name, strategy.on(view), len(view) - 1) for strategy in strategies] for view in views]
    deciders = [(strategy.name, strategy.on(panel)) for strategy in strategies]
    places = [panel.place_through(day) for day in dates]
    return [[_decided(name, decider, place) for name, decider in deciders] for place in places]


def packed(decisions: Sequence[Sequence[Decided]]) -> str:
    """Return decisions as compressed text; the same decisions give the same text."""
    return base64.b64encode(gzip.compress(msgspec.json.encode(decisions), 9, mtime=0)).decode()


def _decided(name: str, decider: Decider, place: int) -> Decided:
    outcome = decider.decide(place)
    if isinstance(outcome, NotComputable):
        return Decided(name, reason=str(outcome))
    if outcome.tree is None:
        return Decided(name, dict(outcome.weights), notes=tuple(outcome.explanation))
    return Decided(name, dict(outcome.weights), tree=_branch(outcome.tree))


def _branch(plain: Mapping[str, Any]) -> Branch:
    path = [Step(step["line"], step["text"], step.get("holds")) for step in plain["path"]]
    return Branch(path, plain["share"], plain.get("symbol"), tuple(_branch(part) for part in plain.get("parts", ())))
