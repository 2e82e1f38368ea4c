"""The status page: one server-rendered document, every value escaped, no script, nothing loaded from elsewhere."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from alchemiser.service.health import HealthReport
from alchemiser.service.settings_sources import flatten
from alchemiser.service.view import to_json

_STYLE: Final = (
    "body{font:14px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:64rem;padding:0 1rem}"
    "table{border-collapse:collapse;margin:.5rem 0 1.5rem}.ok{color:#080}.bad{color:#b00}"
    "th,td{text-align:left;vertical-align:top;padding:.15rem .8rem .15rem 0;border-bottom:1px solid #8884}"
)
_ROWS_AT_MOST: Final = 200


def render_page(report: HealthReport, status: Mapping[str, Any], positions: Sequence[Mapping[str, Any]]) -> str:
    """Return the page for this health, status document and positions; an empty status leaves everything but the health out."""
    word, style = ("ready", "ok") if report.is_well else ("not ready" if report.live else "not live", "bad")
    reasons = "".join(
        f"<tr><td>{escape(reason.code)}</td><td>{escape(reason.text)}</td><td>{escape(reason.remedy)}</td></tr>"
        for reason in report.reasons
    )
    parts = [
        f"<h1>The Alchemiser <span class={style}>{word}</span></h1>",
        f"<table><tr><th>reason</th><th>facts</th><th>remedy</th></tr>{reasons}</table>" if reasons else "",
        f"<h2>Status</h2>{_pairs(status)}" if status else "",
        f"<h2>Positions</h2>{_table(positions)}" if positions else "",
        "<p>This page shows what <code>/healthz</code>, <code>/api/v1/status</code> and <code>/api/v1/positions</code> say.</p>",
    ]
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Alchemiser: {word}</title><style>{_STYLE}</style>{''.join(parts)}</html>"
    )


def _pairs(values: Mapping[str, Any]) -> str:
    rows = list(flatten(values))[:_ROWS_AT_MOST]
    return f"<table>{''.join(f'<tr><th>{escape(key)}</th><td>{_text(value)}</td></tr>' for key, value in rows)}</table>"


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(f'<td>{_text(row.get(column))}</td>' for column in columns)}</tr>" for row in rows[:_ROWS_AT_MOST])
    return f"<table><tr>{head}</tr>{body}</table>"


def _text(value: Any) -> str:
    return escape(value if isinstance(value, str) else to_json(value).decode().strip('"'))
