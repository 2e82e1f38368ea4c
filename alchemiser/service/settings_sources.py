"""The places settings come from, each read into a layer: nested values, and in words where every key of it stands.

Reading decides nothing: unknown keys and wrong values are found when the layers are validated together, and the layer then says
which place to mend. Highest first: command line, environment, secret files, key ring, settings file.
"""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from msgspec import Struct, field
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from alchemiser.domain.errors import ConfigError
from alchemiser.service.deferred import load

PREFIX: Final = "ALCHEMISER_"
ALPACA_NAMES: Final = {"APCA_API_KEY_ID": "alpaca.key_id", "APCA_API_SECRET_KEY": "alpaca.secret_key"}
"""Alpaca's own names of the credentials, which its other clients use too."""

KEYRING_NAMES: Final = {
    "apca_api_key_id": "alpaca.key_id",
    "apca_api_secret_key": "alpaca.secret_key",
    "alchemiser_service__token": "service.token",
    "alchemiser_notifications__urls": "notifications.urls",
}
"""What is looked for in a key ring, which cannot be listed."""

_DELIMITER: Final = "__"
_BYTES_OF_A_SECRET_AT_MOST: Final = 64 * 1024
_TABLE: Final = re.compile(r"\s*\[\s*([^\[\]]+?)\s*\]")
_KEY: Final = re.compile(r"\s*([A-Za-z0-9_.\"'-]+)\s*=")


class WrittenText(str):
    """A value that was text at its source, because the source knows nothing else: the environment, a secret file."""

    __slots__ = ()


class Layer(Struct, frozen=True):
    """What one source says. ``places`` maps dotted keys to where exactly they stand, as far as that is known."""

    name: str
    values: dict[str, Any]
    places: dict[str, str] = field(default_factory=dict)

    def place_of(self, key: str) -> str | None:
        """Return where ``key`` stands, or else the table around it or a key below; ``None`` when this layer does not mention it."""
        if not mentions(self.values, key):
            return None
        below = next((place for other, place in self.places.items() if other.startswith(f"{key}.")), self.name)
        while key:
            if key in self.places:
                return self.places[key]
            key = key.rpartition(".")[0]
        return below


class LayerSource(PydanticBaseSettingsSource):
    """A layer, in the shape in which pydantic-settings merges sources."""

    def __init__(self, settings_cls: type[BaseSettings], layer: Layer) -> None:
        super().__init__(settings_cls)
        self._layer = layer

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return the layer's value of one top-level field."""
        return self._layer.values.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return the values of the layer."""
        return self._layer.values


def mentions(values: Mapping[str, Any], key: str) -> bool:
    """Return whether the nested ``values`` have something at the dotted ``key``."""
    node: Any = values
    for part in key.split("."):
        if not isinstance(node, Mapping) or part not in node:
            return False
        node = node[part]
    return True


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every leaf of the nested ``values`` with its dotted key."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def command_line_layer(overrides: Mapping[str, Any]) -> Layer:
    """Return the layer of dotted keys that were set on the command line; ``None`` means not set."""
    layer = Layer(name="command line", values={})
    for key, value in overrides.items():
        if value is not None:
            _put(layer, key, value, "command line")
    return layer


def environment_layer(environ: Mapping[str, str]) -> Layer:
    """Return the layer of ``ALCHEMISER_SECTION__NAME`` and of Alpaca's own two names.

    An empty variable is as good as none. A value that begins with ``{`` or ``[`` is JSON.
    Raises ``ConfigError`` when it cannot be read as such.
    """
    layer = Layer(name="environment", values={})
    for name, key in ALPACA_NAMES.items():
        if environ.get(name):
            _put(layer, key, WrittenText(environ[name]), f"environment variable {name}")
    for name in sorted(environ):
        if name.upper().startswith(PREFIX) and environ[name]:
            place = f"environment variable {name}"
            _put(layer, _key_of(name), _from_text(environ[name], place), place)
    return layer


def secret_files_layer(directories: tuple[Path, ...]) -> Layer:
    """Return the layer of secret files: each is named like the environment variable it stands for, in any case, and holds only the value.

    Other files are somebody else's. The first directory wins. Raises ``ConfigError`` for a file that is meant for us and cannot be read.
    """
    layer = Layer(name="secret files", values={})
    for directory in reversed(directories):
        try:
            paths = sorted(path for path in directory.iterdir() if path.is_file())
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            continue  # Most machines have no such directory, and one we may not list was not given to us.
        for path in paths:
            name = path.name.upper()
            if name in ALPACA_NAMES or name.startswith(PREFIX):
                _put(layer, ALPACA_NAMES.get(name) or _key_of(name), WrittenText(_read_secret(path)), f"secret file {path}")
    return layer


def keyring_layer(service: str) -> Layer:
    """Return the layer of secrets in the key ring of this machine, under that service; each is named like its secret file.

    Raises ``ConfigError`` when the key ring cannot be asked.
    """
    try:
        ask = load("keyring:get_password")
    except ImportError as error:
        raise ConfigError("service.keyring needs the extra: pip install 'alchemiser[keyring]'; nothing was started") from error
    layer = Layer(name="key ring", values={})
    for name, key in KEYRING_NAMES.items():
        try:
            secret = ask(service, name)
        except (RuntimeError, OSError) as error:  # All errors of the library are of the first kind, those of its back ends of either.
            raise ConfigError(f"service.keyring = {service!r}: the key ring cannot be asked: {error}; nothing was started") from None
        if secret:
            _put(layer, key, WrittenText(secret), f"key ring {service}, {name}")
    return layer


def secret_directories(environ: Mapping[str, str], *, docker: Path = Path("/run/secrets")) -> tuple[Path, ...]:
    """Return where systemd and Docker put secret files, systemd first."""
    systemd = environ.get("CREDENTIALS_DIRECTORY")
    return (Path(systemd), docker) if systemd else (docker,)


def file_layer(path: Path) -> Layer:
    """Return the layer of a settings file. Raises ``ConfigError`` when it cannot be read as TOML."""
    try:
        text = path.read_text(encoding="utf-8")
        values = tomllib.loads(text, parse_float=Decimal)
    except OSError as error:
        raise ConfigError(f"{path}: the settings file cannot be read ({error.strerror}); nothing was started") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: the settings file is not UTF-8 text (byte {error.start}); nothing was started") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}; nothing was started") from error
    lines = _lines_of_keys(text)
    return Layer(name=str(path), values=values, places={key: f"{path}, line {line}" for key, line in lines.items()})


def _put(layer: Layer, key: str, value: Any, place: str) -> None:
    *tables, name = key.split(".")
    node = layer.values
    for depth, table in enumerate(tables, start=1):
        layer.places.setdefault(".".join(tables[:depth]), place)
        inner = node.setdefault(table, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"{place}: {key} cannot be set, because {table} was set as a whole elsewhere; nothing was started")
        node = inner
    node[name] = value
    layer.places[key] = place


def _key_of(name: str) -> str:
    return name[len(PREFIX) :].lower().replace(_DELIMITER, ".")


def _from_text(text: str, place: str) -> Any:
    if text[:1] not in ("{", "["):
        return WrittenText(text)
    try:
        return json.loads(text, parse_float=Decimal)
    except ValueError as error:
        raise ConfigError(f"{place}: looks like JSON and is not: {error}; nothing was started") from error


def _read_secret(path: Path) -> str:
    try:
        if path.stat().st_size > _BYTES_OF_A_SECRET_AT_MOST:
            raise ConfigError(f"secret file {path}: larger than {_BYTES_OF_A_SECRET_AT_MOST} bytes; nothing was started")
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(f"secret file {path}: cannot be read ({error.strerror}); nothing was started") from error
    except UnicodeDecodeError as error:
        # Not chained: the error carries the bytes of the secret.
        raise ConfigError(f"secret file {path}: not UTF-8 text (byte {error.start}); nothing was started") from None


def _lines_of_keys(text: str) -> dict[str, int]:
    """Find the line of each table and key by their usual spelling; one that is spelled otherwise is placed by the table around it."""
    lines: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _TABLE.match(line):
            table = _plain(header[1])
            lines.setdefault(table, number)
        elif key := _KEY.match(line):
            lines.setdefault(".".join(filter(None, (table, _plain(key[1])))), number)
    return lines


def _plain(dotted: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in dotted.split("."))
