"""The page of a run in a real browser: clicked, hovered, turned dark, printed, and looked at."""

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from tests.browser import Page, needs_browser, new_page
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
async def page(report: Path) -> AsyncIterator[Page]:
    """That page, open."""
    async with new_page() as page:
        await page.open(report.as_uri(), width=1200, height=1400)
        assert await page.run(READY) == 200
        yield page
        assert page.problems == []


async def test_the_decision_of_any_day_is_a_click_away(page: Page) -> None:
    """In a chart, in a table, by the buttons and by the date; the last session is there without one."""
    last = await page.run(DAY)
    assert await page.run("sessions[199]") == last
    assert "own" in await page.run(TREE)

    await page.click("#equity .nsewdrag")
    await page.run(SETTLED)
    clicked = await page.run(DAY)
    assert "2025-05" < clicked < "2025-10"
    text = await page.run(TREE)
    assert "rsi(AAA, 5)" in text
    assert "BBB 100.00 %" in text
    assert await page.run("specs.equity.layout.shapes[0].x0") == clicked
    assert await page.run("location.hash") == f"#{clicked}"

    await page.click("#before")
    before = await page.run(DAY)
    assert before < clicked
    await page.click("#after")
    assert await page.run(DAY) == clicked

    await page.run("document.querySelectorAll('details').forEach(each => each.open = true)")
    first_trade = "Array.from(document.querySelectorAll('details td')).find(cell => /^2025-/.test(cell.textContent))"
    await page.run(f"{first_trade}.id = 'trade'")
    day = await page.run("document.getElementById('trade').textContent")
    await page.click("#trade")
    assert await page.run(DAY) == day

    await page.run("dayInput.value = '2025-03-08'; dayInput.dispatchEvent(new Event('change'))")
    assert await page.run(DAY) == "2025-03-07", "a Saturday is the session before it"
    await page.run("dayInput.value = '2001-01-01'; dayInput.dispatchEvent(new Event('change'))")
    assert await page.run(DAY) == await page.run("sessions[0]")
    assert "no target:" in await page.run(TREE) or "BBB" in await page.run(TREE)


async def test_a_link_leads_to_a_day(report: Path) -> None:
    """The address has the day, to be sent to somebody."""
    async with new_page() as page:
        await page.open(f"{report.as_uri()}#2025-06-10", width=1200, height=1400)
        await page.run(READY)
        assert await page.run(DAY) == "2025-06-10"


async def test_hovering_tells_the_figures_and_the_scale_can_be_switched(page: Page) -> None:
    """The label under the mouse names the equity; the switch turns the axis logarithmic and back."""
    await page.hover("#equity .nsewdrag")
    await page.run(SETTLED)
    assert "equity" in await page.run("document.querySelector('#equity .hoverlayer').textContent")
    for scale in ("log", "linear"):
        await page.click("#log")
        assert await page.run("document.getElementById('equity').layout.yaxis.type") == scale


async def test_it_is_light_dark_and_prints(page: Page) -> None:
    """Pictures of both, of the same size and not the same; paper is white whatever the screen is, and nothing is cut off."""
    pictures = {}
    for scheme, ink in (("light", "rgb(27, 31, 36)"), ("dark", "rgb(230, 232, 235)")):
        await page.turn(scheme)
        await page.run(SETTLED)
        assert await page.run("getComputedStyle(document.body).color") == ink
        drawn = await page.run("document.getElementById('equity').layout.font.color")
        assert drawn == {"light": "#1b1f24", "dark": "#e6e8eb"}[scheme]
        pictures[scheme] = await page.picture()
        assert len(pictures[scheme]) > 80_000
    assert pictures["light"][16:24] == pictures["dark"][16:24], "width and height"
    assert pictures["light"] != pictures["dark"]

    paper = await page.paper()
    assert paper.startswith(b"%PDF-")
    assert len(paper) > 50_000
    await page.run(SETTLED)
    widths = "[document.getElementById('equity').layout.width || 0, document.querySelector('#equity svg').clientWidth]"
    given, drawn = await page.run(widths)
    assert (given, drawn > 1000) == (0, True), f"{drawn}: after printing the charts are as wide as the window again"
    await page.run("draw(true)")
    assert await page.run("document.getElementById('equity').layout.width") == 700
    assert await page.run("document.getElementById('equity').layout.font.color") == "#1b1f24"
