"""The daemon: the one place that wires. Who publishes and who listens is in :meth:`Daemon.wire`, which reads as a table.

A start is always a recovery: the journal is read, the streams are connected, what was missed is asked for, and only then may anything
be sent. A stop is a staircase, walked in ``service.stopping``.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import date, datetime
from functools import partial
from typing import Any

from msgspec import Struct

from alchemiser.bus.bus import Bus
from alchemiser.bus.delivery import latest_per
from alchemiser.domain.events import (
    BarClosed,
    OrderFilled,
    QuoteUpdated,
    TimerElapsed,
    TradePrinted,
    TradingStatusChanged,
)
from alchemiser.domain.venue import Venue
from alchemiser.execution.gaps import GapKeeper
from alchemiser.execution.gate import SubmitGate
from alchemiser.execution.handler import ExecutionHandler
from alchemiser.execution.parts import ExecutionParts
from alchemiser.execution.reconciler import Reconciler, ReconcilerParts
from alchemiser.execution.shortfall import ShortfallReporter
from alchemiser.journal.journal import Journal
from alchemiser.market.calendar import TradingCalendar
from alchemiser.market.quotes import QuoteBook
from alchemiser.portfolio.activity_reader import ActivityReader
from alchemiser.portfolio.asset_list import AssetList
from alchemiser.portfolio.day import DayRecord
from alchemiser.portfolio.handler import Rebalancer
from alchemiser.portfolio.planning import PortfolioParts
from alchemiser.risk.handler import GuardKeeper, GuardParts
from alchemiser.risk.pre_trade import PreTrade
from alchemiser.service.adoption import Adoption
from alchemiser.service.answers import Answers
from alchemiser.service.collector import Collector
from alchemiser.service.day_comparison import ComparisonParts, DayComparison
from alchemiser.service.decision_market import DecisionMarket
from alchemiser.service.first_words import say_first_words
from alchemiser.service.history_source import daily_bars_of
from alchemiser.service.host_watch import HostWatch
from alchemiser.service.kill_switch import KillSwitch
from alchemiser.service.live_feed import LiveFeed
from alchemiser.service.liveness import Liveness, LivenessParts
from alchemiser.service.messenger import Address, Messenger
from alchemiser.service.metrics import DaemonMetrics
from alchemiser.service.notify import ManagerNews, SystemdNotifier
from alchemiser.service.preview import PREVIEW, preview_now
from alchemiser.service.reconciliations import Reconciliations
from alchemiser.service.recovery import recover
from alchemiser.service.reload import Reload
from alchemiser.service.retention import Retention
from alchemiser.service.rules import guard_rules, ladder_rules, plan_rules, risk_limits, spin_offs, tactic_rules
from alchemiser.service.runtime import SeededRuntime
from alchemiser.service.scheduler import ClockHold, Scheduler, Timetable
from alchemiser.service.sessions import SessionTimes
from alchemiser.service.settings import Settings
from alchemiser.service.snapshots import SnapshotKeeper
from alchemiser.service.state import JournaledState
from alchemiser.service.stopping import StopParts, Stopping, stopping_on_signals
from alchemiser.service.story import Storyteller
from alchemiser.service.universe import Universe
from alchemiser.service.usable_quotes import UsableQuotes
from alchemiser.service.vitals import Vitals
from alchemiser.strategies.aside import at_once, in_thread
from alchemiser.strategies.base import LoadedStrategy
from alchemiser.strategies.handler import StrategyHandler
from alchemiser.strategies.reload import Reloader
from alchemiser.strategies.renewal import Renewal

Stream = Callable[[], Coroutine[Any, Any, None]]
"""Begins to listen to a stream, and does so until cancelled."""


class DaemonParts(Struct, frozen=True):
    """What a daemon is made of.

    ``reloader`` watches the files of the roster, ``warnings`` say by strategy what should be known about it, ``addresses`` are those of
    people who are told of what needs them, ``last_session`` ends the schedule, ``list_symbols`` lists more symbols on an embedded exchange,
    and ``is_threaded`` is false on virtual time. The ``kill_switch`` works beside the daemon and outlives it.
    ``read_settings`` reads the settings again, ``tell_repeats`` writes what the log still counts.
    """

    settings: Settings
    runtime: SeededRuntime
    journal: Journal
    venue: Venue
    calendar: TradingCalendar
    roster: Sequence[LoadedStrategy]
    reloader: Reloader
    account_number: str
    metrics: DaemonMetrics
    warnings: Mapping[str, Sequence[str]] = {}
    addresses: Sequence[Address] = ()
    last_session: date | None = None
    list_symbols: Callable[[Sequence[str]], None] | None = None
    is_threaded: bool = True
    kill_switch: KillSwitch | None = None
    read_settings: Callable[[], Settings] | None = None
    tell_repeats: Callable[[], None] = lambda: None


class Daemon:
    """One run of the daemon over its journal, its venue and its clock."""

    def __init__(self, parts: DaemonParts) -> None:
        settings, journal, clock = parts.settings, parts.journal, parts.runtime.clock
        self.parts = parts
        self.bus = Bus(clock=clock, tap=journal, first_sequence=journal.last_sequence + 1)
        self.state = JournaledState(self.bus.post)
        recovered = recover(self.state, journal)
        recovered.tell(self.state)
        self.snapshots = SnapshotKeeper(self.state, journal, every_events=settings.journal.snapshot_events, since=recovered.events)
        self.quotes = QuoteBook()
        self._usable = UsableQuotes(self.quotes, lambda: self.settings.market.quote_max_age_seconds)
        self._times = SessionTimes(parts.calendar, lambda: self.settings)
        self._run_aside = in_thread if parts.is_threaded else at_once
        self.gate = SubmitGate(now=clock.now, cut_off=self._times.cut_off, parked=self.state.parked.why)
        parts.venue.guard(self.gate.why_not)
        self.notifier = SystemdNotifier()
        loop_time = asyncio.get_running_loop().time
        self.vitals = Vitals(loop_time=loop_time, now=clock.now, limit_seconds=settings.service.turn_limit_seconds)
        self._hold = ClockHold(clock, self.state.rebalances.unfinished_id())
        # Each is made of those before it.
        self._make_strategies()
        self._make_planning()
        self._make_execution()
        self._make_comparisons(replayed=recovered.events)
        self._make_schedule()
        self._make_answers()
        self._make_news()
        self.wire()

    def _make_strategies(self) -> None:
        """Make what hears of the market, and the strategies that decide by it."""
        parts, settings, clock = self.parts, self.parts.settings, self.parts.runtime.clock
        # What the ledger holds is watched too, whoever bought it.
        symbols = sorted({symbol for strategy in parts.roster for symbol in strategy.symbols} | set(self.state.ledger.holdings()))
        sessions_needed = max(settings.market.history_sessions, *(strategy.bars_needed for strategy in parts.roster), 1)
        self.market = DecisionMarket(
            venue=parts.venue,
            quotes=self.quotes,
            clock=clock,
            post=self.bus.post,
            symbols=symbols,
            sessions_needed=sessions_needed,
            max_age_seconds=settings.market.quote_max_age_seconds,
            daily_bars=daily_bars_of(settings, parts.venue, clock, self._run_aside),
        )
        self.universe = Universe(
            symbols, venue=parts.venue, market=self.market, held=self.state.ledger.holdings, list_symbols=parts.list_symbols
        )
        self.activities = ActivityReader(parts.venue, self.state.ledger, spin_offs(settings), clock)
        self.strategies = StrategyHandler(
            Renewal(
                parts.roster,
                reloader=parts.reloader,
                supply=self.universe,
                publish=self.bus.publish,
                clock=clock,
                run_aside=self._run_aside,
            ),
            self.market,
            self.bus.publish,
            clock,
            run_aside=self._run_aside,
            unfinished=self.state.rebalances.unfinished_id,
        )

    def _make_planning(self) -> None:
        """Make what turns decisions into plans, and checks them."""
        parts, settings, clock = self.parts, self.parts.settings, self.parts.runtime.clock
        self.assets = AssetList(parts.venue.assets, clock=clock, wanted=lambda: self.universe.symbols)
        self.pre_trade = PreTrade(
            orders=self.state.orders,
            parked=self.state.parked,
            trading=self.state.trading,
            quotes=self.quotes,
            calendar=parts.calendar,
            cut_off=self._times.cut_off,
            limits=risk_limits(settings),
            mids=self._usable.mid,
            allocations=settings.allocations(),
        )
        self.planning = PortfolioParts(
            venue=parts.venue,
            ledger=self.state.ledger,
            clock=clock,
            publish=self.bus.publish,
            mids=self._usable.mid,
            assets=self.assets.of,
            check=self.pre_trade.check,
            rules=plan_rules(settings),
            allocations=settings.allocations(),
            unfinished=self.state.rebalances.unfinished_id,
            standing=self.state.standing,
            half_spreads=self._usable.half_spread,
            volatility=partial(self.market.volatility, sessions=settings.portfolio.volatility_sessions),
            trading=self.state.trading.scopes,
            catch_up=self.activities.catch_up,
            hear_of_the_night=self.activities.hear_of_the_night,
        )
        self.rebalancer = Rebalancer(self.planning)

    def _make_execution(self) -> None:
        """Make what works the orders of a plan, and reckons what they cost."""
        parts, settings, clock = self.parts, self.parts.settings, self.parts.runtime.clock
        self.execution = ExecutionHandler(
            ExecutionParts(
                venue=parts.venue,
                orders=self.state.orders,
                gate=self.gate,
                rebalances=self.state.rebalances,
                quotes=self._usable.quote,
                clock=clock,
                publish=self.bus.publish,
                durable=self.bus.durable,
                is_durable=self.bus.is_durable,
                session=self._times.session_of,
                cut_off=self._times.cut_off_on,
                rules=ladder_rules(settings),
                tactics=tactic_rules(settings),
                epoch=parts.journal.epoch,
            )
        )
        self.shortfall = ShortfallReporter(
            venue=parts.venue,
            clock=clock,
            publish=self.bus.publish,
            owed=self.state.overview.owed_shortfalls,
            is_over=lambda day: clock.now() >= self._times.session_of(day).closes_at,
        )
        self.day_comparison = DayComparison(
            ComparisonParts(
                record=self.state.day,
                venue=parts.venue,
                market=self.market,
                clock=clock,
                publish=self.bus.publish,
                strategies=lambda: self.strategies.strategies,
                run_aside=self._run_aside,
                limit_bps=settings.risk.live_backtest_limit_bps,
            )
        )

    def _make_comparisons(self, *, replayed: int) -> None:
        """Make what compares our state with the venue's, at the start and later."""
        parts, settings, clock = self.parts, self.parts.settings, self.parts.runtime.clock
        self.reconciler = Reconciler(
            ReconcilerParts(
                venue=parts.venue,
                orders=self.state.orders,
                parked=self.state.parked,
                holdings=self.state.ledger.holdings,
                cash=lambda: self.state.ledger.cash,
                unfinished=self.state.rebalances.unfinished_id,
                clock=clock,
                publish=self.bus.publish,
                post=self.bus.post,
                durable=self.bus.durable,
                epoch=parts.journal.epoch,
                attempts=settings.execution.reconcile_attempts,
                catch_up=self.activities.catch_up,
                last_compared=lambda: None if (last := self.state.overview.reconciled) is None else last.at,
            )
        )
        self.gaps = GapKeeper(
            reconciler=self.reconciler,
            orders=self.state.orders,
            clock=clock,
            publish=self.bus.publish,
            post=self.bus.post,
            replayed=replayed,
        )
        self.reconciliations = Reconciliations(every_seconds=settings.execution.reconcile_seconds, clock=clock, publish=self.bus.publish)

    def _make_schedule(self) -> None:
        """Make what says when: the stop, the timetable, new settings, old events."""
        parts, settings, clock = self.parts, self.parts.settings, self.parts.runtime.clock
        self.stopping = Stopping(
            StopParts(
                bus=self.bus,
                orders=self.state.orders,
                snapshots=self.snapshots,
                clock=clock,
                hold=partial(self.execution.stop, cancel_orders=False),
                cancel=partial(self.execution.stop, cancel_orders=True),
                seconds=settings.service.stop_seconds,
                cancels_orders=settings.service.cancel_orders_on_stop,
                tell_repeats=parts.tell_repeats,
            )
        )
        result = self.state.overview.result
        self.scheduler = Scheduler(
            timetable=Timetable(
                calendar=parts.calendar,
                decide=self._times.decision,
                cut_off=self._times.cut_off,
                last=parts.last_session,
            ),
            clock=clock,
            publish=self.bus.publish,
            rebalances=self.state.rebalances,
            reported=result.session if result else None,
        )
        self.adoption = Adoption(self, run_aside=self._run_aside)
        self.reload = Reload(
            settings,
            read=parts.read_settings,
            takes=self.adoption,
            publish=self.bus.publish,
            durable=self.bus.durable,
            clock=clock,
            run_aside=self._run_aside,
            unfinished=self.state.rebalances.unfinished_id(),
        )
        kept, path = settings.journal, parts.journal.path
        self.retention = Retention(path, retention_days=kept.retention_days, archive_days=kept.archive_days, run_aside=self._run_aside)

    def _make_answers(self) -> None:
        """Make what answers questions, and the guards that ask them."""
        parts, settings, clock = self.parts, self.parts.settings, self.parts.runtime.clock
        self.host = HostWatch(order=self.state.orders.get, clock=clock, state=settings.service.state)
        self.answers = Answers(
            state=self.state,
            bus=self.bus,
            gate=self.gate,
            quotes=self.quotes,
            vitals=self.vitals,
            journal=parts.journal,
            calendar=parts.calendar,
            clock=clock,
            preview=lambda: preview_now(self.planning, partial(self.strategies.answer, PREVIEW), parts.calendar),
            cut_off=self._times.cut_off,
            reconciliations=self.reconciliations,
            stop=self.stopping.told,
            rearm=self.rearm,
            kill_switch=parts.kill_switch,
            host_alarms=self.host.alarms,
            reload=self.reload.ask,
        )
        self.guards = GuardKeeper(
            GuardParts(
                state=self.state.guards,
                trading=self.state.trading.scopes,
                rules=guard_rules(settings),
                clock=clock,
                publish=self.bus.publish,
                books=self.answers.books,
                marks=self.answers.marks,
                ages=self.answers.quote_ages,
            )
        )

    def _make_news(self) -> None:
        """Make what counts, tells people, and proves that the bus turns."""
        parts, settings, clock = self.parts, self.parts.settings, self.parts.runtime.clock
        self.collector = Collector(lambda: self.state.rebalances.unfinished is None)
        self.metrics = parts.metrics
        self.metrics.read_from(self.answers.gauges)
        self.messenger = Messenger(
            settings.notifications,
            parts.addresses,
            history=self.answers.history,
            orders=self.answers.orders,
            count=self.metrics.messages.add,
            random=parts.runtime.random,
        )
        self.liveness = Liveness(
            LivenessParts(
                bus=self.bus,
                vitals=self.vitals,
                metrics=self.metrics,
                notifier=self.notifier,
                reloader=parts.reloader,
                clock=clock,
                limit_seconds=lambda: self.settings.service.turn_limit_seconds,
                waits=lambda: self.strategies.is_waiting,
                tidy=self.collector.tidy if parts.is_threaded else lambda: None,
            )
        )

    def wire(self) -> None:
        """Say who listens to what. Inline listeners run in this order within an event; mailboxes have tasks of their own."""
        bus, state = self.bus, self.state
        quotes = (QuoteUpdated, TradePrinted, TradingStatusChanged)

        bus.subscribe_inline("clock hold", ClockHold.listens_to, self._hold)
        bus.subscribe_inline("settings", Reload.listens_to, self.reload)
        bus.subscribe_inline("quote book", quotes, self.quotes)
        bus.subscribe_acts("order states", state.orders.acts)
        # What a fill or a quote leads to leaves before anything else is done about it: the books can wait.
        by_symbol = latest_per(lambda event: event.symbol, only=(QuoteUpdated,))
        bus.subscribe(
            "execution",
            self.execution.listens_to,
            self.execution.handle,
            capacity=4096,
            policy=by_symbol,
            promptly=(OrderFilled, QuoteUpdated),
            wants=self.execution.wants,
        )
        bus.subscribe_inline("parked symbols", state.parked.listens_to, state.parked)
        bus.subscribe_acts("ledger", state.ledger.acts)
        bus.subscribe_acts("standing targets", state.standing.acts)
        bus.subscribe_acts("rebalances", state.rebalances.acts)
        bus.subscribe_inline("trading state", state.trading.listens_to, state.trading)
        bus.subscribe_inline("guard state", state.guards.listens_to, state.guards)
        bus.subscribe_inline("day record", DayRecord.listens_to, state.day)
        bus.subscribe_inline("submit gate", SubmitGate.listens_to, self.gate)
        bus.subscribe_inline("gap notes", GapKeeper.notes, self.gaps.note)
        bus.subscribe_inline("reconciliations", Reconciliations.listens_to, self.reconciliations)
        bus.subscribe_inline("overview", state.overview.listens_to, state.overview)
        bus.subscribe_inline("schedule", Scheduler.listens_to, self.scheduler)
        bus.subscribe_afterwards("host watch", HostWatch.listens_to, self.host)
        bus.subscribe_afterwards("metrics", self.metrics.event_types, self.metrics.observe)
        bus.subscribe_afterwards("story", Storyteller.listens_to, Storyteller())
        bus.subscribe_afterwards("live feed", LiveFeed.listens_to, self.answers.feed)
        bus.subscribe_afterwards("messages", Messenger.listens_to, self.messenger)
        if self.parts.is_threaded:
            bus.subscribe_afterwards("collector", Collector.listens_to, self.collector)
        bus.subscribe_inline("stop", Stopping.listens_to, self.stopping)
        if self.parts.kill_switch is not None:
            bus.subscribe_inline("kill switch", KillSwitch.listens_to, self.parts.kill_switch)
        bus.subscribe_inline("systemd", ManagerNews.listens_to, ManagerNews(self.notifier, self.parts.journal.epoch))
        bus.subscribe_inline("snapshots", SnapshotKeeper.listens_to, self.snapshots)

        bus.subscribe("history", self.market.listens_to, self.market.handle, limit_seconds=120.0)
        bus.subscribe("asset list", self.assets.listens_to, self.assets.handle, limit_seconds=60.0)
        bus.subscribe("activities", self.activities.listens_to, self.activities.handle, limit_seconds=60.0)
        bus.subscribe("strategies", self.strategies.listens_to, self.strategies.handle, limit_seconds=120.0)
        rebalancer = self.rebalancer
        bus.subscribe("rebalancer", rebalancer.listens_to, rebalancer.handle, wants=rebalancer.wants, limit_seconds=60.0)
        bus.subscribe("gap keeper", self.gaps.listens_to, self.gaps.handle, limit_seconds=120.0)
        newest = latest_per(type, only=(BarClosed, TimerElapsed))
        bus.subscribe("guards", GuardKeeper.listens_to, self.guards.handle, policy=newest)
        bus.subscribe("shortfall", ShortfallReporter.listens_to, self.shortfall.handle, limit_seconds=60.0)
        bus.subscribe("day comparison", DayComparison.listens_to, self.day_comparison.handle, limit_seconds=120.0)
        bus.subscribe("retention", Retention.listens_to, self.retention.handle, limit_seconds=120.0)

    # --- life ---

    async def run(self, streams: Sequence[Stream], *, turn_seconds: float | None, takes_signals: bool) -> int:
        """Run until the sessions are over or somebody stops it, and return the exit code.

        ``streams`` are the coroutine functions of the two streams. A signal asks for an orderly stop, a second one for haste.
        ``turn_seconds`` is how often the bus is probed, by default twice within the time in which it must turn round.
        """
        async with asyncio.TaskGroup() as group, stopping_on_signals(self.stopping.ask_again, enabled=takes_signals):
            started = asyncio.Event()
            tasks = [
                group.create_task(self.bus.run(started.set), name="bus"),
                group.create_task(self.execution.run(), name="execution"),
                group.create_task(self.liveness.run(turn_seconds), name="bus round trips"),
            ]
            await started.wait()
            await self._announce()
            sources = [group.create_task(stream(), name=f"stream {number}") for number, stream in enumerate(streams)]
            sources.append(group.create_task(self._until_the_end(), name="schedule"))
            sources.append(group.create_task(self.reconciliations.run(), name="reconciliation timer"))
            sources.append(group.create_task(self.activities.run(), name="activities not read"))
            tasks.append(group.create_task(self.messenger.run(), name="messages"))
            await self.stopping.wait()
            self.notifier.stopping(self.stopping.reason)
            code = await self.stopping.run(sources)
            await self.messenger.settled()
            for task in tasks:
                task.cancel("the daemon has stopped")
        return code

    def request_stop(self, reason: str) -> None:
        """Begin the stop; the first reason counts."""
        self.stopping.ask(reason)

    async def _announce(self) -> None:
        parts = self.parts
        await say_first_words(
            self.bus,
            at=parts.runtime.clock.now(),
            settings=parts.settings,
            journal=parts.journal,
            state=self.state,
            account_number=parts.account_number,
            warnings=parts.warnings,
        )
        if parts.kill_switch is not None:
            parts.kill_switch.attach(
                post=self.bus.post,
                books=lambda: {name: book.holdings() for name, book in self.state.ledger.books.items()},
                close_gate=self.gate.kill,
                heard=self._killed_at,
                known=self.state.orders.get,
            )

    async def _until_the_end(self) -> None:
        await self.scheduler.run()
        await self.day_comparison.settled()
        self.request_stop("the last session is over")

    @property
    def settings(self) -> Settings:
        """The settings by which the daemon works now."""
        return self.reload.running

    def plan_with(self, planning: PortfolioParts) -> None:
        """Make plans and previews with these from now on; no plan is being made."""
        self.planning = planning
        self.rebalancer.work_with(planning)

    async def rearm(self, guard: str, strategy: str | None, *, by: str, reason: str, reset: bool) -> dict[str, Any]:
        """Arm a guard again; see :meth:`GuardKeeper.rearm`."""
        return await self.guards.rearm(guard, strategy, by=by, reason=reason, reset=reset)

    def _killed_at(self) -> datetime | None:
        killed = self.state.trading.killed
        return None if killed is None else killed.pulled_at
