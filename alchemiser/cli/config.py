"""``alchemiser config``: every setting, its value and where it came from; and the reference page."""

import sys
from typing import Annotated

import typer

from alchemiser.cli.options import ConfigOption, JsonOption, StateOption, load
from alchemiser.cli.reference import Page, page
from alchemiser.cli.tables import table
from alchemiser.service.settings_load import describe
from alchemiser.service.view import to_json

PageArgument = Annotated[Page, typer.Argument(metavar="[PAGE]", help="settings, commands, events, metrics or codes.")]


def config_show(*, state: StateOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show every setting, its value and where it came from. Secrets are masked.

    Example: alchemiser config show --json
    """
    loaded = load(config, state=state)
    rows = list(describe(loaded))
    if as_json:
        settings = {key: {"value": value, "from": place} for key, value, place in rows}
        sys.stdout.buffer.write(to_json({"file": str(loaded.file) if loaded.file else None, "settings": settings}) + b"\n")
        return
    sys.stdout.write(table([{"setting": key, "value": value, "from": place} for key, value, place in rows]))


def config_reference(name: PageArgument = Page.settings) -> None:
    """Print a page of the reference, as Markdown: what every setting means, its type and its default, or another page by its name.

    Example: alchemiser config reference > settings.md
    """
    sys.stdout.write(page(name))
