"""How the daemon takes new settings: for every room what is made of them, and the one place where each gets it.

Everything that can fail is made first (:meth:`Adoption.prepare`); taking it is assignments alone, so no reload stops half way.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING

import structlog
from msgspec import Struct
from msgspec.structs import replace

from alchemiser.domain.activities import SpinOff
from alchemiser.domain.events import StrategyReloaded, StrategyWarned
from alchemiser.execution.ladder import LadderRules
from alchemiser.execution.tactics import TacticRules
from alchemiser.portfolio.plan import PlanRules
from alchemiser.risk.checks import RiskLimits
from alchemiser.risk.guards import GuardName, GuardRule
from alchemiser.service.messenger import Address, addresses
from alchemiser.service.roster import wanted_strategies
from alchemiser.service.rules import guard_rules, ladder_rules, plan_rules, risk_limits, spin_offs, tactic_rules
from alchemiser.service.settings import Settings
from alchemiser.strategies.aside import RunAside
from alchemiser.strategies.renewal import Roster

if TYPE_CHECKING:  # The daemon makes its adoption, which knows every room of it: at run time only one of them can import the other.
    from alchemiser.service.daemon import Daemon

_log = structlog.get_logger(__name__)


class Prepared(Struct, frozen=True):
    """What new settings mean to each room."""

    settings: Settings
    roster: Roster
    addresses: Sequence[Address]
    allocations: Mapping[str, Decimal]
    plan: PlanRules
    limits: RiskLimits
    guards: Mapping[GuardName, GuardRule]
    ladder: LadderRules
    tactics: TacticRules
    spin_offs: Mapping[str, SpinOff]


class Adoption:
    """Implements what ``service.reload`` asks of the daemon."""

    def __init__(self, daemon: "Daemon", *, run_aside: RunAside) -> None:
        self._daemon = daemon
        self._run_aside = run_aside
        self.beside: list[Callable[[Settings], None]] = []
        """Who takes settings and is no part of the daemon: logs, keys, streams."""

    async def prepare(self, settings: Settings, *, admits: bool) -> Prepared:
        """Make everything that can fail.

        Raises ``ConfigError`` and ``StrategyError`` for what is wrong, with ``admits`` also ``DataError`` and ``VenueError`` when the
        prices of a strategy cannot be had.
        """
        return Prepared(
            settings=settings,
            addresses=await self._run_aside(partial(addresses, settings.notifications)),
            allocations=settings.allocations(),
            plan=plan_rules(settings),
            limits=risk_limits(settings),
            guards=guard_rules(settings),
            ladder=ladder_rules(settings),
            tactics=tactic_rules(settings),
            spin_offs=spin_offs(settings),
            roster=await self._daemon.strategies.prepare(wanted_strategies(settings), admits=admits),
        )

    def take_at_once(self, prepared: Prepared) -> None:
        """Work by the new settings from now on, but for decisions. Who reads the settings each time needs no word."""
        daemon, settings = self._daemon, prepared.settings
        service, execution = settings.service, settings.execution
        daemon.market.max_age_seconds = settings.market.quote_max_age_seconds
        daemon.activities.spin_offs = prepared.spin_offs
        daemon.snapshots.every_events = settings.journal.snapshot_events
        daemon.retention.retention_days = settings.journal.retention_days
        daemon.retention.archive_days = settings.journal.archive_days
        daemon.vitals.limit_seconds = service.turn_limit_seconds
        daemon.stopping.allow(seconds=service.stop_seconds, cancels_orders=service.cancel_orders_on_stop)
        daemon.reconciliations.every_seconds = execution.reconcile_seconds
        daemon.reconciler.ask_at_most(execution.reconcile_attempts)
        daemon.day_comparison.limit(settings.risk.live_backtest_limit_bps)
        daemon.guards.work_by(prepared.guards)
        daemon.messenger.write_by(settings.notifications, prepared.addresses)
        for take in self.beside:
            take(settings)

    def take_for_decisions(self, prepared: Prepared) -> None:
        """Decide, plan, check and work orders by the new settings; nothing is under way."""
        daemon = self._daemon
        renewed = daemon.strategies.take(prepared.roster)
        daemon.pre_trade.check_by(prepared.limits, prepared.allocations)
        daemon.execution.work_by(prepared.ladder, prepared.tactics)
        volatility = partial(daemon.market.volatility, sessions=prepared.settings.portfolio.volatility_sessions)
        daemon.plan_with(replace(daemon.planning, rules=prepared.plan, allocations=prepared.allocations, volatility=volatility))
        now = daemon.parts.runtime.clock.now()
        for name, book in sorted(daemon.state.ledger.books.items()):
            if name not in prepared.allocations and (held := book.holdings()):
                text = (
                    f"it is no longer in the settings, and nobody sells its {', '.join(held)}: give it the share 0 for one decision first"
                )
                daemon.bus.post(StrategyWarned(at=now, strategy=name, warnings=(text,)))
        for name in renewed:
            changes = ("its settings: another source, or other rules of reading",)
            daemon.bus.post(StrategyReloaded(at=now, strategy=name, changes=changes))
        _log.info("settings_decide", strategies=list(prepared.allocations), action="the next decision is made by the new settings")
