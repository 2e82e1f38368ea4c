"""Reading the settings: sources, their order, and what is said about a mistake."""

import os
import sys
from decimal import Decimal
from importlib.machinery import BuiltinImporter
from pathlib import Path
from types import ModuleType

import pytest

from alchemiser.domain.errors import ConfigError
from alchemiser.service.settings_load import LoadedSettings, describe, differences, load_settings


class Sources:
    """The places that settings come from, for one test."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.file = directory / "alchemiser.toml"
        self.secrets = directory / "secrets"
        self.secrets.mkdir()
        self.environ: dict[str, str] = {}

    def load(self, config: Path | None = None, **overrides: object) -> LoadedSettings:
        """Read all of them; overrides are dotted keys with two underscores for the dot."""
        dotted = {key.replace("__", "."): value for key, value in overrides.items()}
        return load_settings(config=config, overrides=dotted, environ=self.environ, directory=self.directory, secrets=(self.secrets,))

    def problem(self, config: Path | None = None, **overrides: object) -> str:
        """Return the message of the error that reading them raises."""
        with pytest.raises(ConfigError) as caught:
            self.load(config, **overrides)
        return str(caught.value).replace(f"{self.directory}/", "")


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    """Return empty sources."""
    return Sources(tmp_path)


def test_nothing_given_means_defaults(sources: Sources) -> None:
    """Without any source every value is the default and says so."""
    loaded = sources.load()

    assert loaded.file is None
    assert {"default"} == set(loaded.places.values())


def test_higher_sources_win_key_by_key(sources: Sources) -> None:
    """Command line over environment over secret file over settings file over default; each value knows its place."""
    sources.file.write_text(
        '[service]\nlog_level = "error"\nstop_seconds = 3\n\n[alpaca]\nkey_id = "from-file"\nfeed = "sip"\n[risk]\nmax_orders_per_day = 5\n'
    )
    (sources.secrets / "apca_api_key_id").write_text("from-secret\n")
    sources.environ |= {"ALCHEMISER_SERVICE__STOP_SECONDS": "4", "ALCHEMISER_RISK__MAX_ORDERS_PER_DAY": "6"}

    loaded = sources.load(risk__max_orders_per_day=7)
    settings = loaded.settings

    assert settings.service.log_level == "error"
    assert settings.service.stop_seconds == 4.0
    assert settings.alpaca.feed == "sip"
    assert settings.alpaca.key_id is not None
    assert settings.alpaca.key_id.get_secret_value() == "from-secret"
    assert settings.risk.max_orders_per_day == 7
    assert loaded.places["service.log_level"] == f"{sources.file}, line 2"
    assert loaded.places["service.stop_seconds"] == "environment variable ALCHEMISER_SERVICE__STOP_SECONDS"
    assert loaded.places["alpaca.key_id"] == f"secret file {sources.secrets / 'apca_api_key_id'}"
    assert loaded.places["risk.max_orders_per_day"] == "command line"
    assert loaded.places["service.http"] == "default"


def test_understands_alpacas_own_names(sources: Sources) -> None:
    """``APCA_API_KEY_ID`` and ``APCA_API_SECRET_KEY`` are the credentials; our own names win over them."""
    sources.environ |= {"APCA_API_KEY_ID": "key", "APCA_API_SECRET_KEY": "secret", "ALCHEMISER_ALPACA__KEY_ID": "ours"}

    alpaca = sources.load().settings.alpaca

    assert alpaca.mode == "paper"
    assert alpaca.key_id is not None
    assert alpaca.key_id.get_secret_value() == "ours"


def test_an_empty_variable_is_none(sources: Sources) -> None:
    """An exported but empty variable is neither half a key nor an empty address."""
    sources.environ |= {"APCA_API_KEY_ID": "", "APCA_API_SECRET_KEY": "secret", "ALCHEMISER_ALPACA__TRADING_URL": ""}

    assert sources.load().settings.alpaca.mode == "embedded"


def test_text_of_the_environment_becomes_what_the_setting_is(sources: Sources) -> None:
    """The environment knows only text: numbers, booleans, lists, moments and JSON tables are read from it."""
    sources.environ |= {
        "ALCHEMISER_PORTFOLIO__FRACTIONAL": "false",
        "ALCHEMISER_EXECUTION__LADDER": "0.5,1",
        "ALCHEMISER_SCHEDULE__DECISION": "open + 30m",
        "ALCHEMISER_EMBEDDED__SPEED": "60",
        "ALCHEMISER_STRATEGIES": '{"tecl": {"allocation": 0.7}, "klm": {"allocation": 0.3}}',
        "ALCHEMISER_MARKET__QUOTE_MAX_AGE_SECONDS": "1.5",
    }

    settings = sources.load().settings

    assert settings.portfolio.fractional is False
    assert settings.execution.ladder == (Decimal("0.5"), Decimal(1))
    assert str(settings.schedule.decision) == "open + 30m"
    assert settings.embedded.speed == Decimal(60)
    assert settings.allocations() == {"tecl": Decimal("0.7"), "klm": Decimal("0.3")}
    assert settings.market.quote_max_age_seconds == 1.5


def test_a_strategy_of_a_lower_source_never_joins_in(sources: Sources) -> None:
    """The strategies come whole from the highest source that names any."""
    sources.file.write_text("[strategies.klm]\nallocation = 1\n")

    loaded = sources.load(strategies={"tecl": {"source": "tecl", "allocation": None}})

    assert ["tecl"] == list(loaded.settings.strategies)
    assert loaded.places["strategies.tecl.source"] == "command line"


def test_an_unknown_key_names_the_line_and_the_setting_that_was_meant(sources: Sources) -> None:
    """A typing error stops the start and is explained."""
    sources.file.write_text('\n[service]\nhtp = "127.0.0.1:1"\n')

    assert sources.problem() == "alchemiser.toml, line 3: service.htp is not a setting; did you mean service.http?; nothing was started"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[jurnal]\nx = 1\n", "alchemiser.toml, line 1: jurnal is not a setting; did you mean journal?"),
        ("stop_seconds = 1\n", "alchemiser.toml, line 1: stop_seconds is not a setting; did you mean service.stop_seconds?"),
        ("[strategies.a]\nallocaton = 1\n", "line 2: strategies.a.allocaton is not a setting; did you mean strategies.a.allocation?"),
        ("[schedule]\nx = 1\n", "line 2: schedule.x is not a setting; schedule knows decision"),
        ("[risk]\nmax_orders_per_day = '5'\n", "line 2: risk.max_orders_per_day = '5': expected a number, found text"),
        ("[risk]\nmax_orders_per_day = 0\n", "line 2: risk.max_orders_per_day = 0: expected greater than or equal to 1"),
        ("[risk]\nmax_orders_per_day = 1.5\n", "line 2: risk.max_orders_per_day = 1.5: expected a valid integer"),
        ("[execution]\nladder = [0.5, '1']\n", "line 2: execution.ladder = [0.5, '1']: expected a number, found text"),
        ("[alpaca]\nmode = 'demo'\n", "line 2: alpaca.mode = 'demo': expected 'embedded', 'paper' or 'live'"),
        ("strategies = 5\n", "line 1: strategies = 5: expected a table"),
        ("risk = 5\n", "line 1: risk = 5: expected a table"),
        ("[strategies]\na = 0.5\n", "line 2: strategies.a = 0.5: expected a table"),
        ("[service]\nhttp 5\n", "not valid TOML: Expected '=' after a key"),
        ("[strategies.a]\nallocation = 0.5\n", "line 1: strategies: allocations must add up to 1, found 0.5"),
    ],
)
def test_a_mistake_is_explained(sources: Sources, text: str, expected: str) -> None:
    """Every mistake in the file names place, key, what was found and what was expected."""
    sources.file.write_text(text)

    assert expected in sources.problem()


def test_every_problem_is_listed(sources: Sources) -> None:
    """An operator mends all mistakes in one go."""
    sources.file.write_text("[risk]\nx = 1\n[journal]\ny = 2\n")
    sources.environ["ALCHEMISER_NONSENSE"] = "1"
    sources.environ["ALCHEMISER_RSK__X"] = "1"

    lines = sources.problem().splitlines()

    assert len(lines) == 4
    assert any(line.startswith("environment variable ALCHEMISER_NONSENSE: nonsense is not a setting") for line in lines)
    assert any(line.startswith("environment variable ALCHEMISER_RSK__X: rsk is not a setting; did you mean risk?") for line in lines)


def test_no_problem_shows_a_secret(sources: Sources) -> None:
    """A secret of the wrong type, or under a misspelt key, is named but not shown."""
    sources.file.write_text("[alpaca]\nsecret_key = 7777777\nsecret_kye = 'HUSHHUSH'\n[service]\ntoken = ['HUSHHUSH']\n")
    sources.environ["ALCHEMISER_ALPACA__SECRETKEY"] = "HUSHHUSH"

    problem = sources.problem()

    assert "HUSH" not in problem
    assert "7777777" not in problem
    assert "alpaca.secret_key is not text that could be a secret" in problem


def test_a_named_file_must_exist(sources: Sources) -> None:
    """``--config`` that leads nowhere is an error; a missing default file is not."""
    assert "alchemiser.conf: the settings file cannot be read (No such file or directory)" in sources.problem(
        sources.directory / "alchemiser.conf"
    )


def test_a_file_that_is_no_text_is_refused(sources: Sources) -> None:
    """Bytes that are not UTF-8 are refused with their position."""
    sources.file.write_bytes(b"[service]\nhttp = '\xff'\n")

    assert "not UTF-8 text (byte 18)" in sources.problem()


def test_a_variable_that_is_no_json_is_refused(sources: Sources) -> None:
    """A value that begins like JSON must be JSON."""
    sources.environ["ALCHEMISER_STRATEGIES"] = "{tecl"

    assert "environment variable ALCHEMISER_STRATEGIES: looks like JSON and is not" in sources.problem()


def test_a_table_and_a_key_in_it_cannot_both_be_set(sources: Sources) -> None:
    """One variable for a section as text and one for its key contradict each other."""
    sources.environ |= {"ALCHEMISER_RISK": "low", "ALCHEMISER_RISK__MAX_ORDERS_PER_DAY": "5"}

    assert "risk.max_orders_per_day cannot be set, because risk was set as a whole elsewhere" in sources.problem()


def test_secret_files_of_others_are_left_alone(sources: Sources) -> None:
    """A shared directory of secrets may hold what is not ours; the first directory wins."""
    (sources.secrets / "database_password").write_text("theirs")
    (sources.secrets / "alchemiser_service__token").write_text("  ours\n")
    (sources.secrets / "a_directory").mkdir()

    token = sources.load().settings.service.token

    assert token is not None
    assert token.get_secret_value() == "ours"


def test_a_secret_file_that_cannot_be_read_is_named(sources: Sources) -> None:
    """A secret that was meant for us and cannot be read stops the start, without showing a byte of it."""
    (sources.secrets / "apca_api_key_id").write_bytes(b"HUSH\xff")

    problem = sources.problem()

    assert "secret file secrets/apca_api_key_id: not UTF-8 text (byte 4)" in problem
    assert "HUSH" not in problem


def test_an_oversized_secret_file_is_refused(sources: Sources) -> None:
    """Whatever is larger than any key is not a key."""
    (sources.secrets / "apca_api_key_id").write_bytes(b"x" * 70_000)

    assert "larger than 65536 bytes" in sources.problem()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_secret_file_is_named(sources: Sources) -> None:
    """A secret file without permission stops the start."""
    path = sources.secrets / "apca_api_key_id"
    path.write_text("x")
    path.chmod(0)

    assert "cannot be read (Permission denied)" in sources.problem()


def test_secret_directories_are_those_of_systemd_and_docker(tmp_path: Path) -> None:
    """Systemd names its directory in the environment; the first directory that has a secret wins."""
    (tmp_path / "apca_api_key_id").write_text("from-systemd")
    later = tmp_path / "later"
    later.mkdir()
    (later / "apca_api_key_id").write_text("from-docker")

    loaded = load_settings(environ={"CREDENTIALS_DIRECTORY": str(tmp_path)}, directory=later)
    both = load_settings(environ={}, directory=later, secrets=(tmp_path, later))

    assert loaded.places["alpaca.key_id"] == f"secret file {tmp_path / 'apca_api_key_id'}"
    assert both.places["alpaca.key_id"] == f"secret file {tmp_path / 'apca_api_key_id'}"


def test_description_covers_every_setting_and_masks_secrets(sources: Sources) -> None:
    """``config show`` prints each key with a plain value and its place; a secret is a row of stars."""
    sources.environ |= {"APCA_API_KEY_ID": "HUSHHUSH", "APCA_API_SECRET_KEY": "HUSHHUSH"}

    rows = {key: (value, place) for key, value, place in describe(sources.load())}

    assert rows["alpaca.key_id"] == ("**********", "environment variable APCA_API_KEY_ID")
    assert rows["alpaca.mode"] == ("paper", "default")
    assert rows["schedule.decision"] == ("close - 10m", "default")
    assert rows["execution.ladder"] == (["0.5", "0.75", "1"], "default")
    assert "HUSH" not in str(rows)


def test_a_whole_table_says_where_its_keys_stand(sources: Sources) -> None:
    """A key that is spelled in an unusual way is placed by the table around it."""
    sources.file.write_text("journal = { group_commit_milliseconds = 3.0 }\n")

    assert sources.load().places["journal.group_commit_milliseconds"] == f"{sources.file}, line 1"


def test_a_table_of_ones_own_is_checked_like_any_other(tmp_path: Path) -> None:
    """A group of symbols must be whole: what is missing, misspelt or of the wrong type is named with its place."""
    file = tmp_path / "alchemiser.toml"
    file.write_text('[portfolio.groups.tech]\nsymbols = ["AAA"]\nmax_weigth = 0.4\n')

    with pytest.raises(ConfigError) as refused:
        load_settings(config=file, environ={}, secrets=())
    assert "portfolio.groups.tech.max_weight is missing and has no default" in str(refused.value)
    assert "line 3: portfolio.groups.tech.max_weigth is not a setting; did you mean portfolio.groups.tech.max_weight?" in str(refused.value)


class RingError(RuntimeError):
    """What the library's errors are."""


def key_ring(monkeypatch: pytest.MonkeyPatch, secrets: dict[tuple[str, str], str], *, is_locked: bool = False) -> None:
    """Put a key ring in the place of the machine's."""

    def get_password(service: str, name: str) -> str | None:
        if is_locked:
            raise RingError("the key ring is locked")
        return secrets.get((service, name))

    ring = ModuleType("keyring")
    ring.get_password = get_password  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "keyring", ring)


def test_the_key_ring_holds_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is under the named service counts after secret files and before the settings file; without the setting nothing is asked."""
    ours = {
        ("mine", "apca_api_key_id"): "PKRING",
        ("mine", "apca_api_secret_key"): "ring-secret",
        ("mine", "alchemiser_service__token"): "t",
    }
    key_ring(monkeypatch, {**ours, ("other", "apca_api_key_id"): "PKOTHER"})
    (tmp_path / "alchemiser.toml").write_text('[service]\nkeyring = "mine"\n[alpaca]\nkey_id = "PKFILE"\n')
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "alchemiser_service__token").write_text("from-a-file")

    loaded = load_settings(environ={}, directory=tmp_path, secrets=(tmp_path / "secrets",))

    assert loaded.settings.alpaca.key_id is not None
    assert loaded.settings.alpaca.key_id.get_secret_value() == "PKRING"
    assert loaded.settings.alpaca.mode == "paper"
    assert loaded.places["alpaca.secret_key"] == "key ring mine, apca_api_secret_key"
    assert loaded.settings.service.token is not None
    assert loaded.settings.service.token.get_secret_value() == "from-a-file"
    assert not load_settings(environ={}, directory=tmp_path / "secrets", secrets=()).settings.alpaca.has_credentials


def test_a_key_ring_that_does_not_answer_stops_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its reason, and with the extra where the library is missing."""
    key_ring(monkeypatch, {}, is_locked=True)
    with pytest.raises(ConfigError, match="the key ring is locked"):
        load_settings(environ={"ALCHEMISER_SERVICE__KEYRING": "mine"}, directory=tmp_path, secrets=())
    monkeypatch.delitem(sys.modules, "keyring")
    monkeypatch.setattr(sys, "meta_path", [BuiltinImporter])  # Nothing else can be imported: as good as not installed.
    with pytest.raises(ConfigError, match=r"alchemiser\[keyring\]"):
        load_settings(environ={"ALCHEMISER_SERVICE__KEYRING": "mine"}, directory=tmp_path, secrets=())


def test_differences_name_the_settings_that_changed(tmp_path: Path) -> None:
    """Each with both values, secrets masked, and strategies that came or went."""
    before = load_settings(overrides={"service.stop_seconds": 5.0}, environ={"APCA_API_KEY_ID": "PKOLD"}, directory=tmp_path, secrets=())
    after = load_settings(overrides={"strategies": {"klm": {}}}, environ={"APCA_API_KEY_ID": "PKNEW"}, directory=tmp_path, secrets=())

    found = {one.key: (one.before, one.after) for one in differences(before.settings, after.settings)}

    assert found["service.stop_seconds"] == (5.0, 10.0)
    assert found["alpaca.key_id"] == ("**********", "**********")
    assert any(key.startswith("strategies.tecl") for key in found)
    assert any(key.startswith("strategies.klm") for key in found)
    assert differences(after.settings, after.settings) == []
