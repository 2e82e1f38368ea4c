"""Health as a value."""

from datetime import UTC, datetime

from alchemiser.service.health import HealthReport, Reason

SINCE = datetime(2025, 3, 3, 15, 0, tzinfo=UTC)


def test_document_has_every_reason_with_its_remedy() -> None:
    """What an operator reads names the code, the facts, since when, and what to do."""
    report = HealthReport(live=True, ready=False, reasons=(Reason(code="gap", text="orders since 15:00", since=SINCE, remedy="wait"),))

    assert {
        "live": True,
        "ready": False,
        "reasons": [
            {"code": "gap", "text": "orders since 15:00", "since": "2025-03-03T15:00:00+00:00", "remedy": "wait", "severity": "stops"}
        ],
    } == report.document()
    assert not report.is_well


def test_a_well_daemon_has_nothing_to_explain() -> None:
    """Live and ready is well."""
    report = HealthReport(live=True, ready=True, reasons=())

    assert report.is_well
    assert HealthReport(live=False, ready=True, reasons=(Reason(code="x", text="y"),)).document()["reasons"][0]["since"] is None
