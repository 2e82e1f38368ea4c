"""The market-data REST API for stocks and corporate actions (section 7 of the protocol reference).

Every endpoint has its multi-symbol form and its single-symbol twin. Nothing later than the market time shows in an answer. Quotes of
the past are those of the steps of the path; all feeds of this exchange see the same market, and which of them may be asked for, and how
recently, is up to the account's data plan.
"""

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import islice
from typing import Any, Final

import msgspec
from aiohttp import web

from alchemiser.domain.market import Quote
from alchemiser.exchange.aggregates import AuctionDay, History, parse_adjustment, parse_time_frame
from alchemiser.exchange.calls import Route
from alchemiser.exchange.corporate_actions import ActionBook, symbol_of
from alchemiser.exchange.data_plan import DataPlan
from alchemiser.exchange.errors import bad_request
from alchemiser.exchange.feed import MarketFeed
from alchemiser.exchange.feed_messages import bar_fields, quote_fields, trade_fields
from alchemiser.exchange.handler import Driver
from alchemiser.exchange.http_forms import answer, choice, day, page_token, read_page_token, whole_number, words
from alchemiser.exchange.path import TapeBar, TapePrint
from alchemiser.exchange.print_book import MarkedPrint
from alchemiser.exchange.reference_data import EXCHANGES, TAPES, conditions
from alchemiser.exchange.tape import MarketTape
from alchemiser.exchange.turns import collect, in_turns
from alchemiser.market.calendar import new_york_date

_MOST_ROWS: Final = 10_000
_USUAL_ROWS: Final = 1_000
_ROWS_IN_ONE_GO: Final = 16

_SORTS: Final = ("asc", "desc")
_ACTION_TYPES: Final = {
    "reverse_split": "reverse_splits",
    "forward_split": "forward_splits",
    "unit_split": "unit_splits",
    "cash_dividend": "cash_dividends",
    "stock_dividend": "stock_dividends",
    "spin_off": "spin_offs",
    "cash_merger": "cash_mergers",
    "stock_merger": "stock_mergers",
    "stock_and_cash_merger": "stock_and_cash_mergers",
    "redemption": "redemptions",
    "name_change": "name_changes",
    "worthless_removal": "worthless_removals",
    "rights_distribution": "rights_distributions",
    "partial_call": "partial_calls",
    "reorganization": "reorganizations",
}
_SYMBOL: Final = re.compile(r"[A-Z0-9][A-Z0-9./-]{0,19}")

Row = TapeBar | TapePrint | MarkedPrint | Quote | AuctionDay
Rows = Callable[
    [str, datetime, datetime],
    Iterator[TapeBar] | Iterator[TapePrint | MarkedPrint] | Iterator[Quote] | Iterator[AuctionDay],
]


class DataApi:
    """The handlers of the data API."""

    def __init__(self, *, driver: Driver, feed: MarketFeed, tape: MarketTape, issuers: ActionBook, plan: DataPlan) -> None:
        self._driver = driver
        self._plan = plan
        self._issuers = issuers
        self._feed = feed
        self._tape = tape

    def routes(self) -> list[Route]:
        """Return method, path and handler of every endpoint. Fixed paths come before those with a symbol."""
        return [
            ("GET", "/v2/stocks/meta/exchanges", self.exchanges),
            ("GET", "/v2/stocks/meta/conditions/{kind}", self.conditions),
            ("GET", "/v2/stocks/snapshots", self.snapshots),
            ("GET", "/v2/stocks/bars/latest", self.latest_bars),
            ("GET", "/v2/stocks/quotes/latest", self.latest_quotes),
            ("GET", "/v2/stocks/trades/latest", self.latest_trades),
            ("GET", "/v2/stocks/bars", self.bars),
            ("GET", "/v2/stocks/quotes", self.quotes),
            ("GET", "/v2/stocks/trades", self.trades),
            ("GET", "/v2/stocks/auctions", self.auctions),
            ("GET", "/v2/stocks/{symbol}/bars/latest", self.latest_bars),
            ("GET", "/v2/stocks/{symbol}/quotes/latest", self.latest_quotes),
            ("GET", "/v2/stocks/{symbol}/trades/latest", self.latest_trades),
            ("GET", "/v2/stocks/{symbol}/bars", self.bars),
            ("GET", "/v2/stocks/{symbol}/quotes", self.quotes),
            ("GET", "/v2/stocks/{symbol}/trades", self.trades),
            ("GET", "/v2/stocks/{symbol}/auctions", self.auctions),
            ("GET", "/v2/stocks/{symbol}/snapshot", self.snapshot),
            ("GET", "/v1/corporate-actions", self.actions),
        ]

    # --- history ---

    async def bars(self, request: web.Request) -> web.Response:
        """``GET /v2/stocks/bars``."""
        query = request.query
        frame = parse_time_frame(query.get("timeframe", ""))
        if frame is None:
            raise bad_request(f"invalid timeframe: {query.get('timeframe')!r}")
        adjustment = parse_adjustment(words(query, "adjustment"))
        if adjustment is None:
            raise bad_request(f"invalid adjustment: {query['adjustment']!r}")

        def rows(history: History) -> Rows:
            return lambda symbol, start, end: history.bars(symbol, frame, adjustment, start, end)

        return await self._page(request, "bars", rows)

    async def trades(self, request: web.Request) -> web.Response:
        """``GET /v2/stocks/trades``."""

        def rows(history: History) -> Rows:
            return lambda symbol, start, end: self._feed.prints.among(
                history.trades(symbol, start, end), symbol, start, end, descending=history.is_descending
            )

        return await self._page(request, "trades", rows)

    async def quotes(self, request: web.Request) -> web.Response:
        """``GET /v2/stocks/quotes``."""
        return await self._page(request, "quotes", lambda history: history.quotes)

    async def auctions(self, request: web.Request) -> web.Response:
        """``GET /v2/stocks/auctions``: one row per session."""
        return await self._page(request, "auctions", lambda history: history.auctions)

    async def _page(self, request: web.Request, name: str, rows: Callable[[History], Rows]) -> web.Response:
        """Answer one page: sorted by symbol, then by time; ``limit`` counts over all symbols.

        Years of sessions may have to be made for it. Between a few rows and the next everybody else has their turn; the answer is as of the
        moment of the question all the same, because the past of the tape does not change.
        """
        now = self._driver.read()
        query = request.query
        is_descending = choice(query, "sort", _SORTS, "asc") == "desc"
        limit = whole_number(query, "limit", low=1, high=_MOST_ROWS, default=_USUAL_ROWS)
        start, end = self._plan.span(query, now)
        page = read_page_token(query.get("page_token"))
        found = self._rows(
            self._symbols(request), rows(History(self._tape, now, descending=is_descending)), start, end, page, is_descending
        )
        chosen = await in_turns(collect(islice(found, limit + 1), in_one_go=_ROWS_IN_ONE_GO))
        token = page_token(chosen[limit - 1][0], _time_of(chosen[limit - 1][1])) if len(chosen) > limit else None
        result: dict[str, list[Any]] = {}
        for symbol, row in chosen[:limit]:
            result.setdefault(symbol, []).append(_row(row))
        single = request.match_info.get("symbol")
        body: dict[str, Any] = {name: result} if single is None else {name: result.get(single.upper(), []), "symbol": single.upper()}
        return answer({**body, "next_page_token": token})

    def _rows(
        self, symbols: tuple[str, ...], rows: Rows, start: datetime, end: datetime, page: tuple[str, datetime] | None, is_descending: bool
    ) -> Iterator[tuple[str, Row]]:
        """Yield what comes after the row of the page token, without making again what came before it."""
        for symbol in sorted(symbols):
            if page is not None and symbol < page[0]:
                continue
            is_before = page is not None and symbol == page[0]
            first, last = start, end
            if is_before and page is not None:
                first, last = (start, min(end, page[1])) if is_descending else (max(start, page[1]), end)
            for row in rows(symbol, first, last):
                if is_before and page is not None:
                    # The token names the last row of the page before.
                    is_before = _time_of(row) != page[1]
                    continue
                yield symbol, row

    # --- the latest ---

    async def latest_bars(self, request: web.Request) -> web.Response:
        """``GET /v2/stocks/bars/latest``: the last whole minute with a trade."""
        now = self._driver.read()
        return self._latest(request, "bars", lambda symbol: self._minute_bar(symbol, now))

    async def latest_quotes(self, request: web.Request) -> web.Response:
        """``GET /v2/stocks/quotes/latest``."""
        self._driver.read()
        return self._latest(request, "quotes", self._feed.quote)

    async def latest_trades(self, request: web.Request) -> web.Response:
        """``GET /v2/stocks/trades/latest``."""
        self._driver.read()
        return self._latest(request, "trades", self._feed.trade)

    def _latest(self, request: web.Request, name: str, find: Callable[[str], TapeBar | TapePrint | Quote | None]) -> web.Response:
        self._plan.check_latest(request.query)
        found = {symbol: _row(row) for symbol in self._known(request) if (row := find(symbol)) is not None}
        single = request.match_info.get("symbol")
        if single is None:
            return answer({name: found})
        return answer({"symbol": single.upper(), name.removesuffix("s"): found.get(single.upper())})

    async def snapshots(self, request: web.Request) -> web.Response:
        """``GET /v2/stocks/snapshots``: one request, however many symbols."""
        now = self._driver.read()
        self._plan.check_latest(request.query)
        return answer({symbol: self._snapshot(symbol, now) for symbol in self._known(request)})

    async def snapshot(self, request: web.Request) -> web.Response:
        """``GET /v2/stocks/{symbol}/snapshot``."""
        now = self._driver.read()
        self._plan.check_latest(request.query)
        return answer(
            {symbol: {"symbol": symbol, **self._snapshot(symbol, now)} for symbol in self._known(request)}.get(
                request.match_info["symbol"].upper(), {}
            )
        )

    def _snapshot(self, symbol: str, now: datetime) -> dict[str, Any]:
        members = {
            "latestTrade": self._feed.trade(symbol),
            "latestQuote": self._feed.quote(symbol),
            "minuteBar": self._minute_bar(symbol, now),
            "dailyBar": self._tape.day_bar(symbol, now),
            "prevDailyBar": self._tape.previous_bar(symbol, now),
        }
        return {name: _row(member) for name, member in members.items() if member is not None}

    def _minute_bar(self, symbol: str, now: datetime) -> TapeBar | None:
        return self._tape.minute_bar(symbol, now)

    # --- what never changes, and corporate actions ---

    async def exchanges(self, request: web.Request) -> web.Response:
        """``GET /v2/stocks/meta/exchanges``."""
        return answer(EXCHANGES)

    async def conditions(self, request: web.Request) -> web.Response:
        """``GET /v2/stocks/meta/conditions/{trade|quote}``."""
        kind = request.match_info["kind"]
        known = conditions(kind, choice(request.query, "tape", TAPES, "A"))
        if known is None:
            raise bad_request(f"invalid ticktype: {kind!r} is neither trade nor quote")
        return answer(known)

    async def actions(self, request: web.Request) -> web.Response:
        """``GET /v1/corporate-actions``: the dividends and splits that show in the daily bars up to today, and what was announced."""
        now = self._driver.read()
        query = request.query
        today = new_york_date(now)
        start, end = day(query, "start") or today, day(query, "end") or today
        limit = whole_number(query, "limit", low=1, high=1_000, default=100)
        wanted = words(query, "types")
        if not set(wanted) <= set(_ACTION_TYPES):
            raise bad_request(f"invalid types: expected some of {', '.join(_ACTION_TYPES)}")
        ids = words(query, "ids")
        skip = _offset(query.get("page_token"))
        found = await in_turns(self._issuers.find(words(query, "symbols") or None, start, end, now))
        rows = [
            (group, row)
            for group, members in found.items()
            if not wanted or group in (_ACTION_TYPES[kind] for kind in wanted)
            for row in members
            if not ids or row["id"] in ids
        ]
        rows.sort(key=lambda item: (item[1]["process_date"], symbol_of(item[1])), reverse=choice(query, "sort", _SORTS, "asc") == "desc")
        chosen: dict[str, list[dict[str, Any]]] = {}
        for group, row in rows[skip : skip + limit]:
            chosen.setdefault(group, []).append(row)
        token = page_token(str(skip + limit), now) if len(rows) > skip + limit else None
        return answer({"corporate_actions": chosen, "next_page_token": token})

    # --- symbols ---

    def _symbols(self, request: web.Request) -> tuple[str, ...]:
        single = request.match_info.get("symbol")
        symbols = words(request.query, "symbols") if single is None else (single,)
        if not symbols:
            raise bad_request("symbols is required")
        named = tuple(symbol.upper() for symbol in symbols)
        for symbol in named:
            if not _SYMBOL.fullmatch(symbol):
                raise bad_request(f"invalid symbol: {symbol[:40]}")
        return named

    def _known(self, request: web.Request) -> list[str]:
        known = set(self._feed.symbols)
        return [symbol for symbol in self._symbols(request) if symbol in known]


def _row(row: Row) -> msgspec.Struct | dict[str, Any]:
    match row:
        case TapeBar():
            return bar_fields(row)
        case TapePrint():
            return trade_fields(row)
        case MarkedPrint(trade, mark):
            return trade_fields(trade, mark)
        case Quote():
            return quote_fields(row)
        case AuctionDay():
            closing = [] if row.closing is None else [_auction(row.closing, "M")]
            return {"d": new_york_date(row.at).isoformat(), "o": [_auction(row.opening, "Q")], "c": closing}


def _auction(trade: TapePrint, condition: str) -> dict[str, Any]:
    fields = trade_fields(trade)
    return {"t": fields.at, "x": fields.exchange, "p": fields.price, "s": fields.size, "c": condition}


def _time_of(row: Row) -> datetime:
    match row:
        case TapeBar():
            return row.start
        case MarkedPrint(trade):
            return trade.at
        case _:
            return row.at


def _offset(token: str | None) -> int:
    page = read_page_token(token)
    if page is None:
        return 0
    if not page[0].isdigit():
        raise bad_request("invalid page_token")
    return int(page[0])
