"""All that follows from the journal: the components that are replayed at a start and fed by the bus afterwards, in one place.

After each event the state is the same whether it was lived or replayed, so it can be written down as a snapshot, taken up again, and
compared by a hash.
"""

from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import Protocol

import msgspec

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.errors import DataError
from alchemiser.domain.events import Event
from alchemiser.execution.order_states import OrdersMemory, OrderStates
from alchemiser.execution.parking import ParkedSymbols, ParkingMemory
from alchemiser.execution.rebalances import Rebalances, RebalancesMemory
from alchemiser.portfolio.day import DayMemory, DayRecord
from alchemiser.portfolio.ledger import Ledger, LedgerMemory
from alchemiser.portfolio.standing import StandingMemory, StandingTargets
from alchemiser.risk.guard_state import GuardMemory, GuardState
from alchemiser.risk.state import TradingMemory, TradingState
from alchemiser.service.overview import Overview, OverviewMemory


class StateMemory(msgspec.Struct, kw_only=True):
    """All that the components remember."""

    orders: OrdersMemory
    ledger: LedgerMemory
    standing: StandingMemory
    rebalances: RebalancesMemory
    trading: TradingMemory
    guards: GuardMemory
    overview: OverviewMemory
    parked: ParkingMemory = msgspec.field(default_factory=lambda: ParkingMemory(parked={}))
    day: DayMemory = msgspec.field(default_factory=DayMemory)


class JournaledPart(Protocol):
    """A component whose state is made of journaled events alone."""

    @property
    def listens_to(self) -> tuple[type[Event], ...]:
        """The types of event that change it."""

    def __call__(self, envelope: Envelope) -> None:
        """Apply an event."""


_encode = msgspec.json.Encoder().encode
_encode_sorted = msgspec.json.Encoder(order="deterministic").encode


class JournaledState:
    """Orders, parked symbols, ledger, standing targets, rebalances, trading state, guards, the day's facts, overview.

    ``post`` publishes what they find; it is not called during a replay.
    """

    def __init__(self, post: Callable[[Event], object]) -> None:
        self.orders = OrderStates(post)
        self.parked = ParkedSymbols()
        self.ledger = Ledger(post)
        self.standing = StandingTargets()
        self.rebalances = Rebalances()
        self.trading = TradingState()
        self.guards = GuardState()
        self.day = DayRecord(lambda: self.ledger.books, lambda: self.standing.by_strategy)
        self.overview = Overview()

    @property
    def parts(self) -> tuple[JournaledPart, ...]:
        """The components, in the order in which they are told of an event."""
        return (
            self.orders,
            self.parked,
            self.ledger,
            self.standing,
            self.rebalances,
            self.trading,
            self.guards,
            self.day,
            self.overview,
        )

    def replay(self, envelopes: Iterable[Envelope]) -> int:
        """Apply the journal and return the number of events in it."""
        told = self._told()
        count = 0
        for envelope in envelopes:
            count += 1
            for tell in told.get(type(envelope.event), ()):
                tell(envelope)
        return count

    def _told(self) -> dict[type[Event], list[Callable[[Envelope], None]]]:
        """Return who is told of each type of event, in the order in which the components are told; those that publish do not."""
        told: dict[type[Event], list[Callable[[Envelope], None]]] = {}
        for part in self.parts:
            for kind in part.listens_to:
                told.setdefault(kind, []).append(part.replay if isinstance(part, OrderStates | Ledger) else part)
        return told

    def settle(self) -> int:
        """Publish what follows from the replayed journal and that it does not hold, because it was cut short; return how much that was."""
        return self.orders.settle() + self.ledger.settle()

    def hash(self) -> str:
        """Return the hash of all that is remembered: equal for equal states, in whatever order they came about."""
        return _hash(self._memory())

    def dump(self) -> bytes:
        """Return all that is remembered, for :meth:`restore`."""
        return _encode(self._memory())

    def restore(self, dumped: bytes, state_hash: str) -> None:
        """Take up what :meth:`dump` returned, when its hash is that one.

        Raises ``DataError`` for what this version cannot read and for another hash; then nothing has changed.
        """
        try:
            memory = msgspec.json.decode(dumped, type=StateMemory)
        except msgspec.DecodeError as error:
            raise DataError(f"the state cannot be read by this version: {error}") from error
        found = _hash(memory)
        if found != state_hash:
            raise DataError(f"the state that was read has the hash {found}, the one that was written had {state_hash}")
        self.orders.remember(memory.orders)
        self.parked.remember(memory.parked)
        self.ledger.remember(memory.ledger)
        self.standing.remember(memory.standing)
        self.rebalances.remember(memory.rebalances)
        self.trading.remember(memory.trading)
        self.guards.remember(memory.guards)
        self.day.remember(memory.day)
        self.overview.remember(memory.overview)

    def _memory(self) -> StateMemory:
        return StateMemory(
            orders=self.orders.memory(),
            ledger=self.ledger.memory(),
            standing=self.standing.memory(),
            rebalances=self.rebalances.memory(),
            trading=self.trading.memory(),
            guards=self.guards.memory(),
            overview=self.overview.memory(),
            parked=self.parked.memory(),
            day=self.day.memory(),
        )


def _hash(memory: StateMemory) -> str:
    return blake2b(_encode_sorted(memory), digest_size=16).hexdigest()
