"""The rebalancer: collects the targets of a decision, looks at the account once, and publishes the plan.

At the end of a session it compares the ledger with the broker and reports the result. The arithmetic is in
``planning``, ``plan`` and ``ledger``.
"""

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.account import Account, BrokerPosition
from alchemiser.domain.errors import OrderDenied, VenueError
from alchemiser.domain.events import (
    AccountObserved,
    DecisionDue,
    Event,
    FlattenOrdered,
    LedgerCompared,
    RebalanceCompleted,
    RebalanceParked,
    RebalancePlanned,
    ResultReported,
    SessionClosed,
    StrategyFailed,
    TargetProposed,
)
from alchemiser.domain.money import ZERO, to_cents
from alchemiser.domain.trading import HALTED
from alchemiser.portfolio.planning import Decision, PortfolioParts, plan_decision

ON_SCHEDULE = "schedule"
"""The reason of a decision that the timetable asked for. What somebody asked for by hand is acted upon whatever the headers say."""


_RESULT_ATTEMPTS = (2.0, 8.0, None)
"""The pauses in seconds after attempts to look at the account when a session has closed: its result is not to be had later."""


class Rebalancer:
    """Plans one rebalance at a time."""

    listens_to = (DecisionDue, FlattenOrdered, TargetProposed, StrategyFailed, SessionClosed, RebalanceCompleted, RebalanceParked)

    def __init__(self, parts: PortfolioParts) -> None:
        self._parts = parts
        self._deciding: Decision | None = None
        self._closing: date | None = None
        self._waiting = 0
        """How many decisions, orders to sell everything and ends of sessions have yet to take their place: what is due now comes later."""

    async def handle(self, envelope: Envelope) -> None:
        """Deal with a decision, a strategy's answer, or the end of a session."""
        match envelope.event:
            case TargetProposed() | StrategyFailed() as answer:
                if (decision := self._answered(answer)) is not None:
                    await self._finish(decision)
            case DecisionDue() as due:
                await self._take_place(f"{due.rebalance_id} took its place before every strategy had answered")
                self._begin(due)
            case FlattenOrdered(rebalance_id=rebalance_id, session=session):
                await self._take_place(f"{rebalance_id} took its place before every strategy had answered")
                # Nothing wanted by anybody: the plan sells whatever the books hold, also of strategies that are no longer in the settings.
                nothing: dict[str, dict[str, float] | None] = {name: {} for name in self._parts.shares()}
                await self._finish(Decision(rebalance_id, session, targets=nothing, is_flatten=True))
            case SessionClosed(session=session):
                await self._take_place("the session closed before every strategy had answered")
                if self._parts.unfinished() is None:
                    await self._close_books(session.date)
                else:
                    self._closing = session.date  # What the closing auction filled is still on its way.
            case RebalanceCompleted() | RebalanceParked() if self._closing is not None and self._parts.unfinished() is None:
                session_date, self._closing = self._closing, None
                await self._close_books(session_date)
            case _:
                pass

    @property
    def wants(self) -> Mapping[type[Event], Callable[[Any], bool]]:
        """What takes in, where events of a type are dispatched, what they say; it says whether anything has to be done about it."""
        return {
            DecisionDue: self._is_after_another,
            FlattenOrdered: self._is_in_turn,
            SessionClosed: self._is_in_turn,
            RebalanceCompleted: self._is_awaited,
            RebalanceParked: self._is_awaited,
        }

    def work_with(self, parts: PortfolioParts) -> None:
        """Make plans with these from now on; whoever calls it sees to it that none is being made."""
        self._parts = parts

    def _begin(self, due: DecisionDue) -> None:
        self._deciding = Decision(due.rebalance_id, due.session, is_scheduled=due.reason == ON_SCHEDULE)

    def _is_after_another(self, due: DecisionDue) -> bool:
        """Wait for the answers to a decision, unless something that came before it has to be dealt with first; return whether it has."""
        if self._deciding is not None or self._waiting:
            return self._is_in_turn(due)
        self._begin(due)
        return False

    def _is_in_turn(self, event: DecisionDue | FlattenOrdered | SessionClosed) -> bool:
        """Have an event dealt with in its turn."""
        self._waiting += 1
        return True

    def _is_awaited(self, end: RebalanceCompleted | RebalanceParked) -> bool:
        """Return whether the books of a session are to be closed when a rebalance has ended."""
        return self._closing is not None

    def _answered(self, answer: TargetProposed | StrategyFailed) -> Decision | None:
        """Take in an answer; return the decision when every strategy has answered."""
        decision = self._deciding
        if decision is None or decision.rebalance_id != answer.rebalance_id:
            return None
        decision.add(answer)
        return decision if len(decision.targets) >= len(self._parts.allocations) else None

    async def _take_place(self, reason: str) -> None:
        """End a decision that still waits for answers: every decision ends, or who waits for its end waits for ever."""
        decision, self._deciding = self._deciding, None
        try:
            if decision is not None:
                await self._parts.publish(self._parked(decision, reason), correlation=decision.rebalance_id)
        finally:
            self._waiting -= 1

    async def _finish(self, decision: Decision) -> None:
        self._deciding = None
        try:
            event = await self._plan(decision)
        except (VenueError, OrderDenied) as error:
            event = self._parked(decision, f"no plan was made: {error}")
        await self._parts.publish(event, correlation=decision.rebalance_id)

    async def _plan(self, decision: Decision) -> RebalancePlanned | RebalanceParked:
        reason = decision.why_no_plan()
        if reason is not None:
            return self._parked(decision, reason)
        unfinished = self._parts.unfinished()
        if unfinished is not None:
            return self._parked(decision, f"rebalance {unfinished} is in progress; its orders may still fill")
        parts = self._parts
        restriction = parts.trading.account if parts.trading.by_scope else None
        if restriction is not None and restriction.state == HALTED:
            return self._parked(decision, f"no plan was made: {restriction.words()}")
        if parts.hear_of_the_night is not None and not decision.is_flatten:
            await parts.hear_of_the_night()
        account, positions = await self._observe("decision")
        if account.blocks:
            return self._parked(decision, f"the account may not trade: {', '.join(account.blocks)}")
        return await plan_decision(parts, decision, account, positions)

    def _parked(self, decision: Decision, reason: str) -> RebalanceParked:
        return RebalanceParked(at=self._parts.clock.now(), rebalance_id=decision.rebalance_id, reason=reason, outcomes=())

    async def _observe(self, reason: str) -> tuple[Account, tuple[BrokerPosition, ...]]:
        parts = self._parts
        account, positions = await parts.venue.account_and_positions()
        await parts.publish(AccountObserved(at=parts.clock.now(), account=account, positions=positions, reason=reason))
        return account, positions

    async def _close_books(self, session: date) -> None:
        """Look at the account at the end of a session, name what differs from the ledger, and report the result."""
        parts = self._parts
        for pause in _RESULT_ATTEMPTS:
            try:
                if parts.catch_up is not None:
                    await parts.catch_up()
                account, positions = await self._observe("session closed")
                break
            except VenueError as error:
                if pause is None:
                    silence = (f"the broker could not be asked: {error}",)
                    await parts.publish(LedgerCompared(at=parts.clock.now(), session=session, differences=silence))
                    return
                await parts.clock.sleep(pause)
        held, marks = {}, {}
        for position in positions:
            symbol, price = position.symbol, position.current_price
            held[symbol] = position.quantity
            if price is not None:
                marks[symbol] = price
        ledger, now = parts.ledger, parts.clock.now()
        await parts.publish(LedgerCompared(at=now, session=session, differences=ledger.differences(held, account.cash)))
        realised, unrealised, income, capital = {}, {}, {}, {}
        for name, book in sorted(ledger.books.items()):
            realised[name], income[name] = book.realised, book.income
            unrealised[name] = book.unrealised(marks) if marks else ZERO
        equity = account.equity
        for name, share in parts.shares().items():
            capital[name] = to_cents(equity * share)
        await parts.publish(
            ResultReported(
                at=now,
                session=session,
                equity=equity,
                cash=account.cash,
                realised=realised,
                unrealised=unrealised,
                income=income,
                capital=capital,
                transferred=ledger.paid_in,
            )
        )
