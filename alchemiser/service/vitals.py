"""Whether the daemon is live and ready: the last round trip of the bus, and what keeps orders from being sent."""

from collections.abc import Callable, Mapping
from datetime import datetime

from alchemiser.bus.reports import TurnReport
from alchemiser.service.health import HealthReport, Reason

REMEDIES = {
    "starting": "wait; if it lasts, look at the log for what the venue answers",
    "orders_stream": "the daemon reconnects by itself; check the network and the venue's status page",
    "market_stream": "the daemon reconnects by itself; check the network and the venue's status page",
    "gap": "the daemon asks the venue for what it missed; if it lasts, check that the venue answers",
    "trading": "alchemiser resume, once the reason is understood",
    "stopping": "wait, or start it again",
    "ledger": "compare `alchemiser positions` with the broker's page; manual trades in a strategy's symbols cause this",
    "handler_stuck": "restart the daemon; the journal carries on",
    "bus_silent": "restart the daemon; the journal carries on",
    "account": "the broker's page says what the account is blocked for",
    "reconciling": "wait; if it lasts, check that the venue answers",
    "venue": "check that the venue answers; refused credentials have to be renewed, then restart the daemon",
    "parked": "see `alchemiser status`; what agrees is cleared by `alchemiser reconcile`, by hand by `alchemiser reconcile --clear SYMBOL`",
    "killed": "see `alchemiser status` for what it did and could not; alchemiser resume, once the reason is understood",
    "guard": "look into what it says, then alchemiser rearm NAME; docs/risk.md",
    "live_backtest": "alchemiser compare-day says which part of it is to blame; docs/live-against-backtest.md",
    "strategy_trading": "alchemiser resume --strategy NAME, once the reason is understood",
    "clock": "set the clock and keep it in step (chrony, systemd-timesyncd); alchemiser doctor measures it",
    "disk": "make room where the state directory is: a journal that cannot be written ends the daemon",
    "strategy": "alchemiser strategies; the reason says what is missing",
}
_NO_ILLNESS = ("session", "cut_off")
"""A closed exchange is none."""

_CODES = {
    "recovery": "starting",
    "orders": "orders_stream",
    "trading": "trading",
    "killed": "killed",
    "stopping": "stopping",
    "venue": "venue",
    "reconciling": "reconciling",
}


class Vitals:
    """Collects what health is made of. ``limit_seconds`` is how old the last good turn of the bus may be, in seconds of the loop."""

    def __init__(self, *, loop_time: Callable[[], float], now: Callable[[], datetime], limit_seconds: float) -> None:
        self._loop_time = loop_time
        self._now = now
        self.limit_seconds = limit_seconds
        self._turned_at = loop_time()
        self._last: TurnReport | None = None
        self._since: dict[str, datetime] = {}

    def on_turn(self, report: TurnReport) -> None:
        """Take note of a round trip."""
        self._last = report
        if report.is_healthy:
            self._turned_at = self._loop_time()

    def report(self, gate: Mapping[str, str], others: Mapping[str, str], alarms: Mapping[str, str] | None = None) -> HealthReport:
        """Return the health. ``gate`` are the reasons of the submit gate by cause, ``others`` further reasons by their code.

        ``alarms`` are told by the guard or the strategy that they are about; they keep nobody from trading.
        """
        reasons: dict[str, tuple[str, str]] = {}
        for cause, text in gate.items():
            if cause not in _NO_ILLNESS:
                reasons[cause] = (_CODES.get(cause, "gap"), text)
        for code, text in others.items():
            reasons[code] = (code, text)
        silent_seconds = self._loop_time() - self._turned_at
        is_live = silent_seconds <= self.limit_seconds * 2
        if not is_live:
            overdue = self._last.overdue if self._last is not None else {}
            text = f"the bus has not turned round for {silent_seconds:.0f} s"
            if overdue:
                text += "; stuck: " + ", ".join(f"{name} ({seconds:.0f} s)" for name, seconds in sorted(overdue.items()))
            reasons["bus"] = ("handler_stuck" if overdue else "bus_silent", text)
        ready = not reasons
        alarms = alarms or {}
        reasons |= {f"alarm {subject}": (subject.partition(" ")[0], text) for subject, text in alarms.items()}
        self._since = {cause: self._since.get(cause, self._now()) for cause in reasons}
        return HealthReport(
            live=is_live,
            ready=ready,
            reasons=tuple(
                Reason(code=code, text=text, since=self._since[cause], remedy=REMEDIES.get(code, ""), is_alarm=cause.startswith("alarm "))
                for cause, (code, text) in reasons.items()
            ),
        )
