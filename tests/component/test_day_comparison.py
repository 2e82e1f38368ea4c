"""Whole days through the daemon and the embedded exchange, on virtual time: each session is compared with its backtest, once."""

import json
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from alchemiser.bus.envelope import Envelope
from alchemiser.cli.app import run
from alchemiser.domain.day_comparison import Part
from alchemiser.domain.events import DayCompared, DecisionMissed, HandlerFailed, RebalancePlanned
from alchemiser.journal.lines import line_of
from alchemiser.service.day_comparison import DayComparison
from alchemiser.service.offline import view_from_journal
from tests.simulation.days import journal_of, simulate

pytestmark = pytest.mark.slow

TWO = {
    "strategies": {name: {"source": f"tests.simulation.traders:{source}"} for name, source in (("a", "Rotation"), ("b", "SmallRotation"))}
}
MONDAY, TUESDAY = date(2025, 1, 6), date(2025, 1, 7)


def lived(state: Path, *, days: int = 2, start: date = MONDAY, settings: Mapping[str, Any] | None = None) -> list[DayCompared]:
    """Trade some days with two strategies that meet in symbols, and return the comparisons of all that the journal has."""
    assert simulate(state, days=days, start=start, overrides={**TWO, **(settings or {})}) == 0
    journal = journal_of(state)
    assert [envelope.event for envelope in journal if isinstance(envelope.event, HandlerFailed)] == []
    return compared_in(journal)


def compared_in(journal: list[Envelope]) -> list[DayCompared]:
    """Return the comparisons of a journal."""
    return [envelope.event for envelope in journal if isinstance(envelope.event, DayCompared)]


def test_each_session_is_compared_and_every_dollar_has_its_part(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The strategies decide in the backtest what they decided live, and what they paid over the mids is the rest, to the last digit."""
    found = lived(tmp_path, settings={"risk.live_backtest_limit_bps": 0.5})

    assert [MONDAY, TUESDAY] == [day.session for day in found]
    for day in found:
        for one in day.strategies:
            assert one.reason is None
            assert one.other_weights == ()
            assert one.compared is not None
            assert one.compared.difference == sum((part.dollars for part in one.compared.parts), Decimal(0))
            dollars = {part.part: part.dollars for part in one.compared.parts}
            assert dollars.get(Part.DECISION, 0) == dollars.get(Part.OTHER, 0) == 0
            assert dollars[Part.EXECUTION] < 0
            assert (one.strategy in day.beyond) == (abs(one.compared.difference_bps) > Decimal("0.5"))
    assert any(day.beyond for day in found), "half a basis point is soon paid"

    shown = view_from_journal(tmp_path).pnl()["live_against_backtest"]
    assert (shown["session"], list(shown["strategies"])) == (TUESDAY, ["a", "b"])
    assert any("off the backtest in bps: a " in line_of(one, None) for one in journal_of(tmp_path) if isinstance(one.event, DayCompared))

    monkeypatch.setenv("ALCHEMISER_SERVICE__HTTP", "127.0.0.1:1")  # Where no daemon answers: the journal does.
    capsys.readouterr()
    where = ["--state", str(tmp_path)]
    assert run(["compare-day", *where]) == 0
    text = capsys.readouterr().out
    assert text.startswith("2025-01-07, live against backtest, in basis points of the capital; the limit is 0.5")
    assert ("beyond the limit" in text) == bool(found[1].beyond)
    assert run(["compare-day", "--session", "2025-01-06", "--json", *where]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["beyond"] == list(found[0].beyond)
    assert Decimal(document["strategies"]["a"]["difference_bps"]) == found[0].strategies[0].compared.difference_bps  # type: ignore[union-attr]
    assert run(["compare-day", "--session", "2025-01-03", *where]) == 3
    assert run(["compare-day", "--session", "yesterday", *where]) == 2


def test_what_was_not_compared_in_the_evening_is_compared_at_the_next_start_once(tmp_path: Path) -> None:
    """The process ended before it could: the next one fetches the same bars again, which their version proves."""

    async def nothing(self: DayComparison, envelope: Envelope) -> None:
        """Die before anything is compared."""

    with patch.object(DayComparison, "handle", nothing):
        assert lived(tmp_path, days=1) == []
    monday, tuesday = lived(tmp_path, days=1, start=TUESDAY)

    assert (monday.session, tuesday.session) == (MONDAY, TUESDAY)
    assert [one.reason for day in (monday, tuesday) for one in day.strategies] == [None] * 4
    assert monday.beyond == (), "fifty basis points are far"


def test_a_day_without_a_decision_has_a_reason(tmp_path: Path) -> None:
    """The cut-off had passed when it was time to decide."""
    (day,) = lived(tmp_path, days=1, settings={"schedule.decision": "close - 1m", "execution.cutoff": "close - 5m"})
    journal = [envelope.event for envelope in journal_of(tmp_path)]

    (missed,) = [event for event in journal if isinstance(event, DecisionMissed)]
    assert not any(isinstance(event, RebalancePlanned) for event in journal)
    assert {one.reason for one in day.strategies} == {f"nothing was planned: {missed.reason}"}
    assert (day.rebalance_id, day.beyond) == (None, ())
