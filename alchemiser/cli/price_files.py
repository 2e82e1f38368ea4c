"""Bars of a folder as the panel that strategies are decided on, and the settings of the commands that do so."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import numpy as np

from alchemiser.backtest.result import DayRange, Opens
from alchemiser.cli.options import load, read_strategies
from alchemiser.domain.errors import DataError, NeverComputable, UsageError
from alchemiser.exchange.bars import AdjustedCloses, BarFolder
from alchemiser.exchange.series import Adjustment
from alchemiser.market.history import DailyHistory
from alchemiser.service.settings import Settings
from alchemiser.strategies.base import LoadedStrategy
from alchemiser.strategies.panel import PricePanel
from alchemiser.strategies.sources import StrategySource, place_of
from alchemiser.strategies.symphony.evaluate import rules_of


def wanted_strategies(strategy: list[str] | None, bars: Path | None, config: Path | None) -> tuple[tuple[StrategySource, ...], Path]:
    """Return the strategies that the command line or the settings name, with their shares, and the folder of bars.

    Raises ``ConfigError`` for shares that do not add up to 1 and ``UsageError`` when no folder is named.
    """
    settings = load(config, overrides={"strategies": read_strategies(strategy)}).settings
    folder = bars or _stored(settings) or settings.embedded.bars
    if folder is None:
        raise UsageError("there are no bars to decide on; name a folder of SYMBOL.csv files with --bars DIR, or a bar store")
    shares = settings.allocations()
    sources = tuple(
        StrategySource(name, wanted.source or name, float(shares[name]), rules_of(wanted.on_missing, wanted.volatility))
        for name, wanted in settings.strategies.items()
    )
    return sources, folder


@contextmanager
def files_named(wanted: Iterable[StrategySource]) -> Iterator[None]:
    """Name the file of each strategy beside it, and the line where one decides in Python, when none of them ever has a target."""
    try:
        yield
    except NeverComputable as error:
        places = {one.name: place_of(one.source) for one in wanted}
        named = {name: f"{name} ({place})" if (place := places.get(name)) is not None else name for name in error.reasons}
        raise NeverComputable(error.told, {named[name]: reason for name, reason in error.reasons.items()}) from error


def _stored(settings: Settings) -> Path | None:
    """Return the bar store of the settings; its bars of the feed that is traded on, where it has several."""
    store = settings.data.store
    return store / settings.alpaca.feed if store is not None and (store / settings.alpaca.feed).is_dir() else store


def read_panel(folder: Path, strategies: Sequence[LoadedStrategy], *, as_of: date) -> PricePanel:
    """Read the adjusted closes of every symbol the strategies may need, through ``as_of``.

    A symbol without a file, or with one that cannot be read, is absent with the reason: whether it matters is for the strategies to
    say. Raises ``DataError`` when the folder itself cannot be read.
    """
    return read_history(folder, {symbol for strategy in strategies for symbol in strategy.symbols}, as_of=as_of)[1]


def read_history(folder: Path, symbols: Iterable[str], *, as_of: date, refuse_broken: bool = False) -> tuple[DailyHistory, PricePanel]:
    """Do the same for these symbols, and return the history too; with ``refuse_broken`` a file that is there has to be readable.

    Raises ``DataError`` for one that is not.
    """
    files = BarFolder(folder)
    history = DailyHistory()
    absent = {}
    for symbol in sorted(symbols):
        try:
            closes = files.adjusted_closes(symbol, as_of)
        except DataError as error:
            if refuse_broken and symbol in files.symbols:
                raise
            absent[symbol] = str(error)
        else:
            history.add_ordinals(symbol, closes.days, closes.closes)
    return history, PricePanel({symbol: (history.days(symbol), history.closes(symbol)) for symbol in history.symbols}, absent=absent)


def read_opens(folder: Path, strategies: Sequence[LoadedStrategy], *, as_of: date) -> Opens:
    """Read the adjusted opens and whole bars of every symbol the strategies may hold; a day whose open is not known has none."""
    files = BarFolder(folder)
    opens: dict[str, dict[int, float]] = {}
    ranges: dict[str, dict[int, DayRange]] = {}
    for symbol in sorted({symbol for strategy in strategies for symbol in strategy.symbols}):
        try:
            series = files.series(symbol)
        except DataError:
            continue  # the panel has the reason, and tells it when the symbol matters
        bars = series.between(series.first_day, as_of, Adjustment.ALL, as_of)
        known = ~series.is_close_only[np.searchsorted(series.days, bars.days)]
        opens[symbol] = dict(zip(bars.days[known].tolist(), bars.open[known].tolist(), strict=True))
        rows = zip(*(values[known].tolist() for values in (bars.open, bars.high, bars.low, bars.close, bars.volume)), strict=True)
        ranges[symbol] = {day: DayRange(*row) for day, row in zip(bars.days[known].tolist(), rows, strict=True)}
    return Opens(opens, ranges)


def read_benchmark(folder: Path, symbol: str, sessions: Sequence[date]) -> list[float]:
    """Return the adjusted close of a symbol on each session, the one before where a day has none.

    Raises ``DataError`` when its bars cannot be read or begin after the first session.
    """
    return levels_of(BarFolder(folder).adjusted_closes(symbol, sessions[-1]), sessions)


def levels_of(closes: AdjustedCloses, sessions: Sequence[date]) -> list[float]:
    """Return the close on each session, the one before where a day has none. Raises ``DataError`` when they begin after the first."""
    places = np.searchsorted(closes.days, [day.toordinal() for day in sessions], side="right") - 1
    if places[0] < 0:
        begin = date.fromordinal(int(closes.days[0])) if len(closes.days) else "never"
        raise DataError(
            f"--benchmark {closes.symbol}: its bars begin {begin}, the run on {sessions[0]}; start later or take another symbol"
        )
    levels: list[float] = closes.closes[places].tolist()
    return levels
