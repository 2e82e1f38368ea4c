"""New versions of strategies: read once, taken when they can be, and told in few words."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from alchemiser.domain.errors import ConfigError, DataError, VenueUnavailable
from alchemiser.domain.events import Event, StrategyNotReloaded, StrategyReloaded, StrategyReloadPostponed
from alchemiser.strategies.base import LoadedStrategy
from alchemiser.strategies.reload import Reloader
from alchemiser.strategies.renewal import Renewal
from alchemiser.strategies.sources import StrategySource, load_strategy
from tests.unit.strategies.test_handler import StoppedClock

BUSY = "rebalance 20250331.1 is in progress"


@dataclass
class Prices:
    """A supply that answers with what is planned, else with nothing to remark."""

    answers: list[Exception | tuple[str, ...]] = field(default_factory=list)
    released: list[tuple[str, ...]] = field(default_factory=list)

    async def admit(self, new: LoadedStrategy, old: LoadedStrategy) -> tuple[str, ...]:
        answer = self.answers.pop(0) if self.answers else ()
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def release(self, strategies: Sequence[LoadedStrategy]) -> None:
        self.released.append(tuple(symbol for strategy in strategies for symbol in strategy.symbols))


async def at_once(function: Callable[[], object]) -> object:
    return function()


class Desk:
    """One strategy with its file."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "it.clj"
        self.said: list[Event] = []
        self.prices = Prices()
        self._written = 0
        self.write("A")
        source = StrategySource("it", str(self.file), 1.0)
        self.renewal = Renewal(
            [load_strategy(source)],
            reloader=Reloader([source]),
            supply=self.prices,
            publish=self._publish,
            clock=StoppedClock(),
            run_aside=at_once,  # type: ignore[arg-type] # it returns what the function returns
        )

    def write(self, symbol: str) -> None:
        """Write a version that holds a symbol; each is longer than the last."""
        self._written += 1
        self.file.write_text(f'(defsymphony "It" {{}} (asset "{symbol}")){" " * self._written}')

    @property
    def holds(self) -> tuple[str, ...]:
        """What the running version holds."""
        return self.renewal.strategies[0].symbols

    async def _publish(self, event: Event) -> None:
        self.said.append(event)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


async def test_a_version_is_taken_when_nothing_is_under_way(desk: Desk) -> None:
    """Told with its difference when it is read, and once more when it is swapped in, with what the prices have to say."""
    desk.write("B")
    desk.prices.answers = [("B has 3 daily bars",)]
    for under_way in (BUSY, BUSY, None, None):
        await desk.renewal.keep_up(under_way)
    postponed, taken = desk.said

    assert isinstance(postponed, StrategyReloadPostponed)
    assert (postponed.reason, postponed.changes) == (BUSY, ("held, new: B", "held, gone: A"))
    assert isinstance(taken, StrategyReloaded)
    assert taken.changes == ("held, new: B", "held, gone: A", "B has 3 daily bars")
    assert desk.holds == ("B",)
    assert desk.prices.released == [("B",)]


async def test_the_newest_version_takes_the_place_of_one_that_waits(desk: Desk) -> None:
    """Its difference is that to what runs; and a bad edit ends the waiting."""
    for symbol in ("B", "C"):
        desk.write(symbol)
        await desk.renewal.keep_up(BUSY)
    was_waiting = desk.renewal.is_waiting
    desk.file.write_text("(")
    await desk.renewal.keep_up(None)

    assert [type(event) for event in desk.said] == [StrategyReloadPostponed, StrategyReloadPostponed, StrategyNotReloaded]
    assert isinstance(desk.said[1], StrategyReloadPostponed)
    assert desk.said[1].changes == ("held, new: C", "held, gone: A")
    assert (was_waiting, desk.renewal.is_waiting) == (True, False)
    assert desk.holds == ("A",)


async def test_what_may_be_had_later_is_tried_again_and_told_once(desk: Desk) -> None:
    """The words of an outage differ each time, its kind does not."""
    desk.write("B")
    desk.prices.answers = [VenueUnavailable("503, request 1"), VenueUnavailable("503, request 2"), ()]
    for under_way in (None, None, BUSY, None):
        await desk.renewal.keep_up(under_way)

    assert [type(event) for event in desk.said] == [StrategyReloadPostponed, StrategyReloaded]
    assert desk.holds == ("B",)


@pytest.mark.parametrize("error", [DataError("it needs B, unknown to the venue"), ConfigError("405 symbol limit exceeded")])
async def test_what_cannot_be_had_is_refused_with_file_and_reason(desk: Desk, error: Exception) -> None:
    """It is not tried again before the file changes."""
    desk.write("B")
    desk.prices.answers = [error]
    await desk.renewal.keep_up(None)
    await desk.renewal.keep_up(None)
    (refused,) = desk.said

    assert isinstance(refused, StrategyNotReloaded)
    assert refused.reason == f"{desk.file}: {error}"
    assert desk.holds == ("A",)
