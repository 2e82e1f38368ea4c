"""Whole days of the whole daemon, exchange and sockets included, on virtual time."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

from alchemiser.bus.envelope import Envelope
from alchemiser.journal.reader import JournalReader
from alchemiser.service.clock import VirtualClock
from alchemiser.service.offline import JOURNAL_FILE
from alchemiser.service.settings import RunOptions, Settings
from alchemiser.service.settings_load import load_settings
from alchemiser.service.start import run_daemon
from alchemiser.service.surroundings import Surroundings
from tests.solipsism import LoopConnector, listen, virtual

FIRST_DAY = date(2025, 1, 2)
"""Where the synthetic market begins."""


def simulated_settings(state: Path, overrides: Mapping[str, Any] | None = None) -> Settings:
    """Return settings for a run in memory, with these changes by dotted key."""
    values: dict[str, Any] = {
        "service.state": state,
        "service.http": "127.0.0.1:8099",
        "service.turn_limit_seconds": 600.0,
        "market.history_sessions": 260,
        "embedded.splits": False,  # Kept seeds keep the market on which they were found; days with splits say so.
    }
    return load_settings(overrides={**values, **(overrides or {})}, environ={}, directory=state, secrets=()).settings


def in_memory(**changes: Any) -> Surroundings:
    """Return the surroundings of a run on the running loop, which is virtual: its clock, its sockets, no thread and no signal."""
    usual: dict[str, Any] = {
        "make_clock": VirtualClock,
        "connector": LoopConnector,
        "door_listener": listen(8099),
        "seed": 7,
        "is_threaded": False,
        "takes_signals": False,
        "ping_seconds": 600.0,
        "turn_seconds": 900.0,
    }
    if "exchange_listener" not in changes:
        usual["exchange_listener"] = listen(8001)
    return Surroundings(**{**usual, **changes})


def simulate(
    state: Path,
    *,
    days: int = 1,
    start: date | None = FIRST_DAY,
    seed: int = 7,
    overrides: Mapping[str, Any] | None = None,
    beside: Callable[[VirtualClock], Awaitable[None]] | None = None,
    turn_seconds: float = 900.0,
    read_settings: Callable[[], Settings] | None = None,
) -> int:
    """Trade some days and return the exit code; ``beside`` runs from the moment the market begins, with its clock.

    ``read_settings`` is what a reload reads.
    """
    settings = simulated_settings(state, overrides)

    async def main() -> int:
        others: list[asyncio.Task[None]] = []

        def make_clock(begins_at: datetime) -> VirtualClock:
            clock = VirtualClock(begins_at)
            if beside is not None:
                others.append(asyncio.ensure_future(beside(clock)))
            return clock

        surroundings = in_memory(make_clock=make_clock, seed=seed, turn_seconds=turn_seconds, read_settings=read_settings)
        code = await run_daemon(settings, RunOptions(start=start, days=days), surroundings)
        await asyncio.gather(*others)
        return code

    return virtual(main)


def journal_of(state: Path) -> list[Envelope]:
    """Return everything in the journal."""
    with JournalReader.open(state / JOURNAL_FILE) as reader:
        return list(reader.read())
