"""Contract cards of single sentences of the protocol reference that the other cards leave out.

Like the other cards, each begins at the open of an ordinary Monday with an account of a hundred thousand dollars.
"""

from base64 import b64encode
from decimal import Decimal
from typing import Any, Final

from alchemiser.exchange.server import ServerSettings
from alchemiser.exchange.settings import ExchangeSettings
from tests.protocol.exchange.cards import (
    AUTHENTICATED,
    FILLS,
    FORBIDDEN,
    INVALID,
    NIGHT,
    SPY,
    UNPROCESSABLE,
    WELCOME,
    Row,
    asks,
    bracket,
    get,
    held,
    limit,
    order,
    refuse,
    send,
    shows,
)
from tests.protocol.exchange.contract import ANYTHING, Call, Connect, Control, Events, Forward, Has, Hear, Quote, Say
from tests.protocol.exchange.harness import CREDENTIALS, HEADERS

BASIC: Final = b64encode(f"{CREDENTIALS.key_id}:{CREDENTIALS.secret_key}".encode()).decode()
SLOW: Final = ExchangeSettings(replace_ms=60_000, cancel_ms=60_000)
"""Cancels and replacements that take a minute, so that something can happen meanwhile."""
EVENING: Final = Forward(6.5 * 3600 + 3.5 * 3600 + 60)
"""From the open to a minute past half past seven in the evening."""


def headed(token: str, status: int = 200, has: Any = None) -> Call:
    """Ask for the account with an ``Authorization`` header."""
    return Call("GET", "/v2/account", headers={"Authorization": token}, status=status, has=has)


def sell(**fields: Any) -> dict[str, Any]:
    """Return the body of an order to sell."""
    return order(side="sell", **fields)


def asset(**changes: Any) -> Control:
    """Let the broker change what may be done with SPY."""
    return Control("asset", {"symbol": "SPY", **changes})


ACCESS_ROWS: Final[list[Row]] = [
    ("1.2", "basic authentication", (headed(f"Basic {BASIC}"),)),
    ("1.2", "a token", (headed(f"Bearer {CREDENTIALS.secret_key}"),)),
    ("1.2", "a wrong token", (headed("Bearer x", 401, {"message": "unauthorized."}),)),
    ("1.2", "an authorization that is none", (headed("Basic %%%", 403, {"message": "forbidden."}),)),
    (
        "2.4",
        "quota of the data API in a refused answer",
        (
            Call("GET", "/v2/stocks/bars?symbols=SPY", status=400, answers={"X-RateLimit-Limit": "1", "X-RateLimit-Reset": ANYTHING}),
            Call("GET", "/v2/stocks/bars?symbols=SPY", status=429, answers={"X-RateLimit-Remaining": "0"}),
        ),
        {"server": ServerSettings(data_rate_limit=1)},
    ),
]

ASSET_ROWS: Final[list[Row]] = [
    ("2.2", "an asset that is not fractionable", (asset(fractionable=False), refuse(order(qty="0.5"), 403, FORBIDDEN, "not fractionable"))),
    ("2.3", "an asset that is not active", (asset(status="inactive"), refuse(order(), 422, UNPROCESSABLE, 'asset "SPY" is not active'))),
    ("2.3", "an asset that is not tradable", (asset(tradable=False), refuse(order(), 422, UNPROCESSABLE, 'asset "SPY" is not tradable'))),
    (
        "2.3",
        "an asset that is not shortable",
        (asset(shortable=False), refuse(sell(), 422, UNPROCESSABLE, 'asset "SPY" cannot be sold short')),
    ),
    (
        "2.3",
        "hard to borrow, good till cancelled",
        (
            asset(easy_to_borrow=False),
            refuse(sell(time_in_force="gtc"), 422, UNPROCESSABLE, "only day orders are allowed for hard-to-borrow asset SPY"),
        ),
    ),
    (
        "8.4",
        "what the broker changes shows",
        (
            asset(tradable=False, easy_to_borrow=False, attributes=["ipo"]),
            get("/v2/assets/SPY", {"tradable": False, "easy_to_borrow": False, "borrow_status": "hard_to_borrow", "attributes": ["ipo"]}),
            get("/v2/assets?attributes=ipo", [{"symbol": "SPY"}]),
        ),
    ),
    ("8.4", "a status that is none", (asks("/v2/assets?status=sleepy", 422, INVALID),)),
]

ORDER_ROWS: Final[list[Row]] = [
    (
        "3.1",
        "one order with its legs",
        (
            SPY,
            send(bracket()),
            get("/v2/orders/{o}?nested=true", {"legs": [{"id": "{o_leg0}"}, {"id": "{o_leg1}"}]}),
            get("/v2/orders/{o}", {"legs": None}),
        ),
    ),
    (
        "3.2",
        "an asset id is as good as a symbol",
        (Call("GET", "/v2/assets/SPY", save="spy"), send(limit("1.00", symbol="{spy}"), has={"symbol": "SPY", "asset_id": "{spy}"})),
    ),
    (
        "3.2",
        "advanced instructions are accepted",
        (send(limit("1.00", advanced_instructions={"algorithm": "TWAP", "max_percentage": "0.1"}), has={"symbol": "SPY"}),),
    ),
    (
        "3.3",
        "asset classes are a list",
        (
            send(limit("1.00")),
            get("/v2/orders?asset_class=crypto,us_equity", [{"id": "{o}"}]),
            get("/v2/orders?asset_class=crypto", []),
        ),
    ),
    (
        "3.3",
        "a limit counts parents when legs are rolled up",
        (SPY, send(bracket(), "a"), FILLS, send(limit("1.00"), "b"), get("/v2/orders?nested=true&limit=2&status=all", [ANYTHING] * 2)),
    ),
    (
        "3.3",
        "legs that wait count as open, or as closed by switch",
        (
            Quote("SPY", 499.98, 500.00, last=500),
            send(bracket(type="limit", limit_price="480", profit="510", loss="470")),
            get("/v2/orders?status=open", [{"id": "{o}"}]),
            get("/v2/orders?status=closed&direction=asc", [{"status": "held"}, {"status": "held"}]),
        ),
        {"core": ExchangeSettings(held_legs_listed_as="closed")},
    ),
    ("3.4", "a day order expires with its session", (send(limit("1.00"), has={"expires_at": "2025-03-03T21:00:00Z"}),)),
    (
        "3.4",
        "a gtc order expires ninety days later",
        (send(limit("1.00", time_in_force="gtc"), has={"expires_at": "2025-06-01T20:15:00Z", "expired_at": None}),),
    ),
    (
        "3.4",
        "an extended day order expires in the evening",
        (send(limit("1.00", extended_hours=True), has={"expires_at": "2025-03-04T01:00:00Z"}),),
    ),
    (
        "3.5",
        "a stop to buy is a limit with a little room",
        (
            SPY,
            send(order(type="stop", stop_price="510")),
            FILLS,
            Quote("SPY", 529.98, 530.00, last=530),
            FILLS,
            shows("o", status="new", filled_qty="0"),
            Quote("SPY", 522.70, 522.75),
            shows("o", status="filled", filled_avg_price="522.75"),
        ),
    ),
    (
        "3.5",
        "below fifty dollars the room is four percent",
        (
            Quote("SPY", 29.98, 30.00, last=30),
            send(order(type="stop", stop_price="31")),
            FILLS,
            Quote("SPY", 32.98, 33.00, last=33),
            FILLS,
            shows("o", status="new"),
            Quote("SPY", 32.20, 32.24),
            shows("o", status="filled", filled_avg_price="32.24"),
        ),
    ),
    (
        "3.5",
        "a print outside of the quote elects no stop",
        (
            *held(),
            send(sell(type="stop", stop_price="490")),
            FILLS,
            Control("trade", {"symbol": "SPY", "price": 480, "size": 1}),
            FILLS,
            shows("o", status="new"),
        ),
    ),
    (
        "3.5",
        "a trailing stop follows the best price and then sells at the market",
        (
            *held(),
            send(sell(type="trailing_stop", trail_price="5"), has={"hwm": "500", "stop_price": "495"}),
            FILLS,
            Quote("SPY", 519.98, 520.02, last=520),
            FILLS,
            shows("o", hwm="520", stop_price="515"),
            Quote("SPY", 514.98, 515.02, last=515),
            FILLS,
            shows("o", status="filled", filled_avg_price="514.98"),
        ),
    ),
    (
        "3.5",
        "a trail in percent",
        (*held(), send(sell(type="trailing_stop", trail_percent="1"), has={"hwm": "500", "stop_price": "495", "trail_percent": "1"})),
    ),
    (
        "3.5",
        "a market order does not trade beyond its collar",
        (
            Quote("SPY", 499.98, 500.00, size=100),
            send(order(qty="150")),
            FILLS,
            shows("o", status="filled"),
            Quote("SPY", 0.10, 0.20, size=1),
            send(order(qty="500")),
            FILLS,
            shows("o", status="partially_filled"),
        ),
        {"core": ExchangeSettings(impact_bps=Decimal(500))},
    ),
    (
        "3.5",
        "a day order of the evening is for tomorrow",
        (
            NIGHT,
            send(limit("1.00"), has={"status": "accepted", "expires_at": "2025-03-04T21:00:00Z"}),
            Forward(16 * 3600),
            shows("o", status="new"),
            Forward(8 * 3600),
            shows("o", status="expired"),
        ),
    ),
    (
        "3.5",
        "market on open after seven in the evening",
        (
            EVENING,
            send(order(time_in_force="opg"), has={"status": "accepted"}),
            Forward(14 * 3600 - 60),
            FILLS,
            shows("o", status="filled"),
        ),
        {"days": 2},
    ),
    (
        "3.5",
        "a limit on open that is not reached",
        (EVENING, send(limit("1.00", time_in_force="opg")), Forward(14 * 3600 - 60), FILLS, shows("o", status="canceled")),
        {"days": 2},
    ),
    (
        "3.5",
        "market on close after seven in the evening is for tomorrow",
        (
            EVENING,
            send(order(time_in_force="cls"), has={"status": "accepted"}),
            Forward(14 * 3600),
            shows("o", status="new"),
            Forward(6.5 * 3600),
            shows("o", status="filled"),
        ),
        {"days": 2},
    ),
    (
        "3.5",
        "an extended order lives until eight in the evening",
        (
            send(limit("1.00", extended_hours=True)),
            Forward(10 * 3600),
            shows("o", status="new"),
            Forward(1800),
            shows("o", status="expired", expired_at="2025-03-04T01:00:00Z"),
        ),
    ),
    (
        "3.5",
        "fractions in extended hours need an attribute",
        (
            asset(attributes=[]),
            refuse(limit("1.00", qty="1.5", extended_hours=True), 422, UNPROCESSABLE, "extended hours"),
            asset(attributes=["fractional_eh_enabled"]),
            send(limit("1.00", qty="1.5", extended_hours=True)),
        ),
    ),
    (
        "3.7",
        "a replacement that is pending refuses a cancel",
        (
            send(limit("1.00")),
            FILLS,
            Call("PATCH", "/v2/orders/{o}", {"limit_price": "1.01"}, save="n"),
            Call("DELETE", "/v2/orders/{o}", status=422, has=UNPROCESSABLE),
            Call("DELETE", "/v2/orders/{n}", status=422, has=UNPROCESSABLE),
        ),
        {"core": SLOW},
    ),
    (
        "3.7",
        "a fill may win the race",
        (
            SPY,
            send(limit("490.00")),
            FILLS,
            Call("DELETE", "/v2/orders/{o}", status=204),
            shows("o", status="pending_cancel", cancel_requested_at=ANYTHING),
            Quote("SPY", 489.90, 489.95),
            Forward(120),
            shows("o", status="filled", canceled_at=None),
            Events((("pending_new", "o"), ("new", "o"), ("pending_cancel", "o"), ("fill", "o"))),
        ),
        {"core": SLOW},
    ),
    (
        "3.7",
        "asking twice, and by switch refused",
        (
            send(limit("1.00")),
            FILLS,
            Call("DELETE", "/v2/orders/{o}", status=204),
            Call("DELETE", "/v2/orders/{o}", status=422, has=UNPROCESSABLE),
        ),
        {"core": ExchangeSettings(cancel_ms=60_000, repeated_cancel_status=422)},
    ),
    (
        "3.8",
        "the old order may be filled first",
        (
            SPY,
            send(limit("490.00")),
            FILLS,
            Call("PATCH", "/v2/orders/{o}", {"limit_price": "491.00"}, save="n", has={"replaces": "{o}", "status": "pending_new"}),
            Quote("SPY", 489.90, 489.95),
            Forward(120),
            shows("o", status="filled", replaced_by=None),
            shows("n", status="rejected", failed_at=ANYTHING, filled_qty="0"),
            get("/v2/positions/SPY", {"qty": "1"}),
        ),
        {"core": SLOW},
    ),
    (
        "3.8",
        "the larger of the two orders is held",
        (
            send(limit("100.00", qty="100")),
            FILLS,
            Call("PATCH", "/v2/orders/{o}", {"qty": "300"}, save="n"),
            get("/v2/account", {"buying_power": "170000"}),
            Forward(120),
            Call("PATCH", "/v2/orders/{n}", {"qty": "50"}, save="m"),
            get("/v2/account", {"buying_power": "170000"}),
            Forward(120),
            get("/v2/account", {"buying_power": "195000"}),
        ),
        {"core": SLOW},
    ),
    (
        "3.8",
        "a quantity that is inherited is the whole of it",
        (
            Quote("SPY", 499.98, 500.00, size=4),
            send(limit("500.00", qty="10")),
            FILLS,
            shows("o", filled_qty="4"),
            Call("PATCH", "/v2/orders/{o}", {"limit_price": "499.00"}, save="n", has={"qty": "10"}),
        ),
    ),
    (
        "3.8",
        "what is left of it, by switch",
        (
            Quote("SPY", 499.98, 500.00, size=4),
            send(limit("500.00", qty="10")),
            FILLS,
            Call("PATCH", "/v2/orders/{o}", {"limit_price": "499.00"}, save="n", has={"qty": "6"}),
        ),
        {"core": ExchangeSettings(inherited_quantity="leaves")},
    ),
    (
        "3.9",
        "bracket: a short entry has its exits the other way round",
        (
            SPY,
            send(bracket("490.00", "510.00", side="sell"), has={"legs": [{"side": "buy"}, {"side": "buy"}]}),
            FILLS,
            shows("o_leg0", status="new", limit_price="490"),
            Quote("SPY", 489.90, 489.95),
            shows("o_leg0", status="filled"),
            FILLS,
            shows("o_leg1", status="canceled"),
            get("/v2/positions", []),
        ),
    ),
    (
        "3.9",
        "bracket: exits wait for the whole of the entry",
        (
            Quote("SPY", 499.98, 500.00, size=4, last=500),
            send(bracket(qty="10", type="limit", limit_price="500.00")),
            FILLS,
            shows("o", status="partially_filled", filled_qty="4"),
            shows("o_leg0", status="held"),
            Quote("SPY", 499.98, 500.00, size=6),
            FILLS,
            shows("o", status="filled"),
            shows("o_leg0", status="new"),
            shows("o_leg1", status="held"),
        ),
    ),
    (
        "3.9",
        "bracket: a profit taken in part leaves a smaller loss leg",
        (
            SPY,
            send(bracket(qty="10")),
            FILLS,
            Quote("SPY", 510.00, 510.02, size=4),
            FILLS,
            shows("o_leg0", status="partially_filled", filled_qty="4"),
            shows("o_leg1", qty="6"),
        ),
    ),
    (
        "3.9",
        "bracket: cancelling a leg cancels the other one",
        (
            SPY,
            send(bracket()),
            FILLS,
            # A cancel takes six milliseconds, which a busy machine may need from one request to the next.
            Control("faults", {"kind": "stall_cancel", "seconds": 5, "times": 2}),
            Call("DELETE", "/v2/orders/{o_leg0}", status=204),
            Call("DELETE", "/v2/orders/{o_leg1}", status=204),
            Forward(6),
            shows("o_leg0", status="canceled"),
            shows("o_leg1", status="canceled"),
            shows("o", status="filled"),
        ),
    ),
    (
        "3.9",
        "oco: one exit ends the other",
        (
            *held(),
            send(
                sell(
                    qty="10",
                    type="limit",
                    limit_price="510.00",
                    order_class="oco",
                    take_profit={"limit_price": "510.00"},
                    stop_loss={"stop_price": "490.00"},
                )
            ),
            FILLS,
            Quote("SPY", 489.00, 489.10, last=489),
            FILLS,
            shows("o", status="canceled"),
            shows("o_leg0", status="filled"),
            get("/v2/positions", []),
        ),
    ),
]

DATA_ROWS: Final[list[Row]] = [
    ("7.2", "a feed that is none", (asks("/v2/stocks/bars?symbols=SPY&timeframe=1Day&feed=rumour"),)),
    ("7.2", "the delayed feed has no history", (asks("/v2/stocks/bars?symbols=SPY&timeframe=1Day&feed=delayed_sip"),)),
    ("7.2", "but it has latest prices", (get("/v2/stocks/SPY/quotes/latest?feed=delayed_sip", {"quote": {"ap": ANYTHING}}),)),
    ("7.2", "a currency that is none", (asks("/v2/stocks/bars?symbols=SPY&timeframe=1Day&currency=shells"),)),
    ("7.2", "another currency", (asks("/v2/stocks/SPY/trades/latest?currency=EUR"),)),
    ("7.2", "as of a day that is none", (asks("/v2/stocks/bars?symbols=SPY&timeframe=1Day&asof=yesterday"),)),
    ("7.2", "as of no day", (get("/v2/stocks/bars?symbols=SPY&timeframe=1Day&asof=-", {"bars": ANYTHING}),)),
    ("7.2", "digits of another script", (asks("/v2/stocks/bars?symbols=SPY&timeframe=%EF%BC%91Min"),)),
    (
        "7.2",
        "a small plan: recent prices of the consolidated tape are refused",
        (
            Forward(3600),
            get(
                "/v2/stocks/bars?symbols=SPY&timeframe=1Min&end=2025-03-03T15:29:00Z", {"code": 42210000, "message": Has("recent SIP")}, 403
            ),
            get("/v2/stocks/SPY/quotes/latest?feed=sip", {"code": 42210000}, 403),
            get("/v2/stocks/snapshots?symbols=SPY&feed=sip", {"code": 42210000}, 403),
            get("/v2/stocks/SPY/quotes/latest", {"quote": ANYTHING}),
        ),
        {"server": ServerSettings(plan=("iex",))},
    ),
    (
        "7.2",
        "a small plan: history ends a quarter of an hour ago",
        (
            Forward(3600),
            get("/v2/stocks/SPY/bars?timeframe=1Min&sort=desc&limit=1", {"bars": [{"t": "2025-03-03T15:15:00Z"}]}),
            get("/v2/stocks/SPY/bars?timeframe=1Min&sort=desc&limit=1&feed=iex", {"bars": [{"t": "2025-03-03T15:29:00Z"}]}),
        ),
        {"server": ServerSettings(plan=("iex",))},
    ),
]

AT_LIMIT: Final = (
    Control("quote", {"symbol": "SPY", "bid": 499.98, "bid_size": 100, "ask": 500, "ask_size": 100}),
    Control("bands", {"symbol": "SPY", "down": 475, "up": 525}),
    Connect("/v2/sip", headers=HEADERS),
    WELCOME,
    AUTHENTICATED,
    Say({"action": "subscribe", "statuses": ["SPY"]}),
    Hear([{"statuses": ["SPY"]}]),
    Quote("SPY", 525.50, 526.00, size=100),
    send(order(qty="150")),
    Forward(14),
    shows("o", status="new"),
)
"""SPY stands beyond limit-up for fourteen seconds, and a client waits to buy."""

HALT_ROWS: Final[list[Row]] = [
    (
        "6.4",
        "a limit state of fifteen seconds is a trading pause of five minutes",
        (
            *AT_LIMIT,
            Forward(2),
            Hear([{"T": "s", "S": "SPY", "sc": "2", "sm": "Trading Halt", "rc": "M", "rm": "Volatility Trading Pause", "z": "B"}]),
            Quote("SPY", 529.98, 530.00, size=100),
            Forward(290),
            shows("o", status="new", filled_qty="0"),
            Forward(15),
            Hear([{"T": "s", "S": "SPY", "sc": "3", "sm": "Resume"}]),
            shows("o", status="filled", filled_avg_price="529.99"),
        ),
    ),
    (
        "6.4",
        "a limit state that ends in time is no pause",
        (*AT_LIMIT, Quote("SPY", 519.98, 520.00, size=1_000), Forward(20), shows("o", status="filled", filled_avg_price="520")),
    ),
    (
        "9.4",
        "the auction after a halt trades whatever the size",
        (
            Quote("SPY", 499.98, 500.00, size=100),
            Control("halt", {"symbol": "SPY", "halted": True}),
            send(order(qty="150"), "a"),
            send(limit("500.00", qty="200"), "b"),
            send(limit("499.98", qty="10"), "c"),
            send(order(qty="1", time_in_force="ioc"), "d"),
            Forward(60),
            shows("d", status="canceled"),
            Control("halt", {"symbol": "SPY", "halted": False}),
            shows("a", status="filled", filled_avg_price="499.99"),
            shows("b", status="filled", filled_avg_price="499.99"),
            shows("c", status="new", filled_qty="0"),
        ),
    ),
    (
        "9.4",
        "the auction after a halt has one price for who buys and who sells",
        (
            *held(),
            Control("halt", {"symbol": "SPY", "halted": True}),
            Quote("SPY", 489.90, 490.10, size=1),
            send(sell(qty="2"), "market"),
            send(sell(type="limit", limit_price="490.00", qty="2"), "at"),
            send(sell(type="limit", limit_price="490.01", qty="2"), "above"),
            Forward(60),
            Control("halt", {"symbol": "SPY", "halted": False}),
            shows("market", status="filled", filled_avg_price="490"),
            shows("at", status="filled", filled_avg_price="490"),
            shows("above", status="new", filled_qty="0"),
        ),
    ),
    (
        "9.4",
        "an order may be cancelled during a halt",
        (
            SPY,
            Control("halt", {"symbol": "SPY", "halted": True}),
            send(order()),
            FILLS,
            Call("DELETE", "/v2/orders/{o}", status=204),
            FILLS,
            shows("o", status="canceled"),
        ),
    ),
    (
        "9.4",
        "a stop is not elected during a halt",
        (
            *held(),
            send(sell(type="stop", stop_price="490")),
            FILLS,
            Control("halt", {"symbol": "SPY", "halted": True}),
            Quote("SPY", 479.98, 480.00, last=480),
            Forward(5),
            shows("o", status="new"),
        ),
    ),
]


def fault(kind: str, **members: Any) -> Control:
    """Plan a fault."""
    return Control("faults", {"kind": kind, **members})


CANCEL: Final = Call("DELETE", "/v2/orders/{o}", status=204)


def parked(status: str) -> Row:
    """Return the card of an order that is parked for a minute before it works."""
    return (
        "4.1",
        f"an order is {status.replace('_', ' ')}, and then works",
        (
            SPY,
            fault("park_order", status=status),
            send(order()),
            Forward(30),
            shows("o", status=status, filled_qty="0"),
            get("/v2/orders?status=open", [{"id": "{o}"}]),
            Forward(40),
            shows("o", status="filled"),
            Events((("pending_new", "o"), ("new", "o"), (status, "o"), ("new", "o"), ("fill", "o"))),
        ),
    )


WHIM_ROWS: Final[list[Row]] = [
    *(parked(status) for status in ("accepted_for_bidding", "stopped", "suspended", "calculated", "done_for_day")),
    (
        "3.8",
        "a fault of one symbol strikes what names an order of it",
        (
            SPY,
            Quote("TECL", 79.98, 80.00),
            send(limit("1.00", client_order_id="mine"), "spy"),
            send(limit("1.00", symbol="TECL"), "tecl"),
            FILLS,
            fault("http", path="/v2/orders", status=503, symbol="SPY", skip=1, times=3),
            shows("spy", status="new"),
            shows("tecl", status="new"),
            Call("DELETE", "/v2/orders/{spy}", status=503),
            Call("DELETE", "/v2/orders/{tecl}", status=204),
            Call("PATCH", "/v2/orders/{spy}", {"limit_price": "2.00"}, status=503),
            get("/v2/orders/00000000-0000-4000-8000-000000000000", status=404),
            Call("GET", "/v2/orders:by_client_order_id?client_order_id=mine", status=503),
            shows("spy", status="new"),
            Call("DELETE", "/v2/orders/{spy}", status=204),
        ),
    ),
    (
        "4.1",
        "an order that is parked can be cancelled",
        (
            SPY,
            fault("park_order", status="suspended", symbol="SPY"),
            send(order()),
            FILLS,
            CANCEL,
            FILLS,
            shows("o", status="canceled"),
            Forward(90),
            shows("o", status="canceled", filled_qty="0"),
        ),
    ),
    (
        "4.1",
        "accepted, and then rejected by the venue",
        (
            SPY,
            fault("reject_order", symbol="SPY"),
            send(order(), has={"status": Has("pending_new")}),
            FILLS,
            shows("o", status="rejected", failed_at=ANYTHING, filled_qty="0"),
            Events((("pending_new", "o"), ("rejected", "o"))),
            get("/v2/account", {"buying_power": "200000"}),
        ),
    ),
    (
        "4.1",
        "filled in part, and then cancelled by the venue",
        (
            SPY,
            fault("cut_short"),
            send(order(qty="10")),
            FILLS,
            shows("o", status="canceled", filled_qty="5"),
            Events((("pending_new", "o"), ("new", "o"), ("partial_fill", "o", {"qty": "5"}), ("canceled", "o"))),
            get("/v2/positions/SPY", {"qty": "5", "qty_available": "5"}),
        ),
    ),
    (
        "3.7",
        "the exchange refuses a cancel",
        (
            SPY,
            fault("refuse_cancel"),
            send(limit("490.00")),
            FILLS,
            CANCEL,
            FILLS,
            shows("o", status="new", canceled_at=None),
            Events((("pending_new", "o"), ("new", "o"), ("pending_cancel", "o"), ("order_cancel_rejected", "o"))),
            CANCEL,
            FILLS,
            shows("o", status="canceled"),
        ),
    ),
    (
        "3.7",
        "a cancel that hangs, and a fill that comes first",
        (
            SPY,
            fault("stall_cancel", seconds=3600),
            send(limit("490.00", qty="2")),
            FILLS,
            CANCEL,
            Forward(600),
            shows("o", status="pending_cancel"),
            Quote("SPY", 489.90, 489.95),
            FILLS,
            shows("o", status="filled"),
        ),
    ),
    (
        "3.8",
        "the exchange refuses a replacement",
        (
            SPY,
            fault("refuse_replace"),
            send(limit("490.00")),
            FILLS,
            Call("PATCH", "/v2/orders/{o}", {"limit_price": "491.00"}, save="n"),
            FILLS,
            shows("o", status="new", limit_price="490", replaced_by=None),
            shows("n", status="rejected"),
            Events(
                (
                    *(("pending_new", "o"), ("new", "o"), ("pending_replace", "o"), ("pending_new", "n")),
                    *(("rejected", "n"), ("order_replace_rejected", "o")),
                )
            ),
        ),
    ),
    (
        "5.3",
        "a fill before its acknowledgement",
        (
            SPY,
            fault("reorder_updates", event="new", symbol="SPY"),
            send(order()),
            FILLS,
            Events((("pending_new", "o"), ("fill", "o"), ("new", "o"))),
        ),
    ),
    (
        "5.3",
        "updates of one kind that are lost, and that come twice",
        (
            SPY,
            fault("lose_updates", event="new"),
            fault("duplicate_updates", event="fill"),
            send(order()),
            FILLS,
            Events((("pending_new", "o"), ("fill", "o"), ("fill", "o"))),
        ),
    ),
    (
        "8.5",
        "a clock that is wrong, behind and ahead",
        (
            fault("skew_clock", seconds=-3600, times=1),
            get("/v2/clock", {"timestamp": Has("2025-03-03T08:30:0"), "is_open": True}),
            fault("skew_clock", seconds=86_400),
            get("/v2/clock", {"timestamp": Has("2025-03-04T09:30:0")}),
            get("/v2/clock", {"timestamp": Has("2025-03-03T09:30:0")}),
        ),
    ),
    (
        "7.4",
        "a split, a dividend and a new name as a fault",
        (
            fault(
                "corporate_actions",
                actions={
                    "forward_splits": [{"id": "s", "symbol": "SPY", "new_rate": 2, "old_rate": 1, "ex_date": "2025-03-04"}],
                    "cash_dividends": [{"id": "d", "symbol": "BIL", "rate": 0.5, "ex_date": "2025-03-04"}],
                    "name_changes": [{"id": "n", "old_symbol": "TECL", "new_symbol": "BIL", "process_date": "2025-03-05"}],
                },
            ),
            *held(),
            get("/v1/corporate-actions?start=2025-03-04&end=2025-03-05", {"corporate_actions": {"name_changes": [{"id": "n"}]}}),
            Forward(20 * 3600),
            get("/v2/positions/SPY", {"qty": "20", "avg_entry_price": "250"}),
            get("/v2/account/activities/SPLIT", [{"symbol": "SPY", "qty": "10", "net_amount": "0"}]),
        ),
        {"days": 2},
    ),
]

AT_NINE: Final = Forward(6.5 * 3600 + 5 * 3600)
"""From the open to nine in the evening."""
NIGHT_LIMIT: Final = limit("500.00", extended_hours=True)
TRADES_AT_NIGHT: Final = {"core": ExchangeSettings(overnight=True), "days": 2}

NIGHT_ROWS: Final[list[Row]] = [
    (
        "9.1",
        "at night an extended limit order trades, and is of the next day",
        (
            AT_NINE,
            Quote("SPY", 499.90, 499.95),
            send(NIGHT_LIMIT, has={"expires_at": "2025-03-05T01:00:00Z"}),
            FILLS,
            shows("o", status="filled", filled_avg_price="499.95"),
            Events(
                (("pending_new", "o"), ("new", "o"), ("fill", "o", {"settle_date": "2025-03-05"})),
            ),
            get("/v2/account", {"multiplier": "2"}),
        ),
        {"core": ExchangeSettings(overnight=True, multiplier="4"), "days": 2},
    ),
    (
        "9.1",
        "at night a market order, and one without extended hours, wait for the day",
        (
            AT_NINE,
            Quote("SPY", 499.90, 499.95),
            refuse(order(extended_hours=True), 422, UNPROCESSABLE, "extended hours order must be DAY limit orders"),
            send(order(), "a", {"status": "accepted"}),
            send(limit("500.00"), "b", {"status": "accepted"}),
            Forward(600),
            shows("a", status="accepted"),
            shows("b", status="accepted"),
        ),
        TRADES_AT_NIGHT,
    ),
    (
        "9.1",
        "without the session, or for an asset that has none, an order waits for the pre-market",
        (
            asset(attributes=["fractional_eh_enabled"]),
            AT_NINE,
            Quote("SPY", 499.90, 499.95),
            send(NIGHT_LIMIT, has={"status": "accepted"}),
            Forward(600),
            shows("o", status="accepted"),
            Forward(7 * 3600),
            Quote("SPY", 499.90, 499.95),
            FILLS,
            shows("o", status="filled"),
        ),
        TRADES_AT_NIGHT,
    ),
    (
        "9.1",
        "the account may be kept out of the night",
        (
            Call("PATCH", "/v2/account/configurations", {"disable_overnight_trading": True}, has={"disable_overnight_trading": True}),
            AT_NINE,
            Quote("SPY", 499.90, 499.95),
            send(NIGHT_LIMIT, has={"status": "accepted"}),
            Forward(600),
            shows("o", status="accepted"),
        ),
        TRADES_AT_NIGHT,
    ),
    (
        "9.1",
        "what is halted for the night does not trade in it",
        (
            asset(attributes=["overnight_tradable", "overnight_halted"]),
            AT_NINE,
            Quote("SPY", 499.90, 499.95),
            send(NIGHT_LIMIT),
            FILLS,
            shows("o", status="accepted"),
        ),
        TRADES_AT_NIGHT,
    ),
    (
        "9.1",
        "an order of the night lives until the next evening",
        (
            AT_NINE,
            send(limit("1.00", extended_hours=True)),
            FILLS,
            shows("o", status="new"),
            Forward(22 * 3600),
            shows("o", status="new"),
            Forward(2 * 3600),
            shows("o", status="expired", expired_at="2025-03-05T01:00:00Z"),
        ),
        TRADES_AT_NIGHT,
    ),
    (
        "8.5",
        "the phases of a night that is played",
        (
            get("/v3/clock?markets=NYSE&time=2025-03-04T02:00:00Z", {"clocks": [{"phase": "overnight", "phase_until": Has("T04:00:00")}]}),
            get("/v3/clock?markets=NYSE&time=2025-03-08T17:00:00Z", {"clocks": [{"phase": "closed", "phase_until": Has("2025-03-09T20")}]}),
        ),
        TRADES_AT_NIGHT,
    ),
    ("8.4", "assets that trade at night", (get("/v2/assets?attributes=overnight_tradable", [ANYTHING] * 3),), TRADES_AT_NIGHT),
    (
        "6.5",
        "a feed of the night",
        (
            Connect("/v1beta1/overnight", headers=HEADERS),
            WELCOME,
            AUTHENTICATED,
            Say({"action": "subscribe", "quotes": ["SPY"]}),
            Hear([{"quotes": ["SPY"]}]),
            AT_NINE,
            Quote("SPY", 499.90, 499.95),
            Hear([{"T": "q", "S": "SPY", "ap": 499.95}]),
        ),
        TRADES_AT_NIGHT,
    ),
    (
        "9.1",
        "after hours only extended limit orders trade",
        (
            Forward(6.5 * 3600 + 60),
            Quote("SPY", 499.90, 499.95),
            send(NIGHT_LIMIT, "a"),
            send(limit("500.00"), "b"),
            FILLS,
            shows("a", status="filled"),
            shows("b", status="accepted"),
        ),
    ),
    (
        "9.1",
        "before the market opens only extended limit orders trade",
        (
            Forward(14 * 3600 + 5.5 * 3600),
            Quote("SPY", 499.90, 499.95),
            send(NIGHT_LIMIT, "a"),
            send(limit("500.00"), "b"),
            FILLS,
            shows("a", status="filled"),
            shows("b", status="accepted"),
        ),
        {"days": 2},
    ),
]

PRE_MARKET: Final = Forward(19 * 3600)
"""From the open to half past four the next morning."""
TOMORROW: Final = "2025-03-04"


def announced(**groups: Any) -> Control:
    """Let issuers announce actions for tomorrow."""
    return Control("corporate-actions", {group: [{"id": group, "ex_date": TOMORROW, **row}] for group, row in groups.items()})


SPLIT: Final = announced(forward_splits={"symbol": "SPY", "new_rate": 2, "old_rate": 1})
DIVIDEND: Final = announced(cash_dividends={"symbol": "SPY", "rate": 1.5})

ISSUER_ROWS: Final[list[Row]] = [
    (
        "9.4",
        "a split restates a resting gtc order: more shares at a lower price",
        (
            *held(),
            SPLIT,
            send(sell(qty="10", type="limit", limit_price="600.00", time_in_force="gtc")),
            FILLS,
            PRE_MARKET,
            shows("o", status="new", qty="20", limit_price="300"),
            Events(
                (
                    *(("pending_new", "entry"), ("new", "entry"), ("fill", "entry")),
                    *(("pending_new", "o"), ("new", "o"), ("restated", "o", {"order": {"qty": "20", "limit_price": "300"}})),
                )
            ),
            get("/v2/positions/SPY", {"qty": "20", "qty_available": "0", "avg_entry_price": "250", "cost_basis": "5000"}),
        ),
        {"days": 2},
    ),
    (
        "9.4",
        "a split leaves complex orders as they are",
        (
            SPY,
            SPLIT,
            send(bracket("700.00", "100.00", qty="10", time_in_force="gtc")),
            FILLS,
            PRE_MARKET,
            shows("o_leg0", status="new", qty="10", limit_price="700"),
            shows("o_leg1", status="held", qty="10", stop_price="100"),
            get("/v2/positions/SPY", {"qty": "20", "qty_available": "10"}),
        ),
        {"days": 2},
    ),
    (
        "9.4",
        "a reverse split cancels what rests",
        (
            *held(),
            announced(reverse_splits={"symbol": "SPY", "new_rate": 1, "old_rate": 10}),
            send(sell(qty="10", type="limit", limit_price="600.00", time_in_force="gtc")),
            FILLS,
            PRE_MARKET,
            shows("o", status="canceled"),
            get("/v2/positions/SPY", {"qty": "1", "avg_entry_price": "5000"}),
        ),
        {"days": 2},
    ),
    (
        "9.4",
        "a dividend lowers buy limits and sell stops, not sell limits",
        (
            *held(),
            DIVIDEND,
            send(sell(qty="5", type="limit", limit_price="600.00", time_in_force="gtc"), "high"),
            send(limit("400.00", symbol="BIL", time_in_force="gtc", qty="1"), "other"),
            FILLS,
            PRE_MARKET,
            shows("high", limit_price="600"),
            shows("other", status=ANYTHING),
        ),
        {"core": ExchangeSettings(dividends=True), "days": 2},
    ),
    (
        "9.4",
        "a dividend lowers a buy limit by what is paid",
        (
            send(limit("300.00", time_in_force="gtc")),
            DIVIDEND,
            FILLS,
            PRE_MARKET,
            shows("o", status="new", limit_price="298.5"),
            Events((("pending_new", "o"), ("new", "o"), ("restated", "o", {"order": {"limit_price": "298.5"}}))),
        ),
        {"core": ExchangeSettings(dividends=True), "days": 2},
    ),
    (
        "8.6",
        "a dividend is paid, and the cash is what the activities say",
        (
            *held(),
            DIVIDEND,
            get("/v2/account", {"cash": "95000"}),
            PRE_MARKET,
            get(
                "/v2/account/activities/DIV",
                [{"symbol": "SPY", "qty": "10", "per_share_amount": "1.5", "net_amount": "15", "date": TOMORROW, "status": "executed"}],
            ),
            get("/v2/account", {"cash": "95015"}),
            get("/v2/account/activities?category=non_trade_activity", [{"activity_type": "DIV"}]),
        ),
        {"core": ExchangeSettings(dividends=True), "days": 2},
    ),
    (
        "10",
        "dividends are not simulated unless they are asked for",
        (*held(), DIVIDEND, PRE_MARKET, get("/v2/account", {"cash": "95000"}), get("/v2/account/activities/DIV", [])),
        {"days": 2},
    ),
    (
        "9.5",
        "fees are posted the next day, each rounded up, and leave the cash",
        (
            *held(),
            send(sell(qty="10"), "out"),
            FILLS,
            get("/v2/account", {"cash": "99999.8", "pending_reg_taf_fees": "0.13"}),
            get("/v2/account/activities/FEE", []),
            PRE_MARKET,
            get(
                "/v2/account/activities/FEE?direction=asc",
                [
                    {"net_amount": "-0.11", "activity_sub_type": "SEC", "date": TOMORROW},
                    {"net_amount": "-0.01", "activity_sub_type": "TAF"},
                    {"net_amount": "-0.01", "activity_sub_type": "CAT"},
                ],
            ),
            get("/v2/account", {"cash": "99999.67", "pending_reg_taf_fees": "0"}),
        ),
        {"core": ExchangeSettings(fees=True), "days": 2},
    ),
    (
        "8.8",
        "what is announced is an announcement of version 2",
        (
            SPLIT,
            get(
                "/v2/corporate_actions/announcements?ca_types=split&since=2025-03-01&until=2025-03-31",
                [{"ca_type": "split", "initiating_symbol": "SPY", "new_rate": "2", "old_rate": "1", "ex_date": TOMORROW}],
            ),
        ),
    ),
    (
        "7.1",
        "auctions of a day that is over",
        (
            Forward(6.5 * 3600 + 60),
            get("/v2/stocks/SPY/auctions", {"auctions": [{"d": "2025-03-03", "o": [{"c": "Q"}], "c": [{"c": "M"}]}], "symbol": "SPY"}),
        ),
    ),
]

STATEMENT_ROWS: Final[list[Row]] = [*ACCESS_ROWS, *ASSET_ROWS, *ORDER_ROWS, *DATA_ROWS, *HALT_ROWS, *WHIM_ROWS, *NIGHT_ROWS, *ISSUER_ROWS]
