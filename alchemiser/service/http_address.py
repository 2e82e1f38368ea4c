"""Addresses of the door as text: ``host:port`` and the URL under which this machine reaches it."""

from typing import Final

_EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - looked up, never bound to


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of ``host:port``; an IPv6 host may stand in brackets."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def url_of(address: str) -> str:
    """Return the URL under which this machine reaches a door that is bound to ``host:port``."""
    host, port = split_address(address)
    reachable = _EVERYWHERE.get(host, host)
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"
