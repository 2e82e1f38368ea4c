"""Series made from a few numbers."""

from collections.abc import Sequence
from datetime import UTC, date, datetime

import numpy as np

from alchemiser.market.store.series import Adjusting, BarColumns, Series, SeriesInfo

NOW = datetime(2025, 4, 1, 12, tzinfo=UTC)


def columns(closes: dict[date, float]) -> BarColumns:
    """Return bars whose range is a little around the close."""
    return BarColumns.of([(day.toordinal(), close, close * 1.01, close * 0.99, close, 1000.0) for day, close in closes.items()])


def series(
    days: Sequence[date],
    closes: Sequence[float],
    *,
    symbol: str = "SPY",
    feed: str = "sip",
    adjustment: Adjusting = "all",
    asked: tuple[date, date] | None = None,
) -> Series:
    """Return a series of these closes."""
    first, last = asked or (days[0], days[-1])
    info = SeriesInfo(symbol=symbol, feed=feed, adjustment=adjustment, asked_from=first, asked_through=last, source="tests", written_at=NOW)
    return Series(info, columns(dict(zip(days, np.asarray(closes, dtype=float).tolist(), strict=True))))
