"""The pre-trade checks: each refusal has its code and its numbers, and what may be sent is not refused."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alchemiser.domain.account import Asset
from alchemiser.domain.errors import OrderDenied
from alchemiser.domain.intents import Intent, Wish
from alchemiser.domain.orders import Side
from alchemiser.domain.trading import ACCOUNT, HALTED, Restriction, TradingScopes
from alchemiser.risk.checks import CHECKS, Circumstances, DenialCode, RiskLimits, check_intent, checks_as_markdown, checks_by

NOON = datetime(2025, 3, 3, 17, 0, tzinfo=UTC)
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
    now = Circumstances(at=NOON, held={"SPY": Decimal(held)}, halted=frozenset({"SPY"} if halted else ()))
    denial = check_intent(wanted, equity, now=now, limits=limits)
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
    denial = check_intent(intent(Side.BUY, "40.01"), EQUITY, now=Circumstances(at=NOON, held={}), limits=LIMITS)

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
    if check_intent(wanted, EQUITY, now=Circumstances(at=NOON, held={"SPY": held}), limits=LIMITS) is not None:
        return

    notional = quantity * price
    assert notional <= Decimal(5_000)
    assert notional >= 1
    if side is Side.SELL:
        assert quantity <= held
    else:
        assert notional >= Decimal(5)
        assert (held + quantity) * price <= Decimal("0.4") * EQUITY


SPY = Asset(symbol="SPY", is_tradable=True, is_fractionable=True)
CALM = Circumstances(
    at=NOON,
    held={"SPY": Decimal(10)},
    free={"SPY": Decimal(10)},
    assets={"SPY": SPY},
    fresh=frozenset({"SPY"}),
    mids={"SPY": Decimal(100)},
    buying_power=Decimal(10_000),
    shares={"s": Decimal(1)},
    books={"s": {"SPY": Decimal(10)}},
    closes_at=NOON + timedelta(hours=3),
)
EVERY_LIMIT = RiskLimits(
    maximum_order_notional=Decimal(5_000),
    maximum_daily_notional=Decimal(20_000),
    maximum_position_weight=Decimal("0.9"),
    maximum_orders_per_day=10,
    price_collar_bps=Decimal(500),
)


@pytest.mark.parametrize(
    ("change", "wanted", "expected", "words"),
    [
        ({}, intent(Side.BUY, "10"), None, ()),
        ({}, intent(Side.SELL, "10"), None, ()),
        ({"account_blocks": ("trading_blocked",)}, intent(Side.SELL, "1"), DenialCode.ACCOUNT_BLOCKED, ("trading_blocked",)),
        ({"is_in_session": False}, intent(Side.BUY, "1"), DenialCode.OUTSIDE_SESSION, ("2025-03-03 17:00",)),
        ({"closes_at": NOON}, intent(Side.SELL, "1"), DenialCode.AFTER_CUT_OFF, ("17:00:00",)),
        ({"assets": {}}, intent(Side.BUY, "1"), DenialCode.UNKNOWN_SYMBOL, ("SPY",)),
        ({"assets": {"SPY": msgspec.structs.replace(SPY, is_tradable=False)}}, intent(Side.BUY, "1"), DenialCode.NOT_TRADABLE, ("SPY",)),
        (
            {"assets": {"SPY": msgspec.structs.replace(SPY, is_fractionable=False)}},
            intent(Side.BUY, "1.5"),
            DenialCode.NOT_FRACTIONABLE,
            ("1.5",),
        ),
        ({"assets": {"SPY": msgspec.structs.replace(SPY, is_fractionable=False)}}, intent(Side.BUY, "2"), None, ()),
        ({"fresh": frozenset()}, intent(Side.BUY, "1"), DenialCode.STALE_DATA, ("SPY",)),
        ({"fresh": frozenset()}, intent(Side.SELL, "1"), None, ()),
        ({"mids": {"SPY": Decimal(95)}}, intent(Side.BUY, "1"), DenialCode.PRICE_COLLAR, ("100", "95", "500")),
        ({"mids": {"SPY": Decimal("95.3")}}, intent(Side.BUY, "1"), None, ()),
        ({"mids": {}}, intent(Side.BUY, "1"), None, ()),
        ({"halted": frozenset({"SPY"})}, intent(Side.SELL, "1"), DenialCode.HALTED, ("SPY",)),
        ({"parked": {"SPY": "3 at the broker"}}, intent(Side.SELL, "1"), DenialCode.PARKED, ("3 at the broker",)),
        ({"open_sides": {"SPY": frozenset({Side.BUY})}}, intent(Side.BUY, "1"), DenialCode.DUPLICATE_INTENT, ("buy SPY",)),
        ({"open_sides": {"SPY": frozenset({Side.BUY})}}, intent(Side.SELL, "1"), DenialCode.WASH_TRADE, ("buy SPY",)),
        ({"open_sides": {"SPY": frozenset({Side.SELL})}}, intent(Side.BUY, "1"), DenialCode.WASH_TRADE, ("sell SPY",)),
        ({"held": {"SPY": Decimal(9)}}, intent(Side.SELL, "10"), DenialCode.EXCEEDS_HOLDINGS, ("10", "9")),
        ({"free": {"SPY": Decimal(3)}}, intent(Side.SELL, "10"), DenialCode.HELD_FOR_ORDERS, ("10", "3")),
        ({"free": {}}, intent(Side.SELL, "10"), DenialCode.HELD_FOR_ORDERS, ("10", "0")),
        ({}, intent(Side.BUY, "0.01"), DenialCode.BELOW_MINIMUM, ("1.00", "5")),
        ({}, intent(Side.BUY, "51"), DenialCode.ORDER_NOTIONAL, ("5100.00", "5000")),
        ({"traded_today": Decimal(19_500)}, intent(Side.BUY, "10"), DenialCode.DAILY_NOTIONAL, ("1000.00", "19500.00", "20000")),
        ({"traded_today": Decimal(19_500)}, intent(Side.SELL, "10"), None, ()),
        ({"held": {"SPY": Decimal(85)}}, intent(Side.BUY, "10"), DenialCode.POSITION_WEIGHT, ("9500.00", "0.9")),
        ({"buying_power": Decimal(999)}, intent(Side.BUY, "10"), DenialCode.BUYING_POWER, ("1000.00", "999.00")),
        ({"buying_power": Decimal(0)}, intent(Side.SELL, "10"), None, ()),
        ({"shares": {"s": Decimal("0.15")}}, intent(Side.BUY, "10"), DenialCode.STRATEGY_ALLOWANCE, ("s would", "2000.00", "1500.00")),
        ({"shares": {"s": Decimal("0.1999")}}, intent(Side.BUY, "10"), None, ()),
        ({"shares": {}}, intent(Side.BUY, "1"), DenialCode.STRATEGY_ALLOWANCE, ("0.00",)),
        ({"orders_today": 10}, intent(Side.BUY, "1"), DenialCode.ORDERS_PER_DAY, ("10",)),
        ({"orders_today": 10}, intent(Side.SELL, "1"), None, ()),
        ({"orders_today": 9}, intent(Side.BUY, "1"), None, ()),
    ],
)
def test_each_check_refuses_by_its_own_code(
    change: dict[str, object], wanted: Intent, expected: DenialCode | None, words: tuple[str, ...]
) -> None:
    """One circumstance at a time: the code is that of the check, and the message has the numbers."""
    denial = check_intent(wanted, EQUITY, now=msgspec.structs.replace(CALM, **change), limits=EVERY_LIMIT)

    assert (None if denial is None else denial.code) == expected
    assert all(word in str(denial) for word in words)


CHANGES: dict[str, tuple[object, ...]] = {
    "account_blocks": (("trading_blocked",),),
    "is_in_session": (False,),
    "closes_at": (None, NOON),
    "assets": (
        None,
        {},
        {"SPY": msgspec.structs.replace(SPY, is_fractionable=False)},
        {"SPY": msgspec.structs.replace(SPY, is_tradable=False)},
    ),
    "fresh": (None, frozenset()),
    "mids": ({}, {"SPY": Decimal(95)}),
    "halted": (frozenset({"SPY"}),),
    "parked": ({"SPY": "3 at the broker"},),
    "open_sides": ({"SPY": frozenset({Side.BUY})}, {"SPY": frozenset({Side.SELL})}),
    "held": ({"SPY": Decimal(9)}, {"SPY": Decimal(85)}),
    "free": (None, {"SPY": Decimal(3)}),
    "traded_today": (Decimal(19_500),),
    "buying_power": (None, Decimal(999)),
    "shares": (None, {"s": Decimal("0.15")}),
    "orders_today": (10,),
    "trading": (TradingScopes({ACCOUNT: {"": Restriction(state=HALTED, by="operator", reason="lunch", since=NOON)}}),),
}


@given(
    data=st.data(),
    changed=st.sets(st.sampled_from(sorted(CHANGES)), max_size=2),
    unlimited=st.sets(st.sampled_from(["order_notional", "daily_notional", "position_weight", "orders_per_day", "price_collar"])),
    wanted=st.builds(intent, st.sampled_from(list(Side)), st.sampled_from(["0.01", "1.5", "10", "51"])),
)
def test_checks_that_are_left_out_could_not_have_refused(
    data: st.DataObject, changed: set[str], unlimited: set[str], wanted: Intent
) -> None:
    """Whatever the circumstances and the limits are, the checks chosen for them refuse what all of them refuse, in the same words."""
    change = {name: data.draw(st.sampled_from(CHANGES[name])) for name in sorted(changed)}
    now = msgspec.structs.replace(CALM, **change)
    none = {name: None for name in EVERY_LIMIT.__struct_fields__ if any(word in name for word in unlimited)}
    limits = msgspec.structs.replace(EVERY_LIMIT, **none)

    expected = check_intent(wanted, EQUITY, now=now, limits=limits)
    found = check_intent(wanted, EQUITY, now=now, limits=limits, checks=checks_by(limits)[now.is_calm])

    assert str(expected) == str(found)


def test_every_code_has_one_check() -> None:
    """No code without a check and no check twice; a missing price is found before there is an intent."""
    codes = [check.code for check in CHECKS]

    assert len(codes) == len(set(codes))
    assert set(codes) == set(DenialCode) - {DenialCode.NO_PRICE}


def test_the_page_says_what_the_code_does() -> None:
    """The documentation is the table of the checks."""
    page = Path(__file__).parents[3] / "docs" / "checks.md"
    assert page.read_text() == checks_as_markdown()
