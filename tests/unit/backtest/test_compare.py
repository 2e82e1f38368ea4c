"""Two results side by side."""

import math
from pathlib import Path
from typing import Any

import msgspec
import pytest

from alchemiser.backtest.compare import TermChange, compare, read_result
from alchemiser.backtest.document import digest_of
from alchemiser.domain.errors import DataError

BASE: dict[str, Any] = {
    "engine": "vector",
    "metrics": {"sharpe": 1.0, "calmar": None},
    "dates": ["2025-03-03", "2025-03-04", "2025-03-05"],
    "equity": [100.0, 110.0, 121.0],
    "data": {"version": "sha256:a"},
}


def stored(folder: Path, name: str, **changes: Any) -> Path:
    document = {**BASE, **changes}
    path = folder / name
    path.write_bytes(msgspec.json.encode({"digest": digest_of(document), **document}))
    return path


def test_figures_and_days(tmp_path: Path) -> None:
    """Figures that both have are subtracted; curves are compared on common days from a common beginning, whatever their cash."""
    one = read_result(stored(tmp_path, "a.json"))
    other = read_result(
        stored(tmp_path, "b.json", metrics={"sharpe": 1.5, "calmar": 2.0}, dates=["2025-03-04", "2025-03-05"], equity=[220.0, 231.0])
    )
    found = compare(("a", one), ("b", other))

    assert [(figure.name, figure.difference) for figure in found.figures] == [("sharpe", 0.5), ("calmar", None)]
    assert (found.sessions, found.only_first, found.only_second, found.is_same, found.same_data) == (2, 1, 0, False, True)
    assert [day.difference for day in found.equity] == [110.0, 110.0]
    assert [day.relative for day in found.equity] == pytest.approx([0.0, 1.05 / 1.1 - 1])
    assert (found.largest_on, found.first_difference) == ("2025-03-05", "2025-03-04")


def test_terms_that_differ(tmp_path: Path) -> None:
    """Those that both results tell are compared; an older result tells none."""
    one = read_result(stored(tmp_path, "a.json", terms={"cash": 1.0, "fill": "close", "fees": False}))
    other = read_result(stored(tmp_path, "b.json", terms={"cash": 1.0, "fill": "next-open", "more": 3}))

    assert compare(("a", one), ("b", other)).terms == [TermChange("fill", "close", "next-open")]
    assert compare(("a", one), ("b", read_result(stored(tmp_path, "c.json")))).terms == []


def test_an_account_that_lost_everything(tmp_path: Path) -> None:
    """It is compared like any other: both with nothing are alike, and against nothing the other one is without bound."""
    one = read_result(stored(tmp_path, "a.json", equity=[100.0, 0.0, 0.0]))
    other = read_result(stored(tmp_path, "b.json", equity=[100.0, 50.0, 0.0]))

    assert [day.relative for day in compare(("a", one), ("b", other)).equity] == [0.0, math.inf, 0.0]
    assert [day.relative for day in compare(("b", other), ("a", one)).equity] == [0.0, -1.0, 0.0]


def test_the_same_result(tmp_path: Path) -> None:
    """The same figures and curve are the same; without a version of the data nothing is said of it."""
    one, other = read_result(stored(tmp_path, "a.json")), read_result(stored(tmp_path, "b.json", data=None))
    found = compare(("a", one), ("b", other))

    assert (found.is_same, found.same_data, found.first_difference, found.largest_relative) == (True, None, None, 0.0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"equity": [1.0]}, "3 dates and 1 equities"),
        ({"equity": []}, "3 dates and 0 equities"),
        ({"equity": [1.0, -1.0, 1.0]}, "not a number or negative"),
        ({"equity": "many"}, "not a result of backtest --json"),
        ({"digest": "sha256:0"}, "changed after it was written"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    """What is not a whole, unchanged result is refused with its name."""
    with pytest.raises(DataError, match=f"a.json: .*{words}"):
        read_result(stored(tmp_path, "a.json", **changes))


def test_what_cannot_be_compared(tmp_path: Path) -> None:
    """A missing file, and results without a common day, are refused."""
    one = read_result(stored(tmp_path, "a.json"))
    other = read_result(stored(tmp_path, "b.json", dates=["2024-01-02", "2024-01-03", "2024-01-04"]))

    with pytest.raises(DataError, match="no day in common"):
        compare(("a", one), ("b", other))
    with pytest.raises(DataError, match="cannot be read"):
        read_result(tmp_path / "gone.json")
