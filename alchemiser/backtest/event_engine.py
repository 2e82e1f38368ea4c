"""The event-driven backtest: session after session through the daemon's own handlers, on virtual time, against the exchange in memory.

Every target becomes a plan, every intent passes the pre-trade checks, is worked by a tactic, lives at the exchange as an order and is
booked by the ledger. With ``close`` the decision is made one minute before the end of the session at the price of its close; with
``next-open`` it is made on the closes of a session, and planned and filled one minute after the next one has opened, at its open. With
``path`` it is planned at that moment too, and worked as the daemon works it: limits on the peg ladder against quotes that move along a path
inside the bar, with the spread of a fund of that turnover and the displayed sizes of an order book. With recorded minutes it is made inside
the session on what is known then, and filled at that price or, with ``path``, worked along the minutes that follow.

Without costs it gives the equity of the vector engine. With costs the plan keeps back what a whole turn of the account would cost, as the
daemon keeps its reserve: what is bought can be paid.
"""

import asyncio
import gc
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial
from random import Random
from typing import Any

from msgspec.structs import replace

from alchemiser.backtest.event_desk import Desk, DeskParts, DeskRules
from alchemiser.backtest.event_market import BoundDecider, EventMarket, bound
from alchemiser.backtest.event_notes import Notes
from alchemiser.backtest.intraday import Intraday
from alchemiser.backtest.leap import LeapingClock, run_leaping
from alchemiser.backtest.memory_venue import MemoryVenue
from alchemiser.backtest.metrics import metrics_of
from alchemiser.backtest.minute_market import MinuteMarket
from alchemiser.backtest.record import Recorder
from alchemiser.backtest.result import BacktestResult, Charges, Opens, Terms, run_range
from alchemiser.bus.begun import breathe
from alchemiser.domain.errors import UsageError
from alchemiser.domain.events import QuoteUpdated, SessionClosed, SessionOpened
from alchemiser.domain.market import Quote, Session
from alchemiser.domain.money import ONE, ZERO, from_float
from alchemiser.exchange.assets import listing
from alchemiser.exchange.engine import Exchange
from alchemiser.exchange.settings import ExchangeSettings
from alchemiser.execution.ladder import LadderRules
from alchemiser.market.calendar import TradingCalendar, regular_session
from alchemiser.portfolio.band import Band
from alchemiser.portfolio.plan import PlanRules
from alchemiser.risk.checks import RiskLimits
from alchemiser.strategies.base import LoadedStrategy
from alchemiser.strategies.panel import PricePanel

MINUTE = timedelta(minutes=1)
PULSE = timedelta(seconds=1)
"""How often the market is looked at while orders are worked along a path."""
PRICE_DECIMALS = 15
"""Adjusted prices are taken as they are: no tape has printed them, and rounding them would be another history."""

SMALLEST_ORDER = Decimal("0.000001")
"""Dollars. The last share fractions of a plan, which rounding leaves, are not worth an order."""

SMALLEST_IN_CENTS = Decimal("0.02")
"""Dollars. What a purchase lacks because cash moves by whole cents counts as bought."""

ROUNDING_LEAVES = 1e-13
"""So much of the cash at the start may be left by rounding: of billions that is more than the smallest order."""

_BASIS_POINTS = 10_000.0
_LONGEST_BREAK = timedelta(days=25)
_TURN = 2
"""Selling everything and buying something else pays the costs twice."""


def _nobody_waits(over: int, of: int) -> None:
    """Tell nobody."""


def run_event(
    strategies: Sequence[LoadedStrategy],
    panel: PricePanel,
    terms: Terms,
    *,
    timer: Callable[[], float],
    start: date | None = None,
    end: date | None = None,
    opens: Opens | None = None,
    recorder: Recorder | None = None,
    charges: Charges | None = None,
    intraday: Intraday | None = None,
    lived: Callable[[int, int], object] = _nobody_waits,
) -> BacktestResult:
    """Run the strategies as :func:`~alchemiser.backtest.vector.run_vector` does, with the same parameters and the same result.

    With ``intraday`` each session is lived along its recorded minutes, from the first to the last day that can be unless the range says
    otherwise; ``panel`` then holds the daily closes of the same history. ``lived`` is told after each session how many are over, and of how
    many.

    Raises ``DataError`` when there is no session in that range, and ``InvariantBroken`` when a handler fails or books and exchange differ.
    """
    if terms.flows:
        raise UsageError("deposits and withdrawals need the vector engine; the event engine's account has only its own trades")
    began = timer()
    deciders = {strategy.name: BoundDecider(strategy, panel) for strategy in strategies}
    first, last = run_range(panel, deciders, start, _last_of(intraday, end))
    if intraday is None:
        unopened = opens or Opens({}) if terms.fill == "next-open" else None
        strategies = [bound(strategy, panel, opens=unopened) for strategy in strategies]
    elif start is None:
        first = max(first, panel.place_through(intraday.days()[0]))
    with _few_collections():
        days = [panel.session(place) for place in range(first, last + 1)]
        run = _Run(strategies, panel, terms, opens or Opens({}), charges or Charges(), first, days, intraday)
        run_leaping(run.clock, partial(run.all_sessions, lived))
    notes = run.notes
    if recorder is not None:
        notes.hand_over(recorder, days, first)
    return BacktestResult(
        engine="event",
        start=days[0],
        end=days[-1],
        sessions=len(days),
        metrics=metrics_of(
            notes.equity, initial=terms.cash, traded_shares=notes.traded_shares, costs=notes.costs, risk_free=terms.risk_free
        ),
        dates=days,
        equity=notes.equity,
        targets=notes.targets,
        failures=notes.failures,
        seconds=timer() - began,
    )


class _Run:
    """One run: its market, its exchange, its desk, and the order of a day."""

    def __init__(
        self,
        strategies: Sequence[LoadedStrategy],
        panel: PricePanel,
        terms: Terms,
        opens: Opens,
        charges: Charges,
        first: int,
        days: Sequence[date],
        intraday: Intraday | None,
    ) -> None:
        half_spread = terms.slippage_bps / _BASIS_POINTS + charges.spread_bps / _BASIS_POINTS / 2
        # The usual hours, for daily bars do not know of half days.
        self._sessions = [regular_session(day) if intraday is None else intraday.session(day) for day in days]
        self._intraday = intraday
        self._first = first
        self._fills_at_close = terms.fill == "close"
        self._moves = terms.fill == "path"
        self.clock = LeapingClock(self._sessions[0].opens_at - MINUTE)
        symbols = sorted({symbol for strategy in strategies for symbol in strategy.symbols_held})
        self._exchange = _exchange(terms, charges, symbols, self._sessions, self.clock.now())
        self._held = held = self._exchange.positions
        self.market = (
            EventMarket(panel, opens, half_spread=half_spread, held=held, in_whole=terms.whole_shares)
            if intraday is None
            else MinuteMarket(panel, intraday, half_spread=half_spread, held=held, in_whole=terms.whole_shares)
        )
        self._venue = MemoryVenue(self._exchange, self.clock, news=self.market.news)
        self._desk = Desk(
            DeskParts(
                strategies=strategies,
                market=self.market,
                venue=self._venue,
                clock=self.clock,
                calendar=TradingCalendar.from_sessions(self._sessions),
                windows=_windows(self._sessions, is_next=not self._fills_at_close and intraday is None),
                rules=_rules(half_spread, terms, charges),
            )
        )
        self.notes = Notes(panel, terms, charges, {strategy.name: strategy.allocation for strategy in strategies}, self._desk, self.market)

    async def all_sessions(self, lived: Callable[[int, int], object]) -> None:
        """Live through every session, telling of each when it is over."""
        desk = self._desk
        async with desk.running():
            await desk.start()
            for number, session in enumerate(self._sessions):
                await self._through(self._first + number, session)
                lived(number + 1, len(self._sessions))

    async def _through(self, place: int, session: Session) -> None:
        desk, notes = self._desk, self.notes
        self._turn(session.opens_at)
        notes.session_began(place)
        desk.bus.post(SessionOpened(at=session.opens_at, session=session))
        if self._intraday is not None:
            self._show_all(place, self._intraday.decides_at(session.date), is_open=True, live=session if self._moves else None)
            self.market.place = place
            await self._worked(desk.decide(session.date))
        elif not self._fills_at_close and place > self._first:
            at = session.opens_at + MINUTE
            self._show_all(place, at, is_open=True, live=session if self._moves else None)
            self.market.place = place - 1
            await self._worked(desk.decide(self.market.panel.session(place - 1)))
        at = session.closes_at - MINUTE
        self._show_all(place, at, is_open=False)
        if self._fills_at_close and self._intraday is None:
            self.market.place = place
            await desk.decide(session.date)
        self._turn(session.closes_at)
        await desk.until_over(SessionClosed(at=session.closes_at, session=session))

    async def _worked(self, deciding: Coroutine[Any, Any, None]) -> None:
        """Let the market move while a decision is worked, where it does."""
        async with asyncio.TaskGroup() as group:
            pulse = group.create_task(self._pulse(), name="market") if self._moves else None
            await deciding
            if pulse is not None:
                pulse.cancel("nothing is being worked")

    async def _pulse(self) -> None:
        """Show the exchange every second, and whenever it has something to do, what the market has become."""
        while True:
            now, due = self.clock.now(), self._exchange.next_due()
            soon = now + PULSE
            await self.clock.sleep_until(soon if due is None or due <= now else min(due, soon))
            now = self.clock.now()
            self._exchange.advance(now)
            for symbol in dict.fromkeys(order.request.symbol for order in self._desk.orders.open_orders()):
                self._venue.show((symbol,), now)
                if isinstance(quote := self.market.quote(symbol, now), Quote):
                    sides = {"bid": quote.bid, "bid_size": quote.bid_size, "ask": quote.ask, "ask_size": quote.ask_size}
                    self._desk.bus.post(QuoteUpdated(at=now, symbol=symbol, **sides))
            await breathe()  # What a quote leads to is decided before the orders are heard of, as they come to the daemon.
            self._venue.tell()

    def _turn(self, at: datetime) -> None:
        self.clock.turn_to(at)
        self._exchange.advance(at)
        self._venue.tell()

    def _show_all(self, place: int, at: datetime, *, is_open: bool, live: Session | None = None) -> None:
        """Let the exchange see the prices of a moment of everything that is held."""
        self._turn(at)
        self.market.turn_to(place, at, is_open=is_open, live=live)
        self._venue.show(self._held, at)


def _last_of(intraday: Intraday | None, end: date | None) -> date | None:
    if intraday is None:
        return end
    last = intraday.days()[-1]
    return last if end is None else min(last, end)


def _windows(sessions: Sequence[Session], *, is_next: bool) -> dict[date, Session]:
    """Return for each day the session in which its decision is worked."""
    worked = sessions[1:] if is_next else sessions
    return {session.date: window for session, window in zip(sessions, worked, strict=False)}


def _smallest_order(terms: Terms) -> Decimal:
    return max(SMALLEST_ORDER, from_float(terms.cash * ROUNDING_LEAVES))


def _rules(half_spread: float, terms: Terms, charges: Charges) -> DeskRules:
    if terms.fill == "path":  # As the daemon trades unless its settings say otherwise.
        plan = PlanRules(fractional=not terms.whole_shares)
        return DeskRules(plan=plan, ladder=LadderRules(), limits=RiskLimits(), price_decimals=6)
    smallest = max(_smallest_order(terms), SMALLEST_IN_CENTS if charges.in_cents else ZERO)
    kept_back = from_float(min(_TURN * half_spread, 0.5), decimals=12)
    return DeskRules(
        plan=PlanRules(
            band=Band(absolute=0.0, relative=0.0, is_cost_aware=False),
            cash_reserve=kept_back,
            minimum_notional=_smallest_order(terms),
            fractional=not terms.whole_shares,
        ),
        ladder=LadderRules(rungs=(), max_orders_per_session=1_000_000, market_cushion=ONE, smallest_order=smallest),
        limits=RiskLimits(minimum_notional=ZERO),
        price_decimals=PRICE_DECIMALS,
    )


def _exchange(terms: Terms, charges: Charges, symbols: Sequence[str], sessions: Sequence[Session], opened_at: datetime) -> Exchange:
    known = {session.date: session for session in _without_holes(sessions)}
    settings = ExchangeSettings(
        cash=from_float(terms.cash),
        fees=charges.fees,
        cash_in_cents=charges.in_cents,
        margin_interest=charges.margin_rate > 0.0,
        interest_rate=from_float(charges.margin_rate),
        equity_by_minute=False,
    )
    if terms.fill != "path":
        settings = _at_one_price(settings, _smallest_order(terms))
    return Exchange(settings=settings, assets=listing(symbols), sessions=known.get, random=Random(0), opened_at=opened_at)  # noqa: S311


def _at_one_price(settings: ExchangeSettings, smallest_order: Decimal) -> ExchangeSettings:
    """Return the settings of a market that has one price at a moment, fills everything at it, and answers at once."""
    return replace(
        settings,
        engine="instant",
        multiplier="4",
        acknowledge_ms=0,
        match_ms=0,
        cancel_ms=0,
        replace_ms=0,
        price_decimals=PRICE_DECIMALS,
        smallest_order=smallest_order / 2,
        refuse_margin_deficits=False,
    )


def _without_holes(sessions: Sequence[Session]) -> Iterator[Session]:
    """Yield the sessions, and others in breaks so long that the exchange would take them for the end of its calendar."""
    before: Session | None = None
    for session in sessions:
        while before is not None and session.date - before.date > _LONGEST_BREAK:
            before = regular_session(before.date + _LONGEST_BREAK)
            yield before
        yield session
        before = session
    assert before is not None
    yield regular_session(before.date + timedelta(days=1))  # On which the trades of the last session settle.


@contextmanager
def _few_collections() -> Iterator[None]:
    """Look for garbage rarely: a run keeps what it makes, and to walk over all of it again and again finds nothing."""
    before = gc.get_threshold()
    gc.set_threshold(200_000, 50, 1_000)
    try:
        yield
    finally:
        gc.set_threshold(*before)
