"""The alerts as drills: one day in the simulation in which things go wrong and the runbook's safe actions mend them.

The daemon's own ``/metrics`` is scraped every minute of market time, through its door. What was scraped is handed to Prometheus's own tool
with the rules of ``deploy/alerts.yml``: each alert that the day provokes has to stand when it should and to be gone when it should.
"""

import json
import re
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from alchemiser.exchange.access import Credentials
from alchemiser.service.clock import VirtualClock
from alchemiser.strategies.python import MarketView
from tests.component.test_alerts import ALERTS, RULES
from tests.simulation.days import simulate
from tests.simulation.traders import ShippedRotation
from tests.solipsism import LoopConnector

PROMTOOL = shutil.which("promtool")
TOKEN = "the-token-of-the-drills"
KEYS = Credentials("PKDRILL", "a-secret-of-the-drill")
EXCHANGE, DAEMON = "http://127.0.0.1:8001", "http://127.0.0.1:8099"
DAY = datetime(2025, 1, 2, tzinfo=UTC)
NAMED = frozenset(re.findall(r"\b(?:alchemiser|process)_\w+", " ".join(expression for _, expression, _ in ALERTS)))


class Moody(ShippedRotation):
    """Cannot decide before three o'clock."""

    has_failed = False

    def decide(self, market: MarketView) -> Mapping[str, float]:
        """Fail the first time."""
        if not Moody.has_failed:
            Moody.has_failed = True
            raise ValueError("not today")
        return super().decide(market)


class Drill:
    """The operator, the monitoring, and whatever goes wrong, beside the daemon."""

    def __init__(self) -> None:
        self.series: dict[str, dict[int, float]] = defaultdict(dict)
        self.fires: dict[str, int] = {}
        self.clears: dict[str, int] = {}

    async def day(self, clock: VirtualClock) -> None:
        """Live through the day."""
        self.clock = clock
        async with aiohttp.ClientSession(connector=LoopConnector()) as self.http:
            for step in (self.halt, self.refusals, self.stream, self.pause, self.hand, self.venue):
                await step()
            await self.until("21:20")

    async def halt(self) -> None:
        """A request for an order gets no answer, and somebody halts trading in the middle of the rebalance; it is resumed."""
        await self.until("14:33")
        await self.fault(kind="timeout_after_effect", method="POST", path="/v2/orders", seconds=2.0)
        await self.tell("rebalance")
        await self.clock.sleep(1.0)
        await self.tell("halt")
        await self.until("14:36")
        self.stands("AlchemiserRebalanceParked", "AlchemiserOutcomeUnknown")
        await self.tell("resume")

    async def refusals(self) -> None:
        """The broker refuses, a strategy fails, a guard trips; the guard is armed again."""
        await self.until("14:40")
        await self.fault(kind="refuse_order", reason="buying_power", times=6)
        await self.tell("rebalance")
        await self.until("14:50")
        self.stands("AlchemiserOrdersRefused", "AlchemiserStrategyFailed", "AlchemiserGuardTripped")
        await self.tell("rearm", guard="rejects", reset=True)
        await self.until("15:08")
        self.is_gone("AlchemiserOrdersRefused", "AlchemiserGuardTripped", "AlchemiserOutcomeUnknown")

    async def stream(self) -> None:
        """The order stream is away for a quarter of an hour, and comes back by itself."""
        await self.fault(kind="drop_stream", stream="orders")
        await self.fault(kind="refuse_stream", stream="orders", status=503, times=10_000)
        await self.until("15:53")
        self.stands("AlchemiserStreamDown", "AlchemiserGapOpen", "AlchemiserNotReady")
        await self.mend()
        await self.until("16:00")
        self.is_gone("AlchemiserStreamDown", "AlchemiserGapOpen", "AlchemiserNotReady")

    async def pause(self) -> None:
        """Somebody paused trading and forgot; it is resumed."""
        await self.tell("pause")
        await self.until("16:18")
        self.stands("AlchemiserTradingRestricted", "AlchemiserNotReady")
        await self.tell("resume")
        await self.until("16:20")
        self.is_gone("AlchemiserTradingRestricted", "AlchemiserStrategyFailed", "AlchemiserRebalanceParked")

    async def hand(self) -> None:
        """Somebody sells by hand what a strategy holds; it is bought back at the same price, and compared: what agrees is cleared."""
        symbol = max(await self.ask("positions"), key=lambda row: float(row["quantity"]))["symbol"]
        quote = {"symbol": symbol, "bid": 100.0, "bid_size": 100, "ask": 100.0, "ask_size": 100}
        await self.http.post(f"{EXCHANGE}/_exchange/quote", json=quote, raise_for_status=True)
        await self.by_hand("sell", symbol)
        await self.tell("reconcile")
        await self.until("16:30")
        self.stands("AlchemiserLedgerDiffers", "AlchemiserSymbolParked")
        await self.by_hand("buy", symbol)
        await self.tell("reconcile")
        await self.until("16:40")
        self.is_gone("AlchemiserLedgerDiffers", "AlchemiserSymbolParked")

    async def venue(self) -> None:
        """The broker's API answers badly for ten minutes."""
        await self.fault(kind="http", method="GET", path="/v2/", status=503, times=100_000)
        for minute in range(41, 53):
            while self.minute < 16 * 60 + minute:
                await self.tell("reconcile", accepts=(200, 409))
                await self.clock.sleep(10.0)
            await self.scrape()
        self.stands("AlchemiserVenueErrors")
        await self.mend()
        await self.until("17:05")
        self.is_gone("AlchemiserVenueErrors")

    # --- what it takes ---

    @property
    def minute(self) -> int:
        """Minutes since midnight, which is where the series begin."""
        return int((self.clock.now() - DAY) / timedelta(minutes=1))

    def stands(self, *alerts: str) -> None:
        """Say that these alerts stand now."""
        self.fires |= dict.fromkeys(alerts, self.minute)

    def is_gone(self, *alerts: str) -> None:
        """Say that these alerts are gone by now."""
        self.clears |= dict.fromkeys(alerts, self.minute)

    async def until(self, when: str) -> None:
        """Scrape every minute until that time."""
        hours, minutes = map(int, when.split(":"))
        until = DAY + timedelta(hours=hours, minutes=minutes)
        while self.clock.now() < until:
            await self.clock.sleep_until(DAY + timedelta(minutes=self.minute + 1))
            await self.scrape()

    async def scrape(self) -> None:
        """Take down what Prometheus would."""
        try:
            async with self.http.get(f"{DAEMON}/metrics") as answer:
                text = await answer.text()
        except (aiohttp.ClientError, OSError):
            self.series['up{job="alchemiser"}'][self.minute] = 0
            return
        self.series['up{job="alchemiser"}'][self.minute] = 1
        for name, labels, value in re.findall(r"^(\w+)(\{.*\})? (\S+)$", text, flags=re.MULTILINE):
            if name in NAMED:
                self.series[f"{name}{labels}"][self.minute] = float(value)

    async def fault(self, **fault: Any) -> None:
        """Have something go wrong at the exchange."""
        async with self.http.post(f"{EXCHANGE}/_exchange/faults", json=[fault]) as answer:
            assert answer.status == 200, await answer.text()

    async def mend(self) -> None:
        """Have nothing go wrong any more."""
        await self.http.delete(f"{EXCHANGE}/_exchange/faults", raise_for_status=True)

    async def tell(self, action: str, *, accepts: tuple[int, ...] = (200,), **arguments: Any) -> None:
        """Do what the runbook says."""
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with self.http.post(f"{DAEMON}/api/v1/{action}", json=arguments, headers=headers) as answer:
            assert answer.status in accepts, f"{action}: {await answer.text()}"

    async def ask(self, resource: str) -> Any:
        """Ask the daemon."""
        async with self.http.get(f"{DAEMON}/api/v1/{resource}") as answer:
            return (await answer.json())[resource]

    async def by_hand(self, side: str, symbol: str) -> None:
        """Trade past the daemon, on the broker's page."""
        order = {"symbol": symbol, "side": side, "qty": "3", "type": "market", "time_in_force": "day"}
        headers = {"APCA-API-KEY-ID": KEYS.key_id, "APCA-API-SECRET-KEY": KEYS.secret_key}
        async with self.http.post(f"{EXCHANGE}/v2/orders", json=order, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
        await self.clock.sleep(5.0)


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.skipif(PROMTOOL is None, reason="needs promtool, of Debian's package prometheus")
def test_what_goes_wrong_raises_its_alert_and_the_safe_action_clears_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the daemon's own figures and Prometheus's own reading of the rules."""
    monkeypatch.setattr(Credentials, "generate", classmethod(lambda kind: KEYS))
    monkeypatch.setattr(Moody, "has_failed", False)
    drill = Drill()
    overrides = {
        "service.token": TOKEN,
        "market.history_sessions": 30,
        "risk.guards.rejects.limit": 3,
        "strategies": {
            "rotation": {"source": "tests.simulation.traders:ShippedRotation"},
            "moody": {"source": f"{__name__}:Moody"},
        },
    }
    assert simulate(tmp_path / "state", overrides=overrides, beside=drill.day) == 0
    down = [minute for minute, value in drill.series['up{job="alchemiser"}'].items() if value == 0]
    drill.fires["AlchemiserDown"], drill.clears["AlchemiserDown"] = down[0] + 5, down[0] - 5

    assert drill.fires.keys() == drill.clears.keys()
    asked = [(name, at, True) for name, at in drill.fires.items()] + [(name, at, False) for name, at in drill.clears.items()]
    assert told_by_prometheus(drill, asked, tmp_path) == ""


def value_at(values: Mapping[int, float], minute: int) -> str:
    """Return a value in the tool's spelling; a series that is gone from a scrape is stale from then on."""
    return str(values[minute]) if minute in values else "stale" if minute - 1 in values else "_"


def told_by_prometheus(drill: Drill, asked: list[tuple[str, int, bool]], folder: Path) -> str:
    """Return what Prometheus's tool complains of, when it is asked whether each of these alerts stands at a minute."""
    last = max(minute for values in drill.series.values() for minute in values)
    series = [
        {"series": name, "values": " ".join(value_at(values, minute) for minute in range(last + 1))}
        for name, values in drill.series.items()
    ]
    questions = [
        {
            "expr": f'max by (alertname) (ALERTS{{alertname="{name}", alertstate="firing"}})',
            "eval_time": f"{minute}m",
            "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1}] if stands else [],
        }
        for name, minute, stands in asked
    ]
    case = {"interval": "1m", "input_series": series, "promql_expr_test": questions}
    file = folder / "drill.yml"
    file.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [case]}))
    done = subprocess.run([str(PROMTOOL), "test", "rules", str(file)], check=False, capture_output=True, text=True, timeout=60)
    return "" if done.returncode == 0 else re.sub(r"\s*\n\s*", " ", done.stdout + done.stderr)
