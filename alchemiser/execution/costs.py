"""The shortfall of a rebalance: what its fills cost against the arrival price, the mid when each order was sent, and the close. Pure.

Costs are added up in dollars and only then put into basis points, so that totals are weighted by value. A comparison is made where it can
be made for everything that it would cover: one order without a mid leaves the sum without it, never with a guess.
"""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal

import msgspec

from alchemiser.domain.events import RebalancePlanned
from alchemiser.domain.ids import split_client_order_id
from alchemiser.domain.intents import Intent
from alchemiser.domain.money import ZERO, from_float, to_cents, truncate_shares
from alchemiser.domain.orders import Order
from alchemiser.domain.shortfall import OrderShortfall, Shortfall, Slippage, Unfilled

Part = tuple[OrderShortfall, Decimal]
"""An order and how many of its shares count."""


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
    rows = [msgspec.structs.replace(row, slippage=_slippage([(row, row.quantity)])) for row in rows]
    steps: dict[str, list[Part]] = {}
    strategies: dict[str, list[Part]] = {}
    for row in rows:
        # Orders of a journal from before there were tactics have no step.
        steps.setdefault(f"{row.tactic}: {row.step}", []).append((row, row.quantity))
        for name, quantity in row.shares.items():
            if quantity:
                strategies.setdefault(name, []).append((row, quantity))
    return Shortfall(
        total=_slippage([(row, row.quantity) for row in rows]) if rows else None,
        orders=tuple(rows),
        steps={name: _slippage(steps[name]) for name in sorted(steps)},
        strategies={name: _slippage(strategies[name]) for name in sorted(strategies)},
        unfilled=unfilled,
    )


def _slippage(parts: list[Part]) -> Slippage:
    cost, bps = _against(parts, lambda row: row.arrival_price)
    assert cost is not None
    assert bps is not None
    return Slippage(
        quantity=sum((quantity for _, quantity in parts), ZERO),
        value=to_cents(sum((quantity * row.average_price for row, quantity in parts), ZERO)),
        arrival_cost=to_cents(cost),
        arrival_bps=bps,
        mid_bps=_against(parts, lambda row: None if row.sent_mid is None else from_float(row.sent_mid))[1],
        close_bps=_against(parts, lambda row: row.close)[1],
    )


def _against(parts: list[Part], price_of: Callable[[OrderShortfall], Decimal | None]) -> tuple[Decimal | None, float | None]:
    """Return the cost in dollars and in basis points against a price of each order, nothing when one of them has none."""
    cost, base = ZERO, ZERO
    for row, quantity in parts:
        price = price_of(row)
        if price is None:
            return None, None
        cost += (row.average_price - price) * row.side.sign * quantity
        base += price * quantity
    return cost, float(cost / base * 10_000)
