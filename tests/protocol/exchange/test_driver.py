"""How time passes in the exchange: the grid of ticks, holds on the clock, and nothing told before it is kept."""

import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from alchemiser.domain.errors import DataError
from alchemiser.domain.market import Quote
from alchemiser.domain.runtime import Release
from alchemiser.exchange.generator import SyntheticMarket
from alchemiser.exchange.parts import StateChanges
from alchemiser.exchange.persistence import SavedState, StateFile
from alchemiser.exchange.server import ServerSettings
from alchemiser.exchange.tape import MarketTape
from alchemiser.exchange.ticks import TickGrid, floor_to
from alchemiser.service.clock import LeapClock, VirtualClock
from tests.protocol.exchange.harness import CALENDAR, DAY, HEADERS, SYMBOLS, at, running, session, virtual_exchange
from tests.protocol.exchange.test_order_stream import listen, said
from tests.solipsism import virtual


class WatchedTape(MarketTape):
    """The market of the tests, which remembers when it was asked for quotes."""

    def __init__(self) -> None:
        super().__init__(SyntheticMarket(CALENDAR, 7, symbols=SYMBOLS, last_day=date(2025, 3, 14)), CALENDAR, SYMBOLS, 7)
        self.asked: list[datetime] = []

    def quotes_at(self, at: datetime, symbols: object = None) -> dict[str, Quote]:
        """Return the quotes, and remember."""
        self.asked.append(at)
        return super().quotes_at(at)


class HeldClock(VirtualClock):
    """A virtual clock that counts the holds that are out."""

    holds = 0

    def hold(self, reason: str) -> Release:
        """Count a hold until it is released."""
        self.holds += 1

        def release() -> None:
            self.holds -= 1

        return release


# --- the grid ---

GRID = TickGrid(CALENDAR, date(2025, 3, 4))
GRID_CASES = [
    ("quiet: the next minute mark", "14:30:00", "14:30:00", False, "14:31:00"),
    ("quiet, from between marks", "14:30:17", "14:30:17", False, "14:31:00"),
    ("busy: the next second", "14:30:17", "14:30:17", True, "14:30:18"),
    ("late and quiet: no minute mark is left out", "14:30:00", "14:40:30", False, "14:31:00"),
    ("late and busy: minute marks first", "14:30:17", "14:40:30", True, "14:31:00"),
    ("late and busy: then the last second", "14:40:00", "14:40:30", True, "14:40:30"),
    ("before the open", "12:00:00", "12:00:00", True, "14:30:00"),
    ("the close is a tick", "20:59:59", "20:59:59", True, "21:00:00"),
]


@pytest.mark.parametrize(("after", "now", "is_busy", "expected"), [case[1:] for case in GRID_CASES], ids=[case[0] for case in GRID_CASES])
def test_next_tick(after: str, now: str, is_busy: bool, expected: str) -> None:
    """The next tick is where the table says."""
    assert at(expected) == GRID.next_tick(at(after), at(now), is_busy=is_busy)


def test_between_and_after_sessions() -> None:
    """From a close the next tick is the next open, over weekends too; after the last session there is none."""
    assert GRID.next_tick(at("21:00:00"), at("21:00:00"), is_busy=True) == at("14:30:00", date(2025, 3, 4))
    assert GRID.next_tick(at("21:00:00", date(2025, 2, 28)), at("21:00:00"), is_busy=False) == at("14:30:00")
    assert GRID.next_tick(at("12:00:00", date(2025, 3, 1)), at("21:00:00"), is_busy=False) == at("14:30:00")
    assert GRID.next_tick(at("21:00:00", date(2025, 3, 4)), at("21:00:00"), is_busy=False) is None
    assert TickGrid(CALENDAR, date(2025, 3, 1)).next_tick(at("12:00:00", date(2025, 3, 2)), at("21:00:00"), is_busy=False) is None


def test_marks_are_floors() -> None:
    """A time falls on the last mark that is not after it."""
    moment = datetime(2025, 3, 3, 14, 30, 59, 999_999, UTC)

    assert floor_to(moment, timedelta(minutes=1)) == at("14:30:00")
    assert floor_to(moment, timedelta(seconds=1)) == at("14:30:59")


# --- the driver ---


def test_a_quiet_session_ticks_by_the_minute_and_then_ends() -> None:
    """One tick a minute, from the open to the close; then ``run`` returns, and no tick lies between the sessions."""

    async def scene() -> None:
        tape = WatchedTape()
        async with virtual_exchange(tape=tape, days=2, driven=False) as exchange:
            await exchange.server.run()

            late = exchange.clock.now() - session(date(2025, 3, 4)).closes_at
            assert timedelta(0) <= late < timedelta(milliseconds=1), "virtual timers run a tick after their time"
            expected = [day.opens_at + timedelta(minutes=n) for day in (session(), session(date(2025, 3, 4))) for n in range(391)]
            assert tape.asked == expected

    virtual(scene)


def test_orders_and_requests_make_it_tick_by_the_second() -> None:
    """A trading request gives a market minute of seconds, a working order as many as it works; both end."""

    async def scene() -> None:
        tape = WatchedTape()
        async with virtual_exchange(tape=tape) as exchange:
            await exchange.clock.sleep_until(at("14:40:30"))
            tape.asked.clear()
            await exchange.call("GET", "/v2/clock")
            assert tape.asked == []
            await exchange.call("GET", "/v2/stocks/snapshots?symbols=SPY")
            await exchange.clock.sleep_until(at("14:45:30"))
            assert tape.asked[:3] == [at("14:40:30"), at("14:40:31"), at("14:40:32")]
            assert 60 <= len(tape.asked) <= 66

            await exchange.buy("SPY", "1", type="limit", limit_price="1.00")
            tape.asked.clear()
            await exchange.clock.sleep_until(at("14:55:30") + timedelta(milliseconds=500))
            assert len(tape.asked) == 600

    virtual(scene)


def test_by_the_second_on_request() -> None:
    """Real time ticks every second, busy or not."""

    async def scene() -> None:
        tape = WatchedTape()
        async with virtual_exchange(tape=tape, settings=ServerSettings(by_the_second=True)) as exchange:
            await exchange.clock.sleep(300.5)
            assert len(tape.asked) == 301

    virtual(scene)


def test_the_clock_is_held_while_orders_work_in_a_session() -> None:
    """A working order holds the clock until it ends; one that waits overnight does not, so that nights are leapt over."""

    async def scene() -> None:
        clock = HeldClock(at("20:50:00"))
        async with virtual_exchange(clock=clock, days=2) as exchange:
            assert clock.holds == 0
            order = await exchange.buy("SPY", "1", type="limit", limit_price="1.00", time_in_force="gtc")
            await clock.sleep(1)
            assert clock.holds == 1
            await clock.sleep_until(at("21:00:01"))
            assert clock.holds == 0
            await clock.sleep_until(at("14:31:00", date(2025, 3, 4)))
            assert clock.holds == 1
            await exchange.call("DELETE", f"/v2/orders/{order['id']}")
            await clock.sleep(1)
            assert clock.holds == 0

    virtual(scene)


def test_the_clock_is_held_for_clients_with_a_clock_of_their_own() -> None:
    """On request the clock does not leap through a session before the first client has come, nor while one is connected or active."""

    async def scene() -> None:
        clock = HeldClock(session().opens_at)
        async with virtual_exchange(clock=clock, settings=ServerSettings(hold_for_clients=True)) as exchange:
            await clock.sleep(600)
            assert clock.holds == 1
            await exchange.call("GET", "/v2/positions")
            await clock.sleep(130)
            assert clock.holds == 0
            async with exchange.stream("/v2/sip", HEADERS):
                await clock.sleep(80)
                assert clock.holds == 1
            await clock.sleep(130)
            assert clock.holds == 0

    virtual(scene)


async def test_a_leaping_clock_plays_a_day_at_once() -> None:
    """Over real sockets a quiet session takes as long as its ticks take to compute, and the night nothing."""
    clock = LeapClock(session().opens_at, settle_seconds=0.0)
    async with running(clock=clock, days=2, driven=False) as exchange:
        await exchange.server.run()

        assert exchange.clock.now() >= session(date(2025, 3, 4)).closes_at


def test_the_opening_auction_meets_the_opening_quote() -> None:
    """An order for the opening fills at the quote of the open, one for the close at the quote of the close (10)."""

    async def scene() -> None:
        async with virtual_exchange(at("12:00:00")) as exchange:
            orders = [await exchange.buy("SPY", "1", time_in_force=kind) for kind in ("opg", "cls")]
            await exchange.clock.sleep_until(at("21:00:01"))
            filled = [(await exchange.call("GET", f"/v2/orders/{order['id']}"))[1] for order in orders]
            quotes = [exchange.tape.quote_at("SPY", moment) for moment in (at("14:30:00"), at("21:00:00"))]

            assert [order["status"] for order in filled] == ["filled", "filled"]
            assert [float(order["filled_avg_price"]) for order in filled] == [quote.ask for quote in quotes if quote is not None]

    virtual(scene)


# --- what is kept ---


async def test_a_restart_continues(tmp_path: Path) -> None:
    """A copy of the state, taken when the answer came, knows the order and the time; the exchange goes on from there."""
    kept, copy = tmp_path / "state" / "exchange", tmp_path / "copy"
    async with running(state=kept) as exchange:
        await exchange.quote("SPY", 99.99, 100)
        await exchange.forward(3_600)
        order = await exchange.buy("SPY", "2", client_order_id="kept")
        shutil.copy(kept, copy)
        account = (await exchange.call("GET", "/v2/account"))[1]["account_number"]

    async with running(state=copy) as exchange:
        assert exchange.clock.now() >= at("15:30:00")
        assert (await exchange.call("GET", "/v2/account"))[1]["account_number"] == account
        await exchange.forward(1)
        _, found = await exchange.call("GET", "/v2/orders:by_client_order_id?client_order_id=kept")
        assert (found["id"], found["status"]) == (order["id"], "filled")


async def test_a_fill_is_kept_before_it_is_told(tmp_path: Path) -> None:
    """Whoever has read a fill from the stream finds it again in the file, whatever happens to the process then."""
    kept, copy = tmp_path / "exchange", tmp_path / "copy"
    async with running(state=kept) as exchange, exchange.stream("/stream") as socket:
        await listen(socket)
        await exchange.buy("SPY", "2")
        await exchange.forward(1)
        while (await said(socket))["data"]["event"] != "fill":
            pass
        shutil.copy(kept, copy)

    async with running(state=copy) as exchange:
        assert (await exchange.call("GET", "/v2/positions/SPY"))[1]["qty"] == "2"


async def test_time_is_kept_though_nothing_happens(tmp_path: Path) -> None:
    """A restart does not go back behind the minute that clients have seen."""
    kept, copy = tmp_path / "exchange", tmp_path / "copy"
    async with running(state=kept) as exchange:
        await exchange.forward(1_000)
        shutil.copy(kept, copy)

    saved = StateFile(copy).load()
    assert saved is not None
    assert saved.at >= at("14:46:00")


async def test_an_exchange_that_cannot_keep_its_state_ends(tmp_path: Path) -> None:
    """When the file cannot be written the client gets no proper answer and the exchange stops, naming the file."""
    kept = tmp_path / "exchange"

    async def scene() -> None:
        async with running(state=kept) as exchange:
            kept.unlink()
            kept.mkdir()
            body = {"symbol": "SPY", "qty": 1, "side": "buy", "type": "market", "time_in_force": "day"}
            assert await exchange.call("POST", "/v2/orders", body) == (500, {"code": 50010000, "message": "internal server error"})
            await exchange.clock.sleep(3_600)

    with pytest.raises(ExceptionGroup) as failure:
        await scene()

    (error,) = failure.value.exceptions
    assert isinstance(error, DataError)
    assert str(kept) in str(error)


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x93\x01\x02\x03"])
def test_an_unreadable_state_is_named(tmp_path: Path, content: bytes) -> None:
    """A file that is no state stops the start, with its name and what to do."""
    path = tmp_path / "exchange"
    path.write_bytes(content)
    with pytest.raises(DataError, match="move it away"):
        StateFile(path).load()


@pytest.mark.parametrize(
    "content", [b"alchemiser exchange state 3\n123", msgspec.msgpack.encode(SavedState(format=7, at=session().opens_at, core=b"core"))]
)
def test_a_state_of_another_format_is_named(tmp_path: Path, content: bytes) -> None:
    """A state of a later version is not guessed at."""
    path = tmp_path / "exchange"
    path.write_bytes(content)
    with pytest.raises(DataError, match="format"):
        StateFile(path).load()


def test_no_path_keeps_nothing(tmp_path: Path) -> None:
    """Without a path there is no state; a file that was never written has none either."""
    StateFile(None).save(session().opens_at, lambda: StateChanges({"core": b""}, []))

    assert StateFile(None).load() is None
    assert StateFile(tmp_path / "exchange").load() is None


def test_the_same_calls_give_the_same_day() -> None:
    """Two runs of one scene on virtual time see the same answers, ids included."""

    async def scene() -> list[object]:
        async with virtual_exchange() as exchange:
            order = await exchange.buy("SPY", "3")
            await exchange.clock.sleep(120)
            return [order, await exchange.call("GET", "/v2/account"), await exchange.call("GET", "/v2/account/activities")]

    assert virtual(scene) == virtual(scene)
    assert session().date == DAY
