"""The symbols of the process: grown as a whole or not at all, and let go when nobody needs or holds them."""

from collections.abc import Collection, Sequence
from datetime import date
from typing import Any

import pytest

from alchemiser.domain.account import Asset
from alchemiser.domain.errors import ConfigError, DataError, VenueUnavailable
from alchemiser.domain.market import Bar
from alchemiser.service.universe import FETCH_SECONDS, Universe
from alchemiser.strategies.symphony.check import check_text
from alchemiser.strategies.symphony.strategy import SymphonyStrategy
from tests.solipsism import virtual
from tests.unit.service.test_decision_market import DataVenue, Market


def strategy(root: str) -> SymphonyStrategy:
    """Return a strategy of that tree."""
    return SymphonyStrategy("it", 1.0, check_text(f'(defsymphony "It" {{}} {root})'))


class Stream:
    """A market stream that keeps what was wanted, and may refuse."""

    def __init__(self, symbols: Collection[str]) -> None:
        self.is_connected = True
        self.wanted = [sorted(symbols)]
        self.error: Exception | None = None

    async def set_symbols(self, symbols: Collection[str]) -> None:
        """Want these symbols."""
        if self.error is not None:
            raise self.error
        self.wanted.append(sorted(symbols))


class Broker(DataVenue):
    """A venue that knows some symbols, of which some cannot be traded."""

    def __init__(self, *, unknown: Collection[str] = (), untradable: Collection[str] = (), without_history: tuple[str, ...] = ()) -> None:
        super().__init__(without_history=without_history)
        self.unknown = unknown
        self.untradable = untradable
        self.asked: list[tuple[str, ...]] = []
        self.clock: Any = None
        self.slow_seconds = 0.0

    async def assets(self, symbols: Sequence[str]) -> dict[str, Asset]:
        """Return what is known."""
        self.asked.append(tuple(symbols))
        if self.slow_seconds:
            await self.clock.sleep(self.slow_seconds)
        return {
            symbol: Asset(symbol=symbol, is_tradable=symbol not in self.untradable, is_fractionable=True)
            for symbol in symbols
            if symbol not in self.unknown
        }


class World:
    """A universe of SPY and QQQ with everything it asks."""

    def __init__(self, broker: Broker, *, held: Collection[str] = (), listed: list[str] | None = None) -> None:
        self.broker = broker
        self.market = Market(broker, ("QQQ", "SPY"), sessions_needed=2)
        broker.clock = self.market.clock
        self.stream = Stream(("QQQ", "SPY"))
        self.universe = Universe(
            ("QQQ", "SPY"),
            venue=broker,  # type: ignore[arg-type] # nothing else is asked
            market=self.market.market,
            held=lambda: held,
            list_symbols=None if listed is None else listed.extend,
        )
        self.universe.stream = self.stream


OLD = strategy('(if (> (current-price "QQQ") 1) [(asset "SPY")] [(asset "SPY")])')


def admitted(world_of: Any, root: str) -> tuple[World, tuple[str, ...] | Exception]:
    """Return the world after a new version asked to be let in, and the answer."""

    async def main() -> tuple[World, tuple[str, ...] | Exception]:
        world: World = world_of()
        try:
            return world, await world.universe.admit(strategy(root), OLD)
        except (ConfigError, DataError, VenueUnavailable) as error:
            return world, error

    return virtual(main)


def test_growing() -> None:
    """Listed, looked up, fetched in one request, subscribed: in this order; and what is short is told."""
    listed: list[str] = []
    world, remarks = admitted(lambda: World(Broker(), listed=listed), '(filter (rsi 10) (select-top 1) [(asset "GLD") (asset "TLT")])')

    assert listed == ["GLD", "TLT"]
    assert world.broker.asked == [("GLD", "TLT")]
    # The depth grows too, so the history of all symbols is asked for.
    assert [symbols for symbols, _, _ in world.broker.history_requests] == [("GLD", "QQQ", "SPY", "TLT")]
    assert world.stream.wanted[1:] == [["GLD", "QQQ", "SPY", "TLT"]]
    assert world.universe.symbols == ("GLD", "QQQ", "SPY", "TLT")
    assert remarks == ("GLD has 3 daily bars, up to 11 are needed", "TLT has 3 daily bars, up to 11 are needed")


def test_what_is_there_already_is_not_asked_for() -> None:
    """A version that holds what the old one held needs nothing; one that holds what was only looked at is looked up once more."""
    world, _ = admitted(lambda: World(Broker()), '(asset "SPY")')
    assert (world.broker.asked, world.broker.history_requests, world.stream.wanted[1:]) == ([], [], [])

    world, _ = admitted(lambda: World(Broker()), '(asset "QQQ")')
    assert (world.broker.asked, world.broker.history_requests, world.stream.wanted[1:]) == ([("QQQ",)], [], [])


@pytest.mark.parametrize(
    ("broker", "root", "words"),
    [
        (Broker(unknown=("NOPE",)), '(weight-equal [(asset "NOPE") (asset "GLD")])', "it needs NOPE, unknown to the venue"),
        (Broker(untradable=("GLD",)), '(asset "GLD")', "it may hold GLD, which cannot be traded at the venue"),
        (Broker(untradable=("QQQ",)), '(asset "QQQ")', "it may hold QQQ, which cannot be traded"),
        (Broker(without_history=("GLD",)), '(asset "GLD")', "the venue has no daily bars of GLD"),
    ],
)
def test_what_the_venue_cannot_give(broker: Broker, root: str, words: str) -> None:
    """Nothing has changed: neither subscriptions nor what is fetched for a decision."""
    world, error = admitted(lambda: World(broker), root)

    assert isinstance(error, DataError)
    assert words in str(error)
    assert world.stream.wanted[1:] == []
    assert world.universe.symbols == ("QQQ", "SPY")


def test_a_symbol_that_is_only_looked_at_need_not_be_tradable() -> None:
    """Its prices are enough."""
    _, remarks = admitted(lambda: World(Broker(untradable=("VIX",))), '(if (> (current-price "VIX") 20) [(asset "SPY")] [(asset "QQQ")])')

    assert remarks == ()


def test_what_the_stream_does_not_allow() -> None:
    """The refusal goes on to whoever asked, and the history is not taken either."""

    def world_of() -> World:
        world = World(Broker())
        world.stream.error = ConfigError("405 symbol limit exceeded")
        return world

    world, error = admitted(world_of, '(asset "GLD")')
    assert isinstance(error, ConfigError)
    assert world.universe.symbols == ("QQQ", "SPY")


def test_a_stream_that_is_not_connected_and_a_venue_that_is_slow() -> None:
    """Both may be better later; who waits for a decision does not wait for ever."""

    def disconnected() -> World:
        world = World(Broker())
        world.stream.is_connected = False
        return world

    def slow() -> World:
        world = World(Broker())
        world.broker.slow_seconds = 10 * FETCH_SECONDS
        return world

    for world_of, words in ((disconnected, "not connected, so GLD cannot"), (slow, "was not there after 30 s")):
        _, error = admitted(world_of, '(asset "GLD")')
        assert isinstance(error, VenueUnavailable)
        assert words in str(error)


def test_letting_go() -> None:
    """What is held stays, whoever needs it; what could not be unsubscribed is tried again; nothing idle, nothing asked."""

    async def main() -> None:
        world = World(Broker(), held=("SPY",))
        world.stream.error = VenueUnavailable("lost")
        watched = [world.universe.symbols]
        await world.universe.release([strategy('(asset "GLD")')])
        watched.append(world.universe.symbols)
        world.stream.error = None
        await world.universe.release([strategy('(asset "GLD")')])
        watched.append(world.universe.symbols)
        assert watched == [("QQQ", "SPY"), ("QQQ", "SPY"), ("SPY",)]
        assert world.stream.wanted[1:] == [["SPY"]]
        await world.universe.release([strategy('(asset "GLD")')])
        assert len(world.stream.wanted) == 2
        await world.market.market.prepare(("SPY",), "20250304.1")
        assert world.broker.history_requests[-1][0] == ("SPY",)

    virtual(main)


def test_history_that_grows_on_the_day_of_a_decision() -> None:
    """What was fetched for the day is kept, what is missing is added to it; a fetch that is under way meanwhile is made anew."""

    async def main() -> None:
        world = World(Broker())
        market = world.market.market
        await market.prepare(("SPY",), "20250304.1")
        market.take(await market.fetch_more(["GLD"], 2))
        panel = await market.prepare(("SPY", "GLD"), "20250304.2")
        assert [symbols for symbols, _, _ in world.broker.history_requests] == [("QQQ", "SPY"), ("GLD",)]
        assert len(panel.history.closes("GLD", 2)) == 3
        assert panel.history.symbols == ("QQQ", "SPY", "GLD")

    virtual(main)


def test_symbols_that_come_during_a_fetch() -> None:
    """A history that was asked for before they came is not the one that is kept."""

    class Late(Broker):
        """Lets the symbols grow while it answers the first time."""

        world: World

        async def daily_bars(self, symbols: Sequence[str], *, start: date, end: date) -> dict[str, tuple[Bar, ...]]:
            """Return bars; a version comes meanwhile."""
            bars = await super().daily_bars(symbols, start=start, end=end)
            if len(self.history_requests) == 1:
                market = self.world.market.market
                market.take(await market.fetch_more(["GLD"], 2))
            return bars

    async def main() -> None:
        broker = Late()
        broker.world = World(broker)
        panel = await broker.world.market.market.prepare(("GLD",), "20250304.1")
        assert [symbols for symbols, _, _ in broker.history_requests] == [("QQQ", "SPY"), ("GLD",), ("GLD", "QQQ", "SPY")]
        assert "GLD" in panel.history.symbols

    virtual(main)
