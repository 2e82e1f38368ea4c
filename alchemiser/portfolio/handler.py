"""The rebalancer: collects the targets of a decision, looks at the account once, and publishes the plan.

At the end of a session it compares the ledger with the broker and reports the result. The arithmetic is in ``plan`` and ``ledger``.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal

from msgspec import Struct, field

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.account import Account, Asset, BrokerPosition
from alchemiser.domain.errors import OrderDenied, VenueError
from alchemiser.domain.events import (
    AccountObserved,
    DecisionDue,
    FlattenOrdered,
    LedgerCompared,
    RebalanceParked,
    RebalancePlanned,
    ResultReported,
    SessionClosed,
    StrategyFailed,
    TargetProposed,
)
from alchemiser.domain.money import ZERO, from_float
from alchemiser.domain.rebalancing import Header, why_not_due
from alchemiser.domain.runtime import Clock
from alchemiser.domain.venue import Venue
from alchemiser.portfolio.constraints import Volatility
from alchemiser.portfolio.ledger import Ledger
from alchemiser.portfolio.plan import Check, PlanRequest, PlanRules, plan_rebalance
from alchemiser.portfolio.standing import StandingTargets

ON_SCHEDULE = "schedule"
"""The reason of a decision that the timetable asked for. What somebody asked for by hand is acted upon whatever the headers say."""


class PortfolioParts(Struct, frozen=True):
    """What the rebalancer works with.

    ``mids`` gives the mid of a symbol from a usable quote, or ``None``; ``assets`` what the broker says of the symbols; ``check`` makes
    the pre-trade check of a moment from the account, its positions, the assets and the symbols that have a fresh price; ``unfinished``
    tells the id of the rebalance whose orders may still fill, if there is one; ``standing`` what each strategy traded to last;
    ``half_spreads`` half the quoted spread of a symbol as a fraction of its mid.
    """

    venue: Venue
    ledger: Ledger
    clock: Clock
    publish: Callable[..., Awaitable[object]]
    mids: Callable[[str, datetime], float | None]
    assets: Callable[[Sequence[str]], Awaitable[dict[str, Asset]]]
    check: Callable[[datetime, Account, Sequence[BrokerPosition], Mapping[str, Asset], frozenset[str]], Check]
    rules: PlanRules
    allocations: Mapping[str, Decimal]
    unfinished: Callable[[], str | None]
    standing: StandingTargets = field(default_factory=StandingTargets)
    half_spreads: Callable[[str, datetime], float | None] = lambda symbol, now: None
    volatility: Volatility = lambda weights: None


RESULT_PAUSES_SECONDS = (2.0, 8.0)
"""Pauses between attempts to look at the account when a session has closed: its result is not to be had later."""


class _Collection(Struct):
    """The answers of the strategies to one decision; ``headers`` are those of the strategies that may keep what they hold."""

    rebalance_id: str
    session: date
    targets: dict[str, dict[str, float] | None] = field(default_factory=dict)
    prices: dict[str, float] = field(default_factory=dict)
    headers: dict[str, Header] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    is_scheduled: bool = True


class Rebalancer:
    """Plans one rebalance at a time."""

    listens_to = (DecisionDue, FlattenOrdered, TargetProposed, StrategyFailed, SessionClosed)

    def __init__(self, parts: PortfolioParts) -> None:
        self._parts = parts
        self._collecting: _Collection | None = None

    async def handle(self, envelope: Envelope) -> None:
        """Deal with a decision, a strategy's answer, or the end of a session."""
        match envelope.event:
            case DecisionDue(rebalance_id=rebalance_id, session=session, reason=reason):
                await self._supersede(rebalance_id)
                self._collecting = _Collection(rebalance_id, session, is_scheduled=reason == ON_SCHEDULE)
            case FlattenOrdered(rebalance_id=rebalance_id, session=session):
                await self._supersede(rebalance_id)
                # Nothing wanted by anybody: the plan sells whatever the books hold, also of strategies that are no longer in the settings.
                nothing: dict[str, dict[str, float] | None] = {name: {} for name in self._allocations()}
                await self._finish(_Collection(rebalance_id, session, targets=nothing))
            case TargetProposed() | StrategyFailed() as answer:
                await self._collect(answer)
            case SessionClosed(session=session):
                await self._close_books(session.date)
            case _:
                pass

    async def _collect(self, answer: TargetProposed | StrategyFailed) -> None:
        collection = self._collecting
        if collection is None or collection.rebalance_id != answer.rebalance_id:
            return
        if isinstance(answer, TargetProposed):
            collection.targets[answer.strategy] = dict(answer.weights)
            collection.headers[answer.strategy] = answer.header
            collection.prices.update(answer.prices)
        else:
            collection.targets[answer.strategy] = None
            collection.failures[answer.strategy] = answer.reason
        if len(collection.targets) < len(self._parts.allocations):
            return
        await self._finish(collection)

    async def _supersede(self, newer: str) -> None:
        """End a decision that still waits for answers: every decision ends, or who waits for its end waits for ever."""
        collection, self._collecting = self._collecting, None
        if collection is not None:
            reason = f"{newer} took its place before every strategy had answered"
            await self._parts.publish(self._parked(collection, reason), correlation=collection.rebalance_id)

    async def _finish(self, collection: _Collection) -> None:
        self._collecting = None
        try:
            event = await self._plan(collection)
        except (VenueError, OrderDenied) as error:
            event = self._parked(collection, f"no plan was made: {error}")
        await self._parts.publish(event, correlation=collection.rebalance_id)

    async def _plan(self, collection: _Collection) -> RebalancePlanned | RebalanceParked:
        if all(weights is None for weights in collection.targets.values()):
            failures = "; ".join(f"{name}: {reason}" for name, reason in collection.failures.items())
            return self._parked(collection, f"no strategy computed a target: {failures}")
        unfinished = self._parts.unfinished()
        if unfinished is not None:
            return self._parked(collection, f"rebalance {unfinished} is in progress; its orders may still fill")
        account, positions = await self._observe("decision")
        if account.blocks:
            return self._parked(collection, f"the account may not trade: {', '.join(account.blocks)}")
        books = {name: book.holdings() for name, book in self._parts.ledger.books.items()}
        symbols = sorted(
            {symbol for weights in collection.targets.values() for symbol in weights or {}} | set(self._parts.ledger.holdings())
        )
        now = self._parts.clock.now()
        prices = self._prices(symbols, collection, positions, now)
        held_back = self._held_back(collection, books, prices)
        assets = await self._parts.assets(symbols)
        request = PlanRequest(
            at=now,
            rebalance_id=collection.rebalance_id,
            session=collection.session,
            cash=account.cash,
            books=books,
            targets={name: None if name in held_back else weights for name, weights in collection.targets.items()},
            allocations=self._allocations(),
            prices=prices,
            assets=assets,
            rules=self._parts.rules,
            kept={**collection.failures, **held_back},
            standing={name: standing.weights for name, standing in self._parts.standing.by_strategy.items()},
            half_spreads={symbol: half for symbol in symbols if (half := self._parts.half_spreads(symbol, now)) is not None},
        )
        fresh = frozenset(symbol for symbol in symbols if symbol in collection.prices or self._parts.mids(symbol, now) is not None)
        check = self._parts.check(now, account, positions, assets, fresh)
        return plan_rebalance(request, check, self._parts.volatility)

    def _allocations(self) -> dict[str, Decimal]:
        """Return each strategy's share; one that has a book and is no longer in the settings has none."""
        return {**dict.fromkeys(self._parts.ledger.books, ZERO), **self._parts.allocations}

    def _held_back(
        self, collection: _Collection, books: Mapping[str, Mapping[str, Decimal]], prices: Mapping[str, Decimal]
    ) -> dict[str, str]:
        """Return the strategies whose headers let them keep what they hold today, each with the reason."""
        found: dict[str, str] = {}
        for name, header in collection.headers.items() if collection.is_scheduled else ():
            standing = self._parts.standing.by_strategy.get(name)
            reason = why_not_due(
                header,
                today=collection.session,
                acted_on=standing.session if standing else None,
                target=collection.targets[name] or {},
                previous=standing.weights if standing else {},
                actual=_weights_held(books.get(name, {}), prices),
            )
            if reason is not None:
                found[name] = reason
        return found

    def _prices(
        self, symbols: Sequence[str], collection: _Collection, positions: Sequence[BrokerPosition], now: datetime
    ) -> dict[str, Decimal]:
        """Return the mid of each symbol; where no quote is usable, the price of the decision, then the broker's."""
        at_broker = {position.symbol: position.current_price for position in positions}
        prices: dict[str, Decimal] = {}
        for symbol in symbols:
            mid = self._parts.mids(symbol, now) or collection.prices.get(symbol)
            price = from_float(mid) if mid else at_broker.get(symbol)
            if price:
                prices[symbol] = price
        return prices

    def _parked(self, collection: _Collection, reason: str) -> RebalanceParked:
        return RebalanceParked(at=self._parts.clock.now(), rebalance_id=collection.rebalance_id, reason=reason, outcomes=())

    async def _observe(self, reason: str) -> tuple[Account, tuple[BrokerPosition, ...]]:
        account = await self._parts.venue.account()
        positions = await self._parts.venue.positions()
        await self._parts.publish(AccountObserved(at=self._parts.clock.now(), account=account, positions=positions, reason=reason))
        return account, positions

    async def _close_books(self, session: date) -> None:
        """Look at the account at the end of a session, name what differs from the ledger, and report the result."""
        for pause in (*RESULT_PAUSES_SECONDS, None):
            try:
                account, positions = await self._observe("session closed")
                break
            except VenueError as error:
                if pause is None:
                    silence = (f"the broker could not be asked: {error}",)
                    await self._parts.publish(LedgerCompared(at=self._parts.clock.now(), session=session, differences=silence))
                    return
                await self._parts.clock.sleep(pause)
        held = {position.symbol: position.quantity for position in positions}
        differences = self._parts.ledger.differences(held, account.cash)
        now = self._parts.clock.now()
        await self._parts.publish(LedgerCompared(at=now, session=session, differences=differences))
        marks = {position.symbol: position.current_price for position in positions if position.current_price is not None}
        books = self._parts.ledger.books
        await self._parts.publish(
            ResultReported(
                at=now,
                session=session,
                equity=account.equity,
                cash=account.cash,
                realised={name: books[name].realised for name in sorted(books)},
                unrealised={name: books[name].unrealised(marks) if marks else ZERO for name in sorted(books)},
            )
        )


def _weights_held(book: Mapping[str, Decimal], prices: Mapping[str, Decimal]) -> dict[str, float]:
    """Return the weights of what a strategy holds among its own holdings; what has no price stops the plan elsewhere."""
    values = {symbol: float(quantity * prices[symbol]) for symbol, quantity in sorted(book.items()) if symbol in prices}
    total = sum(values.values())
    return {symbol: value / total for symbol, value in values.items()} if total > 0 else {}
