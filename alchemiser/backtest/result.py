"""What both engines take and give: the terms of a run, its result, and the sessions on which a strategy had no target."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Literal, overload

import msgspec
import numpy as np

from alchemiser.backtest.flows import CashFlow, DatedFlow
from alchemiser.backtest.metrics import Metrics
from alchemiser.domain.errors import DataError, NeverComputable
from alchemiser.strategies.base import AllSessions, Decider
from alchemiser.strategies.outcome import NotComputable
from alchemiser.strategies.panel import PricePanel

FillAt = Literal["close", "next-open", "path"]
"""``path`` works the orders of a decision along the next session, from its open on; only the event engine can."""


class DatedTarget(msgspec.Struct, frozen=True, gc=False):
    """The account target that was acted upon after the decision of that day."""

    date: date
    weights: dict[str, float]


class DatedTargets(Sequence[DatedTarget]):
    """Targets that are written out when somebody looks at them: a daily strategy has one per session, and many runs are for the figures."""

    def __init__(self, write: Callable[[], list[DatedTarget]]) -> None:
        self._write = write

    @cached_property
    def _written(self) -> list[DatedTarget]:
        return self._write()

    def __len__(self) -> int:
        return len(self._written)

    def __iter__(self) -> Iterator[DatedTarget]:
        return iter(self._written)

    @overload
    def __getitem__(self, place: int) -> DatedTarget: ...
    @overload
    def __getitem__(self, place: slice) -> list[DatedTarget]: ...
    def __getitem__(self, place: int | slice) -> DatedTarget | list[DatedTarget]:
        return self._written[place]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._written == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(self._written)


class Failure(msgspec.Struct, frozen=True):
    """A stretch of sessions on which a strategy had no target, and the reason of the first of them."""

    strategy: str
    first: date
    last: date
    sessions: int
    reason: str


class BacktestResult(msgspec.Struct, frozen=True, kw_only=True):
    """A run: the equity at each session's close, the targets acted upon, and what could not be decided."""

    engine: str
    start: date
    end: date
    sessions: int
    seconds: float
    metrics: Metrics
    dates: list[date]
    equity: list[float]
    targets: Sequence[DatedTarget]
    failures: list[Failure]
    flows: list[DatedFlow] = []


class DayRange(msgspec.Struct, frozen=True, gc=False):
    """The adjusted prices of one bar, and its volume."""

    open: float
    high: float
    low: float
    close: float
    volume: float


class Opens(msgspec.Struct, frozen=True):
    """Adjusted opens per symbol and day (as an ordinal), on the basis of the closes of the panel; whole bars for a path inside them."""

    by_symbol: Mapping[str, Mapping[int, float]]
    ranges: Mapping[str, Mapping[int, DayRange]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The money and the terms of trade of a run; with ``whole_shares`` no fraction of an adjusted share is bought."""

    cash: float = 100_000.0
    slippage_bps: float = 0.0
    fill: FillAt = "close"
    risk_free: float = 0.0
    whole_shares: bool = False
    flows: tuple[CashFlow, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Charges:
    """What trading costs beside ``Terms.slippage_bps``, and how exactly money is counted.

    ``spread_bps`` is the whole spread, ``fees`` are those of the regulators, ``in_cents`` moves the cash by whole cents,
    ``margin_rate`` is the yearly interest on what the account owes over night, taken once a month.
    """

    spread_bps: float = 0.0
    fees: bool = False
    in_cents: bool = False
    margin_rate: float = 0.0


class FailureLog:
    """Takes note of every session on which a strategy had no target: only the first of a stretch is explained."""

    def __init__(self, panel: PricePanel) -> None:
        self._panel = panel
        self._current: dict[str, int] = {}
        self.failures: list[Failure] = []

    def note(self, strategy: str, place: int, reason: Callable[[], str]) -> None:
        """Add a failed session to the strategy's current stretch of them, or begin one."""
        day = self._panel.session(place)
        known = self._current.get(strategy)
        if known is not None and self.failures[known].last == self._panel.session(place - 1):
            failure = self.failures[known]
            self.failures[known] = msgspec.structs.replace(failure, last=day, sessions=failure.sessions + 1)
            return
        self._current[strategy] = len(self.failures)
        self.failures.append(Failure(strategy, day, day, 1, reason()))


def run_range(panel: PricePanel, deciders: Mapping[str, Decider], start: date | None, end: date | None) -> tuple[int, int]:
    """Return the places of the first and the last session of a run; ``deciders`` are those of its strategies, by name.

    Without ``start`` it begins with the first target of any of them. Raises ``DataError`` when there is no session, and ``NeverComputable``
    when none of them ever has a target.
    """
    if not len(panel):
        if not panel.symbols and (absent := panel.reasons_absent):
            raise DataError(f"there are no bars of any of {', '.join(sorted(absent))}: {absent[min(absent)]}")
        raise DataError(f"there is no session from {start or 'the first'} to {end or 'the last'}; there are no bars until then")
    last = panel.last if end is None else panel.place_through(end)
    if last < 0:
        raise DataError(f"there is no session until {end}; the bars begin on {panel.session(0)}")
    if start is None:
        found = _first_target(deciders, 0, last)
        if found is None:
            raise NeverComputable("there is no session with a target", _reasons(deciders, last))
        return found, last
    first = panel.place_from(start)
    if first > last:
        # Of bars after the end of the range nothing is known here.
        raise DataError(f"there is no session from {start} to {end or 'the last'}; the last before is that of {panel.session(last)}")
    if _first_target(deciders, first, last) is None:
        raise NeverComputable(f"there is no target from {panel.session(first)} to {panel.session(last)}", _reasons(deciders, last))
    return first, last


def _reasons(deciders: Mapping[str, Decider], place: int) -> dict[str, str]:
    return {name: str(decider.decide(place)) for name, decider in deciders.items()}


def _first_target(deciders: Mapping[str, Decider], first: int, last: int) -> int | None:
    """Return the first place of a range on which any of them has a target."""
    found: int | None = None
    for decider in deciders.values():
        end = last + 1 if found is None else found
        if isinstance(decider, AllSessions):
            places = np.flatnonzero(decider.has_target()[first:end])
            found = first + int(places[0]) if len(places) else found
        else:
            asked = (place for place in range(first, end) if not isinstance(decider.decide(place, explain=False), NotComputable))
            found = next(asked, found)
    return found
