"""Shell completion, asked as a shell asks."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from alchemiser.cli.app import COMMANDS
from tests.unit.cli.conftest import Command

BASH = shutil.which("bash")

COMPLETE = """
eval "$(alchemiser completion bash)"
COMP_WORDS=({words}) COMP_CWORD={at}
_alchemiser_completion alchemiser
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
"""What bash does when the tabulator key is pressed after some words."""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_gets_its_lines(alchemiser: Command, shell: str) -> None:
    """They ask the program itself, through a variable."""
    ended = alchemiser("completion", shell)

    assert (0, "") == (ended.code, ended.err)
    assert f"_ALCHEMISER_COMPLETE=complete_{shell}" in ended.out


def test_an_unknown_shell_is_wrong_usage(alchemiser: Command) -> None:
    """Nothing is printed that a shell could read."""
    ended = alchemiser("completion", "csh")

    assert (2, "") == (ended.code, ended.out)


@pytest.mark.slow
@pytest.mark.skipif(BASH is None, reason="needs bash")
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("", {name.split()[0] for name in COMMANDS}),
        ("journal ''", {"show", "verify", "export", "replay"}),
        ("status --", {"--watch", "--state", "--config", "--json", "--help"}),
        ("backtest compare --js", {"--json"}),
        ("completion z", {"zsh"}),
    ],
    ids=["commands", "a group", "options", "two words", "arguments"],
)
def test_bash_completes(tmp_path: Path, words: str, offered: set[str]) -> None:
    """Commands, groups, options and arguments, although a command is only imported when it is called."""
    program = tmp_path / "alchemiser"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m alchemiser "$@"\n')
    program.chmod(0o755)
    typed = ["alchemiser", *(words.split() or ["''"])]
    script = COMPLETE.format(words=" ".join(typed), at=len(typed) - 1)
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run([str(BASH), "-c", script], env=env, capture_output=True, text=True, timeout=30, check=False)

    assert (0, "") == (done.returncode, done.stderr)
    assert offered <= set(done.stdout.split())
