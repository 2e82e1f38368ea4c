"""Every kind of fault of the menu, planned in each of the three ways, against an exchange that runs: each strikes, whoever planned it.

The ways are the control API, which the contract cards use, a file as ``--faults`` takes it, and code that has the exchange at hand. What
a kind does in every variation is shown where its subject is; here it is that no kind is missing in any way.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, get_args

import aiohttp
import msgspec
import pytest
from aiohttp import WSMsgType, WSServerHandshakeError

from alchemiser.cli.exchange import read_faults
from alchemiser.exchange.fault_menu import AnyFault, parse_faults
from alchemiser.service.clock import VirtualClock
from tests.protocol.exchange.harness import HEADERS, Running, running, virtual_exchange
from tests.protocol.exchange.test_events import TRADES, event, events
from tests.protocol.exchange.test_market_stream import opened
from tests.protocol.exchange.test_market_stream import said as market_said
from tests.protocol.exchange.test_order_stream import AUTH, listen, said
from tests.solipsism import virtual

Plan = Callable[..., Awaitable[None]]
Scene = Callable[[Running, Plan], Awaitable[None]]

LIMIT: Final = {"type": "limit", "limit_price": "1.00"}


# --- the ways ---


async def by_control(exchange: Running, fault: dict[str, Any], folder: Path) -> None:
    """Plan a fault as a drill does."""
    status, answer = await exchange.call("POST", "/_exchange/faults", [fault])
    assert status == 200, answer


async def by_file(exchange: Running, fault: dict[str, Any], folder: Path) -> None:
    """Plan a fault as ``--faults FILE`` does."""
    path = folder / "faults.json"
    path.write_text(json.dumps([fault]))
    exchange.server.plan_faults(read_faults(path, exchange.server.symbols))
    await _driven(exchange)


async def by_code(exchange: Running, fault: dict[str, Any], folder: Path) -> None:
    """Plan a fault as a simulation does."""
    exchange.server.plan_faults(parse_faults(fault))
    await _driven(exchange)


async def _driven(exchange: Running) -> None:
    """Let the market go on a moment, in which what strikes by itself strikes."""
    if isinstance(exchange.clock, VirtualClock):
        await exchange.clock.sleep(0.001)
    else:
        await exchange.forward(0.001)


# --- what is asked ---


async def shown(exchange: Running, order: dict[str, Any]) -> dict[str, Any]:
    """Return an order as it is now."""
    status, found = await exchange.call("GET", f"/v2/orders/{order['id']}")
    assert status == 200
    assert isinstance(found, dict)
    return found


async def told(exchange: Running, plan: Plan, **fault: Any) -> list[str]:
    """Return the events that a bought share is told by while the fault is planned, up to its fill and whatever comes in the same second."""
    async with exchange.stream("/stream") as socket:
        await listen(socket)
        await plan(**fault)
        await exchange.buy("SPY")
        await exchange.forward(1)
        await exchange.buy("TECL")  # Its first event is where the list of the other ends.
        names: list[str] = []
        while (update := (await said(socket))["data"])["order"]["symbol"] == "SPY":
            names.append(update["event"])
        return names


async def waited(exchange: Running, path: str) -> float:
    """Return how many seconds an answer took."""
    begun = exchange.clock.monotonic()
    assert (await exchange.call("GET", path))[0] == 200
    return exchange.clock.monotonic() - begun


# --- the kinds, one scene each ---


async def http(exchange: Running, plan: Plan) -> None:
    """An answer that is not the exchange's."""
    await plan(path="/v2/clock", status=502, body="<html>")
    assert [(await exchange.http.get(exchange.address.rest + "/v2/clock", headers=HEADERS)).status for _ in range(2)] == [502, 200]


async def delay(exchange: Running, plan: Plan) -> None:
    """A late answer."""
    await plan(path="/v2/clock", seconds=7)
    assert await waited(exchange, "/v2/clock") >= 7 > await waited(exchange, "/v2/clock")


async def slow_body(exchange: Running, plan: Plan) -> None:
    """Half an answer, and the rest late."""
    await plan(path="/v2/account", seconds=9)
    assert await waited(exchange, "/v2/account") >= 9


async def timeout(exchange: Running, plan: Plan) -> None:
    """No answer, and no order."""
    await plan(path="/v2/orders", method="POST", seconds=5)
    with pytest.raises(aiohttp.ClientError):
        await exchange.buy("SPY")
    assert (await exchange.call("GET", "/v2/orders?status=all"))[1] == []


async def timeout_after_effect(exchange: Running, plan: Plan) -> None:
    """No answer, and an order."""
    await plan(path="/v2/orders", method="POST", seconds=5)
    with pytest.raises(aiohttp.ClientError):
        await exchange.buy("SPY")
    assert len((await exchange.call("GET", "/v2/orders?status=all"))[1]) == 1


async def refuse_order(exchange: Running, plan: Plan) -> None:
    """The venue's refusal by its name."""
    await plan(reason="wash_trade")
    body = {"symbol": "SPY", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"}
    assert [(await exchange.call("POST", "/v2/orders", body))[0] for _ in range(2)] == [403, 200]


async def skew_clock(exchange: Running, plan: Plan) -> None:
    """The clock that is told is a day ahead."""
    await plan(seconds=86_400)
    assert [(await exchange.call("GET", "/v2/clock"))[1]["timestamp"][:10] for _ in range(2)] == ["2025-03-04", "2025-03-03"]


async def drop_stream(exchange: Running, plan: Plan) -> None:
    """The connection is closed with the code."""
    async with exchange.stream("/stream") as socket:
        await plan(stream="orders", code=1011)
        assert (await socket.receive()).data == 1011


async def refuse_stream(exchange: Running, plan: Plan) -> None:
    """One handshake is refused."""
    await plan(stream="market", status=503)
    with pytest.raises(WSServerHandshakeError, match="503"):
        await exchange.stream("/v2/sip")
    async with exchange.stream("/v2/sip"):
        pass


async def refuse_auth(exchange: Running, plan: Plan) -> None:
    """Right credentials are refused once."""
    await plan(stream="orders")
    async with exchange.stream("/stream") as socket:
        answers = []
        for _ in range(2):
            await socket.send_json(AUTH)
            answers.append((await said(socket))["data"]["status"])
    assert answers == ["unauthorized", "authorized"]


async def half_open(exchange: Running, plan: Plan) -> None:
    """Nothing is told any more, and pings are not answered."""
    async with exchange.stream("/stream") as socket:
        await listen(socket)
        await plan(stream="orders")
        await exchange.buy("SPY")
        with pytest.raises(asyncio.TimeoutError):
            await socket.receive(timeout=60)
        await exchange.call("POST", "/_exchange/faults", {"kind": "drop_stream", "stream": "orders"})


async def mute_stream(exchange: Running, plan: Plan) -> None:
    """What happens while the stream is mute is never told."""
    async with exchange.stream("/stream") as socket:
        await listen(socket)
        await plan(stream="orders")
        await exchange.buy("SPY")
        await exchange.forward(1)
        await exchange.call("DELETE", "/_exchange/faults")
        await exchange.buy("BIL")
        assert (await said(socket))["data"]["order"]["symbol"] == "BIL"


async def flip_opcode(exchange: Running, plan: Plan) -> None:
    """Text for binary."""
    async with exchange.stream("/stream") as socket:
        await listen(socket)
        await plan(stream="orders")
        await exchange.buy("SPY")
        assert [(await socket.receive()).type for _ in range(2)] == [WSMsgType.TEXT, WSMsgType.BINARY]


async def send_frame(exchange: Running, plan: Plan) -> None:
    """Any text as a frame."""
    async with exchange.stream("/stream") as socket:
        await listen(socket)
        await plan(stream="orders", text='{"stream":"trade_updates","data":null}')
        assert await said(socket) == {"stream": "trade_updates", "data": None}


async def storm(exchange: Running, plan: Plan) -> None:
    """As many quotes as asked for, at once."""
    async with exchange.stream("/v2/sip", HEADERS) as socket:
        await opened(socket, quotes=["BIL"])
        await plan(symbol="BIL", messages=1_200)
        quotes = 0
        while quotes < 1_200:
            quotes += len(await market_said(socket))


async def lose_updates(exchange: Running, plan: Plan) -> None:
    """The acknowledgement is never told."""
    assert await told(exchange, plan, event="new") == ["pending_new", "fill"]


async def duplicate_updates(exchange: Running, plan: Plan) -> None:
    """The fill is told twice."""
    assert await told(exchange, plan, event="fill") == ["pending_new", "new", "fill", "fill"]


async def reorder_updates(exchange: Running, plan: Plan) -> None:
    """The fill is told before the acknowledgement."""
    assert await told(exchange, plan, event="new") == ["pending_new", "fill", "new"]


async def repeat_stamp(exchange: Running, plan: Plan) -> None:
    """Two events have one time."""
    async with exchange.stream("/stream") as socket:
        await listen(socket)
        await plan(event="new")
        await exchange.buy("SPY")
        await exchange.forward(1)
        stamps = [(await said(socket))["data"]["timestamp"] for _ in range(3)]
    assert stamps[0] == stamps[1] != stamps[2]


async def overlap_replay(exchange: Running, plan: Plan) -> None:
    """An event of the replayable stream comes twice."""
    async with events(exchange, TRADES) as live:
        await plan()
        await exchange.buy("SPY")
        assert await event(live) == await event(live)


async def _status_after(exchange: Running, seconds: float) -> str:
    """Return the status of an order that many seconds after it was sent."""
    order = await exchange.buy("SPY")
    await exchange.forward(seconds)
    return str((await shown(exchange, order))["status"])


async def reject_order(exchange: Running, plan: Plan) -> None:
    """Accepted, and rejected by the market."""
    await plan(symbol="SPY")
    assert await _status_after(exchange, 1) == "rejected"


async def park_order(exchange: Running, plan: Plan) -> None:
    """An order that waits before it works."""
    await plan(status="suspended", seconds=60)
    order = await exchange.buy("SPY")
    seen = []
    for _ in range(2):
        await exchange.forward(40)
        seen.append((await shown(exchange, order))["status"])
    assert seen == ["suspended", "filled"]


async def cut_short(exchange: Running, plan: Plan) -> None:
    """Half is filled, the rest cancelled."""
    await exchange.quote("SPY", 499.98, 500.00)
    await plan()
    order = await exchange.buy("SPY", "10")
    await exchange.forward(1)
    found = await shown(exchange, order)
    assert (found["status"], found["filled_qty"]) == ("canceled", "5")


async def _cancelled(exchange: Running, plan: Plan, **fault: Any) -> str:
    """Return the status of an order ten seconds after its cancel was asked for."""
    await plan(**fault)
    order = await exchange.buy("SPY", **LIMIT)
    await exchange.forward(1)
    assert (await exchange.call("DELETE", f"/v2/orders/{order['id']}"))[0] == 204
    await exchange.forward(10)
    return str((await shown(exchange, order))["status"])


async def refuse_cancel(exchange: Running, plan: Plan) -> None:
    """The order works on."""
    assert await _cancelled(exchange, plan) == "new"


async def stall_cancel(exchange: Running, plan: Plan) -> None:
    """The cancel is under way for long."""
    assert await _cancelled(exchange, plan, seconds=3_600) == "pending_cancel"


async def refuse_replace(exchange: Running, plan: Plan) -> None:
    """The old order works on, the new one is rejected."""
    await plan()
    order = await exchange.buy("SPY", **LIMIT)
    await exchange.forward(1)
    _, new = await exchange.call("PATCH", f"/v2/orders/{order['id']}", {"limit_price": "2.00"})
    await exchange.forward(1)
    assert [(await shown(exchange, each))["status"] for each in (order, new)] == ["new", "rejected"]


async def bust(exchange: Running, plan: Plan) -> None:
    """The execution is taken away again."""
    await plan(seconds=30)
    await exchange.buy("SPY")
    statuses = []
    for _ in range(2):
        await exchange.forward(20)
        statuses.append((await exchange.call("GET", "/v2/positions/SPY"))[0])
    assert statuses == [200, 404]


async def correct(exchange: Running, plan: Plan) -> None:
    """The execution's price changes."""
    await exchange.quote("SPY", 499.98, 500.00)
    await plan(by="-0.25")
    order = await exchange.buy("SPY")
    await exchange.forward(1)
    assert (await shown(exchange, order))["filled_avg_price"] == "499.75"


async def halt(exchange: Running, plan: Plan) -> None:
    """Nothing trades."""
    await plan(symbol="SPY")
    assert await _status_after(exchange, 5) == "new"


async def borrow(exchange: Running, plan: Plan) -> None:
    """A symbol is hard to borrow."""
    await plan(symbol="BIL")
    assert (await exchange.call("GET", "/v2/assets/BIL"))[1]["borrow_status"] == "hard_to_borrow"


async def block(exchange: Running, plan: Plan) -> None:
    """The account may not trade."""
    await plan(trading=True)
    assert (await exchange.call("GET", "/v2/account"))[1]["trading_blocked"]


async def corporate_actions(exchange: Running, plan: Plan) -> None:
    """A dividend is announced."""
    await plan(actions={"cash_dividends": [{"id": "d", "symbol": "BIL", "rate": 0.5, "ex_date": "2025-03-04"}]})
    _, found = await exchange.call("GET", "/v1/corporate-actions?symbols=BIL&start=2025-03-04&end=2025-03-04")
    assert [row["rate"] for row in found["corporate_actions"]["cash_dividends"]] == [0.5]


async def step_clock(exchange: Running, plan: Plan) -> None:
    """Ten minutes are gone."""
    await plan(seconds=600)
    assert (await exchange.call("GET", "/v2/clock"))[1]["timestamp"] >= "2025-03-03T09:40"


IN_VIRTUAL_TIME: Final[tuple[Scene, ...]] = (delay, slow_body, timeout, timeout_after_effect, half_open)
"""What waits for seconds of the machine."""

AT_ONCE: Final[tuple[Scene, ...]] = (
    *(http, refuse_order, skew_clock, drop_stream, refuse_stream, refuse_auth, mute_stream, flip_opcode, send_frame, storm),
    *(lose_updates, duplicate_updates, reorder_updates, repeat_stamp, overlap_replay),
    *(reject_order, park_order, cut_short, refuse_cancel, stall_cancel, refuse_replace),
    *(bust, correct, halt, borrow, block, corporate_actions, step_clock),
)
WAYS: Final = {"control": by_control, "file": by_file, "code": by_code}


def test_no_kind_is_forgotten() -> None:
    """There is a scene for every kind of the menu, by its name."""
    kinds = {str(msgspec.inspect.type_info(kind).tag) for kind in get_args(AnyFault)}  # type: ignore[attr-defined]
    assert kinds == {scene.__name__ for scene in (*AT_ONCE, *IN_VIRTUAL_TIME)}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("scene", AT_ONCE, ids=lambda scene: scene.__name__)
async def test_it_strikes(scene: Scene, way: str, tmp_path: Path) -> None:
    """The fault does what the menu says, whichever way it was planned."""
    async with running() as exchange:

        async def plan(**members: Any) -> None:
            await WAYS[way](exchange, {"kind": scene.__name__, **members}, tmp_path)

        await scene(exchange, plan)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("scene", IN_VIRTUAL_TIME, ids=lambda scene: scene.__name__)
def test_it_strikes_and_takes_its_time(scene: Scene, way: str, tmp_path: Path) -> None:
    """The same for faults that wait."""

    async def whole() -> None:
        async with virtual_exchange() as exchange:

            async def plan(**members: Any) -> None:
                await WAYS[way](exchange, {"kind": scene.__name__, **members}, tmp_path)

            await scene(exchange, plan)

    virtual(whole)
