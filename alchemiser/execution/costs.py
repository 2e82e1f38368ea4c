"""The shortfall of a rebalance: what its fills cost against the arrival price, the mid when each order was sent, and the close. Pure.

Costs are added up in dollars and only then put into basis points, so that totals are weighted by value. A comparison is made where it can
be made for everything that it would cover: one order without a mid leaves the sum without it, never with a guess.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple

import msgspec

from alchemiser.domain.events import RebalancePlanned
from alchemiser.domain.ids import split_client_order_id
from alchemiser.domain.intents import Intent
from alchemiser.domain.money import ZERO, from_float, to_cents, truncate_shares
from alchemiser.domain.orders import Order
from alchemiser.domain.shortfall import OrderShortfall, Shortfall, Slippage, Unfilled

Against = tuple[Decimal, Decimal]
"""Dollars lost against a price, and what it would have come to at that price."""


class _Part(NamedTuple):
    """So many shares of an order, their value, and what they cost against each price that is known."""

    quantity: Decimal
    value: Decimal
    arrival: Against
    mid: Against | None
    close: Against | None


def shortfall_of(plan: RebalancePlanned, orders: Iterable[Order]) -> Shortfall:
    """Return the cost of a rebalance that has ended; what concerns the close is not known yet."""
    intents = {intent.intent_id: intent for intent in plan.intents}
    rows: list[OrderShortfall] = []
    left = {intent.intent_id: intent.quantity for intent in plan.intents}
    for order in orders:
        parts = split_client_order_id(order.client_order_id)
        if parts is None or parts[1] != plan.rebalance_id or parts[2] not in intents or order.average_price is None:
            continue
        left[parts[2]] -= order.cumulative_quantity
        rows.append(_row(order, order.average_price, intents[parts[2]]))
    unfilled = tuple(
        Unfilled(symbol=intent.symbol, side=intent.side, quantity=left[key], arrival_price=intent.reference_price)
        for key, intent in intents.items()
        if left[key] > 0
    )
    return _added_up(rows, unfilled)


def with_closes(shortfall: Shortfall, closes: Mapping[str, Decimal]) -> Shortfall:
    """Return the same cost, measured against the closes of its session too; symbols without one stay without."""
    rows = [msgspec.structs.replace(row, close=closes.get(row.symbol)) for row in shortfall.orders]
    missed = [(closes[one.symbol] - one.arrival_price) * one.side.sign * one.quantity for one in shortfall.unfilled if one.symbol in closes]
    known = _added_up(rows, shortfall.unfilled)
    cost = to_cents(sum(missed, ZERO)) if len(missed) == len(shortfall.unfilled) else None
    return msgspec.structs.replace(known, unfilled_cost=cost)


def _row(order: Order, average_price: Decimal, intent: Intent) -> OrderShortfall:
    filled = order.cumulative_quantity
    return OrderShortfall(
        client_order_id=order.client_order_id,
        symbol=intent.symbol,
        side=intent.side,
        tactic=order.tactic,
        step=order.step,
        quantity=filled,
        average_price=average_price,
        arrival_price=intent.reference_price,
        sent_mid=order.sent_mid,
        shares={wish.strategy: truncate_shares(filled * wish.quantity / intent.quantity) for wish in intent.wishes},
    )


def _added_up(rows: Iterable[OrderShortfall], unfilled: tuple[Unfilled, ...]) -> Shortfall:
    rows = list(rows)
    parts = [_part(row, row.quantity) for row in rows]
    steps: dict[str, list[_Part]] = {}
    strategies: dict[str, list[_Part]] = {}
    for row, part in zip(rows, parts, strict=True):
        # Orders of a journal from before there were tactics have no step.
        steps.setdefault(f"{row.tactic}: {row.step}", []).append(part)
        for name, quantity in row.shares.items():
            if quantity:
                strategies.setdefault(name, []).append(part if quantity == row.quantity else _part(row, quantity))
    return Shortfall(
        total=_slippage(parts) if parts else None,
        orders=tuple(msgspec.structs.replace(row, slippage=_slippage([part])) for row, part in zip(rows, parts, strict=True)),
        steps={name: _slippage(steps[name]) for name in sorted(steps)},
        strategies={name: _slippage(strategies[name]) for name in sorted(strategies)},
        unfilled=unfilled,
    )


def _part(row: OrderShortfall, quantity: Decimal) -> _Part:
    signed = row.side.sign * quantity

    def against(price: Decimal) -> Against:
        return (row.average_price - price) * signed, price * quantity

    return _Part(
        quantity=quantity,
        value=quantity * row.average_price,
        arrival=against(row.arrival_price),
        mid=None if row.sent_mid is None else against(from_float(row.sent_mid)),
        close=None if row.close is None else against(row.close),
    )


def _slippage(parts: list[_Part]) -> Slippage:
    cost = sum((part.arrival[0] for part in parts), ZERO)
    return Slippage(
        quantity=sum((part.quantity for part in parts), ZERO),
        value=to_cents(sum((part.value for part in parts), ZERO)),
        arrival_cost=to_cents(cost),
        arrival_bps=_bps([part.arrival for part in parts]),
        mid_bps=_bps_of_all([part.mid for part in parts]),
        close_bps=_bps_of_all([part.close for part in parts]),
    )


def _bps_of_all(costs: list[Against | None]) -> float | None:
    """Return the cost in basis points, nothing when one of the orders has no price to compare with."""
    known = [cost for cost in costs if cost is not None]
    return _bps(known) if len(known) == len(costs) else None


def _bps(costs: list[Against]) -> float:
    return float(sum((cost for cost, _ in costs), ZERO) / sum((base for _, base in costs), ZERO) * 10_000)
