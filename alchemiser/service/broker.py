"""The broker that the settings name, for a few questions by commands that trade nothing."""

from collections.abc import Sequence
from random import Random

from alchemiser.alpaca.credentials import Credentials
from alchemiser.alpaca.rest import RestLimits
from alchemiser.alpaca.venue import AlpacaVenue
from alchemiser.domain.account import Asset
from alchemiser.domain.errors import ConfigError
from alchemiser.domain.runtime import Clock
from alchemiser.service.settings import Settings


def broker_of(settings: Settings, clock: Clock) -> AlpacaVenue | None:
    """Return the broker that the settings name; ``None`` when they name none."""
    alpaca = settings.alpaca
    if alpaca.mode == "embedded" or not (alpaca.key_id and alpaca.secret_key and alpaca.trading_url and alpaca.data_url):
        return None
    return AlpacaVenue(
        Credentials(key_id=alpaca.key_id, secret_key=alpaca.secret_key),
        trading_url=alpaca.trading_url,
        data_url=alpaca.data_url,
        clock=clock,
        random=Random(0),  # noqa: S311 - jitter of a retry
        feed=alpaca.feed,
        limits=RestLimits(deadline_seconds=alpaca.request_deadline_seconds),
    )


async def assets_of(settings: Settings, clock: Clock, symbols: Sequence[str]) -> dict[str, Asset]:
    """Return what the broker says of those symbols that it knows.

    Raises ``ConfigError`` when the settings name no broker, and ``VenueError`` when it does not answer.
    """
    broker = broker_of(settings, clock)
    if broker is None:
        raise ConfigError(f"there are no credentials for {settings.alpaca.mode} trading")
    async with broker:
        return await broker.assets(symbols)
