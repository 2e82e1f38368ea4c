"""Pulling bars: only what is missing is asked for, adjustments of two days are never joined, and a pull that was killed goes on."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from alchemiser.domain.errors import DataError, VenueUnavailable
from alchemiser.domain.market import Bar
from alchemiser.market.calendar import TradingCalendar, midnight
from alchemiser.market.store.actions import Action
from alchemiser.market.store.series import Adjusting, SeriesKey
from alchemiser.market.store.store import BarStore
from alchemiser.service.bar_pull import SYMBOLS_PER_REQUEST, BarPull, Need, Pulled, Wish, groups_of
from alchemiser.service.clock import VirtualClock

NOW = datetime(2025, 4, 1, 12, tzinfo=UTC)
DAYS = [session.date for session in TradingCalendar.new_york().sessions(date(2025, 1, 2), date(2025, 3, 31))]
START, END = DAYS[0], DAYS[-1]


class Page(msgspec.Struct):
    """A part of an answer."""

    bars: dict[str, list[Bar]]
    complete: frozenset[str]


class Vendor:
    """Answers page by page, in order of symbol and day; closes are 100, 101, ... times the factor of the symbol."""

    def __init__(self, *, rows_per_page: int = 10_000) -> None:
        self.rows_per_page = rows_per_page
        self.factors: dict[str, float] = {}
        self.changes: dict[tuple[str, date], float] = {}
        self.without: set[str] = set()
        self.asked: list[tuple[tuple[str, ...], str, date, date]] = []
        self.pages_left: int | None = None
        self.rows: dict[str, list[Action]] = {}
        self.asked_actions: list[tuple[tuple[str, ...], date]] = []

    def bar(self, symbol: str, place: int, adjustment: str) -> Bar:
        """Return the bar of a session."""
        factor = 1.0 if adjustment == "raw" else self.factors.get(symbol, 1.0)
        close = self.changes.get((symbol, DAYS[place]), 100.0 + place) * factor
        return Bar(symbol=symbol, start=midnight(DAYS[place]), open=close, high=close, low=close, close=close, volume=5.0)

    async def bars(self, symbols: Sequence[str], *, start: date, end: date, adjustment: str, feed: str) -> AsyncIterator[Page]:
        """Yield the bars."""
        self.asked.append((tuple(symbols), adjustment, start, end))
        wanted = [symbol for symbol in sorted(symbols) if symbol not in self.without]
        rows = [self.bar(symbol, at, adjustment) for symbol in wanted for at, day in enumerate(DAYS) if start <= day <= end]
        for low in range(0, max(len(rows), 1), self.rows_per_page):
            if self.pages_left is not None:
                if self.pages_left == 0:
                    raise VenueUnavailable("gone")
                self.pages_left -= 1
            part = rows[low : low + self.rows_per_page]
            is_last = low + self.rows_per_page >= len(rows)
            later = part[-1].symbol if part else ""
            found: dict[str, list[Bar]] = {}
            for row in part:
                found.setdefault(row.symbol, []).append(row)
            yield Page(found, frozenset(symbol for symbol in symbols if is_last or symbol < later))

    async def actions(self, symbols: Sequence[str], *, start: date, end: date) -> dict[str, list[Action]]:
        """Return what is known."""
        self.asked_actions.append((tuple(symbols), start))
        return {symbol: [row for row in self.rows.get(symbol, []) if start <= row.ex_date <= end] for symbol in symbols}


@pytest.fixture
def store(tmp_path: Path) -> BarStore:
    """An empty store."""
    return BarStore.made(tmp_path / "bars")


def wish(*symbols: str, adjustments: tuple[Adjusting, ...] = ("all",), **changes: object) -> Wish:
    return msgspec.structs.replace(Wish(symbols=symbols, feed="sip", adjustments=adjustments, start=START, end=END), **changes)


async def pulled(store: BarStore, vendor: Vendor, wanted: Wish) -> list[Pulled]:
    heard: list[Pulled] = []
    done = await BarPull(store, vendor, VirtualClock(NOW), named="vendor", told=heard.append).run(wanted)
    assert sorted(map(repr, heard)) == sorted(map(repr, done)), "everybody hears of every series once"
    return done


def closes(store: BarStore, symbol: str = "SPY", adjustment: Adjusting = "all") -> list[float]:
    read: list[float] = store.read(SeriesKey(symbol, "sip", adjustment)).bars.close.tolist()
    return read


async def test_a_first_pull_asks_for_everything_and_a_second_for_nothing(store: BarStore) -> None:
    """A request for all symbols of each adjustment; what was asked once, also in vain, is not asked again."""
    vendor = Vendor()
    vendor.without = {"NEW"}
    done = await pulled(store, vendor, wish("SPY", "TLT", "NEW", adjustments=("raw", "all")))

    assert [(entry.symbol, entry.adjustment, entry.outcome, entry.added) for entry in done] == [
        ("NEW", "raw", "no bars", 0),
        ("SPY", "raw", "pulled", len(DAYS)),
        ("TLT", "raw", "pulled", len(DAYS)),
        ("NEW", "all", "no bars", 0),
        ("SPY", "all", "pulled", len(DAYS)),
        ("TLT", "all", "pulled", len(DAYS)),
    ]
    assert [entry[1] for entry in vendor.asked] == ["raw", "all"]
    assert closes(store) == [100.0 + place for place in range(len(DAYS))]
    info = store.read(SeriesKey("NEW", "sip", "raw")).info
    assert (info.asked_from, info.asked_through, info.source, info.written_at.date()) == (START, END, "vendor", NOW.date())

    vendor.asked.clear()
    again = await pulled(store, vendor, wish("SPY", "TLT", "NEW", adjustments=("raw", "all")))
    assert ({entry.outcome for entry in again}, vendor.asked, len(vendor.asked_actions)) == ({"up to date"}, [], 1)


async def test_later_sessions_are_added_behind_an_overlap(store: BarStore) -> None:
    """Ten stored sessions are asked for again; agreeing, they stay."""
    vendor = Vendor()
    await pulled(store, vendor, wish("SPY", end=DAYS[39]))
    (entry,) = await pulled(store, vendor, wish("SPY"))

    assert vendor.asked[-1] == (("SPY",), "all", DAYS[30], END)
    assert (entry.outcome, entry.added, entry.remark) == ("extended", len(DAYS) - 40, "")
    assert closes(store) == [100.0 + place for place in range(len(DAYS))]


async def test_what_was_adjusted_anew_is_asked_for_as_a_whole(store: BarStore) -> None:
    """The factor is said; the other symbols are only extended; no series is of two adjustments."""
    vendor = Vendor()
    await pulled(store, vendor, wish("SPY", "TLT", end=DAYS[39]))
    vendor.factors["SPY"] = 0.5
    done = {entry.symbol: entry for entry in await pulled(store, vendor, wish("SPY", "TLT"))}

    assert vendor.asked[-1] == (("SPY",), "all", START, END)
    assert done["SPY"].outcome == "pulled again"
    assert "all closes differ by the factor 0.5: a split or a dividend since" in done["SPY"].remark
    assert done["TLT"].outcome == "extended"
    assert closes(store) == [0.5 * (100.0 + place) for place in range(len(DAYS))]


async def test_raw_bars_that_were_corrected_are_replaced(store: BarStore) -> None:
    """Nothing is relative in them, so the new ones count and the day is named; adjusted series are asked for anew."""
    vendor = Vendor()
    await pulled(store, vendor, wish("SPY", adjustments=("raw", "all"), end=DAYS[39]))
    vendor.changes["SPY", DAYS[35]] = 1.0
    raw, whole = await pulled(store, vendor, wish("SPY", adjustments=("raw", "all")))

    assert (raw.outcome, whole.outcome) == ("extended", "pulled again")
    assert str(DAYS[35]) in raw.remark
    assert closes(store, adjustment="raw")[35] == closes(store)[35] == 1.0


async def test_a_pull_that_ended_early_goes_on_where_it_was(store: BarStore) -> None:
    """In the middle of a series, too: what has come is stored after every page and is not asked for again but for the overlap."""
    vendor = Vendor(rows_per_page=50)
    vendor.pages_left = 2
    with pytest.raises(VenueUnavailable):
        await pulled(store, vendor, wish("AAA", "BBB", "CCC"))
    assert len(closes(store, "AAA")) == len(DAYS)
    partial = store.read(SeriesKey("BBB", "sip", "all"))
    assert len(partial.bars) == 100 - len(DAYS)
    assert partial.info.asked_through == partial.last_day
    assert not store.has(SeriesKey("CCC", "sip", "all"))

    vendor.pages_left = None
    vendor.asked.clear()
    done = {entry.symbol: entry.outcome for entry in await pulled(store, vendor, wish("AAA", "BBB", "CCC"))}
    assert done == {"AAA": "up to date", "BBB": "extended", "CCC": "pulled"}
    assert vendor.asked == [(("CCC",), "all", START, END), (("BBB",), "all", DAYS[len(partial.bars) - 10], END)]
    for symbol in ("AAA", "BBB", "CCC"):
        assert closes(store, symbol) == [100.0 + place for place in range(len(DAYS))]


async def test_a_pull_that_ended_early_and_was_adjusted_meanwhile(store: BarStore) -> None:
    """What goes on behind another adjustment is noticed, and asked for as a whole."""
    vendor = Vendor(rows_per_page=50)
    vendor.pages_left = 1
    with pytest.raises(VenueUnavailable):
        await pulled(store, vendor, wish("SPY"))
    vendor.pages_left = None
    vendor.factors["SPY"] = 0.99
    (entry,) = await pulled(store, vendor, wish("SPY"))

    assert entry.outcome == "pulled again"
    assert closes(store) == [0.99 * (100.0 + place) for place in range(len(DAYS))]


async def test_reaching_back_and_asking_anew_take_the_whole(store: BarStore) -> None:
    """An earlier start is another answer; without one the stored start is kept."""
    vendor = Vendor()
    await pulled(store, vendor, wish("SPY", start=DAYS[20], end=DAYS[39]))
    await pulled(store, vendor, wish("SPY", reaches_back=False))
    assert vendor.asked[-1][2] == DAYS[30]
    assert store.read(SeriesKey("SPY", "sip", "all")).info.asked_from == DAYS[20]
    await pulled(store, vendor, wish("SPY"))
    assert (vendor.asked[-1][2], len(closes(store))) == (START, len(DAYS))
    await pulled(store, vendor, wish("SPY", anew=True))
    assert vendor.asked[-1][2] == START


async def test_a_series_without_bars_is_asked_for_from_its_start(store: BarStore) -> None:
    """A symbol that was listed later has bars one day."""
    vendor = Vendor()
    vendor.without = {"NEW"}
    await pulled(store, vendor, wish("NEW", end=DAYS[39]))
    vendor.without = set()
    (entry,) = await pulled(store, vendor, wish("NEW"))

    assert (entry.outcome, entry.rows) == ("pulled", len(DAYS))


async def test_corporate_actions_are_asked_for_again_around_their_date(store: BarStore) -> None:
    """What is amended later takes the place of what was announced; older ones stay."""
    vendor = Vendor()
    old = Action(ex_date=DAYS[0], kind="cash_dividends", id="old", cash=1.0)
    wrong = Action(ex_date=DAYS[38], kind="cash_dividends", id="wrong", cash=2.0)
    right = Action(ex_date=DAYS[41], kind="cash_dividends", id="right", cash=3.0)
    vendor.rows["SPY"] = [old, wrong]
    await pulled(store, vendor, wish("SPY", start=date(2024, 6, 3), end=DAYS[39]))
    vendor.rows["SPY"] = [old, right]
    await pulled(store, vendor, wish("SPY", start=date(2024, 6, 3)))
    actions = store.actions("SPY")

    assert vendor.asked_actions[-1] == (("SPY",), DAYS[39] - timedelta(days=60))
    assert actions is not None
    assert [row.id for row in actions.rows] == ["old", "right"]


@pytest.mark.parametrize(("anew", "rows_per_page"), [(False, 40), (True, 10_000)])
async def test_what_cannot_be_read_is_asked_for_again(store: BarStore, anew: bool, rows_per_page: int) -> None:
    """A damaged series, and damaged corporate actions, are whole afterwards and said so; the other symbols are extended as ever."""
    vendor = Vendor(rows_per_page=rows_per_page)
    vendor.rows["SPY"] = [Action(ex_date=DAYS[0], kind="cash_dividends", id="paid", cash=1.0)]
    await pulled(store, vendor, wish("SPY", "TLT", end=DAYS[39]))
    for damaged in ("sip/all/SPY.parquet", "actions/SPY.parquet"):
        (store.path / damaged).write_bytes(b"PAR1 and then nothing")
    with pytest.raises(DataError, match="SPY"):
        await pulled(store, vendor, wish("SPY", "TLT"))
    done = {entry.symbol: entry for entry in await pulled(store, vendor, wish("SPY", "TLT", mends=True, anew=anew))}
    actions = store.actions("SPY")

    assert (done["SPY"].outcome, "its whole history was asked for again" in done["SPY"].remark) == ("pulled again", True)
    assert done["TLT"].outcome == ("pulled again" if anew else "extended")
    assert closes(store) == [100.0 + place for place in range(len(DAYS))]
    assert actions is not None
    assert [row.id for row in actions.rows] == ["paid"]


async def test_what_is_mended_reaches_back_as_far_as_its_other_adjustments(store: BarStore) -> None:
    """A pull that names no start mends a series from where the same bars are stored with another adjustment."""
    vendor = Vendor()
    await pulled(store, vendor, wish("SPY", adjustments=("raw", "all")))
    (store.path / "sip/all/SPY.parquet").write_bytes(b"")
    (entry,) = await pulled(store, vendor, wish("SPY", start=DAYS[30], mends=True, reaches_back=False))

    assert (vendor.asked[-1][2], entry.rows) == (START, len(DAYS))


async def test_a_killed_writer_leaves_nothing_for_long(store: BarStore) -> None:
    """The part of a file that was being written is gone with the next one of that name."""
    await pulled(store, Vendor(), wish("SPY", end=DAYS[39]))
    (store.path / "sip/all/.SPY.parquet.4711.part").write_bytes(b"half")
    (store.path / "sip/all/.SPYG.parquet.4711.part").write_bytes(b"of another one")
    await pulled(store, Vendor(), wish("SPY"))

    assert [path.name for path in (store.path / "sip/all").iterdir() if path.name.endswith(".part")] == [".SPYG.parquet.4711.part"]


def test_requests_are_bounded() -> None:
    """One request asks for symbols of one start, and for not more than a hundred."""
    needs = [Need(f"S{place}", START, True) for place in range(SYMBOLS_PER_REQUEST + 1)] + [Need("TLT", END, False)]

    assert [len(group) for group in groups_of(needs)] == [SYMBOLS_PER_REQUEST, 1, 1]
