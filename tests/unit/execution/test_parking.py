"""Parked symbols: what parks one, what clears it, and that nothing of it is sent meanwhile."""

from datetime import timedelta

import pytest

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import Event, Reconciled, SessionOpened, SymbolCleared, SymbolParked, TimerElapsed
from alchemiser.domain.reconciliation import UNRESOLVED, Difference, DifferenceCode, Parking
from alchemiser.execution.gate import SubmitGate
from alchemiser.execution.parking import ParkedSymbols
from alchemiser.execution.reconciler import parked_after
from alchemiser.execution.reconciliation import Findings
from tests.unit.execution.desk import SESSION, START

LATER = START + timedelta(hours=1)
PARKING = Parking(code="position_less", reason="the broker has less", since=START)


def parked_by(*events: Event) -> ParkedSymbols:
    """Return the parked symbols after these events."""
    parked = ParkedSymbols()
    for number, event in enumerate(events, start=1):
        parked(Envelope(number, event, 0.0))
    return parked


def reconciled(**parked: Parking) -> Reconciled:
    """Return a comparison after which these symbols are parked."""
    return Reconciled(at=START, reason="test", attempts=1, reports=(), differences=(), parked=parked)


def test_a_comparison_says_which_symbols_are_parked() -> None:
    """All of them: one that is not named any more is cleared."""
    assert {"SPY": PARKING} == dict(parked_by(reconciled(SPY=PARKING)).by_symbol)
    assert {"QQQ": PARKING} == dict(parked_by(reconciled(SPY=PARKING), reconciled(QQQ=PARKING)).by_symbol)
    assert {} == dict(parked_by(reconciled(SPY=PARKING), reconciled()).by_symbol)


def test_a_symbol_is_parked_and_cleared_by_itself() -> None:
    """The first reason counts; clearing what is not parked changes nothing."""
    first = SymbolParked(at=START, symbol="SPY", parking=PARKING)
    second = SymbolParked(at=START, symbol="SPY", parking=Parking(code=UNRESOLVED, reason="x", since=LATER))
    cleared = SymbolCleared(at=START, symbol="SPY", by="operator", reason="counted")

    assert parked_by(first, second).why("SPY") == "SPY is parked: the broker has less"
    assert parked_by(first).why("QQQ") is None
    assert parked_by(first, cleared, TimerElapsed(at=START, kind="x", key="")).why("SPY") is None
    assert dict(parked_by(cleared).by_symbol) == {}


def test_what_is_remembered_is_taken_up() -> None:
    """By a snapshot, as by a replay."""
    before, after = parked_by(reconciled(SPY=PARKING)), ParkedSymbols()
    after.remember(before.memory())

    assert after.by_symbol == before.by_symbol


def difference(code: DifferenceCode, symbol: str | None = "SPY") -> Difference:
    """Return a difference of that code."""
    return Difference(code=code, subject="x", symbol=symbol, ours="10", theirs="6")


def found(*differences: Difference, unresolved: frozenset[str] = frozenset()) -> Findings:
    """Return findings of these differences."""
    return Findings(reports=(), differences=differences, cancels={}, unresolved=unresolved)


def test_a_difference_that_stays_keeps_its_time() -> None:
    """Since when a symbol is parked is since when it was parked for that."""
    less, gone = difference(DifferenceCode.POSITION_LESS), difference(DifferenceCode.POSITION_MISSING)
    before = {"SPY": PARKING}

    assert START == parked_after(found(less), before, LATER)["SPY"].since
    assert LATER == parked_after(found(gone), before, LATER)["SPY"].since
    assert "ours 10, theirs 6" in parked_after(found(gone, less), before, LATER)["SPY"].reason
    assert "position_missing" == parked_after(found(gone, less), before, LATER)["SPY"].code


@pytest.mark.parametrize("code", [code for code in DifferenceCode if not difference(code).parks])
def test_what_is_shown_parks_nothing(code: DifferenceCode) -> None:
    """And clears what agrees."""
    assert parked_after(found(difference(code)), {"SPY": PARKING}, LATER) == {}


def test_cash_parks_no_symbol() -> None:
    """A difference of the whole account has none."""
    assert parked_after(found(difference(DifferenceCode.ORDER_VANISHED, None)), {}, LATER) == {}


def test_an_order_without_an_end_keeps_its_symbol_parked() -> None:
    """For as long as it is open; only what was parked for such an order."""
    unresolved = Parking(code=UNRESOLVED, reason="order e-1", since=START)

    assert {"SPY": unresolved} == parked_after(found(unresolved=frozenset({"SPY"})), {"SPY": unresolved}, LATER)
    assert {} == parked_after(found(), {"SPY": unresolved}, LATER)
    assert {} == parked_after(found(unresolved=frozenset({"SPY"})), {"SPY": PARKING}, LATER)


def test_the_gate_withholds_a_parked_symbol_and_no_other() -> None:
    """It is open all the same."""
    parked = parked_by(reconciled(SPY=PARKING))
    gate = SubmitGate(now=lambda: START, cut_off=lambda session: session.closes_at, parked=parked.why)
    gate._reasons.clear()
    gate(Envelope(1, SessionOpened(at=START, session=SESSION), 0.0))

    assert gate.is_open
    assert gate.why_not("SPY") == gate.why_parked("SPY") == "SPY is parked: the broker has less"
    assert gate.why_not("QQQ") is None
