"""SIGUSR1 before there is a kill switch: it is remembered, and the switch is pulled as soon as there is one.

Without this the signal would end a process that is still reading its settings or its journal: the very moment at which somebody wants
what an earlier process left open to be cancelled.
"""

import signal
import threading
from types import FrameType


class KillSignal:
    """Remembers that the signal came. One is enough: a switch is pulled or it is not."""

    def __init__(self) -> None:
        self._came = False

    def listen(self) -> None:
        """Remember the signal from now on. Elsewhere than in the main thread, where no signal can be heard, nothing is done."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGUSR1, self._remember)

    def taken(self) -> bool:
        """Return whether the signal came since this was asked last."""
        came, self._came = self._came, False
        return came

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self._came = True


EARLY = KillSignal()
"""The one of this process: signals are the process's."""
