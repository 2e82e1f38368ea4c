"""What the execution handler and its requests work with: the venue, what is known of orders, and what the daemon lends them."""

from collections.abc import Awaitable, Callable, Iterable
from datetime import date, datetime

from msgspec import Struct, field

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import RebalancePlanned
from alchemiser.domain.market import Session
from alchemiser.domain.orders import Order
from alchemiser.domain.runtime import Clock
from alchemiser.domain.shortfall import Shortfall
from alchemiser.domain.venue import Venue
from alchemiser.execution.costs import shortfall_of
from alchemiser.execution.gate import SubmitGate
from alchemiser.execution.ladder import LadderRules
from alchemiser.execution.order_states import OrderStates
from alchemiser.execution.rebalances import Rebalances
from alchemiser.execution.run_state import Quotes
from alchemiser.execution.tactics import TacticRules


class ExecutionParts(Struct, frozen=True):
    """What the handler works with.

    ``durable`` returns when all that was published, or what was up to an event's number, would survive a crash; ``is_durable`` says whether
    what was up to a number would. ``session`` gives the hours of a day, ``cut_off`` the last moment of it at which an order may still be
    worked. Where nothing is made durable nothing ``writes_ahead``, which is there to save waiting for a disk. ``shortfall`` reckons what a
    rebalance has cost, ``None`` where nobody asks.
    """

    venue: Venue
    orders: OrderStates
    gate: SubmitGate
    rebalances: Rebalances
    quotes: Quotes
    clock: Clock
    publish: Callable[..., Awaitable[Envelope]]
    durable: Callable[..., Awaitable[None]]
    is_durable: Callable[[int], bool]
    session: Callable[[date], Session]
    cut_off: Callable[[date], datetime]
    rules: LadderRules
    epoch: str
    tactics: TacticRules = field(default_factory=TacticRules)
    writes_ahead: bool = True
    shortfall: Callable[[RebalancePlanned, Iterable[Order]], Shortfall | None] = shortfall_of
