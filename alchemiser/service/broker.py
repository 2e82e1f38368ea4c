"""The broker that the settings name, for a few questions by commands that trade nothing."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from random import Random

from alchemiser.alpaca.credentials import Credentials
from alchemiser.alpaca.rest import RestLimits
from alchemiser.alpaca.venue import AlpacaVenue
from alchemiser.domain.account import Asset
from alchemiser.domain.errors import ConfigError
from alchemiser.domain.runtime import Clock
from alchemiser.service.settings import Settings
from alchemiser.service.venue_clock import following_clock


def names_broker(settings: Settings) -> bool:
    """Return whether the settings have the addresses of a broker and what opens it."""
    alpaca = settings.alpaca
    return bool(alpaca.key_id and alpaca.secret_key and alpaca.trading_url and alpaca.data_url)


def broker_of(settings: Settings, clock: Clock) -> AlpacaVenue:
    """Return the broker that the settings name. Raises ``ConfigError`` when they name none."""
    alpaca = settings.alpaca
    if not (alpaca.key_id and alpaca.secret_key and alpaca.trading_url and alpaca.data_url):
        raise ConfigError(f"there are no credentials for {alpaca.mode} trading")
    return AlpacaVenue(
        Credentials(key_id=alpaca.key_id, secret_key=alpaca.secret_key),
        trading_url=alpaca.trading_url,
        data_url=alpaca.data_url,
        clock=clock,
        random=Random(0),  # noqa: S311 - jitter of a retry
        feed=alpaca.feed,
        limits=RestLimits(deadline_seconds=alpaca.request_deadline_seconds),
    )


@asynccontextmanager
async def open_broker(settings: Settings) -> AsyncIterator[tuple[AlpacaVenue, Clock]]:
    """Yield the broker that the settings name, and the clock of its market. Raises ``ConfigError`` when they name none."""
    async with following_clock(settings.alpaca.trading_url or "") as clock, broker_of(settings, clock) as broker:
        yield broker, clock


async def assets_of(settings: Settings, clock: Clock, symbols: Sequence[str]) -> dict[str, Asset]:
    """Return what the broker says of those symbols that it knows.

    Raises ``ConfigError`` when the settings name no broker, and ``VenueError`` when it does not answer.
    """
    async with broker_of(settings, clock) as broker:
        return await broker.assets(symbols)
