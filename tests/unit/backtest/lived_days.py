"""Sessions as they are lived, told to ledger and day record as the bus tells them: what the tests of live against backtest are made of.

Two strategies share an account: ``one`` and ``two``, half each. Each decides by a table of weights that a test writes, on real panels.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count

import numpy as np
from msgspec import Struct

from alchemiser.backtest.live_day import DayPrices, compare_day
from alchemiser.bus.envelope import Envelope
from alchemiser.domain.account import Account
from alchemiser.domain.activities import AccountActivity
from alchemiser.domain.day_comparison import StrategyDay
from alchemiser.domain.events import (
    AccountObserved,
    DaemonStarted,
    DecisionDue,
    Event,
    LedgerCompared,
    OrderFilled,
    OrderIntended,
    RebalancePlanned,
    SessionOpened,
    StrategyFailed,
    TargetProposed,
)
from alchemiser.domain.ids import client_order_id, rebalance_id
from alchemiser.domain.intents import Crossing, Intent, Wish
from alchemiser.domain.market import Session
from alchemiser.domain.orders import Fill, NewOrder, OrderType, Side, TimeInForce
from alchemiser.domain.rebalancing import Frequency, Header
from alchemiser.market.history import DailyHistory
from alchemiser.portfolio.day import DayFacts, DayRecord
from alchemiser.portfolio.handler import ON_SCHEDULE
from alchemiser.portfolio.ledger import Ledger
from alchemiser.portfolio.standing import StandingTargets
from alchemiser.strategies.answers import answer_of
from alchemiser.strategies.live_panel import LivePanel
from alchemiser.strategies.outcome import NotComputable, Proposal
from alchemiser.strategies.panel import Panel, PricePanel

D = Decimal
SYMBOLS = ("AAA", "BBB")
FIRST = date(2025, 3, 3)


class Table(Struct):
    """A strategy that wants what its table says of a day; ``None`` and days without a row cannot be computed."""

    name: str
    wants: dict[date, Mapping[str, float] | None]
    allocation: float = 0.5
    header: Header = Header(Frequency.DAILY)
    symbols: tuple[str, ...] = SYMBOLS
    symbols_held: tuple[str, ...] = SYMBOLS
    bars_needed: int = 2
    bars_settled: int = 2
    is_large: bool = False

    def on(self, panel: Panel) -> "Bound":
        """Return the strategy bound to prices."""
        return Bound(self, panel)


class Bound(Struct):
    """A table on a panel."""

    table: Table
    panel: Panel

    def decide(self, place: int, *, explain: bool = True) -> Proposal | NotComputable:
        """Return what the table says of that session."""
        wanted = self.table.wants.get(self.panel.session(place))
        return NotComputable(("the table says nothing",)) if wanted is None else Proposal(dict(sorted(wanted.items())))


def history_before(day: date) -> DailyHistory:
    """Return five flat bars of each symbol before a day."""
    days = np.arange(day.toordinal() - 5, day.toordinal())
    history = DailyHistory()
    for symbol, close in zip(SYMBOLS, (10.0, 20.0), strict=True):
        history.add_ordinals(symbol, days, np.full(5, close))
    return history


def session_of(day: date) -> Session:
    """Return the session of a day."""
    begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return Session(date=day, opens_at=begin + timedelta(hours=14, minutes=30), closes_at=begin + timedelta(hours=21))


def intent(symbol: str, side: Side, price: str, **wishes: str) -> Intent:
    """Return an intent of some strategies."""
    parts = tuple(Wish(strategy=name, quantity=D(shares)) for name, shares in sorted(wishes.items()))
    total = sum((part.quantity for part in parts), D(0))
    return Intent(intent_id=symbol, symbol=symbol, side=side, quantity=total, reference_price=D(price), drift=0.5, wishes=parts)


class LivedDays:
    """A ledger and a day record, fed with what a test says has happened."""

    def __init__(self, strategies: Sequence[Table], equity: str = "2000") -> None:
        self.strategies = strategies
        self.ledger = Ledger(self.feed)
        self.standing = StandingTargets()
        self.record = DayRecord(lambda: self.ledger.books, lambda: self.standing.by_strategy)
        self.day = FIRST
        self.at = session_of(FIRST).opens_at - timedelta(hours=1)
        self.events: list[Event] = []
        self._waiting: list[Event] = []
        self._is_busy = False
        self._numbers = count(1)
        shares = {strategy.name: strategy.allocation for strategy in strategies}
        self.feed(DaemonStarted(at=self.at, mode="paper", version="0", epoch="e", account_number="A", strategies=shares))
        self.observe(equity)

    def feed(self, event: Event) -> None:
        """Publish an event; what follows from it comes after it."""
        self._waiting.append(event)
        if self._is_busy:
            return
        self._is_busy = True
        while self._waiting:
            self.events.append(now := self._waiting.pop(0))
            envelope = Envelope(len(self.events), now, 0.0)
            for part in (self.ledger, self.standing, self.record):
                if isinstance(now, part.listens_to):
                    part(envelope)
        self._is_busy = False

    def observe(self, equity: str) -> None:
        """Look at the account."""
        account = Account(account_number="A", cash=D(equity), equity=D(equity), buying_power=D(equity), multiplier=1)
        self.feed(AccountObserved(at=self.at, account=account, positions=(), reason="test"))

    def open(self, day: date) -> None:
        """Open a session."""
        self.day, self.at = day, session_of(day).opens_at
        self.feed(SessionOpened(at=self.at, session=session_of(day)))

    @property
    def key(self) -> str:
        """The rebalance of the day."""
        return rebalance_id(self.day, 1)

    def decide(
        self, live: Mapping[str, float], *, reason: str = ON_SCHEDULE, others: Iterable[TargetProposed | StrategyFailed] = ()
    ) -> None:
        """Have every strategy answer on real prices, but for the answers that a test gives."""
        self.at = session_of(self.day).closes_at - timedelta(minutes=10)
        self.feed(DecisionDue(at=self.at, rebalance_id=self.key, session=self.day, reason=reason))
        history = history_before(self.day)
        panel = LivePanel(PricePanel.before(history, self.day), self.day, live, version_of=history.version_of)
        given = {answer.strategy: answer for answer in others}
        for strategy in self.strategies:
            answer = answer_of(strategy, panel, panel.last, at=self.at, rebalance_id=self.key)
            self.feed(given.get(strategy.name, answer))

    def plan(
        self,
        capital: Mapping[str, str],
        prices: Mapping[str, str],
        intents: Iterable[Intent] = (),
        crossings: Iterable[Crossing] = (),
        *,
        number: int = 1,
        is_flatten: bool = False,
    ) -> None:
        """Plan the day, and intend an order for each intent."""
        plan = RebalancePlanned(
            at=self.at,
            rebalance_id=rebalance_id(self.day, number),
            session=self.day,
            equity=D(2000),
            cash=D(0),
            target={},
            prices={symbol: D(price) for symbol, price in prices.items()},
            capital={name: D(dollars) for name, dollars in capital.items()},
            intents=tuple(intents),
            denials=(),
            crossings=tuple(crossings),
            is_flatten=is_flatten,
        )
        self.feed(plan)
        for one in plan.intents:
            order = NewOrder(
                client_order_id=client_order_id("e", plan.rebalance_id, one.intent_id, 1),
                symbol=one.symbol,
                side=one.side,
                quantity=one.quantity,
                order_type=OrderType.LIMIT,
                time_in_force=TimeInForce.DAY,
                limit_price=one.reference_price,
            )
            self.feed(OrderIntended(at=self.at, rebalance_id=plan.rebalance_id, intent_id=one.intent_id, attempt=1, order=order))

    def fill(self, symbol: str, side: Side, shares: str, price: str, *, key: str | None = None) -> Fill:
        """Fill the order of a symbol, of today's rebalance unless said otherwise."""
        filled = Fill(
            execution_id=f"x{next(self._numbers)}",
            client_order_id=client_order_id("e", key or self.key, symbol, 1),
            venue_order_id="v",
            symbol=symbol,
            side=side,
            quantity=D(shares),
            price=D(price),
            at=self.at,
        )
        self.feed(OrderFilled(at=self.at, fill=filled))
        return filled

    def row(self, kind: str, amount: str, symbol: str | None = None, quantity: str | None = None) -> None:
        """Have the broker tell of something without a trade."""
        self.at += timedelta(minutes=1)
        activity = AccountActivity(
            activity_id=f"r{next(self._numbers)}",
            kind=kind,
            on=self.day,
            at=self.at,
            amount=D(amount),
            symbol=symbol,
            quantity=None if quantity is None else D(quantity),
        )
        self.ledger.take([activity], {})

    def close(self, equity: str = "2000") -> DayFacts:
        """End the session and return what was taken down."""
        self.at = session_of(self.day).closes_at
        self.observe(equity)
        self.feed(LedgerCompared(at=self.at, session=self.day, differences=()))
        assert self.record.ended is not None
        return self.record.ended

    def compared(
        self,
        closes: Mapping[str, str],
        before: Mapping[str, str] | None = None,
        *,
        strategies: Sequence[Table] | None = None,
        history: DailyHistory | str | None = None,
    ) -> dict[str, StrategyDay]:
        """Compare the session that has ended; ``strategies`` are those of the backtest, the same ones unless said otherwise."""
        facts = self.record.ended
        assert facts is not None
        prices = DayPrices(
            closes={symbol: D(close) for symbol, close in closes.items()},
            before={symbol: D(close) for symbol, close in (before or {}).items()},
        )
        bars = history_before(self.day) if history is None else history
        return {day.strategy: day for day in compare_day(facts, strategies or self.strategies, bars, prices)}
