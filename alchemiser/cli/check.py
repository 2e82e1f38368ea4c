"""``alchemiser check``: read and check symphony files without trading them."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from alchemiser.cli.options import JsonOption
from alchemiser.domain.errors import StrategyError, SymphonyError
from alchemiser.strategies.symphony.check import check_file

REFUSED = 3


class Refusal(msgspec.Struct, frozen=True):
    """Why a file is refused; line and column are null when it could not be opened."""

    line: int | None
    column: int | None
    message: str


class CheckedFile(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one file."""

    file: str
    status: str
    name: str | None = None
    symbols_held: tuple[str, ...] = ()
    symbols_watched: tuple[str, ...] = ()
    longest_window: int | None = None
    bars_needed: int | None = None
    bars_settled: int | None = None
    depth: int | None = None
    nodes: int | None = None
    rebalance: str | None = None
    warnings: tuple[str, ...] = ()
    error: Refusal | None = None


def check_command(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Symphony files (.clj).", show_default=False)],
    *,
    json: JsonOption = False,
) -> None:
    """Check symphony files: symbols, windows, history needed, warnings. Nothing is traded.

    Example: alchemiser check strategies/*.clj
    """
    checked = [check_one(path) for path in files]
    if json:
        typer.echo(msgspec.json.encode({"files": checked}))
    else:
        console = Console(highlight=False, soft_wrap=True)
        for file in checked:
            _show(console, file)
    if any(file.status == "refused" for file in checked):
        raise typer.Exit(REFUSED)


def check_one(path: Path) -> CheckedFile:
    """Return what is known of a file, or why it is refused."""
    try:
        symphony = check_file(path)
    except SymphonyError as error:
        return CheckedFile(file=str(path), status="refused", error=Refusal(error.line, error.column, error.message))
    except StrategyError as error:
        return CheckedFile(file=str(path), status="refused", error=Refusal(None, None, str(error)))
    header = symphony.header
    return CheckedFile(
        file=str(path),
        status="ok",
        name=symphony.name,
        symbols_held=symphony.symbols_held,
        symbols_watched=symphony.symbols_watched,
        longest_window=symphony.longest_window,
        bars_needed=symphony.bars_needed,
        bars_settled=symphony.bars_settled,
        depth=symphony.depth,
        nodes=len(symphony.nodes),
        rebalance=str(header.frequency) if header.threshold is None else f"threshold {header.threshold:g}",
        warnings=tuple(str(warning) for warning in symphony.warnings),
    )


def _show(console: Console, file: CheckedFile) -> None:
    if file.error is not None:
        place = f":{file.error.line}:{file.error.column}" if file.error.line is not None else ""
        console.print(f"{file.file}{place}: refused: {file.error.message}", style="red", markup=False)
        return
    console.print(f"{file.file}: ok: {file.name}", markup=False)
    console.print(f"  holds      {' '.join(file.symbols_held)}", markup=False)
    console.print(f"  looks at   {' '.join(file.symbols_watched) or 'nothing else'}", markup=False)
    console.print(f"  history    {file.bars_needed} bars, longest window {file.longest_window}, settled after {file.bars_settled}")
    console.print(f"  tree       {file.nodes} distinct nodes, {file.depth} brackets deep, rebalanced {file.rebalance}")
    for warning in file.warnings:
        console.print(f"  warning    {warning}", style="yellow", markup=False)
