"""TECL on every real session since its youngest symbol exists, against a slow and independent reading of its decision table.

Everything here is written a second time on purpose: the file reader, the indicators (one day at a time, from their definitions), the
table, the profit. The real data is not part of the repository; without it these tests are skipped.
"""

import csv
import math
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from alchemiser.backtest.result import BacktestResult
from alchemiser.cli.app import run

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "daily"
SYMBOLS = ("BIL", "BSV", "SPXL", "SQQQ", "TECL", "UVXY", "KMLM", "SPY", "TQQQ", "XLK")
START = date(2021, 1, 4)

pytestmark = pytest.mark.skipif(not (DATA / "TECL.csv").exists(), reason="the real daily bars are not beside the repository")


def closes_of(symbol: str) -> dict[date, float]:
    with (DATA / f"{symbol}.csv").open() as file:
        return {date.fromisoformat(row["date"]): float(row["adj_close"]) for row in csv.DictReader(file)}


class SlowTecl:
    """The decision table of TECL, day by day, every number from its definition."""

    def __init__(self) -> None:
        self.closes = {symbol: closes_of(symbol) for symbol in SYMBOLS}
        self._strengths: dict[tuple[str, int], dict[date, float]] = {}

    def strength(self, symbol: str, window: int, day: date) -> float:
        """Wilder's index, its averages started with the plain mean of the first changes."""
        key = (symbol, window)
        if key not in self._strengths:
            days = list(self.closes[symbol])
            prices = list(self.closes[symbol].values())
            ups = [max(after - before, 0.0) for before, after in pairwise(prices)]
            downs = [max(before - after, 0.0) for before, after in pairwise(prices)]
            up, down = sum(ups[:window]) / window, sum(downs[:window]) / window
            found = {}
            for place in range(window, len(prices)):
                if place > window:
                    up += (ups[place - 1] - up) / window
                    down += (downs[place - 1] - down) / window
                found[days[place]] = 100.0 * up / (up + down)
            self._strengths[key] = found
        return self._strengths[key][day]

    def average(self, symbol: str, window: int, day: date) -> float:
        days = [known for known in self.closes[symbol] if known <= day][-window:]
        return math.fsum(self.closes[symbol][known] for known in days) / window

    def switch(self, day: date, last: str) -> dict[str, float]:
        technology = self.strength("XLK", 10, day)
        if technology > self.strength("KMLM", 10, day):
            return {"BIL": 1.0} if technology > 81 else {"TECL": 1.0}
        return {"TECL": 1.0} if technology < 29 else {last: 1.0}

    def target(self, day: date) -> dict[str, float]:
        if self.closes["SPY"][day] > self.average("SPY", 200, day):
            if self.strength("TQQQ", 10, day) > 79 or self.strength("SPY", 10, day) > 80:
                return {"BIL": 0.75, "UVXY": 0.25}
            return self.switch(day, "BIL")
        if self.strength("TQQQ", 10, day) < 31:
            return {"TECL": 1.0}
        if self.strength("SPXL", 10, day) < 29:
            return {"SPXL": 1.0}
        if self.strength("UVXY", 10, day) > 74:
            return {"BIL": 0.85, "UVXY": 0.15} if self.strength("UVXY", 10, day) > 84 else {"BIL": 1.0}
        stronger = "SQQQ" if self.strength("SQQQ", 9, day) >= self.strength("BSV", 9, day) else "BSV"
        return self.switch(day, stronger)


@pytest.fixture(scope="module")
def slow() -> SlowTecl:
    return SlowTecl()


def command(capsysbinary: pytest.CaptureFixture[bytes], *arguments: str) -> bytes:
    assert run([*arguments, "--strategy", "tecl", "--bars", str(DATA), "--json"]) == 0
    return capsysbinary.readouterr().out


@pytest.fixture
def result(capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> BacktestResult:
    monkeypatch.chdir(tmp_path)
    return msgspec.json.decode(command(capsysbinary, "backtest", "--start", START.isoformat()), type=BacktestResult)


def test_every_session_agrees_with_the_slow_reading(result: BacktestResult, slow: SlowTecl) -> None:
    """On each of more than a thousand real sessions the target is that of the table, and the equity what holding it earned."""
    days = [day for day in slow.closes["SPY"] if day >= START]
    expected = [slow.target(day) for day in days]
    equity = [100_000.0]
    for held, before, after in zip(expected, days, days[1:], strict=False):
        earned = sum(weight * (slow.closes[symbol][after] / slow.closes[symbol][before] - 1) for symbol, weight in held.items())
        equity.append(equity[-1] * (1 + earned))

    assert days == result.dates
    assert expected == [target.weights for target in result.targets]
    assert equity == pytest.approx(result.equity, rel=1e-9)
    assert result.failures == []
    assert result.sessions > 1_000
    assert len({tuple(target) for target in expected}) == 6, "every outcome of the table happened"


def test_the_answer_for_one_day_is_that_of_the_whole_run(
    result: BacktestResult, capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """``signals`` for a day knows nothing of later days, and answers what the run over all days decided then."""
    monkeypatch.chdir(tmp_path)
    by_day = {target.date: target.weights for target in result.targets}
    for day in (date(2022, 6, 16), date(2024, 2, 9), date(2024, 6, 14), date(2025, 1, 10), date(2025, 3, 31)):
        answer: dict[str, Any] = msgspec.json.decode(command(capsysbinary, "signals", "--as-of", day.isoformat()))

        assert by_day[day] == answer["target"]
        assert answer["as_of"] == day.isoformat()


def test_the_whole_history_is_fast(result: BacktestResult, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """Fifteen years take well under two seconds; the stretches without managed futures are reported, not guessed."""
    whole = msgspec.json.decode(command(capsysbinary, "backtest", "--start", "2010-01-04"), type=BacktestResult)

    assert whole.seconds < 2.0
    assert whole.sessions == 3_834
    assert "the bars of KMLM begin only on 2020-12-02" in whole.failures[-1].reason
    assert whole.failures[-1].last == date(2020, 12, 15)
