"""The embedded exchange itself: one account, its orders and the market they meet, without sockets, clock or loop.

SIGNATURES FIRST: the bodies follow; what is written here is what the faces may rely on.
Every method that takes ``now`` (UTC) first does whatever was due until then. Refusals raise ``errors.ApiError``.
"""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from random import Random
from typing import Any

from alchemiser.domain.market import Quote, Session
from alchemiser.exchange.assets import AssetRecord
from alchemiser.exchange.orders import OrderUpdate, VenueOrder
from alchemiser.exchange.requests import ActivityFilter, OrderFilter, OrderRequest, ReplaceRequest
from alchemiser.exchange.settings import ExchangeSettings


class Exchange:
    """A venue with one account. Deterministic: the same calls with the same seed give the same answers, ids included."""

    def __init__(
        self,
        *,
        settings: ExchangeSettings,
        assets: Mapping[str, AssetRecord],
        sessions: Callable[[date], Session | None],
        random: Random,
        opened_at: datetime,
    ) -> None:
        raise NotImplementedError

    # --- orders ---

    def submit(self, request: OrderRequest, now: datetime) -> VenueOrder:
        """Accept an order or raise ``ApiError``; ``order_json`` makes the answer."""
        raise NotImplementedError

    def replace(self, order_id: str, request: ReplaceRequest, now: datetime) -> VenueOrder:
        """Replace a working order and return the new one."""
        raise NotImplementedError

    def cancel(self, order_id: str, now: datetime) -> None:
        """Ask for a cancel (204); the cancel itself follows on the order stream."""
        raise NotImplementedError

    def cancel_all(self, now: datetime) -> list[tuple[str, int]]:
        """Ask for the cancel of every open order; return (order id, status) of each."""
        raise NotImplementedError

    def order(self, order_id: str) -> VenueOrder:
        """Return the order with that id, dashed or not."""
        raise NotImplementedError

    def order_by_client_id(self, client_order_id: str) -> VenueOrder:
        """Return the order with that client order id."""
        raise NotImplementedError

    def orders(self, wanted: OrderFilter) -> list[VenueOrder]:
        """Return the orders that match, in the order asked for."""
        raise NotImplementedError

    # --- account ---

    def close_position(self, symbol: str, now: datetime, qty: Decimal | None = None, percentage: Decimal | None = None) -> VenueOrder:
        """Close a position, or a part of it, with a market order. ``symbol`` may be an asset id."""
        raise NotImplementedError

    def close_all_positions(self, now: datetime, cancel_orders: bool) -> list[dict[str, Any]]:
        """Close every position; return the rows of the 207 answer."""
        raise NotImplementedError

    def account_json(self) -> dict[str, Any]:
        """Return the account (8.1)."""
        raise NotImplementedError

    def positions_json(self) -> list[dict[str, Any]]:
        """Return all positions (8.3), sorted by symbol."""
        raise NotImplementedError

    def position_json(self, symbol: str) -> dict[str, Any]:
        """Return one position; ``symbol`` may be an asset id."""
        raise NotImplementedError

    def asset(self, symbol_or_id: str) -> AssetRecord:
        """Return one asset; raise the 404 of an unknown one."""
        raise NotImplementedError

    @property
    def assets(self) -> Mapping[str, AssetRecord]:
        """All assets by symbol; ``assets.asset_json`` describes one."""
        raise NotImplementedError

    def activities(self, wanted: ActivityFilter) -> list[dict[str, Any]]:
        """Return account activities (8.6), a page at a time."""
        raise NotImplementedError

    def configurations(self) -> dict[str, Any]:
        """Return the account configurations (8.2)."""
        raise NotImplementedError

    def configure(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Apply PATCH changes to the configurations and return them all; 400 for a bad value."""
        raise NotImplementedError

    def portfolio_history(self, now: datetime) -> dict[str, Any]:
        """Return daily equity (8.7)."""
        raise NotImplementedError

    # --- the market ---

    def on_quote(self, quote: Quote, now: datetime) -> None:
        """Take a new national best bid and offer: displayed sizes are fresh, resting orders are looked at."""
        raise NotImplementedError

    def on_trade(self, symbol: str, price: float, size: float, now: datetime) -> None:
        """Take a trade of the tape: it marks positions, elects stops and trades through resting limits."""
        raise NotImplementedError

    def on_halt(self, symbol: str, halted: bool, now: datetime) -> None:
        """Halt or resume trading of a symbol."""
        raise NotImplementedError

    # --- time ---

    def advance(self, now: datetime) -> None:
        """Do everything that is due until ``now``, in order of time."""
        raise NotImplementedError

    def next_due(self) -> datetime | None:
        """Return the earliest time at which :meth:`advance` has something to do."""
        raise NotImplementedError

    @property
    def has_working_orders(self) -> bool:
        """Whether an order is live in the session (an order that waits for the closing auction is not)."""
        raise NotImplementedError

    def drain(self) -> list[OrderUpdate]:
        """Return the order-stream events since the last call, oldest first."""
        raise NotImplementedError

    # --- state ---

    def snapshot(self) -> bytes:
        """Return the complete state, the random generator's included."""
        raise NotImplementedError

    @classmethod
    def restore(
        cls,
        data: bytes,
        *,
        settings: ExchangeSettings,
        assets: Mapping[str, AssetRecord],
        sessions: Callable[[date], Session | None],
        random: Random,
    ) -> "Exchange":
        """Return the exchange that :meth:`snapshot` described; ``random`` is set to the state it had."""
        raise NotImplementedError
