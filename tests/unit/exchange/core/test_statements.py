"""What the account says on the wire: account, positions, configurations, activities, history, assets."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from alchemiser.exchange.assets import asset_id_of, asset_json, listed, listing
from alchemiser.exchange.errors import ApiError
from alchemiser.exchange.requests import ActivityFilter, OrderFilter, parse_activity_filter
from tests.unit.exchange.core.scene import Scene, refusal, utc

ACCOUNT_FIELDS = {
    *("id", "account_number", "status", "crypto_status", "crypto_tier", "currency", "cash", "equity", "portfolio_value", "last_equity"),
    *("long_market_value", "short_market_value", "position_market_value", "buying_power", "regt_buying_power", "effective_buying_power"),
    *("non_marginable_buying_power", "options_buying_power", "initial_margin", "maintenance_margin", "last_maintenance_margin", "sma"),
    *("multiplier", "accrued_fees", "pending_transfer_in", "pending_transfer_out", "pending_reg_taf_fees", "intraday_adjustments"),
    *("shorting_enabled", "trading_blocked", "transfers_blocked", "account_blocked", "trade_suspended_by_user", "created_at"),
    *("balance_asof", "options_approved_level", "options_trading_level", "admin_configurations", "user_configurations"),
}


def test_the_account_has_every_field_and_none_of_the_retired_ones(scene: Scene) -> None:
    """The day-trading fields are gone unless an old client needs them."""
    assert set(scene.exchange.account_json()) == ACCOUNT_FIELDS
    old = Scene(legacy_account_fields=True)
    assert {"pattern_day_trader", "daytrade_count", "daytrading_buying_power", "bod_dtbp"} == set(
        old.exchange.account_json()
    ) - ACCOUNT_FIELDS
    assert {"dtbp_check", "pdt_check"} == set(old.exchange.configurations()) - set(scene.exchange.configurations())


def test_the_account_adds_up(scene: Scene) -> None:
    """Equity is cash and positions; margins follow the fund's leverage; buying power is twice equity less exposure."""
    scene.buy("100")
    scene.quote("BIL", 91, 91.02)
    scene.submit(symbol="BIL", side="sell", qty=10)
    scene.settle()
    scene.trade(100)
    scene.trade(91, symbol="BIL")
    account = scene.exchange.account_json()
    expected = {
        "cash": "90908",
        "long_market_value": "10000",
        "short_market_value": "-910",
        "equity": "99998",
        "initial_margin": "5455",
        "maintenance_margin": "7773",
        "buying_power": "189086",
        "regt_buying_power": "189086",
        "multiplier": "2",
    }
    assert expected == {name: account[name] for name in expected}


@pytest.mark.parametrize(
    ("settings", "at", "configuration", "multiplier", "power"),
    [
        ({"multiplier": "1"}, utc(15), {}, "1", "100000"),
        ({"multiplier": "2"}, utc(15), {}, "2", "200000"),
        ({"multiplier": "4"}, utc(15), {}, "4", "400000"),
        ({"multiplier": "4"}, utc(13), {}, "2", "200000"),
        ({"multiplier": "4"}, utc(15), {"max_margin_multiplier": "1"}, "1", "100000"),
        ({"multiplier": "4", "cash": Decimal(1999)}, utc(15), {}, "1", "1999"),
    ],
)
def test_leverage_depends_on_offer_hour_owner_and_equity(
    settings: dict[str, Any], at: Any, configuration: dict[str, Any], multiplier: str, power: str
) -> None:
    """Four only intraday, one below two thousand dollars, never more than the owner chose."""
    scene = Scene(at, **settings)
    scene.exchange.configure(configuration)
    account = scene.exchange.account_json()
    assert (multiplier, power) == (account["multiplier"], account["buying_power"])


def test_a_position_has_the_venues_fields(scene: Scene) -> None:
    """Signed quantity for shorts, factors rather than percents, by symbol or asset id."""
    scene.submit(side="sell", qty=10)
    scene.settle()
    scene.trade(101)
    row = scene.exchange.position_json(asset_id_of("TECL"))
    assert {
        "asset_id": asset_id_of("TECL"),
        "symbol": "TECL",
        "exchange": "ARCA",
        "asset_class": "us_equity",
        "asset_marginable": True,
        "qty": "-10",
        "qty_available": "-10",
        "side": "short",
        "avg_entry_price": "99.98",
        "cost_basis": "-999.8",
        "market_value": "-1010",
        "current_price": "101",
        "lastday_price": "101",
        "change_today": "0",
        "unrealized_pl": "-10.2",
        "unrealized_plpc": "-0.01020204",
        "unrealized_intraday_pl": "-10.2",
        "unrealized_intraday_plpc": "-0.01020204",
    } == row


@pytest.mark.parametrize(("symbol", "message"), [("TECL", "position does not exist"), ("NONE", "symbol not found: NONE")])
def test_a_position_that_is_not_there_is_not_found(scene: Scene, symbol: str, message: str) -> None:
    """With one code and two texts: for a listed symbol and for an unknown one."""
    expected = {"status": 404, "code": 40410000, "message": message}
    assert expected == refusal(lambda: scene.exchange.position_json(symbol))
    assert expected == refusal(lambda: scene.exchange.close_position(symbol, scene.now))


def test_a_position_is_closed_by_quantity_by_percentage_or_wholly(scene: Scene) -> None:
    """A market order to the other side, for shorts too."""
    scene.buy("10")
    assert Decimal(4) == scene.exchange.close_position("TECL", scene.now, qty=Decimal(4)).qty
    assert Decimal("2.5") == scene.exchange.close_position("TECL", scene.now, percentage=Decimal(25)).qty
    assert 403 == refusal(lambda: scene.exchange.close_position("TECL", scene.now))["status"]
    assert 422 == refusal(lambda: scene.exchange.close_position("TECL", scene.now, percentage=Decimal("0.000000001")))["status"]
    scene.settle()
    assert Decimal("3.5") == scene.exchange.close_position("TECL", scene.now).qty
    scene.settle()
    scene.submit(side="sell", qty=3)
    scene.settle()
    order = scene.exchange.close_position("TECL", scene.now)
    assert ("buy", "buy_to_close") == (order.side, order.position_intent)
    scene.settle()
    assert [] == scene.exchange.positions_json()


def test_dust_worth_less_than_a_dollar_can_be_closed(scene: Scene) -> None:
    """The minimum is for orders of clients, or nobody could ever get rid of it."""
    scene.buy("10.001")
    scene.submit(side="sell", qty=10)
    scene.settle()
    assert 403 == scene.refused(side="sell", qty="0.001")["status"]
    scene.exchange.close_position("TECL", scene.now)
    scene.settle()
    assert Decimal(0) == scene.holding()


def test_closing_everything_answers_for_each_position(scene: Scene) -> None:
    """Refused where open orders hold shares, unless they are cancelled with it."""
    scene.quote("BIL", 91, 91.02)
    scene.buy("10")
    scene.buy("10", "BIL")
    held = scene.submit(side="sell", qty=4, limit_price=120)
    rows = scene.exchange.close_all_positions(scene.now, cancel_orders=False)
    assert [("BIL", 200), ("TECL", 403)] == [(row["symbol"], row["status"]) for row in rows]
    assert ("10", "4", "6", 40310000) == tuple(rows[1]["body"][name] for name in ("existing_qty", "held_for_orders", "available", "code"))
    scene.settle()
    rows = scene.exchange.close_all_positions(scene.now, cancel_orders=True)
    assert [("TECL", 200, "10")] == [(row["symbol"], row["status"], row["body"]["qty"]) for row in rows]
    assert "canceled" == held.status
    scene.settle()
    assert [] == scene.exchange.positions_json()


@pytest.mark.parametrize(
    "changes",
    [
        {"no_shorting": "yes"},
        {"max_margin_multiplier": "3"},
        {"max_margin_multiplier": 3},
        {"trade_confirm_email": "some"},
        {"max_options_trading_level": 4},
        [],
    ],
)
def test_a_wrong_configuration_is_a_bad_request(scene: Scene, changes: Any) -> None:
    """400, and nothing is changed."""
    before = scene.exchange.configurations()
    assert 400 == refusal(lambda: scene.exchange.configure(changes))["status"]
    assert before == scene.exchange.configurations()


def test_configurations_are_changed_one_by_one(scene: Scene) -> None:
    """What is not named stays; unknown names are ignored."""
    after = scene.exchange.configure({"no_shorting": True, "colour": "red"})
    assert (True, False, "all") == (after["no_shorting"], after["suspend_trade"], after["trade_confirm_email"])
    assert not scene.exchange.account_json()["shorting_enabled"]


def test_fills_become_activities_with_the_venues_ids(scene: Scene) -> None:
    """The time part of an id is New York time; its other half is the execution id of the stream."""
    scene.submit(qty=600)
    scene.settle()
    fills = [update for update in scene.updates() if update.qty is not None]
    rows = scene.exchange.activities(ActivityFilter(direction="asc"))
    assert [f"20250106100000026::{fill.execution_id}" for fill in fills] == [row["id"] for row in rows]
    expected = {
        "activity_type": "FILL",
        "transaction_time": "2025-01-06T15:00:00.026Z",
        "type": "partial_fill",
        "price": "100.02",
        "qty": "500",
        "side": "buy",
        "symbol": "TECL",
        "leaves_qty": "100",
        "cum_qty": "500",
        "order_status": "partially_filled",
    }
    assert expected == {name: rows[0][name] for name in expected}
    assert ("fill", "0", "600") == tuple(rows[1][name] for name in ("type", "leaves_qty", "cum_qty"))


def test_activities_are_paged_by_the_last_id(scene: Scene) -> None:
    """Every row once, in either direction; an unknown token is refused."""
    orders = [scene.buy("1") for _ in range(5)]
    seen: list[str] = []
    token: str | None = None
    while page := scene.exchange.activities(ActivityFilter(page_size=2, page_token=token)):
        seen += [row["order_id"] for row in page]
        token = page[-1]["id"]
    assert [order.id for order in reversed(orders)] == seen
    assert 422 == refusal(lambda: scene.exchange.activities(ActivityFilter(page_token="none")))["status"]


def test_activities_are_filtered() -> None:
    """By type, category, order, New York date and time."""
    scene = Scene(utc(20, 59, 59), fees=True)
    scene.quote()
    order = scene.buy("1")
    scene.go(utc(10, on=date(2025, 1, 7)))

    def count(query: dict[str, str]) -> int:
        return len(scene.exchange.activities(parse_activity_filter(query)))

    assert (2, 1, 1) == (count({}), count({"activity_types": "FILL"}), count({"activity_types": "FEE"}))
    assert (1, 1) == (count({"category": "trade_activity"}), count({"category": "non_trade_activity"}))
    assert 1 == count({"order_id": order.id})
    assert (1, 1) == (count({"date": "2025-01-06"}), count({"date": "2025-01-07"}))
    assert (1, 1) == (count({"after": "2025-01-07"}), count({"until": "2025-01-07"}))
    row = scene.exchange.activities(parse_activity_filter({}, "FEE"))[0]
    assert ("CAT", "-0.01", "2025-01-07") == (row["activity_sub_type"], row["net_amount"], row["date"])


def test_orders_are_listed_by_every_filter(scene: Scene) -> None:
    """Status, bounds that are exclusive, symbols, side, direction, limit and the two cursors."""
    done = scene.buy("10")
    scene.wait(1000)
    first = scene.submit(limit_price=90)
    scene.wait(1000)
    scene.quote("BIL", 91, 91.02)
    second = scene.submit(symbol="BIL", limit_price=80)
    sell = scene.submit(side="sell", limit_price=120, qty=1)

    def ids(**wanted: Any) -> list[str]:
        return [order.id for order in scene.exchange.orders(OrderFilter(**wanted))]

    assert [sell.id, second.id, first.id] == ids()
    assert [done.id] == ids(status="closed")
    assert [done.id, first.id, second.id, sell.id] == ids(status="all", direction="asc")
    assert [sell.id] == ids(limit=1)
    assert [second.id] == ids(symbols=("BIL",))
    assert [sell.id] == ids(side="sell")
    assert [] == ids(asset_classes=("crypto",))
    assert [sell.id, second.id] == ids(after=first.submitted_at)
    assert [first.id] == ids(until=second.submitted_at)
    assert [first.id] == ids(before_order_id=second.id)
    assert [sell.id, second.id] == ids(after_order_id=first.id)


def test_the_history_has_a_point_per_close_and_one_for_now() -> None:
    """Gains are against the point before, the first against the starting cash."""
    scene = Scene()
    scene.quote()
    assert [100000.0] == scene.exchange.portfolio_history(scene.now)["equity"]
    scene.buy("100")
    scene.trade(102)
    scene.go(utc(15, on=date(2025, 1, 7)))
    scene.trade(101)
    body = scene.exchange.portfolio_history(scene.now)
    assert ([100198.0, 100098.0], [198.0, -100.0], 100000.0) == (body["equity"], body["profit_loss"], body["base_value"])
    assert [int(utc(5).timestamp()), int(utc(5, on=date(2025, 1, 7)).timestamp())] == body["timestamp"]
    assert (0.00198, "1D", "2025-01-06") == (body["profit_loss_pct"][0], body["timeframe"], body["base_value_asof"])
    scene.go(utc(22, on=date(2025, 1, 7)))
    assert 2 == len(scene.exchange.portfolio_history(scene.now)["equity"])


def test_assets_are_found_by_symbol_and_id(scene: Scene) -> None:
    """The same record either way; 404 for an unknown one."""
    assert scene.exchange.asset("TECL") is scene.exchange.asset(asset_id_of("TECL"))
    assert 404 == refusal(lambda: scene.exchange.asset("NONE"))["status"]
    assert scene.assets == scene.exchange.assets


def test_an_asset_on_the_wire_satisfies_old_and_new_clients() -> None:
    """Both names of borrowability, margins by leverage."""
    body = asset_json(listed("TQQQ"))
    assert ("TQQQ", "us_equity", True, "easy_to_borrow", "75", 75.0) == tuple(
        body[name]
        for name in ("symbol", "class", "easy_to_borrow", "borrow_status", "margin_requirement_long", "maintenance_margin_requirement")
    )
    assert "hard_to_borrow" == asset_json(listed("X", easy_to_borrow=False))["borrow_status"]
    assert ["BIL", "TECL"] == list(listing(["TECL", "BIL", "TECL"]))


def test_a_refusal_without_a_code_has_only_its_message() -> None:
    """As the venue answers wrong keys."""
    assert {"message": "forbidden."} == ApiError(403, None, "forbidden.").body()
