"""All that follows from the journal: the components that are replayed at a start and fed by the bus afterwards, in one place."""

from collections.abc import Callable, Iterable

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import Event
from alchemiser.execution.order_states import OrderStates
from alchemiser.execution.rebalances import Rebalances
from alchemiser.portfolio.ledger import Ledger
from alchemiser.portfolio.standing import StandingTargets
from alchemiser.risk.state import TradingState
from alchemiser.service.overview import Overview


class JournaledState:
    """Orders, ledger, standing targets, rebalances, trading state, overview.

    ``post`` publishes what they find; it is not called during a replay.
    """

    def __init__(self, post: Callable[[Event], object]) -> None:
        self.orders = OrderStates(post)
        self.ledger = Ledger(post)
        self.standing = StandingTargets()
        self.rebalances = Rebalances()
        self.trading = TradingState()
        self.overview = Overview()

    def replay(self, envelopes: Iterable[Envelope]) -> int:
        """Apply the journal and return the number of events in it."""
        count = 0
        for envelope in envelopes:
            count += 1
            event = envelope.event
            if isinstance(event, OrderStates.listens_to):
                self.orders.replay(envelope)
            if isinstance(event, Ledger.listens_to):
                self.ledger.replay(envelope)
            if isinstance(event, StandingTargets.listens_to):
                self.standing(envelope)
            if isinstance(event, Rebalances.listens_to):
                self.rebalances(envelope)
            if isinstance(event, TradingState.listens_to):
                self.trading(envelope)
            if isinstance(event, Overview.listens_to):
                self.overview(envelope)
        return count

    def settle(self) -> int:
        """Publish what follows from the replayed journal and that it does not hold, because it was cut short; return how much that was."""
        return self.orders.settle() + self.ledger.settle()
