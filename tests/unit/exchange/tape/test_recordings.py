"""Recorded minutes, quotes and trades, read from files and played as they were."""

import gzip
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from alchemiser.domain.errors import DataError
from alchemiser.exchange.aggregates import History
from alchemiser.exchange.assembly import chosen_sessions, open_tape
from alchemiser.exchange.recordings import Recordings, read_recordings
from alchemiser.exchange.series import Adjustment
from alchemiser.exchange.tape import MarketTape
from alchemiser.market.calendar import TradingCalendar

CALENDAR = TradingCalendar.new_york()
DAY = date(2025, 3, 3)
OPEN = datetime(2025, 3, 3, 14, 30, tzinfo=UTC)
CLOSE = datetime(2025, 3, 3, 21, tzinfo=UTC)
INTRADAY = Path(__file__).parents[5] / "shared" / "data" / "intraday"

MINUTES = """symbol,ts,open,high,low,close,volume
XYZ,2025-03-03T14:30:00Z,100,101,99,100.5,1000
XYZ,2025-03-03T14:31:00Z,100.5,102,100,100,10
XYZ,2025-03-03T14:33:00Z,100,100,100,100,0
XYZ,2025-03-03T20:59:00Z,104,105,103,104.5,4000
"""
TRADES = """symbol,ts,price,size,exchange,condition,suspicious
XYZ,2025-03-03T14:29:59.500Z,90,10,P,,0
XYZ,2025-03-03T14:30:00.000Z,100,10,P,,0
XYZ,2025-03-03T14:30:00.250Z,100.25,20,P,,0
XYZ,2025-03-03T14:30:00.250Z,100.5,30,P,,0
XYZ,2025-03-03T14:30:00.750Z,1,30,P,,1
XYZ,2025-03-03T21:00:00.000Z,101,40,P,,0
XYZ,2025-03-03T21:00:00.001Z,300,40,P,,0
"""
QUOTES = """symbol,ts,bid,bid_size,ask,ask_size,exchange
XYZ,2025-03-03T14:29:00Z,99,100,101,200,P
XYZ,2025-03-03T14:30:00.100Z,99.5,300,,0,Q
XYZ,2025-03-03T14:30:00.200Z,,0,100.75,400,Q
XYZ,2025-03-03T14:30:02Z,99.1,100,101,200,P
XYZ,2025-03-03T14:30:03Z,98,500,102,600,Q
"""
QUOTE_BARS = """symbol,ts,bid_open,bid_high,bid_low,bid_close,bid_size,ask_open,ask_high,ask_low,ask_close,ask_size
XYZ,2025-03-03T14:30:00Z,99,99,98,98,100,101,101,100,100,200
XYZ,2025-03-03T14:31:00Z,97,97,97,97,300,,,,,0
"""


def recorded(folder: Path, **files: str) -> Recordings:
    """Write files and read them."""
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text)
    return read_recordings(folder)


def tape(recordings: Recordings) -> MarketTape:
    return open_tape(bars=None, calendar=CALENDAR, seed=1, recordings=recordings)


def test_minute_bars_come_back_as_they_were(tmp_path: Path) -> None:
    """Each recorded minute is a bar of the tape, price for price and share for share; the day's bar is theirs together."""
    market = tape(recorded(tmp_path, minutes=MINUTES))
    bars = market.minute_bars("XYZ", OPEN, CLOSE, until=CLOSE)

    assert [(bar.start - OPEN) // timedelta(minutes=1) for bar in bars] == [0, 1, 3, 389]
    assert [(bar.open, bar.high, bar.low, bar.close) for bar in bars] == [
        (100, 101, 99, 100.5),
        (100.5, 102, 100, 100),
        (100, 100, 100, 100),
        (104, 105, 103, 104.5),
    ]
    assert [bar.volume for bar in bars] == [1000, 10, 1, 4000]  # a minute that says nothing of its volume has a share
    (day,) = market.daily_bars("XYZ", DAY, DAY, Adjustment.RAW, until=CLOSE)
    assert (day.open, day.high, day.low, day.close, day.volume) == (100, 105, 99, 104.5, 5011)


def test_nothing_later_shows(tmp_path: Path) -> None:
    """Half way through a minute its later prints are not known, in no bar and in no trade."""
    market = tape(recorded(tmp_path, minutes=MINUTES))
    at = OPEN + timedelta(seconds=30)
    trade, bar = market.trade_at("XYZ", at), market.day_bar("XYZ", at)

    assert trade is not None
    assert bar is not None
    assert (trade.price, trade.at) == (99, OPEN + timedelta(seconds=20))  # it rises, so the low is printed before the high
    assert (bar.high, bar.low, bar.close) == (100, 99, 99)
    assert market.minute_bars("XYZ", OPEN, CLOSE, until=at) == ()
    assert market.minute_bar("XYZ", at) is None


def test_trades_are_played_one_by_one(tmp_path: Path) -> None:
    """Trades of the session come at their own times; suspicious ones and those outside of the session do not."""
    market = tape(recorded(tmp_path, trades=TRADES))
    prints = market.trades_between("XYZ", OPEN - timedelta(seconds=1), CLOSE)

    assert [(each.price, each.size) for each in prints] == [(100, 10), (100.25, 20), (100.5, 30), (101, 40)]
    assert [each.at - OPEN for each in prints[:2]] == [timedelta(0), timedelta(milliseconds=250)]
    assert [each.number for each in prints] == [1, 2, 3, 4]
    quote = market.quote_at("XYZ", OPEN + timedelta(hours=1))
    assert quote is not None
    assert 100.4 < quote.bid < quote.ask < 100.8


def test_quotes_of_exchanges_become_the_national_best(tmp_path: Path) -> None:
    """The highest of the last bids and the lowest of the last asks; what stood before the open opens the session."""
    market = tape(recorded(tmp_path, trades=TRADES, quotes=QUOTES))
    assert market.quotes_between("XYZ", OPEN - timedelta(hours=2), CLOSE) is not None
    best = [market.quote_at("XYZ", OPEN + timedelta(seconds=place)) for place in (0, 1, 2, 3)]

    assert [(quote.bid, quote.bid_size, quote.ask, quote.ask_size) for quote in best if quote is not None] == [
        (99, 100, 101, 200),
        (99.5, 300, 100.75, 400),
        (99.5, 300, 100.75, 400),
        (99.1, 100, 101, 200),
    ]
    history = list(History(market, CLOSE).quotes("XYZ", OPEN, CLOSE))
    assert [(quote.at - OPEN).total_seconds() for quote in history] == [0.1, 0.2, 3]
    assert [quote.bid for quote in History(market, CLOSE, descending=True).quotes("XYZ", OPEN, CLOSE)] == [99.1, 99.5, 99.5]


def test_bars_of_quotes(tmp_path: Path) -> None:
    """A bar of quotes shows its open when it begins and its close at its end; an empty side has nobody."""
    market = tape(recorded(tmp_path, trades=TRADES, bars=QUOTE_BARS))
    best = [market.quote_at("XYZ", OPEN + timedelta(seconds=place)) for place in (0, 30, 58, 61)]

    assert [(quote.bid, quote.ask) for quote in best if quote is not None] == [(99, 101), (99, 101), (98, 100), (97, 0)]


def test_finer_records_win(tmp_path: Path) -> None:
    """A day that is there as minutes and as trades is played from the trades, whichever file comes first."""
    market = tape(recorded(tmp_path, a_minutes=MINUTES, b_trades=TRADES, c_minutes=MINUTES))
    assert [bar.close for bar in market.minute_bars("XYZ", OPEN, CLOSE, until=CLOSE)] == [100.5, 101]


def test_recordings_replace_days_of_the_daily_bars(tmp_path: Path) -> None:
    """Days before the recorded one come from the daily bars, and the recorded one from the recording."""
    (tmp_path / "daily").mkdir()
    lines = ["date,open,high,low,close,volume", "2025-02-28,98,99,97,98,500", "2025-03-03,1,9,1,5,500", "2025-03-04,104,104,104,104,500"]
    (tmp_path / "daily" / "XYZ.csv").write_text("\n".join(lines) + "\n")
    market = open_tape(bars=tmp_path / "daily", calendar=CALENDAR, seed=1, recordings=recorded(tmp_path, minutes=MINUTES), day=DAY)
    bars = market.daily_bars("XYZ", date(2025, 2, 28), DAY, Adjustment.ALL, until=CLOSE)

    assert [bar.close for bar in bars] == [98, 104.5]
    assert [session.date for session in chosen_sessions(market, start=DAY, days=2, is_synthetic=False)] == [DAY, date(2025, 3, 4)]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("symbol,ts,colour\nXYZ,2025-03-03T14:30:00Z,red\n", "neither trades, nor bars, nor quotes"),
        ("symbol,price,size\n", "expected the column ts"),
        ("symbol,ts,price,size\nXYZ,2025-03-03T14:30:00,1,1\n", "line 2: ts is"),
        ("symbol,ts,price,size\nXYZ,2025-03-03T14:30:00Z,1,1\nXYZ,noonZ,1,1\n", 'line 3: ts is "noonZ", expected a time in UTC'),
        (
            "symbol,ts,open,high,low,close,volume\n" + 2 * "XYZ,2025-03-03T14:30:00Z,4,5,3,4,1\n",
            "line 3: the bar of this ts is there twice",
        ),
        ("symbol,ts,price,size\nXYZ,2025-03-03T14:30:00Z,dear,1\n", "line 2: price is"),
        ("symbol,ts,price,size\nXYZ,2025-03-03T14:30:00Z,-1,1\n", "line 2: price is"),
        ("symbol,ts,price,size\nXYZ,2025-03-03T14:30:00Z,1e300,1\n", 'line 2: price is "1e300", expected a number from 0'),
        ("symbol,ts,price,size\nXYZ,2025-03-03T14:31:00Z,1,1\nXYZ,2025-03-03T14:30:00Z,1,1\n", "line 3: ts goes back"),
        ("symbol,ts,open,high,low,close,volume\nXYZ,2025-03-03T14:30:00Z,5,4,3,4,1\n", "line 2: open, high, low and close are no bar"),
        ("symbol,ts,open,high,low,close,volume\nXYZ,2025-03-03T01:30:00Z,5,5,5,5,1\n", "no trade in any session"),
        ("symbol,ts,price,size\nXYZ,2025-03-03T14:30:00Z,1\n", "line 2: 3 cells, expected 4"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, text: str, problem: str) -> None:
    """A refusal says which file and line, what was found and what was expected."""
    with pytest.raises(DataError, match=problem):
        tape(recorded(tmp_path, file=text))


def test_files_that_are_no_recordings(tmp_path: Path) -> None:
    """An empty folder, a day nobody traded on, and a compressed file that is none."""
    with pytest.raises(DataError, match="no recordings"):
        read_recordings(tmp_path)
    (tmp_path / "x.csv.gz").write_bytes(b"not compressed")
    with pytest.raises(DataError, match="cannot be uncompressed"):
        read_recordings(tmp_path)
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress(TRADES.encode()))
    read = read_recordings(tmp_path / "x.csv.gz")
    assert read.on(DAY) == ("XYZ",)
    with pytest.raises(DataError, match="no trade was recorded on 2025-03-04"):
        open_tape(bars=None, calendar=CALENDAR, seed=1, recordings=read, day=date(2025, 3, 4))


@pytest.mark.skipif(not INTRADAY.is_dir(), reason="the real intraday data are not here")
def test_real_minutes_come_back() -> None:
    """Five real days of four funds: every minute of a session is the bar of the file, and the half-cent prices survive."""
    path = INTRADAY / "minute_2026-03_SPY_QQQ_UVXY_SOXS.csv.gz"
    recordings = read_recordings(path)
    market = tape(recordings)
    first, last = datetime(2026, 3, 19, tzinfo=UTC), datetime(2026, 3, 26, tzinfo=UTC)
    known = {(symbol, bar.start): bar for symbol in market.symbols for bar in market.minute_bars(symbol, first, last, until=last)}
    compared = 0
    for line in gzip.decompress(path.read_bytes()).decode().splitlines()[1:]:
        symbol, ts, *values = line.split(",")
        start = datetime.fromisoformat(ts)
        if CALENDAR.session_at(start) is None or symbol not in market.symbols:
            continue
        bar = known[symbol, start]
        opens, high, low, close, volume = map(float, values)
        assert (bar.open, bar.high, bar.low, bar.close) == (opens, high, low, close), line
        assert volume <= bar.volume <= max(volume, 4), line
        compared += 1
    assert compared > 4_000


def test_a_file_without_symbols_is_named_after_its_own(tmp_path: Path) -> None:
    """``spy.csv`` needs no column for it, compressed or not."""
    (tmp_path / "spy.csv").write_text("ts,price,size\n2013-10-07T13:30:00Z,10,100\n")
    assert read_recordings(tmp_path).symbols == ("SPY",)
