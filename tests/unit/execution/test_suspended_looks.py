"""Whatever is told while the execution handler waits in the middle of a look: every intent is worked once, within its shares and the cash.

A look is suspended where publishing has to wait, for room in a mailbox or in the journal's backlog. What the venue says meanwhile changes
the rebalance under it.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from random import Random

import msgspec
import pytest
from structlog.testing import capture_logs

from alchemiser.domain.errors import OrderRejected as RejectedByVenue
from alchemiser.domain.errors import OutcomeUnknown, VenueUnavailable
from alchemiser.domain.events import (
    ExecutionReported,
    GapClosed,
    GapOpened,
    HandlerFailed,
    QuoteUpdated,
    RebalanceCompleted,
    RebalanceParked,
    TradingStateChanged,
)
from alchemiser.domain.ids import split_client_order_id
from alchemiser.domain.intents import Intent
from alchemiser.domain.market import Quote
from alchemiser.domain.orders import ExecutionReport, NewOrder, Side
from alchemiser.domain.venue import After
from alchemiser.execution.ladder import LadderRules
from alchemiser.execution.run_state import Quotes
from tests.solipsism import virtual
from tests.unit.execution.desk import ACCOUNT, START, Floor, ScriptedVenue, buy, report_of

INTENTS = (buy("OLD", "50", Side.SELL), buy("MORE", "20", Side.SELL), buy("NEW", "90"), buy("NEXT", "60"), buy("LAST", "15"))
SEEDS = range(40)


@dataclass
class Living:
    """An order at the venue: what of it is filled, and in which executions."""

    order: NewOrder
    filled: Decimal = Decimal(0)
    status: str = "new"
    executions: list[str] = field(default_factory=list)

    @property
    def is_live(self) -> bool:
        """Whether it may still be filled."""
        return self.status in ("new", "partially_filled")


class RestlessVenue(ScriptedVenue):
    """A venue that fills in parts, refuses, loses answers, corrects, and says much of it late and twice; it checks what reaches it."""

    def __init__(self, random: Random) -> None:
        super().__init__(is_at_hand=random.random() < 0.5)
        self.random = random
        self.book: dict[str, Living] = {}
        self.floor: Floor | None = None
        self.lives = list[asyncio.Task[None]]()

    def tell(self, living: Living, event: str, *, last: Decimal | None = None, instead_of: str | None = None) -> None:
        """Say on the stream what has become of an order."""
        assert self.floor is not None
        execution = living.executions[-1] if last is not None else None
        report = report_of(
            living.order, event, living.status, last=None if last is None else str(last), cumulative=str(living.filled), execution=execution
        )
        now = self.floor.clock.now()
        report = msgspec.structs.replace(report, at=now, previous_execution_id=instead_of)
        for _ in range(1 + (self.random.random() < 0.2)):
            self.floor.bus.post(ExecutionReported(at=now, report=report))

    async def live(self, living: Living) -> None:
        """Fill an order bit by bit, or leave it alone for long."""
        assert self.floor is not None
        while living.is_live:
            await self.floor.clock.sleep(self.random.choice([0.0, 0.01, 0.3, 2.0, 9.0]))
            if living.is_live:
                self.fill(living)

    def fill(self, living: Living) -> None:
        """Fill a part of an order or all that is left, and correct an execution now and then."""
        left = living.order.quantity - living.filled
        part = min(left, self.random.choice([left, Decimal(1), Decimal("0.25") * living.order.quantity]))
        living.filled += part
        living.executions.append(f"x{len(living.executions)}-{living.order.client_order_id}")
        living.status = "filled" if living.filled == living.order.quantity else "partially_filled"
        self.tell(living, "fill" if living.status == "filled" else "partial_fill", last=part)
        if self.random.random() < 0.1:
            wrong = living.executions[-1]
            living.executions[-1] = f"c-{wrong}"
            self.tell(living, "trade_correct", last=part, instead_of=wrong)

    def enter(self, order: NewOrder) -> None:
        """Take an order, once, beside no other of its intent, and within the cash."""
        key = order.client_order_id
        assert key not in self.book, "an id is used once"
        others = [one for one in self.book.values() if one.is_live and one.order.symbol == order.symbol]
        assert not others, f"one live order per intent, not {key} beside {others}"
        self.book[key] = Living(order)
        for intent in INTENTS:
            asked = sum((self.may_become(one) for one in self.book.values() if one.order.symbol == intent.symbol), Decimal(0))
            assert asked <= intent.quantity, f"{asked} {intent.symbol} may be traded where {intent.quantity} are wanted"
        bought = sum((self.may_become(one) for one in self.book.values() if one.order.side is Side.BUY), Decimal(0))
        sold = sum((one.filled for one in self.book.values() if one.order.side is Side.SELL), Decimal(0))
        assert bought * Decimal("99.9") <= ACCOUNT.cash + sold * 100, "what may be bought is paid for"
        self.lives.append(asyncio.create_task(self.live(self.book[key])))

    def may_become(self, living: Living) -> Decimal:
        """Return the shares that an order has traded or may still trade."""
        return living.order.quantity if living.is_live else living.filled

    async def submit(self, order: NewOrder, *, after: After | None = None) -> ExecutionReport:
        """Do one of the things that venues do."""
        if after is not None:
            await after()
        if (reason := self.why_not(order.symbol, order.side)) is not None:
            raise VenueUnavailable(reason)
        whim = self.random.random()
        if whim < 0.05:
            raise RejectedByVenue("insufficient", code=40310000, status=403)
        if whim < 0.1:
            raise VenueUnavailable("no connection")
        if whim < 0.13:
            raise OutcomeUnknown("it was lost on the way")
        self.enter(order)
        if whim < 0.3:
            self.fill(self.book[order.client_order_id])
        assert self.floor is not None
        await self.floor.clock.sleep(self.random.choice([0.0, 0.02, 1.5]))
        if whim > 0.95:
            raise OutcomeUnknown("the answer was lost")
        return msgspec.structs.replace(await self.order_by_client_id(order.client_order_id), source="submit")

    async def replace(
        self, venue_order_id: str, *, symbol: str, side: Side, client_order_id: str, quantity: Decimal, limit_price: Decimal
    ) -> ExecutionReport:
        """Put a new order in the place of one that nothing was filled of; refuse what was."""
        assert self.floor is not None
        old = self.book[venue_order_id.removeprefix("v-")]
        await self.floor.clock.sleep(self.random.choice([0.0, 0.02, 1.5]))
        if old.status != "new" or self.random.random() < 0.2:
            raise RejectedByVenue("not replaceable", code=42210000, status=422)
        old.status = "replaced"
        self.enter(msgspec.structs.replace(old.order, client_order_id=client_order_id, quantity=quantity, limit_price=limit_price))
        self.tell(old, "replaced")
        return await self.order_by_client_id(client_order_id)

    async def cancel(self, venue_order_id: str) -> None:
        """Cancel after a while, unless it was filled before."""
        assert self.floor is not None
        living = self.book[venue_order_id.removeprefix("v-")]
        await self.floor.clock.sleep(self.random.choice([0.0, 0.02, 1.5]))
        if living.is_live:
            living.status = "canceled"
            self.tell(living, "canceled")

    async def order_by_client_id(self, client_order_id: str) -> ExecutionReport:
        """Say how an order stands, without its executions."""
        if client_order_id not in self.book:
            return await super().order_by_client_id(client_order_id)
        living = self.book[client_order_id]
        return report_of(living.order, "query", living.status, cumulative=str(living.filled))


def pauses(random: Random) -> Iterator[float]:
    """Yield how long each publisher waits: mostly not at all."""
    while True:
        yield random.choice([0.0, 0.0, 0.0, 0.001, 0.5, 3.0])


def quote_at(moved: float, symbol: str, at: datetime) -> Quote:
    """Return a quote that has moved by so many dollars."""
    return Quote(symbol=symbol, bid=99.97 + moved, bid_size=100, ask=100.01 + moved, ask_size=100, at=at)


AT_REST: Quotes = partial(quote_at, 0.0)
"""A market that does not move."""


async def disturb(floor: Floor, random: Random) -> None:
    """Move the market, open and close the gate, and halt trading now and then."""
    while not floor.ended.is_set():
        await floor.clock.sleep(random.choice([0.1, 1.0, 5.0]))
        now, whim = floor.clock.now(), random.random()
        if whim < 0.1:
            floor.bus.post(GapOpened(at=now, stream="orders", since=now, reason="test"))
            await floor.clock.sleep(random.choice([0.0, 1.0, 20.0]))
            await floor.bus.publish(GapClosed(at=floor.clock.now(), stream="orders", since=now, fills_recovered=0))
        elif whim < 0.11:
            floor.bus.post(TradingStateChanged(at=now, state="halted", by="test", reason="test"))
        else:
            moved = random.choice([-0.05, 0.0, 0.05])
            floor.read_quotes = partial(quote_at, moved)
            for intent in INTENTS:
                quote = quote_at(moved, intent.symbol, now)
                floor.bus.post(QuoteUpdated(at=now, symbol=quote.symbol, bid=quote.bid, bid_size=100, ask=quote.ask, ask_size=100))


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_is_told_during_a_look_every_intent_is_worked_once(seed: int) -> None:
    """One live order of an intent, never more than is wanted or paid for, and an end by the cut-off that states what was filled."""
    random = Random(seed)
    venue = RestlessVenue(random)

    async def main() -> Floor:
        floor = venue.floor = Floor(venue, LadderRules(rung_seconds=3.0), publish_pauses=pauses(random))

        async def play() -> None:
            await floor.plan(*INTENTS)
            disturbing = asyncio.create_task(disturb(floor, random))
            async with asyncio.timeout(700):
                await floor.ended.wait()
            await disturbing
            await floor.clock.sleep(60)
            for task in venue.lives:
                task.cancel()

        await floor.run(play)
        return floor

    floor = virtual(main)
    (end,) = [event for event in floor.events if isinstance(event, RebalanceCompleted | RebalanceParked)]
    assert floor.of(HandlerFailed) == []
    assert end.at <= START + timedelta(minutes=10)
    for outcome in end.outcomes:
        orders = [one for one in venue.book.values() if one.order.symbol == outcome.symbol]
        filled = sum((one.filled for one in orders), Decimal(0))
        assert outcome.filled_quantity <= filled <= outcome.quantity
        known = [order for order in floor.orders if order.request.symbol == outcome.symbol]
        assert filled == sum((order.cumulative_quantity for order in known), Decimal(0)), "what the venue filled is known"
        if all(order.is_terminal for order in known) and "never confirmed" not in (outcome.reason or ""):
            assert filled == outcome.filled_quantity
    for key in venue.book:
        parts = split_client_order_id(key)
        assert parts is not None
        assert parts[2] == venue.book[key].order.symbol


def interrupted(
    plan: Sequence[Intent], interruption: Callable[[Floor, NewOrder], None], *, seconds: float, read_quotes: Quotes = AT_REST
) -> tuple[Floor, list[str]]:
    """Work a plan whose second intention waits for room, tell something of the first order meanwhile, and then fill all others.

    Return the floor, and the symbols of the orders that have been sent so many seconds later.
    """

    async def main() -> tuple[Floor, list[str]]:
        floor, found = Floor(ScriptedVenue(), publish_pauses=[0.0, 0.5]), list[str]()
        floor.read_quotes, sent = read_quotes, floor.venue.sent

        async def play() -> None:
            await floor.clock.sleep(1)  # The end of recovery has been dealt with.
            await floor.plan(*plan)
            await floor.clock.sleep(0.25)
            assert len(sent) == 1
            interruption(floor, sent[0])
            await floor.clock.sleep(seconds)
            found.extend(order.symbol for order in sent)
            for order in sent[1:]:
                floor.fill(order)
            await floor.ended.wait()

        await floor.run(play)
        return floor, found

    return virtual(main)


def test_what_ends_while_a_look_waits_is_dealt_with_when_it_goes_on() -> None:
    """It is looked once more at its end: what has to be done needs no quote, no deadline and no other event."""
    floor, found = interrupted(
        [buy("OLD", "50", Side.SELL), buy("NEW", "10")], lambda floor, order: floor.report(order, "canceled", "canceled"), seconds=0.3
    )

    assert ["OLD", "NEW", "OLD"] == found
    assert len(floor.of(RebalanceCompleted)) == 1


def test_a_fill_that_is_told_during_a_look_that_fails_is_looked_at_all_the_same() -> None:
    """It was taken in when it was told, so that nobody tells it again: the next look comes by itself, without a quote or another event."""
    answers = [ValueError("a fault in a decision")]

    def read(symbol: str, now: datetime) -> Quote:
        if symbol == "BAD" and answers:
            raise answers.pop()
        return quote_at(0.0, symbol, now)

    with capture_logs():  # The traceback of the failure is long.
        floor, found = interrupted(
            [buy(symbol, "10", Side.SELL) for symbol in ("OLD", "MORE", "BAD")], Floor.fill, seconds=5, read_quotes=read
        )

    assert len(floor.of(HandlerFailed)) == 1
    assert ["OLD", "MORE", "BAD"] == found
    assert len(floor.of(RebalanceCompleted)) == 1
