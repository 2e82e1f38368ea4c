"""Small folders of bars, made from rows of text."""

from collections.abc import Callable
from pathlib import Path

import pytest

from alchemiser.market.calendar import TradingCalendar

HEADER = "date,open,high,low,close,volume,adj_close,dividend,split"

WriteBars = Callable[..., Path]


@pytest.fixture(scope="session")
def calendar() -> TradingCalendar:
    """The calendar of the table."""
    return TradingCalendar.new_york()


@pytest.fixture
def write_bars(tmp_path: Path) -> WriteBars:
    """Return a function that writes rows below a header and returns the folder."""

    def write(symbol: str, *rows: str, header: str = HEADER) -> Path:
        (tmp_path / f"{symbol}.csv").write_text("\n".join((header, *rows)) + "\n")
        return tmp_path

    return write
