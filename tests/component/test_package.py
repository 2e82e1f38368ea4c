"""The package as a whole: what its start path loads, and that it is complete."""

import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from alchemiser import __version__

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "alchemiser"

HEAVY = ("pandas", "alpaca", "plotly", "pyarrow", "rich", "pygments", "requests", "hypothesis", "pytest", "setuptools")
"""What the daemon never needs: data frames, Alpaca's own client, drawing on terminals, tools."""

LOCKS = {"requirements.lock": None, "requirements-dev.lock": "dev"}


def loaded_by(program: str) -> set[str]:
    """Return the modules that a program has loaded at its end."""
    code = f"import sys\n{program}\nprint(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60).stdout.split())


def test_the_start_path_loads_no_data_frame_library() -> None:
    """``alchemiser run`` imports neither pandas nor alpaca-py nor pyarrow nor rich, nor the backtest: they cost seconds and memory."""
    modules = loaded_by(
        "import alchemiser.cli.app, alchemiser.cli.run\nfrom alchemiser.service.deferred import load\nload(alchemiser.cli.run.DAEMON)"
    )

    assert not modules & set(HEAVY)
    assert not {module for module in modules if module.startswith("alchemiser.backtest")}
    assert "alchemiser.service.daemon" in modules


def test_the_start_path_leaves_what_others_import_and_nobody_uses() -> None:
    """What ``__main__`` defers stays unloaded: whoever begins to use one of them on the way to a ready daemon takes it off that list."""
    modules = loaded_by(
        "import alchemiser.__main__, alchemiser.cli.app, alchemiser.cli.run\n"
        "from alchemiser.service.deferred import defer, load\ndefer('numpy')\nload(alchemiser.cli.run.DAEMON)"
    )

    unused = {"dotenv.main", "html.entities", "http.client", "idna.core", "importlib.metadata._meta", "lzma", "tomllib._parser", "anyio"}
    assert not modules & unused


@pytest.mark.slow
def test_what_is_deferred_is_in_no_library_s_way() -> None:
    """Every library of an extra can still be imported in a process of the program: apprise once could not, and no message was sent."""
    libraries = ("apprise", "alpaca.trading.client", "alpaca.data", "plotly.graph_objects", "pyarrow.parquet", "html.parser")
    there = [name for name in libraries if find_spec(name.partition(".")[0])]

    assert set(there) <= loaded_by("\n".join(["import alchemiser.__main__", *(f"import {name}" for name in there)]))


def test_the_script_settles_what_the_module_settles() -> None:
    """``alchemiser`` and ``python -m alchemiser`` begin in the same place: a signal that comes early is listened to by both."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert project["scripts"] == {"alchemiser": "alchemiser.__main__:main"}


def test_a_question_to_the_daemon_loads_little() -> None:
    """``alchemiser status`` and ``health`` are called every few seconds by supervisors: no server, no numbers, no venue."""
    modules = loaded_by("import alchemiser.cli.app, alchemiser.cli.ask, alchemiser.cli.health, alchemiser.cli.control")

    assert not modules & {*HEAVY, "aiohttp", "numpy", "websockets", "uvloop", "alchemiser.service.daemon"}


def test_every_directory_of_the_package_is_a_package() -> None:
    """A directory without ``__init__.py`` would be missing in the wheel's imports."""
    directories = {path.parent for path in PACKAGE.rglob("*.py")}

    assert [] == sorted(str(directory) for directory in directories if not (directory / "__init__.py").exists())


def test_the_version_of_the_changelog_is_that_of_the_package() -> None:
    """The newest entry of the changelog is about this version."""
    headings = [line for line in (ROOT / "CHANGELOG.md").read_text().splitlines() if line.startswith("## ")]

    assert headings[0].startswith(f"## {__version__}")


def pins_of(lock: str) -> dict[str, list[Requirement]]:
    """Return the pinned requirements of a lock file by name."""
    pins: dict[str, list[Requirement]] = {}
    for line in (ROOT / lock).read_text().splitlines():
        if line and not line.startswith((" ", "#")):
            pin = Requirement(line.removesuffix(" \\"))
            pins.setdefault(canonicalize_name(pin.name), []).append(pin)
    return pins


@pytest.mark.parametrize("lock", [*LOCKS, "requirements-build.lock"])
def test_locks_have_hashes_and_no_addresses(lock: str) -> None:
    """Every pin is exact and hashed; where it comes from is the machine's business."""
    text = (ROOT / lock).read_text()

    assert "://" not in text
    assert "--index" not in text
    assert "--find-links" not in text
    blocks = text.split("\n    --hash")
    for pins in pins_of(lock).values():
        for pin in pins:
            assert [specifier.operator for specifier in pin.specifier] == ["=="]
            line = str(pin.specifier)
            assert any(block.rstrip(" \\").splitlines()[-1].find(f"{pin.name}{line}") >= 0 for block in blocks), f"{pin} has no hash"


@pytest.mark.parametrize(("lock", "extra"), LOCKS.items())
def test_locks_fit_the_project(lock: str, extra: str | None) -> None:
    """What ``pyproject.toml`` asks for is in the lock, in a version that it allows; otherwise ``.ci/lock`` was forgotten."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(project["optional-dependencies"][extra] if extra else [])]
    pins = pins_of(lock)

    for text in wanted:
        requirement = Requirement(text)
        found = pins.get(canonicalize_name(requirement.name), [])
        assert found, f"{lock} lacks {requirement.name}; run .ci/lock"
        for pin in found:
            version = Version(next(iter(pin.specifier)).version)
            assert version in requirement.specifier, f"{lock} has {pin}, wanted {requirement}; run .ci/lock"


def test_both_locks_agree() -> None:
    """Tests run with the versions that are shipped."""
    runtime, development = pins_of("requirements.lock"), pins_of("requirements-dev.lock")

    assert {name: [str(pin.specifier) for pin in pins] for name, pins in runtime.items()} == {
        name: [str(pin.specifier) for pin in development[name]] for name in runtime
    }
