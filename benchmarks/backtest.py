"""Both engines over twenty years of a rotation, against bt, vectorbt, backtrader, NautilusTrader and plain NumPy.

First every curve is compared with that of plain NumPy: whoever differs by more than a millionth ends the run. Then the sides take turns, in
CPU time of this process. What is timed is, for the vector engine, from prices to result: panel, evaluation of the symphony, curve, dates
and figures, its very first call too; the list of targets by date is written out when somebody looks at it, and no peer writes one. For the
event engine the same, with every order through the daemon's handlers and the exchange. The peers compute the same rule and trade it, as
their users write it; NautilusTrader makes its figures too, as it does by default, and runs once more without them. Plain NumPy computes
weights and curve and nothing else.

Run it with ``PYTHONPATH=. python benchmarks/backtest.py``, with ``--quick`` for one turn of the slow ones. The peers come with the extra
``bench-backtest``, which wants an environment of its own: vectorbt does not start beside the Plotly that reports are drawn with. A peer
that cannot be loaded is named and left out.
"""

import sys
import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from backtest_peers import PEERS, Peer
from measure import alternate, cpu_nanoseconds, environment
from rotation import SYMBOLS, floor_equity, floor_weights, prices, symphony_text, weekdays

from alchemiser.backtest.event_engine import run_event
from alchemiser.backtest.result import BacktestResult, Terms
from alchemiser.backtest.vector import run_vector
from alchemiser.market.arrays import Floats
from alchemiser.strategies.panel import PricePanel
from alchemiser.strategies.symphony.check import check_text
from alchemiser.strategies.symphony.strategy import SymphonyStrategy

SEED = 1
AGREE = 1e-6
FAST_TURNS, SLOW_TURNS = 15, 5
SLOW = ("event engine", "backtrader", "NautilusTrader", "N., no figures", "bt")
FIRST_CALL_AT_MOST_SECONDS = 1.0
TARGETS = (
    ("vector engine", "vectorbt", 4.0),
    ("vector engine", "bt", 80.0),
    ("vector engine", "plain NumPy", 1 / 1.3),
    ("event engine", "backtrader", 3.0),
    ("event engine", "NautilusTrader", 3.0),
    ("event engine", "N., no figures", None),
)
"""Ours, the peer, and how many times as fast ours has to be; ``None`` where it is only told."""

Side = Callable[[], Sequence[float]]


def peers() -> dict[str, Peer]:
    """Return the peers that can be loaded, and say which cannot."""
    found = {}
    for name, (package, load) in PEERS.items():
        try:
            found[name] = load()
        except (ImportError, ValueError) as error:
            reason = str(error).splitlines()[0]
            print(f"{name} is left out: {package} cannot be loaded here ({reason}); install the extra 'bench-backtest' by itself")
    return found


def sides(found: dict[str, Peer]) -> dict[str, Side]:
    """Return what is compared: each returns its curve."""
    days, by_symbol = weekdays(), prices(SEED)
    closes = np.stack([by_symbol[symbol] for symbol in SYMBOLS])
    strategy = SymphonyStrategy("rotation", 1.0, check_text(symphony_text()))

    def ours(engine: Callable[..., BacktestResult]) -> Side:
        def run() -> Sequence[float]:
            panel = PricePanel({symbol: (days, values) for symbol, values in by_symbol.items()})
            return engine([strategy], panel, Terms(), timer=time.perf_counter).equity

        return run

    def theirs(peer: Peer) -> Side:
        return lambda: peer(closes, days)

    def floor() -> Floats:
        return floor_equity(closes, floor_weights(closes))

    return {
        "vector engine": ours(run_vector),
        "event engine": ours(run_event),
        "plain NumPy": floor,  # type: ignore[dict-item]
        **{name: theirs(peer) for name, peer in found.items()},
    }


def first_calls(compared: dict[str, Side]) -> dict[str, float]:
    """Run every side once, compare its curve with NumPy's, and return the seconds of those first calls."""
    expected = np.array(compared["plain NumPy"]())
    taken = {}
    for name, side in compared.items():
        began = time.perf_counter()
        curve = np.array(side())
        taken[name] = time.perf_counter() - began
        apart = float(np.max(np.abs(curve / expected - 1.0))) if len(curve) == len(expected) else float("inf")
        print(f"{name:16} first call {taken[name]:8.3f} s, {len(curve):,} sessions, ends with {curve[-1]:,.2f}, apart {apart:.1e}")
        if apart > AGREE:
            raise SystemExit(f"{name} has another curve than plain NumPy, so nothing is compared")
    return taken


def main() -> int:
    """Compare, measure, print; return 1 when a target is missed."""
    is_quick = "--quick" in sys.argv
    print(environment("numpy", "msgspec"))
    compared = sides(peers())
    first = first_calls(compared)
    # An operation is a millionth of a run: what is told is in milliseconds.
    measured = {name: partial(cpu_nanoseconds, side, 1_000_000) for name, side in compared.items()}
    fast = {name: measure for name, measure in measured.items() if name not in SLOW}
    slow = {name: measure for name, measure in measured.items() if name in SLOW}
    spread = alternate(fast, repeats=FAST_TURNS) | alternate(slow, repeats=1 if is_quick else SLOW_TURNS, warm_ups=0)
    print("\nCPU milliseconds of a run: median, least-greatest")
    for name, found in spread.items():
        print(f"{name:16} {found}")
    missed = first["vector engine"] > FIRST_CALL_AT_MOST_SECONDS
    print(f"\nthe vector engine's first call took {first['vector engine']:.3f} s, at most {FIRST_CALL_AT_MOST_SECONDS:g} s")
    for ours, peer, wanted in TARGETS:
        if peer not in spread:
            print(f"{ours} against {peer}: not measured")
            continue
        ratio = spread[peer].median / spread[ours].median
        if wanted is None:
            print(f"{ours} against {peer}: {ratio:.2f} times as fast")
            continue
        missed |= ratio < wanted
        print(f"{ours} against {peer}: {ratio:.2f} times as fast, wanted {wanted:.2f}{'' if ratio >= wanted else '  MISSED'}")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
