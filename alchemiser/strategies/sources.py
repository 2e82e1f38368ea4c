"""Where strategies come from: a symphony file, the name of a file in the folder ``strategies``, a shipped name, or a Python class.

A file of one's own goes before what is shipped under the same name.

Loading refuses what is wrong with one strategy and leaves the others alone: :func:`load_all` returns those that could be loaded
and the reasons of those that could not.
"""

import hashlib
import importlib
import inspect
import re
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from msgspec import Struct

from alchemiser.domain.errors import StrategyError
from alchemiser.strategies.base import LoadedStrategy
from alchemiser.strategies.catalog import SHIPPED_CLASSES, shipped_symphony
from alchemiser.strategies.python import PythonStrategy, Strategy
from alchemiser.strategies.symphony.check import check_bytes, check_file
from alchemiser.strategies.symphony.evaluate import STOP, Rules
from alchemiser.strategies.symphony.strategy import SymphonyStrategy

FOLDER = Path("strategies")
"""The folder of symphony files, in the working directory: ``strategies/mine.clj`` is the strategy ``mine``."""

_versions: dict[str, str] = {}
"""The hash of every module that was loaded for a strategy: a process keeps the module, whatever becomes of its file."""

_CLASS = re.compile(r"(?P<module>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):(?P<name>[A-Za-z_]\w*)")


class StrategySource(Struct, frozen=True):
    """A strategy that is wanted: its name, where it comes from, its share of the account, and how a symphony is read."""

    name: str
    source: str
    allocation: float
    rules: Rules = STOP


def load_strategy(wanted: StrategySource) -> LoadedStrategy:
    """Load a strategy. Raises ``StrategyError``, for a refused file ``SymphonyError`` with the place in it."""
    if (file := file_of(wanted.source)) is not None:
        return SymphonyStrategy(wanted.name, wanted.allocation, check_file(file), wanted.rules)
    if (named := class_of(wanted.source)) is not None:
        return PythonStrategy(wanted.name, wanted.allocation, _instance(named))
    return SymphonyStrategy(wanted.name, wanted.allocation, check_bytes(shipped_symphony(wanted.source)), wanted.rules)


def file_of(source: str) -> Path | None:
    """Return the symphony file that a source means, ``None`` for a shipped symphony or a class."""
    if source.endswith(".clj"):
        return Path(source)
    named = FOLDER / f"{source}.clj"
    return named if ":" not in source and named.is_file() else None


def class_of(source: str) -> str | None:
    """Return the ``module:Class`` that a source means, also by a shipped name, ``None`` for a symphony."""
    return source if ":" in source else SHIPPED_CLASSES.get(source)


def place_of(source: str) -> str | None:
    """Return the file of a symphony, or file and line of a loaded ``module:Class``; ``None`` for what is shipped, or cannot be read."""
    if (file := file_of(source)) is not None:
        return str(file)
    module, _, name = source.partition(":")
    try:
        made = getattr(sys.modules[module], name)
        return f"{Path(inspect.getfile(made)).name}, line {inspect.getsourcelines(made.decide)[1]}"
    except (KeyError, AttributeError, OSError, TypeError):
        return None


def version_of(source: str) -> str:
    """Return the hash of the file of a ``module:Class`` as it was when this process loaded it, empty where there was none to read."""
    return _versions.get(source.partition(":")[0], "")


def watched_file(source: str) -> Path | None:
    """Return the symphony file that a source means or would mean if it were there, ``None`` for a class."""
    if source.endswith(".clj"):
        return Path(source)
    return None if ":" in source else FOLDER / f"{source}.clj"


def load_all(wanted: Iterable[StrategySource]) -> tuple[list[LoadedStrategy], dict[str, StrategyError]]:
    """Load every strategy that can be loaded, in the order given; the others are returned by name with what is wrong with them."""
    loaded: list[LoadedStrategy] = []
    refused: dict[str, StrategyError] = {}
    for source in wanted:
        try:
            loaded.append(load_strategy(source))
        except StrategyError as error:
            refused[source.name] = error
    return loaded, refused


def _instance(source: str) -> Strategy:
    match = _CLASS.fullmatch(source)
    if match is None:
        raise StrategyError(f"{source!r} is not module:Class; the strategy is not loaded")
    # Importing and making run somebody else's code: whatever that raises refuses this strategy only.
    try:
        module = _module(match["module"])
    except (Exception, SystemExit) as error:
        raise StrategyError(f"{source}: importing {match['module']} raised {type(error).__name__}: {error}") from error
    _versions.setdefault(match["module"], _hash_of(module))
    made = getattr(module, match["name"], None)
    if not isinstance(made, type) or not issubclass(made, Strategy):
        raise StrategyError(f"{source}: {match['name']} is not a subclass of alchemiser.strategies.python.Strategy")
    try:
        strategy = made()
    except (Exception, SystemExit) as error:
        raise StrategyError(f"{source}: making a {match['name']} raised {type(error).__name__}: {error}") from error
    _check_declared(source, strategy)
    return strategy


def _module(name: str) -> ModuleType:
    """Return a module: one that is loaded, else the file of that name below the working directory, else an installed one.

    The file is loaded by its place. Where Python looks for modules is not touched, so it cannot bring others with it by accident.
    """
    file = Path.cwd().joinpath(*name.split(".")).with_suffix(".py")
    spec = None if name in sys.modules or not file.is_file() else spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        return importlib.import_module(name)
    module = module_from_spec(spec)
    sys.modules[name] = module
    with ExitStack() as unread:
        unread.callback(sys.modules.pop, name, None)
        spec.loader.exec_module(module)
        unread.pop_all()
    return module


def _hash_of(module: ModuleType) -> str:
    try:
        return hashlib.sha256(Path(module.__file__ or "").read_bytes()).hexdigest()
    except OSError:
        return ""


def _check_declared(source: str, strategy: Strategy) -> None:
    symbols: object = strategy.symbols
    if not isinstance(symbols, tuple | list) or not symbols or not all(isinstance(symbol, str) and symbol for symbol in symbols):
        raise StrategyError(f"{source}: symbols must be a tuple of symbols, found {symbols!r}")
    bars: object = strategy.bars_needed
    if isinstance(bars, bool) or not isinstance(bars, int) or bars < 1:
        raise StrategyError(f"{source}: bars_needed must be a positive integer, found {bars!r}")
