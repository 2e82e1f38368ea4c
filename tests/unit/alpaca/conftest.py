"""Fixtures of the venue adapter's tests."""

from collections.abc import AsyncIterator
from random import Random

import pytest

from alchemiser.alpaca.venue import AlpacaVenue
from tests.unit.alpaca.fakes import InstantClock, Listener, ScriptedVenue, credentials


@pytest.fixture
def clock() -> InstantClock:
    return InstantClock()


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
async def server() -> AsyncIterator[ScriptedVenue]:
    async with ScriptedVenue().running() as venue:
        yield venue


@pytest.fixture
async def venue(server: ScriptedVenue, clock: InstantClock) -> AsyncIterator[AlpacaVenue]:
    async with AlpacaVenue(
        credentials(), trading_url=server.url, data_url=server.url + "/", clock=clock, random=Random(7), feed="iex"
    ) as adapter:
        yield adapter
