"""Modules that are loaded when they are first needed, so that nobody pays for what he does not use.

Commands and the embedded exchange are loaded by name when they are called; NumPy when the first number is computed.
"""

import gc
import importlib
import sys
import threading
from collections.abc import Callable
from importlib.machinery import PathFinder
from types import ModuleType
from typing import Any

_TURN = threading.Lock()


def load(path: str) -> Any:
    """Import and return ``package.module:attribute``.

    The garbage collector rests meanwhile: an import makes many objects that live as long as the process, and looking through them again
    and again takes a quarter of the time. What was imported is then taken out of its later rounds.
    """
    module, _, attribute = path.partition(":")
    if module in sys.modules:
        # Nothing to import, and nothing to take out of the collector's rounds: what is garbage by now would stay for ever.
        # It may be half there, because another thread imports it just now: import_module waits for that, sys.modules does not.
        return getattr(importlib.import_module(module), attribute)
    gc.disable()
    try:
        found = getattr(importlib.import_module(module), attribute)
    finally:
        gc.enable()
    gc.freeze()
    return found


class _Deferred(ModuleType):
    """Stands in the place of a module until something of it is asked for."""

    def __getattr__(self, name: str) -> Any:
        """Import the module, take over all that is in it, and return what was asked for."""
        if name == "__path__" and self.__dict__.get("_functions"):
            return self._find_path()  # "from" asks for it, to look for submodules of that name, before it takes a function.
        _make_room_for(self.__name__)
        module = importlib.import_module(self.__name__)
        self.__dict__.update(module.__dict__)
        return getattr(module, name)

    def _find_path(self) -> list[str]:
        """Say where the submodules are, without importing the package: others may import ``html.parser`` though ``html`` has to wait."""
        package = self.__name__.rpartition(".")[0]
        found = PathFinder.find_spec(self.__name__, sys.modules[package].__path__ if package else None)
        if found is None or found.submodule_search_locations is None:
            raise AttributeError("__path__")
        self.__path__ = list(found.submodule_search_locations)
        return self.__path__


def defer(name: str, *functions: str) -> None:
    """Have ``import name`` cost nothing until the module is used; without effect when it is imported already.

    For NumPy in the daemon, which listens for hours before it computes the first indicator. Unlike ``importlib.util.LazyLoader`` it
    survives that several modules import it at their top. ``functions`` may be taken out of it by ``from name import function`` too: the
    first call of one imports the module.
    """
    if name in sys.modules:
        return
    module = sys.modules[name] = _Deferred(name)
    module.__dict__["_functions"] = functions
    package, _, own_name = name.rpartition(".")
    if package:  # who writes "import package.module" looks for it there
        setattr(importlib.import_module(package), own_name, module)
    for function in functions:
        module.__dict__[function] = _late(name, function)


def _make_room_for(name: str) -> None:
    """Take the stand-in of a module away, once: two threads may ask for it, and the second must not take the real one that comes."""
    with _TURN:
        if isinstance(sys.modules.get(name), _Deferred):
            del sys.modules[name]


def _late(module: str, name: str) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        _make_room_for(module)
        return getattr(importlib.import_module(module), name)(*args, **kwargs)

    return call
