"""``journal compact``: old events moved out of the journal, with the proof that the state stays what it was."""

import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from alchemiser.cli.options import ConfigOption, JsonOption, StateOption, load
from alchemiser.domain.errors import DataError, VerificationFailed
from alchemiser.journal.archive import archive_of
from alchemiser.journal.compaction import compact
from alchemiser.journal.lock import WriterLock
from alchemiser.journal.reader import JournalReader
from alchemiser.service.clock import WallClock
from alchemiser.service.offline import JOURNAL_FILE
from alchemiser.service.verification import verify_journal

DaysOption = Annotated[
    int | None,
    typer.Option(
        "--days",
        min=0,
        max=36_500,
        help="Move events older than this. Default: journal.retention_days; 0 moves all that a start can spare.",
    ),
]


def journal_compact(
    *, days: DaysOption = None, state: StateOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Move old events into journal.archive.sqlite beside the journal and shrink the journal. Verified before and after.

    Events stay where every command finds them; nothing is deleted. A running daemon does it by itself: see journal.retention_days.

    Exit 3: there is no journal, or a file cannot be written. Exit 4: a daemon runs. Exit 6: the journal does not verify.

    Example: alchemiser journal compact --state state --days 90
    """
    settings = load(config, state=state).settings
    journal = settings.service.state / JOURNAL_FILE
    if not journal.is_file():
        raise DataError(f"there is no journal at {journal}")
    days = settings.journal.retention_days if days is None else days
    lock = WriterLock.take(journal)
    try:
        size, before = journal.stat().st_size, _state_hash(journal)
        done = compact(journal, before=WallClock().now() - timedelta(days=days) if days else None, gives_back=True)
        after = _state_hash(journal)
    finally:
        lock.release()
    if before != after:
        raise VerificationFailed(f"journal {journal}: the state was {before} and is {after}; put the backup back")
    sizes = {"bytes_before": size, "bytes_after": journal.stat().st_size}
    found = {"journal": str(journal), "archive": str(archive_of(journal)), "moved": done.moved, "until": done.until, **sizes}
    if as_json:
        sys.stdout.write(msgspec.json.encode({**found, "state_hash": after}).decode() + "\n")
        return
    sys.stdout.write(
        f"{journal}: {done.moved} events moved to {archive_of(journal).name}, {size} bytes before, {sizes['bytes_after']} now\n"
    )
    sys.stdout.write(f"  state hash, before and after: {after}\n")


def _state_hash(journal: Path) -> str:
    with JournalReader.open(journal) as reader:
        found = verify_journal(reader)
    if not found.is_intact or found.state_hash is None:
        raise VerificationFailed(f"journal {journal}: {found.first_problem}; nothing was moved")
    return found.state_hash
