"""The switches of ``alchemiser exchange``: from the texts of ``--set`` to the settings of the core and of the faces, and their table.

What a switch may be is what its field in the settings says, so a refusal and the table in the documentation cannot disagree.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec
from msgspec import inspect

from alchemiser.domain.errors import UsageError
from alchemiser.exchange.server import ServerSettings
from alchemiser.exchange.settings import ExchangeSettings

NONE: Final = "none"
"""How a limit is said not to be there."""

_KINDS: Final[tuple[type[msgspec.Struct], ...]] = (ExchangeSettings, ServerSettings)

_FIELDS: Final = {field.name: field for kind in _KINDS for field in msgspec.structs.fields(kind)}


def parse_switches(texts: Sequence[str]) -> dict[str, str]:
    """Return the texts ``NAME=VALUE`` as pairs. Raises ``UsageError`` for one that is no pair."""
    pairs = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"--set {text}: expected NAME=VALUE")
        pairs[name.replace("-", "_")] = value
    return pairs


def read_switches(
    switches: Mapping[str, str], *, core: Mapping[str, Any], server: Mapping[str, Any]
) -> tuple[ExchangeSettings, ServerSettings]:
    """Return the settings of the core and of the faces; ``core`` and ``server`` are what holds unless a switch says otherwise.

    Raises ``UsageError`` for a switch that neither has, or a value it cannot have; the message says which it can.
    """
    values = {name: _value(name, text) for name, text in switches.items()}
    return (
        ExchangeSettings(**{**core, **{name: value for name, value in values.items() if name in ExchangeSettings.__struct_fields__}}),
        ServerSettings(**{**server, **{name: value for name, value in values.items() if name in ServerSettings.__struct_fields__}}),
    )


def switch_table() -> str:
    """Return all switches with what they may be and their defaults, as a table of the documentation."""
    rows = [f"| `{name}` | {_expected(field.type)} | {_shown(field.default)} |" for name, field in sorted(_FIELDS.items())]
    return "\n".join(["| Switch | Value | Default |", "|---|---|---|", *rows])


def _value(name: str, text: str) -> Any:
    field = _FIELDS.get(name)
    if field is None:
        raise UsageError(f"--set {name}={text}: the exchange has no switch of that name; it has {', '.join(sorted(_FIELDS))}")
    try:
        value = msgspec.convert(_plain(inspect.type_info(field.type), text), field.type, strict=False)
        if isinstance(value, Decimal) and not 0 <= value < Decimal("Infinity"):
            raise msgspec.ValidationError("out of range")
    except (msgspec.ValidationError, ArithmeticError) as error:
        raise UsageError(f"{name}={text}: expected {_expected(field.type)}; nothing was started") from error
    return value


def _plain(kind: inspect.Type, text: str) -> Any:
    """Return a text as what the conversion takes: the parts of a list, nothing for no limit, a number where one of a few is meant."""
    match kind:
        case inspect.VarTupleType():
            return text.split(",")
        case inspect.UnionType() if text == NONE:
            return None
        case inspect.LiteralType(values=values) if all(isinstance(value, int) for value in values) and text.isascii() and text.isdigit():
            return int(text)
        case _:
            return text


def _expected(annotation: Any) -> str:
    """Say what a switch of this type may be."""
    return _words(inspect.type_info(annotation))


def _words(kind: inspect.Type) -> str:
    match kind:
        case inspect.BoolType():
            return "true or false"
        case inspect.LiteralType(values=values):
            return " or ".join(sorted(map(str, values)))
        case inspect.VarTupleType(item_type=inspect.LiteralType(values=values)):
            return f"some of {', '.join(sorted(map(str, values)))}, with commas between them"
        case inspect.UnionType(types=types):
            return " or ".join(NONE if isinstance(one, inspect.NoneType) else _words(one) for one in types)
        case inspect.IntType(ge=least, le=most):
            return f"a whole number {_range(least, most)}"
        case inspect.FloatType(ge=least, le=most):
            return f"a number {_range(least, most)}"
        case inspect.DecimalType():
            return f"a number {_range(0, None)}"
        case _:
            raise AssertionError(f"{kind} has no words here, and every switch of the exchange is of a type that has")


def _range(least: float | None, most: float | None) -> str:
    lowest = 0 if least is None else least
    return f"of at least {lowest}" if most is None else f"from {lowest} to {most}"


def _shown(default: Any) -> str:
    if default is None:
        return NONE
    if isinstance(default, tuple):
        return ",".join(default)
    return str(default).lower() if isinstance(default, bool) else str(default)
