"""The check of stored bars: each kind of damage is found, with its days, and sound bars are sound."""

from collections.abc import Callable
from datetime import date

import numpy as np
import pytest

from alchemiser.market.calendar import TradingCalendar
from alchemiser.market.store.actions import Action, Actions, ActionsInfo
from alchemiser.market.store.integrity import adjustment_findings, findings_of, gaps_of
from alchemiser.market.store.series import BarColumns, Series
from tests.unit.market.store.conftest import NOW, series

CALENDAR = TradingCalendar.new_york()
DAYS = [session.date for session in CALENDAR.sessions(date(2025, 3, 3), date(2025, 3, 14))]
CLOSES = [100.0 + place for place in range(len(DAYS))]


def damaged(change: Callable[[BarColumns], BarColumns | None]) -> Series:
    whole = series(DAYS, CLOSES)
    return Series(whole.info, change(whole.bars) or whole.bars)


def put(name: str, place: int, value: float) -> Callable[[BarColumns], None]:
    def change(bars: BarColumns) -> None:
        getattr(bars, name)[place] = value

    return change


def test_sound_bars_have_no_findings() -> None:
    """Ten sessions in a row, close-only bars among them."""
    sound = series(DAYS, CLOSES)
    sound.bars.open[3] = sound.bars.high[3] = sound.bars.low[3] = np.nan

    assert findings_of(sound, CALENDAR, through=DAYS[-1]) == []
    assert gaps_of(series((), (), asked=(DAYS[0], DAYS[1])), CALENDAR) == []


@pytest.mark.parametrize(
    ("change", "kind", "days"),
    [
        (lambda bars: bars.taken(np.arange(10) != 4), "missing sessions", [DAYS[4]]),
        (put("days", 4, DAYS[3].toordinal()), "duplicate days", [DAYS[3]]),
        (put("days", 4, DAYS[2].toordinal() - 30), "unsorted days", [date(2025, 2, 3)]),
        (put("days", 9, date(2025, 3, 15).toordinal()), "no session", [date(2025, 3, 15)]),
        (put("close", 2, np.nan), "impossible bar", [DAYS[2]]),
        (put("close", 2, 0.0), "impossible bar", [DAYS[2]]),
        (put("open", 2, -1.0), "impossible bar", [DAYS[2]]),
        (put("high", 2, 90.0), "impossible bar", [DAYS[2]]),
        (put("low", 2, 110.0), "impossible bar", [DAYS[2]]),
        (put("volume", 2, -5.0), "impossible bar", [DAYS[2]]),
    ],
)
def test_every_damage_is_found(change: Callable[[BarColumns], BarColumns | None], kind: str, days: list[date]) -> None:
    """With its kind and its days."""
    found = [finding for finding in findings_of(damaged(change), CALENDAR) if finding.kind == kind]

    assert found
    assert list(found[0].days) == days
    assert found[0].count == len(days)


def test_a_series_that_stops_is_behind() -> None:
    """The sessions that nobody asked for are counted."""
    (found,) = findings_of(series(DAYS, CLOSES), CALENDAR, through=date(2025, 3, 18))

    assert (found.kind, found.days) == ("behind", (date(2025, 3, 17), date(2025, 3, 18)))


def test_adjustments_of_two_days_do_not_go_together() -> None:
    """A split-adjusted series whose head is still in the old units is found against the raw one; a sound one is not."""
    split = Action(ex_date=DAYS[5], kind="forward_splits", id="1", new_rate=2.0, old_rate=1.0)
    actions = Actions(ActionsInfo(symbol="SPY", asked_from=DAYS[0], asked_through=DAYS[-1], source="t", written_at=NOW), (split,))
    raw = series(DAYS, [100.0] * 5 + [50.0] * 5, adjustment="raw")
    sound = series(DAYS, [50.0] * 10, adjustment="split")
    mixed = series(DAYS, [100.0] * 2 + [50.0] * 8, adjustment="split")

    assert adjustment_findings(raw, sound, actions) == []
    (found,) = adjustment_findings(raw, mixed, actions)
    assert (found.kind, found.days, found.adjustment) == ("wrong adjustment", tuple(DAYS[:2]), "split")
    assert adjustment_findings(raw, sound, None)[0].count == 5
    assert adjustment_findings(raw, series((), (), adjustment="split", asked=(DAYS[0], DAYS[1])), actions) == []
