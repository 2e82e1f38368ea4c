"""The bus tests run on virtual time: a loop that jumps to its next timer when every task waits."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import async_solipsism
import pytest

from alchemiser.bus.bus import Bus
from alchemiser.service.clock import VirtualClock
from tests.unit.bus.scenes import START


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Give every test of this room a loop of virtual time."""
    return {"virtual": async_solipsism.EventLoop}


@pytest.fixture
async def clock() -> VirtualClock:
    """The clock of the test's loop."""
    return VirtualClock(START)


@pytest.fixture
async def bus(clock: VirtualClock) -> AsyncIterator[Bus]:
    """A bus without a journal."""
    yield Bus(clock=clock)
    assert len(asyncio.all_tasks()) == 1, "the bus left a task behind"
