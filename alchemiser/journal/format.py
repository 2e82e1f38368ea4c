"""The journal's format: its tables, one row per event, the chain of checksums, and snapshots bound to it. No I/O here.

Each row's checksum covers the row and the checksum before it, the first one the journal's epoch. A changed or missing row breaks the
chain at that place; the newest checksum is kept in ``meta`` too, so that a missing end is noticed as well. The chain finds damage
and slips; it is not a signature.

Format 2 binds a snapshot to the event it was taken after, to the version of the program and to the hash of the state. Older formats
are brought forward by ``journal.migrate``.
"""

from datetime import UTC, datetime
from functools import cache
from hashlib import blake2b
from typing import Final, NamedTuple

import msgspec

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.errors import DataError
from alchemiser.domain.events import AnyEvent, Event

FORMAT_VERSION: Final = 2

SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE IF NOT EXISTS events (
        sequence INTEGER PRIMARY KEY,
        at TEXT NOT NULL,
        type TEXT NOT NULL,
        correlation TEXT,
        causation INTEGER,
        time REAL NOT NULL,
        payload TEXT NOT NULL,
        checksum TEXT NOT NULL
    )""",
    """CREATE TABLE IF NOT EXISTS snapshots (
        name TEXT NOT NULL,
        sequence INTEGER NOT NULL,
        version TEXT NOT NULL,
        state_hash TEXT NOT NULL,
        chain TEXT NOT NULL,
        payload BLOB NOT NULL,
        checksum TEXT NOT NULL,
        PRIMARY KEY (name, sequence)
    )""",
)

COLUMNS: Final = "sequence, at, type, correlation, causation, time, payload, checksum"

_encode = msgspec.json.Encoder().encode
_DIGEST_BYTES = 16
_WHOLE_SECOND = len('"2025-03-03T16:00:00Z"')


@cache
def _decoder() -> msgspec.json.Decoder[AnyEvent]:
    """Return the decoder of all events, made when the first one is read: that takes as long as reading hundreds of them."""
    return msgspec.json.Decoder(AnyEvent)


class Row(NamedTuple):
    """One event as it is stored. ``at`` is UTC with microseconds, so that it sorts as text; ``payload`` is the event as JSON."""

    sequence: int
    at: str
    type: str
    correlation: str | None
    causation: int | None
    time: float
    payload: str
    checksum: str


_new_row = tuple.__new__  # What Row(...) comes to, without a function of Python's in between.


class Snapshot(msgspec.Struct, frozen=True):
    """State that was folded from the events up to and including ``sequence``; only its owner can read the payload.

    ``version`` is the owner's: another version may fold the same events differently. ``state_hash`` is the hash of the state.
    """

    name: str
    sequence: int
    version: str
    state_hash: str
    payload: bytes


def first_checksum(epoch: str) -> str:
    """Return the checksum that the first row of a journal is chained to."""
    return _digest(f"alchemiser journal {epoch}")


class Draft(msgspec.Struct, gc=False):
    """An envelope that was taken and is not a row yet; ``payload`` is its event as JSON where that could not wait."""

    envelope: Envelope
    payload: str | None
    _row: Row | None = None

    @classmethod
    def of(cls, envelope: Envelope) -> "Draft":
        """Return the draft of an envelope.

        What cannot change any more is encoded when it is committed: an order that is about to leave does not wait for that.
        Raises ``TypeError`` for an event that JSON cannot hold.
        """
        event = envelope.event
        return cls(envelope, None if event.is_plain else _encode(event).decode())

    def row_after(self, previous: str) -> Row:
        """Return the row, chained to the checksum before it, which is the same whenever it is asked for."""
        if self._row is None:
            self._row = encode_row(self.envelope, previous, self.payload)
        return self._row


def encode_row(envelope: Envelope, previous: str, payload: str | None = None) -> Row:
    """Return the row of an envelope, chained to the checksum before it; ``payload`` is its event as JSON where that is done already.

    Raises ``TypeError`` for an event that JSON cannot hold.
    """
    event = envelope.event
    at = _at_text(event.at)
    kind, time = type(event).__name__, float(envelope.time)
    sequence, correlation, causation = envelope.sequence, envelope.correlation, envelope.causation
    if payload is None:
        payload = _encode(event).decode()
    # The same as ``checksum_of`` gives, without asking what need not be asked: this is done for every event.
    written = f"'{previous}'\x1f{sequence}\x1f'{at}'\x1f'{kind}'\x1f{correlation!r}\x1f{causation}\x1f{time!r}\x1f{_json_text(payload)}"
    checksum = blake2b(written.encode(), digest_size=_DIGEST_BYTES).hexdigest()
    return _new_row(Row, (sequence, at, kind, correlation, causation, time, payload, checksum))


def _at_text(at: datetime) -> str:
    """Return a time in UTC with microseconds; what ``isoformat`` gives, in a quarter of the time."""
    text = _encode(at if at.tzinfo is UTC else at.astimezone(UTC)).decode()
    return f"{text[1:20]}.000000+00:00" if len(text) == _WHOLE_SECOND else f"{text[1:27]}+00:00"


def checksum_of(row: Row, previous: str) -> str:
    """Return what the row's checksum must be after the row with the checksum ``previous``."""
    return _digest("\x1f".join(map(repr, (previous, *row[:-1]))))


def _json_text(payload: str) -> str:
    """Return how Python writes a text that is JSON; nearly always that is the text itself, which is known much sooner than made."""
    if payload.isascii() and "\\" not in payload and "'" not in payload and "\x7f" not in payload:
        return f"'{payload}'"
    return repr(payload)


def decode_row(row: Row) -> Envelope:
    """Return the envelope of a row. Raises ``DataError`` when this version cannot read it."""
    try:
        event: Event = _decoder().decode(row.payload)
    except msgspec.DecodeError as error:
        raise DataError(f"event {row.sequence} ({row.type}) of the journal cannot be read by this version: {error}") from error
    return Envelope(row.sequence, event, row.time, row.correlation, row.causation)


def snapshot_checksum(snapshot: Snapshot, chain: str) -> str:
    """Return the checksum that is stored beside a snapshot; ``chain`` is that of the event it was taken after."""
    parts = (snapshot.name, snapshot.sequence, snapshot.version, snapshot.state_hash, chain, _digest_bytes(snapshot.payload))
    return _digest("\x1f".join(map(repr, parts)))


def _digest(text: str) -> str:
    return _digest_bytes(text.encode())


def _digest_bytes(data: bytes) -> str:
    return blake2b(data, digest_size=_DIGEST_BYTES).hexdigest()
