"""One seeded run: an exchange that outlives its daemons, the faults of a scenario, daemons killed and started again, and the record.

Everything is real but time, sockets' cables and the power cord. The exchange runs beside the daemon, in the same loop; a daemon that is
killed leaves a copy of its journal as the file was at that very moment, and its connections are dead from then on. The next one starts on
that copy. When the sessions are over the faults are taken away and one last daemon recovers, so that what it then holds can be compared.
"""

import asyncio
import shutil
import sqlite3
import warnings
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, cast
from unittest.mock import patch

import aiohttp
import async_solipsism
import msgspec

from alchemiser.alpaca.line import Answer, Flight, Line
from alchemiser.alpaca.rest import Request, RestClient
from alchemiser.alpaca.venue import AlpacaVenue
from alchemiser.bus.envelope import Envelope
from alchemiser.domain.errors import CredentialsRefused, JournalFailed
from alchemiser.domain.orders import ExecutionReport
from alchemiser.exchange.access import Credentials
from alchemiser.exchange.assembly import open_core
from alchemiser.exchange.fault_menu import MuteStream, parse_faults
from alchemiser.exchange.generator import SyntheticMarket
from alchemiser.exchange.server import ExchangeServer, ServerSettings
from alchemiser.exchange.settings import ExchangeSettings
from alchemiser.exchange.tape import MarketTape
from alchemiser.exchange.traffic import RequestEntry, TrafficLog
from alchemiser.journal.journal import Journal
from alchemiser.journal.store import Store
from alchemiser.market.calendar import TradingCalendar
from alchemiser.service import embedded, start
from alchemiser.service.clock import VirtualClock
from alchemiser.service.daemon import Daemon
from alchemiser.service.embedded import EmbeddedMarket
from alchemiser.service.kill_record import RECORD_FILE, SWITCH_FILE
from alchemiser.service.notify import SystemdNotifier
from alchemiser.service.offline import JOURNAL_FILE
from alchemiser.service.settings import RunOptions
from alchemiser.service.surroundings import Surroundings
from tests.simulation.days import simulated_settings
from tests.simulation.deeds import DEEDS, Conditions, StepClock, make_old, tear
from tests.simulation.disk import Disk
from tests.simulation.faults import Deed, End, Pin, Scenario, kind_of_fault
from tests.simulation.items import scenario
from tests.simulation.record import Arrival, Life, Record, read_journal, with_reversals
from tests.simulation.witness import Witness, audit_of
from tests.solipsism import LoopConnector, VirtualLoop, listen

TURN_SECONDS = 10.0

POWER_FAILURES = ("power failure", "power failure in commit")

SUBMIT_AT_ONCE = ("submit", "submit at once")
"""What an order is called that leaves in the call in which it is decided: by ends that mean any order, and by those that mean no other."""

AFTER_CLOSE_SECONDS = 180.0
"""How long a daemon stays that starts after the last close."""

NURSE_SECONDS = 7.0
"""How often a daemon is asked how it is while it has nothing to say."""

LIVES_AT_MOST = 8
PATIENCE = timedelta(minutes=40)
"""How long after the last close a run may still go on before it counts as hanging."""

Json = dict[str, Any]


def scenario_of(seed: int) -> Scenario:
    """Return the scenario of a seed."""
    return scenario(seed)


def play(one: Scenario, directory: Path) -> Record:
    """Play a scenario; its journals are kept in the directory."""
    run = _Run(one, directory)
    with warnings.catch_warnings(), asyncio.Runner(loop_factory=lambda: _Network(run)) as runner:
        warnings.simplefilter("ignore", async_solipsism.ResolutionWarning)
        runner.run(run.play())  # Not as its result: `signal` words the task that it takes leave of, with all that it returned.
    return run.record


_IN_DAEMON: ContextVar[bool] = ContextVar("in daemon", default=False)
"""Whether a task is one of a daemon, whose network may be away; the run itself is beside it."""


class _Network(VirtualLoop):
    """The loop with the network of the host in it, which may be away."""

    def __init__(self, run: "_Run") -> None:
        super().__init__()
        self._run = run

    async def create_connection(self, *arguments: Any, **named: Any) -> Any:
        if _IN_DAEMON.get() and self._run.conditions.is_away(self._run.clock.now()):
            raise ConnectionRefusedError("there is no network")
        return await super().create_connection(*arguments, **named)


class _LifeConnector(LoopConnector):
    """The connections of one daemon: dead with it."""

    def __init__(self, life: "_Life") -> None:
        super().__init__()
        self._life = life

    async def connect(self, *arguments: Any, **named: Any) -> Any:
        if self._life.is_dead:
            raise ConnectionRefusedError("the process has been killed")
        return await super().connect(*arguments, **named)


@dataclass
class _Life:
    """One daemon, from its start to its end."""

    number: int
    state: Path
    end: End | None
    disk: Disk
    task: "asyncio.Task[None] | None" = None
    daemon: Daemon | None = None
    last_session: date = date.min
    is_dead: bool = False
    error: BaseException | None = None
    counted: int = 0
    doomed_at: int | None = None
    struck: list[str] = field(default_factory=list)
    commits: int = 0
    tears: bool = False
    fills_disk: bool = False
    is_refused: bool = False

    def kill(self) -> None:
        """Pull the plug: what is committed stays, nothing is said any more."""
        if self.is_dead:
            return
        self.is_dead = True
        heir = self.state.with_name(f"life-{self.number + 1}")
        heir.mkdir()
        if self.end is not None and self.end.kind in POWER_FAILURES and not self.tears:
            self.disk.fail(self.state / JOURNAL_FILE, heir)
        else:
            self.disk.copy(self.state / JOURNAL_FILE, heir)
        for name in (RECORD_FILE, SWITCH_FILE):  # Each was synced when it was written.
            if (self.state / name).exists():
                shutil.copy(self.state / name, heir / name)
        if self.tears:
            tear(heir / JOURNAL_FILE)
        if self.end is not None and self.end.kind == "old journal":
            make_old(heir / JOURNAL_FILE)
        assert self.task is not None
        self.task.cancel()

    async def goes_on(self) -> None:
        """Return at once while the process lives. One that was killed does not finish its call: here its cancellation is still to come."""
        if self.is_dead:
            await asyncio.get_running_loop().create_future()

    def end_by_scenario(self) -> None:
        """Pull the plug because the scenario says so now."""
        if not self.is_dead:
            assert self.end is not None
            self.struck.append(self.end.name)
            self.kill()

    def counts(self, kinds: tuple[str, ...], *events: str) -> bool:
        """Count an occurrence of what the end waits for, by any of its names; return whether this is the one."""
        if self.is_dead or self.end is None or self.end.kind not in kinds or self.end.event not in events:
            return False
        self.counted += 1
        return self.counted == self.end.count


class _Bystander:
    """Stands for the exchange in the daemon's own list of tasks: here it runs by itself."""

    async def run(self) -> None:
        """Do nothing."""


@dataclass
class _Run:
    """The play of one scenario."""

    scenario: Scenario
    directory: Path
    lives: list[_Life] = field(default_factory=list)
    spans: list[Life] = field(default_factory=list)
    struck: list[str] = field(default_factory=list)
    witness: Witness = field(default_factory=Witness)
    conditions: Conditions = field(default_factory=Conditions)
    arrivals: list[Arrival] = field(default_factory=list)
    disk: Disk = field(init=False)

    def __post_init__(self) -> None:
        self.disk = Disk(Random(f"power {self.scenario.seed}"))

    async def play(self) -> None:
        one, calendar = self.scenario, TradingCalendar.new_york()
        begins_at = one.sessions[0].closes_at - timedelta(minutes=one.minutes)
        self.clock = VirtualClock(begins_at)
        self.tape = tape = MarketTape(SyntheticMarket(calendar, one.seed, symbols=one.symbols), calendar, one.symbols, one.seed)
        core = open_core(settings=ExchangeSettings(dividends=True), tape=tape, seed=one.seed, opened_at=begins_at)
        self.server = ExchangeServer(
            core=core,
            tape=tape,
            calendar=calendar,
            clock=self.clock,
            last_day=one.sessions[-1].date,
            credentials=Credentials("PKSIMULATION", "the same in every run"),
            # A half-open connection keeps its place for as long as the exchange runs.
            settings=ServerSettings(order_connections=9, market_connections=9),
            seed=one.seed,
        )
        self.address = await self.server.start(sock=listen(8001))
        planned = parse_faults([dict(fault) for fault in one.faults])
        self.planned = [(kind_of_fault(fault), parsed, parsed.times) for fault, parsed in zip(one.faults, planned, strict=True)]
        self.server.plan_faults(planned)
        try:
            with self._patched():
                async with asyncio.TaskGroup() as group:
                    market = group.create_task(self.server.run(linger=True), name="exchange")
                    villains = [group.create_task(self._pin(pin), name="pin") for pin in one.pins]
                    villains += [group.create_task(self._mute(*mute), name="mute") for mute in one.mutes]
                    villains += [group.create_task(self._do(deed), name=deed.kind) for deed in one.deeds]
                    await self._live()
                    for task in villains:
                        task.cancel()
                    self.server.faults.clear()
                    self.conditions.clock_error = timedelta(0)
                    self.conditions.disk_is_full_until = None
                    self.conditions.network_is_away_until = None
                    await self._life(None, days_over=True)
                    self.record = await self._record()
                    market.cancel()
        finally:
            await self.server.stop()

    # --- daemons ---

    async def _live(self) -> None:
        """Run one daemon after the other until the sessions are over."""
        ends = list(self.scenario.ends)
        while len(self.lives) < LIVES_AT_MOST:
            while ends and (at := ends[0].at) is not None and at <= self.clock.now():
                ends.pop(0)
            end = ends.pop(0) if ends else None
            life = await self._life(end)
            if life.fills_disk or life.is_refused or (life.daemon is None and life.error is not None and not life.is_dead):
                await self.clock.sleep(15.0)  # It could not start, or go on; a service manager tries again.
            elif end is not None and (life.is_dead or life.error is not None or self.clock.now() < self.scenario.sessions[-1].closes_at):
                await self.clock.sleep(end.away_seconds)
            if self.clock.now() >= self.scenario.sessions[-1].closes_at and not life.is_dead:
                return

    async def _life(self, end: End | None, *, days_over: bool = False) -> _Life:
        number = len(self.lives)
        life = _Life(number, self.directory / "life-0", end, self.disk, struck=self.struck)
        if self.lives:
            before = self.lives[-1]
            life.state = before.state.with_name(f"life-{number}") if before.is_dead else before.state
        # An orderly end keeps the directory, but its name says which life a killed one bequeaths it to.
        if self.lives and not self.lives[-1].is_dead:
            life.state = self.lives[-1].state.rename(self.directory / f"life-{number}")
        life.state.mkdir(exist_ok=True)
        self.lives.append(life)
        began, last = self.clock.now(), self.scenario.sessions[-1]
        is_late = began >= last.closes_at
        # Who comes after the last close is given another session to wait for, and time for what is not clear yet.
        life.last_session = last.date + timedelta(days=7) if is_late else last.date
        life.task = asyncio.create_task(self._daemon(life), name=f"daemon {number}")
        timers = [asyncio.create_task(self._strike(life), name="strike")] if end is not None and end.at is not None else []
        if is_late:
            timers.append(asyncio.create_task(self._send_home(life), name="send home"))
        timers.append(asyncio.create_task(self._nurse(life), name="nurse"))
        left = (self.scenario.sessions[-1].closes_at + PATIENCE - began).total_seconds()
        done, _ = await asyncio.wait([life.task], timeout=max(left, PATIENCE.total_seconds()))
        for timer in timers:
            timer.cancel()
        hangs = not done
        if hangs:
            life.task.cancel()
            await asyncio.wait([life.task])
        self.spans.append(
            Life(
                began=began,
                ended=self.clock.now(),
                was_killed=life.is_dead or life.fills_disk or life.is_refused,
                hung=hangs,
                started=life.daemon is not None,
                error=None if life.error is None or life.fills_disk or life.is_refused else f"{type(life.error).__name__}: {life.error}",
                is_last=days_over,
                commits=life.commits,
            )
        )
        return life

    async def _daemon(self, life: _Life) -> None:
        _IN_DAEMON.set(True)
        try:
            await self._run_daemon(life, 8100 + life.number)
        except asyncio.CancelledError:
            if not life.is_dead:
                raise
        except Exception as error:  # noqa: BLE001 - the checker judges whatever ends a daemon
            if not life.is_dead:
                life.error = error
                life.fills_disk = isinstance(error, JournalFailed) and self.conditions.disk_is_full_until is not None
                # A key that is refused for good ends a daemon, and is what it was told to be.
                life.is_refused = isinstance(error, CredentialsRefused) and any(
                    fault["kind"] == "refuse_auth" for fault in self.scenario.faults
                )

    async def _run_daemon(self, life: _Life, port: int) -> None:
        # Round trips of the bus are many events in a long day: they are close together where a handler is to be found stuck.
        watches = any(deed.kind == "stuck handler" for deed in self.scenario.deeds)
        overrides: Json = {
            "service.turn_limit_seconds": 30.0 if watches else 600.0,
            "strategies": {name: {"source": source} for name, source in self.scenario.strategies.items()},
            "market.history_sessions": 20,
            "embedded.seed": self.scenario.seed,
            "service.http": f"127.0.0.1:{port}",
            **self.scenario.settings,
        }
        surroundings = Surroundings(
            make_clock=VirtualClock,
            connector=lambda: _LifeConnector(life),
            door_listener=listen(port),
            seed=self.scenario.seed + life.number,
            is_threaded=False,
            takes_signals=False,
            ping_seconds=15.0 if len(self.scenario.sessions) == 1 else 120.0,
            turn_seconds=TURN_SECONDS if watches else 900.0,
        )
        options = RunOptions(start=self.scenario.sessions[0].date, days=len(self.scenario.sessions))
        await start.run_daemon(simulated_settings(life.state, overrides), options, surroundings)

    async def _strike(self, life: _Life) -> None:
        assert life.end is not None
        assert life.end.at is not None
        await self.clock.sleep_until(life.end.at)
        if life.end.kind not in ("stop", "stop twice"):
            life.end_by_scenario()
        elif life.daemon is not None and not life.is_dead:
            stopping = life.daemon.stopping
            stopping.ask_again("the scenario says so")
            if life.end.kind == "stop twice":
                await self.clock.sleep(life.end.again_seconds)
                if life.task is None or life.task.done():
                    return  # It was gone before anybody was impatient.
                stopping.ask_again("the scenario says so again")
            self.struck.append(life.end.name)

    async def _send_home(self, life: _Life) -> None:
        await self.clock.sleep(AFTER_CLOSE_SECONDS)
        if life.daemon is not None:
            life.daemon.request_stop("the run is over")

    async def _nurse(self, life: _Life) -> None:
        """Take samples also while nothing happens, around every close."""
        for session in self.scenario.sessions:
            await self.clock.sleep_until(session.closes_at - timedelta(minutes=self.scenario.minutes))
            while self.clock.now() < session.closes_at + timedelta(seconds=AFTER_CLOSE_SECONDS):
                await self.clock.sleep(NURSE_SECONDS)
                if life.daemon is not None and not life.is_dead:
                    self.witness.look(life.number, life.daemon, self.clock.now())

    # --- what deeds take hold of ---

    @property
    def present(self) -> Daemon | None:
        """The daemon that is there now, if one is."""
        life = self.lives[-1] if self.lives else None
        return None if life is None or life.is_dead or life.task is None or life.task.done() else life.daemon

    @property
    def rest(self) -> str:
        """Where the exchange is."""
        return self.address.rest

    def kill(self) -> bool:
        """Pull the plug of the daemon that is there; return whether one was."""
        if self.present is None:
            return False
        self.lives[-1].tears = self.conditions.tears_the_tail
        self.lives[-1].kill()
        return True

    async def start_another(self) -> None:
        """Start a second daemon on the state of the one that is there."""
        await self._run_daemon(self.lives[-1], 8200 + self.lives[-1].number)

    async def _do(self, deed: Deed) -> None:
        await self.clock.sleep_until(deed.at)
        await DEEDS[deed.kind](self, deed)

    # --- what the run takes hold of ---

    @contextmanager
    def _patched(self) -> Iterator[None]:
        """Hand the daemons the exchange that runs already, keep hold of them, and watch the points at which they may be killed."""
        run = self
        is_stepped = any(deed.kind == "step clock" for deed in self.scenario.deeds)

        class Held(Daemon):
            def __init__(self, parts: Any) -> None:
                super().__init__(parts)
                run.lives[-1].daemon = self

        async def enter(stack: Any, settings: Any, options: Any, roster: Any, held: Any, surroundings: Any) -> Any:
            clock = StepClock(run.clock, run.conditions) if is_stepped else run.clock
            return roster, EmbeddedMarket(cast(ExchangeServer, _Bystander()), run.address, clock, run.lives[-1].last_session)

        with ExitStack() as stack:
            stack.enter_context(patch.object(embedded, "enter_market", enter))
            stack.enter_context(patch.object(start, "Daemon", Held))
            stack.enter_context(
                patch.object(SystemdNotifier, "feed_watchdog", lambda notifier: self.conditions.feeds.append(self.clock.now()))
            )
            stack.enter_context(patch.object(Store, "commit", self._commit(Store.commit)))
            if any(end.kind in POWER_FAILURES for end in self.scenario.ends):
                stack.enter_context(patch.object(Store, "open", self._open(Store.open)))
            stack.enter_context(patch.object(Journal, "append", self._append(Journal.append)))
            stack.enter_context(patch.object(Journal, "durable", self._durable(Journal.durable)))
            stack.enter_context(patch.object(TrafficLog, "request", self._arrival(TrafficLog.request)))
            stack.enter_context(patch.object(AlpacaVenue, "submit", self._request("submit", AlpacaVenue.submit)))
            stack.enter_context(patch.object(AlpacaVenue, "submit_now", self._at_once(AlpacaVenue.submit_now)))
            stack.enter_context(patch.object(RestClient, "_heard", self._in_that_call(RestClient._heard)))
            stack.enter_context(patch.object(Line, "send_now", self._gone(Line.send_now)))
            stack.enter_context(patch.object(AlpacaVenue, "cancel", self._request("cancel", AlpacaVenue.cancel)))
            yield

    def _feed(self, notifier: SystemdNotifier | None = None) -> None:
        self.conditions.feeds.append(self.clock.now())

    def _open(self, opened: Callable[..., Store]) -> Callable[..., Store]:
        def watched(path: Path, *, new_epoch: Callable[[], str], is_synchronous: bool) -> Store:
            # As a service opens it: only there a commit is meant to survive more than the process.
            store = opened(path, new_epoch=new_epoch, is_synchronous=True)
            self.disk.mount(path, store._connection)
            return store

        return watched

    def _append(self, append: Callable[[Journal, Envelope], None]) -> Callable[[Journal, Envelope], None]:
        def watched(journal: Journal, envelope: Envelope) -> None:
            life, name = self.lives[-1], type(envelope.event).__name__
            if life.daemon is not None and not life.is_dead:
                self.witness.look(life.number, life.daemon, self.clock.now())
            append(journal, envelope)
            if life.counts(("crash at event",), name):
                life.end_by_scenario()
            elif life.counts(("crash at commit",), name):
                life.doomed_at = envelope.sequence

        return watched

    def _durable(self, durable: Callable[[Journal, int], Awaitable[None]]) -> Callable[[Journal, int], Awaitable[None]]:
        async def watched(journal: Journal, sequence: int) -> None:
            if (seconds := self.conditions.flush_seconds(self.clock.now())) and journal.durable_sequence < sequence:
                await self.clock.sleep(seconds)
            await durable(journal, sequence)
            life = self.lives[-1]
            if life.doomed_at is not None and life.doomed_at <= journal.durable_sequence:
                life.end_by_scenario()

        return watched

    def _commit(self, commit: Callable[..., None]) -> Callable[..., None]:
        def watched(store: Store, *what: Any) -> None:
            self.conditions.commits(self.clock.now())
            life = self.lives[-1]
            life.commits += 1
            if life.counts(("crash before boundary",), "commit"):
                life.end_by_scenario()
                # Nothing follows from what was never written: not even what a dying process would do before its cancellation arrives.
                raise sqlite3.OperationalError("the process has been killed")
            commit(store, *what)
            if life.counts(("power failure in commit",), "commit"):
                life.end_by_scenario()
                raise sqlite3.OperationalError("the power has failed")
            self.disk.committed(store.path)
            if life.counts(("crash after boundary",), "commit"):
                life.end_by_scenario()

        return watched

    def _request(self, name: str, send: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def watched(venue: AlpacaVenue, what: Any, **how: Any) -> Any:
            life = self.lives[-1]

            async def about_to_leave() -> None:
                await life.goes_on()
                if life.counts(("crash before request",), name):
                    life.end_by_scenario()
                    await life.goes_on()

            after = how.get("after")
            if after is None:
                await about_to_leave()
            else:

                async def then() -> None:
                    await after()
                    await about_to_leave()

                how["after"] = then
            try:
                return await send(venue, what, **how)
            finally:
                if life.counts(("crash after effect",), name):
                    life.end_by_scenario()

        return watched

    def _at_once(self, send: Callable[..., Awaitable[ExecutionReport | None]]) -> Callable[..., Awaitable[ExecutionReport | None]]:
        """Watch orders that may leave in the call in which they are decided: here what becomes of those that have left."""

        async def watched(venue: AlpacaVenue, order: Any) -> ExecutionReport | None:
            life = self.lives[-1]
            await life.goes_on()
            has_left = True
            try:
                report = await send(venue, order)
                has_left = report is not None
            finally:
                if has_left and life.counts(("crash after effect",), *SUBMIT_AT_ONCE):
                    life.end_by_scenario()
            return report

        return watched

    def _in_that_call(self, write: Callable[..., Awaitable[Answer]]) -> Callable[..., Awaitable[Answer]]:
        """Watch the bytes of orders that leave in the call in which they are decided: where a life ends before, they do not leave."""

        async def watched(rest: RestClient, line: Line, request: Request, body: bytes) -> Answer:
            life = self.lives[-1]
            await life.goes_on()
            if life.counts(("crash before request",), *SUBMIT_AT_ONCE):
                life.end_by_scenario()
                await life.goes_on()
            return await write(rest, line, request, body)

        return watched

    def _gone(self, write: Callable[[Line, bytes], Flight]) -> Callable[[Line, bytes], Flight]:
        """End lives with the last byte of such an order: nothing that was decided since the last commit is written down."""

        def watched(line: Line, body: bytes) -> Flight:
            flight = write(line, body)
            if self.lives[-1].counts(("crash after request",), *SUBMIT_AT_ONCE):
                self.lives[-1].end_by_scenario()
            return flight

        return watched

    def _arrival(self, note: Callable[..., RequestEntry]) -> Callable[..., RequestEntry]:
        """Look at the disk at the moment at which a request for an order arrives: what a daemon would find there that was killed now."""

        def watched(log: TrafficLog, at: datetime, method: str, path: str, query: str, body: bytes) -> RequestEntry:
            is_order = (method == "POST" and path == "/v2/orders") or (method == "PATCH" and path.startswith("/v2/orders/"))
            if is_order:
                said = msgspec.json.decode(body)
                life = self.lives[-1]
                directory = life.state.with_name(f"life-{life.number + 1}") if life.is_dead else life.state
                rows = read_journal(directory / JOURNAL_FILE, f'"{said["client_order_id"]}"')
                kinds = ("OrderIntended", "OrderPrepared", "OrderUnprepared")
                self.arrivals.append(Arrival(method, said, tuple(row for row in rows if row.kind in kinds)))
            return note(log, at, method, path, query, body)

        return watched

    # --- the exchange's side ---

    async def _pin(self, pin: Pin) -> None:
        await self.clock.sleep_until(pin.at)
        quote = self.tape.quote_at(pin.symbol, self.clock.now())
        assert quote is not None
        bid, ask = quote.bid, quote.ask
        bid, ask = {
            "zero": (0.0, 0.0),
            "one-sided": (bid, 0.0),
            "locked": (bid, bid),
            "crossed": (ask, bid),
            "wide": (round(bid * 0.8, 2), round(ask * 1.2, 2)),
            "thin": (bid, ask),
        }[pin.shape]
        size = 3 if pin.shape == "thin" else 100
        body = {"symbol": pin.symbol, "bid": bid, "bid_size": size if bid else 0, "ask": ask, "ask_size": size if ask else 0}
        async with aiohttp.ClientSession(connector=LoopConnector()) as http:
            await http.post(f"{self.address.rest}/_exchange/quote", json=body, raise_for_status=True)
            self.struck.append(f"pin {pin.shape}")
            await self.clock.sleep_until(pin.until)
            await http.delete(f"{self.address.rest}/_exchange/quote", params={"symbol": pin.symbol}, raise_for_status=True)

    async def _mute(self, stream: str, at: datetime, until: datetime) -> None:
        await self.clock.sleep_until(at)
        self.server.plan_faults(parse_faults([{"kind": "mute_stream", "stream": stream}]))
        self.struck.append(f"mute {stream}")
        await self.clock.sleep_until(until)
        left = [fault for fault in self.server.faults.waiting() if not (isinstance(fault, MuteStream) and fault.stream == stream)]
        self.server.faults.clear()
        self.server.plan_faults(left)

    async def _ask(self, path: str, **query: Any) -> Any:
        headers = {"APCA-API-KEY-ID": self.address.key_id, "APCA-API-SECRET-KEY": self.address.secret_key}
        url = f"{self.address.rest}{path}"
        async with (
            aiohttp.ClientSession(connector=LoopConnector(), headers=headers) as http,
            http.get(url, params=query, raise_for_status=True) as answer,
        ):
            return msgspec.json.decode(await answer.read())

    async def _rows(self, path: str, **query: Any) -> list[Json]:
        """Return all rows of a list that comes in pages of a hundred."""
        rows: list[Json] = []
        while True:
            after = {"page_token": rows[-1]["id"]} if rows else {}
            page = await self._ask(path, direction="asc", page_size=100, **query, **after)
            rows += page
            if len(page) < 100:
                return rows

    async def _record(self) -> Record:
        return Record(
            seed=self.scenario.seed,
            sessions=self.scenario.sessions,
            log=await self._ask("/_exchange/log"),
            account=await self._ask("/v2/account"),
            positions=await self._ask("/v2/positions"),
            orders=await self._ask("/v2/orders", status="all", limit=500, direction="asc"),
            activities=with_reversals(await self._rows("/v2/account/activities/FILL")),
            journal=read_journal(self.lives[-1].state / JOURNAL_FILE),
            lives=tuple(self.spans),
            opening_cash="100000",
            samples=self.witness.samples,
            audit=audit_of(self.lives[-1].state / JOURNAL_FILE, {sample.end for sample in self.witness.samples}),
            clock_error_seconds=max((abs(deed.seconds) for deed in self.scenario.deeds if deed.kind == "step clock"), default=0.0),
            asleep=tuple(self.conditions.asleep),
            stuck=tuple(self.conditions.stuck),
            feeds=tuple(self.conditions.feeds),
            delayed=tuple(self.conditions.delayed),
            arrivals=tuple(self.arrivals),
            changes=await self._rows("/v2/account/activities", category="non_trade_activity"),
            struck=(*self.struck, *(kind for kind, fault, times in self.planned if fault.times < times)),
        )
