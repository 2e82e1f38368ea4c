"""The commands that decide on a folder of bars: their JSON shapes, their words, their exit codes."""

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from alchemiser.cli.app import run

SWITCH = """(defsymphony "Switch" {:rebalance-frequency :daily}
  (if (> (cumulative-return "SPY" {:window 1}) 0) [(asset "SPY")] [(weight-specified 0.75 (asset "BIL") 0.25 (asset "TLT"))]))"""

Command = Callable[..., tuple[int, Any, str]]


def sessions(count: int) -> list[date]:
    """Return weekdays from Monday 3 March 2025 on, all of them sessions of the exchange."""
    days = [date(2025, 3, 3) + timedelta(days=offset) for offset in range(count * 2)]
    return [day for day in days if day.weekday() < 5][:count]


def write_bars(folder: Path, symbol: str, closes: Sequence[float]) -> None:
    rows = [f"{day},{close}" for day, close in zip(sessions(len(closes)), closes, strict=True)]
    (folder / f"{symbol}.csv").write_text("\n".join(["date,close", *rows, ""]))


@pytest.fixture
def bars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of bars, beside a symphony that switches on SPY, in an otherwise empty working directory."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "bars"
    folder.mkdir()
    write_bars(folder, "SPY", [100.0, 101.0, 100.0, 102.0])
    write_bars(folder, "BIL", [90.0, 90.0, 90.0, 90.9])
    write_bars(folder, "TLT", [80.0, 80.0, 80.0, 84.0])
    (tmp_path / "switch.clj").write_text(SWITCH)
    (tmp_path / "broken.clj").write_text('(defsymphony "Broken" {}\n  (filtre))')
    return folder


@pytest.fixture
def command(capsysbinary: pytest.CaptureFixture[bytes]) -> Command:
    """Return the caller of the command line: exit code, decoded JSON (or text), standard error."""

    def call(*arguments: str) -> tuple[int, Any, str]:
        code = run(arguments)
        captured = capsysbinary.readouterr()
        answer = msgspec.json.decode(captured.out) if "--json" in arguments and captured.out else captured.out.decode()
        return code, answer, captured.err.decode()

    return call


# --- signals ---


def test_signals_for_a_day(bars: Path, command: Command) -> None:
    """The weights on the closes up to the day, the reason for them, and the account target, in the documented shape."""
    code, answer, _ = command("signals", "--strategy", "switch.clj", "--bars", "bars", "--as-of", "2025-03-05", "--json")
    (signal,) = answer["strategies"]

    assert code == 0
    assert answer["as_of"] == "2025-03-05"
    assert answer["target"] == signal["weights"] == {"BIL": 0.75, "TLT": 0.25}
    assert (signal["name"], signal["status"], signal["reason"]) == ("switch", "ok", None)
    assert signal["explanation"][0] == "line 2: cumulative-return(SPY, 1) -0.990099 > 0: no, closely"
    assert signal["seconds"] >= 0


def test_the_path_of_a_decision_as_a_tree(bars: Path, command: Command) -> None:
    """The numbers of each step, how close it was, and the share of each branch; on the terminal the same with guides."""
    (signal,) = command("signals", "--strategy", "switch.clj", "--bars", "bars", "--as-of", "2025-03-05", "--json")[1]["strategies"]
    condition, split = signal["tree"]["path"]
    text = command("signals", "--strategy", "switch.clj", "--bars", "bars", "--as-of", "2025-03-05", "--explain")[1]

    assert signal["is_fragile"] is True
    assert (condition["kind"], condition["holds"], condition["line"]) == ("condition", False, 2)
    assert condition["margin"] == pytest.approx(0.990099, abs=1e-6)
    assert split["shares"] == [{"name": "BIL", "share": 0.75}, {"name": "TLT", "share": 0.25}]
    assert [(part["symbol"], part["share"]) for part in signal["tree"]["parts"]] == [("BIL", 0.75), ("TLT", 0.25)]
    assert "(close: a small move would change it)" in text
    assert "└── TLT 25.00%" in text


def test_the_last_day_with_a_bar_is_the_default(bars: Path, command: Command) -> None:
    """Without a day the newest bars decide."""
    code, answer, _ = command("signals", "--strategy", "switch.clj", "--bars", "bars", "--json")

    assert (code, answer["as_of"], answer["target"]) == (0, "2025-03-06", {"SPY": 1.0})


def test_a_day_without_a_session_sees_the_one_before(bars: Path, command: Command) -> None:
    """On a Saturday the closes of Friday are the latest there are; a missed session since the last bar is a failure."""
    write_bars(bars, "SPY", [100.0, 101.0, 100.0, 102.0, 103.0])
    saturday = command("signals", "--strategy", "switch.clj", "--bars", "bars", "--as-of", "2025-03-08", "--json")
    monday = command("signals", "--strategy", "switch.clj", "--bars", "bars", "--as-of", "2025-03-10", "--json")

    assert (saturday[0], saturday[1]["session"]) == (0, "2025-03-07")
    assert monday[0] == 3
    assert monday[1]["strategies"][0]["reason"] == "the bars end on 2025-03-07, before the session of 2025-03-10"


def test_one_failed_strategy_stops_no_other(bars: Path, command: Command) -> None:
    """Refused files, missing symbols and unknown names fail alone, with their reasons; the exit code says that something failed."""
    (bars.parent / "missing.clj").write_text('(defsymphony "Missing" {} (asset "GONE"))')
    sources = ["switch.clj", "broken.clj", "missing.clj", "tecel"]
    options = [part for source in sources for part in ("--strategy", source)]
    code, answer, _ = command("signals", *options, "--bars", "bars", "--json")
    statuses = {signal["name"]: (signal["status"], signal["reason"]) for signal in answer["strategies"]}

    assert code == 3
    assert list(statuses) == ["switch", "broken", "missing", "tecel"]
    assert statuses["switch"] == ("ok", None)
    assert statuses["broken"] == ("failed", "broken.clj: line 2, column 4: unknown operator 'filtre'; did you mean filter?")
    assert "no bars of GONE: neither GONE.csv nor GONE.parquet" in statuses["missing"][1]
    assert "did you mean tecl?" in statuses["tecel"][1]
    assert answer["target"] == {"SPY": 0.25}


def test_a_missing_file_off_the_path_is_harmless(bars: Path, command: Command) -> None:
    """TLT is not looked at on a day that holds SPY."""
    (bars / "TLT.csv").unlink()

    assert command("signals", "--strategy", "switch.clj", "--bars", "bars", "--json")[0] == 0


def test_signals_in_words(bars: Path, command: Command) -> None:
    """Without --json the same is told to people, with the path of each decision."""
    code, text, _ = command("signals", "--strategy", "switch.clj=0.5", "--strategy", "broken.clj=0.5", "--bars", "bars")

    assert code == 3
    assert "Targets on the closes of 2025-03-06" in text
    assert "switch: SPY 100.00%" in text
    assert "line 2: cumulative-return(SPY, 1) 2 > 0: yes" in text
    assert "broken: failed, broken.clj: line 2, column 4" in text
    assert "account: SPY 50.00%" in text


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("signals", "--strategy", "switch.clj"), 2, "name a folder of SYMBOL.csv files with --bars"),
        (("signals", "--strategy", "switch.clj", "--bars", "bars", "--as-of", "yesterday"), 2, "--as-of yesterday: expected a date"),
        (("signals", "--strategy", "switch.clj", "--bars", "nowhere"), 3, "the folder of bars cannot be read"),
        (("signals", "--strategy", "switch.clj=0.5", "--bars", "bars"), 3, "must add up to 1"),
        (("backtest", "--strategy", "switch.clj", "--bars", "bars", "--fees"), 2, "they need --engine event"),
        (("backtest", "--strategy", "switch.clj", "--bars", "bars", "--report", "nowhere/r.html"), 2, "cannot be written"),
        (("backtest", "--strategy", "switch.clj", "--bars", "bars", "--start", "2025-03-06", "--end", "2025-03-05"), 3, "is after"),
        (("backtest", "--strategy", "broken.clj", "--bars", "bars"), 3, "unknown operator 'filtre'"),
        (("backtest", "--strategy", "switch.clj", "--bars", "bars", "--start", "2026-01-01"), 3, "the last before is that of"),
    ],
)
def test_wrong_calls(bars: Path, command: Command, arguments: tuple[str, ...], code: int, words: str) -> None:
    """What cannot be done is one clear line on standard error and its documented exit code."""
    answered = command(*arguments)

    assert answered[0] == code
    assert words in answered[2]
    assert "Traceback" not in answered[2]


def test_a_day_beyond_the_calendar_is_refused(bars: Path, command: Command) -> None:
    """Whether bars are current cannot be known for a day that the table of sessions does not reach."""
    code, answer, _ = command("signals", "--strategy", "switch.clj", "--bars", "bars", "--as-of", "2090-01-01", "--json")

    assert code == 3
    assert "whether the bars reach 2090-01-01 cannot be known" in answer["strategies"][0]["reason"]


def test_a_folder_without_the_symbols(bars: Path, command: Command) -> None:
    """Without a single bar of what is needed the strategy fails, by day or not."""
    for symbol in ("SPY", "BIL", "TLT"):
        (bars / f"{symbol}.csv").rename(bars / f"{symbol}X.csv")

    assert "not a single bar" in command("signals", "--strategy", "switch.clj", "--bars", "bars", "--json")[1]["strategies"][0]["reason"]


# --- check ---


def test_check_says_what_is_known(bars: Path, command: Command) -> None:
    """Good files with their facts and warnings, refused ones with the place; the exit code says that one was refused."""
    code, answer, _ = command("check", "switch.clj", "broken.clj", "absent.clj", "--json")
    good, broken, absent = answer["files"]

    assert code == 3
    assert {key: good[key] for key in ("file", "status", "name", "longest_window", "bars_needed", "depth", "warnings", "error")} == {
        "file": "switch.clj",
        "status": "ok",
        "name": "Switch",
        "longest_window": 1,
        "bars_needed": 2,
        "depth": 5,
        "warnings": [],
        "error": None,
    }
    assert (good["symbols_held"], good["symbols_watched"]) == (["BIL", "SPY", "TLT"], [])
    assert (broken["status"], broken["error"]) == (
        "refused",
        {"line": 2, "column": 4, "message": "unknown operator 'filtre'; did you mean filter?"},
    )
    assert (absent["error"]["line"], absent["error"]["message"].partition(":")[0]) == (None, "absent.clj")


def test_check_in_words(bars: Path, command: Command) -> None:
    """Without --json each file is a short paragraph, a refused one a line that editors can jump to."""
    (bars.parent / "odd.clj").write_text('(defsymphony "Odd" {:rebalance-threshold 0.1} (filter (rsi 2) (select-top 2) [(asset "A")]))')
    code, text, _ = command("check", "switch.clj", "odd.clj", "broken.clj", "absent.clj")

    assert code == 3
    assert "switch.clj: ok: Switch" in text
    assert "history    2 bars" in text
    assert "rebalanced threshold 0.1" in text
    assert "it keeps everything" in text
    assert "broken.clj:2:4: refused: unknown operator" in text
    assert "absent.clj: refused: absent.clj: cannot be read" in text
    assert command("check", "switch.clj")[0] == 0


# --- strategy graph ---


def test_graph_of_a_day(bars: Path, command: Command) -> None:
    """The picture goes to standard output or into a file; with bars the path of the day is in it."""
    code, text, _ = command("strategy", "graph", "switch.clj", "--bars", "bars", "--as-of", "2025-03-05")
    drawn = command("strategy", "graph", "switch.clj", "--bars", "bars", "-o", "switch.svg", "--json")[1]

    assert code == 0
    assert text.startswith("<svg")
    assert "cumulative-return(SPY, 1) -0.990099 &gt; 0: no, closely" in text
    assert (drawn["session"], drawn["written"], drawn["svg"], drawn["reason"]) == ("2025-03-06", "switch.svg", None, None)
    assert (bars.parent / "switch.svg").read_text().endswith("</svg>\n")
    assert command("strategy", "graph", "tecl", "--json")[1]["svg"].startswith("<svg")


def test_graph_refusals(bars: Path, command: Command) -> None:
    """What cannot be drawn, written or decided is said; a day without a target is drawn without a path."""
    (bars / "SPY.csv").unlink()

    assert "only symphonies" in command("strategy", "graph", "alchemiser.strategies.catalog.dual_momentum:DualMomentum")[2]
    assert "cannot be written" in command("strategy", "graph", "switch.clj", "-o", "nowhere/x.svg")[2]
    assert "SPY" in command("strategy", "graph", "switch.clj", "--bars", "bars", "--json")[1]["reason"]


# --- backtest ---


def test_backtest_in_its_shape(bars: Path, command: Command) -> None:
    """The run of four days: decided at each close, earning from it on."""
    code, answer, _ = command("backtest", "--strategy", "switch.clj", "--bars", "bars", "--cash", "1000", "--json")

    # Tuesday buys SPY, which falls to 100; Wednesday buys bills and bonds, which rise by 1 % and 5 %.
    assert code == 0
    assert answer["dates"] == ["2025-03-04", "2025-03-05", "2025-03-06"]
    assert answer["equity"] == pytest.approx([1_000, 1_000 / 1.01, 1_000 / 1.01 * 1.02])
    assert [target["weights"] for target in answer["targets"]] == [{"SPY": 1.0}, {"BIL": 0.75, "TLT": 0.25}, {"SPY": 1.0}]
    assert {"engine", "start", "end", "sessions", "seconds", "metrics", "failures"} <= set(answer)
    assert answer["metrics"]["total_return"] == pytest.approx(1.02 / 1.01 - 1)


def test_backtest_at_the_next_open(bars: Path, command: Command) -> None:
    """Opens are adjusted like closes; a file without opens has nothing to fill at, which is reported."""
    days = sessions(4)
    rows = [f"{day},{open_},110,80,{close},1000" for day, open_, close in zip(days, (99, 100, 104, 101), (100, 101, 100, 102), strict=True)]
    (bars / "SPY.csv").write_text("\n".join(["date,open,high,low,close,volume", *rows, ""]))
    code, answer, _ = command("backtest", "--strategy", "switch.clj", "--bars", "bars", "--fill", "next-open", "--cash", "1040", "--json")

    assert code == 0
    assert answer["equity"] == pytest.approx([1_040, 1_000, 1_020])
    assert "BIL, TLT cannot be bought on 2025-03-06" in answer["failures"][0]["reason"]


def test_backtest_in_words(bars: Path, command: Command) -> None:
    """Without --json the figures are a table, and stretches without a target are told, the first few one by one."""
    write_bars(bars, "TLT", [80.0])
    days = sessions(14)
    (bars / "SPY.csv").write_text("\n".join(["date,close", *(f"{day},{100 + place % 2}" for place, day in enumerate(days)), ""]))
    (bars / "BIL.csv").unlink()
    code, text, _ = command("backtest", "--strategy", "switch.clj", "--bars", "bars", "--slippage-bps", "5", "--start", "2025-03-03")

    assert code == 0
    assert "2025-03-03 to 2025-03-20, 14 sessions" in text
    assert "largest drawdown" in text
    assert "switch had no target 2025-03-05 to 2025-03-05 (1 session): line 2: BIL would be held" in text
    assert "and 2 more such stretches, 2 sessions in all" in text


def test_backtest_of_a_curve_that_never_moves(bars: Path, command: Command) -> None:
    """Ratios that do not exist are called none, in JSON null."""
    (bars.parent / "flat.clj").write_text('(defsymphony "Flat" {:rebalance-frequency :daily} (asset "FLAT"))')
    write_bars(bars, "FLAT", [5.0, 5.0, 5.0])

    assert command("backtest", "--strategy", "flat.clj", "--bars", "bars", "--json")[1]["metrics"]["sharpe"] is None
    assert "none" in command("backtest", "--strategy", "flat.clj", "--bars", "bars")[1]


def test_backtest_of_a_single_session(bars: Path, command: Command) -> None:
    """What was bought at its close has earned nothing: no fall, no ratio and no minus sign before a zero, on the page neither."""
    options = ("backtest", "--strategy", "switch.clj", "--bars", "bars", "--start", "2025-03-06", "--cash", "99999.97")
    answer = command(*options, "--json")[1]
    code, text, _ = command(*options, "--report", "one.html")
    page = (bars.parent / "one.html").read_text()

    assert (answer["drawdowns"], answer["metrics"]["max_drawdown"], answer["metrics"]["calmar"]) == ([], 0.0, None)
    assert code == 0
    assert "2025-03-06 to 2025-03-06, 1 session," in text
    assert "-0.00" not in text + page.partition("<script>")[0]
    assert 'id="rolling"' not in page


@pytest.mark.parametrize("engine", ["vector", "event"])
def test_backtest_of_a_strategy_that_loses_everything(bars: Path, command: Command, engine: str) -> None:
    """An account of next to nothing has figures, months, a chart and a page like any other."""
    write_bars(bars, "SPY", [100.0 + place % 2 for place in range(260)])
    write_bars(bars, "BIL", [1.0] * 260)
    (bars.parent / "flip.clj").write_text(
        '(defsymphony "F" {:rebalance-frequency :daily} (if (> (current-price "SPY") 100) [(asset "SPY")] [(asset "BIL")]))'
    )
    costly = ("--cash", "1", "--slippage-bps", "1000", "--engine", engine, *(("--cents",) if engine == "event" else ()))
    options = ("backtest", "--strategy", "flip.clj", "--bars", "bars", *costly)
    answer = command(*options, "--json")[1]
    code, text, _ = command(*options, "--report", "ruin.html")

    assert -1.0 <= answer["metrics"]["total_return"] < -0.97
    assert (code, "final equity" in text) == (0, True)
    assert (bars.parent / "ruin.html").exists()


def test_backtest_of_a_strategy_that_ends_in_debts(bars: Path, command: Command) -> None:
    """The fees of a dollar's trades are more than the dollar: no yearly return leads there, and debts earn nothing by growing."""
    write_bars(bars, "SPY", [100.0 + place % 2 for place in range(260)])
    write_bars(bars, "BIL", [1.0] * 260)
    (bars.parent / "flip.clj").write_text(
        '(defsymphony "F" {:rebalance-frequency :daily} (if (> (current-price "SPY") 100) [(asset "SPY")] [(asset "BIL")]))'
    )
    costly = ("--cash", "1", "--spread-bps", "1000", "--engine", "event", "--cents", "--fees", "--benchmark", "SPY")
    options = ("backtest", "--strategy", "flip.clj", "--bars", "bars", *costly)
    answer = command(*options, "--json")[1]
    code, text, log = command(*options, "--report", "debts.html")

    assert answer["equity"][-1] < 0.0
    assert (answer["metrics"]["cagr"], answer["metrics"]["calmar"], answer["intervals"]["cagr"]) == (None, None, None)
    assert answer["metrics"]["total_return"] < -1.0 < 1.0 < answer["metrics"]["max_drawdown"]
    assert answer["metrics"]["best_session"] <= 0.0
    assert (code, "yearly return         none" in text, log) == (0, True, "")
    assert (bars.parent / "debts.html").exists()


@pytest.mark.parametrize("engine", ["vector", "event"])
def test_a_symbol_that_is_listed_after_the_end_has_no_bars(bars: Path, command: Command, engine: str) -> None:
    """A run that ends before its first bar is a run without it: its data are named with none."""
    days = [str(day) for day in sessions(40)]
    write_bars(bars, "SPY", [100.0 + place % 7 for place in range(40)])
    late = [f"{day},1,1,1,1,1000" for day in days[30:]]
    (bars / "NEW.csv").write_text("\n".join(["date,open,high,low,close,volume", *late, ""]))
    (bars.parent / "late.clj").write_text(
        '(defsymphony "L" {:rebalance-frequency :daily} (if (> (current-price "SPY") 99) [(asset "SPY")] [(asset "NEW")]))'
    )
    options = ("backtest", "--strategy", "late.clj", "--bars", "bars", "--end", days[20], "--engine", engine)
    code, answer, _ = command(*options, "--json", "--report", "late.html")

    named = {entry["symbol"]: (entry["bars"], entry["first"], entry["last"]) for entry in answer["data"]["symbols"]}
    assert (code, named) == (0, {"NEW": (0, None, None), "SPY": (21, days[0], days[20])})
    assert (bars.parent / "late.html").exists()


def test_the_last_decision_of_a_run_has_no_next_open(bars: Path, command: Command) -> None:
    """What could only be filled behind the last session is no target that was acted upon, in neither engine."""
    days = sessions(4)
    rows = [f"{day},{close},{close},{close},{close},1000" for day, close in zip(days, (100, 101, 102, 103), strict=True)]
    (bars / "SPY.csv").write_text("\n".join(["date,open,high,low,close,volume", *rows, ""]))
    (bars.parent / "spy.clj").write_text('(defsymphony "S" {:rebalance-frequency :daily} (asset "SPY"))')
    for engine in ("vector", "event"):
        options = ("--strategy", "spy.clj", "--bars", "bars", "--fill", "next-open", "--engine", engine, "--json")
        assert [target["date"] for target in command("backtest", *options)[1]["targets"]] == [str(day) for day in days[:3]], engine


@pytest.mark.parametrize("engine", ["vector", "event"])
def test_a_single_session_acts_upon_nothing_at_the_next_open(bars: Path, command: Command, engine: str) -> None:
    """The run is over before its only decision could be filled: it has no target, and keeps its cash."""
    (bars.parent / "spy.clj").write_text('(defsymphony "S" {:rebalance-frequency :daily} (asset "SPY"))')
    rows = [f"{day},100,100,100,100,1000" for day in sessions(4)]
    (bars / "SPY.csv").write_text("\n".join(["date,open,high,low,close,volume", *rows, ""]))
    options = ("--strategy", "spy.clj", "--bars", "bars", "--fill", "next-open", "--start", str(sessions(4)[3]), "--engine", engine)
    code, answer, _ = command("backtest", *options, "--json")

    assert (code, answer["targets"], answer["equity"]) == (0, [], [100_000.0])
