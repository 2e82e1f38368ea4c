"""What the business rooms may ask of a venue. The Alpaca adapter answers; execution knows only this.

Every method has a total deadline. Methods raise the errors of ``domain.errors`` under ``VenueError`` and nothing else.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Protocol

from alchemiser.domain.account import Account, Asset, BrokerActivity, BrokerPosition
from alchemiser.domain.activities import AccountActivity
from alchemiser.domain.market import Bar, MarketSnapshot, Session
from alchemiser.domain.orders import ExecutionReport, NewOrder, Side

WhyNot = Callable[[str, Side], str | None]
"""Says why nothing new of that side may be sent for a symbol just now; ``None`` when it may."""

After = Callable[[], Awaitable[None]]
"""Returns when what a request follows from is durable."""


class Venue(Protocol):
    """A broker's trading and market-data requests."""

    def guard(self, why_not: WhyNot) -> None:
        """Have ``why_not`` asked when the bytes of a submit or a replacement are about to leave; cancels are not guarded.

        A request may have waited long for its turn. What it says then is raised as ``VenueUnavailable``, for nothing was sent.
        """

    async def submit(self, order: NewOrder, *, after: After | None = None) -> ExecutionReport:
        """Send an order. The request is made ready at once, and its first byte leaves when ``after`` has returned, never before.

        Raises ``OrderRejected`` on a proven refusal and ``OutcomeUnknown`` when no readable answer came.
        """

    async def submit_now(self, order: NewOrder) -> ExecutionReport | None:
        """Send an order in this very moment; ``None``, and nothing is sent, when the request would have to wait for anything.

        Until it is sent nothing is awaited, so whoever has the order may begin this and leave the rest to a task, see ``bus.begun``. Raises
        as :meth:`submit` does.
        """

    async def replace(
        self, venue_order_id: str, *, symbol: str, side: Side, client_order_id: str, quantity: Decimal, limit_price: Decimal
    ) -> ExecutionReport:
        """Replace an open order by one of that total quantity and price, and return the new one."""

    async def cancel(self, venue_order_id: str) -> None:
        """Ask for a cancel; the cancel itself arrives as an execution report."""

    async def order_by_client_id(self, client_order_id: str) -> ExecutionReport:
        """Return the state of the order. Raises ``NotFoundAtVenue`` when the venue says it does not know the id."""

    async def open_orders(self) -> tuple[ExecutionReport, ...]:
        """Return every order that has not ended."""

    async def account(self) -> Account:
        """Return the account."""

    async def account_and_positions(self) -> tuple[Account, tuple[BrokerPosition, ...]]:
        """Return the account and all positions, asked for together: what happens in between is in one of the answers only."""

    async def fills_since(self, after: datetime | None) -> tuple[BrokerActivity, ...]:
        """Return the fills after that time, and what took fills back, oldest first; all of them when ``after`` is ``None``."""

    async def activities_since(self, after: datetime) -> tuple[AccountActivity, ...]:
        """Return what happened to the account without a trade and was written after that time, oldest first."""

    async def replay_since(self, event_id: str) -> tuple[ExecutionReport, ...] | None:
        """Return what was told of our orders after that event, oldest first; ``None`` where the venue does not tell anything again."""

    async def assets(self, symbols: Sequence[str]) -> dict[str, Asset]:
        """Return what is known of these symbols; unknown ones are absent. One request, however many symbols."""

    async def sessions(self, start: date, end: date) -> tuple[Session, ...]:
        """Return the exchange's sessions from ``start`` to ``end``, both included."""

    async def now(self) -> datetime:
        """Return the venue's own clock, in UTC."""

    async def snapshots(self, symbols: Sequence[str]) -> dict[str, MarketSnapshot]:
        """Return the latest quote, trade and daily bars of these symbols. One request, however many symbols."""

    async def daily_bars(self, symbols: Sequence[str], *, start: date, end: date) -> dict[str, tuple[Bar, ...]]:
        """Return the daily bars from ``start`` to ``end``, both included, adjusted for splits and dividends, oldest first."""
