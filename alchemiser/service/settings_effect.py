"""When a change of the settings takes effect in a daemon that runs, read from the marks in their declarations."""

from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from alchemiser.service.settings import Settings
from alchemiser.service.settings_load import differences
from alchemiser.service.settings_section import Section, TakesEffect, When


def takes_effect(key: str) -> TakesEffect:
    """Return when a change of the setting with that dotted key takes effect.

    A whole table, one more strategy for instance, takes effect as its values do. Raises ``KeyError`` for a key that no setting has.
    """
    node: Any = Settings
    found: TakesEffect | None = None
    for part in key.split("."):
        if get_origin(node) is dict:
            node = get_args(node)[1]  # Whatever the names in a table of tables are.
        elif isinstance(node, type) and issubclass(node, BaseModel):
            field = node.model_fields[part]
            found, node = effect_of(field, node) or found, field.annotation
        else:
            raise KeyError(key)
    if get_origin(node) is dict:
        node = get_args(node)[1]
    if isinstance(node, type) and issubclass(node, Section):
        found = node.takes_effect
    if found is None:
        raise KeyError(key)
    return found


def effect_of(field: FieldInfo, table: type[BaseModel]) -> TakesEffect | None:
    """Return the mark of a field, its own or that of its table; ``None`` for a table of the whole tree."""
    own = next((mark for mark in field.metadata if isinstance(mark, TakesEffect)), None)
    return own or (table.takes_effect if issubclass(table, Section) else None)


def until_the_next_start(running: Settings, written: Settings) -> Settings:
    """Return the settings by which a daemon works from a reload on: those that are written, but for what only a start can change."""
    sections: dict[str, dict[str, Any]] = {}
    for difference in differences(running, written):
        if takes_effect(difference.key).when is When.NEXT_START:
            table, name = difference.key.split(".")[:2]
            sections.setdefault(table, {})[name] = getattr(getattr(running, table), name)
    kept = {table: getattr(written, table).model_copy(update=values) for table, values in sections.items()}
    return written.model_copy(update=kept)
