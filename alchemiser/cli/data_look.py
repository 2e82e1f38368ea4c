"""``alchemiser data ls`` and ``data check``: what the bar store has, and what is wrong with it."""

from collections import Counter
from collections.abc import Iterator
from datetime import date
from typing import Annotated, Literal

import msgspec
import typer

from alchemiser.cli.data import StoreOption, store_of
from alchemiser.cli.day_options import read_day
from alchemiser.cli.options import ConfigOption, JsonOption, load
from alchemiser.cli.tables import table
from alchemiser.domain.errors import DataError
from alchemiser.market.calendar import TradingCalendar
from alchemiser.market.store.actions import Actions
from alchemiser.market.store.integrity import Finding, adjustment_findings, findings_of, gaps_of
from alchemiser.market.store.series import Series, SeriesKey
from alchemiser.market.store.store import BarStore

FAILED = 6
MENDING = "to mend one: alchemiser data pull SYMBOL, or data import FILE --replace"


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """One series: its first and last bar, how many there are, and how many sessions between them have none."""

    symbol: str
    feed: str
    adjustment: str
    first: date | None
    last: date | None
    rows: int
    gaps: int
    asked_from: date
    asked_through: date
    source: str
    actions: int | None


class Damage(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the store that cannot be read."""

    symbol: str
    feed: str
    adjustment: str
    text: str
    kind: Literal["unreadable"] = "unreadable"


def data_ls(
    symbols: Annotated[list[str] | None, typer.Argument(metavar="[SYMBOL]...", help="Default: all.")] = None,
    *,
    store: StoreOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """List the series of the store: symbol, feed, adjustment, range, rows, gaps against the calendar, and corporate actions.

    One whose file is damaged is named below the others, and the exit code is 3.

    Example: alchemiser data ls --store bars
    """
    bar_store = BarStore(store_of(store, load(config).settings))
    calendar = TradingCalendar.new_york()
    rows: list[Listed] = []
    damaged: list[Damage] = []
    for key in _keys(bar_store, symbols):
        try:
            rows.append(_listed(bar_store, key, calendar))
        except DataError as error:
            damaged.append(_damage(key, error))
    if json:
        document = {"store": str(bar_store.path), "feeds": bar_store.feeds, "series": rows, "unreadable": damaged}
        typer.echo(msgspec.json.encode(document))
    else:
        listing = table([msgspec.to_builtins(row) for row in rows]) if rows else ""
        listing += "".join(f"{_line(damage)}\n" for damage in damaged)
        typer.echo(listing or f"{bar_store.path}: the store is empty\n", nl=False)
    if damaged:
        raise DataError(f"{bar_store.path}: {len(damaged)} of {len(rows) + len(damaged)} series cannot be read; {MENDING}")


def data_check(
    symbols: Annotated[list[str] | None, typer.Argument(metavar="[SYMBOL]...", help="Default: all.")] = None,
    *,
    store: StoreOption = None,
    through: Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="Also find series that do not reach this session.")] = None,
    gaps: Annotated[bool, typer.Option("--gaps/--no-gaps", help="Whether sessions without a bar are a fault.")] = True,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Check the store against the calendar and itself: missing sessions, duplicates, impossible bars, mixed adjustments.

    Ends with exit code 6 when something is wrong. To mend a series: alchemiser data pull SYMBOL --anew.

    Example: alchemiser data check --store bars --through 2025-03-31
    """
    bar_store = BarStore(store_of(store, load(config).settings))
    last = read_day("--through", through)
    keys = _keys(bar_store, symbols)
    found = [finding for finding in _findings(bar_store, keys, last) if gaps or finding.kind != "missing sessions"]
    if json:
        document = {"store": str(bar_store.path), "series": len(keys), "ok": not found, "findings": found}
        typer.echo(msgspec.json.encode(document))
    else:
        for finding in found:
            typer.echo(_line(finding))
        counted = Counter(finding.kind for finding in found)
        said = ", ".join(f"{count} with {kind}" for kind, count in sorted(counted.items())) or "nothing is wrong"
        typer.echo(f"{bar_store.path}: {len(keys)} series; {said}")
    if found:
        raise typer.Exit(FAILED)


def _keys(store: BarStore, symbols: list[str] | None) -> list[SeriesKey]:
    wanted = {symbol.upper() for symbol in symbols or ()}
    keys = [key for key in store.series_keys() if not wanted or key.symbol in wanted]
    if unknown := sorted(wanted - {key.symbol for key in keys}):
        raise DataError(f"{store.path}: there are no bars of {', '.join(unknown)}")
    return keys


def _listed(store: BarStore, key: SeriesKey, calendar: TradingCalendar) -> Listed:
    series = store.read(key)
    actions = store.actions(key.symbol)
    return Listed(
        symbol=key.symbol,
        feed=key.feed,
        adjustment=key.adjustment,
        first=series.first_day,
        last=series.last_day,
        rows=len(series.bars),
        gaps=len(gaps_of(series, calendar)),
        asked_from=series.info.asked_from,
        asked_through=series.info.asked_through,
        source=series.info.source,
        actions=None if actions is None else len(actions.rows),
    )


def _findings(store: BarStore, keys: list[SeriesKey], through: date | None) -> Iterator[Finding | Damage]:
    calendar = TradingCalendar.new_york()
    read: dict[SeriesKey, Series] = {}
    actions: dict[str, Actions | None] = {}
    for key in keys:
        try:
            read[key], actions[key.symbol] = store.read(key), store.actions(key.symbol)
        except DataError as error:
            yield _damage(key, error)
            continue
        yield from findings_of(read[key], calendar, through=through)
    for key, split in read.items():
        raw = read.get(SeriesKey(key.symbol, key.feed, "raw"))
        if key.adjustment == "split" and raw is not None:
            yield from adjustment_findings(raw, split, actions[key.symbol])


def _damage(key: SeriesKey, error: DataError) -> Damage:
    return Damage(symbol=key.symbol, feed=key.feed, adjustment=key.adjustment, text=str(error))


def _line(finding: Finding | Damage) -> str:
    place = f"{finding.symbol} {finding.feed} {finding.adjustment}: {finding.kind}"
    if isinstance(finding, Damage):
        return f"{place}, {finding.text}"
    days = ", ".join(map(str, finding.days)) + (" and more" if finding.count > len(finding.days) else "")
    return f"{place}, {finding.text}: {finding.count} ({days})"
