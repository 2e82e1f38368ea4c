"""Invented halts: when they are, how long they take, and that nothing is printed meanwhile."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta

import pytest

from alchemiser.domain.market import Bar, Quote, Session
from alchemiser.exchange.generator import SyntheticMarket
from alchemiser.exchange.halts import PAUSE, Halt, HaltKeeper, halt_of
from alchemiser.exchange.path import DayPath
from alchemiser.exchange.tape import MarketTape
from alchemiser.market.calendar import TradingCalendar, midnight

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
LAST_DAY = date(2025, 3, 31)
HALF_DAY = date(2024, 11, 29)
OPEN, CLOSE = datetime(2025, 3, 3, 14, 30, tzinfo=UTC), datetime(2025, 3, 3, 21, tzinfo=UTC)


def found(calendar: TradingCalendar, first: date, last: date, seed: int) -> list[tuple[str, Session, Halt]]:
    """Return the halts of a few symbols."""
    sessions = calendar.sessions(first, last)
    every = ((symbol, each, halt_of(symbol, each, seed)) for symbol in ("SPY", "TECL", "BIL") for each in sessions)
    return [(symbol, each, halt) for symbol, each, halt in every if halt is not None]


def test_halts_are_rare_and_end_long_before_the_close(calendar: TradingCalendar) -> None:
    """About one in 25 sessions; whole minutes, not right after the open, over half an hour before the close, pauses of five minutes."""
    halts = found(calendar, date(2015, 1, 2), date(2024, 12, 31), 7)
    assert 200 < len(halts) < 400
    assert Counter(halt.reason for _, _, halt in halts).keys() == {"M", "P"}
    for _, session, halt in halts:
        assert (halt.begins_at - session.opens_at) % MINUTE == (halt.ends_at - halt.begins_at) % MINUTE == timedelta()
        assert session.opens_at + 5 * MINUTE <= halt.begins_at
        assert halt.ends_at <= session.closes_at - 30 * MINUTE
        length = halt.ends_at - halt.begins_at
        assert length == PAUSE if halt.reason == "M" else 2 * PAUSE <= length <= 12 * PAUSE


def test_halts_follow_from_the_seed(calendar: TradingCalendar) -> None:
    """The same seed stops the same symbols, another one others, and a half day has room for every halt."""
    first, last = date(2024, 1, 2), date(2024, 12, 31)
    assert found(calendar, first, last, 7) == found(calendar, first, last, 7) != found(calendar, first, last, 8)
    session = calendar.session(HALF_DAY)
    assert session is not None
    halts = [halt for seed in range(500) if (halt := halt_of("SPY", session, seed)) is not None]
    assert halts
    assert all(session.opens_at < halt.begins_at < halt.ends_at <= session.closes_at - 30 * MINUTE for halt in halts)


@pytest.fixture(scope="module")
def tape(calendar: TradingCalendar) -> MarketTape:
    """A market that halts."""
    symbols = ("BIL", "SPY", "TECL")
    return MarketTape(SyntheticMarket(calendar, 7, symbols=symbols, last_day=LAST_DAY), calendar, symbols, 7, halts=True)


def test_nothing_is_printed_while_a_symbol_stands_still(calendar: TradingCalendar, tape: MarketTape) -> None:
    """Neither trades nor minute bars; the day's bar is the same as without the halt, and the others trade on."""
    plain = MarketTape(SyntheticMarket(calendar, 7, symbols=tape.symbols, last_day=LAST_DAY), calendar, tape.symbols, 7)
    halts = [each for each in found(calendar, date(2024, 7, 1), LAST_DAY, 7) if tape.halt_at(each[0], each[2].begins_at) is not None]
    assert len(halts) > 5
    for symbol, session, halt in halts:
        assert tape.halt_at(symbol, halt.ends_at - SECOND) == halt
        assert tape.halt_at(symbol, halt.ends_at) is None is tape.halt_at(symbol, halt.begins_at - SECOND)
        assert not tape.trades_between(symbol, halt.begins_at - timedelta(microseconds=1), halt.ends_at - SECOND)
        assert not tape.minute_bars(symbol, halt.begins_at, halt.ends_at - MINUTE, until=session.closes_at)
        assert tape.day_bar(symbol, session.closes_at) is not None
        for name in ("open", "high", "low", "close", "volume"):
            with_it, without = (getattr(each.day_bar(symbol, session.closes_at), name) for each in (tape, plain))
            assert with_it == without
        assert plain.trades_between(symbol, halt.begins_at, halt.ends_at)
        assert plain.halt_at(symbol, halt.begins_at) is None


def test_a_halt_never_hides_the_high_or_the_low(calendar: TradingCalendar) -> None:
    """One that would is left out, because the day's bar says that somebody traded there."""
    session = calendar.session(date(2025, 3, 3))
    assert session is not None
    # Of four shares each is an open, a high, a low or a close.
    bar = Bar(symbol="SPY", start=midnight(session.date), open=100, high=104, low=98, close=101, volume=4)
    for trade in list(DayPath("SPY", bar, session, 7).trades(session.opens_at, session.closes_at - SECOND)):
        hiding = Halt(trade.at - MINUTE, trade.at + MINUTE, "P", "News Pending")
        assert DayPath("SPY", bar, session, 7, halt=hiding).halt is None
        beside = Halt(trade.at + SECOND, trade.at + 2 * SECOND, "P", "News Pending")
        assert DayPath("SPY", bar, session, 7, halt=beside).halt == beside


def test_a_hand_has_the_last_word() -> None:
    """A halt that was overruled is over, and the next one counts again."""
    at = TradingCalendar.new_york().sessions(LAST_DAY, LAST_DAY)[0].opens_at
    first, second = (Halt(at + start * MINUTE, at + (start + 5) * MINUTE, "M", "") for start in (10, 30))

    class Two:
        def halt_at(self, symbol: str, at: datetime) -> Halt | None:
            return next((halt for halt in (first, second) if halt.holds(at)), None)

    keeper, quote = HaltKeeper(Two()), quoted(99, 101)
    keeper.overrule("SPY")
    assert keeper.turn(quote, at) == (None, None)
    assert keeper.turn(quote, first.begins_at) == (None, first)
    assert keeper.turn(quote, first.begins_at + MINUTE) == (first, first)
    keeper.overrule("SPY")
    assert keeper.turn(quote, first.begins_at + MINUTE) == (None, None)
    assert keeper.turn(quote, second.begins_at) == (None, second)
    assert keeper.turn(quote, second.ends_at) == (second, None)
    assert keeper.turn(quote, second.ends_at) == (None, None)


def quoted(bid: float, ask: float) -> Quote:
    """Return a quote of SPY."""
    return Quote(symbol="SPY", bid=bid, bid_size=100, ask=ask, ask_size=100, at=OPEN)


@pytest.mark.parametrize(("bid", "ask"), [(110, 110.1), (111, 112), (89.9, 90), (80, 81)])
def test_a_limit_state_becomes_a_pause(bid: float, ask: float) -> None:
    """A bid at limit-up or an offer at limit-down for fifteen seconds: five minutes without trading, after which new bands are needed."""
    keeper, quote = HaltKeeper(None), quoted(bid, ask)
    keeper.set_band("SPY", (90, 110), CLOSE)
    assert keeper.turn(quote, OPEN) == (None, None)
    assert keeper.next_turn(OPEN) == OPEN + 15 * SECOND
    assert keeper.turn(quote, OPEN + 14 * SECOND) == (None, None)
    begins = OPEN + 15 * SECOND
    before, pause = keeper.turn(quote, begins)
    assert (before, pause) == (None, Halt(begins, begins + PAUSE, "M", "Volatility Trading Pause"))
    assert keeper.is_halted("SPY")
    assert keeper.next_turn(begins) == begins + PAUSE
    assert keeper.turn(quote, begins + PAUSE - SECOND) == (pause, pause)
    assert keeper.turn(quote, begins + PAUSE) == (pause, None)
    assert keeper.turn(quote, begins + 2 * PAUSE) == (None, None)
    assert keeper.next_turn(begins) is None


def test_who_leaves_the_limit_in_time_is_not_paused() -> None:
    """The fifteen seconds begin anew; without an offer there is no limit state below, and after the close none at all."""
    keeper, far, near = HaltKeeper(None), quoted(111, 112), quoted(100, 101)
    keeper.set_band("SPY", (90, 110), CLOSE)
    keeper.watch(far, OPEN)
    assert keeper.turn(near, OPEN + 10 * SECOND) == (None, None)
    assert keeper.next_turn(OPEN) is None
    for second in (14, 16, 28):
        assert keeper.turn(far, OPEN + second * SECOND) == (None, None)
    assert keeper.turn(quoted(80, 0), OPEN + 30 * SECOND) == (None, None)
    assert keeper.turn(far, CLOSE) == (None, None)
    assert keeper.turn(far, CLOSE + MINUTE) == (None, None)


def test_a_late_pause_lasts_until_the_close() -> None:
    """In the last ten minutes the closing auction is the reopening one; a pause that was running goes on after a restart."""
    keeper, far = HaltKeeper(None), quoted(111, 112)
    keeper.set_band("SPY", (90, 110), CLOSE)
    keeper.watch(far, CLOSE - 10 * MINUTE - SECOND)
    _, pause = keeper.turn(far, CLOSE - 9 * MINUTE)
    assert pause is not None
    assert pause.ends_at == CLOSE
    again = HaltKeeper(None, {"SPY": CLOSE})
    assert again.turn(far, CLOSE - MINUTE)[1] is not None
    assert again.turn(far, CLOSE)[1] is None
