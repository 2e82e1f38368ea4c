"""Minute bars of ``backtest``: which files hold them, and how they meet the daily bars of the same symbols.

A file with a column ``ts`` holds recordings (:mod:`alchemiser.exchange.recordings`), in the prices of their days; any other is one of daily
bars. Both may lie in one folder. What daily bars do not know, a day or a whole symbol, is made of its minutes.
"""

import gzip
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path

import numpy as np
from msgspec import Struct

from alchemiser.backtest.intraday import Intraday, ScaleOf, refuse_long_breaks
from alchemiser.backtest.result import FillAt
from alchemiser.domain.errors import DataError, UsageError
from alchemiser.exchange.bars import STORE_MARKER, AdjustedCloses, BarFolder
from alchemiser.exchange.recorded_path import recorded_bar
from alchemiser.exchange.recordings import Recordings, read_files, recording_files
from alchemiser.market.arrays import Floats
from alchemiser.market.calendar import TradingCalendar
from alchemiser.market.history import DailyHistory
from alchemiser.market.schedule import parse_schedule
from alchemiser.strategies.panel import PricePanel

DECIDED_AT = "close - 10m"
"""When a session with minutes is decided unless somebody says otherwise, as the daemon decides."""

FURTHEST_FROM_DAILY = 1.5
"""So many times the daily close the last recorded price of a whole day is at most: more is a price in other units."""

_WHOLE_DAY_MINUTES = 30
"""A recording that ends so long before the close is none of a whole day."""


class MinuteBars(Struct, frozen=True):
    """What a run along minutes needs; ``files`` are the daily bars, where there are any."""

    history: DailyHistory
    panel: PricePanel
    intraday: Intraday
    files: BarFolder | None


def minute_files(folder: Path, more: Path | None) -> list[Path]:
    """Return the files with recordings: those of the folder of bars, and ``more``. Raises ``DataError`` for ``more`` without any."""
    found = [path for path in recording_files(folder) if _has_times(path)] if folder.is_dir() else []
    if more is not None:
        if not more.exists():
            raise DataError(f"--minutes {more}: there is no such file or folder")
        named = [path for path in recording_files(more) if _has_times(path)]
        if not named:
            raise DataError(f"--minutes {more}: no minute bars; expected .csv or .csv.gz files with the columns symbol, ts, open to volume")
        found += [path for path in named if path not in found]
    return found


def read_along(
    folder: Path, more: Path | None, symbols: Iterable[str], *, as_of: date, decision: str | None, fill: FillAt, engine: str
) -> MinuteBars | None:
    """Read minutes and daily bars where the event engine is given minutes, ``None`` where there are none; the vector engine needs none.

    Raises ``DataError``, and ``UsageError`` for what cannot be done along minutes.
    """
    if engine == "vector" and more is not None:
        raise UsageError("--minutes are lived through one by one; they need --engine event")
    files = minute_files(folder, more)
    if decision is not None and (engine == "vector" or not files):
        raise UsageError("--decide is a moment inside a session; it needs --engine event and --minutes")
    if not files:
        return None
    if engine == "vector":
        if not has_daily_bars(folder, files):
            raise UsageError(f"{folder} holds minute bars and no daily ones; they need --engine event")
        return None
    if fill == "next-open":
        raise UsageError("with minute bars a decision is filled in its own session: --fill close (at its moment) or path")
    return read_minutes(folder, files, symbols, as_of=as_of, decision=decision or DECIDED_AT)


def has_daily_bars(folder: Path, minutes: Sequence[Path]) -> bool:
    """Return whether anything in a folder may be daily bars; a folder that cannot be read is left to who reads it."""
    if not folder.is_dir() or (folder.parent / STORE_MARKER).is_file():
        return True
    return any(path.name == STORE_MARKER or (path.suffix in (".csv", ".parquet") and path not in minutes) for path in folder.iterdir())


def read_minutes(folder: Path, files: Sequence[Path], symbols: Iterable[str], *, as_of: date, decision: str) -> MinuteBars:
    """Read the minutes and the daily bars of these symbols through a day. Raises ``DataError`` and ``UsageError``."""
    try:
        schedule = parse_schedule(decision)
    except ValueError as error:
        raise UsageError(f"--decide {error}") from error
    recordings = read_files(files)
    daily = BarFolder(folder) if has_daily_bars(folder, files) else None
    history, absent = DailyHistory(), {}
    factors: dict[str, tuple[list[int], Floats]] = {}
    scale = _scale_of(factors)
    for symbol in sorted(symbols):
        closes = None
        if daily is not None and symbol in daily.symbols and daily.place_of(symbol) not in files:
            closes, factors[symbol] = daily.adjusted_closes(symbol, as_of), _factors(daily, symbol, as_of)
        where = str(files[0].parent)
        days, values = _with_recorded(symbol, closes, recordings, scale, as_of, where)
        if len(days):
            history.add_ordinals(symbol, days, values)
        else:
            absent[symbol] = f"{folder}: no bars of {symbol}, neither daily ones nor of minutes"
    panel = PricePanel({symbol: (history.days(symbol), history.closes(symbol)) for symbol in history.symbols}, absent=absent)
    return MinuteBars(history, panel, Intraday(recordings, history, symbols, decision=schedule, scale=scale), daily)


def _has_times(path: Path) -> bool:
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            return "ts" in [name.strip().lower() for name in file.readline().decode("utf-8-sig").split(",")]
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: the file cannot be read: {error}") from error


def _factors(daily: BarFolder, symbol: str, as_of: date) -> tuple[list[int], Floats]:
    """Return days, and what a price of each is multiplied with to fit the adjusted closes."""
    series, adjusted = daily.series(symbol), daily.adjusted_closes(symbol, as_of)
    common, places, rows = np.intersect1d(series.days, adjusted.days, return_indices=True)
    return common.tolist(), adjusted.closes[rows] / series.as_traded().close[places]


def _scale_of(factors: dict[str, tuple[list[int], Floats]]) -> ScaleOf:
    def scale(symbol: str, day: date) -> float:
        if symbol not in factors:
            return 1.0
        days, values = factors[symbol]
        return float(values[max(int(np.searchsorted(days, day.toordinal(), side="right")) - 1, 0)])

    return scale


def _with_recorded(
    symbol: str, closes: AdjustedCloses | None, recordings: Recordings, scale: ScaleOf, as_of: date, where: str
) -> tuple[np.ndarray, Floats]:
    """Return the days and closes of a symbol, those that only its minutes know among them."""
    calendar = TradingCalendar.new_york()
    known = {} if closes is None else dict(zip(closes.days.tolist(), closes.closes.tolist(), strict=True))
    recorded_only = []
    for day in recordings.days(symbol):
        session, recorded = calendar.session(day), recordings.day(symbol, day)
        bar = None if session is None or recorded is None else recorded_bar(symbol, session, recorded)
        if bar is None or session is None or recorded is None or recorded.prints is None or day > as_of:
            continue
        close = bar.close * scale(symbol, day)
        if day.toordinal() not in known:
            known[day.toordinal()] = close
            recorded_only.append(day)
            continue
        ratio = close / known[day.toordinal()]
        is_whole = recorded.prints.times.item(-1) >= (session.closes_at.timestamp() - 60 * _WHOLE_DAY_MINUTES) * 1e6
        if is_whole and not 1 / FURTHEST_FROM_DAILY <= ratio <= FURTHEST_FROM_DAILY:
            raise DataError(
                f"{where}: {symbol} ends {day} at {bar.close:g} in its minutes and at {known[day.toordinal()]:g} in its daily bars, "
                f"{bar.close:g} being {close:g} there; minute bars are expected in the prices of their day, adjusted for nothing"
            )
    if closes is None and recorded_only:
        refuse_long_breaks(symbol, recorded_only, where)
    days = sorted(known)
    return np.array(days, dtype=np.int64), np.array([known[day] for day in days])
