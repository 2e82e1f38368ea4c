"""Whether a commit on the loop is quicker than one on the journal's thread. Pure; it counts and measures what it is told.

A hand-over to the thread and back is two changes of thread, each several times dearer than a flush of a quick disk. A slow disk must not
hold the loop, and many who wait at once share one commit better on the thread. So a commit happens on the loop only

- while flushes are quick: one slow flush is believed at once, and only a run of quick ones lives it down, so a disk that stalls holds the
  loop for one flush and not for the next;
- for few events at a time, and once in a turn of the loop: the second to wait in a turn is not alone;
- when the last commit on the thread was waited for by one at most.
"""

QUICK_SECONDS = 0.001
"""A flush that is usually quicker than this may happen on the loop."""

MOST_EVENTS = 256
"""More events than this in one commit are work enough for a thread."""

_WEIGHT = 0.2
"""Of the newest flush in what is usual, when it is quicker than usual."""


class Promptness:
    """What was learned from the commits so far."""

    def __init__(self) -> None:
        self._usual_seconds: float | None = None
        self._is_crowded = False
        self._is_same_turn = False

    def is_prompt(self, events: int) -> bool:
        """Return whether so many events are better committed on the loop now."""
        return events <= MOST_EVENTS and self._usual_seconds is not None and self._usual_seconds <= QUICK_SECONDS

    @property
    def is_alone(self) -> bool:
        """Whether who waits now is likely to be the only one."""
        return not self._is_crowded and not self._is_same_turn

    def flushed(self, seconds: float) -> None:
        """Learn how long a flush took, on whichever thread."""
        usual = self._usual_seconds
        self._usual_seconds = seconds if usual is None or seconds > usual else usual + _WEIGHT * (seconds - usual)

    def served(self, waiting: int) -> None:
        """Learn how many waited for the last commit on the thread."""
        self._is_crowded = waiting > 1

    def begin_turn(self) -> None:
        """Note that the loop has committed in this turn of its own."""
        self._is_same_turn = True

    def end_turn(self) -> None:
        """Note that the next turn of the loop has begun."""
        self._is_same_turn = False
