"""Every command of ``docs/data.md`` works as it stands on the page, and every finding of the check is on it."""

import re
import shlex
from pathlib import Path
from typing import get_args

import pytest

from alchemiser.market.store import integrity
from tests.unit.cli.conftest import AsyncCommand
from tests.unit.cli.test_data import bars, venue

__all__ = ["bars", "venue"]

PAGE = (Path(__file__).parents[3] / "docs" / "data.md").read_text()
LINES = [line for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]


@pytest.fixture
def place(tmp_path: Path) -> None:
    """A strategy and bars where the page has them."""
    (tmp_path / "hold.clj").write_text('(defsymphony "Hold" {:rebalance-frequency :daily} (asset "SPY"))')
    (tmp_path / "data" / "daily").mkdir(parents=True)
    (tmp_path / "data" / "daily" / "SPY.csv").write_text("date,close\n2025-02-27,100\n2025-02-28,101\n")


@pytest.mark.usefixtures("venue", "place")
async def test_every_command_of_the_page(alchemiser_beside: AsyncCommand) -> None:
    """One after the other, against an exchange, each ends well and says something."""
    for line in LINES:
        ended = await alchemiser_beside(*shlex.split(line)[1:])
        assert ended.code == 0, (line, ended)
        assert ended.out
    assert len(LINES) == 10


def test_every_finding_is_explained() -> None:
    """A kind that is added is added to the table of the page too."""
    assert [kind for kind in get_args(integrity.Kind) if f"`{kind}`" not in PAGE] == []
