"""The line that the exchange shows on a terminal."""

import io
from datetime import UTC, date, datetime

import pytest
from rich.console import Console

from alchemiser.cli.exchange_progress import progress_line, shown_progress
from alchemiser.exchange.server import ExchangeProgress
from alchemiser.market.calendar import TradingCalendar

SESSIONS = TradingCalendar.new_york().sessions(date(2025, 3, 3), date(2025, 3, 4))


def progress(at: str) -> ExchangeProgress:
    """Return how an exchange is doing at a time."""
    return ExchangeProgress(now=datetime.fromisoformat(at).replace(tzinfo=UTC), clients=2, open_orders=1, seen=345)


@pytest.mark.parametrize(
    ("at", "words"),
    [
        ("2025-03-03T14:00:00", ("2025-03-03 09:00:00 ET", "closed", "1/2", " 0%")),
        ("2025-03-03T17:45:00", ("open", "1/2 [#     ] 25%")),
        ("2025-03-03T22:00:00", ("closed", "1/2", " 50%")),
        ("2025-03-04T14:30:00", ("open", "2/2", " 50%")),
        ("2025-03-09T14:30:00", ("closed", "2/2", "100%")),
    ],
)
def test_the_line_says_how_far_the_market_is(at: str, words: tuple[str, ...]) -> None:
    """Time in New York, the session, the share of all sessions that is over, and what clients do."""
    line = progress_line(progress(at), SESSIONS)
    assert all(word in line for word in (*words, "2 streams, 1 orders, 345 calls")), line
    assert len(line) <= 80


@pytest.mark.parametrize("is_terminal", [True, False])
def test_only_a_terminal_is_shown_anything(*, is_terminal: bool) -> None:
    """Logs and pipes stay clean."""
    written = io.StringIO()
    with shown_progress(lambda: progress("2025-03-03T17:45:00"), SESSIONS, Console(file=written, force_terminal=is_terminal, width=200)):
        pass
    assert ("1/2" in written.getvalue()) is is_terminal
