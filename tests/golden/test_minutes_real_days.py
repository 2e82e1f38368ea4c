"""The event engine along real minutes against a slow, plain reference that shares nothing with it but the files.

The bars are not part of the repository; without them the test is skipped.
"""

import csv
import gzip
import json
from datetime import date
from pathlib import Path

import pytest

from alchemiser.cli.app import run

DATA = Path(__file__).parents[3] / "shared" / "data"
MINUTES = DATA / "intraday" / "minute_2022_2023_SPY_QQQ.csv.gz"
SWITCH = '(defsymphony "S" {:rebalance-frequency :daily} (if (> (cumulative-return "SPY" {:window 1}) 0) [(asset "QQQ")] [(asset "SPY")]))'

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not MINUTES.is_file(), reason="the real bars are not here")]


def last_before(rows: list[dict[str, str]], day: str, wall: str) -> dict[str, float]:
    """Return the close of the last minute bar of each symbol that began before a moment of the day in UTC."""
    return {row["symbol"]: float(row["close"]) for row in rows if row["ts"].startswith(day) and row["ts"][11:16] < wall}


def adjusted(symbol: str) -> dict[str, tuple[float, float]]:
    """Return close and adjusted close by day; neither symbol was split since."""
    with (DATA / "daily" / f"{symbol}.csv").open() as file:
        return {row["date"]: (float(row["close"]), float(row["adj_close"])) for row in csv.DictReader(file)}


def test_two_weeks_of_a_switch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every decision and the equity of every day, the half day before Independence Day among them, which is decided at 12:50."""
    (tmp_path / "switch.clj").write_text(SWITCH)
    options = ["--strategy", str(tmp_path / "switch.clj"), "--bars", str(DATA / "daily"), "--minutes", str(MINUTES)]
    assert (
        run(["backtest", "--engine", "event", *options, "--start", "2023-07-03", "--end", "2023-07-14", "--bootstrap", "0", "--json"]) == 0
    )
    answer = json.loads(capsys.readouterr().out)

    with gzip.open(MINUTES, "rt") as file:
        rows = [row for row in csv.DictReader(file) if row["ts"].startswith("2023-07")]
    daily = {symbol: adjusted(symbol) for symbol in ("SPY", "QQQ")}
    days = sorted(daily["SPY"])
    cash, shares, held, curve, targets = 100_000.0, 0.0, "SPY", [], []
    for text in answer["dates"]:
        half_day = text == "2023-07-03"
        seen = last_before(rows, text, "16:50" if half_day else "19:50")
        prices = {symbol: seen[symbol] * daily[symbol][text][1] / daily[symbol][text][0] for symbol in seen}
        before = daily["SPY"][days[days.index(text) - 1]][1]
        wanted = "QQQ" if prices["SPY"] > before else "SPY"
        worth = cash + shares * prices[held]
        cash, shares, held = 0.0, worth / prices[wanted], wanted
        targets.append({"date": text, "weights": {wanted: 1.0}})
        curve.append(shares * daily[held][text][1])

    assert [date.fromisoformat(text).day for text in answer["dates"]] == [3, 5, 6, 7, 10, 11, 12, 13, 14]
    assert answer["targets"] == targets
    assert len({tuple(target["weights"]) for target in targets}) == 2
    assert answer["equity"] == pytest.approx(curve, rel=1e-9)
    assert answer["provenance"]["intraday"]["sessions_of_minutes"] == 9
