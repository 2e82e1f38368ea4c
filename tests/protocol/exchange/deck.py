"""All contract cards, numbered."""

from typing import Final

from tests.protocol.exchange.broker_cards import BROKER_ROWS
from tests.protocol.exchange.cards import ROWS
from tests.protocol.exchange.contract import Card
from tests.protocol.exchange.statement_cards import STATEMENT_ROWS

_ALL_ROWS: Final = [*ROWS, *BROKER_ROWS, *STATEMENT_ROWS]

CARDS: Final = tuple(Card(number, row[0], row[1], row[2], **(row[3] if len(row) == 4 else {})) for number, row in enumerate(_ALL_ROWS, 1))
