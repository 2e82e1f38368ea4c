"""The adapter and the embedded exchange, over the whole protocol stack in virtual time: an order's life, and the faults of the menu."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from pydantic import SecretStr

from alchemiser.alpaca.credentials import Credentials
from alchemiser.alpaca.market_stream import MarketStream
from alchemiser.alpaca.order_stream import OrderStream
from alchemiser.alpaca.venue import AlpacaVenue
from alchemiser.domain.errors import CredentialsRefused, NotFoundAtVenue, OrderRejected, OutcomeUnknown
from alchemiser.domain.events import ExecutionReported, FrameUnreadable, QuoteUpdated, StreamConnected, StreamLost
from alchemiser.domain.orders import NewOrder, OrderType, Side, TimeInForce
from tests.protocol.exchange.harness import CREDENTIALS, DAY, SYMBOLS, Running, session, virtual_exchange
from tests.solipsism import LoopConnector, virtual
from tests.unit.alpaca.fakes import Listener, running


def credentials(secret: str = CREDENTIALS.secret_key) -> Credentials:
    return Credentials(SecretStr(CREDENTIALS.key_id), SecretStr(secret))


@dataclass
class Desk:
    """The adapter, connected to an exchange."""

    exchange: Running
    venue: AlpacaVenue
    orders: OrderStream
    market: MarketStream
    heard: Listener

    async def fault(self, **fault: Any) -> None:
        """Ask the exchange for a fault."""
        status, answer = await self.exchange.call("POST", "/_exchange/faults", [fault])
        assert status < 300, answer

    async def until(self, client_order_id: str, status: str) -> Any:
        """Return the report that says that an order has reached a status."""
        while (report := (await self.reports(client_order_id, 1))[-1]).status != status:
            await self.heard.until(len(self.heard.of(ExecutionReported)) + 1, ExecutionReported)
        return report

    async def reports(self, client_order_id: str, count: int) -> list[Any]:
        """Return the reports of an order's stream once there are that many."""
        while len(found := [e.report for e in self.heard.of(ExecutionReported) if e.report.client_order_id == client_order_id]) < count:
            await self.heard.until(len(self.heard.of(ExecutionReported)) + 1, ExecutionReported)
        return found


@asynccontextmanager
async def desk(symbols: tuple[str, ...] = SYMBOLS) -> AsyncIterator[Desk]:
    async with AsyncExitStack() as stack:
        exchange = await stack.enter_async_context(virtual_exchange())
        address, clock, heard = exchange.address, exchange.clock, Listener()
        venue = AlpacaVenue(
            credentials(), trading_url=address.rest, data_url=address.rest, clock=clock, random=Random(1), make_connector=LoopConnector
        )
        await stack.enter_async_context(venue)
        orders = OrderStream(address.trading_stream, credentials(), publish=heard.publish, clock=clock, random=Random(2))
        market = MarketStream(
            address.data_stream, credentials(), post=heard.post, publish=heard.publish, clock=clock, random=Random(3), symbols=symbols
        )
        await stack.enter_async_context(running(orders))
        await stack.enter_async_context(running(market))
        await heard.until(2, StreamConnected)
        yield Desk(exchange, venue, orders, market, heard)


def played(scene: Callable[[Desk], Awaitable[None]]) -> None:
    """Play a scene in virtual time."""

    async def main() -> None:
        async with desk() as ready:
            await scene(ready)

    virtual(main)


def limit(number: int, price: str, *, side: Side = Side.BUY, quantity: str = "2", symbol: str = "SPY") -> NewOrder:
    return NewOrder(
        client_order_id=f"e1-20250303.1-s{number}-1",
        symbol=symbol,
        side=side,
        quantity=Decimal(quantity),
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.DAY,
        limit_price=Decimal(price),
    )


def test_an_order_from_submit_to_position() -> None:
    """Report, stream, activities and position tell one story, execution by execution."""

    async def scene(desk: Desk) -> None:
        await desk.exchange.quote("SPY", 100.0, 100.02)
        answer = await desk.venue.submit(limit(1, "100.5"))
        assert (answer.client_order_id, answer.symbol, answer.quantity) == ("e1-20250303.1-s1-1", "SPY", Decimal(2))
        report = await desk.until(answer.client_order_id, "filled")
        executions = [r for r in await desk.reports(answer.client_order_id, 1) if r.execution_id is not None]
        assert sum(r.last_quantity for r in executions) == report.cumulative_quantity == Decimal(2)
        fills = await desk.venue.fills_since(None)
        assert [fill.execution_id for fill in fills] == [r.execution_id for r in executions]
        assert sum(fill.quantity * fill.price for fill in fills) == sum(r.last_quantity * r.last_price for r in executions)
        assert (await desk.venue.fills_since(executions[-1].at))[-1].execution_id == executions[-1].execution_id
        assert await desk.venue.fills_since(executions[-1].at + timedelta(seconds=1)) == ()
        (position,) = await desk.venue.positions()
        assert (position.symbol, position.quantity) == ("SPY", Decimal(2))
        assert (await desk.venue.order_by_client_id(answer.client_order_id)).average_price == report.average_price
        account = await desk.venue.account()
        assert account.blocks == ()
        assert account.cash < Decimal(100_000)
        await desk.venue.cancel(answer.venue_order_id)

    played(scene)


def test_open_orders_replace_and_cancel() -> None:
    """An order far from the market waits, is replaced by a new one, and is cancelled on request."""

    async def scene(desk: Desk) -> None:
        await desk.exchange.quote("SPY", 100.0, 100.02)
        first = await desk.venue.submit(limit(1, "50"))
        await desk.until(first.client_order_id, "new")
        assert [order.venue_order_id for order in await desk.venue.open_orders()] == [first.venue_order_id]
        second = await desk.venue.replace(
            first.venue_order_id,
            symbol="SPY",
            side=Side.BUY,
            client_order_id="e1-20250303.1-s1-2",
            quantity=Decimal(3),
            limit_price=Decimal("51.5"),
        )
        assert (second.replaces, second.quantity, second.limit_price) == (first.venue_order_id, Decimal(3), Decimal("51.5"))
        await desk.until(second.client_order_id, "new")
        await desk.venue.cancel(second.venue_order_id)
        await desk.until(second.client_order_id, "canceled")
        assert await desk.venue.open_orders() == ()
        with pytest.raises(NotFoundAtVenue):
            await desk.venue.order_by_client_id("e1-20250303.1-s9-9")
        with pytest.raises(NotFoundAtVenue):
            await desk.venue.cancel("00000000-0000-4000-8000-000000000000")

    played(scene)


def test_the_same_id_twice_is_one_order() -> None:
    """A submit that is repeated by mistake returns the order that is there."""

    async def scene(desk: Desk) -> None:
        first = await desk.venue.submit(limit(1, "50"))
        again = await desk.venue.submit(limit(1, "50"))
        assert again.venue_order_id == first.venue_order_id
        assert len(await desk.venue.open_orders()) == 1

    played(scene)


def test_a_proven_refusal() -> None:
    """An order that the account cannot pay is rejected with the venue's code."""

    async def scene(desk: Desk) -> None:
        await desk.exchange.quote("SPY", 100.0, 100.02)
        with pytest.raises(OrderRejected, match="buying power") as caught:
            await desk.venue.submit(limit(1, "100", quantity="1000000"))
        assert caught.value.code == 40310000

    played(scene)


@pytest.mark.parametrize(
    ("fault", "arrived"),
    [
        ({"kind": "timeout"}, False),
        ({"kind": "timeout_after_effect"}, True),
        ({"kind": "http", "status": 504, "body": "<html>gateway</html>"}, False),
        ({"kind": "http", "status": 500, "after_effect": True}, True),
        ({"kind": "http", "status": 200, "body": "{", "after_effect": True}, True),
    ],
)
def test_a_submit_without_an_answer_is_settled_by_its_id(fault: dict[str, Any], arrived: bool) -> None:
    """Whether it arrived is not guessed: the look-up tells, and there is never a second order."""

    async def scene(desk: Desk) -> None:
        await desk.fault(**fault, path="/v2/orders", method="POST")
        with pytest.raises(OutcomeUnknown):
            await desk.venue.submit(limit(1, "50"))
        if arrived:
            assert (await desk.venue.order_by_client_id("e1-20250303.1-s1-1")).quantity == Decimal(2)
        else:
            with pytest.raises(NotFoundAtVenue):
                await desk.venue.order_by_client_id("e1-20250303.1-s1-1")
        assert len(await desk.venue.open_orders()) == int(arrived)

    played(scene)


def test_a_422_for_an_order_that_was_executed() -> None:
    """The order is there, so it is what the submit returns."""

    async def scene(desk: Desk) -> None:
        body = '{"code": 42210000, "message": "something went wrong"}'
        await desk.fault(kind="http", path="/v2/orders", method="POST", status=422, body=body, after_effect=True)
        assert (await desk.venue.submit(limit(1, "50"))).client_order_id == "e1-20250303.1-s1-1"

    played(scene)


def test_questions_survive_a_venue_that_stumbles() -> None:
    """Two bad answers and a slow one are not noticed."""

    async def scene(desk: Desk) -> None:
        await desk.fault(kind="http", path="/v2/account", status=502, body="<html>")
        await desk.fault(kind="http", path="/v2/account", status=429)
        await desk.fault(kind="delay", path="/v2/account", seconds=2)
        assert (await desk.venue.account()).account_number

    played(scene)


def test_streams_that_are_dropped_come_back() -> None:
    """Both streams are connected and subscribed again, also when the venue first says that there are too many connections."""

    async def scene(desk: Desk) -> None:
        for stream in ("orders", "market"):
            await desk.fault(kind="refuse_stream", stream=stream)
            await desk.fault(kind="drop_stream", stream=stream)
        await desk.heard.until(2, StreamLost)
        await desk.heard.until(4, StreamConnected, seconds=600)
        count = len(desk.heard.of(QuoteUpdated))
        await desk.exchange.quote("TECL", 50.0, 50.01)
        await desk.heard.until(count + 1, QuoteUpdated)
        order = await desk.venue.submit(limit(1, "50"))
        await desk.reports(order.client_order_id, 1)

    played(scene)


def test_bad_frames_are_survived() -> None:
    """Null payloads and half frames are told, and the streams go on."""

    async def scene(desk: Desk) -> None:
        await desk.fault(kind="send_frame", stream="orders", text='{"stream":"trade_updates","data":null}')
        await desk.fault(kind="send_frame", stream="market", text='[{"T":"q","S":')
        unreadable = await desk.heard.until(2, FrameUnreadable)
        assert {event.stream for event in unreadable} == {"orders", "market"}
        order = await desk.venue.submit(limit(1, "50"))
        await desk.reports(order.client_order_id, 1)
        assert desk.heard.of(StreamLost) == []

    played(scene)


def test_quotes_of_the_wanted_symbols_only() -> None:
    """A change of symbols at run time takes effect when it returns."""

    async def scene(desk: Desk) -> None:
        await desk.market.set_symbols(["BIL"])
        before = len(desk.heard.of(QuoteUpdated))
        await desk.exchange.quote("SPY", 100.0, 100.02)
        await desk.exchange.quote("BIL", 91.0, 91.02)
        events = await desk.heard.until(before + 1, QuoteUpdated)
        assert {event.symbol for event in events[before:]} == {"BIL"}
        quote = next(event for event in events[before:] if event.bid == 91.0)
        assert (quote.ask, quote.bid_size) == (91.02, 1000)

    played(scene)


def test_market_questions() -> None:
    """Snapshots, bars, sessions, assets and the clock: one request each, whatever the number of symbols."""

    async def scene(desk: Desk) -> None:
        before = desk.venue.requests_made
        snapshots = await desk.venue.snapshots([*SYMBOLS, "NOSUCH"])
        assert sorted(snapshots) == sorted(SYMBOLS)
        assert all(snapshot.previous is not None for snapshot in snapshots.values())
        bars = await desk.venue.daily_bars(SYMBOLS, start=date(2025, 2, 24), end=date(2025, 2, 28))
        assert {symbol: len(rows) for symbol, rows in bars.items()} == dict.fromkeys(SYMBOLS, 5)
        previous = snapshots["SPY"].previous
        assert previous is not None
        assert bars["SPY"][-1].start.astimezone(UTC) == previous.start
        assert await desk.venue.sessions(DAY, DAY) == (session(),)
        assets = await desk.venue.assets([*SYMBOLS, "NOSUCH"])
        assert sorted(assets) == sorted(SYMBOLS)
        assert abs(await desk.venue.now() - desk.exchange.clock.now()) < timedelta(seconds=1)
        assert desk.venue.requests_made - before == 5

    played(scene)


def test_wrong_credentials_are_refused_on_every_road() -> None:
    """REST and both streams say the same, and none tries again."""

    async def main() -> None:
        async with virtual_exchange() as exchange:
            address, clock, heard, wrong = exchange.address, exchange.clock, Listener(), credentials("wrong")
            async with AlpacaVenue(
                wrong, trading_url=address.rest, data_url=address.rest, clock=clock, random=Random(1), make_connector=LoopConnector
            ) as venue:
                with pytest.raises(CredentialsRefused):
                    await venue.account()
                assert venue.requests_made == 1
            with pytest.raises(CredentialsRefused):
                await OrderStream(address.trading_stream, wrong, publish=heard.publish, clock=clock, random=Random(1)).run()
            with pytest.raises(CredentialsRefused):
                await MarketStream(address.data_stream, wrong, post=heard.post, publish=heard.publish, clock=clock, random=Random(1)).run()

    virtual(main)
