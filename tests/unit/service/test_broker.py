"""The broker that the settings name, or the refusal that says what is missing."""

from typing import Any

import pytest

from alchemiser.domain.errors import ConfigError
from alchemiser.service.broker import broker_of, names_broker, open_broker
from alchemiser.service.clock import WallClock
from alchemiser.service.connection import broker_connection
from alchemiser.service.settings import Settings

KEY = {"mode": "paper", "key_id": "K", "secret_key": "S"}


def settings(**alpaca: Any) -> Settings:
    """Return settings of that account."""
    return Settings.model_validate({"alpaca": alpaca})


async def test_a_broker_needs_a_key_and_addresses() -> None:
    """Those of paper trading are known; on the embedded exchange there is no broker."""
    assert names_broker(settings(**KEY))
    for none in (settings(), settings(mode="paper")):
        assert not names_broker(none)
        with pytest.raises(ConfigError, match=r"there are no credentials for (embedded|paper) trading"):
            broker_of(none, WallClock())
        with pytest.raises(ConfigError):
            async with open_broker(none):
                raise AssertionError("there is nothing to open")


def test_the_connection_of_a_run_names_what_is_missing() -> None:
    """Every address is that of the account's mode unless it is set."""
    connection = broker_connection(settings(**KEY, trading_url="http://127.0.0.1:1"))
    assert "http://127.0.0.1:1" == connection.trading_url
    assert connection.data_url.startswith("https://data.alpaca.markets")
    with pytest.raises(ConfigError, match=r"alpaca.key_id and alpaca.secret_key are needed"):
        broker_connection(settings(mode="paper"))
