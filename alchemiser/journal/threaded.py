"""How a service commits: on one thread of its own, or on the loop where the disk is quick.

The thread commits as soon as somebody waits for durability, else after a short linger; when idle it checkpoints. Until then it sleeps: a
thread that woke at every event would take the interpreter from the loop just while a fill is being dealt with.
Where the disk is quick, handing over to the thread and being woken by it costs more than the flush (see ``promptness``). Then who waits
alone has it done on the loop at once; those who wait together have it done once for all, when the turn of the loop has ended in which
they came.

After an error nothing is written any more: a failed flush may have lost what the next one would claim to have kept.
"""

import asyncio
import threading
from collections import deque

from alchemiser.domain.errors import JournalFailed
from alchemiser.journal.committers import OnCommit
from alchemiser.journal.format import Draft, Snapshot
from alchemiser.journal.store import Store
from alchemiser.journal.writer import CommitStatistics, Locked, Writer

HARD_FACTOR = 16
"""A backlog of so many times its bound means that the disk has stopped; ``post`` cannot wait, so it fails."""

IDLE_SECONDS = 1.0
CLOSE_SECONDS = 30.0


class ThreadedCommitter:
    """Commits on one thread of its own; on the loop for a quick disk, while the thread sleeps.

    The store is touched by whoever holds the lock, or by the thread while ``_is_writing``.
    """

    def __init__(self, store: Store, *, linger_seconds: float, backlog: int, on_commit: OnCommit | None) -> None:
        self._writer = Writer(store)
        self._promptness = self._writer.promptness
        self._linger_seconds = linger_seconds
        self._backlog = backlog
        self._most = backlog * HARD_FACTOR
        self._on_commit = on_commit
        # Guarded by the lock: what the thread and the loop both touch.
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
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
        self._turn: asyncio.Handle | None = None
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
        with self._lock:
            if self._failure is not None:
                self._refuse_after_failure()
            drafts = self._drafts
            if len(drafts) + self._committing >= self._most:
                self._refuse_to_hold_more()
            drafts.append(draft)
            if is_awaited and self._turn is None and not self._may_commit_here:
                self._commit_after_turn()
            elif len(drafts) == 1:
                self._commit_soon()

    def save(self, snapshot: Snapshot) -> None:
        """Take a snapshot."""
        with self._lock:
            self._refuse_after_failure()
            self._snapshots.append(snapshot)
            self._commit_now()

    async def durable(self, sequence: int) -> None:
        """Commit at once, or see to it that it is done, and wait for it."""
        if sequence <= self._durable_sequence:
            return
        loop = asyncio.get_running_loop()
        # Of those who come in one turn only the first has to see to anything.
        if (self._turn is None or loop is not self._loop) and self._is_made_durable(sequence, loop):
            return
        if self._failure is not None:
            self._refuse_after_failure()
        waiter: asyncio.Future[None] = loop.create_future()
        self._waiting.append((sequence, waiter))
        await waiter

    def _is_made_durable(self, sequence: int, loop: asyncio.AbstractEventLoop) -> bool:
        """Commit on the loop and return true, or have it done and return false."""
        with self._lock:
            if sequence <= self._durable_sequence:
                return True
            self._refuse_after_failure()
            self._run_on(loop)
            may_commit_here, is_alone = self._may_commit_here, self._promptness.is_alone and not self._waiting
            if may_commit_here and is_alone and self._commit_here(loop):
                return True
            if is_alone:
                self._commit_now()
            else:
                self._commit_after_turn()
            return False

    async def room(self) -> None:
        """Wait until the backlog is below its bound."""
        loop = asyncio.get_running_loop()
        while True:
            with self._lock:
                self._refuse_after_failure()
                if self.has_room:
                    return
                self._run_on(loop)
                self._commit_now()
                waiter: asyncio.Future[None] = loop.create_future()
                self._wanting_room.append(waiter)
            await waiter

    def close(self) -> None:
        """Commit what is left, end the thread, close the file."""
        with self._lock:
            self._is_closing = True
            self._loop = None
            self._commit_now()
        for handle in (self._linger, self._turn, self._reminder):
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

    def _refuse_to_hold_more(self) -> None:
        held = len(self._drafts) + self._committing
        self._failure = JournalFailed(
            f"journal {self._writer.store.path} holds {held} events that the disk does not take; the daemon stops"
        )
        raise self._failure

    def _run_on(self, loop: asyncio.AbstractEventLoop) -> None:
        """Remember who is to be told; another loop than before has no turn that could end."""
        if loop is not self._loop:
            self._loop, self._turn = loop, None

    # --- when; the lock is held ---

    def _commit_now(self) -> None:
        """Wake the thread."""
        self._is_due = True
        self._work.notify()

    def _commit_after_turn(self) -> None:
        """Have it done when the loop has gone through what is ready now."""
        try:
            self._turn = asyncio.get_running_loop().call_soon(self._turn_ended)
        except RuntimeError:
            self._commit_now()  # No loop that could call later.

    def _commit_soon(self) -> None:
        """Have it done after the linger."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._commit_now()  # No loop that could call later.
            return
        if self._linger is not None:
            self._linger.cancel()
        self._linger = loop.call_later(self._linger_seconds, self._lingered)

    def _lingered(self) -> None:
        with self._lock:
            self._commit_now()

    def _turn_ended(self) -> None:
        """Commit for all who came in the turn that has ended, on the loop or on the thread."""
        self._turn = None
        loop = asyncio.get_running_loop()
        with self._lock:
            if not self._drafts and not self._snapshots:
                return
            try:
                is_committed = self._may_commit_here and bool(self._waiting) and self._commit_here(loop)
            except JournalFailed:
                is_committed = True  # It has failed for good, and whoever waits is told so.
            if not is_committed:
                self._commit_now()
                return
        self._tell(None)

    # --- a commit on the loop; the lock is held ---

    @property
    def _may_commit_here(self) -> bool:
        """Whether a commit on the loop beats one on the thread: nothing has failed, nothing else is on its way, and the disk is quick."""
        if self._failure is not None or self._is_writing or self._is_due or self._snapshots:
            return False
        return self._promptness.is_prompt(len(self._drafts)) and not self._writer.store.is_log_long

    def _commit_here(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Commit all that was taken, on the loop, and return whether that could be done without waiting for another process."""
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
        self._promptness.begin_turn()
        loop.call_soon(self._tell_of_commit, seconds, len(drafts))
        return True

    def _tell_of_commit(self, seconds: float, events: int) -> None:
        """End the turn of the loop in which it committed, and see to it that the thread looks after the log."""
        self._promptness.end_turn()
        if self._reminder is None:
            self._reminder = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._remind)
        if self._on_commit is not None:
            self._on_commit(seconds, events)

    def _remind(self) -> None:
        self._reminder = None
        with self._lock:
            self._work.notify()

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
                    with self._lock:
                        self._is_writing = False
            failure = None
        except JournalFailed as error:
            failure = error
        finally:
            if failure is not None:
                with self._lock:
                    self._failure = failure
                self._committed(None)

    def _next_work(self) -> tuple[list[Draft], list[Snapshot]] | None:
        """Wait for work and take all of it. Nothing of either means that it is time for a checkpoint, ``None`` that this is the end."""
        with self._lock:
            while not (self._is_due and (self._drafts or self._snapshots)):
                if self._is_closing:
                    return None
                self._is_due = False
                needs_checkpoint, commits = self._writer.store.needs_checkpoint and not self._drafts, self._writer.commits
                is_news = self._work.wait(IDLE_SECONDS if needs_checkpoint else None)
                if needs_checkpoint and not is_news and commits == self._writer.commits:
                    break
            self._is_due = False
            self._is_writing = True
            drafts, snapshots = self._drafts, self._snapshots
            self._drafts, self._snapshots = [], []
            self._committing = len(drafts)
            return drafts, snapshots

    def _committed(self, measure: tuple[float, int] | None) -> None:
        with self._lock:
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
        self._promptness.served(len(self._waiting))
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
