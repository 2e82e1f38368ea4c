"""The reference pages of ``docs/``, each written from the code itself, so that none can be out of date. A test compares them."""

import re
import types
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, get_args, get_origin

import typer

from alchemiser.bus.reports import HandlerStatistics
from alchemiser.cli.app import COMMANDS, GROUPS
from alchemiser.cli.lazy import command_of
from alchemiser.domain import errors
from alchemiser.domain.events import AnyEvent
from alchemiser.domain.reconciliation import MEANINGS
from alchemiser.service.deferred import load
from alchemiser.service.health import HealthReport, Reason
from alchemiser.service.metrics import DaemonMetrics, Gauges
from alchemiser.service.settings_reference import reference as settings_reference
from alchemiser.service.vitals import REMEDIES

COLUMNS: Final = 120
"""How wide the help of a command is printed."""


class Page(StrEnum):
    """What there is a reference of."""

    settings = "settings"
    commands = "commands"
    events = "events"
    metrics = "metrics"
    codes = "codes"


def page(name: Page) -> str:
    """Return a page as Markdown."""
    return _PAGES[name]()


def _head(title: str, name: Page, text: str) -> list[str]:
    return [f"# {title}", "", f"<!-- Written by `alchemiser config reference {name}`; a test compares it. -->", "", text]


def _commands() -> str:
    parts = _head(
        "Commands", Page.commands, "Every command as its `--help` tells it. Exit codes: [codes](codes.md), [for scripts](exit-codes.md)."
    )
    for name, target in COMMANDS.items():
        command = command_of(name, load(target.path))
        context = typer.Context(command, info_name=f"alchemiser {name}", terminal_width=COLUMNS, max_content_width=COLUMNS)
        text = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
        parts += ["", f"## alchemiser {name}", "", "```text", text, "```"]
    groups = ", ".join(f"`{name}`: {text[0].lower()}{text[1:].rstrip('.')}" for name, text in GROUPS.items())
    return "\n".join([*parts, "", f"Groups: {groups}.", ""])


def _events() -> str:
    told = "What can happen, as the journal, `alchemiser events` and `/api/v1/stream` name it. Every event also has `at`, the market time."
    parts = _head("Events", Page.events, told)
    for kind in sorted(get_args(AnyEvent), key=lambda kind: str(kind.__name__)):
        fields = [f"`{name}` ({_type(kind.__annotations__.get(name))})" for name in kind.__struct_fields__ if name != "at"]
        kept = "" if kind.journaled else " Not journaled."
        parts += ["", f"## {kind.__name__}", "", f"{_paragraph(kind.__doc__)}{kept}", "", f"Fields: {', '.join(fields) or 'none'}."]
    return "\n".join([*parts, ""])


def _type(annotation: Any) -> str:
    """Return an annotation in the words of JSON readers: the names of types without their modules."""
    if isinstance(annotation, str):
        return annotation
    if annotation is types.NoneType or annotation is None:
        return "nothing"
    if isinstance(annotation, types.UnionType):
        return " or ".join(map(_type, get_args(annotation)))
    if get_origin(annotation) is not None:
        inner = ", ".join(_type(one) if one is not ... else "..." for one in get_args(annotation))
        return f"{getattr(get_origin(annotation), '__name__', str(get_origin(annotation)))} of {inner}"
    return str(getattr(annotation, "__name__", annotation))


def _metrics() -> str:
    found = full_exposition()
    rows = [f"| `{name}` | {kind} | {_labels(found, name)} | {text} |" for name, kind, text in _families(found)]
    told = "What `GET /metrics` exposes, for Prometheus. Alerts on them: [runbook](runbook.md); a dashboard: `deploy/grafana.json`."
    return "\n".join([*_head("Metrics", Page.metrics, told), "", "| Name | Kind | Labels | Meaning |", "|---|---|---|---|", *rows, ""])


def full_exposition() -> str:
    """Return what a daemon exposes in which everything has been seen once."""
    gauges = Gauges(
        health=HealthReport(live=True, ready=False, reasons=(Reason(code="gap", text=""),)),
        handlers=(HandlerStatistics(name="", kind="mailbox", handled=0, failed=0),),
        streams_connected={"orders": True},
        stream_ages_seconds={"orders": 0.0},
        orders_by_state={"new": 0},
        equity=Decimal(0),
        cash=Decimal(0),
        realised={"": Decimal(0)},
        unrealised={"": Decimal(0)},
        trading_state="active",
        guards_tripped={"": 0},
        drawdown=0.0,
        below_peak={"": Decimal(0)},
        now=datetime(2025, 1, 2, tzinfo=UTC),
        started_at=datetime(2025, 1, 2, tzinfo=UTC),
        last_decision_at=datetime(2025, 1, 2, tzinfo=UTC),
    )
    metrics = DaemonMetrics(lambda: gauges)
    metrics.requests_left = lambda: 0
    for count in metrics.counts:
        if not count.values:
            count.add(*("" for _ in count.labels), by=0)
    return metrics.exposition()[0].decode()


def _families(found: str) -> Iterator[tuple[str, str, str]]:
    texts = dict(re.findall(r"^# HELP (\S+) (.*)$", found, flags=re.MULTILINE))
    for name, kind in sorted(re.findall(r"^# TYPE (\S+) (\S+)$", found, flags=re.MULTILINE)):
        if name.startswith("alchemiser_"):
            yield name, kind, texts[name].replace("|", "\\|")


def _labels(found: str, family: str) -> str:
    names = re.findall(rf"^{family}(?:_bucket|_total)?\{{(.*)\}} ", found, flags=re.MULTILINE)
    labels = {label for text in names for label in re.findall(r'(\w+)="', text)} - {"le"}
    return ", ".join(f"`{label}`" for label in sorted(labels)) or "none"


def _codes() -> str:
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.AlchemiserError)}
    parts = _head("Codes", Page.codes, "The words that a program may rely on. The codes of the pre-trade checks: [checks](checks.md).")
    parts += ["", "## Reasons of /readyz", "", "During which fault which of them is told: [health](health.md).", ""]
    parts += ["| Code | What to do |", "|---|---|", *(f"| `{code}` | {text} |" for code, text in REMEDIES.items())]
    parts += ["", "## Differences from the broker", ""]
    parts += ["Told by `alchemiser status` under `reconciliation`: [reconciliation](reconciliation.md).", ""]
    parts += ["| Code | Meaning | What is done |", "|---|---|---|"]
    parts += [f"| `{code}` | {meaning.text} | {str(meaning.remedy).replace('_', ' ')} |" for code, meaning in MEANINGS.items()]
    parts += ["", "## Errors and their exit codes", "", "| Exit code | Error | Meaning |", "|---|---|---|"]
    for kind in sorted(kinds, key=lambda kind: (kind.exit_code, kind.__name__)):
        parts.append(f"| {kind.exit_code} | `{kind.__name__}` | {_paragraph(kind.__doc__)} |")
    return "\n".join([*parts, ""])


def _paragraph(text: str | None) -> str:
    """Return the first paragraph of a docstring, in one line, as Markdown."""
    return " ".join((text or "").strip().partition("\n\n")[0].split()).replace("``", "`")


_PAGES: Final[Mapping[Page, Callable[[], str]]] = {
    Page.settings: settings_reference,
    Page.commands: _commands,
    Page.events: _events,
    Page.metrics: _metrics,
    Page.codes: _codes,
}
