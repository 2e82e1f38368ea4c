"""Contract cards of what broker and issuers do by themselves: executions are broken, margin is called, shares change.

Like the other cards, each begins at the open of an ordinary Monday with an account of a hundred thousand dollars.
"""

from typing import Any, Final

from alchemiser.exchange.settings import ExchangeSettings
from tests.protocol.exchange.cards import (
    AUTHENTICATED,
    FILLS,
    FORBIDDEN,
    INVALID,
    NOT_FOUND,
    SPY,
    UNKNOWN,
    UNPROCESSABLE,
    WELCOME,
    Row,
    asks,
    get,
    held,
    limit,
    order,
    refuse,
    send,
    shows,
)
from tests.protocol.exchange.contract import ABSENT, ANYTHING, Call, Connect, Control, Events, Forward, Has, Hear, Quote, Say, Step
from tests.protocol.exchange.harness import HEADERS

BOUGHT: Final = (("pending_new", "entry"), ("new", "entry"), ("fill", "entry"))


def told(event: str, name: str = "entry", **members: Any) -> tuple[str, str, dict[str, Any]]:
    """Return an event with parts of its data."""
    return event, name, members


CORRECTION_ROWS: Final[list[Row]] = [
    (
        "4.2",
        "a trade bust",
        (
            *held(),
            Control("bust", {"symbol": "SPY"}),
            Events(
                (
                    *BOUGHT,
                    told(
                        "trade_bust",
                        qty="-10",
                        price="500",
                        position_qty="0",
                        previous_execution_id=ANYTHING,
                        reason="TRADE_BUST",
                        order={"status": "filled", "filled_qty": "0", "filled_avg_price": None},
                    ),
                )
            ),
            get("/v2/positions", []),
            get("/v2/account", {"cash": "100000", "equity": "100000"}),
            shows("entry", status="filled", filled_qty="0"),
        ),
    ),
    (
        "4.2",
        "a trade correction",
        (
            *held(),
            Control("correct", {"symbol": "SPY", "price": "499"}),
            Events(
                (
                    *BOUGHT,
                    told(
                        "trade_correct",
                        qty="10",
                        price="499",
                        position_qty="10",
                        previous_execution_id=ANYTHING,
                        reason=ABSENT,
                        order={"filled_qty": "10", "filled_avg_price": "499"},
                    ),
                )
            ),
            get("/v2/positions/SPY", {"qty": "10", "avg_entry_price": "499", "cost_basis": "4990"}),
            get("/v2/account", {"cash": "95010"}),
        ),
    ),
    (
        "4.2",
        "only executions that are broken name another one",
        (SPY, send(order()), FILLS, Events((("pending_new", "o"), ("new", "o"), told("fill", "o", previous_execution_id=ABSENT)))),
    ),
    (
        "4.1",
        "a bust does not open an order again",
        (*held(), Control("bust", {}), Call("DELETE", "/v2/orders/{entry}", status=422, has=UNPROCESSABLE)),
    ),
    (
        "4.1",
        "an open order is filled again after a bust",
        (
            Quote("SPY", 499.98, 500.00, 10),
            send(limit("500.00", qty="30")),
            FILLS,
            Control("bust", {"symbol": "SPY"}),
            shows("o", status="new", filled_qty="0"),
            Quote("SPY", 499.98, 500.00, 50),
            FILLS,
            shows("o", status="filled", filled_qty="30"),
        ),
    ),
    (
        "8.6",
        "the activities tell of a bust",
        (
            *held("10"),
            Control("bust", {}),
            get(
                "/v2/account/activities/FILL",
                [{"type": "trade_bust", "qty": "-10", "cum_qty": "0", "previous_id": ANYTHING}, {"type": "fill", "qty": "10"}],
            ),
        ),
    ),
    ("4.2", "an execution is broken once", (*held(), Control("bust", {}), Call("POST", "/_exchange/bust", {}, status=404, has=NOT_FOUND))),
    ("4.2", "an execution that never was", (Call("POST", "/_exchange/bust", {"execution_id": UNKNOWN}, status=404, has=NOT_FOUND),)),
    (
        "4.2",
        "a correction of more than was asked for",
        (*held(), Call("POST", "/_exchange/correct", {"qty": "11"}, status=422, has={**UNPROCESSABLE, "message": Has("asked for")})),
    ),
    (
        "9.5",
        "no fee for a broken trade",
        (
            *held("100"),
            send(order(side="sell", qty="100"), "exit"),
            FILLS,
            Control("bust", {}),
            Control("bust", {}),
            Forward(24 * 3600),
            get("/v2/account/activities/FEE", []),
        ),
        {"core": ExchangeSettings(fees=True)},
    ),
]

TECL: Final = Quote("TECL", 100.00, 100.00, 5_000, last=100.00)
LEVERAGED: Final[tuple[Step, ...]] = (TECL, send(order(symbol="TECL", qty="1300"), "entry"), FILLS)
FALLEN: Final = Quote("TECL", 80.00, 80.00, 5_000, last=80.00)
EVENING: Final = Forward(7 * 3600)

MARGIN_ROWS: Final[list[Row]] = [
    (
        "9.2",
        "an order that would make a margin deficit",
        (
            TECL,
            refuse(order(symbol="TECL", qty="1334"), 403, FORBIDDEN, "insufficient buying power"),
            send(order(symbol="TECL", qty="1333")),
        ),
    ),
    (
        "9.2",
        "buying power beyond the maintenance margin, by switch",
        (TECL, send(order(symbol="TECL", qty="1900"))),
        {"core": ExchangeSettings(refuse_margin_deficits=False)},
    ),
    ("9.2", "no margin call without a deficit", (*held(), EVENING, get("/_exchange/margin", {"call": None, "frozen_until": None}))),
    (
        "9.2",
        "a deficit at the close is called",
        (
            *LEVERAGED,
            FALLEN,
            get("/_exchange/margin", {"call": None}),
            EVENING,
            get("/_exchange/margin", {"call": {"issued_on": "2025-03-03", "closes": 0, "amount": ANYTHING}, "frozen_until": None}),
        ),
    ),
    (
        "9.2",
        "maintenance of a threefold fund",
        (*LEVERAGED, get("/v2/account", {"maintenance_margin": "97500", "initial_margin": "65000", "multiplier": "2"})),
    ),
]

CANCEL_ROWS: Final[list[Row]] = [
    (
        "3.1",
        "cancel all, one of them refused",
        (
            SPY,
            send(limit("400.00"), "first"),
            FILLS,
            Call("PATCH", "/v2/orders/{first}", {"qty": 2}, save="second"),
            Call(
                "DELETE",
                "/v2/orders",
                status=207,
                has=[
                    {"id": "{first}", "status": 422, "body": {**UNPROCESSABLE, "message": Has("replace is pending")}},
                    {"id": "{second}", "status": 422, "body": UNPROCESSABLE},
                ],
            ),
        ),
        {"core": ExchangeSettings(replace_ms=60_000)},
    ),
    (
        "3.1",
        "cancel all, none of them refused",
        (
            SPY,
            send(limit("400.00"), "first"),
            FILLS,
            Call("DELETE", "/v2/orders", status=207, has=[{"id": "{first}", "status": 200, "body": ABSENT}]),
            FILLS,
            Call("DELETE", "/v2/orders", status=207, has=[]),
        ),
    ),
]

HOSTILE_ROWS: Final[list[Row]] = [
    ("2.1", "a position intent that is an empty list", (refuse(order(position_intent=[]), 422, INVALID),)),
    (
        "6.3",
        "a second authentication that is malformed",
        (
            Connect("/v2/sip", headers=HEADERS),
            WELCOME,
            AUTHENTICATED,
            Say({"action": "auth", "key": None}),
            Hear([{"T": "error", "code": 403}]),
            Say({"action": "subscribe", "quotes": []}),
            Hear([{"T": "subscription"}]),
        ),
    ),
    (
        "7.2",
        "quotes since the beginning of time",
        (get("/v2/stocks/quotes?symbols=BIL&start=0001-01-01&limit=1", {"quotes": {"BIL": [ANYTHING]}}),),
    ),
    ("7.2", "trades after the end of time", (get("/v2/stocks/trades?symbols=BIL&start=9999-12-31", {"trades": {}}),)),
    ("7.2", "auctions before the first bar", (get("/v2/stocks/auctions?symbols=BIL&start=0001-01-01&end=2014-12-31", {"auctions": {}}),)),
]

CALENDAR_ROWS: Final[list[Row]] = [
    (
        "8.5",
        "clock of version 3",
        (
            get(
                "/v3/clock?markets=nyse",
                {
                    "clocks": [
                        {
                            "market": {"mic": "XNYS", "acronym": "NYSE", "timezone": "America/New_York"},
                            "is_market_day": True,
                            "phase": "core",
                            "phase_until": "2025-03-03T16:00:00-05:00",
                            "next_market_open": "2025-03-04T09:30:00-05:00",
                            "next_market_close": "2025-03-03T16:00:00-05:00",
                        }
                    ]
                },
            ),
        ),
    ),
    (
        "8.5",
        "phases of version 3",
        tuple(
            get(f"/v3/clock?markets=NASDAQ&time={time}", {"clocks": [{"phase": phase, "phase_until": until}]})
            for time, phase, until in (
                ("2025-03-04T09:00:00Z", "pre", "2025-03-04T09:30:00-05:00"),
                ("2025-03-04T21:00:00Z", "post", "2025-03-04T20:00:00-05:00"),
                ("2025-03-05T01:00:00Z", "closed", "2025-03-05T04:00:00-05:00"),
                ("2025-03-08T15:00:00Z", "closed", "2025-03-10T04:00:00-04:00"),
                ("2025-07-03T17:00:00Z", "post", "2025-07-03T17:00:00-04:00"),
            )
        ),
    ),
    ("8.5", "all markets of version 3", (get("/v3/clock", {"clocks": [{"phase": "core"}, {"phase": "core"}]}),)),
    ("8.5", "a market that is none", (asks("/v3/clock?markets=MARS"), get("/v3/calendar/MARS", NOT_FOUND, 404))),
    ("8.5", "times outside of the calendar", (asks("/v3/clock?time=0001-01-01"), asks("/v3/clock?time=9999-12-31"))),
    (
        "8.5",
        "calendar of version 3",
        (
            get(
                "/v3/calendar/NYSE?start=2025-07-03&end=2025-07-06",
                {
                    "market": {"acronym": "NYSE"},
                    "calendar": [
                        {
                            "date": "2025-07-03",
                            "pre_start": "2025-07-03T04:00:00-04:00",
                            "core_start": "2025-07-03T09:30:00-04:00",
                            "core_end": "2025-07-03T13:00:00-04:00",
                            "post_end": "2025-07-03T17:00:00-04:00",
                            "settlement_date": "2025-07-07",
                        }
                    ],
                },
            ),
            get("/v3/calendar/NYSE?start=9999-12-31&end=9999-12-31", {"calendar": []}),
            asks("/v3/calendar/NYSE?start=2025-03-05&end=2025-03-04"),
        ),
    ),
    ("8.5", "calendar of version 3, a week from today", (get("/v3/calendar/NASDAQ", {"calendar": [ANYTHING] * 6}),)),
]

PRINTED: Final = (Control("trade", {"symbol": "SPY", "price": 400.5, "size": 7}), Forward(1))
TRADES: Final = "/v2/stocks/SPY/trades?start=2025-03-03T14:30:00Z"
FIRST_TRADE: Final = "/v2/stocks/BIL/trades?start=2025-03-03T14:30:00Z&limit=1"
CANCELED: Final = {"trades": [{"p": 400.5, "u": "canceled"}]}

PRINT_ROWS: Final[list[Row]] = [
    (
        "7.3",
        "a trade that was corrected",
        (
            SPY,
            *PRINTED,
            Control("correction", {"symbol": "SPY", "price": 400.25}),
            Forward(1),
            Control("correction", {"symbol": "SPY", "price": 400.75, "size": 9}),
            get(
                f"{TRADES}&sort=desc&limit=4",
                {
                    "trades": [
                        {"p": 400.75, "s": 9, "u": "corrected"},
                        {"p": 400.25, "s": 7, "u": "incorrect"},
                        {"p": 400.5, "s": 7, "u": "incorrect"},
                        {"p": 500, "u": ABSENT},
                    ]
                },
            ),
            get("/v2/stocks/SPY/trades/latest", {"trade": {"p": 400.75, "s": 9}}),
        ),
    ),
    (
        "7.3",
        "a trade that was cancelled",
        (
            SPY,
            *PRINTED,
            Control("cancel-trade", {"symbol": "SPY"}),
            get(f"{TRADES}&sort=desc&limit=1", CANCELED),
        ),
    ),
    (
        "7.3",
        "a trade of the tape that was corrected",
        (
            Control("correction", {"symbol": "BIL", "price": 90.5}),
            Forward(1),
            get(FIRST_TRADE, {"trades": [{"u": "incorrect"}]}),
        ),
    ),
    (
        "7.3",
        "a trade that stands has no mark",
        (get(FIRST_TRADE, {"trades": [{"u": ABSENT}]}),),
    ),
]

BROKER_ROWS: Final[list[Row]] = [*CORRECTION_ROWS, *MARGIN_ROWS, *CANCEL_ROWS, *HOSTILE_ROWS, *CALENDAR_ROWS, *PRINT_ROWS]
