"""``alchemiser check``: read and check symphony files without trading them."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from alchemiser.cli.options import ConfigOption, JsonOption, load
from alchemiser.domain.account import Asset
from alchemiser.domain.errors import ConfigError, StrategyError, SymphonyError, VenueError
from alchemiser.service.clock import WallClock
from alchemiser.service.deferred import load as load_attribute
from alchemiser.service.roster import broker_remarks
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


@dataclass(frozen=True)
class BrokerAnswer:
    """What the broker knows of the symbols, ``None`` when it was not asked or did not answer; ``answer`` says which."""

    answer: str
    assets: Mapping[str, Asset] | None = None

    def remarked(self, file: CheckedFile) -> CheckedFile:
        """Return what is known of a file with what the broker says of its symbols."""
        if self.assets is None or file.status != "ok":
            return file
        remarks = broker_remarks((*file.symbols_held, *file.symbols_watched), file.symbols_held, self.assets)
        return msgspec.structs.replace(file, warnings=(*file.warnings, *remarks))


NOT_ASKED = BrokerAnswer("not asked")


def check_command(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Symphony files (.clj).", show_default=False)],
    *,
    offline: Annotated[bool, typer.Option("--offline", help="Do not ask the broker of the settings which symbols it trades.")] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Check symphony files: symbols, windows, history needed, warnings. Nothing is traded.

    With the credentials of a broker in the settings it is asked which of the symbols it knows and trades.

    Example: alchemiser check strategies/*.clj
    """
    checked = [check_one(path) for path in files]
    broker = NOT_ASKED if offline else ask_broker(checked, config)
    checked = [broker.remarked(file) for file in checked]
    if json:
        typer.echo(msgspec.json.encode({"files": checked, "broker": broker.answer}))
    else:
        console = Console(highlight=False, soft_wrap=True)
        for file in checked:
            _show(console, file)
        if broker.assets is None and broker is not NOT_ASKED:
            console.print(f"the broker was not asked about the symbols: {broker.answer}", style="yellow", markup=False)
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


def ask_broker(checked: Sequence[CheckedFile], config: Path | None) -> BrokerAnswer:
    """Ask the broker that the settings name, if they name one, about all symbols at once.

    A file is right or wrong whether or not a broker answers, so what goes wrong with it is only said.
    """
    symbols = sorted({symbol for file in checked for symbol in (*file.symbols_held, *file.symbols_watched)})
    try:
        settings = load(config).settings
        if not symbols or settings.alpaca.mode == "embedded":
            return NOT_ASKED
        ask = load_attribute("alchemiser.service.broker:assets_of")
        return BrokerAnswer("asked", asyncio.run(ask(settings, WallClock(), symbols)))
    except (ConfigError, VenueError) as error:
        return BrokerAnswer(str(error))


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
