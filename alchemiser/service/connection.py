"""Where the venue of a run is and what opens it: the embedded exchange, or the broker of the settings with a key that may be renewed."""

from collections.abc import Callable, Coroutine, Sequence
from datetime import date
from typing import Any, Protocol

from msgspec import Struct
from msgspec.structs import replace

from alchemiser.alpaca.credentials import AnyCredentials, Credentials, RenewableCredentials
from alchemiser.domain.errors import ConfigError
from alchemiser.domain.runtime import Clock
from alchemiser.service.secrets import SecretMasker
from alchemiser.service.settings import Settings


class Connection(Struct, frozen=True):
    """The addresses of a venue, and its credentials."""

    trading_url: str
    data_url: str
    trading_stream_url: str
    data_stream_url: str
    credentials: AnyCredentials


class MarketHere(Protocol):
    """What a run needs of a market in its own process, which only those load who trade on it; see ``service.embedded``."""

    @property
    def connection(self) -> Connection:
        """Where it is."""

    @property
    def clock(self) -> Clock:
        """Its market time."""

    @property
    def last_session(self) -> date:
        """The last session that is played."""

    @property
    def list_symbols(self) -> Callable[[Sequence[str]], None] | None:
        """Lists more symbols of its bars."""

    @property
    def run(self) -> Callable[[], Coroutine[Any, Any, None]]:
        """Plays its sessions."""


def broker_connection(settings: Settings) -> Connection:
    """Return the connection to the broker of the settings. Raises ``ConfigError`` when an address or a key is missing."""
    alpaca = settings.alpaca
    if alpaca.key_id is None or alpaca.secret_key is None:
        raise ConfigError(
            "alpaca.key_id and alpaca.secret_key are needed to trade anywhere but on the embedded exchange; nothing was started"
        )
    if not (alpaca.trading_url and alpaca.data_url and alpaca.trading_stream_url and alpaca.data_stream_url):
        raise ConfigError(
            "alpaca.trading_url, data_url, trading_stream_url and data_stream_url are set together or not at all; nothing was started"
        )
    credentials = Credentials(key_id=alpaca.key_id, secret_key=alpaca.secret_key)
    return Connection(alpaca.trading_url, alpaca.data_url, alpaca.trading_stream_url, alpaca.data_stream_url, credentials)


def renewable(connection: Connection, clock: Clock, read: Callable[[], Settings] | None, masker: SecretMasker | None) -> Connection:
    """Return the connection with a key that is read again by ``read`` when it is refused; ``masker`` is told the new one."""
    if read is None or not isinstance(connection.credentials, Credentials):
        return connection

    def read_key() -> Credentials:
        alpaca = read().alpaca
        if alpaca.key_id is None or alpaca.secret_key is None:
            raise ConfigError("alpaca.key_id and alpaca.secret_key are not there any more")
        found = Credentials(key_id=alpaca.key_id, secret_key=alpaca.secret_key)
        if masker is not None:
            masker.add(found.headers().values())
        return found

    return replace(connection, credentials=RenewableCredentials(connection.credentials, read_key, clock=clock))
