"""What an account is charged besides its trades: regulatory fees (9.5) and margin interest (9.2). Sums are exact until they are posted.

Each is off unless the settings switch it on: the paper engine charges neither.
"""

from datetime import date
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Decimal
from typing import Final

import msgspec

from alchemiser.domain.money import CENT, ZERO
from alchemiser.exchange.settings import ExchangeSettings

SEC_RATE: Final = Decimal("0.0000206")
TAF_RATE: Final = Decimal("0.000195")
TAF_MOST: Final = Decimal("9.79")
CAT_RATE: Final = Decimal("0.000003")
_TAF_HOLIDAY: Final = (date(2026, 10, 1), date(2026, 12, 31))
_DAYS_OF_YEAR: Final = 360


class FeesOfDay(msgspec.Struct, gc=False):
    """Fees of one trading day before they are rounded up and posted."""

    sec: Decimal = ZERO
    taf: Decimal = ZERO
    cat: Decimal = ZERO

    def add(self, sign: int, quantity: Decimal, price: Decimal, *, filled_before: Decimal, on: date, settings: ExchangeSettings) -> None:
        """Charge one execution of an order of which ``filled_before`` shares had been filled."""
        self.cat += quantity * CAT_RATE
        if sign > 0:
            return
        self.sec += quantity * price * SEC_RATE
        if settings.taf_holiday and _TAF_HOLIDAY[0] <= on <= _TAF_HOLIDAY[1]:
            return
        if settings.taf_cap_per == "order":
            self.taf += min((filled_before + quantity) * TAF_RATE, TAF_MOST) - min(filled_before * TAF_RATE, TAF_MOST)
        else:
            self.taf += min(quantity * TAF_RATE, TAF_MOST)

    def include(self, other: "FeesOfDay", times: int = 1) -> None:
        """Add other fees; ``times`` minus one takes them back."""
        self.sec += times * other.sec
        self.taf += times * other.taf
        self.cat += times * other.cat

    def rounded(self) -> dict[str, Decimal]:
        """Return each fee that is due, by name, rounded up to the cent; one that is given back is negative."""
        if not (self.sec or self.taf or self.cat):
            return {}
        sums = {"SEC": self.sec, "TAF": self.taf, "CAT": self.cat}
        rounded = {name: amount.quantize(CENT, rounding=ROUND_CEILING) for name, amount in sums.items() if amount}
        return {name: amount for name, amount in rounded.items() if amount}


class Interest(msgspec.Struct):
    """What a debit costs: dollars borrowed overnight, each counted once for every night, of the month that runs."""

    month: str = ""
    dollar_days: Decimal = ZERO

    def borrow(self, cash: Decimal, *, on: date, until: date) -> None:
        """Count the debit of a close until the next trading day: three nights over a weekend."""
        self.month = f"{on:%Y-%m}"
        self.dollar_days += max(-cash, ZERO) * (until - on).days

    def due(self, rate: Decimal) -> Decimal:
        """Return the interest that has come together, in cents."""
        return (self.dollar_days * rate / _DAYS_OF_YEAR).quantize(CENT, rounding=ROUND_HALF_EVEN)
