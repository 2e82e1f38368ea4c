"""What ``backtest`` says beside the curve, and ``backtest compare``, through the command line."""

from pathlib import Path

import msgspec
import pytest

from alchemiser.cli.chart import line_chart
from tests.unit.cli.test_signals_check_backtest import Command, bars, command, write_bars

__all__ = ["bars", "command"]

RUN = ("backtest", "--strategy", "switch.clj", "--bars", "bars", "--cash", "1000")


def test_the_answer_names_its_bars_and_repeats_itself(bars: Path, command: Command) -> None:
    """The same inputs give the same digest; a changed close another version of the data, and that symbol's hash tells which."""
    one, again = (command(*RUN, "--json")[1] for _ in range(2))
    write_bars(bars, "TLT", [80.0, 80.0, 80.0, 84.1])
    other = command(*RUN, "--json")[1]
    hashes = [{entry["symbol"]: entry["sha256"] for entry in answer["data"]["symbols"]} for answer in (one, other)]

    assert one["digest"] == again["digest"]
    assert {**one, "seconds": 0} == {**again, "seconds": 0}
    assert one["data"]["version"] != other["data"]["version"]
    assert [symbol for symbol in hashes[0] if hashes[0][symbol] != hashes[1][symbol]] == ["TLT"]


def test_everything_asked_for_is_in_the_answer(bars: Path, command: Command) -> None:
    """The parts of the analysis are at the top of the document, beside the documented shape."""
    answer = command(*RUN, "--json", "--benchmark", "spy", "--trials", "20", "--window", "2", "--bootstrap", "50")[1]

    assert [month["period"] for month in answer["months"]] == ["2025-03"]
    assert answer["years"][0]["value"] == pytest.approx(answer["metrics"]["total_return"])
    assert sum(entry["profit"] for entry in answer["contributions"]) == pytest.approx(answer["equity"][-1] - 1_000)
    assert answer["benchmark"]["symbol"] == "SPY"
    assert answer["benchmark"]["equity"] == pytest.approx([1_000, 1_000 / 1.01, 1_000 / 1.01 * 1.02])
    assert (answer["sharpe_test"]["trials"], answer["intervals"]["samples"], answer["rolling"]["window"]) == (20, 50, 2)
    assert answer["rolling"]["sharpe"][:2] == [None, None]
    assert answer["exposure"] == {"average": 1.0, "maximum": 1.0, "time_in_market": 1.0}
    assert answer["drawdowns"][0] == {
        "depth": pytest.approx(1 - 1 / 1.01),
        "peak": "2025-03-04",
        "trough": "2025-03-05",
        "recovered": "2025-03-06",
        "sessions": 2,
        "sessions_to_recover": 1,
    }


def test_the_terminal_shows_a_curve_and_who_earned(bars: Path, command: Command) -> None:
    """The text has a small chart, the falls and the benchmark's figures."""
    text = command(*RUN, "--benchmark", "SPY", "--trials", "5", "--strategy", "tecl")[1]
    alone = command(*RUN, "--benchmark", "SPY", "--trials", "5")[1]

    assert "no target" in text
    assert "earned by strategy: switch" in text
    assert "1,010 \u2524" in alone
    assert "fell 0.99% after 2025-03-04 to 2025-03-05, recovered 2025-03-06 (2 sessions)" in alone
    assert "alpha to SPY" in alone
    assert "deflated sharpe, 5 tries" in alone


def test_a_benchmark_that_begins_too_late(bars: Path, command: Command) -> None:
    """A benchmark without a close on the first session is refused, as is one without bars."""
    (bars / "LATE.csv").write_text("date,close\n2025-03-06,10\n")

    assert "its bars begin 2025-03-06, the run on 2025-03-04" in command(*RUN, "--benchmark", "LATE")[2]
    assert command(*RUN, "--benchmark", "GONE")[0] == 3


def test_compare_through_the_command_line(bars: Path, command: Command) -> None:
    """Two results written with --json, in words and as a document."""
    first, second = bars.parent / "a.json", bars.parent / "b.json"
    for path, options in ((first, ()), (second, ("--slippage-bps", "10"))):
        path.write_text(_json_of(command, *RUN, *options))
    code, text, _ = command("backtest", "compare", "a.json", "b.json")
    document = command("backtest", "compare", "a.json", "b.json", "--json")[1]

    assert code == 0
    assert "total return" in text
    assert "the first day that differs is 2025-03-04" in text
    assert "both were made of the same bars" in text
    assert len(document["equity"]) == 3
    assert "the same: 3 sessions" in command("backtest", "compare", "a.json", "a.json")[1]
    assert command("backtest", "compare", "a.json", "gone.json")[0] == 3
    assert command("backtest", "compare")[0] == 2


def _json_of(command: Command, *arguments: str) -> str:
    return msgspec.json.encode(command(*arguments, "--json")[1]).decode()


def test_a_chart_of_text() -> None:
    """The highest value reaches the top, the lowest the bottom; a large rise is logarithmic and says so; ASCII alone where needed."""
    assert line_chart([1.0, 2.0, 3.0], height=3).splitlines()[0].startswith("3 \u2524")
    assert line_chart([1.0, 2.0, 3.0], height=3).splitlines()[-1].startswith("1 \u2524\u2581\u2588\u2588")
    assert line_chart([1.0, 10.0]).splitlines()[-1].strip() == "log"
    assert line_chart([1.0, 2.0], is_plain=True).isascii()
    assert line_chart([1.0, 2.0, 0.0]).splitlines()[-1].startswith("0 ")
    assert line_chart([5.0, 5.0]) == "5 \u2524\u2581\u2581"
    assert max(map(len, line_chart([1.0] * 1_000, width=20).splitlines())) == 23
