"""The results of the sessions, one after the other: the equity curve of the account and its falls.

They are read from the journal, which has them all; each question reads only what has been added since the last one.
"""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import ResultReported
from alchemiser.domain.money import ZERO

ResultReader = Callable[[int], Iterable[Envelope]]
"""Yields the results that were journaled after a sequence number, oldest first."""


class ResultHistory:
    """Every session's result with the fall from the highest equity before it."""

    def __init__(self, read: ResultReader) -> None:
        self._read = read
        self._after = 0
        self._peak = ZERO
        self._peaks: dict[str, Decimal] = {}
        self._by_session: dict[Any, dict[str, Any]] = {}
        self._events: dict[Any, ResultReported] = {}

    def rows(self) -> list[dict[str, Any]]:
        """Return one row a session, oldest first: equity and cash in dollars, the drawdown as a share of the peak, profit by strategy.

        A session that was reported twice, around a restart, counts with its last report.
        """
        for envelope in self._read(self._after):
            self._after = envelope.sequence
            if isinstance(event := envelope.event, ResultReported):
                self._take(event)
        return list(self._by_session.values())

    def events(self) -> list[ResultReported]:
        """Return the results as they were reported, oldest first, one a session."""
        self.rows()
        return list(self._events.values())

    def drawdown(self, equity: Decimal) -> float:
        """Return how far this equity is below the highest of the account, itself included, as a share of that."""
        self.rows()
        peak = max(self._peak, equity)
        return float((peak - equity) / peak) if peak else 0.0

    def below_peak(self, profit: Mapping[str, Decimal]) -> dict[str, Decimal]:
        """Return how far each strategy's profit, in dollars, is below the highest it had; none has been below nothing."""
        self.rows()
        return {name: max(self._peaks.get(name, ZERO), amount) - amount for name, amount in profit.items()}

    def _take(self, event: ResultReported) -> None:
        self._events[event.session] = event
        self._peak = max(self._peak, event.equity)
        names = sorted({*event.realised, *event.unrealised, *event.income})
        parts = (event.realised, event.unrealised, event.income)
        self._by_session[event.session] = {
            "session": event.session,
            "equity": event.equity,
            "cash": event.cash,
            "drawdown": float((self._peak - event.equity) / self._peak) if self._peak else 0.0,
            "profit": {name: sum((part.get(name, ZERO) for part in parts), ZERO) for name in names},
        }
        for name, profit in self._by_session[event.session]["profit"].items():
            self._peaks[name] = max(self._peaks.get(name, ZERO), profit)
