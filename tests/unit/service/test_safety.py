"""What a person must have agreed to."""

import pytest

from alchemiser.domain.errors import SafetyRefused
from alchemiser.service.safety import is_loopback, require_live_agreement, require_private_door
from alchemiser.service.settings import Settings


def with_alpaca(**alpaca: str) -> Settings:
    """Return settings with this table."""
    return Settings.model_validate({"alpaca": alpaca})


@pytest.mark.parametrize("mode", ["embedded", "paper"])
def test_other_modes_need_no_agreement(mode: str) -> None:
    """Paper and embedded trade no money."""
    require_live_agreement(with_alpaca(mode=mode), live_agreed=False)


@pytest.mark.parametrize(
    ("alpaca", "live_agreed", "reported", "text"),
    [
        ({"mode": "paper"}, True, None, "both must say live"),
        ({"mode": "live", "account_number": "A1"}, False, None, "--live was not given"),
        ({"mode": "live"}, True, None, "needs alpaca.account_number"),
        ({"mode": "live", "account_number": "A1"}, True, "B2", "belong to account B2, but alpaca.account_number is A1"),
        ({"mode": "live", "account_number": "A1"}, False, "A1", "--live was not given"),
    ],
)
def test_live_trading_needs_three_things_that_agree(alpaca: dict[str, str], live_agreed: bool, reported: str | None, text: str) -> None:
    """Whatever of the three is missing or different, nothing is traded, and the message names it."""
    with pytest.raises(SafetyRefused, match=text):
        require_live_agreement(with_alpaca(**alpaca), live_agreed=live_agreed, account_number=reported)


def test_live_trading_is_allowed_when_all_three_agree() -> None:
    """Flag, mode and account number: then, and only then."""
    settings = with_alpaca(mode="live", account_number="A1")

    require_live_agreement(settings, live_agreed=True)
    require_live_agreement(settings, live_agreed=True, account_number="A1")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),  # noqa: S104
        ("::", False),
        ("10.0.0.1", False),
        ("here", False),
    ],
)
def test_loopback_is_this_machine_only(host: str, expected: bool) -> None:
    """A name other than localhost is not trusted to be this machine."""
    assert expected == is_loopback(host)


@pytest.mark.parametrize("http", ["0.0.0.0:8080", "[::]:8080", "10.0.0.1:80"])
def test_a_wide_door_needs_a_token(http: str) -> None:
    """Others may only reach the daemon when control is protected."""
    with pytest.raises(SafetyRefused, match=r"service\.token"):
        require_private_door(Settings.model_validate({"service": {"http": http}}))

    require_private_door(Settings.model_validate({"service": {"http": http, "token": "x" * 20}}))


def test_loopback_needs_no_token() -> None:
    """The default is private."""
    require_private_door(Settings())
    require_private_door(Settings.model_validate({"service": {"http": "[::1]:0"}}))
