"""The guards at work: they read when something has happened that can change a reading, and carry out what their verdicts say.

A mailbox. Nothing is polled: the minute bars of the market bring new prices, the deadlines of a rebalance in progress the age of its
quotes. What rests on quotes counts once it has been beyond the limit for a while, because one of them may be wrong.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.errors import NotReady, UsageError
from alchemiser.domain.events import (
    AccountObserved,
    BarClosed,
    Event,
    GuardCleared,
    GuardRearmed,
    GuardTripped,
    LedgerCompared,
    OrderClosed,
    ProfitPeaked,
    RebalanceCompleted,
    RebalanceParked,
    RebalancePlanned,
    Reconciled,
    RecoveryCompleted,
    ResultReported,
    SessionClosed,
    SessionOpened,
    TimerElapsed,
    TradingStateChanged,
)
from alchemiser.domain.money import ZERO
from alchemiser.domain.runtime import Clock
from alchemiser.domain.trading import ACCOUNT, ACTIVE, GUARD, TradingScopes
from alchemiser.risk import readings
from alchemiser.risk.guard_state import GuardState
from alchemiser.risk.guards import STATES, GuardAction, GuardName, GuardRule, Reading, Trip, Verdict, in_words, judge, key_of, source_of

CONFIRM_SECONDS = 5.0
"""How long, in market seconds, what rests on quotes has to be beyond a limit before it counts."""

LOOK_SECONDS = 5.0
"""The shortest pause between two looks at prices, in market seconds."""

PEAK_STEP = Decimal("0.001")
"""A new best profit is journaled when it is higher by this share of the capital: a restart knows the peak to within it."""

_OF_PROFIT = (GuardName.DAILY_LOSS, GuardName.STRATEGY_DAILY_LOSS, GuardName.DRAWDOWN, GuardName.STRATEGY_DRAWDOWN)


class Books(Struct, frozen=True):
    """The books as they are: realised and unrealised profit and income by strategy, shares by symbol, cash; dollars."""

    realised: Mapping[str, Decimal]
    unrealised: Mapping[str, Decimal]
    income: Mapping[str, Decimal]
    holdings: Mapping[str, Decimal]
    cash: Decimal | None


class GuardParts(Struct, frozen=True):
    """What the guards work with.

    ``books`` are valued at the ``marks``; ``ages`` are the ages in seconds of the quotes that a rebalance in progress needs, ``None`` for
    one that never came. ``trading`` are the restrictions in force.
    """

    state: GuardState
    trading: TradingScopes
    rules: Mapping[GuardName, GuardRule]
    clock: Clock
    publish: Callable[..., Awaitable[object]]
    books: Callable[[], Books]
    marks: Callable[[], Mapping[str, Decimal]]
    ages: Callable[[datetime], Mapping[str, float | None]]


class GuardKeeper:
    """Reads, judges, and says what came of it."""

    listens_to = (
        RecoveryCompleted,
        SessionOpened,
        SessionClosed,
        BarClosed,
        TimerElapsed,
        RebalancePlanned,
        RebalanceCompleted,
        RebalanceParked,
        OrderClosed,
        AccountObserved,
        LedgerCompared,
        Reconciled,
        ResultReported,
    )

    def __init__(self, parts: GuardParts) -> None:
        self._parts = parts
        self._observed: AccountObserved | None = None
        self._opened_at: datetime | None = None
        self._looked_at: dict[str, datetime] = {}
        self._beyond: dict[str, datetime] = {}
        self.readings: dict[str, Reading] = {}
        """The last reading of each guard, by its name and strategy."""

    async def handle(self, envelope: Envelope) -> None:
        """Read what the event can have changed."""
        now = self._parts.clock.now()
        match envelope.event:
            case SessionOpened(session=session):
                self._opened_at = session.opens_at
            case SessionClosed():
                self._opened_at = None
            case BarClosed():
                if self._opened_at is not None and self._is_time("prices", now):
                    await self._look_at_prices(now)
            case TimerElapsed():
                if self._is_time("quotes", now):
                    await self._look_at_quotes(now)
            case RebalancePlanned():
                await self._look_at_quotes(now)
            case RebalanceCompleted(rebalance_id=key, shortfall=shortfall) | RebalanceParked(rebalance_id=key, shortfall=shortfall):
                await self._take(readings.slippage(key, shortfall), now)
                await self._look_at_quotes(now)
                await self._look_at_prices(now)
            case RecoveryCompleted():
                await self._carry_on(now)
            case OrderClosed():
                await self._take(readings.rejects(self._parts.state.rejects, self._parts.state.last_reject), now)
            case event:
                await self._compare(event, now)

    def work_by(self, rules: Mapping[GuardName, GuardRule]) -> None:
        """Judge the next readings by these rules; what has tripped stays tripped."""
        self._parts = replace(self._parts, rules=rules)

    async def rearm(self, guard: str, strategy: str | None, *, by: str, reason: str, reset: bool) -> dict[str, Any]:
        """Arm a guard again and return what that did.

        Raises ``UsageError`` for a guard that there is not or that has not tripped, and ``NotReady`` for one that is not clear, unless it
        is to measure anew.
        """
        key, trip = key_of(guard, strategy), self._parts.state.trips.get(key_of(guard, strategy))
        if guard not in list(GuardName):
            raise UsageError(f"there is no guard {guard!r}; there are {', '.join(GuardName)}. Nothing was done")
        if trip is None:
            tripped = ", ".join(sorted(self._parts.state.trips)) or "none"
            raise UsageError(f"{key} has not tripped; tripped: {tripped}. Nothing was done")
        if trip.cleared_at is None and not reset:
            raise NotReady(f"{key} is not clear: {self._how_it_is(trip)}. Wait, or have it measure anew from now on with a reset")
        now, scope = self._parts.clock.now(), strategy or ACCOUNT
        profit = self._profits().get(scope, ZERO) if guard in _OF_PROFIT else None
        armed = GuardRearmed(at=now, guard=guard, strategy=strategy, by=by, reason=reason, is_reset=reset, profit=profit)
        self._beyond.pop(key, None)
        await self._parts.publish(armed)
        if trip.restricts:
            await self._parts.publish(
                TradingStateChanged(at=now, state=ACTIVE, by=source_of(guard), reason=f"re-armed by {by}: {reason}", strategy=strategy)
            )
        return {"armed": key, "measures_anew": reset, "lifted": STATES[GuardAction(trip.action)] if trip.restricts else None}

    # --- looking ---

    def _is_time(self, what: str, now: datetime) -> bool:
        return what not in self._looked_at or (now - self._looked_at[what]).total_seconds() >= LOOK_SECONDS

    async def _carry_on(self, now: datetime) -> None:
        """Finish what an earlier process may have left half done: a restriction belongs to every guard that restricts, and to no other."""
        trips, in_force = self._parts.state.trips, self._parts.trading.by_scope
        for trip in list(trips.values()):
            if trip.restricts and source_of(trip.guard) not in in_force.get(trip.strategy or ACCOUNT, {}):
                await self._restrict(trip.guard, trip.strategy, GuardAction(trip.action), trip.text, now)
        for scope, places in sorted(in_force.items()):
            for place in [name for name in places if name and key_of(name.removeprefix(GUARD), scope or None) not in trips]:
                lifted = TradingStateChanged(at=now, state=ACTIVE, by=place, reason="it was armed again", strategy=scope or None)
                await self._parts.publish(lifted)
        await self._take(readings.rejects(self._parts.state.rejects, self._parts.state.last_reject), now)

    def _profits(self) -> dict[str, Decimal]:
        books = self._parts.books()
        return readings.profits(books.realised, books.unrealised, books.income)

    async def _look_at_prices(self, now: datetime) -> None:
        """Read losses and drawdowns at the present prices."""
        self._looked_at["prices"] = now
        profit, state = self._profits(), self._parts.state
        higher = {
            scope: value
            for scope, value in profit.items()
            if value - state.peaks.get(scope, ZERO) > PEAK_STEP * state.capital.get(scope, ZERO)
        }
        await self._judge_profits(profit, now, is_sure=False)
        if higher:
            await self._parts.publish(ProfitPeaked(at=now, profits=higher))

    async def _judge_profits(self, profit: Mapping[str, Decimal], now: datetime, *, is_sure: bool) -> None:
        state = self._parts.state
        for scope, value in profit.items():
            capital = state.capital.get(scope, ZERO)
            if capital > 0:
                await self._take(readings.loss(value, state.before(scope), capital, scope, is_sure=is_sure), now)
                await self._take(readings.drawdown(value, state.peaks.get(scope, ZERO), capital, scope, is_sure=is_sure), now)

    async def _look_at_quotes(self, now: datetime) -> None:
        self._looked_at["quotes"] = now
        ages = readings.ages_of(self._parts.ages(now), now, self._opened_at)
        await self._take(readings.oldest_quote(ages), now)

    async def _compare(self, event: Event, now: datetime) -> None:
        """Read what the broker said of the account, and what came of a comparison with it."""
        match event:
            case AccountObserved():
                self._observed = event
            case LedgerCompared() if self._observed is not None:
                books = self._parts.books()
                seen = self._observed
                await self._take(readings.books_against(books.holdings, books.cash, seen.account, seen.positions), now)
            case Reconciled(differences=differences):
                await self._take(readings.differences_of(differences, self._parts.marks()), now)
            case ResultReported(realised=realised, unrealised=unrealised, income=income):
                await self._judge_profits(readings.profits(realised, unrealised, income), now, is_sure=True)
            case _:
                pass

    # --- judging ---

    async def _take(self, reading: Reading | None, now: datetime) -> None:
        """Judge a reading, and publish what follows."""
        if reading is None:
            return
        rule, key = self._parts.rules[reading.guard], reading.key
        self.readings[key] = reading
        verdict = judge(rule, self._parts.state.trips.get(key), reading.value)
        if verdict is Verdict.TRIPS and not self._is_confirmed(reading, now):
            return
        if verdict is not Verdict.TRIPS:
            self._beyond.pop(key, None)
        if verdict is Verdict.TRIPS:
            await self._trip(reading, rule, now)
        elif verdict is Verdict.CLEARS:
            cleared = GuardCleared(at=now, guard=reading.guard, strategy=reading.strategy, value=reading.value, text=reading.text)
            await self._parts.publish(cleared)

    def _is_confirmed(self, reading: Reading, now: datetime) -> bool:
        first = self._beyond.setdefault(reading.key, now)
        return reading.is_sure or (now - first).total_seconds() >= CONFIRM_SECONDS

    async def _trip(self, reading: Reading, rule: GuardRule, now: datetime) -> None:
        self._beyond.pop(reading.key, None)
        text = f"{reading.text}; that is {in_words(reading.guard, reading.value)}, the limit is {in_words(reading.guard, rule.limit)}"
        await self._parts.publish(
            GuardTripped(
                at=now,
                guard=reading.guard,
                strategy=reading.strategy,
                action=rule.action,
                value=reading.value,
                limit=rule.limit,
                cleared=rule.cleared,
                text=text,
            )
        )
        await self._restrict(reading.guard, reading.strategy, rule.action, text, now)

    async def _restrict(self, guard: str, strategy: str | None, action: GuardAction, text: str, now: datetime) -> None:
        state = STATES.get(action)
        if state is not None:
            await self._parts.publish(TradingStateChanged(at=now, state=state, by=source_of(guard), reason=text, strategy=strategy))

    def _how_it_is(self, trip: Trip) -> str:
        name, last = GuardName(trip.guard), self.readings.get(key_of(trip.guard, trip.strategy))
        value = trip.value if last is None else last.value
        return f"it reads {in_words(name, value)}, it is clear at {in_words(name, trip.cleared)}"
