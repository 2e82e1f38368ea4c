"""What a person must have agreed to before the daemon does it. Pure checks; the daemon and its door call them."""

import ipaddress

from alchemiser.domain.errors import SafetyRefused
from alchemiser.service.settings import Settings


def require_live_agreement(settings: Settings, *, live_agreed: bool, account_number: str | None = None) -> None:
    """Raise ``SafetyRefused`` unless everything agrees that this account may be traded with real money, or the mode is another.

    Three things must agree: ``--live`` on the command line, ``mode = "live"``, and the account number of the settings with the one that
    the broker reports. Before the broker was asked, ``account_number`` is ``None`` and only the presence of ours is checked.
    """
    mode = settings.alpaca.mode
    if mode != "live":
        if live_agreed:
            raise SafetyRefused(f'--live was given, but alpaca.mode is "{mode}" in the settings; both must say live. Nothing was started')
        return
    if not live_agreed:
        raise SafetyRefused('alpaca.mode is "live", but --live was not given on the command line; nothing was started')
    expected = settings.alpaca.account_number
    if not expected:
        raise SafetyRefused(
            "live trading needs alpaca.account_number in the settings, equal to the one that Alpaca reports; nothing was started"
        )
    if account_number is not None and account_number != expected:
        raise SafetyRefused(
            f"the credentials belong to account {account_number}, but alpaca.account_number is {expected}; nothing was traded"
        )


def require_private_door(settings: Settings) -> None:
    """Raise ``SafetyRefused`` when the HTTP address is wider than loopback and there is no token to protect it."""
    host = settings.service.http.rpartition(":")[0].strip("[]")
    if not settings.service.token and not is_loopback(host):
        raise SafetyRefused(
            f"service.http is {settings.service.http}, which others can reach, and there is no service.token; "
            "set a token or use 127.0.0.1. Nothing was started"
        )


def is_loopback(host: str) -> bool:
    """Return whether ``host`` is this machine only; a name counts only when it is ``localhost``."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
