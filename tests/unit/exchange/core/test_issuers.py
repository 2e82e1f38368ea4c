"""Corporate actions: what they do to positions, books, orders, cash and activities (sections 7.4, 8.6 and 9.4)."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from alchemiser.domain.errors import DataError
from alchemiser.exchange.issuer_actions import CorporateAction, actions_of
from alchemiser.exchange.orders import VenueOrder
from alchemiser.exchange.requests import ActivityFilter
from tests.unit.exchange.core.scene import MONDAY, Scene, utc

TUESDAY = date(2025, 1, 7)
FRIDAY = date(2025, 1, 10)
COMMON = {"id": "a1", "process_date": "2025-01-07", "ex_date": "2025-01-07"}


def rows_of(scene: Scene, kind: str) -> list[tuple[str, str, str]]:
    """Symbol, quantity and amount of the activities of a type, oldest first."""
    rows = scene.exchange.activities(ActivityFilter(types=(kind,), direction="asc"))
    return [(row["symbol"], row["qty"], row["net_amount"]) for row in rows]


def split(new: int, old: int = 1, symbol: str = "TECL") -> CorporateAction:
    """A split on Tuesday."""
    return CorporateAction(id="s", kind="split", symbol=symbol, ex_date=TUESDAY, new_rate=Decimal(new), old_rate=Decimal(old))


def go_to_tuesday(scene: Scene, *actions: CorporateAction) -> None:
    """Announce on Monday and look on Tuesday before the open."""
    scene.exchange.announce(actions, scene.now)
    scene.go(utc(10, on=TUESDAY))


def position(scene: Scene, symbol: str = "TECL") -> tuple[str, str, str]:
    """Quantity, entry price and cost of a position."""
    row = scene.exchange.position_json(symbol)
    return row["qty"], row["avg_entry_price"], row["cost_basis"]


def test_a_forward_split_multiplies_shares_and_divides_prices(scene: Scene) -> None:
    """Cost, value and equity stay; the rows of the activities add up to the position."""
    scene.buy("30")
    scene.trade(99)
    cash = scene.cash
    go_to_tuesday(scene, split(3))
    row = scene.exchange.position_json("TECL")
    assert (("90", "33.34", "3000.6"), cash) == (position(scene), scene.cash)
    assert ("33", "33", "2970", "0") == tuple(row[name] for name in ("current_price", "lastday_price", "market_value", "change_today"))
    assert [("TECL", "60", "0")] == rows_of(scene, "SPLIT")


def test_a_reverse_split_keeps_fractions_where_the_asset_has_them(scene: Scene) -> None:
    """Nine decimals; what cannot be held is paid in cash at the price of the day."""
    scene.buy("15")
    scene.submit(symbol="WHOLE", qty=15, limit_price=100)
    scene.quote("WHOLE", 99, 100)
    scene.settle()
    scene.trade(100)
    scene.trade(100, symbol="WHOLE")
    cash = scene.cash
    go_to_tuesday(scene, split(1, 10), CorporateAction(**{**fields(split(1, 10)), "id": "w", "symbol": "WHOLE"}))
    assert ("1.5", "1") == (position(scene)[0], position(scene, "WHOLE")[0])
    assert Decimal(500) == scene.cash - cash
    assert [("TECL", "-13.5", "0"), ("WHOLE", "-14", "500")] == rows_of(scene, "SPLIT")


def test_a_reverse_split_may_leave_no_share_at_all(scene: Scene) -> None:
    """Then there is only cash."""
    scene.quote("WHOLE", 99, 100)
    scene.submit(symbol="WHOLE", qty=5, limit_price=100)
    scene.settle()
    go_to_tuesday(scene, split(1, 10, "WHOLE"))
    assert Decimal(0) == scene.holding("WHOLE")


def test_lots_of_a_split_add_up_to_the_position(scene: Scene) -> None:
    """However the rounding falls."""
    for quantity in ("1", "7", "13", "0.5"):
        scene.buy(quantity)
    go_to_tuesday(scene, split(1, 3))
    assert "7.166666666" == position(scene)[0]
    scene.go(utc(15, on=TUESDAY))
    scene.quote(bid=300, ask=300.1)
    scene.exchange.close_position("TECL", scene.now)
    scene.settle()
    assert [] == scene.exchange.positions_json()


def test_a_split_of_a_short_position(scene: Scene) -> None:
    """Signed like everything else."""
    scene.submit(side="sell", qty=10)
    scene.settle()
    go_to_tuesday(scene, split(2))
    assert ("-20", "49.99", "-999.8") == position(scene)


def gtc_orders(scene: Scene) -> list[VenueOrder]:
    """A simple gtc order of each kind beside a complex one."""
    scene.buy("100")
    orders = [
        scene.submit(limit_price=90, qty=7, time_in_force="gtc"),
        scene.submit(side="sell", limit_price=120, qty=5, time_in_force="gtc"),
        scene.submit(side="sell", type="trailing_stop", trail_price=10, qty=5, time_in_force="gtc"),
        scene.submit(
            order_class="bracket",
            limit_price=91,
            qty=4,
            time_in_force="gtc",
            take_profit={"limit_price": 110},
            stop_loss={"stop_price": 80},
        ),
    ]
    scene.settle()
    scene.exchange.drain()
    return orders


def test_a_forward_split_restates_simple_gtc_orders_only(scene: Scene) -> None:
    """9.4: price-adjusted, complex orders excepted."""
    buy, sell, trailing, complex_order = gtc_orders(scene)
    go_to_tuesday(scene, split(3))
    assert (Decimal(21), Decimal(30)) == (buy.qty, buy.limit_price)
    assert (Decimal(15), Decimal(40)) == (sell.qty, sell.limit_price)
    assert (Decimal(15), Decimal("3.34")) == (trailing.qty, trailing.trail_price)
    assert (Decimal(4), Decimal(91)) == (complex_order.qty, complex_order.limit_price)
    assert ["restated"] * 3 == scene.events()
    held = Decimal(scene.exchange.position_json("TECL")["qty"]) - Decimal(scene.exchange.position_json("TECL")["qty_available"])
    assert Decimal(30) == held


def test_what_takes_shares_away_cancels_every_order(scene: Scene) -> None:
    """Reverse splits, new names, removals: groups go once."""
    orders = gtc_orders(scene)
    go_to_tuesday(scene, split(1, 2))
    assert {"canceled"} == {order.status.value for order in (*orders, *orders[-1].legs)}
    assert "50" == scene.exchange.position_json("TECL")["qty_available"]


def dividend(cash: str = "0.5", payable: date = FRIDAY) -> CorporateAction:
    """A dividend that goes ex on Tuesday."""
    return CorporateAction(id="d", kind="cash_dividend", symbol="TECL", ex_date=TUESDAY, payable_date=payable, cash=Decimal(cash))


def test_a_dividend_is_owed_from_the_ex_date_and_paid_on_the_payable_date() -> None:
    """8.6: for the shares held before the ex-date, whoever holds them when it is paid."""
    scene = Scene(dividends=True)
    scene.quote()
    scene.buy("10")
    go_to_tuesday(scene, dividend())
    scene.go(utc(15, on=TUESDAY))
    scene.quote()
    scene.exchange.close_position("TECL", scene.now)
    scene.settle()
    cash = scene.cash
    scene.go(utc(10, on=FRIDAY))
    assert (Decimal(5), [("TECL", "10", "5")]) == (scene.cash - cash, rows_of(scene, "DIV"))
    row = scene.exchange.activities(ActivityFilter(types=("DIV",)))[0]
    assert ("0.5", "2025-01-10", "executed") == (row["per_share_amount"], row["date"], row["status"])


def test_a_short_position_pays_the_dividend() -> None:
    """Whoever lent the shares wants it."""
    scene = Scene(dividends=True)
    scene.quote()
    scene.submit(side="sell", qty=10)
    scene.settle()
    cash = scene.cash
    go_to_tuesday(scene, dividend(payable=TUESDAY))
    assert Decimal(-5) == scene.cash - cash


def test_a_dividend_lowers_buy_limits_and_sell_stops() -> None:
    """9.4: gtc, simple, by the dividend and down to the tick; nothing below a cent."""
    scene = Scene(dividends=True)
    scene.quote()
    buy, sell, trailing, complex_order = gtc_orders(scene)
    low = scene.submit(limit_price="0.4", qty=10, time_in_force="gtc")
    scene.settle()
    stop = Decimal(100) - 10
    go_to_tuesday(scene, dividend("0.505"))
    assert (Decimal("89.49"), Decimal(120), Decimal(91), "canceled") == (
        buy.limit_price,
        sell.limit_price,
        complex_order.limit_price,
        low.status,
    )
    assert trailing.stop_price == stop - Decimal("0.51")


def test_dividends_are_off_unless_switched_on(scene: Scene) -> None:
    """10: the paper engine does not simulate them."""
    scene.buy("10")
    order = scene.submit(limit_price=90, time_in_force="gtc")
    scene.settle()
    go_to_tuesday(scene, dividend(payable=TUESDAY))
    assert ([], Decimal(90)) == (rows_of(scene, "DIV"), order.limit_price)


def test_other_actions_move_shares_or_cash(scene: Scene) -> None:
    """Spin-off, stock dividend, cash merger, new name."""
    scene.buy("10")
    scene.trade(100)
    cash = scene.cash
    spun = CorporateAction(
        id="1", kind="spin_off", symbol="TECL", ex_date=TUESDAY, new_symbol="BIL", new_rate=Decimal(1), old_rate=Decimal(4)
    )
    more = CorporateAction(id="2", kind="stock_dividend", symbol="TECL", ex_date=date(2025, 1, 8), new_rate=Decimal("1.1"))
    named = CorporateAction(id="3", kind="name_change", symbol="TECL", ex_date=FRIDAY, new_symbol="WHOLE")
    bought = CorporateAction(id="4", kind="cash_merger", symbol="BIL", ex_date=FRIDAY, cash=Decimal(20))
    gone = CorporateAction(id="5", kind="worthless_removal", symbol="WHOLE", ex_date=date(2025, 1, 13))
    go_to_tuesday(scene, gone, named, spun, more, bought)
    assert (("10", "100.02", "1000.2"), ("2.5", "0", "0")) == (position(scene), position(scene, "BIL"))
    scene.go(utc(10, on=date(2025, 1, 8)))
    assert "11" == position(scene)[0]
    scene.go(utc(10, on=FRIDAY))
    assert (Decimal(0), Decimal(0), Decimal(50)) == (scene.holding(), scene.holding("BIL"), scene.cash - cash)
    assert ("11", "90.927272727") == (position(scene, "WHOLE")[0], position(scene, "WHOLE")[1][:12])
    assert "90.9091" == scene.exchange.position_json("WHOLE")["current_price"]
    assert [("BIL", "2.5", "0")] == rows_of(scene, "SPIN")
    assert [("TECL", "-11", "0"), ("WHOLE", "11", "0")] == rows_of(scene, "NC")
    assert [("BIL", "-2.5", "50")] == rows_of(scene, "MA")
    scene.go(utc(10, on=date(2025, 1, 13)))
    assert ([], [("WHOLE", "-11", "0")]) == (scene.exchange.positions_json(), rows_of(scene, "REORG"))


def test_a_new_name_meets_a_position_that_is_there_already(scene: Scene) -> None:
    """The lots come together; a short one is bought back with them."""
    scene.quote("BIL", 91, 91.02)
    scene.buy("10")
    scene.submit(symbol="BIL", side="sell", qty=4)
    scene.settle()
    cash = scene.cash
    go_to_tuesday(scene, CorporateAction(id="n", kind="name_change", symbol="TECL", ex_date=TUESDAY, new_symbol="BIL"))
    assert (Decimal(6), Decimal(0), cash) == (scene.holding("BIL"), scene.holding(), scene.cash)


def test_a_new_name_takes_the_last_price_along(scene: Scene) -> None:
    """Under the new name nothing was traded: a quote of it, and what was reckoned of that, is no trade."""
    scene.quote("BIL", 91, 91.02)
    scene.buy("10")
    scene.trade(100)
    assert Decimal("91.01") == scene.exchange.standing.price_of("BIL")
    go_to_tuesday(scene, CorporateAction(id="n", kind="name_change", symbol="TECL", ex_date=TUESDAY, new_symbol="BIL"))
    assert "100" == scene.exchange.position_json("BIL")["current_price"]


def test_a_whole_history_may_be_announced_again(scene: Scene) -> None:
    """What is past or known is left out; today's counts only before the day has begun."""
    scene.buy("10")
    past = CorporateAction(**{**fields(split(7)), "id": "past", "ex_date": MONDAY})
    for _ in range(2):
        scene.exchange.announce([past, split(2)], scene.now)
    scene.go(utc(10, on=TUESDAY))
    scene.exchange.announce([past, split(2)], scene.now)
    scene.go(utc(10, on=FRIDAY))
    assert "20" == position(scene)[0]


def test_an_action_of_an_unknown_symbol_is_refused(scene: Scene) -> None:
    """Nothing of the lot is scheduled."""
    with pytest.raises(DataError, match="NEWCO, which this exchange does not list; nothing is scheduled"):
        scene.exchange.announce(
            [split(2), CorporateAction(id="x", kind="spin_off", symbol="TECL", ex_date=TUESDAY, new_symbol="NEWCO")], scene.now
        )


@pytest.mark.parametrize(
    ("group", "row", "wanted"),
    [
        ("forward_splits", {"symbol": "T", "new_rate": 3, "old_rate": 1}, {"kind": "split", "new_rate": Decimal(3)}),
        ("reverse_splits", {"symbol": "T", "new_rate": 1, "old_rate": 8}, {"kind": "split", "old_rate": Decimal(8)}),
        ("cash_dividends", {"symbol": "T", "rate": 0.51, "payable_date": "2025-02-01"}, {"cash": Decimal("0.51")}),
        ("stock_dividends", {"symbol": "T", "rate": 0.05}, {"new_rate": Decimal("1.05")}),
        ("spin_offs", {"source_symbol": "T", "new_symbol": "W", "source_rate": 4, "new_rate": 1}, {"new_symbol": "W"}),
        ("name_changes", {"old_symbol": "T", "new_symbol": "W"}, {"kind": "name_change", "new_symbol": "W"}),
        ("cash_mergers", {"acquiree_symbol": "T", "rate": 12, "effective_date": "2025-01-09"}, {"cash": Decimal(12)}),
        ("worthless_removals", {"symbol": "T"}, {"kind": "worthless_removal"}),
    ],
)
def test_rows_of_the_data_api_become_actions(group: str, row: dict[str, Any], wanted: dict[str, Any]) -> None:
    """7.4: by group, with the keys that are required there."""
    (action,) = actions_of({group: [{**COMMON, **row}]})
    assert ("T", TUESDAY, wanted) == (action.symbol, action.ex_date, {name: getattr(action, name) for name in wanted})


@pytest.mark.parametrize(
    ("group", "row", "words"),
    [
        ("rights_distributions", {}, "rights_distributions are not carried out"),
        ("forward_splits", {"symbol": "T", "new_rate": 3}, "has no old_rate"),
        ("forward_splits", {"symbol": "T", "new_rate": 3, "old_rate": 0}, "old_rate is 0, not a positive number"),
        ("cash_dividends", {"symbol": "T", "rate": "much"}, "cannot be read"),
    ],
)
def test_rows_that_cannot_be_carried_out_are_refused(group: str, row: dict[str, Any], words: str) -> None:
    """By what is wrong with them."""
    with pytest.raises(DataError, match=words):
        actions_of({group: [{**COMMON, **row}]})


def fields(action: CorporateAction) -> dict[str, Any]:
    """The fields of an action."""
    return {name: getattr(action, name) for name in action.__struct_fields__}


def test_orders_that_shares_from_elsewhere_made_wrong_are_cancelled(scene: Scene) -> None:
    """A spin-off that turns a short position around leaves nothing to buy back."""
    scene.quote("BIL", 91, 91.02)
    scene.submit(symbol="BIL", side="sell", qty=4)
    scene.settle()
    cover = scene.submit(symbol="BIL", limit_price=80, qty=4, time_in_force="gtc")
    scene.buy("10")
    spun = CorporateAction(id="1", kind="spin_off", symbol="TECL", ex_date=TUESDAY, new_symbol="BIL", new_rate=Decimal(1))
    go_to_tuesday(scene, spun)
    assert ("canceled", Decimal(6)) == (cover.status, scene.holding("BIL"))


def test_a_split_of_what_nobody_holds_moves_prices_only(scene: Scene) -> None:
    """The close of yesterday is in the new shares."""
    scene.trade(99)
    go_to_tuesday(scene, split(3))
    assert ([], []) == (rows_of(scene, "SPLIT"), scene.exchange.positions_json())
