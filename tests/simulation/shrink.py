"""A failing scenario made small: what is not needed to fail is taken away, one thing at a time, until everything that is left is needed.

Pure: it asks whether a smaller scenario still fails and never how. The result fails, and each single simplification of it that is known
here does not, unless the number of trials ran out.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from tests.simulation.faults import Scenario

TRIALS_AT_MOST = 150
"""How many smaller scenarios are tried: each is a run."""


def smallest(failing: Scenario, still_fails: Callable[[Scenario], bool], *, trials: int = TRIALS_AT_MOST) -> Scenario:
    """Return the smallest scenario found that still fails; the given one when nothing can be taken away."""
    while True:
        for candidate in simpler(failing):
            if trials == 0:
                return failing
            trials -= 1
            if still_fails(candidate):
                failing = candidate
                break
        else:
            return failing


def simpler(one: Scenario) -> Iterator[Scenario]:
    """Yield every scenario that is one step simpler, the greatest steps first."""
    if sum(len(getattr(one, name)) for name in PARTS) > 1:
        for name in PARTS:
            if getattr(one, name):
                yield _changed(one, name, ())
    for days in range(1, len(one.sessions)):
        yield replace(one, sessions=one.sessions[:days])
        yield replace(one, sessions=one.sessions[-days:])
    if len(one.strategies) > 1:
        for name in sorted(one.strategies):
            yield replace(one, strategies=_left(one.strategies, name))
    for name in PARTS:
        kept = getattr(one, name)
        for place in range(len(kept)):
            yield _changed(one, name, kept[:place] + kept[place + 1 :])
    for name in sorted(one.settings):
        yield replace(one, settings=_left(one.settings, name))
    yield from _plainer_faults(one)


PARTS = ("faults", "pins", "mutes", "deeds", "ends")
"""The parts of a scenario that are thrown at a run."""

MEMBERS = ("skip", "times", "probability", "headers")
"""What makes a fault of the exchange more special, and may be left out."""


def _plainer_faults(one: Scenario) -> Iterator[Scenario]:
    for place, fault in enumerate(one.faults):
        for member in MEMBERS:
            if member in fault:
                yield replace(one, faults=(*one.faults[:place], _left(fault, member), *one.faults[place + 1 :]))


def _changed(one: Scenario, name: str, value: tuple[Any, ...]) -> Scenario:
    changes: dict[str, Any] = {name: value}
    return replace(one, **changes)


def _left(mapping: Mapping[str, Any], without: str) -> dict[str, Any]:
    return {name: value for name, value in mapping.items() if name != without}
