"""The trading day: queueing while closed, release, auctions, expiry, extended hours, the day's roll."""

from datetime import date, datetime
from decimal import Decimal

import pytest

from tests.unit.exchange.core.scene import HALF_DAY, Scene, utc

TUESDAY = date(2025, 1, 7)
FRIDAY = date(2025, 1, 10)


def test_an_order_queues_while_the_market_is_closed_and_is_released_at_the_open() -> None:
    """``accepted`` until the bell, then the usual stations; a holiday and a weekend are slept through."""
    scene = Scene(utc(22, on=HALF_DAY))
    scene.exchange.on_previous_close("TECL", 100.0)
    order = scene.submit()
    assert ("accepted", False) == (order.status, scene.exchange.has_working_orders)
    scene.go(utc(14, 29, on=FRIDAY))
    assert ["accepted"] == scene.events()
    scene.go(utc(14, 30, on=FRIDAY))
    scene.quote()
    assert ("pending_new", utc(21, on=FRIDAY)) == (order.status, order.expires_at)
    assert scene.exchange.has_working_orders
    scene.settle()
    assert ["pending_new", "new", "fill"] == scene.events()


def test_a_queued_order_reserves_at_the_last_trade_and_is_cancelled_at_once() -> None:
    """There is no market to ask."""
    scene = Scene(utc(2))
    scene.exchange.on_previous_close("TECL", 100.0)
    order = scene.submit(qty=100)
    assert Decimal(190_000) == scene.buying_power()
    scene.exchange.cancel(order.id, scene.now)
    assert "canceled" == order.status
    assert ["accepted", "canceled"] == scene.events()


def test_a_day_order_expires_at_the_close_and_a_gtc_order_lives_on() -> None:
    """The day order ends ``expired`` with the close's time; the other trades on another day."""
    scene = Scene(utc(17, 59, on=HALF_DAY))
    scene.quote()
    day, gtc = scene.submit(limit_price=90), scene.submit(limit_price=91, time_in_force="gtc")
    pending = scene.submit(limit_price=92)
    scene.settle()
    scene.go(utc(17, 59, 59, on=HALF_DAY))
    scene.wait(997)
    scene.exchange.cancel(pending.id, scene.now)
    scene.go(utc(18, on=HALF_DAY))
    assert ("expired", "new", "canceled") == (day.status, gtc.status, pending.status)
    assert utc(18, on=HALF_DAY) == day.expired_at
    assert not scene.exchange.has_working_orders
    scene.go(utc(15, on=FRIDAY))
    scene.quote(bid=89, ask=90)
    assert "filled" == gtc.status


def test_a_gtc_order_is_swept_after_ninety_days() -> None:
    """At a quarter past four of that day."""
    scene = Scene()
    scene.quote()
    order = scene.submit(limit_price=90, time_in_force="gtc")
    assert utc(20, 15, on=date(2025, 4, 6)) == order.expires_at
    scene.go(utc(21, on=date(2025, 4, 4)))
    assert "new" == order.status
    scene.go(utc(22, on=date(2025, 4, 7)))
    assert "canceled" == order.status


def test_a_day_order_after_the_close_belongs_to_the_next_session() -> None:
    """It survives the end of the evening it came in."""
    scene = Scene(utc(22))
    order = scene.submit(limit_price=90)
    scene.go(utc(2, on=TUESDAY))
    assert ("accepted", utc(21, on=TUESDAY)) == (order.status, order.expires_at)
    scene.go(utc(21, on=TUESDAY))
    assert "expired" == order.status


@pytest.mark.parametrize("at", [utc(9, 30), utc(15), utc(22)])
def test_an_extended_hours_order_trades_before_during_and_after_the_session(at: datetime) -> None:
    """It is live at once and ends at eight in the evening."""
    scene = Scene(at)
    scene.quote()
    order = scene.submit(limit_price=100.1, extended_hours=True)
    resting = scene.submit(limit_price=90, extended_hours=True)
    assert "pending_new" == order.status
    scene.settle()
    assert "filled" == order.status
    scene.go(utc(0, 59, on=TUESDAY))
    assert "new" == resting.status
    scene.go(utc(1, on=TUESDAY))
    assert "expired" == resting.status


def test_an_extended_hours_order_of_the_night_is_released_at_four() -> None:
    """The overnight session is not traded."""
    scene = Scene(utc(2))
    order = scene.submit(limit_price=90, extended_hours=True)
    assert "accepted" == order.status
    scene.go(utc(9))
    scene.settle()
    assert "new" == order.status


def test_opening_orders_trade_at_the_opening_quote_whatever_its_size() -> None:
    """Market and marketable limit in full; the rest is cancelled, not kept."""
    scene = Scene(utc(14))
    scene.quote(bid=95, ask=95.1)
    market, good, bad = (scene.submit(qty=400, time_in_force="opg", **more) for more in ({}, {"limit_price": 101}, {"limit_price": 99}))
    scene.go(utc(14, 30))
    scene.quote(size=10)
    scene.settle()
    assert ["filled", "filled", "canceled"] == [order.status for order in (market, good, bad)]
    assert Decimal("100.02") == market.average_price


def test_an_opening_order_without_an_opening_quote_ends_with_the_session() -> None:
    """A halted symbol has no opening auction."""
    scene = Scene(utc(14))
    order = scene.submit(time_in_force="opg", limit_price=50)
    scene.go(utc(20, 59))
    assert "new" == order.status
    scene.go(utc(21))
    assert "canceled" == order.status


def test_closing_orders_wait_for_the_close_and_do_not_hold_the_clock() -> None:
    """They fill in full at the last quote of the session; what its limit forbids is cancelled."""
    scene = Scene(utc(20))
    scene.quote()
    market, bad = scene.submit(qty=600, time_in_force="cls"), scene.submit(qty=600, time_in_force="cls", limit_price=99)
    scene.settle()
    scene.quote(bid=100.08, ask=100.1, size=10)
    scene.trade(98, 1000)
    assert ("new", False) == (market.status, scene.exchange.has_working_orders)
    scene.go(utc(21))
    assert ("filled", Decimal("100.1"), utc(21)) == (market.status, market.average_price, market.filled_at)
    assert "canceled" == bad.status


def test_the_new_day_starts_from_the_last_close() -> None:
    """Last equity, previous close and the day's gains roll at four in the morning, not at the close."""
    scene = Scene()
    scene.quote()
    scene.exchange.on_previous_close("TECL", 98.0)
    scene.buy("100")
    scene.trade(102)
    scene.go(utc(22))
    account = scene.exchange.account_json()
    assert ("100198", "100000") == (account["equity"], account["last_equity"])
    before = scene.exchange.position_json("TECL")
    assert ("98", "198", "198") == (before["lastday_price"], before["unrealized_intraday_pl"], before["unrealized_pl"])
    scene.go(utc(9, on=TUESDAY))
    assert "100198" == scene.exchange.account_json()["last_equity"]
    scene.trade(103)
    row = scene.exchange.position_json("TECL")
    assert ("102", "100", "298", "0.009803922") == (
        row["lastday_price"],
        row["unrealized_intraday_pl"],
        row["unrealized_pl"],
        row["change_today"],
    )


def test_fees_are_rounded_up_and_posted_on_the_next_day() -> None:
    """Off by default; with the switch, sells pay SEC and TAF, both sides CAT, as FEE activities."""
    scene = Scene(fees=True)
    scene.quote()
    scene.buy("100")
    scene.submit(side="sell", qty=100)
    scene.settle()
    pending = Decimal(str(scene.exchange.account_json()["pending_reg_taf_fees"]))
    cash = scene.cash
    scene.go(utc(10, on=TUESDAY))
    # 9,998 dollars sold: SEC 0.2059588, TAF 0.0195, CAT 0.0006.
    assert Decimal("0.24") == pending == cash - scene.cash
    assert "0" == scene.exchange.account_json()["pending_reg_taf_fees"]


def test_the_exchange_stands_still_at_the_end_of_its_calendar() -> None:
    """Nothing is due any more, and nothing fails."""
    scene = Scene(utc(15, on=date(2025, 5, 30)))
    scene.quote()
    order = scene.submit(limit_price=90, time_in_force="gtc")
    scene.go(utc(15, on=date(2025, 7, 1)))
    assert None is scene.exchange.next_due()
    assert order.is_open
