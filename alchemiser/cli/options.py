"""The options that several commands share, and how a ``--strategy`` is read."""

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from alchemiser.domain.errors import UsageError
from alchemiser.service.settings_load import LoadedSettings, load_settings

LAST_SEQUENCE: Final = 2**63 - 1
"""No event has a higher number, and no store of ours could look for one."""


MOST_CASH: Final = 1e12
"""Dollars. No account has more, and what is far beyond has no cents in a float."""


def bounded(number: int | None) -> int | None:
    """Return a number of events as the journal can look for it: what is beyond every event is beyond the last."""
    return None if number is None else min(number, LAST_SEQUENCE)


ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Settings file. Default: alchemiser.toml in the working directory, if present."),
]
StateOption = Annotated[Path | None, typer.Option("--state", metavar="DIR", help="State directory: the journal and http.json.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Answer with one JSON document.")]
StrategyOption = Annotated[
    list[str] | None,
    typer.Option(
        "--strategy",
        metavar="STRATEGY[=SHARE]",
        help="A shipped name, a .clj file or module:Class, optionally with its share of the account. May be repeated.",
    ),
]


def load(config: Path | None, *, state: Path | None = None, overrides: Mapping[str, Any] | None = None) -> LoadedSettings:
    """Read the settings as this command line changes them."""
    return load_settings(config=config, overrides={"service.state": state, **(overrides or {})})


def read_strategies(texts: Sequence[str] | None) -> dict[str, dict[str, Any]] | None:
    """Return the strategies table that ``--strategy`` options mean, or ``None`` when there are none.

    The name of a file is its stem, that of a class its name in lower case. Raises ``UsageError`` for an unreadable share and for a name
    that comes twice.
    """
    table: dict[str, dict[str, Any]] = {}
    for text in texts or ():
        source, share = _split(text)
        name = _name_of(source)
        if not name:
            raise UsageError(f"--strategy {text}: there is no strategy in it")
        if name in table:
            raise UsageError(f"--strategy {text}: a strategy named {name} was given already")
        table[name] = {"source": source, "allocation": share}
    return table or None


def _split(text: str) -> tuple[str, Decimal | None]:
    source, separator, share = text.rpartition("=")
    if not separator:
        return text.strip(), None
    try:
        return source.strip(), Decimal(share)
    except InvalidOperation as error:
        raise UsageError(f"--strategy {text}: the share after '=' must be a number like 0.5") from error


def _name_of(source: str) -> str:
    if source.endswith(".clj"):
        return Path(source).stem
    return source.rpartition(":")[2].lower() if ":" in source else source
