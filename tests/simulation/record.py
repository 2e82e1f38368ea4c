"""What a run leaves behind: what was said on the wire, the rows of the journal as plain JSON, the daemons, what they said of themselves.

It knows nothing of the daemon's code: who judges a run by it counts for himself.
"""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

Json = dict[str, Any]


class SessionHours(Protocol):
    """The hours of a session."""

    @property
    def opens_at(self) -> datetime:
        """When it opens."""

    @property
    def closes_at(self) -> datetime:
        """When it closes."""


@dataclass(frozen=True)
class Life:
    """One daemon of the run: from when to when, how it ended, and how often its journal was committed."""

    began: datetime
    ended: datetime
    was_killed: bool
    hung: bool
    started: bool
    error: str | None
    is_last: bool
    commits: int = 0


@dataclass(frozen=True)
class Row:
    """One row of the journal; ``end`` is its checksum, which stands for it and everything before it."""

    sequence: int
    kind: str
    at: datetime
    event: Json
    end: str


@dataclass(frozen=True)
class Arrival:
    """A request for an order, by its body and its method, and the rows about its id that were on the disk when it arrived."""

    method: str
    body: Json
    written: tuple[Row, ...]


@dataclass(frozen=True)
class State:
    """What a daemon knows: each order's state, quantity and filled quantity; each strategy's shares and cash flow.

    ``digest`` is its own hash of all that it remembers.
    """

    orders: dict[str, tuple[str, Decimal, Decimal]]
    books: dict[str, dict[str, Decimal]]
    flows: dict[str, Decimal]
    holdings: dict[str, Decimal]
    cash: Decimal | None
    trading: str
    rebalance: str | None
    digest: str


@dataclass(frozen=True)
class Sample:
    """What one daemon said of itself at one moment: ``after`` is the sequence number of the newest event then, ``end`` its checksum.

    ``reasons`` are why it said that it was not ready, ``queues`` the name, depth and bound of each queue in which something waited.
    """

    life: int
    at: datetime
    after: int
    end: str
    state: State
    live: bool
    ready: bool
    reasons: tuple[str, ...]
    queues: tuple[tuple[str, int, int], ...]
    overflowed: int


@dataclass(frozen=True)
class Audit:
    """What is left of the whole journal: two hashes of two replays, the problems found, and states by the checksum of the event before.

    Of the states those are there that a sample can be compared with.
    """

    states: dict[str, State]
    hashes: tuple[str, str]
    problems: tuple[str, ...]
    verified: str | None


@dataclass(frozen=True)
class Record:
    """Everything a run leaves behind.

    ``arrivals`` are the requests for orders, where a run can look at the disk when they arrive. ``struck`` are the kinds of what
    really happened to it; ``clock_error_seconds`` is how wrong the host's clock was at most, ``asleep`` when the host was suspended and
    until when, ``changes`` are the rows of the account's activities without a trade. ``stuck`` are handlers with from when to when,
    ``feeds`` when the watchdog was fed, ``delayed`` pairs of a slow handler and one that stood still meanwhile.
    """

    seed: int
    sessions: Sequence[SessionHours]
    log: list[Json]
    account: Json
    positions: list[Json]
    orders: list[Json]
    activities: list[Json]
    journal: list[Row]
    lives: tuple[Life, ...]
    opening_cash: str
    samples: list[Sample]
    audit: Audit
    struck: tuple[str, ...] = ()
    clock_error_seconds: float = 0.0
    asleep: tuple[tuple[datetime, datetime], ...] = ()
    arrivals: tuple[Arrival, ...] = ()
    changes: Sequence[Json] = ()
    stuck: tuple[tuple[str, datetime, datetime], ...] = ()
    feeds: tuple[datetime, ...] = ()
    delayed: tuple[tuple[str, str], ...] = ()

    def of(self, kind: str) -> list[Row]:
        """Return the rows of one kind."""
        return [row for row in self.journal if row.kind == kind]


def read_journal(path: Path, about: str = "") -> list[Row]:
    """Read the rows of a journal's file, as they are; with ``about`` those that have this text in them."""
    with sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True) as connection:
        query = "SELECT sequence, type, at, payload, checksum FROM events WHERE instr(payload, ?) > 0 OR ? = '' ORDER BY sequence"
        rows = connection.execute(query, (about, about)).fetchall()
    connection.close()
    return [
        Row(sequence, kind, datetime.fromisoformat(at).astimezone(UTC), json.loads(payload), end)
        for sequence, kind, at, payload, end in rows
    ]


def with_reversals(activities: list[Json]) -> list[Json]:
    """Return the executions with one more before each that corrects another: what it takes back."""
    by_id = {row["id"]: row for row in activities}
    rows: list[Json] = []
    for row in activities:
        if row["type"] == "trade_correct":
            before = by_id[row["previous_id"]]
            rows.append({**row, "qty": str(-Decimal(before["qty"])), "price": before["price"]})
        rows.append(row)
    return rows
