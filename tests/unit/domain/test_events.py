"""Events: every type is in the union that the journal decodes, and comes out of the journal as it went in."""

import types
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import AnyEvent, Event, OrderIntended, QuoteUpdated, RebalancePlanned
from alchemiser.domain.market import Quote
from alchemiser.journal.format import decode_row, encode_row, first_checksum

KINDS: tuple[type[Event], ...] = get_args(AnyEvent)

_PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(max_size=20),
    int: st.integers(-(2**62), 2**62),
    float: st.floats(allow_nan=False, allow_infinity=False),
    bool: st.booleans(),
    Decimal: st.decimals(allow_nan=False, allow_infinity=False, places=9, min_value=-(10**9), max_value=10**9),
    date: st.dates(),
    datetime: st.datetimes(timezones=st.just(UTC)),
    type(None): st.none(),
}


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    """Return values of a type that occurs in an event."""
    if kind in _PLAIN:
        return _PLAIN[kind]
    arguments = get_args(kind)
    if get_origin(kind) in (Union, types.UnionType):
        return st.one_of([values_of(argument) for argument in arguments])
    if get_origin(kind) is tuple:
        return st.lists(values_of(arguments[0]), max_size=2).map(tuple)
    if get_origin(kind) is dict:
        return st.dictionaries(values_of(arguments[0]), values_of(arguments[1]), max_size=2)
    if kind is Any:
        # What JSON can say; floats are compared as they come back.
        return st.recursive(st.none() | st.booleans() | st.text(max_size=5) | st.integers(-9, 9), lambda inner: st.lists(inner, max_size=2))
    if issubclass(kind, Enum):
        return st.sampled_from(list(kind))
    hints = get_type_hints(kind)
    return st.builds(kind, **{name: values_of(hints[name]) for name in kind.__struct_fields__})


def descendants(kind: type[Event]) -> Iterator[type[Event]]:
    """Yield the classes below one, all the way down."""
    for child in kind.__subclasses__():
        yield child
        yield from descendants(child)


def test_the_union_holds_every_event() -> None:
    """An event that is missing in the union could be written and never read again."""
    ours = {kind for kind in descendants(Event) if kind.__module__ == Event.__module__}

    assert ours == set(KINDS)
    assert len(KINDS) == len({kind.__name__ for kind in KINDS})


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_event_comes_out_of_the_journal_as_it_went_in(kind: type[Event]) -> None:
    """Times keep their microseconds and decimals every digit, in every field of every type."""

    @settings(max_examples=12, deadline=None, database=None)
    @given(values_of(kind))
    def survives(event: Event) -> None:
        envelope = Envelope(7, event, 1.5, "20250303.1", 6)
        row = encode_row(envelope, first_checksum("abc123"))
        read = decode_row(row)

        assert kind.__name__ == row.type
        assert envelope == read
        assert type(event) is type(read.event)

    survives()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_event_is_a_value(kind: type[Event]) -> None:
    """Nobody can change what has happened, and every event says when it did."""
    config = kind.__struct_config__

    assert config.frozen
    assert kind.__name__ == config.tag
    assert "at" in kind.__struct_fields__


def test_a_decimal_keeps_its_digits() -> None:
    """Money is written as text: a float in between would cost cents."""
    amount = Decimal("0.100000000")

    assert '"0.100000000"' == msgspec.json.encode(amount).decode()


def test_a_quote_event_is_a_quote() -> None:
    """The event and the value say the same."""
    at = datetime(2025, 3, 3, 20, 50, tzinfo=UTC)
    event = QuoteUpdated(at=at, symbol="SPY", bid=99.0, bid_size=1.0, ask=101.0, ask_size=2.0)

    assert Quote(symbol="SPY", bid=99.0, bid_size=1.0, ask=101.0, ask_size=2.0, at=at) == event.quote()


UNCHANGEABLE = (str, int, float, bool, bytes, Decimal, datetime, date, type(None))


def can_change(kind: object) -> bool:
    """Whether a value of this type can become another: an allowlist, so that what is not known counts as if it could."""
    arguments = get_args(kind)
    if get_origin(kind) in (tuple, types.UnionType, Union):
        return any(can_change(argument) for argument in arguments if argument is not ...)
    if not isinstance(kind, type):
        return True
    if issubclass(kind, msgspec.Struct):
        return not kind.__struct_config__.frozen or any(can_change(field.type) for field in msgspec.structs.fields(kind))
    return not issubclass(kind, UNCHANGEABLE)


def test_what_is_encoded_later_cannot_change_meanwhile() -> None:
    """An event that is plain is a value through and through; others are encoded as they are when the journal takes them."""
    plain = [kind for kind in get_args(AnyEvent) if kind.is_plain]
    assert OrderIntended in plain
    assert {kind.__name__: can_change(kind) for kind in plain} == {kind.__name__: False for kind in plain}
    assert can_change(RebalancePlanned)
