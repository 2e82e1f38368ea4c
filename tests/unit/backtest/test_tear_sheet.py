"""The page of a run: whole, self-contained, the same each time, and drawn by a real browser where there is one."""

import shutil
import subprocess
import sys
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from alchemiser.backtest.analysis import Questions, analyse
from alchemiser.backtest.data_version import data_version
from alchemiser.backtest.decisions import Decided
from alchemiser.backtest.flows import CashFlow, performance_of
from alchemiser.backtest.provenance import Gap, IntradayReport, Provenance, WarmUp
from alchemiser.backtest.result import Charges, Failure, Terms
from alchemiser.backtest.tear_sheet import tear_sheet
from alchemiser.cli.app import run
from tests.unit.backtest.test_record import record
from tests.unit.backtest.test_vector import FIRST

CLOSES: dict[str, list[float]] = {"a": [10, 20, 15, 16, 30, 20, 20, 25, 24, 28], "b": [10, 10, 12, 11, 10, 9, 9, 8, 9, 9]}
SIGNAL: list[float] = [101, 99, 101, 99, 99, 101, 101, 99, 101, 99]
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")


def page(title: str = "mix", reason: str = "no bar") -> str:
    """Return the page of a small run of two strategies against a benchmark."""
    result, recorder = record(terms=Terms(cash=1_000.0, slippage_bps=5.0), A=CLOSES["a"], B=CLOSES["b"], S=SIGNAL)
    result = msgspec.structs.replace(result, failures=[Failure("switch", FIRST, FIRST, 1, reason)])
    data = data_version({"A": (np.array([FIRST.toordinal()]), np.array([10.0]))})
    analysis = analyse(recorder.book, data, Questions(bootstrap=20, window=3, trials=7), ("S", SIGNAL))
    return tear_sheet(title, result, analysis, recorder.book, Terms(cash=1_000.0, slippage_bps=5.0), Charges())


class Elements(HTMLParser):
    """Collects the elements of a page with their attributes, and the text of table cells."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.cells: list[str] = []
        self.scripts: list[str] = []
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag

    def handle_data(self, data: str) -> None:
        if self._inside == "td":
            self.cells.append(data)
        elif self._inside == "script":
            self.scripts.append(data)


def specs_of(text: str) -> dict[str, Any]:
    """Return the figures that the page hands to the browser."""
    line = next(line for line in text.splitlines() if "const specs = " in line)
    found: dict[str, Any] = msgspec.json.decode(line.partition("const specs = ")[2].removesuffix(";"))
    return found


def test_the_page_needs_nothing_else() -> None:
    """No element loads anything, and the policy in the head forbids the page every connection."""
    elements = Elements(page()).elements

    assert not [(tag, attributes) for tag, attributes in elements if {"src", "href", "srcset", "action"} & set(attributes)]
    assert not [tag for tag, _ in elements if tag in ("link", "iframe", "img", "object", "embed", "base")]
    (policy,) = [attributes["content"] for _, attributes in elements if attributes.get("http-equiv") == "Content-Security-Policy"]
    assert policy == "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"


def test_every_figure_has_its_place() -> None:
    """Each chart has an element of its name, and the data of the run in it."""
    text = page()
    result, recorder = record(terms=Terms(cash=1_000.0, slippage_bps=5.0), A=CLOSES["a"], B=CLOSES["b"], S=SIGNAL)
    specs = specs_of(text)
    places = [attributes["id"] for _, attributes in Elements(text).elements if attributes.get("class") == "chart"]
    equity, benchmark, drawdown = specs["equity"]["data"]

    assert places == list(specs) == ["equity", "months", "rolling", "allocation", "symbols", "strategies"]
    assert equity["y"] == result.equity
    assert equity["x"] == [str(day) for day in result.dates]
    assert benchmark["name"] == "S"
    assert -min(drawdown["y"]) == pytest.approx(result.metrics.max_drawdown)
    assert [trace["name"] for trace in specs["allocation"]["data"]][-1] == "cash"
    assert [sum(values) for values in zip(*(trace["y"] for trace in specs["allocation"]["data"]), strict=True)] == pytest.approx([1.0] * 10)
    assert specs["symbols"]["data"][0]["y"] == [entry.name for entry in reversed(recorder.book.contributions())]
    assert specs["months"]["data"][0]["z"][0][2] == pytest.approx(result.metrics.total_return)


def test_the_tables_are_there_without_a_script() -> None:
    """Trades, falls, years, bars and what is not known are plain HTML."""
    cells = Elements(page()).cells

    assert {"correlation", "and above the best of 7 tries without skill (deflated)", "2025", "no bar", "A", "2025-03-03"} <= set(cells)


def test_the_terms_and_what_is_behind_the_figures_are_told() -> None:
    """Every cost that was charged, the feed, survivorship, the gaps, and how each strategy warmed up."""
    result, recorder = record(terms=Terms(cash=1_000.0), A=CLOSES["a"], B=CLOSES["b"], S=SIGNAL)
    data = data_version({"A": (np.array([FIRST.toordinal()]), np.array([10.0]))})
    known = Provenance(
        feed="a vendor of ours",
        survivorship="closed funds are lacking",
        warm_up=[WarmUp("switch", 21, 90, FIRST, 33), WarmUp("idle", 5, 5, None, 0)],
        gaps=[Gap("B", FIRST, FIRST, 1)],
        intraday=IntradayReport(decision="close - 10m", sessions_of_minutes=7, sessions_of_daily_bars=[FIRST]),
    )
    analysis = msgspec.structs.replace(analyse(recorder.book, data, Questions(bootstrap=0, window=3)), provenance=known)
    charges = Charges(spread_bps=4.0, fees=True, in_cents=True, margin_rate=0.06)
    text = tear_sheet("mix", result, analysis, recorder.book, Terms(cash=1_000.0, whole_shares=True), charges)

    costs = "0 basis points of what is traded, a spread of 4 basis points, the fees of the regulators, 6.00% a year on debts"
    assert f"in whole shares, with cash in cents. Costs: {costs}. Risk-free" in text
    assert {"switch", "33", "21", "90", "idle", "never"} <= set(Elements(text).cells)
    for said in ("a vendor of ours", "closed funds are lacking", "7 sessions along their minutes, 1 as daily bars", "Gaps, lived through"):
        assert said in text


def test_money_that_came_and_went_is_no_fall_and_no_gain() -> None:
    """It is told, the performance without it is drawn beside the equity, and the falls are those of the performance."""
    terms = Terms(cash=1_000.0, flows=(CashFlow(-300.0, FIRST + timedelta(days=1)), CashFlow(50.0, FIRST + timedelta(days=2))))
    result, recorder = record(terms=terms, A=CLOSES["a"], B=CLOSES["b"], S=SIGNAL)
    performance = performance_of(result.equity, result.dates, result.flows)
    book = msgspec.structs.replace(recorder.book, performance=performance)
    analysis = analyse(book, data_version({"A": (np.array([FIRST.toordinal()]), np.array([10.0]))}), Questions(bootstrap=0, window=3))
    text = tear_sheet("mix", result, analysis, book, terms, Charges())
    equity, without, fall = specs_of(text)["equity"]["data"]

    assert (equity["y"], without["y"], without["name"]) == (result.equity, performance, "without deposits and withdrawals")
    assert -min(fall["y"]) == pytest.approx(result.metrics.max_drawdown)
    assert "$50.00 came and $300.00 went on the way" in text


def test_the_decisions_are_in_the_page_when_they_are_given() -> None:
    """Behind the first chart, with a place for the path; without them there is neither place nor script."""
    result, recorder = record(terms=Terms(cash=1_000.0), A=CLOSES["a"], B=CLOSES["b"], S=SIGNAL)
    analysis = analyse(recorder.book, data_version({"A": (np.array([FIRST.toordinal()]), np.array([10.0]))}), Questions(window=3))
    evil = "</script><script>alert(1)</script>"
    text = tear_sheet("mix", result, analysis, recorder.book, Terms(cash=1_000.0), Charges(), [[Decided("one", reason=evil)]] * 10)
    places = [attributes["id"] for tag, attributes in Elements(text).elements if tag in ("div", "section") and "id" in attributes]

    assert places[:3] == ["equity", "decision", "tree"]
    assert evil not in text
    assert "decision" not in {attributes.get("id") for _, attributes in Elements(page()).elements}
    assert "DecompressionStream" not in page().rpartition("<script>")[2]


def test_the_same_run_gives_the_same_bytes() -> None:
    """There is no time of day and no random name in the page."""
    assert page() == page()


def test_names_and_reasons_are_text() -> None:
    """What a strategy file calls itself cannot become part of the page."""
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
    plain, injected = Elements(page()), Elements(page(title=evil, reason=evil))

    assert [tag for tag, _ in injected.elements] == [tag for tag, _ in plain.elements]


def test_without_the_extra_there_is_a_clear_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where Plotly is not installed the command says what to install, before anything is computed."""
    for name in ("alchemiser.backtest.tear_sheet", "alchemiser.backtest.charts"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "plotly", None)
    code = run(["backtest", "--strategy", "tecl", "--bars", str(tmp_path), "--report", "r.html"])

    assert code == 2
    assert "--report needs plotly, which is not installed: pip install 'alchemiser[report]'" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="needs chromium or google-chrome")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_draws_it(tmp_path: Path, scheme: str) -> None:
    """Every chart is drawn, the switch makes the scale logarithmic, nothing is complained of; the paper is light or dark as asked."""
    assert BROWSER is not None
    click = "document.getElementById('log').click(); const seen = document.getElementById('equity').layout;"
    click += "document.title = `${seen.yaxis.type} ${seen.font.color} ${getComputedStyle(document.body).backgroundColor}`;"
    ink, paper = {"light": ("#1b1f24", "rgb(255, 255, 255)"), "dark": ("#e6e8eb", "rgb(20, 23, 27)")}[scheme]
    (tmp_path / "r.html").write_text(page().replace("draw();\n</script>", f"draw();\n{click}</script>"))
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--enable-logging=stderr"]
    options += ["--virtual-time-budget=8000", "--window-size=1200,2600", f"--user-data-dir={tmp_path / 'profile'}"]
    options += [f"--blink-settings=preferredColorScheme={int(scheme == 'light')}", f"--screenshot={tmp_path / 'r.png'}", "--dump-dom"]
    done = subprocess.run([BROWSER, *options, f"file://{tmp_path}/r.html"], check=True, capture_output=True, text=True, timeout=50)
    drawn = Elements(done.stdout)

    assert f"<title>log {ink} {paper}</title>" in done.stdout
    assert "CONSOLE" not in done.stderr
    assert done.stdout.count('class="main-svg"') >= 6
    assert [tag for tag, _ in drawn.elements].count("svg") >= 6
    assert (tmp_path / "r.png").stat().st_size > 50_000
