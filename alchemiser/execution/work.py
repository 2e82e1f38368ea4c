"""One intent at work: its live order, what was filled, how far its tactic has come. Pure; ``pacing`` decides what happens to it.

At most one order of an intent is live. While one is being replaced there are two of which the venue lets only one trade: both are kept
here until the venue has said how each of them ended.
"""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

from msgspec import Struct

from alchemiser.domain.events import OrderIntended
from alchemiser.domain.intents import Intent, IntentOutcome
from alchemiser.domain.money import ZERO, to_float
from alchemiser.domain.orders import BUY, CLS, SELL, NewOrder, Side
from alchemiser.execution.decisions import Tactic


class Stage(StrEnum):
    """Where an intent is."""

    WAITING = "waiting"
    WORKING = "working"
    CANCELLING = "cancelling"
    ENDED = "ended"


WAITING: Final = Stage.WAITING
WORKING: Final = Stage.WORKING
CANCELLING: Final = Stage.CANCELLING
ENDED: Final = Stage.ENDED


_BASIS_POINTS: Final = {BUY: Decimal(10_000), SELL: Decimal(-10_000)}
"""What a cost as a fraction is multiplied with: paid more for a buy, or received less for a sale."""


class Prepare(Struct, frozen=True):
    """Write ahead that this order may leave: of this symbol and side, for the day, of at most so many shares."""

    client_order_id: str
    intent_id: str
    attempt: int
    symbol: str
    side: Side
    quantity: Decimal
    tactic: str
    rung: int


class Unprepare(Struct, frozen=True):
    """Write down that this order has not left and will not."""

    client_order_id: str
    reason: str


class Replace(Struct, frozen=True):
    """Let the venue put the order of which ``intended`` tells in the place of a live one."""

    client_order_id: str
    intended: OrderIntended
    reason: str


class Cancel(Struct, frozen=True):
    """Ask for the cancel of this order."""

    client_order_id: str
    reason: str


class Ask(Struct, frozen=True):
    """Ask the venue for the state of this order."""

    client_order_id: str


class LookAtAccount(Struct, frozen=True):
    """Ask the broker for the account: it refused a buy that our own count of the cash allowed."""

    reason: str


Command = OrderIntended | Replace | Cancel | Ask | LookAtAccount
"""What is to be done. The event that an order is intended says all that there is to say about sending it."""


class LiveOrder(Struct):
    """An order of which the venue may still fill ``leaves`` shares, at ``dearest`` dollars each at most if it is a buy.

    ``intended`` told of it, where this process sent it; ``is_replacement`` is said of one that was sent to take the place of another.
    """

    order: NewOrder
    dearest: Decimal
    rung: int
    leaves: Decimal
    intended: OrderIntended | None = None
    is_replacement: bool = False
    reckoned: tuple[Decimal, Decimal] | None = None

    @property
    def may_take(self) -> Decimal:
        """Dollars that it may still take; reckoned anew after a fill, because it is asked for every other order of the plan."""
        reckoned = self.reckoned
        if reckoned is None or reckoned[0] is not self.leaves:
            reckoned = self.reckoned = self.leaves, self.leaves * self.dearest
        return reckoned[1]


class Work:
    """One intent in progress.

    ``again`` is the order that did not reach the venue and goes again, as it is where this process sent it. ``deadline`` is when the
    intent has to end, ``wake`` when its tactic wants to be asked again. ``quiet_until`` is until when nothing but news of this intent can
    change what becomes of its live order, ``None`` when that is not known. ``sendable`` are the shares that are left, cut to what the venue
    takes, ``is_too_small`` is whether they are less than an order may be. ``not_replaceable`` is set once the venue has refused a
    replacement. ``barred`` says why nothing more of it is sent. ``prepared`` is the next order when it was written ahead.
    """

    # With slots, for it is changed a dozen times an order.
    __slots__ = (
        "again",
        "attempt",
        "barred",
        "deadline",
        "fell_because",
        "filled_quantity",
        "filled_value",
        "intent",
        "is_too_small",
        "live",
        "not_before",
        "not_replaceable",
        "prepared",
        "quiet_until",
        "reason",
        "rejections",
        "rung",
        "rung_since",
        "sendable",
        "setbacks",
        "shortage",
        "stage",
        "stage_since",
        "tactic",
        "wake",
    )

    def __init__(self, intent: Intent, tactic: Tactic, deadline: datetime) -> None:
        self.intent = intent
        self.tactic = tactic
        self.deadline = deadline
        self.stage: Stage = WAITING
        self.attempt = self.rung = self.rejections = self.setbacks = 0
        self.live: dict[str, LiveOrder] = {}
        self.again: LiveOrder | None = None
        self.filled_quantity = self.filled_value = self.sendable = ZERO
        self.is_too_small = True
        self.not_replaceable = False
        self.stage_since: datetime | None = None
        self.rung_since: datetime | None = None
        self.not_before: datetime | None = None
        self.wake: datetime | None = None
        self.quiet_until: datetime | None = None
        self.prepared: Prepare | None = None
        self.reason: str | None = None
        self.shortage: str | None = None
        self.fell_because: str | None = None
        self.barred: str | None = None

    @property
    def leaves_quantity(self) -> Decimal:
        """Shares of the intent that are not filled yet."""
        return self.intent.quantity - self.filled_quantity

    @property
    def current(self) -> LiveOrder | None:
        """The live order; the newer one while it is being replaced."""
        return next(reversed(self.live.values()), None)

    @property
    def is_in_auction(self) -> bool:
        """Whether what is live waits for the closing auction."""
        return self.current is not None and self.current.order.time_in_force is CLS

    @property
    def reserved(self) -> Decimal:
        """Dollars that the live order, or one that goes again as it is, may still take; of two in replacement the larger sum."""
        if self.intent.side is SELL:
            return ZERO
        again = self.again
        if len(self.live) == 1 and again is None:  # Nearly always; and every order asks for that of all others.
            (only,) = self.live.values()
            return only.may_take
        amounts = [live.may_take for live in self.live.values()]
        if again is not None and again.intended is not None and self.stage is WAITING:
            amounts.append(again.order.quantity * again.dearest)
        return max(amounts, default=ZERO)

    @property
    def asks_too_much(self) -> bool:
        """Whether a live order could bring more shares than are left: it is on its way out, and will give back cash that it may take."""
        leaves = self.leaves_quantity
        return any(live.leaves > leaves for live in self.live.values())

    def outcome(self) -> IntentOutcome:
        """Return how the intent stands or ended."""
        intent, filled = self.intent, self.filled_quantity
        average = slippage = None
        if filled:
            average, reference = self.filled_value / filled, intent.reference_price
            slippage = to_float((average - reference) / reference * _BASIS_POINTS[intent.side])
        is_done = self.stage is ENDED and self.reason is None
        return IntentOutcome(
            intent_id=intent.intent_id,
            symbol=intent.symbol,
            side=intent.side,
            quantity=intent.quantity,
            filled_quantity=filled,
            average_price=average,
            slippage_bps=slippage,
            state="filled" if is_done else "partial" if filled else "unfilled",
            reason=self.reason,
            attempts=self.attempt,
            tactic=self.tactic.name,
            fell_because=self.fell_because,
        )
