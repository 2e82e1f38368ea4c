"""Loading strategies from every kind of source, each failure on its own."""

from pathlib import Path

import pytest

from alchemiser.domain.errors import StrategyError, SymphonyError
from alchemiser.strategies.python import PythonStrategy
from alchemiser.strategies.reload import Changed, Reloader
from alchemiser.strategies.sources import StrategySource, load_all, load_strategy
from alchemiser.strategies.symphony.strategy import SymphonyStrategy

EXAMPLES = "tests.unit.strategies.python_examples"


def wanted(source: str) -> StrategySource:
    return StrategySource("it", source, 0.25)


def test_three_kinds_of_sources(tmp_path: Path) -> None:
    """A shipped name, a file and a class are loaded with the name and share they were given."""
    file = tmp_path / "mine.clj"
    file.write_text('(defsymphony "Mine" {} (asset "SPY"))')
    shipped, read, made = (load_strategy(wanted(source)) for source in ("tecl", str(file), f"{EXAMPLES}:Momentum"))

    assert isinstance(shipped, SymphonyStrategy)
    assert isinstance(read, SymphonyStrategy)
    assert isinstance(made, PythonStrategy)
    assert {("it", 0.25)} == {(loaded.name, loaded.allocation) for loaded in (shipped, read, made)}
    assert read.symphony.name == "Mine"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("nothing", "there is no strategy named 'nothing'"),
        ("missing.clj", "missing.clj: cannot be read"),
        ("no.such.module:Thing", "importing no.such.module raised ModuleNotFoundError"),
        ("a-b:Thing", "is not module:Class"),
        (f"{EXAMPLES}:Nothing", "Nothing is not a subclass"),
        (f"{EXAMPLES}:NOT_A_STRATEGY", "is not a subclass"),
        (f"{EXAMPLES}:Demanding", "making a Demanding raised TypeError"),
        (f"{EXAMPLES}:Strategy", "making a Strategy raised TypeError"),
        (f"{EXAMPLES}:Unsymboled", "symbols must be a tuple"),
        (f"{EXAMPLES}:Unbarred", "bars_needed must be a positive integer, found 0"),
    ],
)
def test_what_cannot_be_loaded_says_why(source: str, words: str) -> None:
    """Every refusal is a strategy error that names the source and the fault."""
    with pytest.raises(StrategyError, match=words):
        load_strategy(wanted(source))


def test_a_class_beside_the_settings_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module in the working directory can be named, and one that raises while it is imported refuses only itself."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", ["/nowhere"])
    (tmp_path / "leaves.py").write_text("raise SystemExit(0)")
    with pytest.raises(StrategyError, match="importing leaves raised SystemExit: 0"):
        load_strategy(wanted("leaves:Thing"))
    (tmp_path / "beside.py").write_text("raise RuntimeError('half written')")

    with pytest.raises(StrategyError, match="importing beside raised RuntimeError: half written"):
        load_strategy(wanted("beside:Thing"))


def test_one_bad_strategy_stops_only_itself(tmp_path: Path) -> None:
    """The good ones are loaded in their order, the bad ones are returned by name with their reasons."""
    bad = tmp_path / "bad.clj"
    bad.write_text("(defsymphony")
    loaded, refused = load_all(
        [StrategySource("a", "tecl", 0.5), StrategySource("b", str(bad), 0.25), StrategySource("c", "nuclear", 0.25)]
    )

    assert ["a", "c"] == [strategy.name for strategy in loaded]
    assert list(refused) == ["b"]
    assert isinstance(refused["b"], SymphonyError)
    assert str(refused["b"]).startswith(f"{bad}: line 1, column 1: ")


def test_a_file_in_the_folder_goes_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``strategies/mine.clj`` is the strategy ``mine``, and one's own ``tecl`` goes before the shipped one; a change of it is seen."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "strategies").mkdir()
    for name in ("mine", "tecl"):
        (tmp_path / "strategies" / f"{name}.clj").write_text('(defsymphony "Mine" {} (asset "BIL"))')
    sources = [StrategySource(name, name, 0.5) for name in ("mine", "tecl")]
    reloader, loaded = Reloader(sources), [load_strategy(source) for source in sources]

    assert [strategy.symbols for strategy in loaded] == [("BIL",), ("BIL",)]
    (tmp_path / "strategies" / "mine.clj").write_text('(defsymphony "Mine" {} (asset "SPY"))')
    (news,) = reloader.refresh(loaded)
    assert isinstance(news, Changed)
    assert (news.strategy.name, news.strategy.symbols) == ("mine", ("SPY",))
