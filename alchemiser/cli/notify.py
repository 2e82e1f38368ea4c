"""``alchemiser notify``: a test message to everybody whom the daemon would tell."""

import asyncio
import sys
from typing import Annotated, Any

import typer

from alchemiser.cli.options import ConfigOption, JsonOption, load
from alchemiser.cli.tables import render
from alchemiser.domain.errors import ConfigError, VerificationFailed
from alchemiser.service.bulletins import Bulletin, Level
from alchemiser.service.messenger import Address, addresses
from alchemiser.service.view import to_json


def notify_command(
    *,
    text: Annotated[str, typer.Option("--text", help="What the message says.")] = "This is a test; nothing happened.",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send a test message to every address of notifications.urls and say which took it; exit 6 when one did not.

    Example: alchemiser notify --text "can you read this?"
    """
    found = addresses(load(config).settings.notifications)
    if not found:
        raise ConfigError("notifications.urls is empty: there is nobody to tell; see docs/notifications.md")
    rows = asyncio.run(_send(found, Bulletin(Level.INFO, "test", "test", text)))
    if as_json:
        sys.stdout.buffer.write(to_json({"addresses": rows}) + b"\n")
    else:
        sys.stdout.write(render({"addresses": rows}))
    failed = [row["address"] for row in rows if not row["delivered"]]
    if failed:
        raise VerificationFailed(f"{', '.join(failed)} did not take the message; look at the address, and at the network from here")


async def _send(to: list[Address], bulletin: Bulletin) -> list[dict[str, Any]]:
    taken = await asyncio.gather(*(address.send(bulletin) for address in to))
    return [{"address": address.name, "delivered": delivered} for address, delivered in zip(to, taken, strict=True)]
