"""Changed symphony files while the daemon runs: read, checked, compared with what they replace, and swapped in before a decision.

The moment before a decision is the safe one: nothing of the last is under way, nothing of the next has begun. A file that is refused, or
that needs what this process does not have, changes nothing: its strategy goes on as it was, and the reason is told once.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from alchemiser.domain.errors import StrategyError
from alchemiser.strategies.base import LoadedStrategy
from alchemiser.strategies.sources import StrategySource, file_of, load_strategy
from alchemiser.strategies.symphony.strategy import SymphonyStrategy
from alchemiser.strategies.symphony.tree import Filter, If, Node, Symphony

CHANGES_TOLD = 5
"""How many conditions or filters that came or went are told one by one."""

Stamp = tuple[int, int, int] | None
"""When a file was written, its length and its place on the disk; ``None`` when it cannot be looked at."""


@dataclass(frozen=True, slots=True)
class Swapped:
    """A strategy was replaced; ``changes`` say in words what is different."""

    strategy: LoadedStrategy
    changes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unswapped:
    """A changed file was not taken; its strategy goes on as it was."""

    name: str
    reason: str


class Reloader:
    """Watches the files of strategies. ``symbols`` and ``bars`` are what this process has prices of, and how many of each."""

    def __init__(self, sources: Sequence[StrategySource], *, symbols: Collection[str], bars: int) -> None:
        self._sources = {source.name: source for source in sources}
        self._files = {source.name: file for source in sources if (file := file_of(source.source)) is not None}
        self._symbols = symbols
        self._bars = bars
        self._seen = {name: _stamp(file) for name, file in self._files.items()}

    def refresh(self, strategies: Sequence[LoadedStrategy]) -> list[Swapped | Unswapped]:
        """Return what became of each file that has changed since it was last looked at, in the order of the strategies."""
        news: list[Swapped | Unswapped] = []
        for strategy in strategies:
            file = self._files.get(strategy.name)
            if file is None:
                continue
            stamp = _stamp(file)
            if stamp != self._seen[strategy.name]:
                self._seen[strategy.name] = stamp
                news.append(self._reloaded(strategy, replace(self._sources[strategy.name], source=str(file))))
        return news

    def _reloaded(self, old: LoadedStrategy, source: StrategySource) -> Swapped | Unswapped:
        try:
            new = load_strategy(source)
        except StrategyError as error:
            return Unswapped(old.name, str(error))
        strange = [symbol for symbol in new.symbols if symbol not in self._symbols]
        if strange:
            return Unswapped(old.name, f"it needs {', '.join(strange)}, of which this process has no prices; restart to trade it")
        if new.bars_needed > self._bars:
            return Unswapped(old.name, f"it needs {new.bars_needed} bars, this process keeps {self._bars}; restart to trade it")
        if isinstance(old, SymphonyStrategy) and isinstance(new, SymphonyStrategy):
            return Swapped(new, difference(old.symphony, new.symphony))
        return Swapped(new, ("it could not run before",))


def difference(old: Symphony, new: Symphony) -> tuple[str, ...]:
    """Return in words what is different between two versions of a symphony; nothing when they mean the same."""
    found: list[str] = []
    if old.name != new.name:
        found.append(f'the name was "{old.name}", it is "{new.name}"')
    if old.header != new.header:
        found.append(f"it was rebalanced {old.header}, it is {new.header}")
    for what, before, after in (
        ("held", old.symbols_held, new.symbols_held),
        ("only looked at", old.symbols_watched, new.symbols_watched),
        ("conditions", _texts(old, If), _texts(new, If)),
        ("filters", _texts(old, Filter), _texts(new, Filter)),
    ):
        for verb, some in (("new", [one for one in after if one not in before]), ("gone", [one for one in before if one not in after])):
            if some:
                rest = f" and {len(some) - CHANGES_TOLD} more" if len(some) > CHANGES_TOLD else ""
                found.append(f"{what}, {verb}: {', '.join(some[:CHANGES_TOLD])}{rest}")
    if len(old.nodes) != len(new.nodes):
        found.append(f"it had {len(old.nodes)} distinct nodes, it has {len(new.nodes)}")
    if not found and _picture(old) != _picture(new):
        found.append("shares, windows or the order of its parts")
    return tuple(found)


def _texts(symphony: Symphony, kind: type[If] | type[Filter]) -> dict[str, None]:
    """Return the texts of all nodes of a kind, in order, each once."""
    return dict.fromkeys(str(node.condition if isinstance(node, If) else node) for node in symphony.nodes if isinstance(node, kind))


def _picture(symphony: Symphony) -> list[str]:
    return [_shallow(node) for node in symphony.nodes]


def _shallow(node: Node) -> str:
    # The printed form of a node leaves out its children; their places stand for them.
    inner = getattr(node, "children", None) or [getattr(node, part) for part in ("child", "then", "otherwise") if hasattr(node, part)]
    return f"{node} {[child.index for child in inner]}"


def _stamp(file: Path) -> Stamp:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
