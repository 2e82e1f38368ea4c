"""Documents as text for a terminal: pairs and tables, nothing more."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from alchemiser.service.settings_sources import flatten


def render(document: Mapping[str, Any]) -> str:
    """Return the document as lines: simple values as pairs, lists of objects as tables. The keys of what is nested are dotted."""
    leaves = dict(flatten(document))
    tables = {key: value for key, value in leaves.items() if _is_table(value) and (value or key in document)}
    pairs = {key: value for key, value in leaves.items() if key not in tables}
    parts = [_pairs(pairs)] if pairs else []
    parts += [f"{key}\n{table(value)}" if value else f"{key}: none\n" for key, value in tables.items()]
    return "\n".join(parts)


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as an aligned table; the columns are the keys in the order in which they first appear. Numbers are set to the right."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    cells = [[_text(row.get(column)) for column in columns] for row in rows]
    widths = [max(len(column), *(len(line[index]) for line in cells)) for index, column in enumerate(columns)]
    is_number = [all(_is_number(line[index]) for line in cells) for index in range(len(columns))]

    def line(values: Sequence[str]) -> str:
        aligned = (
            value.rjust(width) if right else value.ljust(width) for value, width, right in zip(values, widths, is_number, strict=True)
        )
        return "  ".join(aligned).rstrip() + "\n"

    return line(columns) + "".join(map(line, cells))


def _pairs(values: Mapping[str, Any]) -> str:
    width = max(map(len, values))
    return "".join(f"{key.ljust(width)}  {_text(value)}".rstrip() + "\n" for key, value in values.items())


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, Mapping) for item in value)


def _is_number(text: str) -> bool:
    figures = text.replace(",", "").replace(".", "", 1)
    return text == "-" or figures.removeprefix("-").removeprefix("+").isdecimal()


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | dict) and not value:
        return "none"
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    return value if isinstance(value, str) else json.dumps(value)
