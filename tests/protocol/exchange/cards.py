"""The contract of an Alpaca, as one numbered list of cases.

The numbers are the places in the deck (:mod:`tests.protocol.exchange.deck`): new cards go to its end.
Each row cites its section of the protocol reference, says what it shows, and lists its steps. Every card begins at the open of an ordinary
Monday with an account of a hundred thousand dollars.
"""

from typing import Any, Final

from alchemiser.exchange.server import ServerSettings
from alchemiser.exchange.settings import ExchangeSettings
from tests.protocol.exchange.contract import (
    ABSENT,
    ANYTHING,
    Call,
    Closed,
    Connect,
    Control,
    Events,
    Forward,
    Has,
    Hear,
    Quote,
    Say,
    Step,
)
from tests.protocol.exchange.harness import CREDENTIALS, HEADERS

UNKNOWN: Final = "00000000-0000-4000-8000-000000000000"
TOO_LONG: Final = "c" * 129

# Section 2: the codes.
BAD: Final[dict[str, Any]] = {"code": ABSENT, "message": ANYTHING}
INVALID: Final[dict[str, Any]] = {"code": 40010001}
UNPROCESSABLE: Final[dict[str, Any]] = {"code": 42210000}
FORBIDDEN: Final[dict[str, Any]] = {"code": 40310000}
NOT_FOUND: Final[dict[str, Any]] = {"code": 40410000}

AUTH: Final = {"action": "auth", "key": CREDENTIALS.key_id, "secret": CREDENTIALS.secret_key}
LEGACY: Final = {"action": "authenticate", "data": {"key_id": CREDENTIALS.key_id, "secret_key": CREDENTIALS.secret_key}}
WELCOME: Final = Hear([{"T": "success", "msg": "connected"}])
AUTHENTICATED: Final = Hear([{"T": "success", "msg": "authenticated"}])

SPY: Final = Quote("SPY", 499.98, 500.00, last=500.00)
NIGHT: Final = Forward(8 * 3600)
"""From the open to half past ten in the evening, New York's half past five."""
FILLS: Final = Forward(1)


def order(**fields: Any) -> dict[str, Any]:
    """Return the body of an order: one share of SPY at the market, but for ``fields``; ``None`` takes a field away."""
    body = {"symbol": "SPY", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day", **fields}
    return {name: value for name, value in body.items() if value is not None}


def limit(price: Any, **fields: Any) -> dict[str, Any]:
    """Return the body of a limit order."""
    return order(type="limit", limit_price=price, **fields)


def send(body: dict[str, Any], save: str = "o", has: Any = None) -> Call:
    """Send an order that is taken."""
    return Call("POST", "/v2/orders", body, has=has, save=save)


def refuse(body: Any, status: int, has: dict[str, Any], message: str = "") -> Call:
    """Send an order that is refused."""
    return Call("POST", "/v2/orders", body, status=status, has={**has, "message": Has(message)})


def get(path: str, has: Any = None, status: int = 200) -> Call:
    """Ask."""
    return Call("GET", path, status=status, has=has)


def shows(name: str, **members: Any) -> Call:
    """Look at an order."""
    return get(f"/v2/orders/{{{name}}}", members)


def bracket(profit: Any = "510.00", loss: Any = "490.00", **fields: Any) -> dict[str, Any]:
    """Return the body of a bracket order around the market."""
    return order(order_class="bracket", take_profit={"limit_price": profit}, stop_loss={"stop_price": loss}, **fields)


def held(quantity: str = "10", symbol: str = "SPY") -> tuple[Step, ...]:
    """Buy, and wait for the fill."""
    price = {"SPY": SPY, "TECL": Quote("TECL", 79.98, 80.00)}[symbol]
    return price, send(order(symbol=symbol, qty=quantity), "entry"), FILLS


def asks(path: str, status: int = 400, has: Any = None) -> Call:
    """Ask what is refused."""
    return get(path, BAD if has is None else has, status)


Row = tuple[str, str, tuple[Step, ...]] | tuple[str, str, tuple[Step, ...], dict[str, Any]]

CREDENTIAL_ROWS: Final[list[Row]] = [
    ("1.2", "key pair", (Call("GET", "/v2/account", has={"status": "ACTIVE"}),)),
    ("1.2", "no credentials", (Call("GET", "/v2/account", headers={}, status=403, has={"message": "forbidden.", "code": ABSENT}),)),
    (
        "1.2",
        "wrong secret",
        (Call("GET", "/v2/account", headers={**HEADERS, "APCA-API-SECRET-KEY": "x"}, status=401, has={"message": "unauthorized."}),),
    ),
    (
        "1.2",
        "wrong key id",
        (Call("GET", "/v2/account", headers={**HEADERS, "APCA-API-KEY-ID": "x"}, status=401, has={"message": "unauthorized."}),),
    ),
    ("1.2", "data API, no credentials", (Call("GET", "/v2/stocks/bars/latest?symbols=SPY", headers={}, status=403, has=BAD),)),
    ("1.2", "refused before the path is looked at", (Call("POST", "/v2/orders", order(), headers={}, status=403, has=BAD),)),
    ("1.3", "trailing slash of a base", (Call("GET", "//v2/clock", has={"is_open": True}),)),
    ("1.3", "numbers as JSON numbers", (SPY, send(order(qty=1.5), has={"qty": "1.5"}))),
    ("1.3", "binary noise of floats", (SPY, send(order(qty=0.30000000000000004), has={"qty": "0.3"}))),
    ("1.3", "price as a number", (send(limit(100.5), has={"limit_price": "100.5"}),)),
    ("1.3", "undashed order id", (send(limit("1.00")), get("/v2/orders/{o}".replace("-", ""), {"id": "{o}"}))),
    ("1.3", "booleans in Python's spelling", (send(limit("1.00")), get("/v2/orders?nested=True", [{"id": "{o}"}]))),
    ("1.3", "unknown parameters are tolerated", (get("/v2/clock?mood=good", {"is_open": True}),)),
    (
        "1.3",
        "plus for a space",
        (send(limit("1.00", client_order_id="a b")), get("/v2/orders:by_client_order_id?client_order_id=a+b", {"id": "{o}"})),
    ),
    ("2.1", "malformed JSON", (Call("POST", "/v2/orders", raw=b'{"symbol":', status=400, has=BAD),)),
    ("2.1", "a body that is a list", (Call("POST", "/v2/orders", [], status=400, has=BAD),)),
    ("2.1", "a body that is null", (Call("POST", "/v2/orders", raw=b"null", status=400, has=BAD),)),
    ("2.1", "no body", (Call("POST", "/v2/orders", status=422, has=INVALID),)),
    ("2.1", "not UTF-8", (Call("POST", "/v2/orders", raw=b'{"symbol":"\xff"}', status=400, has=BAD),)),
    ("2.1", "no such endpoint", (get("/v2/nonsense", NOT_FOUND, 404),)),
    ("2.1", "no such method", (Call("PUT", "/v2/orders", status=405, has={"message": ANYTHING}),)),
    (
        "2.4",
        "quota in every answer",
        (Call("GET", "/v2/clock", answers={"X-RateLimit-Limit": "2", "X-RateLimit-Remaining": "1", "X-RateLimit-Reset": "1741012260"}),),
        {"server": ServerSettings(rate_limit=2)},
    ),
    (
        "2.4",
        "beyond the quota",
        (
            get("/v2/clock"),
            Call(
                "GET",
                "/v2/clock",
                status=429,
                has={"code": 42910000, "message": "rate limit exceeded"},
                answers={"X-RateLimit-Remaining": "0"},
            ),
        ),
        {"server": ServerSettings(rate_limit=1)},
    ),
    ("2.4", "the next minute is free", (get("/v2/clock"), Forward(60), get("/v2/clock")), {"server": ServerSettings(rate_limit=1)}),
    (
        "2.4",
        "data API: its own words",
        (
            get("/v2/stocks/bars/latest?symbols=SPY"),
            get("/v2/stocks/bars/latest?symbols=SPY", {"message": "too many requests.", "code": ABSENT}, 429),
        ),
        {"server": ServerSettings(data_rate_limit=1)},
    ),
    (
        "2.4",
        "request id",
        (Call("GET", "/v2/clock", answers={"X-Request-ID": ANYTHING, "Content-Type": "application/json; charset=UTF-8"}),),
    ),
]

SUBMIT_ROWS: Final[list[Row]] = [
    ("3.2", "symbol is required", (refuse(order(symbol=None), 422, INVALID, "symbol"),)),
    ("3.2", "unknown asset", (refuse(order(symbol="NOPE"), 422, UNPROCESSABLE, 'asset "NOPE" not found'),)),
    ("3.2", "qty or notional", (refuse(order(qty=None), 422, INVALID, "qty or notional is required"),)),
    ("3.2", "not both", (refuse(order(notional="10"), 422, INVALID, "only one of qty or notional is accepted"),)),
    ("3.2", "qty zero", (refuse(order(qty="0"), 422, INVALID, "qty must be > 0"),)),
    ("3.2", "qty negative", (refuse(order(qty="-1"), 422, INVALID, "qty must be > 0"),)),
    ("3.2", "qty no number", (refuse(order(qty="one"), 422, INVALID, "qty"),)),
    ("3.2", "qty nan", (refuse(order(qty="NaN"), 422, INVALID, "qty"),)),
    ("3.2", "qty infinite", (refuse(order(qty="Infinity"), 422, INVALID, "qty"),)),
    ("3.2", "qty a boolean", (refuse(order(qty=True), 422, INVALID, "qty"),)),
    ("3.2", "qty an object", (refuse(order(qty={}), 422, INVALID, "qty"),)),
    ("3.2", "qty a list", (refuse(order(qty=[1]), 422, INVALID, "qty"),)),
    ("3.2", "qty absurd", (refuse(order(qty="1e300"), 422, INVALID, "qty"),)),
    ("3.2", "qty is cut to nine decimals", (SPY, send(order(qty="1.1234567899"), has={"qty": "1.123456789"}))),
    ("3.2", "qty that is cut to nothing", (refuse(order(qty="0.0000000001"), 422, INVALID, "qty must be > 0"),)),
    ("3.2", "notional too small", (refuse(order(qty=None, notional="0.99"), 422, UNPROCESSABLE, "notional amount must be >= 1.00"),)),
    ("3.2", "notional zero", (refuse(order(qty=None, notional=0), 422, INVALID, "notional must be > 0"),)),
    ("3.2", "notional too fine", (refuse(order(qty=None, notional="10.001"), 422, UNPROCESSABLE, "notional"),)),
    (
        "3.2",
        "notional, nine decimals by switch",
        (SPY, send(order(qty=None, notional="10.001"))),
        {"core": ExchangeSettings(notional_decimals=9)},
    ),
    ("3.2", "notional order", (SPY, send(order(qty=None, notional="100"), has={"notional": "100", "qty": None}))),
    (
        "3.2",
        "notional gtc",
        (refuse(order(qty=None, notional="10", time_in_force="gtc"), 422, UNPROCESSABLE, "fractional orders must be DAY orders"),),
    ),
    ("3.2", "side is required", (refuse(order(side=None), 422, INVALID, "side"),)),
    ("3.2", "side unknown", (refuse(order(side="hold"), 422, INVALID, "side"),)),
    ("3.2", "type is required", (refuse(order(type=None), 422, INVALID, "type"),)),
    ("3.2", "type unknown", (refuse(order(type="iceberg"), 422, INVALID, "type"),)),
    ("3.2", "time in force is required", (refuse(order(time_in_force=None), 422, INVALID, "time_in_force"),)),
    ("3.2", "time in force unknown", (refuse(order(time_in_force="gtd"), 422, INVALID, "time_in_force"),)),
    ("3.2", "class unknown", (refuse(order(order_class="pair"), 422, INVALID, "order_class"),)),
    ("3.2", "class simple", (send(limit("1.00", order_class="simple"), has={"order_class": Has("")}),)),
    ("3.2", "asset id for a symbol", (send(limit("1.00"), "a", {"asset_id": ANYTHING}), get("/v2/assets/SPY", {"symbol": "SPY"}))),
    ("3.2", "client order id is made up", (send(limit("1.00"), has={"client_order_id": ANYTHING}),)),
    ("3.2", "client order id kept", (send(limit("1.00", client_order_id="mine"), has={"client_order_id": "mine"}),)),
    ("3.2", "client order id too long", (refuse(limit("1.00", client_order_id=TOO_LONG), 422, INVALID, "no more than 128"),)),
    ("3.2", "client order id a number", (refuse(limit("1.00", client_order_id=7), 422, INVALID, "client_order_id"),)),
    ("3.2", "position intent fits", (SPY, send(order(position_intent="buy_to_open"), has={"position_intent": "buy_to_open"}))),
    (
        "3.2",
        "position intent does not fit",
        (SPY, refuse(order(position_intent="buy_to_close"), 422, UNPROCESSABLE, "position intent mismatch")),
    ),
    ("3.2", "position intent unknown", (refuse(order(position_intent="hope"), 422, INVALID, "position_intent"),)),
    ("3.2", "options are not traded", (refuse(order(order_class="mleg", legs=[]), 403, FORBIDDEN, "options"),)),
    ("3.2", "extended hours no boolean", (refuse(limit("1.00", extended_hours="perhaps"), 422, INVALID, "extended_hours"),)),
    ("3.5", "limit order without limit", (refuse(order(type="limit"), 422, INVALID, "limit orders require a limit price"),)),
    ("3.5", "limit zero", (refuse(limit("0"), 422, INVALID, "limit price must be > 0"),)),
    ("3.5", "limit negative", (refuse(limit("-5"), 422, INVALID, "limit price must be > 0"),)),
    ("3.5", "limit no number", (refuse(limit("cheap"), 422, INVALID, "limit price"),)),
    ("3.5", "market order with a limit", (refuse(order(limit_price="5"), 422, INVALID, "market orders require no stop or limit price"),)),
    ("3.5", "limit order with a stop", (refuse(limit("5", stop_price="5"), 422, INVALID, "limit orders require no stop price"),)),
    ("3.5", "stop without stop", (refuse(order(type="stop"), 422, INVALID, "stop orders require a stop price"),)),
    (
        "3.5",
        "stop with a limit",
        (refuse(order(type="stop", stop_price="5", limit_price="5"), 422, INVALID, "stop orders require no limit price"),),
    ),
    (
        "3.5",
        "stop limit without limit",
        (refuse(order(type="stop_limit", stop_price="5"), 422, INVALID, "require both stop and limit price"),),
    ),
    (
        "3.5",
        "stop limit without stop",
        (refuse(order(type="stop_limit", limit_price="5"), 422, INVALID, "require both stop and limit price"),),
    ),
    ("3.5", "trailing stop without a trail", (refuse(order(type="trailing_stop"), 422, INVALID, "trail_price or trail_percent"),)),
    (
        "3.5",
        "trailing stop with both",
        (refuse(order(type="trailing_stop", trail_price="1", trail_percent="1"), 422, INVALID, "one of trail_price"),),
    ),
    ("3.5", "trail percent too small", (refuse(order(type="trailing_stop", trail_percent="0.05"), 422, INVALID, "trail percent"),)),
    ("3.5", "trail of another type", (refuse(order(trail_price="1"), 422, INVALID, "trail_price"),)),
    (
        "3.5",
        "trailing stop ioc",
        (*held(), refuse(order(side="sell", type="trailing_stop", trail_price="1", time_in_force="ioc"), 422, UNPROCESSABLE)),
    ),
    ("3.5", "tick above a dollar", (refuse(limit("290.123"), 422, UNPROCESSABLE, "invalid limit_price 290.123. sub-penny increment"),)),
    ("3.5", "tick below a dollar", (refuse(limit("0.12345", qty="100"), 422, UNPROCESSABLE, "sub-penny"),)),
    ("3.5", "four decimals below a dollar", (send(limit("0.1234", qty="100"), has={"limit_price": "0.1234"}),)),
    (
        "3.5",
        "tick of a stop",
        (*held(), refuse(order(side="sell", type="stop", stop_price="400.005"), 422, UNPROCESSABLE, "invalid stop_price")),
    ),
    ("3.5", "stop fok", (refuse(order(type="stop", stop_price="510", time_in_force="fok"), 422, UNPROCESSABLE, "time_in_force"),)),
    (
        "3.5",
        "stop limit opg",
        (refuse(order(type="stop_limit", stop_price="510", limit_price="511", time_in_force="opg"), 422, UNPROCESSABLE),),
    ),
    ("3.5", "fractional gtc", (refuse(order(qty="0.5", time_in_force="gtc"), 422, UNPROCESSABLE, "fractional orders must be DAY orders"),)),
    ("3.5", "fractional ioc", (refuse(order(qty="0.5", time_in_force="ioc"), 422, UNPROCESSABLE, "fractional orders must be DAY orders"),)),
    (
        "3.5",
        "fractional trailing stop",
        (*held(), refuse(order(side="sell", qty="0.5", type="trailing_stop", trail_price="1"), 422, UNPROCESSABLE, "fractional")),
    ),
    ("3.5", "fractional limit", (send(limit("400.00", qty="0.5"), has={"qty": "0.5", "status": ANYTHING}),)),
    ("3.5", "fractional stop", (*held(), send(order(side="sell", qty="0.5", type="stop", stop_price="400"), has={"qty": "0.5"}))),
    (
        "3.5",
        "extended hours market",
        (refuse(order(extended_hours=True), 422, UNPROCESSABLE, "extended hours order must be DAY limit orders"),),
    ),
    ("3.5", "extended hours gtc", (refuse(limit("1", extended_hours=True, time_in_force="gtc"), 422, UNPROCESSABLE, "extended hours"),)),
    (
        "3.5",
        "extended hours gtc by switch",
        (send(limit("1.00", extended_hours=True, time_in_force="gtc")),),
        {"core": ExchangeSettings(extended_gtc=True)},
    ),
    ("3.5", "extended hours day limit", (send(limit("1.00", extended_hours=True), has={"extended_hours": True}),)),
    (
        "3.5",
        "opg while the market is open",
        (refuse(order(time_in_force="opg"), 403, FORBIDDEN, "opg orders must be submitted after 7:00pm and before 9:28am"),),
    ),
    ("3.5", "cls in time", (send(order(time_in_force="cls"), has={"time_in_force": "cls"}),)),
    (
        "3.5",
        "cls too late",
        (Forward(6 * 3600 + 21 * 60), refuse(order(time_in_force="cls"), 403, FORBIDDEN, "cls orders must be submitted")),
    ),
    (
        "3.5",
        "cls until five minutes before the close, by switch",
        (Forward(6 * 3600 + 21 * 60), send(order(time_in_force="cls"))),
        {"core": ExchangeSettings(cls_cut_off_minutes=5)},
    ),
    (
        "3.6",
        "duplicate client order id",
        (
            send(limit("1.00", client_order_id="x")),
            refuse(limit("1.01", client_order_id="x"), 422, INVALID, "client_order_id must be unique"),
        ),
    ),
    (
        "3.6",
        "an id is never forgotten",
        (
            send(limit("1.00", client_order_id="x")),
            Call("DELETE", "/v2/orders/{o}", status=204),
            FILLS,
            refuse(limit("1.01", client_order_id="x"), 422, INVALID, "client_order_id must be unique"),
        ),
    ),
    (
        "3.6",
        "an id of a refused order is free",
        (refuse(order(symbol="NOPE", client_order_id="x"), 422, UNPROCESSABLE), send(limit("1.00", client_order_id="x"))),
    ),
    (
        "3.6",
        "look up by client order id",
        (send(limit("1.00", client_order_id="x")), get("/v2/orders:by_client_order_id?client_order_id=x", {"id": "{o}"})),
    ),
    ("3.6", "look up what is unknown", (get("/v2/orders:by_client_order_id?client_order_id=x", NOT_FOUND, 404),)),
    ("3.6", "look up nothing", (get("/v2/orders:by_client_order_id", NOT_FOUND, 404),)),
]

ORDER_FIELDS: Final = {
    "id": ANYTHING,
    "client_order_id": ANYTHING,
    "created_at": ANYTHING,
    "updated_at": ANYTHING,
    "submitted_at": ANYTHING,
    "filled_at": None,
    "expired_at": None,
    "expires_at": "2025-03-03T21:00:00Z",
    "canceled_at": None,
    "failed_at": None,
    "replaced_at": None,
    "replaced_by": None,
    "replaces": None,
    "asset_id": ANYTHING,
    "symbol": "SPY",
    "asset_class": "us_equity",
    "notional": None,
    "qty": "2",
    "filled_qty": "0",
    "filled_avg_price": None,
    "order_class": "",
    "order_type": "limit",
    "type": "limit",
    "side": "buy",
    "position_intent": "buy_to_open",
    "time_in_force": "day",
    "limit_price": "150",
    "stop_price": None,
    "extended_hours": False,
    "legs": None,
    "trail_percent": None,
    "trail_price": None,
    "hwm": None,
    "subtag": None,
    "source": None,
}

LIFE_ROWS: Final[list[Row]] = [
    ("3.4", "the order object", (send(limit("150.00", qty="2"), has=ORDER_FIELDS),)),
    ("3.4", "the answer of an open market", (send(limit("150.00"), has={"status": "pending_new"}),)),
    ("3.4", "the answer of a closed market", (NIGHT, send(limit("150.00"), has={"status": "accepted"}))),
    ("3.4", "a gtc order lives ninety days", (send(limit("150.00", time_in_force="gtc"), has={"expires_at": Has("2025-06-01T")}),)),
    (
        "3.4",
        "a trailing stop shows its mark",
        (
            *held(),
            send(order(side="sell", qty="10", type="trailing_stop", trail_percent="1")),
            FILLS,
            shows("o", hwm=ANYTHING, trail_percent="1", stop_price=ANYTHING),
        ),
    ),
    (
        "4.1",
        "a market order fills",
        (*held(), shows("entry", status="filled", filled_qty="10", filled_avg_price="500", filled_at=ANYTHING)),
    ),
    ("4.1", "a limit that is not reached rests", (SPY, send(limit("400.00")), FILLS, shows("o", status="new", filled_qty="0"))),
    (
        "4.1",
        "a marketable limit fills at the market",
        (SPY, send(limit("505.00")), FILLS, shows("o", status="filled", filled_avg_price="500")),
    ),
    (
        "4.1",
        "a resting limit fills when it is reached",
        (SPY, send(limit("499.50")), FILLS, Quote("SPY", 499.40, 499.50), FILLS, shows("o", status="filled", filled_avg_price="499.5")),
    ),
    ("4.1", "a day order expires with the session", (SPY, send(limit("100.00")), NIGHT, shows("o", status="expired", expired_at=ANYTHING))),
    ("4.1", "a gtc order does not", (SPY, send(limit("100.00", time_in_force="gtc")), NIGHT, shows("o", expired_at=None, status="new"))),
    (
        "4.1",
        "an ioc order takes what is there",
        (
            Quote("SPY", 499.98, 500.00, 3),
            send(limit("500.00", qty="10", time_in_force="ioc")),
            FILLS,
            shows("o", status="canceled", filled_qty="3"),
        ),
    ),
    (
        "4.1",
        "an ioc order that finds nothing",
        (SPY, send(limit("400.00", time_in_force="ioc")), FILLS, shows("o", status="canceled", filled_qty="0")),
    ),
    (
        "4.1",
        "an ioc remainder expires, by switch",
        (SPY, send(limit("400.00", time_in_force="ioc")), FILLS, shows("o", status="expired")),
        {"core": ExchangeSettings(auction_remainder="expired")},
    ),
    (
        "4.1",
        "a fok order takes all",
        (SPY, send(limit("500.00", qty="10", time_in_force="fok")), FILLS, shows("o", status="filled", filled_qty="10")),
    ),
    (
        "4.1",
        "or nothing",
        (
            Quote("SPY", 499.98, 500.00, 3),
            send(limit("500.00", qty="10", time_in_force="fok")),
            FILLS,
            shows("o", status="canceled", filled_qty="0"),
        ),
    ),
    (
        "4.1",
        "a stop is elected by a trade",
        (
            *held(),
            send(order(side="sell", qty="10", type="stop", stop_price="490")),
            FILLS,
            Quote("SPY", 489.00, 489.02),
            Control("trade", {"symbol": "SPY", "price": 489.01, "size": 100}),
            FILLS,
            shows("o", status="filled", filled_avg_price="489"),
        ),
    ),
    ("4.1", "a stop waits", (*held(), send(order(side="sell", qty="10", type="stop", stop_price="490")), FILLS, shows("o", status="new"))),
    (
        "4.1",
        "a stop limit rests after its election",
        (
            *held(),
            send(order(side="sell", qty="10", type="stop_limit", stop_price="490", limit_price="489.80")),
            FILLS,
            Quote("SPY", 489.00, 489.02),
            Control("trade", {"symbol": "SPY", "price": 489.01, "size": 100}),
            FILLS,
            shows("o", status="new", filled_qty="0"),
        ),
    ),
    ("4.1", "cls fills at the close", (send(order(time_in_force="cls")), NIGHT, shows("o", status="filled"))),
    ("4.1", "queued while closed, filled at the next open", (NIGHT, send(order()), Forward(24 * 3600), shows("o", status=ANYTHING))),
    (
        "4.1",
        "a market order larger than displayed fills whole",
        (Quote("SPY", 499.98, 500.00, 10), send(order(qty="30")), Forward(5), shows("o", status="filled", filled_qty="30")),
    ),
    (
        "4.1",
        "a limit order larger than displayed is filled in part",
        (Quote("SPY", 499.98, 500.00, 10), send(limit("500.00", qty="30")), FILLS, shows("o", status="partially_filled", filled_qty="10")),
    ),
    (
        "9.4",
        "a halted symbol takes orders and does not fill them",
        (
            SPY,
            Control("halt", {"symbol": "SPY", "halted": True}),
            send(order()),
            Forward(30),
            shows("o", filled_qty="0"),
            Control("halt", {"symbol": "SPY", "halted": False}),
            Forward(5),
            shows("o", status="filled"),
        ),
    ),
    (
        "4.1",
        "a limit band keeps a symbol from trading",
        (
            SPY,
            Control("bands", {"symbol": "SPY", "down": 400, "up": 450}),
            send(limit("500.00")),
            Forward(5),
            shows("o", filled_qty="0"),
            Control("bands", {"symbol": "SPY"}),
            Forward(5),
            shows("o", status="filled"),
        ),
    ),
    (
        "3.7",
        "cancel",
        (
            send(limit("1.00")),
            FILLS,
            Call("DELETE", "/v2/orders/{o}", status=204),
            FILLS,
            shows("o", status="canceled", canceled_at=ANYTHING),
        ),
    ),
    ("3.7", "cancel what is unknown", (Call("DELETE", f"/v2/orders/{UNKNOWN}", status=404, has=NOT_FOUND),)),
    ("3.7", "cancel what is no id", (Call("DELETE", "/v2/orders/abc", status=422, has=INVALID),)),
    (
        "3.7",
        "cancel what is filled",
        (*held(), Call("DELETE", "/v2/orders/{entry}", status=422, has={**UNPROCESSABLE, "message": 'order is already in "filled" state'})),
    ),
    (
        "3.7",
        "cancel what is canceled",
        (
            send(limit("1.00")),
            Call("DELETE", "/v2/orders/{o}", status=204),
            FILLS,
            Call("DELETE", "/v2/orders/{o}", status=422, has={**UNPROCESSABLE, "message": 'order is already in "canceled" state'}),
        ),
    ),
    (
        "3.7",
        "cancel what has expired",
        (
            send(limit("1.00")),
            NIGHT,
            Call("DELETE", "/v2/orders/{o}", status=422, has={**UNPROCESSABLE, "message": 'order is already in "expired" state'}),
        ),
    ),
    (
        "3.7",
        "cancel at night is at once",
        (NIGHT, send(limit("1.00")), Call("DELETE", "/v2/orders/{o}", status=204), FILLS, shows("o", status="canceled")),
    ),
    (
        "3.7",
        "a partial fill, then a cancel",
        (
            Quote("SPY", 499.98, 500.00, 10),
            send(limit("500.00", qty="30")),
            FILLS,
            Call("DELETE", "/v2/orders/{o}", status=204),
            FILLS,
            shows("o", status="canceled", filled_qty="10", filled_avg_price="500"),
        ),
    ),
    (
        "3.7",
        "cancel all",
        (
            send(limit("1.00"), "a"),
            send(limit("1.01"), "b"),
            Call("DELETE", "/v2/orders", status=207, has=[{"id": "{a}", "status": 200}, {"id": "{b}", "status": 200}]),
            FILLS,
            get("/v2/orders", []),
        ),
    ),
    ("3.7", "cancel all of nothing", (Call("DELETE", "/v2/orders", status=207, has=[]),)),
    (
        "3.8",
        "replace",
        (
            send(limit("1.00", qty="2")),
            FILLS,
            Call("PATCH", "/v2/orders/{o}", {"limit_price": "1.10"}, has={"replaces": "{o}", "qty": "2", "limit_price": "1.1"}, save="n"),
            FILLS,
            shows("o", status="replaced", replaced_by="{n}", replaced_at=ANYTHING),
            shows("n", status="new"),
        ),
    ),
    ("3.8", "replace the quantity", (send(limit("1.00", qty="2")), FILLS, Call("PATCH", "/v2/orders/{o}", {"qty": 5}, has={"qty": "5"}))),
    (
        "3.8",
        "a client order id of its own",
        (send(limit("1.00")), FILLS, Call("PATCH", "/v2/orders/{o}", {"qty": 2, "client_order_id": "new"}, has={"client_order_id": "new"})),
    ),
    (
        "3.8",
        "a client order id that is taken",
        (
            send(limit("1.00", client_order_id="x")),
            FILLS,
            Call("PATCH", "/v2/orders/{o}", {"qty": 2, "client_order_id": "x"}, status=422, has=INVALID),
        ),
    ),
    (
        "3.8",
        "no change",
        (
            send(limit("1.00")),
            FILLS,
            Call(
                "PATCH",
                "/v2/orders/{o}",
                {"limit_price": "1.00"},
                status=422,
                has={**UNPROCESSABLE, "message": "order parameters are not changed"},
            ),
        ),
    ),
    ("3.8", "nothing in the body", (send(limit("1.00")), FILLS, Call("PATCH", "/v2/orders/{o}", {}, status=422, has=UNPROCESSABLE))),
    (
        "3.8",
        "what is pending",
        (send(limit("1.00")), Call("PATCH", "/v2/orders/{o}", {"qty": 2}, status=422, has=UNPROCESSABLE)),
        {"core": ExchangeSettings(acknowledge_ms=60_000)},
    ),
    (
        "3.8",
        "while the market is closed",
        (NIGHT, send(limit("1.00")), Call("PATCH", "/v2/orders/{o}", {"qty": 2}, status=422, has=UNPROCESSABLE)),
    ),
    (
        "3.8",
        "what is filled",
        (
            *held(),
            Call(
                "PATCH",
                "/v2/orders/{entry}",
                {"qty": 20},
                status=422,
                has={**UNPROCESSABLE, "message": "unable to replace order, order is not open"},
            ),
        ),
    ),
    (
        "3.8",
        "what has been replaced",
        (
            send(limit("1.00")),
            FILLS,
            Call("PATCH", "/v2/orders/{o}", {"qty": 2}),
            FILLS,
            Call("PATCH", "/v2/orders/{o}", {"qty": 3}, status=422, has=UNPROCESSABLE),
        ),
    ),
    ("3.8", "what is unknown", (Call("PATCH", f"/v2/orders/{UNKNOWN}", {"qty": 2}, status=404, has=NOT_FOUND),)),
    (
        "3.8",
        "less than is filled",
        (
            Quote("SPY", 499.98, 500.00, 10),
            send(limit("500.00", qty="30")),
            FILLS,
            Call("PATCH", "/v2/orders/{o}", {"qty": 10}, status=422, has={**UNPROCESSABLE, "message": "qty must be > filled_qty"}),
        ),
    ),
    ("3.8", "a fraction", (send(limit("1.00")), FILLS, Call("PATCH", "/v2/orders/{o}", {"qty": 1.5}, status=422, has=INVALID))),
    (
        "3.8",
        "the quantity of a fractional order",
        (send(limit("400.00", qty="0.5")), FILLS, Call("PATCH", "/v2/orders/{o}", {"qty": 2}, status=422, has=UNPROCESSABLE)),
    ),
    (
        "3.8",
        "a notional order",
        (
            SPY,
            send(order(type="limit", limit_price="400.00", qty=None, notional="100")),
            FILLS,
            Call("PATCH", "/v2/orders/{o}", {"limit_price": "401.00"}, status=422, has=UNPROCESSABLE),
        ),
    ),
    (
        "3.8",
        "a price finer than the tick",
        (send(limit("1.00")), FILLS, Call("PATCH", "/v2/orders/{o}", {"limit_price": "1.001"}, status=422, has=UNPROCESSABLE)),
    ),
    (
        "3.8",
        "a stop price of a limit order",
        (send(limit("1.00")), FILLS, Call("PATCH", "/v2/orders/{o}", {"stop_price": "1.00"}, status=422, has=UNPROCESSABLE)),
    ),
    (
        "3.8",
        "a price that is none",
        (send(limit("1.00")), FILLS, Call("PATCH", "/v2/orders/{o}", {"limit_price": "x"}, status=422, has=INVALID)),
    ),
    (
        "3.8",
        "the trail of a trailing stop",
        (
            *held(),
            send(order(side="sell", qty="10", type="trailing_stop", trail_percent="1")),
            FILLS,
            Call("PATCH", "/v2/orders/{o}", {"trail": "2"}, has={"trail_percent": "2"}),
        ),
    ),
    ("3.8", "not an object", (send(limit("1.00")), FILLS, Call("PATCH", "/v2/orders/{o}", [], status=400, has=BAD))),
]

LIST_ROWS: Final[list[Row]] = [
    (
        "3.3",
        "open by default, newest first",
        (send(limit("1.00"), "a"), FILLS, send(limit("1.01"), "b"), get("/v2/orders", [{"id": "{b}"}, {"id": "{a}"}])),
    ),
    ("3.3", "closed", (*held(), send(limit("1.00")), get("/v2/orders?status=closed", [{"id": "{entry}"}]))),
    ("3.3", "all", (*held(), send(limit("1.00")), get("/v2/orders?status=all", [{"id": "{o}"}, {"id": "{entry}"}]))),
    (
        "3.3",
        "direction",
        (send(limit("1.00"), "a"), FILLS, send(limit("1.01"), "b"), get("/v2/orders?direction=asc", [{"id": "{a}"}, {"id": "{b}"}])),
    ),
    ("3.3", "limit", (send(limit("1.00"), "a"), FILLS, send(limit("1.01"), "b"), get("/v2/orders?limit=1", [{"id": "{b}"}]))),
    (
        "3.3",
        "symbols",
        (send(limit("1.00"), "a"), send(limit("1.01", symbol="TECL"), "b"), get("/v2/orders?symbols=TECL,BIL", [{"id": "{b}"}])),
    ),
    ("3.3", "side", (send(limit("1.00"), "a"), get("/v2/orders?side=sell", []))),
    ("3.3", "asset class", (send(limit("1.00"), "a"), get("/v2/orders?asset_class=crypto", []))),
    (
        "3.3",
        "after and until are exclusive",
        (
            send(limit("1.00"), "a"),
            get("/v2/orders?after=2025-03-03T14:29:00Z&until=2025-03-03T14:31:00Z", [{"id": "{a}"}]),
            get("/v2/orders?until=2025-03-03T14:29:00Z", []),
        ),
    ),
    (
        "3.3",
        "cursor",
        (
            send(limit("1.00"), "a"),
            FILLS,
            send(limit("1.01"), "b"),
            get("/v2/orders?after_order_id={a}", [{"id": "{b}"}]),
            get("/v2/orders?before_order_id={b}", [{"id": "{a}"}]),
        ),
    ),
    ("3.3", "two cursors", (send(limit("1.00"), "a"), get("/v2/orders?after_order_id={a}&before_order_id={a}", INVALID, 422))),
    ("3.3", "a cursor and a time", (send(limit("1.00"), "a"), get("/v2/orders?after_order_id={a}&after=2025-03-03", INVALID, 422))),
    ("3.3", "an unknown cursor", (get(f"/v2/orders?after_order_id={UNKNOWN}", NOT_FOUND, 404),)),
    ("3.3", "status unknown", (get("/v2/orders?status=odd", INVALID, 422),)),
    ("3.3", "limit zero", (get("/v2/orders?limit=0", INVALID, 422),)),
    ("3.3", "limit too large", (get("/v2/orders?limit=501", INVALID, 422),)),
    ("3.3", "limit no number", (get("/v2/orders?limit=x", INVALID, 422),)),
    ("3.3", "direction unknown", (get("/v2/orders?direction=up", INVALID, 422),)),
    ("3.3", "a time that is none", (get("/v2/orders?after=noon", INVALID, 422),)),
    (
        "3.3",
        "legs are rolled up",
        (SPY, send(bracket()), get("/v2/orders?nested=true", [{"id": "{o}", "legs": [{"id": "{o_leg0}"}, {"id": "{o_leg1}"}]}])),
    ),
    ("3.1", "an order that is unknown", (get(f"/v2/orders/{UNKNOWN}", {**NOT_FOUND, "message": Has("order not found")}, 404),)),
    ("3.1", "an id that is none", (get("/v2/orders/abc", INVALID, 422),)),
]

COMPLEX_ROWS: Final[list[Row]] = [
    (
        "3.9",
        "bracket: the answer holds both legs",
        (
            SPY,
            send(
                bracket(),
                has={
                    "order_class": "bracket",
                    "legs": [
                        {"type": "limit", "side": "sell", "status": "held", "limit_price": "510"},
                        {"type": "stop", "status": "held", "stop_price": "490"},
                    ],
                },
            ),
        ),
    ),
    (
        "3.9",
        "bracket: exits wake when the entry is filled",
        (SPY, send(bracket()), FILLS, shows("o_leg0", status="new"), shows("o_leg1", status="held")),
    ),
    (
        "3.9",
        "bracket: the profit is taken, the loss leg goes",
        (
            SPY,
            send(bracket()),
            FILLS,
            Quote("SPY", 510.00, 510.02),
            FILLS,
            shows("o_leg0", status="filled"),
            shows("o_leg1", status="canceled"),
        ),
    ),
    (
        "3.9",
        "bracket: the loss is stopped, the profit leg goes",
        (
            SPY,
            send(bracket()),
            FILLS,
            Quote("SPY", 489.00, 489.02),
            Control("trade", {"symbol": "SPY", "price": 489.0, "size": 10}),
            FILLS,
            shows("o_leg1", status="filled"),
            shows("o_leg0", status="canceled"),
        ),
    ),
    (
        "3.9",
        "bracket: a stop limit leg",
        (
            SPY,
            send(
                order(order_class="bracket", take_profit={"limit_price": "510"}, stop_loss={"stop_price": "490", "limit_price": "489"}),
                has={"legs": [{"type": "limit"}, {"type": "stop_limit", "limit_price": "489"}]},
            ),
        ),
    ),
    (
        "3.9",
        "bracket: cancelling the entry cancels all",
        (
            SPY,
            send(bracket(type="limit", limit_price="495.00")),
            FILLS,
            Call("DELETE", "/v2/orders/{o}", status=204),
            FILLS,
            shows("o_leg0", status="canceled"),
            shows("o_leg1", status="canceled"),
        ),
    ),
    (
        "3.9",
        "bracket: no profit leg",
        (
            SPY,
            refuse(
                order(order_class="bracket", stop_loss={"stop_price": "490"}),
                422,
                UNPROCESSABLE,
                "bracket orders require take_profit.limit_price",
            ),
        ),
    ),
    (
        "3.9",
        "bracket: no loss leg",
        (
            SPY,
            refuse(
                order(order_class="bracket", take_profit={"limit_price": "510"}),
                422,
                UNPROCESSABLE,
                "bracket orders require stop_loss.stop_price",
            ),
        ),
    ),
    (
        "3.9",
        "bracket: profit on the wrong side",
        (SPY, refuse(bracket(profit="490"), 422, UNPROCESSABLE, "take_profit.limit_price must be")),
    ),
    ("3.9", "bracket: loss on the wrong side", (SPY, refuse(bracket(loss="505"), 422, UNPROCESSABLE, "stop_loss.stop_price must be"))),
    (
        "3.9",
        "bracket: a stop for an entry",
        (refuse(bracket(type="stop", stop_price="505"), 422, UNPROCESSABLE, "must be market or limit orders"),),
    ),
    ("3.9", "bracket: ioc", (SPY, refuse(bracket(time_in_force="ioc"), 422, UNPROCESSABLE, "must be DAY or GTC orders"))),
    (
        "3.9",
        "bracket: extended hours",
        (SPY, refuse(bracket(type="limit", limit_price="499", extended_hours=True), 422, UNPROCESSABLE, "extended hours")),
    ),
    ("3.9", "bracket: a fraction", (SPY, refuse(bracket(qty="0.5"), 422, UNPROCESSABLE, "fractional orders must be simple orders"))),
    (
        "3.9",
        "bracket: a leg that is no object",
        (
            SPY,
            refuse(
                order(order_class="bracket", take_profit=510, stop_loss={"stop_price": "490"}),
                422,
                INVALID,
                "take_profit must be an object",
            ),
        ),
    ),
    ("3.9", "bracket: a leg with a price that is none", (SPY, refuse(bracket(profit="high"), 422, INVALID))),
    ("3.9", "bracket: a leg finer than the tick", (SPY, refuse(bracket(profit="510.005"), 422, UNPROCESSABLE, "sub-penny"))),
    ("3.9", "legs without a class", (SPY, refuse(order(take_profit={"limit_price": "510"}), 422, UNPROCESSABLE, "require order_class"))),
    (
        "3.9",
        "oco: exits of a position",
        (
            *held(),
            send(
                limit(
                    "510.00", side="sell", qty="10", order_class="oco", take_profit={"limit_price": "510"}, stop_loss={"stop_price": "490"}
                ),
                has={"order_class": "oco", "legs": [{"type": "stop", "stop_price": "490"}]},
            ),
            FILLS,
            Quote("SPY", 510.00, 510.02),
            FILLS,
            shows("o", status="filled"),
            shows("o_leg0", status="canceled"),
        ),
    ),
    (
        "3.9",
        "oco: a market order",
        (
            *held(),
            refuse(
                order(side="sell", qty="10", order_class="oco", take_profit={"limit_price": "510"}, stop_loss={"stop_price": "490"}),
                422,
                UNPROCESSABLE,
                "oco orders must be limit orders",
            ),
        ),
    ),
    (
        "3.9",
        "oco: without a position",
        (
            SPY,
            refuse(
                limit("510.00", side="sell", order_class="oco", take_profit={"limit_price": "510"}, stop_loss={"stop_price": "490"}),
                422,
                UNPROCESSABLE,
            ),
        ),
    ),
    (
        "3.9",
        "oto: one exit",
        (
            SPY,
            send(order(order_class="oto", stop_loss={"stop_price": "490"}), has={"legs": [{"type": "stop", "status": "held"}]}),
            FILLS,
            shows("o_leg0", status="new"),
        ),
    ),
    (
        "3.9",
        "oto: both exits",
        (
            SPY,
            refuse(
                order(order_class="oto", take_profit={"limit_price": "510"}, stop_loss={"stop_price": "490"}),
                422,
                UNPROCESSABLE,
                "oto orders require either",
            ),
        ),
    ),
    ("3.9", "oto: no exit", (SPY, refuse(order(order_class="oto"), 422, UNPROCESSABLE, "oto orders require either"))),
    (
        "3.9",
        "a leg's price is replaced",
        (SPY, send(bracket()), FILLS, Call("PATCH", "/v2/orders/{o_leg0}", {"limit_price": "515.00"}, has={"limit_price": "515"})),
    ),
    (
        "3.9",
        "a leg's quantity is not",
        (SPY, send(bracket()), FILLS, Call("PATCH", "/v2/orders/{o_leg0}", {"qty": 2}, status=422, has=UNPROCESSABLE)),
    ),
]

RULE_ROWS: Final[list[Row]] = [
    ("2.2", "buying power", (SPY, refuse(limit("500.00", qty="1000"), 403, FORBIDDEN, "insufficient buying power"))),
    (
        "2.2",
        "buying power: the members",
        (SPY, Call("POST", "/v2/orders", limit("500.00", qty="1000"), status=403, has={"buying_power": "200000", "cost_basis": "500000"})),
    ),
    ("9.2", "an open buy holds buying power", (SPY, send(limit("400.00", qty="100")), get("/v2/account", {"buying_power": "160000"}))),
    (
        "9.2",
        "a cancel gives it back",
        (
            SPY,
            send(limit("400.00", qty="100")),
            Call("DELETE", "/v2/orders/{o}", status=204),
            FILLS,
            get("/v2/account", {"buying_power": "200000"}),
        ),
    ),
    (
        "9.2",
        "multiplier 1: cash",
        (get("/v2/account", {"buying_power": "100000", "multiplier": "1", "shorting_enabled": False}),),
        {"core": ExchangeSettings(multiplier="1")},
    ),
    (
        "9.2",
        "multiplier 4: four times intraday",
        (get("/v2/account", {"buying_power": "400000", "multiplier": "4"}),),
        {"core": ExchangeSettings(multiplier="4")},
    ),
    (
        "2.2",
        "more than is held",
        (
            *held(),
            refuse(order(side="sell", qty="20"), 403, FORBIDDEN, "insufficient qty available for order (requested: 20, available: 10)"),
        ),
    ),
    (
        "2.2",
        "more than is free: the members",
        (
            *held(),
            send(limit("600.00", side="sell", qty="6"), "a"),
            Call(
                "POST",
                "/v2/orders",
                order(side="sell", qty="6"),
                status=403,
                has={"available": "4", "existing_qty": "10", "held_for_orders": "6", "related_orders": ["{a}"], "symbol": "SPY"},
            ),
        ),
    ),
    (
        "9.2",
        "a sale frees nothing before it is done",
        (*held(), send(limit("600.00", side="sell", qty="10"), "a"), get("/v2/positions/SPY", {"qty": "10", "qty_available": "0"})),
    ),
    (
        "9.2",
        "a short sale",
        (
            SPY,
            send(order(side="sell", qty="5"), has={"position_intent": "sell_to_open"}),
            FILLS,
            get("/v2/positions/SPY", {"qty": "-5", "side": "short"}),
        ),
    ),
    (
        "2.3",
        "a fractional short sale",
        (SPY, refuse(order(side="sell", qty="0.5"), 422, UNPROCESSABLE, "fractional orders cannot be sold short")),
    ),
    (
        "2.2",
        "short while a long buy is open",
        (
            SPY,
            send(limit("400.00")),
            refuse(limit("600.00", side="sell"), 403, FORBIDDEN, "cannot open a short sell while a long buy order is open"),
        ),
    ),
    (
        "2.2",
        "and the mirror",
        (
            SPY,
            send(limit("600.00", side="sell")),
            refuse(limit("400.00"), 403, FORBIDDEN, "cannot open a long buy while a short sell order is open"),
        ),
    ),
    ("9.2", "shorting switched off", (SPY, refuse(order(side="sell"), 403, FORBIDDEN)), {"core": ExchangeSettings(shorting_enabled=False)}),
    ("9.2", "no shorting with multiplier 1", (SPY, refuse(order(side="sell"), 403, FORBIDDEN)), {"core": ExchangeSettings(multiplier="1")}),
    ("2.3", "hard to borrow", (SPY, Control("borrow", {"symbol": "SPY", "easy": False}), refuse(order(side="sell"), 422, UNPROCESSABLE))),
    (
        "2.2",
        "no shorting by configuration",
        (SPY, Call("PATCH", "/v2/account/configurations", {"no_shorting": True}), refuse(order(side="sell"), 403, FORBIDDEN)),
    ),
    (
        "2.2",
        "trading suspended by the user",
        (
            Call("PATCH", "/v2/account/configurations", {"suspend_trade": True}),
            refuse(order(), 403, FORBIDDEN),
            get("/v2/account", {"trade_suspended_by_user": True}),
        ),
    ),
    (
        "2.2",
        "fractions switched off",
        (
            Call("PATCH", "/v2/account/configurations", {"fractional_trading": False}),
            refuse(order(qty="0.5"), 403, FORBIDDEN, "fractional trading is disabled for this account"),
        ),
    ),
    (
        "2.2",
        "trading blocked by the broker",
        (
            Control("account", {"trading_blocked": True}),
            refuse(order(), 403, FORBIDDEN, "trading is blocked"),
            get("/v2/account", {"trading_blocked": True}),
        ),
    ),
    (
        "2.2",
        "account blocked by the broker",
        (
            Control("account", {"blocked": True}),
            refuse(order(), 403, FORBIDDEN, "account is blocked"),
            get("/v2/account", {"account_blocked": True}),
        ),
    ),
    ("9.4", "less than a dollar", (refuse(limit("0.50"), 403, FORBIDDEN, "cost basis must be >= minimal amount of order 1"),)),
    (
        "9.3",
        "wash: market against limit",
        (
            *held(),
            send(limit("600.00", side="sell", qty="5"), "a"),
            Call(
                "POST",
                "/v2/orders",
                order(),
                status=403,
                has={
                    **FORBIDDEN,
                    "message": "potential wash trade detected. use complex orders",
                    "existing_order_id": "{a}",
                    "reject_reason": ANYTHING,
                },
            ),
        ),
    ),
    (
        "9.3",
        "wash: crossing limits",
        (
            *held(),
            send(limit("600.00", side="sell", qty="5"), "a"),
            Call("POST", "/v2/orders", limit("600.00"), status=403, has={"reject_reason": "opposite side limit order exists"}),
        ),
    ),
    ("9.3", "wash: limits that do not cross", (*held(), send(limit("600.00", side="sell", qty="5"), "a"), send(limit("400.00")))),
    (
        "9.3",
        "wash: stop against limit",
        (
            *held(),
            send(order(side="sell", qty="5", type="stop", stop_price="400"), "a"),
            refuse(limit("399.00"), 403, FORBIDDEN, "wash trade"),
        ),
    ),
    ("9.3", "wash: a bracket is exempt", (*held(), send(limit("600.00", side="sell", qty="5"), "a"), send(bracket()))),
    (
        "9.3",
        "wash: a trailing stop is exempt",
        (*held(), send(order(side="sell", qty="5", type="trailing_stop", trail_percent="5"), "a"), send(limit("400.00"))),
    ),
    ("9.3", "wash: the same side is nobody's business", (send(limit("1.00"), "a"), send(limit("1.01"), "b"))),
    (
        "9.5",
        "no fees by default",
        (*held(), send(order(side="sell", qty="10"), "x"), FILLS, get("/v2/account", {"accrued_fees": "0", "cash": "99999.8"})),
    ),
    (
        "9.5",
        "fees by switch",
        (*held(), send(order(side="sell", qty="10"), "x"), FILLS, get("/v2/account", {"pending_reg_taf_fees": ANYTHING})),
        {"core": ExchangeSettings(fees=True)},
    ),
    (
        "10",
        "the paper engine fills any size at the quote",
        (Quote("SPY", 499.98, 500.00, 1), send(order(qty="100")), Forward(60), shows("o", status="filled", filled_avg_price="500")),
        {"core": ExchangeSettings(engine="paper", partial_fill_probability=0.0)},
    ),
]

ACCOUNT_ROWS: Final[list[Row]] = [
    (
        "8.1",
        "a fresh account",
        (
            get(
                "/v2/account",
                {
                    "cash": "100000",
                    "equity": "100000",
                    "portfolio_value": "100000",
                    "last_equity": "100000",
                    "long_market_value": "0",
                    "short_market_value": "0",
                    "currency": "USD",
                    "multiplier": "2",
                    "buying_power": "200000",
                    "regt_buying_power": "200000",
                    "shorting_enabled": True,
                    "trading_blocked": False,
                    "account_blocked": False,
                    "transfers_blocked": False,
                    "crypto_status": ANYTHING,
                    "balance_asof": ANYTHING,
                    "created_at": ANYTHING,
                    "id": ANYTHING,
                    "account_number": ANYTHING,
                },
            ),
        ),
    ),
    (
        "8.1",
        "the day-trading fields are gone",
        (get("/v2/account", {"pattern_day_trader": ABSENT, "daytrade_count": ABSENT, "daytrading_buying_power": ABSENT}),),
    ),
    (
        "8.1",
        "and come back by switch",
        (get("/v2/account", {"pattern_day_trader": False, "daytrade_count": 0}),),
        {"core": ExchangeSettings(legacy_account_fields=True)},
    ),
    ("8.1", "after a purchase", (*held(), get("/v2/account", {"cash": "95000", "long_market_value": ANYTHING, "equity": ANYTHING}))),
    (
        "8.2",
        "configurations",
        (
            get(
                "/v2/account/configurations",
                {
                    "fractional_trading": True,
                    "no_shorting": False,
                    "suspend_trade": False,
                    "trade_confirm_email": ANYTHING,
                    "max_margin_multiplier": ANYTHING,
                    "ptp_no_exception_entry": ANYTHING,
                    "dtbp_check": ABSENT,
                    "pdt_check": ABSENT,
                },
            ),
        ),
    ),
    (
        "8.2",
        "a change",
        (
            Call("PATCH", "/v2/account/configurations", {"no_shorting": True}, has={"no_shorting": True}),
            get("/v2/account/configurations", {"no_shorting": True}),
        ),
    ),
    ("8.2", "a value that is none", (Call("PATCH", "/v2/account/configurations", {"trade_confirm_email": "some"}, status=400, has=BAD),)),
    ("8.2", "a flag that is none", (Call("PATCH", "/v2/account/configurations", {"no_shorting": "perhaps"}, status=400, has=BAD),)),
    (
        "8.2",
        "a multiplier that is none",
        (Call("PATCH", "/v2/account/configurations", {"max_margin_multiplier": "3"}, status=400, has=BAD),),
    ),
    (
        "8.2",
        "a multiplier as a number",
        (
            Call("PATCH", "/v2/account/configurations", {"max_margin_multiplier": 2}, has={"max_margin_multiplier": "2"}),
            Call("PATCH", "/v2/account/configurations", {"max_margin_multiplier": 3}, status=400, has=BAD),
            Call("PATCH", "/v2/account/configurations", {"max_margin_multiplier": True}, status=400, has=BAD),
        ),
    ),
    ("8.2", "not an object", (Call("PATCH", "/v2/account/configurations", [1], status=400, has=BAD),)),
    (
        "8.2",
        "nothing is changed by what is refused",
        (
            Call("PATCH", "/v2/account/configurations", {"no_shorting": True, "max_margin_multiplier": "3"}, status=400),
            get("/v2/account/configurations", {"no_shorting": False}),
        ),
    ),
    ("8.3", "no positions", (get("/v2/positions", []),)),
    (
        "8.3",
        "a position",
        (
            *held(),
            get(
                "/v2/positions",
                [
                    {
                        "symbol": "SPY",
                        "qty": "10",
                        "qty_available": "10",
                        "side": "long",
                        "avg_entry_price": "500",
                        "cost_basis": "5000",
                        "asset_class": "us_equity",
                        "exchange": ANYTHING,
                        "market_value": ANYTHING,
                        "unrealized_pl": ANYTHING,
                        "unrealized_plpc": ANYTHING,
                        "unrealized_intraday_pl": ANYTHING,
                        "unrealized_intraday_plpc": ANYTHING,
                        "current_price": ANYTHING,
                        "lastday_price": ANYTHING,
                        "change_today": ANYTHING,
                        "asset_marginable": True,
                    }
                ],
            ),
        ),
    ),
    ("8.3", "one position", (*held(), get("/v2/positions/SPY", {"qty": "10"}))),
    ("8.3", "no such position", (get("/v2/positions/SPY", {**NOT_FOUND, "message": "position does not exist"}, 404),)),
    (
        "8.3",
        "an unknown symbol",
        (
            get("/v2/positions/NOPE", {**NOT_FOUND, "message": "symbol not found: NOPE"}, 404),
            Call("DELETE", "/v2/positions/NOPE", status=404, has={**NOT_FOUND, "message": "symbol not found: NOPE"}),
        ),
    ),
    (
        "8.3",
        "close",
        (
            *held(),
            Call("DELETE", "/v2/positions/SPY", has={"side": "sell", "qty": "10", "type": "market"}, save="x"),
            FILLS,
            get("/v2/positions", []),
            shows("x", status="filled"),
        ),
    ),
    (
        "8.3",
        "close a quantity",
        (*held(), Call("DELETE", "/v2/positions/SPY?qty=4", has={"qty": "4"}), FILLS, get("/v2/positions/SPY", {"qty": "6"})),
    ),
    ("8.3", "close a percentage", (*held(), Call("DELETE", "/v2/positions/SPY?percentage=25", has={"qty": "2.5"}))),
    ("8.3", "close by both", (*held(), Call("DELETE", "/v2/positions/SPY?qty=1&percentage=25", status=422, has=INVALID))),
    ("8.3", "close more than all", (*held(), Call("DELETE", "/v2/positions/SPY?percentage=101", status=422, has=INVALID))),
    ("8.3", "close more shares than there are", (*held(), Call("DELETE", "/v2/positions/SPY?qty=11", status=403, has=FORBIDDEN))),
    ("8.3", "close what is no number", (*held(), Call("DELETE", "/v2/positions/SPY?qty=x", status=422, has=INVALID))),
    ("8.3", "close what is not there", (Call("DELETE", "/v2/positions/SPY", status=404, has=NOT_FOUND),)),
    (
        "8.3",
        "close what orders hold",
        (
            *held(),
            send(limit("600.00", side="sell", qty="10")),
            Call("DELETE", "/v2/positions/SPY", status=403, has={**FORBIDDEN, "available": "0", "held_for_orders": "10"}),
        ),
    ),
    (
        "8.3",
        "close all",
        (*held(), Call("DELETE", "/v2/positions", status=207, has=[{"symbol": "SPY", "status": 200, "body": {"side": "sell"}}])),
    ),
    (
        "8.3",
        "close all, orders first",
        (
            *held(),
            send(limit("600.00", side="sell", qty="10")),
            Call("DELETE", "/v2/positions?cancel_orders=true", status=207, has=[{"symbol": "SPY", "status": 200}]),
            FILLS,
            get("/v2/positions", []),
            shows("o", status="canceled"),
        ),
    ),
    (
        "8.3",
        "close all, refused",
        (
            *held(),
            send(limit("600.00", side="sell", qty="10")),
            Call("DELETE", "/v2/positions", status=207, has=[{"symbol": "SPY", "status": 403, "body": {**FORBIDDEN, "symbol": "SPY"}}]),
        ),
    ),
    ("8.3", "cancel_orders no boolean", (Call("DELETE", "/v2/positions?cancel_orders=maybe", status=422, has={"code": 40010001}),)),
    (
        "8.4",
        "an asset",
        (
            get(
                "/v2/assets/SPY",
                {
                    "id": ANYTHING,
                    "class": "us_equity",
                    "symbol": "SPY",
                    "status": "active",
                    "tradable": True,
                    "marginable": True,
                    "shortable": True,
                    "easy_to_borrow": True,
                    "borrow_status": "easy_to_borrow",
                    "fractionable": True,
                    "attributes": ANYTHING,
                    "exchange": ANYTHING,
                },
            ),
        ),
    ),
    ("8.4", "an unknown asset", (get("/v2/assets/NOPE", NOT_FOUND, 404),)),
    ("8.4", "all assets", (get("/v2/assets", [{"symbol": "BIL"}, {"symbol": "SPY"}, {"symbol": "TECL"}]),)),
    ("8.4", "inactive assets", (get("/v2/assets?status=inactive", []),)),
    ("8.4", "crypto", (get("/v2/assets?asset_class=crypto", []),)),
    ("8.4", "of another exchange", (get("/v2/assets?exchange=NASDAQ", []),)),
    ("8.4", "by attributes", (get("/v2/assets?attributes=overnight_halted", []),)),
    (
        "8.5",
        "clock, open",
        (
            get(
                "/v2/clock",
                {
                    "timestamp": Has("-05:00"),
                    "is_open": True,
                    "next_open": "2025-03-04T09:30:00-05:00",
                    "next_close": "2025-03-03T16:00:00-05:00",
                },
            ),
        ),
    ),
    (
        "8.5",
        "clock, closed",
        (NIGHT, get("/v2/clock", {"is_open": False, "next_open": "2025-03-04T09:30:00-05:00", "next_close": "2025-03-04T16:00:00-05:00"})),
    ),
    (
        "8.5",
        "calendar",
        (
            get(
                "/v2/calendar?start=2025-03-03&end=2025-03-03",
                [
                    {
                        "date": "2025-03-03",
                        "open": "09:30",
                        "close": "16:00",
                        "session_open": "0400",
                        "session_close": "2000",
                        "settlement_date": "2025-03-04",
                    }
                ],
            ),
        ),
    ),
    ("8.5", "half day", (get("/v2/calendar?start=2025-11-28&end=2025-11-28", [{"close": "13:00"}]),)),
    ("8.5", "weekends are no days", (get("/v2/calendar?start=2025-03-01&end=2025-03-02", []),)),
    ("8.5", "by settlement date", (get("/v2/calendar?start=2025-03-04&end=2025-03-04&date_type=SETTLEMENT", [{"date": "2025-03-03"}]),)),
    ("8.5", "before the first session there ever was", (get("/v2/calendar?start=1000-01-01&end=1000-01-31", []),)),
    ("8.5", "a date that is none", (asks("/v2/calendar?start=2025-13-01"),)),
    ("8.5", "end before start", (get("/v2/calendar?start=2025-03-02&end=2025-03-01", INVALID, 422),)),
    ("8.6", "no activities", (get("/v2/account/activities", []),)),
    (
        "8.6",
        "a fill",
        (
            *held(),
            get(
                "/v2/account/activities",
                [
                    {
                        "activity_type": "FILL",
                        "id": Has("20250303093000"),
                        "type": "fill",
                        "price": "500",
                        "qty": "10",
                        "side": "buy",
                        "symbol": "SPY",
                        "leaves_qty": "0",
                        "order_id": "{entry}",
                        "cum_qty": "10",
                        "order_status": "filled",
                        "transaction_time": Has("2025-03-03T14:30"),
                    }
                ],
            ),
        ),
    ),
    ("8.6", "by type", (*held(), get("/v2/account/activities/FILL", [{"symbol": "SPY"}]), get("/v2/account/activities/DIV", []))),
    ("8.6", "by category", (*held(), get("/v2/account/activities?category=non_trade_activity", []))),
    ("8.6", "both", (get("/v2/account/activities?category=trade_activity&activity_types=FILL", INVALID, 422),)),
    (
        "8.6",
        "by order",
        (
            *held(),
            get("/v2/account/activities?order_id={entry}", [{"order_id": "{entry}"}]),
            get(f"/v2/account/activities?order_id={UNKNOWN}", []),
        ),
    ),
    ("8.6", "page size", (get("/v2/account/activities?page_size=101", INVALID, 422),)),
    ("8.6", "a page token that is none", (get("/v2/account/activities?page_token=x", INVALID, 422),)),
    (
        "8.7",
        "history",
        (
            get(
                "/v2/account/portfolio/history",
                {
                    "timestamp": ANYTHING,
                    "equity": ANYTHING,
                    "profit_loss": ANYTHING,
                    "profit_loss_pct": ANYTHING,
                    "base_value": 100000.0,
                    "timeframe": ANYTHING,
                },
            ),
        ),
    ),
    ("8.7", "history by the minute", (Forward(300), get("/v2/account/portfolio/history?period=1D&timeframe=1Min", {"timeframe": "1Min"}))),
    ("8.7", "a period that is none", (get("/v2/account/portfolio/history?period=soon", INVALID, 422),)),
    ("8.7", "a time frame that is none", (get("/v2/account/portfolio/history?timeframe=2Min", INVALID, 422),)),
    ("8.7", "three bounds", (get("/v2/account/portfolio/history?period=1D&start=2025-03-01&end=2025-03-02", INVALID, 422),)),
    ("8.8", "no watchlists", (get("/v2/watchlists", []),)),
    (
        "8.8",
        "make one",
        (
            Call(
                "POST",
                "/v2/watchlists",
                {"name": "mine", "symbols": ["SPY", "TECL"]},
                has={"name": "mine", "assets": [{"symbol": "SPY"}, {"symbol": "TECL"}], "account_id": ANYTHING},
                save="w",
            ),
            get("/v2/watchlists", [{"id": "{w}", "assets": ABSENT}]),
        ),
    ),
    (
        "8.8",
        "a name that is taken",
        (Call("POST", "/v2/watchlists", {"name": "mine"}), Call("POST", "/v2/watchlists", {"name": "mine"}, status=422, has=INVALID)),
    ),
    ("8.8", "no name", (Call("POST", "/v2/watchlists", {}, status=422, has=INVALID),)),
    (
        "8.8",
        "a symbol that is unknown",
        (Call("POST", "/v2/watchlists", {"name": "mine", "symbols": ["NOPE"]}, status=404, has=NOT_FOUND),),
    ),
    (
        "8.8",
        "by id: add, take away, rename, forget",
        (
            Call("POST", "/v2/watchlists", {"name": "mine"}, save="w"),
            Call("POST", "/v2/watchlists/{w}", {"symbol": "SPY"}, has={"assets": [{"symbol": "SPY"}]}),
            Call("DELETE", "/v2/watchlists/{w}/SPY", has={"assets": []}),
            Call("PUT", "/v2/watchlists/{w}", {"name": "other", "symbols": ["BIL"]}, has={"name": "other", "assets": [{"symbol": "BIL"}]}),
            Call("DELETE", "/v2/watchlists/{w}", status=204),
            get("/v2/watchlists/{w}", NOT_FOUND, 404),
        ),
    ),
    (
        "8.8",
        "by name: the same",
        (
            Call("POST", "/v2/watchlists", {"name": "my list"}, save="w"),
            get("/v2/watchlists:by_name?name=my+list", {"id": "{w}"}),
            Call("POST", "/v2/watchlists:by_name?name=my+list", {"symbol": "SPY"}, has={"assets": [{"symbol": "SPY"}]}),
            Call("DELETE", "/v2/watchlists:by_name/SPY?name=my+list", has={"assets": []}),
            Call("PUT", "/v2/watchlists:by_name?name=my+list", {"name": "other"}, has={"name": "other"}),
            Call("DELETE", "/v2/watchlists:by_name?name=other", status=204),
        ),
    ),
    ("8.8", "a name that is missing", (get("/v2/watchlists:by_name", INVALID, 422),)),
    ("8.8", "a list that is unknown", (get(f"/v2/watchlists/{UNKNOWN}", NOT_FOUND, 404),)),
    ("8.8", "an id of a list that is none", (get("/v2/watchlists/mine", {**INVALID, "message": "watchlist_id is missing"}, 422),)),
    (
        "8.8",
        "a symbol that is not in the list",
        (Call("POST", "/v2/watchlists", {"name": "mine"}, save="w"), Call("DELETE", "/v2/watchlists/{w}/SPY", status=404, has=NOT_FOUND)),
    ),
    ("8.8", "announcements", (get("/v2/corporate_actions/announcements?ca_types=dividend&since=2025-01-01&until=2025-03-03", ANYTHING),)),
    (
        "8.8",
        "announcements of more than ninety days",
        (get("/v2/corporate_actions/announcements?ca_types=split&since=2024-01-01&until=2025-03-03", INVALID, 422),),
    ),
]

EVENT_ROWS: Final[list[Row]] = [
    (
        "4.2",
        "a market order",
        (
            SPY,
            send(order()),
            FILLS,
            Events(
                (
                    ("pending_new", "o", {"execution_id": None}),
                    ("new", "o"),
                    (
                        "fill",
                        "o",
                        {"price": "500", "qty": "1", "position_qty": "1", "execution_id": ANYTHING, "order": {"status": "filled"}},
                    ),
                )
            ),
        ),
    ),
    (
        "4.2",
        "a partial fill",
        (
            Quote("SPY", 499.98, 500.00, 10),
            send(limit("500.00", qty="30")),
            FILLS,
            Events(
                (
                    ("pending_new", "o"),
                    ("new", "o"),
                    ("partial_fill", "o", {"qty": "10", "order": {"status": "partially_filled", "filled_qty": "10"}}),
                )
            ),
        ),
    ),
    (
        "4.2",
        "a cancel",
        (
            send(limit("1.00")),
            FILLS,
            Call("DELETE", "/v2/orders/{o}", status=204),
            FILLS,
            Events((("pending_new", "o"), ("new", "o"), ("pending_cancel", "o"), ("canceled", "o", {"order": {"status": "canceled"}}))),
        ),
    ),
    (
        "4.2",
        "a replacement",
        (
            send(limit("1.00")),
            FILLS,
            Call("PATCH", "/v2/orders/{o}", {"qty": 2}, save="n"),
            FILLS,
            Events(
                (
                    ("pending_new", "o"),
                    ("new", "o"),
                    ("pending_replace", "o"),
                    ("pending_new", "n"),
                    ("replaced", "o", {"order": {"limit_price": "1", "replaced_by": "{n}"}}),
                    ("new", "n", {"order": {"replaces": "{o}"}}),
                )
            ),
        ),
    ),
    ("4.2", "an expiry", (send(limit("1.00")), NIGHT, Events((("pending_new", "o"), ("new", "o"), ("expired", "o"))))),
    ("4.2", "an order of a closed market", (NIGHT, send(limit("1.00")), Events((("accepted", "o", {"order": {"status": "accepted"}}),)))),
    (
        "5.2",
        "an event's own members",
        (send(limit("1.00")), Events((("pending_new", "o", {"event_id": ANYTHING, "at": ANYTHING, "timestamp": ANYTHING}),))),
    ),
    (
        "5.1",
        "auth",
        (
            Connect("/stream"),
            Say(AUTH),
            Hear({"stream": "authorization", "data": {"action": "authenticate", "status": "authorized", "message": ABSENT}}),
        ),
    ),
    (
        "5.1",
        "legacy auth",
        (Connect("/stream"), Say(LEGACY), Hear({"stream": "authorization", "data": {"status": "authorized", "message": ANYTHING}})),
    ),
    (
        "5.1",
        "bad keys",
        (
            Connect("/stream"),
            Say({**AUTH, "secret": "x"}),
            Hear({"stream": "authorization", "data": {"status": "unauthorized", "action": "authenticate"}}),
        ),
    ),
    (
        "5.1",
        "listen before auth",
        (
            Connect("/stream"),
            Say({"action": "listen", "data": {"streams": ["trade_updates"]}}),
            Hear({"stream": "authorization", "data": {"status": "unauthorized", "action": "listen"}}),
        ),
    ),
    (
        "5.1",
        "listen",
        (
            Connect("/stream"),
            Say(AUTH),
            Hear(ANYTHING),
            Say({"action": "listen", "data": {"streams": ["trade_updates", "other"]}}),
            Hear({"stream": "listening", "data": {"streams": ["trade_updates"]}}),
        ),
    ),
    (
        "5.1",
        "listen to nothing",
        (
            Connect("/stream"),
            Say(AUTH),
            Hear(ANYTHING),
            Say({"action": "listen", "data": {"streams": []}}),
            Hear({"data": {"streams": []}}),
        ),
    ),
    ("5.1", "garbage", (Connect("/stream"), Say("{"), Hear({"action": "error", "data": {"error_message": ANYTHING}}))),
    ("5.1", "binary garbage", (Connect("/stream"), Say(b"\xff\x00"), Hear({"action": "error"}))),
    (
        "5.1",
        "listen without a list",
        (Connect("/stream"), Say(AUTH), Hear(ANYTHING), Say({"action": "listen", "data": 7}), Hear({"action": "error"})),
    ),
    (
        "5.3",
        "a second connection",
        (
            Connect("/stream"),
            Connect("/stream", "t"),
            Say(AUTH),
            Hear(ANYTHING),
            Say(AUTH, "t"),
            Hear({"action": "error", "data": {"error_message": Has("connection limit")}}, "t"),
            Closed("t"),
        ),
    ),
]

STREAM_ROWS: Final[list[Row]] = [
    ("6.1", "welcome", (Connect("/v2/sip"), WELCOME)),
    ("6.1", "auth by message", (Connect("/v2/sip"), WELCOME, Say(AUTH), AUTHENTICATED)),
    ("6.1", "auth by headers", (Connect("/v2/iex", headers=HEADERS), WELCOME, AUTHENTICATED)),
    (
        "6.1",
        "the acknowledgement holds the whole state",
        (
            Connect("/v2/sip", headers=HEADERS),
            WELCOME,
            AUTHENTICATED,
            Say({"action": "subscribe", "trades": ["SPY"]}),
            Hear(
                [
                    {
                        "T": "subscription",
                        "trades": ["SPY"],
                        "quotes": [],
                        "bars": [],
                        "updatedBars": [],
                        "dailyBars": [],
                        "statuses": [],
                        "lulds": [],
                        "corrections": ["SPY"],
                        "cancelErrors": ["SPY"],
                        "imbalances": ABSENT,
                    }
                ]
            ),
        ),
    ),
    (
        "6.1",
        "subscriptions add up",
        (
            Connect("/v2/sip", headers=HEADERS),
            WELCOME,
            AUTHENTICATED,
            Say({"action": "subscribe", "quotes": ["SPY"]}),
            Hear(ANYTHING),
            Say({"action": "subscribe", "quotes": ["BIL"], "bars": ["*"]}),
            Hear([{"quotes": ["SPY", "BIL"], "bars": ["*"]}]),
        ),
    ),
    (
        "6.1",
        "unsubscribe",
        (
            Connect("/v2/sip", headers=HEADERS),
            WELCOME,
            AUTHENTICATED,
            Say({"action": "subscribe", "quotes": ["SPY", "BIL"]}),
            Hear(ANYTHING),
            Say({"action": "unsubscribe", "quotes": ["SPY", "NOPE"]}),
            Hear([{"quotes": ["BIL"]}]),
        ),
    ),
    (
        "6.1",
        "imbalances can be subscribed to",
        (
            Connect("/v2/sip", headers=HEADERS),
            WELCOME,
            AUTHENTICATED,
            Say({"action": "subscribe", "imbalances": ["SPY"]}),
            Hear([{"T": "subscription"}]),
        ),
    ),
    ("6.3", "400 no JSON", (Connect("/v2/sip"), WELCOME, Say("{"), Hear([{"T": "error", "code": 400, "msg": "invalid syntax"}]))),
    ("6.3", "400 no action", (Connect("/v2/sip"), WELCOME, Say({"trades": ["SPY"]}), Hear([{"code": 400}]))),
    (
        "6.3",
        "400 symbols that are no list",
        (Connect("/v2/sip", headers=HEADERS), WELCOME, AUTHENTICATED, Say({"action": "subscribe", "trades": "SPY"}), Hear([{"code": 400}])),
    ),
    ("6.3", "400 binary garbage", (Connect("/v2/sip"), WELCOME, Say(b"\xc1\xff"), Hear([{"code": 400}]))),
    (
        "6.3",
        "401 not authenticated",
        (Connect("/v2/sip"), WELCOME, Say({"action": "subscribe", "trades": ["SPY"]}), Hear([{"code": 401, "msg": "not authenticated"}])),
    ),
    (
        "6.3",
        "402 auth failed",
        (Connect("/v2/sip"), WELCOME, Say({**AUTH, "secret": "x"}), Hear([{"code": 402, "msg": "auth failed"}]), Closed()),
    ),
    (
        "6.3",
        "402 keys that are no text",
        (Connect("/v2/sip"), WELCOME, Say({"action": "auth", "key": 1, "secret": 2}), Hear([{"code": 402}]), Closed()),
    ),
    (
        "6.3",
        "403 already authenticated",
        (Connect("/v2/sip", headers=HEADERS), WELCOME, AUTHENTICATED, Say(AUTH), Hear([{"code": 403, "msg": "already authenticated"}])),
    ),
    (
        "6.3",
        "405 symbol limit",
        (
            Connect("/v2/sip", headers=HEADERS),
            WELCOME,
            AUTHENTICATED,
            Say({"action": "subscribe", "trades": ["SPY", "BIL"], "quotes": ["TECL"]}),
            Hear([{"code": 405, "msg": "symbol limit exceeded"}]),
            Say({"action": "subscribe", "trades": ["SPY"]}),
            Hear([{"trades": ["SPY"], "quotes": []}]),
        ),
        {"server": ServerSettings(symbol_limit=2)},
    ),
    (
        "6.3",
        "bars are not counted",
        (
            Connect("/v2/sip", headers=HEADERS),
            WELCOME,
            AUTHENTICATED,
            Say({"action": "subscribe", "bars": ["SPY", "BIL", "TECL"]}),
            Hear([{"T": "subscription"}]),
        ),
        {"server": ServerSettings(symbol_limit=2)},
    ),
    (
        "6.3",
        "406 connection limit",
        (
            Connect("/v2/sip", headers=HEADERS),
            WELCOME,
            AUTHENTICATED,
            Connect("/v2/sip", "t", HEADERS),
            Hear([{"msg": "connected"}], "t"),
            Hear([{"code": 406, "msg": "connection limit exceeded"}], "t"),
            Closed("t"),
        ),
    ),
    (
        "6.3",
        "409 feed not in the plan",
        (Connect("/v2/sip"), WELCOME, Say(AUTH), Hear([{"code": 409, "msg": "insufficient subscription"}]), Closed()),
        {"server": ServerSettings(plan=("iex",))},
    ),
    (
        "6.3",
        "410 no such channel",
        (
            Connect("/v2/sip", headers=HEADERS),
            WELCOME,
            AUTHENTICATED,
            Say({"action": "subscribe", "options": ["SPY"]}),
            Hear([{"code": 410, "msg": "invalid subscribe action for this feed"}]),
        ),
    ),
    (
        "6.4",
        "a quote",
        (
            Connect("/v2/sip", headers=HEADERS),
            WELCOME,
            AUTHENTICATED,
            Say({"action": "subscribe", "quotes": ["SPY"]}),
            Hear(ANYTHING),
            SPY,
            Hear(
                [
                    {
                        "T": "q",
                        "S": "SPY",
                        "bp": 499.98,
                        "ap": 500.0,
                        "bs": 1000,
                        "as": 1000,
                        "bx": ANYTHING,
                        "ax": ANYTHING,
                        "c": ANYTHING,
                        "t": ANYTHING,
                        "z": ANYTHING,
                    }
                ]
            ),
        ),
    ),
    (
        "6.4",
        "a trade",
        (
            Connect("/v2/sip", headers=HEADERS),
            WELCOME,
            AUTHENTICATED,
            Say({"action": "subscribe", "trades": ["SPY"]}),
            Hear(ANYTHING),
            Control("trade", {"symbol": "SPY", "price": 501.5, "size": 7}),
            Hear([{"T": "t", "S": "SPY", "p": 501.5, "s": 7, "i": ANYTHING, "x": ANYTHING, "c": ANYTHING, "t": ANYTHING, "z": ANYTHING}]),
        ),
    ),
    (
        "6.4",
        "a halt",
        (
            Connect("/v2/sip", headers=HEADERS),
            WELCOME,
            AUTHENTICATED,
            Say({"action": "subscribe", "statuses": ["*"]}),
            Hear(ANYTHING),
            Control("halt", {"symbol": "SPY", "halted": True}),
            Hear([{"T": "s", "S": "SPY", "sc": "2", "sm": "Trading Halt", "rc": ANYTHING, "rm": ANYTHING, "t": ANYTHING, "z": ANYTHING}]),
        ),
    ),
    (
        "6.4",
        "a correction follows the trades",
        (
            Connect("/v2/sip", headers=HEADERS),
            WELCOME,
            AUTHENTICATED,
            Control("trade", {"symbol": "SPY", "price": 501.5, "size": 7}),
            Say({"action": "subscribe", "trades": ["SPY"]}),
            Hear(ANYTHING),
            Control("correction", {"symbol": "SPY", "price": 500.5}),
            Hear(
                [
                    {
                        "T": "c",
                        "S": "SPY",
                        "op": 501.5,
                        "os": 7,
                        "cp": 500.5,
                        "cs": 7,
                        "oi": ANYTHING,
                        "ci": ANYTHING,
                        "x": ANYTHING,
                        "oc": ANYTHING,
                        "cc": ANYTHING,
                    }
                ]
            ),
        ),
    ),
    (
        "6.4",
        "a cancel follows the trades",
        (
            Connect("/v2/sip", headers=HEADERS),
            WELCOME,
            AUTHENTICATED,
            Control("trade", {"symbol": "SPY", "price": 501.5, "size": 7}),
            Say({"action": "subscribe", "trades": ["SPY"]}),
            Hear(ANYTHING),
            Control("cancel-trade", {"symbol": "SPY", "action": "E"}),
            Hear([{"T": "x", "S": "SPY", "p": 501.5, "s": 7, "a": "E", "i": ANYTHING, "x": ANYTHING, "z": ANYTHING}]),
        ),
    ),
    (
        "6.4",
        "limit bands",
        (
            Connect("/v2/sip", headers=HEADERS),
            WELCOME,
            AUTHENTICATED,
            Say({"action": "subscribe", "lulds": ["SPY"]}),
            Hear(ANYTHING),
            Control("bands", {"symbol": "SPY", "down": 450, "up": 550}),
            Hear([{"T": "l", "S": "SPY", "u": 550.0, "d": 450.0, "i": ANYTHING, "t": ANYTHING, "z": ANYTHING}]),
        ),
    ),
    (
        "6.4",
        "a minute bar",
        (
            Connect("/v2/sip", headers=HEADERS),
            WELCOME,
            AUTHENTICATED,
            Say({"action": "subscribe", "bars": ["SPY"]}),
            Hear(ANYTHING),
            Forward(60),
            Hear(
                [
                    {
                        "T": "b",
                        "S": "SPY",
                        "o": ANYTHING,
                        "h": ANYTHING,
                        "l": ANYTHING,
                        "c": ANYTHING,
                        "v": ANYTHING,
                        "n": ANYTHING,
                        "vw": ANYTHING,
                        "t": "2025-03-03T14:30:00Z",
                    }
                ]
            ),
        ),
    ),
    (
        "6.4",
        "a daily bar",
        (
            Connect("/v2/sip", headers=HEADERS),
            WELCOME,
            AUTHENTICATED,
            Say({"action": "subscribe", "dailyBars": ["SPY"]}),
            Hear(ANYTHING),
            Forward(60),
            Hear([{"T": "d", "S": "SPY", "t": "2025-03-03T05:00:00Z"}]),
        ),
    ),
    (
        "6.5",
        "the test feed's acknowledgement",
        (
            Connect("/v2/test", headers=HEADERS),
            WELCOME,
            AUTHENTICATED,
            Say({"action": "subscribe", "trades": ["FAKEPACA"]}),
            Hear([{"T": "subscription", "trades": ["FAKEPACA"], "quotes": [], "bars": [], "statuses": ABSENT, "corrections": ABSENT}]),
        ),
    ),
    (
        "6.5",
        "the test feed runs at night",
        (
            NIGHT,
            Connect("/v2/test", headers=HEADERS),
            WELCOME,
            AUTHENTICATED,
            Say({"action": "subscribe", "trades": ["FAKEPACA"]}),
            Hear(ANYTHING),
            Forward(5),
            Hear([{"T": "t", "S": "FAKEPACA"}]),
        ),
    ),
]

DATA_ROWS: Final[list[Row]] = [
    (
        "7.1",
        "daily bars",
        (
            get(
                "/v2/stocks/bars?symbols=SPY&timeframe=1Day&start=2025-02-28&end=2025-02-28",
                {
                    "bars": {
                        "SPY": [
                            {
                                "t": "2025-02-28T05:00:00Z",
                                "o": ANYTHING,
                                "h": ANYTHING,
                                "l": ANYTHING,
                                "c": ANYTHING,
                                "v": ANYTHING,
                                "n": ANYTHING,
                                "vw": ANYTHING,
                            }
                        ]
                    },
                    "next_page_token": None,
                },
            ),
        ),
    ),
    (
        "7.1",
        "one symbol's bars",
        (
            get(
                "/v2/stocks/SPY/bars?timeframe=1Day&start=2025-02-28&end=2025-02-28",
                {"symbol": "SPY", "bars": [{"t": "2025-02-28T05:00:00Z"}], "next_page_token": None},
            ),
        ),
    ),
    (
        "7.1",
        "bars of nobody",
        (get("/v2/stocks/bars?symbols=NOPE&timeframe=1Day&start=2025-02-28", {"bars": {}, "next_page_token": None}),),
    ),
    (
        "7.2",
        "the last minute",
        (
            Forward(120),
            get(
                "/v2/stocks/bars?symbols=SPY&timeframe=1Min&limit=1",
                {"bars": {"SPY": [{"t": "2025-03-03T14:30:00Z"}]}, "next_page_token": ANYTHING},
            ),
        ),
    ),
    (
        "7.2",
        "newest first",
        (
            Forward(120),
            get("/v2/stocks/bars?symbols=SPY&timeframe=1Min&limit=1&sort=desc", {"bars": {"SPY": [{"t": "2025-03-03T14:31:00Z"}]}}),
        ),
    ),
    (
        "7.2",
        "hours",
        (
            Forward(7200),
            get(
                "/v2/stocks/SPY/bars?timeframe=1Hour",
                {"bars": [{"t": "2025-03-03T14:00:00Z"}, {"t": "2025-03-03T15:00:00Z"}, {"t": "2025-03-03T16:00:00Z"}]},
            ),
        ),
    ),
    (
        "7.2",
        "weeks",
        (
            get(
                "/v2/stocks/SPY/bars?timeframe=1Week&start=2025-02-17&end=2025-02-24",
                {"bars": [{"t": "2025-02-17T05:00:00Z"}, {"t": "2025-02-24T05:00:00Z"}]},
            ),
        ),
    ),
    (
        "7.2",
        "months",
        (
            get(
                "/v2/stocks/SPY/bars?timeframe=1Month&start=2025-01-01&end=2025-02-01",
                {"bars": [{"t": "2025-01-01T05:00:00Z"}, {"t": "2025-02-01T05:00:00Z"}]},
            ),
        ),
    ),
    ("7.2", "short spelling of a time frame", (get("/v2/stocks/SPY/bars?timeframe=1D&start=2025-02-28", ANYTHING),)),
    ("7.2", "adjustments combine", (get("/v2/stocks/SPY/bars?timeframe=1Day&start=2025-02-28&adjustment=split,dividend", ANYTHING),)),
    ("7.2", "no time frame", (asks("/v2/stocks/bars?symbols=SPY"),)),
    ("7.2", "sixty minutes", (asks("/v2/stocks/bars?symbols=SPY&timeframe=60Min"),)),
    ("7.2", "twenty-four hours", (asks("/v2/stocks/bars?symbols=SPY&timeframe=24Hour"),)),
    ("7.2", "two days", (asks("/v2/stocks/bars?symbols=SPY&timeframe=2Day"),)),
    ("7.2", "five months", (asks("/v2/stocks/bars?symbols=SPY&timeframe=5Month"),)),
    ("7.2", "no symbols", (asks("/v2/stocks/bars?timeframe=1Day"),)),
    ("7.2", "a symbol that is none", (asks("/v2/stocks/bars?timeframe=1Day&symbols=S%20Y!"),)),
    ("7.2", "an adjustment that is none", (asks("/v2/stocks/bars?symbols=SPY&timeframe=1Day&adjustment=up"),)),
    ("7.2", "a limit too large", (asks("/v2/stocks/bars?symbols=SPY&timeframe=1Day&limit=10001"),)),
    ("7.2", "a limit of nothing", (asks("/v2/stocks/bars?symbols=SPY&timeframe=1Day&limit=0"),)),
    ("7.2", "a start that is none", (asks("/v2/stocks/bars?symbols=SPY&timeframe=1Day&start=now"),)),
    ("7.2", "a sort that is none", (asks("/v2/stocks/trades?symbols=SPY&sort=up"),)),
    ("7.2", "a page token that is none", (asks("/v2/stocks/quotes?symbols=SPY&page_token=!"),)),
    ("7.1", "latest bar", (Forward(120), get("/v2/stocks/SPY/bars/latest", {"symbol": "SPY", "bar": {"t": "2025-03-03T14:31:00Z"}}))),
    ("7.1", "latest quote", (SPY, get("/v2/stocks/SPY/quotes/latest", {"symbol": "SPY", "quote": {"bp": 499.98, "ap": 500.0}}))),
    (
        "7.1",
        "latest trade",
        (
            Control("trade", {"symbol": "SPY", "price": 501.5, "size": 7}),
            get("/v2/stocks/SPY/trades/latest", {"symbol": "SPY", "trade": {"p": 501.5, "s": 7}}),
        ),
    ),
    (
        "7.1",
        "latest quotes of many",
        (SPY, get("/v2/stocks/quotes/latest?symbols=SPY,NOPE", {"quotes": {"SPY": {"bp": 499.98}, "NOPE": ABSENT}})),
    ),
    (
        "7.1",
        "snapshots",
        (
            Forward(120),
            get(
                "/v2/stocks/snapshots?symbols=SPY",
                {
                    "SPY": {
                        "latestTrade": {"p": ANYTHING},
                        "latestQuote": {"bp": ANYTHING},
                        "minuteBar": {"t": ANYTHING},
                        "dailyBar": {"t": "2025-03-03T05:00:00Z"},
                        "prevDailyBar": {"t": "2025-02-28T05:00:00Z"},
                    }
                },
            ),
        ),
    ),
    ("7.1", "one snapshot", (get("/v2/stocks/SPY/snapshot", {"symbol": "SPY", "prevDailyBar": {"t": "2025-02-28T05:00:00Z"}}),)),
    (
        "7.1",
        "trades",
        (
            Forward(60),
            get(
                "/v2/stocks/SPY/trades?limit=1",
                {
                    "symbol": "SPY",
                    "trades": [{"t": ANYTHING, "x": ANYTHING, "p": ANYTHING, "s": ANYTHING, "c": ANYTHING, "i": ANYTHING, "z": ANYTHING}],
                },
            ),
        ),
    ),
    (
        "7.1",
        "quotes",
        (
            Forward(60),
            get(
                "/v2/stocks/SPY/quotes?limit=1",
                {
                    "quotes": [
                        {"t": ANYTHING, "ax": ANYTHING, "ap": ANYTHING, "as": ANYTHING, "bx": ANYTHING, "bp": ANYTHING, "bs": ANYTHING}
                    ]
                },
            ),
        ),
    ),
    (
        "7.1",
        "auctions",
        (
            get(
                "/v2/stocks/auctions?symbols=SPY&start=2025-02-28&end=2025-02-28T23:00:00Z",
                {"auctions": {"SPY": [{"d": "2025-02-28", "o": [{"c": "Q"}], "c": [{"c": "M"}]}]}},
            ),
        ),
    ),
    ("7.1", "exchange codes", (get("/v2/stocks/meta/exchanges", {"P": "NYSE Arca", "V": "IEX"}),)),
    ("7.1", "condition codes", (get("/v2/stocks/meta/conditions/trade?tape=C", {"@": "Regular Sale"}),)),
    ("7.1", "a kind that is none", (asks("/v2/stocks/meta/conditions/mood?tape=C"),)),
    (
        "7.1",
        "most actives",
        (get("/v1beta1/screener/stocks/most-actives?top=2", {"most_actives": [ANYTHING, ANYTHING], "last_updated": ANYTHING}),),
    ),
    ("7.1", "movers", (get("/v1beta1/screener/stocks/movers", {"gainers": ANYTHING, "losers": ANYTHING, "market_type": "stocks"}),)),
    ("7.4", "no corporate actions today", (get("/v1/corporate-actions?symbols=SPY", {"corporate_actions": {}, "next_page_token": None}),)),
    ("7.4", "a type that is none", (asks("/v1/corporate-actions?types=party"),)),
    (
        "7.4",
        "what is announced is shown",
        (
            Control(
                "corporate-actions", {"name_changes": [{"id": "x", "old_symbol": "SPY", "new_symbol": "BIL", "process_date": "2025-03-05"}]}
            ),
            get(
                "/v1/corporate-actions?types=name_change&start=2025-03-05&end=2025-03-05",
                {"corporate_actions": {"name_changes": [{"id": "x"}]}},
            ),
        ),
    ),
    ("7.2", "nothing of the future", (get("/v2/stocks/SPY/bars?timeframe=1Day&start=2025-03-04&end=2025-03-10", {"bars": []}),)),
    ("5.4", "until needs since", (get("/v2/events/trades?until=2025-03-03", {"message": Has("since is required")}, 400),)),
    (
        "5.4",
        "one kind of bound",
        (get("/v2/events/trades?since=2025-03-03&since_id=01J8ZC9W3S7N6T1Q4B2M0XK5RD", {"message": Has("cannot be used together")}, 400),),
    ),
    ("5.4", "an id that is none", (get("/v2beta1/events/activities?since_id=x", {"message": Has("not a ULID")}, 400),)),
]

ROWS: Final[list[Row]] = [
    *CREDENTIAL_ROWS,
    *SUBMIT_ROWS,
    *LIFE_ROWS,
    *LIST_ROWS,
    *COMPLEX_ROWS,
    *RULE_ROWS,
    *ACCOUNT_ROWS,
    *EVENT_ROWS,
    *STREAM_ROWS,
    *DATA_ROWS,
]
