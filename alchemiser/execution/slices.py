"""TWAP and VWAP: an intent is cut into slices that fall due over a window, each worked by the rungs of the ladder inside its time.

How much should be done by now follows from the clock, how much is done from the fills, and what is sent is the difference: a slice that was
not filled rolls into the next, a restart carries on, and the children always add up to the parent. Where slices would be smaller than
what the venue takes there are fewer of them, down to one. After the last slice the ladder's last resort applies.
"""

from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from itertools import pairwise
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from alchemiser.domain.intents import Intent
from alchemiser.domain.market import Session
from alchemiser.domain.money import ONE, from_float, truncate_shares
from alchemiser.execution.decisions import GiveUp, Keep, Move, Send, Situation, Wait
from alchemiser.execution.ladder import Ladder

U_SHAPED_VOLUME: Final = (15.5, 9.0, 7.5, 6.5, 5.8, 5.2, 5.0, 4.8, 5.0, 5.5, 6.2, 8.0, 16.0)
"""The default volume curve: percent of a session's volume in each of its thirteen half hours.

A stylised U of continuous trading in large US equities, busy at the open, quiet at noon, busiest before the close. It is drawn by
hand after the shape that the literature reports, not estimated from data of the traded symbols: who has those puts them into the settings.
On a half day it is stretched over the shorter session.
"""

TAIL_RUNGS: Final = 3
"""So many rungs' time is kept free between the end of the window and the cut-off, for the last resort."""


class Slice(Struct, frozen=True):
    """At ``due`` so many shares of the intent, ``cumulative``, should have been sent."""

    due: datetime
    cumulative: Decimal


def volume_share(profile: Sequence[float], session: Session, moment: datetime) -> float:
    """Return the share of the session's volume, from 0 to 1, that the curve puts before a moment; straight inside each of its parts."""
    length = (session.closes_at - session.opens_at).total_seconds()
    at = min(max((moment - session.opens_at).total_seconds() / length, 0.0), 1.0) * len(profile)
    done = int(at)
    partly = profile[done] * (at - done) if done < len(profile) else 0.0
    return (sum(profile[:done]) + partly) / sum(profile)


@lru_cache(maxsize=512)
def schedule(
    intent: Intent, begins: datetime, ends: datetime, count: int, profile: tuple[float, ...] | None, session: Session
) -> tuple[Slice, ...]:
    """Return the slices of an intent, at most ``count``, of even time; of even size too when there is no ``profile``.

    The first is due at ``begins``, the last holds the whole quantity. None is smaller than a dollar, or than a share where only whole ones
    are traded, unless the intent is.
    """
    for number in range(count, 1, -1):
        slices = _cut(intent, begins, ends, number, profile, session)
        sizes = [after.cumulative - before.cumulative for before, after in pairwise(slices)]
        if all(_is_worth_sending(intent, size) for size in (slices[0].cumulative, *sizes)):
            return slices
    return (Slice(begins, intent.quantity),)


def _cut(
    intent: Intent, begins: datetime, ends: datetime, number: int, profile: tuple[float, ...] | None, session: Session
) -> tuple[Slice, ...]:
    step = (ends - begins) / number
    bounds = [begins + step * index for index in range(number)] + [ends]
    parts = [intent.quantity * index / number for index in range(1, number)]
    if profile is not None:
        volumes = [volume_share(profile, session, bound) for bound in bounds]
        total = volumes[-1] - volumes[0]
        if total > 0:
            parts = [intent.quantity * from_float((volume - volumes[0]) / total) for volume in volumes[1:-1]]
    whole = not intent.is_fractionable
    parts = [truncate_shares(part, whole=whole) for part in parts]
    return tuple(Slice(due, part) for due, part in zip(bounds[:-1], (*parts, intent.quantity), strict=True))


def _is_worth_sending(intent: Intent, quantity: Decimal) -> bool:
    least = ONE if intent.is_fractionable else intent.reference_price
    return quantity > 0 and quantity * intent.reference_price >= least


class Sliced(Struct, frozen=True):
    """An intent in slices over ``window_seconds``; without a ``profile`` of volume they are even."""

    ladder: Ladder
    name: str
    window_seconds: float
    count: int
    profile: tuple[float, ...] | None = None

    def deadline(self, begun: datetime, started: datetime, cut_off: datetime, session: Session) -> datetime:
        """Return when the intent has to end: the ladder's time after the last slice."""
        return self.ladder.deadline(begun, max(self._ends(begun, cut_off), started), cut_off, session)

    def open(self, situation: Situation) -> Send | Wait | GiveUp:
        """Send what the schedule is ahead of the fills by."""
        slices, index = self._slices(situation), self._index(situation, situation.now)
        is_last = index == len(slices) - 1
        intent = situation.intent
        wanted = situation.leaves if is_last else min(slices[index].cumulative - situation.filled, situation.leaves)
        wanted = truncate_shares(wanted, whole=not intent.is_fractionable)
        if not is_last and not _is_worth_sending(intent, wanted):
            due = slices[index + 1].due
            return Wait(f"slice {index + 2} of {len(slices)} is due at {due:%H:%M:%S} UTC", due)
        rung = self._rung(situation, situation.now)
        return self.ladder.open(replace(situation, rung=rung, leaves=wanted), step=f"slice {index + 1} of {len(slices)}")

    def watch(self, situation: Situation) -> Keep | Move:
        """Move on with the schedule: to the next slice, to the next rung inside it, or after the market."""
        live = situation.live
        assert live is not None
        index, rung = self._index(situation, situation.now), self._rung(situation, situation.now)
        is_last = index == len(self._slices(situation)) - 1
        if index != self._index(situation, live.since):
            return Move(f"slice {index + 1} is due", rung)
        if is_last and self.ladder.is_last_word(live.rung):
            return Keep(situation.deadline)
        if rung != live.rung:
            return Move(f"not filled by {situation.now:%H:%M:%S} UTC", rung)
        if self.ladder.is_left_behind(situation):
            return Move("the market has moved away", rung)
        return Keep(self._next_look(situation))

    def _ends(self, begun: datetime, cut_off: datetime) -> datetime:
        tail = timedelta(seconds=TAIL_RUNGS * self.ladder.rules.rung_seconds)
        return max(min(begun + timedelta(seconds=self.window_seconds), cut_off - tail), begun + self._shortest())

    def _shortest(self) -> timedelta:
        """A slice is never so short that its rungs have less than the least time that an order stands."""
        return timedelta(seconds=self.ladder.rules.minimum_repeg_seconds * len(self.ladder.rungs))

    def _slices(self, situation: Situation) -> tuple[Slice, ...]:
        ends = self._ends(situation.begun, situation.cut_off)
        count = min(self.count, max(int((ends - situation.begun) / self._shortest()), 1))
        return schedule(situation.intent, situation.begun, ends, count, self.profile, situation.session)

    def _index(self, situation: Situation, moment: datetime) -> int:
        dues = [one.due for one in self._slices(situation)]
        return max(bisect_right(dues, moment) - 1, 0)

    def _rung_time(self, situation: Situation) -> timedelta:
        slices = self._slices(situation)
        length = self._ends(situation.begun, situation.cut_off) - situation.begun
        return length / (len(slices) * len(self.ladder.rungs))

    def _rung(self, situation: Situation, moment: datetime) -> int:
        """Return the rung by the clock: each has its part of the slice's time; only after the last slice there is none left."""
        slices, index = self._slices(situation), self._index(situation, moment)
        rung = max(int((moment - slices[index].due) / self._rung_time(situation)), 0)
        return rung if index == len(slices) - 1 else min(rung, len(self.ladder.rungs) - 1)

    def _next_look(self, situation: Situation) -> datetime:
        slices, index = self._slices(situation), self._index(situation, situation.now)
        next_rung = slices[index].due + (self._rung(situation, situation.now) + 1) * self._rung_time(situation)
        if index < len(slices) - 1:
            return min(next_rung, slices[index + 1].due)
        return next_rung
