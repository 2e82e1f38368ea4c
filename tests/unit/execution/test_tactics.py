"""Which tactic works an intent: symbol before strategy before default."""

from decimal import Decimal

import msgspec
import pytest

from alchemiser.domain.intents import Wish
from alchemiser.execution.ladder import LadderRules
from alchemiser.execution.tactics import TacticName, TacticRules, Tactics, make, name_for
from tests.unit.execution.situations import wanted

RULES = TacticRules(default="ladder", by_strategy={"tecl": "twap", "nuclear": "moc"}, by_symbol={"SPY": "vwap"})


@pytest.mark.parametrize(
    ("symbol", "wishes", "expected"),
    [
        ("SPY", {"tecl": "10"}, "vwap"),
        ("BIL", {"tecl": "10"}, "twap"),
        ("BIL", {"tecl": "4", "nuclear": "6"}, "moc"),
        ("BIL", {"tecl": "5", "nuclear": "5"}, "moc"),
        ("BIL", {"klm": "9", "tecl": "1"}, "twap"),
        ("BIL", {"klm": "10"}, "ladder"),
    ],
)
def test_the_tactic_of_an_intent(symbol: str, wishes: dict[str, str], expected: str) -> None:
    """The table of docs/tactics.md: the symbol's, else that of whoever wants most of it and has one, else the default."""
    parts = tuple(Wish(strategy=name, quantity=Decimal(quantity)) for name, quantity in wishes.items())
    intent = msgspec.structs.replace(wanted(), symbol=symbol, wishes=parts)
    assert TacticName(expected) == name_for(intent, RULES)


@pytest.mark.parametrize("name", list(TacticName))
def test_every_name_makes_its_tactic(name: TacticName) -> None:
    """Settings, journal and report use one name."""
    assert name.value == make(name, TacticRules(), LadderRules()).name


def test_the_alternative_may_be_nothing() -> None:
    """``park``: what the auction cannot take is left until the next decision."""
    assert Tactics(TacticRules(auction_fallback="park"), LadderRules()).alternative is None
    found = Tactics(TacticRules(auction_fallback="marketable_limit"), LadderRules()).alternative
    assert found is not None
    assert found.name == "marketable_limit"
