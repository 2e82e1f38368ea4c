"""Deferred modules: nothing is loaded before it is used, and everything is there when it is."""

import gc
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from alchemiser.service.deferred import load

PROGRAM = """
import sys
from alchemiser.service.deferred import defer
defer("numpy")
import numpy as np
import numpy
assert "numpy._core" not in sys.modules, "an import alone loads nothing"
first = np.arange(3).sum()
assert "numpy._core" in sys.modules
from numpy.typing import NDArray
import numpy.linalg
assert np.linalg.norm([3.0, 4.0]) == 5.0
assert first == 3 and numpy.float64(1.5) == 1.5
defer("numpy")
assert sys.modules["numpy"].__file__
"""

FUNCTIONS = """
import sys
from alchemiser.service.deferred import defer
defer("importlib.metadata", "entry_points", "version")
from importlib.metadata import entry_points, version
import importlib.metadata as metadata
assert "importlib.metadata._meta" not in sys.modules, "taking a function out of it loads nothing"
assert version("numpy") == metadata.version("numpy") and metadata.distribution("numpy").version == version("numpy")
assert list(entry_points(group="nobody has this group")) == []
import importlib.metadata
assert importlib.metadata.__file__ and sys.modules["importlib.metadata"] is importlib.metadata
"""

PACKAGED = """
import sys
from alchemiser.service.deferred import defer
defer("importlib.metadata", "entry_points")
import importlib.metadata
assert "importlib.metadata._meta" not in sys.modules, "naming it loads nothing"
assert importlib.metadata.version("numpy")
import plotly
assert plotly.__version__ == importlib.metadata.version("plotly")
"""

START = """
import sys
from alchemiser.service.deferred import defer, load
defer("numpy")
import alchemiser.cli.app, alchemiser.cli.run
load(alchemiser.cli.run.DAEMON)
print("numpy._core" in sys.modules, "alchemiser.exchange" in sys.modules)
"""


def run(program: str) -> str:
    """Run a program in a process of its own and return what it prints."""
    return subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60).stdout


def test_a_deferred_module_is_loaded_by_its_first_use() -> None:
    """Importing it at the top of a module costs nothing; its submodules and types work as ever."""
    assert run(PROGRAM) == ""


def test_functions_of_a_deferred_module_are_there_before_it() -> None:
    """What ``from module import function`` took is loaded by its first call, and is the real thing from then on."""
    assert run(FUNCTIONS) == ""


SUBMODULES = """
import sys
from alchemiser.service.deferred import defer
defer("html", "escape")
defer("difflib", "get_close_matches")
from html import escape
from difflib import get_close_matches
assert type(sys.modules["html"]).__name__ == "_Deferred"
from html.parser import HTMLParser
import html
assert (escape("<"), html.unescape("&lt;"), html.parser.HTMLParser) == ("&lt;", "<", HTMLParser)
try:
    import difflib.nothing
except ModuleNotFoundError as error:
    assert "not a package" in str(error)
assert type(sys.modules["difflib"]).__name__ == "_Deferred"
assert get_close_matches("ape", ["apple"]) == ["apple"]
"""


def test_a_submodule_of_a_deferred_package_is_found() -> None:
    """A library may need ``html.parser`` though nobody has asked for ``html`` yet; a module that is no package has none, as ever."""
    assert run(SUBMODULES) == ""


def test_only_an_import_takes_objects_out_of_the_collectors_rounds() -> None:
    """What is loaded again and again, a page for instance, must not keep the garbage of the moment each time."""
    load("alchemiser.service.dashboard:asset")
    before = gc.get_freeze_count()
    for _ in range(3):
        assert load("alchemiser.service.dashboard:asset")("index.html")
    assert gc.get_freeze_count() == before


def test_a_deferred_submodule_is_found_in_its_package() -> None:
    """Who writes ``import package.module`` and then ``package.module.function``, as Plotly does, has it."""
    assert run(PACKAGED) == ""


def test_the_start_path_loads_neither_numpy_nor_the_exchange() -> None:
    """A daemon that trades at a broker and has decided nothing yet needs neither."""
    assert run(START).split() == ["False", "False"]


def test_two_threads_may_load_the_same_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second waits until the first has imported it, instead of taking a half of it: two command lines in one process."""
    half_way, go_on = threading.Event(), threading.Event()
    (tmp_path / "slow_to_come.py").write_text("import gates_of_a_test as gates\ngates.half_way.set()\ngates.go_on.wait(60)\nfound = 5\n")
    gates: Any = type(sys)("gates_of_a_test")
    gates.half_way, gates.go_on = half_way, go_on
    monkeypatch.setitem(sys.modules, "gates_of_a_test", gates)
    monkeypatch.syspath_prepend(tmp_path)
    found: list[object] = []

    def loading() -> None:
        try:
            found.append(load("slow_to_come:found"))
        except AttributeError as error:
            found.append(error)

    first, second = (threading.Thread(target=loading, daemon=True) for _ in range(2))
    first.start()
    assert half_way.wait(60)
    second.start()
    second.join(0.2)  # Long enough to fail in; a thread that is late only makes the test easier.
    go_on.set()
    first.join(60)
    second.join(60)
    sys.modules.pop("slow_to_come", None)

    assert found == [5, 5]


STAND_IN = """
import sys, threading
from alchemiser.service.deferred import defer
defer("wave")
import wave
stand_in = sys.modules["wave"]
barrier, errors = threading.Barrier(8), []

def use():
    barrier.wait()
    try:
        assert wave.Error
    except BaseException as error:
        errors.append(error)

threads = [threading.Thread(target=use) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
assert not errors, errors
import wave as again
assert again is not stand_in and again.Error is stand_in.Error
"""


def test_a_stand_in_may_be_asked_by_several_threads() -> None:
    """One of them imports the module, and it is imported once."""
    subprocess.run([sys.executable, "-c", STAND_IN], check=True, timeout=60)
