"""What would stop a good start, found before the start: each check looks at one real thing and says what to do about it.

The checks change nothing: no order, no file that stays. One that cannot be made says so instead of passing.
"""

import errno
import os
import shutil
import socket
import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Literal

import msgspec

from alchemiser.alpaca.venue import AlpacaVenue
from alchemiser.domain.account import Account
from alchemiser.domain.errors import (
    AlchemiserError,
    ConfigError,
    CredentialsRefused,
    DataError,
    RateLimited,
    SafetyRefused,
    StrategyError,
    VenueError,
    VenueUnavailable,
)
from alchemiser.domain.market import Session
from alchemiser.domain.runtime import Clock
from alchemiser.exchange.bars import BarFolder
from alchemiser.journal.reader import JournalReader
from alchemiser.market.calendar import TradingCalendar, new_york_date
from alchemiser.market.store.store import BarStore, needs_pyarrow
from alchemiser.service.broker import broker_of, names_broker
from alchemiser.service.flush_speed import measure_flush
from alchemiser.service.http_address import split_address
from alchemiser.service.messenger import addresses
from alchemiser.service.offline import JOURNAL_FILE
from alchemiser.service.roster import broker_remarks, load_roster
from alchemiser.service.safety import require_live_agreement, require_private_door
from alchemiser.service.settings import Settings
from alchemiser.service.settings_load import LoadedSettings
from alchemiser.service.state_file import read_http_address

FREE_BYTES_WANTED: Final = 1_000_000_000
FREE_BYTES_NEEDED: Final = 100_000_000
FLUSH_SECONDS_AT_MOST: Final = 0.1
"""A disk that is never quicker than this makes every order wait for it."""

OFFSET_SECONDS_WANTED: Final = 1.0
OFFSET_SECONDS_AT_MOST: Final = 10.0
ANY_SYMBOL: Final = "SPY"
"""What is asked for to see whether prices are given at all: every feed has it."""

CALENDAR_AHEAD: Final = timedelta(days=60)

_AUCTIONS: Final = frozenset({"moc", "loc"})

Verdict = Literal["ok", "warning", "problem"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one check. ``exit_code`` is what ``run`` would end with because of a problem."""

    check: str
    verdict: Verdict
    text: str
    remedy: str = ""
    exit_code: int = 0


async def check_up(loaded: LoadedSettings, clock: Clock) -> list[Finding]:
    """Make every check, in the order in which a start would meet the problems."""
    settings = loaded.settings
    findings = [_ok("settings", str(loaded.file) if loaded.file else "defaults; there is no settings file")]
    local: tuple[tuple[str, Callable[[], Iterator[Finding]]], ...] = (
        ("secrets", lambda: _secrets(loaded)),
        ("agreement", lambda: _agreement(settings)),
        ("strategies", lambda: _strategies(settings)),
        ("tactics", lambda: _tactics(settings)),
        ("bars", lambda: _bars(settings)),
        ("bar store", lambda: _store(settings)),
        ("state", lambda: _state(settings.service.state)),
        ("journal", lambda: _journal(settings.service.state)),
        ("door", lambda: _door(settings)),
        ("notifications", lambda: _notifications(settings)),
    )
    for name, check in local:
        findings += _guarded(name, check)
    return findings + await _venue(settings, clock)


def _guarded(name: str, check: Callable[[], Iterator[Finding]]) -> list[Finding]:
    try:
        return list(check())
    except AlchemiserError as error:
        return [_problem(name, error, "see the message")]


def _secrets(loaded: LoadedSettings) -> Iterator[Finding]:
    settings = loaded.settings
    if loaded.file is not None and loaded.file.stat().st_mode & stat.S_IWOTH:
        yield _warning("settings", f"{loaded.file} may be written by everybody, and it says what is traded", f"chmod 600 {loaded.file}")
    for key in ("alpaca.key_id", "alpaca.secret_key", "service.token", "notifications.urls"):
        place = loaded.places[key]
        path = _file_of(place)
        if path is not None and path.is_file() and path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
            yield _warning("secrets", f"{key} is in {path}, which others may read", f"chmod 600 {path}")
        if loaded.file is not None and place.startswith(str(loaded.file)):
            yield _warning("secrets", f"{key} stands in the settings file", "move it to the environment or to a secret file")
    if settings.alpaca.mode == "embedded":
        yield _ok("secrets", "the embedded exchange needs no credentials")
    elif settings.alpaca.has_credentials:
        yield _ok("secrets", f"credentials are given ({loaded.places['alpaca.key_id']})")
    else:
        problem = ConfigError(f"{settings.alpaca.mode} trading needs credentials, and there are none")
        yield _problem("secrets", problem, "set APCA_API_KEY_ID and APCA_API_SECRET_KEY, or give secret files of those names")
    if settings.service.token is None:
        yield _warning("secrets", "without service.token the daemon cannot be paused or halted over HTTP", "set service.token")


def _file_of(place: str) -> Path | None:
    if place.startswith("secret file "):
        return Path(place.removeprefix("secret file "))
    return Path(place.rpartition(", line ")[0]) if ", line " in place else None


def _agreement(settings: Settings) -> Iterator[Finding]:
    require_private_door(settings)
    if settings.alpaca.mode == "live":
        require_live_agreement(settings, live_agreed=True)
        yield _ok("agreement", "live trading: mode and account number are set; --live must be given as well")
    else:
        yield _ok("agreement", f"mode is {settings.alpaca.mode}: no real money")


def _notifications(settings: Settings) -> Iterator[Finding]:
    """Look at the addresses as a start would; nothing is sent, which is what ``alchemiser notify`` is for."""
    if found := addresses(settings.notifications):
        yield _ok("notifications", f"{len(found)} can be read; alchemiser notify sends a message to each")


def _strategies(settings: Settings) -> Iterator[Finding]:
    for strategy in load_roster(settings):
        needs = f"{len(strategy.symbols)} symbols, {strategy.bars_needed} sessions of history"
        yield _ok("strategies", f"{strategy.name}: {float(strategy.allocation):.4g} of the account, {needs}")


def _tactics(settings: Settings) -> Iterator[Finding]:
    """Warn of a decision that comes when the closing auction takes no more orders, on a full day or on a half one."""
    execution = settings.execution
    by_strategy = [strategy.tactic for strategy in settings.strategies.values()]
    if not {execution.tactic, *by_strategy, *execution.symbol_tactics.values()} & _AUCTIONS:
        return
    opens_at = datetime(2025, 1, 2, 14, 30, tzinfo=UTC)
    for hours, day in ((6.5, "a full day"), (3.5, "a half day")):
        session = Session(date=opens_at.date(), opens_at=opens_at, closes_at=opens_at + timedelta(hours=hours))
        if settings.schedule.decision.at(session) >= execution.auction_cutoff.at(session):
            text = f"on {day} the decision at {settings.schedule.decision} comes after the auction's cut-off at {execution.auction_cutoff}"
            remedy = 'decide earlier, for example schedule.decision = "close - 15m"'
            yield _warning("tactics", f"{text}: every order falls to {execution.auction_fallback}", remedy)
            return
    yield _ok("tactics", f"decisions at {settings.schedule.decision} are in time for the closing auction")


def _bars(settings: Settings) -> Iterator[Finding]:
    if settings.alpaca.mode == "embedded" and settings.embedded.bars is not None:
        folder = BarFolder(settings.embedded.bars)
        missing = sorted({symbol for strategy in load_roster(settings) for symbol in strategy.symbols} - set(folder.symbols))
        if missing:
            raise DataError(f"{settings.embedded.bars} has no file for {', '.join(missing)}")
        yield _ok("bars", f"{settings.embedded.bars}: {len(folder.symbols)} symbols")


def _store(settings: Settings) -> Iterator[Finding]:
    """Say what the bar store has of what the strategies need; what it lacks the daemon asks the venue for."""
    path = settings.data.store
    if path is None:
        return
    if (missing := needs_pyarrow()) is not None:
        yield _problem("bar store", ConfigError(f"data.store is {path}, and {missing}"), "install it, or unset data.store")
        return
    if not path.exists():
        yield _ok("bar store", f"{path}: not there yet; the first decision makes it")
        return
    needed = {symbol for strategy in load_roster(settings) for symbol in strategy.symbols}
    known = {key.symbol for key in BarStore(path).series_keys(settings.alpaca.feed) if key.adjustment == "all"}
    yield _ok("bar store", f"{path}: {settings.alpaca.feed} has {len(needed & known)} of the {len(needed)} symbols")


def _state(state: Path) -> Iterator[Finding]:
    place = state if state.exists() else next(parent for parent in state.absolute().parents if parent.exists())
    try:
        flush = measure_flush(place)
    except OSError as error:
        problem = ConfigError(f"nothing can be written to {place} ({error.strerror})")
        yield _problem("state", problem, "give another --state, or the directory to the user that runs the daemon")
        return
    if state.exists() and state.stat().st_mode & stat.S_IWOTH:
        yield _warning("state", f"{state} may be written by everybody", f"chmod 700 {state}")
    for file in sorted(state.iterdir()) if state.is_dir() else ():
        if file.is_file() and file.stat().st_mode & stat.S_IWOTH:
            yield _warning("state", f"{file} may be written by everybody", f"chmod 600 {file}")
    free = shutil.disk_usage(place).free
    text = f"{state}: {free / 1e9:.1f} GB free"
    if free < FREE_BYTES_NEEDED:
        yield _problem("state", ConfigError(text), "make room: a journal that cannot be written stops the daemon")
    elif free < FREE_BYTES_WANTED:
        yield _warning("state", text, "make room")
    else:
        yield _ok("state", text)
    quickest, slowest = flush.quickest_seconds, flush.slowest_seconds
    text = f"{place}: a write is durable after {quickest * 1000:.1f} to {slowest * 1000:.1f} ms"
    if quickest > FLUSH_SECONDS_AT_MOST:
        yield _warning("disk", text, "every order waits for the disk: put service.state on a quick one")
    else:
        yield _ok("disk", text)


def _journal(state: Path) -> Iterator[Finding]:
    path = state / JOURNAL_FILE
    if not path.exists():
        yield _ok("journal", "there is none yet; the first start makes it")
        return
    with JournalReader.open(path) as reader:
        found = reader.verify()
    if found.is_intact:
        yield _ok("journal", f"{found.events} events, the chain is whole")
    else:
        yield Finding(
            check="journal",
            verdict="problem",
            text=f"broken at event {found.first_bad}: {found.problem}",
            remedy="keep a copy; alchemiser journal verify shows the place",
            exit_code=6,
        )


def _door(settings: Settings) -> Iterator[Finding]:
    host, port = split_address(settings.service.http)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    address = read_http_address(settings.service.state)
    if address is not None and _is_running(address.pid):
        yield _ok("door", f"a daemon is running there already: process {address.pid} at {address.url}")
        return
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            word = "is taken by another process" if error.errno == errno.EADDRINUSE else f"cannot be opened ({error.strerror})"
            yield _problem("door", ConfigError(f"{settings.service.http} {word}"), "set service.http to another port; 0 picks a free one")
            return
    yield _ok("door", f"{settings.service.http} is free")


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


async def _venue(settings: Settings, clock: Clock) -> list[Finding]:
    """Ask the broker for the account, its clock, its calendar and the strategies' symbols; nothing is changed there."""
    if settings.alpaca.mode == "embedded":
        return [_ok("venue", "the embedded exchange starts with the daemon")]
    if not names_broker(settings):
        return []
    try:
        async with broker_of(settings, clock) as venue:
            findings = _account(await venue.account(), settings)
            findings += await _time(venue, clock) + await _calendar(venue, clock)
            return findings + await _symbols(venue, settings) + await _market_data(venue, settings)
    except CredentialsRefused as error:
        return [_problem("venue", error, "check that the key belongs to this mode: paper and live have keys of their own")]
    except VenueError as error:
        return [_problem("venue", error, "check the network, the addresses in the settings and the venue's status page")]


def _account(account: Account, settings: Settings) -> list[Finding]:
    expected = settings.alpaca.account_number
    findings = [_ok("venue", f"account {account.account_number}: equity {account.equity}, cash {account.cash}")]
    if account.blocks:
        problem = SafetyRefused(f"the account may not trade: {', '.join(account.blocks)}")
        findings.append(_problem("flags", problem, "the broker's page says why"))
    else:
        findings.append(_ok("flags", f"none forbids trading; buying power {account.buying_power}, multiplier {account.multiplier}"))
    if expected and expected != account.account_number:
        problem = SafetyRefused(f"the credentials belong to {account.account_number}, the settings expect {expected}")
        findings.append(_problem("venue", problem, "mend alpaca.account_number or the credentials"))
    return findings


async def _symbols(venue: AlpacaVenue, settings: Settings) -> list[Finding]:
    """Say which symbols of the strategies the broker does not know or does not trade."""
    try:
        roster = load_roster(settings)
    except StrategyError:
        return []  # Said by the check of the strategies.
    try:
        assets = await venue.assets(sorted({symbol for strategy in roster for symbol in strategy.symbols}))
    except VenueError as error:
        return [_warning("symbols", f"whether the broker trades them is not known: {error}", "ask again later")]
    findings = []
    for strategy in roster:
        for remark in broker_remarks(strategy.symbols, strategy.symbols_held, assets):
            findings.append(_warning("symbols", f"{strategy.name}: {remark}", "take it out of the strategy, or trade it elsewhere"))
    return findings or [_ok("symbols", f"{len(assets)} symbols are known to the broker, and those that may be held are traded there")]


async def _market_data(venue: AlpacaVenue, settings: Settings) -> list[Finding]:
    """Ask for one symbol on the feed of the settings: the plan of the account may not include it."""
    feed = settings.alpaca.feed
    try:
        found = await venue.snapshots([ANY_SYMBOL])
    except (VenueUnavailable, RateLimited) as error:
        return [_warning("market data", f"whether the plan includes the feed {feed} is not known: {error}", "ask again later")]
    except VenueError as error:
        problem = ConfigError(f"the account's market data plan does not include the feed {feed}: {error}")
        return [_problem("market data", problem, "set alpaca.feed to one of the plan (iex is free), or change the plan")]
    if ANY_SYMBOL not in found:
        return [_warning("market data", f"the feed {feed} knows nothing of {ANY_SYMBOL}", "look whether alpaca.data_url is the right one")]
    return [_ok("market data", f"the plan includes the feed {feed}")]


async def _time(venue: AlpacaVenue, clock: Clock) -> list[Finding]:
    before = clock.now()
    theirs = await venue.now()
    after = clock.now()
    offset = abs((theirs - (before + (after - before) / 2)).total_seconds())
    text = f"this machine's clock is {offset:.1f} s from the broker's"
    if offset > OFFSET_SECONDS_AT_MOST:
        return [_warning("clock", text, "set the clock (chrony, systemd-timesyncd); unless the venue is a drill with a time of its own")]
    if offset > OFFSET_SECONDS_WANTED:
        return [_warning("clock", text, "keep the clock in step with chrony or systemd-timesyncd")]
    return [_ok("clock", text)]


async def _calendar(venue: AlpacaVenue, clock: Clock) -> list[Finding]:
    ours = TradingCalendar.new_york()
    today = new_york_date(clock.now())
    until = min(today + CALENDAR_AHEAD, ours.last_day)
    if until <= today:
        problem = DataError(f"this version's table of sessions ends on {ours.last_day}")
        return [_problem("calendar", problem, "install a newer version")]
    sessions = await venue.sessions(today, until)
    if not sessions:
        return [_warning("calendar", f"the broker names no session until {until}", "look whether the venue is the right one")]
    theirs = TradingCalendar.from_sessions(sessions, start=today, end=until)
    differences = [str(difference) for difference in ours.differences(theirs)]
    if differences:
        return [_warning("calendar", "; ".join(differences), "the broker's calendar is right more often: look before that day")]
    return [_ok("calendar", f"the same as the broker's until {until}")]


def _ok(check: str, text: str) -> Finding:
    return Finding(check=check, verdict="ok", text=text)


def _warning(check: str, text: str, remedy: str) -> Finding:
    return Finding(check=check, verdict="warning", text=text, remedy=remedy)


def _problem(check: str, error: AlchemiserError, remedy: str) -> Finding:
    return Finding(check=check, verdict="problem", text=str(error), remedy=remedy, exit_code=error.exit_code)
