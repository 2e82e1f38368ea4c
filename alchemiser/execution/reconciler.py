"""The reconciler: asks the venue for everything, compares, and makes our state follow it in one step.

It awaits; what the answers mean is decided in ``reconciliation``. The venue's lists are only eventually consistent, and its answers come
one after the other while the market moves: what does not fit together is asked for again, a bounded number of times, and nothing is
applied until it fits or the attempts are used up. Then the symbols of which the differences remain are parked, and the rest goes on.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

import msgspec
import structlog

from alchemiser.domain.account import BrokerActivity
from alchemiser.domain.errors import NotFoundAtVenue, VenueError
from alchemiser.domain.events import (
    AccountObserved,
    CancelRequested,
    Event,
    LedgerCompared,
    Reconciled,
    ReconciliationStarted,
    TradingStateChanged,
)
from alchemiser.domain.orders import ExecutionReport
from alchemiser.domain.reconciliation import AT_ODDS, UNRESOLVED, Difference, DifferenceCode, Parking, Remedy
from alchemiser.domain.runtime import Clock
from alchemiser.domain.trading import HALTED
from alchemiser.domain.venue import Venue
from alchemiser.execution.missed_fills import CLOCK_DOUBT
from alchemiser.execution.older_copy import orders_not_held, orders_to_ask_for
from alchemiser.execution.order_states import OrderStates
from alchemiser.execution.parking import ParkedSymbols
from alchemiser.execution.reconciliation import Findings, OwnSide, VenueSide, more_to_look_up, reconcile, to_look_up

OVERLAP: Final = timedelta(seconds=2)
"""How much further back than the last known execution the venue is asked: its clocks need not agree to the second."""

AT_START: Final = "start"
"""The reason of the comparison before which nothing can have been sent."""

ATTEMPT_PAUSES_SECONDS: Final = (1.0, 2.0, 5.0, 10.0)
"""Pauses between attempts whose answers do not fit together; the last repeats."""

_log = structlog.get_logger(__name__)


class ReconcilerParts(msgspec.Struct, frozen=True):
    """What the reconciler works with.

    ``holdings`` and ``cash`` are the books'; ``catch_up`` has them told what happened to the account without a trade. ``unfinished`` is the
    id of the rebalance in progress; ``attempts`` is how often a difference is asked about before its symbol is parked. ``last_compared``
    is when the last comparison was made, also of an earlier process. ``publish`` may wait, ``post`` never does.
    """

    venue: Venue
    orders: OrderStates
    parked: ParkedSymbols
    holdings: Callable[[], Mapping[str, Decimal]]
    cash: Callable[[], Decimal | None]
    unfinished: Callable[[], str | None]
    clock: Clock
    publish: Callable[..., Awaitable[object]]
    post: Callable[[Event], object]
    durable: Callable[[], Awaitable[None]]
    epoch: str
    attempts: int = 4
    catch_up: Callable[[], Awaitable[object]] | None = None
    last_compared: Callable[[], datetime | None] = lambda: None


class Reconciler:
    """Makes one comparison at a time; whoever calls it sees to that."""

    def __init__(self, parts: ReconcilerParts) -> None:
        self._parts = parts

    def ask_at_most(self, attempts: int) -> None:
        """Ask about a difference so often from the next comparison on."""
        self._parts = msgspec.structs.replace(self._parts, attempts=attempts)

    async def reconcile(self, reason: str, *, since: datetime | None, since_event: str | None) -> Reconciled:
        """Compare until both sides agree or the attempts are used up, apply what is to be applied, and return what was published.

        ``since`` is when the last execution happened before which nothing can have been missed, ``since_event`` the last event of the
        stream before that; ``None`` when there was none. Raises the errors under ``VenueError`` with which the venue did not answer;
        then nothing was applied.
        """
        parts = self._parts
        await parts.publish(ReconciliationStarted(at=parts.clock.now(), reason=reason))
        taken_back: dict[tuple[str, str], Difference] = {}
        not_held: str | None = None
        attempt = 0
        while True:
            attempt += 1
            # What does not fit may be older than what was asked for: an execution taken back long after it was made, for one.
            venue, observed = await self._ask(reason, since if attempt == 1 else None, since_event)
            if reason == AT_START and attempt == 1:
                not_held = await self._not_held(venue.executions)
            findings = reconcile(self._own(), venue)
            if findings.is_settled or attempt >= parts.attempts:
                break
            for difference in findings.differences:
                if difference.remedy is Remedy.CANCELLED:
                    taken_back[difference.code, difference.subject] = difference
            await self._take_back(findings)
            pause = ATTEMPT_PAUSES_SECONDS[min(attempt, len(ATTEMPT_PAUSES_SECONDS)) - 1]
            _log.info(
                "reconciliation_repeated", attempt=attempt, pause_seconds=pause, differences=[one.text for one in findings.differences]
            )
            await parts.clock.sleep(pause)
        # No await between the comparison and its application: the findings are meant for exactly this state.
        not_held = next(orders_not_held((*findings.differences, *taken_back.values())), not_held)
        return self._apply(reason, attempt, findings, taken_back, observed, not_held)

    async def _ask(self, reason: str, since: datetime | None, since_event: str | None) -> tuple[VenueSide, AccountObserved]:
        """Ask the venue for everything, once."""
        venue, orders = self._parts.venue, self._parts.orders
        if self._parts.catch_up is not None:
            await self._parts.catch_up()
        replayed = () if since_event is None else await venue.replay_since(since_event)
        listed = await venue.open_orders()
        looked_up: dict[str, ExecutionReport | None] = {}
        for key in to_look_up(orders, listed):
            looked_up[key] = await self._look_up(key)
        first = next(iter(orders), None)
        # Nothing was ever sent from this journal: nothing of ours can have been missed.
        executions = () if first is None else await venue.fills_since(self._missing_from(since or first.intended_at, listed, looked_up))
        for key in more_to_look_up(tuple(orders), executions):
            looked_up[key] = await self._look_up(key)
        account, positions = await venue.account_and_positions()
        observed = AccountObserved(at=self._parts.clock.now(), account=account, positions=positions, reason=reason)
        answers = VenueSide(
            open_orders=listed,
            looked_up=looked_up,
            executions=executions,
            positions=positions,
            cash=account.cash,
            replayed=replayed or (),
        )
        return answers, observed

    async def _not_held(self, executions: Iterable[BrokerActivity]) -> str | None:
        """Return an order of this journal that the venue has executed since the last comparison, and that the journal does not hold."""
        orders, last = self._parts.orders, self._parts.last_compared()
        if last is None:
            return None  # Nothing was ever compared: there was nothing to be a copy of.
        if next(iter(orders), None) is None:
            executions = await self._parts.venue.fills_since(last)
        known = {order.client_order_id for order in orders}
        at_venue = {order.venue_order_id for order in orders if order.venue_order_id is not None}
        for key in orders_to_ask_for(executions, known, at_venue, after=last, epoch=self._parts.epoch):
            if await self._look_up(key) is not None:
                return key
        return None

    async def _look_up(self, key: str) -> ExecutionReport | None:
        try:
            return await self._parts.venue.order_by_client_id(key)
        except NotFoundAtVenue:
            return None

    def _missing_from(
        self, since: datetime, listed: Iterable[ExecutionReport], looked_up: Mapping[str, ExecutionReport | None]
    ) -> datetime:
        """Return since when executions may be missing: the last one known to be sound, or the first order that lacks some."""
        orders = self._parts.orders
        lacking = [order.intended_at - CLOCK_DOUBT for order in orders.incomplete()]
        for report in (*listed, *looked_up.values()):
            order = None if report is None else orders.get(report.client_order_id)
            if report is not None and order is not None and report.cumulative_quantity > order.cumulative_quantity:
                lacking.append(order.intended_at - CLOCK_DOUBT)
        return min((since, *lacking)) - OVERLAP

    def _own(self) -> OwnSide:
        parts = self._parts
        return OwnSide(
            epoch=parts.epoch,
            orders=tuple(parts.orders),
            fills=parts.orders.fills,
            holdings=parts.holdings(),
            cash=parts.cash(),
            unfinished=parts.unfinished(),
        )

    async def _take_back(self, findings: Findings) -> None:
        """Cancel what must not be live. Whatever becomes of the request, the next attempt sees whether the order is gone."""
        parts = self._parts
        for key, venue_order_id in findings.cancels.items():
            if parts.orders.get(key) is not None:
                await parts.publish(CancelRequested(at=parts.clock.now(), client_order_id=key, reason="the reconciliation takes it back"))
            await parts.durable()
            try:
                await parts.venue.cancel(venue_order_id)
            except VenueError as error:
                _log.warning("order_not_taken_back", client_order_id=key, venue_order_id=venue_order_id, reason=str(error))

    def _apply(
        self,
        reason: str,
        attempts: int,
        findings: Findings,
        taken_back: Mapping[tuple[str, str], Difference],
        observed: AccountObserved,
        not_held: str | None,
    ) -> Reconciled:
        parts, now = self._parts, self._parts.clock.now()
        remaining = {(difference.code, difference.subject) for difference in findings.differences}
        gone = [difference for key, difference in taken_back.items() if key not in remaining]
        done = Reconciled(
            at=now,
            reason=reason,
            attempts=attempts,
            reports=findings.reports,
            differences=(*findings.differences, *gone),
            parked=parked_after(findings, parts.parked.by_symbol, now),
        )
        parts.post(observed)
        parts.post(done)
        if not_held is not None:
            text = f"the venue knows order {not_held} of this journal, which does not hold it: the journal is an older copy of itself"
            parts.post(TradingStateChanged(at=now, state=HALTED, by="recovery", reason=text))
        at_odds = tuple(difference.text for difference in findings.differences if difference.code in AT_ODDS)
        parts.post(LedgerCompared(at=now, session=None, differences=at_odds))
        return done


def parked_after(findings: Findings, before: Mapping[str, Parking], now: datetime) -> dict[str, Parking]:
    """Return the parked symbols after a comparison: those of which a difference remains, each since it was parked first.

    A symbol that a rebalance left with an open order stays parked for as long as that order is open.
    """
    parked = {symbol: parking for symbol, parking in before.items() if parking.code == UNRESOLVED and symbol in findings.unresolved}
    for difference in findings.differences:
        if not difference.parks or difference.symbol is None or difference.symbol in parked:
            continue
        earlier = before.get(difference.symbol)
        since = earlier.since if earlier is not None and earlier.code == difference.code else now
        parked[difference.symbol] = Parking(code=difference.code.value, reason=difference.text, since=since)
    return parked


def fills_missed(done: Reconciled) -> int:
    """Return how many executions a reconciliation found that we had not heard of."""
    return sum(difference.code is DifferenceCode.FILL_MISSED for difference in done.differences)
