"""Where the daily history of decisions comes from: the venue, or the bar store of the settings in front of it.

The store is loaded at the first question, minutes before a decision: it needs pyarrow, which a start shall not wait for.
"""

import importlib.util
from collections.abc import Sequence
from datetime import date

from alchemiser.domain.errors import ConfigError
from alchemiser.domain.market import Bar
from alchemiser.domain.runtime import Clock
from alchemiser.domain.venue import Venue
from alchemiser.service.decision_market import DailyBars
from alchemiser.service.deferred import load
from alchemiser.service.settings import Settings
from alchemiser.strategies.aside import RunAside

STORED_HISTORY = "alchemiser.service.stored_history:StoredHistory"


def daily_bars_of(settings: Settings, venue: Venue, clock: Clock, run_aside: RunAside) -> DailyBars:
    """Return what answers with daily bars. Raises ``ConfigError`` when a store is wanted and cannot be had.

    The embedded market is asked itself: its bars are of a market that another seed or another folder makes differently, and have no place
    beside those of a real one.
    """
    path = settings.data.store
    if path is None or settings.alpaca.mode == "embedded":
        return venue.daily_bars
    if importlib.util.find_spec("pyarrow") is None:
        raise ConfigError(f'data.store = "{path}": a bar store needs pyarrow; install the extra "alchemiser[data]" or unset data.store')
    history: DailyBars | None = None

    async def daily_bars(symbols: Sequence[str], *, start: date, end: date) -> dict[str, tuple[Bar, ...]]:
        nonlocal history
        if history is None:
            named = settings.alpaca.data_url or "the venue"
            stored = await run_aside(lambda: load(STORED_HISTORY))
            history = stored(path, settings.alpaca.feed, venue.daily_bars, clock, named=named, run_aside=run_aside)
        return await history(symbols, start=start, end=end)

    return daily_bars
