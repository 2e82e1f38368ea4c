"""Returns that deposits and withdrawals do not touch: time-weighted and money-weighted, of the account and of each strategy. Pure.

The **time-weighted** return is chained from one look to the next; what was paid in between two looks counts from the first of them on, so
that it neither earns nor loses by coming. It says how good the decisions were. The **money-weighted** return is the one rate at which
everything that was paid in would have become what there is now: it says how the money did that was really there. Both are of the whole
time and not of a year.

A strategy has no account of its own. Its capital is its share of the equity, as its plans have it; that it is given more or less of it
from one session to the next is a payment in or out. Its profit is what its book earned: realised, unrealised and income.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from typing import Final

import msgspec

from alchemiser.domain.events import ResultReported
from alchemiser.domain.money import ZERO

_LEAST: Final = -0.999999
_MOST: Final = 1e6
_HALVINGS: Final = 200


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What something was worth at a time, and what had been paid into it, less what was taken out, since the look before. Dollars."""

    at: datetime
    value: Decimal
    flow: Decimal = ZERO


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """The account at one time: equity, all that was ever paid in less taken out, and by strategy its capital and its profit so far."""

    at: datetime
    equity: Decimal
    transferred: Decimal = ZERO
    capital: Mapping[str, Decimal] = {}
    profit: Mapping[str, Decimal] = {}


class Return(msgspec.Struct, frozen=True, kw_only=True):
    """Both returns as fractions since a time; ``None`` where there is none, of nothing for instance."""

    since: datetime
    time_weighted: float | None
    money_weighted: float | None


def standing_of(result: ResultReported) -> Standing:
    """Return the account as the result of a session tells it."""
    names = sorted({*result.realised, *result.unrealised, *result.income})
    profit = {name: result.realised.get(name, ZERO) + result.unrealised.get(name, ZERO) + result.income.get(name, ZERO) for name in names}
    return Standing(at=result.at, equity=result.equity, transferred=result.transferred, capital=result.capital, profit=profit)


def return_of(looks: Sequence[Look]) -> Return | None:
    """Return both returns from the first look to the last; ``None`` with fewer than two."""
    if len(looks) < 2:
        return None
    return Return(since=looks[0].at, time_weighted=time_weighted(looks), money_weighted=money_weighted(looks))


def time_weighted(looks: Sequence[Look]) -> float | None:
    """Return the chained return of some looks, ``None`` where there was nothing to earn with."""
    grown = 1.0
    for before, look in pairwise(looks):
        base = before.value + look.flow
        if base <= 0:
            return None
        grown *= float(look.value / base)
    return grown - 1


def money_weighted(looks: Sequence[Look]) -> float | None:
    """Return the rate at which what was paid in becomes what there is, by halving what it may be; ``None`` when there is no such rate."""
    begins, ends = looks[0].at, looks[-1].at
    whole = (ends - begins).total_seconds()
    paid = [(1.0, float(looks[0].value))]
    for before, look in pairwise(looks):
        if look.flow:
            paid.append(((ends - before.at).total_seconds() / whole if whole else 0.0, float(look.flow)))
    end = float(looks[-1].value)

    def surplus(rate: float) -> float:
        return sum(amount * math.pow(1 + rate, share) for share, amount in paid) - end

    low, high = _LEAST, 1.0
    while surplus(high) < 0 and high < _MOST:
        high *= 2
    if surplus(low) > 0 or surplus(high) < 0:
        return None
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if surplus(middle) < 0 else (low, middle)
    return (low + high) / 2


def of_account(standings: Sequence[Standing]) -> list[Look]:
    """Return the looks at the account."""
    looks: list[Look] = []
    transferred = ZERO
    for standing in standings:
        looks.append(Look(at=standing.at, value=standing.equity, flow=standing.transferred - transferred if looks else ZERO))
        transferred = standing.transferred
    return looks


def of_strategy(name: str, standings: Sequence[Standing]) -> list[Look]:
    """Return the looks at a strategy, from the first time at which it had capital."""
    looks: list[Look] = []
    before: Standing | None = None
    for standing in standings:
        if before is None or not before.capital.get(name):
            # It begins here: it is new, or what came before was written by a version that did not tell.
            looks = [Look(at=standing.at, value=standing.capital.get(name, ZERO))]
            before = standing
            continue
        capital = before.capital.get(name, ZERO)
        share = capital / before.equity if before.equity else ZERO
        base = capital + share * (standing.transferred - before.transferred)
        earned = standing.profit.get(name, ZERO) - before.profit.get(name, ZERO)
        looks.append(Look(at=standing.at, value=base + earned, flow=base - looks[-1].value))
        before = standing
    return looks
