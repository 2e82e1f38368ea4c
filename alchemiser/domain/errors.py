"""Every error the daemon raises on purpose, split by what the caller must do about it.

The tree::

    AlchemiserError               exit 1
    ├── UsageError                exit 2  call it differently
    ├── ConfigError               exit 3  fix the settings and start again
    ├── DataError                 exit 3  fix or replace the input data
    │   ├── NeverComputable       exit 3  the same: no strategy ever has a target in a run
    │   └── StrategyError         exit 3  the strategy is refused, the daemon goes on without it
    │       └── SymphonyError     exit 3  the same, with the line and column of the file
    ├── SafetyRefused             exit 4  a person must agree first
    ├── VenueError                exit 5
    │   ├── CredentialsRefused            stop; trying again cannot help
    │   ├── VenueUnavailable              nothing was done; try again with backoff
    │   │   └── RateLimited               the same, not before ``retry_after_seconds``
    │   ├── OutcomeUnknown                something may have been done; ask before anything else
    │   ├── OrderRejected                 the venue proved a refusal; its text is kept
    │   └── NotFoundAtVenue               the venue answered that it does not know the id
    ├── OrderDenied               exit 4  our own checks said no; nothing was sent
    ├── VerificationFailed        exit 6  a stored record is not what it should be
    ├── NoDaemon                  exit 7  no daemon is running there
    ├── NotReady                  exit 8  the daemon runs but may not trade yet
    ├── BusClosed                 exit 1  the bus has ended; what was being published is dropped, and this says so
    ├── JournalFailed             exit 1  the journal cannot be written; stop, for nothing may be done that it does not hold
    └── InvariantBroken           exit 1  stop the process: going on would lose money or truth

A message says what happened, to which id, and what the daemon does now.
"""

from collections.abc import Mapping
from typing import ClassVar


class AlchemiserError(Exception):
    """The root of the tree; ``exit_code`` is what the command line ends with."""

    exit_code: ClassVar[int] = 1


class UsageError(AlchemiserError):
    """A command was called with arguments that do not go together."""

    exit_code = 2


class ConfigError(AlchemiserError):
    """A setting is missing, unknown or of the wrong kind; the message names file, key and expectation."""

    exit_code = 3


class DataError(AlchemiserError):
    """Input data (bars, state, recordings) cannot be read or does not hold what was asked of it."""

    exit_code = 3


class NeverComputable(DataError):
    """No strategy has a target in a run; ``reasons`` says of each, by name, why there is none on its last session."""

    def __init__(self, told: str, reasons: Mapping[str, str]) -> None:
        super().__init__(f"{told}; on the last session {'; '.join(f'{name}: {reason}' for name, reason in reasons.items())}")
        self.told = told
        self.reasons = dict(reasons)


class StrategyError(DataError):
    """A strategy cannot be loaded; the others go on."""


class SymphonyError(StrategyError):
    """A symphony is refused, with the place in its text that shows why, and its file when it came from one."""

    def __init__(self, message: str, *, line: int, column: int, file: str | None = None) -> None:
        super().__init__(("" if file is None else f"{file}: ") + f"line {line}, column {column}: {message}")
        self.message = message
        self.line = line
        self.column = column

    def within(self, file: str) -> "SymphonyError":
        """Return the same refusal as one of this file."""
        return SymphonyError(self.message, line=self.line, column=self.column, file=file)


class SafetyRefused(AlchemiserError):
    """The daemon will not do this without more agreement than it was given."""

    exit_code = 4


class VenueError(AlchemiserError):
    """Something between the daemon and the venue did not go as asked."""

    exit_code = 5


class CredentialsRefused(VenueError):
    """The venue does not accept the key; retrying cannot help."""


class VenueUnavailable(VenueError):
    """The venue could not be reached or asked us to wait; nothing was done there."""


class RateLimited(VenueUnavailable):
    """The venue's request quota is used up until ``retry_after_seconds`` have passed."""

    def __init__(self, message: str, *, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class OutcomeUnknown(VenueError):
    """A request with an effect got no readable answer; the effect may or may not have happened."""


class OrderRejected(VenueError):
    """The venue refused an order or a change to one; ``code`` is its numeric code, 0 when it gave none."""

    def __init__(self, message: str, *, code: int = 0, status: int = 0) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


class NotFoundAtVenue(VenueError):
    """The venue answered that it does not know this id: evidence, unlike silence."""


class OrderDenied(AlchemiserError):
    """Our own pre-trade checks refused an order; ``code`` names the check."""

    exit_code = 4

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class VerificationFailed(AlchemiserError):
    """A journal or a result does not verify."""

    exit_code = 6


class NoDaemon(AlchemiserError):
    """No daemon answers at the address where one was expected."""

    exit_code = 7


class NotReady(AlchemiserError):
    """The daemon runs but is not ready; the message lists the reasons."""

    exit_code = 8


class BusClosed(AlchemiserError):
    """An event was published on a bus that is ending or has ended; it was neither journaled nor delivered."""


class JournalFailed(AlchemiserError):
    """The journal could not be written: disk full, read-only, or slower than its backlog allows. What it does not hold may not leave."""


class InvariantBroken(AlchemiserError):
    """Something that must always hold does not; the process stops rather than guess."""
