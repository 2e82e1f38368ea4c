"""How far a run over many sessions or events is, for whoever waits for it at a terminal; anybody else is told nothing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

Lived = Callable[[int, int], object]
"""Told how many are over, and how many there are."""


@contextmanager
def session_bar(console: Console | None = None, *, of: str = "sessions") -> Iterator[Lived]:
    """Draw a bar on standard error, from the first one that is over until the block ends, which takes it away."""
    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield lambda over, total: None
        return
    columns = (TextColumn(of), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=None, visible=False)
        yield lambda over, total: progress.update(task, completed=over, total=total, visible=True)
