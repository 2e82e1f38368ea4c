"""Changed files: swapped in before a decision with the difference told, or left alone with the reason."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from alchemiser.strategies.base import LoadedStrategy
from alchemiser.strategies.reload import Reloader, Swapped, Unswapped, difference
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
    reloader = Reloader([source, StrategySource("tecl", "tecl", 0.5)], symbols={"A", "B", "C", "SPY"}, bars=100)
    return reloader, load_strategy(source)


def test_a_changed_file_is_swapped_in_once(write: Callable[[str], StrategySource]) -> None:
    """The new version comes with what is different; a file that did not change, and a shipped strategy, are left alone."""
    source = write(OLD)
    reloader, old = watching(source)
    tecl = load_strategy(StrategySource("tecl", "tecl", 0.5))

    assert reloader.refresh([old, tecl]) == []
    write(OLD.replace('(asset "B")', '(asset "C")').replace("79", "80"))
    (news,) = reloader.refresh([old, tecl])
    assert isinstance(news, Swapped)
    assert (news.strategy.name, news.strategy.allocation, news.strategy.symbols) == ("it", 0.5, ("A", "C", "SPY"))
    assert news.changes == (
        "held, new: C",
        "held, gone: B",
        "conditions, new: rsi(SPY, 10) > 80",
        "conditions, gone: rsi(SPY, 10) > 79",
    )
    assert reloader.refresh([news.strategy, tecl]) == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("(defsymphony", "never closed"),
        (OLD.replace('"B"', '"NEW"'), "it needs NEW, of which this process has no prices; restart to trade it"),
        (OLD.replace("10", "300"), "it needs 301 bars, this process keeps 100"),
    ],
)
def test_what_cannot_be_taken_changes_nothing(write: Callable[[str], StrategySource], text: str, reason: str) -> None:
    """A half-written file, a symbol without prices and a window that is too long are told once, and repaired by the next write."""
    reloader, old = watching(write(OLD))
    write(text)
    (news,) = reloader.refresh([old])

    assert isinstance(news, Unswapped)
    assert reason in news.reason
    assert reloader.refresh([old]) == []
    write(OLD + "\n")
    assert isinstance(reloader.refresh([old])[0], Swapped)


def test_a_file_that_went_away(write: Callable[[str], StrategySource]) -> None:
    """Its strategy goes on as it was."""
    source = write(OLD)
    reloader, old = watching(source)
    Path(source.source).unlink()
    (news,) = reloader.refresh([old])

    assert isinstance(news, Unswapped)
    assert "cannot be read" in news.reason


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
