"""The search for bugs put in on purpose: seed after seed until a rule is broken.

All are found within the first thousand seeds. A bug that takes something rare is looked for first where that is certain to happen: in the
seeds that are given the line of the menu that brings it about.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from tests.simulation.campaign import scenario_of
from tests.simulation.items import items_of
from tests.simulation.planted import PLANTED
from tests.simulation.runner import outcome_of

SEEDS_PER_PLANT = 30
"""Within so many seeds each planted bug is found."""

LAST_SEED = 1_000

LINE_FOR_PLANT = {
    "missing_look_up": "order not found for a while after its submit",
    "missing_fsync": "power failure",
    "generous_preparation": "flush that takes five seconds",
    "forgotten_preparation": "kill -9 as an order has left at once",
    "half_of_a_cancel": "partial fill, then cancel",
    "one_of_an_instant": "two events with one time stamp",
    "ready_too_soon": "kill -9",
    "missed_cut_off": "halted symbol",
}
"""The line of the menu that brings a bug to light which takes something rare."""


@dataclass(frozen=True)
class Found:
    """What came of a search: the seed that found the bug, ``None`` if none did, after how many, and the rules it broke."""

    name: str
    seed: int | None
    searched: int
    rules: tuple[str, ...] = ()
    seconds: float = 0.0


def seeds_for(name: str) -> list[int]:
    """Return the seeds in which a bug is looked for, in that order."""
    line = LINE_FOR_PLANT.get(name)
    found = (seed for seed in range(1, LAST_SEED + 1) if line is None or line in items_of(seed))
    return list(islice(found, SEEDS_PER_PLANT))


def hunt(name: str) -> Found:
    """Switch a bug on and look for it."""
    began, seeds = time.perf_counter(), seeds_for(name)
    with PLANTED[name]():
        for searched, seed in enumerate(seeds, start=1):
            outcome = outcome_of(f"{name}-{seed}", scenario_of(seed))
            if outcome.broken:
                return Found(name, seed, searched, outcome.rules, time.perf_counter() - began)
    return Found(name, None, len(seeds), (), time.perf_counter() - began)


def table_of(found: Sequence[Found]) -> Iterator[str]:
    """Yield the lines of a table of searches."""
    yield f"{'planted bug':22} {'seed':>6} {'runs':>5} {'seconds':>8}  rules that it broke"
    for one in found:
        seed = "-" if one.seed is None else str(one.seed)
        yield f"{one.name:22} {seed:>6} {one.searched:5} {one.seconds:8.1f}  {', '.join(one.rules) or 'NOT FOUND'}"
