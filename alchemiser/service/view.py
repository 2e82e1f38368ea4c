"""What can be asked of a daemon, and the shape of the answers.

The running daemon answers from memory, a stopped one from its journal; both through the same questions, so that an operator reads one
kind of document. Every document says whether it is ``live`` and as of when it is true: old state is never shown as new.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Literal, Protocol, get_args

import msgspec
import orjson

from alchemiser.domain.errors import UsageError
from alchemiser.domain.money import number_string

Resource = Literal["status", "positions", "orders", "pnl", "events", "strategies", "history"]
RESOURCES: Final[tuple[Resource, ...]] = get_args(Resource)

EVENTS_BY_DEFAULT: Final = 100
EVENTS_AT_MOST: Final = 1_000

Plain = Mapping[str, Any]
"""JSON values, with Decimal, dates, times and msgspec structs allowed in them."""


class StateView(Protocol):
    """The questions that a running daemon and a journal can both answer. Answers are plain data and are ready at once."""

    def as_of(self) -> datetime:
        """Return the time that the answers are true for."""

    def status(self) -> Plain:
        """Return mode, account, trading state, session, streams, open orders and the last rebalance."""

    def positions(self) -> Sequence[Plain]:
        """Return what is held: per symbol the account's quantity, price and value, and each strategy's part."""

    def orders(self) -> Sequence[Plain]:
        """Return the orders of the current or last session, oldest first."""

    def pnl(self) -> Plain:
        """Return equity, cash and profit, for the account and per strategy."""

    def events(self, after: int, limit: int) -> Sequence[Plain]:
        """Return at most ``limit`` journaled events with a sequence number above ``after``, oldest first; after -1, the last ones."""

    def strategies(self) -> Sequence[Plain]:
        """Return per strategy its source, share, state and last target with its explanation."""

    def history(self) -> Sequence[Plain]:
        """Return the results of the sessions, oldest first: equity, cash, drawdown from the peak, profit by strategy."""


def document(view: StateView, resource: Resource, *, live: bool, after: int = -1, limit: int = EVENTS_BY_DEFAULT) -> dict[str, Any]:
    """Return the answer to one question as a document. Raises ``UsageError`` for bounds that cannot be."""
    if not 1 <= limit <= EVENTS_AT_MOST or after < -1:
        raise UsageError(f"limit must be from 1 to {EVENTS_AT_MOST} and after at least 0, found limit {limit} and after {after}")
    frame: dict[str, Any] = {"live": live, "as_of": view.as_of()}
    match resource:
        case "status":
            return frame | dict(view.status())
        case "pnl":
            return frame | dict(view.pnl())
        case "positions":
            return frame | {"positions": list(view.positions())}
        case "orders":
            return frame | {"orders": list(view.orders())}
        case "strategies":
            return frame | {"strategies": list(view.strategies())}
        case "history":
            return frame | {"history": list(view.history())}
        case "events":
            return frame | {"events": list(view.events(after, limit))}


def to_json(value: Any, *, indent: bool = False) -> bytes:
    """Return ``value`` as JSON: decimals as text in the venue's spelling, times in ISO 8601."""
    return orjson.dumps(value, default=_plain, option=orjson.OPT_INDENT_2 if indent else 0)


def _plain(value: object) -> Any:
    if isinstance(value, Decimal):
        return number_string(value)
    if isinstance(value, msgspec.Struct):
        return msgspec.structs.asdict(value)
    if isinstance(value, frozenset | set):
        return sorted(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence):
        return list(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
