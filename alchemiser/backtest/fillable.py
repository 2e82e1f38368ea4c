"""What can be filled at the next open: a target with a symbol that has no open on the next session is none on that day.

Both engines ask through this, so that neither buys at a price that nobody traded at. What is only sold, or valued, on such a day is so at
its last close.
"""

from datetime import date

from alchemiser.backtest.result import Opens
from alchemiser.strategies.base import Decider
from alchemiser.strategies.outcome import NotComputable, Proposal
from alchemiser.strategies.panel import PricePanel


class Fillable:
    """Decides as a decider does, where what it wants can be bought on the next session of the panel."""

    def __init__(self, decider: Decider, panel: PricePanel, opens: Opens) -> None:
        self._decider = decider
        self._panel = panel
        self._opens = opens

    def decide(self, place: int, *, explain: bool = True) -> Proposal | NotComputable:
        """Return the target of a session, or why there is none; behind the last session nothing is known, and nothing is filled."""
        outcome = self._decider.decide(place, explain=explain)
        if isinstance(outcome, NotComputable) or place >= self._panel.last:
            return outcome
        day = self._panel.session(place + 1)
        unpriced = [symbol for symbol in outcome.weights if not self._has_open(symbol, day)]
        return NotComputable((f"{', '.join(unpriced)} cannot be bought on {day}: no price to fill at",)) if unpriced else outcome

    def _has_open(self, symbol: str, day: date) -> bool:
        return day.toordinal() in self._opens.by_symbol.get(symbol, {})
