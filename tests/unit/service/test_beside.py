"""What takes new settings beside the daemon: the key, the patience with streams, the listeners at the door, the log."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr

from alchemiser.alpaca.credentials import AnyCredentials, Credentials, RenewableCredentials
from alchemiser.service.beside import Beside
from alchemiser.service.clock import VirtualClock
from alchemiser.service.live_feed import LiveFeed
from alchemiser.service.settings import Settings
from alchemiser.service.settings_load import load_settings

KEY = {"alpaca.mode": "paper", "alpaca.key_id": "PKONE", "alpaca.secret_key": "the-first-secret"}
OPEN = {"service.http": "0.0.0.0:80", "service.token": "the-first-token"}


def settings(*tables: Mapping[str, object]) -> Settings:
    """Return settings of these values by dotted key; later ones go before."""
    return load_settings(overrides={key: value for table in tables for key, value in table.items()}, environ={}, secrets=()).settings


def key_of(found: Settings) -> Credentials:
    """Return the key in settings."""
    return Credentials(key_id=found.alpaca.key_id or SecretStr(""), secret_key=found.alpaca.secret_key or SecretStr(""))


class Watch:
    """Remembers how patient it is."""

    patience: tuple[float, float] | None = None

    def be_patient(self, *, order_seconds: float, market_seconds: float) -> None:
        """Remember."""
        self.patience = (order_seconds, market_seconds)


def beside(
    started: Settings, credentials: AnyCredentials, feed: LiveFeed, log_by: Callable[[Settings], None] = lambda found: None
) -> Beside:
    """Return what stands beside a daemon that was started so."""
    return Beside(started, credentials=credentials, watch=Watch(), feed=feed, log_by=log_by)


async def test_a_new_key_is_used_from_now_on() -> None:
    """Once; the streams hear of it. The key of our own exchange never changes, and one that is not there is not taken."""
    started = settings(KEY)
    keys = RenewableCredentials(key_of(started), lambda: key_of(started), clock=VirtualClock(datetime(2025, 1, 2, tzinfo=UTC)))
    written = settings(KEY, {"alpaca.key_id": "PKTWO"})
    told = beside(started, keys, LiveFeed())

    told(written)
    told(written)
    told(settings())
    beside(started, own := key_of(started), LiveFeed())(written)

    assert keys.headers() == key_of(written).headers()
    assert (keys.generation, keys.changed.is_set()) == (1, True)
    assert own.headers() == key_of(started).headers()


async def test_the_log_and_the_watch_of_the_streams_follow() -> None:
    """Each is told of the settings that were taken."""
    logged: list[Settings] = []
    watch = Watch()
    written = settings({"execution.order_silence_seconds": 7.0, "market.silence_seconds": 9.0})
    told = Beside(settings(), credentials=key_of(settings(KEY)), watch=watch, feed=LiveFeed(), log_by=logged.append)

    told(written)

    assert (watch.patience, logged) == ((7.0, 9.0), [written])


@pytest.mark.parametrize(
    ("started", "written", "is_closed"),
    [
        ([OPEN], [OPEN, {"service.token": "the-second-token"}], True),
        ([OPEN], [OPEN, {"service.stop_seconds": 3.0}], False),
        ([{"service.token": "the-first-token"}], [{"service.token": "the-second-token"}], False),
    ],
    ids=["another token", "the same token", "loopback"],
)
async def test_who_listens_at_an_open_door_has_to_show_the_new_token(
    started: Sequence[Mapping[str, object]], written: Sequence[Mapping[str, object]], *, is_closed: bool
) -> None:
    """He came in with the old one; on loopback nobody needs one to listen."""
    feed = LiveFeed()
    with feed.listen() as listener:
        beside(settings(*started), key_of(settings(KEY)), feed)(settings(*written))
        assert listener._has_ended is is_closed
