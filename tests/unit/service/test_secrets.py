"""Striking secrets out of texts."""

from alchemiser.service.secrets import MASK, SecretMasker, secrets_of
from alchemiser.service.settings import Settings


def test_every_secret_of_the_settings_is_known() -> None:
    """Key, secret key and token are all found in the tree."""
    settings = Settings.model_validate({"alpaca": {"key_id": "PKXXXXXX", "secret_key": "SECRETKEY"}, "service": {"token": "TOKEN1"}})

    assert ["PKXXXXXX", "SECRETKEY", "TOKEN1"] == list(secrets_of(settings))


def test_a_secret_that_contains_another_goes_whole() -> None:
    """The longest is struck out first, so that no rest of it stays."""
    masker = SecretMasker(["secret", "secret-and-more"])

    assert f"a {MASK} b {MASK}" == masker.text("a secret-and-more b secret")


def test_short_values_are_not_searched_for() -> None:
    """A secret of a few letters would strike out ordinary words."""
    assert "banana" == SecretMasker(["an"]).text("banana")


def test_nested_values_are_followed() -> None:
    """Mappings, their keys, sequences and bytes are masked; other types are left as they are."""
    masker = SecretMasker()
    masker.add(["HUSHHUSH"])

    masked = masker.value({"HUSHHUSH": [b"x HUSHHUSH", ("HUSHHUSH", 5)], "n": None, "s": {"HUSHHUSH"}})

    assert {MASK: [f"x {MASK}", [MASK, 5]], "n": None, "s": [MASK]} == masked


def test_without_secrets_values_are_left_alone() -> None:
    """Nothing is copied when there is nothing to hide."""
    value = {"a": b"b"}

    assert SecretMasker().value(value) is value
