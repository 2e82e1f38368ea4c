"""``ledger export``: the books as files, for a spreadsheet, a data frame and the tax return."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from alchemiser.cli.options import ConfigOption, JsonOption, StateOption, load
from alchemiser.cli.tables import render
from alchemiser.service.book_export import export_books
from alchemiser.service.view import to_json


class Format(StrEnum):
    """The formats of files."""

    CSV = "csv"
    PARQUET = "parquet"


FormatOption = Annotated[Format, typer.Option("--format", help="Of the files. Parquet needs the extra alchemiser[data].")]
OutOption = Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder to write to; it is made if it is not there.")]
YearOption = Annotated[
    int | None, typer.Option("--year", min=1970, max=9999, help="Also the lots closed in that year, as form 8949 asks for them.")
]


def ledger_export(
    *,
    out: OutOption,
    kind: FormatOption = Format.CSV,
    year: YearOption = None,
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the books of the journal: fills, activities, lots, closed lots with wash-sale marks, and daily results.

    Example: alchemiser ledger export --format csv --out books --year 2025
    """
    settings = load(config, state=state).settings
    files = export_books(settings.service.state, out, kind=kind.value, year=year)
    found = {"format": kind.value, "year": year, "files": [msgspec.structs.asdict(file) for file in files]}
    sys.stdout.buffer.write(to_json(found) + b"\n") if as_json else sys.stdout.write(render(found))
