"""The documentation: its commands work, its links lead somewhere, its reference is current."""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from alchemiser.cli.app import COMMANDS, run
from alchemiser.cli.reference import Page
from alchemiser.cli.reference import page as reference
from alchemiser.domain import errors

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
IDS = [page.name for page in PAGES]


def commands_of(page: Path) -> list[str]:
    """Return the lines of the shell examples of a page."""
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text(), flags=re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line and not line.startswith("#")]


def alchemiser_calls(page: Path) -> list[list[str]]:
    """Return the arguments of every call of ``alchemiser`` in the shell examples of a page."""
    calls = []
    for line in commands_of(page):
        for command in re.split(r"\s*&&\s*", line):
            words = shlex.split(command)
            if words and words[0].rpartition("/")[2] == "alchemiser":
                calls.append(words[1:])
    return calls


def test_the_first_screen_has_two_commands() -> None:
    """One line sets up and trades, one line sets up and tests; each needs only Python 3.11."""
    first_screen = (ROOT / "README.md").read_text().partition("\n## ")[0]

    trade, test = re.findall(r"```sh\n(.*)\n```", first_screen)
    for line in (trade, test):
        assert line.startswith("python3.11 -m venv ")
        assert "--require-hashes" in line
    assert trade.endswith("alchemiser run --embedded --days 5")
    assert 'pytest -q -m "not slow"' in test


def test_the_check_script_runs_the_tests_as_documented() -> None:
    """CI sets up its environment by the second command of the README, and its test command is the end of it, word for word."""
    line = next(line for line in commands_of(ROOT / "README.md") if "pytest" in line)
    steps = (ROOT / ".ci" / "run").read_text().splitlines()

    assert """line="$(grep -m 1 'requirements-dev.lock' README.md)\"""" in steps
    assert line == next(text for text in (ROOT / "README.md").read_text().splitlines() if "requirements-dev.lock" in text)
    assert line.rpartition("&& .venv/bin/")[2] in steps


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_documented_calls_exist(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every call in an example names a command that there is, with options that its help lists."""
    for words in alchemiser_calls(page):
        if words in (["--help"], ["--version"]):
            continue
        name = " ".join(words[:2]) if " ".join(words[:2]) in COMMANDS else words[0]
        assert name in COMMANDS, f"{page.name}: alchemiser {' '.join(words)}"
        assert run([*name.split(), "--help"]) == 0
        shown = capsys.readouterr().out
        missing = [word for word in words if word.startswith("--") and word not in shown]
        assert not missing, f"{page.name}: {name} has no {', '.join(missing)}"


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link of a page leads to a file."""
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("name", Page)
def test_the_reference_is_current(name: Page) -> None:
    """Each page of the reference is what ``alchemiser config reference`` prints of the code as it is."""
    assert reference(name) == (ROOT / "docs" / f"{name}.md").read_text(), f"run: alchemiser config reference {name} > docs/{name}.md"


def test_every_exit_code_is_documented() -> None:
    """The table of exit codes has a row for every code of the error tree."""
    rows = re.findall(r"^\| (\d+) \|", (ROOT / "docs" / "exit-codes.md").read_text(), flags=re.MULTILINE)
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.AlchemiserError)]

    assert {0, *(kind.exit_code for kind in kinds)} <= set(map(int, rows))


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_pages_name_no_place_of_the_workshop(page: Path) -> None:
    """No page names a directory or a host of the machine that it was written on."""
    text = page.read_text()

    assert not re.search(r"/(work|root|home|tmp)/", text)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_first_command_works_in_a_fresh_copy(tmp_path: Path) -> None:
    """The README's first line, typed into a fresh copy of what is committed, trades five days; then the questions are answered."""
    copy = fresh_copy(tmp_path)
    first, *_ = commands_of(ROOT / "README.md")

    ran = in_shell(first, copy)
    assert ran.returncode == 0, ran.stdout + ran.stderr

    for line in commands_of(ROOT / "README.md"):
        if line.startswith(".venv/bin/alchemiser"):
            asked = in_shell(line, copy)
            assert asked.returncode == 0, f"{line}\n{asked.stdout}{asked.stderr}"


def fresh_copy(directory: Path) -> Path:
    """Return a copy of what git tracks, as it stands in the working directory."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: what belongs to a fresh copy is unknown")
    tracked = subprocess.run([git, "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    copy = directory / "copy"
    for name in filter(None, tracked):
        if (ROOT / name).exists():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    return copy


def in_shell(line: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """Run a line as it would be typed in that directory."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("VIRTUAL_ENV", "PYTHONPATH", "ALCHEMISER", "APCA"))}
    return subprocess.run(["bash", "-c", line], cwd=directory, env=environ, capture_output=True, text=True, timeout=300)
