"""The files of a store: what is written is read again, what is damaged is named, what is none is refused."""

import importlib
import os
import sys
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet

from alchemiser.domain.errors import DataError
from alchemiser.market.store.actions import Action, Actions, ActionsInfo, in_order
from alchemiser.market.store.series import COLUMNS, SeriesKey
from alchemiser.market.store.store import BarStore, adjustment_named, needs_pyarrow, store_at
from tests.unit.market.store.conftest import NOW, series

DAYS = (date(2025, 3, 3), date(2025, 3, 4), date(2025, 3, 5))
KEY = SeriesKey("SPY", "sip", "all")


@pytest.fixture
def store(tmp_path: Path) -> BarStore:
    """A store with one series."""
    store = BarStore.made(tmp_path / "bars")
    store.write(series(DAYS, (1.5, 2.25, 1 / 3)))
    return store


def test_a_series_is_read_as_it_was_written(store: BarStore) -> None:
    """To the last bit, with what is known of it, close-only bars included."""
    written = series(DAYS, (1.5, 2.25, 1 / 3), symbol="TLT", feed="iex", adjustment="raw")
    written.bars.high[1] = np.nan
    store.write(written)
    read = BarStore(store.path).read(SeriesKey("TLT", "iex", "raw"))

    assert read.info == written.info
    for name in ("days", *COLUMNS):
        np.testing.assert_array_equal(getattr(written.bars, name), getattr(read.bars, name))
    assert (read.first_day, read.last_day) == (DAYS[0], DAYS[-1])
    assert store.series_keys() == [KEY, SeriesKey("TLT", "iex", "raw")]
    assert store.series_keys("iex") == [SeriesKey("TLT", "iex", "raw")]
    assert store.feeds == ("iex", "sip")
    assert store.info(KEY) == store.read(KEY).info
    assert store.info(SeriesKey("QQQ", "sip", "all")) is None


def test_any_tool_reads_the_bars(store: BarStore) -> None:
    """A file is plain Parquet with dates and numbers."""
    table = parquet.read_table(store.path / "sip" / "all" / "SPY.parquet")

    assert table.column_names == ["date", *COLUMNS]
    assert table.column("date").to_pylist() == list(DAYS)
    assert table.column("close").to_pylist() == [1.5, 2.25, 1 / 3]


def test_corporate_actions_are_kept(store: BarStore) -> None:
    """A later answer replaces the days that it was asked about and no others."""

    def actions(first: date, last: date, *rows: Action) -> Actions:
        return Actions(ActionsInfo(symbol="SPY", asked_from=first, asked_through=last, source="tests", written_at=NOW), in_order(rows))

    dividend = Action(ex_date=DAYS[0], kind="cash_dividends", id="1", cash=0.5, wire="{}")
    split = Action(ex_date=DAYS[2], kind="forward_splits", id="2", new_rate=2, old_rate=1)
    wrong = Action(ex_date=DAYS[2], kind="forward_splits", id="3", new_rate=3, old_rate=1)
    store.write_actions(actions(DAYS[0], DAYS[2], wrong, dividend).joined(actions(DAYS[1], DAYS[2], split)))
    read = store.actions("SPY")

    assert read is not None
    assert read.rows == (dividend, split)
    assert (read.info.asked_from, read.info.asked_through) == (DAYS[0], DAYS[2])
    assert read.splits_on(np.array([day.toordinal() for day in DAYS])).tolist() == [1, 1, 2]
    assert store.actions("TLT") is None


def test_a_damaged_file_is_named(store: BarStore) -> None:
    """Cut short, something else, or the file of another series."""
    file = store.path / "sip" / "all" / "SPY.parquet"
    whole = file.read_bytes()
    other = store.path / "sip" / "all" / "TLT.parquet"
    other.write_bytes(whole)
    with pytest.raises(DataError, match="says that it is SPY sip all"):
        store.read(SeriesKey("TLT", "sip", "all"))
    file.write_bytes(whole[:100])
    with pytest.raises(DataError, match=r"SPY\.parquet: the file cannot be read as Parquet"):
        store.read(KEY)
    with pytest.raises(DataError, match=r"SPY\.parquet: not a series"):
        store.info(KEY)
    parquet.write_table(parquet.read_table(other).select(["close"]), file)
    with pytest.raises(DataError, match="not a series of a bar store"):
        store.read(KEY)
    actions = store.path / "actions" / "SPY.parquet"
    actions.parent.mkdir()
    actions.write_bytes(whole)
    with pytest.raises(DataError, match="not the corporate actions"):
        store.actions("SPY")
    with pytest.raises(DataError, match="there is no series QQQ sip raw"):
        store.read(SeriesKey("QQQ", "sip", "raw"))


def test_a_file_is_there_whole_or_not_at_all(store: BarStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk is full the old series stays, and nothing is left beside it."""

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match="No space left on device"):
        store.write(series(DAYS, (9, 9, 9)))

    assert store.read(KEY).bars.close[0] == 1.5
    assert [file.name for file in (store.path / "sip" / "all").iterdir()] == ["SPY.parquet"]


def test_what_a_killed_writer_left_is_no_series(store: BarStore) -> None:
    """A file that was never renamed does not count."""
    (store.path / "sip" / "all" / ".TLT.parquet.4711.part").write_bytes(b"half")
    (store.path / "sip" / "all" / ".TLT.parquet").write_bytes(b"half")

    assert store.series_keys() == [KEY]


def test_what_is_no_store(tmp_path: Path) -> None:
    """A folder with other things in it is never taken over, nor a store of a later version, nor nothing."""
    with pytest.raises(DataError, match="no bar store is there"):
        BarStore(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match="not empty"):
        BarStore.made(tmp_path)
    with pytest.raises(DataError, match="cannot be made there"):
        BarStore.made(tmp_path / "notes.txt" / "bars")
    (tmp_path / "store.json").write_text('{"alchemiser_bar_store": 2}')
    with pytest.raises(DataError, match="format 2"):
        BarStore.made(tmp_path)
    (tmp_path / "store.json").write_text("mine")
    with pytest.raises(DataError, match="cannot be read"):
        BarStore(tmp_path)


def test_a_path_names_a_store_or_one_of_its_feeds(store: BarStore, tmp_path: Path) -> None:
    """And any other folder names none."""
    assert store_at(tmp_path) is None
    assert store_at(store.path / "nothing") is None
    found, of_feed = store_at(store.path), store_at(store.path / "sip")
    assert found is not None
    assert found[1] is None
    assert of_feed is not None
    assert of_feed[1] == "sip"
    with pytest.raises(DataError, match="expected one of raw, split, all"):
        adjustment_named("none")


def test_without_pyarrow_it_says_what_to_install(store: BarStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is named instead of a traceback; another missing module is not passed off as it."""
    assert needs_pyarrow() is None
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.delitem(sys.modules, "alchemiser.market.store.table")
    with pytest.raises(DataError, match=r"alchemiser\[data\]"):
        store.read(KEY)
    monkeypatch.undo()

    def missing(name: str) -> None:
        raise ModuleNotFoundError("none", name="somewhere.else")

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(ModuleNotFoundError):
        store.read(KEY)
