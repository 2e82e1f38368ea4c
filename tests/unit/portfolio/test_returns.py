"""Returns by hand: deposits neither earn nor lose, strategies have their share as capital, what cannot be computed is said not to be."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alchemiser.domain.events import ResultReported
from alchemiser.portfolio.returns import Look, Standing, money_weighted, of_account, of_strategy, return_of, standing_of, time_weighted

D = Decimal
START = datetime(2025, 1, 1, tzinfo=UTC)


def looks(*values: tuple[float, str, str]) -> list[Look]:
    """Return looks: the day, the value, what was paid in since the one before."""
    return [Look(at=START + timedelta(days=day), value=D(value), flow=D(flow)) for day, value, flow in values]


def test_a_deposit_does_not_touch_the_time_weighted_return() -> None:
    """1000 become 1100; 1000 are paid in; 2100 become 1890: 1.1 x 0.9 - 1 = -1 %. Without the deposit it would be the same."""
    with_deposit = looks((0, "1000", "0"), (10, "1100", "0"), (20, "1890", "1000"))
    without = looks((0, "1000", "0"), (10, "1100", "0"), (20, "990", "0"))
    assert time_weighted(with_deposit) == pytest.approx(-0.01)
    assert time_weighted(without) == pytest.approx(-0.01)


def test_the_money_weighted_return_is_that_of_the_money_that_was_there() -> None:
    """1000 for 20 days and 1000 for 10 of them become 1890: 1000 (1+r) + 1000 (1+r)^0.5 = 1890, so (1+r)^0.5 = 0.9627, r = -7.33 %."""
    found = money_weighted(looks((0, "1000", "0"), (10, "1100", "0"), (20, "1890", "1000")))
    root = (-1 + float(1 + 4 * 1.89) ** 0.5) / 2
    assert found is not None
    assert found == pytest.approx(root**2 - 1)
    assert -0.08 < found < -0.07


def test_without_payments_both_returns_are_the_same() -> None:
    """What there is over what there was."""
    found = return_of(looks((0, "1000", "0"), (3, "1200", "0"), (9, "1500", "0")))
    assert found is not None
    assert found.time_weighted == pytest.approx(0.5)
    assert found.money_weighted == pytest.approx(0.5)


@given(st.lists(st.tuples(st.integers(500, 2000), st.integers(-400, 400)), min_size=1, max_size=20))
def test_the_money_weighted_return_explains_the_end(steps: list[tuple[int, int]]) -> None:
    """At the rate that is found what was paid in grows to what there is."""
    path = looks((0, "1000", "0"), *((day, str(value), str(flow)) for day, (value, flow) in enumerate(steps, start=1)))
    rate = money_weighted(path)
    if rate is None:
        return
    days = len(steps)
    grown = 1000 * (1 + rate) + sum(flow * (1 + rate) ** ((days - place) / days) for place, (_, flow) in enumerate(steps))
    assert grown == pytest.approx(steps[-1][0], rel=1e-6)


def test_nothing_earns_nothing() -> None:
    """One look, an empty account, a rate beyond all bounds: there is no return, and none is invented."""
    assert return_of(looks((0, "1000", "0"))) is None
    assert time_weighted(looks((0, "0", "0"), (1, "5", "0"))) is None
    assert money_weighted(looks((0, "0", "0"), (1, "5", "0"))) is None
    assert money_weighted(looks((0, "1000", "0"), (1, "-5", "0"))) is None


def standing(day: int, equity: str, paid_in: str, capital: dict[str, str], profit: dict[str, str]) -> Standing:
    """Return the account of a day."""
    return Standing(
        at=START + timedelta(days=day),
        equity=D(equity),
        transferred=D(paid_in),
        capital={name: D(amount) for name, amount in capital.items()},
        profit={name: D(amount) for name, amount in profit.items()},
    )


PATH = (
    standing(0, "1000", "0", {"a": "600", "b": "400"}, {"a": "0", "b": "0"}),
    # a earns 60 of 600, b loses 20 of 400.
    standing(1, "1040", "0", {"a": "624", "b": "416"}, {"a": "60", "b": "-20"}),
    # 1000 are paid in: a has 624 + 600 = 1224 and loses 122.40, b has 416 + 400 = 816 and earns 81.60.
    standing(2, "1999.20", "1000", {"a": "1199.52", "b": "799.68"}, {"a": "-62.40", "b": "61.60"}),
)


def test_a_strategy_earns_with_its_share() -> None:
    """a: 1.1 x 0.9 - 1 = -1 %; b: 0.95 x 1.1 - 1 = 4.5 %; the account: 1.04 x 1999.20/2040 - 1 = 1.92 %."""
    a, b, account = (return_of(path) for path in (of_strategy("a", PATH), of_strategy("b", PATH), of_account(PATH)))
    assert a is not None and b is not None and account is not None  # noqa: PT018
    assert a.time_weighted == pytest.approx(-0.01)
    assert b.time_weighted == pytest.approx(0.045)
    assert account.time_weighted == pytest.approx(1.04 * 0.98 - 1)


def test_a_strategy_that_came_later_begins_when_it_came() -> None:
    """Before it had capital it earned nothing and lost nothing."""
    found = return_of(of_strategy("c", (PATH[0], standing(1, "1040", "0", {"c": "520"}, {}), standing(2, "1092", "0", {}, {"c": "52"}))))
    assert found is not None
    assert START + timedelta(days=1) == found.since
    assert found.time_weighted == pytest.approx(0.1)


def test_a_result_tells_the_standing() -> None:
    """Profit is what was realised, what is not yet, and the income."""
    result = ResultReported(
        at=START,
        session=date(2025, 1, 1),
        equity=D(10),
        cash=D(1),
        realised={"a": D(1)},
        unrealised={"a": D(2)},
        income={"a": D(4)},
        capital={"a": D(5)},
        transferred=D(3),
    )
    assert standing(0, "10", "3", {"a": "5"}, {"a": "7"}) == standing_of(result)
