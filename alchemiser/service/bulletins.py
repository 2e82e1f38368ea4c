"""What a person is told when he is away: the few events that need him, and a digest of each session. Pure.

Everything else is in the log and on the dashboard. The same news is not told twice within a while, and no flood gets through: what was
held back is counted and told with the next message.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from enum import IntEnum
from typing import Any, Final

import msgspec

from alchemiser.domain.day_comparison import StrategyDay
from alchemiser.domain.events import (
    DayCompared,
    DecisionMissed,
    Event,
    FillBroken,
    GapOpened,
    GuardTripped,
    HandlerFailed,
    KillSwitchPulled,
    KillSwitchReported,
    LedgerCompared,
    RebalanceParked,
    Reconciled,
    ReconciliationFailed,
    ResultReported,
    SettingsNotReloaded,
    StrategyFailed,
    StrategyNotReloaded,
    SymbolParked,
    TradingStateChanged,
)
from alchemiser.market.calendar import new_york_date

HOUR_SECONDS: Final = 3600.0


class Level(IntEnum):
    """How soon somebody should look: ``INFO`` some day, ``WARNING`` today, ``ERROR`` now."""

    INFO = 0
    WARNING = 1
    ERROR = 2


class Bulletin(msgspec.Struct, frozen=True):
    """One message; two with the same ``key`` are the same news."""

    level: Level
    key: str
    title: str
    text: str


def _strategy_failed(event: StrategyFailed) -> Bulletin:
    text = f"{event.strategy} could not decide and keeps what it holds: {event.reason}"
    return Bulletin(Level.ERROR, f"strategy {event.strategy}", f"{event.strategy} failed", text)


def _decision_missed(event: DecisionMissed) -> Bulletin:
    return Bulletin(Level.ERROR, "decision missed", "A decision was missed", f"{event.session}: {event.reason}")


def _rebalance_parked(event: RebalanceParked) -> Bulletin:
    return Bulletin(Level.WARNING, "rebalance parked", "A rebalance ended early", f"{event.rebalance_id}: {event.reason}")


def _symbol_parked(event: SymbolParked) -> Bulletin:
    text = f"Nothing of {event.symbol} is sent until somebody looks: {event.parking.reason}"
    return Bulletin(Level.ERROR, f"parked {event.symbol}", f"{event.symbol} is parked", text)


def _reconciled(event: Reconciled) -> Bulletin | None:
    if not event.parked:
        return None
    names = ", ".join(sorted(event.parked))
    text = "; ".join(f"{symbol}: {parking.reason}" for symbol, parking in sorted(event.parked.items()))
    return Bulletin(Level.ERROR, f"parked {names}", f"Parked: {names}", text)


def _not_reconciled(event: ReconciliationFailed) -> Bulletin | None:
    if event.retries and event.code != "credentials_refused":
        return None
    return Bulletin(Level.ERROR, f"reconciliation {event.code}", "The broker could not be compared with", event.error)


def _ledger(event: LedgerCompared) -> Bulletin | None:
    if not event.differences:
        return None
    return Bulletin(Level.ERROR, "ledger", "Ledger and broker disagree", "; ".join(event.differences))


def _trading(event: TradingStateChanged) -> Bulletin | None:
    if event.state == "active":
        return None
    return Bulletin(Level.WARNING, f"trading {event.state}", f"Trading is {event.state}", f"by {event.by}: {event.reason}")


def _guard(event: GuardTripped) -> Bulletin:
    of = "" if event.strategy is None else f" of {event.strategy}"
    text = f"{event.text} (limit {event.limit}, action {event.action}); it stays tripped until somebody arms it again"
    return Bulletin(Level.ERROR, f"guard {event.guard}{of}", f"The guard {event.guard}{of} tripped", text)


def _killed(event: KillSwitchPulled) -> Bulletin:
    text = f"by {event.by}: {event.reason}; everything is cancelled{' and sold' if event.flattens else ''}, trading is halted"
    return Bulletin(Level.ERROR, f"kill {event.pulled_at}", "The kill switch was pulled", text)


def _kill_over(event: KillSwitchReported) -> Bulletin:
    text = f"{len(event.ended)} open orders ended, {len(event.sold)} symbols were sold"
    if event.could_not:
        return Bulletin(Level.ERROR, "kill over", "The kill switch could not do everything", "; ".join((text, *event.could_not)))
    return Bulletin(Level.WARNING, "kill over", "The kill switch has done its work", text)


def _handler_failed(event: HandlerFailed) -> Bulletin:
    text = f"{event.handler} raised at event {event.sequence}: {event.error}; {event.action}"
    return Bulletin(Level.ERROR, f"handler {event.handler}", f"A part of the daemon failed: {event.handler}", text)


def _gap(event: GapOpened) -> Bulletin:
    text = f"{event.reason}; nothing is sent until it is closed"
    return Bulletin(Level.WARNING, f"gap {event.stream}", f"The {event.stream} stream has a gap", text)


def _broken(event: FillBroken) -> Bulletin:
    text = f"{event.fill.quantity} {event.fill.symbol} at {event.fill.price} were taken back: {event.reason}"
    return Bulletin(Level.WARNING, f"bust {event.fill.execution_id}", "The venue took an execution back", text)


def _not_reloaded(event: StrategyNotReloaded) -> Bulletin:
    text = f"{event.strategy} goes on as it was: {event.reason}"
    return Bulletin(Level.WARNING, f"reload {event.strategy}", f"A new version of {event.strategy} was not taken", text)


def _settings_refused(event: SettingsNotReloaded) -> Bulletin:
    return Bulletin(Level.WARNING, "settings refused", "The settings were not taken", f"Nothing was changed: {event.reason}")


def _off_backtest(event: DayCompared) -> Bulletin | None:
    if not event.beyond:
        return None
    names = ", ".join(event.beyond)
    lines = [_against_backtest(one) for one in event.strategies if one.strategy in event.beyond]
    text = "\n".join([f"{event.session}, the limit is {event.limit_bps:f} basis points:", *lines])
    return Bulletin(Level.WARNING, f"off backtest {event.session}", f"Live was off the backtest: {names}", text)


def _against_backtest(one: StrategyDay) -> str:
    """Return in one line how far a strategy was from its backtest, the largest parts first."""
    if one.compared is None:
        return f"{one.strategy}: not compared with its backtest: {one.reason}."
    parts = [(part, f"{part.bps:+z.1f}") for part in sorted(one.compared.parts, key=lambda part: -abs(part.bps))]
    of = ", ".join(f"{part.part} {bps}" for part, bps in parts if bps != "+0.0")
    symbols = ", ".join(other.symbol for other in one.other_weights)
    otherwise = f"; decided otherwise of {symbols}" if symbols else ""
    return f"{one.strategy}: {one.compared.difference_bps:+z.1f} basis points off its backtest{f' ({of})' if of else ''}{otherwise}."


WRITERS: Final[dict[type[Event], Callable[[Any], Bulletin | None]]] = {
    StrategyFailed: _strategy_failed,
    DecisionMissed: _decision_missed,
    RebalanceParked: _rebalance_parked,
    SymbolParked: _symbol_parked,
    Reconciled: _reconciled,
    ReconciliationFailed: _not_reconciled,
    LedgerCompared: _ledger,
    TradingStateChanged: _trading,
    GuardTripped: _guard,
    KillSwitchPulled: _killed,
    KillSwitchReported: _kill_over,
    HandlerFailed: _handler_failed,
    GapOpened: _gap,
    FillBroken: _broken,
    StrategyNotReloaded: _not_reloaded,
    SettingsNotReloaded: _settings_refused,
    DayCompared: _off_backtest,
}
"""The events that may need a person, and what is written about each; ``None`` when this one does not."""


def bulletin_of(event: Event) -> Bulletin | None:
    """Return what a person is told of an event, or ``None``: most are nobody's business."""
    write = WRITERS.get(type(event))
    return None if write is None else write(event)


def digest(
    result: ResultReported,
    history: Sequence[Mapping[str, Any]],
    orders: Sequence[Mapping[str, Any]],
    compared: DayCompared | None = None,
) -> Bulletin:
    """Return the message at the end of a session: equity and its change, profit by strategy, orders, costs, and how far from the backtest.

    ``history`` are the rows of ``service.results``. ``orders`` are rows as the API gives them: after a session without any those of an
    earlier one, which are no news.
    """
    orders = [row for row in orders if new_york_date(row["intended_at"]) == result.session]
    before = [row for row in history if row["session"] != result.session]
    lines = [f"Equity {result.equity:,.2f}, cash {result.cash:,.2f}."]
    if before:
        change = result.equity - before[-1]["equity"]
        share = f" ({change / before[-1]['equity']:+z.2%})" if before[-1]["equity"] else ""
        lines.append(f"{change:+z,.2f} since {before[-1]['session']}{share}.")
    for name in sorted({*result.realised, *result.unrealised}):
        realised, unrealised = result.realised.get(name, Decimal(0)), result.unrealised.get(name, Decimal(0))
        income = result.income.get(name, Decimal(0))
        paid = f", {income:+z,.2f} income" if income else ""
        total = realised + unrealised + income
        lines.append(f"{name}: {total:+z,.2f} in all ({realised:+z,.2f} realised, {unrealised:+z,.2f} open{paid}).")
    filled = [row for row in orders if row["cumulative_quantity"]]
    lines.append(f"{len(filled)} of {len(orders)} orders filled." if orders else "No orders.")
    costs = [row["arrival_bps"] for row in filled if row.get("arrival_bps") is not None]
    if costs:
        lines.append(f"Slippage from the arrival price {sum(costs) / len(costs):+z.1f} basis points on average.")
    lines += [_against_backtest(one) for one in compared.strategies] if compared else []
    return Bulletin(Level.INFO, f"digest {result.session}", f"{result.session}: {result.equity:,.2f}", "\n".join(lines))


class Editor:
    """Decides which messages go out. ``now`` is in seconds of a clock that never goes back."""

    def __init__(self, *, least: Level, repeat_seconds: float, at_most_per_hour: int) -> None:
        self.admit_by(least=least, repeat_seconds=repeat_seconds, at_most_per_hour=at_most_per_hour)
        self._told_at: dict[str, float] = {}
        self._sent_at: deque[float] = deque()
        self._held_back = 0

    def admit_by(self, *, least: Level, repeat_seconds: float, at_most_per_hour: int) -> None:
        """Decide by these from now on; what was sent already still counts."""
        self._least = least
        self._repeat_seconds = repeat_seconds
        self._at_most = at_most_per_hour

    def admit(self, bulletin: Bulletin, now: float) -> Bulletin | None:
        """Return the message as it goes out, or ``None`` when it does not: too unimportant, told already, or too many of late.

        A digest is always important enough. One that goes out says how many were held back before it.
        """
        is_digest = bulletin.key.startswith("digest ")
        if bulletin.level < self._least and not is_digest:
            return None
        for key in [key for key, at in self._told_at.items() if now - at >= self._repeat_seconds]:
            del self._told_at[key]
        while self._sent_at and now - self._sent_at[0] >= HOUR_SECONDS:
            self._sent_at.popleft()
        if bulletin.key in self._told_at or len(self._sent_at) >= self._at_most:
            self._held_back += 1
            return None
        self._told_at[bulletin.key] = now
        self._sent_at.append(now)
        held, self._held_back = self._held_back, 0
        if not held:
            return bulletin
        return msgspec.structs.replace(
            bulletin, text=f"{bulletin.text}\n({held} more were not sent: repeated, or too many at once; the log has them.)"
        )
