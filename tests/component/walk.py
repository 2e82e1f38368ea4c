"""A page of the documentation, walked through: every file saved, every command run, as somebody does who follows it.

Blocks of ``sh`` are run and have to succeed; what only shows (``bash``, ``text``, ``json``) is left alone. A file follows a paragraph
that ends with *Save this as `NAME`:*. A command that ends with ``&`` goes on beside the others and has to end by itself in the end.
"""

import os
import re
import signal
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.component.processes import PROGRAM

DOCS = Path(__file__).parents[2] / "docs"
DOOR = "127.0.0.1:8765"
"""The door of the pages; a walk takes a free one."""

SECONDS = 120


def steps(page: Path) -> list[tuple[str, str]]:
    """Return what a page asks for, in its order: the name of a file with its content, or no name and a command."""
    found: list[tuple[str, str]] = []
    for match in re.finditer(r"(?:[Ss]ave this as `([^`]+)`:\n\n)?```(\w+)\n(.*?)```", page.read_text(), flags=re.DOTALL):
        name, kind, text = match.groups()
        if name:
            found.append((name, text))
        elif kind == "sh":
            found += [("", line) for line in text.splitlines() if line and not line.startswith("#")]
    return found


def walk(page: Path, folder: Path, *, env: Mapping[str, str] | None = None, replace: Mapping[str, str] | None = None) -> None:
    """Do what the page says, in a folder, with an empty home and a door of its own. ``replace`` puts what is real into its files."""
    program = folder.parent / "bin" / "alchemiser"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f'#!/bin/sh\nexec {" ".join(PROGRAM)} "$@"\n')
    program.chmod(0o755)
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("ALCHEMISER", "APCA", "NOTIFY", "CREDENTIALS"))}
    clean |= {"HOME": str(folder.parent), "PATH": f"{program.parent}:{os.environ['PATH']}", **(env or {})}
    with socket.create_server(("127.0.0.1", 0)) as probe:
        changes = {DOOR: f"127.0.0.1:{probe.getsockname()[1]}", **(replace or {})}
    beside: list[subprocess.Popen[bytes]] = []
    try:
        for name, text in steps(page):
            for old, new in changes.items():
                text = text.replace(old, new)
            if name:
                (folder / name).parent.mkdir(exist_ok=True)
                (folder / name).write_text(text)
            elif text.endswith("&"):
                line = f"exec {text.removesuffix('&')}"
                beside.append(subprocess.Popen(["bash", "-c", line], cwd=folder, env=clean, stdout=subprocess.DEVNULL))
            else:
                _do(text, folder, clean)
        assert [process.wait(timeout=30) for process in beside] == [0] * len(beside), f"{page.name}: what ran beside"
    finally:
        for process in beside:
            process.send_signal(signal.SIGKILL)
            process.wait()


def _do(text: str, folder: Path, env: Mapping[str, str]) -> None:
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", text], cwd=folder, env=env, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, f"{text}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    says_nothing = any(mark in text for mark in (" run ", "--output", "--report", ">", 'select(.level == "error"'))
    assert done.stdout or says_nothing, f"{text} says nothing"
