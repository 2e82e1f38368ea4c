"""The screener (``/v1beta1/screener``) and the retired announcements (``/v2/corporate_actions/announcements``).

The screener ranks today's running bars. Announcements say of dividends and splits what section 7.4 says, in the words of section 8.8;
their id holds the date, so that one can be found again without searching all history.
"""

import uuid
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any, Final

from aiohttp import web

from alchemiser.exchange.assets import asset_id_of
from alchemiser.exchange.calls import Route
from alchemiser.exchange.corporate_actions import ActionBook, symbol_of
from alchemiser.exchange.errors import invalid, not_found
from alchemiser.exchange.formats import time_text
from alchemiser.exchange.handler import Driver
from alchemiser.exchange.http_forms import answer, choice, day, whole_number, words
from alchemiser.exchange.path import TapeBar
from alchemiser.exchange.tape import MarketTape
from alchemiser.exchange.turns import Work, in_turns

_KINDS: Final = {
    "cash_dividends": ("dividend", "cash"),
    "forward_splits": ("split", "stock_split"),
    "reverse_splits": ("split", "reverse_split"),
    "stock_dividends": ("dividend", "stock"),
    "spin_offs": ("spinoff", "spinoff"),
    "cash_mergers": ("merger", "merger_update"),
}
_TYPES: Final = ("dividend", "merger", "spinoff", "split")
_DATE_TYPES: Final = ("declaration_date", "ex_date", "record_date", "payable_date")
_LONGEST: Final = timedelta(days=90)


class ScreenerApi:
    """The handlers of both."""

    def __init__(self, *, driver: Driver, tape: MarketTape, issuers: ActionBook) -> None:
        self._driver = driver
        self._issuers = issuers
        self._tape = tape

    def routes(self) -> list[Route]:
        """Return method, path and handler of every endpoint."""
        return [
            ("GET", "/v1beta1/screener/stocks/most-actives", self.most_actives),
            ("GET", "/v1beta1/screener/stocks/movers", self.movers),
            ("GET", "/v2/corporate_actions/announcements", self.announcements),
            ("GET", "/v2/corporate_actions/announcements/{announcement_id}", self.announcement),
        ]

    async def most_actives(self, request: web.Request) -> web.Response:
        """``GET /v1beta1/screener/stocks/most-actives``: today's volume or number of trades, the largest first."""
        now = self._driver.read()
        by_trades = choice(request.query, "by", ("volume", "trades"), "volume") == "trades"
        top = whole_number(request.query, "top", low=1, high=100, default=10)
        bars = sorted(
            (bar for symbol in self._tape.symbols if (bar := self._tape.day_bar(symbol, now)) is not None),
            key=lambda bar: (-(bar.trade_count if by_trades else bar.volume), bar.symbol),
        )
        rows = [{"symbol": bar.symbol, "volume": bar.volume, "trade_count": bar.trade_count} for bar in bars[:top]]
        return answer({"most_actives": rows, "last_updated": time_text(now)})

    async def movers(self, request: web.Request) -> web.Response:
        """``GET /v1beta1/screener/stocks/movers``: today's change against the last close, gainers and losers apart."""
        now = self._driver.read()
        top = whole_number(request.query, "top", low=1, high=50, default=10)
        moves = [move for symbol in self._tape.symbols if (move := self._move(symbol, now)) is not None]
        gainers = sorted((move for move in moves if move["change"] > 0), key=lambda move: (-move["percent_change"], move["symbol"]))
        losers = sorted((move for move in moves if move["change"] < 0), key=lambda move: (move["percent_change"], move["symbol"]))
        return answer({"gainers": gainers[:top], "losers": losers[:top], "market_type": "stocks", "last_updated": time_text(now)})

    def _move(self, symbol: str, now: datetime) -> dict[str, Any] | None:
        today: TapeBar | None = self._tape.day_bar(symbol, now)
        before = self._tape.previous_bar(symbol, now)
        if today is None or before is None:
            return None
        change = today.close - before.close
        return {
            "symbol": symbol,
            "percent_change": round(100 * change / before.close, 2),
            "change": round(change, 4),
            "price": today.close,
        }

    async def announcements(self, request: web.Request) -> web.Response:
        """``GET /v2/corporate_actions/announcements``: at most ninety days, both bounds included, by the date that ``date_type`` names."""
        query = request.query
        kinds = tuple(kind.lower() for kind in words(query, "ca_types"))
        if not kinds or any(kind not in _TYPES for kind in kinds):
            raise invalid(f"ca_types must be some of {', '.join(_TYPES)}")
        since, until = day(query, "since"), day(query, "until")
        if since is None or until is None or since > until or until - since > _LONGEST:
            raise invalid("since and until are required, in this order and at most 90 days apart")
        # Every date of an action is its ex-date here, so that whichever is meant selects the same rows.
        choice(query, "date_type", _DATE_TYPES, "ex_date")
        symbol = query.get("symbol")
        symbols = self._tape.symbols if symbol is None else tuple(each for each in self._tape.symbols if each == symbol.upper())
        found = await in_turns(self._found(symbols, since, until))
        return answer([row for row in found if row["ca_type"] in kinds and not query.get("cusip")])

    async def announcement(self, request: web.Request) -> web.Response:
        """``GET /v2/corporate_actions/announcements/{id}``."""
        wanted = request.match_info["announcement_id"]
        on = _date_in(wanted)
        for row in [] if on is None else await in_turns(self._found(self._tape.symbols, on, on)):
            if uuid.UUID(wanted) == uuid.UUID(row["id"]):
                return answer(row)
        raise not_found(f"announcement not found for {wanted[:40]}")

    def _found(self, symbols: tuple[str, ...], since: date, until: date) -> Work[list[dict[str, Any]]]:
        groups = yield from self._issuers.find(symbols, since, until, self._driver.read())
        rows = [_announcement(group, row) for group, members in groups.items() if group in _KINDS for row in members]
        rows.sort(key=lambda row: (row["ex_date"], row["initiating_symbol"]))
        return rows


def _announcement(group: str, row: Mapping[str, Any]) -> dict[str, Any]:
    kind, sub_kind = _KINDS[group]
    on, symbol, target = str(row.get("ex_date") or row["process_date"]), symbol_of(row), row.get("new_symbol") or symbol_of(row)
    return {
        "id": _id_with(row["id"], date.fromisoformat(on)),
        "corporate_action_id": row["id"],
        "ca_type": kind,
        "ca_sub_type": sub_kind,
        "initiating_symbol": symbol,
        "initiating_original_cusip": "",
        "target_symbol": target,
        "target_original_cusip": "",
        "declaration_date": None,
        "ex_date": on,
        "record_date": row.get("record_date") or on,
        "payable_date": row.get("payable_date") or on,
        "cash": str(row.get("rate", 0)),
        "old_rate": str(row.get("old_rate", row.get("source_rate", 1))),
        "new_rate": str(row.get("new_rate", 1)),
    }


def _id_with(action_id: str, on: date) -> str:
    """Return the id of an announcement: that of its action, or one made of it, with the date for its last four bytes."""
    try:
        known = uuid.UUID(action_id)
    except ValueError:
        known = uuid.UUID(asset_id_of(action_id))
    return str(uuid.UUID(bytes=known.bytes[:12] + on.toordinal().to_bytes(4)))


def _date_in(announcement_id: str) -> date | None:
    try:
        return date.fromordinal(int.from_bytes(uuid.UUID(announcement_id).bytes[12:]))
    except (ValueError, OverflowError):
        return None
