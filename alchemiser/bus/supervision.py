"""What becomes of an exception in a handler: an event, one log line, a count, and perhaps a halt.

This is the one place of the daemon that may catch any exception. Three kinds pass through it, because going on after them would
lose money or truth: a broken invariant, a journal that cannot be written, and the end of the process.
"""

from collections.abc import Callable
from typing import Final

import structlog

from alchemiser.bus.delivery import OnFailure
from alchemiser.bus.envelope import Envelope
from alchemiser.domain.errors import InvariantBroken, JournalFailed
from alchemiser.domain.events import Event, HandlerFailed, TradingStateChanged
from alchemiser.domain.runtime import Clock

FATAL: Final = (InvariantBroken, JournalFailed)
"""Errors that no supervisor may survive."""

_FLOOD_SECONDS = 1.0
_ERROR_CHARACTERS = 2_000

_log = structlog.get_logger(__name__)


def is_fatal(error: BaseException) -> bool:
    """Return whether the error, or one of a group, must end the bus."""
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(FATAL) is not None
    return isinstance(error, FATAL) or not isinstance(error, Exception)


class Supervisor:
    """Turns failures of handlers into events.

    A failure while handling a fact or a decision is published each time, naming the event. Market data may come ten thousand times a
    second: there at most one failure per handler and second is published and logged, and it says how many were only counted before it.
    A handler that fails on ``HandlerFailed`` is logged and not published, or one bad handler would publish for ever.
    """

    def __init__(self, clock: Clock, post: Callable[[Event], object]) -> None:
        self._clock = clock
        self._post = post
        self._flooding: dict[str, tuple[float, int]] = {}
        self.lines_lost = 0

    def failed(self, handler: str, on_failure: OnFailure, envelope: Envelope, error: BaseException, pause_seconds: float = 0.0) -> None:
        """Record that the handler raised at this envelope; it goes on with the next event after the pause."""
        event = envelope.event
        halts = on_failure is OnFailure.HALT and not (isinstance(event, TradingStateChanged) and event.by == "supervisor")
        counted = 0 if event.journaled else self._held_back(handler)
        if counted is None:
            return
        action = f"continues with the next event after {pause_seconds:g} s" if pause_seconds else "continues with the next event"
        if halts:
            action = f"trading halted; {action}"
        if counted:
            action = f"{action}; {counted} failures on market data before this one were only counted"
        event_type = type(event).__name__
        text = f"{type(error).__name__}: {error}"[:_ERROR_CHARACTERS]
        self._tell(handler, envelope, action, error)
        now = self._clock.now()
        if not isinstance(event, HandlerFailed):
            self._post(HandlerFailed(at=now, handler=handler, event_type=event_type, sequence=envelope.sequence, error=text, action=action))
        if halts:
            reason = f"handler {handler} failed at event {envelope.sequence} ({event_type}): {text}"
            self._post(TradingStateChanged(at=now, state="halted", by="supervisor", reason=reason))

    def _tell(self, handler: str, envelope: Envelope, action: str, error: BaseException) -> None:
        try:
            _log.error(
                "handler failed",
                handler=handler,
                event_type=type(envelope.event).__name__,
                sequence=envelope.sequence,
                correlation=envelope.correlation,
                action=action,
                exc_info=error,
            )
        except (OSError, ValueError):
            # The log's stream is gone: a closed pipe, a full disk. The event says it all, and no log may stop the bus.
            self.lines_lost += 1

    def _held_back(self, handler: str) -> int | None:
        """Return how many failures went unpublished before this one, or ``None`` when this one does too."""
        now = self._clock.monotonic()
        published, counted = self._flooding.get(handler, (-_FLOOD_SECONDS, 0))
        if now - published < _FLOOD_SECONDS:
            self._flooding[handler] = (published, counted + 1)
            return None
        self._flooding[handler] = (now, 0)
        return counted
