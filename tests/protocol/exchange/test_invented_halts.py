"""A market that halts by itself, as clients see it: statuses on the stream, orders that wait, REST that goes on (6.4 and 9.4)."""

from pathlib import Path
from typing import Any

from alchemiser.exchange.generator import SyntheticMarket
from alchemiser.exchange.halts import Halt
from alchemiser.exchange.tape import MarketTape
from tests.protocol.exchange.harness import CALENDAR, DAY, HEADERS, SYMBOLS, Running, running, session
from tests.protocol.exchange.test_market_stream import opened, said


def halting_market() -> tuple[MarketTape, Halt]:
    """Return the first market, by seed, in which SPY halts on the day of the tests, and its halt."""
    source = SyntheticMarket(CALENDAR, 7, symbols=SYMBOLS, last_day=DAY)
    minutes = [session().opens_at + (session().closes_at - session().opens_at) * part / 390 for part in range(390)]
    for seed in range(200):
        tape = MarketTape(source, CALENDAR, SYMBOLS, seed, halts=True)
        for at in minutes:
            halt = tape.halt_at("SPY", at)
            if halt is not None:
                return tape, halt
    raise AssertionError("SPY never halts")


async def status_of(exchange: Running, order: dict[str, Any]) -> str:
    _, answer = await exchange.call("GET", f"/v2/orders/{order['id']}")
    return str(answer["status"])


async def test_a_symbol_stands_still_and_goes_on() -> None:
    """Halt and resumption are told with their reason, an order waits for the first quote after it, assets and snapshots answer."""
    tape, halt = halting_market()
    async with running(tape=tape) as exchange, exchange.stream("/v2/sip", HEADERS) as socket:
        await opened(socket, statuses=["*"])
        await exchange.forward((halt.begins_at - session().opens_at).total_seconds() + 1)
        (status,) = await said(socket)
        assert (status["S"], status["sc"], status["rc"], status["rm"]) == ("SPY", "2", halt.reason, halt.reason_message)
        order = await exchange.buy("SPY")
        await exchange.forward((halt.ends_at - halt.begins_at).total_seconds() - 5)
        assert await status_of(exchange, order) == "new"
        before = tape.quote_at("SPY", halt.begins_at)
        assert before is not None
        for path in ("/v2/assets/SPY", "/v2/stocks/SPY/snapshot"):
            code, answer = await exchange.call("GET", path)
            assert code == 200
            assert answer["symbol"] == "SPY"
        assert (await exchange.call("GET", "/v2/assets/SPY"))[1]["tradable"] is True
        _, trades = await exchange.call("GET", f"/v2/stocks/SPY/trades?start={halt.begins_at:%Y-%m-%dT%H:%M:%SZ}&sort=asc")
        assert trades["trades"] == []

        await exchange.forward(6)
        (status,) = await said(socket)
        assert (status["S"], status["sc"]) == ("SPY", "3")
        _, filled = await exchange.call("GET", f"/v2/orders/{order['id']}")
        after = tape.quote_at("SPY", halt.ends_at)
        assert after is not None
        assert (filled["status"], float(filled["filled_avg_price"])) == ("filled", after.ask)


async def test_a_halt_can_be_ended_by_hand() -> None:
    """Who resumes a symbol by hand is obeyed for the rest of that halt."""
    tape, halt = halting_market()
    async with running(tape=tape) as exchange:
        await exchange.forward((halt.begins_at - session().opens_at).total_seconds() + 1)
        order = await exchange.buy("SPY")
        await exchange.call("POST", "/_exchange/halt", {"symbol": "SPY", "halted": False})
        await exchange.forward(2)
        assert await status_of(exchange, order) == "filled"


async def test_a_pause_goes_on_after_a_restart(tmp_path: Path) -> None:
    """A symbol that was paused when the exchange ended is still paused when it begins again, and no longer than it would have been."""
    async with running(state=tmp_path / "state") as exchange:
        await exchange.quote("SPY", 499.98, 500)
        await exchange.call("POST", "/_exchange/bands", {"symbol": "SPY", "down": 475, "up": 499})
        await exchange.forward(20)
        order = await exchange.buy("SPY")
        await exchange.forward(200)
        assert await status_of(exchange, order) == "new"
    async with running(state=tmp_path / "state") as exchange:
        await exchange.forward(60)
        assert await status_of(exchange, order) == "new"
        await exchange.forward(40)
        assert await status_of(exchange, order) == "filled"
