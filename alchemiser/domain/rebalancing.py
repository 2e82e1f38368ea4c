"""When the target of a strategy is acted upon: its header against the calendar, the drift and what is selected.

The first target is always acted upon. A calendar frequency acts on the first session of each new period on which there is a target; a
corridor acts when a weight has left it, or at once when other symbols are selected than before; without either only a change of the
selection acts. Between those days the holdings drift. The rule is one for back-tests and for the daemon.
"""

from collections.abc import Mapping
from datetime import date
from enum import StrEnum

import msgspec


class Frequency(StrEnum):
    """When a target is acted upon besides a change of what is selected."""

    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"
    QUARTERLY = "quarterly"
    YEARLY = "yearly"
    NONE = "none"


_DAILY, _NONE = Frequency.DAILY, Frequency.NONE


class Header(msgspec.Struct, frozen=True):
    """A calendar frequency, or a corridor in absolute weight around the target (then the frequency is none)."""

    frequency: Frequency = Frequency.NONE
    threshold: float | None = None

    def __str__(self) -> str:
        return str(self.frequency) if self.threshold is None else f"threshold {self.threshold:g}"


def is_due(
    header: Header,
    *,
    today: date,
    acted_on: date | None,
    target: Mapping[str, float],
    previous: Mapping[str, float],
    actual: Mapping[str, float],
) -> bool:
    """Return whether to trade to ``target`` today.

    ``acted_on`` is the day of the last rebalance, ``previous`` the target of that day, ``actual`` the weights held now.
    """
    return why_not_due(header, today=today, acted_on=acted_on, target=target, previous=previous, actual=actual) is None


def why_not_due(
    header: Header,
    *,
    today: date,
    acted_on: date | None,
    target: Mapping[str, float],
    previous: Mapping[str, float],
    actual: Mapping[str, float],
) -> str | None:
    """Return why not to trade to ``target`` today, ``None`` when it is due; see :func:`is_due`."""
    if acted_on is None or header.frequency is _DAILY:
        return None
    if header.frequency is not _NONE:
        if period_of(header.frequency, today) != period_of(header.frequency, acted_on):
            return None
        return f"it is rebalanced {header.frequency}, last on {acted_on}"
    if target.keys() != previous.keys():
        return None
    if header.threshold is None:
        return f"it selects what it has held since {acted_on}, and its header asks for nothing else"
    drift = largest_drift(target, actual)
    if drift > header.threshold:
        return None
    return f"its weights are within {header.threshold:g} of their target, the farthest is {drift:.4f} away"


def period_of(frequency: Frequency, day: date) -> tuple[int, ...]:
    """Return the period of a calendar frequency to which a day belongs."""
    match frequency:
        case Frequency.WEEKLY:
            week = day.isocalendar()
            return week.year, week.week
        case Frequency.MONTHLY:
            return day.year, day.month
        case Frequency.QUARTERLY:
            return day.year, (day.month - 1) // 3
        case Frequency.YEARLY:
            return (day.year,)
        case _:
            return (day.toordinal(),)


def largest_drift(target: Mapping[str, float], actual: Mapping[str, float]) -> float:
    """Return the largest distance of any symbol's weight from its target, in absolute weight."""
    symbols = sorted({*target, *actual})
    return max((abs(actual.get(symbol, 0.0) - target.get(symbol, 0.0)) for symbol in symbols), default=0.0)
