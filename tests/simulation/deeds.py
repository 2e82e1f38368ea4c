"""What is done to a run that no exchange could do: to the host's clock, the disk, the handlers, the shares overnight, and by the operator.

Each deed is a coroutine function that is called at its moment with the run as it is then. It tells its name once it has really happened;
a deed that finds nobody to be done to has not.
"""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, cast

import aiohttp

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.errors import JournalFailed, SafetyRefused
from alchemiser.domain.events import MailboxFilled
from alchemiser.domain.runtime import Release
from alchemiser.exchange.server import ExchangeServer
from alchemiser.market.calendar import TradingCalendar, new_york_date
from alchemiser.service.clock import VirtualClock
from alchemiser.service.daemon import Daemon
from tests.simulation.faults import Deed
from tests.solipsism import LoopConnector

SHORTEST_LOOK_SECONDS = 30.0
"""How often a clock that may be stepped looks whether it has been."""

HALT_WITHIN_SECONDS = 3.0
"""How long the answer to an operator may take, whatever else is going on: it is in effect at once, and the disk is given two seconds."""


class Conditions:
    """What the host is like just now: its disk, and how far its wall clock is from the truth."""

    def __init__(self) -> None:
        self.disk_is_slow_until: datetime | None = None
        self.disk_is_full_until: datetime | None = None
        self.clock_error = timedelta(0)
        self.tears_the_tail = False
        self.network_is_away_until: datetime | None = None
        self.is_refused = False
        self.asleep: list[tuple[datetime, datetime]] = []
        self.stuck: list[tuple[str, datetime, datetime]] = []
        self.feeds: list[datetime] = []
        self.delayed: list[tuple[str, str]] = []

    def commits(self, now: datetime) -> None:
        """Raise what SQLite raises when the disk is full now."""
        if self.disk_is_full_until is not None and now < self.disk_is_full_until:
            raise sqlite3.OperationalError("database or disk is full")

    def is_away(self, now: datetime) -> bool:
        """Return whether a new connection is refused now, and remember that one was."""
        is_away = self.network_is_away_until is not None and now < self.network_is_away_until
        self.is_refused = self.is_refused or is_away
        return is_away

    def flush_seconds(self, now: datetime) -> float:
        """Return how long a flush takes now."""
        return 5.0 if self.disk_is_slow_until is not None and now < self.disk_is_slow_until else 0.0


class StepClock:
    """The clock of a host whose wall time is stepped: its own seconds go on evenly, its time of day does not."""

    def __init__(self, clock: VirtualClock, conditions: Conditions) -> None:
        self._clock = clock
        self._conditions = conditions

    def now(self) -> datetime:
        """Return the host's time of day."""
        return self._clock.now() + self._conditions.clock_error

    def monotonic(self) -> float:
        """Return the host's even seconds."""
        return self._clock.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait that many even seconds."""
        await self._clock.sleep(seconds)

    async def sleep_until(self, when: datetime) -> None:
        """Wait until the host's clock shows ``when``, also when it is stepped meanwhile."""
        while (left := (when - self.now()).total_seconds()) > 0:
            await self._clock.sleep(min(left, SHORTEST_LOOK_SECONDS))

    def hold(self, reason: str) -> Release:
        """Do nothing: virtual time cannot leap past a waiting task."""
        return self._clock.hold(reason)


class Doer(Protocol):
    """What a deed may take hold of."""

    clock: VirtualClock
    server: ExchangeServer
    conditions: Conditions
    struck: list[str]

    @property
    def present(self) -> Daemon | None:
        """The daemon that is there now, if one is."""

    @property
    def rest(self) -> str:
        """Where the exchange is."""

    def kill(self) -> bool:
        """Pull the plug of the daemon that is there; return whether one was."""

    async def start_another(self) -> None:
        """Start a second daemon on the state of the one that is there."""


async def halt(run: Doer, deed: Deed) -> None:
    """The operator halts trading, and resumes it after a while."""
    if await _control(run, "halt"):
        run.struck.append(deed.name)
        await run.clock.sleep(deed.seconds)
        while not await _control(run, "resume"):
            await run.clock.sleep(1.0)


async def pause(run: Doer, deed: Deed) -> None:
    """The operator pauses trading, and resumes it after a while."""
    if await _control(run, "pause"):
        run.struck.append(deed.name)
        await run.clock.sleep(deed.seconds)
        while not await _control(run, "resume"):
            await run.clock.sleep(1.0)


async def kill(run: Doer, deed: Deed) -> None:
    """The kill switch is pulled as soon as there is a daemon to do it, and for ``symbol`` "sell" everything is sold, too."""
    while (daemon := run.present) is None or daemon.parts.kill_switch is None:
        await run.clock.sleep(0.05)
    daemon.parts.kill_switch.pull("the scenario", "it says so", flattens=deed.symbol == "sell")
    run.struck.append(deed.kind)


async def _control(run: Doer, action: Any) -> bool:
    daemon = run.present
    if daemon is None or daemon.parts.journal._is_closed or daemon.bus._state:
        return False
    try:
        async with asyncio.timeout(HALT_WITHIN_SECONDS):
            await daemon.answers.control(action, {"reason": "the scenario says so"})
    except JournalFailed:
        return False  # The disk is full: the operator is told so, and the daemon ends.
    return True


async def step_clock(run: Doer, deed: Deed) -> None:
    """The wall clock of the host is set wrong by so many seconds, and right again after a minute."""
    run.conditions.clock_error = timedelta(seconds=deed.seconds)
    run.struck.append(deed.name)
    await run.clock.sleep(60.0)
    run.conditions.clock_error = timedelta(0)


async def suspend(run: Doer, deed: Deed) -> None:
    """The host sleeps: nothing runs for so many seconds, then everything that was due is due at once."""
    loop = cast(Any, asyncio.get_running_loop())
    began = run.clock.now()
    loop._selector.clock.advance(deed.seconds)
    run.conditions.asleep.append((began, run.clock.now()))
    run.struck.append(deed.name)


async def slow_disk(run: Doer, deed: Deed) -> None:
    """For so many seconds a flush takes five."""
    run.conditions.disk_is_slow_until = run.clock.now() + timedelta(seconds=deed.seconds)
    run.struck.append(deed.name)


async def full_disk(run: Doer, deed: Deed) -> None:
    """For so many seconds nothing can be written."""
    run.conditions.disk_is_full_until = run.clock.now() + timedelta(seconds=deed.seconds)
    run.struck.append(deed.name)


async def torn_tail(run: Doer, deed: Deed) -> None:
    """The power fails in the middle of a write: what was being written is there in part."""
    run.conditions.tears_the_tail = True
    if run.kill():
        run.struck.append(deed.name)


async def network_away(run: Doer, deed: Deed) -> None:
    """For so many seconds nobody takes a connection; it has struck when one was asked for."""
    run.conditions.is_refused = False
    run.conditions.network_is_away_until = run.clock.now() + timedelta(seconds=deed.seconds)
    await run.clock.sleep(deed.seconds)
    if run.conditions.is_refused:
        run.struck.append(deed.name)


async def second_copy(run: Doer, deed: Deed) -> None:
    """Somebody starts a second daemon on the same state: it has to refuse, and the first must not notice."""
    if run.present is None:
        return
    try:
        await run.start_another()
    except SafetyRefused:
        run.struck.append(deed.name)
    else:
        raise AssertionError("a second daemon ran on the state of the first")


async def slow_handler(run: Doer, deed: Deed) -> None:
    """The handler named by ``symbol`` takes so many seconds longer for every event."""
    daemon = run.present
    if daemon is None:
        return
    mailbox = next(one for one in daemon.bus._mailboxes if one.name == deed.symbol)
    handle, clock = mailbox._handle, run.clock

    async def slowly(envelope: Envelope) -> None:
        run.struck.append(deed.name)
        waiting = _waiting(daemon, deed.symbol)
        await clock.sleep(deed.seconds)
        run.conditions.delayed += [
            (deed.symbol, name) for name, handled in _waiting(daemon, deed.symbol).items() if handled == waiting.get(name)
        ]
        await handle(envelope)

    mailbox._handle = slowly


def _waiting(daemon: Daemon, without: str) -> dict[str, int]:
    """Return how much each other mailbox in which something waits has dealt with."""
    return {one.name: one.handled for one in daemon.bus.statistics() if one.kind == "mailbox" and one.depth and one.name != without}


def _delayed(daemon: Daemon, by: str, before: Mapping[str, int]) -> list[tuple[str, str]]:
    """Return the mailboxes in which something waited before and waits now, and that have dealt with nothing between."""
    return [(by, name) for name, handled in _waiting(daemon, by).items() if handled == before.get(name)]


async def stuck_handler(run: Doer, deed: Deed) -> None:
    """The handler named by ``symbol`` does not come back from its next event for so many seconds."""
    daemon = run.present
    if daemon is None:
        return
    mailbox = next(one for one in daemon.bus._mailboxes if one.name == deed.symbol)
    handle, clock, conditions = mailbox._handle, run.clock, run.conditions

    async def stuck(envelope: Envelope) -> None:
        if any(name == deed.symbol for name, _, _ in conditions.stuck):
            await handle(envelope)
            return
        run.struck.append(deed.name)
        waiting, since = _waiting(daemon, deed.symbol), clock.now()
        place = len(conditions.stuck)
        conditions.stuck.append((deed.symbol, since, since + timedelta(seconds=deed.seconds)))
        try:
            await clock.sleep(deed.seconds)
        finally:
            conditions.stuck[place] = (deed.symbol, since, clock.now())
        conditions.delayed += [
            (deed.symbol, name) for name, handled in _waiting(daemon, deed.symbol).items() if handled == waiting.get(name)
        ]
        await handle(envelope)

    mailbox._handle = stuck


async def full_bus(run: Doer, deed: Deed) -> None:
    """The mailbox of the handler named by ``symbol`` is full, and its handler is stuck for so many seconds."""
    daemon = run.present
    if daemon is None:
        return
    mailbox = next(one for one in daemon.bus._mailboxes if one.name == deed.symbol)
    handle, clock = mailbox._handle, run.clock
    until = clock.now() + timedelta(seconds=deed.seconds)

    async def stuck(envelope: Envelope) -> None:
        await clock.sleep_until(until)
        if not isinstance(envelope.event, MailboxFilled):
            await handle(envelope)

    mailbox._handle, mailbox.capacity = stuck, 1
    run.struck.append(deed.name)


def _action(group: str, particulars: Callable[[str], dict[str, Any]]) -> "Do":
    async def announce(run: Doer, deed: Deed) -> None:
        """An issuer does something to the shares that are held, overnight."""
        held = run.server._driver._core.positions_json()
        session = TradingCalendar.new_york().next_session(run.clock.now())
        if not held:
            return
        symbol = deed.symbol or held[0]["symbol"]
        row = {"id": f"{deed.kind} of {symbol}", "ex_date": session.date.isoformat(), **particulars(symbol)}
        assert session.date > new_york_date(run.clock.now())
        async with aiohttp.ClientSession(connector=LoopConnector()) as http:
            await http.post(f"{run.rest}/_exchange/corporate-actions", json={group: [row]}, raise_for_status=True)
        run.struck.append(deed.name)

    return announce


Do = Callable[[Doer, Deed], Awaitable[None]]

DEEDS: Mapping[str, Do] = {
    "halt": halt,
    "pause": pause,
    "kill": kill,
    "step clock": step_clock,
    "suspend": suspend,
    "slow disk": slow_disk,
    "full disk": full_disk,
    "torn tail": torn_tail,
    "network away": network_away,
    "second copy": second_copy,
    "slow handler": slow_handler,
    "stuck handler": stuck_handler,
    "full bus": full_bus,
    "forward split": _action("forward_splits", lambda symbol: {"symbol": symbol, "new_rate": 2, "old_rate": 1}),
    "reverse split": _action("reverse_splits", lambda symbol: {"symbol": symbol, "new_rate": 1, "old_rate": 5}),
    "dividend": _action("cash_dividends", lambda symbol: {"symbol": symbol, "rate": 1.25}),
    "spin-off": _action(
        "spin_offs",
        lambda symbol: {"source_symbol": symbol, "new_symbol": "HHY" if symbol != "HHY" else "GGX", "source_rate": 10, "new_rate": 1},
    ),
    "merger": _action("cash_mergers", lambda symbol: {"acquiree_symbol": symbol, "rate": 91.37}),
    "rename": _action("name_changes", lambda symbol: {"old_symbol": symbol, "new_symbol": "HHY" if symbol != "HHY" else "GGX"}),
}
"""Every deed by its name."""


def make_old(journal: Path) -> None:
    """Make a journal one of the oldest format: the same events, and no snapshots."""
    with closing(sqlite3.connect(journal, isolation_level=None)) as connection:
        connection.executescript(
            "BEGIN; DROP TABLE snapshots;"
            "CREATE TABLE snapshots (name TEXT PRIMARY KEY, sequence INTEGER NOT NULL, payload BLOB NOT NULL) WITHOUT ROWID;"
            "UPDATE meta SET value = '1' WHERE key = 'format'; COMMIT;"
        )


def tear(journal: Path) -> None:
    """Leave at the end of a journal's log what a write that was cut off leaves: a part of a page that no checksum covers."""
    log = journal.with_name(f"{journal.name}-wal")
    if log.exists() and log.stat().st_size:
        with log.open("r+b") as file:
            page = file.read(6000)
            file.seek(0, 2)
            file.write(page[32:4000])
