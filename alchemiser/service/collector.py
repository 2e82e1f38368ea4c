"""The garbage collector's part in how long an order takes.

Python looks for garbage whenever enough new objects have been made. What makes objects in this process is an order being decided, written
and answered, so by itself the collector always works in the middle of one: a round through the youngest two thousand takes as long as the
whole order, one through the twenty thousand before them ten times that. Nothing of it is urgent, so here it is done behind the orders:

- What is alive when the service starts (a hundred thousand objects of modules, settings, calendar and recovered state, of which none
  becomes garbage) is taken out of all rounds.
- :class:`Collector` hears of orders some milliseconds after they have left, and has the young looked through in rounds of few. It also does
  so whenever the bus has been round, so that an order that comes after a long time finds few of them.
- Python's own rounds stay as the bound for whatever makes objects otherwise, and come too late for an order.

Envelopes and events cannot be part of a cycle and are not looked at anyway; what is left to be found is little and small.
"""

import gc
from collections.abc import Callable
from typing import Final

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import OrderClosed, OrderFilled, OrderIntended, RebalanceCompleted, RebalanceParked, ResultReported

THRESHOLDS: Final = (10_000, 10, 50)
"""After how many new objects the youngest are looked through, after how many such rounds the next, and after how many of those all."""

ROUND_OBJECTS: Final = 400
"""Behind an order a round is made for so many new objects, which some four orders make; it takes about a tenth of a millisecond."""

OLDER_ROUNDS: Final = 10
"""After so many rounds through the young those who survived them are looked through once more, when no rebalance is in progress."""

PUT_OFF_AT_MOST: Final = 10
"""While one is they are only when there are so many times more of them: it takes milliseconds, and an order might come just then."""

ALL_ROUNDS: Final = 20
"""After so many rounds through the survivors everything is, when no rebalance is in progress."""


def spare_the_living() -> None:
    """Take everything that is alive out of the collector's later rounds, and make these rarer. Called once, when a service has started."""
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)


class Collector:
    """Has garbage looked for behind orders. It is to be told of events afterwards, see ``Bus.subscribe_afterwards``.

    ``is_quiet`` says whether no rebalance is in progress.
    """

    listens_to: Final = (OrderIntended, OrderFilled, OrderClosed, RebalanceCompleted, RebalanceParked, ResultReported)

    def __init__(self, is_quiet: Callable[[], bool]) -> None:
        self._is_quiet = is_quiet

    def __call__(self, envelope: Envelope) -> None:
        """Tidy up behind an order, or behind a rebalance, which is quiet enough also when the next one has begun."""
        self._tidy(is_quiet=isinstance(envelope.event, _ENDS) or self._is_quiet())

    def tidy(self) -> None:
        """Tidy up, whatever happened or did not."""
        self._tidy(is_quiet=self._is_quiet())

    def _tidy(self, *, is_quiet: bool) -> None:
        """Look through the young; through older ones when it is their turn and nothing is in progress, or when there are many of them."""
        young, older, oldest = gc.get_count()
        if is_quiet and oldest >= ALL_ROUNDS:
            gc.collect()
        elif older >= OLDER_ROUNDS * (1 if is_quiet else PUT_OFF_AT_MOST):
            gc.collect(1)
        elif young >= ROUND_OBJECTS:
            gc.collect(0)


_ENDS: Final = (RebalanceCompleted, RebalanceParked, ResultReported)
