"""Bar files of others, brought into a store: CSV or Parquet, read with the checks that every bar file passes.

All files are read before the first series is written, so that a wrong one changes nothing. What is stored already is kept where both agree
about the days they share; where they do not, or share none, the import is refused, because adjustments of two days do not go together.
"""

from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path

import msgspec
import numpy as np

from alchemiser.domain.errors import DataError, UsageError
from alchemiser.exchange.bars import AdjustedCloses, bar_files, bars_of, read_columns
from alchemiser.exchange.columns import Columns
from alchemiser.exchange.series import DailySeries, Floats
from alchemiser.market.store.actions import Action, Actions, ActionsInfo, in_order
from alchemiser.market.store.series import Adjusting, BarColumns, Series, SeriesInfo, SeriesKey, checked_name, compare
from alchemiser.market.store.store import BarStore


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one series of an import."""

    symbol: str
    feed: str
    adjustment: Adjusting
    rows: int
    added: int
    outcome: str
    source: str


class ImportWish(msgspec.Struct, frozen=True, kw_only=True):
    """How the files are to be taken.

    ``closes`` says what the column ``close`` is adjusted for. ``replace`` lets an import take the place of what is stored.
    """

    feed: str
    closes: Adjusting = "split"
    replace: bool = False


class _File(msgspec.Struct, frozen=True):
    symbol: str
    path: Path
    series: dict[Adjusting, BarColumns]
    actions: tuple[Action, ...]
    first: date
    last: date


def files_of(paths: Sequence[Path], symbol: str | None) -> dict[str, Path]:
    """Return the files that were named, those of folders included, by symbol. Raises ``DataError`` where two have the same."""
    files: dict[str, Path] = {}
    for path in paths:
        found = {name.upper(): file for name, file in bar_files(path).items()} if path.is_dir() else {symbol or path.stem.upper(): path}
        if symbol is not None and (path.is_dir() or len(paths) > 1):
            raise UsageError("--symbol names the symbol of one file; of several, each is named by its file")
        for name, file in found.items():
            if file.suffix not in (".csv", ".parquet"):
                raise DataError(f"{file}: expected a file that ends with .csv or .parquet")
            if name in files:
                raise DataError(f"{file}: {name} is there already, from {files[name]}")
            files[checked_name("symbol", name)] = file
    return files


def import_files(store: BarStore, files: dict[str, Path], wish: ImportWish, now: datetime) -> list[Imported]:
    """Read the files, then write their series. Raises ``DataError`` naming file and line, or the series that do not agree."""
    read = [_read(symbol, path, wish.closes) for symbol, path in files.items()]
    with store.changing():
        planned = [
            (file, adjustment, *_together(store, file, adjustment, bars, wish)) for file in read for adjustment, bars in file.series.items()
        ]
        done = []
        for file, adjustment, bars, known in planned:
            info = SeriesInfo(
                symbol=file.symbol,
                feed=wish.feed,
                adjustment=adjustment,
                asked_from=date.fromordinal(int(bars.days[0])),
                asked_through=date.fromordinal(int(bars.days[-1])),
                source=file.path.name,
                written_at=now,
            )
            store.write(Series(info, bars))
            added = len(bars) - known
            outcome = "imported" if not known else "replaced" if wish.replace else "extended" if added else "unchanged"
            done.append(
                Imported(
                    symbol=file.symbol,
                    feed=wish.feed,
                    adjustment=adjustment,
                    rows=len(bars),
                    added=max(0, added),
                    outcome=outcome,
                    source=str(file.path),
                )
            )
        for file in read:
            _keep_actions(store, file, now)
    return done


def _read(symbol: str, path: Path, closes: Adjusting) -> _File:
    columns = read_columns(path)
    series, signals = bars_of(symbol, columns)
    if closes != "split" and "adj_close" in columns.names:
        raise DataError(f"{path}: it has an adj_close, so its close is split-adjusted; --closes {closes} is for files without one")
    found: dict[Adjusting, BarColumns] = {}
    if series is not None:
        found[closes] = _prices(series)
        if closes == "split" and "split" in columns.names:
            found["raw"] = _prices(series.as_traded())
    if "adj_close" in columns.names:
        found["all"] = _adjusted(series, signals)
    days = next(iter(found.values())).days if found else signals.days
    return _File(symbol, path, found, tuple(_actions_in(symbol, columns)), date.fromordinal(int(days[0])), date.fromordinal(int(days[-1])))


def _prices(series: DailySeries) -> BarColumns:
    opens, high, low = (np.where(series.is_close_only, np.nan, values) for values in (series.open, series.high, series.low))
    return BarColumns(series.days, opens, high, low, series.close, series.volume)


def _adjusted(series: DailySeries | None, signals: AdjustedCloses) -> BarColumns:
    """Return the fully adjusted bars: the closes of the file as they are, and the ranges in proportion."""
    empty = np.full(len(signals.days), np.nan)
    columns: dict[str, Floats] = {name: empty.copy() for name in ("open", "high", "low", "volume")}
    if series is not None:
        places = np.searchsorted(signals.days, series.days)
        prices = _prices(series)
        for name in ("open", "high", "low"):
            columns[name][places] = getattr(prices, name) * (series.total_return / series.close)
        columns["volume"][places] = series.volume
    return BarColumns(signals.days, columns["open"], columns["high"], columns["low"], signals.closes, columns["volume"])


def _actions_in(symbol: str, columns: Columns) -> list[Action]:
    days = columns.days()
    splits, dividends = columns.numbers("split", empty=1.0), columns.numbers("dividend", empty=0.0)
    columns.refuse_where(dividends < 0, "dividend", "zero or a positive number")
    found = []
    for row in np.flatnonzero((splits != 1.0) | (dividends != 0.0)).tolist():
        on, shares, cash = date.fromordinal(int(days[row])), float(splits[row]), float(dividends[row])
        if shares != 1.0:
            kind = "forward_splits" if shares > 1 else "reverse_splits"
            found.append(Action(ex_date=on, kind=kind, id=f"{symbol} split {on}", new_rate=shares, old_rate=1.0))
        if cash:
            found.append(Action(ex_date=on, kind="cash_dividends", id=f"{symbol} dividend {on}", cash=cash))
    return found


def _together(store: BarStore, file: _File, adjustment: Adjusting, fresh: BarColumns, wish: ImportWish) -> tuple[BarColumns, int]:
    """Return what the store shall have, and how many of these bars it has. Raises ``DataError`` where both do not go together."""
    key = SeriesKey(file.symbol, wish.feed, adjustment)
    if not store.has(key):
        return fresh, 0
    try:
        known = store.read(key).bars
    except DataError:
        if wish.replace:
            return fresh, 0
        raise
    if wish.replace or not len(known):
        return fresh, len(known)
    shared = np.intersect1d(known.days, fresh.days)
    if not len(shared) and adjustment != "raw":
        raise DataError(
            f"{file.path}: it has no day in common with the stored series {key}, so whether both are adjusted alike cannot be known; "
            "nothing was imported. --replace takes the file instead"
        )
    if len(shared):
        low, high = shared[0], shared[-1]
        ours, theirs = (side.taken((side.days >= low) & (side.days <= high)) for side in (known, fresh))
        comparison = compare(ours, theirs)
        if not comparison.is_same:
            raise DataError(
                f"{file.path}: against the stored series {key}: {comparison}; nothing was imported. --replace takes the file instead"
            )
    more = fresh.taken(~np.isin(fresh.days, known.days))
    order = np.argsort(np.concatenate((known.days, more.days)), kind="stable")
    joined = BarColumns(
        *(np.concatenate((getattr(known, name), getattr(more, name)))[order] for name in ("days", "open", "high", "low", "close", "volume"))
    )
    return joined, len(known)


def _keep_actions(store: BarStore, file: _File, now: datetime) -> None:
    known = store.actions(file.symbol)
    info = ActionsInfo(symbol=file.symbol, asked_from=file.first, asked_through=file.last, source=file.path.name, written_at=now)
    if file.actions:
        fresh = Actions(info, in_order(file.actions))
        store.write_actions(fresh if known is None else known.joined(fresh))
