"""Alert rules, dashboard and runbook: every name in them exists, and Prometheus's own tool reads them.

That each alert fires and clears is shown by daemons that have what it is about: ``tests/simulation/safe_actions.py`` says where.
"""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from alchemiser.cli.reference import full_exposition

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "alerts.yml"
RUNBOOK = ROOT / "docs" / "runbook.md"
PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="needs promtool, of Debian's package prometheus")

ALERTS = re.findall(r"^      - alert: (\w+)\n        expr: '?(.*?)'?\n        for: (\w+)$", RULES.read_text(), re.MULTILINE)
"""Name, expression and patience of every alert."""


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


@pytest.mark.slow
@needs_promtool
def test_prometheus_reads_the_rules_and_the_dashboard(tmp_path: Path) -> None:
    """Every expression parses, by Prometheus's own parser."""
    rules = [f"      - record: panel:{number}\n        expr: {json.dumps(one)}\n" for number, one in enumerate(dashboard_expressions())]
    panels = tmp_path / "panels.yml"
    panels.write_text("groups:\n  - name: panels\n    rules:\n" + "".join(rules))
    for file in (RULES, panels):
        subprocess.run([str(PROMTOOL), "check", "rules", str(file)], check=True, capture_output=True, timeout=30)
