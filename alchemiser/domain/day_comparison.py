"""What a strategy earned in a session against what the backtest would have earned: the difference, and what it is made of. Values only.

Dollars are exact, and the parts add up to the difference. Basis points are of the strategy's capital at the start of the session, rounded
to four places each; they add up, too, because sums are made of what was rounded.
"""

from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from typing import Final

import msgspec

from alchemiser.domain.money import ZERO

BPS_QUANTUM: Final = Decimal("0.0001")
_BPS: Final = Decimal(10_000)


class Part(StrEnum):
    """Why live and backtest differ, in the order in which a decision becomes money."""

    DECISION = "decision"  # on the same bars and prices the backtest wants other weights
    PLAN = "plan"  # the plan wanted other shares than the weights say: band, rounding, constraints, cash, denials, a pause
    UNFILLED = "unfilled"  # shares that were wanted and not traded
    EXECUTION = "execution"  # fills at other prices than the mid of the decision
    CROSSING = "crossing"  # shares that changed hands inside the account at another price than that mid
    FEES = "fees"  # what the broker charged for trading
    OTHER = "other"  # trades that belong to no plan of the session


class PartOfDay(msgspec.Struct, frozen=True, kw_only=True):
    """One part of the difference, in dollars and in basis points of the capital; negative where live was worse."""

    part: Part
    dollars: Decimal
    bps: Decimal


class OtherWeight(msgspec.Struct, frozen=True, kw_only=True):
    """A symbol of which the backtest wants another weight than was wanted live; ``None`` stands for a strategy that could not decide."""

    symbol: str
    live: float | None
    backtest: float | None


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers of one strategy: what it earned live and in the backtest, in dollars and in basis points of ``capital``."""

    capital: Decimal
    live: Decimal
    backtest: Decimal
    live_bps: Decimal
    backtest_bps: Decimal
    difference_bps: Decimal
    parts: tuple[PartOfDay, ...]

    @property
    def difference(self) -> Decimal:
        """What live earned more than the backtest, in dollars."""
        return self.live - self.backtest


class StrategyDay(msgspec.Struct, frozen=True, kw_only=True):
    """One strategy's session: its numbers, or the ``reason`` why there are none. Never both, and never neither.

    ``other_weights`` names the symbols on which live and backtest decided otherwise, also where that moved no money.
    """

    strategy: str
    compared: Compared | None = None
    reason: str | None = None
    other_weights: tuple[OtherWeight, ...] = ()


def compared(capital: Decimal, live: Decimal, backtest: Decimal, parts: Iterable[tuple[Part, Decimal]]) -> Compared:
    """Return the numbers of a strategy from what live and backtest earned and the parts of the difference, in dollars.

    ``capital`` must be more than zero. Raises ``ValueError`` when the parts do not add up to the difference, to the last digit.
    """
    made = tuple(PartOfDay(part=part, dollars=dollars, bps=in_bps(dollars, capital)) for part, dollars in parts)
    rest = live - backtest - sum((one.dollars for one in made), ZERO)
    if rest:
        raise ValueError(f"its books moved by {rest:+f} dollars in a way that no plan, fill or fee of the session explains")
    difference_bps = sum((one.bps for one in made), ZERO)
    backtest_bps = in_bps(backtest, capital)
    return Compared(
        capital=capital,
        live=live,
        backtest=backtest,
        live_bps=backtest_bps + difference_bps,
        backtest_bps=backtest_bps,
        difference_bps=difference_bps,
        parts=made,
    )


def in_bps(dollars: Decimal, capital: Decimal) -> Decimal:
    """Return dollars in basis points of a capital, rounded half-even to four places."""
    return (dollars * _BPS / capital).quantize(BPS_QUANTUM, rounding=ROUND_HALF_EVEN)
