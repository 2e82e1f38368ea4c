"""The key of the account is changed while the daemon trades: it takes the new one, and no text ever shows either."""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.component.processes import PROGRAM, daemon, environment

OLD = ("PKOLDROTATION", "the-old-secret-of-the-account")
NEW = ("PKNEWROTATION", "the-new-secret-of-the-account")


@contextmanager
def exchange(state: Path, port: int, key: tuple[str, str]) -> Iterator[dict[str, Any]]:
    """Run the embedded exchange in a process of its own, with that key, and kill it in the end."""
    words = ["exchange", "--port", str(port), "--state", str(state), "--speed", "1", "--key-id", key[0], "--secret-key", key[1]]
    process = subprocess.Popen([*PROGRAM, *words], env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


def write_key(directory: Path, key: tuple[str, str]) -> None:
    """Put a key into the credentials directory, each half in one step."""
    for name, secret in zip(("apca_api_key_id", "apca_api_secret_key"), key, strict=True):
        (directory / f".{name}").write_text(secret)
        (directory / f".{name}").rename(directory / name)


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.mark.slow
def test_a_key_is_rotated_without_a_restart(tmp_path: Path) -> None:
    """The venue knows only the new key from now on, the credentials directory holds it: streams and requests go on with it.

    SIGHUP then takes a setting that differs and tells it; wrong settings change nothing.
    """
    credentials, state = tmp_path / "credentials", tmp_path / "state"
    credentials.mkdir()
    write_key(credentials, OLD)
    port = free_port()
    settings = tmp_path / "alchemiser.toml"
    urls = {"trading": "http", "data": "http", "trading_stream": "ws", "data_stream": "ws"}
    paths = {"trading_stream": "/stream", "data_stream": "/v2/iex"}
    lines = "".join(f'{name}_url = "{scheme}://127.0.0.1:{port}{paths.get(name, "")}"\n' for name, scheme in urls.items())
    settings.write_text(f'[alpaca]\nmode = "paper"\n{lines}\n[service]\nlog_format = "json"\nstop_seconds = 8\n')

    with exchange(tmp_path / "venue", port, OLD) as first:
        assert first["key_id"] == OLD[0]
        arguments = ("--paper", "--config", str(settings), "--state", str(state))
        runtime = {"CREDENTIALS_DIRECTORY": str(credentials), "XDG_RUNTIME_DIR": str(tmp_path)}
        stack = ExitStack()
        running = stack.enter_context(daemon(*arguments, env=runtime))
        running.wait_for("recovery_completed")
        write_key(credentials, NEW)
    with stack, exchange(tmp_path / "venue", port, NEW):
        running.wait_for("key_renewed")
        running.wait_for("gap_closed")
        assert running.process.poll() is None

        settings.write_text(settings.read_text().replace("stop_seconds = 8", "stop_seconds = 9"))
        os.kill(running.process.pid, signal.SIGHUP)
        told = running.wait_for("settings_reloaded")
        assert told["by"] == "SIGHUP"
        assert "service.stop_seconds: 8.0 -> 9.0, at once" in told["changes"]

        settings.write_text("[service]\nstop_secnds = 9\n")
        os.kill(running.process.pid, signal.SIGHUP)
        assert (
            "line 2: service.stop_secnds is not a setting; did you mean service.stop_seconds?"
            in (running.wait_for("settings_not_reloaded")["reason"])
        )
        assert running.stop() == 0

    log = json.dumps(running.lines)
    journal = b"".join(path.read_bytes() for path in state.iterdir() if path.is_file())
    for secret in (*OLD, *NEW):
        assert secret not in log
        assert secret.encode() not in journal
