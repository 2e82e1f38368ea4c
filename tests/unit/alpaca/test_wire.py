"""What Alpaca's trading JSON means: exact numbers, tolerant words, nothing guessed."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alchemiser.alpaca import wire
from alchemiser.domain.orders import NewOrder, OrderType, Side, TimeInForce
from tests.unit.alpaca.fakes import CLIENT_ID, ORDER_ID, START, order_json, update_json


def order(**changes: Any) -> wire.WireOrder:
    return msgspec.json.decode(msgspec.json.encode(order_json(**changes)), type=wire.WireOrder)


def update(**changes: Any) -> wire.WireUpdate:
    return msgspec.json.decode(msgspec.json.encode(update_json(**changes)["data"]), type=wire.WireUpdate)


def test_order_object_becomes_a_report() -> None:
    """The sample of the protocol reference keeps its ids, numbers and times."""
    report = wire.order_report(order(filled_qty="1.5", filled_avg_price="149.995"), source="query", fallback_at=START)
    assert (report.event, report.source, report.status) == ("query", "query", "pending_new")
    assert (report.client_order_id, report.venue_order_id) == (CLIENT_ID, ORDER_ID)
    assert (report.symbol, report.side) == ("AAPL", Side.BUY)
    assert (report.quantity, report.cumulative_quantity, report.average_price) == (Decimal(2), Decimal("1.5"), Decimal("149.995"))
    assert report.limit_price == Decimal(150)
    assert report.at == datetime(2026, 8, 12, 14, 31, 24, 668464, tzinfo=UTC)
    assert report.execution_id is None


def test_numbers_may_be_strings_or_numbers() -> None:
    """A number is the same whether it is quoted or not."""
    assert order(qty=2, limit_price=150.25).limit_price == Decimal("150.25")
    assert order(qty="122011.09751111286868").qty == Decimal("122011.09751111286868")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e", "", "abc"])
def test_numbers_that_are_none_are_refused(number: str) -> None:
    """What is not a finite number is an error, not a zero."""
    with pytest.raises(msgspec.ValidationError):
        order(filled_qty=number)


def test_a_time_without_its_zone_is_refused() -> None:
    """A time is never taken for UTC because it did not say."""
    with pytest.raises(msgspec.ValidationError):
        order(updated_at="2026-08-12T14:31:24")


def test_new_words_of_the_venue_are_kept() -> None:
    """An unknown status, event, type or member loses nothing."""
    report = wire.update_report(
        update(event="teleported", order=order_json(status="quantum", type="psychic", new_member={"a": 1})), fallback_at=START
    )
    assert (report.event, report.status) == ("teleported", "quantum")


def test_optional_members_may_be_absent() -> None:
    """Id, status, symbol and side are enough."""
    least = msgspec.json.decode(b'{"id":"a","status":"new","symbol":"SPY","side":"sell"}', type=wire.WireOrder)
    report = wire.order_report(least, source="query", fallback_at=START)
    assert (report.at, report.quantity, report.cumulative_quantity, report.client_order_id) == (START, None, Decimal(0), "")


@pytest.mark.parametrize(("word", "side"), [("buy", Side.BUY), ("sell", Side.SELL), ("sell_short", Side.SELL)])
def test_sides(word: str, side: Side) -> None:
    """Old rows say ``sell_short`` for a sell."""
    assert wire.side_of(word) is side


@pytest.mark.parametrize("changes", [{"side": ""}, {"side": None}, {"symbol": None}, {"symbol": ""}])
def test_an_order_of_no_symbol_or_side_is_refused(changes: dict[str, Any]) -> None:
    """A multi-leg order has neither; it is not guessed."""
    with pytest.raises(msgspec.ValidationError):
        wire.order_report(order(**changes), source="query", fallback_at=START)


def test_fill_becomes_a_report_of_one_execution() -> None:
    """The sample fill carries its execution, its totals and the position after it."""
    report = wire.update_report(update(), fallback_at=START)
    assert (report.event, report.status, report.source) == ("fill", "filled", "stream")
    assert report.execution_id == "98e9d0ca-abe1-4d6d-8b5c-493b1ef6a8af"
    assert (report.last_quantity, report.last_price, report.position_quantity) == (Decimal(100), Decimal("179.08"), Decimal(100))
    assert (report.cumulative_quantity, report.average_price) == (Decimal(100), Decimal("179.08"))
    assert report.at == datetime(2026, 9, 18, 14, 31, 2, 709112, tzinfo=UTC)
    assert report.event_id == "01J8ZC9W3S7N6T1Q4B2M0XK5RD"


@pytest.mark.parametrize("changes", [{"event": "new", "price": None, "qty": None}, {"event": "fill", "price": None}, {"event": "new"}])
def test_only_an_execution_has_an_execution_id(changes: dict[str, Any]) -> None:
    """``new`` carries an execution id on the wire; no shares changed hands, so it is not kept."""
    report = wire.update_report(update(**changes), fallback_at=START)
    assert (report.execution_id, report.last_quantity, report.last_price) == (None, None, None)


def test_a_bust_keeps_its_negative_quantity() -> None:
    """A broken execution says how much it takes back."""
    report = wire.update_report(update(event="trade_bust", qty="-5"), fallback_at=START)
    assert (report.last_quantity, report.execution_id) == (Decimal(-5), "98e9d0ca-abe1-4d6d-8b5c-493b1ef6a8af")
    assert report.previous_execution_id is None


@pytest.mark.parametrize(("word", "correction"), [("fill", None), ("partial_fill", None), ("trade_bust",) * 2, ("trade_correct",) * 2])
def test_a_row_that_takes_a_fill_back_is_no_fill(word: str, correction: str | None) -> None:
    """The list of fills has rows of both kinds; read as a fill, a bust would count the same shares again."""
    row = {"id": "1::e", "order_id": "o", "symbol": "SPY", "side": "buy", "qty": "-1", "price": "1", "cum_qty": "0", "previous_id": "0::d"}
    found = msgspec.convert(row | {"transaction_time": "2025-03-03T20:50:00Z", "type": word}, wire.WireActivity, strict=False)
    activity = wire.activity_of(found)
    assert (correction, "e", "d") == (activity.correction, activity.execution_id, activity.previous_execution_id)


def test_old_updates_have_no_event_id() -> None:
    """Older captures lack the id and the second time; numbers as ids become text."""
    old = update_json()["data"]
    del old["event_id"], old["at"], old["timestamp"]
    report = wire.update_report(msgspec.convert(old, wire.WireUpdate, strict=False), fallback_at=START)
    assert report.event_id is None
    assert report.at == datetime(2026, 8, 12, 14, 31, 24, 668464, tzinfo=UTC)
    assert wire.update_report(update(event_id=17), fallback_at=START).event_id == "17"


def test_order_body_has_exact_number_strings() -> None:
    """No float noise and no exponent reaches the venue, and a market order has no limit."""
    limit = NewOrder(
        client_order_id=CLIENT_ID,
        symbol="BRK.B",
        side=Side.SELL,
        quantity=Decimal("0.300000000"),
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.DAY,
        limit_price=Decimal("1E+2"),
    )
    assert wire.order_body(limit) == {
        "symbol": "BRK.B",
        "qty": "0.3",
        "side": "sell",
        "type": "limit",
        "time_in_force": "day",
        "client_order_id": CLIENT_ID,
        "limit_price": "100",
    }
    market = msgspec.structs.replace(limit, order_type=OrderType.MARKET, limit_price=None, time_in_force=TimeInForce.CLS)
    assert "limit_price" not in wire.order_body(market)
    assert wire.order_body(market)["time_in_force"] == "cls"


@given(quantity=st.decimals(min_value="0.000000001", max_value=10**9, places=9))
def test_quantities_survive_the_way_out(quantity: Decimal) -> None:
    """What is sent reads back as the same number."""
    sent = NewOrder(
        client_order_id=CLIENT_ID,
        symbol="A",
        side=Side.BUY,
        quantity=quantity,
        order_type=OrderType.MARKET,
        time_in_force=TimeInForce.DAY,
    )
    assert Decimal(wire.order_body(sent)["qty"]) == quantity


ACCOUNT = {"account_number": "PA1", "status": "ACTIVE", "cash": "-1.5", "equity": "2", "buying_power": "3", "multiplier": "4"}


def test_account() -> None:
    """Amounts are exact; an active account has no blocks."""
    account = wire.account_of(msgspec.convert(ACCOUNT, wire.WireAccount, strict=False))
    assert (account.cash, account.multiplier, account.blocks) == (Decimal("-1.5"), 4, ())


def test_every_flag_that_forbids_trading_is_named() -> None:
    """The reasons are listed, the account's status among them."""
    flags = {"account_blocked": True, "trading_blocked": True, "trade_suspended_by_user": True, "status": "ONBOARDING"}
    account = wire.account_of(msgspec.convert({**ACCOUNT, **flags}, wire.WireAccount, strict=False))
    assert account.blocks == ("account_blocked", "trading_blocked", "trade_suspended_by_user", "status ONBOARDING")


def test_position() -> None:
    """A short is negative; what is free defaults to everything."""
    row = {"symbol": "SPY", "qty": "-3.5", "avg_entry_price": "400.1", "current_price": None}
    position = wire.position_of(msgspec.convert(row, wire.WirePosition, strict=False))
    assert (position.quantity, position.available_quantity, position.current_price) == (Decimal("-3.5"), Decimal("-3.5"), None)
    held = wire.position_of(msgspec.convert({**row, "qty": "5", "qty_available": "2"}, wire.WirePosition, strict=False))
    assert held.available_quantity == Decimal(2)


def test_activity_takes_its_execution_id_from_its_id() -> None:
    """The part behind the colons names the execution; the time is ``transaction_time``, not the New York time in the id."""
    row = {
        "activity_type": "FILL",
        "id": "20260524113406977::8efc7b9a-8b2b-4000-9955-d36e7db0df74",
        "transaction_time": "2026-05-24T15:34:06.977Z",
        "type": "fill",
        "price": "1.63",
        "qty": "1",
        "side": "sell_short",
        "symbol": "LPCN",
        "leaves_qty": "0",
        "order_id": "904837e3-3b76-47ec-b432-046db621571b",
        "cum_qty": "1.5",
        "order_status": "filled",
    }
    fill = wire.activity_of(msgspec.convert(row, wire.WireActivity, strict=False))
    assert fill.execution_id == "8efc7b9a-8b2b-4000-9955-d36e7db0df74"
    assert (fill.side, fill.cumulative_quantity) == ("sell", Decimal("1.5"))
    assert fill.at == datetime(2026, 5, 24, 15, 34, 6, 977000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("day", "closes", "expected_open", "expected_close"),
    [
        (date(2025, 3, 7), "16:00", (14, 30), (21, 0)),  # winter
        (date(2025, 3, 10), "16:00", (13, 30), (20, 0)),  # the Monday after the clocks changed
        (date(2025, 11, 28), "13:00", (14, 30), (18, 0)),  # half day
    ],
)
def test_sessions_are_new_york_times(day: date, closes: str, expected_open: tuple[int, int], expected_close: tuple[int, int]) -> None:
    """The same opening time is another moment in summer."""
    session = wire.session_of(wire.WireSession(day, "09:30", closes))
    assert (session.opens_at.hour, session.opens_at.minute) == expected_open
    assert (session.closes_at.hour, session.closes_at.minute) == expected_close
    assert session.opens_at.tzinfo is UTC


def test_query_leaves_out_what_was_not_given() -> None:
    """Times are UTC with a Z, absent parameters are absent."""
    given_parameters = wire.query(after=START, limit=5, symbols=None, day=date(2025, 1, 2))
    assert given_parameters == {"after": "2025-03-03T14:30:00Z", "limit": "5", "day": "2025-01-02"}
