"""Alert rules, dashboard and runbook: every name in them exists, Prometheus's own tool reads them, each alert fires and clears."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from alchemiser.cli.reference import full_exposition

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "alerts.yml"
RUNBOOK = ROOT / "docs" / "runbook.md"
PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="needs promtool, of Debian's package prometheus")

ALERTS = re.findall(r"^      - alert: (\w+)\n        expr: '?(.*?)'?\n        for: (\w+)$", RULES.read_text(), re.MULTILINE)
"""Name, expression and patience of every alert."""

FIRES: dict[str, tuple[str, str, str]] = {
    "AlchemiserDown": ('up{job="alchemiser"}', "0x30", "1x30"),
    "AlchemiserNotLive": ("alchemiser_live", "0x30", "1x30"),
    "AlchemiserNotReady": ("alchemiser_ready", "0x30", "1x30"),
    "AlchemiserGapOpen": ('alchemiser_not_ready_reasons{code="gap"}', "1x30", "0x30"),
    "AlchemiserStreamDown": ('alchemiser_stream_connected{stream="orders"}', "0x30", "1x30"),
    "AlchemiserLedgerDiffers": ("alchemiser_ledger_differences", "1x30", "0x30"),
    "AlchemiserSymbolParked": ("alchemiser_symbols_parked", "1x30", "0x30"),
    "AlchemiserGuardTripped": ('alchemiser_guards_tripped{guard="drawdown"}', "1x30", "0x30"),
    "AlchemiserOffBacktest": ("alchemiser_live_backtest_beyond", "1x30", "0x30"),
    "AlchemiserTradingRestricted": ('alchemiser_trading_state{state="halted"}', "1x30", "0x30"),
    "AlchemiserStrategyFailed": ('alchemiser_strategy_failures_total{strategy="klm"}', "0+1x30", "5x30"),
    "AlchemiserDecisionOverdue": ("alchemiser_last_decision_timestamp_seconds", "-500000x30", "0x30"),
    "AlchemiserRebalanceParked": ('alchemiser_rebalances_total{result="parked"}', "0+1x30", "3x30"),
    "AlchemiserOrdersRefused": ('alchemiser_orders_closed_total{state="rejected"}', "0+1x30", "9x30"),
    "AlchemiserOutcomeUnknown": ("alchemiser_orders_outcome_unknown_total", "0+1x30", "9x30"),
    "AlchemiserHandlerFailed": ('alchemiser_bus_failed_total{handler="x"}', "0+1x30", "9x30"),
    "AlchemiserMailboxFull": ('alchemiser_bus_publishers_waiting{handler="x"}', "1x30", "0x30"),
    "AlchemiserVenueErrors": ('alchemiser_rest_requests_total{status="5xx"}', "0+60x30", "0+1x30"),
    "AlchemiserQuotaLow": ("alchemiser_rest_requests_left", "3x30", "150x30"),
    "AlchemiserMessagesFailed": ('alchemiser_messages_total{result="failed"}', "0+1x30", "2x30"),
    "AlchemiserMemoryHigh": ('process_resident_memory_bytes{job="alchemiser"}', "900000000x30", "90000000x30"),
}
"""A series with values, one a minute, with which the alert fires, and others with which it does not. Histograms are below."""

HISTOGRAMS = {
    "AlchemiserJournalSlow": "alchemiser_journal_commit_seconds",
    "AlchemiserLoopLag": "alchemiser_loop_lag_seconds",
}


def dashboard_expressions() -> list[str]:
    """Return every expression of the dashboard."""
    panels = json.loads((ROOT / "deploy" / "grafana.json").read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel["targets"]]


async def test_every_metric_that_is_named_exists() -> None:
    """An alert on a name that nobody writes never fires, and nobody notices."""
    known = set(re.findall(r"^# TYPE (\S+)", full_exposition(), re.MULTILINE))
    known |= {f"{name}_bucket" for name in known}
    expressions = [expression for _, expression, _ in ALERTS] + dashboard_expressions()

    named = {name for expression in expressions for name in re.findall(r"\b(?:alchemiser|process)_\w+", expression)}

    assert named - known == set()
    assert len(named) > 30


def test_every_alert_has_an_entry_in_the_runbook_and_no_entry_is_left_over() -> None:
    """Meaning, first look and safe actions, each in words."""
    entries = re.split(r"^## ", RUNBOOK.read_text(), flags=re.MULTILINE)[1:]

    assert [name for name, _, _ in ALERTS] == [entry.split("\n")[0] for entry in entries]
    for entry in entries:
        for part in ("**Meaning**: ", "**First look**: ", "**Safe actions**: "):
            assert part in entry


def test_every_alert_has_a_drill() -> None:
    """A new alert comes with the series that make it fire."""
    assert {name for name, _, _ in ALERTS} == {*FIRES, *HISTOGRAMS}


@pytest.mark.slow
@needs_promtool
def test_prometheus_reads_the_rules_and_the_dashboard(tmp_path: Path) -> None:
    """Every expression parses, by Prometheus's own parser."""
    rules = [f"      - record: panel:{number}\n        expr: {json.dumps(one)}\n" for number, one in enumerate(dashboard_expressions())]
    panels = tmp_path / "panels.yml"
    panels.write_text("groups:\n  - name: panels\n    rules:\n" + "".join(rules))
    for file in (RULES, panels):
        subprocess.run([str(PROMTOOL), "check", "rules", str(file)], check=True, capture_output=True, timeout=30)


def drill(name: str, expression: str, *, fires: bool) -> dict[str, Any]:
    """Return one case for ``promtool test rules``: half an hour, and whether the alert stands at its end."""
    if name in HISTOGRAMS:
        family, slow = HISTOGRAMS[name], "0x30" if fires else "0+100x30"
        series = [(f'{family}_bucket{{le="0.05"}}', slow), (f'{family}_bucket{{le="+Inf"}}', "0+100x30")]
        series.insert(1, (f'{family}_bucket{{le="5.0"}}', "0+100x30"))
    else:
        metric, bad, good = FIRES[name]
        series = [(metric, bad if fires else good)]
    case: dict[str, Any] = {
        "interval": "1m",
        "input_series": [{"series": metric, "values": values} for metric, values in series],
        "promql_expr_test": [],
    }
    # What an alert's labels are is its own business; that it stands is that ALERTS has a firing series.
    found = [{"labels": f'{{alertname="{name}"}}', "value": 1}] if fires else []
    case["promql_expr_test"] = [
        {"expr": f'max by (alertname) (ALERTS{{alertname="{name}", alertstate="firing"}})', "eval_time": "25m", "exp_samples": found}
    ]
    return case


@pytest.mark.slow
@needs_promtool
@pytest.mark.parametrize("fires", [True, False], ids=["fires", "clears"])
def test_each_alert_fires_and_clears(tmp_path: Path, *, fires: bool) -> None:
    """With the bad values it stands after its patience, with the good ones it does not."""
    cases = [drill(name, expression, fires=fires) for name, expression, _ in ALERTS]
    file = tmp_path / "drills.yml"
    file.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": cases}))

    done = subprocess.run([str(PROMTOOL), "test", "rules", str(file)], check=False, capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stdout + done.stderr
