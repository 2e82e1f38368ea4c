"""Parquet bar files. Imported only when there is one, because pyarrow is large and optional (the extra ``data``).

The cells are handed on as text, so that a Parquet file passes exactly the checks that a text file passes.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pyarrow as arrow
from pyarrow import parquet

from alchemiser.domain.errors import DataError
from alchemiser.exchange.columns import Columns


def read_parquet(path: Path) -> Columns:
    """Read a file into columns. Dates may be dates, time stamps or text. Raises ``DataError`` when it is not a Parquet file."""
    try:
        table = parquet.read_table(path)
    except (OSError, arrow.ArrowException) as error:
        raise DataError(f"{path}: the file cannot be read as Parquet: {error}") from error
    names = [str(name).lower() for name in table.column_names]
    if len(set(names)) != len(names):
        raise DataError(f"{path}: a column name is there twice: {', '.join(names)}")
    cells: dict[str, Sequence[str]] = {
        name: [_text(value) for value in column.to_pylist()] for name, column in zip(names, table.columns, strict=True)
    }
    return Columns(path, cells, range(1, table.num_rows + 1), line_word="row")


def _text(value: object) -> str:
    is_empty = value is None or value != value  # data frames write an empty cell as the number that is not itself
    if is_empty:
        return ""
    if isinstance(value, datetime):
        return value.date().isoformat()
    return str(value)
