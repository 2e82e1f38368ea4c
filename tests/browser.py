"""A headless Chromium, driven over its own protocol: pages are opened, scripts run in them, clicked, typed into, printed and looked at.

Nothing but the browser itself is needed; tests that ``needs_browser`` are skipped where there is none.
"""

import asyncio
import base64
import contextlib
import itertools
import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(BROWSER is None, reason="needs chromium or google-chrome")
START_SECONDS = 60.0
ANSWER_SECONDS = 60.0


class Page:
    """One tab."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._loaded = asyncio.Event()
        self.problems: list[str] = []
        """Exceptions of scripts, and what the page wrote to its console as an error."""

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the browser's protocol and return its result."""
        number = next(self._numbers)
        self._answers[number] = asyncio.get_running_loop().create_future()
        await self._connection.send(json.dumps({"id": number, "method": method, "params": parameters}))
        async with asyncio.timeout(ANSWER_SECONDS):
            answer = await self._answers[number]
        assert "error" not in answer, f"{method}: {answer['error']}"
        result: dict[str, Any] = answer["result"]
        return result

    async def open(self, url: str, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Load a page in a window of this size, and wait until it is there."""
        for domain in ("Page", "Runtime", "Log"):
            await self.call(f"{domain}.enable")
        await self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500)
        await self.turn("dark" if dark else "light")
        self._loaded.clear()
        await self.call("Page.navigate", url=url)
        async with asyncio.timeout(ANSWER_SECONDS):
            await self._loaded.wait()

    async def run(self, script: str) -> Any:
        """Evaluate an expression in the page, awaiting it if it is a promise, and return its plain value."""
        answer = await self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def until(self, condition: str) -> None:
        """Return when an expression is true in the page, which is asked at every frame it draws."""
        loop = "new Promise(done => { const look = () => (%s) ? done(true) : setTimeout(look, 30); look(); })"
        await self.run(loop % condition)

    async def click(self, selector: str) -> None:
        """Click in the middle of an element with the mouse, after moving there."""
        x, y = await self.hover(selector)
        for kind in ("mousePressed", "mouseReleased"):
            await self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    async def hover(self, selector: str) -> tuple[float, float]:
        """Scroll an element into view, move the mouse to its middle, and return where that is."""
        found = f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.scrollIntoView({{block: 'center'}});"
        box = await self.run(f"{found} const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; }})()")
        x, y = float(box[0]), float(box[1])
        await self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        return x, y

    async def turn(self, scheme: str) -> None:
        """Have the reader's system be ``light`` or ``dark``."""
        await self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    async def paper(self) -> bytes:
        """Return what a printer would get, as PDF."""
        answer = await self.call("Page.printToPDF", printBackground=False, paperWidth=8.27, paperHeight=11.69)
        return base64.b64decode(answer["data"])

    async def picture(self) -> bytes:
        """Return a picture of the whole page as PNG."""
        answer = await self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        return base64.b64decode(answer["data"])

    async def press(self, key: str) -> None:
        """Press and release a key, ``Tab``, ``Enter`` or ``Escape``."""
        codes = {"Tab": 9, "Enter": 13, "Escape": 27}
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            await self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=codes[key], **text)

    async def listen(self) -> None:
        """Take in answers and complaints until the connection ends, in whichever way; whoever still waits for an answer is told so."""
        with contextlib.suppress(ConnectionClosed):
            async for text in self._connection:
                self._take(json.loads(text))
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(ConnectionError("the browser ended before it answered"))

    def _take(self, message: dict[str, Any]) -> None:
        if "id" in message:
            answer = self._answers.pop(message["id"])
            if not answer.done():
                answer.set_result(message)
        elif message["method"] == "Page.loadEventFired":
            self._loaded.set()
        elif message["method"] == "Runtime.exceptionThrown":
            details = message["params"]["exceptionDetails"]
            self.problems.append(str(details.get("exception", {}).get("description", details["text"])))
        elif message["method"] == "Log.entryAdded" and message["params"]["entry"]["level"] == "error":
            self.problems.append(message["params"]["entry"]["text"])


@contextlib.asynccontextmanager
async def new_page() -> AsyncIterator[Page]:
    """Start a browser of its own and yield its only tab."""
    assert BROWSER is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        flags = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--remote-debugging-port=0",
            "--no-first-run",
            f"--user-data-dir={profile}",
        ]
        process = await asyncio.create_subprocess_exec(
            BROWSER,
            *flags,
            "about:blank",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "HOME": profile},
        )
        assert process.stderr is not None
        draining: asyncio.Task[None] | None = None
        try:
            async with asyncio.timeout(START_SECONDS):
                while b"DevTools listening on" not in (line := await process.stderr.readline()):
                    assert line, "the browser ended before it listened"
            draining = asyncio.create_task(_drain(process.stderr), name="what the browser says")
            address = line.decode().partition("ws://")[2].partition("/")[0]
            async with connect(line.decode().split()[-1], max_size=None) as whole:
                await whole.send(json.dumps({"id": 1, "method": "Target.getTargets"}))
                while "result" not in (answer := json.loads(await whole.recv())):
                    pass
                target = next(one["targetId"] for one in answer["result"]["targetInfos"] if one["type"] == "page")
            connection = await connect(f"ws://{address}/devtools/page/{target}", max_size=None)
            page = Page(connection)
            listening = asyncio.create_task(page.listen(), name="what the page says")
            try:
                yield page
            finally:
                await connection.close()
                await listening
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            if draining is not None:
                await draining


async def _drain(stream: asyncio.StreamReader) -> None:
    while await stream.readline():
        pass
