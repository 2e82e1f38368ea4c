"""The main job on virtual time: a day is traded end to end through real protocol stacks, and the same seed writes the same journal."""

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest

from alchemiser.bus.envelope import Envelope
from alchemiser.cli.signals import decided
from alchemiser.domain.errors import DataError
from alchemiser.domain.events import (
    DaemonStopped,
    Event,
    FillBooked,
    HandlerFailed,
    LedgerCompared,
    OrderFilled,
    OrderIntended,
    RebalanceCompleted,
    RebalancePlanned,
    ResultReported,
    TargetProposed,
)
from alchemiser.service.offline import JOURNAL_FILE
from tests.simulation.days import journal_of, simulate

E = TypeVar("E", bound=Event)


def of_type(journal: list[Envelope], kind: type[E]) -> list[E]:
    """Return the events of one type."""
    return [envelope.event for envelope in journal if isinstance(envelope.event, kind)]


def test_days_are_traded_end_to_end(tmp_path: Path) -> None:
    """Each session has one decision, a plan, fills that are booked, an end, and a ledger that agrees with the broker."""
    assert simulate(tmp_path, days=3) == 0
    journal = journal_of(tmp_path)

    assert len(of_type(journal, TargetProposed)) == 3
    assert len(of_type(journal, RebalancePlanned)) == 3
    assert len(of_type(journal, RebalanceCompleted)) == 3
    assert len(of_type(journal, ResultReported)) == 3
    assert of_type(journal, HandlerFailed) == []
    fills = [event.fill for event in of_type(journal, OrderFilled)]
    assert fills
    assert len(fills) == len(of_type(journal, FillBooked))
    assert len({fill.execution_id for fill in fills}) == len(fills)
    assert all(not event.differences for event in of_type(journal, LedgerCompared))
    (stopped,) = of_type(journal, DaemonStopped)
    assert stopped.open_orders == ()

    first = of_type(journal, RebalancePlanned)[0]
    own = [fill for fill in fills if f"-{first.rebalance_id}-" in fill.client_order_id]
    assert sum((fill.quantity * fill.price for fill in own), Decimal(0)) > first.equity * Decimal("0.9")


def test_a_past_decision_is_told_from_the_journal(tmp_path: Path) -> None:
    """With the numbers it saw, live prices among them, in the shape of ``signals``; a decision that never was is refused by name."""
    simulate(tmp_path)
    (proposed,) = of_type(journal_of(tmp_path), TargetProposed)
    told = decided(tmp_path / JOURNAL_FILE, proposed.rebalance_id)
    (signal,) = told.strategies

    assert (told.session, told.target) == (date(2025, 1, 2), proposed.weights)
    assert (signal.name, signal.status, signal.weights) == ("tecl", "ok", proposed.weights)
    assert signal.tree is not None
    assert [step["text"] for step in signal.tree["path"] if step["kind"] == "condition"] == [
        line.split(": ", 1)[1] for line in proposed.explanation
    ]
    assert signal.tree["path"][0]["left"] == proposed.prices["SPY"]
    with pytest.raises(DataError, match=r"has answered to a decision 20250102\.9"):
        decided(tmp_path / JOURNAL_FILE, "20250102.9")


def test_an_intent_is_journaled_before_its_order_can_fill(tmp_path: Path) -> None:
    """Every fill is preceded by the durable intention of its order, and each effect names its cause."""
    simulate(tmp_path)
    journal = journal_of(tmp_path)

    intended: dict[str, int] = {}
    fills = 0
    for envelope in journal:
        match envelope.event:
            case OrderIntended(order=order):
                intended[order.client_order_id] = envelope.sequence
            case OrderFilled(fill=fill):
                fills += 1
                assert intended[fill.client_order_id] < envelope.sequence
                assert envelope.causation is not None
    assert fills


@pytest.mark.parametrize("seed", [7, pytest.param(8, marks=pytest.mark.slow)])
def test_the_same_seed_writes_the_same_journal(tmp_path: Path, seed: int) -> None:
    """Two runs of the same days are equal event by event, sequence numbers, causes and times included."""
    journals = []
    for name in ("first", "second"):
        state = tmp_path / name
        assert simulate(state, days=2, seed=seed, overrides={"embedded.seed": seed}) == 0
        journals.append([msgspec.json.encode(envelope) for envelope in journal_of(state)])

    assert journals[0] == journals[1]
    assert len(journals[0]) > 20


def test_a_restart_between_sessions_carries_on(tmp_path: Path) -> None:
    """Two runs of one session each end with the same holdings and cash as one run of two sessions."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    simulate(whole, days=2)
    simulate(parts, days=1)
    simulate(parts, days=2)

    results = [of_type(journal_of(state), ResultReported)[-1] for state in (whole, parts)]
    assert results[0].session == results[1].session
    assert abs(results[0].equity - results[1].equity) / results[0].equity < Decimal("0.02")
    assert all(not event.differences for event in of_type(journal_of(parts), LedgerCompared))
    assert len(of_type(journal_of(parts), RebalancePlanned)) == 2


def test_sessions_that_were_played_are_not_played_again(tmp_path: Path) -> None:
    """Running the same sessions on the same state again ends at once and changes nothing."""
    simulate(tmp_path)
    before = len(journal_of(tmp_path))

    assert simulate(tmp_path) == 0
    assert len(journal_of(tmp_path)) == before
