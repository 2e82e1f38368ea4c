"""The kill: every open order of the account is cancelled and, if so asked, everything the strategies hold is sold at market.

It talks to the venue alone: no bus, no gate, no plan, no journal. It gives up nothing that a later attempt may still do: while the venue
does not answer it asks again, ever more slowly, for ever. An order may have left just before; so the account counts as free of orders when
two looks a little apart have found none. What it did and what it could not is in its :class:`KillReport` at every moment.
"""

from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from typing import Final, Protocol, TypeVar

import msgspec

from alchemiser.domain.account import BrokerPosition
from alchemiser.domain.errors import NotFoundAtVenue, OrderRejected, OutcomeUnknown, VenueError
from alchemiser.domain.money import ZERO, number_string, truncate_shares
from alchemiser.domain.orders import DAY, MARKET, SELL, ExecutionReport, NewOrder
from alchemiser.domain.runtime import Clock

T = TypeVar("T")

LOOK_SECONDS: Final = 1.0
"""The pause between two looks at the venue while there is something to wait for."""

SETTLE_SECONDS: Final = 3.0
"""The pause before the second look that finds no open order."""

LONGEST_PAUSE_SECONDS: Final = 15.0
"""The longest pause while the venue does not answer; the first is a tenth of it, and each is twice the one before."""

ATTEMPTS_AT_MOST: Final = 3
"""How many orders may be sent to sell one symbol."""

PATIENCE_LOOKS: Final = 120
"""After so many looks without an end of it a sale is left open at the venue, and named."""

_ENDED: Final = frozenset({"filled", "canceled", "expired", "rejected", "replaced"})


class KillVenue(Protocol):
    """What a kill asks of a venue."""

    async def cancel_all(self) -> None:
        """Ask for the cancel of every open order."""

    async def cancel(self, venue_order_id: str) -> None:
        """Ask for the cancel of one order."""

    async def open_orders(self) -> tuple[ExecutionReport, ...]:
        """Return every order that has not ended."""

    async def positions(self) -> tuple[BrokerPosition, ...]:
        """Return all positions."""

    async def submit(self, order: NewOrder) -> ExecutionReport:
        """Send an order."""

    async def order_by_client_id(self, client_order_id: str) -> ExecutionReport:
        """Return the state of an order."""


class KillReport(msgspec.Struct, kw_only=True):
    """What a kill has done so far. ``ended`` are the orders that were open with how each ended, ``sold`` shares by symbol.

    ``could_not`` says in words what it gave up, ``trouble`` what the venue said last when it did not answer as it should.
    """

    stage: str = "cancelling"
    is_over: bool = False
    ended: dict[str, str] = {}
    sold: dict[str, Decimal] = {}
    could_not: list[str] = []
    trouble: str | None = None
    failures: int = 0

    @property
    def is_clean(self) -> bool:
        """Whether it has done all that was asked."""
        return self.is_over and not self.could_not


async def _at_once() -> None:
    """Wait for nothing."""


class KillParts(msgspec.Struct, frozen=True, kw_only=True):
    """What a kill works with.

    ``flattens`` says whether to sell, ``holdings`` the shares of the strategies; ``order_id`` names the order of a symbol and an attempt.
    ``planned`` is told the shares to be sold and their prices in dollars, ``intends`` each order before it is sent, ``heard`` what the
    venue says of it. ``may_sell`` returns when the holdings are what is held, which after a crash they are not at once.
    """

    venue: KillVenue
    clock: Clock
    flattens: Callable[[], bool]
    holdings: Callable[[], Mapping[str, Decimal]]
    order_id: Callable[[str, int], str]
    planned: Callable[[Mapping[str, Decimal], Mapping[str, Decimal]], None]
    intends: Callable[[NewOrder, int], Awaitable[None]]
    heard: Callable[[ExecutionReport], None]
    may_sell: Callable[[], Awaitable[object]] = _at_once


class Sale(msgspec.Struct, kw_only=True):
    """The sale of one symbol: what is still to be sold, and the order that is under way."""

    symbol: str
    left: Decimal
    attempt: int = 0
    order: NewOrder | None = None
    was_sent: bool = False
    is_over: bool = False


class Kill:
    """One kill, from the first cancel to its end."""

    def __init__(self, parts: KillParts) -> None:
        self._parts = parts
        self._failures_in_row = 0
        self.report = KillReport()

    async def run(self) -> KillReport:
        """Cancel everything, sell if so asked, and return what was done. It ends when there is nothing more that it can do."""
        await self._cancel_everything()
        if self._parts.flattens():
            self.report.stage = "waiting for the books"
            await self._parts.may_sell()
            self.report.stage = "selling"
            await self._sell_everything()
        self.report.stage, self.report.is_over = "over", True
        return self.report

    # --- cancels ---

    async def _cancel_everything(self) -> None:
        seen: dict[str, ExecutionReport] = {}
        looks_without = 0
        while looks_without < 2:
            found = await self._asked(self._parts.venue.open_orders)
            if found is not None and not found:
                looks_without += 1
                await self._parts.clock.sleep(SETTLE_SECONDS if looks_without == 1 else 0.0)
                continue
            looks_without = 0
            again = [order for order in found or () if order.venue_order_id in seen]
            seen |= {order.venue_order_id: order for order in found or ()}
            await self._asked(self._parts.venue.cancel_all)
            for order in again:  # The venue was asked for all of them once already.
                await self._cancel(order)
            await self._pause()
        for order in seen.values():
            await self._note_end(order)

    async def _cancel(self, order: ExecutionReport) -> None:
        async def cancel() -> None:
            await self._parts.venue.cancel(order.venue_order_id)

        await self._asked(cancel)

    async def _note_end(self, order: ExecutionReport) -> None:
        """Ask how an order ended: a fill may have won against the cancel. Without an answer it is only known to be gone."""

        async def ask() -> ExecutionReport:
            return await self._parts.venue.order_by_client_id(order.client_order_id)

        last = await self._asked(ask)
        self.report.ended[order.client_order_id or order.venue_order_id] = "gone" if last is None else last.status
        if last is not None:
            self._parts.heard(last)

    # --- sales ---

    async def _sell_everything(self) -> None:
        positions = await self._positions()
        sales = self._wanted(positions)
        self._parts.planned(
            {sale.symbol: sale.left for sale in sales},
            {symbol: position.current_price or position.average_entry_price for symbol, position in positions.items()},
        )
        for _ in range(PATIENCE_LOOKS):
            for sale in sales:
                if not sale.is_over:
                    await self._advance(sale)
            if all(sale.is_over for sale in sales):
                return
            await self._pause()
        for sale in sales:
            if sale.order is not None and not sale.is_over:
                self.report.could_not.append(f"order {sale.order.client_order_id} to sell {sale.symbol} has not ended; it is at the venue")

    def _wanted(self, positions: Mapping[str, BrokerPosition]) -> list[Sale]:
        """Return the sales: never more than the strategies hold, never more than the broker has."""
        found = []
        for symbol, held in sorted(self._parts.holdings().items()):
            position = positions.get(symbol)
            quantity = truncate_shares(min(held, max(position.quantity, ZERO) if position else ZERO))
            if quantity < held:
                self.report.could_not.append(
                    f"the books hold {number_string(held)} {symbol}, the broker {number_string(position.quantity if position else ZERO)}"
                )
            if quantity > 0:
                found.append(Sale(symbol=symbol, left=quantity))
        return found

    async def _positions(self) -> dict[str, BrokerPosition]:
        while (rows := await self._asked(self._parts.venue.positions)) is None:
            await self._pause()
        return {row.symbol: row for row in rows}

    async def _advance(self, sale: Sale) -> None:
        """Send the order of a sale, or ask what became of the one that was sent."""
        if sale.order is None:
            sale.attempt += 1
            sale.order = NewOrder(
                client_order_id=self._parts.order_id(sale.symbol, sale.attempt),
                symbol=sale.symbol,
                side=SELL,
                quantity=sale.left,
                order_type=MARKET,
                time_in_force=DAY,
            )
            sale.was_sent = False
            await self._parts.intends(sale.order, sale.attempt)
        try:
            if sale.was_sent:
                report = await self._parts.venue.order_by_client_id(sale.order.client_order_id)
            else:
                report = await self._parts.venue.submit(sale.order)
        except OrderRejected as error:
            self._refused(sale, str(error))
        except OutcomeUnknown as error:
            sale.was_sent = True  # Or perhaps not: the next look asks for it by its id.
            self._note_trouble(error)
        except NotFoundAtVenue:
            sale.was_sent = False  # It never arrived, and may go again under its id.
        except VenueError as error:
            self._note_trouble(error)
        else:
            self._failures_in_row = 0
            sale.was_sent = True
            self._parts.heard(report)
            self._follow(sale, report)

    def _follow(self, sale: Sale, report: ExecutionReport) -> None:
        """Take note of what the venue says of a sale."""
        if report.status not in _ENDED:
            return
        if report.cumulative_quantity:
            self.report.sold[sale.symbol] = self.report.sold.get(sale.symbol, ZERO) + report.cumulative_quantity
            sale.left -= report.cumulative_quantity
        if sale.left <= 0:
            sale.is_over = True
        else:
            self._refused(sale, f"the venue says {report.status}")

    def _refused(self, sale: Sale, why: str) -> None:
        """Try a sale again under another id, or give it up."""
        sale.order = None
        if sale.attempt >= ATTEMPTS_AT_MOST:
            sale.is_over = True
            self.report.could_not.append(f"{number_string(sale.left)} {sale.symbol} were not sold after {sale.attempt} orders: {why}")

    # --- the venue ---

    async def _asked(self, ask: Callable[[], Awaitable[T]]) -> T | None:
        """Return the venue's answer, ``None`` when it gave none; that is noted and makes the next pause longer."""
        try:
            answer = await ask()
        except VenueError as error:
            self._note_trouble(error)
            return None
        self._failures_in_row = 0
        return answer

    def _note_trouble(self, error: VenueError) -> None:
        self._failures_in_row += 1
        self.report.failures += 1
        self.report.trouble = str(error)

    async def _pause(self) -> None:
        longer = LONGEST_PAUSE_SECONDS / 10 * 2 ** min(self._failures_in_row, 10)
        await self._parts.clock.sleep(min(longer, LONGEST_PAUSE_SECONDS) if self._failures_in_row else LOOK_SECONDS)
