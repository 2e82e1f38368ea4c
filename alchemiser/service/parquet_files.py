"""Tables in Parquet files. Imported only to write one, because pyarrow is large and optional (the extra ``data``)."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any, Final

import pyarrow as arrow
from pyarrow import parquet

DECIMALS: Final = 18
"""Places after the point of a decimal, of 38 digits in all: nothing that the books hold to the cent or the share has more that counts."""

_KINDS: Final = {
    Decimal: arrow.decimal128(38, DECIMALS),
    datetime: arrow.timestamp("us", tz="UTC"),
    date: arrow.date32(),
    bool: arrow.bool_(),
}


def write_parquet(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a table: decimals, times in UTC, dates and truths as such; all else, and a column without any value, is text."""
    arrays = []
    for column in columns:
        values = [_cut(row.get(column)) for row in rows]
        first = next((value for value in values if value is not None), "")
        arrays.append(arrow.array(values, type=_KINDS.get(type(first), arrow.string())))
    parquet.write_table(arrow.table(arrays, names=list(columns)), path)


def _cut(value: object) -> object:
    return value.quantize(Decimal(1).scaleb(-DECIMALS), rounding=ROUND_HALF_EVEN) if isinstance(value, Decimal) else value
