"""Splits of the tape: every day in its own units, positions and orders restated over night, of a folder and of the synthetic market."""

from datetime import date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from alchemiser.domain.market import Session
from alchemiser.exchange.assembly import open_core
from alchemiser.exchange.bars import BarFolder
from alchemiser.exchange.generator import SyntheticMarket
from alchemiser.exchange.requests import ActivityFilter, parse_order
from alchemiser.exchange.series import Adjustment
from alchemiser.exchange.settings import ExchangeSettings
from alchemiser.exchange.tape import MarketTape
from alchemiser.market.calendar import TradingCalendar, midnight
from tests.unit.exchange.tape.conftest import WriteBars

FAR_BACK = date(1990, 1, 2)
HOUR = timedelta(hours=1)
LAST_DAY = date(2025, 3, 31)

# Split-adjusted prices; two for one on the 28th, so 204 a share on the 27th becomes 102 to 103 on the 28th.
ROWS = (
    "2025-03-26,100,101,99,100,1000,100,,",
    "2025-03-27,100,103,100,102,1000,102,,",
    "2025-03-28,102,103,101,103,1000,103,,2",
    "2025-03-31,103,104,102,103,1000,103,,",
)


@pytest.fixture
def tape(write_bars: WriteBars, calendar: TradingCalendar) -> MarketTape:
    """One fund that splits two for one on 28 March 2025."""
    return MarketTape(BarFolder(write_bars("SPY", *ROWS)), calendar, ["SPY"], 1)


def session(day: int) -> Session:
    found = TradingCalendar.new_york().session(date(2025, 3, day))
    assert found is not None
    return found


def early(day: int) -> datetime:
    """Return a moment of the pre-market."""
    return midnight(date(2025, 3, day)) + 5 * HOUR


@pytest.mark.parametrize(
    ("at", "price"),
    [
        (session(27).closes_at, 204),
        (midnight(date(2025, 3, 28)) + 3 * HOUR, 204),
        (early(28), 102),
        (session(28).opens_at, 102),
        (session(28).closes_at, 103),
        (early(31), 103),
    ],
)
def test_what_stands_is_in_the_units_of_the_day(tape: MarketTape, at: datetime, price: float) -> None:
    """Quotes, trades and the previous bar are restated when the pre-market of the ex-day begins, and not an hour earlier."""
    quote, trade = tape.quote_at("SPY", at), tape.trade_at("SPY", at)
    assert quote is not None
    assert trade is not None
    assert trade.price == price
    assert quote.bid < quote.ask
    assert quote.bid == pytest.approx(price, rel=0.005)


@pytest.mark.parametrize(
    ("adjustment", "before_the_open", "after_the_close"),
    [("raw", [200, 204], [200, 204, 103]), ("split", [100, 102], [100, 102, 103])],
)
def test_bars_of_the_past_follow_the_units(
    tape: MarketTape, adjustment: str, before_the_open: list[float], after_the_close: list[float]
) -> None:
    """On the morning of the ex-day split-adjusted bars are in its units already, and nothing else of the day shows."""

    def closes(at: datetime) -> list[float]:
        return [bar.close for bar in tape.daily_bars("SPY", FAR_BACK, LAST_DAY, Adjustment(adjustment), until=at)]

    assert closes(early(28)) == before_the_open
    assert closes(session(28).closes_at) == after_the_close
    assert [bar.close for bar in tape.daily_bars("SPY", FAR_BACK, LAST_DAY, Adjustment.SPLIT, until=session(27).closes_at)] == [200, 204]


def test_a_position_and_its_orders_go_through_the_night(tape: MarketTape) -> None:
    """Shares double, the cost a share halves, the cost and the equity stay; a resting gtc limit is restated; an activity says so."""
    evening, morning = session(27).opens_at + HOUR, early(28)
    core = open_core(settings=ExchangeSettings(), tape=tape, seed=1, opened_at=evening)
    quote = tape.quote_at("SPY", evening)
    assert quote is not None
    core.on_quotes((quote,), evening)
    core.submit(parse_order({"symbol": "SPY", "qty": "10", "side": "buy", "type": "market", "time_in_force": "day"}), evening)
    core.advance(evening + timedelta(seconds=1))
    core.submit(
        parse_order({"symbol": "SPY", "qty": "4", "side": "sell", "type": "limit", "limit_price": "250", "time_in_force": "gtc"}),
        evening + timedelta(seconds=2),
    )
    core.on_trade("SPY", 204.0, 1, session(27).closes_at - timedelta(seconds=1))
    core.advance(session(27).closes_at + HOUR)
    held, equity = core.position_json("SPY"), core.account_json()["equity"]
    core.drain()

    core.advance(morning)

    split = core.position_json("SPY")
    assert (held["qty"], split["qty"], split["current_price"]) == ("10", "20", "102")
    assert Decimal(split["avg_entry_price"]) * 2 == Decimal(held["avg_entry_price"])
    assert (split["cost_basis"], split["market_value"]) == (held["cost_basis"], held["market_value"])
    assert core.account_json()["equity"] == equity
    (order,) = (update.state for update in core.drain())
    assert (order.qty, order.limit_price) == (Decimal(8), Decimal(125))
    (row,) = core.activities(ActivityFilter(types=("SPLIT",)))
    assert (row["symbol"], row["qty"], row["date"]) == ("SPY", "10", "2025-03-28")


def test_an_exchange_that_begins_on_the_ex_day_has_split_already(tape: MarketTape) -> None:
    """The previous close of a fresh exchange is in the units of its first day, and its position is not split again."""
    for begins_at, before in ((session(28).opens_at - HOUR, 102.0), (midnight(date(2025, 3, 28)) + 3 * HOUR, 204.0)):
        core = open_core(settings=ExchangeSettings(), tape=tape, seed=1, opened_at=begins_at)
        opening = session(28).opens_at
        quote = tape.quote_at("SPY", opening)
        assert quote is not None
        previous = tape.previous_bar("SPY", opening, seen_at=begins_at)
        assert previous is not None
        assert previous.close == before
        core.on_quotes((quote,), opening)
        core.submit(parse_order({"symbol": "SPY", "qty": "10", "side": "buy", "type": "market", "time_in_force": "day"}), opening)
        core.advance(opening + HOUR)
        assert (core.position_json("SPY")["qty"], core.position_json("SPY")["lastday_price"]) == ("10", "102")


def test_a_market_without_splits_stays_in_the_units_of_its_bars(write_bars: WriteBars, calendar: TradingCalendar) -> None:
    """No share ever splits, prices are those of the file, and raw bars are the same as adjusted ones."""
    tape = MarketTape(BarFolder(write_bars("SPY", *ROWS)), calendar, ["SPY"], 1, splits=False)
    assert tape.splits("SPY", FAR_BACK, LAST_DAY) == ()
    for kind in (Adjustment.RAW, Adjustment.SPLIT):
        bars = tape.daily_bars("SPY", FAR_BACK, LAST_DAY, kind, until=session(31).closes_at)
        assert [bar.close for bar in bars] == [100, 102, 103, 103]
    quotes = [tape.quote_at("SPY", at) for at in (session(27).closes_at, early(28))]
    assert [quote.mid for quote in quotes if quote is not None] == pytest.approx([102, 102], abs=0.0051)


def test_the_synthetic_market_splits_when_it_is_asked_to(calendar: TradingCalendar) -> None:
    """Adjusted for its splits it is the market without them; forward splits are of dear shares, reverse ones of cheap ones."""
    plain = SyntheticMarket(calendar, 7, last_day=LAST_DAY)
    split = SyntheticMarket(calendar, 7, last_day=LAST_DAY, splits=True)
    years = (LAST_DAY - date(2015, 1, 2)).days / 365.25
    for symbol in ("SPY", "TQQQ", "UVXY"):
        before, after = plain.series(symbol), split.series(symbol)
        ratios = after.split[after.split != 1]
        assert years < len(ratios) < 4 * years
        shares = np.cumprod(after.split)
        # Cents are coarse for a share of a few dollars.
        assert np.allclose(after.close * shares, before.close, rtol=0, atol=0.0051 * shares)
        dear = after.close[:-1][after.split[1:] > 1]
        cheap = after.close[:-1][after.split[1:] < 1]
        assert dear.min() >= 29.9
        assert not cheap.size or cheap.max() <= 30.1
        assert (after.low <= np.minimum(after.open, after.close)).all()
        assert (after.high >= np.maximum(after.open, after.close)).all()


def test_a_longer_synthetic_market_begins_with_the_shorter_one(calendar: TradingCalendar) -> None:
    """The splits of later years do not show in the prices of a day, and the same seed splits the same shares."""
    short = SyntheticMarket(calendar, 7, last_day=date(2020, 6, 30), splits=True).series("TECL")
    whole = SyntheticMarket(calendar, 7, last_day=LAST_DAY, splits=True).series("TECL")
    for name in ("open", "high", "low", "close", "volume", "split"):
        assert np.array_equal(getattr(short, name), getattr(whole, name)[: len(short)])
    tape = MarketTape(SyntheticMarket(calendar, 7, last_day=LAST_DAY, splits=True), calendar, ["TECL"], 7)
    ratios = [ratio for _, ratio in tape.splits("TECL", date(2015, 1, 3), LAST_DAY)]
    assert {str(ratio) for ratio in ratios} <= {"3/2", "2", "3", "4", "1/2", "1/4", "1/5", "1/10"}
