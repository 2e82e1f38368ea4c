"""Recorded days: minute bars, second bars, quotes and trades of real sessions, read from files (CSV, gzip-compressed or not).

Every file has the column ``ts`` (UTC, ISO 8601; of a bar its start), ``symbol`` unless it is named ``SYMBOL.csv``, and those of one kind:

- trades: ``price,size``, and perhaps ``suspicious`` (1: left out);
- bars: ``open,high,low,close,volume``, of a minute or shorter;
- quotes: ``bid,bid_size,ask,ask_size`` and ``exchange``, one exchange's best each, from which the national best is made; an empty price is
  a side that says nothing new;
- bars of quotes: ``bid_open,bid_close,bid_size,ask_open,ask_close,ask_size``; an empty price is no quote on that side.

Where a day of a symbol is there more than once, trades win over bars and shorter bars over longer ones; likewise with quotes.

A bar becomes its prints: open, low and high in the order that fits its body, and close, between which its volume is parted.

Promises: a file is read whole or refused with ``DataError`` naming file, line, what was found and what was expected.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from alchemiser.domain.errors import DataError
from alchemiser.domain.market import GREATEST_PRICE
from alchemiser.exchange.columns import Columns, read_csv
from alchemiser.market.calendar import new_york_date

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

SECOND: Final = 1_000_000
"""In microseconds, as all times of recordings are."""

_MINUTE: Final = 60 * SECOND
_HOUR: Final = 60 * _MINUTE
_ENDINGS: Final = (".csv", ".csv.gz")
_BAR_KIND: Final = frozenset({"open", "high", "low", "close", "volume"})
_TRADE_KIND: Final = frozenset({"price", "size"})
_QUOTE_KIND: Final = frozenset({"bid", "bid_size", "ask", "ask_size", "exchange"})
_QUOTE_BAR_KIND: Final = frozenset({"bid_open", "bid_close", "bid_size", "ask_open", "ask_close", "ask_size"})
_LAST_SHARE: Final = 11 / 12
"""Where in a bar its close is printed."""


class Prints(NamedTuple):
    """Trades of one symbol and day, oldest first: microseconds since 1970, dollars, shares."""

    times: Counts
    prices: Floats
    sizes: Counts


class Quotes(NamedTuple):
    """National bests of one symbol and day, oldest first; a price of 0 is a side without anybody."""

    times: Counts
    bids: Floats
    bid_sizes: Counts
    asks: Floats
    ask_sizes: Counts


Record = TypeVar("Record", Prints, Quotes)


class RecordedDay(NamedTuple):
    """What is known of one symbol on one day, the hours outside of the session included."""

    prints: Prints | None
    quotes: Quotes | None


class Recordings:
    """Recorded days by symbol."""

    def __init__(self, days: Mapping[str, Mapping[date, RecordedDay]]) -> None:
        self._days = days

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols that are recorded at all, in alphabetical order."""
        return tuple(sorted(self._days))

    def on(self, day: date) -> tuple[str, ...]:
        """Return the symbols with trades on a day."""
        return tuple(symbol for symbol in self.symbols if day in self.days(symbol))

    def days(self, symbol: str) -> tuple[date, ...]:
        """Return the days of which trades of a symbol are known, oldest first."""
        return tuple(day for day, known in sorted(self._days.get(symbol, {}).items()) if known.prints is not None)

    def day(self, symbol: str, on: date) -> RecordedDay | None:
        """Return what is known of a symbol on a day."""
        return self._days.get(symbol, {}).get(on)


def read_recordings(path: Path) -> Recordings:
    """Read a file, or every file of a folder. Raises ``DataError``."""
    files = recording_files(path)
    if not files:
        raise DataError(f"{path}: no recordings; expected files that end in .csv or .csv.gz")
    return read_files(files)


def recording_files(path: Path) -> list[Path]:
    """Return the file, or the files of a folder, that may be recordings by their names."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return [each for each in files if each.name.endswith(_ENDINGS) and not each.name.startswith(".")]


def read_files(files: Iterable[Path]) -> Recordings:
    """Read files; one without the column ``symbol`` is named after its symbol. Raises ``DataError``."""
    prints: dict[tuple[str, date], tuple[int, Prints]] = {}
    quotes: dict[tuple[str, date], tuple[int, Quotes]] = {}
    for each in files:
        columns = _with_symbol(read_csv(each))
        names = frozenset(columns.names)
        if "ts" not in names:
            raise DataError(f"{each}: expected the column ts, found {', '.join(columns.names)}")
        if names >= _TRADE_KIND:
            _keep(prints, columns, _trades)
        elif names >= _BAR_KIND:
            _keep(prints, columns, _bars)
        elif names >= _QUOTE_KIND:
            _keep(quotes, columns, _national_best)
        elif names >= _QUOTE_BAR_KIND:
            _keep(quotes, columns, _quote_bars)
        else:
            raise DataError(f"{each}: neither trades, nor bars, nor quotes: its columns are {', '.join(columns.names)}")
    days: dict[str, dict[date, RecordedDay]] = {}
    for symbol, day in sorted({*prints, *quotes}):
        traded, quoted = prints.get((symbol, day)), quotes.get((symbol, day))
        days.setdefault(symbol, {})[day] = RecordedDay(traded and traded[1], quoted and quoted[1])
    return Recordings(days)


def _with_symbol(columns: Columns) -> Columns:
    if "symbol" in columns.names:
        return columns
    symbol = columns.path.name.removesuffix(".gz").removesuffix(".csv").upper()
    return Columns(columns.path, {**columns.cells, "symbol": [symbol] * len(columns)}, columns.lines)


class _Table:
    """The rows of one symbol and day."""

    def __init__(self, columns: Columns, rows: Counts, times: Counts) -> None:
        self._columns = columns
        self._rows = rows
        self.times = times
        steps = np.diff(times)
        steps = steps[steps > 0]
        self.length = int(min(steps.min(), _MINUTE)) if steps.size else _MINUTE

    def __len__(self) -> int:
        return len(self._rows)

    def place(self, row: int) -> str:
        return self._columns.place(int(self._rows[row]))

    def numbers(self, name: str, *, empty: float = 0.0) -> Floats:
        cells = self._columns.cells[name] if name in self._columns.names else None
        if cells is None:
            return np.full(len(self), empty)
        part = Columns(self._columns.path, {name: [cells[row] for row in self._rows]}, [self._columns.lines[row] for row in self._rows])
        values = part.numbers(name, empty=empty)
        part.refuse_where((values < 0) | (values > GREATEST_PRICE), name, f"a number from 0 to {GREATEST_PRICE:g}")
        return values

    def texts(self, name: str) -> list[str]:
        cells = self._columns.cells[name]
        return [cells[row] for row in self._rows]


def _keep(kept: dict[tuple[str, date], tuple[int, Record]], columns: Columns, read: Callable[[_Table], tuple[int, Record]]) -> None:
    """Read the days of a file, each unless a finer record of it is known."""
    for (symbol, day), table in _tables(columns).items():
        length, record = read(table)
        known = kept.get((symbol, day))
        if len(record.times) and (known is None or length < known[0]):
            kept[symbol, day] = length, record


def _tables(columns: Columns) -> dict[tuple[str, date], _Table]:
    times = _times(columns)
    symbols = np.array(columns.cells["symbol"])
    tables = {}
    for symbol in sorted(set(columns.cells["symbol"])):
        rows = np.flatnonzero(symbols == symbol)
        backwards = np.flatnonzero(np.diff(times[rows]) < 0)
        if backwards.size:
            raise DataError(f"{columns.place(int(rows[backwards[0] + 1]))}: ts goes back in time; the rows of a symbol must ascend")
        hours, of_row = np.unique(times[rows] // _HOUR, return_inverse=True)
        days = np.array([new_york_date(_moment(hour)).toordinal() for hour in hours.tolist()])[of_row]
        for day in np.unique(days).tolist():
            chosen = rows[days == day]
            tables[symbol, date.fromordinal(day)] = _Table(columns, chosen, times[chosen])
    return tables


def _times(columns: Columns) -> Counts:
    cells = columns.cells["ts"]
    for row, cell in enumerate(cells):
        if not cell.endswith("Z"):
            raise _no_time(columns, row)
    try:
        times: Counts = np.array([cell[:-1] for cell in cells], "datetime64[us]").astype(np.int64)
    except ValueError:
        row = next(row for row, cell in enumerate(cells) if not _is_time(cell[:-1]))
        raise _no_time(columns, row) from None
    return times


def _no_time(columns: Columns, row: int) -> DataError:
    found = columns.cells["ts"][row][:40]
    return DataError(f'{columns.place(row)}: ts is "{found}", expected a time in UTC such as 2013-10-07T13:30:00.250Z')


def _is_time(text: str) -> bool:
    try:
        np.datetime64(text, "us")
    except ValueError:
        return False
    return True


def _trades(table: _Table) -> tuple[int, Prints]:
    sizes = table.numbers("size").astype(np.int64)
    prices = table.numbers("price")
    good = (prices > 0) & (sizes > 0) & (table.numbers("suspicious") == 0)
    return 0, Prints(table.times[good], prices[good], sizes[good])


def _bars(table: _Table) -> tuple[int, Prints]:
    opens, high, low, close = (table.numbers(name) for name in ("open", "high", "low", "close"))
    twice = np.flatnonzero(np.diff(table.times) == 0)
    if twice.size:
        raise DataError(f"{table.place(int(twice[0]) + 1)}: the bar of this ts is there twice")
    wrong = np.flatnonzero((low <= 0) | (high < np.maximum(opens, close)) | (low > np.minimum(opens, close)))
    if wrong.size:
        raise DataError(f"{table.place(int(wrong[0]))}: open, high, low and close are no bar")
    rises = close >= opens
    corners = np.stack([opens, np.where(rises, low, high), np.where(rises, high, low), close], axis=1)
    # A corner that says nothing new is not printed; the open always is.
    is_new = np.concatenate([np.ones((len(opens), 1), bool), np.diff(corners, axis=1) != 0], axis=1)
    offsets = (np.array([0, 1 / 3, 2 / 3, _LAST_SHARE]) * table.length).astype(np.int64)
    counts = is_new.sum(axis=1)
    volume = np.maximum(table.numbers("volume").astype(np.int64), counts)
    shares = np.where(is_new, (volume // counts)[:, None], 0)
    shares[:, 0] += volume - shares.sum(axis=1)
    times = table.times[:, None] + offsets[None, :]
    return table.length, Prints(times[is_new], corners[is_new], shares[is_new])


def _quote_bars(table: _Table) -> tuple[int, Quotes]:
    bid_size, ask_size = table.numbers("bid_size").astype(np.int64), table.numbers("ask_size").astype(np.int64)
    ends = (table.times + int(table.length * _LAST_SHARE), table.times)
    times = np.stack([ends[1], ends[0]], axis=1).ravel()
    bids = np.stack([table.numbers("bid_open"), table.numbers("bid_close")], axis=1).ravel()
    asks = np.stack([table.numbers("ask_open"), table.numbers("ask_close")], axis=1).ravel()
    return table.length, Quotes(times, bids, np.repeat(bid_size, 2), asks, np.repeat(ask_size, 2))


def _national_best(table: _Table) -> tuple[int, Quotes]:
    """Merge the bests of the exchanges: the last bid and the last ask of each, and of those the highest and the lowest."""
    rows = zip(
        table.texts("exchange"),
        table.numbers("bid").tolist(),
        table.numbers("bid_size").tolist(),
        table.numbers("ask").tolist(),
        table.numbers("ask_size").tolist(),
        table.numbers("suspicious").tolist(),
        strict=True,
    )
    bids: dict[str, tuple[float, float]] = {}
    asks: dict[str, tuple[float, float]] = {}
    best: list[tuple[float, float, float, float]] = []
    for exchange, bid, bid_size, ask, ask_size, suspicious in rows:
        if not suspicious:
            if bid:
                bids[exchange] = bid, bid_size
            if ask:
                asks[exchange] = ask, ask_size
        highest = max(bids.values(), default=(0.0, 0.0))
        lowest = min(asks.values(), default=(0.0, 0.0), key=lambda quote: (quote[0], -quote[1]))
        best.append((*highest, *lowest))
    found = np.array(best).reshape(-1, 4)
    changed = np.concatenate([np.ones(1, bool), (np.diff(found, axis=0) != 0).any(axis=1)])
    bid, bid_size, ask, ask_size = found[changed].T
    return 0, Quotes(table.times[changed], bid, bid_size.astype(np.int64), ask, ask_size.astype(np.int64))


def _moment(hours: int) -> datetime:
    return datetime.fromtimestamp(hours * 3600, UTC)
