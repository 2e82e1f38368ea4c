"""The exchange as a venue without a wire: what an answer says is what the account's activities say."""

from datetime import timedelta
from decimal import Decimal

from alchemiser.backtest.leap import LeapingClock
from alchemiser.backtest.memory_venue import MemoryVenue
from alchemiser.domain.market import Quote
from alchemiser.domain.orders import ExecutionReport, NewOrder, OrderType, Side, TimeInForce
from tests.unit.exchange.core.scene import Scene

SYMBOL = "TECL"


def venue_of(scene: Scene) -> MemoryVenue:
    """A venue at the time of a scene, whose market shows one quote."""
    quote = Quote(symbol=SYMBOL, bid=99.98, ask=100.02, bid_size=500.0, ask_size=500.0, at=scene.now)
    return MemoryVenue(scene.exchange, LeapingClock(scene.now), news=lambda symbols, now: [quote])


async def bought(venue: MemoryVenue, quantity: str, name: str) -> ExecutionReport:
    """The answer to an order to buy at the market."""
    order = NewOrder(
        client_order_id=name,
        symbol=SYMBOL,
        side=Side.BUY,
        quantity=Decimal(quantity),
        order_type=OrderType.MARKET,
        time_in_force=TimeInForce.DAY,
    )
    return await venue.submit(order)


async def test_fills_are_those_that_were_answered() -> None:
    """Each execution is told again with the id, the amounts and the time of its report, oldest first, from the time that is asked for."""
    scene = Scene(engine="instant")
    venue = venue_of(scene)
    reports = [await bought(venue, quantity, f"order-{quantity}") for quantity in ("2", "1.5")]
    assert ["filled", "filled"] == [report.status for report in reports]
    fills = await venue.fills_since(None)
    assert [(report.execution_id, report.venue_order_id, report.last_quantity, report.last_price, report.at) for report in reports] == [
        (fill.execution_id, fill.venue_order_id, fill.quantity, fill.price, fill.at) for fill in fills
    ]
    assert {(SYMBOL, "buy")} == {(fill.symbol, fill.side) for fill in fills}
    assert [report.cumulative_quantity for report in reports] == [fill.cumulative_quantity for fill in fills]
    assert len({fill.activity_id for fill in fills}) == 2
    assert await venue.fills_since(scene.now) == ()
    assert fills == await venue.fills_since(scene.now - timedelta(seconds=1))


async def test_account_and_positions_are_of_one_moment() -> None:
    """The equity is the cash and the positions at the very prices that are told of them, and no order holds any share."""
    venue = venue_of(Scene(engine="instant"))
    await bought(venue, "2", "order-1")
    account, (position,) = await venue.account_and_positions()
    assert (position.symbol, position.quantity, position.available_quantity) == (SYMBOL, Decimal(2), Decimal(2))
    assert position.current_price is not None
    assert account.equity == account.cash + position.quantity * position.current_price
    assert account == await venue.account()
