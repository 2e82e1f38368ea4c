"""A bar store in the place of a folder of bars: the same prices, splits and closes, whatever adjustments it has."""

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest

from alchemiser.domain.errors import DataError
from alchemiser.exchange.bars import BarFolder
from alchemiser.exchange.series import Adjustment
from alchemiser.market.store.series import Series, SeriesKey
from alchemiser.market.store.store import BarStore
from alchemiser.service.bar_import import ImportWish, files_of, import_files
from tests.unit.exchange.tape.conftest import WriteBars

NOW = datetime(2025, 4, 1, tzinfo=UTC)
ROWS = (
    "2025-03-26,100,101,99,100,1000,99,,",
    "2025-03-27,100,102,98,101,1000,101,1,",
    "2025-03-28,101,103,100,102,1000,102,,2",
    "2025-03-31,102,104,101,103,1000,103,,",
)


@pytest.fixture
def store(write_bars: WriteBars, tmp_path: Path) -> BarStore:
    """A store with the bars of a small file, as split-adjusted, raw and fully adjusted series."""
    store = BarStore.made(tmp_path / "store")
    import_files(store, files_of([write_bars("SPY", *ROWS) / "SPY.csv"], None), ImportWish(feed="one"), NOW)
    return store


def test_it_is_what_the_files_are(store: BarStore, tmp_path: Path) -> None:
    """Every column, the splits, and what the signals see, to the last bit."""
    files, stored = BarFolder(tmp_path), BarFolder(store.path)
    ours, theirs = stored.series("SPY"), files.series("SPY")

    for name in ("days", "open", "high", "low", "close", "volume", "total_return", "split", "is_close_only"):
        np.testing.assert_array_equal(getattr(theirs, name), getattr(ours, name), err_msg=name)
    assert stored.symbols == ("SPY",)
    for day in (date(2025, 3, 27), date(2025, 3, 31)):
        np.testing.assert_array_equal(files.adjusted_closes("SPY", day).closes, stored.adjusted_closes("SPY", day).closes)


@pytest.mark.parametrize("kept", ["raw", "split", "all"])
def test_one_adjustment_is_enough(store: BarStore, kept: str) -> None:
    """Raw bars are adjusted by the stored splits; fully adjusted ones stand for the prices."""
    before = BarFolder(store.path).daily("SPY", date(2025, 3, 1), date(2025, 4, 1), Adjustment.SPLIT, date(2025, 3, 31))
    for other in {"raw", "split", "all"} - {kept}:
        (store.path / "one" / other / "SPY.parquet").unlink()
    after = BarFolder(store.path).daily("SPY", date(2025, 3, 1), date(2025, 4, 1), Adjustment.SPLIT, date(2025, 3, 31))

    expected = before.close if kept != "all" else np.array([99.0, 101.0, 102.0, 103.0])
    np.testing.assert_allclose(after.close, expected, rtol=1e-12)
    np.testing.assert_allclose(after.volume, before.volume)


def test_of_several_feeds_one_is_named(store: BarStore, write_bars: WriteBars, tmp_path: Path) -> None:
    """A path that means two things is refused with what to write instead."""
    import_files(store, files_of([tmp_path / "SPY.csv"], None), ImportWish(feed="two"), NOW)
    with pytest.raises(DataError, match="it has bars of the feeds one, two; name one, as in"):
        BarFolder(store.path)
    assert BarFolder(store.path / "two").symbols == ("SPY",)


def test_what_cannot_be_used_is_said(store: BarStore, tmp_path: Path) -> None:
    """An empty store, an unknown symbol, a series without bars, days out of order, a close that is no price."""
    with pytest.raises(DataError, match="there are no bars in the store"):
        BarFolder(BarStore.made(tmp_path / "empty").path)
    with pytest.raises(DataError, match="no bars of QQQ; there are SPY"):
        BarFolder(store.path).series("QQQ")
    whole = store.read(SeriesKey("SPY", "one", "split"))
    for name, value, said in (("close", np.nan, "the close of 2025-03-27"), ("days", 1, "does not come after")):
        changed = getattr(whole.bars, name).copy()
        changed[1] = value
        store.write(Series(whole.info, replace(whole.bars, **{name: changed})))
        with pytest.raises(DataError, match=said):
            BarFolder(store.path).series("SPY")
    for adjustment in ("raw", "all"):
        (store.path / "one" / adjustment / "SPY.parquet").unlink()
    store.write(Series(whole.info, whole.bars.taken(slice(0, 0))))
    with pytest.raises(DataError, match="have no bars"):
        BarFolder(store.path).series("SPY")


def test_closes_before_the_prices_count_for_signals(tmp_path: Path, write_bars: WriteBars) -> None:
    """Days that only the fully adjusted series has are not traded; without a common day nothing is."""
    folder = write_bars("VXX", "2025-03-28,,,,,,50,,", "2025-03-31,10,10,10,10,5,51,,")
    store = BarStore.made(tmp_path / "store")
    import_files(store, files_of([folder / "VXX.csv"], None), ImportWish(feed="one"), NOW)
    assert BarFolder(store.path).series("VXX").days.tolist() == [date(2025, 3, 31).toordinal()]
    assert BarFolder(store.path).adjusted_closes("VXX", date(2025, 3, 31)).closes.tolist() == [50 * 10 / 51, 10]

    split = store.read(SeriesKey("VXX", "one", "split"))
    store.write(Series(split.info, replace(split.bars, days=split.bars.days + 1)))
    with pytest.raises(DataError, match="no row has a close"):
        BarFolder(store.path).series("VXX")
