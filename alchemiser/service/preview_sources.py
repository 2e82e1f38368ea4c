"""A preview without a running daemon: asked of the venue, with the books of the journal; or made of a folder's closes, from cash."""

from decimal import Decimal
from functools import partial

from alchemiser.domain.account import Asset
from alchemiser.domain.errors import ConfigError, DataError, OrderDenied
from alchemiser.domain.events import Event
from alchemiser.domain.money import from_float
from alchemiser.journal.reader import JournalReader
from alchemiser.market.calendar import TradingCalendar
from alchemiser.market.history import DailyHistory
from alchemiser.market.quotes import QuoteBook
from alchemiser.market.volatility import yearly_volatility
from alchemiser.portfolio.plan import PlanRequest, plan_rebalance
from alchemiser.portfolio.planning import Decision, PortfolioParts
from alchemiser.risk.checks import Circumstances, check_intent
from alchemiser.risk.pre_trade import PreTrade
from alchemiser.service.broker import names_broker, open_broker
from alchemiser.service.decision_market import DecisionMarket
from alchemiser.service.history_source import daily_bars_of
from alchemiser.service.offline import JOURNAL_FILE
from alchemiser.service.preview import PREVIEW, Preview, preview_now, shown, without_plan
from alchemiser.service.recovery import recover
from alchemiser.service.roster import load_roster
from alchemiser.service.rules import plan_rules, risk_limits
from alchemiser.service.settings import Settings
from alchemiser.service.state import JournaledState
from alchemiser.service.usable_quotes import UsableQuotes
from alchemiser.strategies.answers import answer_all, answer_of
from alchemiser.strategies.aside import in_thread
from alchemiser.strategies.base import symbols_of
from alchemiser.strategies.panel import PricePanel


async def preview_at_venue(settings: Settings) -> Preview:
    """Return what the venue's account would trade now, with the books of the journal in the state directory, if there is one.

    Raises ``ConfigError`` without credentials and addresses, ``VenueError`` when the venue cannot be asked.
    """
    if not names_broker(settings):
        raise ConfigError("a plan of the account needs credentials; without them name a folder of prices with --bars DIR")
    roster = load_roster(settings)
    async with open_broker(settings) as (venue, clock):
        await venue.account()  # wrong credentials end it here, in one line
        state, quotes, calendar = _state(settings), QuoteBook(), TradingCalendar.new_york()
        symbols = sorted({symbol for strategy in roster for symbol in strategy.symbols} | set(state.ledger.holdings()))
        market = DecisionMarket(
            venue=venue,
            quotes=quotes,
            clock=clock,
            post=_nobody_listens,
            symbols=symbols,
            sessions_needed=max(settings.market.history_sessions, *(strategy.bars_needed for strategy in roster), 1),
            max_age_seconds=settings.market.quote_max_age_seconds,
            daily_bars=daily_bars_of(settings, venue, clock, in_thread),
        )
        for snapshot in (await venue.snapshots(symbols)).values():
            if snapshot.quote is not None:
                quotes.observe(snapshot.quote)

        usable = UsableQuotes(quotes, lambda: settings.market.quote_max_age_seconds)
        parts = PortfolioParts(
            venue=venue,
            ledger=state.ledger,
            clock=clock,
            publish=_published,
            mids=usable.mid,
            assets=venue.assets,
            check=PreTrade(
                orders=state.orders,
                parked=state.parked,
                trading=state.trading,
                quotes=quotes,
                calendar=calendar,
                cut_off=settings.execution.cutoff.at,
                limits=risk_limits(settings),
                mids=usable.mid,
                allocations=settings.allocations(),
            ).check,
            rules=plan_rules(settings),
            allocations=settings.allocations(),
            unfinished=state.rebalances.unfinished_id,
            standing=state.standing,
            half_spreads=usable.half_spread,
            volatility=partial(market.volatility, sessions=settings.portfolio.volatility_sessions),
            trading=state.trading.scopes,
        )
        return await preview_now(parts, partial(answer_all, roster, symbols_of(roster), market, PREVIEW, clock=clock), calendar)


def preview_on_bars(settings: Settings, history: DailyHistory, panel: PricePanel, cash: Decimal) -> Preview:
    """Return what an account of that much cash and nothing else would trade at the last close of a panel.

    Every symbol is taken for tradable in fractions, and no spread is known. Raises ``DataError`` when there is no bar at all.
    """
    roster = load_roster(settings)
    place = panel.last
    session = TradingCalendar.new_york().session(panel.session(place))
    if session is None:
        raise DataError(f"the last bar is of {panel.session(place)}, when the exchange was closed")
    now = session.closes_at
    given = [answer_of(strategy, panel, place, at=now, rebalance_id=PREVIEW) for strategy in roster]
    decision = Decision(PREVIEW, session.date)
    for answer in given:
        decision.add(answer)
    reason = decision.why_no_plan()
    if reason is not None:
        return without_plan(now, given, reason)
    prices = {symbol: from_float(price) for symbol, price in sorted(decision.prices.items())}
    assets = {symbol: Asset(symbol=symbol, is_tradable=True, is_fractionable=True) for symbol in prices}
    circumstances = Circumstances(at=now, held={}, assets=assets, fresh=frozenset(prices), buying_power=cash)
    request = PlanRequest(
        at=now,
        rebalance_id=PREVIEW,
        session=session.date,
        cash=cash,
        books={},
        targets=decision.targets,
        allocations=settings.allocations(),
        prices=prices,
        assets=assets,
        rules=plan_rules(settings),
        kept=decision.failures,
    )
    try:
        plan = plan_rebalance(
            request,
            partial(check_intent, now=circumstances, limits=risk_limits(settings)),
            partial(yearly_volatility, history, sessions=settings.portfolio.volatility_sessions),
        )
    except OrderDenied as error:
        return without_plan(now, given, f"no plan can be made: {error}")
    return shown(plan, given)


def _state(settings: Settings) -> JournaledState:
    """Return what the journal of the state directory says; nothing, when there is none."""
    state = JournaledState(_nobody_listens)
    path = settings.service.state / JOURNAL_FILE
    if path.exists():
        with JournalReader.open(path) as reader:
            recover(state, reader)
    return state


def _nobody_listens(event: Event) -> None:
    """Take an event that only a running daemon would pass on."""


async def _published(event: Event, **_: object) -> None:
    raise AssertionError(f"a preview published {type(event).__name__}")
