"""The complete state of an exchange in parts, so that keeping a change costs what has changed and not what there is.

A part is a name and the bytes of a value: a field of the state, the book of a symbol, one order with its legs, one activity, one sealed
segment. :meth:`StateParts.changes` says which are new since it was last asked, :func:`joined` makes of all parts together the bytes that
:func:`~alchemiser.exchange.snapshot.encode_state` gives for the whole. Pure.
"""

from collections.abc import Callable, Iterable, Mapping
from random import Random
from typing import Any, Final

import msgspec

from alchemiser.exchange.orders import VenueOrder
from alchemiser.exchange.snapshot import ExchangeState, saved_random

_RANDOM: Final = "random"
_FIELD, _ORDER, _ARCHIVE, _BOOK = "field/", "order/", "archive/", "book/"
_SEALED, _RECENT = "activities/sealed/", "activities/recent/"
_CUT: Final = ("orders", "archive", "books", "activities", "history")
"""The fields that are more than one part, and the history, which is long and changes once a minute at most."""
_WHOLE: Final = tuple(name for name in ExchangeState.__struct_fields__ if name not in _CUT)

_encode: Final = msgspec.msgpack.Encoder().encode


class StateChanges(msgspec.Struct, frozen=True):
    """The parts that are new or different, and the names of those that are gone."""

    parts: dict[str, bytes]
    gone: list[str]


class StateParts:
    """Remembers of a state what has been asked for."""

    def __init__(self, state: ExchangeState, random: Random) -> None:
        self._state = state
        self._random = random
        self._known: dict[str, bytes] = {}
        self._archived = self._sealed = self._recent = 0
        self._minutes: list[int] | None = None
        self._marks = 0, 0

    def changes(self, trees: Iterable[VenueOrder], sealed_trees: Iterable[str]) -> StateChanges:
        """Return what has changed since the last call, the first time everything.

        ``trees`` are the orders, each with its legs, of which something may have changed; ``sealed_trees`` the ids of those that are in a
        segment of the archive now. Of everything else it finds out by itself.
        """
        state, found = self._state, StateChanges({}, [_ORDER + tree_id for tree_id in sealed_trees])
        self._note(found, _RANDOM, saved_random(self._random))
        for name in _WHOLE:
            self._note(found, _FIELD + name, getattr(state, name))
        for symbol, book in state.books.items():
            self._note(found, _BOOK + symbol, book)
        found.parts.update((_ORDER + tree.id, _encode(tree)) for tree in trees)
        for number in range(self._archived, len(state.archive)):
            found.parts[f"{_ARCHIVE}{number}"] = _encode(state.archive[number])
        self._archived = len(state.archive)
        self._note_activities(found)
        history = state.history
        marks = len(history.closes), len(history.minutes)
        # Marks are added at the end; once a day old ones are thinned out, which makes new lists.
        if marks != self._marks or history.minutes is not self._minutes:
            self._marks, self._minutes = marks, history.minutes
            found.parts[f"{_FIELD}history"] = _encode(history)
        return found

    def _note(self, found: StateChanges, name: str, value: Any) -> None:
        data = _encode(value)
        if self._known.get(name) != data:
            self._known[name] = found.parts[name] = data

    def _note_activities(self, found: StateChanges) -> None:
        rows = self._state.activities
        if len(rows.sealed) > self._sealed:
            found.gone.extend(f"{_RECENT}{number}" for number in range(self._recent))
            self._recent = 0
        for number in range(self._sealed, len(rows.sealed)):
            found.parts[f"{_SEALED}{number}"] = _encode(rows.sealed[number])
        for number in range(self._recent, len(rows.recent)):
            found.parts[f"{_RECENT}{number}"] = _encode(rows.recent[number])
        self._sealed, self._recent = len(rows.sealed), len(rows.recent)


def joined(parts: Mapping[str, bytes]) -> bytes:
    """Return the bytes of the whole state. ``parts`` holds the newest of each name, in the order in which the names first came."""

    def of(prefix: str, key: Callable[[str], Any] | None = None) -> dict[str, msgspec.Raw]:
        names = [name for name in parts if name.startswith(prefix)]
        if key is not None:
            names.sort(key=key)
        return {name.removeprefix(prefix): msgspec.Raw(parts[name]) for name in names}

    fields: dict[str, Any] = dict(of(_FIELD))
    fields["orders"] = list(of(_ORDER).values())
    fields["archive"] = list(of(_ARCHIVE, _number).values())
    fields["books"] = of(_BOOK)
    fields["activities"] = {"sealed": list(of(_SEALED, _number).values()), "recent": list(of(_RECENT, _number).values())}
    state = {name: fields[name] for name in ExchangeState.__struct_fields__}
    return _encode({"state": state, "random": msgspec.Raw(parts[_RANDOM])})


def _number(name: str) -> int:
    return int(name.rpartition("/")[2])
