"""The assets of the day: asked ahead, once a day, and again for what was not asked."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.account import Asset
from alchemiser.domain.errors import VenueUnavailable
from alchemiser.domain.events import DecisionApproached
from alchemiser.portfolio.asset_list import AssetList
from alchemiser.service.clock import VirtualClock
from tests.solipsism import virtual

START = datetime(2025, 3, 3, 20, 40, tzinfo=UTC)
APPROACHED = Envelope(1, DecisionApproached(at=START, session=date(2025, 3, 3)), 0.0)


class Broker:
    """A broker that knows A and B, and may be away."""

    def __init__(self) -> None:
        self.questions: list[tuple[str, ...]] = []
        self.is_away = False

    async def assets(self, symbols: Sequence[str]) -> dict[str, Asset]:
        """Answer as the venue adapter does."""
        self.questions.append(tuple(symbols))
        if self.is_away:
            raise VenueUnavailable("list of assets: nobody answered")
        return {symbol: Asset(symbol=symbol, is_tradable=True, is_fractionable=True) for symbol in symbols if symbol in "AB"}


def test_a_decision_finds_what_was_asked_ahead() -> None:
    """The rebalance of the day asks nothing; the next day asks again; what the broker does not know stays absent."""

    async def main() -> tuple[list[tuple[str, ...]], list[str]]:
        broker, clock = Broker(), VirtualClock(START)
        listed = AssetList(broker.assets, clock=clock, wanted=lambda: ("A", "X"))
        await listed.handle(APPROACHED)
        found = [*await listed.of(["A"]), *await listed.of(["X"])]
        await clock.sleep_until(START + timedelta(days=1))
        found += await listed.of(["A"])
        return broker.questions, found

    assert virtual(main) == ([("A", "X"), ("A", "X")], ["A", "A"])


def test_a_symbol_that_was_not_asked_is_asked_once() -> None:
    """A holding that came meanwhile is asked together with all the others, so that the next question finds everything."""

    async def main() -> list[tuple[str, ...]]:
        broker = Broker()
        listed = AssetList(broker.assets, clock=VirtualClock(START), wanted=lambda: ("A",))
        await listed.handle(APPROACHED)
        assert sorted(await listed.of(["A", "B"])) == ["A", "B"]
        await listed.of(["B"])
        return broker.questions

    assert virtual(main) == [("A",), ("A", "B")]


def test_a_broker_that_is_away_is_asked_again() -> None:
    """Asking ahead may fail without harm; the rebalance asks for itself and hears the error."""

    async def main() -> list[tuple[str, ...]]:
        broker = Broker()
        broker.is_away = True
        listed = AssetList(broker.assets, clock=VirtualClock(START), wanted=lambda: ("A",))
        await listed.handle(APPROACHED)
        try:
            await listed.of(["A"])
        except VenueUnavailable:
            broker.is_away = False
        assert sorted(await listed.of(["A"])) == ["A"]
        return broker.questions

    assert virtual(main) == [("A",)] * 3
