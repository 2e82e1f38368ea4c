"""The dashboard in a real browser, against a running embedded market: figures, live orders, control by keyboard, phones, accessibility.

``ALCHEMISER_TEST_PICTURES`` names a folder where the pictures are kept.
"""

import asyncio
import json
import os
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser import Page, needs_browser, new_page
from tests.component.processes import daemon

TOKEN = "the-token-of-the-dashboard-test"
AXE = Path(__file__).parent / "axe"
FIRST_PAINT_MILLISECONDS = 1000
HOLD_BACK_HEALTH = """(() => {
  const ask = window.fetch;
  window.held = [];
  window.fetch = async (path, options) => {
    const answer = await ask(path, options);
    if (path !== "/healthz") return answer;
    const body = await answer.text();
    await new Promise((release) => window.held.push(release));
    return new Response(body, { status: answer.status });
  };
})()"""
NOT_READY = """(() => {
  const ask = window.fetch;
  const reason = { code: "clock_off_by_too_much", text: "The clock is off by 41.2 seconds.", since: "2025-03-03T16:00:00Z",
                   remedy: "Look at chronyd, then at https://an-address.example/of-a-page-whose-name-has-no-place-to-break/and-goes-on" };
  window.fetch = async (path, options) => path !== "/healthz" ? ask(path, options)
    : new Response(JSON.stringify({ live: true, ready: false, reasons: [reason, reason] }), { status: 503 });
})()"""
ANOTHER_JOURNAL = """(() => {
  const ask = window.fetch;
  const event = { sequence: 3, at: "2025-03-03T16:00:00Z", type: "DaemonStarted" };
  const reason = { code: "clock_off", text: "The clock is off.", since: event.at, remedy: "Look at chronyd.", severity: "alarm" };
  window.isAnother = false;
  window.asked = [];
  window.fetch = async (path, options) => {
    if (path === "/healthz") return new Response(JSON.stringify({ live: true, ready: !window.isAnother, reasons: [reason] }));
    if (path.startsWith("/api/v1/events") && window.isAnother) return new Response(JSON.stringify({ events: [event] }));
    if (!path.startsWith("/api/v1/stream")) return ask(path, options);
    window.asked.push(Number(new URLSearchParams(path.split("?")[1]).get("after")));
    return new Response(new ReadableStream({ start: (stream) => { window.end = () => stream.close(); } }));
  };
})()"""
WATCH_HEALTH = """(() => {
  const badge = document.getElementById("health");
  window.shown = [badge.textContent];
  new MutationObserver(() => window.shown.push(badge.textContent)).observe(badge, { childList: true });
})()"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240), needs_browser]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a daemon on the embedded exchange that has traded at least two sessions, and return where its dashboard is."""
    state = tmp_path_factory.mktemp("state")
    arguments = ("--embedded", "--days", "250", "--strategy", "tecl=0.6", "--strategy", "nuclear=0.4", "--state", str(state))
    with daemon(*arguments, env={"ALCHEMISER_SERVICE__TOKEN": TOKEN}) as process:
        found: str = process.wait_for("listening")["url"]
        process.wait_for("result_reported", 2)
        yield found


def told(url: str, resource: str) -> Any:
    """Return what the API says."""
    with urllib.request.urlopen(f"{url}/api/v1/{resource}", timeout=10) as answer:  # noqa: S310 - our own address
        return json.load(answer)


async def keep(page: Page, name: str) -> None:
    """Keep a picture of the page, if the surroundings say where, and see that it is one."""
    picture = await page.picture()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) > 20_000, "an empty page"
    if folder := os.environ.get("ALCHEMISER_TEST_PICTURES"):
        await asyncio.to_thread(Path(folder, name).write_bytes, picture)


def complaints(page: Page) -> list[str]:
    """Return what went wrong in the page; that health answers 503 while a session opens is an answer."""
    return [problem for problem in page.problems if "503" not in problem]


async def open_dashboard(page: Page, url: str, **window: Any) -> None:
    """Open the dashboard and wait until it shows figures."""
    await page.open(f"{url}/", **window)
    await page.until("document.querySelector('#equity .curve') && document.querySelector('#events tbody tr')")


async def test_the_figures_are_those_of_the_api(url: str) -> None:
    """Equity, strategies, the decision with its numbers and the event tail are there, soon, and move by themselves."""
    async with new_page() as page:
        await open_dashboard(page, url)
        assert told(url, "status")["account_number"] in await page.run("document.getElementById('where').textContent")
        await page.until("document.getElementById('health').textContent === 'ready'")
        names = await page.run("[...document.querySelectorAll('#strategies tbody tr td:first-child')].map(cell => cell.textContent)")
        assert names == ["tecl", "nuclear"]
        assert await page.run("document.querySelectorAll('#strategies ol.path li').length") > 2
        session = await page.run("document.getElementById('money').textContent.match(/\\d{4}-\\d\\d-\\d\\d/)[0]")
        await page.until(f"document.getElementById('money').textContent.match(/\\d{{4}}-\\d\\d-\\d\\d/)[0] > '{session}'")
        painted = await page.run("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        assert painted < FIRST_PAINT_MILLISECONDS
        await page.until("document.querySelector('#orders tbody tr')")
        await keep(page, "dashboard-light.png")
        assert complaints(page) == []


async def test_each_strategy_is_shown_against_its_backtest(url: str) -> None:
    """The last session that was compared, with what it was live and in the backtest and the largest part of the difference."""
    async with new_page() as page:
        await open_dashboard(page, url)
        await page.until("document.querySelectorAll('#backtest tbody tr').length === 2")
        shown = await page.run(
            "[...document.querySelectorAll('#backtest tbody tr')].map(row => [...row.cells].map(cell => cell.textContent))"
        )
        heads = await page.run("[...document.querySelectorAll('#backtest th')].map(cell => cell.textContent)")

    assert heads == ["strategy", "session", "live", "backtest", "difference", "largest part"]
    assert [row[0] for row in shown] == ["nuclear", "tecl"]
    for row in shown:
        assert row[1] >= "2025-01-02"
        assert float(row[2]) - float(row[3]) == pytest.approx(float(row[4]), abs=0.02)
        assert row[5] == "none" or float(row[5].split()[1]) != 0
        assert not {"+0.00", "-0.00"} & set(row[2:5]), "what rounds to nothing has no sign"


async def test_the_events_can_be_filtered(url: str) -> None:
    """By kind and by what is in them."""
    async with new_page() as page:
        await open_dashboard(page, url)
        await page.until("[...document.getElementById('kind').options].some(option => option.value === 'SessionClosed')")
        kinds = (
            "(() => { const kind = document.getElementById('kind'); kind.value = 'SessionClosed'; kind.dispatchEvent(new Event('change'));"
            " return [...new Set([...document.querySelectorAll('#events tbody tr td:nth-child(3)')].map(cell => cell.textContent))]; })()"
        )
        assert await page.run(kinds) == ["SessionClosed"]
        nothing = (
            "(() => { const text = document.getElementById('text'); text.value = 'nobody wrote this';"
            " text.dispatchEvent(new Event('input')); return document.getElementById('events').textContent; })()"
        )
        assert await page.run(nothing) == "No event matches."


async def test_trading_is_halted_by_keyboard_and_only_after_a_confirmation(url: str) -> None:
    """The dialog says what will happen, escape does nothing, yes does it; without the token there is no control at all."""
    async with new_page() as page:
        await open_dashboard(page, url)
        assert await page.run("document.getElementById('control').hidden")
        await page.run("document.getElementById('unlock').focus()")
        await page.press("Enter")
        await page.until("document.getElementById('token-dialog').open")
        await page.call("Input.insertText", text=TOKEN)
        await page.press("Enter")
        await page.until("!document.getElementById('control').hidden")

        await page.run("document.querySelector('[data-action=halt]').focus()")
        await page.press("Enter")
        await page.until("document.getElementById('confirm').open")
        assert "Positions are kept" in await page.run("document.getElementById('confirm-body').textContent")
        await keep(page, "dashboard-halt.png")
        await page.press("Escape")
        await page.until("!document.getElementById('confirm').open")
        assert told(url, "status")["trading"]["state"] == "active"

        await page.run("document.querySelector('[data-action=halt]').focus()")
        await page.press("Enter")
        await page.until("document.getElementById('confirm').open")
        await page.run("document.getElementById('confirm-yes').focus()")
        await page.press("Enter")
        await page.until("document.getElementById('money').textContent.includes('halted')")
        assert told(url, "status")["trading"]["state"] == "halted"
        await page.run("document.querySelector('[data-action=resume]').click()")
        await page.until("document.getElementById('confirm').open")
        await page.run("document.getElementById('confirm-yes').click()")
        await page.until("document.getElementById('money').textContent.includes('active')")
        assert TOKEN not in await page.run("document.documentElement.outerHTML")
        assert complaints(page) == []


async def test_a_phone_shows_it_without_scrolling_sideways(url: str) -> None:
    """Light and dark, at 360 pixels, with reasons why it is not ready and without: what is too wide scrolls by itself."""
    async with new_page() as page:
        await open_dashboard(page, url, width=360, height=740, dark=True)
        assert await page.run("document.scrollingElement.scrollWidth") <= 360
        await page.run(NOT_READY)
        await page.until("document.querySelectorAll('#reasons-body tbody tr').length === 2")
        assert await page.run("document.scrollingElement.scrollWidth") <= 360
        dark = await page.run("getComputedStyle(document.body).backgroundColor")
        await keep(page, "dashboard-phone-dark.png")
        await page.run("document.getElementById('theme').click()")
        assert dark != await page.run("getComputedStyle(document.body).backgroundColor")


async def test_old_figures_are_never_shown_as_live(tmp_path: Path) -> None:
    """When the daemon is gone the page says since when what it shows is old, also if an answer of its last moment arrives after that."""
    with daemon("--embedded", "--days", "50", "--state", str(tmp_path)) as process:
        url = process.wait_for("listening")["url"]
        process.wait_for("result_reported")
        async with new_page() as page:
            await open_dashboard(page, url)
            await page.until("document.getElementById('link').textContent.startsWith('live')")
            await page.run(HOLD_BACK_HEALTH)
            await page.until("window.held.length > 0")
            process.process.kill()
            await page.until("document.getElementById('link').textContent.startsWith('Not connected')")
            await page.run(WATCH_HEALTH)
            await page.run("window.held.forEach(release => release()); new Promise(done => setTimeout(done, 100))")
            assert await page.run("[...new Set(window.shown)]") == ["no answer"]
            assert (await page.run("document.title")).startswith("no answer")


async def test_a_daemon_with_another_journal_is_listened_to_from_its_own_events_on(url: str) -> None:
    """Their numbers may be lower: after the old journal's newest the stream would bring none. What alarms and what stops are told apart."""
    numbers = "[...document.querySelectorAll('#events td:first-child')].map(cell => cell.textContent)"
    told = "[document.title, document.getElementById('reasons-title').textContent]"
    async with new_page() as page:
        await page.call("Page.addScriptToEvaluateOnNewDocument", source=ANOTHER_JOURNAL)
        await open_dashboard(page, url)
        await page.until("window.asked.length === 1")
        newest = await page.run("window.asked[0]")
        assert newest == await page.run(f"Math.max(...{numbers})")
        assert newest > 3
        await page.until("!document.getElementById('reasons').hidden")
        assert await page.run(told) == ["ready: The Alchemiser", "Alarms"]

        await page.run("window.isAnother = true; window.end()")
        await page.until("window.asked.length === 2")
        assert await page.run("window.asked[1]") == 3
        assert await page.run(numbers) == ["3"]
        assert await page.run(told) == ["not ready: The Alchemiser", "Why it is not ready"]


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the accessibility checker, installed exactly as its lock says."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed; it is needed for the accessibility checker")
    folder = tmp_path_factory.mktemp("axe")
    shutil.copytree(AXE, folder, dirs_exist_ok=True)
    subprocess.run([npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=folder, check=True, timeout=120, capture_output=True)
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_there_is_no_serious_barrier(url: str, axe: str, *, dark: bool) -> None:
    """Everybody can use it, as far as axe can tell: no serious or critical finding, also with a dialog open."""
    async with new_page() as page:
        await open_dashboard(page, url, dark=dark)
        await page.run(axe + "; true")
        for _ in range(2):
            found = await page.run(
                "axe.run().then(result => result.violations.filter(one => ['serious', 'critical'].includes(one.impact))"
                ".map(one => one.id + ': ' + one.nodes.map(node => node.html).join(' ')))"
            )
            assert found == []
            await page.run("document.getElementById('unlock').click()")
