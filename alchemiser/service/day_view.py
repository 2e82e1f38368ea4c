"""A session compared with its backtest, as plain data: for the API, the command line, and whoever reads the journal."""

from collections.abc import Iterable
from datetime import date
from pathlib import Path

from alchemiser.domain.day_comparison import StrategyDay
from alchemiser.domain.errors import DataError, NoDaemon
from alchemiser.domain.events import DayCompared
from alchemiser.journal.reader import JournalReader
from alchemiser.service.view import Plain


def day_document(event: DayCompared) -> Plain:
    """Return the comparison of a session: each strategy with its numbers in dollars and basis points, or with the reason for none."""
    return {
        "session": event.session,
        "compared_at": event.at,
        "rebalance": event.rebalance_id,
        "limit_bps": event.limit_bps,
        "beyond": list(event.beyond),
        "strategies": {one.strategy: _strategy(one) for one in event.strategies},
        "closes": dict(event.closes),
    }


def compared_session(journal: Path, session: date) -> Plain:
    """Return the comparison of a session of any age, from the journal.

    Raises ``NoDaemon`` when there is no journal and ``DataError`` when the session was not compared.
    """
    if not journal.exists():
        raise NoDaemon(f"there is no journal at {journal}")
    with JournalReader.open(journal) as reader:
        events: Iterable[object] = [envelope.event for envelope in reader.read(types=(DayCompared,))]
    found = [event for event in events if isinstance(event, DayCompared) and event.session == session]
    if not found:
        raise DataError(f"the session of {session} was not compared with a backtest; the journal has no word of it")
    return day_document(found[-1])


def _strategy(one: StrategyDay) -> Plain:
    numbers = one.compared
    return {
        "reason": one.reason,
        "capital": numbers.capital if numbers else None,
        "live": numbers.live if numbers else None,
        "backtest": numbers.backtest if numbers else None,
        "difference": numbers.difference if numbers else None,
        "live_bps": numbers.live_bps if numbers else None,
        "backtest_bps": numbers.backtest_bps if numbers else None,
        "difference_bps": numbers.difference_bps if numbers else None,
        "parts": {part.part.value: {"dollars": part.dollars, "bps": part.bps} for part in (numbers.parts if numbers else ())},
        "other_weights": {other.symbol: {"live": other.live, "backtest": other.backtest} for other in one.other_weights},
    }
