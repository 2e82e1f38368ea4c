"""Durable events that are gone: the start says so, compares with the venue, and trades nothing until somebody has looked."""

import shutil
from pathlib import Path

import pytest

from alchemiser.domain.events import (
    DecisionDue,
    JournalTailDropped,
    OrderIntended,
    OrderPrepared,
    Reconciled,
    RecoveryCompleted,
    TradingStateChanged,
)
from alchemiser.journal.tail import NOTE_SUFFIX, Head, HeadNote
from alchemiser.service.offline import JOURNAL_FILE
from tests.simulation.days import journal_of, simulate
from tests.simulation.test_days import of_type


@pytest.mark.slow
def test_nothing_is_traded_after_durable_events_are_gone(tmp_path: Path) -> None:
    """What was bought in them is at the broker and not in the books, where it looks like somebody else's: a decision would buy it again.

    So trading is halted, durably and with the reason. Everything else is as ever: the venue is asked, the daemon recovers, and stops in
    order. The start after it finds nothing missing any more, and is halted still.
    """
    assert simulate(tmp_path) == 0
    before = journal_of(tmp_path)
    assert of_type(before, OrderIntended)
    epoch = before[0].event.epoch  # type: ignore[attr-defined] # a journal begins with DaemonStarted
    note = HeadNote(tmp_path / JOURNAL_FILE)
    note.write(Head(epoch, before[-1].sequence + 9, "0" * 32))
    note.close()

    for start in (1, 2):
        assert simulate(tmp_path, days=1 + start) == 0
        after = journal_of(tmp_path)[len(before) :]
        assert [event.promised_event for event in of_type(after, JournalTailDropped)] == [before[-1].sequence + 9]
        changes = of_type(after, TradingStateChanged)
        assert [(event.state, event.by) for event in changes] == [("halted", "recovery")] * start
        assert all(f"events up to {before[-1].sequence + 9} had been durable" in event.reason for event in changes)
        assert len(of_type(after, RecoveryCompleted)) == len(of_type(after, DecisionDue)) == start
        assert of_type(after, Reconciled)
        assert not of_type(after, OrderIntended)
        assert not of_type(after, OrderPrepared)


@pytest.mark.slow
def test_nothing_is_traded_on_an_older_copy_of_the_journal(tmp_path: Path) -> None:
    """A backup that was put back has no note of what was durable; that the venue knows later orders of the same journal proves it.

    Trading is halted once for it, in the step in which the comparison is applied, before anything can be sent; and is halted still after
    the next start. A daemon that goes on from its own journal is not halted.
    """
    journal = tmp_path / JOURNAL_FILE
    assert simulate(tmp_path, days=1) == 0
    backup = shutil.copy(journal, tmp_path / "backup")
    before = journal_of(tmp_path)
    assert simulate(tmp_path, days=2) == 0
    traded = journal_of(tmp_path)[len(before) :]
    assert of_type(traded, OrderIntended)
    assert not of_type(traded, TradingStateChanged)

    for old in tmp_path.glob(f"{JOURNAL_FILE}*"):
        old.unlink()
    shutil.move(backup, journal)
    assert not journal.with_name(f"{JOURNAL_FILE}{NOTE_SUFFIX}").exists()
    for start in (1, 2):
        assert simulate(tmp_path, days=2 + start) == 0
        after = journal_of(tmp_path)[len(before) :]
        assert not of_type(after, JournalTailDropped)
        changes = of_type(after, TradingStateChanged)
        assert [(event.state, event.by) for event in changes] == [("halted", "recovery")] * start
        assert all("the journal is an older copy of itself" in event.reason for event in changes)
        assert len(of_type(after, RecoveryCompleted)) == len(of_type(after, DecisionDue)) == start
        assert not of_type(after, OrderIntended)
        assert not of_type(after, OrderPrepared)
