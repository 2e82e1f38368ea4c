"""Who gets which part of a shared fill, and of what is shared otherwise.

The rule: each strategy gets its share of the fill in proportion to what it still waits for, cut to nine decimals; what the cutting
leaves goes to the strategy that waits for most, first in name order among equals. The parts are never negative, never more than was waited
for, and add up to the fill.
"""

from collections.abc import Mapping
from decimal import ROUND_DOWN, Decimal

from alchemiser.domain.errors import InvariantBroken
from alchemiser.domain.money import SHARE_QUANTUM, ZERO, truncate_shares


def split_fill(quantity: Decimal, waiting: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """Split ``quantity`` shares over strategies that wait for so many each; strategies that get nothing are left out.

    Raises ``InvariantBroken`` when more was filled than anybody waits for.
    """
    if len(waiting) != 1:
        return _shared(quantity, waiting)
    [(name, left)] = waiting.items()  # Mostly nobody shares it.
    if quantity > left:
        raise _too_much(quantity, left)
    if not quantity:
        return {}
    if not quantity.same_quantum(SHARE_QUANTUM):  # Written with nine decimals as any other part.
        part = truncate_shares(quantity)
        quantity = part if part == quantity else quantity
    return {name: quantity}


def _shared(quantity: Decimal, waiting: Mapping[str, Decimal]) -> dict[str, Decimal]:
    total = sum(waiting.values(), ZERO)
    if quantity > total:
        raise _too_much(quantity, total)
    if not quantity:
        return {}
    names = sorted(waiting, key=lambda name: (-waiting[name], name))
    parts = {name: min(truncate_shares(quantity * waiting[name] / total), waiting[name]) for name in names}
    rest = quantity - sum(parts.values(), ZERO)
    for name in names:
        more = min(rest, waiting[name] - parts[name])
        parts[name] += more
        rest -= more
    return {name: parts[name] for name in sorted(parts) if parts[name]}


def _too_much(quantity: Decimal, waited_for: Decimal) -> InvariantBroken:
    return InvariantBroken(f"{quantity} shares were filled where {waited_for} were waited for; the daemon stops")


def apportion(amount: Decimal, weights: Mapping[str, Decimal], quantum: Decimal) -> dict[str, Decimal]:
    """Divide an amount in proportion to weights, cut to multiples of ``quantum``; the greatest weight gets what the cutting leaves.

    Equal weights stand in the order of names. The parts add up to the amount exactly, whatever its sign; without weights there are none.
    """
    total = sum(weights.values(), ZERO)
    if not total:
        return dict.fromkeys(sorted(weights), ZERO)
    parts = {name: (amount * weights[name] / total).quantize(quantum, rounding=ROUND_DOWN) for name in sorted(weights)}
    first = min(weights, key=lambda name: (-abs(weights[name]), name))
    parts[first] += amount - sum(parts.values(), ZERO)
    return parts
