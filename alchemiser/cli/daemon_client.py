"""Talking to the daemon of a state directory over its own HTTP door.

A daemon is found by what it wrote to its state directory and by nothing else, and each request names the process that is meant: another
daemon on the same machine, or one that got the port of one that died, never answers in its place and is never paused or halted for it.

Blocking, and from the standard library: these commands should be quick.
"""

import http.client
import json
import os
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from alchemiser.domain.errors import AlchemiserError, ConfigError, NoDaemon, SafetyRefused, UsageError
from alchemiser.service.settings import Settings
from alchemiser.service.state_file import PROCESS_HEADER, HttpAddress, read_http_address

DEADLINE_SECONDS: Final = 5.0
CONTROL_DEADLINE_SECONDS: Final = 60.0
PLAN_DEADLINE_SECONDS: Final = 60.0
FAILED: Final = 500
ANOTHER_PROCESS: Final = 421


class Answer(msgspec.Struct, frozen=True):
    """What the daemon answered: the status and the document."""

    status: int
    document: dict[str, Any]


class ControlRefused(AlchemiserError):
    """The daemon understood the request and will not do it now."""

    exit_code = 4


def announced(settings: Settings) -> HttpAddress:
    """Return where the daemon of these settings is, as it wrote to its state directory. Raises ``NoDaemon`` when it wrote nothing."""
    address = read_http_address(settings.service.state)
    if address is None:
        state = settings.service.state
        if state.is_dir() and not os.access(state, os.R_OK | os.X_OK):
            raise NoDaemon(f"{state} may not be read by this user; ask as the user of the daemon, or as root")
        raise NoDaemon(f"no daemon has written its address to {state}: none runs there; name the right directory with --state")
    return address


def headers_for(settings: Settings, address: HttpAddress) -> dict[str, str]:
    """Return what every request carries: the process that is meant, and the token of the settings."""
    headers = {"Accept": "application/json", PROCESS_HEADER: str(address.pid)}
    if settings.service.token:
        headers["Authorization"] = f"Bearer {settings.service.token.get_secret_value()}"
    return headers


def ask(settings: Settings, path: str, *, deadline_seconds: float = DEADLINE_SECONDS) -> Answer:
    """Ask the daemon. Raises ``NoDaemon`` when none answers."""
    return _request(settings, "GET", path, None, deadline_seconds)


def tell(
    settings: Settings, action: str, arguments: Mapping[str, Any], *, deadline_seconds: float = CONTROL_DEADLINE_SECONDS
) -> dict[str, Any]:
    """Have the daemon do something and return what it did.

    Raises ``NoDaemon``, ``SafetyRefused`` without the token, ``UsageError`` for arguments that make no sense to the daemon, ``ConfigError``
    for settings that it cannot take, and ``ControlRefused`` for what it will not do now.
    """
    answer = _request(settings, "POST", f"/api/v1/{action}", arguments, deadline_seconds)
    if answer.status == 200:
        return answer.document
    raise refusal_of(answer, action)


def refusal_of(answer: Answer, what: str) -> AlchemiserError:
    """Return the error that a refusal of the daemon is, by its status and its words."""
    error = answer.document.get("error", {})
    code, text = (error.get("code"), error.get("message", f"HTTP {answer.status}")) if isinstance(error, dict) else (None, str(error))
    if code == ConfigError.__name__:
        return ConfigError(text)
    kind = {400: UsageError, 401: SafetyRefused, 403: SafetyRefused}.get(answer.status, ControlRefused)
    return kind(f"{what} was refused: {text}")


def _request(settings: Settings, method: str, path: str, arguments: Mapping[str, Any] | None, deadline_seconds: float) -> Answer:
    address = announced(settings)
    url = address.url
    # http.client writes headers in Latin-1; written so, they are the bytes of the text in UTF-8, as the daemon reads them.
    headers = {name: value.encode().decode("latin-1") for name, value in headers_for(settings, address).items()}
    connection = http.client.HTTPConnection(urlsplit(url).hostname or address.host, address.port, timeout=deadline_seconds)
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
    if response.status == ANOTHER_PROCESS:
        raise NoDaemon(f"the daemon of {settings.service.state} (process {address.pid}) is gone; what answers at {url} is another daemon")
    if response.status == FAILED:
        raise AlchemiserError(f"the daemon at {url} failed at {method} {path}; its log has the reason")
    return Answer(response.status, _document(body, url))


def _document(body: bytes, url: str) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except ValueError as error:
        raise ConfigError(f"what answers at {url} is not the daemon: its answer is not JSON; check service.http") from error
    if not isinstance(document, dict):
        raise ConfigError(f"what answers at {url} is not the daemon; check service.http")
    return document
