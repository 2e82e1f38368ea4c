"""A folder that is a bar store: which series it has, and reading and writing them.

Layout: ``store.json`` says that it is one, ``FEED/ADJUSTMENT/SYMBOL.parquet`` are the series, ``actions/SYMBOL.parquet`` the corporate
actions. Readers need no lock, because files appear whole. Whoever changes a series does so under :meth:`BarStore.changing`, so that a pull
and the daemon do not undo one another. Nothing in it is unpickled.
"""

import fcntl
import importlib
import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Final, Self

import msgspec

from alchemiser.domain.errors import DataError
from alchemiser.market.store.actions import Actions
from alchemiser.market.store.series import ADJUSTMENTS, Adjusting, Series, SeriesInfo, SeriesKey, checked_name

MARKER: Final = "store.json"
FORMAT: Final = 1

_ACTIONS: Final = "actions"
_LOCK: Final = ".lock"
_NEEDS_PYARROW: Final = 'a bar store needs pyarrow; install the extra "alchemiser[data]"'


class _Marker(msgspec.Struct):
    alchemiser_bar_store: int


class BarStore:
    """An existing store. Raises ``DataError`` when the folder is none, or one of a later version."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            marker = msgspec.json.decode((path / MARKER).read_bytes(), type=_Marker)
        except OSError as error:
            raise DataError(f"{path}: no bar store is there ({error.strerror}); alchemiser data pull or import makes one") from error
        except msgspec.DecodeError as error:
            raise DataError(f"{path / MARKER}: cannot be read: {error}") from error
        if marker.alchemiser_bar_store > FORMAT:
            raise DataError(
                f"{path}: a store of format {marker.alchemiser_bar_store}; this version knows {FORMAT}. Use the version that wrote it"
            )

    @classmethod
    def made(cls, path: Path) -> Self:
        """Return the store at a path, made now if there is nothing. Raises ``DataError`` for a folder with other things in it."""
        if not (path / MARKER).exists():
            try:
                path.mkdir(parents=True, exist_ok=True)
                if any(path.iterdir()):
                    raise DataError(f"{path}: the folder is no bar store and is not empty; name another")
                (path / MARKER).write_bytes(msgspec.json.encode(_Marker(FORMAT)))
            except OSError as error:
                raise DataError(f"{path}: a bar store cannot be made there ({error.strerror})") from error
        return cls(path)

    @property
    def feeds(self) -> tuple[str, ...]:
        """The feeds of which there are series, sorted."""
        return tuple(sorted({key.feed for key in self.series_keys()}))

    def series_keys(self, feed: str | None = None) -> list[SeriesKey]:
        """Return the names of all series, or of those of one feed, sorted."""
        files = self.path.glob(f"{feed or '*'}/*/*.parquet")
        return sorted(
            SeriesKey(file.stem, file.parent.parent.name, file.parent.name)
            for file in files
            if file.parent.name in ADJUSTMENTS and not file.name.startswith(".")
        )

    def has(self, key: SeriesKey) -> bool:
        """Return whether there is such a series."""
        return self._file(key).exists()

    def read(self, key: SeriesKey) -> Series:
        """Read a series. Raises ``DataError`` when there is none, or its file is damaged."""
        path = self._file(key)
        if not path.exists():
            raise DataError(f"{self.path}: there is no series {key}")
        series: Series = _table().read_series(path)
        if series.info.key != key:
            raise DataError(f"{path}: the file says that it is {series.info.key}")
        return series

    def info(self, key: SeriesKey) -> SeriesInfo | None:
        """Return what is known about a series without reading its bars, ``None`` when there is none."""
        path = self._file(key)
        if not path.exists():
            return None
        info: SeriesInfo = _table().read_info(path)
        return info

    def write(self, series: Series) -> None:
        """Put a series in the place of the one with its name."""
        _table().write_series(self._file(series.info.key), series)

    def actions(self, symbol: str) -> Actions | None:
        """Return the corporate actions of a symbol, ``None`` when nobody ever asked."""
        path = self._actions_file(symbol)
        if not path.exists():
            return None
        actions: Actions = _table().read_actions(path)
        return actions

    def write_actions(self, actions: Actions) -> None:
        """Put the corporate actions of a symbol in the place of what was known."""
        _table().write_actions(self._actions_file(actions.info.symbol), actions)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Hold the lock of the store, across processes, while a series is read, changed and written."""
        descriptor = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _file(self, key: SeriesKey) -> Path:
        return self.path / checked_name("feed", key.feed) / key.adjustment / f"{checked_name('symbol', key.symbol)}.parquet"

    def _actions_file(self, symbol: str) -> Path:
        return self.path / _ACTIONS / f"{checked_name('symbol', symbol)}.parquet"


def store_at(path: Path) -> tuple[BarStore, str | None] | None:
    """Return the store that a path names, and the feed where it names the folder of one, ``None`` for any other folder."""
    if (path / MARKER).is_file():
        return BarStore(path), None
    if (path.parent / MARKER).is_file() and path.is_dir():
        return BarStore(path.parent), path.name
    return None


def adjustment_named(name: str) -> Adjusting:
    """Return an adjustment by its name. Raises ``DataError`` for another word."""
    if name not in ADJUSTMENTS:
        raise DataError(f"adjustment {name!r}: expected one of {', '.join(ADJUSTMENTS)}")
    return name


def needs_pyarrow() -> str | None:
    """Return what to do when pyarrow is not installed, without importing it."""
    return None if importlib.util.find_spec("pyarrow") else _NEEDS_PYARROW


def _table() -> ModuleType:
    try:
        return importlib.import_module("alchemiser.market.store.table")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "pyarrow":
            raise
        raise DataError(_NEEDS_PYARROW) from error
