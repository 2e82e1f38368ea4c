"""A real browser, steered by its own protocol: pages are opened, clicked, printed and looked at. Chromium, where there is one."""

import base64
import json
import os
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(BROWSER is None, reason="needs chromium or google-chrome")

_SECONDS = 40


class Page:
    """An open page; what it complains of is in ``complaints``."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._number = 0
        self.complaints: list[str] = []

    def call(self, method: str, **parameters: Any) -> Any:
        """Call a method of the browser and return its result."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message = self._next()
            if message.get("id") == self._number:
                assert "error" not in message, message
                return message["result"]

    def open(self, path: Path, anchor: str = "") -> None:
        """Open a file and wait until it is there."""
        self.call("Page.navigate", url=f"file://{path}{anchor}")
        while self._next().get("method") != "Page.loadEventFired":
            pass

    def value(self, expression: str) -> Any:
        """Return the value of an expression in the page; a promise is waited for."""
        found = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def click(self, x: float, y: float) -> None:
        """Click with the mouse, after moving there."""
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def middle_of(self, selector: str) -> tuple[float, float]:
        """Return the middle of an element, scrolled into view."""
        found = f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.scrollIntoView({{block: 'center'}});"
        box = self.value(f"{found} const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; }})()")
        return float(box[0]), float(box[1])

    def turn(self, scheme: str) -> None:
        """Have the reader's system be light or dark."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def screenshot(self, path: Path) -> bytes:
        """Keep a picture of the whole page."""
        picture = base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"])
        path.write_bytes(picture)
        return picture

    def print(self, path: Path) -> bytes:
        """Keep what a printer would get."""
        paper = base64.b64decode(self.call("Page.printToPDF", printBackground=False, paperWidth=8.27, paperHeight=11.69)["data"])
        path.write_bytes(paper)
        return paper

    def _next(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self._socket.recv(timeout=_SECONDS))
        if message.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(str(message["params"]["exceptionDetails"]))
        if message.get("method") == "Log.entryAdded" and message["params"]["entry"]["level"] == "error":
            self.complaints.append(message["params"]["entry"]["text"])
        return message


@contextmanager
def browser(profile: Path, width: int = 1200, height: int = 1400) -> Iterator[Page]:
    """Start a browser and open an empty page in it."""
    assert BROWSER is not None
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-port=0", "--no-first-run"]
    command = [BROWSER, *options, f"--window-size={width},{height}", f"--user-data-dir={profile}", "about:blank"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=dict(os.environ)) as process:
        try:
            assert process.stderr is not None
            port = next(
                found[1] for line in process.stderr if (found := re.search(r"DevTools listening on ws://127\.0\.0\.1:(\d+)/", line))
            )
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=_SECONDS) as answer:
                targets = json.load(answer)
            where = next(target["webSocketDebuggerUrl"] for target in targets if target["type"] == "page")
            with connect(where, max_size=None, proxy=None) as socket:
                page = Page(socket)
                for domain in ("Page", "Runtime", "Log"):
                    page.call(f"{domain}.enable")
                yield page
        finally:
            process.kill()
            process.communicate()
