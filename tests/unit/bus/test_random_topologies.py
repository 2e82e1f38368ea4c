"""Random handlers with tiny mailboxes that publish to each other: nothing is lost, reordered or stuck."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alchemiser.bus.bus import Bus
from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import Event
from alchemiser.service.clock import VirtualClock
from tests.solipsism import virtual
from tests.unit.bus.scenes import START, settled


class Spark(Event, frozen=True, kw_only=True):
    """An event that leads to others: so many generations are still to come."""

    generations: int


class Red(Spark, frozen=True, kw_only=True):
    """One kind of spark."""


class Green(Spark, frozen=True, kw_only=True):
    """Another."""


class Blue(Spark, frozen=True, kw_only=True):
    """A third."""


KINDS: tuple[type[Spark], ...] = (Red, Green, Blue)


class Fire:
    """A bus with one mailbox per kind. Without circles, sparks only lead to later kinds."""

    def __init__(self, seed: int, capacity: int, *, circles: bool) -> None:
        self.random = Random(seed)
        self.bus = Bus(clock=VirtualClock(START))
        self.circles = circles
        self.published: list[Envelope] = []
        self.seen: dict[type[Spark], list[int]] = {kind: [] for kind in KINDS}
        for place, kind in enumerate(KINDS):
            self.bus.subscribe(kind.__name__, [kind], self._handler(place), capacity=capacity)

    async def burn(self, sparks: int) -> None:
        """Publish from two sides at once, let it burn down, and close."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.bus.run(), name="bus")
            async with asyncio.TaskGroup() as publishers:
                for number in range(2):
                    publishers.create_task(self._ignite(sparks), name=f"publisher {number}")
            report = await self.bus.close(drain_seconds=60.0)
        assert report.unfinished == ()

    async def _ignite(self, sparks: int) -> None:
        for _ in range(sparks):
            await self._publish(0, generations=3)

    async def _publish(self, place: int, generations: int) -> None:
        self.published.append(await self.bus.publish(KINDS[place](at=START, generations=generations)))

    def _handler(self, place: int) -> Callable[[Envelope], Awaitable[None]]:
        async def handle(envelope: Envelope) -> None:
            spark = envelope.event
            assert isinstance(spark, Spark)
            self.seen[KINDS[place]].append(envelope.sequence)
            await settled(self.random.randrange(4))
            targets = range(len(KINDS)) if self.circles else range(place + 1, len(KINDS))
            if spark.generations and targets:
                for _ in range(self.random.randrange(4)):
                    await self._publish(self.random.choice(targets), spark.generations - 1)

        return handle


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32), capacity=st.integers(1, 3), circles=st.booleans())
def test_every_event_is_handled_once_and_in_order(seed: int, capacity: int, *, circles: bool) -> None:
    """Whatever the topology; and where it has no circles, no mailbox ever passes its bound."""

    async def main() -> None:
        fire = Fire(seed, capacity, circles=circles)
        await fire.burn(sparks=4)

        for kind in KINDS:
            expected = [envelope.sequence for envelope in fire.published if type(envelope.event) is kind]
            assert sorted(expected) == fire.seen[kind]
        if not circles:
            assert [0, 0, 0] == [statistics.overflowed for statistics in fire.bus.statistics()]
            assert all(statistics.high_water <= capacity for statistics in fire.bus.statistics())

    virtual(main)


@pytest.mark.parametrize("seed", [1, 2])
def test_the_same_seed_gives_the_same_order(seed: int) -> None:
    """Nothing in the bus depends on hashes or on real time."""

    async def main() -> list[tuple[int, str, int | None]]:
        fire = Fire(seed, 2, circles=True)
        await fire.burn(sparks=4)
        return [(envelope.sequence, type(envelope.event).__name__, envelope.causation) for envelope in fire.published]

    assert virtual(main) == virtual(main)
