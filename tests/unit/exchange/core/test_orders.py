"""Orders on the wire and the transitions their status may make."""

from itertools import product

import pytest

from alchemiser.domain.errors import InvariantBroken
from alchemiser.exchange.orders import TERMINAL, TRANSITIONS, OrderStatus, order_json
from tests.unit.exchange.core.scene import Scene, utc

ORDER_FIELDS = {
    *("id", "client_order_id", "created_at", "updated_at", "submitted_at", "filled_at", "expired_at", "expires_at", "canceled_at"),
    *("failed_at", "replaced_at", "cancel_requested_at", "replaced_by", "replaces", "asset_id", "symbol", "asset_class", "notional"),
    *("qty", "filled_qty", "filled_avg_price", "order_class", "order_type", "type", "side", "position_intent", "time_in_force"),
    *("limit_price", "stop_price", "status", "extended_hours", "legs", "trail_percent", "trail_price", "hwm", "subtag", "source"),
}


def test_a_terminal_status_is_followed_by_nothing() -> None:
    """Filled, canceled, expired, rejected and replaced are final."""
    assert {frozenset()} == {TRANSITIONS[status] for status in TERMINAL}
    assert set(OrderStatus) == set(TRANSITIONS)


@pytest.mark.parametrize(("before", "after"), list(product(OrderStatus, OrderStatus)))
def test_only_the_transitions_of_the_table_are_made(scene: Scene, before: OrderStatus, after: OrderStatus) -> None:
    """A transition that section 4 does not know stops the exchange instead of being shown to a client."""
    order = scene.submit()
    order.status = before
    if after in TRANSITIONS[before]:
        order.move_to(after, scene.now)
        assert after is order.status
    else:
        with pytest.raises(InvariantBroken, match=order.id):
            order.move_to(after, scene.now)


def test_an_order_on_the_wire_has_every_field_in_the_venues_form(scene: Scene) -> None:
    """Numbers are strings, times end in Z, what is not set is null."""
    order = scene.submit(qty=2, limit_price=99.50, client_order_id="mine")
    body = order_json(order)
    assert set(body) == ORDER_FIELDS
    expected = {
        "client_order_id": "mine",
        "created_at": "2025-01-06T15:00:00Z",
        "expires_at": "2025-01-06T21:00:00Z",
        "filled_at": None,
        "qty": "2",
        "notional": None,
        "filled_qty": "0",
        "filled_avg_price": None,
        "order_class": "",
        "type": "limit",
        "order_type": "limit",
        "side": "buy",
        "position_intent": "buy_to_open",
        "limit_price": "99.5",
        "status": "pending_new",
        "extended_hours": False,
        "legs": None,
    }
    assert expected == {name: body[name] for name in expected}


def test_an_execution_on_the_stream_tells_itself_and_the_order_after_it(scene: Scene) -> None:
    """Price and quantity are of this execution only; the order holds the totals."""
    scene.submit(qty=3)
    scene.settle()
    data = scene.updates()[-1].json()
    expected = {
        "event": "fill",
        "at": "2025-01-06T15:00:00.026Z",
        "timestamp": "2025-01-06T15:00:00.026Z",
        "price": "100.02",
        "qty": "3",
        "position_qty": "3",
        "settle_date": "2025-01-07",
        "swap_rate": "1",
    }
    assert expected == {name: data[name] for name in expected}
    assert ("filled", "3", "100.02") == tuple(data["order"][name] for name in ("status", "filled_qty", "filled_avg_price"))
    assert data["execution_id"]


def test_events_that_are_no_executions_carry_no_price(scene: Scene) -> None:
    """``pending_new`` has no execution id, ``new`` has one; neither has price or quantity."""
    scene.submit(limit_price=90)
    scene.settle()
    pending, new = (update.json() for update in scene.updates())
    assert pending["execution_id"] is None
    assert new["execution_id"] is not None
    assert "price" not in new


def test_event_ids_sort_in_the_order_of_the_events(scene: Scene) -> None:
    """Twenty-six characters each, rising even within one millisecond."""
    for _ in range(5):
        scene.submit(limit_price=90)
    scene.wait(minutes=10)
    ids = [update.id for update in scene.updates()]
    assert sorted(set(ids)) == ids
    assert {26} == {len(text) for text in ids}


def test_an_order_beyond_the_calendar_has_no_end() -> None:
    """The field is left out rather than null."""
    scene = Scene(utc(15, on=utc(0).date().replace(month=5, day=30)))
    scene.go(utc(23, on=scene.now.date()))
    assert "expires_at" not in order_json(scene.submit(limit_price=90))
