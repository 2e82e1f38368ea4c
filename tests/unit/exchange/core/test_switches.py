"""Every switch of the settings: the documented reading by default, the other one when it is switched (section 11 and what it points to)."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest

from alchemiser.exchange.assets import AssetChange, listed
from alchemiser.exchange.charges import FeesOfDay
from alchemiser.exchange.requests import ActivityFilter
from alchemiser.exchange.settings import ExchangeSettings
from tests.unit.exchange.core.scene import HALF_DAY, Scene, refusal, utc

TUESDAY = date(2025, 1, 7)


def quoted(at: datetime | None = None, **settings: Any) -> Scene:
    """A scene with a quote."""
    scene = Scene(at, **settings)
    scene.quote()
    return scene


def rows(scene: Scene, kind: str) -> list[tuple[str, str, str]]:
    """Sub-type, amount and date of the activities of a type, oldest first."""
    found = scene.exchange.activities(ActivityFilter(types=(kind,), direction="asc"))
    return [(row["activity_sub_type"], row["net_amount"], row["date"]) for row in found]


# --- open questions ---


@pytest.mark.parametrize(("told", "events"), [(True, ["pending_replace", "pending_new"]), (False, ["pending_new"])])
def test_the_pending_replace_event(told: bool, events: list[str]) -> None:
    """11.2: whether the old order announces that it is being replaced."""
    scene = quoted(pending_replace_event=told)
    order = scene.submit(limit_price=90)
    scene.settle()
    scene.exchange.drain()
    scene.replace(order, limit_price=91)
    assert (events, "pending_replace") == (scene.events(), order.status)


@pytest.mark.parametrize(
    ("minutes", "at", "words"), [(10, utc(20, 50), "3:50pm"), (5, utc(20, 55), "3:55pm"), (5, utc(17, 55, on=HALF_DAY), "12:55pm")]
)
def test_the_cut_off_of_the_closing_auction(minutes: int, at: datetime, words: str) -> None:
    """11.4: 15:50 or 15:55; half days shift with their close."""
    message = quoted(at, cls_cut_off_minutes=minutes).refused(time_in_force="cls")["message"]
    assert f"cls orders must be submitted after 7:00pm and before {words}" == message
    if minutes == 5:
        assert quoted(utc(20, 54, 59), cls_cut_off_minutes=5).submit(time_in_force="cls").is_open


@pytest.mark.parametrize("status", ["canceled", "expired"])
@pytest.mark.parametrize("time_in_force", ["ioc", "fok", "cls"])
def test_how_a_remainder_ends(status: str, time_in_force: str) -> None:
    """11.6: canceled by the documents, expired by others."""
    scene = quoted(auction_remainder=status)
    order = scene.submit(limit_price=90, time_in_force=time_in_force)
    scene.go(utc(21))
    assert status == order.status


def test_a_remainder_whose_cancel_is_under_way_is_cancelled() -> None:
    """4.1: the client asked for it."""
    scene = quoted(utc(20, 59, 59), auction_remainder="expired")
    order = scene.submit(limit_price=90, time_in_force="day")
    auction = quoted(utc(20, 49), auction_remainder="expired")
    closing = auction.submit(limit_price=90, time_in_force="cls")
    scene.wait(998)
    auction.go(utc(20, 59, 59))
    auction.wait(998)
    scene.exchange.cancel(order.id, scene.now)
    auction.exchange.cancel(closing.id, auction.now)
    scene.settle()
    auction.settle()
    assert ("canceled", "canceled") == (order.status, closing.status)


def test_day_orders_may_end_in_the_evening() -> None:
    """11.6: with the session, or when the evening is over; they do not trade in between."""
    scene = quoted(day_orders_end="evening")
    order = scene.submit(limit_price=90)
    scene.go(utc(22))
    scene.quote(bid=80, ask=81)
    assert "new" == order.status
    scene.go(utc(1, on=TUESDAY))
    assert "expired" == order.status


def test_a_second_cancel_may_be_refused() -> None:
    """11.7: 204 or 422 while the first is under way."""
    scene = quoted(repeated_cancel_status=422)
    order = scene.submit(limit_price=90)
    scene.settle()
    scene.exchange.cancel(order.id, scene.now)
    body = refusal(lambda: scene.exchange.cancel(order.id, scene.now))
    assert (422, 'order is already in "pending_cancel" state') == (body["status"], body["message"])
    assert [{"id": order.id, "status": 200}] == scene.exchange.cancel_all(scene.now)


def test_the_decimals_and_types_of_an_amount() -> None:
    """11.9: two or nine decimals; limit orders or none."""
    assert "notional value must be limited to 2 decimal places" == quoted().refused(notional="10.001")["message"]
    assert quoted(notional_decimals=9).submit(notional="10.001").is_open
    assert "notional orders must be market orders" == quoted(notional_limit_orders=False).refused(notional=10, limit_price=90)["message"]


@pytest.mark.parametrize(("low", "margin"), [("2.50", "150"), ("6", "500")])
def test_the_price_below_which_nothing_is_lent(low: str, margin: str) -> None:
    """11.10: one page says 2.50, another 6 dollars."""
    scene = Scene(low_price=low)
    scene.quote("BIL", 4.99, 5)
    scene.submit(symbol="BIL", qty=100)
    scene.settle()
    scene.trade(5, symbol="BIL")
    assert margin == scene.exchange.account_json()["maintenance_margin"]


def test_four_times_may_be_taken_of_the_last_close() -> None:
    """11.10: the legacy formula, (last equity - last maintenance margin) x 4, less what was bought today."""
    scene = quoted(multiplier="4", intraday_power="last_equity")
    scene.buy("1000")
    scene.trade(100)
    assert Decimal(300_000) == scene.buying_power()
    scene.go(utc(15, on=TUESDAY))
    scene.quote()
    account = scene.exchange.account_json()
    assert (Decimal(account["last_equity"]) - Decimal(account["last_maintenance_margin"])) * 4 == scene.buying_power()


@pytest.mark.parametrize(("per", "fee"), [("execution", "-15.6"), ("order", "-9.79")])
def test_the_most_a_sale_pays_for_taf(per: str, fee: str) -> None:
    """11.11: 9.79 dollars for each execution or for the whole order."""
    scene = Scene(fees=True, taf_cap_per=per, shorting_enabled=True, cash=Decimal(10_000_000))
    scene.quote("BIL", 5, 5.01, size=40_000)
    scene.submit(symbol="BIL", qty=80_000, side="sell")
    scene.settle()
    scene.go(utc(10, on=TUESDAY))
    assert ("TAF", fee, "2025-01-07") in rows(scene, "FEE")


def test_the_holiday_of_the_taf() -> None:
    """11.11: nothing from October to December 2026; the calendar of this stage ends before, so the charge itself is asked."""
    for switched, on, taf in [(True, date(2026, 10, 1), 0), (True, date(2027, 1, 4), 1), (False, date(2026, 10, 1), 1)]:
        fees = FeesOfDay()
        settings = ExchangeSettings(taf_holiday=switched)
        fees.add(-1, Decimal(1000), Decimal(10), filled_before=Decimal(0), on=on, settings=settings)
        assert taf == len([name for name in fees.rounded() if name == "TAF"])


def test_an_inherited_quantity_may_be_what_was_left() -> None:
    """3.8: the recorded behaviour may buy too much; the other reading does not."""
    scene = Scene(inherited_quantity="leaves")
    scene.quote(size=30)
    order = scene.submit(qty=100, limit_price=100.02)
    scene.settle()
    new = scene.replace(order, limit_price=100.05)
    assert Decimal(70) == new.qty
    scene.quote(size=20)
    scene.settle()
    assert (Decimal(50), Decimal(50)) == (order.filled_qty, new.qty)


def test_queued_orders_may_start_at_four() -> None:
    """4.1: seen turning new at 04:00, also for the regular session; they trade at the open."""
    scene = Scene(utc(23), queued_orders_start="pre_market")
    scene.exchange.on_previous_close("TECL", 100.0)
    order = scene.submit()
    scene.go(utc(9, on=TUESDAY))
    scene.quote()
    scene.settle()
    assert ("new", ["accepted", "pending_new", "new"]) == (order.status, scene.events())
    scene.go(utc(14, 30, on=TUESDAY))
    assert "new" == order.status
    scene.quote()
    assert "filled" == order.status


# --- money ---


def test_fees_are_posted_the_day_after_rounded_up_per_day() -> None:
    """9.5 and 8.6: accrued until then."""
    scene = quoted(fees=True)
    scene.buy("100")
    scene.submit(side="sell", qty=60)
    scene.settle()
    scene.submit(side="sell", qty=40)
    scene.settle()
    account = scene.exchange.account_json()
    assert ("0.24", "0.24") == (account["pending_reg_taf_fees"], account["accrued_fees"])
    cash = scene.cash
    scene.go(utc(10, on=TUESDAY))
    assert Decimal("-0.24") == scene.cash - cash
    assert [("SEC", "-0.21", "2025-01-07"), ("TAF", "-0.02", "2025-01-07"), ("CAT", "-0.01", "2025-01-07")] == rows(scene, "FEE")


def test_interest_on_a_debit_counts_nights_and_is_posted_monthly() -> None:
    """9.2: 6.25 percent of 360 days; three nights over a weekend, two over the holiday."""
    scene = quoted(margin_interest=True)
    scene.buy("1300")
    debit = -scene.cash
    assert debit > 30_000
    scene.go(utc(15, on=date(2025, 1, 31)))
    assert [] == rows(scene, "INT")
    assert Decimal(scene.exchange.account_json()["accrued_fees"]) > 0
    scene.go(utc(15, on=date(2025, 2, 4)))
    nights = 28
    interest = round(debit * nights * Decimal("0.0625") / 360, 2)
    assert [("MGN", f"{-interest:f}", "2025-02-03")] == rows(scene, "INT")
    assert -debit - interest == scene.cash


def test_an_account_in_credit_pays_no_interest() -> None:
    """No row of nothing either."""
    scene = quoted(margin_interest=True)
    scene.buy("10")
    scene.go(utc(15, on=date(2025, 2, 4)))
    assert [] == rows(scene, "INT")


@pytest.mark.parametrize(("settled_only", "power"), [(False, "100000"), (True, "0")])
def test_proceeds_settle_the_next_day(settled_only: bool, power: str) -> None:
    """9.2: T+1; an account without margin may spend them before, unless it is switched."""
    scene = quoted(multiplier="1", settled_cash_only=settled_only)
    scene.quote(bid=100, ask=100, size=1000)
    scene.buy("1000")
    scene.exchange.close_position("TECL", scene.now)
    scene.settle()
    assert (Decimal(100_000), Decimal(power)) == (scene.cash, scene.buying_power())
    scene.go(utc(10, on=TUESDAY))
    assert Decimal(100_000) == scene.buying_power()


# --- margin ---


def test_a_debit_in_one_holding_needs_half_of_it() -> None:
    """9.2: seventy percent in one holding and a debit of 100,000."""
    scene = Scene(cash=Decimal(120_000))
    scene.quote("BIL", 100, 100, size=5000)
    scene.submit(symbol="BIL", qty=2200)
    scene.settle()
    scene.trade(100, symbol="BIL")
    assert ("-100000", "110000", "110000") == tuple(
        scene.exchange.account_json()[name] for name in ("cash", "maintenance_margin", "initial_margin")
    )


def test_above_six_times_the_equity_only_closing_is_allowed() -> None:
    """9.2: the gross cap."""
    scene = Scene(multiplier="4", refuse_margin_deficits=False)
    scene.quote("BIL", 100, 100, size=5000)
    scene.submit(symbol="BIL", qty=4000)
    scene.settle()
    scene.trade(85, symbol="BIL")
    scene.quote("BIL", 85, 85.01, size=5000)
    scene.quote()
    assert "gross position value exceeds 600% of equity: only closing orders are accepted" == scene.refused(qty=1)["message"]
    assert scene.exchange.close_position("BIL", scene.now).is_open


def test_four_times_intraday_two_overnight(scene: Scene) -> None:
    """9.2: since June 2026 from 2,000 dollars on."""
    bold = quoted(multiplier="4")
    assert Decimal(400_000) == bold.buying_power()
    bold.go(utc(21, 30))
    assert Decimal(200_000) == bold.buying_power()


# --- what an owner or a broker may forbid ---


@pytest.mark.parametrize(
    ("flags", "message"), [({"account": True}, "account is blocked"), ({"trading": True}, "trading is blocked for this account")]
)
def test_a_blocked_account_trades_nothing(scene: Scene, flags: dict[str, bool], message: str) -> None:
    """8.1 and 2.2: and says so."""
    scene.exchange.block(**flags, transfers=True)
    body, account = scene.refused(), scene.exchange.account_json()
    assert (403, 40310000, message) == (body["status"], body["code"], body["message"])
    assert (flags.get("account", False), flags.get("trading", False), True) == tuple(
        account[name] for name in ("account_blocked", "trading_blocked", "transfers_blocked")
    )
    scene.exchange.block(account=False, trading=False)
    assert scene.submit().is_open


def test_partnerships_without_exception_need_consent() -> None:
    """8.2: ptp_no_exception_entry."""
    scene = Scene(assets={"USO": listed("USO", attributes=["ptp_no_exception"])})
    scene.quote("USO")
    assert 403 == scene.refused(symbol="USO")["status"]
    scene.exchange.configure({"ptp_no_exception_entry": True})
    assert scene.submit(symbol="USO").is_open


def test_what_becomes_hard_to_borrow_ends_open_shorts_before_the_next_day(scene: Scene) -> None:
    """9.2: ETB to HTB over night: open short orders are cancelled before the open; positions stay."""
    scene.submit(side="sell", qty=5)
    scene.settle()
    order = scene.submit(side="sell", limit_price=120, qty=5, time_in_force="gtc")
    scene.settle()
    scene.exchange.on_asset("TECL", AssetChange(easy_to_borrow=False), scene.now)
    assert 'asset "TECL" cannot be sold short' == scene.refused(side="sell", limit_price=121)["message"]
    assert (True, False) == (order.is_open, scene.exchange.asset("TECL").easy_to_borrow)
    scene.go(utc(9, on=TUESDAY))
    assert ("canceled", Decimal(-5)) == (order.status, scene.holding())
    scene.exchange.on_asset("TECL", AssetChange(easy_to_borrow=True), scene.now)
    assert scene.submit(side="sell", limit_price=121).is_open
    assert 404 == refusal(lambda: scene.exchange.on_asset("NONE", AssetChange(easy_to_borrow=True), scene.now))["status"]


# --- limit-up and limit-down ---


def test_nothing_trades_outside_the_bands(scene: Scene) -> None:
    """Orders are accepted and wait; a walking order stops at the band; lifting it lets them go."""
    scene.quote(size=10)
    scene.exchange.on_bands("TECL", (95.0, 100.03), scene.now)
    order = scene.submit(qty=50)
    scene.settle()
    assert (Decimal(20), "partially_filled") == (order.filled_qty, order.status)
    scene.quote(bid=100.1, ask=100.2, size=500)
    assert Decimal(20) == order.filled_qty
    scene.exchange.on_bands("TECL", None, scene.now)
    assert "filled" == order.status


def test_bands_bind_sales_resting_orders_and_tape(scene: Scene) -> None:
    """Limit-down is the mirror; every night lifts the bands."""
    scene.buy("100")
    scene.exchange.on_bands("TECL", (99.99, 110.0), scene.now)
    market = scene.submit(side="sell", qty=10)
    resting = scene.submit(side="sell", qty=10, limit_price=110.5)
    scene.settle()
    scene.trade(111)
    assert ("new", "new") == (market.status, resting.status)
    scene.go(utc(15, on=TUESDAY))
    scene.quote()
    scene.exchange.close_position("TECL", scene.now)
    scene.settle()
    assert Decimal(0) == scene.holding()


def test_immediate_orders_outside_the_bands_end(scene: Scene) -> None:
    """They do not wait."""
    scene.exchange.on_bands("TECL", (95.0, 100.0), scene.now)
    orders = [scene.submit(time_in_force=each) for each in ("ioc", "fok")]
    scene.settle()
    assert ["canceled", "canceled"] == [order.status.value for order in orders]
