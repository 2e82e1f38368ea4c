"""Everything that can happen. Who has read this file knows what the daemon can do.

Events are immutable, named in the past tense, and carry when they happened (UTC). The facts and decisions among them are journaled;
the class says so with ``journaled``. Market data is not journaled: the prices that a decision used are part of that decision.
Who publishes and who listens is in ``service/daemon.py``.
"""

from datetime import date, datetime
from decimal import Decimal
from typing import Any, ClassVar

import msgspec

from alchemiser.domain.account import Account, BrokerPosition
from alchemiser.domain.activities import AccountActivity, ActivityEntry, LotMethod, Treatment
from alchemiser.domain.day_comparison import StrategyDay
from alchemiser.domain.intents import Adjustment, Crossing, Denial, Intent, IntentOutcome
from alchemiser.domain.market import Bar, Quote, Session
from alchemiser.domain.money import ZERO
from alchemiser.domain.orders import ExecutionReport, Fill, NewOrder, Side
from alchemiser.domain.rebalancing import Frequency, Header
from alchemiser.domain.reconciliation import Difference, Parking
from alchemiser.domain.setting_change import SettingChange
from alchemiser.domain.shortfall import Shortfall


class Event(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Something that happened at ``at``.

    Somebody waits for the durability of what is ``is_awaited``: a request follows from it. What is ``is_plain`` holds nothing that can
    change, so it may be encoded for the journal later than it was taken.
    """

    journaled: ClassVar[bool] = True
    is_awaited: ClassVar[bool] = False
    is_plain: ClassVar[bool] = False
    at: datetime


# --- the process ---


class DaemonStarted(Event, frozen=True, kw_only=True):
    """The process began with these settings; ``epoch`` is the name of this journal, part of every client order id.

    From then on sales close lots by ``lots``; ``specific`` are the lots that a person named, by symbol.
    """

    mode: str
    version: str
    epoch: str
    account_number: str
    strategies: dict[str, float]
    lots: LotMethod = LotMethod.FIFO
    specific: dict[str, tuple[str, ...]] = {}


class JournalTailDropped(Event, frozen=True, kw_only=True):
    """The journal did not end with a whole commit: what is after ``last_event`` was dropped, as ``reason`` says in words.

    ``torn_bytes`` are those of a commit that did not end, which was promised to nobody. ``promised_event`` is the newest event that had
    been durable and is gone, ``None`` when none is; what it was about the comparison with the venue cannot find altogether, so trading is
    halted then.
    """

    last_event: int
    torn_bytes: int
    promised_event: int | None
    reason: str


class RecoveryCompleted(Event, frozen=True, kw_only=True):
    """The journal was read, the venue was asked, and what was missed has been published."""

    events_replayed: int
    fills_recovered: int
    open_orders: int


class DaemonStopping(Event, frozen=True, kw_only=True):
    """The process was asked to stop; nothing new is begun."""

    reason: str


class StopStage(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one stage of a stop: ``done``, ``timed out`` or ``skipped``, and what it ``left`` undone, in words."""

    name: str
    outcome: str
    seconds: float
    limit_seconds: float
    left: str = ""


class DaemonStopped(Event, frozen=True, kw_only=True):
    """The last event of a run that stopped in order.

    ``open_orders`` may still be open at the venue; ``unconfirmed`` are those of them that were to be cancelled. ``stages`` are the stages
    of the stop that were walked before this was written.
    """

    open_orders: tuple[str, ...]
    unconfirmed: tuple[str, ...] = ()
    stages: tuple[StopStage, ...] = ()


class HandlerFailed(Event, frozen=True, kw_only=True):
    """A handler raised while it dealt with the event of that sequence number; ``action`` is what the supervisor did."""

    handler: str
    event_type: str
    sequence: int
    error: str
    action: str


class MailboxFilled(Event, frozen=True, kw_only=True):
    """A mailbox reached its bound and holds its publishers back."""

    journaled: ClassVar[bool] = False
    handler: str
    depth: int


# --- streams ---


class StreamConnected(Event, frozen=True, kw_only=True):
    """A stream is authorised and subscribed. ``stream`` is ``orders`` or ``market``."""

    stream: str


class StreamLost(Event, frozen=True, kw_only=True):
    """A stream ended; it is being connected again."""

    stream: str
    reason: str


class GapOpened(Event, frozen=True, kw_only=True):
    """Messages of a stream may have been missed since then; nothing is submitted while the gap is open."""

    stream: str
    since: datetime
    reason: str


class GapClosed(Event, frozen=True, kw_only=True):
    """What the gap may have hidden has been asked for and applied."""

    stream: str
    since: datetime
    fills_recovered: int


class StreamSilent(Event, frozen=True, kw_only=True):
    """A stream is connected and says nothing although it should; it is being connected again."""

    stream: str
    since: datetime
    reason: str


class FrameUnreadable(Event, frozen=True, kw_only=True):
    """A frame could not be read; it is kept as it came, cut to 2,000 characters."""

    stream: str
    raw: str
    error: str


# --- reconciliation ---


class ReconciliationDue(Event, frozen=True, kw_only=True):
    """It is time to compare everything with the venue: on the timer, or because somebody asked. ``number`` tells requests apart."""

    journaled: ClassVar[bool] = False
    reason: str
    number: int = 0


class ReconciliationStarted(Event, frozen=True, kw_only=True):
    """The venue is being asked for everything; nothing is submitted meanwhile."""

    reason: str


class ReconciliationFailed(Event, frozen=True, kw_only=True):
    """The venue could not be compared with.

    ``code`` is ``venue_unavailable``, ``credentials_refused`` or ``venue_refused``. Where messages may be missing nothing is submitted
    until a later attempt succeeds, which ``retries`` says will be made; otherwise the next one is made when it is due.
    """

    reason: str
    code: str
    error: str
    retries: bool


class Reconciled(Event, frozen=True, kw_only=True):
    """Our state was compared with the venue's and follows it from here on: one step, in one record of the journal.

    ``reports`` are what we had not heard of, oldest first; ``differences`` all that was found, ``parked`` the symbols of which nothing is
    sent from now on, all of them. ``attempts`` is how often the venue was asked until its answers fitted together.
    """

    reason: str
    attempts: int
    reports: tuple[ExecutionReport, ...]
    differences: tuple[Difference, ...]
    parked: dict[str, Parking]


class SymbolParked(Event, frozen=True, kw_only=True):
    """Nothing of a symbol is sent until a reconciliation agrees or somebody clears it."""

    symbol: str
    parking: Parking


class SymbolCleared(Event, frozen=True, kw_only=True):
    """Somebody cleared a parked symbol; the next reconciliation judges anew."""

    symbol: str
    by: str
    reason: str


# --- market data ---


class QuoteUpdated(Event, frozen=True, kw_only=True):
    """The best bid or offer of a symbol changed. Sizes in shares."""

    journaled: ClassVar[bool] = False
    symbol: str
    bid: float
    bid_size: float
    ask: float
    ask_size: float

    def quote(self) -> Quote:
        """Return the quote as a value."""
        return Quote(symbol=self.symbol, bid=self.bid, bid_size=self.bid_size, ask=self.ask, ask_size=self.ask_size, at=self.at)


class TradePrinted(Event, frozen=True, kw_only=True):
    """A trade of a symbol was printed on the tape."""

    journaled: ClassVar[bool] = False
    symbol: str
    price: float
    size: float


class BarClosed(Event, frozen=True, kw_only=True):
    """A minute bar was completed."""

    journaled: ClassVar[bool] = False
    bar: Bar


class TradingStatusChanged(Event, frozen=True, kw_only=True):
    """Trading of a symbol was halted or resumed."""

    symbol: str
    code: str
    message: str
    is_halted: bool


class SessionOpened(Event, frozen=True, kw_only=True):
    """The regular session of the exchange began."""

    session: Session


class SessionClosed(Event, frozen=True, kw_only=True):
    """The regular session of the exchange ended."""

    session: Session


# --- account ---


class AccountObserved(Event, frozen=True, kw_only=True):
    """The broker was asked for the account and all its positions, in one breath."""

    account: Account
    positions: tuple[BrokerPosition, ...]
    reason: str


# --- decision and plan ---


class DecisionApproached(Event, frozen=True, kw_only=True):
    """In a few minutes it is time to decide: whoever needs history for it fetches it now."""

    journaled: ClassVar[bool] = False
    session: date


class DecisionDue(Event, frozen=True, kw_only=True):
    """It is time to decide."""

    rebalance_id: str
    session: date
    reason: str


class FlattenOrdered(Event, frozen=True, kw_only=True):
    """Somebody asked that everything the strategies hold be sold."""

    rebalance_id: str
    session: date
    by: str


class DecisionMissed(Event, frozen=True, kw_only=True):
    """The time to decide passed without a decision, and it is too late for one; every strategy keeps what it holds."""

    session: date
    reason: str


class StrategyWarned(Event, frozen=True, kw_only=True):
    """A strategy runs, and somebody should know this about it: a symbol that it holds cannot be traded at the broker, for instance."""

    strategy: str
    warnings: tuple[str, ...]


class StrategyFilesChanged(Event, frozen=True, kw_only=True):
    """A symphony file was written, came or went; whoever runs it has a look."""

    journaled: ClassVar[bool] = False


class StrategyReloadPostponed(Event, frozen=True, kw_only=True):
    """The file of a strategy changed and was read; it is taken when what ``reason`` names is over, the strategy goes on until then."""

    strategy: str
    changes: tuple[str, ...]
    reason: str


class StrategyReloaded(Event, frozen=True, kw_only=True):
    """The file of a strategy changed and was taken: the next decision is its; ``changes`` say in words what is different."""

    strategy: str
    changes: tuple[str, ...]


class StrategyNotReloaded(Event, frozen=True, kw_only=True):
    """The file of a strategy changed and was not taken; the strategy goes on as it was."""

    strategy: str
    reason: str


class SettingsReloaded(Event, frozen=True, kw_only=True):
    """The settings were read again and taken, all of them in one step: ``changes`` name what differs, also what waits for the next start.

    ``strategies`` are the shares of the equity from here on, as in ``DaemonStarted``; ``by`` says who asked.
    """

    by: str
    changes: tuple[SettingChange, ...]
    strategies: dict[str, float]


class SettingsNotReloaded(Event, frozen=True, kw_only=True):
    """The settings were read again and something is wrong with them: nothing was changed; ``reason`` names every place to mend."""

    by: str
    reason: str


class TargetProposed(Event, frozen=True, kw_only=True):
    """A strategy computed its target weights; ``prices`` are the last prices it used, ``explanation`` is the path it took.

    ``header`` says when it is acted upon: the strategy decides every day, and may keep what it holds. ``tree`` is the path with its
    numbers, ``None`` for a strategy in Python and for a path too long to keep every day. ``is_fragile`` says that it was close. ``bars``
    is the version of the daily bars that it saw: the same for the same days and closes of its symbols, empty where nobody asked for it.
    """

    rebalance_id: str
    strategy: str
    weights: dict[str, float]
    prices: dict[str, float]
    explanation: tuple[str, ...]
    header: Header = Header(Frequency.DAILY)
    tree: dict[str, Any] | None = None
    is_fragile: bool = False
    bars: str = ""


class StrategyFailed(Event, frozen=True, kw_only=True):
    """A strategy could not compute a target and keeps what it holds; ``prices`` and ``bars`` are what it saw, if it saw any."""

    rebalance_id: str
    strategy: str
    reason: str
    prices: dict[str, float] = {}
    bars: str = ""


class RebalancePlanned(Event, frozen=True, kw_only=True):
    """The account target and the intents that lead to it.

    ``prices`` are the mids of the decision, ``capital`` each strategy's share of the equity in dollars. ``kept`` are the strategies that
    keep what they hold, each with the reason: it failed, or its header holds it back. ``adjustments`` are what the constraints changed, in
    the order in which they did. ``half_spreads`` are halves of the quoted spreads as fractions of the mid, where there was a quote.
    ``is_flatten`` says that somebody ordered everything to be sold.
    """

    rebalance_id: str
    session: date
    equity: Decimal
    cash: Decimal
    target: dict[str, float]
    prices: dict[str, Decimal]
    capital: dict[str, Decimal]
    intents: tuple[Intent, ...]
    denials: tuple[Denial, ...]
    crossings: tuple[Crossing, ...]
    kept: dict[str, str] = {}
    adjustments: tuple[Adjustment, ...] = ()
    half_spreads: dict[str, float] = {}
    is_flatten: bool = False


class RebalanceCompleted(Event, frozen=True, kw_only=True):
    """Every intent of the rebalance ended filled or inside what could be had. ``shortfall`` is what its orders cost."""

    rebalance_id: str
    outcomes: tuple[IntentOutcome, ...]
    shortfall: Shortfall | None = None


class RebalanceParked(Event, frozen=True, kw_only=True):
    """The rebalance ended in a stated partial state; the next decision starts from what there is."""

    rebalance_id: str
    reason: str
    outcomes: tuple[IntentOutcome, ...]
    shortfall: Shortfall | None = None


class ShortfallReported(Event, frozen=True, kw_only=True):
    """What the orders of a rebalance cost, now that the close of its session is known too; ``closes`` are the closes used, in dollars."""

    rebalance_id: str
    session: date
    closes: dict[str, Decimal]
    shortfall: Shortfall


# --- orders ---


class OrderPrepared(Event, frozen=True, kw_only=True):
    """An order may leave under this id as soon as this is durable: of this symbol and side, a day order of at most ``quantity`` shares.

    It is written ahead, while what the order waits for is not there yet, so that it need not wait for the disk then. From here on a crash
    leaves it unknown whether the order is at the venue, until it is intended or this is withdrawn: by :class:`OrderUnprepared`, or by the
    end of its rebalance or of the process.
    """

    is_plain: ClassVar[bool] = True
    rebalance_id: str
    intent_id: str
    attempt: int
    client_order_id: str
    symbol: str
    side: Side
    quantity: Decimal
    tactic: str = ""
    rung: int = 0


class OrderUnprepared(Event, frozen=True, kw_only=True):
    """A prepared order has not left and will not: nothing is to be asked about it."""

    client_order_id: str
    reason: str


class OrderIntended(Event, frozen=True, kw_only=True):
    """An order is about to be sent; this is durable before the request leaves, unless ``is_prepared``: then its preparation is.

    ``tactic``, ``step`` and ``rung`` say why it is sent as it is, ``quote`` is what was seen of the market then; ``replaces`` is the client
    order id of the live order whose place it is to take. ``is_presumed`` is said after a crash of one of which only the preparation was
    left: it may have been sent or not, and its quantity is the most that it can be of until the venue has said what it has.
    """

    is_plain: ClassVar[bool] = True
    rebalance_id: str
    intent_id: str
    attempt: int
    order: NewOrder
    tactic: str = ""
    step: str = ""
    rung: int = 0
    quote: Quote | None = None
    replaces: str | None = None
    is_prepared: bool = False
    is_presumed: bool = False

    @property
    def is_awaited(self) -> bool:  # type: ignore[override] # of this class it differs from event to event
        """Whether a request waits for the durability of this."""
        return not self.is_prepared


class ExecutionReported(Event, frozen=True, kw_only=True):
    """The venue said something about an order."""

    is_plain: ClassVar[bool] = True
    report: ExecutionReport


class OrderFilled(Event, frozen=True, kw_only=True):
    """An execution was seen for the first time; this is what the ledger books."""

    is_plain: ClassVar[bool] = True
    fill: Fill


class FillBroken(Event, frozen=True, kw_only=True):
    """The venue took an execution back; ``replaced_by`` is the corrected one that stands in its place, if any."""

    fill: Fill
    replaced_by: str | None
    reason: str


class OrderRejected(Event, frozen=True, kw_only=True):
    """The venue proved that it refused the order."""

    client_order_id: str
    code: int
    message: str


class OrderOutcomeUnknown(Event, frozen=True, kw_only=True):
    """The request got no readable answer; the order is looked up by its id before anything else is done."""

    client_order_id: str
    reason: str


class OrderNotFound(Event, frozen=True, kw_only=True):
    """The venue answered that it does not know the order: it was never accepted."""

    client_order_id: str


class OrderWithheld(Event, frozen=True, kw_only=True):
    """An intended order did not leave the process, or provably did not reach the venue; it may go again under the same id."""

    client_order_id: str
    reason: str


class CancelRequested(Event, frozen=True, kw_only=True):
    """A cancel is about to be sent."""

    is_awaited: ClassVar[bool] = True
    client_order_id: str
    reason: str


class OrderClosed(Event, frozen=True, kw_only=True):
    """An order reached its last state."""

    is_plain: ClassVar[bool] = True
    client_order_id: str
    symbol: str
    state: str
    cumulative_quantity: Decimal
    average_price: Decimal | None
    reason: str | None


class TimerElapsed(Event, frozen=True, kw_only=True):
    """A deadline of the execution handler passed; ``kind`` says which and ``key`` whose."""

    journaled: ClassVar[bool] = False
    kind: str
    key: str


# --- ledger and risk ---


class BookEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One strategy's part of a fill: signed shares, price, signed cash in dollars, and the profit realised by it."""

    strategy: str
    quantity: Decimal
    price: Decimal
    cash: Decimal
    realised: Decimal


class LotsNamed(Event, frozen=True, kw_only=True):
    """Somebody named the lots of a symbol that sales close first from now on, by the executions that bought them; none takes that back.

    It comes before ``ledger.lots``, for this symbol, also after a restart.
    """

    symbol: str
    lots: tuple[str, ...]
    by: str
    reason: str


class FillBooked(Event, frozen=True, kw_only=True):
    """A fill was booked to the strategies that asked for it; the entries add up to the fill."""

    is_plain: ClassVar[bool] = True
    execution_id: str
    symbol: str
    entries: tuple[BookEntry, ...]


class ActivityBooked(Event, frozen=True, kw_only=True):
    """A row of the broker's account activities was booked, once; the cash of all parts adds up to the row's.

    ``account_cash`` is what belongs to no strategy and is profit of the account, ``transferred`` what came in or went out and is none,
    ``value_in_kind`` the same for shares, all in dollars. ``new_symbol`` is what the shares became, ``parent`` what they were spun off
    from, with ``cost_fraction`` of its cost. In a split every ``old`` shares became ``new``, where that is known.
    """

    activity: AccountActivity
    treatment: Treatment
    entries: tuple[ActivityEntry, ...]
    account_cash: Decimal = ZERO
    transferred: Decimal = ZERO
    value_in_kind: Decimal = ZERO
    new_symbol: str | None = None
    parent: str | None = None
    cost_fraction: Decimal = ZERO
    old: Decimal | None = None
    new: Decimal | None = None


class LedgerCompared(Event, frozen=True, kw_only=True):
    """The ledger was compared with the broker; ``differences`` names each one in words and is empty when they agree."""

    session: date | None
    differences: tuple[str, ...]


class ResultReported(Event, frozen=True, kw_only=True):
    """Equity, cash and profit at the end of a session, in dollars, for the account and per strategy.

    ``income`` is what shares paid and trading cost, ``capital`` each strategy's share of the equity, ``transferred`` all that was paid in
    since the account was first seen, less what was taken out.
    """

    session: date
    equity: Decimal
    cash: Decimal
    realised: dict[str, Decimal]
    unrealised: dict[str, Decimal]
    income: dict[str, Decimal] = {}
    capital: dict[str, Decimal] = {}
    transferred: Decimal = ZERO


class DayCompared(Event, frozen=True, kw_only=True):
    """A session was recomputed by the backtest on the bars and quotes of its decision, and each strategy compared with it.

    ``closes`` are the closes of the session that were used, in dollars. ``beyond`` are the strategies whose difference, up or down, is
    more than ``limit_bps``: that is an alarm. ``rebalance_id`` is the plan that was recomputed, ``None`` without one.
    """

    session: date
    rebalance_id: str | None
    strategies: tuple[StrategyDay, ...]
    closes: dict[str, Decimal]
    limit_bps: Decimal
    beyond: tuple[str, ...] = ()


class TradingStateChanged(Event, frozen=True, kw_only=True):
    """Trading was made active, reducing, paused or halted, by whom and why; of one strategy, or of the account when there is none.

    ``domain.trading`` says what each state means, and which one counts when there are several.
    """

    state: str
    by: str
    reason: str
    strategy: str | None = None


class ProfitPeaked(Event, frozen=True, kw_only=True):
    """The profit of the account (the empty name) or of strategies is at its best so far, in dollars; drawdowns are measured from it."""

    profits: dict[str, Decimal]


class GuardTripped(Event, frozen=True, kw_only=True):
    """A guard read a value at its limit or beyond; ``action`` is what it does about it, ``text`` how the value came about.

    ``strategy`` is ``None`` for what concerns the account; ``cleared`` is the level at which it is clear again.
    """

    guard: str
    strategy: str | None
    action: str
    value: Decimal
    limit: Decimal
    cleared: Decimal
    text: str


class GuardCleared(Event, frozen=True, kw_only=True):
    """What a tripped guard reads has come back to its cleared level; it stays tripped until somebody arms it again."""

    guard: str
    strategy: str | None
    value: Decimal
    text: str


class GuardRearmed(Event, frozen=True, kw_only=True):
    """Somebody armed a guard again. With ``is_reset`` it measures anew from here on, from this ``profit`` in dollars."""

    guard: str
    strategy: str | None
    by: str
    reason: str
    is_reset: bool = False
    profit: Decimal | None = None


class KillSwitchPulled(Event, frozen=True, kw_only=True):
    """Somebody pulled the kill switch: ``by`` says from where, ``pulled_at`` when: perhaps long before the daemon could write it down."""

    by: str
    reason: str
    flattens: bool
    pulled_at: datetime


class KillSwitchReported(Event, frozen=True, kw_only=True):
    """A kill is over: how each order that was open ended, what was sold in shares by symbol, and what could not be done, in words."""

    ended: dict[str, str]
    sold: dict[str, Decimal]
    could_not: tuple[str, ...]


AnyEvent = (
    DaemonStarted
    | JournalTailDropped
    | RecoveryCompleted
    | DaemonStopping
    | DaemonStopped
    | HandlerFailed
    | MailboxFilled
    | StreamConnected
    | StreamLost
    | GapOpened
    | GapClosed
    | StreamSilent
    | FrameUnreadable
    | ReconciliationDue
    | ReconciliationStarted
    | ReconciliationFailed
    | Reconciled
    | SymbolParked
    | SymbolCleared
    | QuoteUpdated
    | TradePrinted
    | BarClosed
    | TradingStatusChanged
    | SessionOpened
    | SessionClosed
    | AccountObserved
    | DecisionApproached
    | DecisionDue
    | FlattenOrdered
    | DecisionMissed
    | StrategyWarned
    | StrategyFilesChanged
    | StrategyReloadPostponed
    | StrategyReloaded
    | StrategyNotReloaded
    | SettingsReloaded
    | SettingsNotReloaded
    | TargetProposed
    | StrategyFailed
    | RebalancePlanned
    | RebalanceCompleted
    | RebalanceParked
    | ShortfallReported
    | OrderPrepared
    | OrderUnprepared
    | OrderIntended
    | ExecutionReported
    | OrderFilled
    | FillBroken
    | OrderRejected
    | OrderOutcomeUnknown
    | OrderNotFound
    | OrderWithheld
    | CancelRequested
    | OrderClosed
    | TimerElapsed
    | LotsNamed
    | FillBooked
    | ActivityBooked
    | LedgerCompared
    | ResultReported
    | DayCompared
    | TradingStateChanged
    | ProfitPeaked
    | GuardTripped
    | GuardCleared
    | GuardRearmed
    | KillSwitchPulled
    | KillSwitchReported
)
"""Every event, as a tagged union: what the journal decodes."""
