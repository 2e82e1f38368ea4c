"""The garbage collector's part in how long an order takes.

By default a full round looks through everything that is alive: a hundred thousand objects of modules, settings, calendar and recovered
state, which takes ten milliseconds and more, at any moment, and finds nothing. Envelopes and events cannot be part of a cycle and are not
looked at anyway; what is left to be found is little and small.
"""

import gc
from typing import Final

THRESHOLDS: Final = (2_000, 10, 50)
"""After how many new objects the youngest are looked through, after how many such rounds the next, and after how many of those all."""


def spare_the_living() -> None:
    """Take everything that is alive out of the collector's later rounds, and make these rarer. Called once, when a service has started."""
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
