"""The results of the sessions: the curve, its falls, and each question reads only what is new."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import ResultReported
from alchemiser.service.results import ResultHistory


def result(day: int, equity: int, **profit: int) -> ResultReported:
    """Return the result of a day of March."""
    values = {name: Decimal(value) for name, value in profit.items()}
    return ResultReported(
        at=datetime(2025, 3, day, 21, tzinfo=UTC),
        session=date(2025, 3, day),
        equity=Decimal(equity),
        cash=Decimal(1),
        realised=values,
        unrealised=dict.fromkeys(values, Decimal(1)),
    )


def test_the_fall_is_measured_from_the_highest_equity_before() -> None:
    """A new peak has no drawdown; below it the share that is missing."""
    journal = [Envelope(number, event, 0.0) for number, event in enumerate((result(3, 100), result(4, 80), result(5, 120)), 1)]

    rows = ResultHistory(lambda after: iter(journal)).rows()

    assert [0.0, 0.2, 0.0] == [row["drawdown"] for row in rows]
    assert [date(2025, 3, 3), date(2025, 3, 4), date(2025, 3, 5)] == [row["session"] for row in rows]


def test_each_question_reads_on() -> None:
    """What was read is not read again; a session that is reported again counts once, with the newer report."""
    journal: list[Envelope] = []
    asked: list[int] = []

    def read(after: int) -> Iterator[Envelope]:
        asked.append(after)
        return (envelope for envelope in journal if envelope.sequence > after)

    history = ResultHistory(read)
    journal.append(Envelope(5, result(3, 100, tecl=2), 0.0))
    assert [{"tecl": Decimal(3)}] == [row["profit"] for row in history.rows()]
    journal.append(Envelope(9, result(3, 101, tecl=3), 0.0))
    assert [Decimal(101)] == [row["equity"] for row in history.rows()]
    assert [0, 5] == asked


def test_what_is_below_its_peak_is_measured_from_the_sessions_and_from_now() -> None:
    """Equity as a share, profit in dollars; a new high is below nothing, and a strategy that never gained is below zero."""
    journal = [Envelope(number, event, 0.0) for number, event in enumerate((result(3, 100, tecl=9), result(4, 80, tecl=4)), 1)]
    history = ResultHistory(lambda after: (envelope for envelope in journal if envelope.sequence > after))

    assert history.drawdown(Decimal(75)) == 0.25
    assert history.drawdown(Decimal(110)) == 0.0
    assert history.below_peak({"tecl": Decimal(3), "new": Decimal(-2)}) == {"tecl": Decimal(7), "new": Decimal(2)}
    assert ResultHistory(lambda after: iter(())).drawdown(Decimal(0)) == 0.0
