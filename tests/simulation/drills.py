"""What a drill of the alerts needs: whoever watches, what goes wrong, and Prometheus's opinion of it.

A drill lives beside a simulated daemon. It scrapes the daemon's own ``/metrics`` at moments of market time, through the door, does what the
runbook calls safe, and notes which alerts have to stand when, and to be gone when. What was scraped goes into Prometheus's own tool with
the rules of ``deploy/alerts.yml``.
"""

import itertools
import json
import re
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp

from alchemiser.exchange.access import Credentials
from alchemiser.service.clock import VirtualClock
from tests.component.test_alerts import ALERTS, RULES
from tests.solipsism import LoopConnector

PROMTOOL = shutil.which("promtool")
TOKEN = "the-token-of-the-drills"
KEYS = Credentials("PKDRILL", "a-secret-of-the-drill")
EXCHANGE, DAEMON = "http://127.0.0.1:8001", "http://127.0.0.1:8099"
DAY = datetime(2025, 1, 2, tzinfo=UTC)
NAMED = frozenset(re.findall(r"\b(?:alchemiser|process)_\w+", " ".join(expression for _, expression, _ in ALERTS)))
UP = 'up{job="alchemiser"}'
STALE_AFTER_MINUTES = 120
"""Where nobody scraped for longer, a new case begins for Prometheus: it has not to live through days of which nothing is known."""


class Drill:
    """The operator and the monitoring beside a daemon; times are minutes since the first midnight."""

    clock: VirtualClock
    http: aiohttp.ClientSession

    def __init__(self) -> None:
        self.series: dict[str, dict[int, float]] = defaultdict(dict)
        self.asked: list[tuple[str, int, bool]] = []
        self.carried_out: set[tuple[str, str]] = set()

    def life(self, *steps: Callable[[], Awaitable[None]]) -> Callable[[VirtualClock], Awaitable[None]]:
        """Return what goes on beside one daemon, from its start on."""

        async def live(clock: VirtualClock) -> None:
            self.clock = clock
            async with aiohttp.ClientSession(connector=LoopConnector()) as self.http:
                for step in steps:
                    await step()

        return live

    # --- what is noted ---

    @property
    def minute(self) -> int:
        """Minutes since midnight, which is where the series begin."""
        return int((self.clock.now() - DAY) / timedelta(minutes=1))

    def stands(self, *alerts: str) -> None:
        """Say that these alerts stand now."""
        self.asked += [(alert, self.minute, True) for alert in alerts]

    def is_gone(self, *alerts: str) -> None:
        """Say that these alerts are gone by now."""
        self.asked += [(alert, self.minute, False) for alert in alerts]

    def does(self, alert: str, phrase: str) -> None:
        """Say that a safe action of the runbook has been carried out, and that it did what it is there for."""
        self.carried_out.add((alert, phrase))

    def provoked(self) -> set[str]:
        """Return the alerts that stood at some time and were gone at another."""
        stood, gone = ({name for name, _, stands in self.asked if stands is what} for what in (True, False))
        return stood & gone

    # --- what it takes ---

    async def until(self, when: str, *, day: int = 2, scrapes: bool = True) -> None:
        """Scrape every minute until that time of that day of January, or let the time pass."""
        hours, minutes = map(int, when.split(":"))
        until = DAY.replace(day=day) + timedelta(hours=hours, minutes=minutes)
        while scrapes and self.clock.now() < until:
            await self.clock.sleep_until(DAY + timedelta(minutes=self.minute + 1))
            await self.scrape()
        await self.clock.sleep_until(until)

    async def scrape(self) -> None:
        """Take down what Prometheus would."""
        try:
            async with self.http.get(f"{DAEMON}/metrics") as answer:
                text = await answer.text()
        except (aiohttp.ClientError, OSError):
            self.series[UP][self.minute] = 0
            return
        self.take(self.minute, text)

    def take(self, minute: int, text: str) -> None:
        """Take down one scrape."""
        self.series[UP][minute] = 1
        for name, labels, value in re.findall(r"^(\w+)(\{.*\})? (\S+)$", text, flags=re.MULTILINE):
            if name in NAMED:
                job = '{job="alchemiser"}' if name.startswith("process_") else labels
                self.series[f"{name}{job}"][minute] = float(value)

    async def fault(self, **fault: Any) -> None:
        """Have something go wrong at the exchange."""
        async with self.http.post(f"{EXCHANGE}/_exchange/faults", json=[fault]) as answer:
            assert answer.status == 200, await answer.text()

    async def mend(self) -> None:
        """Have nothing go wrong any more."""
        await self.http.delete(f"{EXCHANGE}/_exchange/faults", raise_for_status=True)

    async def tell(self, action: str, *, accepts: tuple[int, ...] = (200,), **arguments: Any) -> Any:
        """Do what the runbook says, and return what the daemon answers."""
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with self.http.post(f"{DAEMON}/api/v1/{action}", json=arguments, headers=headers) as answer:
            assert answer.status in accepts, f"{action}: {await answer.text()}"
            return await answer.json()

    async def ask(self, resource: str) -> Any:
        """Ask the daemon."""
        async with self.http.get(f"{DAEMON}/api/v1/{resource}") as answer:
            return await answer.json()

    async def reasons(self) -> set[str]:
        """Return the codes of what ``/readyz`` tells now."""
        async with self.http.get(f"{DAEMON}/readyz") as answer:
            return {reason["code"] for reason in (await answer.json())["reasons"]}

    async def at_the_broker(self, method: str, path: str, **body: Any) -> Any:
        """Do something past the daemon: on the broker's page, or by another program with the same key."""
        headers = {"APCA-API-KEY-ID": KEYS.key_id, "APCA-API-SECRET-KEY": KEYS.secret_key}
        async with self.http.request(method, f"{EXCHANGE}{path}", json=body or None, headers=headers) as answer:
            return await answer.json()

    async def by_hand(self, side: str, symbol: str) -> None:
        """Trade past the daemon."""
        await self.at_the_broker("POST", "/v2/orders", symbol=symbol, side=side, qty="3", type="market", time_in_force="day")
        await self.clock.sleep(5.0)


def told_by_prometheus(drill: Drill, folder: Path) -> str:
    """Return what Prometheus's tool complains of, when it is asked whether each alert of a drill stands at its minutes."""
    cases = [_case(drill, first, last) for first, last in _windows(drill.series[UP])]
    assert sum(len(case["promql_expr_test"]) for case in cases) == len(drill.asked)
    file = folder / "drill.yml"
    file.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": cases}))
    done = subprocess.run([str(PROMTOOL), "test", "rules", str(file)], check=False, capture_output=True, text=True, timeout=60)
    return "" if done.returncode == 0 else re.sub(r"\s*\n\s*", " ", done.stdout + done.stderr)


def _windows(scraped: Mapping[int, float]) -> Sequence[tuple[int, int]]:
    """Return from when to when there were scrapes, minutes after the last of them included."""
    minutes = sorted(scraped)
    begins = [minutes[0], *(later for earlier, later in itertools.pairwise(minutes) if later - earlier > STALE_AFTER_MINUTES)]
    return [(first, max(minute for minute in minutes if minute < after)) for first, after in zip(begins, [*begins[1:], 10**9], strict=True)]


def _case(drill: Drill, first: int, last: int) -> dict[str, Any]:
    """Return one case for ``promtool test rules``: what was scraped between two minutes, and what is asked of them."""
    minutes = range(first, last + 1)
    series = [
        {"series": name, "values": " ".join(value_at(values, minute) for minute in minutes)}
        for name, values in drill.series.items()
        if any(minute in values for minute in minutes)
    ]
    questions = [
        {
            "expr": f'max by (alertname) (ALERTS{{alertname="{name}", alertstate="firing"}})',
            "eval_time": f"{minute - first}m",
            "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1}] if stands else [],
        }
        for name, minute, stands in drill.asked
        if minute in minutes
    ]
    return {"interval": "1m", "input_series": series, "promql_expr_test": questions}


def value_at(values: Mapping[int, float], minute: int) -> str:
    """Return a value in the tool's spelling; a series that is gone from a scrape is stale from then on."""
    return str(values[minute]) if minute in values else "stale" if minute - 1 in values else "_"
