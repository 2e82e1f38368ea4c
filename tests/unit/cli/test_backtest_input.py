"""Bad bars and impossible ranges: ``backtest`` names what is wrong and where, with exit code 3, whichever engine was asked for."""

import json
import math
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest

from alchemiser.cli.app import run

SWITCH = '(defsymphony "T" {:rebalance-frequency :daily} (if (> (rsi "A" {:window 10}) 50) [(asset "A")] [(asset "B")]))'
NEVER = '(defsymphony "N" {:rebalance-frequency :daily} (if (> (moving-average-price "A" 200) 50) [(asset "A")] [(asset "B")]))'

Rows = list[list[str]]


def rows() -> Rows:
    """Return sixty weekdays of closes."""
    days = [day for day in (date(2024, 1, 2) + timedelta(days=step) for step in range(84)) if day.weekday() < 5]
    return [[day.isoformat(), f"{100 + 5 * math.sin(place):.4f}"] for place, day in enumerate(days)]


def spoiled(change: Callable[[Rows], object]) -> Rows:
    found = rows()
    change(found)
    return found


def write(folder: Path, bars: Rows, header: str = "date,close") -> None:
    for symbol, lines in (("A", bars), ("B", rows())):
        text = "".join(",".join(line) + "\n" for line in lines)
        (folder / f"{symbol}.csv").write_text((header if symbol == "A" else "date,close") + "\n" + text)
    (folder / "s.clj").write_text(SWITCH)
    (folder / "never.clj").write_text(NEVER)


BAD_BARS: dict[str, tuple[Rows, str, str]] = {
    "a date twice": (spoiled(lambda found: found.insert(10, found[9])), "date,close", "A.csv, line 12: 2024-01-15 is there twice"),
    "out of order": (spoiled(lambda found: found.insert(11, found.pop(10))), "date,close", "A.csv, line 13: 2024-01-16 comes after"),
    "zero": (spoiled(lambda found: found[10].__setitem__(1, "0")), "date,close", 'A.csv, line 12: close is "0", expected a positive'),
    "negative": (spoiled(lambda found: found[10].__setitem__(1, "-3")), "date,close", 'A.csv, line 12: close is "-3"'),
    "not a number": (spoiled(lambda found: found[10].__setitem__(1, "nan")), "date,close", 'A.csv, line 12: close is "nan"'),
    "text": (spoiled(lambda found: found[10].__setitem__(1, "n/a")), "date,close", 'A.csv, line 12: close is "n/a"'),
    "no date": (spoiled(lambda found: found[10].__setitem__(0, "2024-13-45")), "date,close", 'A.csv, line 12: date is "2024-13-45"'),
    "other columns": (rows(), "day,price", 'A.csv: column "date" is missing; found day, price'),
    "no rows": ([], "date,close", "A.csv: there is no row of data"),
    "a long gap": (
        spoiled(lambda found: found.__delitem__(slice(20, 45))),
        "date,close",
        "A.csv, line 22: A has no bars from 2024-01-30 to",
    ),
}


@pytest.mark.parametrize("engine", ["vector", "event"])
@pytest.mark.parametrize("fault", BAD_BARS)
def test_bad_bars_are_named_with_file_and_line(fault: str, engine: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also where the run begins behind the fault, and where another branch of the strategy could have been taken."""
    bars, header, message = BAD_BARS[fault]
    write(tmp_path, bars, header)
    options = ("--strategy", f"{tmp_path}/s.clj", "--bars", str(tmp_path), "--start", "2024-02-01", "--engine", engine)

    assert run(["backtest", *options]) == 3
    assert message in capsys.readouterr().err.replace(f"{tmp_path}/", "")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--start", "2024-03-01", "--end", "2024-02-01"), "--start 2024-03-01 is after --end 2024-02-01"),
        (("--start", "2030-01-01"), "the last before is that of 2024-03-25"),
        (("--end", "2020-01-01"), "there are no bars until then"),
        (("--start", "2019-01-01", "--end", "2020-01-01"), "there are no bars until then"),
    ],
)
def test_a_range_without_a_session_is_named(
    options: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The bars that there are are told, where there are any."""
    write(tmp_path, rows())

    assert run(["backtest", "--strategy", f"{tmp_path}/s.clj", "--bars", str(tmp_path), *options]) == 3
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("options", [(), ("--start", "2024-02-01")])
def test_a_strategy_that_never_has_a_target_is_named(
    options: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With and without a start: a flat curve would be believed. Beside one that can decide it is named among the failures."""
    write(tmp_path, rows())
    monkeypatch.chdir(tmp_path)
    why = "on the last session never (never.clj): line 1: moving-average-price(A, 200) > 50: A has 60 closes up to 2024-03-25, "

    assert run(["backtest", "--strategy", "never.clj", "--bars", ".", *options]) == 3
    assert why in capsys.readouterr().err


def test_a_class_that_never_has_a_target_is_named_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line is that of its decide."""
    write(tmp_path, rows())
    monkeypatch.chdir(tmp_path)
    text = "from alchemiser.strategies.python import Strategy\nclass Idle(Strategy):\n    symbols = ('A',)\n    def decide(self, market):\n"
    (tmp_path / "never_at_all.py").write_text(text + "        return {}\n")

    assert run(["backtest", "--strategy", "never_at_all:Idle", "--bars", "."]) == 3
    assert "on the last session idle (never_at_all.py, line 4): Idle.decide returned weights" in capsys.readouterr().err


def test_bars_of_nothing_that_is_needed_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The symbols, and what there is instead."""
    write(tmp_path, rows())

    assert run(["backtest", "--strategy", "dual_momentum", "--bars", str(tmp_path)]) == 3
    said = capsys.readouterr().err
    assert "there are no bars of any of " in said
    assert "there are A, B" in said


def test_strategies_of_the_same_symbols_warm_up_each_for_itself(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """What another one already holds is no target of a strategy that has none yet."""
    write(tmp_path, rows())
    (tmp_path / "hold.clj").write_text('(defsymphony "H" {:rebalance-frequency :daily} (weight-equal [(asset "A") (asset "B")]))')
    strategies = [word for name in ("hold", "s") for word in ("--strategy", f"{tmp_path}/{name}.clj")]
    assert run(["backtest", *strategies, "--bars", str(tmp_path), "--bootstrap", "0", "--json"]) == 0
    warm_up = json.loads(capsysbinary.readouterr().out)["provenance"]["warm_up"]

    assert [(each["strategy"], each["first_target"], each["closes"]) for each in warm_up] == [
        ("hold", "2024-01-02", 1),
        ("s", "2024-01-16", 11),
    ]


@pytest.mark.parametrize("cash", ["inf", "nan", "0", "1e300"])
def test_cash_is_a_number_of_dollars(cash: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Which one can count."""
    assert run(["backtest", "--strategy", "tecl", "--bars", ".", "--cash", cash]) == 2
    assert "--cash" in capsys.readouterr().err


def test_money_of_a_day_outside_of_the_run_is_told(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """It is booked nowhere, and the document, the terminal and the page say so."""
    write(tmp_path, rows())
    page = tmp_path / "page.html"
    command = ["backtest", "--strategy", f"{tmp_path}/s.clj", "--bars", str(tmp_path), "--bootstrap", "0", "--flow", "-5@2031-01-02"]
    assert run([*command, "--json"]) == 0
    answer = json.loads(capsysbinary.readouterr().out)
    assert answer["provenance"]["flows_left_out"] == [{"date": "2031-01-02", "amount": -5.0}]

    assert run([*command, "--report", str(page)]) == 0
    assert "left out: -5.00 on 2031-01-02; a run books what comes after its first session" in capsysbinary.readouterr().out.decode()
    assert "Left out: -5.00 on 2031-01-02" in page.read_text()


def test_where_the_bars_come_from_is_told(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """Feed, survivorship, short gaps and the warm-up of each strategy are in the document and on the terminal."""
    write(tmp_path, spoiled(lambda found: found.pop(20)))
    command = ["backtest", "--strategy", f"{tmp_path}/s.clj", "--bars", str(tmp_path), "--bootstrap", "0"]
    assert run([*command, "--json"]) == 0
    known = json.loads(capsysbinary.readouterr().out)["provenance"]

    assert known["gaps"] == [{"symbol": "A", "first": "2024-01-30", "last": "2024-01-30", "sessions": 1}]
    assert known["warm_up"] == [{"strategy": "s", "bars_needed": 11, "bars_settled": 76, "first_target": "2024-01-16", "closes": 11}]
    assert known["feed"].startswith("not named")
    assert "too kind" in known["survivorship"]

    assert run(command) == 0
    text = capsysbinary.readouterr().out.decode()
    assert "s warmed up on 11 closes, it needs 11; it settles after 76; its first target is of 2024-01-16" in text
    assert "1 bars are missing inside the series, such as A 2024-01-30" in text
