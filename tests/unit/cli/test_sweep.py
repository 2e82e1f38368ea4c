"""``alchemiser sweep``: its answer, its ranking, its refusals, and the page about it."""

import json
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest

from alchemiser.strategies.sources import StrategySource, load_strategy
from tests.unit.cli.conftest import Command
from tests.unit.cli.test_signals_check_backtest import sessions
from tests.unit.strategies.test_variants import ALL_FORMS, SYMBOLS

PAGE = (Path(__file__).parents[3] / "docs" / "sweep.md").read_text()
LINES = [line for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
SWEEP = ("sweep", "--strategy", "own.clj", "--bars", "bars", "--workers", "1")
VARY = ("--vary", "3:threshold=45..55:5", "--vary", "4:window=4,8")


def write_bars(folder: Path, symbols: tuple[str, ...], count: int) -> None:
    folder.mkdir(parents=True)
    random = np.random.default_rng(11)
    days = sessions(count)
    for symbol in symbols:
        closes = 100 * np.cumprod(1 + random.normal(0, 0.01, count))
        rows = [f"{day},{close}" for day, close in zip(days, closes.tolist(), strict=True)]
        (folder / f"{symbol}.csv").write_text("\n".join(["date,close", *rows, ""]))


@pytest.fixture(autouse=True)
def _place(tmp_path: Path) -> None:
    """Bars and a symphony."""
    write_bars(tmp_path / "bars", SYMBOLS, 150)
    (tmp_path / "own.clj").write_text(ALL_FORMS)


def test_the_answer(alchemiser: Command) -> None:
    """All variants, the best with what it is worth after so many tries; the second call evaluates none."""
    answers = [json.loads(alchemiser(*SWEEP, *VARY, "--json").out) for _ in range(2)]
    assert [answer["evaluated"] for answer in answers] == [6, 0]
    assert answers[0]["variants"] == 6
    assert answers[0]["ranked"] == answers[1]["ranked"]
    best = answers[0]["best"]
    assert best["parameters"] == answers[0]["ranked"][0]["parameters"]
    assert best["sharpe_test"]["trials"] == 6
    assert 0 < best["sharpe_test"]["deflated"] < best["sharpe_test"]["probabilistic"]

    ranked = json.loads(alchemiser("sweep", "rank", "sweep.db", "--by", "max_drawdown", "--top", "2", "--json").out)
    assert (ranked["by"], len(ranked["ranked"])) == ("max_drawdown", 2)
    text = alchemiser("sweep", "rank").out
    assert text.startswith("The best 6 of 6 variants by sharpe\n3:threshold  4:window  sharpe  cagr")


def test_the_best_variant_is_written_and_trades_as_it_was_ranked(alchemiser: Command) -> None:
    """The file is an ordinary symphony: its back-test has the same figures."""
    answer = json.loads(alchemiser(*SWEEP, *VARY, "--write", "best.clj", "--json").out)
    start = str(answer["start"])
    result = json.loads(
        alchemiser("backtest", "--strategy", "best.clj", "--bars", "bars", "--start", start, "--bootstrap", "0", "--json").out
    )

    assert result["metrics"]["sharpe"] == pytest.approx(answer["best"]["metrics"]["sharpe"], rel=1e-9)
    assert result["metrics"]["total_return"] == pytest.approx(answer["best"]["metrics"]["total_return"], rel=1e-9)


def test_walking_forward(alchemiser: Command) -> None:
    """The folds with their choices, and the stitched equity; told as text too."""
    arguments = (*SWEEP, *VARY, "--walk-forward", "anchored", "--train", "60", "--test", "30", "--by", "cagr")
    walked = json.loads(alchemiser(*arguments, "--json").out)["walk_forward"]
    assert len(walked["folds"]) == 3
    assert len(walked["equity"]) == len(walked["dates"])
    assert walked["dates"][0] == walked["folds"][0]["train_end"]
    assert walked["switches_are_charged"]
    text = alchemiser(*arguments).out
    assert "Walking forward, 3 times" in text
    assert "Out of sample, " in text
    assert "deflated Sharpe ratio" in text


def test_progress_on_a_terminal_and_elsewhere(alchemiser: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bar with the time left there, a line now and then here; both on standard error."""
    assert "6/6 variants\n" in alchemiser(*SWEEP, *VARY, "--results", "a.db").err
    monkeypatch.setenv("FORCE_COLOR", "1")
    shown = alchemiser(*SWEEP, *VARY, "--results", "b.db").err
    assert "6/6" in shown
    assert "0:00:00" in shown


@pytest.mark.slow
def test_processes_by_default(alchemiser: Command) -> None:
    """The same answer on all cores as on one."""
    arguments = ("sweep", "--strategy", "own.clj", "--bars", "bars", *VARY, "--json")
    assert (
        json.loads(alchemiser(*arguments).out)["ranked"]
        == json.loads(alchemiser(*SWEEP, *VARY, "--results", "b.db", "--json").out)["ranked"]
    )


def test_without_the_extra_a_cluster_is_refused(alchemiser: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to install."""
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.delitem(sys.modules, "alchemiser.backtest.sweep.cluster", raising=False)
    ended = alchemiser(*SWEEP, *VARY, "--cluster", "tcp://127.0.0.1:1")
    assert (ended.code, "pip install 'alchemiser[dask]'" in ended.err) == (2, True)


def test_what_is_no_address_is_no_cluster(alchemiser: Command) -> None:
    """Told at once, as wrong usage: nobody is connected to."""
    pytest.importorskip("distributed", reason="the extra dask is not installed")
    for address in ("nonsense", "http://host:8786", "tcp://host", "tcp://host:dask"):
        ended = alchemiser(*SWEEP, *VARY, "--cluster", address)
        assert (ended.code, ended.err.startswith(f"alchemiser: --cluster {address}: expected an address such as tcp://")) == (2, True)


def test_knobs(alchemiser: Command) -> None:
    """Of one strategy without its name, of several with it and with their shares; of a class its attributes."""
    keys = [row["key"] for row in json.loads(alchemiser("sweep", "knobs", "--strategy", "own.clj", "--json").out)["knobs"]]
    assert keys[:3] == ["3:window", "3:threshold", "4:share:1"]
    dual = "alchemiser.strategies.catalog.dual_momentum:DualMomentum"
    text = alchemiser("sweep", "knobs", "--strategy", "own.clj", "--strategy", dual).out
    for said in ("own/3:threshold", "dualmomentum/lookback_sessions", "own/allocation"):
        assert said in text


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "nothing is to be varied"),
        (("--vary", "3:threshold=x"), 2, "'x' is not a number"),
        (("--vary", "99:window=1"), 2, "no such number to vary"),
        ((*VARY, "--walk-forward", "rolling", "--train", "1000"), 2, "nothing is left to test on"),
        (("--vary", "5:count=4"), 3, "cannot keep 4 of its 3 children"),
        ((*VARY, "--start", "2040-01-02"), 3, "there is no session"),
        ((*VARY, "--results", "own.clj"), 3, "not the results of a sweep; it is left as it is"),
        ((*VARY, "--write", "nowhere/best.clj"), 2, "cannot be written"),
        ((*VARY, "--bars", "nowhere"), 3, "nowhere"),
    ],
)
def test_wrong_calls(arguments: tuple[str, ...], code: int, said: str, alchemiser: Command) -> None:
    """Each mistake has its exit code and says what is wrong."""
    ended = alchemiser(*SWEEP, *arguments)
    assert (ended.code, said in ended.err) == (code, True), ended


def test_only_one_symphony_can_be_written(alchemiser: Command, tmp_path: Path) -> None:
    """A mix is not a file."""
    (tmp_path / "hold.clj").write_text('(defsymphony "Hold" {:rebalance-frequency :daily} (asset "AAA"))')
    both = (*SWEEP, "--strategy", "hold.clj", "--vary", "own/allocation=0.2,0.8")
    assert alchemiser(*both, "--results", "mix.db").code == 0
    ended = alchemiser(*both, "--write", "best.clj", "--results", "new.db")
    assert (ended.code, "single symphony" in ended.err) == (2, True)
    assert not (tmp_path / "new.db").exists(), "it is said before the work, not after it"


def test_a_short_file_is_not_written_over(alchemiser: Command, tmp_path: Path) -> None:
    """SQLite takes a file of a few bytes for an empty database."""
    (tmp_path / "notes").write_text("x")
    ended = alchemiser(*SWEEP, *VARY, "--results", "notes")
    assert (ended.code, "left as it is" in ended.err, (tmp_path / "notes").read_text()) == (3, True, "x")


@pytest.mark.slow
def test_every_command_of_the_page(alchemiser: Command, tmp_path: Path) -> None:
    """One after the other, where there are bars of every symbol, each ends well and says something; a cluster has a test of its own."""
    symbols = {
        "SPY",
        *load_strategy(StrategySource("tecl", "tecl", 1.0)).symbols,
        *load_strategy(StrategySource("klm", "klm", 1.0)).symbols,
    }
    write_bars(tmp_path / "data" / "daily", tuple(sorted(symbols)), 420)
    for line in LINES:
        if "optuna" in line:
            pytest.importorskip("optuna", reason="the extra sweep is not installed")
        if "--cluster" in line:
            continue
        ended = alchemiser(*shlex.split(line)[1:])
        assert (ended.code, bool(ended.out)) == (0, True), (line, ended)
    assert len(LINES) == 9
