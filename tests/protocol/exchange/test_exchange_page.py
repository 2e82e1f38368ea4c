"""Every command of ``docs/exchange.md`` works as it stands on the page."""

import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from alchemiser.cli.pytest_plugin import RunningExchange
from alchemiser.exchange.fault_menu import AnyFault, Fault
from alchemiser.exchange.fault_refusals import REFUSALS

PAGE = Path(__file__).parents[3] / "docs" / "exchange.md"
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE.read_text(), re.DOTALL)
STARTS = [line for kind, text in BLOCKS if kind == "bash" for line in text.splitlines() if line.startswith("alchemiser ")]
CURLS = [line for kind, text in BLOCKS if kind == "bash" for line in text.splitlines() if line.startswith("curl ")]


def serve(line: str) -> subprocess.Popen[str]:
    """Start a command of the page."""
    command = [sys.executable, "-m", *shlex.split(line)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


@pytest.fixture(scope="module")
def venue() -> Iterator[dict[str, str]]:
    """Start the first command of the page, and return the line it prints."""
    with serve(STARTS[0]) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()


@pytest.mark.parametrize("line", STARTS[1:])
def test_it_starts(line: str) -> None:
    """Every way to start it on the page prints the line."""
    with serve(line) as process:
        assert process.stdout is not None
        assert set(json.loads(process.stdout.readline())) == {"rest", "trading_stream", "data_stream", "key_id", "secret_key"}
        process.terminate()


def test_alpaca_py(venue: dict[str, str], tmp_path: Path) -> None:
    """The example of alpaca-py runs."""
    example = tmp_path / "example.py"
    example.write_text(next(text for kind, text in BLOCKS if kind == "python" and "TradingClient" in text))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"websockets\.legacy is deprecated", category=DeprecationWarning)
        runpy.run_path(str(example), {"venue": venue})


def test_every_curl(venue: dict[str, str]) -> None:
    """Every request of the page is answered with success, in the order of the page."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed; the page's requests are made with it")
    assert len(CURLS) >= 15
    for line in CURLS:
        done = subprocess.run(["bash", "-c", line], env={**os.environ, "REST": venue["rest"]}, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}: {done.stderr}"


def test_the_page_names_every_fault_and_refusal() -> None:
    """No fault of the menu is missing on the page."""
    text = PAGE.read_text()
    kinds = [kind.__struct_config__.tag for kind in _members(AnyFault)]
    assert len(kinds) >= 22
    for name in (*kinds, *REFUSALS):
        assert f"`{name}`" in text, name


def _members(union: object) -> list[type[Fault]]:
    return list(union.__args__)  # type: ignore[attr-defined]


def test_the_fixture_of_other_projects(tmp_path: Path) -> None:
    """A project that has the package gets an exchange for its test, with the options of a marker."""
    example = next(text for kind, text in BLOCKS if kind == "python" and "alpaca_exchange" in text)
    (tmp_path / "test_bot.py").write_text(
        f"import pytest\n{example}\n\n@pytest.mark.alpaca_exchange('--engine', 'paper', '--key-id', 'K', '--secret-key', 'S')\n"
        "def test_options(alpaca_exchange):\n    assert alpaca_exchange.key_id == 'K'\n"
        "    assert 'secret' not in repr(alpaca_exchange)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(PAGE.parents[1])}
    plugin = [] if RunningExchange.__module__ in _entry_points() else ["-p", RunningExchange.__module__]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *plugin, str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _entry_points() -> set[str]:
    return {point.value for point in entry_points(group="pytest11")}
