"""What trading cost: average prices against the arrival price, the mid when an order was sent, and the close. Values only.

Slippage is in basis points of the price it is measured against and positive when it cost money: paid more, or received less.
"""

from decimal import Decimal

import msgspec

from alchemiser.domain.orders import Side


class Slippage(msgspec.Struct, frozen=True, kw_only=True):
    """Shares that were filled, their value in dollars, and the cost in dollars and basis points against each of the three prices.

    What cannot be said yet is ``None``: the close before it is known, a mid that nobody saw.
    """

    quantity: Decimal
    value: Decimal
    arrival_cost: Decimal
    arrival_bps: float
    mid_bps: float | None = None
    close_bps: float | None = None


class OrderShortfall(msgspec.Struct, frozen=True, kw_only=True):
    """One order that was filled, at least in part; prices in dollars. ``shares`` are the parts of its fills that strategies asked for."""

    client_order_id: str
    symbol: str
    side: Side
    tactic: str
    step: str
    quantity: Decimal
    average_price: Decimal
    arrival_price: Decimal
    sent_mid: float | None
    shares: dict[str, Decimal]
    close: Decimal | None = None
    slippage: Slippage | None = None


class Unfilled(msgspec.Struct, frozen=True, kw_only=True):
    """Shares of an intent that were wanted and not traded, and the arrival price in dollars."""

    symbol: str
    side: Side
    quantity: Decimal
    arrival_price: Decimal


class Shortfall(msgspec.Struct, frozen=True, kw_only=True):
    """The cost of one rebalance: in all, per order, per tactic step (``tactic: step``), and per strategy.

    ``unfilled_cost`` is what the shares that were wanted and not traded cost by the close, in dollars, ``None`` before the close is known;
    negative when it was luck.
    """

    total: Slippage | None = None
    orders: tuple[OrderShortfall, ...] = ()
    steps: dict[str, Slippage] = {}
    strategies: dict[str, Slippage] = {}
    unfilled: tuple[Unfilled, ...] = ()
    unfilled_cost: Decimal | None = None
