"""The one place where settings are read: the layers in their order, what is wrong with them in words, and where each value came from."""

import difflib
import os
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, get_args, get_origin

from msgspec import Struct
from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from alchemiser.domain.errors import AlchemiserError, ConfigError
from alchemiser.service.settings import Settings
from alchemiser.service.settings_sources import (
    Layer,
    command_line_layer,
    environment_layer,
    file_layer,
    flatten,
    keyring_layer,
    mentions,
    secret_directories,
    secret_files_layer,
)

FILE_NAME: Final = "alchemiser.toml"
"""The settings file that is read from the working directory when there is one and no other was named."""

DEFAULT: Final = "default"
_CHARACTERS_SHOWN: Final = 60
_TABLE_PROBLEMS: Final = ("dict_type", "model_type", "model_attributes_type")


class LoadedSettings(Struct, frozen=True):
    """The settings, and for every dotted key the place it came from (``default`` where nothing set it)."""

    settings: Settings
    places: Mapping[str, str]
    file: Path | None


def load_settings(
    *,
    config: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    directory: Path | None = None,
    secrets: tuple[Path, ...] | None = None,
) -> LoadedSettings:
    """Read every source and return the settings.

    ``overrides`` are dotted keys from the command line. ``config`` must exist; without it ``alchemiser.toml`` in ``directory`` (the
    working directory) is read if it is there. ``environ`` and ``secrets`` are the process's own unless given.
    The strategies come whole from the highest source that names any: a strategy of a lower one never joins in.
    Raises ``ConfigError`` that lists every problem, one a line.
    """
    environ = os.environ if environ is None else environ
    path = config or (directory or Path.cwd()) / FILE_NAME
    file = path if config is not None or path.exists() else None
    layers = [
        command_line_layer(overrides or {}),
        environment_layer(environ),
        secret_files_layer(secret_directories(environ) if secrets is None else secrets),
        *([file_layer(file)] if file else []),
    ]
    # Where the key ring is may be said in any of them; what it holds counts like secret files, and after those.
    service = next((layer.values["service"]["keyring"] for layer in layers if mentions(layer.values, "service.keyring")), None)
    if service:
        layers.insert(3, keyring_layer(str(service)))
    naming = [layer for layer in layers if mentions(layer.values, "strategies")]
    for lower in naming[1:]:
        del lower.values["strategies"]

    try:
        settings = Settings.model_validate({"layers": layers})
    except ValidationError as error:
        problems = [_in_words(problem, layers) for problem in error.errors(include_url=False)]
        # Not chained: pydantic's own text would print the values, secrets among them.
        raise ConfigError("\n".join(dict.fromkeys(problems)) + "; nothing was started") from None
    return LoadedSettings(settings=settings, places=_places(settings, layers), file=file)


def describe(loaded: LoadedSettings) -> Iterator[tuple[str, Any, str]]:
    """Yield every setting as (dotted key, plain value, place it came from). Secrets are masked."""
    for key, value in flatten(loaded.settings.model_dump()):
        yield key, _plain(value), loaded.places[key]


class Difference(Struct, frozen=True):
    """A setting that has another value in one of two; secrets are masked."""

    key: str
    before: Any
    after: Any


def differences(before: Settings, after: Settings) -> list[Difference]:
    """Return the settings that differ, in their order; a strategy that only one of them has shows as ``None`` in the other."""
    one, other = dict(flatten(before.model_dump())), dict(flatten(after.model_dump()))
    return [
        Difference(key, _plain(one.get(key)), _plain(other.get(key)))
        for key in dict.fromkeys((*one, *other))
        if one.get(key) != other.get(key)
    ]


def in_words_of_a_reload(error: AlchemiserError) -> str:
    """Return the text of an error as it is true of a daemon that runs: those of a start say that nothing was started."""
    text = str(error).replace("nothing was started", "nothing was changed")
    return text if "nothing was changed" in text else f"{text}; nothing was changed"


def _plain(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return "**********"
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _places(settings: Settings, layers: list[Layer]) -> dict[str, str]:
    places = {}
    for key, _ in flatten(settings.model_dump()):
        found = next((place for layer in layers if (place := layer.place_of(key))), None)
        places[key] = found or DEFAULT
    return places


def _in_words(problem: ErrorDetails, layers: list[Layer]) -> str:
    """Say one problem of validation the way an operator can act on it: place, key, found, expected."""
    location = tuple(str(part) for part in problem["loc"])
    key = _key_of(location)
    place = next((place for layer in layers if (place := layer.place_of(key))), None)
    prefix = f"{place}: " if place else ""
    if problem["type"] == "extra_forbidden":
        return f"{prefix}{key} is not a setting{_suggestion(location)}"
    if problem["type"] == "missing":
        return f"{key} is missing and has no default"
    message = problem["msg"].removeprefix("Value error, ")
    if not location:
        place = next((place for layer in layers if (place := layer.place_of("strategies"))), None)
        return f"{place}: {message}" if place else message
    if _is_secret(location):
        return f"{prefix}{key} is not text that could be a secret"
    expected = message[0].lower() + message[1:]
    expected = expected.removeprefix("input should be ")
    if not expected.startswith("expected "):
        expected = f"expected {expected}"
    if problem["type"] in _TABLE_PROBLEMS:
        expected = "expected a table"
    return f"{prefix}{key} = {_shown(problem['input'])}: {expected}"


def _shown(value: Any) -> str:
    text = (
        f"[{', '.join(map(_shown, value))}]"
        if isinstance(value, list | tuple)
        else str(value)
        if isinstance(value, Decimal)
        else repr(value)
    )
    return text if len(text) <= _CHARACTERS_SHOWN else f"{text[:_CHARACTERS_SHOWN]}..."


def _key_of(location: tuple[str, ...]) -> str:
    """Return the dotted key of a problem, without the parts that pydantic adds for alternatives and list items."""
    key: list[str] = []
    node: Any = Settings
    for part in location:
        if node is None:
            break
        key.append(part)
        node = _below(node, part)
    return ".".join(key)


def _below(node: Any, part: str) -> Any:
    if get_origin(node) is dict:
        return get_args(node)[1]  # a table of tables, whatever their names
    if isinstance(node, type) and issubclass(node, BaseModel) and part in node.model_fields:
        annotation = node.model_fields[part].annotation
        is_table = get_origin(annotation) is dict or (isinstance(annotation, type) and issubclass(annotation, BaseModel))
        return annotation if is_table else None
    return None


def _is_secret(location: tuple[str, ...]) -> bool:
    node: Any = Settings
    for part in location[:-1]:
        node = _below(node, part)
    field = node.model_fields.get(location[-1]) if isinstance(node, type) and issubclass(node, BaseModel) else None
    return field is not None and SecretStr in getattr(field.annotation, "__args__", ())


def _suggestion(location: tuple[str, ...]) -> str:
    """Name the setting that was probably meant: first in the same table, then anywhere."""
    node: Any = Settings
    for part in location[:-1]:
        node = _below(node, part)
    table = ".".join(location[:-1])
    siblings = list(node.model_fields) if isinstance(node, type) and issubclass(node, BaseModel) else []
    near = difflib.get_close_matches(location[-1], siblings, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {'.'.join(filter(None, (table, near[0])))}?"
    every = [key for key, _ in flatten(Settings().model_dump()) if not key.startswith("strategies.")]
    wanted = [key for key in every if key.rpartition(".")[2] == location[-1]] or difflib.get_close_matches(
        ".".join(location), every, n=1, cutoff=0.75
    )
    if wanted:
        return f"; did you mean {wanted[0]}?"
    return f"; {table or 'the file'} knows {', '.join(siblings)}" if siblings else ""
