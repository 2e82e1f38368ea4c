"""New versions of strategies: read once, taken when they can be, and told in few words."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from msgspec.structs import replace

from alchemiser.domain.errors import ConfigError, DataError, VenueUnavailable
from alchemiser.domain.events import Event, StrategyNotReloaded, StrategyReloaded, StrategyReloadPostponed
from alchemiser.strategies.base import LoadedStrategy
from alchemiser.strategies.reload import Reloader
from alchemiser.strategies.renewal import Renewal, Roster
from alchemiser.strategies.sources import StrategySource, load_strategy
from alchemiser.strategies.symphony.evaluate import rules_of
from tests.unit.strategies.test_handler import StoppedClock

BUSY = "rebalance 20250331.1 is in progress"


@dataclass
class Prices:
    """A supply that answers with what is planned, else with nothing to remark."""

    answers: list[Exception | tuple[str, ...]] = field(default_factory=list)
    released: list[tuple[str, ...]] = field(default_factory=list)

    async def admit(self, new: LoadedStrategy, old: LoadedStrategy | None) -> tuple[str, ...]:
        answer = self.answers.pop(0) if self.answers else ()
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def release(self, strategies: Sequence[LoadedStrategy]) -> None:
        self.released.append(tuple(symbol for strategy in strategies for symbol in strategy.symbols))


class Taking(Prices):
    """A supply at whose first admission new settings are taken."""

    def __init__(self, desk: "Desk", roster: Roster) -> None:
        super().__init__()
        self._desk, self._roster = desk, [roster]

    async def admit(self, new: LoadedStrategy, old: LoadedStrategy | None) -> tuple[str, ...]:
        """Take them."""
        if self._roster:
            self._desk.renewal.take(self._roster.pop())
        return ()


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


def sources(desk: Desk, **shares: float) -> list[StrategySource]:
    """Return the strategies of new settings: all from the file of the desk."""
    return [StrategySource(name, str(desk.file), share) for name, share in shares.items()]


async def test_new_settings_change_the_strategies_that_run(desk: Desk) -> None:
    """One comes, one has another share and is not loaded anew, and the files of both are watched from then on."""
    before = desk.renewal.strategies[0]

    roster = await desk.renewal.prepare(sources(desk, it=0.4, more=0.6), admits=True)
    untouched = desk.renewal.strategies
    renewed = desk.renewal.take(roster)
    desk.write("B")
    await desk.renewal.keep_up(None)

    assert untouched == (before,)
    assert (list(roster.loaded), renewed) == (["more"], ())
    assert {strategy.name: (strategy.allocation, strategy.symbols) for strategy in desk.renewal.strategies} == {
        "it": (0.4, ("B",)),
        "more": (0.6, ("B",)),
    }


async def test_a_strategy_that_is_read_by_other_rules_is_loaded_anew(desk: Desk) -> None:
    """And one that is no longer in the settings is gone."""
    await_both = await desk.renewal.prepare(sources(desk, it=0.5, gone=0.5), admits=False)
    desk.renewal.take(await_both)
    (source,) = sources(desk, it=1.0)

    roster = await desk.renewal.prepare([replace(source, rules=rules_of("else", "own"))], admits=False)

    assert desk.renewal.take(roster) == ("it",)
    assert [strategy.name for strategy in desk.renewal.strategies] == ["it"]


@pytest.mark.parametrize("names", [("it",), ("other",)], ids=["kept", "gone"])
async def test_an_edit_that_waits_is_not_lost_to_new_settings(desk: Desk, names: tuple[str, ...]) -> None:
    """It gets the new share; that of a strategy which has gone is forgotten."""
    desk.write("B")
    await desk.renewal.keep_up("rebalance 1 is in progress")
    roster = await desk.renewal.prepare(sources(desk, **dict.fromkeys(names, 0.3)), admits=False)

    desk.renewal.take(roster)
    await desk.renewal.keep_up(None)

    assert [(strategy.name, strategy.allocation, strategy.symbols) for strategy in desk.renewal.strategies] == [(names[0], 0.3, ("B",))]
    assert [type(event) for event in desk.said if isinstance(event, StrategyReloaded)] == [StrategyReloaded] * ("it" in names)


async def test_an_edit_before_new_settings_are_taken_is_found_afterwards(desk: Desk) -> None:
    """Files are remembered as they were when the running version was read, not as they are when the settings are."""
    roster = await desk.renewal.prepare(sources(desk, it=1.0, more=0.0), admits=False)
    desk.write("B")

    desk.renewal.take(roster)
    await desk.renewal.keep_up(None)

    assert [strategy.symbols for strategy in desk.renewal.strategies] == [("B",), ("B",)]


async def test_a_strategy_without_prices_refuses_the_settings(desk: Desk) -> None:
    """What cannot be had is told to whoever asked, and nothing has changed; a check does not ask for prices."""
    desk.prices.answers = [VenueUnavailable("no answer")]

    await desk.renewal.prepare(sources(desk, it=0.5, more=0.5), admits=False)
    with pytest.raises(VenueUnavailable):
        await desk.renewal.prepare(sources(desk, it=0.5, more=0.5), admits=True)

    assert [strategy.name for strategy in desk.renewal.strategies] == ["it"]


async def test_new_settings_that_come_while_prices_are_arranged_for_go_before(desk: Desk) -> None:
    """The version that was being admitted belongs to a strategy that runs no longer."""
    roster = await desk.renewal.prepare(sources(desk, other=1.0), admits=False)

    desk.renewal._supply = Taking(desk, roster)
    desk.write("B")
    await desk.renewal.keep_up(None)

    assert [strategy.name for strategy in desk.renewal.strategies] == ["other"]
    assert desk.said == []


async def test_new_settings_that_come_while_another_strategy_is_tried_do_not_trip_over_it(desk: Desk) -> None:
    """Two files have changed; what waited with the first is gone when its turn comes."""
    desk.renewal.take(await desk.renewal.prepare(sources(desk, it=0.5, more=0.5), admits=False))
    roster = await desk.renewal.prepare(sources(desk, it=1.0), admits=False)
    desk.renewal._supply = Taking(desk, roster)
    desk.write("B")
    await desk.renewal.keep_up(None)
    await desk.renewal.keep_up(None)

    assert [(strategy.name, strategy.allocation, strategy.symbols) for strategy in desk.renewal.strategies] == [("it", 1.0, ("B",))]
    assert [type(event) for event in desk.said] == [StrategyReloaded]


async def test_an_edit_that_is_tried_is_not_lost_to_another_share(desk: Desk) -> None:
    """It waits with the new share, and is taken at the next occasion."""
    roster = await desk.renewal.prepare(sources(desk, it=0.4, more=0.6), admits=False)
    desk.renewal._supply = Taking(desk, roster)
    desk.write("B")
    await desk.renewal.keep_up(None)
    assert desk.renewal.is_waiting
    await desk.renewal.keep_up(None)

    first = desk.renewal.strategies[0]
    assert (first.name, first.allocation, first.symbols) == ("it", 0.4, ("B",))


@pytest.mark.parametrize(("name", "share"), [("it", 0.3), ("other", 1.0)], ids=["another share", "another strategy"])
async def test_new_settings_that_come_while_files_are_read_go_before(desk: Desk, name: str, share: float) -> None:
    """What was read is of the strategy that ran before: it gets its new share, or is forgotten with it."""
    roster = await desk.renewal.prepare(sources(desk, **{name: share}), admits=False)

    async def take_meanwhile(function: Callable[[], object]) -> object:
        found = function()
        desk.renewal.take(roster)
        return found

    desk.renewal._run_aside = take_meanwhile  # type: ignore[assignment] # it returns what the function returns
    desk.write("B")
    await desk.renewal.keep_up(None)

    held = "B" if name == "it" else "A"
    assert [(strategy.name, strategy.allocation, strategy.symbols) for strategy in desk.renewal.strategies] == [(name, share, (held,))]
