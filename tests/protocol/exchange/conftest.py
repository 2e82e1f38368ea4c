"""What the tests of the faces share."""

from pathlib import Path

import pytest

from alchemiser.exchange.bars import BarFolder
from alchemiser.exchange.tape import MarketTape
from tests.protocol.exchange.harness import CALENDAR


@pytest.fixture
def dividend_tape(tmp_path: Path) -> MarketTape:
    """Return a market of one fund that pays half a dollar, splits three for two, and one for ten the other way."""
    days = {
        "2025-02-24": (100.0, "", ""),
        "2025-02-25": (100.0, "0.5", ""),
        "2025-02-26": (100.0, "", "1.5"),
        "2025-02-27": (100.0, "", "0.1"),
        "2025-02-28": (101.0, "", ""),
        "2025-03-03": (101.0, "", ""),
    }
    lines = ["date,open,high,low,close,volume,adj_close,dividend,split"]
    for day, (close, dividend, split) in days.items():
        adjusted = close * (0.995 if day < "2025-02-25" else 1)
        lines.append(f"{day},{close},{close},{close},{close},1000,{adjusted},{dividend},{split}")
    (tmp_path / "XYZ.csv").write_text("\n".join(lines) + "\n")
    return MarketTape(BarFolder(tmp_path), CALENDAR, ["XYZ"], 1)
