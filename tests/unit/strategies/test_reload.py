"""Changed files: read once with the difference in words, or left alone with the reason."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from alchemiser.strategies.base import LoadedStrategy
from alchemiser.strategies.reload import Changed, Reloader, Unusable, difference, strangers
from alchemiser.strategies.sources import StrategySource, load_strategy
from alchemiser.strategies.symphony.check import check_text

OLD = '(defsymphony "It" {:rebalance-frequency :daily} (if (> (rsi "SPY" 10) 79) [(asset "A")] [(asset "B")]))'


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], StrategySource]:
    """Return what writes the file of the strategy ``it``, each time later than before, and returns where it comes from."""
    path, times = tmp_path / "it.clj", iter(range(1, 100))

    def written(text: str) -> StrategySource:
        path.write_text(text)
        moment = next(times)
        os.utime(path, (moment, moment))
        return StrategySource("it", str(path), 0.5)

    return written


def watching(source: StrategySource) -> tuple[Reloader, LoadedStrategy]:
    return Reloader([source, StrategySource("tecl", "tecl", 0.5)]), load_strategy(source)


def test_a_changed_file_is_read_once(write: Callable[[str], StrategySource]) -> None:
    """The new version comes with what is different; a file that did not change, and a shipped strategy, are left alone."""
    source = write(OLD)
    reloader, old = watching(source)
    tecl = load_strategy(StrategySource("tecl", "tecl", 0.5))

    assert reloader.refresh([old, tecl]) == []
    write(OLD.replace('(asset "B")', '(asset "C")').replace("79", "80"))
    (news,) = reloader.refresh([old, tecl])
    assert isinstance(news, Changed)
    assert (news.strategy.name, news.strategy.allocation, news.strategy.symbols) == ("it", 0.5, ("A", "C", "SPY"))
    assert news.changes == (
        "held, new: C",
        "held, gone: B",
        "conditions, new: rsi(SPY, 10) > 80",
        "conditions, gone: rsi(SPY, 10) > 79",
    )
    assert reloader.refresh([news.strategy, tecl]) == []


def test_a_file_that_is_refused_is_told_once_and_repaired_by_the_next_write(write: Callable[[str], StrategySource]) -> None:
    """The reason names the file and the place in it."""
    source = write(OLD)
    reloader, old = watching(source)
    write("(defsymphony")
    (news,) = reloader.refresh([old])

    assert isinstance(news, Unusable)
    assert news.reason.startswith(f"{source.source}: line 1, column 1")
    assert reloader.refresh([old]) == []
    write(OLD + "\n")
    (news,) = reloader.refresh([old])
    assert isinstance(news, Changed)
    assert news.changes == ("nothing that would change a decision",)


def test_whether_something_changed_is_told_once_and_whether_it_was_read_until_it_is(write: Callable[[str], StrategySource]) -> None:
    """The first wakes whoever reads; the second tells him that there is something to read."""
    reloader, old = watching(write(OLD))
    assert not reloader.has_changed()
    write(OLD + " ")

    assert [reloader.has_changed(), reloader.has_changed()] == [True, False]
    assert reloader.is_behind()
    reloader.refresh([old])
    assert not reloader.is_behind()


def test_a_file_that_went_away(write: Callable[[str], StrategySource]) -> None:
    """Its strategy goes on as it was."""
    source = write(OLD)
    reloader, old = watching(source)
    Path(source.source).unlink()
    (news,) = reloader.refresh([old])

    assert isinstance(news, Unusable)
    assert news == Unusable("it", f"{source.source} is gone")


def test_files_that_come_into_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that the settings name is read, also in the place of a shipped strategy; one without a share is told about, once."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "strategies").mkdir()
    sources = [StrategySource("tecl", "tecl", 0.5), StrategySource("momentum", "tests.unit.strategies.python_examples:Momentum", 0.5)]
    reloader, loaded = Reloader(sources), [load_strategy(source) for source in sources]
    for name in ("tecl.clj", "mine.clj", ".#mine.clj", "notes.txt"):
        (tmp_path / "strategies" / name).write_text(OLD)

    stranger, changed = reloader.refresh(loaded)
    assert isinstance(changed, Changed)
    assert changed.strategy.symbols == ("A", "B", "SPY")
    assert isinstance(stranger, Unusable)
    assert stranger.name == "mine"
    assert "strategies/mine.clj has no share of the account" in stranger.reason
    assert strangers(sources) == [Path("strategies/mine.clj")]
    (tmp_path / "strategies" / "mine.clj").unlink()
    assert reloader.refresh(loaded) == []


@pytest.mark.parametrize(
    ("new", "words"),
    [
        (OLD, ()),
        (OLD.replace('"It"', '"That"'), ('the name was "It", it is "That"',)),
        (OLD.replace(":rebalance-frequency :daily", ":rebalance-threshold 0.1"), ("it was rebalanced daily, it is threshold 0.1",)),
        (OLD.replace('[(asset "A")] [(asset "B")]', '[(asset "B")] [(asset "A")]'), ("shares, windows or the order of its parts",)),
        (
            OLD.replace('(asset "A")', '(filter (rsi 5) (select-top 1) [(asset "A") (asset "B")])'),
            ("filters, new: top 1 by rsi(5)", "it had 3 distinct nodes, it has 4"),
        ),
    ],
)
def test_differences_in_words(new: str, words: tuple[str, ...]) -> None:
    """What came, what went, and nothing when both mean the same."""
    assert words == difference(check_text(OLD), check_text(new))


def test_long_differences_are_cut() -> None:
    """The first few are told one by one."""
    many = " ".join(f'(asset "A{number}")' for number in range(9))

    assert difference(check_text('(defsymphony "It" {} (asset "A0"))'), check_text(f'(defsymphony "It" {{}} (weight-equal [{many}]))')) == (
        "held, new: A1, A2, A3, A4, A5 and 3 more",
        "it had 1 distinct nodes, it has 10",
    )
