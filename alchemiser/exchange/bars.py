"""A folder of daily bars: one ``SYMBOL.csv`` or ``SYMBOL.parquet`` per symbol, read when the symbol is first asked for.

A bar store (:mod:`alchemiser.market.store`) is such a folder too, and so is the folder of one of its feeds.

Columns: ``date,open,high,low,close,volume`` and optionally ``adj_close,dividend,split``; ``date,close`` is enough. ``close`` is
split-adjusted, ``adj_close`` also dividend-adjusted. A row with an ``adj_close`` and no ``close`` cannot be traded and is left out of the
series; its ``adj_close`` still counts for signals (:meth:`BarFolder.adjusted_closes`). A row with a close and without a complete range is
close-only.

Promises: a file is read whole or refused with ``DataError`` naming file, line, what was found and what was expected; nothing is
guessed, but for a high or low that misses its own body by no more than a vendor's rounding, which is widened to it.
"""

import importlib
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from alchemiser.domain.errors import DataError
from alchemiser.domain.market import GREATEST_PRICE, LEAST_PRICE, PRICE_WORDS
from alchemiser.exchange.columns import Columns, read_csv
from alchemiser.exchange.series import Adjustment, DailyBars, DailySeries, Days, Floats

REQUIRED_COLUMNS: Final = ("date", "close")
RANGE_COLUMNS: Final = ("open", "high", "low")
STORE_MARKER: Final = "store.json"
"""The file by which a folder says that it is a bar store."""

_ROUNDING_SHARE: Final = 1e-4
_ROUNDING_DOLLARS: Final = 0.01
_LISTED_SYMBOLS: Final = 12


class DailySource(Protocol):
    """Where daily bars come from: a folder of files or the synthetic market."""

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols that can be asked for, in alphabetical order."""

    def series(self, symbol: str) -> DailySeries:
        """Return the bars of a symbol. Raises ``DataError`` when there are none."""


@dataclass(frozen=True, slots=True)
class AdjustedCloses:
    """Closes adjusted for splits and dividends, oldest first, of every day that has one: what signals are computed from."""

    symbol: str
    days: Days
    closes: Floats


class BarFolder:
    """The bars of a folder, file by file when they are needed.

    Raises ``DataError`` when the folder cannot be read or has no bar file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stored = _stored_bars(path)
        self._files = bar_files(path) if self._stored is None else self._stored.files
        self._loaded: dict[str, tuple[DailySeries | None, AdjustedCloses]] = {}

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols with a file, in alphabetical order."""
        return tuple(self._files)

    @property
    def feed(self) -> str | None:
        """The feed of the prices, where a store names it; files do not."""
        return None if self._stored is None else self._stored.feed

    def place_of(self, symbol: str) -> Path:
        """Return where the bars of a symbol are written."""
        return self._files.get(symbol, self.path / symbol)

    def series(self, symbol: str) -> DailySeries:
        """Return the tradable bars of a symbol. Raises ``DataError`` when it has no file, or none of its rows has a close."""
        series = self._load(symbol)[0]
        if series is None:
            raise DataError(f"{self._files[symbol]}: no row has a close; the symbol cannot be traded from this folder")
        return series

    def daily(self, symbol: str, start: date, end: date, adjustment: Adjustment, as_of: date) -> DailyBars:
        """Return the bars from ``start`` to ``end``, both included, adjusted as seen on ``as_of``; there are none after ``as_of``."""
        return self.series(symbol).between(start, end, adjustment, as_of)

    def adjusted_closes(self, symbol: str, as_of: date) -> AdjustedCloses:
        """Return the adjusted closes through ``as_of``, re-based so that the last one is the close that is traded, where there is one."""
        series, whole = self._load(symbol)
        count = int(np.searchsorted(whole.days, as_of.toordinal(), side="right"))
        days, closes = whole.days[:count], whole.closes[:count]
        base = series.index_through(as_of) if series is not None else -1
        if series is not None and base >= 0:
            anchor = whole.closes[np.searchsorted(whole.days, series.days[base])]
            closes = closes * (series.close[base] / anchor)
        return AdjustedCloses(symbol, days, closes)

    def _load(self, symbol: str) -> tuple[DailySeries | None, AdjustedCloses]:
        found = self._loaded.get(symbol)
        if found is None:
            path = self._files.get(symbol)
            if path is None:
                files = "" if self._stored is not None else f": neither {symbol}.csv nor {symbol}.parquet"
                raise DataError(f"{self.path}: no bars of {symbol}{files}; there are {self._listing()}")
            if self._stored is not None:
                series, days, whole = self._stored.load(symbol)
                closes = AdjustedCloses(symbol, days, whole)
            else:
                series, closes = read_bar_file(symbol, path)
            found = self._loaded[symbol] = series, closes
        return found

    def _listing(self) -> str:
        names = list(self._files)
        more = len(names) - _LISTED_SYMBOLS
        return ", ".join(names[:_LISTED_SYMBOLS]) + (f" and {more} more" if more > 0 else "")


def bar_files(folder: Path) -> dict[str, Path]:
    """Return the bar files of a folder by symbol. Raises ``DataError`` for a folder without any, and for two of one symbol."""
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise DataError(f"{folder}: the folder of bars cannot be read: {error.strerror}") from error
    files: dict[str, Path] = {}
    for path in entries:
        if path.suffix not in (".csv", ".parquet") or path.name.startswith("."):
            continue
        if path.stem in files:
            raise DataError(f"{folder}: {path.stem} has two files, {files[path.stem].name} and {path.name}; keep one")
        files[path.stem] = path
    if not files:
        raise DataError(f"{folder}: no bar files; expected one SYMBOL.csv or SYMBOL.parquet per symbol")
    return files


def read_columns(path: Path) -> Columns:
    """Read a bar file into columns of text. Raises ``DataError`` naming file and line, and for Parquet without pyarrow."""
    if path.suffix == ".csv":
        return read_csv(path)
    try:
        module = importlib.import_module("alchemiser.exchange.parquet")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "pyarrow":
            raise
        raise DataError(f'{path}: reading Parquet files needs pyarrow; install the extra "alchemiser[data]" or use CSV files') from error
    return cast("ParquetReader", module).read_parquet(path)


class StoredFeed(Protocol):
    """What is used of :mod:`alchemiser.exchange.stored`, which is imported only when there is a bar store."""

    @property
    def files(self) -> dict[str, Path]:
        """The symbols, each with the place that a message about it names."""

    @property
    def feed(self) -> str:
        """The feed of the prices."""

    def load(self, symbol: str) -> tuple[DailySeries | None, Days, Floats]:
        """Return the tradable bars, and the days and closes for signals."""


def _stored_bars(path: Path) -> StoredFeed | None:
    if not any((folder / STORE_MARKER).is_file() for folder in (path, path.parent)):
        return None
    found: StoredFeed | None = importlib.import_module("alchemiser.exchange.stored").stored_bars(path)
    return found


class ParquetReader(Protocol):
    """What is used of the module that is imported only when there is a Parquet file, because pyarrow is large and optional."""

    def read_parquet(self, path: Path) -> Columns:
        """Read a file into columns."""


def read_bar_file(symbol: str, path: Path) -> tuple[DailySeries | None, AdjustedCloses]:
    """Read one file: the tradable bars, and the closes for signals. Raises ``DataError`` naming file and line."""
    return bars_of(symbol, read_columns(path))


def bars_of(symbol: str, columns: Columns) -> tuple[DailySeries | None, AdjustedCloses]:
    """Return what the columns of a file mean, as :func:`read_bar_file` does."""
    path = columns.path
    for name in REQUIRED_COLUMNS:
        if name not in columns.names:
            raise DataError(f'{path}: column "{name}" is missing; found {", ".join(columns.names)}')
    rows = len(columns)
    if not rows:
        raise DataError(f"{path}: there is no row of data below the header")

    days = columns.days()
    close = columns.numbers("close", empty=np.nan)
    adjusted = columns.numbers("adj_close", empty=np.nan)
    ranges = [columns.numbers(name, empty=np.nan) for name in RANGE_COLUMNS]
    volume = columns.numbers("volume", empty=0.0)
    split = columns.numbers("split", empty=1.0)
    _check_days(columns, days)
    for name, values in (("close", close), ("adj_close", adjusted), *zip(RANGE_COLUMNS, ranges, strict=True), ("split", split)):
        columns.refuse_where((values < LEAST_PRICE) | (values > GREATEST_PRICE), name, f"a {PRICE_WORDS}")
    columns.refuse_where(volume < 0, "volume", "zero or a positive number")

    has_close, has_adjusted = ~np.isnan(close), ~np.isnan(adjusted)
    if "adj_close" in columns.names:
        columns.refuse_where(has_close & ~has_adjusted, "adj_close", "a number, because the row has a close")
    else:
        adjusted, has_adjusted = close, has_close
    columns.refuse_where(~has_adjusted, "close", "a positive number, or no row of this day")
    closes = AdjustedCloses(symbol, days, adjusted)
    if not has_close.any():
        return None, closes

    is_close_only = np.isnan(ranges[0]) | np.isnan(ranges[1]) | np.isnan(ranges[2])
    opens, high, low = (np.where(is_close_only, close, values) for values in ranges)
    high, low = _widened(columns, opens, high, low, close)
    series = DailySeries(
        symbol=symbol,
        days=days[has_close],
        open=opens[has_close],
        high=high[has_close],
        low=low[has_close],
        close=close[has_close],
        volume=np.floor(volume[has_close]),
        total_return=adjusted[has_close],
        split=_kept_splits(split, has_close),
        is_close_only=is_close_only[has_close],
    )
    return series, closes


def _check_days(columns: Columns, days: Days) -> None:
    wrong = np.flatnonzero(np.diff(days) <= 0)
    if wrong.size:
        row = int(wrong[0]) + 1
        day, before = date.fromordinal(int(days[row])), date.fromordinal(int(days[row - 1]))
        what = f"{day} is there twice" if day == before else f"{day} comes after {before}"
        raise DataError(f"{columns.place(row)}: {what}; dates must ascend, each once")


def _widened(columns: Columns, opens: Floats, high: Floats, low: Floats, close: Floats) -> tuple[Floats, Floats]:
    top, bottom = np.fmax(opens, close), np.fmin(opens, close)
    tolerance = np.fmax(_ROUNDING_SHARE * top, _ROUNDING_DOLLARS)
    columns.refuse_where(top - high > tolerance, "high", "a number not below open and close")
    columns.refuse_where(low - bottom > tolerance, "low", "a number not above open and close")
    return np.fmax(high, top), np.fmin(low, bottom)


def _kept_splits(split: Floats, is_kept: NDArray[np.bool_]) -> Floats:
    # A split on a row that is left out takes effect on the next row that is kept.
    if is_kept.all():
        return split
    total = np.cumprod(split)[is_kept]
    return np.concatenate((np.ones(1), total[1:] / total[:-1]))
