"""What ``/livez`` and ``/readyz`` said during a run, as a line of the table in ``docs/health.md``.

The rows anew: ``python -m tests.simulation.health``.
"""

import re
import sys
import tempfile
from pathlib import Path

from tests.simulation.campaign import play
from tests.simulation.menu import MENU
from tests.simulation.record import Record
from tests.simulation.runner import quiet

PAGE = Path(__file__).parents[2] / "docs" / "health.md"

LIVE, NOT_LIVE, GONE = "200", "503", "no answer"


def health_of(record: Record) -> tuple[str, str]:
    """Return what the table says of a run: how ``/livez`` answered at its worst, and every reason of ``/readyz``, by its code.

    A start and an orderly end have reasons of their own, which belong to no fault: what a daemon said before it was ready for the first
    time, and that it is stopping, is left out.
    """
    live, codes = LIVE, set[str]()
    if any(life.was_killed or not life.started for life in record.lives):
        live = GONE
    for life in sorted({sample.life for sample in record.samples}):
        was_ready = False
        for sample in (sample for sample in record.samples if sample.life == life):
            was_ready = was_ready or sample.ready
            if was_ready:
                codes |= {*sample.reasons} - {"stopping"}
                live = NOT_LIVE if not sample.live and live == LIVE else live
    return live, ", ".join(sorted(codes)) or "ready"


def table() -> dict[str, tuple[str, str]]:
    """Return the table of the page: by fault what ``/livez`` and ``/readyz`` say."""
    rows = re.findall(r"^\| ([^|]+?) \| (200|503|no answer) \| ([^|]+?) \|$", PAGE.read_text(), flags=re.MULTILINE)
    return {fault: (live, reasons.replace("`", "")) for fault, live, reasons in rows}


def row(fault: str, said: tuple[str, str]) -> str:
    """Return a row of the table."""
    live, reasons = said
    shown = reasons if reasons == "ready" else ", ".join(f"`{code}`" for code in reasons.split(", "))
    return f"| {fault} | {live} | {shown} |"


if __name__ == "__main__":
    quiet()
    for name, line in MENU.items():
        with tempfile.TemporaryDirectory() as directory:
            sys.stdout.write(row(name, health_of(play(line.scenario, Path(directory)))) + "\n")
