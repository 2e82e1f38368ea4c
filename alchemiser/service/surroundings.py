"""What the daemon takes from outside itself, so that a whole trading day can run on virtual time and in-memory sockets.

A service uses the defaults: the wall clock, real sockets, a thread for the journal, signals. A simulation hands in its own.
"""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
from msgspec import Struct

from alchemiser.domain.runtime import Clock
from alchemiser.service.secrets import SecretMasker
from alchemiser.service.settings import Settings


class Surroundings(Struct, frozen=True):
    """The world of one run.

    ``make_clock`` makes the clock of an embedded market that begins at a time; ``connector`` makes aiohttp's connector.
    ``exchange_listener`` and ``door_listener`` are listening sockets for the embedded exchange and for the daemon's own HTTP.
    ``seed`` makes ids and jitter repeatable; ``ping_seconds`` is how often a stream is probed, ``turn_seconds`` how often the bus is.
    ``masker`` is told the secrets that the run makes itself, so that no log line shows them.
    ``read_settings`` reads the settings again as the command line did, where their sources may have changed; ``log_by`` has
    the log written as they say, ``tell_repeats`` has it say what it still counts.
    ``lock_directory`` is where accounts are locked, by default a directory of the user.
    """

    make_clock: Callable[[datetime], Clock] | None = None
    connector: Callable[[], aiohttp.BaseConnector] | None = None
    exchange_listener: Any = None
    door_listener: Any = None
    seed: int | None = None
    is_threaded: bool = True
    takes_signals: bool = True
    ping_seconds: float = 10.0
    turn_seconds: float | None = None
    masker: SecretMasker | None = None
    read_settings: Callable[[], Settings] | None = None
    log_by: Callable[[Settings], None] = lambda settings: None
    tell_repeats: Callable[[], None] = lambda: None
    lock_directory: Path | None = None
