"""The account's watchlists (section 8.8): named, ordered lists of symbols."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from alchemiser.exchange.assets import AssetRecord, asset_json
from alchemiser.exchange.errors import invalid, not_found, unprocessable
from alchemiser.exchange.fields import read_object
from alchemiser.exchange.formats import time_text


class Watchlist(msgspec.Struct):
    """One list; symbols are in it once, in the order in which they came."""

    id: str
    name: str
    created_at: datetime
    updated_at: datetime
    symbols: list[str] = []


class Watchlists:
    """The watchlists of one account. What is not found raises the 404, a name that is taken the 422."""

    def __init__(
        self, lists: list[Watchlist], *, account_id: str, asset_of: Callable[[str], AssetRecord], new_uuid: Callable[[], str]
    ) -> None:
        self._lists = lists
        self._account_id = account_id
        self._asset_of = asset_of
        self._new_uuid = new_uuid

    def all_json(self) -> list[dict[str, Any]]:
        """Return every list, without its assets."""
        return [self._json(each, with_assets=False) for each in self._lists]

    def get(self, *, list_id: str | None = None, name: str | None = None) -> dict[str, Any]:
        """Return one list with its assets."""
        return self._json(self._find(list_id, name))

    def create(self, body: object, now: datetime) -> dict[str, Any]:
        """Make a list of ``{name, symbols}``."""
        name, symbols = self._read(body)
        self._check_name(name)
        made = Watchlist(id=self._new_uuid(), name=name, created_at=now, updated_at=now, symbols=symbols or [])
        self._lists.append(made)
        return self._json(made)

    def update(self, body: object, now: datetime, *, list_id: str | None = None, name: str | None = None) -> dict[str, Any]:
        """Rename a list, and give it other symbols if the body has any."""
        found = self._find(list_id, name)
        new_name, symbols = self._read(body, name=found.name)
        if new_name != found.name:
            self._check_name(new_name)
        found.name, found.updated_at = new_name, now
        found.symbols = found.symbols if symbols is None else symbols
        return self._json(found)

    def append(self, body: object, now: datetime, *, list_id: str | None = None, name: str | None = None) -> dict[str, Any]:
        """Add the symbol of ``{symbol}`` to a list."""
        found = self._find(list_id, name)
        symbol = self._symbol(read_object(body).get("symbol"))
        if symbol in found.symbols:
            raise unprocessable(f"duplicate symbol {symbol}")
        found.symbols.append(symbol)
        found.updated_at = now
        return self._json(found)

    def remove(self, symbol: str, now: datetime, *, list_id: str | None = None, name: str | None = None) -> dict[str, Any]:
        """Take a symbol out of a list."""
        found = self._find(list_id, name)
        if symbol not in found.symbols:
            raise not_found(f"symbol not found: {symbol[:40]}")
        found.symbols.remove(symbol)
        found.updated_at = now
        return self._json(found)

    def delete(self, *, list_id: str | None = None, name: str | None = None) -> None:
        """Forget a list."""
        self._lists.remove(self._find(list_id, name))

    def _find(self, list_id: str | None, name: str | None) -> Watchlist:
        for each in self._lists:
            if (list_id is not None and each.id == list_id) or (name is not None and each.name == name):
                return each
        raise not_found("watchlist not found")

    def _check_name(self, name: str) -> None:
        if any(each.name == name for each in self._lists):
            raise invalid("watchlist name must be unique")

    def _read(self, body: object, name: str | None = None) -> tuple[str, list[str] | None]:
        fields = read_object(body)
        chosen, symbols = fields.get("name") or name, fields.get("symbols")
        if not isinstance(chosen, str) or not 1 <= len(chosen) <= 64:
            raise invalid("watchlist name must be between 1 and 64 characters")
        if symbols is None:
            return chosen, None
        if not isinstance(symbols, Sequence) or isinstance(symbols, str):
            raise invalid("symbols must be a list")
        return chosen, list(dict.fromkeys(self._symbol(symbol) for symbol in symbols))

    def _symbol(self, symbol: object) -> str:
        if not isinstance(symbol, str) or not symbol:
            raise invalid("symbol is required")
        return self._asset_of(symbol).symbol

    def _json(self, found: Watchlist, *, with_assets: bool = True) -> dict[str, Any]:
        assets = {"assets": [asset_json(self._asset_of(symbol)) for symbol in found.symbols]} if with_assets else {}
        return {
            "id": found.id,
            "account_id": self._account_id,
            "name": found.name,
            "created_at": time_text(found.created_at),
            "updated_at": time_text(found.updated_at),
            **assets,
        }
