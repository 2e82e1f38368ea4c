"""A night in which a share splits, as a client sees it over REST (7.2, 7.4, 8.3, 8.6 and 9.4)."""

from pathlib import Path
from typing import Any

import pytest

from alchemiser.exchange.bars import BarFolder
from alchemiser.exchange.tape import MarketTape
from tests.protocol.exchange.harness import CALENDAR, Running, running, session

HOUR = 3_600.0


@pytest.fixture
def split_tape(tmp_path: Path) -> MarketTape:
    """Return a market of one fund that splits one for four on 4 March 2025, and paid a dollar a (new) share on 28 February."""
    rows = ("2025-02-27,102,104,101,104,1000,103,,", "2025-02-28,103,104,102,103,1000,103,1,", "2025-03-03,103,108,100,104,40000,104,,")
    more = ("2025-03-04,104,112,104,108,40000,108,,0.25", "2025-03-05,108,108,108,108,1000,108,,")
    lines = ("date,open,high,low,close,volume,adj_close,dividend,split", *rows, *more)
    (tmp_path / "XYZ.csv").write_text("\n".join(lines) + "\n")
    return MarketTape(BarFolder(tmp_path), CALENDAR, ["XYZ"], 1)


async def closes(exchange: Running, adjustment: str, frame: str = "1D") -> list[float]:
    """Return the closes of all daily bars, or of the last bar of each session."""
    path = f"/v2/stocks/XYZ/bars?timeframe={frame}&start=2025-02-27&limit=10000&adjustment={adjustment}"
    status, answer = await exchange.call("GET", path)
    assert status == 200
    last: dict[str, Any] = {bar["t"][:10]: bar["c"] for bar in answer["bars"]}
    return list(last.values())


async def test_a_share_splits_over_night(split_tape: MarketTape) -> None:
    """Before the ex-day the old share trades, from its pre-market on the new one; position, prices, bars and announcement agree."""
    async with running(tape=split_tape, days=2) as exchange:
        await exchange.forward(HOUR)
        await exchange.buy("XYZ", qty="40")
        await exchange.forward(5)
        _, held = await exchange.call("GET", "/v2/positions/XYZ")
        assert float(held["avg_entry_price"]) == pytest.approx(26, rel=0.05)
        far = {"symbol": "XYZ", "qty": "40", "side": "sell", "type": "limit", "limit_price": "90", "time_in_force": "gtc"}
        _, resting = await exchange.call("POST", "/v2/orders", far)
        _, quiet = await exchange.call("GET", "/v1/corporate-actions?symbols=XYZ&start=2025-03-01&end=2025-03-31")
        assert quiet["corporate_actions"] == {}
        assert await closes(exchange, "raw") == await closes(exchange, "split")
        _, before = await exchange.call("GET", "/v2/account")

        early = session().closes_at.timestamp() + 12.5 * HOUR
        await exchange.forward(early - exchange.clock.now().timestamp())

        _, split = await exchange.call("GET", "/v2/positions/XYZ")
        assert (split["qty"], split["current_price"]) == ("10", "104")
        assert float(split["avg_entry_price"]) == pytest.approx(4 * float(held["avg_entry_price"]))
        assert float(split["cost_basis"]) == pytest.approx(float(held["cost_basis"]))
        _, account = await exchange.call("GET", "/v2/account")
        assert account["cash"] == before["cash"]
        # What takes shares away cancels the orders for them.
        _, order = await exchange.call("GET", f"/v2/orders/{resting['id']}")
        assert order["status"] == "canceled"
        _, rows = await exchange.call("GET", "/v2/account/activities/SPLIT")
        assert [(row["symbol"], row["qty"], row["date"]) for row in rows] == [("XYZ", "-30", "2025-03-04")]
        _, told = await exchange.call("GET", "/v1/corporate-actions?symbols=XYZ&start=2025-03-01&end=2025-03-31")
        (row,) = told["corporate_actions"]["reverse_splits"]
        assert (row["ex_date"], row["new_rate"], row["old_rate"]) == ("2025-03-04", 1, 4)
        _, latest = await exchange.call("GET", "/v2/stocks/XYZ/quotes/latest")
        assert latest["quote"]["bp"] == pytest.approx(104, rel=0.01)
        assert latest["quote"]["ap"] > latest["quote"]["bp"]
        _, snapshot = await exchange.call("GET", "/v2/stocks/XYZ/snapshot")
        assert snapshot["latestTrade"]["p"] == 104

        await exchange.forward(session().closes_at.timestamp() + 24 * HOUR - exchange.clock.now().timestamp())

        assert await closes(exchange, "raw") == [26, 25.75, 26, 108]
        assert await closes(exchange, "split") == [104, 103, 104, 108]
        assert await closes(exchange, "dividend") == pytest.approx([25.75, 25.75, 26, 108])
        assert await closes(exchange, "all") == pytest.approx([103, 103, 104, 108])
        for adjustment in ("raw", "split", "dividend", "all"):
            assert await closes(exchange, adjustment, "1Min") == pytest.approx(await closes(exchange, adjustment))
        _, paid = await exchange.call("GET", "/v1/corporate-actions?symbols=XYZ&start=2025-02-28&end=2025-02-28")
        assert paid["corporate_actions"]["cash_dividends"][0]["rate"] == pytest.approx(0.25, abs=0.01)
        assert float((await exchange.call("GET", "/v2/positions/XYZ"))[1]["current_price"]) == 108
