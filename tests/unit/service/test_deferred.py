"""Deferred modules: nothing is loaded before it is used, and everything is there when it is."""

import subprocess
import sys

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


def test_the_start_path_loads_neither_numpy_nor_the_exchange() -> None:
    """A daemon that trades at a broker and has decided nothing yet needs neither."""
    assert run(START).split() == ["False", "False"]
