"""What may enter: every refusal before an order object exists, with status, code and body."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest

from tests.unit.exchange.core.scene import HALF_DAY, HOLIDAY, Scene, refusal, utc


@pytest.mark.parametrize(
    ("fields", "status", "code", "message"),
    [
        ({"symbol": "NONE"}, 422, 42210000, 'asset "NONE" not found'),
        ({"symbol": "GONE"}, 422, 42210000, 'asset "GONE" is not active'),
        ({"symbol": "SHUT"}, 422, 42210000, 'asset "SHUT" is not tradable'),
        (
            {"limit_price": "290.123"},
            422,
            42210000,
            "invalid limit_price 290.123. sub-penny increment does not fulfill minimum pricing criteria",
        ),
        (
            {"type": "stop", "stop_price": "0.12345"},
            422,
            42210000,
            "invalid stop_price 0.12345. sub-penny increment does not fulfill minimum pricing criteria",
        ),
        (
            {"type": "stop", "stop_price": 9, "time_in_force": "ioc"},
            422,
            42210000,
            "invalid time_in_force ioc for stop orders: only day and gtc are supported",
        ),
        ({"extended_hours": True}, 422, 42210000, "extended hours order must be DAY limit orders"),
        (
            {"extended_hours": True, "limit_price": 90, "time_in_force": "gtc"},
            422,
            42210000,
            "extended hours order must be DAY limit orders",
        ),
        ({"qty": "1.5", "time_in_force": "gtc"}, 422, 42210000, "fractional orders must be DAY orders"),
        (
            {"qty": "1.5", "type": "trailing_stop", "trail_price": 1},
            422,
            42210000,
            "fractional orders must be market, limit, stop, or stop_limit orders",
        ),
        ({"symbol": "WHOLE", "qty": "1.5"}, 403, 40310000, 'asset "WHOLE" is not fractionable'),
        ({"symbol": "WHOLE", "notional": 5}, 403, 40310000, 'asset "WHOLE" is not fractionable'),
        (
            {"symbol": "HARD", "qty": "1.5", "limit_price": 5, "side": "sell"},
            422,
            42210000,
            "fractional orders cannot be sold short",
        ),
        ({"notional": 10.001}, 422, 42210000, "notional value must be limited to 2 decimal places"),
        ({"qty": "0.009"}, 403, 40310000, "cost basis must be >= minimal amount of order 1"),
        ({"time_in_force": "opg"}, 403, 40310000, "opg orders must be submitted after 7:00pm and before 9:28am"),
        (
            {"position_intent": "sell_to_close"},
            422,
            42210000,
            "position intent mismatch, inferred: buy_to_open, specified: sell_to_close",
        ),
        ({"symbol": "WHOLE", "side": "sell", "limit_price": 5}, 422, 42210000, 'asset "WHOLE" cannot be sold short'),
        ({"symbol": "HARD", "side": "sell", "limit_price": 5}, 422, 42210000, 'asset "HARD" cannot be sold short'),
        (
            {"symbol": "HARD", "side": "sell", "limit_price": 5, "time_in_force": "gtc"},
            422,
            42210000,
            "only day orders are allowed for hard-to-borrow asset HARD",
        ),
    ],
)
def test_a_rule_that_is_broken_is_named(scene: Scene, fields: dict[str, Any], status: int, code: int, message: str) -> None:
    """Status, code and text of each rule; nothing happens to account or stream."""
    assert {"status": status, "code": code, "message": message} == scene.refused(**fields)
    assert [] == scene.events()
    assert Decimal(200_000) == scene.buying_power()


def test_an_order_may_name_the_asset_by_its_id(scene: Scene) -> None:
    """Symbol or asset id, as the venue takes both."""
    assert "TECL" == scene.submit(symbol=scene.assets["TECL"].asset_id).symbol


def test_a_client_order_id_is_used_once_for_ever(scene: Scene) -> None:
    """Even after its order was cancelled."""
    order = scene.submit(limit_price=90, client_order_id="once")
    scene.settle()
    scene.exchange.cancel(order.id, scene.now)
    scene.settle()
    assert {"status": 422, "code": 40010001, "message": "client_order_id must be unique"} == scene.refused(client_order_id="once")


def test_an_order_without_a_client_order_id_gets_one(scene: Scene) -> None:
    """A generated id finds the order."""
    order = scene.submit()
    assert order is scene.exchange.order_by_client_id(order.client_order_id)


def test_buying_power_is_reserved_refused_and_released(scene: Scene) -> None:
    """Open buys take their limit price times quantity; the refusal tells what is free and what was asked for."""
    order = scene.submit(qty=1000, limit_price=90)
    assert Decimal(110_000) == scene.buying_power()
    body = scene.refused(qty=2000, limit_price=90)
    expected = {
        "status": 403,
        "code": 40310000,
        "message": "insufficient buying power",
        "buying_power": "110000",
        "cost_basis": "180000",
    }
    assert expected == body
    scene.settle()
    scene.exchange.cancel(order.id, scene.now)
    scene.settle()
    assert Decimal(200_000) == scene.buying_power()


@pytest.mark.parametrize("multiplier", ["1", "2", "4"])
@pytest.mark.parametrize("cash", [1_500, 30_000])
@pytest.mark.parametrize("symbol", ["TECL", "WHOLE"])
def test_what_the_cash_pays_for_is_within_every_buying_power(symbol: str, cash: int, multiplier: str) -> None:
    """An account that owes nothing and waits for nothing is not valued before it buys: whatever it holds, its cash may be spent."""
    scene = Scene(cash=Decimal(cash), multiplier=multiplier)
    for price in (100.0, 1.5, 40.0, 90.0):
        for each in ("TECL", "WHOLE"):
            scene.quote(each, bid=price - 0.02, ask=price, size=10**6)
        value = scene.exchange.standing.valuation()
        shares = int(value.cash / Decimal(str(price)) / 2)
        dollars = shares * Decimal(str(price))
        weight = 1 if symbol == "TECL" else value.multiplier
        assert dollars * weight <= value.buying_power
        assert not value.is_over_gross_cap
        scene.buy(str(shares), symbol)


def test_a_market_order_reserves_the_far_side(scene: Scene) -> None:
    """In the core session the far side of the NBBO; a notional order its amount."""
    scene.submit(qty=100)
    assert Decimal("189998") == scene.buying_power()
    scene.submit(notional=500)
    assert Decimal("189498") == scene.buying_power()


def test_a_buy_stop_reserves_the_limit_it_will_become(scene: Scene) -> None:
    """Two and a half percent above the stop from fifty dollars on."""
    scene.submit(qty=100, type="stop", stop_price=120)
    assert Decimal(200_000) - Decimal(123) * 100 == scene.buying_power()


def test_what_cannot_be_margined_uses_buying_power_at_full_leverage(scene: Scene) -> None:
    """One dollar of a non-marginable asset takes two of a doubled account."""
    scene.submit(symbol="WHOLE", qty=100, limit_price=100)
    assert Decimal(180_000) == scene.buying_power()


def test_shares_held_by_an_open_sell_are_not_free(scene: Scene) -> None:
    """The exact body of the venue, with the orders that hold the shares."""
    scene.buy("17")
    held = scene.submit(side="sell", qty=13, limit_price=120)
    expected = {
        "status": 403,
        "code": 40310000,
        "message": "insufficient qty available for order (requested: 10, available: 4)",
        "available": "4",
        "existing_qty": "17",
        "held_for_orders": "13",
        "related_orders": [held.id],
        "symbol": "TECL",
    }
    assert expected == scene.refused(side="sell", qty=10)
    assert "4" == scene.exchange.position_json("TECL")["qty_available"]


def test_one_order_cannot_take_a_position_through_zero(scene: Scene) -> None:
    """First close, then open: selling more than is held is refused, covering more than is short too."""
    scene.buy("5")
    assert 403 == scene.refused(side="sell", qty=6)["status"]
    scene.submit(side="sell", qty=5)
    scene.settle()
    scene.submit(side="sell", qty=4)
    scene.settle()
    assert Decimal(-4) == scene.holding()
    assert "insufficient qty available for order (requested: 5, available: 4)" == scene.refused(qty=5)["message"]


def test_short_and_long_cannot_be_opened_at_once(scene: Scene) -> None:
    """An open long buy forbids a short sale, an open short sale a long buy."""
    scene.submit(limit_price=90)
    assert "cannot open a short sell while a long buy order is open" == scene.refused(side="sell", limit_price=110)["message"]
    scene.quote("BIL", 91, 91.02)
    scene.submit(symbol="BIL", side="sell", limit_price=95)
    assert "cannot open a long buy while a short sell order is open" == scene.refused(symbol="BIL", limit_price=90)["message"]


@pytest.mark.parametrize(
    ("settings", "configuration"),
    [({"shorting_enabled": False}, {}), ({}, {"no_shorting": True}), ({"cash": Decimal(1500)}, {}), ({"multiplier": "1"}, {})],
)
def test_shorting_may_be_off(settings: dict[str, Any], configuration: dict[str, Any]) -> None:
    """By the exchange, by the owner, below two thousand dollars, and without margin."""
    scene = Scene(**settings)
    scene.quote()
    scene.exchange.configure(configuration)
    assert (403, "account is not allowed to short") == tuple(scene.refused(side="sell", qty=1)[name] for name in ("status", "message"))


def test_a_short_sale_reserves_three_percent_above_the_ask(scene: Scene) -> None:
    """The larger of that and the limit."""
    scene.submit(side="sell", qty=100, limit_price=110)
    assert Decimal(200_000) - 110 * 100 == scene.buying_power()
    scene.exchange.cancel_all(scene.now)
    scene.settle()
    scene.submit(side="sell", qty=100)
    assert Decimal(200_000) - Decimal("100.02") * Decimal("1.03") * 100 == pytest.approx(scene.buying_power(), abs=Decimal("0.01"))


WASH = [
    ("market", "market", True),
    ("market", "limit", True),
    ("market", "stop", True),
    ("market", "stop_limit", True),
    ("limit", "market", True),
    ("limit", "stop", True),
    ("stop", "market", True),
    ("stop", "limit", True),
    ("stop", "stop", True),
    ("stop", "stop_limit", True),
    ("stop_limit", "market", True),
    ("stop_limit", "stop", True),
    ("limit", "limit", False),
    ("limit", "stop_limit", False),
    ("stop_limit", "limit", False),
    ("stop_limit", "stop_limit", False),
    ("trailing_stop", "market", False),
    ("market", "trailing_stop", False),
]


def _of_type(kind: str, side: str, limit: str) -> dict[str, Any]:
    prices: dict[str, dict[str, Any]] = {
        "market": {},
        "limit": {"limit_price": limit},
        "stop": {"stop_price": "130" if side == "buy" else "70"},
        "stop_limit": {"stop_price": "130" if side == "buy" else "70", "limit_price": limit},
        "trailing_stop": {"trail_price": "20"},
    }
    return {"type": kind, "side": side, **prices[kind]}


@pytest.mark.parametrize(("existing", "new", "refused"), WASH)
def test_the_wash_trade_table(existing: str, new: str, refused: bool) -> None:
    """Section 9.3: anything opposite to a market or stop order, and limits that would cross; trailing stops are exempt."""
    scene = Scene()
    scene.quote()
    scene.buy("20")
    # The symbol is halted so that market orders stay open.
    scene.exchange.on_halt("TECL", True, scene.now)
    old = scene.submit(**_of_type(existing, "buy", "90"))
    if not refused:
        assert scene.submit(**_of_type(new, "sell", "110")).is_open
        return
    expected = {
        "status": 403,
        "code": 40310000,
        "message": "potential wash trade detected. use complex orders",
        "existing_order_id": old.id,
        "reject_reason": "opposite side market/stop order exists",
    }
    assert expected == scene.refused(**_of_type(new, "sell", "110"))


@pytest.mark.parametrize("new", ["limit", "stop_limit"])
def test_crossing_limits_are_a_wash_trade(scene: Scene, new: str) -> None:
    """A buy limit at or above the sell limit."""
    scene.buy("20")
    scene.submit(limit_price=90)
    assert "opposite side limit order exists" == scene.refused(**_of_type(new, "sell", "90"))["reject_reason"]


def test_the_owner_may_suspend_trading_and_fractions(scene: Scene) -> None:
    """Both are configurations; closing a fraction stays possible."""
    scene.buy("1.5")
    scene.exchange.configure({"fractional_trading": False})
    assert "fractional trading is disabled for this account" == scene.refused(qty="1.5")["message"]
    assert scene.exchange.close_position("TECL", scene.now).is_open
    scene.exchange.configure({"suspend_trade": True})
    assert (403, 40310000) == tuple(scene.refused()[name] for name in ("status", "code"))


@pytest.mark.parametrize(
    ("time_in_force", "at", "words"),
    [
        ("opg", utc(14, 27, 59), None),
        ("opg", utc(14, 28), "opg orders must be submitted after 7:00pm and before 9:28am"),
        ("opg", utc(23, 59), "opg orders must be submitted after 7:00pm and before 9:28am"),
        ("opg", utc(0, on=date(2025, 1, 7)), None),
        ("cls", utc(20, 49, 59), None),
        ("cls", utc(20, 50), "cls orders must be submitted after 7:00pm and before 3:50pm"),
        ("cls", utc(17, 50, on=HALF_DAY), "cls orders must be submitted after 7:00pm and before 12:50pm"),
        ("cls", utc(20, 55, on=HOLIDAY), None),
    ],
)
def test_auction_orders_have_windows(time_in_force: str, at: datetime, words: str | None) -> None:
    """Refused from the cut-off of their auction until seven in the evening; half days shift, holidays have none."""
    scene = Scene(at)
    scene.exchange.on_previous_close("TECL", 100.0)
    if words is None:
        assert scene.submit(time_in_force=time_in_force).is_open
    else:
        assert {"status": 403, "code": 40310000, "message": words} == scene.refused(time_in_force=time_in_force)


def test_extended_hours_may_be_allowed_till_cancelled() -> None:
    """The reading of the 2026 specification is a switch."""
    scene = Scene(extended_gtc=True)
    assert scene.submit(extended_hours=True, limit_price=90, time_in_force="gtc").is_open


def test_fractions_in_extended_hours_need_the_assets_consent() -> None:
    """The asset's attribute decides."""
    scene = Scene(utc(13))
    scene.quote()
    assert scene.submit(extended_hours=True, limit_price=90, qty="1.5").is_open
    shut = Scene(utc(13), assets={"HARD": scene.assets["HARD"].__class__(**{**_fields(scene.assets["HARD"]), "attributes": ()})})
    shut.quote("HARD")
    assert (
        'asset "HARD" does not support fractional orders in extended hours'
        == (shut.refused(symbol="HARD", extended_hours=True, limit_price=90, qty="1.5")["message"])
    )


def _fields(record: Any) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__struct_fields__}


def test_a_refused_replacement_leaves_the_order_alone(scene: Scene) -> None:
    """The states that cannot be replaced, and the changes that cannot be made."""
    order = scene.submit(limit_price=90)
    assert "unable to replace order, order isn't sent to exchange yet" == refusal(lambda: scene.replace(order, qty=5))["message"]
    scene.settle()
    for changes, message in [
        ({}, "order parameters are not changed"),
        ({"client_order_id": "new"}, "order parameters are not changed"),
        ({"limit_price": 90}, "order parameters are not changed"),
        ({"stop_price": 80}, "stop_price is not allowed for limit orders"),
        ({"trail": 1}, "trail is not allowed for limit orders"),
        ({"limit_price": 90.001}, "invalid limit_price 90.001. sub-penny increment does not fulfill minimum pricing criteria"),
        ({"qty": 100_000}, "insufficient buying power"),
    ]:
        assert message == refusal(lambda changes=changes: scene.replace(order, **changes))["message"]
    assert "new" == order.status
    assert ["pending_new", "new"] == scene.events()


def test_each_state_that_refuses_a_replacement_has_its_words(scene: Scene) -> None:
    """Pending, replaced, ended and queued orders."""
    order = scene.submit(limit_price=90)
    scene.settle()
    new = scene.replace(order, limit_price=91)
    assert "order chain not fully replaced" == refusal(lambda: scene.replace(order, limit_price=92))["message"]
    scene.settle()
    assert "order already replaced" == refusal(lambda: scene.replace(order, limit_price=92))["message"]
    scene.exchange.cancel(new.id, scene.now)
    assert "unable to replace order, order is not open" == refusal(lambda: scene.replace(new, limit_price=92))["message"]
    standing = scene.submit(limit_price=90, time_in_force="gtc")
    scene.settle()
    scene.go(utc(22))
    assert (
        "unable to replace order, order isn't sent to exchange yet" == refusal(lambda: scene.replace(standing, limit_price=92))["message"]
    )
    queued = scene.submit(limit_price=90)
    assert "cannot replace order in accepted status" == refusal(lambda: scene.replace(queued, limit_price=92))["message"]


def test_fractional_and_notional_orders_keep_their_size(scene: Scene) -> None:
    """Their quantity is fixed; a fractional order's price is not, its day is."""
    notional = scene.submit(notional=100, limit_price=90)
    fractional = scene.submit(qty="1.5", limit_price=90)
    market = scene.submit(type="stop", stop_price=120)
    scene.settle()
    assert "notional orders cannot be replaced" == refusal(lambda: scene.replace(notional, limit_price=91))["message"]
    assert "qty of fractional orders cannot be replaced" == refusal(lambda: scene.replace(fractional, qty=2))["message"]
    assert "fractional orders must be DAY orders" == refusal(lambda: scene.replace(fractional, time_in_force="gtc"))["message"]
    assert "limit_price is not allowed for stop orders" == refusal(lambda: scene.replace(market, limit_price=2))["message"]
    assert Decimal(91) == scene.replace(fractional, limit_price=91).limit_price
