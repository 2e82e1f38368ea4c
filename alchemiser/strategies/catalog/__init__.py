"""The shipped strategies, by name. Each symphony is written from its decision table; it and the classes stand beside this module."""

from difflib import get_close_matches
from pathlib import Path
from typing import Final

from alchemiser.domain.errors import StrategyError

SHIPPED = ("klm", "nuclear", "tecl")
"""The names under which symphonies are shipped."""

_CLASSES = (("dual_momentum", "DualMomentum"), ("risk_parity", "RiskParity"))
SHIPPED_CLASSES: Final = {name: f"{__name__}.{name}:{kind}" for name, kind in _CLASSES}
"""The strategies in Python that are shipped, each by its name as ``module:Class``."""


def shipped_symphony(name: str) -> bytes:
    """Return the file of a shipped symphony. Raises ``StrategyError`` for a name that is not one."""
    if name not in SHIPPED:
        names = sorted([*SHIPPED, *SHIPPED_CLASSES])
        close = get_close_matches(name, names, n=1)
        hint = f"did you mean {close[0]}?" if close else f"shipped are {', '.join(names)};"
        raise StrategyError(f"there is no strategy named {name!r}; {hint} a .clj file or module:Class can be given as well")
    return Path(__file__).with_name(f"{name}.clj").read_bytes()
