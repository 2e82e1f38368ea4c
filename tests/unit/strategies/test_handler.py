"""The strategy handler: one answer per strategy and decision, whatever happens to the others."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

import numpy as np

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.errors import VenueUnavailable
from alchemiser.domain.events import DecisionDue, Event, StrategyFailed, TargetProposed
from alchemiser.domain.runtime import Release
from alchemiser.strategies.aside import in_thread
from alchemiser.strategies.base import LoadedStrategy
from alchemiser.strategies.handler import StrategyHandler
from alchemiser.strategies.panel import PricePanel
from alchemiser.strategies.python import PythonStrategy
from alchemiser.strategies.reload import Reloader
from alchemiser.strategies.renewal import Renewal
from alchemiser.strategies.symphony.check import check_text
from alchemiser.strategies.symphony.strategy import SymphonyStrategy
from tests.unit.strategies.python_examples import Momentum, Saying

NOW = datetime(2025, 3, 31, 19, 50, tzinfo=UTC)
DUE = DecisionDue(at=NOW, rebalance_id="20250331.1", session=date(2025, 3, 31), reason="schedule")
DAYS = np.arange(730_000, 730_008, dtype=np.int64)


class StoppedClock:
    """A clock that stands still."""

    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nobody waits here")

    async def sleep_until(self, when: datetime) -> None:
        raise AssertionError("nobody waits here")

    def hold(self, reason: str) -> Release:
        return lambda: None


@dataclass
class Market:
    """Answers with a panel or raises, and keeps what was asked."""

    panel: PricePanel | Exception
    asked: list[tuple[tuple[str, ...], str]] = field(default_factory=list)

    async def prepare(self, symbols: Sequence[str], rebalance_id: str) -> PricePanel:
        self.asked.append((tuple(symbols), rebalance_id))
        if isinstance(self.panel, Exception):
            raise self.panel
        return self.panel


class NoSupply:
    """Is not asked: no file changes here."""

    async def admit(self, new: LoadedStrategy, old: LoadedStrategy | None) -> tuple[str, ...]:
        raise AssertionError("nothing changed")

    async def release(self, strategies: Sequence[LoadedStrategy]) -> None:
        raise AssertionError("nothing changed")


def symphony(name: str, root: str) -> SymphonyStrategy:
    return SymphonyStrategy(name, 0.5, check_text(f'(defsymphony "T" {{}} {root})'))


def raising() -> PythonStrategy:
    strategy = Saying()
    strategy.answer = RuntimeError("a bug")
    return PythonStrategy("buggy", 0.25, strategy)


PRICES = PricePanel({"SPY": (DAYS, np.arange(100.0, 108.0)), "BIL": (DAYS, np.full(8, 90.0))}, absent={"TLT": "the quote of TLT is stale"})


async def answers(market: Market, *strategies: LoadedStrategy, event: Event = DUE) -> list[Event]:
    published: list[Event] = []

    async def publish(published_event: Event) -> None:
        published.append(published_event)

    renewal = Renewal(strategies, reloader=Reloader([]), supply=NoSupply(), publish=publish, clock=StoppedClock(), run_aside=in_thread)
    await StrategyHandler(renewal, market, publish, StoppedClock()).handle(Envelope(1, event, 0.0))
    return published


async def test_every_strategy_answers_once() -> None:
    """A target carries its weights, its prices and its path; the prices are asked for once for all strategies together."""
    market = Market(PRICES)
    first, second = await answers(
        market, symphony("s", '(if (> (rsi "SPY" 3) 50) (asset "SPY") (asset "TLT"))'), PythonStrategy("m", 0.5, Momentum())
    )

    assert isinstance(first, TargetProposed)
    assert (first.at, first.rebalance_id, first.strategy) == (NOW, "20250331.1", "s")
    assert first.weights == {"SPY": 1.0}
    assert first.prices == {"SPY": 107.0}
    assert first.explanation == ("line 1: rsi(SPY, 3) 100 > 50: yes",)
    assert isinstance(second, TargetProposed)
    assert second.weights == {"SPY": 1.0}
    assert market.asked == [(("BIL", "SPY", "TLT"), "20250331.1")]


async def test_a_failure_never_touches_the_others() -> None:
    """A strategy without its numbers and one that raises answer with their reasons; the one between them trades."""
    first, second, third = await answers(Market(PRICES), symphony("a", '(asset "TLT")'), symphony("b", '(asset "BIL")'), raising())

    assert isinstance(first, StrategyFailed)
    assert first.reason == "line 1: TLT would be held: the quote of TLT is stale"
    assert isinstance(second, TargetProposed)
    assert isinstance(third, StrategyFailed)
    assert "a bug" in third.reason


async def test_no_prices_at_all() -> None:
    """When nothing could be had from the venue, or there is no bar, every strategy says so."""
    for panel, words in ((VenueUnavailable("the venue does not answer"), "does not answer"), (PricePanel({}), "not a single bar")):
        failures = await answers(Market(panel), symphony("a", '(asset "SPY")'), symphony("b", '(asset "BIL")'))

        assert [event.strategy for event in failures if isinstance(event, StrategyFailed) and words in event.reason] == ["a", "b"]


async def test_other_events_are_not_for_us() -> None:
    """Only a due decision makes the handler ask for prices."""
    market = Market(PRICES)

    assert (
        await answers(market, symphony("a", '(asset "SPY")'), event=StrategyFailed(at=NOW, rebalance_id="x", strategy="y", reason="z"))
        == []
    )
    assert market.asked == []
