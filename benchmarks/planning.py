"""A plan for 500 symbols and 50 strategies: merge, bands, crossing, netting, attribution, every pre-trade check, cash.

- Ours: ``plan_rebalance`` with the pre-trade checks of the daemon, in exact decimal arithmetic.
- Floor: the same targets and holdings netted in floats, without a band, a check, an asset's facts or a record of who wished for what.

Two desks: *typical*, where each strategy wants 30 of the symbols, and *dense*, where each wants all 500 (25,000 wishes). The promise is of
the typical desk. The answer is checked first: the intents carried out in full bring every wish to its target, nothing is spent twice.

``python benchmarks/planning.py`` prints a table and exits with 1 when the target is missed.
"""

import random
import sys
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal

from measure import alternate, environment

from alchemiser.domain.account import Asset
from alchemiser.domain.errors import OrderDenied
from alchemiser.domain.events import RebalancePlanned
from alchemiser.domain.intents import Intent
from alchemiser.domain.money import ZERO
from alchemiser.domain.orders import Side
from alchemiser.portfolio.band import Band
from alchemiser.portfolio.constraints import Constraints
from alchemiser.portfolio.plan import PlanRequest, PlanRules, plan_rebalance
from alchemiser.risk.checks import Circumstances, RiskLimits, check_intent

SYMBOLS = 500
STRATEGIES = 50
TYPICAL_WIDTH = 30
CASH = Decimal(1_000_000)
TARGET_MILLISECONDS = 50.0
REPEATS = 9
AT = datetime(2025, 3, 3, 20, 50, tzinfo=UTC)


def desk(width: int) -> PlanRequest:
    """Return the request of a desk whose strategies want and hold ``width`` symbols each; the same one every time."""
    dice = random.Random(width)
    symbols = [f"S{number:03d}" for number in range(SYMBOLS)]
    prices = {symbol: Decimal(dice.randint(500, 60_000)) / 100 for symbol in symbols}
    share = Decimal(1) / STRATEGIES
    targets: dict[str, dict[str, float] | None] = {}
    books: dict[str, dict[str, Decimal]] = {}
    for number in range(STRATEGIES):
        name = f"strategy {number:02d}"
        wanted = dice.sample(symbols, width)
        parts = [dice.random() for _ in wanted]
        targets[name] = {symbol: part / sum(parts) for symbol, part in zip(wanted, parts, strict=True)}
        held = dice.sample(symbols, width)
        books[name] = {symbol: round(CASH * share / width / prices[symbol], 9) for symbol in held}
    return PlanRequest(
        at=AT,
        rebalance_id="20250303.1",
        session=date(2025, 3, 3),
        cash=CASH,
        books=books,
        targets=targets,
        allocations=dict.fromkeys(targets, share),
        prices=prices,
        assets={symbol: Asset(symbol=symbol, is_tradable=True, is_fractionable=True) for symbol in symbols},
        rules=PlanRules(band=Band(absolute=0.0001), constraints=Constraints(symbol_at_most=0.5)),
        half_spreads=dict.fromkeys(symbols, 0.0002),
    )


def checks(request: PlanRequest) -> Callable[[Intent, Decimal], OrderDenied | None]:
    """Return every pre-trade check of the daemon, against circumstances in which all is known."""
    held: dict[str, Decimal] = {}
    for book in request.books.values():
        for symbol, quantity in book.items():
            held[symbol] = held.get(symbol, ZERO) + quantity
    circumstances = Circumstances(
        at=AT,
        held=held,
        free=held,
        assets=request.assets,
        fresh=frozenset(request.prices),
        mids=request.prices,
        halted=frozenset(),
        parked={},
        open_sides={},
        account_blocks=(),
        buying_power=CASH * 4,
        traded_today=ZERO,
        orders_today=0,
        books=request.books,
        shares=request.allocations,
        is_in_session=True,
        closes_at=AT.replace(hour=20, minute=59),
    )
    limits = RiskLimits(
        maximum_order_notional=CASH,
        maximum_daily_notional=CASH * 100,
        maximum_position_weight=Decimal(1),
        maximum_orders_per_day=10_000,
        price_collar_bps=Decimal(500),
    )
    return lambda intent, equity: check_intent(intent, equity, now=circumstances, limits=limits)


def floor(request: PlanRequest) -> dict[str, float]:
    """Return the net shares of each symbol in floats: the least arithmetic that the question needs."""
    prices = {symbol: float(price) for symbol, price in request.prices.items()}
    equity = float(request.cash) + sum(float(held) * prices[symbol] for book in request.books.values() for symbol, held in book.items())
    net: dict[str, float] = {}
    for name, weights in request.targets.items():
        capital = float(request.allocations[name]) * equity
        book = request.books[name]
        for symbol in {*(weights or {}), *book}:
            wish = capital * (weights or {}).get(symbol, 0.0) / prices[symbol] - float(book.get(symbol, ZERO))
            net[symbol] = net.get(symbol, 0.0) + wish
    return net


def check_answer(request: PlanRequest, plan: RebalancePlanned) -> None:
    """Refuse to time a wrong answer: nothing denied, no money made up, and the net shares those of the floor but for band and reserve."""
    assert not plan.denials, plan.denials[:3]
    spent = sum((i.quantity * i.reference_price * (1 if i.side is Side.BUY else -1) for i in plan.intents), ZERO)
    assert spent <= request.cash, f"{spent} would be spent of {request.cash}"
    expected = floor(request)
    for intent in plan.intents:
        signed = float(intent.quantity) * (1 if intent.side is Side.BUY else -1)
        slack = 0.01 * float(plan.equity) / STRATEGIES / float(intent.reference_price)
        assert abs(signed - expected[intent.symbol]) <= slack + 0.01 * abs(expected[intent.symbol]), (intent, expected[intent.symbol])
        assert sum((wish.quantity for wish in intent.wishes), ZERO) == intent.quantity


def main() -> int:
    """Check, measure, print and judge."""
    print(environment("msgspec"))
    print(f"{'CPU ms of a plan':24} {'ours':>28}   {'float floor':>28}   {'ratio':>6}   intents")
    typical = 0.0
    for word, width in (("typical", TYPICAL_WIDTH), ("dense", SYMBOLS)):
        request = desk(width)
        check = checks(request)
        plan = plan_rebalance(request, check)
        check_answer(request, plan)

        def timed(call: Callable[[], object]) -> Callable[[], float]:
            def measure() -> float:
                began = time.process_time()
                call()
                return (time.process_time() - began) * 1000

            return measure

        sides = {
            "ours": timed(lambda request=request, check=check: plan_rebalance(request, check)),  # type: ignore[misc]
            "floor": timed(lambda request=request: floor(request)),  # type: ignore[misc]
        }
        found = alternate(sides, repeats=REPEATS)
        ratio = found["ours"].median / found["floor"].median
        print(f"{word:24} {found['ours']!s:>28}   {found['floor']!s:>28}   {ratio:6.1f}   {len(plan.intents)}")
        typical = typical or found["ours"].median
    is_met = typical < TARGET_MILLISECONDS
    verdict = "met" if is_met else "MISSED"
    print(f"{typical:.1f} ms of CPU for {SYMBOLS} symbols and {STRATEGIES} strategies; target {TARGET_MILLISECONDS:g}: {verdict}")
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main())
