"""Series and corporate actions as Parquet files. Imported only when a store is used: pyarrow is large and optional (the extra ``data``).

Any tool that reads Parquet reads the bars: ``date, open, high, low, close, volume``. What is known about them is JSON in the file's own
metadata under ``alchemiser``. A file is written beside its place, flushed to the disk and then renamed: it is there whole or not at all.
"""

import os
from datetime import date
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as arrow
from pyarrow import parquet

from alchemiser.domain.errors import DataError
from alchemiser.market.store.actions import Action, Actions, ActionsInfo
from alchemiser.market.store.series import COLUMNS, BarColumns, Series, SeriesInfo

_METADATA: Final = b"alchemiser"
_EPOCH: Final = date(1970, 1, 1).toordinal()
_PARTIAL: Final = ".part"


def write_series(path: Path, series: Series) -> None:
    """Write a series in place of what was there."""
    bars = series.bars
    cells: dict[str, Any] = {"date": arrow.array((bars.days - _EPOCH).astype(np.int32), arrow.int32()).cast(arrow.date32())}
    for name in COLUMNS:
        cells[name] = arrow.array(getattr(bars, name), arrow.float64(), from_pandas=True)
    _write(path, arrow.table(cells), msgspec.json.encode(series.info))


def read_series(path: Path) -> Series:
    """Read a series. Raises ``DataError`` when the file is none of the store's."""
    table, told = _read(path, None)
    try:
        info = msgspec.json.decode(told, type=SeriesInfo)
        days = table.column("date").cast(arrow.int32()).to_numpy().astype(np.int64) + _EPOCH
        columns = [np.asarray(table.column(name).to_numpy(), dtype=np.float64) for name in COLUMNS]
    except (msgspec.DecodeError, KeyError, ValueError, arrow.ArrowException) as error:
        raise DataError(f"{path}: not a series of a bar store: {error}") from error
    return Series(info, BarColumns(days, *columns))


def read_info(path: Path) -> SeriesInfo:
    """Read what is known about a series without its bars."""
    try:
        metadata = parquet.read_schema(path).metadata or {}
        return msgspec.json.decode(metadata.get(_METADATA, b"{}"), type=SeriesInfo)
    except (OSError, arrow.ArrowException, msgspec.DecodeError) as error:
        raise DataError(f"{path}: not a series of a bar store: {error}") from error


def write_actions(path: Path, actions: Actions) -> None:
    """Write the corporate actions of a symbol in place of what was there."""
    rows = actions.rows
    cells: dict[str, Any] = {
        "ex_date": arrow.array([row.ex_date for row in rows], arrow.date32()),
        "kind": arrow.array([row.kind for row in rows], arrow.string()),
        "cash": arrow.array([row.cash for row in rows], arrow.float64()),
        "new_rate": arrow.array([row.new_rate for row in rows], arrow.float64()),
        "old_rate": arrow.array([row.old_rate for row in rows], arrow.float64()),
        "id": arrow.array([row.id for row in rows], arrow.string()),
        "wire": arrow.array([row.wire for row in rows], arrow.string()),
    }
    _write(path, arrow.table(cells), msgspec.json.encode(actions.info))


def read_actions(path: Path) -> Actions:
    """Read the corporate actions of a symbol. Raises ``DataError`` when the file is none of the store's."""
    table, told = _read(path, None)
    try:
        rows = tuple(msgspec.convert(row, Action) for row in table.to_pylist())
        return Actions(msgspec.json.decode(told, type=ActionsInfo), rows)
    except (msgspec.DecodeError, msgspec.ValidationError, arrow.ArrowException) as error:
        raise DataError(f"{path}: not the corporate actions of a bar store: {error}") from error


def _read(path: Path, columns: list[str] | None) -> tuple[Any, bytes]:
    try:
        table = parquet.read_table(path, columns=columns, use_threads=False, memory_map=False)
    except (OSError, arrow.ArrowException) as error:
        raise DataError(f"{path}: the file cannot be read as Parquet: {error}") from error
    return table, (table.schema.metadata or {}).get(_METADATA, b"{}")


def _write(path: Path, table: Any, told: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{path.name}.*{_PARTIAL}"):
        left.unlink(missing_ok=True)  # Of a process that was killed: whoever writes holds the lock of the store.
    partial = path.with_name(f".{path.name}.{os.getpid()}{_PARTIAL}")
    try:
        with partial.open("wb") as file:
            parquet.write_table(table.replace_schema_metadata({_METADATA: told}), file, compression="zstd")
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise DataError(f"{path}: cannot be written ({error.strerror})") from error
