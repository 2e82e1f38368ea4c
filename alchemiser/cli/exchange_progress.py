"""What ``alchemiser exchange`` shows on a terminal while it serves: one line that says how far the market is and who is there.

Nothing is shown where standard error is no terminal, so that logs and pipes stay clean; the line of JSON goes to standard output anyway.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.live import Live
from rich.text import Text

from alchemiser.domain.market import Session
from alchemiser.exchange.server import ExchangeProgress
from alchemiser.market.calendar import NEW_YORK

_REFRESHES_PER_SECOND: Final = 2
_CELLS: Final = 6


@contextmanager
def shown_progress(progress: Callable[[], ExchangeProgress], sessions: Sequence[Session], console: Console | None = None) -> Iterator[None]:
    """Keep the line up to date until the block ends, on the console or else on standard error; only where that is a terminal."""
    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield
        return

    def line() -> Text:
        return Text(progress_line(progress(), sessions), no_wrap=True, overflow="ellipsis")

    with Live(get_renderable=line, console=console, refresh_per_second=_REFRESHES_PER_SECOND, transient=True):
        yield


def progress_line(progress: ExchangeProgress, sessions: Sequence[Session]) -> str:
    """Return the line: market time, which of the sessions, how much of all of them is over, and what clients do."""
    now = progress.now
    begun = [session for session in sessions if session.opens_at <= now]
    over = sum(min((now - each.opens_at) / (each.closes_at - each.opens_at), 1.0) for each in begun)
    share = over / len(sessions)
    bar = "#" * int(share * _CELLS)
    state = "open" if begun and now < begun[-1].closes_at else "closed"
    place = f"{max(len(begun), 1)}/{len(sessions)} [{bar:<{_CELLS}}] {share:.0%}"
    doing = f"{progress.clients} streams, {progress.open_orders} orders, {progress.seen} calls"
    return f"{now.astimezone(NEW_YORK):%Y-%m-%d %H:%M:%S} ET {state} {place}, {doing}"
