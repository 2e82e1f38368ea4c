"""``alchemiser run``: which settings and options reach the daemon, and what is refused before it."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from alchemiser.cli import run as run_module
from alchemiser.domain.errors import ConfigError
from alchemiser.service.secrets import SecretMasker
from alchemiser.service.settings import RunOptions, Settings
from tests.unit.cli.conftest import Command

STARTED: list[tuple[Settings, RunOptions]] = []


async def fake_daemon(
    settings: Settings,
    options: RunOptions,
    *,
    masker: SecretMasker,
    read_settings: Callable[[], Settings],
    log_by: Callable[[Settings], None],
    tell_repeats: Callable[[], None],
) -> int:
    """Remember what the daemon was started with and end well; the settings can be read again and are the same."""
    assert read_settings() == settings
    STARTED.append((settings, options))
    return 0


@pytest.fixture(autouse=True)
def _daemon_is_a_fake(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start a fake in the place of the daemon."""
    STARTED.clear()
    monkeypatch.setattr(run_module, "load_attribute", lambda path: fake_daemon)


def test_without_credentials_the_market_is_embedded(alchemiser: Command) -> None:
    """``alchemiser run`` on a machine without an account trades on the embedded exchange."""
    assert alchemiser("run").code == 0

    [(settings, options)] = STARTED
    assert settings.alpaca.mode == "embedded"
    assert RunOptions() == options


def test_options_reach_the_daemon(alchemiser: Command, tmp_path: Path) -> None:
    """Each option is a setting or an option of the run."""
    ended = alchemiser(
        "run", "--embedded", "--state", "s", "--bars", "b", "--start", "2025-03-03", "--days", "5", "--speed", "20", "--strategy", "klm=1"
    )

    assert (0, "") == (ended.code, ended.err)
    [(settings, options)] = STARTED
    assert Path("s") == settings.service.state
    assert Path("b") == settings.embedded.bars
    assert settings.embedded.speed == 20
    assert ["klm"] == list(settings.strategies)
    assert RunOptions(start=date(2025, 3, 3), days=5) == options


def test_embedded_wins_over_credentials(alchemiser: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """With credentials the default is paper; ``--embedded`` leaves them unused."""
    monkeypatch.setenv("APCA_API_KEY_ID", "key-id")
    monkeypatch.setenv("APCA_API_SECRET_KEY", "secret-key")

    alchemiser("run")
    alchemiser("run", "--embedded")

    assert ["paper", "embedded"] == [settings.alpaca.mode for settings, _ in STARTED]


def test_a_settings_file_that_has_gone_is_not_read_as_a_wish_for_the_defaults(
    alchemiser: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reload reads the file of the start by its name, also where nobody gave it."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "alchemiser.toml"
    file.write_text("[strategies.klm]\n")
    readers: list[Callable[[], Settings]] = []

    async def keeping(settings: Settings, options: RunOptions, *, read_settings: Callable[[], Settings], **told: object) -> int:
        readers.append(read_settings)
        return 0

    monkeypatch.setattr(run_module, "load_attribute", lambda path: keeping)
    assert alchemiser("run").code == 0
    file.unlink()

    with pytest.raises(ConfigError, match="cannot be read"):
        readers[0]()


def test_half_a_key_does_not_keep_the_embedded_exchange_from_being_asked_for(alchemiser: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was said aloud needs no key at all, so half of one is nobody's mistake."""
    monkeypatch.setenv("APCA_API_KEY_ID", "key-id")

    assert alchemiser("run", "--embedded").code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("--paper", "--embedded"), 2, "exclude one another"),
        (("--start", "tomorrow"), 2, "expected a date like 2025-03-03"),
        (("--paper",), 3, "paper trading needs credentials"),
        (("--config", "nowhere.toml"), 3, "nowhere.toml: the settings file cannot be read"),
        (("--strategy", "a=0.5"), 3, "allocations must add up to 1, found 0.5"),
        (("--speed", "fast"), 3, "expected 'leap' or a number"),
        (("--live",), 4, "both must say live"),
    ],
)
def test_what_does_not_go_together_is_refused_before_the_start(
    alchemiser: Command, arguments: tuple[str, ...], code: int, text: str
) -> None:
    """Nothing is started, one line says why, and the code is the documented one."""
    ended = alchemiser("run", *arguments)

    assert (code, "") == (ended.code, ended.out)
    assert text in ended.err
    assert len(ended.err.splitlines()) == 1
    assert STARTED == []


@pytest.mark.parametrize(
    ("environ", "arguments", "code", "text"),
    [
        ({"ALCHEMISER_ALPACA__MODE": "live"}, (), 4, "--live was not given"),
        ({"ALCHEMISER_ALPACA__MODE": "live"}, ("--live",), 4, "needs alpaca.account_number"),
        ({"ALCHEMISER_ALPACA__MODE": "live", "ALCHEMISER_ALPACA__ACCOUNT_NUMBER": "A1"}, ("--live",), 3, "live trading needs credentials"),
        ({"APCA_API_KEY_ID": "key-id"}, (), 3, "half of the credentials is given and APCA_API_SECRET_KEY is not"),
        ({"APCA_API_SECRET_KEY": "secret-key"}, (), 3, "half of the credentials is given and APCA_API_KEY_ID is not"),
        ({"ALCHEMISER_SERVICE__HTTP": "0.0.0.0:1"}, (), 4, "there is no service.token"),
        ({"ALCHEMISER_ALPACA__MODE": "paper"}, ("--days", "1", "--bars", "b"), 2, "--bars, --days: only the embedded market has this"),
    ],
)
def test_the_settings_are_asked_too(
    alchemiser: Command, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], arguments: tuple[str, ...], code: int, text: str
) -> None:
    """Live trading, wide doors and options of another mode are refused whatever source they come from."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    ended = alchemiser("run", *arguments)

    assert code == ended.code
    assert text in ended.err
    assert STARTED == []
