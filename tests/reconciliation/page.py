"""The tables of the page on gaps, gate and reconciliation, made from what the tests run."""

from collections.abc import Callable, Iterator
from pathlib import Path

from alchemiser.domain.reconciliation import MEANINGS
from tests.reconciliation.catalogue import CASES
from tests.reconciliation.language import own_words, venue_words

PAGE = Path(__file__).parents[2] / "docs" / "reconciliation.md"


def codes() -> Iterator[str]:
    """Yield the table of the differences."""
    yield "| Difference | Means | What is done |"
    yield "|---|---|---|"
    for code, meaning in MEANINGS.items():
        yield f"| `{code.value}` | {meaning.text} | {meaning.remedy.value.replace('_', ' ')} |"


def catalogue() -> Iterator[str]:
    """Yield the table of the cases."""
    yield "| Case | Ours | The venue's | Found at once | In the end | Parked |"
    yield "|---|---|---|---|---|---|"
    for case in CASES:
        ours, theirs = "; ".join(own_words(case)) or "nothing", "; ".join(venue_words(case)) or "nothing"
        finds = ", ".join(case.finds) or "agree"
        ends = "the same" if case.ends is None else ", ".join(case.ends) or "agree"
        yield f"| {case.name} | {ours} | {theirs} | {finds} | {ends} | {', '.join(case.parked) or '-'} |"


TABLES: dict[str, Callable[[], Iterator[str]]] = {"codes": codes, "catalogue": catalogue}


def filled(text: str) -> str:
    """Return the page with its tables as they should be, each between ``<!-- NAME -->`` and ``<!-- end -->``."""
    for name, rows in TABLES.items():
        head, mark, rest = text.partition(f"<!-- {name} -->\n")
        assert mark, f"{PAGE.name} has no table {name}"
        _, end, tail = rest.partition("<!-- end -->\n")
        text = "".join((head, mark, "\n", *(f"{row}\n" for row in rows()), "\n", end, tail))
    return text
