"""The market-data REST API by the numbers of section 7 of the protocol reference."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from alchemiser.exchange.aggregates import TimeFrame, parse_adjustment, parse_time_frame
from alchemiser.exchange.corporate_actions import corporate_actions
from alchemiser.exchange.http_forms import moment
from alchemiser.exchange.series import Adjustment
from alchemiser.exchange.tape import MarketTape
from tests.protocol.exchange.harness import Running, at, market, running

PATHS = {"bars": "/v2/stocks/bars", "single": "/v2/stocks/spy/bars"}


async def ask(exchange: Running, path: str) -> Any:
    """Return the answer to a question that is answered."""
    status, answer = await exchange.call("GET", path)
    assert status == 200, answer
    return answer


async def pages(exchange: Running, path: str, name: str) -> list[tuple[str, Any]]:
    """Return all rows of all pages, with their symbols, in the order they came."""
    rows: list[tuple[str, Any]] = []
    token = ""
    while True:
        answer = await ask(exchange, path + (f"&page_token={token}" if token else ""))
        rows += [(symbol, row) for symbol, members in answer[name].items() for row in members]
        token = answer["next_page_token"]
        if token is None:
            return rows


@pytest.mark.parametrize(
    "query",
    [
        "bars?symbols=SPY",
        "bars?symbols=SPY&timeframe=60Min",
        "bars?symbols=SPY&timeframe=2Day",
        "bars?symbols=SPY&timeframe=5Month",
        "bars?timeframe=1Day",
        "bars?symbols=SPY&timeframe=1Day&adjustment=upwards",
        "bars?symbols=SPY&timeframe=1Day&limit=10001",
        "bars?symbols=SPY&timeframe=1Day&limit=many",
        "bars?symbols=SPY&timeframe=1Day&start=yesterday",
        "bars?symbols=SPY&timeframe=1Day&start=2025-02-30",
        "bars?symbols=SPY&timeframe=1Day&start=2025-02-30T00:00:00Z",
        "bars?symbols=SPY&timeframe=1Day&sort=sideways",
        "bars?symbols=SPY&timeframe=1Day&page_token=!",
        "bars/latest",
        "meta/conditions/moods",
    ],
)
async def test_what_cannot_be_read_is_a_400(query: str) -> None:
    """7.1: every parameter that cannot be read is a 400 whose message names it."""
    async with running() as exchange:
        status, answer = await exchange.call("GET", f"/v2/stocks/{query}")

        assert status == 400
        assert answer["message"]


async def test_bars_come_in_pages_by_symbol_and_time() -> None:
    """7.2: limit counts over all symbols; the pages together are the whole answer, sorted by symbol and then by time."""
    async with running() as exchange:
        path = "/v2/stocks/bars?symbols=TECL,SPY,NOPE&timeframe=1Day&start=2025-02-18"
        whole = await pages(exchange, path, "bars")
        paged = await pages(exchange, path + "&limit=3", "bars")
        backwards = await pages(exchange, path + "&limit=3&sort=desc", "bars")

        assert [symbol for symbol, _ in whole] == ["SPY"] * 10 + ["TECL"] * 10
        assert paged == whole
        assert backwards == whole[9::-1] + whole[:9:-1]


async def test_the_default_window_is_today_until_now() -> None:
    """7.2: without bounds the answer is today until now; a bar of the future is never in it, whatever the bounds."""
    async with running() as exchange:
        await exchange.forward(150)
        today = await ask(exchange, PATHS["bars"] + "?symbols=SPY&timeframe=1Min")
        asked_further = await ask(exchange, PATHS["bars"] + "?symbols=SPY&timeframe=1Min&end=2025-03-14")
        daily = await ask(exchange, PATHS["bars"] + "?symbols=SPY&timeframe=1Day&start=2025-02-28&end=2025-03-14")

        assert [bar["t"] for bar in today["bars"]["SPY"]] == ["2025-03-03T14:30:00Z", "2025-03-03T14:31:00Z"]
        assert asked_further == today
        assert [bar["t"] for bar in daily["bars"]["SPY"]] == ["2025-02-28T05:00:00Z", "2025-03-03T05:00:00Z"]


async def test_long_and_short_bars_add_up() -> None:
    """7.2: hours, days, weeks and months are made of the same trades; every length begins where the venue's does."""
    async with running() as exchange:
        await exchange.call("POST", "/_exchange/clock", {"to": "2025-03-03T21:00:00Z"})

        async def bars(frame: str, start: str) -> list[dict[str, Any]]:
            rows = (await ask(exchange, f"/v2/stocks/SPY/bars?timeframe={frame}&start={start}&limit=10000"))["bars"]
            assert isinstance(rows, list)
            return rows

        hours, day = await bars("1Hour", "2025-03-03"), (await bars("1Day", "2025-03-03"))[0]
        minutes = await bars("1Min", "2025-03-03")
        assert [bar["t"][11:16] for bar in hours] == [f"{hour}:00" for hour in range(14, 21)]
        assert sum(bar["v"] for bar in hours) == sum(bar["v"] for bar in minutes) == day["v"]
        assert (max(bar["h"] for bar in hours), min(bar["l"] for bar in hours)) == (day["h"], day["l"])
        assert (hours[0]["o"], hours[-1]["c"]) == (day["o"], day["c"])

        days, weeks, months = await bars("1D", "2025-02-01"), await bars("1W", "2025-02-01"), await bars("1M", "2025-02-01")
        assert [bar["t"] for bar in weeks] == [f"2025-{day}T05:00:00Z" for day in ("02-03", "02-10", "02-17", "02-24", "03-03")]
        assert [bar["t"] for bar in months] == ["2025-02-01T05:00:00Z", "2025-03-01T05:00:00Z"]
        assert sum(bar["v"] for bar in months) == sum(bar["v"] for bar in weeks) == sum(bar["v"] for bar in days)


async def test_ticks_of_the_past() -> None:
    """7.3: trades and quotes of a stretch, both ends included, forwards and backwards, in their single and multi forms."""
    async with running() as exchange:
        await exchange.forward(600)
        window = "start=2025-03-03T14:30:00Z&end=2025-03-03T14:30:30.000000000Z"
        for name in ("trades", "quotes"):
            rows = (await ask(exchange, f"/v2/stocks/{name}?symbols=SPY&{window}"))[name]["SPY"]
            single = await ask(exchange, f"/v2/stocks/SPY/{name}?{window}&sort=desc")
            assert single["symbol"] == "SPY"
            assert single[name] == rows[::-1]
            assert [row["t"][17:19] for row in rows] == sorted(row["t"][17:19] for row in rows)
            assert await ask(exchange, f"/v2/stocks/{name}?symbols=NOPE&{window}") == {name: {}, "next_page_token": None}
        assert len(rows) == 7
        assert set(rows[0]) == {"t", "ax", "ap", "as", "bx", "bp", "bs", "c", "z"}


async def test_the_latest_and_snapshots() -> None:
    """7.1: unknown symbols are absent; single forms name their symbol; a snapshot has its five members once a minute is over."""
    async with running() as exchange:
        await exchange.forward(61)
        for name, member in (("bars", "bar"), ("quotes", "quote"), ("trades", "trade")):
            several = (await ask(exchange, f"/v2/stocks/{name}/latest?symbols=SPY,NOPE"))[name]
            assert list(several) == ["SPY"]
            assert await ask(exchange, f"/v2/stocks/spy/{name}/latest") == {"symbol": "SPY", member: several["SPY"]}
        snapshots = await ask(exchange, "/v2/stocks/snapshots?symbols=SPY,TECL,NOPE")
        assert list(snapshots) == ["SPY", "TECL"]
        assert set(snapshots["SPY"]) == {"latestTrade", "latestQuote", "minuteBar", "dailyBar", "prevDailyBar"}
        assert await ask(exchange, "/v2/stocks/SPY/snapshot") == {"symbol": "SPY", **snapshots["SPY"]}


async def test_a_pinned_quote_is_the_latest() -> None:
    """What REST calls the latest quote is the one that orders meet."""
    async with running() as exchange:
        await exchange.quote("SPY", 1.0, 1.01, 300)
        await exchange.forward(5)
        latest = (await ask(exchange, "/v2/stocks/SPY/quotes/latest"))["quote"]

        assert (latest["bp"], latest["ap"], latest["as"]) == (1.0, 1.01, 300)


async def test_names_of_codes() -> None:
    """7.1: the meta endpoints map the codes that the messages use."""
    async with running() as exchange:
        assert (await ask(exchange, "/v2/stocks/meta/exchanges"))["P"] == "NYSE Arca"
        assert " " in await ask(exchange, "/v2/stocks/meta/conditions/trade?tape=B")
        assert "@" in await ask(exchange, "/v2/stocks/meta/conditions/trade?tape=C")


async def test_corporate_actions_are_an_empty_map_without_any() -> None:
    """7.4: a synthetic market has no corporate actions; the answer keeps its shape and refuses a token that is none."""
    async with running() as exchange:
        path = "/v1/corporate-actions?symbols=SPY,NOPE&start=2025-01-01&end=2025-03-03&types=cash_dividend"
        assert await ask(exchange, path) == {"corporate_actions": {}, "next_page_token": None}
        assert (await exchange.call("GET", path + "&page_token=eA=="))[0] == 400


async def test_corporate_actions_come_in_pages(dividend_tape: MarketTape) -> None:
    """7.4: actions are sorted by their day over all kinds, filtered by kind, and paged."""
    async with running(tape=dividend_tape) as exchange:
        path = "/v1/corporate-actions?start=2025-02-24&end=2025-12-31"
        first = await ask(exchange, path + "&limit=2")
        rest = await ask(exchange, path + f"&limit=2&page_token={first['next_page_token']}")
        backwards = await ask(exchange, path + "&sort=desc&limit=1&types=forward_split,cash_dividend")

        assert list(first["corporate_actions"]) == ["cash_dividends", "forward_splits"]
        assert (list(rest["corporate_actions"]), rest["next_page_token"]) == (["reverse_splits"], None)
        assert list(backwards["corporate_actions"]) == ["forward_splits"]


async def test_bars_are_adjusted_in_every_length(dividend_tape: MarketTape) -> None:
    """7.2: an adjustment applies to the bars of a day and to the minutes in it by the same factor; today's prices stay."""
    async with running(tape=dividend_tape) as exchange:
        await exchange.forward(120)

        async def close(frame: str, adjustment: str, day: str) -> float:
            path = f"/v2/stocks/XYZ/bars?timeframe={frame}&adjustment={adjustment}&start={day}&end={day}&limit=10000"
            value = (await ask(exchange, path))["bars"][-1]["c"]
            assert isinstance(value, float)
            return value

        for adjustment, expected in (("raw", 15.0), ("split", 100.0), ("dividend", 14.925), ("all", 99.5)):
            for frame in ("1Day", "1Min"):
                assert await close(frame, adjustment, "2025-02-24") == pytest.approx(expected)
                assert await close(frame, adjustment, "2025-03-03") == 101.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1Min", TimeFrame(1, "Min")),
        ("T", TimeFrame(1, "Min")),
        ("59Min", TimeFrame(59, "Min")),
        ("23H", TimeFrame(23, "Hour")),
        ("1Day", TimeFrame(1, "Day")),
        ("1W", TimeFrame(1, "Week")),
        ("12Month", TimeFrame(12, "Month")),
        ("0Min", None),
        ("24Hour", None),
        ("2Week", None),
        ("day", None),
        ("", None),
    ],
)
def test_time_frames(text: str, expected: TimeFrame | None) -> None:
    """7.2: the venue's spellings and bounds of a time frame, and none else."""
    assert parse_time_frame(text) == expected


def test_quarters_begin_in_january() -> None:
    """7.2: months are counted from January, so that a quarter is a quarter."""
    assert TimeFrame(3, "Month").bucket(datetime(2025, 5, 20, 15, tzinfo=UTC)) == datetime(2025, 4, 1, 4, tzinfo=UTC)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), Adjustment.RAW),
        (("raw",), Adjustment.RAW),
        (("split",), Adjustment.SPLIT),
        (("spin-off",), Adjustment.SPLIT),
        (("dividend",), Adjustment.DIVIDEND),
        (("split", "dividend"), Adjustment.ALL),
        (("all",), Adjustment.ALL),
        (("half",), None),
    ],
)
def test_adjustments(words: tuple[str, ...], expected: Adjustment | None) -> None:
    """7.2: adjustments combine by comma."""
    assert parse_adjustment(words) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2025-03-03", at("05:00:00")),
        ("2025-03-03T14:30:00Z", at("14:30:00")),
        ("2025-03-03T09:30:00.123456789-05:00", at("14:30:00").replace(microsecond=123456)),
        ("2025-03-03T14:30:00 00:00", at("14:30:00")),
    ],
    ids=["date", "zulu", "nanoseconds", "a plus sign that was not encoded"],
)
def test_times(text: str, expected: datetime) -> None:
    """1.3: dates and times in every form that clients send."""
    assert moment({"start": text}, "start") == expected


def test_an_end_date_is_included() -> None:
    """7.2: both bounds are inclusive, so an end that is a date is the last moment of that day in New York."""
    end = moment({"end": "2025-03-03"}, "end", end_of_day=True)

    assert end == at("05:00:00", date(2025, 3, 4)).replace(day=4) - (at("00:00:01") - at("00:00:00")) / 1_000_000


def test_dividends_and_splits_are_read_off_the_bars(dividend_tape: MarketTape) -> None:
    """7.4: a dividend is what the adjusted close lost over night, per share of that day; a split is what its row says."""
    groups = corporate_actions(dividend_tape, ["XYZ"], date(2025, 2, 20), date(2025, 3, 3), at("22:00:00"))

    (dividend,), (forward,), (reverse,) = groups["cash_dividends"], groups["forward_splits"], groups["reverse_splits"]
    assert (dividend["ex_date"], dividend["rate"]) == ("2025-02-25", 0.075)
    assert (forward["ex_date"], forward["new_rate"], forward["old_rate"]) == ("2025-02-26", 3, 2)
    assert (reverse["ex_date"], reverse["new_rate"], reverse["old_rate"]) == ("2025-02-27", 1, 10)
    assert corporate_actions(market(), ["SPY"], date(2025, 2, 20), date(2025, 3, 3), at("22:00:00")) == {}
