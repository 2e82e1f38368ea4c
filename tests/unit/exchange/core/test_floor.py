"""What happens to admitted orders: acknowledging, matching, stops, cancels, replacements."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from alchemiser.domain.market import Quote
from alchemiser.exchange.requests import ActivityFilter
from tests.unit.exchange.core.scene import Scene, refusal, utc


def test_a_market_order_goes_through_every_station_with_its_latencies(scene: Scene) -> None:
    """Six milliseconds to new, twenty more to the fill; next_due names each moment."""
    start = scene.now
    order = scene.submit()
    assert ("pending_new", start + timedelta(milliseconds=6)) == (order.status, scene.exchange.next_due())
    scene.wait(6)
    assert ("new", start + timedelta(milliseconds=26)) == (order.status, scene.exchange.next_due())
    scene.wait(20)
    assert "filled" == order.status
    assert ["pending_new", "new", "fill"] == scene.events()
    assert order.filled_at == start + timedelta(milliseconds=26)


def test_one_long_step_tells_the_same_story_as_many_short_ones() -> None:
    """Events carry the time at which they were due, however coarsely time is advanced."""

    def story(step_ms: int) -> list[tuple[str, Any]]:
        scene = Scene()
        scene.quote(size=100)
        scene.submit(qty=250)
        for _ in range(600 // step_ms):
            scene.wait(step_ms)
        return [(update.event, update.at) for update in scene.updates()]

    assert story(600) == story(1)


def test_time_that_goes_back_stands_still(scene: Scene) -> None:
    """A wall clock may be set back; the exchange never goes with it."""
    scene.wait(5000)
    latest = scene.now
    scene.now = latest - timedelta(seconds=3)
    assert latest == scene.submit().submitted_at


def test_a_market_order_beyond_the_displayed_size_walks_with_impact(scene: Scene) -> None:
    """Each further displayed size is a step worse; the fills add up."""
    order = scene.submit(qty=1200)
    scene.settle()
    fills = [update for update in scene.updates() if update.qty is not None]
    assert [("500", "100.02"), ("500", "100.03"), ("200", "100.04")] == [(fill.json()["qty"], fill.json()["price"]) for fill in fills]
    assert ["partial_fill", "partial_fill", "fill"] == [fill.event for fill in fills]
    assert Decimal("-120033") == scene.cash - 100_000
    assert order.filled_value == Decimal("120033")


def test_what_one_order_took_is_gone_for_the_next_until_the_next_quote(scene: Scene) -> None:
    """Displayed size is consumed; a new quote refreshes it."""
    scene.buy("500")
    second = scene.submit(qty=10)
    scene.settle()
    assert Decimal("100.03") == second.average_price
    scene.quote()
    assert Decimal("100.02") == scene.buy("10").average_price


def test_a_market_order_stops_at_the_collar_and_waits_there(scene: Scene) -> None:
    """Never more than five percent from the NBBO it met; the rest waits for the market to come back."""
    scene.quote(size=1)
    order = scene.submit(qty=600)
    scene.settle()
    assert "partially_filled" == order.status
    prices = [update.price for update in scene.updates() if update.price is not None]
    assert max(prices) <= Decimal("100.02") * Decimal("1.05")
    scene.quote(ask=110, bid=109.9)
    filled = order.filled_qty
    assert filled < 600
    scene.quote(size=1000)
    assert "filled" == order.status


def test_a_marketable_limit_takes_the_displayed_size_and_waits_with_the_rest(scene: Scene) -> None:
    """At the NBBO price, not at its own limit; the next quote serves the rest."""
    order = scene.submit(qty=800, limit_price=101)
    scene.settle()
    assert ("partially_filled", Decimal(500), Decimal("100.02")) == (order.status, order.filled_qty, order.average_price)
    scene.quote(ask=100.5, bid=100.4, size=200)
    scene.quote(ask=100.5, bid=100.4, size=200)
    assert ("filled", Decimal(500) * Decimal("100.02") + 300 * Decimal("100.5")) == (order.status, order.filled_value)


def test_a_resting_limit_is_filled_at_its_limit_when_the_far_side_reaches_it(scene: Scene) -> None:
    """It was there first: the market comes to its price."""
    order = scene.submit(limit_price=99.5)
    scene.settle()
    scene.quote(bid=99.45, ask=99.51)
    assert "new" == order.status
    scene.quote(bid=99.3, ask=99.4)
    assert ("filled", Decimal("99.5")) == (order.status, order.average_price)


def test_a_trade_beyond_the_limit_fills_a_resting_order_up_to_its_size(scene: Scene) -> None:
    """A print through the price sweeps the queue, as far as the print is large."""
    order = scene.submit(qty=100, limit_price=99.9)
    scene.settle()
    scene.trade(99.89, 30)
    assert (Decimal(30), Decimal("99.9")) == (order.filled_qty, order.average_price)


def test_a_trade_at_the_limit_serves_the_queue_first(scene: Scene) -> None:
    """Behind five hundred displayed shares, ahead of none inside the spread, unknown deep in the book."""
    behind = scene.submit(qty=100, limit_price=99.98)
    deep = scene.submit(qty=100, limit_price=99.9)
    first = scene.submit(qty=100, limit_price=100)
    scene.settle()
    scene.trade(100, 40)
    assert Decimal(40) == first.filled_qty
    scene.trade(99.98, 450)
    assert (Decimal(100), Decimal(0)) == (first.filled_qty, behind.filled_qty)
    scene.trade(99.98, 200)
    assert (Decimal(100), "new") == (behind.filled_qty, deep.status)
    scene.trade(99.9, 1000)
    assert "new" == deep.status


def test_sells_are_the_mirror_of_buys(scene: Scene) -> None:
    """They meet the bid, rest above it, and are traded through from below."""
    scene.buy("1000")
    scene.quote()
    market = scene.submit(side="sell", qty=600)
    resting = scene.submit(side="sell", qty=100, limit_price=100.5)
    scene.settle()
    assert 500 * Decimal("99.98") + 100 * Decimal("99.97") == market.filled_value
    scene.trade(100.6, 60)
    scene.quote(bid=100.55, ask=100.6)
    assert ("filled", Decimal("100.5")) == (resting.status, resting.average_price)


@pytest.mark.parametrize("quote", [None, {"bid": 0.0}, {"ask": 0.0}, {"size": 0.0}, {"bid": 101.0}])
def test_a_market_order_waits_for_a_quote_it_can_trade_on(quote: dict[str, Any] | None) -> None:
    """Absent, one-sided, empty and crossed quotes fill nothing."""
    scene = Scene()
    if quote is not None:
        scene.quote(**quote)
    order = scene.submit(side="buy") if quote != {"bid": 0.0} else scene.submit(side="sell")
    scene.settle()
    assert "new" == order.status
    scene.quote()
    assert "filled" == order.status


def test_a_quote_of_another_phase_or_too_old_fills_nothing() -> None:
    """What was quoted before the open is no price of the session; an age limit is a switch."""
    scene = Scene(utc(14, 29, 59), quote_life_seconds=5)
    scene.quote()
    order = scene.submit()
    scene.go(utc(14, 30, 1))
    assert "new" == order.status
    scene.quote()
    assert "filled" == order.status
    scene.wait(seconds=6)
    late = scene.submit()
    scene.settle()
    assert "new" == late.status


def test_an_order_that_nobody_could_price_is_rejected_when_the_account_cannot_pay() -> None:
    """Acceptance is not a guarantee: the first quote decides."""
    scene = Scene()
    order = scene.submit(qty=5000)
    other = scene.submit(qty=50)
    scene.settle()
    scene.quote()
    assert ("rejected", "filled") == (order.status, other.status)
    assert order.failed_at is not None
    assert "rejected" in scene.events()


def test_immediate_or_cancel_takes_what_is_there(scene: Scene) -> None:
    """The displayed size at the NBBO for a limit; the rest is cancelled at once."""
    order = scene.submit(qty=800, limit_price=101, time_in_force="ioc")
    scene.settle()
    assert ("canceled", Decimal(500)) == (order.status, order.filled_qty)
    assert ["pending_new", "new", "partial_fill", "canceled"] == scene.events()


def test_immediate_or_cancel_without_a_market_is_cancelled() -> None:
    """No quote, no waiting."""
    scene = Scene()
    order = scene.submit(time_in_force="ioc")
    scene.settle()
    assert "canceled" == order.status


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"qty": 500, "limit_price": 101}, "filled"),
        ({"qty": 501, "limit_price": 101}, "canceled"),
        ({"qty": 10, "limit_price": 99}, "canceled"),
        ({"qty": 1200}, "filled"),
    ],
)
def test_fill_or_kill_is_all_or_nothing(scene: Scene, fields: dict[str, Any], status: str) -> None:
    """Either the whole quantity at once or a cancel."""
    order = scene.submit(time_in_force="fok", **fields)
    scene.settle()
    assert status == order.status
    assert order.filled_qty in (0, order.qty)


def test_fill_or_kill_knows_how_far_it_may_walk(scene: Scene) -> None:
    """More than the collar holds is killed before the first share."""
    scene.quote(size=1)
    order = scene.submit(qty=600, time_in_force="fok")
    scene.settle()
    assert ("canceled", Decimal(0)) == (order.status, order.filled_qty)


def test_a_notional_order_buys_what_its_dollars_buy(scene: Scene) -> None:
    """Nine decimals of shares, never more than the amount."""
    order = scene.submit(notional=1000)
    scene.settle()
    assert "filled" == order.status
    assert None is order.qty
    assert Decimal("9.998000399") == order.filled_qty
    assert Decimal(0) <= 1000 - order.filled_value < Decimal("0.000001")


def test_a_notional_order_walks_too(scene: Scene) -> None:
    """Its leaves are dollars: a worse price buys fewer shares."""
    scene.quote(size=4)
    order = scene.submit(notional=1000)
    scene.settle()
    assert "filled" == order.status
    assert Decimal(0) <= 1000 - order.filled_value < Decimal("0.000001")


def test_a_notional_sell_never_sells_more_than_is_free(scene: Scene) -> None:
    """The price falls while it waits: the shares end before the dollars do."""
    scene.buy("10")
    scene.exchange.on_halt("TECL", True, scene.now)
    order = scene.submit(side="sell", notional=999)
    scene.settle()
    scene.quote(bid=90, ask=90.02)
    scene.exchange.on_halt("TECL", False, scene.now)
    assert ("filled", Decimal(10), Decimal(0)) == (order.status, order.filled_qty, scene.holding())


@pytest.mark.parametrize(
    ("bid", "ask", "cross", "price"),
    [
        (99.90, 100.10, None, "100.00"),
        (99.90, 100.10, 99.95, "99.95"),
        (99.90, 100.10, 100.2, "100.00"),
        (99.99, 100.00, None, "100.00"),
        (0.0, 100.10, None, "100.10"),
        (0.5, 0.5003, None, "0.5002"),
    ],
)
def test_the_auction_after_a_halt_has_one_price(scene: Scene, bid: float, ask: float, cross: float | None, price: str) -> None:
    """That of the tape's print inside the reopening quote, else the middle in whole ticks, else the only side there is."""
    scene.exchange.on_halt("TECL", True, scene.now)
    orders = [scene.submit(qty=700), scene.submit(qty=2, limit_price=price)]
    scene.settle()
    scene.quote(bid=bid, ask=ask)
    scene.exchange.on_halt("TECL", False, scene.now, cross=cross)
    assert [("filled", Decimal(price))] * 2 == [(order.status, order.average_price) for order in orders]


def test_a_halt_stops_fills_until_trading_resumes(scene: Scene) -> None:
    """Orders are accepted, none is filled, not by trades either."""
    scene.exchange.on_halt("TECL", True, scene.now)
    order = scene.submit()
    scene.settle()
    scene.quote()
    scene.trade(100)
    assert "new" == order.status
    scene.exchange.on_halt("TECL", False, scene.now)
    assert "filled" == order.status


# --- stops ---


def test_a_sell_stop_becomes_a_market_order(scene: Scene) -> None:
    """Elected by a trade at or through the stop inside the NBBO; prints outside of it are no evidence."""
    scene.buy("10")
    order = scene.submit(side="sell", type="stop", stop_price=99)
    scene.settle()
    scene.trade(98.5)
    assert "new" == order.status
    scene.quote(bid=98.9, ask=99.1)
    assert "new" == order.status
    scene.trade(99)
    assert ("filled", Decimal("98.9")) == (order.status, order.average_price)


@pytest.mark.parametrize(("stop", "limit"), [("101", "103.52"), ("40", "41.6")])
def test_a_buy_stop_becomes_a_limit_order_with_some_room(stop: str, limit: str) -> None:
    """Four percent below fifty dollars, two and a half above, and never a worse price."""
    scene = Scene()
    scene.quote(bid=float(stop) - 1, ask=float(stop) - 0.9)
    order = scene.submit(type="stop", stop_price=stop)
    scene.settle()
    far = float(limit) + 0.05
    scene.quote(bid=float(stop), ask=far)
    scene.trade(float(stop))
    assert "new" == order.status
    scene.quote(bid=float(stop), ask=far - 0.06)
    assert "filled" == order.status


def test_a_stop_limit_keeps_its_limit(scene: Scene) -> None:
    """Elected, it rests at its limit."""
    order = scene.submit(type="stop_limit", stop_price=100.5, limit_price=100.4)
    scene.settle()
    scene.quote(bid=100.5, ask=100.6)
    scene.trade(100.5)
    assert "new" == order.status
    scene.quote(bid=100.3, ask=100.4)
    assert ("filled", Decimal("100.4")) == (order.status, order.average_price)


def test_a_stop_that_the_last_trade_has_passed_is_elected_on_arrival(scene: Scene) -> None:
    """It does not wait for another print."""
    scene.buy("10")
    scene.trade(100)
    order = scene.submit(side="sell", type="stop", stop_price=100)
    scene.settle()
    assert "filled" == order.status


@pytest.mark.parametrize(("field", "stop"), [({"trail_price": 2}, Decimal(101)), ({"trail_percent": 2}, Decimal("100.94"))])
def test_a_trailing_stop_follows_the_best_price(scene: Scene, field: dict[str, Any], stop: Decimal) -> None:
    """High-water mark and stop move up with the trades and never back; then it sells at the market."""
    scene.buy("10")
    scene.trade(100)
    order = scene.submit(side="sell", type="trailing_stop", **field)
    scene.settle()
    scene.quote(bid=102.9, ask=103.1)
    scene.trade(103)
    scene.quote(bid=101.9, ask=102.1)
    scene.trade(102)
    assert (Decimal(103), stop) == (order.hwm, order.stop_price)
    scene.quote(bid=100.8, ask=101)
    scene.trade(100.9)
    assert ("filled", Decimal("100.8")) == (order.status, order.average_price)


def test_a_trailing_buy_follows_downwards(scene: Scene) -> None:
    """Its mark is the lowest price; a replaced trail keeps the mark."""
    order = scene.submit(type="trailing_stop", trail_price=3)
    scene.settle()
    scene.quote(bid=97.9, ask=98.1)
    scene.trade(98)
    assert (Decimal(98), Decimal(101)) == (order.hwm, order.stop_price)
    tighter = scene.replace(order, trail=1)
    assert (Decimal(98), Decimal(99), Decimal(1)) == (tighter.hwm, tighter.stop_price, tighter.trail_price)


def test_a_trailing_stop_without_a_market_waits_for_its_first_trade() -> None:
    """There is no mark to trail from before that."""
    scene = Scene()
    order = scene.submit(type="trailing_stop", trail_percent=5)
    scene.settle()
    assert None is order.stop_price
    scene.trade(100)
    assert Decimal(105) == order.stop_price


# --- cancel and replace ---


def test_a_cancel_takes_its_time_and_is_told(scene: Scene) -> None:
    """204, pending_cancel, canceled; asking twice is harmless, asking later is refused."""
    order = scene.submit(limit_price=90)
    scene.settle()
    scene.exchange.cancel(order.id, scene.now)
    scene.exchange.cancel(order.id.replace("-", ""), scene.now)
    assert "pending_cancel" == order.status
    scene.settle()
    assert ["pending_new", "new", "pending_cancel", "canceled"] == scene.events()
    assert {"status": 422, "code": 42210000, "message": 'order is already in "canceled" state'} == refusal(
        lambda: scene.exchange.cancel(order.id, scene.now)
    )


def test_a_fill_may_win_the_race_against_a_cancel(scene: Scene) -> None:
    """Partly or wholly; what is left is cancelled."""
    orders = [scene.submit(qty=100, limit_price=99.9) for _ in range(2)]
    scene.settle()
    for order in orders:
        scene.exchange.cancel(order.id, scene.now)
    scene.trade(99.8, 150)
    assert ["filled", "pending_cancel"] == [order.status for order in orders]
    scene.settle()
    assert [("filled", 100), ("canceled", 50)] == [(order.status, int(order.filled_qty)) for order in orders]


def test_an_order_may_be_cancelled_before_it_is_acknowledged(scene: Scene) -> None:
    """It never becomes new and never trades."""
    order = scene.submit()
    scene.exchange.cancel(order.id, scene.now)
    scene.settle()
    assert ["pending_new", "pending_cancel", "canceled"] == scene.events()
    assert Decimal(0) == order.filled_qty


def test_unknown_ids_are_not_found(scene: Scene) -> None:
    """404 for a UUID that nobody has, 422 for what is none."""
    unknown = "904837e3-3b76-47ec-b432-046db621571b"
    assert (404, 40410000) == tuple(refusal(lambda: scene.exchange.cancel(unknown, scene.now))[name] for name in ("status", "code"))
    assert 422 == refusal(lambda: scene.exchange.order("seven"))["status"]
    assert 404 == refusal(lambda: scene.exchange.order_by_client_id("seven"))["status"]


def test_cancel_all_answers_for_each_order(scene: Scene) -> None:
    """Open ones only, oldest first; one that is being replaced refuses."""
    assert [] == scene.exchange.cancel_all(scene.now)
    first, second = scene.submit(limit_price=90), scene.submit(limit_price=91)
    scene.settle()
    new = scene.replace(second, limit_price=92)
    rows = scene.exchange.cancel_all(scene.now)
    assert [(first.id, 200), (second.id, 422), (new.id, 422)] == [(row["id"], row["status"]) for row in rows]
    assert [None, 42210000, 42210000] == [row.get("body", {}).get("code") for row in rows]


def test_a_replacement_makes_a_new_order(scene: Scene) -> None:
    """The old one ends replaced and points to the new, which inherits what was not changed."""
    old = scene.submit(limit_price=90, client_order_id="first")
    scene.settle()
    new = scene.replace(old, limit_price=91, client_order_id="second")
    assert ("pending_replace", "pending_new", old.id, new.id) == (old.status, new.status, new.replaces, old.replaced_by)
    scene.settle()
    assert ("replaced", "new", Decimal(91), Decimal(10)) == (old.status, new.status, new.limit_price, new.qty)
    told = [(update.event, update.order["client_order_id"]) for update in scene.updates()]
    assert [
        ("pending_new", "first"),
        ("new", "first"),
        ("pending_replace", "first"),
        ("pending_new", "second"),
        ("replaced", "first"),
        ("new", "second"),
    ] == told


def test_old_and_new_together_reserve_the_larger(scene: Scene) -> None:
    """While the replacement is pending, in dollars and in shares."""
    order = scene.submit(qty=100, limit_price=90)
    scene.settle()
    scene.replace(order, qty=150)
    assert Decimal(200_000 - 13_500) == scene.buying_power()
    scene.settle()
    assert Decimal(200_000 - 13_500) == scene.buying_power()


def test_a_quantity_asked_for_is_the_new_total(scene: Scene) -> None:
    """What is filled, before or while it is pending, counts towards it; less than that is refused."""
    scene.quote(size=30)
    order = scene.submit(qty=100, limit_price=100.02)
    scene.settle()
    assert "qty must be > filled_qty" == refusal(lambda: scene.replace(order, qty=30))["message"]
    new = scene.replace(order, qty=90)
    assert Decimal(60) == new.qty
    scene.quote(size=20)
    scene.settle()
    assert (Decimal(50), Decimal(40), "replaced") == (order.filled_qty, new.qty, order.status)


def test_an_inherited_quantity_is_not_reduced_by_fills(scene: Scene) -> None:
    """As recorded from the venue: whoever replaces only the price of a part-filled order may buy too much."""
    scene.quote(size=30)
    order = scene.submit(qty=100, limit_price=100.02)
    scene.settle()
    assert Decimal(100) == scene.replace(order, limit_price=100.05).qty


def test_an_order_that_fills_first_rejects_its_replacement(scene: Scene) -> None:
    """200 was no guarantee."""
    order = scene.submit(limit_price=99.9)
    scene.settle()
    new = scene.replace(order, limit_price=99.8)
    scene.trade(99.85, 100)
    scene.settle()
    assert ("filled", "rejected") == (order.status, new.status)


@pytest.mark.parametrize("changes", [{"qty": 60}, {"limit_price": 101}])
def test_a_replacement_that_would_oversell_is_rejected(scene: Scene, changes: dict[str, Any]) -> None:
    """Fills while it was pending leave too few shares, or nothing to do; the old order goes on."""
    scene.buy("100")
    order = scene.submit(side="sell", qty=100, limit_price=100.5)
    scene.settle()
    new = scene.replace(order, **changes)
    scene.events()
    scene.trade(100.6, 60)
    scene.settle()
    assert ("partially_filled", "rejected", None) == (order.status, new.status, order.replaced_by)
    assert ["partial_fill", "rejected", "order_replace_rejected"] == scene.events()


# --- the paper engine ---


def test_the_paper_engine_fills_any_size_at_the_nbbo() -> None:
    """Section 10: quantity is not compared with the quoted size."""
    scene = Scene(engine="paper", partial_fill_probability=0.0)
    scene.quote(size=1)
    order = scene.submit(qty=1000)
    scene.settle()
    assert ("filled", Decimal("100.02")) == (order.status, order.average_price)


def test_the_paper_engine_fills_some_orders_in_part_by_seed() -> None:
    """The remainder is looked at again with the next quote; a share is not divided; fill or kill is never partial."""
    scene = Scene(engine="paper", partial_fill_probability=1.0)
    scene.quote()
    order, single, fraction = scene.submit(qty=1000), scene.submit(qty=1), scene.submit(qty="2.5")
    kill = scene.submit(qty=100, time_in_force="fok")
    scene.settle()
    assert ("partially_filled", "filled", "partially_filled", "filled") == (order.status, single.status, fraction.status, kill.status)
    assert order.filled_qty == order.filled_qty.to_integral_value()
    before = order.filled_qty
    scene.quote()
    assert order.filled_qty > before


def test_the_paper_engine_waits_for_the_far_side() -> None:
    """A resting limit is not filled by prints, and gets the NBBO price when it is reached."""
    scene = Scene(engine="paper", partial_fill_probability=0.0)
    scene.quote()
    order = scene.submit(limit_price=99.5)
    scene.settle()
    scene.trade(99)
    assert "new" == order.status
    scene.quote(bid=99.3, ask=99.4)
    assert ("filled", Decimal("99.4")) == (order.status, order.average_price)


# --- the instant engine ---


def test_the_instant_engine_fills_any_size_before_it_answers() -> None:
    """Nobody hears of a state that nothing could happen in; the order is found afterwards, with its row among the activities."""
    scene = Scene(engine="instant")
    scene.quote(size=1)
    order = scene.submit(qty=700)
    assert ("filled", Decimal("100.02"), ["fill"]) == (order.status, order.average_price, scene.events())
    assert order is scene.exchange.order(order.id)
    (row,) = scene.exchange.activities(ActivityFilter())
    assert (order.id, "fill", "700", "0", "700") == tuple(row[name] for name in ("order_id", "type", "qty", "leaves_qty", "cum_qty"))
    scene.settle()
    assert [] == scene.events()


@pytest.mark.parametrize(("side", "price"), [("buy", 99.5), ("sell", 100.5)])
def test_what_cannot_be_filled_at_once_waits_as_at_every_engine(side: str, price: float) -> None:
    """A limit that the market has not reached rests, and is filled at the NBBO that reaches it."""
    scene = Scene(engine="instant")
    scene.quote()
    scene.buy("100")
    order = scene.submit(side=side, limit_price=price)
    scene.settle()
    assert ("new", ["pending_new", "new"]) == (order.status, scene.events())
    scene.quote(bid=100.6, ask=100.7) if side == "sell" else scene.quote(bid=99.3, ask=99.4)
    assert ("filled", Decimal("100.6" if side == "sell" else "99.4")) == (order.status, order.average_price)


def test_an_order_without_a_market_waits_for_its_first_quote() -> None:
    """Nobody knows what it will cost, so nothing can be filled before the answer."""
    scene = Scene(engine="instant")
    order = scene.submit()
    scene.settle()
    assert "new" == order.status
    scene.quote()
    assert "filled" == order.status


def test_the_instant_engine_leaves_the_account_as_the_paper_engine_does() -> None:
    """What is left out are moments, never money: the same orders leave the same cash, positions and entry prices."""

    def lived(**settings: Any) -> tuple[Decimal, list[dict[str, Any]]]:
        scene = Scene(**settings, cash=Decimal(20_000), multiplier="4")
        for bid in (99.98, 101.5, 98.25):
            for symbol in ("TECL", "WHOLE"):
                scene.quote(symbol, bid=bid, ask=bid + 0.04)
            for fields in ({"qty": "12.345678901"}, {"notional": "777.77"}, {"symbol": "WHOLE", "qty": 7}, {"side": "sell", "qty": "3.1"}):
                scene.submit(**fields)
                scene.settle()
        return scene.cash, scene.exchange.positions_json()

    assert lived(engine="paper", partial_fill_probability=0.0) == lived(engine="instant")


def test_a_quote_of_the_same_moment_is_seen_by_what_is_due_then(scene: Scene) -> None:
    """Market data goes first: the order that arrives in this millisecond trades on this millisecond's quote."""
    order = scene.submit()
    scene.now += timedelta(milliseconds=26)
    scene.exchange.on_quotes((Quote(symbol="TECL", bid=90, ask=91, bid_size=100, ask_size=100, at=scene.now),), scene.now)
    assert Decimal(91) == order.average_price


def test_a_replacement_whose_predecessor_filled_may_be_cancelled_at_once(scene: Scene) -> None:
    """The rejection that was on its way has nothing left to reject."""
    order = scene.submit(limit_price=99.9)
    scene.settle()
    new = scene.replace(order, limit_price=99.8)
    scene.trade(99.85, 100)
    scene.exchange.cancel(new.id, scene.now)
    scene.settle()
    assert ("filled", "canceled") == (order.status, new.status)


def test_a_replacement_that_expires_before_it_begins_gives_the_old_order_back() -> None:
    """A day order in place of a gtc order, asked for in the last moment of the session."""
    scene = Scene(utc(20, 59, 59))
    scene.quote()
    order = scene.submit(limit_price=90, time_in_force="gtc")
    scene.wait(997)
    new = scene.replace(order, time_in_force="day")
    scene.settle()
    assert ("new", None, "expired") == (order.status, order.replaced_by, new.status)


def test_stops_do_not_move_while_the_session_is_closed_to_them(scene: Scene) -> None:
    """A gtc stop looks at regular trades only; a print in the evening elects nothing."""
    scene.buy("10")
    order = scene.submit(side="sell", type="stop", stop_price=99, time_in_force="gtc")
    scene.settle()
    scene.go(utc(22))
    scene.quote(bid=97.9, ask=98.1)
    scene.trade(98)
    assert "new" == order.status


def test_a_limit_that_a_far_print_does_not_reach_stays(scene: Scene) -> None:
    """Only prints at or through the limit count, and a notional order buys only what its dollars buy."""
    order = scene.submit(notional=100, limit_price=99.9)
    scene.settle()
    scene.trade(99.95, 100)
    assert "new" == order.status
    scene.trade(99.8, 100)
    assert ("filled", Decimal("1.001001001")) == (order.status, order.filled_qty)
