"""``alchemiser plan`` walked by hand: crossing, the no-trade band, and positions that the daemon does not own, with every number."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import ROUND_DOWN, Decimal
from typing import Any

import pytest

from alchemiser.cli.plan import _text
from alchemiser.domain.account import Account, Asset, BrokerPosition
from alchemiser.domain.events import StrategyFailed, TargetProposed
from alchemiser.domain.market import Session
from alchemiser.portfolio.band import Band
from alchemiser.portfolio.plan import PlanRules
from alchemiser.portfolio.planning import PortfolioParts
from alchemiser.service.preview import PREVIEW, Preview, preview
from alchemiser.service.view import to_json
from tests.solipsism import virtual
from tests.unit.portfolio.bookkeeping import Bookkeeping

D = Decimal
NOW = datetime(2025, 3, 3, 20, 50, tzinfo=UTC)
SESSION = Session(date=date(2025, 3, 3), opens_at=NOW.replace(hour=14, minute=30), closes_at=NOW.replace(hour=21, minute=0))
EXACT = PlanRules(band=Band(absolute=0.01), cash_reserve=D(0), minimum_notional=D(5))


class Broker:
    """What the account has at the broker: whatever is not in the books is somebody else's."""

    def __init__(self, cash: str, positions: Mapping[str, tuple[str, str]]) -> None:
        self._cash, self._positions = D(cash), positions

    async def account_and_positions(self) -> tuple[Account, tuple[BrokerPosition, ...]]:
        """Return the account, whose equity counts everything, also what is not ours, and the positions."""
        equity = self._cash + sum((D(shares) * D(price) for shares, price in self._positions.values()), D(0))
        account = Account(account_number="A", cash=self._cash, equity=equity, buying_power=self._cash, multiplier=1)
        return account, tuple(
            BrokerPosition(
                symbol=symbol, quantity=D(shares), available_quantity=D(shares), average_entry_price=D(price), current_price=D(price)
            )
            for symbol, (shares, price) in self._positions.items()
        )


class Still:
    """A clock that stands."""

    def now(self) -> datetime:
        """Return ten minutes before the close."""
        return NOW


def planned(
    facts: Sequence[str],
    targets: Mapping[str, Mapping[str, float] | None],
    mids: Mapping[str, str],
    broker: Broker,
    *,
    cash: str,
    rules: PlanRules = EXACT,
    half_spreads: Mapping[str, float] | None = None,
) -> Preview:
    """Return what would be traded when those facts are booked, the strategies want that, and the market is so."""
    books = Bookkeeping(cash, strategies=tuple(targets))
    for fact in facts:
        books.tell(fact)
    answers: list[TargetProposed | StrategyFailed] = [
        StrategyFailed(at=NOW, rebalance_id=PREVIEW, strategy=name, reason="no bars")
        if weights is None
        else TargetProposed(
            at=NOW,
            rebalance_id=PREVIEW,
            strategy=name,
            weights=dict(weights),
            prices={symbol: float(mids[symbol]) for symbol in weights},
            explanation=(),
        )
        for name, weights in targets.items()
    ]

    async def assets(symbols: Sequence[str]) -> dict[str, Asset]:
        return {symbol: Asset(symbol=symbol, is_tradable=True, is_fractionable=True) for symbol in symbols}

    async def publish(*event: object, **how: object) -> None:
        raise AssertionError("a preview published something")

    parts = PortfolioParts(
        venue=broker,  # type: ignore[arg-type] # the two questions that a plan asks
        ledger=books.ledger,
        clock=Still(),  # type: ignore[arg-type] # a plan asks for the time and waits for nothing
        publish=publish,
        mids=lambda symbol, now: float(mids[symbol]) if symbol in mids else None,
        assets=assets,
        check=lambda *circumstances: lambda intent, equity: None,
        rules=rules,
        allocations={name: D(1) / len(targets) for name in targets},
        unfinished=lambda: None,
        half_spreads=lambda symbol, now: (half_spreads or {}).get(symbol),
    )

    async def main() -> Preview:
        return await preview(parts, answers, SESSION)

    return virtual(main)


def orders_of(plan: Preview) -> list[tuple[str, str, Decimal, Decimal]]:
    """Return side, symbol, shares and dollars of each order."""
    return [(order.side.value, order.symbol, order.quantity, order.notional) for order in plan.orders]


TWO_BOOKS = ("x: a buys 10 AAA at 50", "y: b buys 8 BBB at 100")
"""Of 2000 dollars 500 and 800 were spent: 700 are left."""

TURNED: Mapping[str, Mapping[str, float] | None] = {"a": {"BBB": 1.0}, "b": {"AAA": 0.4, "BBB": 0.6}}
MIDS = {"AAA": "60", "BBB": "100", "ZZZ": "10"}


def turned(positions: Mapping[str, tuple[str, str]]) -> Preview:
    """Return the plan of two strategies that turn towards each other."""
    return planned(TWO_BOOKS, TURNED, MIDS, Broker("700", positions), cash="2000", half_spreads={"AAA": 0.0005, "BBB": 0.0002})


def test_what_one_sells_and_another_buys_is_crossed() -> None:
    """At the mid, and only the rest is sent."""
    plan = turned({"AAA": ("10", "60"), "BBB": ("8", "100")})

    # 700 + 10 x 60 + 8 x 100 = 2100, half of it each.
    assert (plan.equity, plan.cash) == (D(2100), D(700))
    assert [one.capital for one in plan.strategies] == [D(1050), D(1050)]
    # a wants 1050 / 100 = 10.5 BBB and no AAA; b wants 0.4 x 1050 / 60 = 7 AAA and 0.6 x 1050 / 100 = 6.3 BBB, 1.7 fewer than it has.
    crossed = [(one.symbol, one.seller, one.buyer, one.quantity, one.price) for one in plan.crossings]
    assert crossed == [("AAA", "a", "b", D(7), D(60)), ("BBB", "b", "a", D("1.7"), D(100))]
    # Left: 10 - 7 = 3 AAA to sell, 10.5 - 1.7 = 8.8 BBB to buy. Both pay half of their spreads: 700 + 180 x 0.9995 = 879.91 dollars are
    # there for 880 x 1.0002 = 880.176, and 8.8 x 879.91 / 880.176 = 8.797340531 can be paid.
    assert orders_of(plan) == [("sell", "AAA", D(3), D("180.00")), ("buy", "BBB", D("8.797340531"), D("879.73"))]
    assert [order.strategies for order in plan.orders] == [{"a": D(3)}, {"a": D("8.797340531")}]
    # 180 / 2100 and 880 / 2100 of the equity were wanted; half of each spread: 180 x 0.0005 = 0.09 and 879.734 x 0.0002 = 0.176
    assert [order.drift for order in plan.orders] == [pytest.approx(0.0857142857), pytest.approx(0.4190476190)]
    assert ([order.cost for order in plan.orders], plan.cost) == ([D("0.09"), D("0.18")], D("0.27"))
    # 0.5 x 0.4 = 0.2 and 0.5 x 1 + 0.5 x 0.6 = 0.8
    assert plan.target == {"AAA": pytest.approx(0.2), "BBB": pytest.approx(0.8)}


def test_positions_that_the_daemon_does_not_own_change_no_number() -> None:
    """Five more AAA and a whole ZZZ of somebody else's: not valued, not sold, not counted as held."""
    ours = turned({"AAA": ("10", "60"), "BBB": ("8", "100")})
    theirs_too = turned({"AAA": ("15", "60"), "BBB": ("8", "100"), "ZZZ": ("40", "10")})

    assert theirs_too == ours


def test_the_plan_is_printed_with_its_numbers() -> None:
    """What a person reads says the same."""
    document: dict[str, Any] = json.loads(to_json(turned({"AAA": ("15", "60"), "BBB": ("8", "100")})))
    text = _text(document)

    assert "equity 2,100.00, cash 700.00, target AAA 20.00%, BBB 80.00%" in text
    assert "crossed inside: 7 AAA from a to b at 60" in text
    assert "crossed inside: 1.7 BBB from b to a at 100" in text
    assert [line.split() for line in text.splitlines() if line.startswith(("sell", "buy"))] == [
        ["sell", "AAA", "3", "60", "180.00", "0.09", "a", "3"],
        ["buy", "BBB", "8.797340531", "100", "879.73", "0.18", "a", "8.797340531"],
    ]
    assert "cost: about 0.27 dollars" in text


def test_a_strategy_that_failed_keeps_its_shares_and_its_share() -> None:
    """B keeps 8 BBB; a has half of 2100 and buys 10.5 BBB with what 10 AAA bring: 600 + 700 dollars are enough for 1050."""
    wants: Mapping[str, Mapping[str, float] | None] = {"a": {"BBB": 1.0}, "b": None}
    plan = planned(TWO_BOOKS, wants, MIDS, Broker("700", {}), cash="2000")

    assert orders_of(plan) == [("sell", "AAA", D(10), D("600.00")), ("buy", "BBB", D("10.5"), D("1050.00"))]
    assert plan.crossings == ()
    assert [(one.status, one.reason) for one in plan.strategies] == [("ok", None), ("failed", "no bars")]


BANDS = {
    # 1 % of 1000 dollars are 10.00: 0.19 x 50 = 9.50 is inside, 0.20 x 50 = 10.00 is not.
    "absolute, inside": (Band(absolute=0.01), "10.19", None),
    "absolute, at its edge": (Band(absolute=0.01), "10.20", "0.20"),
    # 4 % of a weight of one half are 2 % of 1000 dollars, 20.00: 0.39 x 50 = 19.50, 0.40 x 50 = 20.00.
    "relative, inside": (Band(absolute=0.0, relative=0.04), "10.39", None),
    "relative, at its edge": (Band(absolute=0.0, relative=0.04), "10.40", "0.40"),
    # (3/(2 x 3) x 0.5^2 x 0.5^2 x 0.001)^(1/3) = (0.00003125)^(1/3) = 0.031498, 31.50 dollars less a fifth of a cent.
    "cost-aware, inside": (Band(absolute=0.0, is_cost_aware=True), "10.62", None),
    "cost-aware, beyond it": (Band(absolute=0.0, is_cost_aware=True), "10.63", "0.63"),
    # The widest counts: 20.00 of 10.00 and 20.00; below it nothing happens, though the absolute band alone would let it.
    "the widest of two": (Band(absolute=0.01, relative=0.04), "10.30", None),
}


@pytest.mark.parametrize("name", BANDS)
def test_the_band_leaves_alone_what_is_not_worth_a_trade(name: str) -> None:
    """1000 dollars in AAA and BBB at 50 each, wanted half and half: AAA has drifted up by what BBB has drifted down."""
    band, held, traded = BANDS[name]
    rules = PlanRules(band=band, cash_reserve=D(0), minimum_notional=D(5))
    facts = (f"x: a buys {held} AAA at 50", f"y: a buys {D(20) - D(held)} BBB at 50")
    plan = planned(
        facts,
        {"a": {"AAA": 0.5, "BBB": 0.5}},
        {"AAA": "50", "BBB": "50"},
        Broker("0", {}),
        cash="1000",
        rules=rules,
        half_spreads={"AAA": 0.001, "BBB": 0.001},
    )

    assert (plan.equity, plan.cash) == (D(1000), D(0))
    if traded is None:
        assert orders_of(plan) == []
        return
    # Of each dollar sold 0.999 arrive, and what a dollar buys costs 1.001: a tenth of a percent of 50 dollars a share each way.
    paid_for = (D(traded) * 999 / 1001).quantize(D("0.000000001"), ROUND_DOWN)
    bought = ("buy", "BBB", paid_for, (paid_for * 50).quantize(D("0.01")))
    assert orders_of(plan) == [("sell", "AAA", D(traded), D(traded) * 50), bought]


def test_a_position_that_goes_or_comes_altogether_has_no_band() -> None:
    """0.15 AAA are worth 7.50, inside a band of 10.00, and are sold all the same; 0.17 CCC for 8.50 are bought."""
    facts = ("x: a buys 0.15 AAA at 50", "y: a buys 19.85 BBB at 50")
    wants = {"a": {"BBB": 0.9915, "CCC": 0.0085}}
    plan = planned(facts, wants, {"AAA": "50", "BBB": "50", "CCC": "50"}, Broker("0", {}), cash="1000")

    # BBB: 0.9915 x 1000 / 50 = 19.83, 0.02 fewer than are held: 1.00 dollar, inside the band. 7.50 dollars pay for 0.15 of 0.17 CCC.
    assert orders_of(plan) == [("sell", "AAA", D("0.15"), D("7.50")), ("buy", "CCC", D("0.15"), D("7.50"))]
