"""History in bulk: daily bars with one adjustment, and corporate actions, page by page as Alpaca answers them.

The pages come in order of symbol and then of time, so of every page it is known which symbols are complete with it. What is done with them,
and what to ask for, is decided elsewhere (:mod:`alchemiser.service.bar_pull`).
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import date, datetime, time
from typing import Any, Final

import msgspec

from alchemiser.alpaca import market_wire, wire
from alchemiser.alpaca.refusals import unproven
from alchemiser.alpaca.rest import Host, Request, RestClient
from alchemiser.domain.errors import VenueUnavailable
from alchemiser.domain.market import Bar
from alchemiser.market.store.actions import Action

BARS_PER_PAGE: Final = 10_000
ACTIONS_PER_PAGE: Final = 1_000
PAGES_AT_MOST: Final = 10_000

_BARS: Final = msgspec.json.Decoder(market_wire.RestBars)


class Page(msgspec.Struct, frozen=True):
    """A part of the answer. The bars of a symbol may go on in the next page unless it is in ``complete``."""

    bars: Mapping[str, Sequence[Bar]]
    complete: frozenset[str]


class _WireActions(msgspec.Struct, frozen=True):
    corporate_actions: dict[str, list[msgspec.Raw]] | None = None
    next_page_token: str | None = None


class _WireAction(msgspec.Struct, frozen=True):
    id: str = ""
    symbol: str | None = None
    source_symbol: str | None = None
    old_symbol: str | None = None
    acquiree_symbol: str | None = None
    ex_date: date | None = None
    effective_date: date | None = None
    process_date: date | None = None
    rate: float | str | None = None
    cash_rate: float | str | None = None
    new_rate: float | str | None = None
    old_rate: float | str | None = None


_ACTIONS: Final = msgspec.json.Decoder(_WireActions)
_ACTION: Final = msgspec.json.Decoder(_WireAction)


class HistoryReader:
    """Asks one data host for history; a request is repeated and held back as :class:`alchemiser.alpaca.rest.RestClient` does."""

    def __init__(self, rest: RestClient, data_url: str) -> None:
        self._rest = rest
        self._host = Host(data_url)

    async def bars(self, symbols: Sequence[str], *, start: date, end: date, adjustment: str, feed: str) -> AsyncIterator[Page]:
        """Yield the daily bars from ``start`` to ``end``, both included, page by page. Raises errors under ``VenueError``."""
        waiting = sorted(symbols)
        async for body, what in self._pages(
            "/v2/stocks/bars",
            f"daily bars of {len(symbols)} symbols",
            wire.query(
                symbols=",".join(waiting),
                timeframe="1Day",
                start=_midnight(start),
                end=_midnight(end),
                adjustment=adjustment,
                limit=BARS_PER_PAGE,
                sort="asc",
                feed=feed,
            ),
        ):
            page = _read(_BARS, body, what)
            if late := sorted(set(page.bars or {}) & set(symbols) - set(waiting)):
                raise unproven(what.subject, f"bars of {', '.join(late)} come after those of later symbols")
            found = {symbol: [row.bar(symbol) for row in rows] for symbol, rows in (page.bars or {}).items() if symbol in waiting}
            reached = max(found, default="")
            complete = [symbol for symbol in waiting if not page.next_page_token or symbol < reached]
            waiting = [symbol for symbol in waiting if symbol not in complete]
            yield Page(found, frozenset(complete))

    async def actions(self, symbols: Sequence[str], *, start: date, end: date) -> dict[str, list[Action]]:
        """Return the corporate actions of these symbols with a date from ``start`` to ``end``, both included."""
        found: dict[str, list[Action]] = {symbol: [] for symbol in symbols}
        query = wire.query(symbols=",".join(sorted(symbols)), start=start, end=end, limit=ACTIONS_PER_PAGE, sort="asc")
        async for body, what in self._pages("/v1/corporate-actions", f"corporate actions of {len(symbols)} symbols", query):
            for kind, rows in (_read(_ACTIONS, body, what).corporate_actions or {}).items():
                for row in rows:
                    symbol, action = _action(kind, bytes(row), what)
                    if symbol in found:
                        found[symbol].append(action)
        return found

    async def _pages(self, path: str, what: str, query: Mapping[str, str]) -> AsyncIterator[tuple[bytes, Request]]:
        token: str | None = None
        seen: set[str] = set()
        while True:
            paged = query if token is None else {**query, "page_token": token}
            request = Request(method="GET", path=path, what=what, query=paged, is_bulk=True)
            body = await self._rest.call(self._host, request)
            token = _read(_NEXT, body, request).next_page_token
            yield body, request
            if not token:
                return
            if token in seen or len(seen) >= PAGES_AT_MOST:
                raise VenueUnavailable(f"{what}: its pages do not come to an end; what was stored of it stays")
            seen.add(token)


class _Next(msgspec.Struct, frozen=True):
    next_page_token: str | None = None


_NEXT: Final = msgspec.json.Decoder(_Next)


def _read(decoder: msgspec.json.Decoder[Any], body: bytes, request: Request) -> Any:
    try:
        return decoder.decode(body)
    except msgspec.DecodeError as error:
        raise unproven(request.subject, f"its answer is not what was expected: {error}") from error


def _action(kind: str, raw: bytes, request: Request) -> tuple[str, Action]:
    row: _WireAction = _read(_ACTION, raw, request)
    on = row.ex_date or row.effective_date or row.process_date
    symbol = row.symbol or row.source_symbol or row.old_symbol or row.acquiree_symbol
    if on is None or symbol is None:
        raise unproven(request.subject, f"one of {kind} has no date or no symbol: {raw[:200].decode(errors='replace')}")
    cash = row.cash_rate if row.cash_rate is not None else row.rate if kind == "cash_dividends" else None
    return symbol, Action(
        ex_date=on,
        kind=kind,
        id=row.id or f"{kind} {symbol} {on}",
        cash=_number(cash, request),
        new_rate=_number(row.new_rate, request),
        old_rate=_number(row.old_rate, request),
        wire=raw.decode(),
    )


def _number(value: float | str | None, request: Request) -> float | None:
    try:
        return None if value is None else float(value)
    except ValueError as error:
        raise unproven(request.subject, f"a rate is {value!r}, not a number") from error


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), wire.NEW_YORK)
