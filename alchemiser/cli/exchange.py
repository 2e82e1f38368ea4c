"""``alchemiser exchange``: the embedded exchange alone, for any Alpaca client."""

import asyncio
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
import uvloop

from alchemiser.cli.day_options import read_day
from alchemiser.cli.exchange_progress import shown_progress
from alchemiser.cli.exchange_switches import parse_switches, read_switches
from alchemiser.domain.errors import DataError, UsageError
from alchemiser.domain.market import Session
from alchemiser.exchange.access import Credentials
from alchemiser.exchange.assembly import chosen_sessions, open_core, open_tape
from alchemiser.exchange.control import LEAP_SPEED
from alchemiser.exchange.fault_menu import AnyFault, check_symbols, parse_faults
from alchemiser.exchange.persistence import StateFile
from alchemiser.exchange.recordings import read_recordings
from alchemiser.exchange.server import ExchangeServer, ServerSettings
from alchemiser.exchange.settings import ExchangeSettings
from alchemiser.journal.lock import WriterLock
from alchemiser.market.calendar import TradingCalendar
from alchemiser.service.clock import LeapClock

STATE_FILE: Final = "exchange.state"
LOCK_FILE: Final = "exchange.lock"
FIRST_SEED: Final = 1
"""The seed of a market for which nobody has said one."""

MOST_CASH: Final = Decimal(10**12)
_EVERY_SECOND_UP_TO: Final = 60.0
"""Up to this speed the market moves every second; faster than that, ten thousands of quotes a second would be nobody's use."""

Announce = Callable[[str], None]


class ExchangeOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the command was asked for. ``speed`` is market seconds per second, ``None`` to leap over quiet stretches.

    Without ``seed`` it is that of the saved state, or :data:`FIRST_SEED`. ``switches`` are settings of the exchange and of its faces by
    name, as texts.
    """

    bars: Path | None = None
    recordings: Path | None = None
    day: date | None = None
    days: int | None = None
    port: int = 0
    cash: Decimal = Decimal(100_000)
    speed: float | None = 1.0
    seed: int | None = None
    faults: Path | None = None
    state: Path | None = None
    credentials: Credentials | None = None
    switches: dict[str, str] = {}


def exchange_command(
    *,
    bars: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder with one SYMBOL.csv or SYMBOL.parquet each. Without it: synthetic.")
    ] = None,
    recordings: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Recorded minute bars, quotes and trades to play: a file or a folder of .csv or .csv.gz."),
    ] = None,
    day: Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="The first session. Default: the last that the bars allow.")] = None,
    days: Annotated[int | None, typer.Option(metavar="N", min=1, help="Sessions to play. Default: 1.")] = None,
    port: Annotated[int, typer.Option(metavar="P", min=0, max=65535, help="Port on loopback; 0 picks a free one.")] = 0,
    cash: Annotated[str, typer.Option(metavar="DOLLARS", help="Cash of a fresh account.")] = "100000",
    speed: Annotated[str, typer.Option(metavar="X", help="Market seconds per second, or leap.")] = "1",
    seed: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="The same seed, the same market. Default: that of --state, or 1.")
    ] = None,
    faults: Annotated[Path | None, typer.Option(metavar="FILE", help="JSON list of faults, as for POST /_exchange/faults.")] = None,
    engine: Annotated[
        str | None, typer.Option(metavar="book|paper", help="Matching by an order book, or as the paper engine does.")
    ] = None,
    multiplier: Annotated[str | None, typer.Option(metavar="1|2|4", help="Margin multiplier of the account. Default: 2.")] = None,
    fees: Annotated[bool, typer.Option("--fees", help="Charge the regulatory fees, which paper accounts are spared.")] = False,
    text_frames: Annotated[bool, typer.Option("--text-frames", help="Order stream in text frames, as live; paper sends binary.")] = False,
    rate_limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="Requests a minute, for each of the two APIs.")] = None,
    switch: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Any other switch, several times; docs/exchange.md lists them.")
    ] = None,
    state: Annotated[Path | None, typer.Option(metavar="DIR", help="Keep account, orders and clock here, and continue from it.")] = None,
    key_id: Annotated[str | None, typer.Option(metavar="KEY", help="Key id to accept. Default: a fresh one.")] = None,
    secret_key: Annotated[str | None, typer.Option(metavar="SECRET", help="Secret to accept. Default: a fresh one.")] = None,
) -> None:
    """Serve Alpaca's protocol on loopback until SIGTERM or SIGINT; one line of JSON says where and with which credentials.

    The market opens with the command: it begins at the open of the first session and, after the last, stays closed.

    Example: alchemiser exchange --bars data/daily --day 2025-03-03 --speed 20

    Example: alchemiser exchange --recordings trades.csv.gz --day 2013-10-07 --speed 60

    Example: alchemiser exchange --engine paper --rate-limit 200 --set hold_slot_seconds=90 --faults faults.json
    """
    named = {"engine": engine, "multiplier": multiplier, "rate_limit": rate_limit, "data_rate_limit": rate_limit}
    flags = {"fees": fees, "text_frames": text_frames}
    switches = {
        **{name: str(value) for name, value in named.items() if value is not None},
        **{name: "true" for name, value in flags.items() if value},
        **parse_switches(switch or []),
    }
    if (key_id is None) != (secret_key is None):
        raise UsageError("--key-id and --secret-key go together; give both or neither")
    options = ExchangeOptions(
        bars=bars,
        recordings=recordings,
        day=read_day("--day", day),
        days=days,
        port=port,
        cash=_dollars(cash),
        speed=_speed(speed),
        seed=seed,
        faults=faults,
        state=state,
        credentials=None if key_id is None or secret_key is None else Credentials(key_id, secret_key),
        switches=switches,
    )
    run_exchange(options)


def run_exchange(options: ExchangeOptions) -> None:
    """Serve on an event loop of its own until the process is told to stop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve_exchange(options))


async def serve_exchange(options: ExchangeOptions, *, announce: Announce | None = None, stop: asyncio.Event | None = None) -> None:
    """Serve until ``stop`` is set, or without one until SIGTERM or SIGINT; ``announce`` takes the line that says where.

    Raises ``DataError`` for bars, faults or a state that cannot be used, ``ConfigError`` for a port that is taken and ``SafetyRefused``
    for a state that another exchange is writing.
    """
    with _held(options.state):
        server, sessions = _make_server(options)
        await _serve(server, sessions, options, announce or _write_line, stop)


async def _serve(
    server: ExchangeServer, sessions: tuple[Session, ...], options: ExchangeOptions, announce: Announce, stop: asyncio.Event | None
) -> None:
    planned = read_faults(options.faults, server.symbols)
    with _stop_on_signals(stop) as stopped:
        address = await server.start(port=options.port)
        try:
            server.plan_faults(planned)
            announce(msgspec.json.encode(address).decode())
            async with asyncio.TaskGroup() as group:
                with shown_progress(lambda: server.progress, sessions):
                    driving = group.create_task(server.run(linger=True), name="exchange driver")
                    await stopped.wait()
                    driving.cancel()
        finally:
            await server.stop()


@contextmanager
def _held(directory: Path | None) -> Iterator[None]:
    """Hold the state for this process alone while the block runs; with no directory there is nothing to hold."""
    if directory is None:
        yield
        return
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = WriterLock.of(
            directory / LOCK_FILE,
            f"the exchange's state in {directory} is being written",
            "two exchanges on one state would lose each other's orders, so this one stops",
        )
    except OSError as error:
        raise DataError(f"{directory}: the exchange's state cannot be kept there ({error.strerror}); nothing was started") from error
    try:
        yield
    finally:
        lock.release()


def _make_server(options: ExchangeOptions) -> tuple[ExchangeServer, tuple[Session, ...]]:
    """Return the exchange, and the sessions that it plays."""
    calendar = TradingCalendar.new_york()
    leaps = options.speed is None
    core_settings, server_settings = _settings(options, leaps=leaps)
    state = StateFile(None if options.state is None else options.state / STATE_FILE, seed=options.seed)
    saved = state.load()
    state.seed = seed = FIRST_SEED if state.seed is None else state.seed
    tape = open_tape(
        bars=options.bars,
        calendar=calendar,
        seed=seed,
        dividends=core_settings.dividends,
        splits=core_settings.splits,
        halts=core_settings.halts,
        recordings=None if options.recordings is None else read_recordings(options.recordings),
        day=options.day,
    )
    is_synthetic = options.bars is None and options.recordings is None
    sessions = chosen_sessions(tape, start=options.day, days=options.days, is_synthetic=is_synthetic)
    begins_at = sessions[0].opens_at if saved is None else saved.at
    clock = LeapClock(begins_at, speed=options.speed or LEAP_SPEED, leaps=leaps)
    server = ExchangeServer(
        core=open_core(settings=core_settings, tape=tape, seed=seed, opened_at=begins_at, saved=saved),
        tape=tape,
        calendar=calendar,
        clock=clock,
        last_day=sessions[-1].date,
        credentials=options.credentials,
        settings=server_settings,
        seed=seed,
        state=state,
    )
    return server, sessions


def _settings(options: ExchangeOptions, *, leaps: bool) -> tuple[ExchangeSettings, ServerSettings]:
    """Return the settings of the core and of the faces. Raises ``UsageError`` for a switch that neither has, or a value it cannot have."""
    core = {"cash": options.cash}
    server = {
        "by_the_second": options.speed is not None and options.speed <= _EVERY_SECOND_UP_TO,
        "hold_for_clients": leaps,
    }
    return read_switches(options.switches, core=core, server=server)


@contextmanager
def _stop_on_signals(stop: asyncio.Event | None) -> Iterator[asyncio.Event]:
    """Yield the event that ends the exchange: the given one, or one that the signals set."""
    if stop is not None:
        yield stop
        return
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    signals = (signal.SIGTERM, signal.SIGINT)
    for number in signals:
        loop.add_signal_handler(number, stopped.set)
    try:
        yield stopped
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


def _write_line(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def read_faults(path: Path | None, listed: Sequence[str]) -> list[AnyFault]:
    """Return the faults of a file, none without one. Raises ``DataError`` that names the file and what in it cannot be."""
    if path is None:
        return []
    try:
        faults = parse_faults(msgspec.json.decode(path.read_bytes()))
        check_symbols(faults, listed)
    except OSError as error:
        raise DataError(f"{path}: the faults cannot be read ({error.strerror}); nothing was started") from error
    except ValueError as error:
        raise DataError(f"{path}: not a list of faults ({error}); nothing was started") from error
    return faults


def _dollars(text: str) -> Decimal:
    try:
        cash = Decimal(text)
    except InvalidOperation as error:
        raise UsageError(f"--cash {text}: expected a number of dollars like 100000") from error
    if not cash.is_finite() or not 0 < cash <= MOST_CASH:
        raise UsageError(f"--cash {text}: must be more than nothing and at most a trillion")
    return cash


def _speed(text: str) -> float | None:
    if text == "leap":
        return None
    try:
        speed = float(text)
    except ValueError as error:
        raise UsageError(f"--speed {text}: expected market seconds per second like 20, or leap") from error
    if not 0 < speed <= 1e6:
        raise UsageError(f"--speed {text}: must be more than 0 and at most a million")
    return speed
