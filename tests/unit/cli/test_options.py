"""How a ``--strategy`` is read."""

from decimal import Decimal
from typing import Any

import pytest

from alchemiser.cli.options import read_strategies
from alchemiser.domain.errors import UsageError


@pytest.mark.parametrize(
    ("texts", "table"),
    [
        (None, None),
        ([], None),
        (["tecl"], {"tecl": {"source": "tecl", "allocation": None}}),
        (
            ["tecl=0.6", "klm=0.4"],
            {"tecl": {"source": "tecl", "allocation": Decimal("0.6")}, "klm": {"source": "klm", "allocation": Decimal("0.4")}},
        ),
        (["dir/My One.clj"], {"My One": {"source": "dir/My One.clj", "allocation": None}}),
        (["pkg.mod:Trend=1"], {"trend": {"source": "pkg.mod:Trend", "allocation": Decimal(1)}}),
    ],
)
def test_strategies_are_named_by_their_source(texts: list[str] | None, table: dict[str, Any] | None) -> None:
    """A shipped name is itself, a file its stem, a class its name; a share follows the equals sign."""
    assert table == read_strategies(texts)


@pytest.mark.parametrize("texts", [["tecl=half"], ["=1"], [""], ["tecl", "tecl"], ["a/x.clj", "b/x.clj"]])
def test_what_cannot_be_read_is_wrong_usage(texts: list[str]) -> None:
    """An unreadable share, an empty name and a name that comes twice are refused."""
    with pytest.raises(UsageError, match="--strategy"):
        read_strategies(texts)
