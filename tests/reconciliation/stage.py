"""A case made real: the embedded exchange is brought into the venue's state, a journal into ours, and the whole daemon starts on both.

Nothing is faked but time, sockets' cables and, where a case says so, lists that are late. The orders, executions, shares and cash of the
venue are made through its API; what our journal heard of them are the messages that the venue really sent.
"""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import msgspec

from alchemiser.alpaca.event_replay import read_replay
from alchemiser.bus.bus import Bus
from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import Event, Reconciled, RecoveryCompleted
from alchemiser.domain.orders import ExecutionReport, Side
from alchemiser.exchange.fault_menu import parse_faults
from alchemiser.exchange.server import ExchangeServer, ServerSettings
from alchemiser.exchange.settings import ExchangeSettings
from alchemiser.journal.journal import Journal
from alchemiser.service import embedded, start
from alchemiser.service.daemon import Daemon
from alchemiser.service.embedded import EmbeddedMarket
from alchemiser.service.offline import JOURNAL_FILE
from alchemiser.service.settings import RunOptions
from alchemiser.service.state import JournaledState
from tests.protocol.exchange.harness import HEADERS, Running, session, virtual_exchange
from tests.reconciliation.language import EPOCH, PAST, SYMBOL, Case, Own, There
from tests.reconciliation.record import BEGAN, OPENING, events_of, pieces_of
from tests.simulation.days import in_memory, simulated_settings

OTHER_ID = "0" * 26
FAR = 0.05
"""How far from the price the quotes are at which nothing is executed."""

PATHS = {
    "executions": "/v2/account/activities",
    "orders": "/v2/orders",
    "look-up": "/v2/orders:by_client_order_id",
    "replay": "/v2/events/trades",
}


@dataclass(frozen=True)
class Ended:
    """What became of a case: the first comparison that was applied, and what is parked when recovery is complete."""

    reconciled: Reconciled
    parked: tuple[str, ...]
    cancelled: tuple[str, ...]
    submitted: int


async def played(case: Case, directory: Path) -> Ended:
    """Make a case real and start the daemon on it."""
    async with AsyncExitStack() as stack:
        market = await stack.enter_async_context(
            virtual_exchange(session().opens_at, core_settings=ExchangeSettings(), settings=ServerSettings(order_connections=3))
        )
        stage = _Stage(case, market, directory)
        await stage.make_venue()
        await stage.make_journal()
        await stage.be_late()
        return await stage.start()


@dataclass
class _Stage:
    case: Case
    market: Running
    directory: Path
    replaced_id: str = ""

    def __post_init__(self) -> None:
        self.there = self.case.venue
        if self.case.books:
            self.there = (There("filled", (self.case.books,), name=OPENING, quantity=self.case.books, rebalance=PAST), *self.there)
        self.heard: dict[str, list[ExecutionReport]] = {}

    # --- the venue ---

    async def make_venue(self) -> None:
        """Send, execute, cancel and replace orders until the exchange is in the state of the case."""
        await self._quote(None)
        if self.case.books:
            await self._make(self.there[0])
        await self._by_hand()
        for one in self.there[1 if self.case.books else 0 :]:
            await self._make(one)

    async def _make(self, one: There) -> None:
        successor = next((other for other in self.there if other.status == "replaced" and other.name == one.name), None)
        if successor is not None and one.kind == "by hand":
            order = await self._call("PATCH", f"/v2/orders/{self.replaced_id}", {"limit_price": one.limit})
        else:
            named = {} if one.kind == "by hand" else {"client_order_id": one.client_order_id}
            body = {"symbol": one.symbol, "side": one.side.value, "qty": str(one.quantity), "type": "limit", "time_in_force": "day"}
            order = await self._call("POST", "/v2/orders", {**body, "limit_price": one.limit, **named})
        await self.market.clock.sleep(0.1)
        for size in one.pieces:
            await self._quote(one, size)
            await self.market.clock.sleep(0.1)
            await self._quote(None, symbol=one.symbol)
            await self.market.clock.sleep(0.1)
        if one.status == "canceled":
            await self._call("DELETE", f"/v2/orders/{order['id']}")
            await self.market.clock.sleep(0.1)
        if one.status == "replaced":
            self.replaced_id = order["id"]

    async def _by_hand(self) -> None:
        """Trade as a person does. One order cannot take a position through zero: it takes two."""
        left, held = self.case.by_hand, self.case.books
        while left:
            size = left if left > 0 or held <= 0 else max(left, -held)
            side = "buy" if size > 0 else "sell"
            await self._call(
                "POST", "/v2/orders", {"symbol": SYMBOL, "side": side, "qty": str(abs(size)), "type": "market", "time_in_force": "day"}
            )
            await self.market.clock.sleep(0.1)
            left, held = left - size, held + size

    async def _quote(self, one: There | None, size: int = 1_000, *, symbol: str | None = None) -> None:
        """Show a quote at which nothing is executed, or one that executes so many shares of an order."""
        for name in (symbol,) if symbol else (one.symbol,) if one else ("SPY", "TECL"):
            bid, ask = 100 - 0.6, 100 + FAR
            if one is not None and one.side is Side.BUY:
                ask = float(one.limit)
            if one is not None and one.side is Side.SELL:
                bid, ask = float(one.limit), 100 + FAR
            body = {"symbol": name, "bid": bid, "bid_size": size, "ask": ask, "ask_size": size}
            await self._call("POST", "/_exchange/quote", body)

    async def _call(self, method: str, path: str, body: Any = None) -> Any:
        status, answer = await self.market.call(method, path, body)
        assert status < 300, f"{method} {path} {body}: {answer}"
        return answer

    # --- our journal ---

    async def make_journal(self) -> None:
        """Write what we would have written, hearing of the venue's messages those that the case says."""
        since = (session().opens_at - timedelta(seconds=1)).isoformat().replace("+00:00", "Z")
        until = self.market.clock.now().isoformat().replace("+00:00", "Z")
        await self.market.clock.sleep(0.1)
        url = self.market.address.rest + "/v2/events/trades"
        async with self.market.http.get(url, params={"since": since, "until": until}, headers=HEADERS) as answer:
            for report in read_replay(await answer.read(), after_id=OTHER_ID, fallback_at=BEGAN):
                self.heard.setdefault(report.client_order_id, []).append(msgspec.structs.replace(report, source="stream"))
        cash = Decimal(self.market.core.account_json()["last_equity"])
        journal = Journal.open(self.directory / JOURNAL_FILE, new_epoch=lambda: EPOCH, threaded=False)
        with journal:
            bus = Bus(clock=self.market.clock, tap=journal)
            state = JournaledState(bus.post)
            for part in state.parts:
                bus.subscribe_inline(type(part).__name__, part.listens_to, part)
            if self.there or self.case.ours or self.case.cash or self.case.by_hand or self.case.was_parked:
                for event in events_of(self.case, self._report, cash=cash):
                    bus.post(event)

    def _report(self, own: Own, step: str) -> ExecutionReport:
        """Return what the venue said, or, where it has forgotten the order, what it would have said."""
        one = next((there for there in self.there if there.client_order_id == own.client_order_id), None)
        said = self.heard.get(own.client_order_id, [])
        if not step.isdecimal():
            found = next((report for report in said if report.event == step), None)
            return found or self._invented(own, one, step, cumulative=sum(pieces_of(own, one)[number] for number in own.heard))
        fills = [report for report in said if report.execution_id is not None]
        number = int(step)
        if number < len(fills):
            return msgspec.structs.replace(fills[number], execution_id=OTHER_ID[:-1] + step) if own.other_ids else fills[number]
        sizes = pieces_of(own, one)
        invented = self._invented(own, one, "fill", cumulative=sum(sizes[: number + 1]))
        return msgspec.structs.replace(
            invented, execution_id=f"forgotten-{number}", last_quantity=Decimal(sizes[number]), last_price=Decimal(100)
        )

    def _invented(self, own: Own, one: There | None, step: str, *, cumulative: int) -> ExecutionReport:
        said = self.heard.get(own.client_order_id, [])
        status = {"fill": "filled" if cumulative == own.quantity else "partially_filled"}.get(step, step)
        return ExecutionReport(
            event="partial_fill" if status == "partially_filled" else step,
            status=status,
            client_order_id=own.client_order_id,
            venue_order_id=said[0].venue_order_id if said else f"v-{own.client_order_id}",
            symbol=own.symbol,
            side=own.side,
            quantity=Decimal(own.quantity),
            cumulative_quantity=Decimal(cumulative),
            average_price=None,
            at=BEGAN + timedelta(seconds=1),
        )

    async def be_late(self) -> None:
        """Let lists be empty and look-ups find nothing as often as the case says."""
        for late in self.case.late:
            missing = {"status": 404, "body": '{"code": 40410000, "message": "order not found"}'}
            answer = missing if late.what in ("look-up", "replay") else {"status": 200, "body": "[]"}
            fault = {"kind": "http", "method": "GET", "path": PATHS[late.what], "times": late.answers, **answer}
            self.market.server.plan_faults(parse_faults([fault]))

    # --- the daemon ---

    async def start(self) -> Ended:
        """Run the daemon until its recovery is complete."""
        seen: list[Event] = []
        traffic = self.market.server.traffic
        before, until = len(traffic.entries), list[int]()
        held: list[Daemon] = []

        class Watched(Daemon):
            def __init__(self, parts: Any) -> None:
                super().__init__(parts)
                held.append(self)

                def note(envelope: Envelope) -> None:
                    seen.append(envelope.event)
                    if isinstance(envelope.event, RecoveryCompleted):
                        until.append(len(traffic.entries))  # What is done about the rebalance afterwards is another matter.
                        self.request_stop("the case is over")

                self.bus.subscribe_inline("catalogue", (Reconciled, RecoveryCompleted), note)

        async def enter(stack: Any, settings: Any, options: Any, roster: Any, owned: Any, surroundings: Any) -> Any:
            bystander = cast(ExchangeServer, _Bystander())
            return roster, EmbeddedMarket(bystander, self.market.address, self.market.clock, session().date)

        overrides = {
            "strategies": {"hold": {"source": "tests.simulation.rotations:HoldOne"}},
            "market.history_sessions": 5,
            "service.cancel_orders_on_stop": False,
        }
        surroundings = in_memory(exchange_listener=None)
        with patch.object(embedded, "enter_market", enter), patch.object(start, "Daemon", Watched):
            settings = simulated_settings(self.directory, overrides)
            await start.run_daemon(settings, RunOptions(start=session().date, days=1), surroundings)
        (daemon,) = held
        entries = list(traffic.entries)[before : until[0]]
        return Ended(
            reconciled=next(event for event in seen if isinstance(event, Reconciled)),
            parked=tuple(sorted(daemon.state.parked.by_symbol)),
            cancelled=tuple(entry["path"] for entry in entries if entry.get("method") == "DELETE"),
            submitted=sum(entry.get("method") == "POST" and entry["path"] == "/v2/orders" for entry in entries),
        )


class _Bystander:
    """Stands for the exchange in the daemon's own list of tasks: here it runs by itself."""

    async def run(self) -> None:
        """Do nothing."""
