"""Margin: orders that would make a deficit are refused, a deficit at a close is called for, and an unmet call freezes the account (9.2)."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from alchemiser.exchange.errors import ApiError
from alchemiser.exchange.margin_calls import FREEZE_AFTER_CLOSES, MarginRecord
from tests.unit.exchange.core.scene import Scene, utc

MONDAYS_WEEK = [date(2025, 1, day) for day in (6, 7, 8, 10, 13, 14, 15)]
"""Trading days of the scene; the ninth is a holiday."""


def leveraged() -> Scene:
    """An account that holds half as much again as its equity, in shares that need 75 percent; a fall makes a deficit."""
    scene = Scene()
    scene.quote(size=5_000)
    scene.buy("1300")
    return scene


def close_at(scene: Scene, on: date, price: float) -> None:
    """Let a session close at a price."""
    scene.go(utc(17, 50, on=on))
    scene.quote(bid=price, ask=price, size=5_000)
    scene.trade(price)
    scene.go(utc(22, on=on))


@pytest.mark.parametrize(
    ("settings", "symbol", "most"),
    [
        # Who owes a hundred thousand for a single symbol needs half of its value.
        ({"multiplier": "4"}, "BIL", 2_000),
        ({"multiplier": "2"}, "BIL", 2_000),
        ({"multiplier": "2"}, "TECL", 1_333),
        ({"multiplier": "4"}, "TECL", 1_333),
        ({"multiplier": "1"}, "TECL", 1_000),
        ({"multiplier": "4", "refuse_margin_deficits": False}, "BIL", 4_000),
    ],
)
def test_an_order_that_would_make_a_deficit_is_refused(settings: dict[str, Any], symbol: str, most: int) -> None:
    """The equity has to cover the maintenance margin of what is held and ordered, besides the buying power."""
    scene = Scene(**settings)
    scene.quote(symbol, 100, 100, size=5_000)
    refused = scene.refused(symbol=symbol, qty=most + 1)
    assert (403, 40310000, "insufficient buying power") == (refused["status"], refused["code"], refused["message"])
    assert Decimal(refused["buying_power"]) < Decimal(refused["cost_basis"])
    scene.submit(symbol=symbol, qty=most - 1, type="limit", limit_price=100, time_in_force="day")
    assert 403 == scene.refused(symbol=symbol, qty=2)["status"]


def test_a_short_sale_needs_its_own_margin() -> None:
    """Low-priced shares need two and a half dollars each when they are sold short."""
    scene = Scene(multiplier="2")
    scene.quote("BIL", 1.00, 1.01, size=500_000)
    assert 403 == scene.refused(symbol="BIL", side="sell", qty=40_001)["status"]
    scene.submit(symbol="BIL", side="sell", qty=39_999)


def test_a_replacement_counts_once() -> None:
    """Old and new order together need what the larger of them does."""
    scene = Scene()
    scene.quote(size=5_000)
    order = scene.submit(qty=1_200, limit_price="99")
    scene.settle()
    scene.replace(order, qty=1_300)
    scene.settle()
    assert 403 == scene.refused(qty=60, limit_price="99")["status"]


def test_a_deficit_at_the_close_is_called_and_met() -> None:
    """Nothing happens within the day; a price that recovers meets the call at the next close."""
    scene = leveraged()
    close_at(scene, MONDAYS_WEEK[0], 80)
    call = scene.exchange.margin.call
    assert call is not None
    equity = Decimal(scene.exchange.account_json()["equity"])
    assert (MONDAYS_WEEK[0], Decimal(1300 * 80) * 75 / 100 - equity, 0) == (call.issued_on, call.amount, call.closes)
    close_at(scene, MONDAYS_WEEK[1], 100)
    assert MarginRecord() == scene.exchange.margin


def test_an_unmet_call_freezes_the_account() -> None:
    """After the fifth close nothing may be bought on credit or sold short for ninety days; closing goes on."""
    scene = leveraged()
    for place, on in enumerate(MONDAYS_WEEK[: FREEZE_AFTER_CLOSES + 1]):
        assert "2" == scene.exchange.account_json()["multiplier"]
        close_at(scene, on, 80)
        call = scene.exchange.margin.call
        assert call is not None
        assert place == call.closes
    frozen = MONDAYS_WEEK[FREEZE_AFTER_CLOSES] + timedelta(days=90)
    assert frozen == scene.exchange.margin.frozen_until
    scene.go(utc(15, on=date(2025, 1, 15)))
    scene.quote(bid=120, ask=120, size=5_000)
    scene.quote("BIL", 100, 100)
    body = scene.exchange.account_json()
    assert ("1", "0", False) == (body["multiplier"], body["buying_power"], body["shorting_enabled"])
    assert "insufficient buying power" == scene.refused(qty=1)["message"]
    assert "account is not allowed to short" == scene.refused(symbol="BIL", side="sell", qty=1)["message"]
    scene.exchange.close_position("TECL", scene.now)
    scene.settle()
    scene.submit(symbol="BIL", qty=1)
    scene.go(datetime.combine(frozen, utc(15).timetz()))
    assert "2" == scene.exchange.account_json()["multiplier"]


def test_a_call_is_part_of_the_snapshot() -> None:
    """A restart forgets neither the call nor the freeze."""
    record = MarginRecord()
    for on in MONDAYS_WEEK:
        record.close_day(on, equity=Decimal(10), maintenance_margin=Decimal(5_000))
    assert record == msgspec.json.decode(msgspec.json.encode(record), type=MarginRecord)
    assert record.is_frozen(MONDAYS_WEEK[-1])


@given(equity=st.integers(-50_000, 100_000), lacking=st.integers(-5_000, 20_000))
def test_a_trifle_is_not_called(equity: int, lacking: int) -> None:
    """Up to a thousand dollars, or five percent of the equity if that is less, nobody calls."""
    record = MarginRecord()
    record.close_day(MONDAYS_WEEK[0], equity=Decimal(equity), maintenance_margin=Decimal(equity + lacking))
    assert (record.call is None) == (lacking <= min(1_000, max(equity, 0) * 0.05))


@given(st.lists(st.tuples(st.sampled_from(["TECL", "BIL"]), st.sampled_from(["buy", "sell"]), st.integers(1, 2_500)), max_size=8))
@example([("TECL", "buy", 1), ("TECL", "sell", 1), ("TECL", "sell", 2), ("BIL", "buy", 2001), ("TECL", "buy", 1)])
def test_an_order_that_opens_never_makes_a_deficit(orders: list[tuple[str, str, int]]) -> None:
    """While prices stand still, equity covers the maintenance margin after it, if it did before, whatever was closed earlier.

    What closes is always let through, and may concentrate what is left: only that can make a deficit.
    """
    scene = Scene(multiplier="4")
    held = {"TECL": 0, "BIL": 0}
    was_lacking = False
    for symbol in ("TECL", "BIL"):
        scene.quote(symbol, 100, 100, size=10_000)
    for symbol, side, quantity in orders:
        try:
            scene.submit(symbol=symbol, side=side, qty=quantity)
        except ApiError:
            continue
        scene.settle()
        signed = quantity if side == "buy" else -quantity
        closes = held[symbol] * signed < 0
        held[symbol] += signed
        body = scene.exchange.account_json()
        is_lacking = Decimal(body["equity"]) < Decimal(body["maintenance_margin"])
        assert closes or was_lacking or not is_lacking
        was_lacking = is_lacking
