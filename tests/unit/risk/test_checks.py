"""The pre-trade checks: each refusal has its code and its numbers, and what may be sent is not refused."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alchemiser.domain.errors import OrderDenied
from alchemiser.domain.intents import Intent, Wish
from alchemiser.domain.orders import Side
from alchemiser.risk.checks import DenialCode, RiskLimits, check_intent

EQUITY = Decimal(10_000)
LIMITS = RiskLimits(minimum_notional=Decimal(5), maximum_order_notional=Decimal(5_000), maximum_position_weight=Decimal("0.4"))


def intent(side: Side, quantity: str, price: str = "100") -> Intent:
    """Return an intent of one symbol."""
    shares = Decimal(quantity)
    return Intent(
        intent_id="SPY",
        symbol="SPY",
        side=side,
        quantity=shares,
        reference_price=Decimal(price),
        drift=0.1,
        wishes=(Wish(strategy="s", quantity=shares),),
    )


def checked(wanted: Intent, *, held: str = "0", halted: bool = False, limits: RiskLimits = LIMITS, equity: Decimal = EQUITY) -> str | None:
    """Return the code of the denial, ``None`` when the intent may be sent."""
    denial = check_intent(wanted, equity, limits=limits, held=lambda symbol: Decimal(held), is_halted=lambda symbol: halted)
    return None if denial is None else denial.code


@pytest.mark.parametrize(
    ("wanted", "held", "expected"),
    [
        (intent(Side.BUY, "40"), "0", None),
        (intent(Side.BUY, "40.01"), "0", DenialCode.POSITION_WEIGHT),
        (intent(Side.BUY, "30"), "10", None),
        (intent(Side.BUY, "31"), "10", DenialCode.POSITION_WEIGHT),
        (intent(Side.BUY, "50.01"), "0", DenialCode.ORDER_NOTIONAL),
        (intent(Side.SELL, "50"), "90", None),
        (intent(Side.SELL, "50.01"), "90", DenialCode.ORDER_NOTIONAL),
        (intent(Side.SELL, "10"), "10", None),
        (intent(Side.SELL, "10.000000001"), "10", DenialCode.EXCEEDS_HOLDINGS),
        (intent(Side.BUY, "0.05"), "0", None),
        (intent(Side.BUY, "0.049"), "0", DenialCode.BELOW_MINIMUM),
        (intent(Side.SELL, "0.049"), "10", DenialCode.BELOW_MINIMUM),
        (intent(Side.SELL, "0.049"), "0.049", None),
        (intent(Side.SELL, "0.0099"), "0.0099", DenialCode.BELOW_MINIMUM),
    ],
)
def test_a_limit_holds_at_its_edge(wanted: Intent, held: str, expected: DenialCode | None) -> None:
    """At the limit an order may go, beyond it not; a whole position may be closed down to the venue's smallest order."""
    assert expected == checked(wanted, held=held)


def test_the_weight_that_is_limited_is_that_of_the_position() -> None:
    """Ten small buys are one large position: what is held already counts."""
    assert checked(intent(Side.BUY, "5"), held="35") is None
    assert checked(intent(Side.BUY, "5"), held="36") == DenialCode.POSITION_WEIGHT


@pytest.mark.parametrize("side", list(Side))
def test_a_halted_symbol_is_not_traded(side: Side) -> None:
    """Whatever else may be said of the order."""
    assert checked(intent(side, "1"), held="10", halted=True) == DenialCode.HALTED


def test_without_limits_only_what_cannot_be_is_refused() -> None:
    """Holdings, halts and the smallest order are no matter of settings."""
    none = RiskLimits()

    assert checked(intent(Side.BUY, "1000000"), limits=none) is None
    assert checked(intent(Side.SELL, "1"), limits=none) == DenialCode.EXCEEDS_HOLDINGS


def test_an_account_without_equity_buys_nothing() -> None:
    """Any position would be more than all of it."""
    assert checked(intent(Side.BUY, "1"), equity=Decimal(0)) == DenialCode.POSITION_WEIGHT
    assert checked(intent(Side.SELL, "1"), held="10", equity=Decimal(0)) is None


def test_a_denial_says_code_symbol_and_numbers() -> None:
    """An operator reads why without looking anything up."""
    denial = check_intent(intent(Side.BUY, "40.01"), EQUITY, limits=LIMITS, held=lambda symbol: Decimal(0), is_halted=lambda symbol: False)

    assert isinstance(denial, OrderDenied)
    assert str(denial).startswith("position_weight: SPY")
    assert "0.4" in str(denial)


@given(
    side=st.sampled_from(list(Side)),
    quantity=st.decimals("0.000000001", 500, places=9),
    held=st.decimals(0, 500, places=9),
    price=st.decimals("0.01", 1000, places=2),
)
def test_what_passes_keeps_every_limit(side: Side, quantity: Decimal, held: Decimal, price: Decimal) -> None:
    """No combination of numbers slips through."""
    wanted = intent(side, str(quantity), str(price))
    if check_intent(wanted, EQUITY, limits=LIMITS, held=lambda symbol: held, is_halted=lambda symbol: False) is not None:
        return

    notional = quantity * price
    assert notional <= Decimal(5_000)
    assert notional >= 1
    if side is Side.SELL:
        assert quantity <= held
    else:
        assert notional >= Decimal(5)
        assert (held + quantity) * price <= Decimal("0.4") * EQUITY
