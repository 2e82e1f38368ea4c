"""The start of a run: from settings to a daemon with its journal, its venue and its clock; and what its end means.

``run_daemon`` is what ``alchemiser run`` calls, and what a simulation calls with surroundings of its own.
"""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from decimal import Decimal
from functools import partial

import structlog

from alchemiser.alpaca.credentials import RenewableCredentials
from alchemiser.alpaca.feed import FeedLimits
from alchemiser.alpaca.market_stream import MarketStream
from alchemiser.alpaca.order_stream import OrderStream
from alchemiser.alpaca.rest import OnRequest, RestLimits
from alchemiser.alpaca.venue import AlpacaVenue
from alchemiser.domain.errors import AlchemiserError, BusClosed, ConfigError
from alchemiser.domain.events import FillBooked
from alchemiser.domain.runtime import Clock
from alchemiser.journal.journal import Journal
from alchemiser.market.calendar import TradingCalendar, new_york_date
from alchemiser.service.account_lock import lock_directory, take_account_lock
from alchemiser.service.beside import Beside
from alchemiser.service.clock import WallClock
from alchemiser.service.collector import spare_the_living
from alchemiser.service.connection import Connection, MarketHere, broker_connection, renewable
from alchemiser.service.daemon import Daemon, DaemonParts, Stream
from alchemiser.service.deferred import load
from alchemiser.service.http import open_door
from alchemiser.service.kill_switch import KillSwitch, KillSwitchParts
from alchemiser.service.messenger import addresses
from alchemiser.service.metrics import DaemonMetrics
from alchemiser.service.offline import JOURNAL_FILE
from alchemiser.service.recovery import recover
from alchemiser.service.reload import reloading_on_hangup
from alchemiser.service.roster import load_roster, untradable_symbols, wanted_strategies, without_unknown_symbols
from alchemiser.service.runtime import SeededRuntime
from alchemiser.service.safety import require_live_agreement
from alchemiser.service.secrets import SecretMasker
from alchemiser.service.settings import RunOptions, Settings
from alchemiser.service.state import JournaledState
from alchemiser.service.stream_watch import StreamWatch
from alchemiser.service.surroundings import Surroundings
from alchemiser.service.venue_clock import following_clock
from alchemiser.strategies.base import LoadedStrategy
from alchemiser.strategies.reload import Reloader, strangers

_log = structlog.get_logger(__name__)

CALENDAR_AHEAD = timedelta(days=60)
"""How far ahead our calendar is compared with the broker's."""

SWITCH_SECONDS = 0.0001
"""How long one thread may keep the interpreter from another. Python's own 5 ms is an age for an order whose intent is being committed."""

KILL_POLL_SECONDS = 1.0
"""How often the file of the kill switch is looked for."""


async def run_daemon(
    settings: Settings,
    options: RunOptions,
    surroundings: Surroundings | None = None,
    *,
    masker: SecretMasker | None = None,
    read_settings: Callable[[], Settings] | None = None,
    log_by: Callable[[Settings], None] = lambda settings: None,
    tell_repeats: Callable[[], None] = lambda: None,
) -> int:
    """Run the daemon until its sessions are over or it is told to stop; return the exit code of the process.

    ``masker`` is told the secrets that the run makes itself, ``read_settings`` reads the settings again, ``log_by`` has the log written
    as they say, and ``tell_repeats`` has it say what it still counts.

    Raises the errors of the tree for what prevents a start or ends the run; the command line turns them into a line and an exit code.
    """
    surroundings = surroundings or Surroundings(masker=masker, read_settings=read_settings, log_by=log_by, tell_repeats=tell_repeats)
    code = 0
    if surroundings.is_threaded:
        sys.setswitchinterval(SWITCH_SECONDS)
    try:
        code = await _run(settings, options, surroundings)
    except* AlchemiserError as group:
        raise _first(group) from None
    return code


async def _run(settings: Settings, options: RunOptions, surroundings: Surroundings) -> int:
    reloader = Reloader(wanted_strategies(settings))
    roster = load_roster(settings)
    for file in strangers(wanted_strategies(settings)):
        _log.info("file_not_traded", file=str(file), reason="it has no share of the account; give it one in the settings")
    state_dir = settings.service.state
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"service.state {state_dir} cannot be made: {error.strerror}; nothing was started") from error

    async with AsyncExitStack() as stack:
        metrics = DaemonMetrics()
        epochs = SeededRuntime(WallClock(), surroundings.seed)
        journal = stack.enter_context(
            Journal.open(
                state_dir / JOURNAL_FILE,
                new_epoch=lambda: epochs.new_id()[-6:].lower(),
                threaded=surroundings.is_threaded,
                linger_seconds=settings.journal.group_commit_milliseconds / 1000,
                on_commit=lambda seconds, events: metrics.on_commit(events, seconds),
            )
        )
        if (migration := journal.migration) is not None:
            _log.warning(
                "journal_brought_forward", from_format=migration.from_format, to_format=migration.to_format, backup=str(migration.backup)
            )
        market: MarketHere | None = None
        if settings.alpaca.trading_url is None:
            held = {event.symbol for envelope in journal.read(types=(FillBooked,)) if isinstance(event := envelope.event, FillBooked)}
            # The exchange is only loaded by those who trade on it: half of the package is no burden on a real account.
            enter = load("alchemiser.service.embedded:enter_market")
            roster, market = await enter(stack, settings, options, roster, held, surroundings)
            if market is None:
                _log.info("nothing_to_do", reason="these sessions have been played already; choose later ones or another state directory")
                return 0
        return await _trade(stack, settings, options, roster, reloader, journal, market, metrics, surroundings)


async def _trade(
    stack: AsyncExitStack,
    settings: Settings,
    options: RunOptions,
    roster: tuple[LoadedStrategy, ...],
    reloader: Reloader,
    journal: Journal,
    market: MarketHere | None,
    metrics: DaemonMetrics,
    surroundings: Surroundings,
) -> int:
    connection = broker_connection(settings) if market is None else market.connection
    if surroundings.masker is not None:
        surroundings.masker.add(connection.credentials.headers().values())
    clock: Clock = WallClock() if market is None else market.clock
    if market is None and settings.alpaca.mode != "live":
        clock = await stack.enter_async_context(following_clock(connection.trading_url))
    if market is None:  # The key of our own exchange never changes.
        connection = renewable(connection, clock, surroundings.read_settings, surroundings.masker)
    runtime = SeededRuntime(clock, surroundings.seed)
    venue = await stack.enter_async_context(_venue(settings, connection, runtime, surroundings, on_request=metrics.on_request))
    metrics.requests_left = lambda: venue.requests_left
    kill_switch = await stack.enter_async_context(_kill_switch(settings, connection, clock, journal, surroundings))
    account_number = (await venue.account()).account_number
    require_live_agreement(settings, live_agreed=options.live_agreed, account_number=account_number)
    if market is None:
        _lock_account(stack, connection, account_number, surroundings)
    calendar = TradingCalendar.new_york()
    await _compare_calendars(venue, calendar, clock)
    warnings: dict[str, list[str]] = {}
    if market is None:
        known = await venue.assets(sorted({symbol for strategy in roster for symbol in strategy.symbols}))
        roster = without_unknown_symbols(roster, known, "the broker")
        warnings = untradable_symbols(roster, known)

    daemon = Daemon(
        DaemonParts(
            settings=settings,
            runtime=runtime,
            journal=journal,
            venue=venue,
            calendar=calendar,
            roster=roster,
            reloader=reloader,
            account_number=account_number,
            metrics=metrics,
            addresses=addresses(settings.notifications),
            warnings=warnings,
            last_session=market.last_session if market else None,
            list_symbols=market.list_symbols if market else None,
            is_threaded=surroundings.is_threaded,
            kill_switch=kill_switch,
            read_settings=surroundings.read_settings,
            tell_repeats=surroundings.tell_repeats,
        )
    )
    async with open_door(
        daemon.answers,
        settings,
        metrics=daemon.metrics.exposition,
        token=lambda: daemon.settings.service.token,
        listener=surroundings.door_listener,
    ) as address:
        if surroundings.is_threaded:
            spare_the_living()
        _log.info("listening", url=address.url, mode=settings.alpaca.mode, account=account_number, epoch=journal.epoch)
        streams = _streams(daemon, settings, connection, runtime, surroundings)
        stack.enter_context(reloading_on_hangup(partial(daemon.reload.ask, "SIGHUP"), enabled=surroundings.takes_signals))
        if market is not None:
            streams.append(market.run)
        return await daemon.run(
            streams,
            turn_seconds=surroundings.turn_seconds,
            takes_signals=surroundings.takes_signals,
        )


def _lock_account(stack: AsyncExitStack, connection: Connection, account_number: str, surroundings: Surroundings) -> None:
    """Keep other daemons of this machine from the account until the stack is left."""
    directory = surroundings.lock_directory or lock_directory(os.environ)
    lock = take_account_lock(directory, connection.trading_url, account_number)
    if lock is not None:
        stack.callback(lock.release)


def _venue(
    settings: Settings, connection: Connection, runtime: SeededRuntime, surroundings: Surroundings, *, on_request: OnRequest | None = None
) -> AlpacaVenue:
    return AlpacaVenue(
        connection.credentials,
        trading_url=connection.trading_url,
        data_url=connection.data_url,
        clock=runtime.clock,
        random=runtime.random,
        feed=settings.alpaca.feed,
        limits=RestLimits(deadline_seconds=settings.alpaca.request_deadline_seconds),
        make_connector=surroundings.connector,
        on_request=on_request,
    )


def _streams(
    daemon: Daemon, settings: Settings, connection: Connection, runtime: SeededRuntime, surroundings: Surroundings
) -> list[Stream]:
    """Return what listens to both streams, watches over them and follows a renewed key; what else works with them is told of them."""
    clock, bus, limits = runtime.clock, daemon.bus, FeedLimits(ping_seconds=surroundings.ping_seconds)
    orders = OrderStream(
        connection.trading_stream_url, connection.credentials, publish=bus.publish, clock=clock, random=runtime.random, limits=limits
    )
    quotes = MarketStream(
        connection.data_stream_url,
        connection.credentials,
        symbols=daemon.universe.symbols,
        post=bus.post,
        publish=bus.publish,
        clock=clock,
        random=runtime.random,
        limits=limits,
    )
    daemon.universe.stream = quotes
    watch = StreamWatch(
        orders=orders,
        market=quotes,
        owed=lambda: daemon.gaps.owed,
        clock=clock,
        publish=bus.publish,
        order_seconds=settings.execution.order_silence_seconds,
        market_seconds=settings.market.silence_seconds,
    )
    bus.subscribe_inline("stream watch", StreamWatch.listens_to, watch)
    daemon.adoption.beside.append(
        Beside(settings, credentials=connection.credentials, watch=watch, feed=daemon.answers.feed, log_by=surroundings.log_by)
    )
    streams: list[Stream] = [orders.run, quotes.run, watch.run]
    if isinstance(connection.credentials, RenewableCredentials):
        streams.append(partial(_follow_key, connection.credentials, (orders, quotes)))
    return streams


def _kill_switch(settings: Settings, connection: Connection, clock: Clock, journal: Journal, surroundings: Surroundings) -> KillSwitch:
    """Return the kill switch, which works from here on whatever becomes of the start; it has a connection of its own."""

    def books() -> dict[str, dict[str, Decimal]]:
        state = JournaledState(lambda event: None)
        recover(state, journal)
        return {name: book.holdings() for name, book in state.ledger.books.items()}

    return KillSwitch(
        KillSwitchParts(
            state=settings.service.state,
            clock=clock,
            epoch=journal.epoch,
            open_venue=lambda: _venue(settings, connection, SeededRuntime(clock, surroundings.seed), surroundings),
            books=books,
            poll_seconds=surroundings.turn_seconds or KILL_POLL_SECONDS,
            end_seconds=settings.service.stop_seconds,
            takes_signals=surroundings.takes_signals,
        )
    )


async def _follow_key(credentials: RenewableCredentials, streams: Sequence[OrderStream | MarketStream]) -> None:
    """Connect the streams anew whenever the key has changed: what was opened with the old one may end at any time, or stay mute."""
    while True:
        await credentials.changed.wait()
        credentials.changed.clear()
        for stream in streams:
            await stream.restart("the key was renewed")


async def _compare_calendars(venue: AlpacaVenue, calendar: TradingCalendar, clock: Clock) -> None:
    """Compare our table with the broker's calendar of the coming weeks; a difference is an error in one of them."""
    today = new_york_date(clock.now())
    until = min(today + CALENDAR_AHEAD, calendar.last_day)
    theirs = TradingCalendar.from_sessions(await venue.sessions(today, until), start=today, end=until)
    for difference in calendar.differences(theirs):
        _log.error("calendars_differ", difference=str(difference))


def _first(group: BaseExceptionGroup[AlchemiserError]) -> AlchemiserError:
    """Return the first error of a group that is a cause; that the bus was closed when it happened is only what followed."""
    errors = list(_leaves(group))
    return next((error for error in errors if not isinstance(error, BusClosed)), errors[0])


def _leaves(group: BaseExceptionGroup[AlchemiserError]) -> Iterator[AlchemiserError]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
