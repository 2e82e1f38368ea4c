"""Symphonies over fifteen years of daily data, against the slow interpreter of the tests and against NumPy's cost of the indicators alone.

The prices are seeded random walks. Every answer is checked before anything is timed: all sessions at once against the slow reading of
single days, to the last bit, and live prices against a history that ends with them.
The large file is generated with the statistics of published symphonies: their mix of forms, windows and repetitions, and white space.

Run it with ``PYTHONPATH=. python benchmarks/symphony.py``.
"""

import random
import resource
import sys
import time
from collections.abc import Callable
from datetime import date

import numpy as np
from measure import environment, spread_of

from alchemiser.market.arrays import Floats
from alchemiser.market.indicators import Measure, tail
from alchemiser.strategies.catalog import SHIPPED, shipped_symphony
from alchemiser.strategies.live_panel import LivePanel
from alchemiser.strategies.outcome import Proposal
from alchemiser.strategies.panel import PricePanel
from alchemiser.strategies.symphony.check import check_bytes, check_text
from alchemiser.strategies.symphony.evaluate import STOP
from alchemiser.strategies.symphony.history import History
from alchemiser.strategies.symphony.reader import read_text
from alchemiser.strategies.symphony.strategy import SymphonyStrategy
from alchemiser.strategies.symphony.tree import Asset, Filter, If, Reading, Symphony
from tests.unit.strategies.slow_interpreter import SlowInterpreter

SESSIONS = 3_780
FIRST = date(2010, 1, 4).toordinal()
REPEATS = 5
CHECKED_SESSIONS, CHECKED_DAYS = 320, 15
"""The slow interpreter decides the last days of so many sessions: over fifteen years it would take hours."""
AT_MOST = {"klm over all days": 0.3, "large file loaded": 0.5, "large file, all": 2.0, "live, three strategies": 0.005}
MEMORY_AT_MOST_MB = 1_000

HELD = [f"H{first}{second}" for first in "ABCDEFG" for second in "ABCDEFGHIJ"]
WATCHED = [f"W{letter}" for letter in "ABCDEFGHIJKLMNOPQRSTUVWXY"]


def seconds(call: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


class LargeFile:
    """A generated symphony: the forms of published ones in their proportions, sub-trees repeated as exporters repeat them."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)
        self._pool: dict[int, list[str]] = {}

    def text(self, size: int) -> str:
        """Return a file of about that many bytes."""
        parts: list[str] = []
        while sum(map(len, parts)) < size:
            parts.append(f'(group "part {len(parts)}" [{self._node(9, 2)}])')
        return f'(defsymphony "Large" {{:asset-class "EQUITIES" :rebalance-frequency :daily}}\n (weight-equal [{chr(10).join(parts)}]))'

    def _node(self, depth: int, indent: int) -> str:
        pool = self._pool.setdefault(depth, [])
        # One sub-tree in two is one that was written before.
        if len(pool) > 12 and self._dice.random() < 0.5:
            return self._dice.choice(pool)
        made = self._new(depth, indent)
        pool.append(made)
        return made

    def _new(self, depth: int, indent: int) -> str:
        pad = "\n" + " " * indent
        if depth == 0:
            return self._asset()
        kind = self._dice.choices(("if", "weight-equal", "group", "filter", "specified", "volatility"), (50, 14, 22, 12, 2, 1))[0]

        def child() -> str:
            return pad + self._node(depth - 1, indent + 2)

        if kind == "if":
            return f"(if {self._condition()} [{child()}] [{child()}])"
        if kind == "weight-equal":
            return f"(weight-equal [{''.join(child() for _ in range(self._dice.choice((1, 1, 1, 2, 3))))}])"
        if kind == "group":
            return f'(group "{self._dice.choice(("Bull", "Bear", "Hedge", "Pop"))}" [(weight-equal [{child()}])])'
        if kind == "specified":
            return f"(weight-specified 0.6 {child()} 0.4 {child()})"
        if kind == "volatility":
            return f"(weight-inverse-volatility {self._dice.choice((10, 20, 60))} [{child()}{child()}])"
        ranking = self._dice.choice(("rsi", "rsi", "cumulative-return", "moving-average-return", "stdev-return", "max-drawdown"))
        side, count = self._dice.choice(("top", "bottom", "bottom")), self._dice.choice((1, 1, 1, 2, 3))
        ranked = (
            [child() for _ in range(2)] if self._dice.random() < 0.04 else [pad + self._asset() for _ in range(self._dice.randint(2, 7))]
        )
        return f"(filter ({ranking} {{:window {self._window()}}}) (select-{side} {count}) [{''.join(ranked)}])"

    def _condition(self) -> str:
        name = self._dice.choices(
            ("rsi", "cumulative-return", "moving-average-price", "moving-average-return", "stdev-return", "max-drawdown"),
            (64, 16, 8, 7, 3, 2),
        )[0]
        comparator = self._dice.choices((">", "<", ">=", "<="), (69, 28, 1, 2))[0]
        left = f'({name} "{self._dice.choice(WATCHED)}" {{:window {self._window()}}})'
        if name == "moving-average-price":
            return f'({comparator} (current-price "{self._dice.choice(WATCHED)}") {left})'
        if self._dice.random() < 0.2:
            return f'({comparator} {left} ({name} "{self._dice.choice(WATCHED)}" {{:window {self._window()}}}))'
        return f"({comparator} {left} {self._dice.choice((30, 31, 50, 79, 80) if name == 'rsi' else (-5, 0, 1, 2, 5))})"

    def _window(self) -> int:
        return self._dice.choice((5, 10, 10, 10, 10, 14, 20, 21, 60, 200))

    def _asset(self) -> str:
        return f'(asset "{self._dice.choice(HELD)}" "A display name of thirty letters")'


def walks(symbols: set[str], seed: int) -> dict[str, Floats]:
    """Return random closes by symbol."""
    dice = np.random.default_rng(seed)
    return {symbol: 100 * np.exp(np.cumsum(dice.normal(0, 0.02, SESSIONS))) for symbol in sorted(symbols)}


def panel_of(closes: dict[str, Floats]) -> PricePanel:
    """Return the panel of all sessions."""
    return PricePanel({symbol: (np.arange(FIRST, FIRST + len(values), dtype=np.int64), values) for symbol, values in closes.items()})


def indicators_of(symphony: Symphony) -> list[tuple[str, Measure]]:
    """Return every indicator of a symbol that the tree names."""
    found: dict[tuple[str, Measure], None] = {}
    for node in symphony.nodes:
        if isinstance(node, If):
            sides = (node.condition.left, node.condition.right)
            found |= dict.fromkeys((side.symbol, side.measure) for side in sides if isinstance(side, Reading))
        elif isinstance(node, Filter):
            found |= dict.fromkeys((child.symbol, node.measure) for child in node.children if isinstance(child, Asset))
    return list(found)


def check_against_slow(symphony: Symphony, closes: dict[str, Floats]) -> float:
    """Compare the last days with the slow interpreter, and return the seconds that it takes for them."""
    closes = {symbol: values[:CHECKED_SESSIONS] for symbol, values in closes.items()}
    history = History(symphony, panel_of(closes), STOP)
    slow = SlowInterpreter(symphony, {symbol: values.tolist() for symbol, values in closes.items()})
    began = time.perf_counter()
    for day in range(CHECKED_SESSIONS - CHECKED_DAYS, CHECKED_SESSIONS):
        expected = slow.target(day)
        assert expected is not None
        assert {symbol: expected[symbol] for symbol in sorted(expected)} == history.weights(day), "the fast answer is not the slow one"
    return time.perf_counter() - began


def live_seconds(strategies: list[SymphonyStrategy], closes: dict[str, Floats]) -> list[float]:
    """Return the seconds of one decision of all strategies after a quote, each on other prices, the first checked."""
    base, dice, today = panel_of(closes), np.random.default_rng(3), date.fromordinal(FIRST + SESSIONS)
    taken: list[float] = []
    for turn in range(200):
        live = {symbol: float(values[-1] * np.exp(dice.normal(0, 0.01))) for symbol, values in closes.items()}
        began = time.perf_counter()
        panel = LivePanel(base, today, live)
        proposals = [strategy.on(panel).decide(panel.last) for strategy in strategies]
        taken.append(time.perf_counter() - began)
        if turn == 0:
            joined = panel_of({symbol: np.append(values, live[symbol]) for symbol, values in closes.items()})
            assert proposals == [strategy.on(joined).decide(joined.last) for strategy in strategies]
            assert all(isinstance(proposal, Proposal) for proposal in proposals)
    return taken[20:]


def main() -> int:
    """Check, measure, print; return 1 when something takes longer than it may."""
    print(environment("numpy", "msgspec"))
    shipped = {name: check_bytes(shipped_symphony(name)) for name in SHIPPED}
    closes = walks({symbol for symphony in shipped.values() for symbol in symphony.symbols}, seed=1)
    measured: dict[str, list[float]] = {}
    for name, symphony in shipped.items():
        slow = check_against_slow(symphony, closes)
        wanted = [(measure, closes[symbol]) for symbol, measure in indicators_of(symphony)]
        measured[f"{name} over all days"] = [seconds(lambda s=symphony: History(s, panel_of(closes), STOP)) for _ in range(REPEATS)]
        measured[f"{name}, its indicators alone"] = [
            seconds(lambda w=wanted: [tail(measure, closes) for measure, closes in w]) for _ in range(REPEATS)
        ]
        measured[f"{name}, slow reading of {CHECKED_DAYS} days"] = [slow]

    measured["live, three strategies"] = live_seconds([SymphonyStrategy(name, 1.0, tree) for name, tree in shipped.items()], closes)

    text = LargeFile(seed=7).text(2_200_000)
    large = check_text(text)
    print(f"large file: {len(text):,} bytes, {text.count('('):,} forms, {len(large.nodes):,} distinct nodes, {large.depth} deep")
    prices = walks(set(large.symbols), seed=2)
    measured[f"large file, slow reading of {CHECKED_DAYS} days"] = [check_against_slow(large, prices)]
    measured["large file loaded"] = [seconds(lambda: check_text(text)) for _ in range(REPEATS)]
    measured["large file, read only"] = [seconds(lambda: read_text(text)) for _ in range(REPEATS)]
    measured["large file, all"] = [seconds(lambda: History(check_text(text), panel_of(prices), STOP)) for _ in range(REPEATS)]
    measured["large file, its indicators alone"] = [
        seconds(lambda: [tail(measure, prices[symbol]) for symbol, measure in indicators_of(large)]) for _ in range(REPEATS)
    ]

    failed = 0
    for label, values in measured.items():
        spread, limit = spread_of(values), AT_MOST.get(label)
        is_over = limit is not None and spread.median > limit
        failed += is_over
        verdict = "" if limit is None else f"  at most {limit * 1e3:,.0f} ms{'  TOO SLOW' if is_over else ''}"
        print(f"{label:45} {spread.median * 1e3:12,.2f} ms  ({spread.least * 1e3:,.2f} to {spread.greatest * 1e3:,.2f}){verdict}")
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{'peak memory, slow interpreter included':45} {peak_mb:12,.0f} MB  at most {MEMORY_AT_MOST_MB:,} MB")
    return 1 if failed or peak_mb > MEMORY_AT_MOST_MB else 0


if __name__ == "__main__":
    sys.exit(main())
