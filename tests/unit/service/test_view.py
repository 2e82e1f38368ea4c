"""Answers as documents."""

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from alchemiser.domain.errors import UsageError
from alchemiser.service.view import RESOURCES, document, to_json
from tests.unit.service.conftest import FakeView


@pytest.mark.parametrize("resource", RESOURCES)
@pytest.mark.parametrize("live", [True, False])
def test_every_answer_says_whether_it_is_live_and_as_of_when(view: FakeView, resource: Any, live: bool) -> None:
    """Old state is never shown as new."""
    answer = document(view, resource, live=live)

    assert live is answer["live"]
    assert answer["as_of"] == datetime(2025, 3, 3, 15, 0, tzinfo=UTC)
    assert len(answer) > 2


def test_lists_stand_under_their_name(view: FakeView) -> None:
    """A list is a member of a document, so that more can be added beside it."""
    assert document(view, "orders", live=True)["orders"] == []
    events = document(view, "events", live=True, after=7, limit=2)["events"]
    assert [row["sequence"] for row in events] == [8, 9]


@pytest.mark.parametrize(("after", "limit"), [(-2, 1), (0, 0), (0, 1001)])
def test_bounds_that_cannot_be_are_refused(view: FakeView, after: int, limit: int) -> None:
    """A question for a thousand and one events is a mistake."""
    with pytest.raises(UsageError, match="limit must be from 1 to 1000"):
        document(view, "events", live=True, after=after, limit=limit)


class Point(msgspec.Struct):
    """Something with fields."""

    x: Decimal


class ReadOnly(Mapping[str, int]):
    """A mapping that is no dict."""

    def __getitem__(self, key: str) -> int:
        return 1

    def __iter__(self) -> Any:
        return iter(("one",))

    def __len__(self) -> int:
        return 1


def test_decimals_are_text_in_the_venues_spelling() -> None:
    """Money and quantities keep their digits; structs, sets, times and dates have a JSON form."""
    value = {
        "money": Decimal("100.10"),
        "whole": Decimal("3E+2"),
        "struct": Point(x=Decimal("1.50")),
        "set": frozenset({"b", "a"}),
        "mapping": ReadOnly(),
        "sequence": range(2),
        "day": date(2025, 3, 3),
        "at": datetime(2025, 3, 3, 15, tzinfo=UTC),
    }

    assert {
        "money": "100.1",
        "whole": "300",
        "struct": {"x": "1.5"},
        "set": ["a", "b"],
        "mapping": {"one": 1},
        "sequence": [0, 1],
        "day": "2025-03-03",
        "at": "2025-03-03T15:00:00+00:00",
    } == json.loads(to_json(value, indent=True))


def test_what_has_no_json_form_is_an_error() -> None:
    """A programming error shows as one, instead of as a text nobody expects."""
    with pytest.raises(TypeError):
        to_json(object())
