"""The contract cards, each played against a fresh exchange over real sockets."""

import pytest

from tests.protocol.exchange.contract import Card, play
from tests.protocol.exchange.deck import CARDS

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
