"""Deposits and withdrawals of a run: on a date, or on the first session of each period. Pure.

A flow is booked at the close of its session, before the decision. What comes waits in cash for the next rebalance; what goes is taken from
the cash and, where that does not reach, from everything held in proportion. Figures are of the performance, in which money that came and
went has no part: the equity of each session over the one before, the flow between them left out.
"""

from collections.abc import Sequence
from datetime import date

import msgspec

from alchemiser.domain.errors import UsageError
from alchemiser.domain.rebalancing import Frequency, period_of

MOST_DOLLARS = 1e12
"""More than any account holds: as much as a run may begin with."""

_PERIODS = {name.value: name for name in (Frequency.WEEKLY, Frequency.MONTHLY, Frequency.QUARTERLY, Frequency.YEARLY)}


class CashFlow(msgspec.Struct, frozen=True):
    """Dollars that come (or go, when negative) on the first session from a date on, or on the first of each period."""

    amount: float
    when: date | Frequency


class DatedFlow(msgspec.Struct, frozen=True):
    """Dollars that came or went on a session."""

    date: date
    amount: float


def parse_flow(text: str) -> CashFlow:
    """Read ``AMOUNT@WHEN``, where WHEN is a date, weekly, monthly, quarterly or yearly. Raises ``UsageError``."""
    amount, _, when = text.partition("@")
    try:
        dollars = float(amount)
        moment = _PERIODS[when] if when in _PERIODS else date.fromisoformat(when)
    except ValueError as error:
        raise UsageError(f"--flow {text}: expected AMOUNT@WHEN, such as 500@monthly or -2000@2024-07-01; {error}") from error
    if not 0.0 < abs(dollars) <= MOST_DOLLARS:
        raise UsageError(f"--flow {text}: the amount has to be a number of dollars other than 0, at most {MOST_DOLLARS:,.0f}")
    return CashFlow(dollars, moment)


def flows_of(wanted: Sequence[CashFlow], dates: Sequence[date]) -> list[DatedFlow]:
    """Return the flows of a run, one per session that has any; the first session begins with the cash of the account and has none."""
    by_place: dict[int, float] = {}
    for flow in wanted:
        for place in _places(flow.when, dates):
            by_place[place] = by_place.get(place, 0.0) + flow.amount
    return [DatedFlow(dates[place], by_place[place]) for place in sorted(by_place)]


def left_out(wanted: Sequence[CashFlow], dates: Sequence[date]) -> list[DatedFlow]:
    """Return the flows with a date that no session of a run books: until its first one, or after its last."""
    return [DatedFlow(flow.when, flow.amount) for flow in wanted if isinstance(flow.when, date) and not _places(flow.when, dates)]


def performance_of(equity: Sequence[float], dates: Sequence[date], flows: Sequence[DatedFlow]) -> list[float]:
    """Return what the first session's equity would have become without any flow."""
    by_day = {flow.date: flow.amount for flow in flows}
    found = [equity[0]]
    for day, before, after in zip(dates[1:], equity[:-1], equity[1:], strict=True):
        found.append(found[-1] * (after - by_day.get(day, 0.0)) / before)
    return found


def _places(when: date | Frequency, dates: Sequence[date]) -> list[int]:
    if isinstance(when, Frequency):
        return [place for place in range(1, len(dates)) if period_of(when, dates[place]) != period_of(when, dates[place - 1])]
    if when <= dates[0]:
        return []
    return [place for place in range(1, len(dates)) if dates[place] >= when][:1]
