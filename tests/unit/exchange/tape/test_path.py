"""The path inside a day: it keeps to the bar, to the tick, and to itself, whatever is asked and in whatever order."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alchemiser.domain.market import Bar, Session
from alchemiser.exchange.path import STEP_SECONDS, DayPath, TapeBar, trade_count_of
from alchemiser.market.calendar import TradingCalendar, midnight

FULL_DAY = date(2025, 3, 31)
HALF_DAY = date(2024, 11, 29)
STEP = timedelta(seconds=STEP_SECONDS)
SECOND = timedelta(seconds=1)


def session_of(day: date) -> Session:
    session = TradingCalendar.new_york().session(day)
    assert session is not None
    return session


def bar_of(day: date, opens: float, high: float, low: float, close: float, volume: float = 1_000_000) -> Bar:
    return Bar(symbol="SPY", start=midnight(day), open=opens, high=high, low=low, close=close, volume=volume)


def path_of(bar: Bar, day: date = FULL_DAY, seed: int = 1) -> DayPath:
    return DayPath(bar.symbol, bar, session_of(day), seed)


def steps_of(path: DayPath) -> list[datetime]:
    count = (path.session.closes_at - path.session.opens_at) // STEP
    return [path.session.opens_at + step * STEP for step in range(count + 1)]


@st.composite
def bars(draw: st.DrawFn) -> tuple[Bar, date]:
    """A bar in cents, flat ones and ones that open or close at an extreme included, on a full or on a half day."""
    low = draw(st.integers(min_value=1, max_value=200_000))
    high = low + draw(st.one_of(st.just(0), st.integers(1, 3), st.integers(1, low)))
    opens, close = draw(st.integers(low, high)), draw(st.integers(low, high))
    volume = draw(st.one_of(st.integers(0, 5), st.integers(0, 100_000_000)))
    day = draw(st.sampled_from([FULL_DAY, HALF_DAY]))
    return bar_of(day, opens / 100, high / 100, low / 100, close / 100, volume), day


MARKETS = given(bars(), st.integers(0, 2**32))
QUICK = settings(max_examples=60, deadline=None)


@QUICK
@MARKETS
def test_the_course_keeps_to_the_bar(market: tuple[Bar, date], seed: int) -> None:
    """It begins at the open, ends at the close, never leaves the range, and touches high and low exactly once each."""
    bar, day = market
    path = path_of(bar, day, seed)
    course = [path.mid(at) for at in steps_of(path)]
    assert course[0] == bar.open
    assert course[-1] == bar.close
    assert min(course) == bar.low
    assert max(course) == bar.high
    if bar.high > bar.low:
        assert course.count(bar.high) == max(1, [bar.open, bar.close].count(bar.high))
        assert course.count(bar.low) == max(1, [bar.open, bar.close].count(bar.low))


@QUICK
@given(bars(), st.integers(0, 2**32), st.lists(st.floats(-100, 24_000), min_size=1, max_size=40))
def test_between_its_steps_the_course_is_continuous_and_inside(market: tuple[Bar, date], seed: int, seconds: list[float]) -> None:
    """A moment between two steps has a price between theirs, also before the open and after the close."""
    bar, day = market
    path = path_of(bar, day, seed)
    for second in seconds:
        at = path.session.opens_at + timedelta(seconds=second)
        before = path.session.opens_at + (at - path.session.opens_at) // STEP * STEP
        ends = sorted((path.mid(before), path.mid(before + STEP)))
        assert ends[0] <= path.mid(at) <= ends[1]
        assert bar.low <= path.mid(at) <= bar.high


@QUICK
@given(bars(), st.integers(0, 2**32), st.lists(st.floats(-100, 24_000), min_size=1, max_size=40))
def test_quotes_stand_on_the_tick_around_the_course(market: tuple[Bar, date], seed: int, seconds: list[float]) -> None:
    """Bid below ask, both on the tick, their middle within half a tick of the course, sizes in round lots."""
    bar, day = market
    path = path_of(bar, day, seed)
    ticks = 100 if bar.low >= 1 else 10_000
    for second in seconds:
        at = path.session.opens_at + timedelta(seconds=second)
        quote = path.quote(at)
        assert 0 < quote.bid < quote.ask
        assert quote.fault is None
        assert quote.bid == round(quote.bid * ticks) / ticks
        assert quote.ask == round(quote.ask * ticks) / ticks
        if quote.bid > 1 / ticks:
            assert abs(quote.mid - path.mid(at)) <= 0.5000001 / ticks
        assert quote.bid_size % 100 == 0
        assert quote.bid_size >= 100
        assert quote.ask_size >= 100


@QUICK
@MARKETS
def test_minute_bars_add_up_to_the_day(market: tuple[Bar, date], seed: int) -> None:
    """First open, highest high, lowest low, last close and the sum of the volumes are those of the day."""
    bar, day = market
    path = path_of(bar, day, seed)
    minutes = path.minute_bars(path.session.closes_at)
    if bar.volume == 0:
        assert minutes == ()
        return
    assert sum(minute.volume for minute in minutes) == bar.volume
    assert minutes[0].open == bar.open
    assert minutes[0].start == path.session.opens_at
    if bar.volume >= 4:
        assert max(minute.high for minute in minutes) == bar.high
        assert min(minute.low for minute in minutes) == bar.low
        assert minutes[-1].close == bar.close
        assert minutes[-1].start == path.session.closes_at - timedelta(minutes=1)
    for minute in minutes:
        assert bar.low <= minute.low <= min(minute.open, minute.close) <= max(minute.open, minute.close) <= minute.high <= bar.high
        assert minute.low <= minute.vwap <= minute.high
        assert 1 <= minute.trade_count <= minute.volume


@QUICK
@MARKETS
def test_the_running_bar_ends_as_the_day(market: tuple[Bar, date], seed: int) -> None:
    """At the close the running bar is the day's bar, exactly."""
    bar, day = market
    path = path_of(bar, day, seed)
    running = path.running_bar(path.session.closes_at)
    assert running is not None
    assert running.start == bar.start
    assert running.volume == bar.volume == path.volume(path.session.closes_at)
    if bar.volume == 0 or bar.volume >= 4:
        assert (running.open, running.high, running.low, running.close) == (bar.open, bar.high, bar.low, bar.close)


def merged(parts: tuple[TapeBar, ...]) -> tuple[float, float, float, float, int]:
    return (
        parts[0].open,
        max(part.high for part in parts),
        min(part.low for part in parts),
        parts[-1].close,
        sum(part.volume for part in parts),
    )


@pytest.mark.parametrize("day", [FULL_DAY, HALF_DAY])
def test_running_bar_minute_bars_and_trades_tell_one_story(day: date) -> None:
    """Just before each minute mark the running bar is the minute bars so far, and the last trade is its close."""
    path = path_of(bar_of(day, 549.83, 560.71, 546.87, 559.39), day)
    for minutes in (1, 2, 30, 200, 209):
        mark = path.session.opens_at + timedelta(minutes=minutes)
        running = path.running_bar(mark - SECOND)
        assert running is not None
        assert merged(path.minute_bars(mark)) == (running.open, running.high, running.low, running.close, running.volume)
        trade = path.trade(mark - SECOND)
        assert trade is not None
        assert trade.price == running.close
        assert trade.at <= mark - SECOND
        assert path.last_minute_bar(mark) == path.minute_bars(mark)[-1]


def test_trades_between_two_moments_are_neither_lost_nor_doubled() -> None:
    """Cutting the day anywhere gives the same prints, each once, numbered from 1, adding up to the volume."""
    path = path_of(bar_of(FULL_DAY, 100, 103, 99, 102, 12_345))
    opens_at, closes_at = path.session.opens_at, path.session.closes_at
    whole = list(path.trades(opens_at - SECOND, closes_at))
    cut = opens_at + timedelta(minutes=93, seconds=4)
    assert [*path.trades(opens_at - SECOND, cut), *path.trades(cut, closes_at)] == whole
    assert [trade.number for trade in whole] == list(range(1, len(whole) + 1))
    assert sum(trade.size for trade in whole) == 12_345
    assert whole[0].price == 100
    assert whole[-1].price == 102
    assert path.trade(closes_at + timedelta(hours=2)) == whole[-1]
    assert list(path.trades(closes_at, closes_at + SECOND)) == []


def test_trades_happen_at_the_quote_or_at_an_extreme() -> None:
    """A print is at the bid or at the ask, but for the open, high, low and close themselves."""
    path = path_of(bar_of(FULL_DAY, 100, 103, 99, 102, 5_000_000))
    away = [
        trade
        for trade in path.trades(path.session.opens_at - SECOND, path.session.closes_at)
        if trade.price not in (path.quote(trade.at).bid, path.quote(trade.at).ask)
    ]
    assert {trade.price for trade in away} <= {100, 103, 99, 102}


def test_nothing_is_known_before_the_open() -> None:
    """Before the open there is no print, no volume, no bar; the quote stands at the open."""
    path = path_of(bar_of(FULL_DAY, 100, 103, 99, 102))
    before = path.session.opens_at - SECOND
    assert path.trade(before) is None
    assert path.volume(before) == 0
    assert path.running_bar(before) is None
    assert path.minute_bars(before) == ()
    assert path.last_minute_bar(before) is None
    assert path.minute_bars(path.session.opens_at + timedelta(seconds=59)) == ()
    assert path.quote(before).mid == pytest.approx(100, abs=0.01)


def test_the_closing_quote_keeps_the_time_of_the_close() -> None:
    """After the close the quote grows old instead of pretending to be fresh."""
    path = path_of(bar_of(FULL_DAY, 100, 103, 99, 102))
    quote = path.quote(path.session.closes_at + timedelta(hours=1))
    assert quote == path.quote(path.session.closes_at)
    assert quote.at == path.session.closes_at
    assert quote.mid == pytest.approx(102, abs=0.0051)


def test_a_day_without_volume_is_quoted_and_not_printed() -> None:
    """No shares, no prints and no minute bars; the running bar follows the middle of the market."""
    path = path_of(bar_of(FULL_DAY, 100, 101, 99, 100, 0))
    noon = path.session.opens_at + timedelta(hours=3)
    assert path.quote(noon).fault is None
    assert path.trade(path.session.closes_at) is None
    assert path.last_minute_bar(path.session.closes_at) is None
    running = path.running_bar(noon)
    assert running is not None
    assert running.volume == running.trade_count == 0
    assert running.low <= running.vwap <= running.high


def test_the_first_trade_of_a_thin_day_is_the_open() -> None:
    """The last minute bar is that of the last minute with a print, however long ago."""
    path = path_of(bar_of(FULL_DAY, 100, 101, 99, 100.5, 1))
    last = path.last_minute_bar(path.session.closes_at)
    assert last is not None
    assert (last.start, last.close, last.volume) == (path.session.opens_at, 100, 1)


def test_asking_in_another_order_changes_nothing() -> None:
    """Answers depend on the moment asked for, not on what was asked before."""
    bar = bar_of(FULL_DAY, 100, 103, 99, 102)
    forward, scattered = path_of(bar), path_of(bar)
    moments = [forward.session.opens_at + timedelta(seconds=37.7 * number) for number in range(600)]
    answers = [(forward.mid(at), forward.quote(at), forward.trade(at), forward.running_bar(at)) for at in moments]
    order = list(range(len(moments)))
    Random(1).shuffle(order)
    for number in order:
        at = moments[number]
        assert (scattered.mid(at), scattered.quote(at), scattered.trade(at), scattered.running_bar(at)) == answers[number]


def test_the_running_bar_does_not_know_the_future() -> None:
    """The running bar holds every print so far and no other: its range only grows, and its close is the last print."""
    path = path_of(bar_of(FULL_DAY, 100, 103, 99, 102))
    known: TapeBar | None = None
    for at in steps_of(path)[::50]:
        running = path.running_bar(at)
        prints = list(path.trades(path.session.opens_at - SECOND, at))
        assert running is not None
        assert running.high == max(trade.price for trade in prints)
        assert running.low == min(trade.price for trade in prints)
        assert running.volume == sum(trade.size for trade in prints) == path.volume(at)
        if known is not None:
            assert running.high >= known.high
            assert running.low <= known.low
        known = running


def test_seed_symbol_and_day_each_make_another_path() -> None:
    """The same bar moves differently under another seed, another name, on another day."""
    noon = session_of(FULL_DAY).opens_at + timedelta(hours=2)
    bar = bar_of(FULL_DAY, 100, 103, 99, 102)
    other_day = date(2025, 3, 28)
    mids = {
        path_of(bar).mid(noon),
        path_of(bar, seed=2).mid(noon),
        DayPath("QQQ", bar, session_of(FULL_DAY), 1).mid(noon),
        path_of(bar, other_day).mid(noon - timedelta(days=3)),
    }
    assert len(mids) == 4


def test_the_course_is_fixed_for_ever() -> None:
    """A recorded market stays what it was: a change here is a change of every seeded run and belongs into the changelog."""
    path = path_of(bar_of(FULL_DAY, 549.83, 560.71, 546.87, 559.39, 95_328_200))
    quotes = [path.quote(path.session.opens_at + timedelta(hours=hour)) for hour in (1, 3, 6)]
    assert [(quote.bid, quote.ask) for quote in quotes] == [(547.41, 547.42), (548.63, 548.64), (560.33, 560.34)]


def test_the_course_is_rough() -> None:
    """Its minute moves look like those of a market: about as wide as the day's range asks for, up and down by turns."""
    path = path_of(bar_of(FULL_DAY, 100, 103, 99, 102))
    minutes = [path.mid(path.session.opens_at + timedelta(minutes=minute)) for minute in range(391)]
    moves = [there - here for here, there in pairwise(minutes)]
    turns = sum(here * there < 0 for here, there in pairwise(moves))
    assert 120 < turns < 270
    assert 0.5 < sum(move * move for move in moves) ** 0.5 / (4 / 1.6) < 1.6


@pytest.mark.parametrize(
    ("price", "volume", "cents"),
    [(559.39, 95e6, 1), (57.0, 80e6, 1), (91.73, 10e6, 1), (27.44, 51_800, 3), (20.0, 1_000, 5), (60.0, 1.5e6, 3)],
)
def test_the_spread_fits_price_and_turnover(price: float, volume: float, cents: int) -> None:
    """A cent for what trades a lot, some basis points for what trades little."""
    quote = path_of(bar_of(FULL_DAY, price, price, price, price, volume)).quote(datetime(2025, 3, 31, 15, tzinfo=UTC))
    assert round((quote.ask - quote.bid) * 100) == cents


def test_trade_counts_are_whole_and_positive_when_there_is_volume() -> None:
    """No trade without volume, at least one with it."""
    assert [trade_count_of(volume) for volume in (0, 1, 150, 151)] == [0, 1, 1, 2]
