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


@dataclass(frozen=True)
class Found:
    """What came of a search: the seed that found the bug, ``None`` if none did, after how many, and the rules of its own that it broke."""

    name: str
    seed: int | None
    searched: int
    rules: tuple[str, ...] = ()
    seconds: float = 0.0


def seeds_for(name: str) -> list[int]:
    """Return the seeds in which a bug is looked for, in that order."""
    line = PLANTED[name].line
    found = (seed for seed in range(1, LAST_SEED + 1) if line is None or line in items_of(seed))
    return list(islice(found, SEEDS_PER_PLANT))


def hunt(name: str) -> Found:
    """Switch a bug on and look for it."""
    began, seeds, plant = time.perf_counter(), seeds_for(name), PLANTED[name]
    with plant.switch():
        for searched, seed in enumerate(seeds, start=1):
            outcome = outcome_of(f"{name}-{seed}", scenario_of(seed))
            if own := plant.rules & set(outcome.rules):
                return Found(name, seed, searched, tuple(sorted(own)), time.perf_counter() - began)
    return Found(name, None, len(seeds), (), time.perf_counter() - began)


def table_of(found: Sequence[Found]) -> Iterator[str]:
    """Yield the lines of a table of searches."""
    yield f"{'planted bug':22} {'seed':>6} {'runs':>5} {'seconds':>8}  rules that it broke"
    for one in found:
        seed = "-" if one.seed is None else str(one.seed)
        yield f"{one.name:22} {seed:>6} {one.searched:5} {one.seconds:8.1f}  {', '.join(one.rules) or 'NOT FOUND'}"
