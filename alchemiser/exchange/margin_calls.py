"""Margin that is lacking at a close, and what follows from it (section 9.2). Pure.

A close at which the equity is below the maintenance margin, by more than a trifle, is a call. It is due two trading days later; while it
is unmet at the fifth close after it, the account may take on no new debit and no new short sale for ninety days. A call is met at the
first close at which nothing, or a trifle, is lacking. Deficits within a day are not recorded: orders that would make one are refused.
"""

from datetime import date, timedelta
from decimal import Decimal
from typing import Final

import msgspec

from alchemiser.domain.money import ZERO

FREEZE_AFTER_CLOSES: Final = 5
_FREEZE: Final = timedelta(days=90)
_TRIFLE: Final = Decimal(1000)
_TRIFLE_SHARE: Final = Decimal("0.05")


class MarginCall(msgspec.Struct):
    """A call: when it was made, how many dollars were lacking at the last close, and how many closes it has been unmet."""

    issued_on: date
    amount: Decimal
    closes: int = 0


class MarginRecord(msgspec.Struct):
    """The call that is open, and the day until which the account is frozen."""

    call: MarginCall | None = None
    frozen_until: date | None = None

    def is_frozen(self, on: date) -> bool:
        """Whether no new debit and no new short sale is allowed on that day."""
        return self.frozen_until is not None and on < self.frozen_until

    def close_day(self, on: date, *, equity: Decimal, maintenance_margin: Decimal) -> None:
        """Look at the account at the close of a day."""
        lacking = maintenance_margin - equity
        if lacking <= ZERO or lacking <= min(_TRIFLE, equity * _TRIFLE_SHARE):
            self.call = None
        elif self.call is None:
            self.call = MarginCall(issued_on=on, amount=lacking)
        else:
            self.call.amount = lacking
            self.call.closes += 1
            if self.call.closes == FREEZE_AFTER_CLOSES:
                self.frozen_until = on + _FREEZE
