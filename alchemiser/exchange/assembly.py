"""How an exchange is put together: the market from a folder of bars or from a seed, and the core that trades on it."""

from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from random import Random
from typing import Any, Final

from alchemiser.domain.errors import DataError
from alchemiser.domain.market import Session
from alchemiser.exchange.assets import listing
from alchemiser.exchange.bars import BarFolder, DailySource
from alchemiser.exchange.corporate_actions import corporate_actions, splits
from alchemiser.exchange.engine import Exchange
from alchemiser.exchange.generator import SyntheticMarket
from alchemiser.exchange.issuer_actions import actions_of
from alchemiser.exchange.persistence import SavedState
from alchemiser.exchange.recorded_path import RecordedSource
from alchemiser.exchange.recordings import Recordings
from alchemiser.exchange.settings import ExchangeSettings
from alchemiser.exchange.tape import MarketTape
from alchemiser.market.calendar import TradingCalendar, new_york_date

SYNTHETIC_LAST_DAY: Final = date(2025, 3, 31)
"""The last session that a synthetic market plays when nobody says which."""


def open_tape(
    *,
    bars: Path | None,
    calendar: TradingCalendar,
    seed: int,
    dividends: bool = False,
    splits: bool = False,
    halts: bool = False,
    recordings: Recordings | None = None,
    day: date | None = None,
) -> MarketTape:
    """Return the market of every symbol of a folder, or without one the synthetic market of the shipped strategies' symbols.

    ``dividends`` and ``splits`` let the synthetic market have some; a folder has those of its files. ``halts`` stops symbols of either.
    With ``recordings`` it is the market of what was recorded on ``day``, by default the last day of them; what came before that day is
    known from ``bars``, or else from the recordings themselves. Raises ``DataError`` for a folder or a file that cannot be read.
    """
    if recordings is not None:
        recorded: DailySource = RecordedSource(recordings, calendar) if bars is None else BarFolder(bars)
        day = day or max((day for symbol in recordings.symbols for day in recordings.days(symbol)), default=None)
        symbols = () if day is None else recordings.on(day)
        if not symbols:
            raise DataError(f"no trade was recorded on {day}")
        return MarketTape(recorded, calendar, symbols, seed, halts=halts, recordings=recordings)
    source: DailySource = SyntheticMarket(calendar, seed, dividends=dividends, splits=splits) if bars is None else BarFolder(bars)
    return MarketTape(source, calendar, source.symbols, seed, halts=halts)


def chosen_sessions(tape: MarketTape, *, start: date | None, days: int | None, is_synthetic: bool) -> tuple[Session, ...]:
    """Return the sessions that are played: ``days`` from ``start`` on, or the last ones that the longest histories allow.

    Raises ``DataError`` when the bars do not reach that far.
    """
    longest = _longest(tape)
    if start is None and is_synthetic:
        return tape.calendar.sessions(tape.bounds(longest).first.date, SYNTHETIC_LAST_DAY)[-(days or 1) :]
    if start is None:
        return tape.last_sessions(days or 1, longest)
    return tape.sessions_from(start, days or 1, longest)


def open_core(*, settings: ExchangeSettings, tape: MarketTape, seed: int, opened_at: datetime, saved: SavedState | None = None) -> Exchange:
    """Return a fresh exchange for the tape's symbols, or the one that was saved; its randomness follows from ``seed``."""
    random = Random(seed)  # noqa: S311 - partial fills and ids of a simulation
    calendar = tape.calendar

    def sessions(on: date) -> Session | None:
        return calendar.session(on) if calendar.first_day <= on <= calendar.last_day else None

    assets = listing(tape.symbols, overnight=settings.overnight)
    if saved is not None:
        core = Exchange.restore(saved.core, settings=settings, assets=assets, sessions=sessions, random=random)
        _announce_actions(core, settings, tape, tape.symbols, saved.at)
        return core
    core = Exchange(settings=settings, assets=assets, sessions=sessions, random=random, opened_at=opened_at)
    _announce_actions(core, settings, tape, tape.symbols, opened_at)
    for symbol in tape.symbols:
        before = _last_close(tape, symbol, opened_at)
        if before is not None:
            core.on_previous_close(symbol, before)
    return core


def list_symbols(
    core: Exchange, tape: MarketTape, symbols: Sequence[str], now: datetime, *, settings: ExchangeSettings, last_day: date
) -> list[str]:
    """List more symbols of the tape's source while the exchange runs, and return those that were not listed yet.

    Raises ``DataError`` when the source lacks one of them, or its bars do not go from today to the last day that is played.
    """
    more = [symbol for symbol in symbols if symbol not in tape.symbols]
    tape.add(more, reaching=(new_york_date(now), last_day))
    for symbol in more:
        core.list_asset(listing([symbol], overnight=settings.overnight)[symbol], _last_close(tape, symbol, now))
    if more:
        _announce_actions(core, settings, tape, more, now)
    return more


def _last_close(tape: MarketTape, symbol: str, now: datetime) -> float | None:
    """Return what a symbol closed at before the session that is open, or the next one."""
    session = tape.calendar.session_at(now) or tape.calendar.next_session(now)
    before = tape.previous_bar(symbol, session.opens_at, seen_at=now)
    return None if before is None else before.close


def _announce_actions(core: Exchange, settings: ExchangeSettings, tape: MarketTape, symbols: Sequence[str], now: datetime) -> None:
    """Schedule the splits to come, and the dividends where they are paid at all."""
    last = max((tape.bounds([symbol]).last for symbol in symbols), key=lambda session: session.date)
    today = new_york_date(now)
    groups: dict[str, list[dict[str, Any]]] = {}
    for symbol in symbols:
        for group, row in splits(tape, symbol, today, last.date):
            groups.setdefault(group, []).append(row)
    if settings.dividends:
        paid = corporate_actions(tape, symbols, today, last.date, last.closes_at)
        groups["cash_dividends"] = paid.get("cash_dividends", [])
    if groups:
        core.announce(actions_of(groups), now)


def _longest(tape: MarketTape) -> Sequence[str]:
    """Return the symbols whose bars reach furthest: one that ended early does not shorten the market of the others."""
    ends = {symbol: tape.bounds([symbol]).last.date for symbol in tape.symbols}
    return [symbol for symbol in tape.symbols if ends[symbol] == max(ends.values())]
