"""The daemon of the latency benchmarks: whole, in a process of its own, trading plans that the benchmark makes up.

It is wired by ``service.daemon.Daemon`` over a journal on disk, with Alpaca's REST client and both streams, and logs as a service does.
Only the decision is missing: as soon as one rebalance has ended, the next plan is published.
"""

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import uvloop
from pydantic import SecretStr
from venue import ACCOUNT, START, Address

from alchemiser.alpaca.credentials import Credentials
from alchemiser.alpaca.market_stream import MarketStream
from alchemiser.alpaca.order_stream import OrderStream
from alchemiser.alpaca.venue import AlpacaVenue
from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import RebalanceCompleted, RebalanceParked, RebalancePlanned, SessionOpened
from alchemiser.domain.ids import rebalance_id
from alchemiser.domain.intents import Intent, Wish
from alchemiser.domain.orders import Side
from alchemiser.journal.journal import Journal
from alchemiser.market.calendar import TradingCalendar
from alchemiser.service.clock import LeapClock
from alchemiser.service.collector import spare_the_living
from alchemiser.service.daemon import Daemon, DaemonParts
from alchemiser.service.logs import configure_logging
from alchemiser.service.metrics import DaemonMetrics
from alchemiser.service.offline import JOURNAL_FILE
from alchemiser.service.runtime import SeededRuntime
from alchemiser.service.settings import Settings
from alchemiser.service.settings_load import load_settings
from alchemiser.service.start import SWITCH_SECONDS
from alchemiser.strategies.reload import Reloader

STRATEGY = "benchmark"
PRICE = Decimal(100)
"""The arrival price of every intent."""

Wanted = tuple[str, Side, Decimal]
"""Symbol, side and shares of one intent."""


@dataclass(frozen=True)
class Script:
    """What the daemon trades: the intents of its rebalances, one after the other, and the cash that each begins with."""

    symbols: tuple[str, ...]
    rebalances: tuple[tuple[Decimal, tuple[Wanted, ...]], ...]


def trade(address: Address, state: Path, script: Script) -> None:
    """Run the daemon until the process is ended; the body of its process."""
    sys.stderr = (state / "daemon.log").open("w")
    configure_logging(style="json")
    sys.setswitchinterval(SWITCH_SECONDS)
    uvloop.run(_trade(address, state, script))


async def _trade(address: Address, state: Path, script: Script) -> None:
    settings = _settings(state)
    clock = LeapClock(START, speed=1.0, leaps=False)
    runtime = SeededRuntime(clock, seed=1)
    credentials = Credentials(SecretStr("key"), SecretStr("secret"))
    metrics = DaemonMetrics()
    venue = AlpacaVenue(
        credentials,
        trading_url=address.rest,
        data_url=address.rest,
        clock=clock,
        random=runtime.random,
        on_request=metrics.on_request,
    )
    linger = settings.journal.group_commit_milliseconds / 1000
    with Journal.open(state / JOURNAL_FILE, new_epoch=lambda: "bench1", linger_seconds=linger) as journal:
        async with venue:
            daemon = Daemon(
                DaemonParts(
                    settings=settings,
                    runtime=runtime,
                    journal=journal,
                    venue=venue,
                    calendar=TradingCalendar.new_york(),
                    roster=(),
                    reloader=Reloader(()),
                    account_number=ACCOUNT["account_number"],
                    metrics=metrics,
                )
            )
            events = (SessionOpened, RebalanceCompleted, RebalanceParked)
            daemon.bus.subscribe_inline("script", events, _follow(script, daemon))
            orders = OrderStream(f"{address.stream}/stream", credentials, publish=daemon.bus.publish, clock=clock, random=runtime.random)
            quotes = MarketStream(
                f"{address.stream}/v2/sip",
                credentials,
                symbols=script.symbols,
                post=daemon.bus.post,
                publish=daemon.bus.publish,
                clock=clock,
                random=runtime.random,
            )
            spare_the_living()
            await daemon.run([orders.run, quotes.run], turn_seconds=1.0, takes_signals=False)


def _settings(state: Path) -> Settings:
    """Return the defaults, but for bounds that a benchmark runs into sooner than a trader."""
    overrides = {
        "service.state": state,
        "market.quote_max_age_seconds": 100_000.0,
        "execution.ladder": [Decimal(1)],
        "execution.repeg_seconds": 600.0,
        "execution.order_deadline_seconds": 3600.0,
        "risk.max_orders_per_day": 1_000_000,
    }
    return load_settings(overrides=overrides, environ={}, directory=state, secrets=()).settings


def _follow(script: Script, daemon: Daemon) -> Callable[[Envelope], None]:
    """Return the listener that publishes the first plan when the session is open, and the next whenever one has ended."""
    plans = iter(_plans(script))

    def next_plan(envelope: Envelope) -> None:
        if isinstance(envelope.event, RebalanceParked):
            raise AssertionError(f"the daemon parked what the benchmark needs: {envelope.event}")
        plan = next(plans, None)
        if plan is not None:
            daemon.bus.post(plan)

    return next_plan


def _plans(script: Script) -> Iterable[RebalancePlanned]:
    for number, (cash, wanted) in enumerate(script.rebalances, 1):
        yield RebalancePlanned(
            at=START,
            rebalance_id=rebalance_id(START.date(), number),
            session=START.date(),
            equity=Decimal(ACCOUNT["equity"]),
            cash=cash,
            target={},
            prices=dict.fromkeys(script.symbols, PRICE),
            capital={STRATEGY: Decimal(ACCOUNT["equity"])},
            intents=tuple(
                Intent(
                    intent_id=symbol,
                    symbol=symbol,
                    side=side,
                    quantity=shares,
                    reference_price=PRICE,
                    drift=0.01,
                    wishes=(Wish(strategy=STRATEGY, quantity=shares),),
                )
                for symbol, side, shares in wanted
            ),
            denials=(),
            crossings=(),
        )
