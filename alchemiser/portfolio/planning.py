"""From the answers of the strategies to the request that a plan is made of: what is held, what it is worth, and who trades today.

The rebalancer asks for a plan in order to carry it out; a preview asks for the same one and sends nothing.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal

import msgspec
from msgspec import Struct, field

from alchemiser.domain.account import Account, Asset, BrokerPosition
from alchemiser.domain.events import RebalancePlanned, StrategyFailed, TargetProposed
from alchemiser.domain.money import ZERO, from_float
from alchemiser.domain.rebalancing import Header, why_not_due
from alchemiser.domain.runtime import Clock
from alchemiser.domain.trading import TradingScopes
from alchemiser.domain.venue import Venue
from alchemiser.portfolio.constraints import Volatility
from alchemiser.portfolio.ledger import Ledger
from alchemiser.portfolio.plan import Check, PlanRequest, PlanRules, plan_rebalance
from alchemiser.portfolio.standing import StandingTargets

Books = Mapping[str, Mapping[str, Decimal]]
"""The shares that each strategy holds of each symbol."""

MakeCheck = Callable[[datetime, Books, Account, Sequence[BrokerPosition], Mapping[str, Asset], frozenset[str]], Check]
"""Makes the pre-trade check of a moment from the books, the account, its positions, the assets and the symbols with a fresh price."""


class PortfolioParts(Struct, frozen=True):
    """What plans are made with.

    ``mids`` gives the mid of a symbol from a usable quote, or ``None``; ``assets`` what the broker says of the symbols; ``unfinished``
    tells the id of the rebalance whose orders may still fill, if there is one; ``standing`` what each strategy traded to last;
    ``half_spreads`` half the quoted spread of a symbol as a fraction of its mid; ``trading`` what may be traded at all. Prices are taken
    to ``price_decimals`` places; ``catch_up`` has the ledger told what happened to the account without a trade, ``hear_of_the_night``
    only if nobody has told it since the session opened.
    """

    venue: Venue
    ledger: Ledger
    clock: Clock
    publish: Callable[..., Awaitable[object]]
    mids: Callable[[str, datetime], float | None]
    assets: Callable[[Sequence[str]], Awaitable[dict[str, Asset]]]
    check: MakeCheck
    rules: PlanRules
    allocations: Mapping[str, Decimal]
    unfinished: Callable[[], str | None]
    standing: StandingTargets = field(default_factory=StandingTargets)
    half_spreads: Callable[[str, datetime], float | None] = lambda symbol, now: None
    volatility: Volatility = lambda weights: None
    trading: TradingScopes = field(default_factory=TradingScopes)
    price_decimals: int = 6
    catch_up: Callable[[], Awaitable[object]] | None = None
    hear_of_the_night: Callable[[], Awaitable[None]] | None = None

    def shares(self) -> dict[str, Decimal]:
        """Return each strategy's share of the equity; one that has a book and is no longer in the settings has none."""
        return {**dict.fromkeys(self.ledger.books, ZERO), **self.allocations}


class Decision(Struct):
    """The answers of the strategies to one decision; ``headers`` are those of the strategies that may keep what they hold.

    ``is_flatten`` says that somebody ordered everything to be sold, whatever the state of a strategy is.
    """

    rebalance_id: str
    session: date
    targets: dict[str, dict[str, float] | None] = field(default_factory=dict)
    prices: dict[str, float] = field(default_factory=dict)
    headers: dict[str, Header] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    is_scheduled: bool = True
    is_flatten: bool = False

    def add(self, answer: TargetProposed | StrategyFailed) -> None:
        """Take in the answer of one strategy."""
        if isinstance(answer, TargetProposed):
            self.targets[answer.strategy] = answer.weights
            self.failures.pop(answer.strategy, None)
            self.headers[answer.strategy] = answer.header
            self.prices.update(answer.prices)
        else:
            self.targets[answer.strategy] = None
            self.failures[answer.strategy] = answer.reason

    def why_no_plan(self) -> str | None:
        """Return why no plan can be made of the answers, ``None`` when at least one strategy has a target."""
        if len(self.failures) < len(self.targets):
            return None
        return "no strategy computed a target: " + "; ".join(f"{name}: {reason}" for name, reason in self.failures.items())


async def plan_decision(
    parts: PortfolioParts, decision: Decision, account: Account, positions: Sequence[BrokerPosition]
) -> RebalancePlanned:
    """Return the plan that follows from a decision. Raises ``OrderDenied`` and ``VenueError`` when none can be made."""
    books = {}
    for name, book in parts.ledger.books.items():
        books[name] = book.holdings()
    known: set[str] = set()
    for symbols_of in (*books.values(), *decision.targets.values()):
        if symbols_of:
            known.update(symbols_of)
    symbols = sorted(known)
    assets = await parts.assets(symbols)
    now = parts.clock.now()
    prices, half_spreads, fresh = _priced(parts, symbols, decision, positions, now)
    held_back = _held_back(parts, decision, books, prices)
    kept = {**decision.failures, **held_back}
    request = PlanRequest(
        at=now,
        rebalance_id=decision.rebalance_id,
        session=decision.session,
        cash=account.cash,
        books=books,
        targets={**decision.targets, **dict.fromkeys(held_back)} if held_back else decision.targets,
        allocations=parts.shares(),
        prices=prices,
        assets=assets,
        rules=parts.rules,
        kept=kept,
        standing=parts.standing.weights_of(kept),
        half_spreads=half_spreads,
        reducing=parts.trading.reducing(decision.targets),
    )
    plan = plan_rebalance(request, parts.check(now, books, account, positions, assets, fresh), parts.volatility)
    return msgspec.structs.replace(plan, is_flatten=True) if decision.is_flatten else plan


def _priced(
    parts: PortfolioParts, symbols: Sequence[str], decision: Decision, positions: Sequence[BrokerPosition], now: datetime
) -> tuple[dict[str, Decimal], dict[str, float], frozenset[str]]:
    """Return the mid of each symbol; where no quote is usable, the price of the decision, then the broker's.

    And half the spread of usable quotes as a fraction, and the symbols that have a price of this moment.
    """
    prices: dict[str, Decimal] = {}
    half_spreads: dict[str, float] = {}
    fresh = set(decision.prices)
    mid_of, half_spread_of, decimals = parts.mids, parts.half_spreads, parts.price_decimals
    for symbol in symbols:
        mid, half = mid_of(symbol, now), half_spread_of(symbol, now)
        if mid is not None:
            fresh.add(symbol)
        if half is not None:
            half_spreads[symbol] = half
        if mid := mid or decision.prices.get(symbol):
            price: Decimal | None = from_float(mid, decimals)
        else:
            price = _price_at_broker(symbol, positions)
        if price:  # What is worth less than its last decimal has none.
            prices[symbol] = price
    return prices, half_spreads, frozenset(fresh)


def _price_at_broker(symbol: str, positions: Sequence[BrokerPosition]) -> Decimal | None:
    for position in positions:
        if position.symbol == symbol:
            return position.current_price
    return None


def _held_back(parts: PortfolioParts, decision: Decision, books: Books, prices: Mapping[str, Decimal]) -> dict[str, str]:
    """Return the strategies that keep what they hold today, each with the reason: they may not trade, or their headers let them."""
    found: dict[str, str] = {}
    for name in decision.targets if parts.trading.by_scope and not decision.is_flatten else ():
        reason = parts.trading.keeps(name)
        if reason is not None:
            found[name] = reason
    for name, header in decision.headers.items() if decision.is_scheduled else ():
        standing = parts.standing.by_strategy.get(name)
        if standing is None:
            continue  # The first target is always acted upon.
        reason = why_not_due(
            header,
            today=decision.session,
            acted_on=standing.session,
            target=decision.targets[name] or {},
            previous=standing.weights,
            # Only a corridor asks for them.
            actual={} if header.threshold is None else _weights_held(books.get(name, {}), prices),
        )
        if reason is not None:
            found.setdefault(name, reason)
    return found


def _weights_held(book: Mapping[str, Decimal], prices: Mapping[str, Decimal]) -> dict[str, float]:
    """Return the weights of what a strategy holds among its own holdings; what has no price stops the plan elsewhere."""
    values = {symbol: float(quantity * prices[symbol]) for symbol, quantity in sorted(book.items()) if symbol in prices}
    total = sum(values.values())
    return {symbol: value / total for symbol, value in values.items()} if total > 0 else {}
