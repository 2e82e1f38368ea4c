"""What the running daemon answers and does for its door: state, health, metrics and control."""

import asyncio
from collections import Counter as Tally
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from msgspec.structs import asdict

from alchemiser.bus.bus import Bus
from alchemiser.domain.activities import AccountActivity, Treatment
from alchemiser.domain.errors import NotReady, UsageError
from alchemiser.domain.events import (
    ActivityBooked,
    DecisionDue,
    FlattenOrdered,
    LotsNamed,
    Reconciled,
    ReconciliationFailed,
    ResultReported,
    StreamConnected,
    StreamLost,
    SymbolCleared,
    TradingStateChanged,
)
from alchemiser.domain.ids import rebalance_id
from alchemiser.domain.market import Session
from alchemiser.domain.money import ZERO
from alchemiser.domain.reconciliation import DifferenceCode
from alchemiser.domain.runtime import Clock
from alchemiser.domain.trading import ACCOUNT, ACTIVE, GUARD, HALTED, PAUSED, REDUCING
from alchemiser.execution.gate import SubmitGate
from alchemiser.journal.journal import Journal
from alchemiser.market.calendar import TradingCalendar, new_york_date
from alchemiser.market.quotes import QuoteBook
from alchemiser.risk.handler import Books
from alchemiser.service.health import HealthReport
from alchemiser.service.http import Action
from alchemiser.service.kill_switch import KillSwitch
from alchemiser.service.live_feed import LiveFeed
from alchemiser.service.metrics import Gauges
from alchemiser.service.preview import Preview
from alchemiser.service.reconciliations import Reconciliations
from alchemiser.service.reload import Asked
from alchemiser.service.state import JournaledState
from alchemiser.service.state_view import JournaledView, latest_events
from alchemiser.service.view import Plain
from alchemiser.service.vitals import Vitals

RECONCILIATION_SECONDS = 45.0
"""How long an operator is kept waiting for a comparison, in seconds of the loop."""

DURABLE_SECONDS = 2.0
"""How long the answer to a pause, a halt or a resume waits for the disk, in seconds of the loop: it is in effect before it is written."""

KILL_SECONDS = 15.0
"""How long an operator is kept waiting for what a kill does, in seconds of the loop."""

BY_HAND = "BY_HAND"
"""The kind of a row that is an operator's and no broker's."""

_OF_CASH = (DifferenceCode.CASH_LESS, DifferenceCode.CASH_MORE)

_TRADING_STATES = {"pause": PAUSED, "resume": ACTIVE, "halt": HALTED, "reduce": REDUCING}


class Answers(JournaledView):
    """Implements ``service.http.DaemonView``."""

    def __init__(
        self,
        *,
        state: JournaledState,
        bus: Bus,
        gate: SubmitGate,
        quotes: QuoteBook,
        vitals: Vitals,
        journal: Journal,
        calendar: TradingCalendar,
        clock: Clock,
        preview: Callable[[], Awaitable[Preview]],
        cut_off: Callable[[Session], datetime],
        reconciliations: Reconciliations,
        stop: Callable[[str], Mapping[str, Any]],
        rearm: Callable[..., Awaitable[dict[str, Any]]],
        kill_switch: KillSwitch | None = None,
        host_alarms: Callable[[], Mapping[str, str]] = dict,
        reload: Callable[..., Awaitable[Asked]],
    ) -> None:
        super().__init__(
            state,
            epoch=journal.epoch,
            read_events=latest_events(journal.read, lambda: journal.last_sequence),
            read_results=lambda after: journal.read(after, (ResultReported,)),
            now=clock.now,
        )
        self.feed = LiveFeed()
        self._bus = bus
        self._preview = preview
        self._gate = gate
        self._quotes = quotes
        self._vitals = vitals
        self._calendar = calendar
        self._cut_off = cut_off
        self._reconciliations = reconciliations
        self._stop_daemon = stop
        self._rearm = rearm
        self._kill_switch = kill_switch
        self._host_alarms = host_alarms
        self._reload = reload

    def health(self) -> HealthReport:
        """Return whether the daemon is live and ready, and why not."""
        others: dict[str, str] = {}
        overview = self._state.overview
        if not isinstance(overview.streams.get("market"), StreamConnected):
            others["market_stream"] = "the market-data stream is not connected"
        if overview.comparison is not None and overview.comparison.differences:
            others["ledger"] = "; ".join(overview.comparison.differences)
        if self._state.parked.by_symbol:
            others["parked"] = "; ".join(f"{symbol}: {parking.reason}" for symbol, parking in sorted(self._state.parked.by_symbol.items()))
        if overview.account is not None and overview.account.account.blocks:
            others["account"] = f"the account may not trade: {', '.join(overview.account.account.blocks)}"
        if (reduces := self._gate.reduces) is not None:
            others["trading"] = reduces
        alarms = {f"guard {key}": f"{key} ({trip.action}): {trip.text}" for key, trip in sorted(self._state.guards.trips.items())}
        alarms |= {f"strategy_trading {name}": one.words(name) for name, one in self._state.trading.scopes.strategies().items()}
        if (day := overview.day) is not None:
            far = {one.strategy: one.compared.difference_bps for one in day.strategies if one.compared and one.strategy in day.beyond}
            texts = {name: f"{name} was {bps:+z.1f} basis points off its backtest on {day.session}" for name, bps in far.items()}
            alarms |= {f"live_backtest {name}": f"{text}; the limit is {day.limit_bps:f}" for name, text in texts.items()}
        alarms |= self._host_alarms()
        return self._vitals.report(self._gate.reasons, others, alarms)

    async def plan(self) -> Preview:
        """Return what would be traded if a decision were due now; nothing is sent and nothing is journaled."""
        return await self._preview()

    async def control(self, action: Action, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Do what the operator asks and say what was done. Raises ``NotReady`` or ``UsageError`` when it cannot be done now."""
        reason, now = str(arguments.get("reason", "asked for by the operator")), self._now()
        if action == "kill":
            return await self._kill(arguments, reason)
        if action in _TRADING_STATES:
            return await self._change_state(_TRADING_STATES[action], arguments.get("strategy"), reason)
        if action == "reconcile":
            return await self._reconcile(arguments, reason)
        if action == "stop":
            return self._stop_daemon(reason)
        if action == "lots":
            return await self._name_lots(arguments, reason)
        if action == "reload":
            return asdict(await self._reload(_by(reason), only_checks=arguments.get("check") is True))
        if action == "rearm":
            return await self._rearm_guard(arguments, reason)
        session = self._calendar.session_at(now)
        if session is None or now >= self._cut_off(session):
            raise NotReady(f"{action}: the exchange is closed or the cut-off has passed; nothing was done")
        if not self._gate.is_open:
            raise NotReady(f"{action}: {'; '.join(self._gate.reasons.values())}; nothing was done")
        unfinished = self._state.rebalances.unfinished
        if unfinished is not None:
            raise NotReady(f"{action}: rebalance {unfinished.rebalance_id} is in progress; nothing was done")
        key = rebalance_id(session.date, self._state.rebalances.next_number(session.date))
        if action == "flatten":
            # Sold, and not bought again at the next decision: whoever flattens wants it to stay so until he says otherwise.
            await self._change_state(REDUCING, None, f"everything was to be sold: {reason}")
            await self._bus.publish(FlattenOrdered(at=now, rebalance_id=key, session=session.date, by="operator"))
        else:
            await self._bus.publish(DecisionDue(at=now, rebalance_id=key, session=session.date, reason=reason))
        return {"rebalance": key}

    async def _kill(self, arguments: Mapping[str, Any], reason: str) -> Mapping[str, Any]:
        """Pull the kill switch, wait a while for what it does, and say how far it is: it goes on by itself."""
        if self._kill_switch is None:
            raise NotReady("kill: this daemon has no kill switch; nothing was done")
        self._kill_switch.pull("operator", reason, flattens=arguments.get("flatten") is True)
        await self._kill_switch.wait(KILL_SECONDS)
        return {"kill": self._kill_switch.document()}

    def status(self) -> Plain:
        """Return what the journal knows, and how far a kill of this process is."""
        document = self._kill_switch.document() if self._kill_switch is not None else None
        return {**super().status()} | ({} if document is None else {"kill": document})

    async def _rearm_guard(self, arguments: Mapping[str, Any], reason: str) -> Mapping[str, Any]:
        """Arm a tripped guard again; durable before the answer says so, because it lifts what keeps money safe."""
        guard, strategy = arguments.get("guard"), arguments.get("strategy")
        if not isinstance(guard, str) or not isinstance(strategy, str | None):
            raise UsageError("rearm needs the name of a guard, and that of a strategy for a guard of one. Nothing was done")
        guard, _, named = guard.partition(":")
        reset = arguments.get("reset") is True
        done = await self._rearm(guard, strategy or named or None, by="operator", reason=reason, reset=reset)
        await self._bus.durable()
        return done

    async def _name_lots(self, arguments: Mapping[str, Any], reason: str) -> Mapping[str, Any]:
        """Have sales of a symbol close these lots first; durable before the answer says so, because a tax return follows from it."""
        symbol, lots = arguments.get("symbol"), arguments.get("lots") or []
        if not isinstance(symbol, str) or not isinstance(lots, list) or not all(isinstance(lot, str) for lot in lots):
            raise UsageError("lots needs a symbol and a list of the executions that bought the lots. Nothing was done")
        unfinished = self._state.rebalances.unfinished_id()
        if unfinished is not None:  # A fill may be on its way that was booked by the rule of before.
            raise NotReady(f"lots: rebalance {unfinished} is in progress; ask again when it has ended. Nothing was done")
        symbol = symbol.upper()
        books = self._state.ledger.books
        held = [lot.execution_id for name in sorted(books) for lot in books[name].lots.get(symbol, ())]
        if unknown := [lot for lot in lots if lot not in held]:
            raise UsageError(
                f"no lot of {symbol} was bought by {', '.join(unknown)}; held are {', '.join(held) or 'none'}. Nothing was done"
            )
        await self._bus.publish(LotsNamed(at=self._now(), symbol=symbol, lots=tuple(lots), by="operator", reason=reason))
        await self._bus.durable()
        return {"symbol": symbol, "sold_first": lots, "held": held}

    async def _is_durable_soon(self) -> bool:
        """Return whether everything published so far is durable now; what is in effect is told even while the disk is slow."""
        try:
            async with asyncio.timeout(DURABLE_SECONDS):
                await self._bus.durable()
        except TimeoutError:
            return False
        return True

    async def _change_state(self, state: str, strategy: Any, reason: str) -> Mapping[str, Any]:
        """Leave the account, or one strategy, in a trading state, and say whether that is durable already."""
        scopes, known = self._state.trading.scopes, self._strategy_names()
        if strategy is not None and strategy not in known:
            raise UsageError(f"there is no strategy {strategy!r}; there are {', '.join(known)}. Nothing was done")
        if state == ACTIVE and self._kill_switch is not None and (killed := self._kill_switch.why_not_resume()) is not None:
            raise NotReady(f"resume: {killed}. Nothing was done")
        if state == ACTIVE:
            holding = [place.removeprefix(GUARD) for place in scopes.by_scope.get(strategy or ACCOUNT, {}) if place]
            if holding:
                names = ", ".join(holding)
                raise NotReady(f"resume: {names} holds trading back; re-arm it by hand once the reason is understood. Nothing was done")
        changed = TradingStateChanged(at=self._now(), state=state, by="operator", reason=reason, strategy=strategy)
        if state == ACTIVE:
            await self._bus.publish(changed)
        else:
            self._bus.post(changed)  # What stops waits for nobody: no mailbox is too full for it.
        restriction = scopes.own(strategy or ACCOUNT)
        done = {"trading": ACTIVE if restriction is None else restriction.state, "durable": await self._is_durable_soon()}
        return done if strategy is None else done | {"strategy": strategy}

    def _strategy_names(self) -> list[str]:
        started = self._state.overview.started
        return sorted({*(started.strategies if started else ()), *self._state.ledger.books})

    async def _reconcile(self, arguments: Mapping[str, Any], reason: str) -> Mapping[str, Any]:
        """Clear parked symbols, or compare everything with the venue now and say what was found."""
        clear = arguments.get("clear") or []
        if not isinstance(clear, list) or not all(isinstance(symbol, str) for symbol in clear):
            raise UsageError("clear must be a list of symbols")
        unknown = [symbol for symbol in clear if symbol not in self._state.parked.by_symbol]
        if unknown:
            raise UsageError(f"{', '.join(unknown)}: not parked; nothing was done")
        for symbol in clear:
            await self._bus.publish(SymbolCleared(at=self._now(), symbol=symbol, by="operator", reason=reason))
        if clear:
            await self._bus.durable()
            return {"cleared": clear}
        if (accepted := arguments.get("accept_cash")) is not None:
            return await self._accept_cash(accepted, reason)
        await self._compare(reason)
        return {"reconciliation": self.reconciliation(), "parked": sorted(self._state.parked.by_symbol)}

    async def _accept_cash(self, text: Any, reason: str) -> Mapping[str, Any]:
        """Book a difference of cash that a person has explained: to the account and to no strategy. It must be what is found just now."""
        try:
            amount: Decimal | None = Decimal(str(text))
        except InvalidOperation:
            amount = None
        if amount is None or not amount.is_finite():
            raise UsageError(f"accept_cash must be dollars like -1.23, found {str(text)[:40]!r}. Nothing was done")
        outcome = await self._compare(reason)
        found = [one for one in outcome.differences if one.code in _OF_CASH]
        difference = sum((Decimal(one.theirs) - Decimal(one.ours) for one in found), ZERO)
        if not found or difference != amount:
            there_is = f"it is {difference:+f} dollars" if found else "there is none, or orders are still at work"
            raise UsageError(f"accept_cash {amount:+f}: that is not what the broker has more than the books: {there_is}. Nothing was done")
        now, account, books = self._now(), self._state.overview.account, self._state.ledger.cash
        assert account is not None, "a comparison looks at it"
        assert books is not None, "a comparison of cash knows that of the books"
        exact = account.account.cash - books
        row = AccountActivity(
            activity_id=f"operator::{now:%Y%m%d%H%M%S%f}", kind=BY_HAND, on=new_york_date(now), at=now, amount=exact, description=reason
        )
        await self._bus.publish(ActivityBooked(at=now, activity=row, treatment=Treatment.OTHER, entries=(), account_cash=exact))
        await self._bus.durable()
        await self._compare(reason)
        return {"accepted_cash": exact, "reconciliation": self.reconciliation(), "parked": sorted(self._state.parked.by_symbol)}

    async def _compare(self, reason: str) -> Reconciled:
        """Compare everything with the venue now. Raises ``NotReady`` when that cannot be done or takes too long."""
        if isinstance(self._state.overview.streams.get("orders"), StreamLost):
            raise NotReady("the order stream is away: what it misses is asked for as soon as it is connected. Nothing was compared")
        outcome = await self._reconciliations.ask(reason, patience_seconds=RECONCILIATION_SECONDS)
        if outcome is None:
            failed = self._state.overview.reconciliation_failed
            why = f" (so far: {failed.error})" if failed is not None else ""
            raise NotReady(
                f"the comparison has not ended within {RECONCILIATION_SECONDS:g} s{why}; `alchemiser status` shows it when it has"
            )
        if isinstance(outcome, ReconciliationFailed):
            raise NotReady(f"the venue could not be compared with: {outcome.error}")
        return outcome

    def gauges(self) -> Gauges:
        """Return what a scrape reads."""
        overview, books = self._state.overview, self._state.ledger.books
        by_state: dict[str, int] = {}
        for order in self._state.orders.open_orders():
            by_state[order.state.value] = by_state.get(order.state.value, 0) + 1
        account = overview.account.account if overview.account else None
        marks = self.marks()
        unrealised = {name: books[name].unrealised(marks) for name in sorted(books)}
        compared = overview.day.strategies if overview.day else ()
        profit = {name: books[name].realised + unrealised[name] + books[name].income for name in sorted(books)}
        return Gauges(
            health=self.health(),
            handlers=self._bus.statistics(),
            streams_connected={name: isinstance(news, StreamConnected) for name, news in overview.streams.items()},
            orders_by_state=by_state,
            equity=account.equity if account else None,
            cash=overview.cash(),
            realised={name: books[name].realised for name in sorted(books)},
            unrealised=unrealised,
            drawdown=self._results.drawdown(account.equity) if account else None,
            below_peak=self._results.below_peak(profit),
            ledger_differences=len(overview.comparison.differences) if overview.comparison else 0,
            symbols_parked=len(self._state.parked.by_symbol),
            tasks=len(asyncio.all_tasks()),
            trading_state=self._state.trading.state,
            guards_tripped=Tally(trip.guard for trip in self._state.guards.trips.values()),
            events_published=self._bus.last_sequence,
            off_backtest_bps={one.strategy: one.compared.difference_bps for one in compared if one.compared},
            beyond_backtest=len(overview.day.beyond) if overview.day else 0,
            now=self._now(),
            started_at=overview.started.at if overview.started else None,
            last_decision_at=overview.decision.at if overview.decision else None,
        )

    def marks(self) -> dict[str, Decimal]:
        """Return the price at which each position of the books is valued, in dollars, where there is one."""
        return {symbol: mark for symbol in self._state.ledger.holdings() if (mark := self._mark(symbol)) is not None}

    def books(self) -> Books:
        """Return the books at these prices, for the guards."""
        ledger, marks = self._state.ledger, self.marks()
        return Books(
            realised={name: book.realised for name, book in sorted(ledger.books.items())},
            unrealised={name: book.unrealised(marks) for name, book in sorted(ledger.books.items())},
            income={name: book.income for name, book in sorted(ledger.books.items())},
            holdings=ledger.holdings(),
            cash=ledger.cash,
        )

    def quote_ages(self, now: datetime) -> dict[str, float | None]:
        """Return the ages in seconds of the quotes that the rebalance in progress needs, ``None`` for one that never came."""
        unfinished = self._state.rebalances.unfinished
        return {intent.symbol: self._quotes.age_seconds(intent.symbol, now) for intent in unfinished.intents} if unfinished else {}

    def _mark(self, symbol: str) -> Decimal | None:
        quote = self._quotes.quote(symbol)
        return Decimal(repr(quote.mid)) if quote is not None and quote.fault is None else super()._mark(symbol)


def _by(reason: str) -> str:
    return "operator" if reason == "operator" else f"operator: {reason}"
