"""The synthetic market: the same for ever, and lively enough to be worth trading."""

import os
import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal

import numpy as np
import pytest

from alchemiser.domain.errors import DataError
from alchemiser.domain.market import Quote
from alchemiser.exchange.assembly import open_core
from alchemiser.exchange.corporate_actions import corporate_actions
from alchemiser.exchange.generator import FIRST_DAY, HISTORY_SESSIONS, TRAITS, SyntheticMarket
from alchemiser.exchange.requests import ActivityFilter, parse_order
from alchemiser.exchange.series import DailySeries
from alchemiser.exchange.settings import ExchangeSettings
from alchemiser.exchange.tape import MarketTape
from alchemiser.market.calendar import TradingCalendar
from alchemiser.market.indicators import Measure, tail

TECL_UNIVERSE = ("BIL", "BSV", "KMLM", "SPXL", "SPY", "SQQQ", "TECL", "TQQQ", "UVXY", "XLK")
SHIPPED_STRATEGIES = (
    "AAPL AGG AMZN BIL BND BSV BTAL BWXT ERX EXC FAS FNGO FNGU FTLS GLD GOOGL IEF IOO KMLM LABD LABU LEU MSFT NLR NVDA OKLO PDBC PSQ QID "
    "QQQ QQQE RETL SLV SMR SOXL SPLV SPXL SPXU SPY SQQQ SVIX SVXY TECL TLT TMF TMV TQQQ TSLA TZA UPRO UUP UVIX UVXY VIXM VIXY VOOG VOOV "
    "VOX VTV VXX XLE XLF XLK XLP XLY"
)
COLUMNS = ("days", "open", "high", "low", "close", "volume")


def fingerprint(series: DailySeries) -> bytes:
    return b"".join(getattr(series, name).tobytes() for name in COLUMNS)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_bar_is_a_bar(calendar: TradingCalendar, seed: int) -> None:
    """Prices are positive, in cents, low and high hold open and close, and somebody trades, in known and unknown symbols."""
    market = SyntheticMarket(calendar, seed)
    for symbol in (*TRAITS, "ZZZ"):
        series = market.series(symbol)
        for prices in (series.open, series.high, series.low, series.close):
            assert (prices >= 0.01).all(), symbol
            assert (prices == np.rint(prices * 100) / 100).all(), symbol
        assert (series.low <= np.minimum(series.open, series.close)).all(), symbol
        assert (series.high >= np.maximum(series.open, series.close)).all(), symbol
        assert (series.volume > 0).all(), symbol
        assert series.close.max() < 20_000, symbol
        assert np.median(series.close) > 1, symbol


def test_every_symbol_of_the_shipped_strategies_has_its_character() -> None:
    """None of the 65 symbols of the shipped strategies is left to chance."""
    symbols = SHIPPED_STRATEGIES.split()
    assert len(symbols) == 65
    assert not set(symbols) - TRAITS.keys()


def test_there_is_a_bar_for_every_session(calendar: TradingCalendar) -> None:
    """The market has every session from its first day on, and three years before the first that may be traded."""
    market = SyntheticMarket(calendar, 1, last_day=date(2025, 12, 31))
    sessions = calendar.sessions(FIRST_DAY, date(2025, 12, 31))
    assert market.series("SPY").days.tolist() == [session.date.toordinal() for session in sessions]
    assert sessions[HISTORY_SESSIONS].date == date(2018, 1, 3)


def test_a_market_without_history_is_refused(calendar: TradingCalendar) -> None:
    """A last day that leaves no room for three years of history is an error."""
    with pytest.raises(DataError, match="756 sessions of history"):
        SyntheticMarket(calendar, 1, last_day=date(2017, 1, 3))


def test_neither_the_last_day_nor_other_symbols_change_a_bar(calendar: TradingCalendar) -> None:
    """A longer market begins with the shorter one, and the order of asking does not matter."""
    short = SyntheticMarket(calendar, 5, last_day=date(2020, 6, 30), symbols=("TECL", "SPY"))
    whole = SyntheticMarket(calendar, 5)
    for symbol in reversed(whole.symbols):
        whole.series(symbol)
    for symbol in ("SPY", "TECL", "NEVER_HEARD_OF"):
        one, other = short.series(symbol), whole.series(symbol)
        for name in COLUMNS:
            assert getattr(one, name).tolist() == getattr(other, name)[: len(one)].tolist()
    assert short.symbols == ("SPY", "TECL")
    assert whole.symbols == tuple(sorted(TRAITS))


def test_the_same_seed_gives_the_same_bytes_in_another_process(calendar: TradingCalendar) -> None:
    """Hash randomisation does not reach the market."""
    script = (
        "from alchemiser.exchange.generator import SyntheticMarket;"
        "from alchemiser.market.calendar import TradingCalendar;"
        "s = SyntheticMarket(TradingCalendar.new_york(), 3).series('UVXY');"
        "print(s.close.tobytes().hex() + s.volume.tobytes().hex())"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, "PYTHONHASHSEED": "12345"}, capture_output=True, text=True, check=True
    )
    here = SyntheticMarket(calendar, 3).series("UVXY")
    assert answer.stdout.strip() == here.close.tobytes().hex() + here.volume.tobytes().hex()


def test_another_seed_is_another_market(calendar: TradingCalendar) -> None:
    """Seeds differ in known and in unknown symbols."""
    for symbol in ("SPY", "ZZZ"):
        assert fingerprint(SyntheticMarket(calendar, 1).series(symbol)) != fingerprint(SyntheticMarket(calendar, 2).series(symbol))


def returns(market: SyntheticMarket, symbol: str) -> np.ndarray:
    return np.diff(np.log(market.series(symbol).close))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_funds_follow_their_index(calendar: TradingCalendar, seed: int) -> None:
    """A leveraged fund moves with its multiple, an inverse one against it, fear against the market."""
    market = SyntheticMarket(calendar, seed)
    spy = returns(market, "SPY")
    of_the_market = (("SPXL", "SPY", 3), ("SPXS", "SPY", -3), ("SSO", "SPY", 2), ("SH", "SPY", -1), ("TQQQ", "QQQ", 3), ("SQQQ", "QQQ", -3))
    of_a_sector = (("TECL", "XLK", 3), ("SOXL", "SMH", 3), ("SOXS", "SMH", -3), ("FAS", "XLF", 3), ("ERX", "XLE", 2), ("TNA", "IWM", 3))
    for symbol, index, multiple in (*of_the_market, *of_a_sector, ("PSQ", "QQQ", -1), ("TMF", "TLT", 3), ("TMV", "TLT", -3)):
        moves, base = returns(market, symbol), returns(market, index)
        assert np.polyfit(base, moves, 1)[0] == pytest.approx(multiple, rel=0.1)
        assert abs(np.corrcoef(base, moves)[0, 1]) > 0.95
    assert np.corrcoef(spy, returns(market, "UVXY"))[0, 1] < -0.9
    assert np.corrcoef(spy, returns(market, "XLK"))[0, 1] > 0.7
    assert abs(np.corrcoef(spy, returns(market, "GLD"))[0, 1]) < 0.2
    assert 0.12 < spy.std() * 252**0.5 < 0.26
    assert np.corrcoef(returns(market, "UVXY"), returns(market, "VIXY"))[0, 1] > 0.9
    assert np.corrcoef(spy, returns(market, "SVXY"))[0, 1] > 0.9


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_regimes_change(calendar: TradingCalendar, seed: int) -> None:
    """Calm and storm follow one another and last: large moves come together, and months of one have several times the range of others."""
    moves = returns(SyntheticMarket(calendar, seed), "SPY")
    size = np.abs(moves)
    months = np.array([moves[start : start + 63].std() for start in range(0, len(moves) - 63, 21)])

    assert np.corrcoef(size[:-1], size[1:])[0, 1] > 0.1
    assert np.corrcoef(size[:-20], size[20:])[0, 1] > 0.05
    assert months.max() > 2.5 * months.min()


@pytest.mark.parametrize("seed", range(6))
def test_the_market_gives_a_strategy_something_to_do(calendar: TradingCalendar, seed: int) -> None:
    """In the years that may be traded SPY crosses its long average again and again, and oscillators reach both extremes."""
    market = SyntheticMarket(calendar, seed)
    close = {symbol: market.series(symbol).close for symbol in TECL_UNIVERSE}
    average = np.convolve(close["SPY"], np.full(200, 1 / 200), "valid")
    is_bull = close["SPY"][-len(average) :] > average
    assert 0.3 < is_bull.mean() < 0.8
    assert np.count_nonzero(np.diff(is_bull)) > 20
    strength = {symbol: tail(Measure("rsi", (10,)), prices) for symbol, prices in close.items()}
    assert (strength["TQQQ"] > 79).sum() > 20
    assert (strength["TQQQ"] < 31).sum() > 20
    assert (strength["SPY"] > 80).any()
    assert (strength["UVXY"] > 74).any()
    assert (strength["XLK"] > strength["KMLM"]).mean() == pytest.approx(0.5, abs=0.25)


def test_dividends_are_paid_when_they_are_asked_for(calendar: TradingCalendar) -> None:
    """Adjusted closes, and nothing else, tell of them: index funds pay four times a year, bonds twelve times, leveraged funds never."""
    plain = SyntheticMarket(calendar, 7, last_day=date(2025, 3, 31))
    paying = SyntheticMarket(calendar, 7, last_day=date(2025, 3, 31), dividends=True)
    tape = MarketTape(paying, calendar, ("BIL", "SPY", "TQQQ", "UVXY"), 7)
    until = datetime(2025, 1, 1, tzinfo=UTC)
    groups = corporate_actions(tape, tape.symbols, date(2024, 1, 1), date(2024, 12, 31), until)
    assert {"cash_dividends"} == set(groups)
    paid = {symbol: [row for row in groups["cash_dividends"] if row["symbol"] == symbol] for symbol in tape.symbols}
    assert {"BIL": 12, "SPY": 4, "TQQQ": 0, "UVXY": 0} == {symbol: len(rows) for symbol, rows in paid.items()}
    assert ["2024-03-15", "2024-06-17", "2024-09-16", "2024-12-16"] == [row["ex_date"] for row in paid["SPY"]]
    for symbol in ("BIL", "SPY", "TQQQ"):
        with_them, without = paying.series(symbol), plain.series(symbol)
        for name in ("open", "high", "low", "close", "volume"):
            assert np.array_equal(getattr(with_them, name), getattr(without, name))
        assert np.array_equal(without.total_return, without.close)
    spy = paying.series("SPY")
    close = spy.close[spy.index_through(date(2024, 12, 13))]
    assert paid["SPY"][-1]["rate"] == round(close * 0.015 / 4, 2)


def test_whoever_holds_shares_is_paid(calendar: TradingCalendar) -> None:
    """The exchange owes what REST announces: shares held before the ex-date bring cash and an activity on the day."""
    tape = MarketTape(SyntheticMarket(calendar, 7, last_day=date(2025, 3, 31), dividends=True), calendar, ("BIL",), 7)
    friday, monday = (datetime(2025, 3, day, 15, tzinfo=UTC) for day in (14, 17))
    core = open_core(settings=ExchangeSettings(dividends=True), tape=tape, seed=7, opened_at=friday)
    core.on_quotes((Quote(symbol="BIL", bid=90.0, ask=90.0, bid_size=5_000, ask_size=5_000, at=friday),), friday)
    core.submit(parse_order({"symbol": "BIL", "qty": "100", "side": "buy", "type": "market", "time_in_force": "day"}), friday)
    core.advance(monday)
    (row,) = core.activities(ActivityFilter(types=("DIV",)))
    (announced,) = corporate_actions(tape, ("BIL",), monday.date(), monday.date(), monday)["cash_dividends"]
    assert ("2025-03-17", "100") == (row["date"], row["qty"])
    assert Decimal(row["net_amount"]) == 100 * Decimal(str(announced["rate"]))
    assert Decimal(core.account_json()["cash"]) == 100_000 - 9_000 + Decimal(row["net_amount"])
