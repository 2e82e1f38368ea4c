"""The books as tables: fills, what happened without a trade, lots, closed lots, daily results, and a year of lots for the tax return.

They are made from the whole journal, not from what the daemon remembers: every execution ever booked is there, one that was taken back
is marked, and the closed lots are what they would be had that always been known. The journal is read beside a running daemon.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.errors import ConfigError, NoDaemon
from alchemiser.domain.events import (
    ActivityBooked,
    Event,
    FillBooked,
    FillBroken,
    OrderFilled,
    RebalancePlanned,
    ResultReported,
    SessionOpened,
)
from alchemiser.domain.money import ZERO, number_string, to_cents
from alchemiser.domain.orders import Fill
from alchemiser.journal.reader import JournalReader
from alchemiser.portfolio.closed_lots import ClosedLot, Purchase, walked
from alchemiser.portfolio.ledger import Ledger
from alchemiser.portfolio.wash import TaxLot, tax_lots
from alchemiser.service.deferred import load
from alchemiser.service.offline import JOURNAL_FILE
from alchemiser.service.table_files import write_csv

ACCOUNT: Final = ""
"""The strategy of a row that is the account's own."""

Row = Mapping[str, Any]
Write = Callable[[Path, Sequence[str], Sequence[Row]], None]


class Table(msgspec.Struct, frozen=True):
    """One table: its name, its columns in order, its rows."""

    name: str
    columns: tuple[str, ...]
    rows: list[Row]


class Written(msgspec.Struct, frozen=True):
    """A file that was written."""

    table: str
    file: str
    rows: int


def export_books(state: Path, out: Path, *, kind: str, year: int | None = None) -> list[Written]:
    """Write the tables of the journal in a state directory into a folder, as ``csv`` or ``parquet``; return the files.

    ``year`` adds the closed lots of that year as form 8949 asks for them. Raises ``NoDaemon`` when there is no journal, ``DataError`` when
    it cannot be read and ``ConfigError`` when the folder cannot be written or Parquet needs what is not installed.
    """
    write = _writer(kind)
    tables = tables_of(state, year)
    try:
        out.mkdir(parents=True, exist_ok=True)
        written = []
        for table in tables:
            path = out / f"{table.name}.{kind}"
            write(path, table.columns, table.rows)
            written.append(Written(table.name, str(path), len(table.rows)))
    except OSError as error:
        raise ConfigError(f"the books cannot be written to {out}: {error.strerror}") from error
    return written


def tables_of(state: Path, year: int | None = None) -> list[Table]:
    """Return the tables of the journal in a state directory. Raises as :func:`export_books`."""
    path = state / JOURNAL_FILE
    if not path.exists():
        raise NoDaemon(f"there is no journal in {state}")
    gathered = _Gathered()
    with JournalReader.open(path) as reader:
        for envelope in reader.read(types=_Gathered.types):
            gathered.take(envelope)
    return gathered.tables(year)


class _Gathered:
    """Reads the journal through a ledger that forgets nothing, and notes what becomes a row."""

    # Without the openings of sessions the ledger keeps all deeds.
    types = (*(kind for kind in Ledger.listens_to if kind is not SessionOpened), ResultReported)

    def __init__(self) -> None:
        self._ledger = Ledger(_nobody)
        self._fills: dict[str, Fill] = {}
        self._broken: set[str] = set()
        self._booked: list[Row] = []
        self._activities: list[Row] = []
        self._results: dict[date, ResultReported] = {}

    def take(self, envelope: Envelope) -> None:
        event = envelope.event
        if isinstance(event, Ledger.listens_to):
            self._ledger.replay(envelope)
        match event:
            case OrderFilled(fill=fill):
                self._fills[fill.execution_id] = fill
            case FillBroken(fill=fill):
                self._broken.add(fill.execution_id)
            case FillBooked():
                self._booked += self._rows_of(event)
            case RebalancePlanned():
                self._booked += _crossings(event)
            case ActivityBooked():
                self._activities += _parts(event)
            case ResultReported():
                self._results[event.session] = event
            case _:
                pass

    def _rows_of(self, event: FillBooked) -> Iterator[Row]:
        fill = self._fills[event.execution_id]
        for entry in event.entries:
            yield {
                "at": fill.at,
                "strategy": entry.strategy,
                "symbol": event.symbol,
                "side": fill.side.value,
                "quantity": abs(entry.quantity),
                "price": entry.price,
                "cash": entry.cash,
                "realised": entry.realised,
                "execution": event.execution_id,
                "order": fill.client_order_id,
            }

    def tables(self, year: int | None) -> list[Table]:
        fills: list[Row] = [{**row, "is_broken": row["execution"] in self._broken} for row in self._booked]
        marked = tax_lots(*self._closed())
        found = [
            Table("fills", _FILLS, fills),
            Table("activities", _ACTIVITIES, self._activities),
            Table("lots", _LOTS, list(self._open())),
            Table("closed_lots", _CLOSED, [_closed_row(lot) for lot in marked]),
            Table("daily", _DAILY, list(_days(self._results.values()))),
        ]
        if year is not None:
            found.append(Table(f"form8949_{year}", _FORM, [_form_row(lot) for lot in marked if lot.sold.year == year]))
        return found

    def _closed(self) -> tuple[list[ClosedLot], list[Purchase]]:
        rows = [
            row
            for strategy, trails in sorted(self._ledger.memory().shelf.trails.items())
            for symbol, trail in sorted(trails.items())
            for row in walked(strategy, symbol, trail.before, trail.trades)
        ]
        return [row for row in rows if isinstance(row, ClosedLot)], [row for row in rows if isinstance(row, Purchase)]

    def _open(self) -> Iterator[Row]:
        for strategy, book in sorted(self._ledger.books.items()):
            for symbol, lots in sorted(book.lots.items()):
                for lot in lots:
                    yield {
                        "strategy": strategy,
                        "symbol": symbol,
                        "quantity": lot.quantity,
                        "price": lot.price,
                        "cost": lot.cost,
                        "acquired_at": lot.opened_at,
                        "lot": lot.execution_id,
                    }


_FILLS = ("at", "strategy", "symbol", "side", "quantity", "price", "cash", "realised", "execution", "order", "is_broken")
_ACTIVITIES = ("at", "on", "kind", "treatment", "strategy", "symbol", "quantity", "cash", "cost", "realised", "description", "activity")
_LOTS = ("strategy", "symbol", "quantity", "price", "cost", "acquired_at", "lot")
_CLOSED = (
    "strategy",
    "symbol",
    "quantity",
    "acquired_at",
    "sold_at",
    "proceeds",
    "cost",
    "gain",
    "term",
    "wash_disallowed",
    "tax_basis",
    "tax_gain",
    "lot",
    "sale",
)
_DAILY = ("session", "strategy", "equity", "cash", "realised", "unrealised", "income", "profit", "change", "paid_in")
_FORM = ("description", "date_acquired", "date_sold", "proceeds", "cost_basis", "code", "adjustment", "gain", "term", "strategy")


def _crossings(plan: RebalancePlanned) -> Iterator[Row]:
    for number, crossing in enumerate(plan.crossings, start=1):
        for strategy, side, sign in ((crossing.seller, "sell", 1), (crossing.buyer, "buy", -1)):
            yield {
                "at": plan.at,
                "strategy": strategy,
                "symbol": crossing.symbol,
                "side": side,
                "quantity": crossing.quantity,
                "price": crossing.price,
                "cash": sign * crossing.quantity * crossing.price,
                "realised": None,
                "execution": f"{plan.rebalance_id}/crossing/{number}",
                "order": None,
            }


def _parts(booked: ActivityBooked) -> Iterator[Row]:
    row = booked.activity
    frame = {"at": row.at, "on": row.on, "kind": row.kind, "treatment": booked.treatment.value, "activity": row.activity_id}
    frame["description"] = row.description
    for entry in booked.entries:
        yield frame | {
            "strategy": entry.strategy,
            "symbol": entry.symbol,
            "quantity": entry.quantity,
            "cash": entry.cash,
            "cost": entry.cost,
            "realised": entry.realised,
        }
    own = booked.account_cash + booked.transferred
    if own or not booked.entries:
        yield frame | {"strategy": ACCOUNT, "symbol": row.symbol, "quantity": ZERO, "cash": own, "cost": ZERO, "realised": ZERO}


def _closed_row(lot: TaxLot) -> Row:
    one = lot.closed
    return {
        "strategy": one.strategy,
        "symbol": one.symbol,
        "quantity": one.quantity,
        "acquired_at": one.acquired_at,
        "sold_at": one.sold_at,
        "proceeds": one.proceeds,
        "cost": one.cost,
        "gain": one.gain,
        "term": _term(lot),
        "wash_disallowed": lot.disallowed,
        "tax_basis": lot.basis,
        "tax_gain": lot.gain,
        "lot": one.lot,
        "sale": one.sale,
    }


def _form_row(lot: TaxLot) -> Row:
    """Return a row of form 8949: dollars in cents, and the gain is proceeds less basis plus adjustment to the cent."""
    proceeds, basis = to_cents(lot.closed.proceeds), to_cents(lot.basis)
    return {
        "description": f"{number_string(lot.closed.quantity)} sh. {lot.closed.symbol}",
        "date_acquired": lot.acquired,
        "date_sold": lot.sold,
        "proceeds": proceeds,
        "cost_basis": basis,
        "code": lot.code,
        "adjustment": lot.disallowed,
        "gain": proceeds - basis + lot.disallowed,
        "term": _term(lot),
        "strategy": lot.closed.strategy,
    }


def _term(lot: TaxLot) -> str:
    return "long" if lot.is_long_term else "short"


def _days(results: Iterable[ResultReported]) -> Iterator[Row]:
    """Yield a row for the account and one for each strategy, a session after the other; a change is that since the session before."""
    before: dict[str, Decimal] = {}
    for result in results:
        names = sorted({*result.realised, *result.unrealised, *result.income})
        parts = {name: [part.get(name, ZERO) for part in (result.realised, result.unrealised, result.income)] for name in names}
        whole = [sum((part[place] for part in parts.values()), ZERO) for place in range(3)]
        for name, (realised, unrealised, income) in {ACCOUNT: whole, **parts}.items():
            profit = realised + unrealised + income
            yield {
                "session": result.session,
                "strategy": name,
                "equity": result.equity if name == ACCOUNT else result.capital.get(name),
                "cash": result.cash if name == ACCOUNT else None,
                "realised": realised,
                "unrealised": unrealised,
                "income": income,
                "profit": profit,
                "change": profit - before.get(name, ZERO),
                "paid_in": result.transferred if name == ACCOUNT else None,
            }
            before[name] = profit


def _writer(kind: str) -> Write:
    if kind == "csv":
        return write_csv
    try:
        write: Write = load("alchemiser.service.parquet_files:write_parquet")
    except ModuleNotFoundError as error:
        raise ConfigError(
            'writing Parquet files needs pyarrow; install the extra "alchemiser[data]" or use --format csv; nothing was written'
        ) from error
    return write


def _nobody(event: Event) -> None:
    raise AssertionError(f"a replay published {type(event).__name__}")
