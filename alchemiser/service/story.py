"""The log as a story: one line per decision, per order state, per session. An inline listener; what it writes, the journal proves."""

from decimal import Decimal
from typing import Any

import structlog

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import (
    ActivityBooked,
    CancelRequested,
    DaemonStarted,
    DaemonStopped,
    DaemonStopping,
    DayCompared,
    DecisionMissed,
    Event,
    ExecutionReported,
    FillBroken,
    GapClosed,
    GapOpened,
    GuardCleared,
    GuardRearmed,
    GuardTripped,
    JournalTailDropped,
    KillSwitchReported,
    LedgerCompared,
    LotsNamed,
    MailboxFilled,
    OrderClosed,
    OrderFilled,
    OrderIntended,
    OrderNotFound,
    OrderOutcomeUnknown,
    OrderRejected,
    OrderWithheld,
    RebalanceCompleted,
    RebalanceParked,
    RebalancePlanned,
    Reconciled,
    ReconciliationFailed,
    RecoveryCompleted,
    ResultReported,
    SessionClosed,
    SessionOpened,
    SettingsNotReloaded,
    SettingsReloaded,
    StrategyFailed,
    StrategyNotReloaded,
    StrategyReloaded,
    StrategyReloadPostponed,
    StrategyWarned,
    StreamConnected,
    StreamLost,
    StreamSilent,
    SymbolCleared,
    SymbolParked,
    TargetProposed,
    TradingStateChanged,
    TradingStatusChanged,
)
from alchemiser.domain.money import number_string
from alchemiser.domain.setting_change import in_words

_WARNINGS = (
    StreamLost,
    StreamSilent,
    GapOpened,
    ReconciliationFailed,
    SymbolParked,
    OrderRejected,
    OrderOutcomeUnknown,
    OrderNotFound,
    OrderWithheld,
    RebalanceParked,
    FillBroken,
    DecisionMissed,
    MailboxFilled,
    JournalTailDropped,
    StrategyNotReloaded,
    StrategyWarned,
    SettingsReloaded,
)
_ERRORS = (StrategyFailed, GuardTripped, SettingsNotReloaded)


_STATES_WITHOUT_EVENT = frozenset({"new", "accepted", "replaced", "pending_new", "suspended", "calculated", "stopped"})
"""What the venue says of an order that no event of ours says: fills and ends have events, and lines, of their own."""


class Storyteller:
    """Writes a log line for the events that an operator reads about; the kill switch, which may not wait for an event, writes its own."""

    listens_to: tuple[type[Event], ...] = (
        DaemonStarted,
        DaemonStopping,
        DaemonStopped,
        RecoveryCompleted,
        StreamConnected,
        GapClosed,
        Reconciled,
        SymbolCleared,
        SessionOpened,
        SessionClosed,
        StrategyReloadPostponed,
        StrategyReloaded,
        TargetProposed,
        RebalancePlanned,
        RebalanceCompleted,
        OrderIntended,
        ExecutionReported,
        CancelRequested,
        OrderFilled,
        OrderClosed,
        ActivityBooked,
        LedgerCompared,
        ResultReported,
        DayCompared,
        LotsNamed,
        TradingStateChanged,
        TradingStatusChanged,
        GuardCleared,
        GuardRearmed,
        KillSwitchReported,
        *_WARNINGS,
        *_ERRORS,
    )

    def __init__(self) -> None:
        self._log = structlog.get_logger("alchemiser.story")

    def __call__(self, envelope: Envelope) -> None:
        """Write the line of one event."""
        event = envelope.event
        if isinstance(event, ExecutionReported) and event.report.event not in _STATES_WITHOUT_EVENT:
            return
        words = {"market_time": event.at.isoformat(), "sequence": envelope.sequence}
        if envelope.correlation is not None:
            words["rebalance"] = envelope.correlation
        words |= _words(event)
        name = _snake(type(event).__name__)
        if isinstance(event, _ERRORS) or (isinstance(event, LedgerCompared) and event.differences) or _is_off_backtest(event):
            self._log.error(name, **words)
        elif isinstance(event, _WARNINGS) or (isinstance(event, Reconciled) and event.parked):
            self._log.warning(name, **words)
        else:
            self._log.info(name, **words)


def _words(event: Event) -> dict[str, Any]:
    """Return what a line says beside its name, in few words."""
    match event:
        case Reconciled():
            return {"reason": event.reason, "differences": [one.text for one in event.differences], "parked": sorted(event.parked)}
        case SessionOpened(session=session) | SessionClosed(session=session):
            return {"session": session.date.isoformat()}
        case TargetProposed():
            return {"strategy": event.strategy, "weights": event.weights, "why": " | ".join(line.strip() for line in event.explanation)}
        case RebalancePlanned():
            return {
                "equity": _money(event.equity),
                "intents": [f"{intent.side.value} {number_string(intent.quantity)} {intent.symbol}" for intent in event.intents],
                "denials": [f"{denial.code} {denial.symbol}" for denial in event.denials],
            } | ({"kept": dict(event.kept)} if event.kept else {})
        case RebalanceCompleted() | RebalanceParked():
            outcomes = [
                f"{outcome.symbol} {outcome.state}" + ("" if outcome.slippage_bps is None else f" {outcome.slippage_bps:+z.1f} bps")
                for outcome in event.outcomes
            ]
            return {"outcomes": outcomes} | ({"reason": event.reason} if isinstance(event, RebalanceParked) else {})
        case OrderIntended() | ExecutionReported() | CancelRequested() | OrderFilled() | OrderClosed():
            return _of_an_order(event)
        case FillBroken() | ActivityBooked() | DayCompared():
            return _of_the_books(event)
        case SettingsReloaded():
            return {"by": event.by, "changes": [in_words(change) for change in event.changes]}
        case DaemonStopped(open_orders=open_orders):
            return {"open_orders": open_orders}  # The stages have lines of their own.
        case ResultReported():
            profit = sum(event.realised.values(), Decimal(0)) + sum(event.unrealised.values(), Decimal(0))
            return {
                "session": event.session.isoformat(),
                "equity": _money(event.equity),
                "cash": _money(event.cash),
                "profit": _money(profit),
            }
        case _:
            return {
                "order" if name == "client_order_id" else name: value
                for name in event.__struct_fields__
                if isinstance(value := getattr(event, name), str | int | float | tuple | dict) and name != "at"
            }


def _of_an_order(event: OrderIntended | ExecutionReported | CancelRequested | OrderFilled | OrderClosed) -> dict[str, Any]:
    match event:
        case OrderIntended(order=order):
            price = "market" if order.limit_price is None else number_string(order.limit_price)
            return {"order": order.client_order_id, "side": order.side.value, "quantity": number_string(order.quantity), "limit": price}
        case ExecutionReported(report=report):
            return {"order": report.client_order_id, "state": report.status, "venue_order": report.venue_order_id}
        case CancelRequested():
            return {"order": event.client_order_id, "reason": event.reason}
        case OrderFilled(fill=fill):
            return {"order": fill.client_order_id, "quantity": number_string(fill.quantity), "price": number_string(fill.price)}
        case OrderClosed():
            return {"order": event.client_order_id, "state": event.state} | ({"reason": event.reason} if event.reason else {})


def _of_the_books(event: FillBroken | ActivityBooked | DayCompared) -> dict[str, Any]:
    if isinstance(event, DayCompared):
        return _of_the_day(event)
    if isinstance(event, FillBroken):
        fill = event.fill
        return {
            "order": fill.client_order_id,
            "quantity": number_string(fill.quantity),
            "price": number_string(fill.price),
            "reason": event.reason,
        } | ({"replaced_by": event.replaced_by} if event.replaced_by else {})
    row = event.activity
    words: dict[str, Any] = {"kind": row.kind, "treatment": event.treatment.value, "amount": number_string(row.amount)}
    if row.symbol:
        words["symbol"] = row.symbol
    if event.entries:
        words["strategies"] = sorted({entry.strategy for entry in event.entries})
    return words


def _is_off_backtest(event: Event) -> bool:
    return isinstance(event, DayCompared) and bool(event.beyond)


def _of_the_day(event: DayCompared) -> dict[str, Any]:
    numbers = {one.strategy: float(one.compared.difference_bps) for one in event.strategies if one.compared}
    words: dict[str, Any] = {"session": event.session.isoformat(), "difference_bps": numbers}
    if event.beyond:
        words |= {"beyond": list(event.beyond), "limit_bps": number_string(event.limit_bps)}
    reasons = {one.strategy: one.reason for one in event.strategies if one.reason}
    return words | ({"not_compared": reasons} if reasons else {})


def _money(amount: Decimal) -> str:
    return f"{amount:.2f}"


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")
