"""A desk for tests of the pacing: a rebalance run together with a venue that does what the test says."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import msgspec

from alchemiser.domain.events import OrderIntended, RebalancePlanned
from alchemiser.domain.intents import Intent, Wish
from alchemiser.domain.market import Quote, Session
from alchemiser.domain.orders import Fill, NewOrder, Order, OrderState, Side
from alchemiser.execution.ladder import LadderRules
from alchemiser.execution.pacing import RebalanceRun
from alchemiser.execution.tactics import TacticRules, Tactics
from alchemiser.execution.work import Command, Replace, Stage

START = datetime(2025, 3, 3, 20, 50, tzinfo=UTC)
CUT_OFF = START + timedelta(minutes=9)
SESSION = Session(date=date(2025, 3, 3), opens_at=START - timedelta(hours=6, minutes=20), closes_at=START + timedelta(minutes=10))
RULES = LadderRules(order_deadline_seconds=300.0)


def intent(symbol: str, side: Side, quantity: str, price: str = "100", drift: float = 0.5) -> Intent:
    """Return an intent of one strategy."""
    return Intent(
        intent_id=symbol,
        symbol=symbol,
        side=side,
        quantity=Decimal(quantity),
        reference_price=Decimal(price),
        drift=drift,
        wishes=(Wish(strategy="s", quantity=Decimal(quantity)),),
    )


class Market:
    """Quotes of 99.99 to 100.01 for every symbol unless set otherwise."""

    def __init__(self) -> None:
        self.quotes: dict[str, Quote | str] = {}

    def __call__(self, symbol: str, now: datetime) -> Quote | str:
        return self.quotes.get(symbol) or Quote(symbol=symbol, bid=99.99, bid_size=500, ask=100.01, ask_size=500, at=now)


class Desk:
    """A rebalance run together with a venue that does what the test says; checks what must hold after every step."""

    def __init__(self, *intents: Intent, cash: str = "0", rules: LadderRules = RULES, tactics: TacticRules | None = None) -> None:
        self.market = Market()
        plan = RebalancePlanned(
            at=START,
            rebalance_id="20250303.1",
            session=date(2025, 3, 3),
            equity=Decimal(10_000),
            cash=Decimal(cash),
            target={},
            prices={},
            capital={},
            intents=intents,
            denials=(),
            crossings=(),
        )
        self.run = RebalanceRun(
            plan=plan,
            epoch="e1",
            rules=rules,
            tactics=Tactics(tactics or TacticRules(), rules),
            quotes=self.market,
            started_at=START,
            cut_off=CUT_OFF,
            session=SESSION,
            order_of=self.known,
        )
        self.now = START
        self.acknowledged: set[str] = set()
        self.replacing: dict[str, str] = {}
        self.live: dict[str, NewOrder] = {}
        self.filled: dict[str, Decimal] = {}
        self.bodies: dict[str, NewOrder] = {}
        self.executions = 0
        self.gate: dict[str, str] = {}
        self.looked_at: datetime | None = None
        self.is_noticed = False
        """Whether the run wants to be looked at for what it was told last."""

    def step(self, seconds: float = 0) -> list[Command]:
        """Let time pass and return the commands; submits become live orders."""
        self.now += timedelta(seconds=seconds)
        self.looked_at = self.now
        commands = self.run.advance(self.now, self.gate)
        for command in commands:
            if isinstance(command, OrderIntended):
                key = command.order.client_order_id
                assert self.bodies.setdefault(key, command.order) == command.order, "an id is never sent with another body"
                assert all(order.symbol != command.order.symbol for order in self.live.values()), "one live order per intent"
                assert not self.gate, "nothing is sent while the gate is closed"
                self.live[key] = command.order
                self.filled[key] = Decimal(0)
            elif isinstance(command, Replace):
                assert not self.gate, "nothing is sent while the gate is closed"
                assert command.client_order_id in self.acknowledged, "only what the venue works on is replaced"
                self.replacing[command.client_order_id] = command.intended.order.client_order_id
                self.bodies[command.intended.order.client_order_id] = command.intended.order
        return commands

    def known(self, key: str) -> Order | None:
        """Return what the order states know of a live order."""
        if key not in self.live:
            return None
        return Order(
            request=self.live[key],
            state=OrderState.FILLED if self.filled[key] == self.live[key].quantity else OrderState.WORKING,
            intended_at=START,
            venue_status="new" if key in self.acknowledged and not self.filled[key] else "partially_filled",
            reported_quantity=self.filled[key],
        )

    def acknowledge(self) -> None:
        """Let the venue take up every live order."""
        self.acknowledged |= set(self.live)

    def replaced(self, key: str) -> str:
        """Let the venue put the new order in the place of the old one; return its id. What the old one filled meanwhile is subtracted."""
        new = self.replacing.pop(key)
        left = self.bodies[new].quantity - self.filled[key]
        self.end(key, OrderState.REPLACED)
        self.live[new], self.filled[new] = msgspec.structs.replace(self.bodies[new], quantity=left), Decimal(0)
        self.acknowledged.add(new)
        return new

    def refused(self, key: str, state: OrderState = OrderState.REJECTED) -> None:
        """Let the venue refuse the replacement of an order."""
        new = self.replacing.pop(key)
        self.run.on_end(Order(request=self.bodies[new], state=state, intended_at=self.now, reason="no"), self.now)

    def fill(self, key: str, quantity: str | None = None, price: str = "100") -> bool:
        """Fill an order, whole or in part; return whether the run wants to be looked at for that."""
        order = self.live[key]
        left = order.quantity - self.filled[key]
        amount = left if quantity is None else min(Decimal(quantity), left)
        self.executions += 1
        self.filled[key] += amount
        is_worth_a_look = self.run.on_fill(
            Fill(
                execution_id=str(self.executions),
                client_order_id=key,
                venue_order_id="v",
                symbol=order.symbol,
                side=order.side,
                quantity=amount,
                price=Decimal(price),
                at=self.now,
            )
        )
        is_noticed = is_worth_a_look
        if self.filled[key] == order.quantity:
            is_noticed = self._ended(key, OrderState.FILLED) or is_worth_a_look
        self._check_that_nothing_is_missed(order.symbol, is_noticed=is_noticed)
        return is_worth_a_look

    def end(self, key: str, state: OrderState, reason: str | None = None) -> None:
        """End an order."""
        symbol = self.live[key].symbol
        self._check_that_nothing_is_missed(symbol, is_noticed=self._ended(key, state, reason))

    def _ended(self, key: str, state: OrderState, reason: str | None = None) -> bool:
        order = Order(request=self.live.pop(key), state=state, intended_at=self.now, reason=reason)
        return self.run.on_end(order, self.now)

    def _check_that_nothing_is_missed(self, symbol: str, *, is_noticed: bool) -> None:
        """Where the run says that nothing follows from news nobody looks, and so nothing may follow for the symbol that they are of."""
        self.is_noticed = is_noticed
        if not is_noticed and self.now == self.looked_at:
            assert self.run.stage_of(symbol) is Stage.ENDED or self.run.watch(symbol, self.now, self.gate) == []

    @property
    def only(self) -> str:
        """The id of the one live order."""
        (key,) = self.live
        return key
