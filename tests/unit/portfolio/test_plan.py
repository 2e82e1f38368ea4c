"""The plan: from targets to intents, never more cash than there is, never more shares than are held."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alchemiser.domain.account import Asset
from alchemiser.domain.errors import OrderDenied
from alchemiser.domain.events import RebalancePlanned
from alchemiser.domain.intents import Intent
from alchemiser.domain.orders import Side
from alchemiser.portfolio.band import Band
from alchemiser.portfolio.constraints import Constraints
from alchemiser.portfolio.plan import PlanRequest, PlanRules, plan_rebalance

SYMBOLS = ("AAA", "BBB", "CCC")


def request(**changes: object) -> PlanRequest:
    """Return a request of one strategy with cash and nothing held, with these changes."""
    fields: dict[str, object] = {
        "at": datetime(2025, 3, 3, 20, 50, tzinfo=UTC),
        "rebalance_id": "20250303.1",
        "session": date(2025, 3, 3),
        "cash": Decimal(10_000),
        "books": {},
        "targets": {"s": {"AAA": 1.0}},
        "allocations": {"s": Decimal(1)},
        "prices": {symbol: Decimal(100) for symbol in SYMBOLS},
        "assets": {symbol: Asset(symbol=symbol, is_tradable=True, is_fractionable=True) for symbol in SYMBOLS},
        "rules": PlanRules(band=Band(absolute=0.01), cash_reserve=Decimal(0), minimum_notional=Decimal(5)),
    }
    return PlanRequest(**{**fields, **changes})  # type: ignore[arg-type]


def allow(intent: Intent, equity: Decimal) -> None:
    """Check nothing."""


def planned(**changes: object) -> RebalancePlanned:
    """Return the plan of a request."""
    return plan_rebalance(request(**changes), allow)


def test_cash_becomes_the_target() -> None:
    """With nothing held the whole capital buys the target."""
    (intent,) = planned().intents

    assert (intent.symbol, intent.side, intent.quantity) == ("AAA", Side.BUY, Decimal(100))


def test_buys_are_scaled_to_what_is_left_behind_the_spreads() -> None:
    """Sells bring their bid and buys cost their ask: where another strategy keeps more than its part, the last cent is counted on.

    1,000 in cash and 2,000 of BBB sold at 1 % below the mid are 2,980; so much buys 29.50495 AAA at 1 % above it.
    """
    plan = planned(
        cash=Decimal(1_000),
        books={"s": {"BBB": Decimal(20)}, "kept": {"CCC": Decimal(70)}},
        targets={"s": {"AAA": 1.0}, "kept": None},
        allocations={"s": Decimal("0.5"), "kept": Decimal("0.5")},
        half_spreads={"AAA": 0.01, "BBB": 0.01, "CCC": 0.01},
    )
    sell, buy = plan.intents

    assert (sell.symbol, sell.quantity, buy.symbol) == ("BBB", Decimal(20), "AAA")
    assert buy.quantity == Decimal("29.504950495")
    assert buy.quantity * 101 <= 1_000 + 20 * 99


def test_sells_come_first_and_buys_by_drift() -> None:
    """The order of the intents is the order in which they are released."""
    plan = planned(
        cash=Decimal(0),
        books={"s": {"AAA": Decimal(100)}},
        targets={"s": {"BBB": 0.3, "CCC": 0.7}},
    )

    assert [(intent.symbol, intent.side.value) for intent in plan.intents] == [("AAA", "sell"), ("CCC", "buy"), ("BBB", "buy")]


def test_a_drift_inside_the_band_is_left_alone() -> None:
    """Half a percent off is not worth a trade when the band is one percent."""
    plan = planned(cash=Decimal(50), books={"s": {"AAA": Decimal("99.5")}})

    assert plan.intents == ()


def test_a_failed_strategy_keeps_what_it_holds() -> None:
    """A strategy without an answer neither buys nor sells, and the others get their own share only."""
    plan = planned(
        cash=Decimal(5_000),
        books={"bad": {"BBB": Decimal(50)}},
        targets={"good": {"AAA": 1.0}, "bad": None},
        allocations={"good": Decimal("0.5"), "bad": Decimal("0.5")},
    )

    assert [(intent.symbol, intent.quantity) for intent in plan.intents] == [("AAA", Decimal(50))]


def test_opposite_wishes_are_crossed_inside() -> None:
    """What one strategy sells and another buys is never sent."""
    plan = planned(
        cash=Decimal(5_000),
        books={"a": {"AAA": Decimal(50)}},
        targets={"a": {"BBB": 1.0}, "b": {"AAA": 1.0}},
        allocations={"a": Decimal("0.5"), "b": Decimal("0.5")},
    )

    assert [(c.symbol, c.seller, c.buyer, c.quantity) for c in plan.crossings] == [("AAA", "a", "b", Decimal(50))]
    assert [(intent.symbol, intent.side.value) for intent in plan.intents] == [("BBB", "buy")]


def test_whole_shares_where_fractions_are_not_traded() -> None:
    """A non-fractionable asset is bought in whole shares, rounded down."""
    assets = {"AAA": Asset(symbol="AAA", is_tradable=True, is_fractionable=False)}
    (intent,) = planned(assets=assets, prices={"AAA": Decimal(333)}).intents

    assert intent.quantity == 30


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"assets": {}}, "unknown_symbol"),
        ({"assets": {"AAA": Asset(symbol="AAA", is_tradable=False, is_fractionable=True)}}, "not_tradable"),
        ({"prices": {}}, "no_price"),
    ],
)
def test_what_cannot_be_traded_is_denied_by_name(change: dict[str, object], code: str) -> None:
    """A refusal of ours is a code with its reason, and nothing is sent."""
    plan = planned(**change)

    assert plan.intents == ()
    assert [code] == [denial.code for denial in plan.denials]


def test_a_position_without_a_price_makes_no_plan() -> None:
    """Equity that cannot be valued is not guessed."""
    with pytest.raises(OrderDenied, match="no_price"):
        planned(books={"s": {"BBB": Decimal(1)}}, prices={"AAA": Decimal(1)})


def test_a_check_that_denies_is_in_the_plan() -> None:
    """The denial carries the code of the check."""
    plan = plan_rebalance(request(), lambda intent, equity: OrderDenied("halted", "AAA is halted"))

    assert plan.intents == ()
    assert [denial.code for denial in plan.denials] == ["halted"]


WEIGHTS = st.lists(st.integers(min_value=0, max_value=10), min_size=3, max_size=3).filter(any)
QUANTITIES = st.decimals(min_value=0, max_value=200, places=4)


@given(
    weights=st.lists(WEIGHTS, min_size=2, max_size=2),
    held=st.lists(st.lists(QUANTITIES, min_size=3, max_size=3), min_size=2, max_size=2),
    cash=st.decimals(min_value=0, max_value=50_000, places=2),
    prices=st.lists(st.decimals(min_value="0.5", max_value=900, places=2), min_size=3, max_size=3),
)
def test_a_plan_never_overspends_and_never_oversells(
    weights: list[list[int]], held: list[list[Decimal]], cash: Decimal, prices: list[Decimal]
) -> None:
    """Whatever the targets: buys fit into cash and sells, a sell fits into what is held, wishes add up to their intent."""
    names = ("a", "b")
    books = {n: {s: q for s, q in zip(SYMBOLS, row, strict=True) if q} for n, row in zip(names, held, strict=True)}
    targets = {n: {s: w / sum(row) for s, w in zip(SYMBOLS, row, strict=True)} for n, row in zip(names, weights, strict=True)}
    by_symbol = dict(zip(SYMBOLS, prices, strict=True))
    plan = planned(books=books, targets=targets, cash=cash, prices=by_symbol, allocations={"a": Decimal("0.4"), "b": Decimal("0.6")})

    left = {n: dict(book) for n, book in books.items()}
    for crossing in plan.crossings:
        left[crossing.seller][crossing.symbol] -= crossing.quantity
    for intent in plan.intents:
        assert intent.quantity == sum((wish.quantity for wish in intent.wishes), Decimal(0)) > 0
        if intent.side is Side.SELL:
            for wish in intent.wishes:
                left[wish.strategy][intent.symbol] -= wish.quantity
    assert all(quantity >= 0 for book in left.values() for quantity in book.values())

    spent = sum((i.quantity * by_symbol[i.symbol] * i.side.sign for i in plan.intents), Decimal(0))
    assert spent <= cash
    assert len({intent.symbol for intent in plan.intents}) == len(plan.intents), "never both sides of a symbol"


def test_turnover_is_capped_in_proportion() -> None:
    """Everything is traded slower, nothing is left out, and the plan says so."""
    rules = PlanRules(
        band=Band(absolute=0.01), cash_reserve=Decimal(0), minimum_notional=Decimal(5), constraints=Constraints(turnover_at_most=0.5)
    )
    plan = planned(targets={"s": {"AAA": 0.75, "BBB": 0.25}}, rules=rules)

    assert {intent.symbol: intent.quantity for intent in plan.intents} == {"AAA": Decimal("37.5"), "BBB": Decimal("12.5")}
    assert [(note.code, note.before, note.after) for note in plan.adjustments] == [("turnover", 1.0, 0.5)]


def test_the_plan_keeps_to_the_constraints() -> None:
    """A capped symbol is bought up to its cap, and the rest of the capital stays in cash."""
    rules = PlanRules(band=Band(absolute=0.01), cash_reserve=Decimal(0), constraints=Constraints(symbol_at_most=0.6))
    plan = planned(rules=rules)

    assert [(intent.symbol, intent.quantity) for intent in plan.intents] == [("AAA", Decimal(60))]
    assert [note.code for note in plan.adjustments] == ["symbol_weight"]
    assert plan.target == {"AAA": 0.6}


def test_only_the_deployed_part_of_the_equity_is_used() -> None:
    """What is not deployed is not the strategies'; the reserve is kept of the rest."""
    rules = PlanRules(band=Band(absolute=0.01), cash_reserve=Decimal("0.1"), deployment=Decimal("0.5"))
    (intent,) = planned(rules=rules).intents

    assert intent.quantity == 45


def test_a_wide_spread_widens_the_band_when_asked_to() -> None:
    """A drift of two percent is left alone when the trade costs more than it is worth."""
    books, targets = {"s": {"AAA": Decimal(48), "BBB": Decimal(52)}}, {"s": {"AAA": 0.5, "BBB": 0.5}}

    def symbols(is_cost_aware: bool, half_spread: float) -> list[str]:
        rules = PlanRules(band=Band(absolute=0.01, is_cost_aware=is_cost_aware), cash_reserve=Decimal(0))
        half_spreads = dict.fromkeys(SYMBOLS, half_spread)
        return [
            intent.symbol
            for intent in planned(cash=Decimal(0), books=books, targets=targets, rules=rules, half_spreads=half_spreads).intents
        ]

    assert symbols(False, 0.001) == ["BBB", "AAA"]
    assert symbols(True, 0.00001) == ["BBB", "AAA"]
    assert symbols(True, 0.001) == []


def test_what_is_owed_is_bought_back_before_anything_else() -> None:
    """No venue takes one order from short to long: the rest of the purchase comes with the next decision, and the plan says so."""
    plan = planned(books={"s": {"AAA": Decimal(-2)}})

    (intent,) = plan.intents
    assert (intent.side, intent.quantity, [wish.quantity for wish in intent.wishes]) == (Side.BUY, Decimal(2), [Decimal(2)])
    (adjustment,) = plan.adjustments
    assert adjustment.code == "owed_first"
    assert adjustment.after < adjustment.before


def test_a_reducing_strategy_sells_and_buys_nothing() -> None:
    """Its targets are capped at what it holds, what it would have bought is told in dollars, and the others are not concerned."""
    plan = planned(
        cash=Decimal(5_000),
        books={"r": {"AAA": Decimal(20), "BBB": Decimal(30)}},
        targets={"r": {"AAA": 0.1, "BBB": 0.5, "CCC": 0.4}, "s": {"CCC": 1.0}},
        allocations={"r": Decimal("0.5"), "s": Decimal("0.5")},
        reducing={"r": "trading of r was reduced by operator: drill"},
    )

    wanted = [(intent.side.value, intent.symbol, intent.quantity, [wish.strategy for wish in intent.wishes]) for intent in plan.intents]
    assert [("sell", "AAA", Decimal(15), ["r"]), ("sell", "BBB", Decimal(5), ["r"]), ("buy", "CCC", Decimal(50), ["s"])] == sorted(
        wanted, key=lambda one: one[1]
    )
    (note,) = plan.adjustments
    assert ("reducing", "r", 0.0) == (note.code, note.subject, note.after)
    assert "reduced by operator: drill; r buys none of CCC, 2000.00 dollars in all" in note.message


def test_a_reducing_strategy_may_sell_to_another_and_buy_back_what_it_owes() -> None:
    """Both lower risk; a crossing in which it would be the buyer does not happen."""
    crossed = planned(
        cash=Decimal(5_000),
        books={"r": {"AAA": Decimal(50)}},
        targets={"r": {"BBB": 1.0}, "s": {"AAA": 1.0}},
        allocations={"r": Decimal("0.5"), "s": Decimal("0.5")},
        reducing={"r": "reducing"},
    )
    owed = planned(books={"s": {"AAA": Decimal(-5)}}, reducing={"s": "reducing"})

    assert [("r", "s", Decimal(50))] == [(one.seller, one.buyer, one.quantity) for one in crossed.crossings]
    assert () == crossed.intents
    assert [("AAA", Side.BUY, Decimal(5))] == [(intent.symbol, intent.side, intent.quantity) for intent in owed.intents]


def test_a_reducing_strategy_without_equity_is_told_of_too() -> None:
    """Nothing is divided by nothing, and nothing is bought back with no cash."""
    plan = planned(cash=Decimal(0), books={"s": {"AAA": Decimal(-5)}}, targets={"s": {}}, reducing={"s": "reducing"})

    assert ((), ()) == (plan.intents, plan.adjustments)
