"""Every command that the documentation shows is executed; here those of the pages that have no test of their own.

What cannot be executed on any machine is typed all the same: a stand-in takes its place, and the table of stand-ins says why and where
the real thing is tried.
"""

import asyncio
import os
import re
import shlex
import shutil
import stat
import subprocess
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from alchemiser.cli.app import run as alchemiser
from tests.component.processes import PROGRAM, daemon, environment, run
from tests.component.walk import DOCS, steps
from tests.unit.cli.test_signals_check_backtest import sessions
from tests.unit.service.test_messenger import mail_server, webhook

ROOT = DOCS.parent

EXECUTED_BY: Final[Mapping[str, str]] = {
    "README.md": "tests.component.test_readme:test_the_first_command_works_in_a_fresh_copy",
    "backtest.md": "tests.unit.cli.test_backtest_page:test_every_command_of_the_page",
    "data.md": "tests.unit.cli.test_data_page:test_every_command_of_the_page",
    "deploy.md": f"{__name__}:test_it_is_deployed_as_the_page_says",
    "exchange.md": "tests.protocol.exchange.test_exchange_page:test_every_curl",
    "how-to-backtest.md": "tests.component.test_howto:test_a_page_works_as_it_is_written",
    "how-to-composer.md": "tests.component.test_howto:test_a_page_works_as_it_is_written",
    "how-to-live.md": "tests.component.test_howto:test_a_page_works_with_an_account",
    "how-to-monitor.md": "tests.component.test_howto:test_a_page_works_as_it_is_written",
    "how-to-own-strategy.md": "tests.component.test_howto:test_a_page_works_as_it_is_written",
    "how-to-paper.md": "tests.component.test_howto:test_a_page_works_with_an_account",
    "how-to-recover.md": "tests.component.test_howto:test_a_page_works_as_it_is_written",
    "journal.md": f"{__name__}:test_a_backup_is_made_and_put_back_as_the_page_says",
    "logs.md": "tests.component.test_howto:test_a_page_works_as_it_is_written",
    "notifications.md": f"{__name__}:test_a_message_is_sent_as_the_page_says",
    "runbook.md": "tests.component.test_runbook:test_every_command_of_the_runbook_works_as_it_is_written",
    "sweep.md": "tests.unit.cli.test_sweep:test_every_command_of_the_page",
    "symphonies.md": f"{__name__}:test_a_symphony_is_looked_at_as_the_page_says",
    "tutorial.md": "tests.component.test_tutorial:test_the_tutorial_works_as_it_is_written",
}
"""Where the commands of each page that shows any are executed."""

OF_THE_BROKER: Final = "export APCA_API_KEY_ID=... APCA_API_SECRET_KEY=..."
"""Shown where a person puts a key of his own: the walks put that of an exchange into the environment."""

STAND_INS: Final[Mapping[str, tuple[str, str]]] = {
    "python3.11": (
        'mkdir -p "$3/bin" && ln -s "$(command -v alchemiser)" "$3/bin/alchemiser" && ln -s "$(command -v pip)" "$3/bin/pip"',
        "the same installation is made in test_readme, from the package index",
    ),
    "pip": ("true", "as above"),
    "systemctl": (
        'case "$1" in enable) exec $SYSTEMCTL --root="$ROOT" enable "$3" ;; esac',
        "no systemd runs here: the unit is enabled offline where there is a systemctl; test_deploy has it verified by systemd-analyze",
    ),
    "journalctl": ("true", "no journal of systemd is here: it would show the lines of standard error, which test_lives reads"),
    "keyring": ("cat > /dev/null", "the program of an extra that the tests do not install; test_settings_load reads such a key ring"),
    "docker": ("true", "there is no engine: .ci/container builds the image with buildah and runs it, test_deploy reads the compose file"),
}
"""Programs that a test must not or cannot run: what is run instead, and why."""

TYPED: Final = "what a person types"


def pages_with_commands() -> set[str]:
    """Return the names of the pages that show a command, in a block or, in the runbook, in a line."""
    pages = [ROOT / "README.md", *DOCS.glob("*.md")]
    return {page.name for page in pages if re.search(r"^```(sh|bash|console|shell)$", page.read_text(), re.MULTILINE)} | {"runbook.md"}


def commands(page: Path) -> list[str]:
    """Return the commands of a page, in its order."""
    return [text for name, text in steps(page) if not name]


def programs(folder: Path, **others: str) -> dict[str, str]:
    """Put the program and these scripts on the path, and return the environment."""
    folder.mkdir()
    scripts = {"alchemiser": f'exec {" ".join(PROGRAM)} "$@"', **others}
    for name, script in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    return environment({"PATH": f"{folder}:{os.environ['PATH']}"})


def typed(lines: list[str], folder: Path, env: Mapping[str, str], replace: Mapping[str, str]) -> None:
    """Type these lines one after the other; a ``cd`` or an ``export`` counts for what follows it."""
    before = ""
    for line in lines:
        for old, new in replace.items():
            line = line.replace(old, new)
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", f"{before}{line}"],
            cwd=folder,
            env=dict(env),
            input=TYPED,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        if line.startswith(("cd ", "export ")):
            before += f"{line}\n"


@pytest.fixture(scope="module")
def traded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the state directory of a daemon that has traded a day."""
    state = tmp_path_factory.mktemp("traded") / "state"
    assert run("run", "--embedded", "--days", "1", "--state", str(state)).returncode == 0
    return state


def test_every_page_with_commands_has_a_test_that_executes_them() -> None:
    """A new page with a command comes with the test that types it."""
    assert pages_with_commands() == EXECUTED_BY.keys()
    for name in EXECUTED_BY.values():
        module, _, test = name.partition(":")
        assert callable(getattr(import_module(module), test)), name


def test_what_only_shows_is_known() -> None:
    """A walk leaves blocks of ``bash`` alone: on the pages that are walked there is none but the key of the reader's own."""
    walked = [name for name, test in EXECUTED_BY.items() if "test_howto" in test or "test_tutorial" in test or test.startswith(__name__)]
    shown = [
        block for name in walked for block in re.findall(r"^```(?:bash|console|shell)\n(.*?)```", (DOCS / name).read_text(), re.M | re.S)
    ]

    assert {block.strip() for block in shown} == {OF_THE_BROKER}


def test_the_readme_shows_of_an_account_what_the_page_about_it_does() -> None:
    """The three lines are those that the walk of that page types, with an exchange that has the account."""
    (block,) = (block for block in re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL) if "--paper" in block)
    first, *others = block.splitlines()

    assert first == OF_THE_BROKER
    assert set(others) <= {command.removesuffix(" &") for command in commands(DOCS / "how-to-paper.md")}


def test_the_installation_of_the_page_is_that_of_the_readme() -> None:
    """Which is made by test_readme, in a fresh copy, from the package index; only the place is another."""
    first = (ROOT / "README.md").read_text().partition("```sh\n")[2].partition("\n")[0]
    made = [line.replace(" -q", "").replace(".venv", "/opt/alchemiser") for line in first.split(" && ")[:3]]

    assert made == commands(DOCS / "deploy.md")[:3]


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_it_is_deployed_as_the_page_says(tmp_path: Path, traded: Path) -> None:
    """Every line, below a root of its own: files with their modes, a unit that is enabled, a daemon that reloads, a backup, secrets."""
    root, copy = tmp_path / "root", tmp_path / "copy"
    for folder in ("etc/systemd/system", "opt", "var/backups", "var/lib"):
        (root / folder).mkdir(parents=True)
    (root / "var/lib/alchemiser").symlink_to(traded)
    shutil.copytree(ROOT / "deploy", copy / "deploy")
    scripts = {name: f'echo "{name} $*" >> {tmp_path}/told\n{script}' for name, (script, _) in STAND_INS.items()}
    token = {"ALCHEMISER_SERVICE__TOKEN": "only-for-this-drill"}
    env = programs(tmp_path / "bin", **scripts) | {"ROOT": str(root), "SYSTEMCTL": shutil.which("systemctl") or "true"} | token
    places = {f"{place}/": f"{root}{place}/" for place in ("/opt", "/etc", "/var")}

    with daemon("--embedded", "--speed", "1", "--state", str(copy / "state"), env=token) as running:
        running.wait_for("recovery_completed")
        typed(commands(DOCS / "deploy.md"), copy, env, places)

    etc, secrets = root / "etc/alchemiser", copy / "deploy/secrets"
    for name in ("apca_api_key_id", "apca_api_secret_key"):
        assert (etc / name).read_text() == TYPED
    assert {stat.S_IMODE((etc / name).stat().st_mode) for name in ("apca_api_key_id", "apca_api_secret_key", "service_token")} == {0o600}
    tokens = [
        file.read_text().strip() for file in (etc / "service_token", secrets / "alchemiser_service__token", secrets / "grafana_password")
    ]
    assert [len(token) for token in tokens] == [44] * 3
    assert len(set(tokens)) == 3
    assert (root / "etc/systemd/system/alchemiser.service").read_bytes() == (ROOT / "deploy/alchemiser.service").read_bytes()
    if shutil.which("systemctl"):
        assert (root / "etc/systemd/system/multi-user.target.wants/alchemiser.service").is_symlink()
    assert len(list((root / "var/backups").iterdir())) == 1
    told = {line.split()[0] for line in (tmp_path / "told").read_text().splitlines()}
    assert told == STAND_INS.keys()


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_backup_is_made_and_put_back_as_the_page_says(
    tmp_path: Path, traded: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is put back is the journal that was saved."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "state").symlink_to(traded)
    for line in commands(DOCS / "journal.md"):
        assert alchemiser(shlex.split(line.replace("/var/backups", str(tmp_path)))[1:]) == 0, line
        assert capsys.readouterr().out
    assert alchemiser(["journal", "verify", "--state", "restored"]) == 0


def test_a_symphony_is_looked_at_as_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the symphony of the tutorial and a year of bars."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "strategies").mkdir()
    (tmp_path / "strategies/mine.clj").write_text(dict(steps(DOCS / "tutorial.md"))["strategies/mine.clj"])
    bars = tmp_path / "data/daily"
    bars.mkdir(parents=True)
    random, days = np.random.default_rng(5), sessions(250)
    for symbol in ("SPY", "BIL", "BSV"):
        closes = (100 * np.cumprod(1 + random.normal(0.0005, 0.01, len(days)))).round(4).tolist()
        (bars / f"{symbol}.csv").write_text("\n".join(["date,close", *(f"{d},{close}" for d, close in zip(days, closes, strict=True)), ""]))

    for line in commands(DOCS / "symphonies.md"):
        assert alchemiser(shlex.split(line)[1:]) == 0, line
        assert capsys.readouterr().out or (tmp_path / "mine.svg").stat().st_size > 1000, line


@pytest.mark.slow
async def test_a_message_is_sent_as_the_page_says(tmp_path: Path) -> None:
    """To a mail server and a webhook that stand where the page has somebody's own."""
    env = programs(tmp_path / "bin")
    async with mail_server() as (mail_port, mails), webhook() as (hook_port, bodies):
        replace = {
            "mailto://me:password@mail.example.org?": f"mailto://127.0.0.1:{mail_port}?from=daemon@example.org&mode=insecure&",
            "127.0.0.1:9000": f"127.0.0.1:{hook_port}",
        }
        await asyncio.to_thread(typed, commands(DOCS / "notifications.md"), tmp_path, env, replace)

    assert "can you read this?" in mails[0]
    assert [body["message"] for body in bodies] == ["can you read this?"]
