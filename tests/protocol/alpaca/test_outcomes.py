"""The four outcomes of a submit, over real HTTP: the execution handler, the adapter and the embedded exchange, with its faults.

Denied, rejected, unknown and not found are four different things. Each row says what goes wrong on the wire, what the exchange must have
seen, and what the daemon must know in the end.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Any, cast

import pytest

from alchemiser.alpaca.order_stream import OrderStream
from alchemiser.alpaca.rest import RestLimits
from alchemiser.alpaca.venue import AlpacaVenue
from alchemiser.domain.events import (
    OrderFilled,
    OrderIntended,
    OrderNotFound,
    OrderOutcomeUnknown,
    OrderRejected,
    OrderWithheld,
    RebalanceCompleted,
    RebalanceParked,
    SymbolParked,
    TradingStateChanged,
)
from alchemiser.domain.orders import OrderState
from tests.protocol.alpaca.test_exchange import credentials
from tests.protocol.exchange.harness import Running, virtual_exchange
from tests.solipsism import LoopConnector, virtual
from tests.unit.alpaca.fakes import running
from tests.unit.execution.desk import START, Floor, buy

ID = "e-20250303.1-SPY-1"
PAGE = "<html>Bad Gateway</html>"
TAKEN = '{"code": 40010001, "message": "client_order_id must be unique"}'
NOT_FOUND = '{"code": 40410000, "message": "order not found"}'
LOOK_UP = {"method": "GET", "path": "/v2/orders:by_client_order_id"}
SUBMIT = {"method": "POST", "path": "/v2/orders"}


@dataclass
class Trading:
    """A trading floor whose venue is the exchange."""

    exchange: Running
    floor: Floor

    async def fault(self, *faults: dict[str, Any]) -> None:
        """Ask the exchange for faults."""
        status, answer = await self.exchange.call("POST", "/_exchange/faults", list(faults))
        assert status < 300, answer

    def submits(self) -> list[tuple[str, int]]:
        """Return the submits that the exchange has seen, with what it answered."""
        seen = [entry for entry in self.exchange.server.traffic.entries if entry.get("method") == "POST" and entry["path"] == "/v2/orders"]
        return [(entry["body"]["client_order_id"], entry["status"]) for entry in seen]

    def executed(self) -> Decimal:
        """Return the shares that the exchange has executed."""
        rows = self.exchange.core.positions_json()
        return sum((Decimal(row["qty"]) for row in rows), Decimal(0))


@asynccontextmanager
async def trading() -> AsyncIterator[Trading]:
    async with AsyncExitStack() as stack:
        exchange = await stack.enter_async_context(virtual_exchange(START))
        status, _ = await exchange.call(
            "POST", "/_exchange/quote", {"symbol": "SPY", "bid": 99.99, "bid_size": 1000, "ask": 100.0, "ask_size": 1000}
        )
        assert status == 200
        venue = AlpacaVenue(
            credentials(),
            trading_url=exchange.address.rest,
            data_url=exchange.address.rest,
            clock=exchange.clock,
            random=Random(1),
            limits=RestLimits(deadline_seconds=3.0),
            make_connector=LoopConnector,
        )
        await stack.enter_async_context(venue)
        floor = Floor(cast(Any, venue))
        venue.guard(floor.gate.why_not)
        orders = OrderStream(
            exchange.address.trading_stream, credentials(), publish=floor.bus.publish, clock=exchange.clock, random=Random(2)
        )
        await stack.enter_async_context(running(orders))
        yield Trading(exchange, floor)


def traded(scene: Callable[[Trading], Awaitable[None]], *, prepare: tuple[dict[str, Any], ...] = ()) -> Trading:
    """Plan a buy of ten shares with these faults and play a scene; return what there is afterwards."""
    kept: list[Trading] = []

    async def main() -> None:
        async with trading() as one:
            kept.append(one)
            await one.fault(*prepare)

            async def play() -> None:
                await one.floor.plan(buy())
                await scene(one)
                await one.floor.handler.stop("the test is over", cancel_orders=False)

            await one.floor.run(play)

    virtual(main)
    return kept[0]


async def until_the_end(one: Trading) -> None:
    """Wait for the rebalance to end."""
    await one.floor.ended.wait()


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param(({"kind": "timeout_after_effect", **SUBMIT, "seconds": 30},), id="no answer, done"),
        pytest.param(({"kind": "timeout_after_effect", **SUBMIT, "seconds": 1},), id="connection cut, done"),
        pytest.param(({"kind": "http", **SUBMIT, "status": 504, "after_effect": True},), id="504, done"),
        pytest.param(({"kind": "http", **SUBMIT, "status": 502, "after_effect": True, "body": PAGE},), id="a page, done"),
        pytest.param(({"kind": "http", **SUBMIT, "status": 500, "after_effect": True, "body": ""},), id="500 and nothing else, done"),
        pytest.param(({"kind": "http", **SUBMIT, "status": 200, "after_effect": True, "body": "{"},), id="half an answer, done"),
        pytest.param(({"kind": "http", **SUBMIT, "status": 408, "after_effect": True},), id="408, done"),
        pytest.param(({"kind": "slow_body", **SUBMIT, "seconds": 30},), id="half a body, done"),
        pytest.param(
            (
                {
                    "kind": "http",
                    **SUBMIT,
                    "status": 422,
                    "after_effect": True,
                    "body": TAKEN,
                },
            ),
            id="must be unique, done",
        ),
        pytest.param(
            ({"kind": "http", **SUBMIT, "status": 422, "after_effect": True, "body": '{"code": 42210000, "message": "no"}'},),
            id="another 422, done",
        ),
        pytest.param(
            (
                {"kind": "timeout_after_effect", **SUBMIT, "seconds": 30},
                {"kind": "http", **LOOK_UP, "status": 404, "body": NOT_FOUND, "times": 3},
            ),
            id="done, and not found for a while",
        ),
        pytest.param(
            (
                {"kind": "http", **SUBMIT, "status": 503, "after_effect": True},
                {"kind": "http", **LOOK_UP, "status": 503, "times": 20},
            ),
            id="done, and nobody can be asked for a while",
        ),
        pytest.param(
            (
                {
                    "kind": "http",
                    **SUBMIT,
                    "status": 422,
                    "after_effect": True,
                    "body": TAKEN,
                },
                {"kind": "http", **LOOK_UP, "status": 404, "body": NOT_FOUND, "times": 2},
            ),
            id="must be unique, done, and not found for a while",
        ),
    ],
)
def test_an_order_that_was_executed_is_never_sent_again(faults: tuple[dict[str, Any], ...]) -> None:
    """Unknown: whatever the answer was, the order is looked up by its id, and its shares are counted once."""
    one = traded(until_the_end, prepare=faults)

    assert [ID] == [key for key, _ in one.submits()]
    assert one.executed() == sum(event.fill.quantity for event in one.floor.of(OrderFilled) if isinstance(event, OrderFilled)) == 10
    assert len(one.floor.of(RebalanceCompleted)) == 1
    assert len(one.floor.of(OrderIntended)) == 1
    assert one.floor.of(OrderRejected) == []


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param(({"kind": "timeout", **SUBMIT, "seconds": 30},), id="no answer, not done"),
        pytest.param(({"kind": "timeout", **SUBMIT, "seconds": 1},), id="connection cut, not done"),
        pytest.param(({"kind": "http", **SUBMIT, "status": 504},), id="504, not done"),
        pytest.param(({"kind": "http", **SUBMIT, "status": 502, "body": PAGE},), id="a page, not done"),
        pytest.param(({"kind": "http", **SUBMIT, "status": 200, "body": "null"},), id="no order in the answer, not done"),
    ],
)
def test_an_order_that_the_venue_does_not_know_goes_again_under_its_id(faults: tuple[dict[str, Any], ...]) -> None:
    """Not found: the venue was asked several times before it was believed, and only then was the same order sent again."""
    one = traded(until_the_end, prepare=faults)
    seen = list(one.exchange.server.traffic.entries)
    asked = [entry for entry in seen if str(entry.get("path", "")).endswith("by_client_order_id")]

    assert [ID, ID] == [key for key, _ in one.submits()]
    assert [404] * 4 == [entry["status"] for entry in asked][:4]
    posts = [number for number, entry in enumerate(seen) if entry.get("method") == "POST" and entry["path"] == "/v2/orders"]
    assert posts[0] < seen.index(asked[0]) < seen.index(asked[3]) < posts[1]
    assert len(one.floor.of(OrderNotFound)) == 1
    assert one.executed() == 10


@pytest.mark.parametrize(
    ("reason", "code"), [("buying_power", 40310000), ("wash_trade", 40310000), ("sub_penny", 42210000), ("day_trading", 40310100)]
)
def test_a_proven_refusal_keeps_its_text_and_the_next_attempt_has_another_id(reason: str, code: int) -> None:
    """Rejected: nothing has to be looked up but a 422, which may have been executed; the intent tries again under a new id."""
    one = traded(until_the_end, prepare=({"kind": "refuse_order", "reason": reason},))
    (rejected,) = one.floor.of(OrderRejected)
    assert isinstance(rejected, OrderRejected)

    assert (ID, code) == (rejected.client_order_id, rejected.code)
    assert rejected.message.count("HTTP") == 1
    assert [ID, ID[:-1] + "2"] == [key for key, _ in one.submits()]
    assert one.floor.of(OrderOutcomeUnknown) == []
    assert one.executed() == 10


def test_a_quota_that_is_used_up_sends_nothing_and_is_waited_for() -> None:
    """A 429 proves that nothing was done: the same order goes again under its id, after the time that the venue asked for."""
    one = traded(until_the_end, prepare=({"kind": "http", **SUBMIT, "status": 429},))

    assert [(ID, 429), (ID, 200)] == one.submits()
    assert len(one.floor.of(OrderWithheld)) == 1
    assert one.executed() == 10


def test_refused_credentials_halt_and_nothing_more_is_sent() -> None:
    """A 401 is no refusal of the order, and trying again cannot help."""
    one = traded(until_the_end, prepare=({"kind": "http", **SUBMIT, "status": 401, "body": '{"message": "unauthorized."}'},))

    assert [(ID, 401)] == one.submits()
    assert ["halted"] == [event.state for event in one.floor.of(TradingStateChanged) if isinstance(event, TradingStateChanged)]
    assert len(one.floor.of(RebalanceParked)) == 1


def test_a_closed_gate_sends_nothing() -> None:
    """Denied: our own checks said no, also when they say it only while the request waits for its turn."""

    async def scene(one: Trading) -> None:
        await until_the_end(one)

    async def main() -> Trading:
        async with trading() as one:
            for _ in range(3):
                await one.exchange.call("GET", "/v2/account")

            async def play() -> None:
                await one.floor.bus.publish(TradingStateChanged(at=START, state="halted", by="operator", reason="drill"))
                await one.floor.plan(buy())
                await scene(one)

            await one.floor.run(play)
            return one

    one = virtual(main)
    assert one.submits() == []
    assert len(one.floor.of(RebalanceParked)) == 1


def test_what_stays_unknown_parks_its_symbol_and_is_not_doubled() -> None:
    """Nobody answers until the deadline: the rebalance ends and says so, and nothing of the symbol is sent while nobody knows."""
    forever = {"kind": "http", **LOOK_UP, "status": 503, "times": 10_000}
    one = traded(
        until_the_end, prepare=({"kind": "timeout_after_effect", **SUBMIT, "seconds": 30}, {"kind": "lose_updates", "times": 50}, forever)
    )
    (parked,) = one.floor.of(SymbolParked)
    assert isinstance(parked, SymbolParked)

    assert [ID] == [key for key, _ in one.submits()]
    assert ("SPY", "order_unresolved") == (parked.symbol, parked.parking.code)
    assert ID in parked.parking.reason
    order = one.floor.orders.get(ID)
    assert order is not None
    assert order.state in (OrderState.UNKNOWN, OrderState.CANCELLING)
    assert one.executed() == 10
