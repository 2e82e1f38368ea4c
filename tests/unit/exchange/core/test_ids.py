"""Ids: the fast ways to write them are those of the standards, and ULIDs sort as they were made."""

import uuid
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from alchemiser.exchange.ids import is_ulid, ulid, ulid_number, ulid_text, uuid_text

BITS = st.integers(0, 2**128 - 1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@given(BITS)
def test_random_bits_become_the_uuid_the_standard_library_makes_of_them(bits: int) -> None:
    """Version 4, with dashes."""
    assert str(uuid.UUID(int=bits, version=4)) == uuid_text(bits)


@given(BITS)
def test_a_ulid_is_its_number_in_base_32(bits: int) -> None:
    """Character by character, five bits each, the highest three first."""
    digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    text = "".join(digits[bits >> shift & 31] for shift in range(125, -1, -5))
    assert text == ulid_text(bits)
    assert is_ulid(text)
    assert bits == ulid_number(text)


@given(st.lists(st.tuples(st.integers(0, 2**40), BITS), min_size=2, max_size=10))
def test_ids_never_fall_and_tell_their_time(made: list[tuple[int, int]]) -> None:
    """Also when time stands still or goes back: then the last id is counted up."""
    last, texts = 0, []
    for milliseconds, entropy in made:
        at = EPOCH + timedelta(milliseconds=milliseconds)
        last = ulid(at, last, entropy)
        assert last >> 80 >= int(at.timestamp() * 1000)
        texts.append(ulid_text(last))
    assert texts == sorted(set(texts))


def test_what_is_no_ulid() -> None:
    """Too short, too large, or with letters that are left out because they look like others."""
    assert not any(map(is_ulid, ("", "0" * 25, "8" + "0" * 25, "I" * 26, "0" * 27)))
