"""Bodies and query strings become values, or the venue's words for what is wrong."""

from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alchemiser.exchange.errors import ApiError
from alchemiser.exchange.fields import parse_order_id, read_flag
from alchemiser.exchange.portfolio_history import parse_history_filter
from alchemiser.exchange.requests import (
    OrderFilter,
    ReplaceRequest,
    parse_activity_filter,
    parse_close,
    parse_order,
    parse_order_filter,
    parse_replace,
)
from tests.unit.exchange.core.scene import Scene, refusal

LIMIT = {"symbol": "SPY", "qty": 1.5, "side": "buy", "type": "limit", "time_in_force": "day", "limit_price": 100.5}
MARKET = {"symbol": "SPY", "qty": "2", "side": "sell", "type": "market", "time_in_force": "gtc"}
ORDER_ID = "904837e3-3b76-47ec-b432-046db621571b"


def test_an_order_of_the_official_client_is_read_exactly() -> None:
    """Floats count as the decimal number they print as."""
    request = parse_order(LIMIT)
    assert (Decimal("1.5"), Decimal("100.5")) == (request.qty, request.limit_price)


def test_numbers_may_be_strings_and_what_is_finer_than_nine_decimals_is_cut() -> None:
    """The venue truncates quantities silently."""
    assert Decimal("1.123456789") == parse_order({**MARKET, "qty": "1.1234567899"}).qty


@pytest.mark.parametrize(
    ("changes", "status", "code", "message"),
    [
        ({"symbol": None}, 422, 40010001, "symbol is required"),
        ({"side": "hold"}, 422, 40010001, "invalid side: hold"),
        ({"side": None}, 422, 40010001, "side is required"),
        ({"type": "iceberg"}, 422, 40010001, "invalid type: iceberg"),
        ({"time_in_force": "gtd"}, 422, 40010001, "invalid time_in_force: gtd"),
        ({"position_intent": "maybe"}, 422, 40010001, "invalid position_intent: maybe"),
        ({"qty": 0}, 422, 40010001, "qty must be > 0"),
        ({"qty": "-1"}, 422, 40010001, "qty must be > 0"),
        ({"qty": "1e-12"}, 422, 40010001, "qty must be > 0"),
        ({"qty": 1e300}, 422, 40010001, "qty must be <= 1000000000"),
        ({"qty": float("nan")}, 422, 40010001, "qty is not a number"),
        ({"qty": "Infinity"}, 422, 40010001, "qty is not a number"),
        ({"qty": "1_000"}, 422, 40010001, "qty is not a number"),
        ({"qty": True}, 422, 40010001, "qty is not a number"),
        ({"qty": [1]}, 422, 40010001, "qty is not a number"),
        ({"limit_price": "0"}, 422, 40010001, "limit price must be > 0"),
        ({"qty": None}, 422, 40010001, "qty or notional is required"),
        ({"notional": "5"}, 422, 40010001, "only one of qty or notional is accepted"),
        ({"qty": None, "notional": "0.99"}, 422, 42210000, "notional amount must be >= 1.00"),
        ({"limit_price": None}, 422, 40010001, "limit orders require a limit price"),
        ({"stop_price": "9"}, 422, 40010001, "limit orders require no stop price"),
        ({"type": "market"}, 422, 40010001, "market orders require no stop or limit price"),
        ({"type": "stop"}, 422, 40010001, "stop orders require a stop price"),
        ({"type": "stop", "stop_price": "9"}, 422, 40010001, "stop orders require no limit price"),
        ({"type": "stop_limit"}, 422, 40010001, "stop limit orders require both stop and limit price"),
        ({"type": "trailing_stop"}, 422, 40010001, "trailing stop orders must specify one of trail_price or trail_percent"),
        ({"type": "trailing_stop", "trail_price": 1}, 422, 40010001, "trailing stop orders require no stop or limit price"),
        (
            {"type": "trailing_stop", "limit_price": None, "trail_percent": "0.05"},
            422,
            40010001,
            "trail percent must be >= 0.1",
        ),
        ({"trail_price": 1}, 422, 40010001, "trail_price and trail_percent are only for trailing stop orders"),
        ({"client_order_id": "x" * 129}, 422, 40010001, "client_order_id must be no more than 128 characters"),
        ({"client_order_id": 7}, 422, 40010001, "client_order_id must be a string"),
        ({"extended_hours": "perhaps"}, 422, 40010001, "invalid extended_hours: perhaps"),
        ({"order_class": "bracket"}, 422, 42210000, "bracket orders require take_profit.limit_price"),
        ({"order_class": "crab"}, 422, 40010001, "invalid order_class: crab"),
        ({"take_profit": {"limit_price": 1}}, 422, 42210000, "take_profit and stop_loss require order_class bracket, oco or oto"),
    ],
)
def test_a_wrong_field_gets_the_words_of_the_venue(changes: dict[str, Any], status: int, code: int, message: str) -> None:
    """Status and code are the contract; the message is the recorded one."""
    assert {"status": status, "code": code, "message": message} == refusal(lambda: parse_order({**LIMIT, **changes}))


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "stop", "stop_price": "99"},
        {"type": "stop_limit", "stop_price": "99", "limit_price": "98"},
        {"type": "trailing_stop", "trail_percent": "0.1"},
        {"type": "market", "extended_hours": "True", "client_order_id": "", "position_intent": "sell_to_close", "order_class": "simple"},
    ],
)
def test_every_simple_type_is_read(fields: dict[str, Any]) -> None:
    """All five types are known."""
    assert fields["type"] == parse_order({**MARKET, **fields}).type


@pytest.mark.parametrize("body", [None, [], "order", 7])
def test_a_body_that_is_no_object_is_a_bad_request(body: object) -> None:
    """Malformed bodies are 400, not 422."""
    assert 400 == refusal(lambda: parse_order(body))["status"]


def test_a_replacement_is_read() -> None:
    """Every field of a PATCH is optional."""
    wanted = ReplaceRequest(qty=Decimal(2), time_in_force="gtc", limit_price=Decimal("3.5"), client_order_id="again")
    assert wanted == parse_replace({"qty": 2, "time_in_force": "gtc", "limit_price": 3.5, "client_order_id": "again"})


@pytest.mark.parametrize(("body", "code"), [({"qty": 1.5}, 40010001), ({"notional": 5}, 42210000), ({"trail": -1}, 40010001)])
def test_a_replacement_has_its_own_limits(body: dict[str, Any], code: int) -> None:
    """Whole shares only, never a notional."""
    assert code == refusal(lambda: parse_replace(body))["code"]


def test_the_order_list_has_the_defaults_of_the_venue() -> None:
    """Open orders, fifty, newest first."""
    assert OrderFilter() == parse_order_filter({})


def test_every_filter_of_the_order_list_is_read() -> None:
    """An unescaped plus of an offset arrives as a space and is understood."""
    wanted = parse_order_filter(
        {
            "status": "all",
            "limit": "500",
            "after": "2025-01-06T10:00:00 05:00",
            "until": "2025-01-07",
            "direction": "asc",
            "nested": "True",
            "symbols": "TECL, BIL,",
            "side": "buy",
            "asset_class": "us_equity",
        }
    )
    assert (
        OrderFilter(
            status="all",
            limit=500,
            after=datetime(2025, 1, 6, 5, tzinfo=UTC),
            until=datetime(2025, 1, 7, tzinfo=UTC),
            direction="asc",
            nested=True,
            symbols=("TECL", "BIL"),
            side="buy",
            asset_classes=("us_equity",),
        )
        == wanted
    )


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"},
        {"limit": "501"},
        {"limit": "٣"},
        {"after": "yesterday"},
        {"direction": "up"},
        {"before_order_id": ORDER_ID, "after_order_id": ORDER_ID},
        {"before_order_id": ORDER_ID, "until": "2025-01-01"},
        {"before_order_id": "seven"},
    ],
)
def test_a_wrong_filter_is_refused(query: dict[str, str]) -> None:
    """No filter is silently dropped."""
    assert 422 == refusal(lambda: parse_order_filter(query))["status"]


def test_activities_are_asked_for_by_type_or_category() -> None:
    """The one-type path and the query mean the same; type and category exclude each other."""
    assert ("FILL",) == parse_activity_filter({}, "FILL").types
    wanted = parse_activity_filter({"category": "trade_activity", "date": "2025-01-06", "page_size": "10", "page_token": "x"})
    assert ("trade_activity", 10, "x") == (wanted.category, wanted.page_size, wanted.page_token)
    assert 422 == refusal(lambda: parse_activity_filter({"category": "trade_activity", "activity_types": "FILL"}))["status"]


def test_closing_takes_a_quantity_or_a_percentage() -> None:
    """Both are an error; neither means everything."""
    assert (None, None) == parse_close({})
    assert (Decimal("1.5"), None) == parse_close({"qty": "1.5"})
    assert (None, Decimal(50)) == parse_close({"percentage": "50"})
    assert 422 == refusal(lambda: parse_close({"qty": "1", "percentage": "50"}))["status"]
    assert 422 == refusal(lambda: parse_close({"percentage": "101"}))["status"]


def test_order_ids_may_come_without_dashes() -> None:
    """What is no UUID gets the venue's odd 422."""
    assert ORDER_ID == parse_order_id(ORDER_ID.replace("-", ""))
    assert {"status": 422, "code": 40010001, "message": "order_id is missing"} == refusal(lambda: parse_order_id("seven"))


def test_flags_are_read_in_any_spelling() -> None:
    """Python clients say True."""
    assert read_flag({"cancel_orders": "True"}, "cancel_orders")
    assert not read_flag({}, "cancel_orders")


WORDS = st.sampled_from(
    ["", "1", "-1", "1e5", "nan", "buy", "sell", "limit", "day", "gtc", "0.1", "110", "90", "x" * 200, "٣", "bracket", "oco", "oto", "mleg"]
)
NAMES = st.sampled_from(["limit_price", "stop_price", "symbol", "symbols", "name", "x"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2),
    max_leaves=4,
)
ORDER_FIELDS = [*LIMIT, "notional", "stop_price", "trail_percent", "trail", "extended_hours", "order_class", "take_profit", "stop_loss"]
EXITS = {"take_profit": {"limit_price": 110}, "stop_loss": {"stop_price": 90}}
QUERY = ["status", "limit", "after", "until", "direction", "nested", "before_order_id", "period", "timeframe", "start", "end", "page_size"]


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(ORDER_FIELDS), JSON), st.sampled_from([{}, {"order_class": "bracket", **EXITS}]))
def test_any_body_is_done_or_refused(changes: dict[str, Any], complex_fields: dict[str, Any]) -> None:
    """Nothing but an ApiError ever comes out of a wrong body, and it changes nothing; what is accepted is an order."""
    scene = Scene()
    scene.quote("TECL")
    before = scene.exchange.account_json()
    body = {**LIMIT, "symbol": "TECL", "qty": 2, **complex_fields, **changes}
    try:
        order = scene.exchange.submit(parse_order(body), scene.now)
    except ApiError:
        assert before == scene.exchange.account_json()
        assert [] == scene.exchange.orders(OrderFilter(status="all"))
        return
    assert (order.qty is None) != (order.notional is None)
    scene.settle()
    with suppress(ApiError):
        scene.exchange.replace(order.id, parse_replace(changes), scene.now)
    scene.settle()


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(JSON, st.dictionaries(st.sampled_from(QUERY), WORDS))
def test_any_other_body_and_query_is_read_or_refused(body: Any, query: dict[str, str]) -> None:
    """Replacements, watchlists, lists, pages, histories."""
    scene = Scene()
    for read in (
        lambda: parse_replace(body),
        lambda: scene.exchange.watchlists.create(body, scene.now),
        lambda: scene.exchange.configure(body if isinstance(body, dict) else {}),
        lambda: scene.exchange.orders(parse_order_filter(query)),
        lambda: scene.exchange.activities(parse_activity_filter(query)),
        lambda: scene.exchange.portfolio_history(scene.now, parse_history_filter(query)),
        lambda: parse_close(query),
    ):
        with suppress(ApiError):
            read()
