"""Recorded days on the exchange: clients hear every recorded trade and quote, and orders meet them."""

from pathlib import Path
from typing import Any

import pytest

from alchemiser.exchange.assembly import open_tape
from alchemiser.exchange.recordings import read_recordings
from alchemiser.exchange.tape import MarketTape
from tests.protocol.exchange.harness import CALENDAR, DAY, HEADERS, running
from tests.protocol.exchange.test_market_stream import opened, said

TRADES = """symbol,ts,price,size
XYZ,2025-03-03T14:30:00.000Z,100,10
XYZ,2025-03-03T14:30:01.250Z,100.5,20
XYZ,2025-03-03T14:30:01.250Z,99,30
XYZ,2025-03-03T14:30:01.500Z,100.5,40
XYZ,2025-03-03T14:30:05.000Z,100.5,50
"""
QUOTES = """symbol,ts,bid,bid_size,ask,ask_size,exchange
XYZ,2025-03-03T14:29:00Z,99,100,101,200,P
XYZ,2025-03-03T14:30:01.300Z,99,100,100,200,P
XYZ,2025-03-03T14:30:01.400Z,99,100,101,300,P
XYZ,2025-03-03T14:30:04.400Z,99,100,101,400,P
"""


@pytest.fixture
def recorded_tape(tmp_path: Path) -> MarketTape:
    """Return the first seconds of a day as they were recorded."""
    (tmp_path / "trades.csv").write_text(TRADES)
    (tmp_path / "quotes.csv").write_text(QUOTES)
    return open_tape(bars=None, calendar=CALENDAR, seed=1, recordings=read_recordings(tmp_path), day=DAY)


async def test_every_trade_and_quote_is_told(recorded_tape: MarketTape) -> None:
    """Between two ticks of the market nothing recorded is lost, and everything comes in the order in which it happened."""
    async with running(tape=recorded_tape) as exchange, exchange.stream("/v2/sip", HEADERS) as socket:
        await opened(socket, trades=["XYZ"], quotes=["XYZ"])
        await exchange.forward(30)
        heard: list[dict[str, Any]] = []
        while len(heard) < 7:
            heard += await said(socket)

    assert [(each["T"], each.get("p", each.get("as"))) for each in heard] == [
        *(("t", 100.5), ("t", 99), ("q", 200), ("q", 300), ("t", 100.5), ("q", 400), ("t", 100.5)),
    ]
    assert [each["t"] for each in heard[:3]] == ["2025-03-03T14:30:01.250000Z"] * 2 + ["2025-03-03T14:30:01.300000Z"]


async def test_orders_meet_what_was_recorded(recorded_tape: MarketTape) -> None:
    """A limit is filled by a quote that stood for a tenth of a second between two ticks; bars and trades of REST agree."""
    async with running(tape=recorded_tape) as exchange:
        limit = await exchange.buy("XYZ", "5", type="limit", limit_price="100.00")
        await exchange.forward(30)
        _, answer = await exchange.call("GET", f"/v2/orders/{limit['id']}")
        assert (answer["status"], answer["filled_avg_price"]) == ("filled", "100")
        _, bars = await exchange.call("GET", "/v2/stocks/XYZ/bars?timeframe=1Min")
        _, trades = await exchange.call("GET", "/v2/stocks/XYZ/trades")

    assert bars["bars"] == []  # the minute is not over
    assert [each["s"] for each in trades["trades"]] == [10, 20, 30, 40, 50]
