"""When a target is acted upon: the header of a symphony against the calendar, the drift and what is selected.

The first target is always acted upon. A calendar frequency acts on the first session of each new period on which there is a target; a
corridor acts when a weight has left it, or at once when other symbols are selected than before; without either only a change of the
selection acts.
"""

from collections.abc import Mapping
from datetime import date

from alchemiser.strategies.symphony.tree import Frequency, Header


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
    if acted_on is None:
        return True
    if header.frequency is Frequency.NONE:
        if target.keys() != previous.keys():
            return True
        return header.threshold is not None and largest_drift(target, actual) > header.threshold
    return period_of(header.frequency, today) != period_of(header.frequency, acted_on)


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
