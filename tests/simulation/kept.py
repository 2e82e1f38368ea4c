"""The kept cases: every scenario that ever broke a rule, as small as it could be made, each in a file of its own.

A case is a whole scenario, not only its seed: what a seed draws changes whenever something is added to the menu, a case stays what it was.
"""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from tests.simulation.faults import Scenario

DIRECTORY = Path(__file__).with_name("kept")


@dataclass(frozen=True)
class Case:
    """One scenario that broke ``rules`` at ``commit``; ``story`` says what it was, as far as somebody has found out."""

    story: str
    seed: int
    commit: str
    rules: tuple[str, ...]
    scenario: Scenario


def kept_cases(directory: Path = DIRECTORY) -> dict[str, Case]:
    """Return every kept case by its name, in the order of the names."""
    return {path.stem: msgspec.json.decode(path.read_bytes(), type=Case) for path in sorted(directory.glob("*.json"))}


def keep(case: Case, name: str, directory: Path = DIRECTORY) -> Path:
    """Write a case and return its file; an older one of that name is replaced."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{name}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(case), indent=1) + b"\n")
    return path
