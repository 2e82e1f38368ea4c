"""Pages of history that take long to make (7.2): nobody else waits for them, and walking them gives what one page would."""

import asyncio
from typing import Any

import pytest

from tests.protocol.exchange.harness import Running, running

LONG_ANSWERS = (
    "/v2/stocks/SPY/bars?timeframe=1Hour&start=2016-01-04&limit=2000",
    "/v1/corporate-actions?start=2016-01-01",
    "/v2/account/portfolio/history?period=1M&timeframe=1Min&intraday_reporting=continuous",
)


@pytest.mark.parametrize("path", LONG_ANSWERS)
async def test_a_long_answer_lets_others_have_their_turn(path: str) -> None:
    """While years of bars or a month of minutes are put together the clock is asked and answers."""
    async with running(days=5) as exchange:
        if "history" in path:
            await exchange.forward(4 * 86_400)
        long = asyncio.create_task(exchange.call("GET", path), name="long answer")
        for _ in range(3):
            status, _ = await exchange.call("GET", "/v2/clock")
            assert status == 200
        assert not long.done()
        status, answer = await long
        assert status == 200
        assert "bars" not in answer or len(answer["bars"]) == 2000


async def walked(exchange: Running, path: str, limit: int, pages: int) -> list[Any]:
    """Return the rows of some pages, one after the other."""
    rows: list[Any] = []
    token = ""
    for _ in range(pages):
        status, answer = await exchange.call("GET", f"{path}&limit={limit}{token}")
        assert status == 200
        for symbol, members in sorted(next(value for name, value in answer.items() if name != "next_page_token").items()):
            rows.extend((symbol, row) for row in members)
        if answer["next_page_token"] is None:
            break
        token = f"&page_token={answer['next_page_token']}"
    return rows


@pytest.mark.parametrize("sort", ["asc", "desc"])
@pytest.mark.parametrize(
    "path",
    [
        "/v2/stocks/bars?symbols=SPY,BIL&timeframe=1Hour&start=2025-02-27",
        "/v2/stocks/bars?symbols=SPY,BIL&timeframe=1Week&start=2024-12-02",
        "/v2/stocks/bars?symbols=SPY,BIL&timeframe=1Day&start=2025-02-03",
        "/v2/stocks/auctions?symbols=SPY,BIL&start=2025-02-03",
        "/v2/stocks/trades?symbols=SPY,BIL&start=2025-02-28T20:59:00Z",
        "/v2/stocks/quotes?symbols=SPY,BIL&start=2025-02-28T20:59:00Z",
    ],
)
async def test_pages_follow_one_another_without_gap_or_repetition(path: str, sort: str) -> None:
    """Every page begins after the last row of the one before, forwards and backwards, across symbols and sessions."""
    async with running() as exchange:
        await exchange.forward(60)
        whole = await walked(exchange, f"{path}&sort={sort}", 10_000, 1)
        assert len(whole) > 12
        assert await walked(exchange, f"{path}&sort={sort}", 5, len(whole)) == whole
