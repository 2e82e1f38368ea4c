"""The reference page of the settings, written from the tree itself so that it cannot be out of date."""

import types
from collections.abc import Iterator
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from alchemiser.market.schedule import Schedule
from alchemiser.service.settings import Settings
from alchemiser.service.settings_effect import effect_of
from alchemiser.service.settings_risk import GuardSettings, GuardsSettings, SpinOffSettings
from alchemiser.service.settings_section import When
from alchemiser.service.settings_trading import GroupSettings, StrategySettings

_HEAD: Final = """# Settings

<!-- Written by `alchemiser config reference`; a test compares it. -->

A setting comes from the first of these that names it:

1. the command line (`--state`, `--strategy`, `--bars`, `--speed`, `--embedded`, `--paper`),
2. the environment: `ALCHEMISER_SECTION__NAME`, for example `ALCHEMISER_SERVICE__HTTP=127.0.0.1:0`; also `APCA_API_KEY_ID` and
   `APCA_API_SECRET_KEY`,
3. secret files in `$CREDENTIALS_DIRECTORY` (systemd) and `/run/secrets` (Docker), named like the variable in lower case, for example
   `apca_api_key_id` or `alchemiser_service__token`,
4. the key ring of the machine, under the service that `service.keyring` names, with the same names (extra `keyring`),
5. the settings file: `--config FILE`, else `alchemiser.toml` in the working directory,
6. the default.

The strategies come whole from the first source that names any.
A variable may hold JSON where a table or a list is wanted; a list of numbers may also be written with commas.
An unknown key, a value of the wrong type and shares that do not add up to 1 stop the start with exit code 3 and say which line to mend.
`alchemiser config show` prints every value and where it came from.

The column *Changed* says when a daemon that runs works by another value, once it was told to read the settings again (`alchemiser reload`,
`systemctl reload alchemiser`, SIGHUP): **at once**; at the next **decision**, never amid a rebalance; or only after a **restart**, with the
reason below the table. `alchemiser reload --check` says what would change. See
[settings changed while it runs](deploy.md#settings-changed-while-it-runs).
"""

_MARKS: Final = {When.AT_ONCE: "at once", When.NEXT_DECISION: "decision", When.NEXT_START: "restart"}

_BOUNDS: Final = {
    "gt": "above",
    "ge": "from",
    "lt": "below",
    "le": "up to",
    "min_length": "at least",
    "max_length": "at most",
}
_WORDS: Final = {
    int: "whole number",
    float: "number",
    Decimal: "number",
    bool: "true or false",
    str: "text",
    Path: "path",
    SecretStr: "secret",
}


def reference() -> str:
    """Return the page as Markdown."""
    defaults = Settings()
    parts = [_HEAD]
    for name in Settings.model_fields:
        section = getattr(defaults, name)
        if name == "strategies":
            parts.append(_strategies())
        elif name == "portfolio":
            parts += [_section(name, section), _groups()]
        elif name == "risk":
            parts += [_section(name, section), _guards()]
        elif name == "ledger":
            parts += [_section(name, section), _spin_offs()]
        else:
            parts.append(_section(name, section))
    return "".join(parts)


def _section(name: str, section: BaseModel) -> str:
    return f"\n## {name}\n\n{_first_line(type(section))}\n\n{_table(name, type(section))}"


def _groups() -> str:
    return "\nOne table per group: `[portfolio.groups.NAME]`. Default: none.\n\n" + _table("portfolio.groups.NAME", GroupSettings)


def _guards() -> str:
    rows = "".join(
        f"| `risk.guards.{name}` | `{one['action']}` | `{one['limit']}` | `{one['cleared']}` |\n"
        for name, one in GuardsSettings.defaults.items()
    )
    return (
        f"\n{_first_line(GuardsSettings)} One table per guard: `[risk.guards.NAME]`.\n\n"
        f"| Guard | `action` | `limit` | `cleared` |\n|---|---|---|---|\n{rows}\n" + _table("risk.guards.NAME", GuardSettings)
    )


def _spin_offs() -> str:
    return "\nOne table per spun-off symbol: `[ledger.spin_offs.SYMBOL]`. Default: none.\n\n" + _table(
        "ledger.spin_offs.SYMBOL", SpinOffSettings
    )


def _strategies() -> str:
    return "\n## strategies\n\nOne table per strategy: `[strategies.NAME]`. Default: `tecl` with the whole account.\n\n" + _table(
        "strategies.NAME", StrategySettings
    )


def _table(prefix: str, section: type[BaseModel]) -> str:
    lines = ["| Key | Type | Default | Changed | Meaning |\n", "|---|---|---|---|---|\n"]
    for name, field in section.model_fields.items():
        if get_origin(field.annotation) is dict or field.annotation is GuardsSettings:
            continue  # a table of tables has its own
        default = _default(None if field.is_required() else field.get_default(call_default_factory=True))
        effect = effect_of(field, section)
        assert effect is not None, f"{prefix}.{name} says when a change of it takes effect"
        lines.append(f"| `{prefix}.{name}` | {_type(field)} | {default} | {_MARKS[effect.when]} | {field.description} |\n")
    return "".join(lines) + "".join(_late_ones(prefix, section))


def _late_ones(prefix: str, section: type[BaseModel]) -> Iterator[str]:
    """Say which settings of a table need a restart, and why."""
    reasons: dict[str, list[str]] = {}
    for name, field in section.model_fields.items():
        effect = effect_of(field, section)
        if effect is not None and effect.when is When.NEXT_START:
            reasons.setdefault(effect.because, []).append(f"`{prefix}.{name}`")
    if reasons:
        yield "\nNeed a restart: "
        yield "; ".join(f"{', '.join(names)} ({because})" for because, names in reasons.items())
        yield ".\n"


def _first_line(section: type[BaseModel]) -> str:
    return (section.__doc__ or "").strip().splitlines()[0]


def _type(field: FieldInfo) -> str:
    words = " or ".join(dict.fromkeys(_words(field.annotation)))
    bounds = ", ".join(_bounds(field))
    return f"{words}, {bounds}" if bounds else words


def _words(annotation: Any) -> Iterator[str]:
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        for part in get_args(annotation):
            if part is not type(None):
                yield from _words(part)
    elif origin is Literal:
        yield from (f"`{word}`" for word in get_args(annotation))
    elif origin is Annotated:
        yield from _words(get_args(annotation)[0])
    elif origin is tuple:
        yield "list of " + next(_words(get_args(annotation)[0])) + "s"
    elif origin is dict:
        yield "table of names to " + " or ".join(_words(get_args(annotation)[1]))
    elif isinstance(annotation, type) and issubclass(annotation, StrEnum):
        yield from (f"`{member.value}`" for member in annotation)
    elif annotation is Schedule:
        yield "moment of a session"
    else:
        yield _WORDS[annotation]


def _bounds(field: FieldInfo) -> Iterator[str]:
    for bound in field.metadata:
        for attribute, word in _BOUNDS.items():
            if (limit := getattr(bound, attribute, None)) is not None:
                yield f"{word} {limit}"


def _default(value: Any) -> str:
    if value is None or value == {}:
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{value}`"
