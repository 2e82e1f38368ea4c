"""The guards: what each watches, and when it trips, clears and may be armed again. Pure.

A guard compares one reading with its limit. At the limit it trips, once: it alarms, reduces or halts, as its action says, and stays
tripped. When the reading has come back to the cleared level it is said to be clear; one that gets worse again from there trips again. Only
a person arms it again, once it is clear, or by having it measure anew from that moment on.

``docs/risk.md`` is made of the tables here.
"""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec

from alchemiser.domain.money import number_string
from alchemiser.domain.trading import GUARD, HALTED, REDUCING


class GuardName(StrEnum):
    """Every guard."""

    DAILY_LOSS = "daily_loss"
    STRATEGY_DAILY_LOSS = "strategy_daily_loss"
    DRAWDOWN = "drawdown"
    STRATEGY_DRAWDOWN = "strategy_drawdown"
    REJECTS = "rejects"
    SLIPPAGE = "slippage"
    STALE_DATA = "stale_data"
    LEDGER = "ledger"


class GuardAction(StrEnum):
    """What a guard does when it trips, besides saying so."""

    OFF = "off"
    ALARM = "alarm"
    REDUCE = "reduce"
    HALT = "halt"


STATES: Final = {GuardAction.REDUCE: REDUCING, GuardAction.HALT: HALTED}
"""The trading state that an action leads to; an alarm leads to none."""


class GuardMeaning(msgspec.Struct, frozen=True):
    """What a guard reads, and in which unit its limit is."""

    about: str
    unit: str


MEANINGS: Final[dict[GuardName, GuardMeaning]] = {
    GuardName.DAILY_LOSS: GuardMeaning("what all strategies lost since the last close", "share of their capital"),
    GuardName.STRATEGY_DAILY_LOSS: GuardMeaning("what one strategy lost since the last close", "share of its capital"),
    GuardName.DRAWDOWN: GuardMeaning("how far the profit of all strategies is below its best", "share of their capital"),
    GuardName.STRATEGY_DRAWDOWN: GuardMeaning("how far the profit of one strategy is below its best", "share of its capital"),
    GuardName.REJECTS: GuardMeaning("orders that the venue refused one after the other", "orders"),
    GuardName.SLIPPAGE: GuardMeaning("what the last rebalance paid against its arrival prices", "basis points"),
    GuardName.STALE_DATA: GuardMeaning("the age of the oldest quote that a rebalance in progress works with", "seconds"),
    GuardName.LEDGER: GuardMeaning("shares and cash by which ledger and broker differ", "dollars"),
}
"""What each guard is about; the page on risk prints this table."""


class GuardRule(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one guard: it trips at ``limit`` and is clear again at ``cleared``, both in the unit of its meaning."""

    action: GuardAction
    limit: Decimal
    cleared: Decimal


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What a guard read: a value in its unit, and how it came about in words with its numbers.

    ``strategy`` is ``None`` for what concerns the account. A reading that is not ``is_sure`` rests on quotes, of which one may be wrong.
    """

    guard: GuardName
    value: Decimal
    text: str
    strategy: str | None = None
    is_sure: bool = True

    @property
    def key(self) -> str:
        """The name of the guard, with its strategy if it has one."""
        return key_of(self.guard, self.strategy)


class Trip(msgspec.Struct, frozen=True, kw_only=True):
    """A guard that has tripped and waits to be armed again; ``cleared_at`` is when its reading came back, ``None`` while it has not."""

    guard: str
    strategy: str | None
    action: str
    value: Decimal
    limit: Decimal
    cleared: Decimal
    text: str
    at: datetime
    cleared_at: datetime | None = None

    @property
    def restricts(self) -> bool:
        """Whether it holds trading back."""
        return self.action in STATES


class Verdict(StrEnum):
    """What a reading means for a guard."""

    TRIPS = "trips"
    CLEARS = "clears"


def key_of(guard: str, strategy: str | None) -> str:
    """Return the name of a guard, with its strategy if it has one: ``strategy_drawdown:klm``."""
    return guard if strategy is None else f"{guard}:{strategy}"


def source_of(guard: str) -> str:
    """Return the author of the restrictions of a guard."""
    return f"{GUARD}{guard}"


def judge(rule: GuardRule, standing: Trip | None, value: Decimal) -> Verdict | None:
    """Return what a value means for a guard that is armed, or tripped as ``standing`` says; ``None`` for nothing new."""
    if rule.action is GuardAction.OFF:
        return None
    is_clear = standing is None or standing.cleared_at is not None
    if value >= rule.limit:
        return Verdict.TRIPS if is_clear else None
    return Verdict.CLEARS if value <= rule.cleared and not is_clear else None


def in_words(guard: GuardName, value: Decimal) -> str:
    """Return a value with its unit."""
    unit = MEANINGS[guard].unit
    if unit.startswith("share of"):
        return f"{value:.2%} of {unit.removeprefix('share of ')}"
    return f"{number_string(value.quantize(Decimal('0.01')))} {unit}"


def guards_as_markdown(rules: dict[GuardName, GuardRule]) -> str:
    """Return the table of the guards with these rules, for the page on risk."""
    rows = "".join(
        f"| `{name.value}` | {meaning.about} | {meaning.unit} | {rules[name].action} at {number_string(rules[name].limit)} "
        f"| {number_string(rules[name].cleared)} |\n"
        for name, meaning in MEANINGS.items()
    )
    return "| Guard | Reads | Unit | Default | Clear at |\n|---|---|---|---|---|\n" + rows
