"""Corporate actions of a symbol as they are stored: the venue's own rows, with the numbers that prices depend on beside them."""

from datetime import date, datetime
from typing import Final

import msgspec
import numpy as np

from alchemiser.market.arrays import Days, Floats

SPLITS: Final = frozenset({"forward_splits", "reverse_splits", "unit_splits"})
"""The kinds that change how many shares there are."""


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """One action: ``cash`` is dollars per share, ``new_rate`` for ``old_rate`` are shares; ``wire`` is the whole row in JSON."""

    ex_date: date
    kind: str
    id: str
    cash: float | None = None
    new_rate: float | None = None
    old_rate: float | None = None
    wire: str = ""

    @property
    def shares(self) -> float:
        """What one share becomes: 1 for what is no split."""
        if self.kind not in SPLITS or not self.new_rate or not self.old_rate:
            return 1.0
        return self.new_rate / self.old_rate


class ActionsInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The days about which the source was asked."""

    symbol: str
    asked_from: date
    asked_through: date
    source: str
    written_at: datetime
    format: int = 1


class Actions(msgspec.Struct, frozen=True):
    """The actions of a symbol, by date."""

    info: ActionsInfo
    rows: tuple[Action, ...]

    def joined(self, fresh: "Actions") -> "Actions":
        """Return these and those of a later answer: what it says of the days that it was asked about takes the place of what was known."""
        kept = [row for row in self.rows if not fresh.info.asked_from <= row.ex_date <= fresh.info.asked_through]
        info = msgspec.structs.replace(
            fresh.info,
            asked_from=min(self.info.asked_from, fresh.info.asked_from),
            asked_through=max(self.info.asked_through, fresh.info.asked_through),
        )
        return Actions(info, in_order((*kept, *fresh.rows)))

    def splits_on(self, days: Days) -> Floats:
        """Return for each day what a share became before its open; a split on a day that is not there counts for the next one."""
        ratios = np.ones(len(days))
        for row in self.rows:
            place = int(np.searchsorted(days, row.ex_date.toordinal()))
            if 0 < place < len(days):
                ratios[place] *= row.shares
        return ratios


def in_order(rows: tuple[Action, ...]) -> tuple[Action, ...]:
    """Return each action once, by date."""
    return tuple(sorted({row.id: row for row in rows}.values(), key=lambda row: (row.ex_date, row.kind, row.id)))
