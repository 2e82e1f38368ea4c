"""The facts of one session that the backtest recomputes it from: an inline component that follows from journaled events alone.

It takes down what the books held when the session began, the answers of the strategies with what they saw, the plan and what was held
when it was made, every trade, and what the books held when the session had ended. A session ends when the ledger has been compared with
the broker; after a crash at the first recovery after its close, at the latest when the next one opens. What ended waits until it has been
compared, also through a restart.

It judges nothing: that is the business of ``backtest.live_day``.
"""

from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal

import msgspec

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.activities import Treatment
from alchemiser.domain.events import (
    AccountObserved,
    ActivityBooked,
    BookEntry,
    DaemonStarted,
    DayCompared,
    DecisionDue,
    DecisionMissed,
    Event,
    FillBooked,
    FillBroken,
    KillSwitchPulled,
    LedgerCompared,
    OrderFilled,
    RebalanceParked,
    RebalancePlanned,
    RecoveryCompleted,
    SessionOpened,
    SettingsReloaded,
    StrategyFailed,
    StrategyReloaded,
    TargetProposed,
)
from alchemiser.domain.ids import is_of_a_kill, split_client_order_id
from alchemiser.domain.market import Session
from alchemiser.domain.memory import Remembering
from alchemiser.domain.money import ZERO
from alchemiser.portfolio.lots import Book
from alchemiser.portfolio.standing import StandingTarget

Answer = TargetProposed | StrategyFailed


class BookAt(msgspec.Struct, frozen=True, kw_only=True):
    """What a strategy held at a moment, in shares by symbol, and the sum of all cash that had flowed into its book, in dollars."""

    holdings: dict[str, Decimal] = {}
    cash_flow: Decimal = ZERO


class Traded(msgspec.Struct, frozen=True, kw_only=True):
    """A booked execution: of which rebalance, ``None`` for one that nobody knows, and whether it was booked before the plan was made."""

    rebalance_id: str | None
    symbol: str
    entries: tuple[BookEntry, ...]
    is_before_plan: bool


class DayFacts(msgspec.Struct, kw_only=True):
    """One session. Amounts in dollars, shares signed, everything by strategy.

    ``equity`` is the account's before the session, ``shares`` the parts of it that the strategies have. ``start`` is what the books held
    when the session before had ended, ``marks`` the closes of that session where they are known. ``held`` is what the books held when the
    plan was made, before anything was crossed; ``standing`` what each strategy had traded to last. ``orders`` and ``broken`` are the orders
    of executions, and the executions that were taken back, by their ids. ``fees`` is what was charged for trading, ``income`` all other
    cash without a trade. ``spoilt`` says why no strategy of the session can be compared, ``spoilt_of`` why
    one cannot; ``no_plan`` why there was none.
    """

    session: Session | None = None
    equity: Decimal | None = None
    shares: dict[str, float] = {}
    start: dict[str, BookAt] = {}
    marks: dict[str, Decimal] = {}
    decision: DecisionDue | None = None
    answers: dict[str, Answer] = {}
    standing: dict[str, StandingTarget] = {}
    plan: RebalancePlanned | None = None
    held: dict[str, dict[str, Decimal]] = {}
    orders: dict[str, str] = {}
    broken: dict[str, None] = {}
    trades: dict[str, Traded] = {}
    fees: dict[str, Decimal] = {}
    income: dict[str, Decimal] = {}
    spoilt: str | None = None
    spoilt_of: dict[str, str] = {}
    no_plan: str | None = None
    end: dict[str, BookAt] = {}

    def symbols(self) -> set[str]:
        """Return every symbol that was held, wanted or traded."""
        found = {symbol for books in (self.start, self.end) for book in books.values() for symbol in book.holdings}
        found |= {symbol for held in self.held.values() for symbol in held}
        found |= {symbol for answer in self.answers.values() if isinstance(answer, TargetProposed) for symbol in answer.weights}
        return found | {trade.symbol for trade in self.trades.values()}


class DayMemory(msgspec.Struct, kw_only=True):
    """The session in progress, the one that has ended and waits to be compared, the equity last seen in dollars, the shares now."""

    today: DayFacts = msgspec.field(default_factory=DayFacts)
    ended: DayFacts | None = None
    equity: Decimal | None = None
    shares: dict[str, float] = {}


class DayRecord(Remembering):
    """Takes down the facts of the session.

    ``books`` are those of the ledger and ``standing`` the targets that strategies follow; both must have applied an event before this.
    """

    memory_type = DayMemory
    listens_to: tuple[type[Event], ...] = (
        DaemonStarted,
        SettingsReloaded,
        RecoveryCompleted,
        AccountObserved,
        SessionOpened,
        DecisionDue,
        DecisionMissed,
        TargetProposed,
        StrategyFailed,
        StrategyReloaded,
        RebalancePlanned,
        RebalanceParked,
        OrderFilled,
        FillBooked,
        FillBroken,
        ActivityBooked,
        KillSwitchPulled,
        LedgerCompared,
        DayCompared,
    )

    def __init__(self, books: Callable[[], Mapping[str, Book]], standing: Callable[[], Mapping[str, StandingTarget]]) -> None:
        self._books = books
        self._standing = standing
        self.today = DayFacts()
        self.ended: DayFacts | None = None
        self._equity: Decimal | None = None
        self._shares: dict[str, float] = {}

    def __call__(self, envelope: Envelope) -> None:
        """Apply one event."""
        event, today = envelope.event, self.today
        match event:
            case OrderFilled() | FillBooked() | FillBroken() | ActivityBooked():
                self._book(event)
            case DaemonStarted(strategies=shares) | SettingsReloaded(strategies=shares):
                self._shares = dict(shares)
                if today.plan is None:
                    today.shares = dict(shares)
            case AccountObserved(account=account):
                self._equity = account.equity
                if today.session is None or today.equity is None:
                    today.equity = account.equity
            case SessionOpened(session=session) if today.session is None or session.date > today.session.date:
                self._open(session)
            case RecoveryCompleted(at=at) if today.session is not None and at >= today.session.closes_at:
                self._end()
            case LedgerCompared(session=session) if today.session is not None and session == today.session.date:
                self._end()
            case DayCompared() as done if self._waits(done.session):
                self.ended, today.marks = None, dict(done.closes)
            case _:
                self._decide(event)

    def _decide(self, event: Event) -> None:
        """Take down what belongs to the decision and its plan."""
        today = self.today
        match event:
            case DecisionDue() if today.plan is None:
                today.decision, today.answers, today.standing = event, {}, dict(self._standing())
            case TargetProposed() | StrategyFailed() if today.decision is not None and event.rebalance_id == today.decision.rebalance_id:
                today.answers[event.strategy] = _without_its_path(event)
            case StrategyReloaded(strategy=name) if name in today.answers:
                today.spoilt_of[name] = "its file was changed after the decision"
            case DecisionMissed(reason=reason) if today.plan is None:
                today.no_plan = reason
            case RebalanceParked(rebalance_id=key, reason=reason) if today.plan is None and self._is_of_today(key):
                today.no_plan = reason
            case RebalancePlanned() as plan:
                self._plan(plan)
            case KillSwitchPulled(by=by):
                today.spoilt = f"the kill switch was pulled by {by}"
            case _:
                pass

    def _is_of_today(self, rebalance_id: str) -> bool:
        return self.today.decision is not None and self.today.decision.rebalance_id == rebalance_id

    def _plan(self, plan: RebalancePlanned) -> None:
        today = self.today
        if plan.is_flatten or is_of_a_kill(plan.rebalance_id):
            today.spoilt = today.spoilt or "somebody had everything sold"
        elif today.plan is not None:
            both = f"{today.plan.rebalance_id} and {plan.rebalance_id}"
            today.spoilt = today.spoilt or f"{both} were planned; only a session of one plan is compared"
        elif today.decision is None or today.decision.rebalance_id != plan.rebalance_id:
            today.spoilt = today.spoilt or f"the answers that {plan.rebalance_id} was made of are not known"
        if today.plan is None:
            today.plan, today.held = plan, self._held_before(plan)

    def _held_before(self, plan: RebalancePlanned) -> dict[str, dict[str, Decimal]]:
        """Return what the books held before the crossings of the plan, which the ledger has booked by now."""
        held = {name: book.holdings() for name, book in sorted(self._books().items())}
        for crossing in plan.crossings:
            for name, quantity in ((crossing.seller, crossing.quantity), (crossing.buyer, -crossing.quantity)):
                book = held.setdefault(name, {})
                book[crossing.symbol] = book.get(crossing.symbol, ZERO) + quantity
        return {name: {symbol: quantity for symbol, quantity in book.items() if quantity} for name, book in held.items()}

    def _book(self, event: Event) -> None:
        """Take down what changed the books."""
        today = self.today
        match event:
            case OrderFilled(fill=fill):
                today.orders[fill.execution_id] = fill.client_order_id
            case FillBooked(execution_id=key, symbol=symbol, entries=entries) if key not in today.broken:
                named = split_client_order_id(today.orders.get(key, ""))
                today.trades[key] = Traded(
                    rebalance_id=named[1] if named else None, symbol=symbol, entries=entries, is_before_plan=today.plan is None
                )
            case FillBroken(fill=fill):
                # One of an earlier session is not among them; the books then do not add up, which the comparison says.
                today.trades.pop(fill.execution_id, None)
                today.broken[fill.execution_id] = None  # Its booking may still be on the way, and books nothing any more.
            case ActivityBooked() as booked:
                self._book_activity(booked)
            case _:
                pass

    def _book_activity(self, booked: ActivityBooked) -> None:
        today = self.today
        for entry in booked.entries:
            if booked.treatment is Treatment.FEE:
                today.fees[entry.strategy] = today.fees.get(entry.strategy, ZERO) - entry.cash
            else:
                today.income[entry.strategy] = today.income.get(entry.strategy, ZERO) + entry.cash
            if entry.quantity and today.plan is not None:
                today.spoilt_of[entry.strategy] = f"its shares of {entry.symbol} changed without a trade after the decision"

    def _open(self, session: Session) -> None:
        if self.today.session is not None:
            self._end()  # Nobody saw it close.
        self.today.session = session

    def _end(self) -> None:
        """Keep the session for the comparison, and begin the next with what the books hold now."""
        now = {name: BookAt(holdings=book.holdings(), cash_flow=book.cash_flow) for name, book in sorted(self._books().items())}
        self.ended = self.today
        self.ended.end = now
        self.today = DayFacts(equity=self._equity, shares=dict(self._shares), start=now)

    def _waits(self, session: date) -> bool:
        return self.ended is not None and self.ended.session is not None and self.ended.session.date == session


def _without_its_path(answer: Answer) -> Answer:
    """Return an answer without the path it took, which is in the journal and long."""
    return msgspec.structs.replace(answer, explanation=(), tree=None) if isinstance(answer, TargetProposed) else answer
