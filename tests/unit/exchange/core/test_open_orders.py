"""The running totals and indexes of open orders: always what walking through all of them would find, at a cost that does not grow."""

import sys
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from random import Random
from types import FrameType
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from alchemiser.domain.money import ZERO
from alchemiser.exchange import rules
from alchemiser.exchange.assets import listed
from alchemiser.exchange.errors import ApiError
from alchemiser.exchange.issuer_actions import CorporateAction
from alchemiser.exchange.margin import margin_weight
from alchemiser.exchange.open_orders import OpenOrders
from alchemiser.exchange.orders import OrderStatus, PositionIntent, VenueOrder
from alchemiser.exchange.requests import OrderFilter, OrderRequest, parse_order
from alchemiser.exchange.reservations import held_shares_of, reserved_dollars_of
from tests.unit.exchange.core.scene import ASSETS, MONDAY, Scene, utc
from tests.unit.exchange.core.test_engine import SYMBOLS, play, random_action, random_order, restored

TUESDAY = date(2025, 1, 7)
MIXED = {**ASSETS, "BIL": listed("BIL", marginable=False)}
"""One symbol that is lent on, one that is not."""


def indexes_of(scene: Scene) -> OpenOrders:
    """The indexes of an exchange, which nothing of what it answers shows as they are."""
    return scene.exchange._blotter.open


def might_meet(scene: Scene, wanted: OrderRequest) -> bool:
    """Whether the index of its symbol says that an order might meet an open one."""
    beside = indexes_of(scene).by_symbol.get(wanted.symbol)
    return beside is not None and beside.wash.might_meet(wanted)


def truly_open(scene: Scene) -> list[VenueOrder]:
    """Every open order, oldest first, found by looking at all there ever were."""
    trees = scene.exchange.orders(OrderFilter(status="all", limit=500, direction="asc", nested=True))
    orders = [order for tree in trees for order in (tree, *tree.legs) if order.is_open]
    return sorted(orders, key=lambda order: order.sequence)


def check(scene: Scene, random: Random) -> None:
    """Compare every answer of the indexes with the definition, with nothing left out and with some orders left out."""
    indexes, orders = indexes_of(scene), truly_open(scene)
    assert orders == list(indexes.orders.values())
    for excluded in ([], random.sample(orders, min(len(orders), 3)), orders):
        left = [order for order in orders if order not in excluded]
        for multiplier in (1, 4):
            parts = {symbol: reserved_dollars_of([order for order in left if order.symbol == symbol]) for symbol in SYMBOLS}
            walked = sum((parts[symbol] * margin_weight(scene.assets[symbol], multiplier) for symbol in SYMBOLS), ZERO)
            assert walked == indexes.reserved_buying_power(multiplier, excluded)
        for symbol in SYMBOLS:
            assert held_shares_of([order for order in left if order.symbol == symbol]) == indexes.held_shares(symbol, excluded)
    sent = [order.extended_hours for order in orders if order.status is not OrderStatus.ACCEPTED and order.time_in_force != "cls"]
    assert (bool(sent), True in sent) == (indexes.any_sent(extended_hours_only=False), indexes.any_sent(extended_hours_only=True))
    for symbol in SYMBOLS:
        mine = [order for order in orders if order.symbol == symbol]
        beside = indexes.by_symbol.get(symbol)
        assert mine == ([] if beside is None else list(beside.orders.values()))
        assert bool(mine) == (beside is not None)
        for intent in get_args(PositionIntent):
            assert sum(order.position_intent == intent for order in mine) == (0 if beside is None else beside.intents.get(intent, 0))
        check_wash_table(scene, symbol, mine, random)


def check_wash_table(scene: Scene, symbol: str, orders: list[VenueOrder], random: Random) -> None:
    """Compare the wash-trade index with the rule, for an order that might come now."""
    fields = random_order(random, round(random.uniform(90, 110), 2))
    try:
        wanted = parse_order({"symbol": symbol, **fields})
    except ApiError:
        return
    try:
        rules.check_wash_trade(wanted, orders)
    except ApiError:
        assert might_meet(scene, wanted)
    else:
        assert not might_meet(scene, wanted)


@settings(deadline=None, max_examples=60, derandomize=True)
@example(seed=2005, engine="book", start=utc(13, 50))  # Prices in sevenths after a split: rounding would show.
@given(seed=st.integers(0, 2**32), engine=st.sampled_from(["book", "paper"]), start=st.sampled_from([utc(13, 50), utc(15), utc(20, 40)]))
def test_running_totals_are_what_walking_through_all_orders_finds(seed: int, engine: str, start: Any) -> None:
    """Through submits, groups, fills, replacements, cancels, splits and dividends over some days; and again after a restart."""
    random = Random(seed)
    scene = Scene(start, seed=seed, engine=engine, dividends=True, assets=MIXED)
    scene.exchange.announce([random_action(random, MONDAY) for _ in range(4)], scene.now)
    for on in (MONDAY, TUESDAY):
        scene.go(max(scene.now, utc(15, on=on)))
        for _ in range(12):
            play(scene, random, 3)
            check(scene, random)
    before = [indexes_of(scene).reserved_buying_power(multiplier) for multiplier in (1, 2, 4)]
    scene.exchange = restored(scene)
    assert before == [indexes_of(scene).reserved_buying_power(multiplier) for multiplier in (1, 2, 4)]
    check(scene, random)


def test_an_order_nobody_could_price_holds_from_the_first_quote_on() -> None:
    """At the price it met, also when limit-up keeps it from trading there."""
    scene = Scene()
    scene.submit(qty=10)
    scene.settle()
    assert indexes_of(scene).reserved_buying_power(1) == 0
    scene.exchange.on_bands("TECL", (90.0, 100.01), scene.now)
    scene.quote()
    assert Decimal("1000.20") == indexes_of(scene).reserved_buying_power(1)
    check(scene, Random(1))


def test_a_replacement_that_shrinks_while_it_waits_holds_less() -> None:
    """The old order is filled in part meanwhile; both are counted as one."""
    scene = Scene()
    scene.quote()
    scene.buy("20")
    scene.quote(size=4)
    old = scene.submit(side="sell", qty=20, limit_price=99.98)
    scene.settle()
    new = scene.replace(old, qty=20, limit_price=99.97)
    check(scene, Random(1))
    scene.quote(size=5)
    check(scene, Random(1))
    scene.wait(7)
    assert old.filled_qty == 9
    assert indexes_of(scene).held_shares("TECL") == 11
    assert ("replaced", "new") == (old.status.value, new.status.value)
    check(scene, Random(1))


def test_exits_that_are_filled_in_part_hold_what_is_left() -> None:
    """The stop-loss shrinks with the take-profit beside it."""
    scene = Scene()
    scene.quote()
    scene.submit(order_class="bracket", qty=10, take_profit={"limit_price": 110}, stop_loss={"stop_price": 90})
    scene.settle()
    scene.wait(1_000)
    assert indexes_of(scene).held_shares("TECL") == 10
    scene.quote(bid=110.5, ask=110.6, size=4)
    scene.wait(1_000)
    assert indexes_of(scene).held_shares("TECL") == 6
    check(scene, Random(1))


@pytest.mark.parametrize(("kind", "rates"), [("split", {"new_rate": 3, "old_rate": 1}), ("cash_dividend", {"cash": "0.35"})])
def test_restated_orders_hold_by_their_new_terms(kind: str, rates: dict[str, Any]) -> None:
    """A split and a dividend change the prices that the wash-trade table compares, and what is reserved."""
    scene = Scene(dividends=True)
    row = {"id": "one", "kind": kind, "symbol": "TECL", "ex_date": TUESDAY, "new_rate": 1, **rates}
    scene.exchange.announce([msgspec.convert(row, CorporateAction, strict=False)], scene.now)
    scene.quote()
    scene.submit(qty=7, limit_price=90, time_in_force="gtc")
    scene.settle()
    before = indexes_of(scene).reserved_buying_power(1)
    for on in (MONDAY, TUESDAY):
        scene.go(utc(14, 31, on=on) if on == TUESDAY else scene.now)
        check(scene, Random(1))
        for price, meets in (("25.00", True), ("89.00", on == MONDAY), ("90.01", False)):
            seller = parse_order(
                {"symbol": "TECL", "side": "sell", "type": "limit", "qty": 1, "limit_price": price, "time_in_force": "day"}
            )
            if kind == "split":
                assert might_meet(scene, seller) == meets
    assert kind == "split" or before == 630 == indexes_of(scene).reserved_buying_power(1)


def test_amounts_that_no_context_holds_leave_nothing_behind() -> None:
    """The largest and the smallest order that can be sent come and go, and the rest of the total is exact to the last digit."""
    scene = Scene(cash=Decimal(10) ** 20)
    scene.is_checked = False
    scene.quote()
    scene.submit(qty="1.000000003", limit_price="70.01")
    before = indexes_of(scene).reserved_buying_power(2)
    large = scene.submit(qty=10**9, limit_price=10**9)
    assert indexes_of(scene).reserved_buying_power(2) > 10**18
    scene.exchange.cancel(large.id, scene.now)
    scene.wait(10)
    assert large.status == "canceled"
    assert Decimal("70.01000021003") == before == indexes_of(scene).reserved_buying_power(2)


def calls_of(scene: Scene, **fields: Any) -> int:
    """Count every call that a submit, its acknowledgement and its end take."""

    def submit() -> None:
        scene.submit(**fields)
        scene.settle()
        scene.exchange.account_json()

    return counted(submit)


def counted(work: Callable[[], None]) -> int:
    """Count every call that something takes, those of built-in functions included."""
    count = 0

    def note(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_an_order_costs_the_same_however_many_are_open(side: str) -> None:
    """Counted in calls: with a thousand open orders of the same symbol a submit does no more than with a dozen."""
    counts = []
    for others in (12, 1_000):
        scene = Scene()
        scene.is_checked = False
        scene.quote()
        scene.buy("100")
        for _ in range(others):
            scene.submit(qty=1, limit_price="1.00", time_in_force="gtc")
        scene.submit(side="sell", qty=1, limit_price="300.00", time_in_force="gtc")
        scene.settle()
        scene.exchange.drain()
        price = "2.00" if side == "buy" else "299.00"
        counts.append(min(calls_of(scene, side=side, qty=1, limit_price=price, time_in_force="ioc") for _ in range(3)))
    # Caches and heaps make a few calls more or less; a walk would make a thousand.
    assert abs(counts[1] - counts[0]) < 20 < counts[0]


def test_the_market_hardly_looks_at_orders_far_behind_it() -> None:
    """A quote and a trade take two calls for each of a thousand orders that rest behind the best price; one that is reached is filled."""
    scene = Scene()
    scene.is_checked = False
    for _ in range(1_000):
        scene.submit(qty=1, limit_price="1.00", time_in_force="gtc")
    reached = scene.submit(qty=1, limit_price="99.00", time_in_force="gtc")
    scene.settle()
    scene.quote()

    def move() -> None:
        scene.quote(bid=99.5, ask=99.6)
        scene.trade(99.55)

    assert counted(move) < 2_200
    scene.quote(bid=98.9, ask=98.95)
    assert reached.status == "filled"
