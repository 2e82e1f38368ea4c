"""The tutorial, walked through by a script: every file saved, every command run, in a new directory with an empty home."""

import os
import re
import shlex
import socket
import subprocess
from pathlib import Path

import pytest

from tests.component.processes import PROGRAM

PAGE = (Path(__file__).parents[2] / "docs" / "tutorial.md").read_text()
SECONDS = 120


def steps() -> list[tuple[str, str]]:
    """Return what the page asks for, in its order: a command, or the name of a file with its content."""
    found: list[tuple[str, str]] = []
    for match in re.finditer(r"(?:Save this as `([^`]+)`:\n\n)?```(\w+)\n(.*?)```", PAGE, flags=re.DOTALL):
        name, kind, text = match.groups()
        if name:
            found.append((name, text))
        elif kind == "sh":
            found += [("", line) for line in text.splitlines() if line]
    return found


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_tutorial_works_as_it_is_written(tmp_path: Path) -> None:
    """Nobody is left alone with an error on the first day."""
    folder = tmp_path / "empty"
    folder.mkdir()
    env = {key: value for key, value in os.environ.items() if not key.startswith(("ALCHEMISER", "APCA", "NOTIFY", "CREDENTIALS"))}
    env |= {"HOME": str(tmp_path)}
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    background: list[subprocess.Popen[bytes]] = []
    try:
        for name, text in steps():
            if name:
                file = folder / name
                file.parent.mkdir(exist_ok=True)
                file.write_text(text.replace("8765", str(port)))
                continue
            words = [*PROGRAM, *shlex.split(text.removesuffix("&"))[1:]]
            if text.endswith("&"):
                background.append(subprocess.Popen(words, cwd=folder, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
                continue
            done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, timeout=SECONDS, check=False)
            assert done.returncode == 0, f"{text}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
            assert done.stdout or " run " in text or "--output" in text, f"{text} says nothing"
        assert [process.wait(timeout=30) for process in background] == [0]
    finally:
        for process in background:
            process.kill()
            process.wait()


def test_the_tutorial_has_files_and_commands() -> None:
    """The script reads the page as a person does."""
    names = [name for name, _ in steps() if name]
    commands = [text for name, text in steps() if not name]

    assert names == ["strategies/mine.clj", "alchemiser.toml"]
    assert len(commands) > 15
    assert all(command.startswith("alchemiser ") for command in commands)
