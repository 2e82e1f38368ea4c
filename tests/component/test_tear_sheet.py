"""The page of a run in a real browser: clicked, hovered, turned dark, printed, and looked at."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.component.browser import Page, browser, needs_browser
from tests.component.processes import run
from tests.unit.cli.test_signals_check_backtest import sessions
from tests.unit.strategies.test_variants import ALL_FORMS, SYMBOLS

pytestmark = [pytest.mark.slow, needs_browser, pytest.mark.timeout(120)]

READY = "new Promise(done => { const look = () => decisions ? done(sessions.length) : setTimeout(look, 10); look(); })"
DAY = "document.getElementById('day').value"
TREE = "document.getElementById('tree').innerText"
SETTLED = "new Promise(done => setTimeout(done, 400))"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run of two strategies over two hundred sessions."""
    place = tmp_path_factory.mktemp("report")
    random = np.random.default_rng(4)
    days = sessions(200)
    (place / "bars").mkdir()
    for symbol in SYMBOLS:
        closes = 100 * np.cumprod(1 + random.normal(0.001, 0.01, len(days)))
        rows = [f"{day},{close}" for day, close in zip(days, closes.tolist(), strict=True)]
        (place / "bars" / f"{symbol}.csv").write_text("\n".join(["date,close", *rows, ""]))
    (place / "own.clj").write_text(ALL_FORMS)
    (place / "hold.clj").write_text('(defsymphony "Hold" {:rebalance-frequency :monthly} (asset "BBB"))')
    command = ("backtest", "--strategy", "own.clj", "--strategy", "hold.clj", "--bars", "bars", "--benchmark", "CCC", "--report", "r.html")
    done = run(*command, cwd=place)
    assert done.returncode == 0, done.stderr
    return place / "r.html"


@pytest.fixture
def page(report: Path, tmp_path: Path) -> Iterator[Page]:
    """That page, open."""
    with browser(tmp_path / "profile") as page:
        page.open(report)
        assert page.value(READY) == 200
        yield page
        assert page.complaints == []


def test_the_decision_of_any_day_is_a_click_away(page: Page) -> None:
    """In a chart, in a table, by the buttons and by the date; the last session is there without one."""
    last = page.value(DAY)
    assert page.value("sessions[199]") == last
    assert "own" in page.value(TREE)

    page.click(*page.middle_of("#equity .nsewdrag"))
    page.value(SETTLED)
    clicked = page.value(DAY)
    assert "2025-05" < clicked < "2025-10"
    text = page.value(TREE)
    assert "rsi(AAA, 5)" in text
    assert "BBB 100.00 %" in text
    assert page.value("specs.equity.layout.shapes[0].x0") == clicked
    assert page.value("location.hash") == f"#{clicked}"

    page.click(*page.middle_of("#before"))
    before = page.value(DAY)
    assert before < clicked
    page.click(*page.middle_of("#after"))
    assert page.value(DAY) == clicked

    page.value("document.querySelectorAll('details').forEach(each => each.open = true)")
    first_trade = "Array.from(document.querySelectorAll('details td')).find(cell => /^2025-/.test(cell.textContent))"
    page.value(f"{first_trade}.id = 'trade'")
    day = page.value("document.getElementById('trade').textContent")
    page.click(*page.middle_of("#trade"))
    assert page.value(DAY) == day

    page.value("dayInput.value = '2025-03-08'; dayInput.dispatchEvent(new Event('change'))")
    assert page.value(DAY) == "2025-03-07", "a Saturday is the session before it"
    page.value("dayInput.value = '2001-01-01'; dayInput.dispatchEvent(new Event('change'))")
    assert page.value(DAY) == page.value("sessions[0]")
    assert "no target:" in page.value(TREE) or "BBB" in page.value(TREE)


def test_a_link_leads_to_a_day(report: Path, tmp_path: Path) -> None:
    """The address has the day, to be sent to somebody."""
    with browser(tmp_path / "profile") as page:
        page.open(report, "#2025-06-10")
        page.value(READY)
        assert page.value(DAY) == "2025-06-10"


def test_hovering_tells_the_figures_and_the_scale_can_be_switched(page: Page) -> None:
    """The label under the mouse names the equity; the switch turns the axis logarithmic and back."""
    x, y = page.middle_of("#equity .nsewdrag")
    page.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    page.value(SETTLED)
    assert "equity" in page.value("document.querySelector('#equity .hoverlayer').textContent")
    for scale in ("log", "linear"):
        page.click(*page.middle_of("#log"))
        assert page.value("document.getElementById('equity').layout.yaxis.type") == scale


def test_it_is_light_dark_and_prints(page: Page, tmp_path: Path) -> None:
    """Pictures of both, of the same size and not the same; paper is white whatever the screen is, and nothing is cut off."""
    pictures = {}
    for scheme, ink in (("light", "rgb(27, 31, 36)"), ("dark", "rgb(230, 232, 235)")):
        page.turn(scheme)
        page.value(SETTLED)
        assert page.value("getComputedStyle(document.body).color") == ink
        drawn = page.value("document.getElementById('equity').layout.font.color")
        assert drawn == {"light": "#1b1f24", "dark": "#e6e8eb"}[scheme]
        pictures[scheme] = page.screenshot(tmp_path / f"{scheme}.png")
        assert len(pictures[scheme]) > 80_000
    assert pictures["light"][16:24] == pictures["dark"][16:24], "width and height"
    assert pictures["light"] != pictures["dark"]

    paper = page.print(tmp_path / "r.pdf")
    assert paper.startswith(b"%PDF-")
    assert len(paper) > 50_000
    page.value(SETTLED)
    widths = "[document.getElementById('equity').layout.width || 0, document.querySelector('#equity svg').clientWidth]"
    given, drawn = page.value(widths)
    assert (given, drawn > 1000) == (0, True), f"{drawn}: after printing the charts are as wide as the window again"
    page.value("draw(true)")
    assert page.value("document.getElementById('equity').layout.width") == 700
    assert page.value("document.getElementById('equity').layout.font.color") == "#1b1f24"
