"""The books as files: every table with its rows, exact numbers, a year for the tax return, and what cannot be written is said."""

import csv
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from alchemiser.bus.envelope import Envelope
from alchemiser.cli import app
from alchemiser.domain.errors import ConfigError, NoDaemon
from alchemiser.domain.events import ResultReported
from alchemiser.journal.journal import Journal
from alchemiser.service import book_export
from alchemiser.service.book_export import export_books, tables_of
from alchemiser.service.offline import JOURNAL_FILE
from tests.unit.portfolio.bookkeeping import Bookkeeping

D = Decimal


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state directory whose journal tells of a year: two strategies, a crossing, a bust, a dividend, a deposit and a wash sale."""
    books = Bookkeeping(cash="100000")
    for fact in (
        "x: a buys 6, b buys 2 SPY at 20",
        "w: a buys 1 SPY at 99",
        "break w",
        "next day",
        "a gives b 1 SPY at 21",
        "y: a sells 5 SPY at 15",
        "next day",
        "z: a buys 5 SPY at 14",
        "d: a deposit of 500",
        "SPY pays 0.50 on 8",
    ):
        books.tell(fact)
    result = ResultReported(
        at=books.at,
        session=books.at.date(),
        equity=D("100500"),
        cash=D("100300"),
        realised={"a": D(-24), "b": D(0)},
        unrealised={"a": D(1), "b": D(2)},
        income={"a": D(2)},
        capital={"a": D(50250), "b": D(50250)},
        transferred=D(500),
    )
    folder = tmp_path / "state"
    folder.mkdir()
    with Journal.open(folder / JOURNAL_FILE, new_epoch=lambda: "e", threaded=False) as journal:
        for number, event in enumerate([*books.events, result], start=1):
            journal.append(Envelope(number, event, 0.0))
    return folder


def table(state: Path, name: str, year: int | None = None) -> list[dict[str, Any]]:
    """Return the rows of a table."""
    return [dict(row) for one in tables_of(state, year) if one.name == name for row in one.rows]


def test_every_part_of_an_execution_is_a_row_and_a_broken_one_is_marked(state: Path) -> None:
    """Crossings are there too, for both sides."""
    rows = table(state, "fills")
    assert [
        ("a", "buy", D(6), "x", False),
        ("b", "buy", D(2), "x", False),
        ("a", "buy", D(1), "w", True),
        ("a", "sell", D(1), "20250304.3/crossing/1", False),
        ("b", "buy", D(1), "20250304.3/crossing/1", False),
        ("a", "sell", D(5), "y", False),
        ("a", "buy", D(5), "z", False),
    ] == [(row["strategy"], row["side"], row["quantity"], row["execution"], row["is_broken"]) for row in rows]
    assert [D(-120), D(-40)] == [row["cash"] for row in rows[:2]]


def test_what_happened_without_a_trade_is_there_with_the_accounts_part(state: Path) -> None:
    """A deposit has no strategy; a dividend has those that held."""
    rows = [(row["kind"], row["strategy"], row["cash"]) for row in table(state, "activities")]
    assert ("CSD", "", D(500)) == rows[0]
    assert {"DIV"} == {kind for kind, _, _ in rows[1:]}
    assert D(4) == sum(cash for _, _, cash in rows[1:])


def test_open_and_closed_lots_are_those_of_the_books(state: Path) -> None:
    """The loss of five shares sold at 15 is washed by five bought the next day, and they cost that much more for the tax."""
    assert [("a", "z", D(5), D(70)), ("b", "x", D(2), D(40)), ("b", "20250304.3/crossing/1", D(1), D(21))] == [
        (row["strategy"], row["lot"], row["quantity"], row["cost"]) for row in table(state, "lots")
    ]
    gave, sold = table(state, "closed_lots")
    # One of the six was crossed to b at 21; the other five were sold at 15: 75 - 100 = -25. One share that b bought washes 5 of it
    # and a's five wash what is left.
    assert (D(1), D(1), D(0)) == (gave["quantity"], gave["gain"], gave["wash_disallowed"])
    assert (D(-25), D(25), D(0)) == (sold["gain"], sold["wash_disallowed"], sold["tax_gain"])


def test_a_year_is_written_as_the_form_asks_for_it(state: Path) -> None:
    """Columns (a) to (h) of form 8949; a year without sales is empty."""
    _, sold = table(state, "form8949_2025", 2025)
    assert {
        "description": "5 sh. SPY",
        "date_acquired": date(2025, 3, 3),
        "date_sold": date(2025, 3, 4),
        "proceeds": D("75.00"),
        "cost_basis": D("100.00"),
        "code": "W",
        "adjustment": D("25.00"),
        "gain": D("0.00"),
        "term": "short",
        "strategy": "a",
    } == sold
    assert [] == table(state, "form8949_2024", 2024)


def test_a_day_has_a_row_for_the_account_and_one_for_each_strategy(state: Path) -> None:
    """Profit is realised, unrealised and income together."""
    rows = table(state, "daily")
    assert [("", D(-19), D(500)), ("a", D(-21), None), ("b", D(2), None)] == [
        (row["strategy"], row["profit"], row["paid_in"]) for row in rows
    ]


def test_files_hold_what_the_tables_hold(state: Path, tmp_path: Path) -> None:
    """CSV as text without exponents, Parquet with types; both exact."""
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    out = tmp_path / "books"
    written = export_books(state, out, kind="csv", year=2025)
    assert ["fills", "activities", "lots", "closed_lots", "daily", "form8949_2025"] == [one.table for one in written]
    with (out / "fills.csv").open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert ("2025-03-03T16:00:00+00:00", "6", "-120", "true") == (
        lines[0]["at"],
        lines[0]["quantity"],
        lines[0]["cash"],
        lines[2]["is_broken"],
    )

    export_books(state, out, kind="parquet")
    rows = parquet.read_table(out / "fills.parquet").to_pylist()
    assert (datetime(2025, 3, 3, 16, tzinfo=UTC), D(6), D(-120), True) == (
        rows[0]["at"],
        rows[0]["quantity"],
        rows[0]["cash"],
        rows[2]["is_broken"],
    )


def test_what_cannot_be_done_is_said(state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No journal, a folder that is a file, Parquet without what it needs."""
    with pytest.raises(NoDaemon, match="no journal"):
        export_books(tmp_path / "nowhere", tmp_path, kind="csv")
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be written"):
        export_books(state, tmp_path / "file", kind="csv")

    def missing(name: str) -> Any:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(book_export, "load", missing)
    with pytest.raises(ConfigError, match="pyarrow"):
        export_books(state, tmp_path / "books", kind="parquet")


def test_the_command_says_what_it_wrote(state: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """As a table and as JSON."""
    arguments = ["ledger", "export", "--state", str(state), "--out", str(tmp_path / "books"), "--year", "2025"]
    assert 0 == app.run([*arguments, "--json"])
    assert b'"table":"form8949_2025"' in capfdbinary.readouterr().out
    assert 0 == app.run(arguments)
    assert b"form8949_2025" in capfdbinary.readouterr().out
    assert 2 == app.run(["ledger", "export"])
