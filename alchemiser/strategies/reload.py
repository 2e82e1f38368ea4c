"""Changed symphony files while the daemon runs: found, read, checked and compared with what they would replace.

What is found here is not taken yet: whether its prices can be had, and when it may be swapped in, is :mod:`alchemiser.strategies.renewal`.
A file that is refused changes nothing: its strategy goes on as it was, and the reason is told once.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from alchemiser.domain.errors import StrategyError
from alchemiser.strategies.base import LoadedStrategy
from alchemiser.strategies.sources import FOLDER, StrategySource, load_strategy, watched_file
from alchemiser.strategies.symphony.strategy import SymphonyStrategy
from alchemiser.strategies.symphony.tree import Filter, If, Node, Symphony

CHANGES_TOLD = 5
"""How many conditions or filters that came or went are told one by one."""

Stamp = tuple[int, int, int] | None
"""When a file was written, its length and its place on the disk; ``None`` when it cannot be looked at."""


class Changed(Struct, frozen=True):
    """The new version of a strategy; ``changes`` say in words what is different."""

    strategy: LoadedStrategy
    file: Path
    changes: tuple[str, ...]


class Unusable(Struct, frozen=True):
    """A changed file that cannot be taken; its strategy, if it has one, goes on as it was."""

    name: str
    reason: str


class Reloader:
    """Watches the files of strategies and the folder they may be dropped into.

    It is made before the strategies are loaded, so that no edit falls between the two.
    """

    def __init__(self, sources: Sequence[StrategySource]) -> None:
        self._sources = {source.name: source for source in sources}
        self._files = _files_of(sources)
        self._seen = self._stamps()
        self._noticed = self._seen

    def has_changed(self) -> bool:
        """Return whether a file was written, came or went since this was last asked: a few looks at the disk, no reading."""
        before, self._noticed = self._noticed, self._stamps()
        return before != self._noticed

    def is_behind(self) -> bool:
        """Return whether there is something that :meth:`refresh` has not looked at."""
        return self._seen != self._stamps()

    @property
    def sources(self) -> tuple[StrategySource, ...]:
        """Where the strategies come from, in their order."""
        return tuple(self._sources.values())

    def follow(self, sources: Sequence[StrategySource], seen: Mapping[Path, Stamp]) -> None:
        """Watch the files of these strategies from now on. ``seen`` is how the files were before the new ones were loaded from them."""
        before = self._seen
        self._sources = {source.name: source for source in sources}
        self._files = _files_of(sources)
        # What was watched before is as it was looked at last: an edit since then is still to be found.
        self._seen = {file: before.get(file, seen.get(file)) for file in self._stamps()}

    def refresh(self, strategies: Iterable[LoadedStrategy]) -> list[Changed | Unusable]:
        """Read each file that has changed since the last call and return what became of it, in the order of the files."""
        running = {strategy.name: strategy for strategy in strategies}
        # Those of this moment: it runs aside, and new settings may be followed meanwhile.
        files, sources, seen = self._files, self._sources, self._stamps()
        before, self._seen = self._seen, seen
        news: list[Changed | Unusable] = []
        for file in sorted(before.keys() | seen.keys()):
            if before.get(file) == seen.get(file):
                continue
            names = [name for name in files if files[name] == file]
            news += [_reread(running[name], sources[name], file, is_there=seen[file] is not None) for name in names if name in running]
            if not names and file in seen:
                news.append(Unusable(file.stem, f"{file} has no share of the account; give it one in the settings and reload them"))
        return news

    def _stamps(self) -> dict[Path, Stamp]:
        stamps = stamps_of(self._files.values())
        known = {_absolute(file) for file in stamps}
        stamps.update({file: _stamp(file) for file in _dropped() if _absolute(file) not in known})
        return stamps


def _reread(old: LoadedStrategy, source: StrategySource, file: Path, *, is_there: bool) -> Changed | Unusable:
    if not is_there:
        return Unusable(old.name, f"{file} is gone")
    try:
        new = load_strategy(replace(source, source=str(file)))
    except StrategyError as error:
        return Unusable(old.name, str(error))
    if isinstance(old, SymphonyStrategy) and isinstance(new, SymphonyStrategy):
        return Changed(new, file, difference(old.symphony, new.symphony) or ("nothing that would change a decision",))
    return Changed(new, file, ("it could not run before",))


def stamps_of(files: Iterable[Path]) -> dict[Path, Stamp]:
    """Return how these files are on the disk now."""
    return {file: _stamp(file) for file in files}


def stamps_of_sources(sources: Sequence[StrategySource]) -> dict[Path, Stamp]:
    """Return how the files of these strategies are on the disk now; what is loaded afterwards is at least as new."""
    return stamps_of(_files_of(sources).values())


def strangers(sources: Sequence[StrategySource]) -> list[Path]:
    """Return the symphony files in the folder that none of the sources names."""
    named = {_absolute(file) for source in sources if (file := watched_file(source.source)) is not None}
    return [file for file in _dropped() if _absolute(file) not in named]


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


def _dropped() -> list[Path]:
    # An editor's own copy, such as .#mine.clj, is not a strategy.
    try:
        return sorted(file for file in FOLDER.iterdir() if file.suffix == ".clj" and not file.name.startswith("."))
    except OSError:
        return []


def _files_of(sources: Iterable[StrategySource]) -> dict[str, Path]:
    return {source.name: file for source in sources if (file := watched_file(source.source)) is not None}


def _absolute(file: Path) -> str:
    return os.path.abspath(file)
