"""Five strategies on one account, three shipped and two in Python, through days with faults: the books are the exchange's every evening."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from alchemiser.market.calendar import TradingCalendar
from alchemiser.service.roster import load_roster
from alchemiser.service.settings import Settings
from tests.simulation.campaign import play
from tests.simulation.checker import broken_rules
from tests.simulation.faults import End, Json, Scenario
from tests.simulation.menu import decided
from tests.simulation.record import Record
from tests.simulation.steps import holdings_of

STRATEGIES = {
    "nuclear": "nuclear",
    "tecl": "tecl",
    "klm": "klm",
    "rotation": "tests.simulation.traders:ShippedRotation",
    "small": "tests.simulation.traders:ShippedSmallRotation",
}
DAYS = 4


def symbols() -> tuple[str, ...]:
    """Return every symbol that one of them may hold or watch."""
    roster = load_roster(Settings.model_validate({"strategies": {name: {"source": source} for name, source in STRATEGIES.items()}}))
    return tuple(sorted({symbol for strategy in roster for symbol in strategy.symbols}))


def scenario() -> Scenario:
    """Return four days with something that goes wrong after the decision of each."""
    sessions = TradingCalendar.new_york().sessions(date(2025, 1, 2), date(2025, 1, 20))[:DAYS]
    plain = Scenario(
        seed=11,
        sessions=sessions,
        strategies=STRATEGIES,
        settings={"schedule.decision": "close - 10m", "market.history_sessions": 260},
        symbols=symbols(),
    )

    def at(number: int, seconds: float) -> str:
        return decided(plain, seconds, number=number).isoformat()

    faults: tuple[Json, ...] = (
        {"kind": "drop_stream", "stream": "orders", "at": at(0, 1.0)},
        {"kind": "http", "path": "/v2/orders", "method": "POST", "status": 504, "after_effect": True, "times": 2, "at": at(1, 0.0)},
        {"kind": "timeout_after_effect", "path": "/v2/orders", "method": "POST", "seconds": 12.0, "times": 1, "at": at(2, 0.0)},
        {"kind": "drop_stream", "stream": "orders", "at": at(3, 2.0)},
    )
    return replace(plain, faults=faults, ends=(End("crash", 5.0, decided(plain, 3.0, number=2)),))


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """Play the days once."""
    return play(scenario(), tmp_path_factory.mktemp("five"))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_no_rule_is_broken_and_the_faults_struck(record: Record) -> None:
    """All of the referee's rules, for books that five strategies share."""
    assert [] == broken_rules(record)
    assert {"crash"} <= set(record.struck)
    assert any(kind.startswith("drop_stream") for kind in record.struck)
    assert any(kind.startswith("http 504 POST") for kind in record.struck)
    assert {name for _, name, _, _ in holdings_of(record)} == set(STRATEGIES)
    assert any(row.event["crossings"] for row in record.of("RebalancePlanned"))


@pytest.mark.slow
def test_every_evening_the_books_are_the_exchanges(record: Record) -> None:
    """Summed over the strategies, to the last fraction of a share, by what the exchange executed; and the daemon says so itself."""
    evenings = list(_evenings(record))
    assert len(evenings) == DAYS
    for evening, ours, theirs in evenings:
        assert ours == theirs, f"on the evening of {evening:%Y-%m-%d}"
        assert ours, "something was held"
    compared = [row.event for row in record.of("LedgerCompared") if row.event["session"] is not None]
    assert {str(session.date) for session in scenario().sessions} <= {event["session"] for event in compared}
    assert [] == [difference for event in compared for difference in event["differences"]]


def _evenings(record: Record) -> Iterator[tuple[datetime, dict[str, Decimal], dict[str, Decimal]]]:
    """Yield what the strategies hold together and what the exchange has executed in sum, an hour after each close."""
    at_of = {row.sequence: row.at for row in record.journal}
    changes = list(holdings_of(record))
    for session in record.sessions:
        evening = session.closes_at + timedelta(hours=1)
        held: dict[tuple[str, str], Decimal] = {}
        for sequence, strategy, symbol, quantity in changes:
            if at_of[sequence] <= evening:
                held[strategy, symbol] = quantity
        ours: dict[str, Decimal] = defaultdict(Decimal)
        for (_, symbol), quantity in held.items():
            ours[symbol] += quantity
        theirs: dict[str, Decimal] = defaultdict(Decimal)
        for row in record.activities:
            if datetime.fromisoformat(row["transaction_time"]).astimezone(UTC) <= evening:
                theirs[row["symbol"]] += Decimal(row["qty"]) * (1 if row["side"] == "buy" else -1)
        yield evening, {s: q for s, q in sorted(ours.items()) if q}, {s: q for s, q in sorted(theirs.items()) if q}
