"""The command line as a whole: its table, its help, its errors."""

import io
import subprocess
import sys
from pathlib import Path

import pytest

from alchemiser import __version__
from alchemiser.cli import app
from alchemiser.cli.app import COMMANDS
from alchemiser.cli.lazy import Target
from alchemiser.domain.errors import ConfigError, NotReady, OrderDenied
from tests.unit.cli.conftest import Command

WITHOUT_JSON = ("run", "exchange", "config reference", "journal export", "completion")
"""What writes a log, lines of JSON, or text that is meant for another program."""


def fail() -> None:
    """Fail as the test wants.

    Example: alchemiser fail
    """
    raise ERRORS[0]


ERRORS: list[BaseException] = []


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
    """Add a command that raises what is in the list."""
    monkeypatch.setitem(COMMANDS, "fail", Target(f"{__name__}:fail", "Fail."))
    monkeypatch.setitem(sys.modules, __name__, sys.modules[fail.__module__])
    ERRORS.clear()
    return ERRORS


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(alchemiser: Command, name: str) -> None:
    """``--help`` of each command says what it does and shows a call; what reports something can report it as JSON."""
    ended = alchemiser(*name.split(), "--help")

    assert ended.code == 0
    assert f"Usage: alchemiser {name}" in ended.out
    assert "Example:" in ended.out
    assert ("--json" in ended.out) == (name not in WITHOUT_JSON)


def test_help_lists_every_command_without_importing_any() -> None:
    """Asking for help loads neither the daemon nor the backtest."""
    program = (
        "import sys\nfrom alchemiser.cli.app import run\ncode = run(['--help'])\n"
        "loaded = [m for m in sys.modules if m.startswith('alchemiser.cli.')]\n"
        "assert sorted(loaded) == ['alchemiser.cli.app', 'alchemiser.cli.lazy'], loaded\nassert code == 0\n"
    )
    shown = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=30).stdout

    for name in COMMANDS:
        assert name.split()[0] in shown
    assert "7 no daemon running" in shown


def test_groups_list_their_commands(alchemiser: Command) -> None:
    """A group called alone shows what it holds."""
    ended = alchemiser("journal", "--help")

    assert ended.code == 0
    assert "verify" in ended.out


def test_version_is_printed(alchemiser: Command) -> None:
    """The version is that of the package."""
    assert alchemiser("--version").out == f"alchemiser {__version__}\n"


@pytest.mark.parametrize(
    "arguments", [("runn",), ("run", "--nonsense"), ("journal", "eat"), ("run", "--days", "0"), ("run", "--days", "many"), ()]
)
def test_wrong_usage_ends_with_two(alchemiser: Command, arguments: tuple[str, ...]) -> None:
    """A call that makes no sense is explained on standard error, and nothing is on standard output but help."""
    assert alchemiser(*arguments).code == 2


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("runn",), "No such command 'runn'. Did you mean 'run'? See alchemiser --help"),
        (("journal", "eat"), "No such command 'eat'. See alchemiser journal --help"),
        (("rearm",), "Missing argument 'GUARD'. See alchemiser rearm --help"),
        (("run", "--nonsense"), "No such option: --nonsense. See alchemiser run --help"),
    ],
)
def test_wrong_usage_is_one_line_like_any_other_error(alchemiser: Command, arguments: tuple[str, ...], line: str) -> None:
    """It says what was wrong with the call and where to look; the whole usage would bury it."""
    ended = alchemiser(*arguments)

    assert (2, "", f"alchemiser: {line}\n") == (ended.code, ended.out, ended.err)


def test_a_value_of_the_wrong_kind_is_one_line_too(alchemiser: Command) -> None:
    """However the parser words it, the option is named."""
    (line,) = alchemiser("run", "--days", "many").err.splitlines()

    assert line.startswith("alchemiser: Invalid value for '--days'")
    assert line.endswith("See alchemiser run --help")


def test_a_question_that_nobody_agrees_to_is_a_refusal(alchemiser: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person must agree first, and nothing was done."""
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    ended = alchemiser("flatten")

    assert 4 == ended.code
    assert ended.err.endswith("alchemiser: nobody agreed; nothing was done\n")


def test_a_typing_error_gets_a_suggestion(alchemiser: Command) -> None:
    """The command that was probably meant is named."""
    assert "Did you mean 'run'?" in alchemiser("runn").err


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (ConfigError("first\nsecond"), 3, "alchemiser: first\nalchemiser: second\n"),
        (OrderDenied("halted", "no"), 4, "alchemiser: halted: no\n"),
        (NotReady("wait"), 8, "alchemiser: wait\n"),
        (
            ExceptionGroup("g", [ConfigError("a"), ExceptionGroup("h", [NotReady("b"), ConfigError("a")])]),
            3,
            "alchemiser: a\nalchemiser: b\n",
        ),
    ],
)
def test_our_errors_are_lines_and_codes(
    alchemiser: Command, failing: list[BaseException], error: BaseException, code: int, text: str
) -> None:
    """Each error of the tree becomes its lines on standard error and its exit code, without a traceback, also out of a task group."""
    failing.append(error)

    ended = alchemiser("fail")

    assert (code, "", text) == (ended.code, ended.out, ended.err)


@pytest.mark.parametrize("error", [RuntimeError("bug"), ExceptionGroup("g", [ConfigError("a"), RuntimeError("bug")])])
def test_other_errors_are_not_dressed_up(alchemiser: Command, failing: list[BaseException], error: Exception) -> None:
    """A bug keeps its traceback: it is reported, not hidden."""
    failing.append(error)

    with pytest.raises(type(error)):
        alchemiser("fail")


def test_an_interrupt_is_clean(alchemiser: Command, failing: list[BaseException]) -> None:
    """Ctrl-C ends with 130 and no traceback."""
    failing.append(KeyboardInterrupt())

    ended = alchemiser("fail")

    assert (130, "") == (ended.code, ended.err)


def test_the_process_ends_with_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """``main`` is what the console script calls."""
    monkeypatch.setattr(sys, "argv", ["alchemiser", "--version"])

    with pytest.raises(SystemExit) as ended:
        app.main()

    assert ended.value.code == 0


def test_the_package_runs_as_a_module(tmp_path: Path) -> None:
    """``python -m alchemiser`` is the same command line."""
    shown = subprocess.run(
        [sys.executable, "-m", "alchemiser", "--version"], check=True, capture_output=True, text=True, cwd=tmp_path, timeout=30
    )

    assert shown.stdout == f"alchemiser {__version__}\n"
