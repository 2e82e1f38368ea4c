"""The sales of a kill as the journal has them: planned, intended and ended like those of any rebalance. Pure."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from alchemiser.domain.events import OrderIntended, RebalancePlanned
from alchemiser.domain.intents import Intent, IntentOutcome, Wish
from alchemiser.domain.money import ZERO
from alchemiser.domain.orders import Side
from alchemiser.execution.kill import KillReport
from alchemiser.market.calendar import new_york_date
from alchemiser.portfolio.attribution import split_fill
from alchemiser.service.kill_record import KillRecord, SentOrder

Books = Mapping[str, Mapping[str, Decimal]]
"""Shares by strategy and symbol."""


def sales_of(
    record: KillRecord, books: Books, quantities: Mapping[str, Decimal], prices: Mapping[str, Decimal], at: datetime
) -> RebalancePlanned:
    """Return the sales of a kill as a plan: its wishes say whose shares are sold."""
    intents = []
    for symbol, quantity in sorted(quantities.items()):
        held = {name: book[symbol] for name, book in sorted(books.items()) if book.get(symbol, ZERO) > 0}
        quantity = min(quantity, sum(held.values(), ZERO))
        wishes = tuple(Wish(strategy=name, quantity=part) for name, part in split_fill(quantity, held).items())
        intents.append(
            Intent(
                intent_id=symbol,
                symbol=symbol,
                side=Side.SELL,
                quantity=quantity,
                reference_price=prices[symbol],
                drift=0.0,
                wishes=wishes,
            )
        )
    return RebalancePlanned(
        at=at,
        rebalance_id=record.rebalance_id,
        session=new_york_date(record.pulled_at),
        equity=ZERO,
        cash=ZERO,
        target={},
        prices=dict(sorted((symbol, prices[symbol]) for symbol in quantities)),
        capital={},
        intents=tuple(intents),
        denials=(),
        crossings=(),
        is_flatten=True,
    )


def intended(record: KillRecord, sent: SentOrder) -> OrderIntended:
    """Return that an order of a kill is to leave, or has left."""
    return OrderIntended(
        at=sent.at,
        rebalance_id=record.rebalance_id,
        intent_id=sent.order.symbol,
        attempt=sent.attempt,
        order=sent.order,
        tactic="kill",
        step="market",
    )


def outcomes(plan: RebalancePlanned, report: KillReport) -> tuple[IntentOutcome, ...]:
    """Return how each sale of a kill ended."""
    found = []
    for intent in plan.intents:
        sold = report.sold.get(intent.symbol, ZERO)
        state = "filled" if sold >= intent.quantity else "partial" if sold else "unfilled"
        found.append(
            IntentOutcome(
                intent_id=intent.intent_id,
                symbol=intent.symbol,
                side=intent.side,
                quantity=intent.quantity,
                filled_quantity=sold,
                average_price=None,
                slippage_bps=None,
                state=state,
                tactic="kill",
            )
        )
    return tuple(found)


def summed(books: Books) -> dict[str, Decimal]:
    """Return the shares of every symbol over all strategies, where there are any."""
    total: dict[str, Decimal] = {}
    for book in books.values():
        for symbol, quantity in book.items():
            total[symbol] = total.get(symbol, ZERO) + quantity
    return {symbol: quantity for symbol, quantity in sorted(total.items()) if quantity > 0}
