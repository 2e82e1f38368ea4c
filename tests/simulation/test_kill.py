"""The kill switch in every state of the daemon: the account gets free of orders, and nothing but its own sales leaves afterwards."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from alchemiser.domain.events import DaemonStarted, KillSwitchPulled, KillSwitchReported, OrderIntended, TradingStateChanged
from alchemiser.domain.ids import FIRST_KILL_NUMBER
from alchemiser.service.kill_record import RECORD_FILE, pull_switch, read_record
from tests.simulation.campaign import play
from tests.simulation.checker import broken_rules
from tests.simulation.days import journal_of, simulate
from tests.simulation.faults import Deed, End, Json, Scenario
from tests.simulation.menu import day, decided
from tests.simulation.record import Record

QUIET = day()
HELD = day(days=2)
"""Two days: before the second decision something is held."""


def killed(seconds: float, *, of: Scenario = QUIET, deeds: tuple[Deed, ...] = (), **changes: Any) -> Scenario:
    """Return a scenario in which the switch is pulled so many seconds after its last decision."""
    at = decided(of, seconds, number=len(of.sessions) - 1)
    return replace(of, deeds=(*deeds, Deed("kill", at, 0.0, changes.pop("sell", ""))), **changes)


def at(seconds: float) -> str:
    """Return a moment after the decision as text."""
    return decided(QUIET, seconds).isoformat()


SILENT: Json = {"kind": "timeout", "path": "/v2", "seconds": 20.0, "times": 30}
STATES: dict[str, Scenario] = {
    "idle, before the decision": killed(-60.0),
    "as the decision falls": killed(0.0),
    "orders at work": killed(2.0),
    "orders at work, with a sale": killed(2.0, sell="sell"),
    "idle, after the rebalance": killed(120.0),
    "idle, with a sale": killed(120.0, sell="sell"),
    "the venue answers nothing, then it does": killed(3.0, faults=({**SILENT, "at": at(1.0)},), sell="sell"),
    "a gap is open": killed(
        3.0,
        faults=(
            {"kind": "drop_stream", "stream": "orders", "at": at(1.0)},
            {"kind": "refuse_stream", "stream": "orders", "status": 503, "times": 6, "at": at(1.0)},
        ),
        sell="sell",
    ),
    "recovering": killed(4.0, ends=(End("crash", 3.0, decided(QUIET, 2.0)),), sell="sell"),
    "stopping": killed(3.05, ends=(End("stop", 60.0, decided(QUIET, 3.0)),)),
    "a slow disk": killed(3.0, deeds=(Deed("slow disk", decided(QUIET, 1.0), 20.0),), sell="sell"),
    "the execution handler is stuck and its mailbox full": killed(
        3.0, deeds=(Deed("full bus", decided(QUIET, 1.0), 60.0, "execution"),), sell="sell"
    ),
    "the rebalancer is stuck and its mailbox full": killed(3.0, deeds=(Deed("full bus", decided(QUIET, -1.0), 60.0, "rebalancer"),)),
    "killed while it sells": killed(2.0, sell="sell", ends=(End("crash", 5.0, decided(QUIET, 6.5)),)),
    "before the second decision, with a sale": killed(-60.0, of=HELD, sell="sell"),
}


def first_of(record: Record, kind: str) -> Any:
    """Return the first event of a kind."""
    return record.of(kind)[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", STATES)
def test_the_switch_is_reached_from_every_state(tmp_path: Path, name: str) -> None:
    """The exchange has no open order a little later, nothing but its sales leaves any more, and the books are the exchange's."""
    scenario = STATES[name]
    record = play(scenario, tmp_path)

    assert "kill" in record.struck
    pulled = first_of(record, "KillSwitchPulled")
    assert any(row.event["state"] == "halted" for row in record.of("TradingStateChanged"))
    late = timedelta(seconds=60)
    for order in record.orders:
        number = int(order["client_order_id"].split("-")[1].split(".")[1])
        if number >= FIRST_KILL_NUMBER:
            assert order["side"] == "sell"
            continue
        ended = min(
            [value for field in ("filled_at", "canceled_at", "expired_at", "failed_at", "replaced_at") if (value := order.get(field))]
        )
        assert order["created_at"] <= (pulled.at + timedelta(seconds=12)).isoformat()
        assert ended <= (pulled.at + late).isoformat()
    overflowing = "queues_stay_below_their_bounds" if "stuck" in name else ""
    assert [rule for rule in broken_rules(record) if not overflowing or not rule.startswith(overflowing)] == []
    if scenario.deeds[-1].symbol == "sell":
        report = record.of("KillSwitchReported")[-1].event
        assert report["could_not"] == []
        assert record.positions == []
    if name == "killed while it sells":
        carried_on = record.of("KillSwitchPulled")[-1].event
        assert (carried_on["by"], carried_on["flattens"]) == ("restart", True)


@pytest.mark.slow
def test_a_kill_by_the_file_while_it_starts_and_after(tmp_path: Path) -> None:
    """The file is there before the daemon: it begins halted, no order leaves all day, and what was done is written down."""
    pull_switch(tmp_path, "flatten, says the operator")
    assert 0 == simulate(tmp_path)

    events = [envelope.event for envelope in journal_of(tmp_path)]
    assert [DaemonStarted, KillSwitchPulled, TradingStateChanged] == [
        type(event) for event in events if isinstance(event, DaemonStarted | KillSwitchPulled | TradingStateChanged)
    ]
    (report,) = [event for event in events if isinstance(event, KillSwitchReported)]
    assert ({}, {}, ()) == (report.ended, report.sold, report.could_not)
    assert not [event for event in events if isinstance(event, OrderIntended)]
    record = read_record(tmp_path / RECORD_FILE)
    assert record is not None
    assert (True, True, "file") == (record.is_over, record.flattens, record.by)


@pytest.mark.slow
def test_a_kill_sells_what_is_held_and_the_shares_are_booked(tmp_path: Path) -> None:
    """On the second day the file appears: everything is sold, to the strategies that held it, and the ledger agrees with the broker."""
    strategies = {"strategies": {"rotation": {"source": "tests.simulation.traders:ShippedRotation"}}}
    assert 0 == simulate(tmp_path, overrides=strategies)
    held = {event.symbol for event in (e.event for e in journal_of(tmp_path)) if type(event).__name__ == "FillBooked"}  # type: ignore[attr-defined]
    assert held

    async def later(clock: Any) -> None:
        await clock.sleep_until(datetime(2025, 1, 3, 16, 0, tzinfo=UTC))
        pull_switch(tmp_path, "flatten")

    assert 0 == simulate(tmp_path, days=2, overrides=strategies, beside=later, turn_seconds=60.0)
    events = [envelope.event for envelope in journal_of(tmp_path)]
    (report,) = [event for event in events if isinstance(event, KillSwitchReported)]
    assert () == report.could_not
    assert all(sold > Decimal(0) for sold in report.sold.values())
    compared = [event for event in events if type(event).__name__ == "LedgerCompared"][-1]
    assert () == compared.differences  # type: ignore[attr-defined]
    broker = [event for event in events if type(event).__name__ == "AccountObserved"][-1]
    assert () == broker.positions  # type: ignore[attr-defined]
