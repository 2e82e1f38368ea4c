"""What the broker says of the account: cash, positions, assets. Exact, because the ledger is compared with it."""

from datetime import datetime
from decimal import Decimal

import msgspec


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """The account as the broker reports it; amounts in dollars. ``blocks`` names every account flag that forbids trading."""

    account_number: str
    cash: Decimal
    equity: Decimal
    buying_power: Decimal
    multiplier: int
    blocks: tuple[str, ...] = ()


class BrokerPosition(msgspec.Struct, frozen=True, kw_only=True):
    """The broker's net position in one symbol: signed shares, what is not held by open orders, and dollars per share."""

    symbol: str
    quantity: Decimal
    available_quantity: Decimal
    average_entry_price: Decimal
    current_price: Decimal | None


class Asset(msgspec.Struct, frozen=True, kw_only=True):
    """What may be done with one symbol at the broker."""

    symbol: str
    is_tradable: bool
    is_fractionable: bool
    is_shortable: bool = False


class BrokerActivity(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the broker's account activities that is a fill; ``activity_id`` is its paging cursor.

    A row that takes an execution back, and perhaps brings another in its place, has ``correction`` set to the venue's word for that, and
    ``previous_execution_id`` to the execution it is about; ``cumulative_quantity`` is what the venue counts after it.
    """

    activity_id: str
    execution_id: str
    venue_order_id: str
    symbol: str
    side: str
    quantity: Decimal
    price: Decimal
    cumulative_quantity: Decimal
    at: datetime
    correction: str | None = None
    previous_execution_id: str | None = None
