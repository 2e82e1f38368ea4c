"""The broker's requests as execution asks for them: what is sent, what comes back, what an answer proves."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from alchemiser.alpaca import venue as venue_module
from alchemiser.alpaca.venue import AlpacaVenue
from alchemiser.domain.errors import NotFoundAtVenue, OrderRejected, OutcomeUnknown, VenueUnavailable
from alchemiser.domain.orders import NewOrder, OrderType, Side, TimeInForce
from alchemiser.domain.venue import Venue
from tests.unit.alpaca.fakes import CLIENT_ID, ORDER_ID, Answer, ScriptedVenue, order_json

ORDER = NewOrder(
    client_order_id=CLIENT_ID,
    symbol="AAPL",
    side=Side.BUY,
    quantity=Decimal("2"),
    order_type=OrderType.LIMIT,
    time_in_force=TimeInForce.DAY,
    limit_price=Decimal("150.00"),
)
NOT_UNIQUE = Answer(422, {"code": 40010001, "message": "client_order_id must be unique"})
NOT_FOUND = Answer(404, {"code": 40410000, "message": "order not found"})


def paths(server: ScriptedVenue) -> list[str]:
    return [f"{asked.method} {asked.path}" for asked in server.asked]


def test_it_is_a_venue(venue: AlpacaVenue) -> None:
    """Execution knows only the protocol."""
    checked: Venue = venue
    assert checked is venue


# --- submit ---


async def test_submit(venue: AlpacaVenue, server: ScriptedVenue) -> None:
    """An order goes out once, with our id and exact numbers, and comes back as a report."""
    server.answer(order_json())
    report = await venue.submit(ORDER)
    assert (report.venue_order_id, report.status, report.source, report.event) == (ORDER_ID, "pending_new", "submit", "query")
    (asked,) = server.asked
    assert (asked.method, asked.path, asked.headers["Content-Type"]) == ("POST", "/v2/orders", "application/json")
    assert asked.body == {
        "symbol": "AAPL",
        "qty": "2",
        "side": "buy",
        "type": "limit",
        "time_in_force": "day",
        "limit_price": "150",
        "client_order_id": CLIENT_ID,
    }


async def test_an_order_sent_at_once_says_and_means_the_same(venue: AlpacaVenue, server: ScriptedVenue) -> None:
    """Only without a connection at hand it is left to a submit; a refusal of it is looked behind as well."""
    assert await venue.submit_now(ORDER) is None
    server.answer(order_json(), order_json(), NOT_UNIQUE, order_json(status="new"))
    usual, at_once = await venue.submit(ORDER), await venue.submit_now(ORDER)
    assert usual == at_once
    assert server.asked[0].body == server.asked[1].body
    looked_up = await venue.submit_now(ORDER)
    assert looked_up is not None
    assert (looked_up.status, looked_up.source) == ("new", "query")


async def test_new_orders_ask_the_guard_when_they_leave_and_cancels_do_not(venue: AlpacaVenue, server: ScriptedVenue) -> None:
    """A submit and a replacement are withheld by what it says; a cancel reduces risk and passes."""
    asked: list[str] = []

    def why_not(symbol: str, side: Side) -> str | None:
        asked.append(symbol)
        return "the gate is closed"

    venue.guard(why_not)
    with pytest.raises(VenueUnavailable, match="the gate is closed"):
        await venue.submit(ORDER)
    with pytest.raises(VenueUnavailable, match="the gate is closed"):
        await venue.replace(ORDER_ID, symbol="SPY", side=Side.BUY, client_order_id=CLIENT_ID, quantity=Decimal(2), limit_price=Decimal(150))
    server.answer(Answer(204))
    await venue.cancel(ORDER_ID)

    assert [f"DELETE /v2/orders/{ORDER_ID}"] == paths(server)
    assert asked == ["AAPL", "SPY"]


async def test_an_id_that_is_taken_means_it_arrived_the_first_time(venue: AlpacaVenue, server: ScriptedVenue) -> None:
    """The refusal "must be unique" is answered with the order that has the id."""
    server.answer(NOT_UNIQUE, order_json(status="new"))
    report = await venue.submit(ORDER)
    assert (report.status, report.source) == ("new", "query")
    assert paths(server) == ["POST /v2/orders", "GET /v2/orders:by_client_order_id"]
    assert server.asked[1].query == {"client_order_id": CLIENT_ID}


async def test_an_unprocessable_order_that_was_executed_all_the_same(venue: AlpacaVenue, server: ScriptedVenue) -> None:
    """A 422 has been answered for orders that were executed, so it is looked behind whatever its text."""
    server.answer(
        Answer(422, {"code": 42210000, "message": "whatever"}), order_json(status="filled", filled_qty="2", filled_avg_price="149")
    )
    assert (await venue.submit(ORDER)).status == "filled"


async def test_an_unprocessable_order_that_is_not_there_is_rejected(venue: AlpacaVenue, server: ScriptedVenue) -> None:
    """The refusal is proven by the look-up, and keeps the venue's words."""
    server.answer(Answer(422, {"code": 40010001, "message": "qty must be > 0"}), NOT_FOUND)
    with pytest.raises(OrderRejected, match="qty must be > 0") as caught:
        await venue.submit(ORDER)
    assert (caught.value.code, caught.value.status) == (40010001, 422)


async def test_a_taken_id_that_is_not_found_is_unknown(venue: AlpacaVenue, server: ScriptedVenue) -> None:
    """The venue's lists lag behind for a moment: a taken id that cannot be found yet is no rejection."""
    server.answer(NOT_UNIQUE, NOT_FOUND)
    with pytest.raises(OutcomeUnknown, match=CLIENT_ID):
        await venue.submit(ORDER)


async def test_an_unprocessable_order_that_cannot_be_looked_up_is_unknown(venue: AlpacaVenue, server: ScriptedVenue) -> None:
    """Trouble in asking is not evidence about the order."""
    server.answer(NOT_UNIQUE, *[Answer(503)] * 3)
    with pytest.raises(OutcomeUnknown, match=CLIENT_ID):
        await venue.submit(ORDER)
    assert paths(server).count("POST /v2/orders") == 1


async def test_a_refusal_by_the_account_is_final(venue: AlpacaVenue, server: ScriptedVenue) -> None:
    """A 403 with a code is a proven refusal; nothing more is asked."""
    server.answer(Answer(403, {"code": 40310000, "message": "insufficient buying power", "buying_power": "1"}))
    with pytest.raises(OrderRejected, match="insufficient buying power") as caught:
        await venue.submit(ORDER)
    assert caught.value.code == 40310000
    assert len(server.asked) == 1


@pytest.mark.parametrize("body", [b"", b"<html>ok</html>", b"[]", b"null", {"id": 5}, order_json(qty="NaN"), order_json(side="")])
async def test_a_success_that_cannot_be_read_is_unknown(venue: AlpacaVenue, server: ScriptedVenue, body: Any) -> None:
    """A 200 whose body is not an order says that something was done, not what."""
    server.answer(body)
    with pytest.raises(OutcomeUnknown, match=CLIENT_ID):
        await venue.submit(ORDER)


# --- replace, cancel, look-up ---


async def test_replace(venue: AlpacaVenue, server: ScriptedVenue) -> None:
    """A replacement names total quantity, price and its own id, and returns the new order."""
    server.answer(order_json(id="new-id", client_order_id="e1-20250303.1-s1-2", replaces=ORDER_ID, limit_price="151"))
    report = await venue.replace(
        ORDER_ID, symbol="SPY", side=Side.BUY, client_order_id="e1-20250303.1-s1-2", quantity=Decimal(2), limit_price=Decimal("151.0")
    )
    assert (report.venue_order_id, report.replaces, report.source) == ("new-id", ORDER_ID, "replace")
    (asked,) = server.asked
    assert (asked.method, asked.path) == ("PATCH", f"/v2/orders/{ORDER_ID}")
    assert asked.body == {"qty": "2", "limit_price": "151", "client_order_id": "e1-20250303.1-s1-2"}
    assert venue.requests == {("PATCH", "/v2/orders/{id}", "200"): 1}


async def test_a_refused_replacement_leaves_the_old_order(venue: AlpacaVenue, server: ScriptedVenue) -> None:
    """What cannot be replaced now is a rejection with the venue's reason."""
    server.answer(Answer(422, {"code": 42210000, "message": "cannot replace order in accepted status"}), NOT_FOUND)
    with pytest.raises(OrderRejected, match="accepted status"):
        await venue.replace(ORDER_ID, symbol="SPY", side=Side.BUY, client_order_id="x", quantity=Decimal(2), limit_price=Decimal(1))


async def test_cancel(venue: AlpacaVenue, server: ScriptedVenue) -> None:
    """A cancel is a request; its answer is empty."""
    server.answer(Answer(204))
    await venue.cancel(ORDER_ID)
    assert paths(server) == [f"DELETE /v2/orders/{ORDER_ID}"]


@pytest.mark.parametrize("status", ["filled", "canceled", "expired", "rejected", "replaced"])
async def test_a_cancel_that_comes_too_late_is_done(venue: AlpacaVenue, server: ScriptedVenue, status: str) -> None:
    """An order that has ended needs no cancel; how it ended is learnt by other roads."""
    server.answer(Answer(422, {"code": 42210000, "message": f'order is already in "{status}" state'}), order_json(status=status))
    await venue.cancel(ORDER_ID)


async def test_a_refused_cancel_of_an_open_order_is_a_refusal(venue: AlpacaVenue, server: ScriptedVenue) -> None:
    """An order that is being replaced refuses its cancel and lives on."""
    server.answer(Answer(422, {"code": 42210000, "message": "order pending replace"}), order_json(status="pending_replace"))
    with pytest.raises(OrderRejected, match="pending replace"):
        await venue.cancel(ORDER_ID)


async def test_other_refusals_of_a_cancel_are_not_looked_behind(venue: AlpacaVenue, server: ScriptedVenue) -> None:
    """Not found is evidence, and a 403 is a refusal."""
    server.answer(NOT_FOUND, Answer(403, {"code": 40310000, "message": "no"}))
    with pytest.raises(NotFoundAtVenue):
        await venue.cancel(ORDER_ID)
    with pytest.raises(OrderRejected):
        await venue.cancel(ORDER_ID)
    assert len(server.asked) == 2


async def test_look_up_by_our_id(venue: AlpacaVenue, server: ScriptedVenue) -> None:
    """Found is a report, not found is evidence, silence is neither."""
    server.answer(order_json(status="partially_filled", filled_qty="1", filled_avg_price="150"), NOT_FOUND, *[Answer(502, b"<html>")] * 3)
    report = await venue.order_by_client_id(CLIENT_ID)
    assert (report.cumulative_quantity, report.average_price) == (Decimal(1), Decimal(150))
    with pytest.raises(NotFoundAtVenue):
        await venue.order_by_client_id(CLIENT_ID)
    with pytest.raises(VenueUnavailable):
        await venue.order_by_client_id(CLIENT_ID)


# --- lists ---


async def test_open_orders(venue: AlpacaVenue, server: ScriptedVenue) -> None:
    """All of them, oldest first; one that is not of a single symbol is left out, not the whole list."""
    server.answer([order_json(id="a"), order_json(id="m", symbol=None, side=""), order_json(id="b", side="sell")])
    reports = await venue.open_orders()
    assert [report.venue_order_id for report in reports] == ["a", "b"]
    assert server.asked[0].query == {"status": "open", "limit": "500", "direction": "asc"}


async def test_open_orders_in_pages(venue: AlpacaVenue, server: ScriptedVenue, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full page is followed by the next, after its last order."""
    monkeypatch.setattr(venue_module, "ORDERS_PER_PAGE", 2)
    server.answer([order_json(id="a"), order_json(id="b")], [order_json(id="c"), order_json(id="d")], [])
    assert [report.venue_order_id for report in await venue.open_orders()] == ["a", "b", "c", "d"]
    assert [asked.query.get("after_order_id") for asked in server.asked] == [None, "b", "d"]


async def test_account(venue: AlpacaVenue, server: ScriptedVenue) -> None:
    """The account as the broker tells it."""
    server.answer({"account_number": "PA1", "status": "ACTIVE", "cash": "100.5", "equity": "200", "buying_power": "300", "multiplier": "2"})
    account = await venue.account()
    assert (account.account_number, account.cash, account.multiplier) == ("PA1", Decimal("100.5"), 2)


async def test_positions(venue: AlpacaVenue, server: ScriptedVenue) -> None:
    """Every position."""
    row = {"symbol": "SPY", "qty": "3", "qty_available": "1", "avg_entry_price": "400", "current_price": "410.5", "side": "long"}
    server.answer([row, {**row, "symbol": "TLT"}])
    assert [(p.symbol, p.available_quantity) for p in await venue.positions()] == [("SPY", Decimal(1)), ("TLT", Decimal(1))]


async def test_account_and_positions(venue: AlpacaVenue, server: ScriptedVenue) -> None:
    """Both are asked for, one request each."""
    row = {"symbol": "SPY", "qty": "3", "qty_available": "1", "avg_entry_price": "400", "current_price": "410.5", "side": "long"}
    server.answer({"account_number": "PA1", "status": "ACTIVE", "cash": "100.5", "equity": "200", "buying_power": "300", "multiplier": "2"})
    server.answer([row])
    account, (position,) = await venue.account_and_positions()
    assert (account.cash, position.symbol, position.quantity) == (Decimal("100.5"), "SPY", Decimal(3))
    assert ["/v2/account", "/v2/positions"] == [asked.path for asked in server.asked]


def activity(number: int, at: datetime) -> dict[str, Any]:
    return {
        "activity_type": "FILL",
        "id": f"2025030309300{number:04}::00000000-0000-4000-8000-{number:012}",
        "transaction_time": at.isoformat().replace("+00:00", "Z"),
        "type": "fill",
        "price": "1.63",
        "qty": "1",
        "side": "buy",
        "symbol": "LPCN",
        "leaves_qty": "0",
        "order_id": ORDER_ID,
        "cum_qty": "1",
    }


T0 = datetime(2025, 3, 3, 14, 30, 0, 977_000, tzinfo=UTC)


async def test_fills_since_a_time(venue: AlpacaVenue, server: ScriptedVenue) -> None:
    """The venue keeps milliseconds: a fill of the same millisecond as the last known one is returned rather than lost."""
    same, later = activity(2, T0), activity(3, T0 + timedelta(milliseconds=1))
    server.answer([activity(1, T0 - timedelta(milliseconds=1)), same, later])
    fills = await venue.fills_since(T0 + timedelta(microseconds=112))
    assert [fill.activity_id for fill in fills] == [same["id"], later["id"]]
    assert fills[0].execution_id == "00000000-0000-4000-8000-000000000002"
    assert server.asked[0].path == "/v2/account/activities/FILL"
    assert server.asked[0].query == {"after": "2025-03-03T14:30:00.976000Z", "direction": "asc", "page_size": "100"}


async def test_all_fills_in_pages(venue: AlpacaVenue, server: ScriptedVenue, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages are followed by the id of the last row; overlaps are counted once; the oldest comes first."""
    monkeypatch.setattr(venue_module, "FILLS_PER_PAGE", 2)
    rows = [activity(number, T0 + timedelta(seconds=number)) for number in range(5)]
    server.answer([rows[1], rows[0]], [rows[1], rows[2]], [rows[3], rows[4]], [])
    assert [fill.activity_id for fill in await venue.fills_since(None)] == [row["id"] for row in rows]
    assert [asked.query.get("page_token") for asked in server.asked] == [None, rows[0]["id"], rows[2]["id"], rows[4]["id"]]
    assert "after" not in server.asked[0].query


async def test_pages_that_do_not_end_are_refused(venue: AlpacaVenue, server: ScriptedVenue, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong page, the same again and again, is neither followed for ever nor taken for the whole."""
    monkeypatch.setattr(venue_module, "FILLS_PER_PAGE", 1)
    server.answer(*[[activity(1, T0)]] * 5)
    with pytest.raises(VenueUnavailable, match="pages"):
        await venue.fills_since(None)
    assert len(server.asked) == 2


async def test_what_happened_without_a_trade_in_pages(venue: AlpacaVenue, server: ScriptedVenue, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of every kind, each once and the oldest first; numbers as text or not, and whatever a row leaves out."""
    monkeypatch.setattr(venue_module, "FILLS_PER_PAGE", 2)
    dividend = {
        "activity_type": "DIV",
        "id": "20250305090000000::a",
        "date": "2025-03-05",
        "created_at": "2025-03-05T14:00:00Z",
        "net_amount": "1.02",
        "symbol": "T",
        "qty": "2",
        "per_share_amount": 0.51,
        "group_id": "g",
    }
    fee = {"activity_type": "FEE", "id": "20250304000000000::b", "date": "2025-03-04", "net_amount": "-0.01", "status": "executed"}
    split = {"activity_type": "SPLIT", "id": "20250306000000000::c", "date": "2025-03-06", "symbol": "T", "qty": "-1.5"}
    server.answer([dividend, fee], [fee, split], [])
    rows = await venue.activities_since(T0)

    assert [fee["id"], dividend["id"], split["id"]] == [row.activity_id for row in rows]
    assert (Decimal("-0.01"), None, None) == (rows[0].amount, rows[0].symbol, rows[0].quantity)
    assert (Decimal("0.51"), Decimal(2), "g") == (rows[1].per_share, rows[1].quantity, rows[1].group)
    assert (Decimal("-1.5"), Decimal(0)) == (rows[2].quantity, rows[2].amount)
    assert [None, fee["id"], split["id"]] == [asked.query.get("page_token") for asked in server.asked]
    assert {"category": "non_trade_activity", "after": "2025-03-03T14:30:00.977000Z", "direction": "asc", "page_size": "2"} == server.asked[
        0
    ].query


async def test_a_row_that_says_no_day_proves_nothing(venue: AlpacaVenue, server: ScriptedVenue) -> None:
    """Neither a time nor a date nor an id that has one: the whole list is asked for again later."""
    server.answer([{"activity_type": "FEE", "id": "b"}])
    with pytest.raises(VenueUnavailable, match="not what was expected"):
        await venue.activities_since(T0)


async def test_assets_are_one_request(venue: AlpacaVenue, server: ScriptedVenue) -> None:
    """However many symbols are asked for, one list answers; unknown ones are absent."""
    row = {"id": "x", "class": "us_equity", "exchange": "ARCA", "symbol": "SPY", "tradable": True, "fractionable": True, "shortable": True}
    server.answer([row, {**row, "symbol": "XYZ", "tradable": False, "fractionable": False}, {**row, "symbol": "OTHER"}])
    assets = await venue.assets(["XYZ", "SPY", "NONE"])
    assert list(assets) == ["XYZ", "SPY"]
    assert (assets["SPY"].is_fractionable, assets["XYZ"].is_tradable) == (True, False)
    assert server.asked[0].query == {"status": "active", "asset_class": "us_equity"}


# --- time ---


async def test_sessions(venue: AlpacaVenue, server: ScriptedVenue) -> None:
    """Trading days with their times in UTC; what was not asked for is left out."""
    server.answer(
        [
            {"date": "2025-11-26", "open": "09:30", "close": "16:00", "session_open": "0400", "session_close": "2000"},
            {"date": "2025-11-28", "open": "09:30", "close": "13:00"},
        ]
    )
    (half_day,) = await venue.sessions(date(2025, 11, 27), date(2025, 11, 28))
    assert half_day.is_half_day
    assert half_day.closes_at == datetime(2025, 11, 28, 18, tzinfo=UTC)
    assert server.asked[0].query == {"start": "2025-11-27", "end": "2025-11-28"}


async def test_a_calendar_that_cannot_be_read(venue: AlpacaVenue, server: ScriptedVenue) -> None:
    """A time of day that is none is not guessed."""
    server.answer([{"date": "2025-11-28", "open": "nine", "close": "13:00"}])
    with pytest.raises(VenueUnavailable, match="calendar"):
        await venue.sessions(date(2025, 11, 28), date(2025, 11, 28))


async def test_now(venue: AlpacaVenue, server: ScriptedVenue) -> None:
    """The venue's clock speaks New York time with nanoseconds; the answer is UTC."""
    server.answer({"timestamp": "2026-06-24T14:15:22.123456789-04:00", "is_open": True})
    assert await venue.now() == datetime(2026, 6, 24, 18, 15, 22, 123457, tzinfo=UTC)


# --- market data ---


async def test_snapshots_are_one_request(venue: AlpacaVenue, server: ScriptedVenue) -> None:
    """However many symbols, one request; a symbol that is null or absent is absent."""
    server.answer({"SPY": {"latestTrade": {"t": "2025-03-03T14:30:00Z", "p": 590.5}}, "GONE": None, "UNASKED": {}})
    snapshots = await venue.snapshots(["TLT", "SPY", "GONE"])
    assert list(snapshots) == ["SPY"]
    assert snapshots["SPY"].last_price == 590.5
    assert server.asked[0].query == {"symbols": "TLT,SPY,GONE", "feed": "iex"}


async def test_nothing_is_asked_for_no_symbols(venue: AlpacaVenue) -> None:
    """An empty list of symbols would be refused by the venue and needs no answer."""
    assert await venue.snapshots([]) == {}
    assert await venue.daily_bars([], start=date(2025, 1, 2), end=date(2025, 1, 3)) == {}
    assert venue.requests_made == 0


def bar(day: str, close: float) -> dict[str, Any]:
    return {"t": f"{day}T05:00:00Z", "o": 1.0, "h": 2.0, "l": 0.5, "c": close, "v": 10, "n": 1, "vw": 1.0}


async def test_daily_bars_in_pages(venue: AlpacaVenue, server: ScriptedVenue) -> None:
    """Pages are followed to the end, and a symbol that spans two is whole; the days are New York's, and both are included."""
    server.answer(
        {"bars": {"SPY": [bar("2025-01-02", 1.0), bar("2025-01-03", 2.0)]}, "next_page_token": "p2"},
        {"bars": {"SPY": [bar("2025-01-06", 3.0)], "TLT": [bar("2025-01-02", 4.0)]}, "next_page_token": "p3"},
        {"bars": None, "next_page_token": None},
    )
    bars = await venue.daily_bars(["SPY", "TLT", "NONE"], start=date(2025, 1, 2), end=date(2025, 1, 6))
    assert {symbol: [bar.close for bar in rows] for symbol, rows in bars.items()} == {"SPY": [1.0, 2.0, 3.0], "TLT": [4.0]}
    assert [asked.query.get("page_token") for asked in server.asked] == [None, "p2", "p3"]
    query = server.asked[0].query
    assert (query["start"], query["end"]) == ("2025-01-02T05:00:00Z", "2025-01-06T05:00:00Z")
    assert (query["timeframe"], query["adjustment"], query["feed"]) == ("1Day", "all", "iex")


async def test_a_wrong_page_token_is_refused(venue: AlpacaVenue, server: ScriptedVenue) -> None:
    """Tokens that go round in a circle do not keep the daemon busy, and half a history is not a history."""
    pages: list[dict[str, Any]] = [{"bars": {}, "next_page_token": token} for token in ("a", "b", "a", "b")]
    server.answer(*pages)
    with pytest.raises(VenueUnavailable, match="pages"):
        await venue.daily_bars(["SPY"], start=date(2025, 1, 2), end=date(2025, 1, 3))
    assert len(server.asked) == 3
