"""The embedded market of a run without an account: our own exchange on loopback, its clock, and which sessions it plays.

The daemon talks to it as it would to Alpaca, through sockets. The exchange keeps its own state beside the journal, so that a restart
finds the same account at the market time at which it was left.
"""

from collections.abc import AsyncIterator, Callable, Coroutine, Sequence, Set
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any, Final

from pydantic import SecretStr

from alchemiser.alpaca.credentials import Credentials
from alchemiser.domain.market import Session
from alchemiser.domain.runtime import Clock
from alchemiser.exchange.assembly import list_symbols, open_core
from alchemiser.exchange.bars import BarFolder, DailySource
from alchemiser.exchange.generator import SyntheticMarket
from alchemiser.exchange.persistence import StateFile
from alchemiser.exchange.recordings import read_recordings
from alchemiser.exchange.server import ExchangeAddress, ExchangeServer, ServerSettings
from alchemiser.exchange.settings import ExchangeSettings
from alchemiser.exchange.tape import MarketTape
from alchemiser.market.calendar import TradingCalendar
from alchemiser.service.clock import LeapClock
from alchemiser.service.connection import Connection
from alchemiser.service.roster import without_unknown_symbols
from alchemiser.service.settings import RunOptions, Settings
from alchemiser.service.surroundings import Surroundings
from alchemiser.strategies.base import LoadedStrategy

STATE_FILE: Final = "exchange.state"
BEFORE_OPEN: Final = timedelta(minutes=15)
"""How long before the open of its first session the market begins: time to connect and recover."""

HELD_SPEED: Final = 20.0
"""Market seconds per wall second while a leaping clock is held."""

SYNTHETIC_FIRST: Final = date(2025, 1, 2)
"""The first session of a synthetic market unless another is asked for."""


@dataclass(frozen=True)
class EmbeddedMarket:
    """A running exchange: where it is, its clock, the last session that is played, and what lists more symbols of its bars.

    ``list_symbols`` raises ``DataError`` for a symbol that its bars do not have; a broker lists what it likes and is not asked to.
    """

    server: ExchangeServer
    address: ExchangeAddress
    clock: Clock
    last_session: date
    list_symbols: Callable[[Sequence[str]], None] | None = None

    @property
    def connection(self) -> Connection:
        """Its addresses on loopback, and the key that it made itself."""
        address = self.address
        credentials = Credentials(key_id=SecretStr(address.key_id), secret_key=SecretStr(address.secret_key))
        return Connection(address.rest, address.rest, address.trading_stream, address.data_stream, credentials)

    @property
    def run(self) -> Callable[[], Coroutine[Any, Any, None]]:
        """Plays the sessions."""
        return self.server.run


@asynccontextmanager
async def embedded_market(
    settings: Settings, options: RunOptions, source: DailySource, symbols: Sequence[str], surroundings: Surroundings
) -> AsyncIterator[EmbeddedMarket | None]:
    """Start the exchange for these symbols and stop it at the end of the block.

    Yields ``None`` when the sessions that were asked for have all been played by an earlier run. Raises ``DataError`` when the bars
    do not allow the sessions, a symbol has no bars, or the state was kept in a market of another seed.
    """
    calendar = TradingCalendar.new_york()
    embedded = settings.embedded
    recordings = None if embedded.recordings is None else read_recordings(embedded.recordings)
    tape = MarketTape(source, calendar, symbols, embedded.seed, splits=embedded.splits, halts=embedded.halts, recordings=recordings)
    sessions = _sessions(tape, settings, options)
    state = StateFile(settings.service.state / STATE_FILE, seed=embedded.seed)
    saved = state.load()
    begins_at = sessions[0].opens_at - BEFORE_OPEN
    if saved is not None:
        begins_at = max(begins_at, saved.at)
    if begins_at >= sessions[-1].closes_at:
        yield None
        return
    clock = surroundings.make_clock(begins_at) if surroundings.make_clock else _clock(settings, begins_at)
    rules = ExchangeSettings(cash=settings.embedded.cash, dividends=settings.embedded.dividends)
    core = open_core(
        settings=rules,
        tape=tape,
        seed=settings.embedded.seed,
        opened_at=begins_at,
        saved=saved,
    )
    server = ExchangeServer(
        core=core,
        tape=tape,
        calendar=calendar,
        clock=clock,
        last_day=sessions[-1].date,
        settings=ServerSettings(by_the_second=settings.embedded.speed != "leap"),
        state=state,
    )
    address = await server.start(sock=surroundings.exchange_listener)

    def list_more(symbols: Sequence[str]) -> None:
        server.list_symbols(partial(list_symbols, core, tape, symbols, settings=rules, last_day=sessions[-1].date))

    try:
        yield EmbeddedMarket(server, address, clock, sessions[-1].date, list_more)
    finally:
        await server.stop()


async def enter_market(
    stack: AsyncExitStack,
    settings: Settings,
    options: RunOptions,
    roster: tuple[LoadedStrategy, ...],
    held: Set[str],
    surroundings: Surroundings,
) -> tuple[tuple[LoadedStrategy, ...], EmbeddedMarket | None]:
    """Start the exchange for what the strategies need and what an earlier run may still hold; it is stopped with the stack.

    Returns the strategies that can run on its symbols, and what :func:`embedded_market` yields.
    """
    needed = {symbol for strategy in roster for symbol in strategy.symbols}
    source = daily_source(settings, sorted(needed | held))
    known = dict.fromkeys(source.symbols)
    roster = without_unknown_symbols(roster, known, settings.embedded.bars or "the synthetic market")
    symbols = sorted({symbol for strategy in roster for symbol in strategy.symbols} | (held & known.keys()))
    return roster, await stack.enter_async_context(embedded_market(settings, options, source, symbols, surroundings))


def daily_source(settings: Settings, symbols: Sequence[str]) -> DailySource:
    """Return where the daily bars come from: the folder of the settings, or the synthetic market of these symbols."""
    if settings.embedded.bars is not None:
        return BarFolder(settings.embedded.bars)
    embedded = settings.embedded
    return SyntheticMarket(TradingCalendar.new_york(), embedded.seed, symbols=tuple(symbols), splits=embedded.splits)


def _sessions(tape: MarketTape, settings: Settings, options: RunOptions) -> tuple[Session, ...]:
    """Return the sessions to be played: the last N that the bars allow, or N from a date; without N all from there on."""
    start = options.start
    if start is None and settings.embedded.bars is None:
        start = SYNTHETIC_FIRST
    if start is None and options.days is not None:
        return tape.last_sessions(options.days)
    bounds = tape.bounds()
    start = start or bounds.last.date
    if options.days is not None:
        return tape.sessions_from(start, options.days)
    if not bounds.first.date <= start <= bounds.last.date:
        raise bounds.outside(start)
    return tape.calendar.sessions(start, bounds.last.date)


def _clock(settings: Settings, begins_at: datetime) -> LeapClock:
    speed = settings.embedded.speed
    if speed == "leap":
        return LeapClock(begins_at, speed=HELD_SPEED, leaps=True)
    return LeapClock(begins_at, speed=float(speed), leaps=False)
