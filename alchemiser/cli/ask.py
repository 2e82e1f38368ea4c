"""``status``, ``positions``, ``orders``, ``pnl``, ``events``, ``strategies``: questions to the daemon.

When no daemon answers and the state directory has a journal, the journal answers; the document then says ``"live": false`` and as of when.
"""

import json
import sys
from typing import Annotated, Any, Final

import typer

from alchemiser.cli.daemon_client import ask, refusal_of
from alchemiser.cli.day_options import day_named
from alchemiser.cli.glance import events_text, orders_text, pnl_text, positions_text
from alchemiser.cli.options import ConfigOption, JsonOption, StateOption, bounded, load
from alchemiser.cli.tables import render
from alchemiser.domain.errors import NoDaemon
from alchemiser.service.deferred import load as load_attribute
from alchemiser.service.settings import Settings
from alchemiser.service.view import EVENTS_BY_DEFAULT, Resource, StateView, document, to_json

OFFLINE: Final = "alchemiser.service.offline:view_from_journal"

SESSION_ORDERS: Final = "alchemiser.service.offline:orders_of_session"

WATCH: Final = "alchemiser.cli.watch:watch_status"

WatchOption = Annotated[bool, typer.Option("--watch", help="Stay, and draw it anew whenever something happens.")]
SessionOption = Annotated[str | None, typer.Option("--session", metavar="YYYY-MM-DD", help="The orders of that session, from the journal.")]
LimitOption = Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many events at most.")]
AfterOption = Annotated[
    int | None, typer.Option("--after", min=0, callback=bounded, help="Only events with a higher sequence number, oldest first.")
]


def status_command(
    *, watch: WatchOption = False, state: StateOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Show what the daemon is doing: account, trading state, session, streams, the last rebalance.

    With --watch it is drawn anew whenever something happens, until Ctrl-C; with --json as well, a line is written for each change.

    Example: alchemiser status --watch
    """
    settings = load(config, state=state).settings
    if watch:
        load_attribute(WATCH)(settings, as_json=as_json)
    else:
        _answer("status", settings, as_json=as_json)


def positions_command(*, state: StateOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show what the account holds, and for which strategy.

    Example: alchemiser positions --state state
    """
    _answer("positions", load(config, state=state).settings, as_json=as_json)


def orders_command(
    *, session: SessionOption = None, state: StateOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Show the orders of the present or last session, or those of an earlier one as the journal has them.

    Example: alchemiser orders --session 2025-03-03
    """
    if session is not None:
        _show_session(session, load(config, state=state).settings, as_json=as_json)
        return
    _answer("orders", load(config, state=state).settings, as_json=as_json)


def pnl_command(*, state: StateOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show equity, cash and profit, for the account and per strategy.

    Example: alchemiser pnl --json
    """
    _answer("pnl", load(config, state=state).settings, as_json=as_json)


def events_command(
    *,
    state: StateOption = None,
    config: ConfigOption = None,
    after: AfterOption = None,
    limit: LimitOption = EVENTS_BY_DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Show the last events of the journal, or those after a sequence number.

    Example: alchemiser events --limit 20
    """
    _answer("events", load(config, state=state).settings, as_json=as_json, after=-1 if after is None else after, limit=limit)


def strategies_command(*, state: StateOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show the strategies: share, state, and the last target with its explanation.

    Example: alchemiser strategies --json
    """
    _answer("strategies", load(config, state=state).settings, as_json=as_json)


def answer(resource: Resource, settings: Settings, *, after: int = -1, limit: int = EVENTS_BY_DEFAULT) -> dict[str, Any]:
    """Return the document: the daemon's, or the journal's when no daemon answers. Raises ``NoDaemon`` when there is neither."""
    query = f"?limit={limit}" + (f"&after={after}" if after >= 0 else "") if resource == "events" else ""
    try:
        found = ask(settings, f"/api/v1/{resource}{query}")
    except NoDaemon as nobody:
        return _from_journal(resource, settings, nobody, after, limit)
    if found.status != 200:
        raise refusal_of(found, f"the question for {resource}")
    return found.document


def _from_journal(resource: Resource, settings: Settings, nobody: NoDaemon, after: int, limit: int) -> dict[str, Any]:
    try:
        view: StateView = load_attribute(OFFLINE)(settings.service.state)
    except NoDaemon as nothing:
        raise NoDaemon(f"{nobody}; {nothing}") from nobody
    # Through JSON and back, so that both roads print the same.
    plain: dict[str, Any] = json.loads(to_json(document(view, resource, live=False, after=after, limit=limit)))
    return plain


def _show_session(text: str, settings: Settings, *, as_json: bool) -> None:
    session = day_named("--session", text)
    found = json.loads(to_json({"session": session, "orders": load_attribute(SESSION_ORDERS)(settings.service.state, session)}))
    if as_json:
        sys.stdout.buffer.write(to_json(found) + b"\n")
    else:
        sys.stdout.write(f"session {session}: {orders_text(found['orders'], is_plain=_is_plain())}")


def _is_plain() -> bool:
    """Whether the terminal knows ASCII alone."""
    return (sys.stdout.encoding or "ascii").lower().replace("-", "") != "utf8"


def _answer(resource: Resource, settings: Settings, *, as_json: bool, after: int = -1, limit: int = EVENTS_BY_DEFAULT) -> None:
    found = answer(resource, settings, after=after, limit=limit)
    if as_json:
        sys.stdout.buffer.write(to_json(found) + b"\n")
        return
    if not found.get("live"):
        sys.stdout.write(f"No daemon is running. This is the journal's last word, as of {found.get('as_of')}.\n\n")
    match resource:
        case "pnl":
            history = answer("history", settings)["history"]
            sys.stdout.write(pnl_text(found, history, is_plain=_is_plain()))
        case "positions":
            sys.stdout.write(positions_text(found["positions"], is_plain=_is_plain()))
        case "orders":
            sys.stdout.write(orders_text(found["orders"], is_plain=_is_plain()))
        case "events":
            sys.stdout.write(events_text(found["events"]))
        case _:
            sys.stdout.write(render({key: value for key, value in found.items() if key not in ("live", "as_of")}))
