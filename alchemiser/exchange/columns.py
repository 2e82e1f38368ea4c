"""A table of text as named columns, parsed quickly and refused precisely.

The usual case, a clean file, is split and converted column by column; only when something is wrong is the place looked for.
Every refusal is a ``DataError`` that names the file, the line, what stands there and what was expected.
"""

import csv
import gzip
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from alchemiser.domain.errors import DataError

_SHOWN_CHARACTERS: Final = 40


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of one file by lower-case name, all of the same length, and the line of the file that each row came from."""

    path: Path
    cells: dict[str, Sequence[str]]
    lines: Sequence[int]
    line_word: str = "line"

    def __len__(self) -> int:
        return len(self.lines)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns, in the order of the file."""
        return tuple(self.cells)

    def place(self, row: int) -> str:
        """Return file and line of a row, to begin a message with."""
        return f"{self.path}, {self.line_word} {self.lines[row]}"

    def days(self) -> NDArray[np.int64]:
        """Return the column ``date`` as ordinals."""
        cells = self.cells["date"]
        try:
            return np.fromiter(map(_ordinal, cells), np.int64, len(cells))
        except ValueError:
            raise self._refusal(_first_unreadable(cells, _ordinal), "date", "a date such as 2025-03-31") from None

    def numbers(self, name: str, *, empty: float) -> NDArray[np.float64]:
        """Return a column as finite numbers, ``empty`` where a cell has nothing in it, and everywhere when there is no such column."""
        cells = self.cells.get(name)
        if cells is None:
            return np.full(len(self), empty)
        try:
            values = np.fromiter((float(cell) if cell else empty for cell in cells), np.float64, len(cells))
        except ValueError:
            raise self._refusal(_first_unreadable(cells, float), name, "a number") from None
        for row in np.flatnonzero(~np.isfinite(values)).tolist():
            if cells[row]:
                raise self._refusal(row, name, "a number")
        return values

    def refuse_where(self, wrong: NDArray[np.bool_], name: str, expected: str) -> None:
        """Raise ``DataError`` for the first row that is marked, if any."""
        if wrong.any():
            raise self._refusal(int(np.flatnonzero(wrong)[0]), name, expected)

    def _refusal(self, row: int, name: str, expected: str) -> DataError:
        cell = self.cells[name][row]
        shown = cell if len(cell) <= _SHOWN_CHARACTERS else cell[:_SHOWN_CHARACTERS] + "..."
        return DataError(f'{self.place(row)}: {name} is "{shown}", expected {expected}')


def read_csv(path: Path) -> Columns:
    """Read a comma-separated file with a header line, compressed when its name ends in ``.gz``. Empty lines are skipped."""
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        text = data.decode("utf-8-sig")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: the file cannot be uncompressed: {error}") from error
    except OSError as error:
        raise DataError(f"{path}: the file cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not a text file in UTF-8: byte {error.start} is {error.object[error.start]:#04x}") from error
    rows = _quoted_rows(path, text) if '"' in text else [line.split(",") for line in text.splitlines()]
    lines = [number for number, row in enumerate(rows, start=1) if row != [""] and row]
    if not lines:
        raise DataError(f"{path}: the file is empty; expected a header line with at least date and close")
    header = [name.strip().lower() for name in rows[lines[0] - 1]]
    if len(set(header)) != len(header):
        raise DataError(f"{path}, line {lines[0]}: a column name is there twice: {', '.join(header)}")
    lines = lines[1:]
    body = [rows[number - 1] for number in lines]
    for number, row in zip(lines, body, strict=True):
        if len(row) != len(header):
            raise DataError(f"{path}, line {number}: {len(row)} cells, expected {len(header)} ({','.join(header)})")
    columns = list(zip(*body, strict=True)) if body else [()] * len(header)
    return Columns(path, dict(zip(header, columns, strict=True)), lines)


def _quoted_rows(path: Path, text: str) -> list[list[str]]:
    rows: list[list[str]] = []
    reader = csv.reader(text.splitlines(), strict=True)
    try:
        rows.extend(reader)
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}") from error
    return rows


def _first_unreadable(cells: Sequence[str], read: Callable[[str], float]) -> int:
    for row, cell in enumerate(cells):
        try:
            read(cell)
        except ValueError:
            if cell or read is _ordinal:
                return row
    raise AssertionError("a column was refused that has no unreadable cell")


def _ordinal(cell: str) -> int:
    return date.fromisoformat(cell).toordinal()
