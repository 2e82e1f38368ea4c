"""The results of a sweep in one SQLite file: written as they come, ranked by any figure through an index, and continued after a kill.

A file belongs to one question: the same strategies, bars, terms and windows. Another grid, or a search, may add variants to it; another
question is refused, because its figures could not be compared.
"""

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Final, Self

import msgspec
import numpy as np

from alchemiser.backtest.metrics import SESSIONS_PER_YEAR, Metrics
from alchemiser.backtest.sweep.bench import Scored
from alchemiser.backtest.sweep.job import Job
from alchemiser.backtest.sweep.objective import OBJECTIVES, SMALLER_IS_BETTER, Objective
from alchemiser.backtest.sweep.space import Values
from alchemiser.domain.errors import DataError
from alchemiser.market.arrays import Floats

FORMAT: Final = 1
_SQLITE: Final = b"SQLite format 3\0"
FIGURES: Final = tuple(field.name for field in msgspec.structs.fields(Metrics))

_SCHEMA: Final = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
    "CREATE TABLE variants (id INTEGER PRIMARY KEY, parameters TEXT NOT NULL UNIQUE, error TEXT, folds BLOB, "
    + ", ".join(f"{name} REAL" for name in FIGURES)
    + ") STRICT",
    *(f"CREATE INDEX by_{name} ON variants ({name}) WHERE {name} IS NOT NULL" for name in OBJECTIVES),
)


class Ranked(msgspec.Struct, frozen=True):
    """A variant of a results file: its parameters by name, and its figures."""

    parameters: dict[str, float]
    metrics: Metrics


class Results:
    """An open results file."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self.path = path

    @classmethod
    @contextmanager
    def opened(cls, path: Path, question: str | None = None) -> Iterator[Self]:
        """Open a file, made now if it is not there and a ``question`` is asked.

        Raises ``DataError`` when it is none, belongs to another question, or cannot be written.
        """
        if question is None and not path.is_file():
            raise DataError(f"{path}: there are no results; alchemiser sweep --results {path} makes them")
        _refuse_stranger(path)
        try:
            connection = sqlite3.connect(path, isolation_level=None)
        except sqlite3.Error as error:
            raise DataError(f"{path}: cannot be opened ({error})") from error
        try:
            results = cls(connection, path)
            results._begin(question)
            yield results
        except sqlite3.Error as error:
            raise DataError(f"{path}: the results cannot be read or written ({error})") from error
        finally:
            connection.close()

    def __len__(self) -> int:
        (count,) = self._connection.execute("SELECT count(*) FROM variants").fetchone()
        return int(count)

    @property
    def objective(self) -> Objective:
        """What the sweep looked for."""
        (value,) = self._connection.execute("SELECT value FROM meta WHERE key = 'objective'").fetchone()
        objective: Objective = msgspec.convert(value, Objective)
        return objective

    def remember_objective(self, objective: Objective) -> None:
        """Say what the sweep looks for."""
        self._connection.execute("INSERT OR REPLACE INTO meta VALUES ('objective', ?)", (objective,))

    def add(self, names: Sequence[str], scored: Iterable[Scored]) -> None:
        """Write variants; all of them are there afterwards, or none."""
        marks = ", ".join("?" * (3 + len(FIGURES)))
        sql = f"INSERT OR REPLACE INTO variants (parameters, error, folds, {', '.join(FIGURES)}) VALUES ({marks})"  # noqa: S608 - our names
        self._connection.execute("BEGIN")
        self._connection.executemany(sql, [_row(names, entry) for entry in scored])
        self._connection.execute("COMMIT")

    def known(self, names: Sequence[str]) -> dict[Values, Scored]:
        """Return the variants of exactly these parameters that are there."""
        sql = f"SELECT parameters, error, folds, {', '.join(FIGURES)} FROM variants"  # noqa: S608 - our names
        found = {}
        for parameters, error, folds, *figures in self._connection.execute(sql):
            by_name: dict[str, float] = msgspec.json.decode(parameters)
            if by_name.keys() == set(names):
                values = tuple(by_name[name] for name in names)
                metrics = None if error is not None else _metrics(figures)
                found[values] = Scored(values, metrics, tuple(np.frombuffer(folds, "<f8").tolist()), error)
        return found

    def ranked(self, by: Objective, count: int, names: Sequence[str] | None = None) -> list[Ranked]:
        """Return the best variants by a figure, the best first; equal ones in the order in which they came.

        With ``names`` only those of exactly these parameters: another grid in the same file may vary others.
        """
        order = "ASC" if by in SMALLER_IS_BETTER else "DESC"
        sql = f"SELECT parameters, {', '.join(FIGURES)} FROM variants WHERE {by} IS NOT NULL ORDER BY {by} {order}, id"  # noqa: S608 - our names
        wanted = None if names is None else set(names)
        rows = ((msgspec.json.decode(parameters), figures) for parameters, *figures in self._connection.execute(sql))
        fitting = (Ranked(by_name, _metrics(figures)) for by_name, figures in rows if wanted is None or by_name.keys() == wanted)
        return list(islice(fitting, count))

    def failures(self) -> list[tuple[dict[str, float], str]]:
        """Return the variants that could not be run, each with the reason."""
        rows = self._connection.execute("SELECT parameters, error FROM variants WHERE error IS NOT NULL ORDER BY id")
        return [(msgspec.json.decode(parameters), error) for parameters, error in rows]

    def trial_variance(self) -> float | None:
        """Return the variance of the variants' Sharpe ratios per session, ``None`` for fewer than two."""
        sharpes: Floats = np.array([row[0] for row in self._connection.execute("SELECT sharpe FROM variants WHERE sharpe IS NOT NULL")])
        return float(np.var(sharpes, ddof=1)) / SESSIONS_PER_YEAR if len(sharpes) > 1 else None

    def _begin(self, question: str | None) -> None:
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        is_new = not self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if is_new and question is not None:
            self._connection.execute("BEGIN IMMEDIATE")
            for statement in _SCHEMA:
                self._connection.execute(statement)
            self._connection.executemany("INSERT INTO meta VALUES (?, ?)", [("format", str(FORMAT)), ("question", question)])
            self._connection.execute("COMMIT")
            return
        meta = {} if is_new else dict(self._connection.execute("SELECT key, value FROM meta"))
        if meta.get("format") != str(FORMAT):
            raise DataError(f"{self.path}: not the results of a sweep, or of another version")
        if question is not None and meta["question"] != question:
            raise DataError(
                f"{self.path}: these results are of other strategies, bars, terms or windows; name another file with --results FILE"
            )


def question_of(job: Job, block: bytes) -> str:
    """Return the hash of everything that a variant's figures depend on but its own parameters."""
    asked = msgspec.structs.replace(job, dimensions=())
    return hashlib.sha256(msgspec.json.encode(asked, order="deterministic") + hashlib.sha256(block).digest()).hexdigest()


def _refuse_stranger(path: Path) -> None:
    """Raise ``DataError`` for a file that is no database: SQLite would take a short one for an empty database, and write over it."""
    try:
        with path.open("rb") as file:
            head = file.read(len(_SQLITE))
    except OSError:
        return  # There is none, or SQLite says why it cannot be opened.
    if head and head != _SQLITE:
        raise DataError(f"{path}: not the results of a sweep; it is left as it is")


def _row(names: Sequence[str], scored: Scored) -> tuple[object, ...]:
    parameters = msgspec.json.encode(dict(zip(names, scored.values, strict=True)), order="sorted").decode()
    figures = [None] * len(FIGURES) if scored.metrics is None else [getattr(scored.metrics, name) for name in FIGURES]
    return parameters, scored.error, np.array(scored.folds, "<f8").tobytes(), *figures


def _metrics(figures: Sequence[float | None]) -> Metrics:
    return msgspec.convert(dict(zip(FIGURES, figures, strict=True)), Metrics)
