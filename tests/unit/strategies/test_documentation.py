"""The documented indicators are those that exist."""

import re
from pathlib import Path

import pytest

from alchemiser.market.indicators import INDICATORS
from alchemiser.strategies.symphony.check import check_text

PAGE = Path(__file__).parents[3] / "docs" / "symphonies.md"
ROWS = re.findall(r"^\| `([a-z-]+)` \| (?:`([a-z-]+)`)? ?\| (.*?) ?\| .* \| (yes|no) \|$", PAGE.read_text(), re.MULTILINE)


def test_every_indicator_is_documented() -> None:
    """In the order in which they are known, none more, none fewer."""
    assert {row[0] for row in ROWS} == set(INDICATORS)


@pytest.mark.parametrize(("name", "alias", "parameters", "ranks"), ROWS, ids=[row[0] for row in ROWS])
def test_it_is_read_as_documented(name: str, alias: str, parameters: str, ranks: str) -> None:
    """Name and alias mean the same, with the parameters written out, or left out with a remark; only some rank groups."""
    written = parameters.replace("`", "")

    def condition(word: str, given: str) -> str:
        return str(check_text(f'(defsymphony "D" {{}} (if (> ({word} "SPY" {{{given}}}) 1) (asset "A") (asset "B")))').nodes[-1])

    assert condition(name, written) == condition(name, "")
    if alias:
        assert condition(name, written) == condition(alias, written)
    assert INDICATORS[name].is_price_level is (ranks == "no")
