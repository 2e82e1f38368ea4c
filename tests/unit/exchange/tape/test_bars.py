"""The folder of bars: what is read, what is refused and with which words, and what adjusting means."""

import csv
import os
import sys
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as arrow
import pytest
from pyarrow import parquet

from alchemiser.domain.errors import DataError
from alchemiser.exchange.bars import BarFolder
from alchemiser.exchange.series import Adjustment
from tests.unit.exchange.tape.conftest import WriteBars

REAL_BARS = Path(os.environ.get("ALCHEMISER_TEST_BARS", Path(__file__).parents[5] / "shared" / "data" / "daily"))
FAR_BACK, FAR_AHEAD = date(1990, 1, 1), date(2030, 1, 1)

# A dividend of 1 on the 27th (closes before are worth 0.99), a 2:1 split on the 28th; prices are split-adjusted.
ACTIONS = (
    "2025-03-26,100,101,99,100,1000,99,,",
    "2025-03-27,100,102,98,101,1000,101,1,",
    "2025-03-28,101,103,100,102,1000,102,,2",
    "2025-03-31,102,104,101,103,1000,103,,",
)


def closes(folder: BarFolder, adjustment: Adjustment, as_of: str) -> list[float]:
    bars = folder.daily("SPY", FAR_BACK, FAR_AHEAD, adjustment, date.fromisoformat(as_of))
    return [round(close, 9) for close in bars.close.tolist()]


def test_a_file_becomes_columns(write_bars: WriteBars) -> None:
    """Every column is read as written, days as ordinals."""
    series = BarFolder(write_bars("SPY", *ACTIONS)).series("SPY")
    assert len(series) == 4
    assert (series.first_day, series.last_day) == (date(2025, 3, 26), date(2025, 3, 31))
    assert series.open.tolist() == [100, 100, 101, 102]
    assert series.high.tolist() == [101, 102, 103, 104]
    assert series.low.tolist() == [99, 98, 100, 101]
    assert series.close.tolist() == [100, 101, 102, 103]
    assert series.volume.tolist() == [1000] * 4
    assert series.split.tolist() == [1, 1, 2, 1]
    assert not series.is_close_only.any()


@pytest.mark.parametrize(
    ("adjustment", "as_of", "expected"),
    [
        ("split", "2025-03-31", [100, 101, 102, 103]),
        ("all", "2025-03-31", [99, 101, 102, 103]),
        ("raw", "2025-03-31", [200, 202, 102, 103]),
        ("dividend", "2025-03-31", [198, 202, 102, 103]),
        ("split", "2025-03-27", [100, 101]),
        ("all", "2025-03-27", [99, 101]),
        ("raw", "2025-03-27", [100, 101]),
        ("all", "2025-03-26", [100]),
        ("all", "2025-03-30", [99, 101, 102]),
        ("all", "2025-03-25", []),
        ("raw", "2025-03-25", []),
    ],
)
def test_adjustment_is_as_seen_on_a_day(write_bars: WriteBars, adjustment: str, as_of: str, expected: list[float]) -> None:
    """The last bar on or before the day has factor 1, nothing later shows, and a raw price undoes the splits up to that day."""
    folder = BarFolder(write_bars("SPY", *ACTIONS))
    assert closes(folder, Adjustment(adjustment), as_of) == expected


def test_volume_follows_splits_and_not_dividends(write_bars: WriteBars) -> None:
    """As-traded volume is divided by what the price is multiplied with."""
    folder = BarFolder(write_bars("SPY", *ACTIONS))
    for adjustment, expected in (("raw", [500, 500, 1000, 1000]), ("dividend", [500, 500, 1000, 1000]), ("all", [1000] * 4)):
        assert folder.daily("SPY", FAR_BACK, FAR_AHEAD, Adjustment(adjustment), FAR_AHEAD).volume.tolist() == expected


def test_a_range_of_days_is_cut_on_both_sides(write_bars: WriteBars) -> None:
    """Start and end are included, and a range without a day is empty."""
    folder = BarFolder(write_bars("SPY", *ACTIONS))
    bars = folder.daily("SPY", date(2025, 3, 27), date(2025, 3, 30), Adjustment.SPLIT, FAR_AHEAD)
    assert (len(bars), bars.close.tolist()) == (2, [101, 102])
    assert len(folder.daily("SPY", FAR_AHEAD, FAR_BACK, Adjustment.ALL, FAR_AHEAD)) == 0


@pytest.mark.parametrize(
    ("adjustment", "as_of", "expected"),
    [
        ("raw", "2025-03-31", [200, 202, 102, 103]),
        ("split", "2025-03-31", [100, 101, 102, 103]),
        ("split", "2025-03-27", [200, 202]),
        ("dividend", "2025-03-31", [198, 202, 102, 103]),
        ("all", "2025-03-31", [99, 101, 102, 103]),
        ("all", "2025-03-27", [198, 202]),
    ],
)
def test_as_traded_every_day_has_its_own_units(write_bars: WriteBars, adjustment: str, as_of: str, expected: list[float]) -> None:
    """What is adjusted for splits is in the units of the day it is seen on; raw prices are those that were traded."""
    series = BarFolder(write_bars("SPY", *ACTIONS)).series("SPY").as_traded()
    seen = series.between(FAR_BACK, FAR_AHEAD, Adjustment(adjustment), date.fromisoformat(as_of))
    assert seen.close.tolist() == pytest.approx(expected)
    assert series.close.tolist() == [200, 202, 102, 103]
    assert series.volume.tolist() == [500, 500, 1000, 1000]
    assert series.as_traded().close.tolist() == series.close.tolist()


def test_date_and_close_are_enough(write_bars: WriteBars) -> None:
    """A file of closes gives flat bars without volume that say so; signals use the closes."""
    folder = BarFolder(write_bars("SPY", "2025-03-28,10", "2025-03-31,11", header="date,close"))
    series = folder.series("SPY")
    assert series.open.tolist() == series.high.tolist() == series.low.tolist() == [10, 11]
    assert series.volume.tolist() == [0, 0]
    assert series.is_close_only.all()
    assert folder.adjusted_closes("SPY", FAR_AHEAD).closes.tolist() == [10, 11]


def test_a_row_without_close_is_not_traded_but_counts_for_signals(write_bars: WriteBars) -> None:
    """Partly filled rows: no close, no trading; the adjusted close is still there, re-based to the closes that are traded."""
    rows = ("2025-03-26,,,,,,50,,", "2025-03-27,,,,,,52,,2", "2025-03-28,,,,108,,54,,", "2025-03-31,109,111,108,110,500,55,,")
    folder = BarFolder(write_bars("VXX", *rows))
    series = folder.series("VXX")
    assert series.close.tolist() == [108, 110]
    assert series.is_close_only.tolist() == [True, False]
    assert series.split.tolist() == [1, 1]
    whole = folder.adjusted_closes("VXX", FAR_AHEAD)
    assert whole.closes.tolist() == [100, 104, 108, 110]
    assert [date.fromordinal(day).day for day in whole.days.tolist()] == [26, 27, 28, 31]
    assert folder.adjusted_closes("VXX", date(2025, 3, 27)).closes.tolist() == [50, 52]


def test_a_split_on_a_row_that_is_left_out_takes_effect_on_the_next(write_bars: WriteBars) -> None:
    """A split is never lost with the row it stands on."""
    rows = ("2025-03-26,,,,100,,100,,", "2025-03-27,,,,,,100,,2", "2025-03-28,,,,102,,102,,")
    assert closes(BarFolder(write_bars("SPY", *rows)), Adjustment.RAW, "2025-03-28") == [200, 102]


def test_a_file_without_any_close_can_only_signal(write_bars: WriteBars) -> None:
    """Such a symbol has adjusted closes and refuses to be traded."""
    folder = BarFolder(write_bars("VXX", "2025-03-31,,,,,,50,,"))
    assert folder.adjusted_closes("VXX", FAR_AHEAD).closes.tolist() == [50]
    with pytest.raises(DataError, match=r"VXX\.csv: no row has a close"):
        folder.series("VXX")


def test_a_vendors_rounding_is_widened_and_no_more(write_bars: WriteBars) -> None:
    """A high a cent below the close is raised to it; a high a dollar below is refused."""
    series = BarFolder(write_bars("SPY", "2025-03-31,100,100.995,99.992,101,1,101,,")).series("SPY")
    assert (series.high.item(0), series.low.item(0)) == (101, 99.992)
    with pytest.raises(DataError, match=r'line 2: high is "100", expected a number not below open and close'):
        BarFolder(write_bars("SPY", "2025-03-31,100,100,99,101,1,101,,")).series("SPY")
    with pytest.raises(DataError, match=r'line 2: low is "100.5", expected a number not above open and close'):
        BarFolder(write_bars("SPY", "2025-03-31,100,102,100.5,101,1,101,,")).series("SPY")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["2025-03-31,1,1,1,1,1,1,,", "2025-03-28,1,1,1,1,1,1,,"], "line 3: 2025-03-28 comes after 2025-03-31; dates must ascend"),
        (["2025-03-31,1,1,1,1,1,1,,", "2025-03-31,1,1,1,1,1,1,,"], "line 3: 2025-03-31 is there twice"),
        (["03/31/2025,1,1,1,1,1,1,,"], 'line 2: date is "03/31/2025", expected a date such as 2025-03-31'),
        ([",1,1,1,1,1,1,,"], 'line 2: date is "", expected a date'),
        (["2025-03-31,1,1,1,1,1,1,,", "", "2025-04-01,1,1,1,abc,1,1,,"], 'line 4: close is "abc", expected a number'),
        (["2025-03-31,1,1,1,nan,1,1,,"], 'line 2: close is "nan", expected a number'),
        (["2025-03-31,1,inf,1,1,1,1,,"], 'line 2: high is "inf", expected a number'),
        (["2025-03-31,1,1,1,-1,1,1,,"], 'line 2: close is "-1", expected a positive number'),
        (["2025-03-31,0,1,1,1,1,1,,"], 'line 2: open is "0", expected a positive number'),
        (["2025-03-31,1,1,1,1e308,1,1,,"], r'line 2: close is "1e308", expected a positive number between 1e-09 and 1e\+15'),
        (["2025-03-31,1,1,1,1,1,1e-300,,"], 'line 2: adj_close is "1e-300", expected a positive number between 1e-09'),
        (["2025-03-31,1,1,1,1,-5,1,,"], 'line 2: volume is "-5", expected zero or a positive number'),
        (["2025-03-31,1,1,1,1,1,1,,0"], 'line 2: split is "0", expected a positive number'),
        (["2025-03-31,1,1,1,1,1,,,"], 'line 2: adj_close is "", expected a number, because the row has a close'),
        (["2025-03-28,1,1,1,1,1,1,,", "2025-03-31,1,1,1,,1,,,"], 'line 3: close is "", expected a positive number, or no row of this day'),
        (["2025-03-31,1,1,1,1"], "line 2: 5 cells, expected 9"),
        (["2025-03-31," + "9" * 50 + "x,1,1,1,1,1,,"], r'line 2: open is "9{40}\.\.\."'),
        ([], "there is no row of data below the header"),
        (['"2025-03-31,1'], "line 2: unexpected end of data"),
    ],
)
def test_a_wrong_row_is_refused_with_file_and_line(write_bars: WriteBars, rows: list[str], message: str) -> None:
    """The message names the file, the line, what was found and what was expected."""
    folder = BarFolder(write_bars("SPY", *rows))
    with pytest.raises(DataError, match=message) as refusal:
        folder.series("SPY")
    assert "SPY.csv" in str(refusal.value)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("date,open,high", 'column "close" is missing; found date, open, high'),
        ("day,close", 'column "date" is missing; found day, close'),
        ("date,close,close", "a column name is there twice"),
        ("", "the file is empty"),
    ],
)
def test_a_wrong_header_is_refused(write_bars: WriteBars, header: str, message: str) -> None:
    """Missing and doubled columns are named, with what was found."""
    with pytest.raises(DataError, match=message):
        BarFolder(write_bars("SPY", header=header)).series("SPY")


def test_usual_dialects_are_read(tmp_path: Path) -> None:
    """A byte order mark, capital column names, quotes, carriage returns and unknown columns do no harm."""
    text = '\ufeff"Date","Close","Note"\r\n"2025-03-28","10","a, b"\r\n"2025-03-31","11",""\r\n'
    (tmp_path / "SPY.csv").write_bytes(text.encode())
    assert BarFolder(tmp_path).series("SPY").close.tolist() == [10, 11]


def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    """What is no text, or cannot be opened, is named with the reason."""
    (tmp_path / "SPY.csv").write_bytes(b"date,close\n2025-03-31,\xff\xfe\n")
    (tmp_path / "QQQ.csv").mkdir()
    with pytest.raises(DataError, match=r"SPY\.csv: not a text file in UTF-8: byte 22 is 0xff"):
        BarFolder(tmp_path).series("SPY")
    with pytest.raises(DataError, match=r"QQQ\.csv: the file cannot be read: Is a directory"):
        BarFolder(tmp_path).series("QQQ")


def test_an_unreadable_folder_is_refused(tmp_path: Path) -> None:
    """A folder that is missing, is a file, or has no bars stops the start with one sentence."""
    with pytest.raises(DataError, match="cannot be read: No such file or directory"):
        BarFolder(tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(DataError, match="cannot be read: Not a directory"):
        BarFolder(tmp_path / "notes.txt")
    with pytest.raises(DataError, match="no bar files; expected one SYMBOL"):
        BarFolder(tmp_path)


def test_an_unknown_symbol_is_refused_with_what_there_is(write_bars: WriteBars) -> None:
    """The message lists what the folder has, a dozen at most."""
    for number in range(14):
        path = write_bars(f"S{number:02}", ACTIONS[0])
    folder = BarFolder(path)
    with pytest.raises(DataError, match=r"no bars of TECL: neither TECL.csv nor TECL.parquet; there are S00, .*, S11 and 2 more"):
        folder.series("TECL")
    assert folder.symbols == tuple(f"S{number:02}" for number in range(14))


def test_only_the_symbols_asked_for_are_read(write_bars: WriteBars) -> None:
    """A broken file of a symbol that nobody uses does not matter."""
    write_bars("BAD", "nonsense")
    assert len(BarFolder(write_bars("SPY", *ACTIONS)).series("SPY")) == 4


def test_two_files_of_a_symbol_are_refused(write_bars: WriteBars) -> None:
    """Which of two files is right is not guessed."""
    path = write_bars("SPY", *ACTIONS)
    (path / "SPY.parquet").touch()
    with pytest.raises(DataError, match=r"SPY has two files, SPY\.csv and SPY\.parquet"):
        BarFolder(path)


def test_parquet_means_the_same_as_text(write_bars: WriteBars, tmp_path: Path) -> None:
    """A Parquet file of the same rows gives the same series, whether its dates are dates, time stamps or text."""
    series = BarFolder(write_bars("SPY", *ACTIONS)).series("SPY")
    rows = list(csv.DictReader([*(tmp_path / "SPY.csv").read_text().splitlines()]))
    days = [date.fromisoformat(row["date"]) for row in rows]
    table = {
        "open": [float(row["open"]) for row in rows],
        "High": [float(row["high"]) for row in rows],
        "low": [float(row["low"]) for row in rows],
        "close": [float(row["close"]) for row in rows],
        "volume": [int(row["volume"]) for row in rows],
        "adj_close": [float(row["adj_close"]) for row in rows],
        "split": [float(row["split"]) if row["split"] else float("nan") for row in rows],
        "dividend": [None] * len(rows),
    }
    folder = tmp_path / "parquet"
    folder.mkdir()
    kinds = {
        "A": arrow.array(days),
        "B": arrow.array(days).cast(arrow.timestamp("ns")),
        "C": arrow.array([day.isoformat() for day in days]),
    }
    for symbol, column in kinds.items():
        parquet.write_table(arrow.table({"date": column, **table}), folder / f"{symbol}.parquet")
        read = BarFolder(folder).series(symbol)
        for name in ("days", "open", "high", "low", "close", "volume", "total_return", "split", "is_close_only"):
            assert getattr(read, name).tolist() == getattr(series, name).tolist(), name


def test_a_wrong_parquet_file_is_refused(tmp_path: Path) -> None:
    """What is no Parquet file is named; a wrong cell is named by its row."""
    (tmp_path / "SPY.parquet").write_text("hello")
    with pytest.raises(DataError, match=r"SPY\.parquet: the file cannot be read as Parquet"):
        BarFolder(tmp_path).series("SPY")
    parquet.write_table(arrow.table({"date": ["2025-03-28", "2025-03-31"], "close": [1.0, -1.0]}), tmp_path / "QQQ.parquet")
    with pytest.raises(DataError, match=r'QQQ\.parquet, row 2: close is "-1.0", expected a positive number'):
        BarFolder(tmp_path).series("QQQ")
    parquet.write_table(arrow.table({"date": ["2025-03-28", "2025-03-31"], "close": [1.0, float("nan")]}), tmp_path / "NAN.parquet")
    with pytest.raises(DataError, match=r'NAN\.parquet, row 2: close is "", expected a positive number'):
        BarFolder(tmp_path).series("NAN")


@pytest.mark.parametrize(
    ("names", "said"), [(["date", "close", "close"], "Multiple matches"), (["date", "Close", "close"], "is there twice")]
)
def test_a_parquet_column_that_is_there_twice_is_refused(tmp_path: Path, names: list[str], said: str) -> None:
    """Which of the two is meant is not guessed, however they are written."""
    columns = [arrow.array(["2025-03-28"]), arrow.array([1.0]), arrow.array([2.0])]
    parquet.write_table(arrow.Table.from_arrays(columns, names=names), tmp_path / "SPY.parquet")
    with pytest.raises(DataError, match=rf"SPY\.parquet: .*{said}.*close"):
        BarFolder(tmp_path).series("SPY")


def test_parquet_without_pyarrow_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On an installation without pyarrow a Parquet file is refused with what to install."""
    (tmp_path / "SPY.parquet").touch()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.delitem(sys.modules, "alchemiser.exchange.parquet", raising=False)
    with pytest.raises(DataError, match=r'needs pyarrow; install the extra "alchemiser\[data\]"'):
        BarFolder(tmp_path).series("SPY")


def test_reading_text_does_not_load_the_parquet_reader(write_bars: WriteBars, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has text files never pays for pyarrow."""
    monkeypatch.delitem(sys.modules, "alchemiser.exchange.parquet", raising=False)
    BarFolder(write_bars("SPY", *ACTIONS)).series("SPY")
    assert "alchemiser.exchange.parquet" not in sys.modules


def test_invented_ranges_hold_their_bars_and_leave_the_others(write_bars: WriteBars) -> None:
    """A day of which only the close is known gets a modest range by seed; a day with a range keeps it."""
    rows = [f"2025-03-{day},,,,{100 + day / 10},,{100 + day / 10},," for day in range(10, 15)]
    series = BarFolder(write_bars("SMR", *rows, "2025-03-17,1,2,0.5,1.5,7,1.5,,")).series("SMR")
    made = series.with_invented_ranges(3)
    assert (made.low <= np.minimum(made.open, made.close)).all()
    assert (made.high >= np.maximum(made.open, made.close)).all()
    assert ((made.high / made.low)[:5] < 1.03).all()
    assert (made.high > made.low)[:5].all()
    assert (made.volume[:5] > 0).all()
    assert made.close.tolist() == series.close.tolist()
    assert (made.open[5], made.high[5], made.low[5], made.volume[5]) == (1, 2, 0.5, 7)
    assert made.open.tolist() == series.with_invented_ranges(3).open.tolist()
    assert made.open.tolist() != series.with_invented_ranges(4).open.tolist()
    assert made.as_traded().open.tolist() == made.open.tolist()


@pytest.mark.skipif(not REAL_BARS.is_dir(), reason=f"no real bars at {REAL_BARS}")
def test_real_bars_are_read_and_as_traded_prices_rebuilt() -> None:
    """Known closes: SPY's on a dividend day, and UVXY's before and after a reverse split, as they stood on the tape."""
    folder = BarFolder(REAL_BARS)
    uvxy = folder.daily("UVXY", date(2024, 4, 10), date(2024, 4, 11), Adjustment.RAW, date(2024, 4, 11))
    assert uvxy.close.tolist() == pytest.approx([6.89, 33.58], abs=0.05)
    spy = folder.daily("SPY", date(2024, 12, 19), date(2024, 12, 20), Adjustment.ALL, date(2024, 12, 20))
    assert spy.close[1] == pytest.approx(591.15)
    assert spy.close[0] == pytest.approx(586.10 * (1 - 1.966 / 586.10), rel=1e-4)
    assert len(folder.series("VXX")) < len(folder.adjusted_closes("VXX", FAR_AHEAD).days)
    assert folder.series("SMR").is_close_only.any()
    assert folder.adjusted_closes("SPY", date(2025, 3, 31)).closes[-1] == pytest.approx(559.39)
