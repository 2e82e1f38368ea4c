"""The shipped symphonies, by name. Each file is written from its decision table and stands beside this module."""

from difflib import get_close_matches
from pathlib import Path

from alchemiser.domain.errors import StrategyError

SHIPPED = ("klm", "nuclear", "tecl")
"""The names under which symphonies are shipped."""


def shipped_symphony(name: str) -> bytes:
    """Return the file of a shipped symphony. Raises ``StrategyError`` for a name that is not one."""
    if name not in SHIPPED:
        close = get_close_matches(name, SHIPPED, n=1)
        hint = f"did you mean {close[0]}?" if close else f"shipped are {', '.join(SHIPPED)};"
        raise StrategyError(f"there is no strategy named {name!r}; {hint} a .clj file or module:Class can be given as well")
    return Path(__file__).with_name(f"{name}.clj").read_bytes()
