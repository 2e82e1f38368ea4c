"""Stopping in real processes: a signal, a second one, the control API, and a venue that answers nothing any more."""

import json
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.component.processes import PROGRAM, Daemon, ask, daemon, environment, run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

STOP_SECONDS = 6.0


@contextmanager
def deaf_exchange(directory: Path) -> Iterator[dict[str, Any]]:
    """Run an exchange in a process of its own that lists no orders, and listens to everything and answers nothing about a single one."""
    faults = directory / "faults.json"
    silence = {"kind": "timeout", "path": "/v2/orders", "times": 1000, "seconds": 60}
    faults.write_text(
        json.dumps([{**silence, "method": "POST"}, {**silence, "method": "DELETE"}, {**silence, "path": "/v2/orders:by_client_order_id"}])
    )
    process = subprocess.Popen(
        [*PROGRAM, "exchange", "--port", "0", "--day", "2025-03-03", "--speed", "1", "--faults", str(faults)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


def settings(place: dict[str, Any]) -> dict[str, str]:
    """Return the environment of a daemon that trades there."""
    return {
        "ALCHEMISER_ALPACA__MODE": "paper",
        "ALCHEMISER_ALPACA__TRADING_URL": place["rest"],
        "ALCHEMISER_ALPACA__DATA_URL": place["rest"],
        "ALCHEMISER_ALPACA__TRADING_STREAM_URL": place["trading_stream"],
        "ALCHEMISER_ALPACA__DATA_STREAM_URL": place["data_stream"],
        "APCA_API_KEY_ID": place["key_id"],
        "APCA_API_SECRET_KEY": place["secret_key"],
        "ALCHEMISER_SERVICE__STOP_SECONDS": str(STOP_SECONDS),
        "ALCHEMISER_SERVICE__TOKEN": "let-me-in",
    }


def was_sent(place: dict[str, Any]) -> bool:
    """Return whether the exchange has seen an order arrive."""
    with urllib.request.urlopen(place["rest"] + "/_exchange/log") as answer:  # noqa: S310 - the address of our own exchange
        return any((entry.get("method"), entry.get("path")) == ("POST", "/v2/orders") for entry in json.load(answer))


def last_stop(state: Path) -> dict[str, Any]:
    """Return how the daemon stopped, as its status tells."""
    stop: dict[str, Any] = ask("status", "--state", str(state))["stop"]
    return stop


def stages(running: Daemon) -> dict[str, str]:
    """Return the outcome of each stage as the log tells."""
    return {line["stage"]: line["outcome"] for line in running.lines if line.get("event") == "stop_stage"}


def test_a_signal_walks_the_whole_staircase(tmp_path: Path) -> None:
    """Each stage is in the log and in the status; the journal verifies, its last snapshot included."""
    with daemon("--embedded", "--days", "2", "--state", str(tmp_path)) as running:
        running.wait_for("order_intended")
        assert running.stop() == 0
        walked = stages(running)
    assert ["gate", "drain", "cancel", "final states", "snapshot", "exit"] == list(walked)
    assert {"done"} == set(walked.values())
    assert ["gate", "drain", "cancel", "final states", "snapshot"] == [stage["name"] for stage in last_stop(tmp_path)["stages"]]
    verified = ask("journal", "verify", "--state", str(tmp_path))
    assert verified["intact"]
    assert verified["snapshots"]

    with daemon("--embedded", "--days", "2", "--state", str(tmp_path)) as again:
        recovered = again.wait_for("state_recovered")
        assert recovered["snapshot"] == verified["snapshots"][-1]["sequence"]
        assert recovered["state_hash"] == verified["state_hash"]
        assert recovered["events_replayed"] <= 3


def test_the_control_api_stops_it_too(tmp_path: Path) -> None:
    """With the token, and it says what it did."""
    token = {"ALCHEMISER_SERVICE__TOKEN": "let-me-in"}
    with daemon("--embedded", "--days", "2", "--speed", "5", "--state", str(tmp_path), env=token) as running:
        running.wait_for("recovery_completed")
        refused = run("stop", "--state", str(tmp_path), "--json", env={"ALCHEMISER_SERVICE__TOKEN": "wrong"})
        assert refused.returncode != 0
        done = run("stop", "--state", str(tmp_path), "--reason", "new kernel", "--json", env=token)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["stopping"] is True
        assert running.process.wait(timeout=15) == 0
    assert {"done"} == {stage["outcome"] for stage in last_stop(tmp_path)["stages"]}


@pytest.mark.parametrize("signals", [1, 2])
def test_a_venue_that_hangs_delays_no_more_than_the_limits_and_the_order_is_named(tmp_path: Path, signals: int) -> None:
    """The stop takes its time and no more, a second signal ends the waiting at once.

    The journal holds what is known, the exit code says that orders were left, and the next start settles them.
    """
    with deaf_exchange(tmp_path) as place:
        env = settings(place)
        with daemon("--paper", "--state", str(tmp_path), env=env) as running:
            running.wait_for("session_opened")
            asked = run("rebalance", "--state", str(tmp_path), "--json", env=env)
            assert asked.returncode == 0, asked.stderr
            key = running.wait_for("order_intended")["order"]
            while not was_sent(place):
                pass  # Each question takes a moment; what has not left could still be withheld.
            began = time.monotonic()
            running.process.send_signal(signal.SIGTERM)
            if signals == 2:
                running.wait_for("stop_stage")  # the gate is closed; now somebody is in a hurry
                running.process.send_signal(signal.SIGTERM)
            _, rest = running.process.communicate(timeout=STOP_SECONDS + 10)
            took = time.monotonic() - began
            running.lines += [json.loads(text) for text in rest.splitlines()]
            assert running.process.returncode == 5
            assert took < (STOP_SECONDS + 3 if signals == 1 else 4)
        assert [key] == next(line for line in running.lines if line.get("event") == "orders_left_open")["orders"]
        assert {"snapshot": "done"} == {name: outcome for name, outcome in stages(running).items() if name == "snapshot"}
        assert ("timed out" if signals == 1 else "skipped") == stages(running)["final states"]
        assert [key] == last_stop(tmp_path)["unconfirmed"]
        verified = ask("journal", "verify", "--state", str(tmp_path))
        assert (verified["intact"], verified["open_orders"]) == (True, [key])

        forgiven = urllib.request.Request(f"{place['rest']}/_exchange/faults", method="DELETE")  # noqa: S310 - our own, on loopback
        with urllib.request.urlopen(forgiven, timeout=5):  # noqa: S310
            pass
        with daemon("--paper", "--state", str(tmp_path), env=env) as again:
            assert key == again.wait_for("order_closed")["order"]
            assert again.stop(seconds=STOP_SECONDS + 6) == 0
        assert [] == last_stop(tmp_path)["open_orders"]


@contextmanager
def endless_webhook() -> Iterator[tuple[str, threading.Event]]:
    """Take connections, begin an answer on each, and never come to its end; yield the address, and what tells that somebody came."""
    came, over = threading.Event(), threading.Event()

    def answer(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            came.set()
            while not over.wait(0.5):
                connection.sendall(b"x")

    def accept() -> None:
        with suppress(OSError):  # Closed from outside: nobody is expected any more.
            while True:
                threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"json://127.0.0.1:{listener.getsockname()[1]}/hook", came
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_webhook_that_never_ends_its_answer_does_not_keep_the_daemon(tmp_path: Path) -> None:
    """The process once stayed for ever, with everything done and nothing to wait for but a message."""
    with endless_webhook() as (address, came):
        env = {"ALCHEMISER_SERVICE__TOKEN": "let-me-in", "ALCHEMISER_NOTIFICATIONS__URLS": json.dumps([address])}
        with daemon("--embedded", "--speed", "1", "--state", str(tmp_path), env=env) as running:
            running.wait_for("recovery_completed")
            paused = run("pause", "--state", str(tmp_path), env=env)
            assert paused.returncode == 0, paused.stderr
            assert came.wait(60)
            assert running.stop(seconds=60) == 0
            assert "messages_left_behind" in {line["event"] for line in running.lines}
