"""Talking to the daemon of a state directory over its own HTTP door.

Blocking, and from the standard library: these commands should be quick.
"""

import http.client
import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from alchemiser.domain.errors import AlchemiserError, ConfigError, NoDaemon, SafetyRefused
from alchemiser.service.http_address import url_of
from alchemiser.service.settings import Settings
from alchemiser.service.state_file import read_http_address

DEADLINE_SECONDS: Final = 5.0
CONTROL_DEADLINE_SECONDS: Final = 60.0
PLAN_DEADLINE_SECONDS: Final = 60.0


class Answer(msgspec.Struct, frozen=True):
    """What the daemon answered: the status and the document."""

    status: int
    document: dict[str, Any]


class ControlRefused(AlchemiserError):
    """The daemon understood the request and will not do it now."""

    exit_code = 4


def daemon_url(settings: Settings) -> str:
    """Return where the daemon of these settings is expected: what it wrote to its state directory, else ``service.http``."""
    address = read_http_address(settings.service.state)
    return address.url if address else url_of(settings.service.http)


def ask(settings: Settings, path: str, *, deadline_seconds: float = DEADLINE_SECONDS) -> Answer:
    """Ask the daemon. Raises ``NoDaemon`` when none answers."""
    return _request(settings, "GET", path, None, deadline_seconds)


def tell(
    settings: Settings, action: str, arguments: Mapping[str, Any], *, deadline_seconds: float = CONTROL_DEADLINE_SECONDS
) -> dict[str, Any]:
    """Have the daemon do something and return what it did. Raises ``NoDaemon``, ``SafetyRefused`` without the token, ``ControlRefused``."""
    answer = _request(settings, "POST", f"/api/v1/{action}", arguments, deadline_seconds)
    if answer.status == 200:
        return answer.document
    error = answer.document.get("error", {})
    text = error.get("message", f"HTTP {answer.status}") if isinstance(error, dict) else str(error)
    if answer.status in (401, 403):
        raise SafetyRefused(f"{action} was refused: {text}")
    raise ControlRefused(f"{action} was refused: {text}")


def _request(settings: Settings, method: str, path: str, arguments: Mapping[str, Any] | None, deadline_seconds: float) -> Answer:
    url = daemon_url(settings)
    parts = urlsplit(url)
    if parts.hostname is None or not parts.port:
        raise NoDaemon(f"no daemon has written its address to {settings.service.state}, and service.http names no port to ask")
    headers = {"Accept": "application/json"}
    if settings.service.token:
        headers["Authorization"] = f"Bearer {settings.service.token.get_secret_value()}"
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=deadline_seconds)
    try:
        connection.request(method, path, body=None if arguments is None else json.dumps(arguments), headers=headers)
        response = connection.getresponse()
        body = response.read()
    except TimeoutError as error:
        raise NoDaemon(f"the daemon at {url} did not answer within {deadline_seconds:g} s: it may be stuck, see its log") from error
    except ConnectionRefusedError as error:
        raise NoDaemon(f"no daemon answers at {url}") from error
    except (OSError, http.client.HTTPException) as error:
        raise NoDaemon(f"no daemon answers at {url} ({type(error).__name__}: {error})") from error
    finally:
        connection.close()
    return Answer(response.status, _document(body, url))


def _document(body: bytes, url: str) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except ValueError as error:
        raise ConfigError(f"what answers at {url} is not the daemon: its answer is not JSON; check service.http") from error
    if not isinstance(document, dict):
        raise ConfigError(f"what answers at {url} is not the daemon; check service.http")
    return document
