"""The tape: what the exchange shows at a moment, and nothing of what comes after it."""

import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from time import process_time

import numpy as np
import pytest

from alchemiser.domain.errors import DataError
from alchemiser.domain.market import Session
from alchemiser.exchange.bars import BarFolder
from alchemiser.exchange.generator import SyntheticMarket
from alchemiser.exchange.path import TapeBar
from alchemiser.exchange.series import Adjustment
from alchemiser.exchange.tape import MarketTape
from alchemiser.market.calendar import TradingCalendar, midnight
from tests.unit.exchange.tape.conftest import WriteBars

REAL_BARS = Path(os.environ.get("ALCHEMISER_TEST_BARS", Path(__file__).parents[5] / "shared" / "data" / "daily"))
TECL_UNIVERSE = ("BIL", "BSV", "KMLM", "SPXL", "SPY", "SQQQ", "TECL", "TQQQ", "UVXY", "XLK")
FAR_BACK, FAR_AHEAD = date(1990, 1, 2), date(2027, 12, 31)
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)

SPY = (
    "2025-03-26,100,101,99,100,1000,99,,",
    "2025-03-27,100,102,98,101,2000,101,1,",
    "2025-03-28,101,103,100,102,3000,102,,",
    "2025-03-31,102,104,101,103,4000,103,,",
)
# THIN has no bar on the 27th and ends on the 28th; on its first day nothing was traded.
THIN = ("2025-03-26,50,50,50,50,0,50,,", "2025-03-28,51,53,50,52,100,52,,")


@pytest.fixture
def tape(write_bars: WriteBars, calendar: TradingCalendar) -> MarketTape:
    """Two symbols in the last days of March 2025."""
    write_bars("THIN", *THIN)
    return MarketTape(BarFolder(write_bars("SPY", *SPY)), calendar, ["SPY", "THIN"], 1)


def session(day: int) -> Session:
    found = TradingCalendar.new_york().session(date(2025, 3, day))
    assert found is not None
    return found


def prices(bar: TapeBar | None) -> tuple[float, float, float, float, int]:
    assert bar is not None
    return bar.open, bar.high, bar.low, bar.close, bar.volume


def test_quotes_are_live_in_the_session(tape: MarketTape) -> None:
    """Every symbol has a quote of this moment around its course, alone and together with the others."""
    at = session(26).opens_at + HOUR
    quotes = tape.quotes_at(at)
    assert list(quotes) == ["SPY", "THIN"]
    assert quotes["SPY"] == tape.quote_at("SPY", at)
    assert quotes["SPY"].at == at
    _, high, low, *_ = prices(tape.day_bar("SPY", at))
    assert low - 0.0051 <= quotes["SPY"].mid <= high + 0.0051
    assert tape.quotes_at(at, ["THIN"]) == {"THIN": quotes["THIN"]}


@pytest.mark.parametrize("at", [session(28).closes_at, session(28).closes_at + 50 * HOUR, session(31).opens_at - SECOND])
def test_quotes_of_the_close_stand_until_the_next_open(tape: MarketTape, at: datetime) -> None:
    """In the night and over the weekend the last quote is that of the close, with its time."""
    quote = tape.quote_at("SPY", at)
    assert quote is not None
    assert quote.at == session(28).closes_at
    assert quote.mid == pytest.approx(102, abs=0.0051)


def test_a_symbol_is_on_the_tape_from_its_first_bar_to_its_last(tape: MarketTape) -> None:
    """Before and after there is no quote, also not a stale one, and no course."""
    assert tape.quote_at("SPY", session(26).opens_at - SECOND) is None
    assert tape.trade_at("SPY", session(26).opens_at - SECOND) is None
    assert tape.quote_at("THIN", session(31).opens_at - SECOND) is not None
    during = session(31).opens_at + HOUR
    assert tape.quote_at("THIN", during) is None
    assert list(tape.quotes_at(during)) == ["SPY"]
    assert tape.day_bar("THIN", during) is None
    assert tape.minute_bar("THIN", during) is None
    assert tape.trades_between("THIN", session(31).opens_at, during) == ()


def test_a_session_without_a_bar_is_quoted_at_the_last_close(tape: MarketTape) -> None:
    """A day on which a thin fund has no bar has quotes and neither trades nor bars."""
    at = session(27).opens_at + HOUR
    quote = tape.quote_at("THIN", at)
    assert quote is not None
    assert quote.mid == pytest.approx(50, abs=0.01)
    assert quote.at == at
    assert tape.day_bar("THIN", at) is None
    assert tape.minute_bars("THIN", session(27).opens_at, at, until=at) == ()
    assert tape.trades_between("THIN", session(27).opens_at, at) == ()


def test_the_last_trade_is_of_today_or_of_an_earlier_close(tape: MarketTape) -> None:
    """Before today's first print the last trade is the closing print of the last day that had any."""
    before = tape.trade_at("SPY", session(27).opens_at - SECOND)
    assert before is not None
    assert (before.price, before.at) == (100, session(26).closes_at)
    first = tape.trade_at("SPY", session(27).opens_at)
    assert first is not None
    assert (first.price, first.at) == (100, session(27).opens_at)
    assert tape.trade_at("THIN", session(27).closes_at) is None
    later = tape.trade_at("THIN", session(31).opens_at + HOUR)
    assert later is not None
    assert (later.price, later.at) == (52, session(28).closes_at)


def test_trades_between_are_those_of_the_session(tape: MarketTape) -> None:
    """All prints of a day add up to its volume."""
    trades = tape.trades_between("SPY", session(27).opens_at - SECOND, session(27).closes_at)
    assert sum(trade.size for trade in trades) == 2000
    assert (trades[0].price, trades[-1].price) == (100, 101)


def test_the_running_bar_grows_into_the_days_bar(tape: MarketTape) -> None:
    """At the open it is one print, at the close the whole bar, and until the next open it stays."""
    assert tape.day_bar("SPY", session(27).opens_at) is not None
    assert prices(tape.day_bar("SPY", session(27).opens_at))[:4] == (100, 100, 100, 100)
    for at in (session(27).closes_at, session(28).opens_at - SECOND):
        assert prices(tape.day_bar("SPY", at)) == (100, 102, 98, 101, 2000)


def test_the_previous_bar_is_of_the_session_before(tape: MarketTape) -> None:
    """It is whole, and skips sessions without a bar."""
    assert prices(tape.previous_bar("SPY", session(27).opens_at)) == (100, 101, 99, 100, 1000)
    assert prices(tape.previous_bar("SPY", session(28).closes_at))[3] == 101
    assert prices(tape.previous_bar("THIN", session(28).opens_at))[3] == 50
    assert tape.previous_bar("SPY", session(26).opens_at) is None


def test_daily_bars_end_with_today_once_it_has_begun(tape: MarketTape) -> None:
    """Before the open there is no bar of today, during the session its running bar, after the close the whole one."""

    def closes(until: datetime) -> list[float]:
        return [bar.close for bar in tape.daily_bars("SPY", FAR_BACK, FAR_AHEAD, Adjustment.SPLIT, until=until)]

    assert closes(session(28).opens_at - SECOND) == [100, 101]
    assert closes(session(28).opens_at) == [100, 101, 101]
    assert closes(session(28).closes_at) == [100, 101, 102]
    assert closes(session(28).closes_at + 40 * HOUR) == [100, 101, 102]
    during = session(28).opens_at + HOUR
    assert closes(during)[-1] == prices(tape.day_bar("SPY", during))[3]


def test_daily_bars_keep_to_the_range_asked_for(tape: MarketTape) -> None:
    """Today's running bar is left out when the range ends before it or begins after it."""
    during = session(28).opens_at + HOUR

    def days(start: int, end: int) -> list[int]:
        bars = tape.daily_bars("SPY", date(2025, 3, start), date(2025, 3, end), Adjustment.SPLIT, until=during)
        return [(bar.start + 12 * HOUR).day for bar in bars]

    assert days(26, 27) == [26, 27]
    assert days(27, 28) == [27, 28]
    assert days(27, 31) == [27, 28]
    assert days(29, 31) == []
    assert [bar.start for bar in tape.daily_bars("THIN", FAR_BACK, FAR_AHEAD, Adjustment.ALL, until=session(27).opens_at + HOUR)] == [
        midnight(date(2025, 3, 26))
    ]


def test_adjusted_daily_bars_meet_the_price_that_is_traded(tape: MarketTape) -> None:
    """Adjusted as of today, today's running bar has the traded prices, and a dividend of tomorrow does not show yet."""

    def adjusted(at: datetime) -> list[float]:
        return [round(bar.close, 6) for bar in tape.daily_bars("SPY", FAR_BACK, FAR_AHEAD, Adjustment.ALL, until=at)]

    assert adjusted(session(26).closes_at) == [100]
    assert adjusted(session(27).opens_at) == [99, 100]
    assert adjusted(session(27).closes_at) == [99, 101]


def test_minute_bars_have_ended_and_lie_in_the_range(tape: MarketTape) -> None:
    """Only minutes that are over are shown, from several sessions, both ends of the range included."""
    opens_at = session(28).opens_at
    until = opens_at + timedelta(minutes=30, seconds=59)
    bars = tape.minute_bars("SPY", opens_at, session(31).closes_at, until=until)
    assert all(bar.start + timedelta(minutes=1) <= until for bar in bars)
    assert bars[0].start == opens_at
    assert bars[-1] == tape.minute_bar("SPY", until)
    both = tape.minute_bars("SPY", session(26).opens_at, session(27).closes_at, until=until)
    assert sum(bar.volume for bar in both) == 3000
    one = tape.minute_bars("SPY", bars[1].start, bars[2].start, until=until)
    assert one == bars[1:3]
    assert tape.minute_bars("SPY", until + HOUR, until + 2 * HOUR, until=until) == ()
    assert tape.minute_bars("SPY", datetime(2020, 1, 2, 15, tzinfo=UTC), session(26).opens_at - HOUR, until=until) == ()


def test_looking_back_does_not_disturb_the_day(tape: MarketTape) -> None:
    """Answers are the same whatever was asked in between."""
    at = session(28).opens_at + HOUR
    before = tape.quotes_at(at), tape.trade_at("SPY", at), tape.day_bar("SPY", at)
    for day in (26, 31, 27):
        tape.quotes_at(session(day).opens_at + HOUR)
        tape.minute_bars("SPY", session(26).opens_at, session(31).closes_at, until=session(31).closes_at)
    assert (tape.quotes_at(at), tape.trade_at("SPY", at), tape.day_bar("SPY", at)) == before


def test_bounds_are_those_of_the_symbols_asked_for(tape: MarketTape) -> None:
    """The last sessions end with the first of the symbols to end."""
    assert tape.symbols == ("SPY", "THIN")
    assert (tape.bounds().first, tape.bounds().last) == (session(26), session(28))
    assert tape.bounds(["SPY"]).last == session(31)
    assert tape.last_sessions(2) == (session(27), session(28))
    assert tape.last_sessions(4, ["SPY"])[0] == session(26)
    assert tape.sessions_from(date(2025, 3, 29), 1, ["SPY"]) == (session(31),)


def test_sessions_that_the_bars_do_not_allow_are_refused(tape: MarketTape) -> None:
    """The message says which sessions there are."""
    with pytest.raises(DataError, match="5 sessions were asked for; the bars allow 1 to 4, 2025-03-26 to 2025-03-31"):
        tape.last_sessions(5, ["SPY"])
    with pytest.raises(DataError, match="0 sessions were asked for"):
        tape.last_sessions(0)
    with pytest.raises(DataError, match=r"2025-04-01 lies outside what the bars allow, 2025-03-26 to 2025-03-31: .* first to end"):
        tape.sessions_from(date(2025, 4, 1), 1, ["SPY"])
    with pytest.raises(DataError, match="3 sessions from 2025-03-28 were asked for; the bars end on 2025-03-31, after 2"):
        tape.sessions_from(date(2025, 3, 28), 3, ["SPY"])


def test_symbols_without_a_common_session_are_refused(write_bars: WriteBars, calendar: TradingCalendar) -> None:
    """Which symbol begins too late and which ends too early is said."""
    write_bars("OLD", "2025-03-26,1,1,1,1,1,1,,")
    tape = MarketTape(BarFolder(write_bars("NEW", "2025-03-31,1,1,1,1,1,1,,")), calendar, ["OLD", "NEW"], 1)
    with pytest.raises(DataError, match="NEW begins on 2025-03-31, OLD ends on 2025-03-26"):
        tape.bounds()


def test_unknown_symbols_are_refused(tape: MarketTape, calendar: TradingCalendar, tmp_path: Path) -> None:
    """An unknown symbol is an error when the tape is made and when it is asked, and so is a tape of nothing."""
    with pytest.raises(DataError, match="QQQ is not on the tape; there are SPY, THIN"):
        tape.quote_at("QQQ", session(28).opens_at)
    with pytest.raises(DataError, match="QQQ is not on the tape"):
        tape.daily_bars("QQQ", FAR_BACK, FAR_AHEAD, Adjustment.ALL, until=session(28).opens_at)
    with pytest.raises(DataError, match="no bars of QQQ"):
        MarketTape(BarFolder(tmp_path), calendar, ["SPY", "QQQ"], 1)
    with pytest.raises(DataError, match="without a single symbol"):
        MarketTape(BarFolder(tmp_path), calendar, [], 1)


def test_a_bar_on_a_holiday_is_refused(write_bars: WriteBars, calendar: TradingCalendar) -> None:
    """Bars and calendar must tell of the same market."""
    folder = BarFolder(write_bars("SPY", "2024-12-24,1,1,1,1,1,1,,", "2024-12-25,1,1,1,1,1,1,,"))
    with pytest.raises(DataError, match="SPY: there is a bar on 2024-12-25, which is no session"):
        MarketTape(folder, calendar, ["SPY"], 1)


def test_close_only_bars_get_a_day(write_bars: WriteBars, calendar: TradingCalendar) -> None:
    """A file of closes is a market: a range, prints and a close that is the file's."""
    folder = BarFolder(write_bars("SMR", "2025-03-27,10", "2025-03-28,11", header="date,close"))
    tape = MarketTape(folder, calendar, ["SMR"], 1)
    bar = tape.day_bar("SMR", session(28).closes_at)
    assert bar is not None
    assert bar.close == 11
    assert bar.low < bar.high
    assert bar.volume > 0
    assert prices(tape.daily_bars("SMR", FAR_BACK, FAR_AHEAD, Adjustment.RAW, until=session(28).closes_at)[-1]) == prices(bar)


def test_the_synthetic_market_is_a_source_too(calendar: TradingCalendar) -> None:
    """The tape of the shipped strategies' symbols starts without any file."""
    market = SyntheticMarket(calendar, 1, last_day=date(2025, 12, 31))
    tape = MarketTape(market, calendar, market.symbols, 1)
    last = tape.last_sessions(5)[-1]
    assert last.date == date(2025, 12, 31)
    assert len(tape.quotes_at(last.opens_at + HOUR)) == len(market.symbols)


@pytest.mark.skipif(not REAL_BARS.is_dir(), reason=f"no real bars at {REAL_BARS}")
def test_five_real_sessions(calendar: TradingCalendar) -> None:
    """The last five sessions of the real bars: closes as in the files, histories long enough, quotes for everybody."""
    folder = BarFolder(REAL_BARS)
    tape = MarketTape(folder, calendar, TECL_UNIVERSE, 1)
    sessions = tape.last_sessions(5, TECL_UNIVERSE)
    assert [each.date.isoformat() for each in sessions] == ["2025-03-25", "2025-03-26", "2025-03-27", "2025-03-28", "2025-03-31"]
    for each in sessions:
        decision = each.closes_at - timedelta(minutes=10)
        assert list(tape.quotes_at(decision)) == list(TECL_UNIVERSE)
        for symbol in TECL_UNIVERSE:
            whole = folder.daily(symbol, FAR_BACK, each.date, Adjustment.ALL, each.date)
            seen = tape.daily_bars(symbol, FAR_BACK, FAR_AHEAD, Adjustment.ALL, until=each.closes_at)
            assert [bar.close for bar in seen] == pytest.approx(whole.close.tolist(), rel=1e-7)
            running = tape.daily_bars(symbol, FAR_BACK, FAR_AHEAD, Adjustment.ALL, until=decision)
            assert len(running) == len(seen) > 200
            assert np.allclose([bar.close for bar in running[:-1]], whole.close[:-1], rtol=1e-7)
            quote = tape.quote_at(symbol, decision)
            assert quote is not None
            assert whole.low[-1] - 0.05 <= quote.mid <= whole.high[-1] + 0.05


@pytest.mark.skipif(not REAL_BARS.is_dir(), reason=f"no real bars at {REAL_BARS}")
def test_a_folder_of_sixty_files_is_ready_soon(calendar: TradingCalendar) -> None:
    """Loading every file and quoting all symbols stays far below what a start or a tick may cost."""
    begun = process_time()
    folder = BarFolder(REAL_BARS)
    tape = MarketTape(folder, calendar, folder.symbols, 1)
    loaded = process_time()
    at = tape.last_sessions(1, TECL_UNIVERSE)[0].opens_at + HOUR
    tape.quotes_at(at)
    made = process_time()
    for second in range(100):
        assert len(tape.quotes_at(at + second * SECOND)) > 50
    assert loaded - begun < 3
    assert (process_time() - made) / 100 < 0.005
