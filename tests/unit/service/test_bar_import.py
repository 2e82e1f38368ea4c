"""Bar files brought into a store: what becomes of them, and what is refused with file and line."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from alchemiser.domain.errors import DataError, UsageError
from alchemiser.market.store.series import SeriesKey
from alchemiser.market.store.store import BarStore
from alchemiser.service.bar_import import Imported, ImportWish, files_of, import_files

NOW = datetime(2025, 4, 1, tzinfo=UTC)
FULL = "date,open,high,low,close,volume,adj_close,dividend,split"


@pytest.fixture
def store(tmp_path: Path) -> BarStore:
    """An empty store."""
    return BarStore.made(tmp_path / "store")


def write(folder: Path, *rows: str, symbol: str = "SPY", header: str = "date,close") -> Path:
    file = folder / f"{symbol}.csv"
    file.write_text("\n".join((header, *rows)) + "\n")
    return file


def brought(store: BarStore, *files: Path, **wish: object) -> list[Imported]:
    return import_files(store, files_of(files, None), ImportWish(feed="mine", **wish), NOW)  # type: ignore[arg-type]


def closes(store: BarStore, adjustment: str = "split") -> list[float]:
    read: list[float] = store.read(SeriesKey("SPY", "mine", adjustment)).bars.close.tolist()  # type: ignore[arg-type]
    return read


def test_a_full_file_becomes_three_series_and_its_actions(store: BarStore, tmp_path: Path) -> None:
    """Split-adjusted as it stands, as traded, and fully adjusted; dividends and splits beside them."""
    rows = ("2025-03-27,100,102,98,100,1000,99,,", "2025-03-28,101,103,100,102,1000,102,1,2", "2025-03-31,102,104,101,103,9,103,,0.5")
    done = brought(store, write(tmp_path, *rows, header=FULL))

    assert [(entry.adjustment, entry.outcome, entry.rows, entry.added) for entry in done] == [
        ("split", "imported", 3, 3),
        ("raw", "imported", 3, 3),
        ("all", "imported", 3, 3),
    ]
    assert (closes(store), closes(store, "raw"), closes(store, "all")) == ([100, 102, 103], [100, 51, 103], [99, 102, 103])
    assert store.read(SeriesKey("SPY", "mine", "all")).bars.open.tolist() == [99, 101, 102]
    actions = store.actions("SPY")
    assert actions is not None
    assert [(str(row.ex_date), row.kind, row.cash, row.new_rate) for row in actions.rows] == [
        ("2025-03-28", "cash_dividends", 1.0, None),
        ("2025-03-28", "forward_splits", None, 2.0),
        ("2025-03-31", "reverse_splits", None, 0.5),
    ]


def test_what_the_closes_are_can_be_said(store: BarStore, tmp_path: Path) -> None:
    """A file of raw or fully adjusted closes becomes that series and no other."""
    file = write(tmp_path, "2025-03-28,10")
    assert [entry.adjustment for entry in brought(store, file, closes="raw")] == ["raw"]
    assert [entry.adjustment for entry in brought(store, file, closes="all")] == ["all"]
    full = write(tmp_path, "2025-03-28,1,1,1,1,1,1,,", header=FULL)
    with pytest.raises(DataError, match="its close is split-adjusted"):
        brought(store, full, closes="raw")


def test_more_of_the_same_is_joined_on_both_sides(store: BarStore, tmp_path: Path) -> None:
    """Where both agree, days before and after are added and nothing else changes."""
    brought(store, write(tmp_path, "2025-03-27,10", "2025-03-28,11"))
    (entry,) = brought(store, write(tmp_path, "2025-03-26,9", "2025-03-27,10", "2025-03-28,11", "2025-03-31,12"))
    assert (entry.outcome, entry.added, closes(store)) == ("extended", 2, [9, 10, 11, 12])
    (entry,) = brought(store, write(tmp_path, "2025-03-28,11"))
    assert (entry.outcome, entry.added, closes(store)) == ("unchanged", 0, [9, 10, 11, 12])
    series = store.read(SeriesKey("SPY", "mine", "split"))
    assert (series.info.asked_from, series.info.asked_through) == (date(2025, 3, 26), date(2025, 3, 31))


def test_what_does_not_go_together_is_refused(store: BarStore, tmp_path: Path) -> None:
    """Another adjustment, or no common day to tell: nothing changes unless it is to be replaced."""
    brought(store, write(tmp_path, "2025-03-27,10", "2025-03-28,11"))
    adjusted = write(tmp_path, "2025-03-27,5", "2025-03-28,5.5", "2025-03-31,6")
    with pytest.raises(DataError, match=r"SPY mine split: all closes differ by the factor 0\.5.*nothing was imported"):
        brought(store, adjusted)
    with pytest.raises(DataError, match="no day in common"):
        brought(store, write(tmp_path, "2025-03-31,6"))
    assert closes(store) == [10, 11]
    (entry,) = brought(store, write(tmp_path, "2025-03-31,6"), replace=True)
    assert (entry.outcome, closes(store)) == ("replaced", [6])

    raw = [write(tmp_path, day, symbol="QQQ") for day in ("2025-03-27,10",)]
    brought(store, *raw, closes="raw")
    (entry,) = brought(store, write(tmp_path, "2025-03-31,6", symbol="QQQ"), closes="raw")
    assert entry.added == 1, "raw prices are relative to nothing"


def test_a_wrong_file_is_named_and_nothing_is_imported(store: BarStore, tmp_path: Path) -> None:
    """Not even the good file before it."""
    good = write(tmp_path, "2025-03-27,10", symbol="AAA")
    for rows, said in (
        (("2025-03-27,10", "2025-03-28,-1"), r"SPY\.csv, line 3: close is \"-1\""),
        (("2025-03-28,10", "2025-03-27,10"), r"SPY\.csv, line 3: 2025-03-27 comes after"),
        (("2025-03-28,10", "2025-03-28,10"), r"SPY\.csv, line 3: 2025-03-28 is there twice"),
        (("2025-03-28,nan",), r"SPY\.csv, line 2: close is \"nan\""),
        (("28.03.2025,1",), r"SPY\.csv, line 2: date is"),
    ):
        with pytest.raises(DataError, match=said):
            brought(store, good, write(tmp_path, *rows))
    with pytest.raises(DataError, match=r"line 2: dividend is \"-1\""):
        brought(store, good, write(tmp_path, "2025-03-28,1,1,1,1,1,1,-1,", header=FULL))
    assert store.series_keys() == []


def test_files_are_named_by_their_symbols(tmp_path: Path) -> None:
    """A folder means its files; two files of one symbol, and a name for several, are refused."""
    file = write(tmp_path, "2025-03-27,10", symbol="spy")
    assert files_of([file], None) == {"SPY": file}
    assert files_of([file], "QQQ") == {"QQQ": file}
    assert files_of([tmp_path], None) == {"SPY": file}
    with pytest.raises(DataError, match="is there already"):
        files_of([file, file], None)
    with pytest.raises(UsageError, match="one file"):
        files_of([tmp_path], "QQQ")
    with pytest.raises(DataError, match=r"SPY\.txt: expected a file that ends with"):
        files_of([tmp_path / "SPY.txt"], None)


def test_a_damaged_series_is_replaced_by_a_file(store: BarStore, tmp_path: Path) -> None:
    """Whoever says that the file takes its place need not read it; who does not is told that it cannot be read."""
    brought(store, write(tmp_path, "2025-03-27,10"))
    (store.path / "mine" / "split" / "SPY.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(DataError, match=r"SPY\.parquet: the file cannot be read as Parquet"):
        brought(store, write(tmp_path, "2025-03-28,11"))
    brought(store, write(tmp_path, "2025-03-28,11"), replace=True)
    assert closes(store) == [11]
