"""``STATE/kill.json``: what the last kill was asked to do and did, and the orders it sent. ``STATE/KILL``: the switch as a file.

The record is written and on the disk before an order of a kill leaves, because the journal may be stuck, or belong to another process. The
daemon of this state directory takes over from it what its journal does not hold. A kill of the command line, which talks to the venue
directly, has a record of its own beside it: the two may be at work at once.
"""

import os
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec
import structlog

from alchemiser.domain.ids import rebalance_id
from alchemiser.domain.orders import NewOrder
from alchemiser.market.calendar import new_york_date

RECORD_FILE: Final = "kill.json"
DIRECT_FILE: Final = "kill-direct.json"
SWITCH_FILE: Final = "KILL"
FLATTEN_WORD: Final = "flatten"
"""The word in the switch's file that asks for a sale of everything."""

_log = structlog.get_logger(__name__)


class SentOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order of a kill, its attempt, and the price in dollars at which its plan saw the symbol."""

    order: NewOrder
    attempt: int
    price: Decimal
    at: datetime


class KillRecord(msgspec.Struct, kw_only=True):
    """One kill; ``number`` counts those of a session, and ``rebalance_id`` is that of its sales."""

    pulled_at: datetime
    by: str
    reason: str
    flattens: bool
    number: int
    rebalance_id: str
    epoch: str
    orders: list[SentOrder] = []
    ended: dict[str, str] = {}
    sold: dict[str, Decimal] = {}
    could_not: list[str] = []
    is_over: bool = False


def new_record(path: Path, *, now: datetime, by: str, reason: str, flattens: bool, epoch: str, first_number: int) -> KillRecord:
    """Return the record of a kill that begins now; its number is the next after that of the record that is there."""
    session, before, number = new_york_date(now), read_record(path), first_number
    if before is not None and before.rebalance_id.startswith(f"{session:%Y%m%d}."):
        number = before.number + 1
    key = rebalance_id(session, number)
    return KillRecord(pulled_at=now, by=by, reason=reason, flattens=flattens, number=number, rebalance_id=key, epoch=epoch)


def write_record(path: Path, record: KillRecord) -> bool:
    """Write the record so that it is on the disk; return whether that was possible. A kill goes on without it."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("wb") as file:
            file.write(msgspec.json.encode(record) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        _log.error("kill_not_recorded", file=str(path), error=str(error), action="the kill goes on")
        return False
    return True


def read_record(path: Path) -> KillRecord | None:
    """Return the last kill, or ``None`` when there is none that can be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=KillRecord)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        _log.error("kill_record_unreadable", file=str(path), error=str(error), action="it is not taken over; look at the venue")
        return None


def read_switch(state: Path) -> str | None:
    """Return what is written in the switch's file, ``None`` when there is no such file."""
    try:
        return (state / SWITCH_FILE).read_text(errors="replace").strip()
    except FileNotFoundError:
        return None
    except OSError:
        return ""  # It is there, and that is what counts.


def pull_switch(state: Path, text: str) -> None:
    """Make the switch's file, so that whoever watches it, now or at the next start, knows."""
    (state / SWITCH_FILE).write_text(f"{text}\n")
