"""Whom the daemon trusts: one TLS context for the whole process, read once from the system's certificates, and not on the event loop.

Reading them takes tens of milliseconds. aiohttp does it while it is imported and websockets at every connection, reconnects in mid-session
included; both are given this context instead. A daemon that talks to an exchange on the loopback never needs one.
"""

import asyncio
import os
import ssl
from collections.abc import Iterable
from functools import cache

# aiohttp fills a context of its own during its import. It finds an empty list of certificates then, and trusts nobody without ours.
_LIST_OF_CERTIFICATES = "SSL_CERT_FILE"
_list = os.environ.get(_LIST_OF_CERTIFICATES)
os.environ[_LIST_OF_CERTIFICATES] = os.devnull
try:
    import aiohttp.connector  # noqa: F401
finally:
    if _list is None:
        del os.environ[_LIST_OF_CERTIFICATES]
    else:
        os.environ[_LIST_OF_CERTIFICATES] = _list


@cache
def trust() -> ssl.SSLContext:
    """Return the context for clients: the system's certificates, or those that ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` name."""
    return ssl.create_default_context()


def needs_trust(url: str) -> bool:
    """Return whether a connection to this address is encrypted."""
    return url.startswith(("https:", "wss:"))


async def prepare_trust(urls: Iterable[str]) -> None:
    """Read the certificates in a thread if any of the addresses needs them, so that no connection holds up the event loop for it."""
    if any(needs_trust(url) for url in urls):
        await asyncio.to_thread(trust)
