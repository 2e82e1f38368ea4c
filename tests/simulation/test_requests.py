"""What a rebalance asks of the broker does not grow with the number of symbols: all but the orders themselves is batched or streamed."""

import asyncio
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from alchemiser.domain.events import DecisionDue, OrderIntended, RebalanceCompleted
from alchemiser.market.calendar import TradingCalendar
from alchemiser.service.clock import VirtualClock
from alchemiser.service.settings import RunOptions
from alchemiser.service.start import run_daemon
from tests.simulation.days import FIRST_DAY, in_memory, journal_of, simulated_settings
from tests.simulation.rotations import THIRTY
from tests.solipsism import LoopConnector, virtual

Requests = list[dict[str, Any]]


@dataclass(frozen=True)
class Traffic:
    """The REST requests of one day up to the last second, and how many orders its rebalance sent."""

    requests: Requests
    decided_at: datetime
    ended_at: datetime
    orders: int

    def counted(self, requests: Requests) -> Counter[str]:
        """Return how often each endpoint was asked, orders left out."""
        return Counter(f"{one['method']} {one['path']}" for one in requests if not one["path"].startswith("/v2/orders"))

    @property
    def of_the_rebalance(self) -> Requests:
        """What was asked from the decision to the end of the rebalance."""
        return [one for one in self.requests if self.decided_at <= datetime.fromisoformat(one["at"]) <= self.ended_at]


def traded(state: Path, strategy: str) -> Traffic:
    """Trade one day of a strategy and return what the exchange saw."""
    settings = simulated_settings(state, {"strategies": {"held": {"source": f"tests.simulation.rotations:{strategy}"}}})
    session = TradingCalendar.new_york().session(FIRST_DAY)
    assert session is not None
    begins_at = session.opens_at - timedelta(minutes=15)

    async def main() -> Requests:
        surroundings = in_memory()
        clock = VirtualClock(begins_at)
        async with asyncio.TaskGroup() as group:
            group.create_task(run_daemon(settings, RunOptions(start=FIRST_DAY, days=1), surroundings), name="daemon")
            await clock.sleep_until(session.closes_at - timedelta(seconds=1))
            async with (
                aiohttp.ClientSession(connector=LoopConnector()) as http,
                http.get("http://127.0.0.1:8001/_exchange/log") as answer,
            ):
                entries: Requests = await answer.json()
        return [entry for entry in entries if entry["kind"] == "request"]

    requests = virtual(main)
    journal = [envelope.event for envelope in journal_of(state)]
    (due,) = (event for event in journal if isinstance(event, DecisionDue))
    (completed,) = (event for event in journal if isinstance(event, RebalanceCompleted))
    return Traffic(requests, due.at, completed.at, sum(isinstance(event, OrderIntended) for event in journal))


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Traffic:
    """A day of a strategy of one symbol."""
    return traded(tmp_path_factory.mktemp("one"), "HoldOne")


@pytest.fixture(scope="module")
def thirty(tmp_path_factory: pytest.TempPathFactory) -> Traffic:
    """A day of a strategy of thirty symbols."""
    return traded(tmp_path_factory.mktemp("thirty"), "HoldThirty")


def test_both_days_were_traded(one: Traffic, thirty: Traffic) -> None:
    """Each symbol has its order, or the comparison says nothing."""
    assert one.orders >= 1
    assert thirty.orders >= len(THIRTY)


def test_a_rebalance_asks_once_whatever_it_trades(one: Traffic, thirty: Traffic) -> None:
    """One look at the account, one at the positions, one at the market; what the assets are was asked ahead."""
    asked = one.counted(one.of_the_rebalance)

    assert {"GET /v2/account": 1, "GET /v2/positions": 1, "GET /v2/stocks/snapshots": 1} == asked
    assert asked == thirty.counted(thirty.of_the_rebalance)


def test_the_rest_of_the_day_does_not_depend_on_the_number_of_symbols_either(one: Traffic, thirty: Traffic) -> None:
    """The start, the history of the session, the comparisons of the ledger."""
    assert one.counted(one.requests) == thirty.counted(thirty.requests)


def test_an_order_that_fills_is_one_request(thirty: Traffic) -> None:
    """Its fills come by the stream; nobody asks for them."""
    posted = [request for request in thirty.of_the_rebalance if (request["method"], request["path"]) == ("POST", "/v2/orders")]
    cancelled = [request for request in thirty.of_the_rebalance if request["method"] == "DELETE"]
    asked = [request for request in thirty.of_the_rebalance if request["path"] == "/v2/orders:by_client_order_id"]

    assert len(posted) == thirty.orders
    assert len(cancelled) < thirty.orders
    assert asked == []
