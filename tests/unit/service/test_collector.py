"""What was alive at the start costs no order a moment later on; what becomes garbage afterwards is found all the same."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from alchemiser.service.collector import THRESHOLDS, spare_the_living


class Node:
    """Something that may be part of a cycle."""

    def __init__(self) -> None:
        self.other: Node | None = None


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    """Leave the collector as it was."""
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


def test_what_is_alive_is_not_looked_at_again() -> None:
    """Full rounds begin from nothing."""
    kept = Node()
    spare_the_living()
    assert gc.get_freeze_count() > 1_000
    assert all(one is not kept for one in gc.get_objects(generation=2))
    assert gc.get_threshold() == THRESHOLDS


def test_garbage_of_later_is_collected() -> None:
    """A day is long, and nothing may grow."""
    spare_the_living()
    one, other = Node(), Node()
    one.other, other.other = other, one
    seen = weakref.ref(one)
    del one, other
    gc.collect()
    assert seen() is None
