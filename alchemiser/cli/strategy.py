"""``alchemiser strategy graph``: a symphony as a picture, with the path of a day."""

from datetime import date
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from alchemiser.cli.day_options import read_day
from alchemiser.cli.options import JsonOption
from alchemiser.cli.price_files import read_panel
from alchemiser.domain.errors import DataError, StrategyError
from alchemiser.strategies.outcome import NotComputable
from alchemiser.strategies.sources import StrategySource, load_strategy
from alchemiser.strategies.symphony.explain import Branch
from alchemiser.strategies.symphony.graph import draw
from alchemiser.strategies.symphony.strategy import HistoryDecider, SymphonyStrategy


class Drawn(msgspec.Struct, frozen=True, kw_only=True):
    """What was drawn: the picture, the session whose path it highlights, and why there is no path."""

    file: str
    name: str
    session: date | None
    reason: str | None
    svg: str | None
    written: str | None


def strategy_graph(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A symphony file (.clj), or a shipped name.", show_default=False)],
    *,
    bars: Annotated[Path | None, typer.Option(metavar="DIR", help="Bars, to highlight the path of a day.")] = None,
    as_of: Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="The day. Default: the last one with a bar.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE.svg", help="Default: standard output.")] = None,
    json: JsonOption = False,
) -> None:
    """Draw the tree of a symphony as SVG; with bars, the path of a day is highlighted and shows its numbers.

    Example: alchemiser strategy graph tecl --bars data/daily --output tecl.svg
    """
    strategy = load_strategy(StrategySource("it", file, 1.0))
    if not isinstance(strategy, SymphonyStrategy):
        raise StrategyError(f"{file}: only symphonies have a tree that can be drawn")
    session, path, reason = _path(strategy, bars, read_day("--as-of", as_of))
    title = strategy.symphony.name + (f", on the closes of {session}" if session else "") + (f": {reason}" if reason else "")
    picture = draw(strategy.symphony, path, title=title)
    if output is not None:
        try:
            output.write_text(picture, encoding="utf-8")
        except OSError as error:
            raise DataError(f"{output}: cannot be written ({error.strerror}); the picture is lost") from error
    if json:
        written = str(output) if output is not None else None
        svg = None if written else picture
        drawn = Drawn(file=file, name=strategy.symphony.name, session=session, reason=reason, svg=svg, written=written)
        typer.echo(msgspec.json.encode(drawn))
    elif output is None:
        typer.echo(picture, nl=False)


def _path(strategy: SymphonyStrategy, bars: Path | None, as_of: date | None) -> tuple[date | None, Branch | None, str | None]:
    """Return the session that is decided, the path of its decision, and why there is none."""
    if bars is None:
        return None, None, None
    panel = read_panel(bars, [strategy], as_of=as_of or date.max)
    decision = HistoryDecider(strategy.symphony, panel, strategy.rules).decision(panel.last)
    session = panel.session(panel.last)
    return (session, None, str(decision)) if isinstance(decision, NotComputable) else (session, decision.tree, None)
