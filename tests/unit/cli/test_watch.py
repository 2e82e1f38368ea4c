"""Staying and watching: over real sockets, the daemon's own stream wakes; what is away is said to be away."""

import asyncio
import contextlib
import io
import json
import os
import pty
import signal
import subprocess
import sys
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.live import Live

from alchemiser.bus.envelope import Envelope
from alchemiser.cli import daemon_watch, watch
from alchemiser.cli.daemon_watch import Look
from alchemiser.domain.events import DaemonStopping
from alchemiser.service.clock import WallClock
from alchemiser.service.health import HealthReport
from alchemiser.service.http import open_door
from alchemiser.service.settings import Settings
from alchemiser.service.state_file import HttpAddress, read_http_address, write_http_address
from alchemiser.service.view import to_json
from tests.unit.cli.conftest import TOKEN, AsyncCommand
from tests.unit.service.conftest import NOT_READY, FakeView

NEVER = 3600.0


def settings_of(directory: Path) -> Settings:
    """Return the settings of a daemon with that state directory."""
    return Settings.model_validate({"service": {"http": "127.0.0.1:0", "state": directory, "token": TOKEN}})


def door(view: FakeView, settings: Settings) -> AbstractAsyncContextManager[HttpAddress]:
    """Return the open door of a daemon."""
    return open_door(view, settings, metrics=lambda: (b"", "text/plain"))


class Eyes:
    """Remembers every look, and has enough when a test says so."""

    def __init__(self) -> None:
        self.looks: list[Look] = []
        self.news = asyncio.Event()
        self.has_enough = False

    def show(self, look: Look) -> bool:
        """Take note of a look."""
        self.looks.append(look)
        self.news.set()
        return self.has_enough

    async def next(self, *, is_live: bool) -> Look:
        """Return the next look that is or is not live."""
        async with asyncio.timeout(10):
            while True:
                self.news.clear()
                await self.news.wait()
                if self.looks[-1].is_live == is_live:
                    return self.looks[-1]


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon_watch, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(daemon_watch, "SETTLE_SECONDS", 0.0)


@pytest.mark.usefixtures("_impatient")
async def test_an_event_wakes_and_a_daemon_that_left_is_said_to_be_away(tmp_path: Path, view: FakeView) -> None:
    """Not there, there, something happened, gone, back: each is shown when it is so, and what is gone shows no figures."""
    settings, eyes = settings_of(tmp_path), Eyes()
    async with asyncio.TaskGroup() as group:
        group.create_task(daemon_watch.watch(settings, WallClock(), ["/api/v1/status"], eyes.show, quiet_seconds=NEVER))
        absent = await eyes.next(is_live=False)
        assert "no daemon has written its address" in str(absent.problem)
        async with door(view, settings):
            first = await eyes.next(is_live=True)
            assert first.documents["/api/v1/status"]["mode"] == "embedded"
            view.feed(Envelope(1, DaemonStopping(at=view.as_of(), reason="drill"), 0.0))
            await eyes.next(is_live=True)
            last_live = len(eyes.looks)
        gone = await eyes.next(is_live=False)
        assert (gone.documents, len(eyes.looks) > last_live) == ({}, True)
        assert gone.since is not None
        assert absent.since is not None
        assert gone.since > absent.since
        async with door(view, settings):
            await eyes.next(is_live=True)
            eyes.has_enough = True
            view.feed(Envelope(2, DaemonStopping(at=view.as_of(), reason="drill"), 0.0))


@pytest.mark.usefixtures("_impatient")
async def test_without_events_it_is_looked_again(tmp_path: Path, view: FakeView) -> None:
    """Readiness may change without an event."""
    settings, eyes = settings_of(tmp_path), Eyes()
    view.report = NOT_READY
    async with asyncio.TaskGroup() as group, door(view, settings):
        group.create_task(daemon_watch.watch(settings, WallClock(), ["/healthz"], eyes.show, quiet_seconds=0.01))
        assert (await eyes.next(is_live=True)).documents["/healthz"]["ready"] is False
        view.report = FakeView().report
        eyes.has_enough = True
        await eyes.next(is_live=True)


@pytest.mark.usefixtures("_impatient")
async def test_a_refusal_is_no_answer(tmp_path: Path, view: FakeView) -> None:
    """What the daemon will not tell is not shown as if it were live."""
    settings, eyes = settings_of(tmp_path), Eyes()
    eyes.has_enough = True
    async with door(view, settings):
        await daemon_watch.watch(settings, WallClock(), ["/api/v1/nonsense"], eyes.show, quiet_seconds=NEVER)
    assert eyes.looks[0].problem == "/api/v1/nonsense was answered with HTTP 404"


class Starting(FakeView):
    """A daemon that is ready when it is asked for the third time."""

    looks = 0

    def health(self) -> HealthReport:
        """Count, and answer."""
        self.looks += 1
        return NOT_READY if self.looks < 3 else self.report


async def test_health_waits_for_a_daemon_that_is_starting(alchemiser_beside: AsyncCommand, tmp_path: Path, view: FakeView) -> None:
    """``--wait`` is over as soon as the daemon is there and ready, and ends with the reasons when its time is up."""
    settings = settings_of(tmp_path)
    waiting = asyncio.ensure_future(alchemiser_beside("health", "--state", str(tmp_path), "--wait", "30"))
    async with door(Starting(), settings):
        assert (await waiting).code == 0
    view.report = NOT_READY
    async with door(view, settings):
        assert (await alchemiser_beside("health", "--state", str(tmp_path), "--wait", "0.2")).code == 8


@pytest.mark.parametrize("command", [("status",), ("health",), ("halt",), ("health", "--wait", "0.1")])
async def test_another_daemon_never_answers_in_its_place(
    alchemiser_beside: AsyncCommand, view: FakeView, state: str, command: tuple[str, ...]
) -> None:
    """A daemon died, and another one got its port: it is neither shown nor halted for it."""
    address = read_http_address(Path(state))
    assert address is not None
    write_http_address(Path(state), HttpAddress(url=address.url, host=address.host, port=address.port, pid=address.pid + 1))
    ended = await alchemiser_beside(*command, "--state", state)
    write_http_address(Path(state), address)

    assert ended.code == 7
    assert "is gone; what answers at" in ended.err
    assert view.asked == []


def look_of(view: FakeView) -> Look:
    """Return what a daemon with that view answers."""
    frame = {"live": True, "as_of": "2025-03-03T15:00:00+00:00"}
    plain: dict[str, Any] = {
        "/healthz": view.report.document(),
        "/api/v1/status": frame | dict(view.status()),
        "/api/v1/pnl": frame | dict(view.pnl()),
        "/api/v1/history": frame | {"history": []},
        "/api/v1/positions": frame | {"positions": view.positions()},
        "/api/v1/orders": frame | {"orders": []},
    }
    return Look(documents=json.loads(to_json(plain)))


def written(look: Look) -> str:
    """Return a look as it stands on a terminal of a hundred columns."""
    paper = io.StringIO()
    Console(file=paper, width=100).print(watch.drawn(look))
    return paper.getvalue()


def test_the_picture_has_what_matters(view: FakeView) -> None:
    """Account, health with reasons and remedies, money, positions, and the rebalance."""
    view.report = NOT_READY
    text = written(look_of(view))

    for part in ("account PA1", "trading active", "2025-03-03 open", "NOT READY", "wait & see", "100,000.10", "TECL", "R1 is working"):
        assert part in text


def test_a_daemon_that_is_away_has_no_figures(view: FakeView) -> None:
    """The time of its last answer and the reason, and nothing that could be taken for now."""
    text = written(Look(problem="connection refused", since=view.as_of()))

    assert "not connected since 2025-03-03 15:00:00 UTC" in text
    assert "connection refused" in text
    assert "account" not in text


def test_json_is_a_line_per_change(view: FakeView, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """The same look again writes nothing; a daemon that is away is a change."""
    lines = watch.Lines()
    for look in (look_of(view), look_of(view), Look(problem="gone", since=view.as_of())):
        assert not lines.show(look)
    first, second = map(json.loads, capsysbinary.readouterr().out.splitlines())

    assert (first["live"], first["health"]["ready"], first["orders"]) == (True, True, [])
    assert (second["live"], second["problem"]) == (False, "gone")


def test_a_terminal_is_drawn_anew_and_a_file_is_written_on(view: FakeView) -> None:
    """The same picture, on the screen or one below the other."""
    paper = io.StringIO()
    pictures = watch.Pictures(Console(file=paper, width=100))
    for _ in range(2):
        assert not pictures.show(look_of(view))
    assert paper.getvalue().count("account PA1") == 1

    terminal = Console(file=io.StringIO(), width=100, force_terminal=True)
    with Live(console=terminal, screen=True, auto_refresh=False) as live:
        assert not watch.Screen(terminal, live).show(look_of(view))
    assert "account PA1" in terminal.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.slow
def test_on_a_real_terminal_an_interrupt_ends_it_well(tmp_path: Path) -> None:
    """It takes the whole screen, says that nobody is there, gives the screen back at Ctrl-C, and ends with 0."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "alchemiser", "status", "--watch", "--state", str(tmp_path)]
    # A suite in the background of a shell is deaf to this signal, and so would its children be.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "xterm"})
    signal.signal(signal.SIGINT, before)
    try:
        os.close(theirs)
        seen = b""
        while b"not connected since" not in seen:
            seen += os.read(ours, 4096)
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(OSError):  # The end of a terminal is an error.
            while more := os.read(ours, 4096):
                seen += more
        process.wait()
    finally:  # One that does not hear would wait for ever for somebody who reads.
        process.kill()
        process.wait()
        os.close(ours)

    assert process.returncode == 0
    assert b"\x1b[?1049h" in seen
    assert b"\x1b[?1049l" in seen
    assert b"Traceback" not in seen
