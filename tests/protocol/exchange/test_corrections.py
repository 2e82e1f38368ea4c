"""Broken and corrected executions as every face tells of them, and as faults of the menu."""

from datetime import datetime
from typing import Any

import pytest

from tests.protocol.exchange.harness import Running, at, running, virtual_exchange
from tests.protocol.exchange.test_control import fault
from tests.protocol.exchange.test_events import ACTIVITIES, TRADES, event, events
from tests.protocol.exchange.test_order_stream import listen, said
from tests.solipsism import virtual


async def bought(exchange: Running, quantity: str = "10") -> dict[str, Any]:
    """Buy at a round price and return the order."""
    await exchange.quote("SPY", 500, 500)
    order = await exchange.buy("SPY", quantity)
    await exchange.forward(1)
    return order


async def test_all_faces_tell_the_same() -> None:
    """4.2, 5.4, 8.6: order stream, trade events, activity events and REST tell of one bust with the same ids and numbers."""
    async with running() as exchange, exchange.stream("/stream") as socket:
        await listen(socket)
        order = await bought(exchange)
        fill = [(await said(socket))["data"] for _ in range(3)][-1]
        async with events(exchange, TRADES) as trades, events(exchange, ACTIVITIES) as activities:
            status, answer = await exchange.call("POST", "/_exchange/bust", {"execution_id": fill["execution_id"]})
            assert (status, answer["id"], answer["filled_qty"]) == (200, order["id"], "0")
            bust = (await said(socket))["data"]
            assert await event(trades) == bust
            activity = await event(activities)
        assert (bust["event"], bust["previous_execution_id"], bust["qty"]) == ("trade_bust", fill["execution_id"], "-10")
        assert bust["event_id"] > fill["event_id"]
        assert (activity["type"], activity["id"].partition("::")[2]) == ("trade_bust", bust["execution_id"])
        _, rows = await exchange.call("GET", f"/v2/account/activities?order_id={order['id']}")
        assert [row["type"] for row in rows] == ["trade_bust", "fill"]
        assert rows[0]["previous_id"] == rows[1]["id"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("bust", {"execution_id": 5}, 400),
        ("bust", {"id": "x"}, 400),
        ("bust", {"symbol": "TECL"}, 404),
        ("correct", {"price": "NaN"}, 400),
        ("correct", {"price": "-1"}, 400),
        ("correct", {"qty": "1e30"}, 400),
        ("correct", {"price": "500"}, 422),
        ("correct", {"execution_id": "00000000-0000-4000-8000-000000000000", "price": "1"}, 404),
    ],
)
async def test_what_cannot_be_broken_or_corrected(path: str, body: dict[str, Any], status: int) -> None:
    """Control says what is wrong, and the account stays as it was."""
    async with running() as exchange:
        await bought(exchange)
        before = await exchange.call("GET", "/v2/account")
        assert (await exchange.call("POST", f"/_exchange/{path}", body))[0] == status
        assert await exchange.call("GET", "/v2/account") == before


def test_faults_break_and_correct_executions_late() -> None:
    """``bust`` and ``correct`` count executions as occasions and strike that many market seconds after them, at their own time."""

    async def scene() -> None:
        async with virtual_exchange() as exchange:
            await fault(exchange, kind="bust", symbol="SPY", skip=1, seconds=90)
            await fault(exchange, kind="correct", symbol="SPY", by="-0.25", seconds=30)
            await fault(exchange, kind="bust", symbol="TECL")
            await exchange.quote("SPY", 500, 500)
            for _ in range(2):
                await exchange.buy("SPY", "10")
                await exchange.clock.sleep(1)
            await exchange.clock.sleep_until(at("14:40:00"))
            _, rows = await exchange.call("GET", "/v2/account/activities?direction=asc")
            assert [(row["type"], row["qty"], row["price"]) for row in rows] == [
                ("fill", "10", "500"),
                ("fill", "10", "500"),
                ("trade_correct", "10", "499.75"),
                ("trade_bust", "-10", "500"),
            ]
            assert [rows[2]["previous_id"], rows[3]["previous_id"]] == [rows[0]["id"], rows[1]["id"]]
            first, second, corrected, broken = (datetime.fromisoformat(row["transaction_time"]) for row in rows)
            assert [(corrected - first).total_seconds(), (broken - second).total_seconds()] == pytest.approx([30, 90], abs=0.01)
            assert (await exchange.call("GET", "/v2/positions/SPY"))[1]["avg_entry_price"] == "499.75"

    virtual(scene)


async def test_a_fault_whose_execution_is_gone_is_noted() -> None:
    """What can no longer be broken stays as it is; the log says so, and the exchange goes on."""
    async with running() as exchange:
        await fault(exchange, kind="bust", seconds=60)
        await bought(exchange)
        await exchange.call("POST", "/_exchange/bust", {})
        await exchange.forward(120)
        _, log = await exchange.call("GET", "/_exchange/log")
        assert any("execution not changed" in entry.get("what", "") for entry in log)
        assert (await exchange.call("GET", "/v2/account"))[1]["cash"] == "100000"
