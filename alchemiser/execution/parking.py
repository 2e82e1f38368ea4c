"""The parked symbols: what may not be traded although the gate is open, and why. An inline component that is replayed like the others.

A symbol is parked when a reconciliation finds a difference that does not go away, or when a rebalance had to end with an order whose end
the venue never confirmed. It is cleared by the next reconciliation that agrees about it, or by hand.
"""

from collections.abc import Mapping

import msgspec

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import Reconciled, SymbolCleared, SymbolParked
from alchemiser.domain.memory import Remembering
from alchemiser.domain.reconciliation import Parking


class ParkingMemory(msgspec.Struct, kw_only=True):
    """The parked symbols."""

    parked: dict[str, Parking]


class ParkedSymbols(Remembering):
    """Every parked symbol with its reason."""

    memory_type = ParkingMemory
    listens_to = (Reconciled, SymbolParked, SymbolCleared)

    def __init__(self) -> None:
        self._parked: dict[str, Parking] = {}

    @property
    def by_symbol(self) -> Mapping[str, Parking]:
        """The parked symbols, in the order in which they were parked."""
        return self._parked

    def why(self, symbol: str) -> str | None:
        """Return why nothing of the symbol is sent, ``None`` when it may be traded."""
        return f"{symbol} is parked: {self._parked[symbol].reason}" if symbol in self._parked else None

    def __call__(self, envelope: Envelope) -> None:
        """Apply one event."""
        match envelope.event:
            case Reconciled(parked=parked):
                self._parked = dict(parked)
            case SymbolParked(symbol=symbol, parking=parking):
                self._parked.setdefault(symbol, parking)
            case SymbolCleared(symbol=symbol):
                self._parked.pop(symbol, None)
            case _:
                pass
