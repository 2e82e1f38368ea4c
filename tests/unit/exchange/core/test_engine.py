"""The exchange as a whole: determinism, snapshots, and what must hold after any sequence of requests."""

from contextlib import suppress
from datetime import date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alchemiser.domain.errors import DataError
from alchemiser.exchange.assets import FRACTIONAL_EXTENDED_HOURS, OVERNIGHT_TRADABLE, AssetChange
from alchemiser.exchange.engine import Exchange
from alchemiser.exchange.errors import ApiError
from alchemiser.exchange.issuer_actions import CorporateAction
from alchemiser.exchange.orders import TRANSITIONS, OrderStatus
from alchemiser.exchange.requests import ActivityFilter, OrderFilter
from alchemiser.exchange.whims import PARKED, NoWhims, Parking
from tests.unit.exchange.core.scene import Scene, session_of, utc

SYMBOLS = ("TECL", "BIL")


def restored(scene: Scene) -> Exchange:
    """The exchange again, from its snapshot."""
    return Exchange.restore(scene.exchange.snapshot(), settings=scene.settings, assets=scene.assets, sessions=session_of, random=Random(99))


def play(scene: Scene, random: Random, steps: int) -> None:
    """Do random things, valid and not."""
    for _ in range(steps):
        with suppress(ApiError):
            step(scene, random)
        if random.random() < 0.3:
            scene.wait(random.choice([1, 5, 20, 100, 60_000, 3_600_000]))


def step(scene: Scene, random: Random) -> None:
    """Do one random thing."""
    symbol = random.choice(SYMBOLS)
    price = round(random.uniform(95, 105), 2)
    orders = scene.exchange.orders(OrderFilter())
    match random.randrange(10):
        case 0 | 1 | 2:
            scene.quote(symbol, round(price - 0.02, 2), price, size=random.choice([1, 50, 500]))
        case 3:
            scene.trade(price, random.choice([1, 100, 1000]), symbol)
        case 4 | 5:
            scene.submit(symbol=symbol, **random_order(random, price))
        case 6:
            scene.submit(symbol=symbol, **random_group(random, price))
        case 7 if orders:
            scene.exchange.cancel(random.choice(orders).id, scene.now)
        case 8 if orders:
            changes: list[dict[str, Any]] = [{"qty": random.randrange(1, 80)}, {"limit_price": price}, {"stop_price": price}]
            scene.replace(random.choice(orders), **random.choice(changes))
        case 9:
            scene.exchange.close_position(symbol, scene.now, percentage=Decimal(random.choice([10, 50, 100])))
        case _:
            pass


def random_order(random: Random, price: float) -> dict[str, Any]:
    """An order that may or may not be acceptable."""
    kind = random.choice(["market", "limit", "limit", "stop", "stop_limit", "trailing_stop"])
    fields: dict[str, Any] = {"type": kind, "side": random.choice(["buy", "sell"])}
    fields["time_in_force"] = random.choice(["day", "day", "gtc", "ioc", "fok", "opg", "cls"])
    if kind in ("limit", "stop_limit"):
        fields["limit_price"] = price
    if kind in ("stop", "stop_limit"):
        fields["stop_price"] = round(price + random.choice([-2, 2]), 2)
    if kind == "trailing_stop":
        fields["trail_percent"] = random.choice([0.5, 2])
    size: dict[str, Any] = random.choice(
        [{"qty": random.randrange(1, 60)}, {"qty": "0.5"}, {"qty": 100_000}, {"notional": random.randrange(1, 5000)}]
    )
    return {**fields, **size, "type": kind, "extended_hours": random.random() < 0.1}


def random_group(random: Random, price: float) -> dict[str, Any]:
    """A bracket, oco or oto whose exits are near enough to be reached, most of them on the right side."""
    side = random.choice(["buy", "sell"])
    order_class = random.choice(["bracket", "bracket", "oco", "oto"])
    up, down = round(price + random.choice([0.5, 2, 5]), 2), round(price - random.choice([0.5, 2, 5]), 2)
    is_long = (side == "buy") != (order_class == "oco")
    profit, stop = (up, down) if is_long else (down, up)
    loss: dict[str, Any] = random.choice([{"stop_price": stop}, {"stop_price": stop, "limit_price": stop}])
    exits: dict[str, Any] = {"take_profit": {"limit_price": profit}, "stop_loss": loss}
    if order_class == "oto":
        exits.pop(random.choice(list(exits)))
    entry: dict[str, Any] = {"type": "limit", "limit_price": price} if random.random() < 0.5 or order_class == "oco" else {"type": "market"}
    time_in_force = random.choice(["day", "gtc"])
    return {"order_class": order_class, "side": side, "qty": random.randrange(1, 60), "time_in_force": time_in_force, **entry, **exits}


def check_groups(scene: Scene) -> None:
    """Assert what must hold of complex orders, whatever happened to them."""
    orders = scene.exchange.orders(OrderFilter(status="all", limit=500))
    for order in orders:
        if order.parent_id is None:
            assert all(leg.parent_id == order.id for leg in order.legs)
            if order.status in (OrderStatus.CANCELED, OrderStatus.EXPIRED, OrderStatus.REJECTED):
                assert not any(leg.is_open for leg in order.legs)
            exits = [each for each in (order, *order.legs) if each.order_class and each.is_closing]
            if not order.is_closing and order.order_class:
                # Whatever the exits did together, they never did more than the entry.
                assert sum((each.filled_qty for each in exits), Decimal(0)) <= order.filled_qty
                assert order.status is OrderStatus.FILLED or not any(each.filled_qty for each in exits)
            wanted = [each for each in exits if each.is_open and each.status is not OrderStatus.PENDING_REPLACE]
            assert len({each.leaves() for each in wanted}) <= 1 or any(each.replaces for each in wanted)
        assert order.status is not OrderStatus.HELD or order.parent_id is not None
    for row in scene.exchange.positions_json():
        assert abs(Decimal(row["qty_available"])) <= abs(Decimal(row["qty"]))
        assert Decimal(row["qty_available"]) * Decimal(row["qty"]) >= 0


def check_books(scene: Scene, updates: list[Any]) -> None:
    """Assert what must always hold."""
    cash = scene.settings.cash
    shares = dict.fromkeys(SYMBOLS, Decimal(0))
    cumulative: dict[str, Decimal] = {}
    statuses: dict[str, OrderStatus] = {}
    for update in updates:
        order_id = update.order["id"]
        after = OrderStatus(update.order["status"])
        before = statuses.get(order_id, after)
        assert after is before or after in TRANSITIONS[before]
        statuses[order_id] = after
        if update.qty is not None:
            sign = 1 if update.order["side"] == "buy" else -1
            cash -= sign * update.qty * update.price
            shares[update.order["symbol"]] += sign * update.qty
            cumulative[order_id] = cumulative.get(order_id, Decimal(0)) + update.qty
            assert shares[update.order["symbol"]] == update.position_qty
            limit = update.order["limit_price"]
            assert limit is None or (Decimal(limit) - update.price) * sign >= 0
        assert Decimal(update.order["filled_qty"]) == cumulative.get(order_id, Decimal(0))
        assert update.order["qty"] is None or Decimal(update.order["filled_qty"]) <= Decimal(update.order["qty"])
        assert (after is OrderStatus.FILLED) == (update.event == "fill")
    assert cash == scene.cash
    assert shares == {symbol: scene.holding(symbol) for symbol in SYMBOLS}
    for order in scene.exchange.orders(OrderFilter(status="all", limit=500)):
        assert statuses[order.id] is order.status


@settings(deadline=None, max_examples=40, derandomize=True)
@given(seed=st.integers(0, 2**32), engine=st.sampled_from(["book", "paper"]), start=st.sampled_from([utc(13, 50), utc(15), utc(20, 40)]))
def test_any_sequence_of_requests_keeps_the_account_whole(seed: int, engine: str, start: Any) -> None:
    """Cash and shares are the sum of the executions, cumulative never passes the quantity, only known transitions are told.

    When nothing is open, nothing is reserved and nothing is held.
    """
    scene = Scene(start, seed=seed, engine=engine)
    for _ in range(6):
        play(scene, Random(seed := seed + 1), 15)
        check_groups(scene)
    for _ in range(2):
        scene.exchange.cancel_all(scene.now)
        scene.settle()
    check_groups(scene)
    check_books(scene, scene.updates())
    assert [] == scene.exchange.orders(OrderFilter())
    account = scene.exchange.account_json()
    factor = Decimal(account["multiplier"])
    gross = Decimal(account["long_market_value"]) - Decimal(account["short_market_value"])
    assert abs(max(factor * Decimal(account["equity"]) - gross, Decimal(0)) - Decimal(account["buying_power"])) < Decimal("0.01")
    assert all(row["qty"] == row["qty_available"] for row in scene.exchange.positions_json())


class RandomWhims:
    """A venue of moods."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def _one_in(self, number: int) -> bool:
        return self._random.randrange(number) == 0

    def rejects(self, symbol: str, at: datetime) -> bool:
        return self._one_in(12)

    def parks(self, symbol: str, at: datetime) -> Parking | None:
        return Parking(self._random.choice(PARKED), self._random.choice([0.0, 1.0, 4_000.0])) if self._one_in(5) else None

    def cuts_short(self, symbol: str, at: datetime) -> bool:
        return self._one_in(8)

    def refuses_cancel(self, symbol: str, at: datetime) -> bool:
        return self._one_in(3)

    def stalls_cancel(self, symbol: str, at: datetime) -> float:
        return self._random.choice([0.0, 0.0, 30.0])

    def refuses_replace(self, symbol: str, at: datetime) -> bool:
        return self._one_in(3)


@settings(deadline=None, max_examples=25, derandomize=True)
@given(seed=st.integers(0, 2**32), start=st.sampled_from([utc(13, 50), utc(15), utc(20, 40)]))
def test_a_venue_of_moods_keeps_the_account_whole(seed: int, start: Any) -> None:
    """Whatever the venue does without being asked, nights included: the books add up, and nothing is held when nothing is open."""
    random = Random(seed)
    scene = Scene(start, seed=seed, overnight=True)
    scene.exchange.obey(RandomWhims(random))
    for symbol in SYMBOLS:
        scene.exchange.on_asset(symbol, AssetChange(attributes=(FRACTIONAL_EXTENDED_HOURS, OVERNIGHT_TRADABLE)), scene.now)
    for _ in range(5):
        play(scene, random, 15)
        check_groups(scene)
        scene.exchange.on_halt(random.choice(SYMBOLS), random.random() < 0.3, scene.now)
        scene.wait(hours=random.choice([0, 0, 1, 7]))
    scene.exchange.obey(NoWhims())
    for _ in range(3):
        scene.exchange.cancel_all(scene.now)
        scene.wait(hours=2)
    check_books(scene, scene.updates())
    assert [] == scene.exchange.orders(OrderFilter())
    assert all(row["qty"] == row["qty_available"] for row in scene.exchange.positions_json())


KINDS = ("split", "cash_dividend", "stock_dividend", "spin_off", "name_change", "cash_merger", "worthless_removal")


def random_action(random: Random, on: date) -> CorporateAction:
    """Something an issuer does tomorrow."""
    symbol = random.choice(SYMBOLS)
    other = SYMBOLS[1 - SYMBOLS.index(symbol)]
    kind = random.choice(KINDS)
    new, old = random.choice([(2, 1), (3, 2), (1, 10), (7, 3)])
    row = {"id": f"{on} {random.random()}", "kind": kind, "symbol": symbol, "ex_date": on + timedelta(days=1), "cash": "0.37"}
    row |= {"new_rate": new, "old_rate": old} if kind in ("split", "spin_off") else {"new_rate": "1.05"}
    return msgspec.convert({**row, "new_symbol": other if kind in ("spin_off", "name_change") else None}, CorporateAction, strict=False)


@settings(deadline=None, max_examples=25, derandomize=True)
@given(seed=st.integers(0, 2**32))
def test_every_cent_and_every_share_has_a_row(seed: int) -> None:
    """Over weeks with fees, interest, dividends, splits, halts and bands: cash and shares are what the activities say they are."""
    random = Random(seed)
    scene = Scene(seed=seed, fees=True, dividends=True, margin_interest=True, multiplier="4")
    for _ in range(12):
        play(scene, random, 12)
        check_groups(scene)
        symbol = random.choice(SYMBOLS)
        scene.exchange.on_halt(symbol, random.random() < 0.3, scene.now)
        scene.exchange.on_bands(symbol, random.choice([None, (97.0, 103.0)]), scene.now)
        scene.exchange.on_asset(symbol, AssetChange(easy_to_borrow=random.random() < 0.7), scene.now)
        scene.exchange.announce([random_action(random, scene.now.date())], scene.now)
        scene.wait(hours=random.choice([1, 20, 70]))
    cash = scene.settings.cash
    shares = dict.fromkeys(SYMBOLS, Decimal(0))
    token: str | None = None
    while page := scene.exchange.activities(ActivityFilter(direction="asc", page_token=token)):
        token = page[-1]["id"]
        for row in page:
            cash += Decimal(row.get("net_amount", 0))
            if row["activity_type"] == "FILL":
                sign = 1 if row["side"] == "buy" else -1
                cash -= sign * Decimal(row["qty"]) * Decimal(row["price"])
                shares[row["symbol"]] += sign * Decimal(row["qty"])
            elif "per_share_amount" not in row and "qty" in row:
                shares[row["symbol"]] += Decimal(row["qty"])
    assert cash == scene.cash
    assert shares == {symbol: scene.holding(symbol) for symbol in SYMBOLS}
    assert scene.exchange.snapshot() == restored(scene).snapshot()


def test_the_same_seed_tells_the_same_story() -> None:
    """Ids, events, times and prices: everything."""

    def story() -> list[dict[str, Any]]:
        scene = Scene(seed=7)
        play(scene, Random(3), 80)
        return [update.json() for update in scene.updates()]

    assert story() == story()


def test_a_restored_exchange_goes_on_as_if_it_had_never_stopped() -> None:
    """The snapshot holds everything, the random generator and the undelivered events included."""
    scene = Scene(seed=7)
    play(scene, Random(3), 60)
    twin = Scene(seed=0)
    twin.now, twin.exchange = scene.now, restored(scene)
    assert scene.exchange.snapshot() == twin.exchange.snapshot()
    for each in (scene, twin):
        play(each, Random(4), 60)
        each.wait(hours=20)
    assert [update.json() for update in scene.updates()] == [update.json() for update in twin.updates()]
    assert scene.exchange.snapshot() == twin.exchange.snapshot()


def test_everything_else_that_changes_is_in_the_snapshot_too() -> None:
    """Corporate actions, owed dividends, bands, borrow status, blocks, watchlists, unsettled cash, fees, interest, history."""
    scene = Scene(seed=5, fees=True, dividends=True, margin_interest=True, settled_cash_only=True, refuse_margin_deficits=False)
    scene.quote()
    scene.buy("1500")
    scene.submit(side="sell", qty=100)
    scene.submit(order_class="oto", qty=10, stop_loss={"stop_price": 90})
    scene.wait(300)
    ex_dates = {"split": date(2025, 1, 8), "cash_dividend": date(2025, 1, 7)}
    for kind, on in ex_dates.items():
        row = {"id": kind, "kind": kind, "symbol": "TECL", "ex_date": on, "payable_date": date(2025, 1, 13), "new_rate": 2, "cash": 1}
        scene.exchange.announce([msgspec.convert(row, CorporateAction)], scene.now)
    scene.exchange.on_bands("TECL", (50.0, 150.0), scene.now)
    scene.exchange.on_asset("BIL", AssetChange(easy_to_borrow=False), scene.now)
    scene.exchange.block(transfers=True)
    scene.exchange.watchlists.create({"name": "w", "symbols": ["BIL"]}, scene.now)
    scene.go(utc(15, on=date(2025, 1, 7)))
    twin = Scene(seed=0, fees=True, dividends=True, margin_interest=True, settled_cash_only=True, refuse_margin_deficits=False)
    twin.now, twin.exchange = scene.now, restored(scene)
    for each in (scene, twin):
        each.go(utc(15, on=date(2025, 2, 5)))
        each.quote(bid=49.9, ask=50.1)
        each.exchange.close_position("TECL", each.now, percentage=Decimal(10))
        each.settle()
    assert scene.exchange.snapshot() == twin.exchange.snapshot()
    assert {"FILL", "FEE", "DIV", "SPLIT", "INT"} == {row["activity_type"] for row in twin.exchange.activities(ActivityFilter())}
    assert not twin.exchange.asset("BIL").easy_to_borrow
    assert scene.exchange.account_json() == twin.exchange.account_json()
    assert scene.exchange.portfolio_history(scene.now) == twin.exchange.portfolio_history(twin.now)


def test_a_long_life_is_sealed_and_restored_whole() -> None:
    """Ended orders and old activities are encoded once; lists, ids and pages do not notice."""
    scene = Scene()
    first = scene.submit(limit_price=50, client_order_id="first", time_in_force="gtc")
    for number in range(700):
        scene.submit(limit_price=60, client_order_id=f"order {number}", time_in_force="fok")
        scene.settle()
        if number % 2:
            scene.quote()
            scene.buy("1")
    scene.submit(order_class="bracket", limit_price=70, take_profit={"limit_price": 110}, stop_loss={"stop_price": 50})
    plain = len(msgspec.msgpack.encode(scene.exchange.orders(OrderFilter(status="all", limit=2000))))
    state = msgspec.msgpack.decode(scene.exchange.snapshot())["state"]
    assert (3, 1) == (len(state["archive"]), len(state["activities"]["sealed"]))
    assert len(scene.exchange.snapshot()) < plain
    twin = restored(scene)
    for wanted in (
        OrderFilter(status="all", limit=2000),
        OrderFilter(status="all", direction="asc", nested=True, limit=2000),
        OrderFilter(),
    ):
        assert scene.exchange.orders(wanted) == twin.orders(wanted)
    assert first.id == twin.order_by_client_id("first").id == twin.orders(OrderFilter())[-1].id
    assert scene.exchange.activities(ActivityFilter(page_size=350)) == twin.activities(ActivityFilter(page_size=350))
    assert scene.exchange.snapshot() == twin.snapshot()


def test_bytes_that_are_no_snapshot_are_refused() -> None:
    """With what to do about it."""
    scene = Scene()
    with pytest.raises(DataError, match="start it without one"):
        Exchange.restore(b"\x93", settings=scene.settings, assets=scene.assets, sessions=session_of, random=Random(1))
    old = scene.exchange.snapshot().replace(b"\xa6format\x02", b"\xa6format\x63")
    with pytest.raises(DataError, match="format 99"):
        Exchange.restore(old, settings=scene.settings, assets=scene.assets, sessions=session_of, random=Random(1))


def test_working_orders_are_those_the_session_lets_trade(scene: Scene) -> None:
    """That is what holds the clock; a filled order does not."""
    seen = [scene.exchange.has_working_orders]
    scene.submit()
    seen.append(scene.exchange.has_working_orders)
    scene.settle()
    seen.append(scene.exchange.has_working_orders)
    assert [False, True, False] == seen


def test_the_next_thing_to_do_is_known_in_advance() -> None:
    """The session's moments when no order is on its way. Old orders are looked for after the close where there is one left."""
    scene = Scene(utc(13))
    assert utc(14, 30) == scene.exchange.next_due()
    scene.go(utc(14, 30))
    order = scene.submit(limit_price=90, time_in_force="gtc")
    scene.settle()
    assert utc(21) == scene.exchange.next_due()
    scene.go(utc(21))
    assert utc(21, 15) == scene.exchange.next_due()
    scene.exchange.cancel(order.id, utc(21, 15))
    assert utc(1) + timedelta(days=1) == scene.exchange.next_due()
    scene.go(utc(1) + timedelta(days=1))
    assert utc(9) + timedelta(days=1) == scene.exchange.next_due()
    scene.go(utc(21) + timedelta(days=1))
    assert utc(1) + timedelta(days=2) == scene.exchange.next_due()
