"""The daemon as systemd sees it: ready when it has recovered, fed while the bus turns, stopping when it was told to."""

import socket
from pathlib import Path

from tests.component.processes import daemon


def test_systemd_is_told(tmp_path: Path) -> None:
    """READY comes after recovery, WATCHDOG while the bus turns, STOPPING at the signal."""
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(20)
        env = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000000"}
        with daemon("--embedded", "--speed", "5", "--days", "1", "--state", str(tmp_path / "state"), env=env) as running:
            told = ""
            while "READY=1" not in told or told.count("WATCHDOG=1") < 2:
                told += manager.recv(4096).decode() + "\n"
            running.wait_for("recovery_completed")
            assert running.stop() == 0
            while "STOPPING=1" not in told:
                told += manager.recv(4096).decode() + "\n"
