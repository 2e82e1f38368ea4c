"""The kill, alone with a venue that misbehaves: it goes on until there is nothing more that it can do, and says what that was."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest

from alchemiser.domain.account import BrokerPosition
from alchemiser.domain.errors import CredentialsRefused, NotFoundAtVenue, OrderRejected, OutcomeUnknown, VenueError, VenueUnavailable
from alchemiser.domain.orders import ExecutionReport, NewOrder, OrderType, Side
from alchemiser.execution.kill import ATTEMPTS_AT_MOST, LONGEST_PAUSE_SECONDS, PATIENCE_LOOKS, SETTLE_SECONDS, Kill, KillParts, KillReport
from alchemiser.service.clock import VirtualClock
from tests.solipsism import virtual

START = datetime(2025, 3, 3, 15, 0, tzinfo=UTC)


def report(key: str, status: str, filled: str = "0", symbol: str = "SPY") -> ExecutionReport:
    """Return what the venue says of an order."""
    return ExecutionReport(
        event="query",
        status=status,
        client_order_id=key,
        venue_order_id=f"v-{key}",
        symbol=symbol,
        side=Side.BUY,
        quantity=Decimal(10),
        cumulative_quantity=Decimal(filled),
        average_price=None,
        at=START,
    )


@dataclass
class Broker:
    """A venue with open orders and positions. Each of the queues holds what the next requests of that kind raise, ``None`` for nothing."""

    open: dict[str, ExecutionReport] = field(default_factory=dict)
    shares: dict[str, Decimal] = field(default_factory=dict)
    lists: deque[VenueError | None] = field(default_factory=deque)
    cancels: deque[VenueError | None] = field(default_factory=deque)
    submits: deque[VenueError | None] = field(default_factory=deque)
    looks: deque[VenueError | None] = field(default_factory=deque)
    positions_fail: deque[VenueError | None] = field(default_factory=deque)
    deaf_to_all: bool = False
    ends_as: str = "canceled"
    fills: Callable[[NewOrder], tuple[str, str]] = lambda order: ("filled", str(order.quantity))
    asked: list[str] = field(default_factory=list)
    sent: dict[str, tuple[NewOrder, str, str]] = field(default_factory=dict)

    @staticmethod
    def _raise(queue: deque[VenueError | None]) -> None:
        error = queue.popleft() if queue else None
        if error is not None:
            raise error

    async def cancel_all(self) -> None:
        """Cancel everything, unless it is deaf to that."""
        self.asked.append("cancel all")
        self._raise(self.cancels)
        if not self.deaf_to_all:
            self.open.clear()

    async def cancel(self, venue_order_id: str) -> None:
        """Cancel one order."""
        self.asked.append(f"cancel {venue_order_id}")
        self._raise(self.cancels)
        self.open = {key: one for key, one in self.open.items() if one.venue_order_id != venue_order_id}

    async def open_orders(self) -> tuple[ExecutionReport, ...]:
        """List what is open."""
        self.asked.append("list")
        self._raise(self.lists)
        return tuple(self.open.values())

    async def positions(self) -> tuple[BrokerPosition, ...]:
        """List what is held; nothing of it has a price but what begins with S."""
        self._raise(self.positions_fail)
        return tuple(
            BrokerPosition(
                symbol=symbol,
                quantity=quantity,
                available_quantity=quantity,
                average_entry_price=Decimal(9),
                current_price=Decimal(100) if symbol.startswith("S") else None,
            )
            for symbol, quantity in self.shares.items()
        )

    async def submit(self, order: NewOrder) -> ExecutionReport:
        """Take an order, and fill it as ``fills`` says."""
        self._raise(self.submits)
        status, filled = self.fills(order)
        self.sent[order.client_order_id] = (order, status, filled)
        return report(order.client_order_id, "accepted", symbol=order.symbol)

    async def order_by_client_id(self, client_order_id: str) -> ExecutionReport:
        """Say how an order is."""
        self._raise(self.looks)
        if client_order_id in self.sent:
            order, status, filled = self.sent[client_order_id]
            return report(client_order_id, status, filled, order.symbol)
        return report(client_order_id, self.ends_as)


@dataclass
class Ran:
    """What came of a kill, and what it told."""

    report: KillReport
    seconds: float
    planned: list[tuple[dict[str, Decimal], dict[str, Decimal]]] = field(default_factory=list)
    intended: list[NewOrder] = field(default_factory=list)
    heard: list[ExecutionReport] = field(default_factory=list)


def ran(broker: Broker, *, holdings: Mapping[str, str] | None = None) -> Ran:
    """Run a kill; with holdings it sells, too."""

    async def main() -> Ran:
        clock = VirtualClock(START)
        done = Ran(KillReport(), 0.0)

        async def intends(order: NewOrder, attempt: int) -> None:
            assert order.client_order_id.endswith(f"-{attempt}")
            assert order.client_order_id not in broker.sent
            done.intended.append(order)

        kill = Kill(
            KillParts(
                venue=broker,
                clock=clock,
                flattens=lambda: holdings is not None,
                holdings=lambda: {symbol: Decimal(held) for symbol, held in (holdings or {}).items()},
                order_id=lambda symbol, attempt: f"k-{symbol}-{attempt}",
                planned=lambda quantities, prices: done.planned.append((dict(quantities), dict(prices))),
                intends=intends,
                heard=done.heard.append,
            )
        )
        done.report = await kill.run()
        done.seconds = clock.monotonic()
        assert done.report is kill.report
        return done

    return virtual(main)


def test_an_account_without_orders_is_looked_at_twice() -> None:
    """One may have left just before; nothing is cancelled that is not there."""
    broker = Broker()
    done = ran(broker)

    assert ["list", "list"] == broker.asked
    assert done.report.is_clean
    assert ({}, {}, [], None) == (done.report.ended, done.report.sold, done.report.could_not, done.report.trouble)
    assert done.seconds == pytest.approx(SETTLE_SECONDS, abs=0.01)


def test_every_open_order_is_cancelled_and_its_end_told() -> None:
    """Also that a fill won: what the venue says last is handed on."""
    broker = Broker(open={"a": report("a", "new"), "b": report("b", "new")}, ends_as="filled")
    done = ran(broker)

    assert ["list", "cancel all", "list", "list"] == broker.asked
    assert {"a": "filled", "b": "filled"} == done.report.ended
    assert ["a", "b"] == [one.client_order_id for one in done.heard]


def test_an_order_that_arrives_late_is_cancelled_too() -> None:
    """The first look found nothing, the second does."""
    broker = Broker()
    found: deque[tuple[ExecutionReport, ...]] = deque([(), (report("late", "new"),), (), ()])

    async def listed() -> tuple[ExecutionReport, ...]:
        return found.popleft()

    broker.open_orders = listed  # type: ignore[method-assign]
    assert {"late": "canceled"} == ran(broker).report.ended


def test_what_is_deaf_to_a_cancel_of_all_is_cancelled_one_by_one() -> None:
    """Again and again; an order without an id of a client has the venue's."""
    foreign = msgspec.structs.replace(report("x", "new"), client_order_id="")
    broker = Broker(open={"a": report("a", "new"), "x": foreign}, deaf_to_all=True)
    broker.cancels.extend([None, VenueUnavailable("busy"), VenueUnavailable("busy")])
    done = ran(broker)

    assert ["cancel v-a", "cancel v-x", "cancel v-a"] == [word for word in broker.asked if word.startswith("cancel v")]
    assert {"a", "v-x"} == set(done.report.ended)
    assert 2 == done.report.failures


def test_a_venue_that_is_down_is_asked_until_it_is_up() -> None:
    """Ever more slowly, up to a bound, and what it said last is told. Also one that refuses the key: that may be its mistake."""
    errors: list[VenueError] = [VenueUnavailable("down") if number % 2 else CredentialsRefused("no") for number in range(20)]
    broker = Broker(open={"a": report("a", "new")}, lists=deque(errors), cancels=deque([VenueUnavailable("down")] * 20))
    done = ran(broker)

    assert done.report.is_clean
    assert {"a": "canceled"} == done.report.ended
    assert 40 == done.report.failures
    assert "down" == done.report.trouble
    assert 10 * LONGEST_PAUSE_SECONDS < done.seconds < 21 * LONGEST_PAUSE_SECONDS


def test_an_end_that_cannot_be_asked_for_is_only_known_to_be_one() -> None:
    """The order is in no list any more, and that is what is said."""
    broker = Broker(open={"a": report("a", "new")}, looks=deque([VenueUnavailable("down")]))
    done = ran(broker)

    assert {"a": "gone"} == done.report.ended
    assert [] == done.heard


def test_what_is_held_is_sold_at_market() -> None:
    """Planned with its prices, intended before it leaves, and told when it is sold; a price is better old than none."""
    broker = Broker(shares={"SPY": Decimal(10), "QQQ": Decimal("2.5")})
    done = ran(broker, holdings={"SPY": "10", "QQQ": "2.5"})

    assert done.report.is_clean
    assert {"SPY": Decimal(10), "QQQ": Decimal("2.5")} == done.report.sold
    assert [({"QQQ": Decimal("2.5"), "SPY": Decimal(10)}, {"SPY": Decimal(100), "QQQ": Decimal(9)})] == done.planned
    assert [("QQQ", Side.SELL, OrderType.MARKET), ("SPY", Side.SELL, OrderType.MARKET)] == [
        (order.symbol, order.side, order.order_type) for order in done.intended
    ]
    assert {"filled"} == {one.status for one in done.heard[-2:]}


def test_nobody_elses_shares_are_sold_and_what_the_broker_lacks_is_told() -> None:
    """Never more than the books hold, never more than is there, nothing of a short position."""
    broker = Broker(shares={"SPY": Decimal(30), "QQQ": Decimal(1), "DIA": Decimal(-4)})
    done = ran(broker, holdings={"SPY": "10", "QQQ": "2", "DIA": "3", "GLD": "1"})

    assert {"SPY": Decimal(10), "QQQ": Decimal(1)} == done.report.sold
    assert [
        "the books hold 3 DIA, the broker -4",
        "the books hold 1 GLD, the broker 0",
        "the books hold 2 QQQ, the broker 1",
    ] == done.report.could_not
    assert not done.report.is_clean


def test_positions_are_asked_for_until_the_venue_answers() -> None:
    """Without them nothing is guessed."""
    broker = Broker(shares={"SPY": Decimal(10)}, positions_fail=deque([VenueUnavailable("down")] * 5))
    assert {"SPY": Decimal(10)} == ran(broker, holdings={"SPY": "10"}).report.sold


def test_a_submit_without_an_answer_is_looked_up_and_never_repeated_blindly() -> None:
    """Whether it arrived decides the look-up by its id: then it is followed, else the same order goes again."""
    arrived = Broker(shares={"SPY": Decimal(10)})
    taken = arrived.submit

    async def taken_silently(order: NewOrder) -> ExecutionReport:
        await taken(order)
        raise OutcomeUnknown("no answer")

    arrived.submit = taken_silently  # type: ignore[method-assign]
    done = ran(arrived, holdings={"SPY": "10"})
    assert ({"SPY": Decimal(10)}, 1) == (done.report.sold, len(arrived.sent))

    lost = Broker(shares={"SPY": Decimal(10)}, submits=deque([OutcomeUnknown("no answer")]), looks=deque([NotFoundAtVenue("k-SPY-1")]))
    done = ran(lost, holdings={"SPY": "10"})
    assert ({"SPY": Decimal(10)}, ["k-SPY-1"]) == (done.report.sold, list(lost.sent))
    assert 1 == len(done.intended)


def test_a_submit_that_did_not_leave_goes_again_under_its_id() -> None:
    """The venue was away: nothing was done there."""
    broker = Broker(shares={"SPY": Decimal(10)}, submits=deque([VenueUnavailable("down")] * 3))
    done = ran(broker, holdings={"SPY": "10"})

    assert ({"SPY": Decimal(10)}, 1) == (done.report.sold, len(done.intended))


def test_a_refused_sale_is_tried_again_under_other_ids_and_given_up() -> None:
    """Three times; the others are sold all the same."""
    broker = Broker(shares={"SPY": Decimal(10), "ABC": Decimal(1)}, submits=deque([OrderRejected("not tradable")]))
    once = ran(broker, holdings={"SPY": "10", "ABC": "1"})
    assert {"SPY": Decimal(10), "ABC": Decimal(1)} == once.report.sold

    never = Broker(shares={"ABC": Decimal(1)}, submits=deque([OrderRejected("not tradable")] * 9))
    done = ran(never, holdings={"ABC": "1"})
    assert [f"1 ABC were not sold after {ATTEMPTS_AT_MOST} orders: not tradable"] == done.report.could_not
    assert [f"k-ABC-{number}" for number in (1, 2, 3)] == [order.client_order_id for order in done.intended]


def test_the_rest_of_a_sale_that_ended_early_is_sold_by_another() -> None:
    """What was filled counts, and only the rest goes again."""
    parts = deque([("canceled", "4"), ("expired", "0"), ("filled", "6")])
    broker = Broker(shares={"SPY": Decimal(10)}, fills=lambda order: parts.popleft())
    done = ran(broker, holdings={"SPY": "10"})

    assert [Decimal(10), Decimal(6), Decimal(6)] == [order.quantity for order in done.intended]
    assert {"SPY": Decimal(10)} == done.report.sold
    assert done.report.is_clean


def test_a_sale_that_does_not_end_is_left_at_the_venue_and_named() -> None:
    """At night it waits for the open; the kill ends, and says so."""
    status = {"SPY": "accepted", "QQQ": "filled"}
    broker = Broker(shares={"SPY": Decimal(10), "QQQ": Decimal(1)}, fills=lambda order: (status[order.symbol], "1"))
    done = ran(broker, holdings={"SPY": "10", "QQQ": "1"})

    assert ["order k-SPY-1 to sell SPY has not ended; it is at the venue"] == done.report.could_not
    assert {"QQQ": Decimal(1)} == done.report.sold
    assert done.seconds > PATIENCE_LOOKS


def test_who_holds_nothing_sells_nothing() -> None:
    """And that is clean."""
    done = ran(Broker(), holdings={})

    assert done.report.is_clean
    assert [({}, {})] == done.planned
