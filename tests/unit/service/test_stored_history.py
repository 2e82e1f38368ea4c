"""The history of decisions from the store: the venue is asked for what is missing, and a broken store does not cost a decision."""

import importlib.util
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from alchemiser.domain.errors import ConfigError
from alchemiser.domain.market import Bar
from alchemiser.market.calendar import TradingCalendar, midnight
from alchemiser.market.store.series import SeriesKey
from alchemiser.market.store.store import BarStore
from alchemiser.service.clock import VirtualClock
from alchemiser.service.history_source import daily_bars_of
from alchemiser.service.settings import AlpacaSettings, Settings
from alchemiser.service.settings_trading import DataSettings
from alchemiser.service.stored_history import StoredHistory
from alchemiser.strategies.aside import at_once, in_thread

NOW = datetime(2025, 4, 1, 12, tzinfo=UTC)
DAYS = [session.date for session in TradingCalendar.new_york().sessions(date(2025, 1, 2), date(2025, 3, 31))]


class Venue:
    """A venue with a bar per session, 100, 101, ... times a factor."""

    def __init__(self) -> None:
        self.asked: list[tuple[tuple[str, ...], date, date]] = []
        self.factor = 1.0

    async def daily_bars(self, symbols: Sequence[str], *, start: date, end: date) -> dict[str, tuple[Bar, ...]]:
        """Return the bars."""
        self.asked.append((tuple(symbols), start, end))
        rows = [(day, (100.0 + place) * self.factor) for place, day in enumerate(DAYS) if start <= day <= end]
        return {
            symbol: tuple(Bar(symbol=symbol, start=midnight(day), open=c, high=c, low=c, close=c, volume=1.0) for day, c in rows)
            for symbol in symbols
            if symbol != "NEW"
        }


def history(venue: Venue, path: Path) -> StoredHistory:
    return StoredHistory(path, "iex", venue.daily_bars, VirtualClock(NOW), named="venue", run_aside=at_once)


async def test_the_answer_is_that_of_the_venue_and_the_second_day_is_short(tmp_path: Path) -> None:
    """The first decision asks for everything, the next one for the last sessions; both see what the venue would have answered."""
    venue, plain = Venue(), Venue()
    stored = history(venue, tmp_path / "bars")
    for start, end in ((DAYS[0], DAYS[39]), (DAYS[1], DAYS[40]), (DAYS[1], DAYS[40])):
        answer = await stored(("SPY", "NEW", "TLT"), start=start, end=end)
        assert answer == await plain.daily_bars(("SPY", "NEW", "TLT"), start=start, end=end)

    assert venue.asked == [
        (("SPY", "NEW", "TLT"), DAYS[0], DAYS[39]),
        (("NEW",), DAYS[0], DAYS[40]),
        (("SPY", "TLT"), DAYS[30], DAYS[40]),
    ]


async def test_a_dividend_since_yesterday_is_noticed(tmp_path: Path) -> None:
    """Closes of two adjustments never meet in one decision."""
    venue = Venue()
    stored = history(venue, tmp_path / "bars")
    await stored(("SPY",), start=DAYS[0], end=DAYS[39])
    venue.factor = 0.99
    answer = await stored(("SPY",), start=DAYS[0], end=DAYS[40])

    assert [bar.close for bar in answer["SPY"]] == [0.99 * (100.0 + place) for place in range(41)]
    assert venue.asked[-1] == (("SPY",), DAYS[0], DAYS[40])


async def test_a_broken_store_does_not_cost_a_decision(tmp_path: Path) -> None:
    """The venue is asked for the whole, as without a store."""
    venue = Venue()
    stored = history(venue, tmp_path / "bars")
    await stored(("SPY",), start=DAYS[0], end=DAYS[39])
    file = tmp_path / "bars" / "iex" / "all" / "SPY.parquet"
    file.write_bytes(b"damaged")
    answer = await stored(("SPY",), start=DAYS[0], end=DAYS[40])

    assert len(answer["SPY"]) == 41
    assert venue.asked[-1] == (("SPY",), DAYS[0], DAYS[40])
    assert file.read_bytes() == b"damaged", "what is damaged is for the operator to look at"


def settings(mode: str, store: Path | None) -> Settings:
    return Settings(alpaca=AlpacaSettings.model_validate({"mode": mode}), data=DataSettings(store=store))


async def test_who_is_asked_follows_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a store, and in the embedded market, the venue itself; otherwise the store, in a thread; without pyarrow no start."""
    venue: Any = Venue()
    path = tmp_path / "bars"
    clock = VirtualClock(NOW)
    for mode, store in (("paper", None), ("embedded", path)):
        assert daily_bars_of(settings(mode, store), venue, clock, in_thread) == venue.daily_bars

    daily_bars = daily_bars_of(settings("paper", path), venue, clock, in_thread)
    assert not path.exists(), "nothing is loaded before it is needed"
    for _ in range(2):
        assert len((await daily_bars(("SPY",), start=DAYS[0], end=DAYS[5]))["SPY"]) == 6
    info = BarStore(path).read(SeriesKey("SPY", "iex", "all")).info
    assert (len(venue.asked), info.source) == (1, "https://data.alpaca.markets")

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"data\.store = .*alchemiser\[data\]"):
        daily_bars_of(settings("paper", path), venue, clock, in_thread)
