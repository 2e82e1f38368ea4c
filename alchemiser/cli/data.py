"""``alchemiser data pull`` and ``data import``: how bars come into the store of this machine."""

import asyncio
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from random import Random
from typing import Annotated, Final, Literal, Protocol

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from alchemiser.alpaca.backoff import Backoff
from alchemiser.alpaca.credentials import Credentials
from alchemiser.alpaca.history import HistoryReader
from alchemiser.alpaca.rest import RestClient, RestLimits
from alchemiser.cli.day_options import read_day
from alchemiser.cli.options import ConfigOption, JsonOption, StrategyOption, load, read_strategies
from alchemiser.domain.errors import ConfigError, UsageError
from alchemiser.market.calendar import TradingCalendar
from alchemiser.market.store.series import ADJUSTMENTS, checked_name
from alchemiser.market.store.store import BarStore, adjustment_named
from alchemiser.service.bar_import import Imported, ImportWish, files_of, import_files
from alchemiser.service.bar_pull import BarPull, Pulled, Wish
from alchemiser.service.clock import WallClock
from alchemiser.service.roster import load_roster
from alchemiser.service.settings import Settings
from alchemiser.service.venue_clock import following_clock

FIRST_DAY: Final = date(2016, 1, 4)
"""Alpaca's history begins here."""

PULL_LIMITS: Final = RestLimits(
    deadline_seconds=180.0, bulk_deadline_seconds=180.0, read_attempts=6, retry=Backoff(base_seconds=0.5, cap_seconds=20.0)
)
"""A pull may wait for the quota of a minute, and more than once."""

StoreOption = Annotated[Path | None, typer.Option(metavar="DIR", help="The bar store. Default: data.store of the settings.")]


def data_pull(
    symbols: Annotated[
        list[str] | None, typer.Argument(metavar="[SYMBOL]...", help="Default: those of --strategy, else of the store and the settings.")
    ] = None,
    *,
    strategy: StrategyOption = None,
    store: StoreOption = None,
    start: Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="Default: as stored; of what is not, 2016-01-04.")] = None,
    end: Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="Default, and at most: the last session that has ended.")] = None,
    feed: Annotated[Literal["iex", "sip"] | None, typer.Option(help="Default: alpaca.feed of the settings.")] = None,
    adjustment: Annotated[str, typer.Option(metavar="LIST", help="What prices are adjusted for, one or several.")] = ",".join(ADJUSTMENTS),
    anew: Annotated[bool, typer.Option("--anew", help="Ask for everything again, whatever is stored.")] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Bring the store up to date with Alpaca: daily bars, raw and adjusted, and corporate actions. Call it again to go on.

    Only what is missing is asked for, with the last ten stored bars: where these have been adjusted anew, the series is asked for again;
    so is one whose file is damaged.

    Example: alchemiser data pull SPY TLT --store bars --start 2020-01-02 --feed sip
    """
    settings = load(config, overrides={"strategies": read_strategies(strategy)}).settings
    path = store_of(store, settings)
    begins, last = read_day("--start", start), read_day("--end", end)
    first = begins or FIRST_DAY
    adjustments = tuple(dict.fromkeys(adjustment_named(word.strip()) for word in adjustment.split(",")))
    credentials, trading_url, data_url = _venue(settings)
    bar_store = BarStore.made(path)
    wanted = _symbols(symbols, bar_store, settings, by_strategy=strategy is not None)

    async def pull() -> tuple[list[Pulled], date, int]:
        async with (
            following_clock(trading_url) as clock,
            RestClient(credentials, clock=clock, random=Random(0), limits=PULL_LIMITS) as rest,  # noqa: S311 - jitter of a retry
        ):
            closed = TradingCalendar.new_york().previous_session(clock.now()).date
            through = closed if last is None else min(last, closed)
            if first > through:
                raise UsageError(f"--start {first} is after {through}, the end or the last session that has ended")
            wish = Wish(
                symbols=wanted,
                feed=feed or settings.alpaca.feed,
                adjustments=adjustments,
                start=first,
                end=through,
                anew=anew,
                reaches_back=begins is not None,
                mends=True,
            )
            with _progress(len(wanted) * len(adjustments)) as told:
                running = BarPull(bar_store, HistoryReader(rest, data_url), clock, named=data_url, told=told.series)
                return await running.run(wish), through, running.pages

    pulled, through, pages = asyncio.run(pull())
    if json:
        document = {"store": str(path), "start": first, "end": through, "requests": pages, "series": pulled}
        typer.echo(msgspec.json.encode(document))
    else:
        typer.echo(_sum(pulled, through, path))


def data_import(
    files: Annotated[list[Path], typer.Argument(metavar="FILE|DIR...", help="SYMBOL.csv or SYMBOL.parquet, or folders of them.")],
    *,
    store: StoreOption = None,
    feed: Annotated[str, typer.Option(metavar="NAME", help="What the source is called in the store.")] = "import",
    symbol: Annotated[str | None, typer.Option(metavar="SYMBOL", help="The symbol of a single file. Default: its name.")] = None,
    closes: Annotated[Literal["raw", "split", "all"], typer.Option(help="What the column close is adjusted for.")] = "split",
    replace: Annotated[bool, typer.Option("--replace", help="Take the files in place of what is stored.")] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Bring bar files into the store. A file with an error is named with its line, and then nothing is imported.

    Example: alchemiser data import data/daily --store bars --feed yahoo
    """
    path = store_of(store, load(config).settings)
    named = files_of(files, None if symbol is None else symbol.upper())
    wish = ImportWish(feed=checked_name("feed", feed), closes=closes, replace=replace)
    done = import_files(BarStore.made(path), named, wish, WallClock().now())
    if json:
        typer.echo(msgspec.json.encode({"store": str(path), "series": done}))
    else:
        typer.echo(_import_sum(done, path))


def store_of(store: Path | None, settings: Settings) -> Path:
    """Return the store that is meant. Raises ``UsageError`` when none is named."""
    path = store or settings.data.store
    if path is None:
        raise UsageError("no bar store is named; name a folder with --store DIR, or as data.store in the settings")
    return path


def _symbols(named: Sequence[str] | None, store: BarStore, settings: Settings, *, by_strategy: bool) -> tuple[str, ...]:
    if named:
        return tuple(sorted({checked_name("symbol", symbol.upper()) for symbol in named}))
    needed = {symbol for strategy in load_roster(settings) for symbol in strategy.symbols}
    return tuple(sorted(needed if by_strategy else needed | {key.symbol for key in store.series_keys()}))


def _venue(settings: Settings) -> tuple[Credentials, str, str]:
    alpaca = settings.alpaca
    if not (alpaca.key_id and alpaca.secret_key and alpaca.trading_url and alpaca.data_url):
        raise ConfigError(
            "pulling bars needs Alpaca's credentials: APCA_API_KEY_ID and APCA_API_SECRET_KEY; files of your own: alchemiser data import"
        )
    return Credentials(key_id=alpaca.key_id, secret_key=alpaca.secret_key), alpaca.trading_url, alpaca.data_url


class _Told(Protocol):
    def series(self, pulled: Pulled) -> None:
        """Hear that a series is done."""


class _Lines:
    """A line on standard error per series, for who is no terminal."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0

    def series(self, pulled: Pulled) -> None:
        """Write the line."""
        self._done += 1
        sys.stderr.write(f"{self._done}/{self._total} {_line(pulled)}\n")
        sys.stderr.flush()


class _Bar:
    """A bar with the time left, and a line above it for what was remarked."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=total)

    def series(self, pulled: Pulled) -> None:
        """Move the bar."""
        self._progress.update(self._task, advance=1, description=f"{pulled.symbol} {pulled.adjustment}")
        if pulled.remark:
            self._progress.console.print(_line(pulled), markup=False, highlight=False)


@contextmanager
def _progress(total: int) -> Iterator[_Told]:
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines(total)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        yield _Bar(progress, total)


def _line(pulled: Pulled) -> str:
    remark = f" ({pulled.remark})" if pulled.remark else ""
    return f"{pulled.symbol} {pulled.feed} {pulled.adjustment}: {pulled.outcome}, {pulled.rows} bars, {pulled.added} new{remark}"


def _sum(pulled: Sequence[Pulled], through: date, path: Path) -> str:
    added = sum(entry.added for entry in pulled)
    again = [entry for entry in pulled if entry.remark]
    without = sorted({entry.symbol for entry in pulled if not entry.rows})
    lines = [f"{path}: {len(pulled)} series up to {through}, {added} new bars"]
    lines += [_line(entry) for entry in again]
    if without:
        lines.append(f"the source has no bars of {', '.join(without)}")
    return "\n".join(lines)


def _import_sum(done: Sequence[Imported], path: Path) -> str:
    lines = [f"{entry.symbol} {entry.feed} {entry.adjustment}: {entry.outcome}, {entry.rows} bars, {entry.added} new" for entry in done]
    return "\n".join([*lines, f"{path}: {len(done)} series from {len({entry.source for entry in done})} files"])
