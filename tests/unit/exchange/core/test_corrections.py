"""Broken and corrected executions: the account is what it would be had they been right at once."""

from datetime import timedelta
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alchemiser.exchange.account import Account
from alchemiser.exchange.engine import Exchange
from alchemiser.exchange.errors import ApiError
from alchemiser.exchange.issuer_actions import actions_of
from alchemiser.exchange.orders import OrderUpdate
from alchemiser.exchange.requests import ActivityFilter, OrderFilter
from alchemiser.exchange.snapshot import decode_state
from tests.unit.exchange.core.scene import ASSETS, Scene, refusal, session_of, utc

TUESDAY = timedelta(days=1)


def executed(scene: Scene) -> list[OrderUpdate]:
    """The executions among the events since the last look."""
    return [update for update in scene.updates() if update.qty is not None]


def account(scene: Scene) -> Account:
    """The account's own record, as it would be saved."""
    return decode_state(scene.exchange.snapshot(), Random(0)).account


def entry_price(scene: Scene) -> Decimal:
    """What the venue shows as the price of a position's shares."""
    return account(scene).positions["TECL"].average_entry_price


def trade(scene: Scene, quantity: str = "10", side: str = "buy", price: float = 100.0) -> str:
    """Trade at a price; return the id of the execution."""
    scene.quote(bid=price, ask=price, size=10_000)
    scene.updates()
    scene.submit(qty=quantity, side=side)
    scene.settle()
    (update,) = executed(scene)
    assert update.execution_id is not None
    return update.execution_id


def test_a_bust_takes_everything_back(scene: Scene) -> None:
    """Cash, position and the filled quantity are as before; the order stays filled, and both stream and activities say what happened."""
    execution = trade(scene)
    order = scene.exchange.bust(execution, scene.now)
    (update,) = scene.updates()
    assert (Decimal(100_000), Decimal(0)) == (scene.cash, scene.holding())
    assert ("filled", Decimal(0), None) == (order.status, order.filled_qty, order.average_price)
    told = update.json()
    assert ("trade_bust", "-10", "100", "0", "TRADE_BUST") == tuple(
        told[name] for name in ("event", "qty", "price", "position_qty", "reason")
    )
    assert (execution, "0", None) == (told["previous_execution_id"], told["order"]["filled_qty"], told["order"]["filled_avg_price"])
    assert execution != told["execution_id"]
    row, original = scene.exchange.activities(ActivityFilter())
    assert ("FILL", "trade_bust", "-10", "0", original["id"]) == tuple(
        row[name] for name in ("activity_type", "type", "qty", "cum_qty", "previous_id")
    )
    assert row["id"].endswith(told["execution_id"])


def test_a_correction_moves_the_difference(scene: Scene) -> None:
    """Another price moves cash and the average; the execution has a new id, which can be corrected again, while the old one is gone."""
    execution = trade(scene)
    order = scene.exchange.correct(execution, scene.now, price=Decimal("99.50"))
    (first,) = scene.updates()
    assert (Decimal(100_000) - 995, Decimal("99.5")) == (scene.cash, order.average_price)
    assert Decimal("99.50") == entry_price(scene)
    assert ("trade_correct", "10", "99.5", None) == (first.event, first.json()["qty"], first.json()["price"], first.reason)
    assert 422 == refusal(lambda: scene.exchange.bust(execution, scene.now))["status"]
    assert first.execution_id is not None
    scene.exchange.correct(first.execution_id, scene.now, quantity=Decimal(4))
    assert (Decimal(4), Decimal(100_000) - 398) == (scene.holding(), scene.cash)


@pytest.mark.parametrize(
    ("changes", "status", "message"),
    [
        ({"price": Decimal(0)}, 422, "must be > 0"),
        ({"by": Decimal(-100)}, 422, "must be > 0"),
        ({"quantity": Decimal(-1)}, 422, "must be > 0"),
        ({"quantity": Decimal(11)}, 422, "more than order"),
        ({}, 422, "not changed"),
        ({"price": Decimal(100)}, 422, "not changed"),
    ],
)
def test_what_corrects_nothing_or_too_much_is_refused(scene: Scene, changes: dict[str, Decimal], status: int, message: str) -> None:
    """A refused correction leaves everything as it was and says nothing."""
    execution = trade(scene)
    refused = refusal(lambda: scene.exchange.correct(execution, scene.now, **changes))
    assert (status, True) == (refused["status"], message in refused["message"])
    assert ([], Decimal(10)) == (scene.events(), scene.holding())


def test_an_unknown_execution_is_not_found(scene: Scene) -> None:
    """404, and nothing else."""
    assert 404 == refusal(lambda: scene.exchange.bust("no such execution", scene.now))["status"]
    assert scene.exchange.last_execution() is None


def test_the_last_execution_is_the_last_that_stands(scene: Scene) -> None:
    """What has been broken is passed over; a correction stands in the place of what it corrects; other symbols do not count."""
    first, second = trade(scene), trade(scene)
    assert (second, None) == (scene.exchange.last_execution("TECL"), scene.exchange.last_execution("BIL"))
    scene.exchange.bust(second, scene.now)
    assert first == scene.exchange.last_execution()
    scene.exchange.correct(first, scene.now, by=Decimal(1))
    corrected = scene.exchange.last_execution()
    assert corrected is not None
    assert corrected not in (first, second)


def test_an_open_order_may_trade_again_what_was_broken(scene: Scene) -> None:
    """Cumulative plus leaves stays the quantity: an order with nothing filled is as new and goes on."""
    scene.quote(bid=99.98, ask=100.02, size=4)
    order = scene.submit(limit_price="100.02")
    scene.settle()
    (update,) = executed(scene)
    before = scene.buying_power()
    assert update.execution_id is not None
    scene.exchange.bust(update.execution_id, scene.now)
    assert ("new", Decimal(10)) == (order.status, order.leaves())
    assert before <= scene.buying_power() + Decimal("0.01")
    scene.quote(size=500)
    scene.settle()
    assert ("filled", Decimal(10)) == (order.status, scene.holding())


def test_orders_that_no_longer_fit_are_cancelled(scene: Scene) -> None:
    """A sell of shares that turn out never to have been bought ends."""
    execution = trade(scene)
    sell = scene.submit(side="sell", limit_price="120")
    scene.settle()
    scene.exchange.bust(execution, scene.now)
    assert "canceled" == sell.status


def test_a_sale_of_what_was_never_bought_is_a_short_position(scene: Scene) -> None:
    """The position turns around; its entry is the price of the sale."""
    execution = trade(scene)
    trade(scene, side="sell", price=101.0)
    scene.exchange.bust(execution, scene.now)
    assert (Decimal(-10), Decimal(101)) == (scene.holding(), entry_price(scene))
    assert Decimal(101_010) == scene.cash


def test_yesterdays_trades_can_still_be_broken_older_ones_cannot() -> None:
    """A trade settles the day after; until then the position is worked out from the opening of its own day."""
    scene = Scene(fees=True)
    scene.quote()
    first = trade(scene, "10", price=100.0)
    second = trade(scene, "10", price=120.0)
    scene.go(utc(15) + TUESDAY)
    trade(scene, "5", side="sell", price=130.0)
    scene.exchange.bust(first, scene.now)
    held = account(scene).positions["TECL"]
    assert [(Decimal(5), Decimal(120), True)] == [(lot.quantity, lot.price, lot.is_carried) for lot in held.lots]
    scene.go(utc(15) + 2 * TUESDAY)
    assert 422 == refusal(lambda: scene.exchange.bust(second, scene.now))["status"]


def test_what_an_issuer_has_changed_stays() -> None:
    """Shares that were split since cannot be taken back one for one."""
    scene = Scene()
    scene.quote()
    execution = trade(scene)
    split = {"id": "s", "symbol": "TECL", "new_rate": 2, "old_rate": 1, "ex_date": "2025-01-07"}
    scene.exchange.announce(actions_of({"forward_splits": [split]}), scene.now)
    scene.go(utc(15) + TUESDAY)
    assert Decimal(20) == scene.holding()
    assert "issuer" in refusal(lambda: scene.exchange.bust(execution, scene.now))["message"]


def test_fees_and_unsettled_proceeds_are_given_back() -> None:
    """A broken sale costs no fee and brings no proceeds; when its fee has been posted, the next day gives it back."""
    scene = Scene(fees=True, settled_cash_only=True, multiplier="1")
    trade(scene, "100")
    same_day = trade(scene, "50", side="sell")
    scene.exchange.bust(same_day, scene.now)
    made = account(scene)
    assert ({"CAT": Decimal("0.01")}, Decimal(0)) == (made.fees.rounded(), sum(made.unsettled.values()))
    later = trade(scene, "100", side="sell")
    scene.go(utc(15) + TUESDAY)
    scene.exchange.bust(later, scene.now)
    scene.go(utc(15) + 4 * TUESDAY)
    # Each fee is rounded against the account, twice.
    assert Decimal(90_000) - Decimal("0.03") <= scene.cash <= Decimal(90_000)
    refunds = [row for row in scene.exchange.activities(ActivityFilter(types=("FEE",))) if Decimal(row["net_amount"]) > 0]
    assert {"SEC", "TAF"} == {row["activity_sub_type"] for row in refunds}


@pytest.mark.parametrize("cap", ["execution", "order"])
def test_a_correction_is_charged_as_if_it_had_been_right_at_once(cap: str) -> None:
    """The fees of the day are those of the executions that stand, whichever of them came first."""
    corrected, right = (Scene(fees=True, taf_cap_per=cap) for _ in range(2))
    for scene, price in ((corrected, 90.0), (right, 110.0)):
        trade(scene, "200")
        execution = trade(scene, "100", side="sell", price=price)
        if scene is corrected:
            scene.exchange.correct(execution, scene.now, price=Decimal(110))
    assert account(right).fees == account(corrected).fees
    assert right.cash == corrected.cash
    for scene in (corrected, right):
        scene.go(utc(15) + TUESDAY)
    assert right.cash == corrected.cash


def test_a_change_of_an_order_that_was_sealed_survives() -> None:
    """An order that ended long ago is saved anew, once."""
    scene = Scene()
    first = trade(scene, "1")
    scene.is_checked = False
    for _ in range(600):
        scene.exchange.cancel(scene.submit(limit_price="1").id, scene.now)
        scene.settle()
    scene.is_checked = True
    scene.check_kept()
    order = scene.exchange.bust(first, scene.now)
    scene.check_kept()
    again = Exchange.restore(scene.exchange.snapshot(), settings=scene.settings, assets=ASSETS, sessions=session_of, random=Random(0))
    assert Decimal(0) == again.order(order.id).filled_qty
    listed = again.orders(OrderFilter(status="all", limit=1_000))
    assert len(listed) == len({each.id for each in listed}) == 601


MOVES = st.lists(
    st.tuples(st.sampled_from(["buy", "sell", "bust", "correct", "night"]), st.integers(1, 40), st.integers(90, 110)),
    min_size=2,
    max_size=16,
)


@settings(deadline=None, max_examples=60)
@given(moves=MOVES)
def test_the_account_is_what_the_standing_executions_make_it(moves: list[tuple[str, int, int]]) -> None:
    """Cash is exact, the position is the sum of what stands, its lots add up to it, and no order is filled beyond its quantity.

    A correction back to the old price restores lots and averages to the last digit.
    """
    scene = Scene()
    scene.quote(bid=100, ask=100, size=10_000)
    standing: dict[str, tuple[int, Decimal, Decimal]] = {}
    for kind, number, price in moves:
        scene.updates()
        try:
            _play(scene, kind, number, price)
        except ApiError:
            assert [] == scene.updates()
            continue
        for update in executed(scene):
            assert update.execution_id is not None
            assert update.qty is not None
            assert update.price is not None
            standing.pop(update.previous_execution_id or "", None)
            if update.qty > 0:
                sign = 1 if update.order["side"] == "buy" else -1
                standing[update.execution_id] = (sign, update.qty, update.price)
            assert Decimal(update.order["filled_qty"]) <= Decimal(update.order["qty"])
        assert 100_000 - sum(sign * qty * paid for sign, qty, paid in standing.values()) == scene.cash
        assert sum(sign * qty for sign, qty, _ in standing.values()) == scene.holding()
        held = account(scene).positions.get("TECL")
        assert held is None or held.quantity == sum(lot.quantity for lot in held.lots)

    before = account(scene).positions
    last = scene.exchange.last_execution("TECL")
    if last is not None:
        try:
            scene.exchange.correct(last, scene.now, by=Decimal(1))
        except ApiError:
            return
        back = scene.exchange.last_execution("TECL")
        assert back is not None
        scene.exchange.correct(back, scene.now, by=Decimal(-1))
        assert before == account(scene).positions


def _play(scene: Scene, kind: str, number: int, price: int) -> None:
    match kind:
        case "night":
            scene.go(scene.now + TUESDAY)
            scene.quote(bid=price, ask=price, size=10_000)
        case "bust" | "correct":
            rows = [row for row in scene.exchange.activities(ActivityFilter()) if row["activity_type"] == "FILL"]
            if rows:
                execution = rows[number % len(rows)]["id"].partition("::")[2]
                if kind == "bust":
                    scene.exchange.bust(execution, scene.now)
                else:
                    scene.exchange.correct(execution, scene.now, price=Decimal(price))
        case side:
            scene.quote(bid=price, ask=price, size=10_000)
            scene.submit(qty=str(number), side=side)
            scene.settle()
