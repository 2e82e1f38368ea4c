"""The bar of a long run: on a terminal alone, and gone when the run is over."""

import io

import pytest
from rich.console import Console

from alchemiser.cli.session_bar import session_bar


@pytest.mark.parametrize("is_terminal", [True, False])
def test_only_a_terminal_is_told(*, is_terminal: bool) -> None:
    """A file or a pipe gets not a character of it."""
    paper = io.StringIO()
    with session_bar(Console(file=paper, force_terminal=is_terminal, width=80)) as lived:
        lived(3, 7)

    assert ("3/7" in paper.getvalue()) == is_terminal
    assert bool(paper.getvalue()) == is_terminal
