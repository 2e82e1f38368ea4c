"""All contract cards, numbered."""

from typing import Final

from tests.protocol.exchange.broker_cards import BROKER_ROWS
from tests.protocol.exchange.cards import ROWS
from tests.protocol.exchange.contract import Card

CARDS: Final = tuple(
    Card(number, row[0], row[1], row[2], **(row[3] if len(row) == 4 else {})) for number, row in enumerate([*ROWS, *BROKER_ROWS], 1)
)
