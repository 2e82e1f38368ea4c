"""The operator's halt gets through whatever else is going on, and nothing but cancels leaves after it."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.simulation.campaign import play
from tests.simulation.checker import broken_rules
from tests.simulation.faults import Deed, Json, Scenario
from tests.simulation.menu import day, decided

QUIET = day()


def halted(seconds: float, *, deeds: tuple[Deed, ...] = (), faults: tuple[Json, ...] = ()) -> Scenario:
    """Return a day with a halt so many seconds after the decision, for longer than what else happens to it."""
    return replace(QUIET, deeds=(*deeds, Deed("halt", decided(QUIET, seconds), 200.0)), faults=faults)


def at(seconds: float) -> str:
    """Return a moment after the decision as text."""
    return decided(QUIET, seconds).isoformat()


SILENT: Json = {"kind": "timeout", "path": "/v2", "seconds": 20.0, "times": 500}
STATES: dict[str, Scenario] = {
    "before the decision": halted(-60.0),
    "as the decision falls": halted(0.0),
    "orders at work": halted(2.0),
    "after the rebalance": halted(120.0),
    "the venue answers nothing": halted(3.0, faults=({**SILENT, "at": at(1.0)},)),
    "the order stream is away": halted(
        3.0,
        faults=(
            {"kind": "drop_stream", "stream": "orders", "at": at(1.0)},
            {"kind": "refuse_stream", "stream": "orders", "status": 503, "times": 6, "at": at(1.0)},
        ),
    ),
    "a storm of quotes": halted(3.0, faults=({"kind": "storm", "symbol": "BBY", "messages": 10_000, "at": at(2.9)},)),
    "paused": halted(3.0, deeds=(Deed("pause", decided(QUIET, 1.0), 400.0),)),
    "a slow disk": halted(3.0, deeds=(Deed("slow disk", decided(QUIET, 1.0), 0.5),)),
    "the execution handler is stuck and its mailbox full": halted(3.0, deeds=(Deed("full bus", decided(QUIET, 1.0), 30.0, "execution"),)),
    "the rebalancer is stuck and its mailbox full": halted(3.0, deeds=(Deed("full bus", decided(QUIET, -1.0), 30.0, "rebalancer"),)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", STATES)
def test_a_halt_is_reached_from_every_state(tmp_path: Path, name: str) -> None:
    """It is done within seconds, it is in the journal, and no order leaves from then on until trading is resumed."""
    record = play(STATES[name], tmp_path)

    assert "halt" in record.struck
    (moment,) = [row.at for row in record.of("TradingStateChanged") if row.event["state"] == "halted"]
    assert (moment - STATES[name].deeds[-1].at).total_seconds() < 5.0
    overflowing = "queues_stay_below_their_bounds" if "stuck" in name else ""
    assert [rule for rule in broken_rules(record) if not overflowing or not rule.startswith(overflowing)] == []
