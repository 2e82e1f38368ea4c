"""A run of all sessions at once against the same run lived through session by session: the same curve, and the same book."""

from datetime import date
from typing import Any, Literal, cast

import numpy as np
import pytest

from alchemiser.backtest.record import Book, Recorder
from alchemiser.backtest.result import BacktestResult, DatedTarget, DatedTargets, Opens, Terms
from alchemiser.backtest.vector import run_vector
from alchemiser.strategies.base import AllSessions, Decider, LoadedStrategy
from alchemiser.strategies.outcome import NotComputable, Proposal
from alchemiser.strategies.panel import Panel, PricePanel
from alchemiser.strategies.symphony.strategy import SymphonyStrategy
from tests.unit.backtest.test_engines import HEADERS, SPREAD, SWITCH, strategy, walks

NESTED = f'(weight-specified 0.3 (asset "A") 0.7 {SPREAD})'


class Stepwise:
    """A strategy that can only be asked session by session, so that its run has to be lived through."""

    def __init__(self, whole: SymphonyStrategy) -> None:
        self._whole = whole

    def __getattr__(self, name: str) -> Any:
        return getattr(self._whole, name)

    def on(self, panel: Panel) -> Decider:
        """Return what decides a session, and nothing more."""
        return OneByOne(self._whole.on(panel))


class OneByOne:
    """A decider that does not know all sessions at once."""

    def __init__(self, decider: Decider) -> None:
        self._decider = decider

    def decide(self, place: int, *, explain: bool = True) -> Proposal | NotComputable:
        """Return what the whole one decides."""
        return self._decider.decide(place, explain=explain)


def run_and_book(one: LoadedStrategy, panel: PricePanel, terms: Terms, opens: Opens | None) -> tuple[BacktestResult, Book]:
    recorder = Recorder()
    result = run_vector([one], panel, terms, timer=lambda: 0.0, opens=opens, recorder=recorder)
    return result, recorder.book


def both(
    one: SymphonyStrategy, panel: PricePanel, terms: Terms, opens: Opens | None = None
) -> tuple[tuple[BacktestResult, Book], tuple[BacktestResult, Book]]:
    """Return the run at once and the one that was lived through, each with its book."""
    return run_and_book(one, panel, terms, opens), run_and_book(cast(LoadedStrategy, Stepwise(one)), panel, terms, opens)


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("fill", ["close", "next-open"])
@pytest.mark.parametrize("root", [SWITCH, SPREAD, NESTED])
@pytest.mark.parametrize("holes", [0.0, 0.1])
def test_at_once_is_what_is_lived_through(header: str, fill: Literal["close", "next-open"], root: str, holes: float) -> None:
    """Curve, targets, failures and figures are the same for every header, fill, cost and hole in the bars."""
    panel, opens = walks(7, 120, holes=holes)
    (at_once, book), (lived, slow) = both(strategy(root, header), panel, Terms(fill=fill, slippage_bps=7.5), opens)

    assert at_once.equity == pytest.approx(lived.equity, rel=1e-12)
    assert at_once.failures == lived.failures
    assert [target.date for target in at_once.targets] == [target.date for target in lived.targets]
    for first, second in zip(at_once.targets, lived.targets, strict=True):
        assert first.weights == pytest.approx(second.weights, rel=1e-15)
    assert at_once.metrics.turnover == pytest.approx(lived.metrics.turnover, rel=1e-9)
    assert at_once.metrics.costs == pytest.approx(lived.metrics.costs, rel=1e-9)
    check_books(book, slow)


def check_books(book: Book, slow: Book) -> None:
    """Every trade, close and profit is the same in both."""
    assert [(trade.date, trade.symbol, trade.price) for trade in slow.trades] == [
        (trade.date, trade.symbol, trade.price) for trade in book.trades
    ]
    for name in ("shares", "cost", "position"):
        assert [getattr(trade, name) for trade in book.trades] == pytest.approx([getattr(trade, name) for trade in slow.trades], rel=1e-9)
    assert slow.closes == book.closes
    assert slow.initial == book.initial
    assert [one.name for one in slow.strategies] == [one.name for one in book.strategies]
    for name in ("profit", "share", "costs"):
        assert [getattr(one, name) for one in book.strategies] == pytest.approx([getattr(one, name) for one in slow.strategies], rel=1e-9)


def test_the_weights_of_all_sessions_are_those_of_each() -> None:
    """A row of the matrix is the target of its session to the last bit, and zeros where there is none."""
    panel, _ = walks(5, holes=0.1)
    decider = strategy(NESTED).on(panel)
    assert isinstance(decider, AllSessions)
    symbols, rows = decider.all_weights()
    assert decider.has_target().tolist() == rows.any(axis=0).tolist()
    for place, row in enumerate(rows.T):
        outcome = decider.decide(place, explain=False)
        weights = getattr(outcome, "weights", {})
        assert {symbol: weight for symbol, weight in zip(symbols, row.tolist(), strict=True) if weight} == dict(weights)
    assert np.count_nonzero(rows.any(axis=0)) > 20


def test_an_open_that_is_not_known_is_lived_through() -> None:
    """A fill without a price waits for the next decision, which no product of arrays can tell."""
    panel, opens = walks(7)
    gone = dict(list(opens.by_symbol["A"].items())[:40])
    (at_once, book), (lived, slow) = both(strategy(SPREAD), panel, Terms(fill="next-open"), Opens({**opens.by_symbol, "A": gone}))

    assert at_once == lived
    assert book == slow
    assert any("no price to fill at" in failure.reason for failure in at_once.failures)


def test_targets_are_written_out_when_they_are_looked_at() -> None:
    """Until then nothing is made of them; afterwards they are a sequence like any other, and made once."""
    made: list[int] = []

    def write() -> list[DatedTarget]:
        made.append(1)
        return [DatedTarget(date(2024, 1, day), {"A": 1.0}) for day in (2, 3)]

    targets = DatedTargets(write)
    assert not made
    assert targets == write()
    assert targets != [targets[0]]
    assert [target.date.day for target in targets] == [2, 3] == [target.date.day for target in targets[:]]
    assert len(targets) == 2
    assert repr(targets) == repr(list(targets))
    assert len(made) == 2
