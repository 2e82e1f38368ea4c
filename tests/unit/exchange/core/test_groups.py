"""Bracket, oco and oto: what they must look like, and how their orders live together (section 3.9)."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from alchemiser.exchange.orders import VenueOrder, order_json
from alchemiser.exchange.requests import OrderFilter
from tests.unit.exchange.core.scene import Scene, refusal, utc

BRACKET = {"order_class": "bracket", "take_profit": {"limit_price": 110}, "stop_loss": {"stop_price": 90}}
OCO = {"order_class": "oco", "side": "sell", "type": "limit", "take_profit": {"limit_price": 110}, "stop_loss": {"stop_price": 90}}
OTO = {"order_class": "oto", "stop_loss": {"stop_price": 90, "limit_price": 89}}
PROFIT, LOSS = BRACKET["take_profit"], BRACKET["stop_loss"]


def bracket(scene: Scene, **fields: Any) -> tuple[VenueOrder, VenueOrder, VenueOrder]:
    """Send a bracket; return entry, take-profit and stop-loss."""
    entry = scene.submit(**{**BRACKET, **fields})
    return entry, entry.legs[0], entry.legs[1]


def active_bracket(scene: Scene, **fields: Any) -> tuple[VenueOrder, VenueOrder, VenueOrder]:
    """A bracket whose entry is filled and whose exits listen; the events until then are forgotten."""
    orders = bracket(scene, **fields)
    scene.wait(300)
    assert "filled" == orders[0].status
    scene.exchange.drain()
    return orders


def statuses(*orders: VenueOrder) -> list[str]:
    """The status of each order."""
    return [order.status.value for order in orders]


@pytest.mark.parametrize(
    ("fields", "status", "code", "message"),
    [
        # 2.3 and 3.9: what each class requires
        ({**BRACKET, "take_profit": None}, 422, 42210000, "bracket orders require take_profit.limit_price"),
        ({**BRACKET, "take_profit": {}}, 422, 42210000, "bracket orders require take_profit.limit_price"),
        ({**BRACKET, "stop_loss": None}, 422, 42210000, "bracket orders require stop_loss.stop_price"),
        ({**BRACKET, "stop_loss": {"limit_price": 9}}, 422, 42210000, "bracket orders require stop_loss.stop_price"),
        ({**OCO, "take_profit": None}, 422, 42210000, "oco orders require take_profit.limit_price"),
        ({**OCO, "stop_loss": None}, 422, 42210000, "oco orders require stop_loss.stop_price"),
        ({**OCO, "type": "market"}, 422, 42210000, "oco orders must be limit orders"),
        ({**OTO, "stop_loss": None}, 422, 42210000, "oto orders require either take_profit.limit_price or stop_loss.stop_price"),
        ({**OTO, "take_profit": PROFIT}, 422, 42210000, "oto orders require either take_profit.limit_price or stop_loss.stop_price"),
        ({**BRACKET, "type": "stop", "stop_price": 101}, 422, 42210000, "bracket orders must be market or limit orders"),
        ({**BRACKET, "time_in_force": "ioc"}, 422, 42210000, "bracket orders must be DAY or GTC orders"),
        ({**BRACKET, "limit_price": 100, "extended_hours": True}, 422, 42210000, "bracket orders are not supported in extended hours"),
        ({**BRACKET, "qty": "1.5"}, 422, 42210000, "fractional orders must be simple orders"),
        ({**BRACKET, "notional": 500}, 422, 42210000, "fractional orders must be simple orders"),
        ({**BRACKET, "take_profit": 110}, 422, 40010001, "take_profit must be an object"),
        ({**BRACKET, "take_profit": {"limit_price": -1}}, 422, 40010001, "take_profit.limit_price must be > 0"),
        ({"take_profit": PROFIT}, 422, 42210000, "take_profit and stop_loss require order_class bracket, oco or oto"),
        ({"order_class": "mleg", "legs": []}, 403, 40310000, "account not eligible to trade options"),
        ({"order_class": "crab"}, 422, 40010001, "invalid order_class: crab"),
        # 3.9: position
        (OCO, 422, 42210000, "oco orders must be exit orders"),
        # 3.5: ticks of the exits
        (
            {**BRACKET, "take_profit": {"limit_price": "110.001"}},
            422,
            42210000,
            "invalid take_profit.limit_price 110.001. sub-penny increment does not fulfill minimum pricing criteria",
        ),
    ],
)
def test_a_complex_order_that_is_not_whole_is_refused(scene: Scene, fields: dict[str, Any], status: int, code: int, message: str) -> None:
    """3.9: what each class requires, by the venue's words; nothing is created."""
    assert {"status": status, "code": code, "message": message} == scene.refused(**fields)
    assert [] == scene.exchange.orders(OrderFilter(status="all"))


@pytest.mark.parametrize(
    ("fields", "message", "base"),
    [
        ({"take_profit": {"limit_price": "100"}}, "take_profit.limit_price must be >= base_price + 0.01", "100"),
        ({"stop_loss": {"stop_price": "100"}}, "stop_loss.stop_price must be <= base_price - 0.01", "100"),
        ({"limit_price": 95, "take_profit": {"limit_price": "95"}}, "take_profit.limit_price must be >= base_price + 0.01", "95"),
        ({"limit_price": 95, "stop_loss": {"stop_price": "95"}}, "stop_loss.stop_price must be <= base_price - 0.01", "95"),
        ({"limit_price": 105, "stop_loss": {"stop_price": "101"}}, "stop_loss.stop_price must be <= base_price - 0.01", "100"),
        (
            {"side": "sell", "take_profit": {"limit_price": "100"}, "stop_loss": {"stop_price": 110}},
            "take_profit.limit_price must be <= base_price - 0.01",
            "100",
        ),
        (
            {"side": "sell", "take_profit": {"limit_price": "90"}, "stop_loss": {"stop_price": 100}},
            "stop_loss.stop_price must be >= base_price + 0.01",
            "100",
        ),
    ],
)
def test_exits_are_on_their_side_of_the_base_price(scene: Scene, fields: dict[str, Any], message: str, base: str) -> None:
    """3.9: at least a cent beyond the entry's limit or the market; a stop is beyond the market in every case."""
    expected = {"status": 422, "code": 42210000, "message": message, "base_price": base}
    assert expected == scene.refused(**{**BRACKET, **fields})


def test_an_oco_stop_is_below_its_take_profit_and_the_market(scene: Scene) -> None:
    """3.9: the base price of an oco order is its take-profit."""
    scene.buy()
    for profit, stop, base in (("95", "95", "95"), ("110", "100", "100")):
        fields = {**OCO, "take_profit": {"limit_price": profit}, "stop_loss": {"stop_price": stop}}
        body = scene.refused(**fields)
        assert ("stop_loss.stop_price must be <= base_price - 0.01", base) == (body["message"], body["base_price"])


@pytest.mark.parametrize("order_class", ["bracket", "oto"])
def test_an_entry_opens_or_adds_and_never_closes(scene: Scene, order_class: str) -> None:
    """3.9: flat or same side."""
    fields = {**(BRACKET if order_class == "bracket" else OTO), "side": "sell"}
    scene.buy()
    assert f"{order_class} orders must be entry orders" == scene.refused(**fields)["message"]
    fields["side"] = "buy"
    assert scene.submit(**fields).is_open


def test_the_answer_holds_the_legs_and_so_does_nested(scene: Scene) -> None:
    """3.4: legs on POST and with nested; a list without it has them side by side."""
    entry, profit, loss = bracket(scene, stop_loss={"stop_price": 90, "limit_price": 89})
    body = order_json(entry)
    assert ("bracket", None) == (body["order_class"], order_json(entry, nested=False)["legs"])
    told = [
        (leg["type"], leg["status"], leg["side"], leg["position_intent"], leg["limit_price"], leg["stop_price"]) for leg in body["legs"]
    ]
    assert [("limit", "held", "sell", "sell_to_close", "110", None), ("stop_limit", "held", "sell", "sell_to_close", "89", "90")] == told
    assert [entry.id, profit.id, loss.id] == [order.id for order in scene.exchange.orders(OrderFilter(direction="asc"))]
    assert [entry.id] == [order.id for order in scene.exchange.orders(OrderFilter(nested=True))]
    assert profit is scene.exchange.order(profit.id)


def test_a_nested_list_holds_groups_that_are_open_in_any_part(scene: Scene) -> None:
    """3.3: limit counts parents; a filled entry with open exits is no closed group."""
    entry, *_ = active_bracket(scene)
    assert [entry.id] == [order.id for order in scene.exchange.orders(OrderFilter(nested=True, limit=1))]
    assert [] == scene.exchange.orders(OrderFilter(nested=True, status="closed"))
    assert [entry.id] == [order.id for order in scene.exchange.orders(OrderFilter(status="closed"))]


def test_exits_wake_when_the_entry_is_completely_filled(scene: Scene) -> None:
    """3.9: not before; then the take-profit is new and the stop-loss stays held."""
    scene.quote(size=4)
    entry, profit, loss = bracket(scene, limit_price=100.02)
    scene.wait(300)
    assert ["partially_filled", "held", "held"] == statuses(entry, profit, loss)
    assert "4" == scene.exchange.position_json("TECL")["qty_available"]
    scene.quote(size=100)
    scene.wait(300)
    assert ["filled", "new", "held"] == statuses(entry, profit, loss)
    assert ["pending_new", "held", "held", "new", "partial_fill", "fill", "new"] == scene.events()
    assert "0" == scene.exchange.position_json("TECL")["qty_available"]


def test_the_take_profit_cancels_the_stop_loss(scene: Scene) -> None:
    """3.9: one exit filled, the other cancelled."""
    _, profit, loss = active_bracket(scene)
    scene.quote(bid=110.5, ask=110.6)
    assert ["filled", "canceled"] == statuses(profit, loss)
    assert ["fill", "canceled"] == scene.events()
    assert Decimal(0) == scene.holding()


def test_the_stop_loss_cancels_the_take_profit_and_is_filled_without_having_been_new(scene: Scene) -> None:
    """3.9: elected by a trade."""
    _, profit, loss = active_bracket(scene)
    scene.quote(bid=89.5, ask=89.6)
    assert ["new", "held"] == statuses(profit, loss)
    scene.trade(89.55)
    assert ["canceled", "filled"] == statuses(profit, loss)
    assert ["canceled", "fill"] == scene.events()


def test_a_stop_limit_exit_that_cannot_fill_at_once_is_new(scene: Scene) -> None:
    """3.9: elected below its limit it rests there, alone."""
    _, profit, loss = active_bracket(scene, stop_loss={"stop_price": 90, "limit_price": "89.5"})
    scene.quote(bid=89, ask=89.1)
    scene.trade(89.05)
    assert ["canceled", "new"] == statuses(profit, loss)
    scene.quote(bid=89.6, ask=89.7)
    assert "filled" == loss.status


def test_what_the_take_profit_sells_the_stop_loss_no_longer_does(scene: Scene) -> None:
    """3.9: take-profit partially filled, stop-loss reduced to the remainder."""
    _, profit, loss = active_bracket(scene)
    scene.trade(110.5, 4)
    assert (Decimal(4), Decimal(6), "held") == (profit.filled_qty, loss.qty, loss.status)
    assert ["partial_fill", "restated"] == scene.events()
    scene.quote(bid=89.5, ask=89.6)
    scene.trade(89.55)
    assert ("canceled", "filled", Decimal(6), Decimal(0)) == (profit.status, loss.status, loss.filled_qty, scene.holding())


def test_an_entry_that_ends_takes_its_exits_along(scene: Scene) -> None:
    """3.9: even when a part of it was filled: exits wake only for a complete fill."""
    scene.quote(size=4)
    orders = bracket(scene, limit_price=100.02)
    scene.wait(300)
    scene.exchange.cancel(orders[0].id, scene.now)
    assert ["pending_cancel"] * 3 == statuses(*orders)
    for order in orders:
        scene.exchange.cancel(order.id, scene.now)
    scene.settle()
    assert ["canceled"] * 3 == statuses(*orders)
    assert Decimal(4) == scene.holding()


@pytest.mark.parametrize("index", [1, 2])
def test_any_cancel_in_a_group_cancels_the_rest(scene: Scene, index: int) -> None:
    """3.7: the group is cancelled as one, before and after the entry is filled."""
    waiting = bracket(scene, limit_price=95)
    active = active_bracket(scene)
    for orders in (waiting, active):
        scene.exchange.cancel(orders[index].id, scene.now)
    scene.settle()
    assert ["canceled"] * 3 + ["filled", "canceled", "canceled"] == statuses(*waiting, *active)


def test_cancel_all_answers_for_every_order_of_a_group(scene: Scene) -> None:
    """3.1: also when the first cancel has taken the others along, at once while the market is closed."""
    orders = bracket(scene, limit_price=95, time_in_force="gtc")
    scene.settle()
    assert [{"id": order.id, "status": 200} for order in orders] == scene.exchange.cancel_all(scene.now)
    scene.go(utc(22))
    late = bracket(scene, limit_price=95)
    assert ["accepted", "held", "held"] == statuses(*late)
    assert [{"id": order.id, "status": 200} for order in late] == scene.exchange.cancel_all(scene.now)
    assert ["canceled"] * 3 == statuses(*late)


def test_exits_live_as_long_as_their_entry(scene: Scene) -> None:
    """3.5: day exits expire with the session; exits that never woke are cancelled; gtc ones stay."""
    asleep = bracket(scene, limit_price=95)
    active = active_bracket(scene)
    lasting = active_bracket(scene, time_in_force="gtc")
    scene.go(utc(21))
    assert ["expired", "canceled", "canceled", "filled", "expired", "expired"] == statuses(*asleep, *active)
    assert ["filled", "new", "held"] == statuses(*lasting)
    scene.go(utc(15, on=date(2025, 1, 7)))
    scene.quote(bid=89.5, ask=89.6)
    scene.trade(89.55)
    assert ["filled", "canceled", "filled"] == statuses(*lasting)


def test_a_group_may_wait_for_the_market_to_open() -> None:
    """4.1: the entry queues, the exits sleep."""
    scene = Scene(utc(13))
    scene.exchange.on_previous_close("TECL", 100.0)
    orders = bracket(scene)
    scene.go(utc(14, 30))
    scene.quote()
    scene.wait(300)
    assert ["filled", "new", "held"] == statuses(*orders)


def test_a_short_bracket_is_the_mirror(scene: Scene) -> None:
    """3.9: exits buy back."""
    entry, profit, loss = active_bracket(scene, side="sell", take_profit={"limit_price": 90}, stop_loss={"stop_price": 110})
    assert ("sell_to_open", "buy_to_close", "buy_to_close") == (entry.position_intent, profit.position_intent, loss.position_intent)
    scene.quote(bid=110.1, ask=110.2)
    scene.trade(110.15)
    assert (["canceled", "filled"], Decimal(0)) == (statuses(profit, loss), scene.holding())


def test_an_oto_has_one_exit_that_is_new_when_it_wakes(scene: Scene) -> None:
    """3.9: nothing stands beside it that it had to wait for."""
    entry = scene.submit(**OTO)
    scene.wait(300)
    assert ["filled", "new"] == statuses(entry, *entry.legs)
    profit = scene.submit(order_class="oto", take_profit=PROFIT)
    scene.wait(300)
    assert ["filled", "new"] == statuses(profit, *profit.legs)


def test_an_oco_holds_the_shares_once(scene: Scene) -> None:
    """3.9: take-profit with the stop-loss as its leg; either ends the other."""
    scene.buy()
    order = scene.submit(**OCO)
    (loss,) = order.legs
    scene.wait(300)
    assert (["new", "held"], "oco", "0") == (statuses(order, loss), loss.order_class, scene.exchange.position_json("TECL")["qty_available"])
    scene.quote(bid=89.5, ask=89.6)
    scene.trade(89.55)
    assert ["canceled", "filled"] == statuses(order, loss)
    scene.quote()
    scene.trade(100)
    scene.buy()
    again = scene.submit(**{**OCO, "limit_price": 105, "take_profit": {"limit_price": 104}})
    scene.wait(300)
    scene.trade(104.5, 100)
    assert (["filled", "canceled"], Decimal(104)) == (statuses(again, *again.legs), again.limit_price)


def test_an_oco_needs_free_shares(scene: Scene) -> None:
    """2.2: as any order that closes a position."""
    scene.buy()
    assert "insufficient qty available for order (requested: 11, available: 10)" == scene.refused(**OCO, qty=11)["message"]


def test_complex_orders_are_no_wash_trades(scene: Scene) -> None:
    """9.3: bracket, oco and oto are exempt, as new and as existing orders."""
    scene.buy()
    scene.submit(limit_price=95)
    assert "potential wash trade detected. use complex orders" == scene.refused(side="sell", type="stop", stop_price=90)["message"]
    assert scene.submit(**OCO).is_open
    assert scene.submit(**BRACKET).is_open


# --- replacing ---


def test_prices_of_exits_may_be_replaced_asleep_and_awake(scene: Scene) -> None:
    """3.8: a held leg is followed by a held leg, a new one by a new one; the nested answer shows the one in force."""
    entry, profit, loss = bracket(scene, limit_price=95)
    scene.settle()
    lower = scene.replace(loss, stop_price=89)
    scene.settle()
    assert ["replaced", "held"] == statuses(loss, lower)
    assert [profit.id, lower.id] == [leg["id"] for leg in order_json(entry)["legs"]]
    scene.quote(bid=94, ask=94.5)
    scene.wait(300)
    assert ["filled", "new", "held"] == statuses(entry, profit, lower)
    nearer = scene.replace(profit, limit_price=105)
    scene.settle()
    assert ["replaced", "new"] == statuses(profit, nearer)
    lowest = scene.replace(lower, stop_price=88, client_order_id="lowest")
    scene.settle()
    scene.quote(bid=87.9, ask=88)
    scene.trade(87.95)
    assert ["canceled", "filled"] == statuses(nearer, lowest)
    assert Decimal(0) == scene.holding()


def test_the_entry_takes_its_exits_to_its_replacement(scene: Scene) -> None:
    """3.8: the legs of the old entry become those of the new one."""
    entry, profit, loss = bracket(scene, limit_price=95)
    scene.settle()
    new = scene.replace(entry, limit_price=96)
    scene.settle()
    assert ((), (profit, loss), new.id) == (entry.legs, new.legs, profit.parent_id)
    scene.quote(bid=95, ask=95.5)
    scene.wait(300)
    assert ["replaced", "filled", "new", "held"] == statuses(entry, new, profit, loss)


def test_an_oco_may_be_replaced_in_both_prices(scene: Scene) -> None:
    """3.8: limit of the parent, stop of the leg."""
    scene.buy()
    order = scene.submit(**OCO)
    scene.wait(300)
    new = scene.replace(order, limit_price=108)
    stop = scene.replace(order.legs[0], stop_price=91)
    scene.settle()
    assert ["new", "held"] == statuses(new, stop)
    scene.quote(bid=108.5, ask=108.6)
    assert ["filled", "canceled"] == statuses(new, stop)


@pytest.mark.parametrize(
    ("index", "changes", "message"),
    [
        (0, {"qty": 5}, "qty of bracket orders cannot be replaced"),
        (1, {"time_in_force": "gtc"}, "time_in_force of bracket orders cannot be replaced"),
        (1, {"limit_price": 95}, "take_profit.limit_price must be >= base_price + 0.01"),
        (2, {"stop_price": 95}, "stop_loss.stop_price must be <= base_price - 0.01"),
        (0, {"limit_price": 90}, "stop_loss.stop_price must be <= base_price - 0.01"),
        (1, {"limit_price": 110}, "order parameters are not changed"),
    ],
)
def test_a_change_that_breaks_the_group_is_refused(scene: Scene, index: int, changes: dict[str, Any], message: str) -> None:
    """3.8 and 3.9: only prices, and only to the right side."""
    orders = bracket(scene, limit_price=95)
    scene.settle()
    assert message == refusal(lambda: scene.replace(orders[index], **changes))["message"]


def test_a_fill_wins_against_the_replacement_of_an_exit(scene: Scene) -> None:
    """3.8: the replacement is rejected, the other exit cancelled."""
    _, profit, loss = active_bracket(scene)
    new = scene.replace(profit, limit_price=111)
    scene.trade(110.5, 100)
    scene.settle()
    assert ["filled", "rejected", "canceled"] == statuses(profit, new, loss)


def test_a_partial_fill_while_an_exit_is_replaced_shrinks_its_successor(scene: Scene) -> None:
    """3.8 and 3.9: neither exit sells more than is left."""
    _, profit, loss = active_bracket(scene)
    new = scene.replace(profit, limit_price=111)
    scene.trade(110.5, 4)
    scene.settle()
    assert (["replaced", "new", "held"], Decimal(6), Decimal(6)) == (statuses(profit, new, loss), new.qty, loss.qty)


def test_an_entry_filled_while_an_exit_is_replaced_wakes_the_successor(scene: Scene) -> None:
    """3.8 and 3.9: whatever comes first."""
    entry, profit, loss = bracket(scene, limit_price=95)
    scene.settle()
    scene.quote(bid=94, ask=94.5)
    new_profit, new_loss = scene.replace(profit, limit_price=109), scene.replace(loss, stop_price=89)
    scene.wait(300)
    assert ["filled", "replaced", "new", "replaced", "held"] == statuses(entry, profit, new_profit, loss, new_loss)


def test_oto_orders_may_be_closed_to_replacement() -> None:
    """3.8: the text contradicts itself, so it is a switch."""
    scene = Scene(oto_replaceable=False)
    scene.quote()
    order = scene.submit(**OTO, limit_price=95)
    scene.settle()
    assert "oto orders cannot be replaced" == refusal(lambda: scene.replace(order, limit_price=96))["message"]


def test_the_stream_may_be_silent_about_a_sibling() -> None:
    """11.16: reports say that a leg cancelled by its sibling is not always told."""
    scene = Scene(sibling_cancel_event=False)
    scene.quote()
    _, _, loss = active_bracket(scene)
    scene.quote(bid=110.5, ask=110.6)
    assert (["fill"], "canceled") == (scene.events(), loss.status)


def test_held_legs_may_be_listed_as_closed() -> None:
    """11.15: some lists of the venue show them there."""
    scene = Scene(held_legs_listed_as="closed")
    scene.quote()
    entry, profit, loss = bracket(scene, limit_price=95)
    assert [entry.id] == [order.id for order in scene.exchange.orders(OrderFilter())]
    assert [loss.id, profit.id] == [order.id for order in scene.exchange.orders(OrderFilter(status="closed"))]


# --- what shares that are gone do to exits ---


@pytest.mark.parametrize(("sold", "left", "awake"), [(4, 6, ["new", "held"]), (10, 10, ["rejected", "rejected"])])
def test_exits_wake_for_the_shares_that_are_left(scene: Scene, sold: int, left: int, awake: list[str]) -> None:
    """3.9: what was sold between the fill of the entry and the wake of its exits cannot be sold again."""
    _, profit, loss = bracket(scene)
    scene.wait(27)
    scene.submit(side="sell", qty=sold, limit_price=120)
    scene.wait(300)
    assert (awake, {Decimal(left)}) == (statuses(profit, loss), {profit.qty, loss.qty})


def test_a_held_leg_whose_replacement_comes_too_late_stays_held(scene: Scene) -> None:
    """3.8: shares that were sold meanwhile leave nothing for it; the old leg goes on."""
    _, profit, loss = active_bracket(scene)
    scene.trade(110.5, 4)
    new = scene.replace(loss, stop_price=91)
    assert Decimal(6) == new.qty
    scene.trade(110.5, 3)
    scene.settle()
    assert (["partially_filled", "replaced", "held"], Decimal(3)) == (statuses(profit, loss, new), new.qty)


def test_an_exit_that_cancels_beside_a_pending_replacement_takes_both_along(scene: Scene) -> None:
    """3.7: a pending replacement is part of the group."""
    _, profit, loss = active_bracket(scene)
    new = scene.replace(profit, limit_price=111)
    scene.exchange.cancel(loss.id, scene.now)
    scene.settle()
    assert {"canceled", "replaced"} >= set(statuses(profit, new, loss))
    assert not any(order.is_open for order in (profit, new, loss))
    assert "10" == scene.exchange.position_json("TECL")["qty_available"]
