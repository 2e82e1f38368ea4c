"""When the journal commits: on a thread of its own in a service, on the loop in a simulation.

Both write the same file. Group commit: whatever was appended since the last commit goes into one transaction, so a hundred events cost
one flush. The thread commits as soon as somebody waits for durability, else after a short linger; when idle it checkpoints. Until then
it sleeps: a thread that woke at every event would take the interpreter from the loop just while a fill is being dealt with.
Where the disk is quick, handing over to the thread and being woken by it costs more than the flush: then who waits alone has it done on the
loop (see ``promptness``).
A simulation runs on virtual time, where a loop that waits for a thread sees nothing to wait for and jumps; so there it happens on the loop.

After an error nothing is written any more: a failed flush may have lost what the next one would claim to have kept.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from typing import Protocol

from alchemiser.domain.errors import JournalFailed
from alchemiser.journal.format import Draft, Snapshot
from alchemiser.journal.store import Store
from alchemiser.journal.writer import CommitStatistics, Locked, Writer

OnCommit = Callable[[float, int], None]
"""Called with the seconds a commit took and its number of events, on the loop."""

HARD_FACTOR = 16
"""A backlog of so many times its bound means that the disk has stopped; ``post`` cannot wait, so it fails."""

INLINE_BATCH = 512
IDLE_SECONDS = 1.0
CLOSE_SECONDS = 30.0


class Committer(Protocol):
    """The seam between the journal and its two ways of committing."""

    @property
    def durable_sequence(self) -> int:
        """The newest event that is durable."""

    @property
    def has_room(self) -> bool:
        """Whether the backlog is below its bound."""

    def append(self, draft: Draft, *, is_awaited: bool = False) -> None:
        """Take a draft to be committed, at once if somebody is going to wait for it. Raises ``JournalFailed``."""

    def save(self, snapshot: Snapshot) -> None:
        """Take a snapshot to be committed after the drafts taken before it. Raises ``JournalFailed``."""

    async def durable(self, sequence: int) -> None:
        """Return when that event is committed. Raises ``JournalFailed``."""

    async def room(self) -> None:
        """Return when the backlog is below its bound. Raises ``JournalFailed``."""

    def close(self) -> None:
        """Commit what was taken, then close the file. Raises ``JournalFailed``."""

    def statistics(self) -> CommitStatistics:
        """Return the writing in numbers."""


class InlineCommitter:
    """Commits on the loop: when durability is asked for, when a batch is full, and at the end."""

    def __init__(self, store: Store, *, on_commit: OnCommit | None) -> None:
        self._writer = Writer(store)
        self._on_commit = on_commit
        self._drafts: list[Draft] = []
        self._snapshots: list[Snapshot] = []
        self._failure: JournalFailed | None = None

    @property
    def durable_sequence(self) -> int:
        """The newest event that is committed."""
        return self._writer.durable_sequence

    @property
    def has_room(self) -> bool:
        """Always true: a full batch is committed at once."""
        return True

    def append(self, draft: Draft, *, is_awaited: bool = False) -> None:
        """Take a draft; commit when the batch is full."""
        self._refuse_after_failure()
        self._drafts.append(draft)
        if len(self._drafts) >= INLINE_BATCH:
            self._commit()

    def save(self, snapshot: Snapshot) -> None:
        """Take a snapshot."""
        self._refuse_after_failure()
        self._snapshots.append(snapshot)

    async def durable(self, sequence: int) -> None:
        """Commit now."""
        if self.durable_sequence < sequence:
            self._refuse_after_failure()
            self._commit()

    async def room(self) -> None:
        """Return at once."""
        self._refuse_after_failure()

    def close(self) -> None:
        """Commit what is left and close."""
        try:
            if self._failure is None and (self._drafts or self._snapshots):
                self._commit()
        finally:
            self._writer.store.close()

    def statistics(self) -> CommitStatistics:
        """Return the writing in numbers."""
        return self._writer.statistics(len(self._drafts))

    def _commit(self) -> None:
        drafts, snapshots = self._drafts, self._snapshots
        self._drafts, self._snapshots = [], []
        try:
            seconds = self._writer.commit(drafts, snapshots)
        except JournalFailed as failure:
            self._failure = failure
            raise
        if self._on_commit is not None:
            self._on_commit(seconds, len(drafts))

    def _refuse_after_failure(self) -> None:
        if self._failure is not None:
            raise JournalFailed(str(self._failure)) from self._failure


class ThreadedCommitter:
    """Commits on one thread of its own; on the loop for who waits alone for a quick disk, while the thread sleeps.

    The store is touched by whoever holds the condition, or by the thread while ``_is_writing``.
    """

    def __init__(self, store: Store, *, linger_seconds: float, backlog: int, on_commit: OnCommit | None) -> None:
        self._writer = Writer(store)
        self._linger_seconds = linger_seconds
        self._backlog = backlog
        self._on_commit = on_commit
        # Guarded by the condition: what the thread and the loop both touch.
        self._condition = threading.Condition()
        self._drafts: list[Draft] = []
        self._snapshots: list[Snapshot] = []
        self._committing = 0
        self._durable_sequence = store.head[0]
        self._is_due = False
        self._is_writing = False
        self._is_closing = False
        self._failure: JournalFailed | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        # Touched on the loop only.
        self._linger: asyncio.Handle | None = None
        self._reminder: asyncio.Handle | None = None
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._wanting_room: deque[asyncio.Future[None]] = deque()
        # A daemon thread: a process that dies without closing its journal must not hang on it.
        self._thread = threading.Thread(target=self._run, name="journal writer", daemon=True)
        self._thread.start()

    @property
    def durable_sequence(self) -> int:
        """The newest event that is durable."""
        return self._durable_sequence

    @property
    def has_room(self) -> bool:
        """Whether the backlog is below its bound."""
        return len(self._drafts) + self._committing < self._backlog

    def append(self, draft: Draft, *, is_awaited: bool = False) -> None:
        """Take a draft; never waits. One that is awaited is committed with all that the loop appends in this turn.

        Unless who is going to wait will have it committed on the loop.
        """
        with self._condition:
            self._refuse_after_failure()
            held = len(self._drafts) + self._committing
            if held >= self._backlog * HARD_FACTOR:
                self._failure = JournalFailed(
                    f"journal {self._writer.store.path} holds {held} events that the disk does not take; the daemon stops"
                )
                raise self._failure
            self._drafts.append(draft)
            is_urgent = is_awaited and not self._may_commit_here
            if is_urgent or len(self._drafts) == 1:
                self._commit_soon(0.0 if is_urgent else self._linger_seconds)

    def save(self, snapshot: Snapshot) -> None:
        """Take a snapshot."""
        with self._condition:
            self._refuse_after_failure()
            self._snapshots.append(snapshot)
            self._commit_now()

    async def durable(self, sequence: int) -> None:
        """Commit at once, or ask the thread to and wait for it."""
        loop = asyncio.get_running_loop()
        with self._condition:
            if sequence <= self._durable_sequence:
                return
            self._refuse_after_failure()
            self._loop = loop
            if self._may_commit_here and self._commit_here(loop):
                return
            self._commit_now()
            waiter: asyncio.Future[None] = loop.create_future()
            self._waiting.append((sequence, waiter))
        await waiter

    async def room(self) -> None:
        """Wait until the backlog is below its bound."""
        loop = asyncio.get_running_loop()
        while True:
            with self._condition:
                self._refuse_after_failure()
                if self.has_room:
                    return
                self._loop = loop
                self._commit_now()
                waiter: asyncio.Future[None] = loop.create_future()
                self._wanting_room.append(waiter)
            await waiter

    def close(self) -> None:
        """Commit what is left, end the thread, close the file."""
        with self._condition:
            self._is_closing = True
            self._loop = None
            self._commit_now()
        for handle in (self._linger, self._reminder):
            if handle is not None:
                handle.cancel()
        self._thread.join(CLOSE_SECONDS)
        if self._thread.is_alive():
            raise JournalFailed(f"journal {self._writer.store.path} did not finish its last commit within {CLOSE_SECONDS:g} s")
        self._writer.store.close()
        self._tell(None)
        if self._failure is not None:
            raise JournalFailed(str(self._failure)) from self._failure

    def statistics(self) -> CommitStatistics:
        """Return the writing in numbers."""
        return self._writer.statistics(len(self._drafts) + self._committing)

    def _refuse_after_failure(self) -> None:
        if self._failure is not None:
            raise JournalFailed(str(self._failure)) from self._failure

    def _commit_soon(self, linger_seconds: float) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._commit_now()  # No loop that could call later.
            return
        if self._linger is not None:
            self._linger.cancel()
        self._linger = loop.call_later(linger_seconds, self._lingered) if linger_seconds else loop.call_soon(self._lingered)

    def _lingered(self) -> None:
        with self._condition:
            self._commit_now()

    def _commit_now(self) -> None:
        """Wake the thread; the condition is held."""
        self._is_due = True
        self._condition.notify()

    # --- a commit on the loop ---

    @property
    def _may_commit_here(self) -> bool:
        """Whether a commit on the loop beats one on the thread: nothing else is on its way, and the disk is quick."""
        if self._is_writing or self._is_due or self._waiting or self._snapshots:
            return False
        return self._writer.promptness.is_prompt(len(self._drafts)) and not self._writer.store.is_log_long

    def _commit_here(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Commit all that was taken, on the loop, and return whether that could be done without waiting for another process.

        The condition is held, so the thread sleeps.
        """
        drafts = self._drafts
        try:
            seconds = self._writer.commit(drafts, [], is_patient=False)
        except Locked:
            return False
        except JournalFailed as failure:
            self._drafts, self._failure = [], failure
            raise
        self._drafts = []
        if self._linger is not None:
            self._linger.cancel()
        self._durable_sequence = self._writer.durable_sequence
        self._writer.promptness.begin_turn()
        loop.call_soon(self._tell_of_turn, seconds, len(drafts))
        return True

    def _tell_of_turn(self, seconds: float, events: int) -> None:
        """End the turn of the loop in which it committed, and see to it that the thread looks after the log."""
        self._writer.promptness.end_turn()
        if self._reminder is None:
            self._reminder = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._remind)
        if self._on_commit is not None:
            self._on_commit(seconds, events)

    def _remind(self) -> None:
        self._reminder = None
        with self._condition:
            self._condition.notify()

    # --- on the thread ---

    def _run(self) -> None:
        failure: JournalFailed | None = JournalFailed(f"the writer of journal {self._writer.store.path} died; the daemon stops")
        try:
            while (work := self._next_work()) is not None:
                drafts, snapshots = work
                if drafts or snapshots:
                    self._committed((self._writer.commit(drafts, snapshots), len(drafts)))
                else:
                    self._writer.checkpoint()
                    with self._condition:
                        self._is_writing = False
            failure = None
        except JournalFailed as error:
            failure = error
        finally:
            if failure is not None:
                with self._condition:
                    self._failure = failure
                self._committed(None)

    def _next_work(self) -> tuple[list[Draft], list[Snapshot]] | None:
        """Wait for work and take all of it. Nothing of either means that it is time for a checkpoint, ``None`` that this is the end."""
        condition = self._condition
        with condition:
            while not (self._is_due and (self._drafts or self._snapshots)):
                if self._is_closing:
                    return None
                self._is_due = False
                needs_checkpoint, commits = self._writer.store.needs_checkpoint and not self._drafts, self._writer.commits
                is_news = condition.wait(IDLE_SECONDS if needs_checkpoint else None)
                if needs_checkpoint and not is_news and commits == self._writer.commits:
                    break
            self._is_due = False
            self._is_writing = True
            drafts, snapshots = self._drafts, self._snapshots
            self._drafts, self._snapshots = [], []
            self._committing = len(drafts)
            return drafts, snapshots

    def _committed(self, measure: tuple[float, int] | None) -> None:
        with self._condition:
            self._durable_sequence = self._writer.durable_sequence
            self._committing = 0
            self._is_writing = False
            if self._loop is None:
                return
            try:
                self._loop.call_soon_threadsafe(self._tell, measure)
            except RuntimeError:
                self._loop = None  # the loop has been closed, and with it whoever waited

    # --- on the loop ---

    def _tell(self, measure: tuple[float, int] | None) -> None:
        """Wake whoever waited for this commit, or for room."""
        failure = self._failure
        still: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._writer.promptness.served(len(self._waiting))
        for sequence, waiter in self._waiting:
            if waiter.done():
                continue
            if sequence <= self._durable_sequence:
                waiter.set_result(None)
            elif failure is not None:
                waiter.set_exception(JournalFailed(str(failure)))
            else:
                still.append((sequence, waiter))
        self._waiting = still
        while self._wanting_room and (failure is not None or self.has_room):
            waiter = self._wanting_room.popleft()
            if not waiter.done():
                waiter.set_result(None)
        if measure is not None and self._on_commit is not None:
            self._on_commit(*measure)
