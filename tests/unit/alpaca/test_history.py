"""Reading history page by page: which symbols are complete, what an action means, and answers that cannot be."""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from random import Random
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr

from alchemiser.alpaca.credentials import Credentials
from alchemiser.alpaca.history import HistoryReader, Page
from alchemiser.alpaca.rest import RestClient
from alchemiser.domain.errors import VenueUnavailable
from alchemiser.service.clock import VirtualClock
from tests.solipsism import LoopConnector, listen, virtual

START, END = date(2025, 3, 3), date(2025, 3, 31)


def rows(*days: int) -> list[dict[str, Any]]:
    return [{"t": f"2025-03-{day:02}T05:00:00Z", "o": 1, "h": 2, "l": 0.5, "c": day, "v": 10} for day in days]


@asynccontextmanager
async def reader(*pages: dict[str, Any], queries: list[dict[str, str]]) -> AsyncIterator[HistoryReader]:
    """Serve these pages one after the other."""
    left = list(pages)

    async def answer(request: web.Request) -> web.Response:
        queries.append(dict(request.query))
        return web.json_response(left.pop(0))

    application = web.Application()
    application.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        sock = listen(8000)
        await web.SockSite(runner, sock).start()
        credentials = Credentials(SecretStr("K"), SecretStr("S"))
        clock = VirtualClock(datetime(2025, 4, 1, tzinfo=UTC))
        async with RestClient(credentials, clock=clock, random=Random(0), make_connector=LoopConnector) as rest:
            yield HistoryReader(rest, "http://127.0.0.1:8000")
    finally:
        await runner.cleanup()


def asked(pages: Sequence[Any], ask: Callable[[HistoryReader], Any]) -> tuple[Any, list[dict[str, str]]]:
    """Return what a reader makes of these pages, and what it asked."""
    queries: list[dict[str, str]] = []

    async def main() -> Any:
        async with reader(*pages, queries=queries) as source:
            return await ask(source)

    return virtual(main), queries


async def all_bars(source: HistoryReader) -> list[Page]:
    return [page async for page in source.bars(("CCC", "AAA", "BBB"), start=START, end=END, adjustment="split", feed="sip")]


def test_a_symbol_is_complete_when_a_later_one_has_begun() -> None:
    """The last one of a page may go on; with the last page all are complete, those without a bar too."""
    pages = [
        {"bars": {"AAA": rows(3, 4), "BBB": rows(3)}, "next_page_token": "x"},
        {"bars": {"BBB": rows(4)}, "next_page_token": None},
    ]
    found, queries = asked(pages, all_bars)

    assert [page.complete for page in found] == [{"AAA"}, {"BBB", "CCC"}]
    assert [[bar.close for bar in found[place].bars["BBB"]] for place in (0, 1)] == [[3.0], [4.0]]
    assert queries[0] == {
        "symbols": "AAA,BBB,CCC",
        "timeframe": "1Day",
        "start": "2025-03-03T05:00:00Z",
        "end": "2025-03-31T04:00:00Z",
        "adjustment": "split",
        "limit": "10000",
        "sort": "asc",
        "feed": "sip",
    }
    assert queries[1]["page_token"] == "x"


@pytest.mark.parametrize(
    ("pages", "said"),
    [
        ([{"bars": {"BBB": rows(3)}, "next_page_token": "x"}, {"bars": {"AAA": rows(3)}}], "bars of AAA come after"),
        ([{"bars": {"AAA": rows(3)}, "next_page_token": "x"}] * 2, "do not come to an end"),
        ([{"bars": [1]}], "not what was expected"),
    ],
)
def test_answers_that_cannot_be_are_refused(pages: list[dict[str, Any]], said: str) -> None:
    """A page out of order, a token that comes again, something that is no answer: nothing is guessed."""
    with pytest.raises(VenueUnavailable, match=said):
        asked(pages, all_bars)


def test_corporate_actions_keep_the_venues_row() -> None:
    """The numbers that prices depend on stand beside it, whatever the row calls its symbol and its date."""
    split = {"id": "1", "symbol": "AAA", "ex_date": "2025-03-10", "new_rate": 2, "old_rate": 1, "process_date": "2025-03-10"}
    dividend = {"id": "2", "symbol": "AAA", "ex_date": "2025-03-11", "rate": 0.25, "special": False}
    spin = {"id": "3", "source_symbol": "BBB", "process_date": "2025-03-12", "new_rate": "0.5", "source_rate": 1}
    pages = [
        {"corporate_actions": {"forward_splits": [split], "cash_dividends": [dividend]}, "next_page_token": "x"},
        {"corporate_actions": {"spin_offs": [spin, {**spin, "source_symbol": "ZZZ"}]}, "next_page_token": None},
    ]
    found, queries = asked(pages, lambda source: source.actions(("AAA", "BBB"), start=START, end=END))

    first, second = found["AAA"]
    assert (first.kind, first.shares, first.cash, json.loads(first.wire)) == ("forward_splits", 2.0, None, split)
    assert (second.kind, second.shares, second.cash, second.ex_date) == ("cash_dividends", 1.0, 0.25, date(2025, 3, 11))
    assert [(row.kind, row.shares, row.new_rate, row.ex_date) for row in found["BBB"]] == [("spin_offs", 1.0, 0.5, date(2025, 3, 12))]
    assert queries[0] == {"symbols": "AAA,BBB", "start": "2025-03-03", "end": "2025-03-31", "limit": "1000", "sort": "asc"}


@pytest.mark.parametrize("row", [{"symbol": "AAA"}, {"ex_date": "2025-03-03"}, {"symbol": "AAA", "ex_date": "2025-03-03", "rate": "much"}])
def test_an_action_without_its_essentials_is_refused(row: dict[str, str]) -> None:
    """Without a date or a symbol, or with a rate that is no number, nobody knows what it says."""
    with pytest.raises(VenueUnavailable, match=r"its answer|has no date|not a number"):
        asked([{"corporate_actions": {"cash_dividends": [row]}}], lambda source: source.actions(("AAA",), start=START, end=END))
