"""Vitals: live while the bus turns, ready while nothing keeps orders from being sent, and always with a reason and a remedy."""

from datetime import UTC, datetime, timedelta

import pytest

from alchemiser.bus.envelope import Envelope
from alchemiser.bus.reports import TurnReport
from alchemiser.domain.events import (
    DaemonStopping,
    Event,
    GapOpened,
    StreamLost,
    TradingStateChanged,
)
from alchemiser.execution.gate import SubmitGate
from alchemiser.service.health import HealthReport
from alchemiser.service.vitals import REMEDIES, Vitals

START = datetime(2025, 3, 3, 15, 0, tzinfo=UTC)
LIMIT = 5.0
WELL = TurnReport(seconds=0.01, answered={"execution": 0.01}, busy={}, overdue={})
STUCK = TurnReport(seconds=5.0, answered={}, busy={}, overdue={"strategies": 61.0, "history": 130.0})


class Body:
    """Vitals whose time is set by hand."""

    def __init__(self) -> None:
        self.seconds = 100.0
        self.vitals = Vitals(loop_time=lambda: self.seconds, now=lambda: START + timedelta(seconds=self.seconds), limit_seconds=LIMIT)

    def report(self, gate: dict[str, str] | None = None, **others: str) -> HealthReport:
        """Return the health."""
        return self.vitals.report(gate or {}, others)


def codes(report: HealthReport) -> list[str]:
    """Return the codes of the reasons."""
    return [reason.code for reason in report.reasons]


def test_without_a_reason_it_is_live_and_ready() -> None:
    """A fresh process has the benefit of the doubt until its bus had time to turn."""
    body = Body()

    assert body.report() == HealthReport(live=True, ready=True, reasons=())
    body.seconds += LIMIT * 2
    assert body.report().live


def test_a_bus_that_does_not_turn_is_not_live() -> None:
    """Nobody is named when nobody is known to be stuck."""
    body = Body()
    body.vitals.on_turn(WELL)
    body.seconds += LIMIT * 2 + 1
    report = body.report()

    assert (False, False) == (report.live, report.ready)
    assert ["bus_silent"] == codes(report)
    assert "11 s" in report.reasons[0].text


def test_a_stuck_handler_is_named() -> None:
    """A turn that did not come back is no turn, however often it is tried."""
    body = Body()
    for _ in range(3):
        body.vitals.on_turn(STUCK)
        body.seconds += LIMIT
    report = body.report()

    assert not report.live
    assert ["handler_stuck"] == codes(report)
    assert "stuck: history (130 s), strategies (61 s)" in report.reasons[0].text


def test_a_turn_makes_it_live_again() -> None:
    """A handler that was only slow is no reason to restart the process."""
    body = Body()
    body.seconds += 60
    assert not body.report().live

    body.vitals.on_turn(WELL)
    assert body.report().is_well


def test_a_closed_exchange_is_no_reason() -> None:
    """At night the daemon is as ready as it can be; the gate is closed all the same."""
    assert Body().report({"session": "the exchange is closed"}).ready


def test_the_reasons_of_the_gate_have_codes_and_remedies() -> None:
    """Each code says what to do about it; those of the gate that have none of their own are gaps."""
    gate = {cause: f"text of {cause}" for cause in ("recovery", "orders", "gap orders", "trading", "stopping", "session")}
    report = Body().report(gate, ledger="cash: off by a cent")

    assert (True, False) == (report.live, report.ready)
    assert ["starting", "orders_stream", "gap", "trading", "stopping", "ledger"] == codes(report)
    assert all(reason.remedy for reason in report.reasons)
    assert "text of orders" == report.reasons[1].text


def test_every_reason_that_the_gate_can_have_is_understood() -> None:
    """What the gate says is what health says."""
    gate = SubmitGate(now=lambda: START, cut_off=lambda session: session.closes_at)
    events: tuple[Event, ...] = (
        StreamLost(at=START, stream="orders", reason="reset"),
        GapOpened(at=START, stream="orders", since=START, reason="reset"),
        TradingStateChanged(at=START, state="halted", by="operator", reason="drill"),
        DaemonStopping(at=START, reason="SIGTERM"),
    )
    for event in events:
        gate(Envelope(1, event, 0.0))

    report = Body().report(gate.reasons)
    assert {"starting", "orders_stream", "gap", "trading", "stopping"} == set(codes(report))


def test_a_reason_keeps_its_time_for_as_long_as_it_lasts() -> None:
    """Asking does not renew it, another text does not either, and one that comes back is new."""
    body = Body()
    first = body.report({"orders": "lost"}).reasons[0].since
    body.seconds += 30
    body.vitals.on_turn(WELL)
    second = body.report({"orders": "still lost", "trading": "paused"})
    assert [first, START + timedelta(seconds=130)] == [reason.since for reason in second.reasons]

    body.report()
    body.seconds += 30
    body.vitals.on_turn(WELL)
    assert START + timedelta(seconds=160) == body.report({"orders": "lost again"}).reasons[0].since


@pytest.mark.parametrize("code", ["market_stream", "ledger", "account"])
def test_further_reasons_have_remedies_too(code: str) -> None:
    """Those that are not of the gate."""
    (reason,) = Body().report(None, **{code: "facts"}).reasons

    assert (code, "facts", REMEDIES[code]) == (reason.code, reason.text, reason.remedy)
