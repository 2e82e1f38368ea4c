"""The contract cards, each played against a fresh exchange over real sockets."""

import re
from pathlib import Path

import pytest

from tests.protocol.exchange.contract import Card, play
from tests.protocol.exchange.deck import CARDS
from tests.protocol.exchange.statements import SHOWN_BY

SECTIONS = {
    *("1.2", "1.3", "2.1", "2.2", "2.3", "2.4", "3.1", "3.2", "3.3", "3.4", "3.5", "3.6", "3.7", "3.8", "3.9", "4.1", "4.2"),
    *("5.1", "5.2", "5.3", "5.4", "6.1", "6.3", "6.4", "6.5", "7.1", "7.2", "7.3", "7.4"),
    *("8.1", "8.2", "8.3", "8.4", "8.5", "8.6", "8.7", "8.8", "9.1", "9.2", "9.3", "9.4", "9.5", "10"),
}


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
async def test_card(card: Card) -> None:
    """The exchange answers as the card says."""
    await play(card)


def test_the_cards_cover_the_reference() -> None:
    """There are at least 250 cards, no two say the same, and every section with a behaviour is cited."""
    assert len(CARDS) >= 250
    assert len({(card.section, card.title) for card in CARDS}) == len(CARDS)
    assert {card.section for card in CARDS} == SECTIONS


def test_every_statement_is_shown() -> None:
    """What is named beside a statement of the reference is a card of the deck or a test, and every section of a card has statements."""
    cards = {card.title for card in CARDS}
    files = [*Path(__file__).parent.glob("test_*.py"), *(Path(__file__).parents[2] / "unit" / "exchange").rglob("test_*.py")]
    tests = {name for path in files for name in re.findall(r"def (test_\w+)", path.read_text())}
    named = {name for statements in SHOWN_BY.values() for names in statements.values() for name in names}

    assert named - cards - tests == set()
    assert set(SHOWN_BY) >= SECTIONS
