"""The tree of the settings: types, defaults, shares."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from alchemiser.service.settings import Settings


def problems_of(**tables: Any) -> list[str]:
    """Return the messages of what is wrong with these tables."""
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate(tables)
    return [problem["msg"].removeprefix("Value error, ") for problem in caught.value.errors()]


def test_defaults_need_no_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """``Settings()`` reads neither the environment nor a file."""
    monkeypatch.setenv("ALCHEMISER_RISK__MAX_ORDERS_PER_DAY", "7")
    monkeypatch.setenv("RISK", '{"max_orders_per_day": 8}')

    settings = Settings()

    assert settings.risk.max_orders_per_day == 1000
    assert settings.alpaca.mode == "embedded"
    assert {"tecl": Decimal(1)} == settings.allocations()


def test_settings_are_frozen() -> None:
    """What was read stays: nobody changes a setting at run time."""
    with pytest.raises(ValidationError, match="frozen"):
        Settings().risk.max_orders_per_day = 5


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({"risk": {"max_orders_per_day": "5"}}, "expected a number, found text"),
        ({"risk": {"max_orders_per_day": True}}, "expected a number, found true or false"),
        ({"portfolio": {"fractional": "yes"}}, "expected true or false, found text"),
        ({"portfolio": {"fractional": 1}}, "expected true or false, found a number"),
        ({"execution": {"ladder": ["0.5"]}}, "expected a number, found text"),
        (
            {"schedule": {"decision": "noon"}},
            '"noon" is not a time of a session; expected "close - 10m", "open + 5m" (units h, m, s) or a New York time such as "15:50"',
        ),
        ({"service": {"http": "8080"}}, "expected host:port, for example 127.0.0.1:8080"),
        ({"service": {"http": "localhost:99999"}}, "expected host:port, for example 127.0.0.1:8080"),
        ({"alpaca": {"trading_url": "localhost"}}, "expected a URL that begins with https://, http://, wss:// or ws://"),
        ({"alpaca": {"trading_url": "ftp://x"}}, "expected a URL that begins with https://, http://, wss:// or ws://"),
        ({"embedded": {"speed": "fast"}}, "expected 'leap' or a number above 0 and up to 100000"),
        ({"embedded": {"speed": 0}}, "expected 'leap' or a number above 0 and up to 100000"),
        ({"embedded": {"speed": Decimal("NaN")}}, "expected 'leap' or a number above 0 and up to 100000"),
    ],
)
def test_nothing_is_converted_quietly(table: dict[str, Any], expected: str) -> None:
    """A value of another type than the setting's is refused in words, not bent into shape."""
    assert [expected] == problems_of(**table)


@pytest.mark.parametrize(
    ("strategies", "expected"),
    [
        (
            {"a": {"allocation": Decimal("0.5")}, "b": {"allocation": Decimal("0.4")}},
            "strategies: allocations must add up to 1, found 0.9 (a 0.5 + b 0.4)",
        ),
        ({"a": {"allocation": Decimal("0.5")}, "b": {}}, "strategies: every strategy or none gives an allocation; b gives none"),
        (
            {"a": {"allocation": Decimal("0.99999999")}},
            "strategies: allocations must add up to 1, found 0.99999999 (a 0.99999999)",
        ),
    ],
)
def test_shares_that_do_not_add_up_are_refused(strategies: dict[str, Any], expected: str) -> None:
    """The shares of the strategies add up to one within a billionth, or nothing starts."""
    assert [expected] == problems_of(strategies=strategies)


def test_an_account_without_strategies_is_refused() -> None:
    """A daemon with nothing to trade is a mistake."""
    assert problems_of(strategies={})


def test_tenths_add_up_exactly() -> None:
    """Shares are decimals: ten times 0.1 is 1."""
    settings = Settings.model_validate({"strategies": {f"s{n}": {"allocation": Decimal("0.1")} for n in range(10)}})

    assert Decimal(1) == sum(settings.allocations().values())


def test_without_shares_all_are_equal() -> None:
    """Strategies without a share divide the account equally, in the order of the settings."""
    settings = Settings.model_validate({"strategies": {"b": {}, "a": {}, "c": {}}})

    assert ["b", "a", "c"] == list(settings.allocations())
    assert abs(sum(settings.allocations().values(), Decimal(-1))) < Decimal("1e-9")


@pytest.mark.parametrize(
    ("given", "mode"),
    [
        ({}, "embedded"),
        ({"key_id": "k"}, "embedded"),
        ({"key_id": "k", "secret_key": "s"}, "paper"),
        ({"key_id": "k", "secret_key": "s", "mode": "embedded"}, "embedded"),
        ({"mode": "live"}, "live"),
    ],
)
def test_mode_follows_the_credentials_unless_it_is_given(given: dict[str, str], mode: str) -> None:
    """Without credentials the market is embedded, with both parts of a key it is paper; live is never implied."""
    assert mode == Settings.model_validate({"alpaca": given}).alpaca.mode


def test_addresses_follow_the_mode_and_the_feed() -> None:
    """The hosts are those of the mode; one that is given stands."""
    paper = Settings.model_validate({"alpaca": {"mode": "paper", "feed": "sip", "data_url": "http://127.0.0.1:9/"}}).alpaca
    live = Settings.model_validate({"alpaca": {"mode": "live"}}).alpaca
    embedded = Settings().alpaca

    assert paper.trading_url == "https://paper-api.alpaca.markets"
    assert paper.data_url == "http://127.0.0.1:9"
    assert paper.data_stream_url == "wss://stream.data.alpaca.markets/v2/sip"
    assert live.trading_stream_url == "wss://api.alpaca.markets/stream"
    assert embedded.trading_url is None


def test_secrets_do_not_show_in_text_forms() -> None:
    """Neither the text of the settings nor their repr contains a secret."""
    settings = Settings.model_validate({"alpaca": {"key_id": "PKSECRET", "secret_key": "TOPSECRET"}, "service": {"token": "TOKSECRET"}})

    assert settings.alpaca.has_credentials
    assert "SECRET" not in str(settings)
    assert "SECRET" not in repr(settings)
    assert "SECRET" not in str(settings.model_dump())


def test_a_guard_has_its_own_defaults_where_a_setting_is_left_out() -> None:
    """Who changes the action of one keeps its limit; the others are as they were."""
    guards = Settings(risk={"guards": {"drawdown": {"action": "halt"}}}).risk.guards  # type: ignore[arg-type]

    assert ("halt", Decimal("0.2"), Decimal("0.15")) == (guards.drawdown.action, guards.drawdown.limit, guards.drawdown.cleared)
    assert ("alarm", Decimal(5)) == (guards.rejects.action, guards.rejects.limit)


@pytest.mark.parametrize(
    ("guards", "words"),
    [
        ({"drawdown": {"cleared": 0.5}}, "cleared must be below limit, found 0.5 and 0.2"),
        ({"drawdown": {"action": "panic"}}, "risk.guards.drawdown.action"),
        ({"luck": {"action": "halt"}}, "risk.guards.luck"),
        ({"drawdown": 5}, "risk.guards.drawdown"),
        ("halt", "risk.guards"),
    ],
)
def test_a_guard_that_cannot_be_is_refused(guards: object, words: str) -> None:
    """By its name; nothing is guessed."""
    with pytest.raises(ValidationError) as refused:
        Settings(risk={"guards": guards})  # type: ignore[arg-type]
    assert words in " ".join([".".join(map(str, error["loc"])) + ": " + error["msg"] for error in refused.value.errors()])


def numbers_of(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield every setting that is one number, by its dotted key."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from numbers_of(field.annotation, f"{prefix}{name}.")
        elif field.annotation in (int, float, Decimal):
            yield f"{prefix}{name}", field


@pytest.mark.parametrize("key", [key for key, field in numbers_of(Settings) if field.annotation is not int])
def test_no_number_is_infinite(key: str) -> None:
    """A wait of an infinite time, or a limit of infinite dollars, would only fail when it is reckoned with: in the middle of a session."""
    *sections, name = key.split(".")
    table: Any = {name: float("inf")}
    for section in reversed(sections):
        table = {section: table}

    assert any("finite number" in problem or "less than or equal to" in problem for problem in problems_of(**table))


def test_every_length_of_time_fits_into_one() -> None:
    """Whatever is asked for, the moment at which it ends has a date."""
    lengths = {key: field for key, field in numbers_of(Settings) if key.endswith(("_seconds", "_days", "_minutes"))}
    assert len(lengths) >= 12
    for key, field in lengths.items():
        most = next(float(bound.le) for bound in field.metadata if hasattr(bound, "le"))
        unit = {"seconds": 1, "minutes": 60, "days": 86_400}[key.rpartition("_")[2]]
        assert datetime(2027, 12, 31, tzinfo=UTC) + timedelta(seconds=most * unit) < datetime(9999, 1, 1, tzinfo=UTC), key
