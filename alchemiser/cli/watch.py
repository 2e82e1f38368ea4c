"""``status --watch``: the account, the rebalance and its orders on a terminal, as they move, until Ctrl-C.

While the daemon cannot be reached no figure is shown at all, only since when and why: what is on the screen is live or it is not there.
"""

import asyncio
import sys
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from typing import Any, Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.text import Text

from alchemiser.cli.daemon_watch import Look, watch
from alchemiser.cli.glance import orders_text, pnl_text, positions_text
from alchemiser.service.clock import WallClock
from alchemiser.service.settings import Settings
from alchemiser.service.view import to_json

PATHS: Final = {
    "health": "/healthz",
    "status": "/api/v1/status",
    "pnl": "/api/v1/pnl",
    "history": "/api/v1/history",
    "positions": "/api/v1/positions",
    "orders": "/api/v1/orders",
}

QUIET_SECONDS: Final = 5.0
"""How old the picture may become without an event."""

ORDERS_SHOWN: Final = 15


def watch_status(settings: Settings, *, as_json: bool) -> None:
    """Show what the daemon is doing until Ctrl-C: drawn on a terminal, a line of JSON for each change with ``as_json``.

    Where standard output is not a terminal each picture is written below the one before it.
    """
    console = Console(file=sys.stdout, highlight=False)
    with ExitStack() as stack, suppress(KeyboardInterrupt):
        shown: Lines | Screen
        if as_json:
            shown = Lines()
        elif console.is_terminal:
            shown = Screen(console, stack.enter_context(Live(console=console, screen=True, auto_refresh=False)))
        else:
            shown = Pictures(console)
        asyncio.run(watch(settings, WallClock(), list(PATHS.values()), shown.show, quiet_seconds=QUIET_SECONDS))


class Lines:
    """A document per change, each on a line of its own. The time of a look is no change."""

    def __init__(self) -> None:
        self._last: dict[str, Any] = {}

    def show(self, look: Look) -> bool:
        """Write the look if it differs from the last one; it is never enough."""
        found = document(look)
        if timeless(found) != self._last:
            self._last = timeless(found)
            self.write(look, found)
        return False

    def write(self, look: Look, found: Mapping[str, Any]) -> None:
        """Write one change."""
        sys.stdout.buffer.write(to_json(found) + b"\n")
        sys.stdout.buffer.flush()


class Pictures(Lines):
    """Pictures one below the other, where standard output is a file or a pipe."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def write(self, look: Look, found: Mapping[str, Any]) -> None:
        """Write one change."""
        self._console.print(drawn(look, is_plain=_is_plain(self._console)))


class Screen:
    """The whole terminal, drawn anew with each look."""

    def __init__(self, console: Console, live: Live) -> None:
        self._console = console
        self._live = live

    def show(self, look: Look) -> bool:
        """Draw the look; it is never enough."""
        self._live.update(drawn(look, is_plain=_is_plain(self._console)), refresh=True)
        return False


def document(look: Look) -> dict[str, Any]:
    """Return a look as one document: ``live``, and either the answers or why there are none."""
    if not look.is_live:
        return {"live": False, "since": look.since, "problem": look.problem}
    answers = {name: look.documents[path] for name, path in PATHS.items()}
    return {"live": True, "as_of": answers["status"]["as_of"], **{name: _plain(name, answer) for name, answer in answers.items()}}


def timeless(found: Any) -> Any:
    """Return a document without the times at which it was made."""
    return {key: value for key, value in found.items() if key != "as_of"}


def drawn(look: Look, *, is_plain: bool = False) -> RenderableType:
    """Return a look as a picture for a terminal."""
    if not look.is_live:
        since = f"{look.since:%Y-%m-%d %H:%M:%S} UTC" if look.since else "the beginning"
        return Panel(
            Text(f"not connected since {since}\n{look.problem}\nIt is looked for until it is back; Ctrl-C ends."), style="bold red"
        )
    found = document(look)
    status, health = found["status"], found["health"]
    is_well = health["live"] and health["ready"]
    parts: list[RenderableType] = [
        Text(
            f"{status['mode'] or '-'} account {status['account_number'] or '-'}   trading {status['trading']['state']}   "
            f"session {_session(status['session'])}   as of {found['as_of'][:19].replace('T', ' ')} UTC",
            style="bold",
        ),
        Text(f"{'live' if health['live'] else 'NOT LIVE'}, {'ready' if health['ready'] else 'NOT READY'}", "green" if is_well else "red"),
        *(
            Text(f"  {reason['code']}: {reason['text']} (since {reason['since']})\n    {reason['remedy']}", "red")
            for reason in health["reasons"]
        ),
        Panel(_text(pnl_text(found["pnl"], found["history"], is_plain=is_plain)), title="profit", title_align="left"),
        Panel(_text(positions_text(found["positions"], is_plain=is_plain)), title="positions", title_align="left"),
    ]
    orders = found["orders"]
    title = f"the last {ORDERS_SHOWN} of {len(orders)} orders" if len(orders) > ORDERS_SHOWN else "orders"
    title += f": {_rebalance(status['rebalance'])}"
    shown = orders_text(orders[-ORDERS_SHOWN:], is_plain=is_plain)
    parts.append(Panel(_text(shown), title=Text(title), title_align="left"))
    return Group(*parts)


def _plain(name: str, answer: Mapping[str, Any]) -> Any:
    """Return the rows of an answer that is only rows, else the answer without what the frame says already."""
    return (
        answer[name]
        if name in answer
        else {key: value for key, value in answer.items() if key not in ("live", "as_of")}
        | ({"live": answer["live"]} if name == "health" else {})
    )


def _is_plain(console: Console) -> bool:
    return not (console.encoding or "ascii").lower().startswith("utf")


def _text(block: str) -> Text:
    return Text(block.rstrip("\n"), no_wrap=True, overflow="ellipsis")


def _session(session: Mapping[str, Any]) -> str:
    return f"{session['date'] or '-'} {'open' if session['is_open'] else 'closed'}"


def _rebalance(rebalance: Mapping[str, Any] | None) -> str:
    return f"rebalance {rebalance['id']} is {rebalance['state']}" if rebalance else "no rebalance yet"
