"""The screener, auctions, and the retired corporate-action announcements (sections 7.1 and 8.8 of the protocol reference)."""

import pytest

from alchemiser.exchange.tape import MarketTape
from tests.protocol.exchange.harness import SYMBOLS, running
from tests.protocol.exchange.test_rest_data import ask

ANNOUNCEMENTS = "/v2/corporate_actions/announcements"
RANGE = "since=2025-02-20&until=2025-03-03"


async def test_movers_and_most_actives_rank_the_day() -> None:
    """7.1: volume or trades rank the most actives; movers are parted by the sign of their change against the last close."""
    async with running() as exchange:
        await exchange.forward(3600)
        actives = await ask(exchange, "/v1beta1/screener/stocks/most-actives")
        by_trades = await ask(exchange, "/v1beta1/screener/stocks/most-actives?by=trades&top=1")
        movers = await ask(exchange, "/v1beta1/screener/stocks/movers?top=5")
        snapshots = await ask(exchange, f"/v2/stocks/snapshots?symbols={','.join(SYMBOLS)}")

        volumes = [row["volume"] for row in actives["most_actives"]]
        assert volumes == sorted((snapshots[symbol]["dailyBar"]["v"] for symbol in SYMBOLS), reverse=True)
        assert len(by_trades["most_actives"]) == 1
        for row in (*movers["gainers"], *movers["losers"]):
            bars = snapshots[row["symbol"]]
            change = bars["dailyBar"]["c"] - bars["prevDailyBar"]["c"]
            assert row["change"] == pytest.approx(change, abs=1e-4)
            assert row["percent_change"] == pytest.approx(100 * change / bars["prevDailyBar"]["c"], abs=0.006)
        assert all(row["change"] > 0 for row in movers["gainers"])
        assert all(row["change"] < 0 for row in movers["losers"])


@pytest.mark.parametrize("query", ["most-actives?by=mood", "most-actives?top=101", "movers?top=0", "movers?top=51"])
async def test_the_screener_refuses_what_it_cannot_read(query: str) -> None:
    """7.1: a ranking or a number that does not exist is a 400."""
    async with running() as exchange:
        assert (await exchange.call("GET", f"/v1beta1/screener/stocks/{query}"))[0] == 400


async def test_auctions_are_the_ends_of_a_session() -> None:
    """7.1: one row per session with its opening and, once it is over, its closing print; the prices are those of the daily bar."""
    async with running(days=2) as exchange:
        await exchange.forward(3600)
        (row,) = (await ask(exchange, "/v2/stocks/SPY/auctions"))["auctions"]
        assert (row["d"], row["c"]) == ("2025-03-03", [])
        await exchange.forward(24 * 3600)
        path = "/v2/stocks/auctions?symbols=SPY,TECL&start=2025-02-28&limit=2"
        first = await ask(exchange, path)
        second = await ask(exchange, f"{path}&page_token={first['next_page_token']}")
        rows = first["auctions"]["SPY"] + second["auctions"]["SPY"]
        bars = (await ask(exchange, "/v2/stocks/SPY/bars?timeframe=1Day&start=2025-02-28"))["bars"]

        assert [row["d"] for row in rows] == ["2025-02-28", "2025-03-03", "2025-03-04"]
        assert list(second["auctions"]) == ["SPY", "TECL"]
        for row, bar in list(zip(rows, bars, strict=True))[:2]:
            assert (row["o"][0]["p"], row["c"][0]["p"]) == (bar["o"], bar["c"])
            assert set(row["o"][0]) == {"t", "x", "p", "s", "c"}


async def test_announcements_of_dividends_and_splits(dividend_tape: MarketTape) -> None:
    """8.8: announcements are found by type, symbol and date, and again by their id."""
    async with running(tape=dividend_tape) as exchange:
        rows = await ask(exchange, f"{ANNOUNCEMENTS}?ca_types=Dividend,split&{RANGE}")
        assert [(row["ca_type"], row["ca_sub_type"], row["ex_date"]) for row in rows] == [
            ("dividend", "cash", "2025-02-25"),
            ("split", "stock_split", "2025-02-26"),
            ("split", "reverse_split", "2025-02-27"),
        ]
        assert (rows[0]["cash"], rows[1]["new_rate"], rows[1]["old_rate"]) == ("0.075", "3", "2")
        assert [await ask(exchange, f"{ANNOUNCEMENTS}/{row['id']}") for row in rows] == rows
        assert await ask(exchange, f"{ANNOUNCEMENTS}?ca_types=merger&{RANGE}") == []
        assert await ask(exchange, f"{ANNOUNCEMENTS}?ca_types=split&symbol=NOPE&{RANGE}") == []


@pytest.mark.parametrize(
    "query",
    [
        "",
        f"ca_types=party&{RANGE}",
        "ca_types=split&since=2025-03-03",
        "ca_types=split&since=2025-03-03&until=2025-03-02",
        "ca_types=split&since=2025-01-01&until=2025-04-02",
    ],
)
async def test_announcements_need_a_type_and_a_range(query: str) -> None:
    """8.8: types and at most ninety days are required."""
    async with running() as exchange:
        assert (await exchange.call("GET", f"{ANNOUNCEMENTS}?{query}"))[0] == 422


@pytest.mark.parametrize("announcement_id", ["x", "ffffffff-ffff-4fff-8fff-ffffffffffff", "00000000-0000-4000-8000-0000000b4a00"])
async def test_unknown_announcements(announcement_id: str) -> None:
    """8.8: an id that nothing has is a 404."""
    async with running() as exchange:
        assert (await exchange.call("GET", f"{ANNOUNCEMENTS}/{announcement_id}"))[0] == 404
