"""How soon the dashboard is painted in a headless Chromium, and how soon it shows figures.

``alchemiser run --embedded`` in another process, after a traded session. Each repeat opens the page in a browser of its own with an empty
profile, so nothing comes from a cache. *First paint* is what the browser itself reports (first contentful paint, from the start of the
navigation); *figures* is when equity, strategies and events stand on the page.

``PYTHONPATH=. python benchmarks/dashboard.py`` prints a table and exits with 1 when a target is missed, with 0 when there is no browser.
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from measure import Spread, environment, spread_of

from tests.browser import BROWSER, new_page
from tests.component.processes import daemon

TARGET_MILLISECONDS = 1000.0
REPEATS = 7
PAINT = (
    "new Promise(done => { const look = () => { const found = performance.getEntriesByName('first-contentful-paint')[0];"
    " found ? done(found.startTime) : setTimeout(look, 10); }; look(); })"
)
FIGURES = "document.querySelector('#equity .curve') && document.querySelector('#events tbody tr')"


async def opened(url: str) -> tuple[float, float]:
    """Open the page in a new browser; return the milliseconds until its first paint and until it shows figures."""
    async with new_page() as page:
        began = time.perf_counter()
        await page.open(url)
        await page.until(FIGURES)
        figures = (time.perf_counter() - began) * 1000
        return float(await page.run(PAINT)), figures


def measure(directory: Path) -> tuple[Spread, Spread]:
    """Return first paint and figures, in milliseconds."""
    with daemon("--embedded", "--state", str(directory / "state")) as process:
        url = process.wait_for("listening")["url"]
        process.wait_for("result_reported")
        found = [asyncio.run(opened(f"{url}/")) for _ in range(1 + REPEATS)][1:]
    return spread_of([paint for paint, _ in found]), spread_of([figures for _, figures in found])


def main() -> int:
    """Measure, print and judge."""
    if BROWSER is None:
        print("there is no chromium or google-chrome: nothing to measure")
        return 0
    print(environment("aiohttp", "uvloop"))
    with tempfile.TemporaryDirectory() as directory:
        paint, figures = measure(Path(directory))
    print(f"{'':14} {'ms':>9} {'spread':>17}")
    print(f"{'first paint':14} {paint}\n{'figures':14} {figures}")
    is_met = paint.median < TARGET_MILLISECONDS
    print(f"first paint under {TARGET_MILLISECONDS / 1000:g} s: {'met' if is_met else 'MISSED'}")
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main())
