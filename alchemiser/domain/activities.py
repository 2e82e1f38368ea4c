"""What happens to an account without a trade: dividends, fees, splits, new names, deposits; and how the books take it.

The broker tells of it in rows of its account activities. Each row is booked once, by its id, whatever road it came by, and the
:class:`Treatment` says by which rule. What the rules are is written in ``docs/books.md``.
"""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec

from alchemiser.domain.money import ZERO


class LotMethod(StrEnum):
    """Which lots a sale closes first."""

    FIFO = "fifo"  # the oldest
    LIFO = "lifo"  # the newest
    HIGHEST_COST = "highest_cost"  # those that cost most for a share, the oldest first among equals
    SPECIFIC = "specific"  # those that a person named, in that order, then the oldest


FIFO: Final = LotMethod.FIFO  # A constant for what is asked with every trade: a member of an enum takes its time to look up.


class Treatment(StrEnum):
    """By which rule a row was booked."""

    DIVIDEND = "dividend"  # cash for shares, and what was withheld of it: to who held them before the ex-date
    FEE = "fee"  # what trading cost: to who traded in the last session before
    INTEREST = "interest"  # of cash that belongs to no strategy: to the account
    SPLIT = "split"  # more or fewer shares at the same cost
    SPIN_OFF = "spin_off"  # shares of another symbol, with a stated part of the cost
    EXCHANGE = "exchange"  # all shares become those of another symbol: a new name, a merger for stock
    REMOVAL = "removal"  # all shares are gone, for cash or for nothing
    PART = "part"  # the second row of what another row has booked
    TRANSFER = "transfer"  # cash that came or went: to the account, and no profit
    TRANSFER_IN_KIND = "transfer_in_kind"  # shares that came or went: no strategy's
    REVERSAL = "reversal"  # an earlier row is taken back
    OTHER = "other"  # cash of a kind that has no rule: to the account


class AccountActivity(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the broker's account activities that is no fill; ``kind`` and ``status`` are the broker's words.

    ``at`` is when the broker wrote it, ``on`` the day it is for. ``amount`` is what it does to the cash in dollars, ``quantity`` signed
    shares: those that came or went, or those that a payment is for. ``group`` ties rows of one happening together; ``previous_id`` is the
    row that this one takes back or corrects.
    """

    activity_id: str
    kind: str
    on: date
    at: datetime
    amount: Decimal = ZERO
    symbol: str | None = None
    quantity: Decimal | None = None
    per_share: Decimal | None = None
    price: Decimal | None = None
    description: str = ""
    sub_kind: str | None = None
    status: str = "executed"
    group: str | None = None
    previous_id: str | None = None


class ActivityEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One strategy's part of a row: signed shares of a symbol, signed cash, the cost that moved with the shares, and profit realised.

    All in dollars. ``cost`` is the change of what the strategy's shares of the symbol have cost.
    """

    strategy: str
    symbol: str | None = None
    quantity: Decimal = ZERO
    cash: Decimal = ZERO
    cost: Decimal = ZERO
    realised: Decimal = ZERO


class SpinOff(msgspec.Struct, frozen=True, kw_only=True):
    """What a person says of a spin-off: the symbol it came from, and which part of the cost goes with the new shares, from 0 to 1."""

    parent: str | None = None
    cost_fraction: Decimal = ZERO
