"""A synthetic market of daily bars, for running without data: seeded, correlated, and lively enough that strategies trade.

One market factor with bull and bear cycles, a volatility that calms and flares up, and a technology factor drive all symbols; leveraged and
inverse funds follow their index with its multiple, volatility products jump when the market falls. Symbols that are not in the table below
get parameters from their name and the seed.

Promises: the bars of a symbol and day depend on the seed and on these two only, not on which other symbols are asked for, their order, or
the last day of the market; prices are rounded to cents, far coarser than what processors differ in, so the same seed gives the same bytes.
There are no missing days, and no dividends and no splits unless they are asked for. Then index funds and stocks pay each quarter, bond
funds each month, on the first session from the fifteenth on; what is paid shows in the dividend-adjusted closes only. Splits come about
twice a year and symbol, forward where a share is dear and in reverse where it is cheap, and each day's prices are in its own units.
It is not a model of any real year, and its prices carry no information about one.
"""

from dataclasses import replace
from datetime import date
from itertools import accumulate, pairwise
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from alchemiser.domain.errors import DataError
from alchemiser.exchange.noise import bells_at, noise_key, uniforms_at
from alchemiser.exchange.series import DailySeries, Floats
from alchemiser.market.calendar import TradingCalendar

FIRST_DAY: Final = date(2015, 1, 2)
"""The first day of every synthetic market."""

HISTORY_SESSIONS: Final = 756
"""Sessions of history, three years, that lie before the first day that may be traded."""

_SESSIONS_PER_YEAR: Final = 252
_DEVIATION: Final = 0.0085
"""The usual daily deviation of the market."""

_TECHNOLOGY: Final = 0.55
"""The deviation of the technology factor, as a share of the market's."""

_SLOW_CYCLE_SESSIONS: Final = 480
_FAST_CYCLE_SESSIONS: Final = 62

# How much of its distance from the trend a level gives up per day: it keeps leveraged funds within prices that cents can express.
_MARKET_PULL: Final = 0.004
_TECHNOLOGY_PULL: Final = 0.002
_OWN_PULL: Final = 0.003


# What pays which dividends.
_BOND_YIELD: Final = 0.03
_STOCK_YIELD: Final = 0.015
_BOND_DEVIATION: Final = 0.01
_UNLEVERAGED: Final = 1.5
_EX_DAY: Final = 15
_MONTHS: Final = 12
_QUARTERS: Final = 4

_SPLITS_PER_SESSION: Final = 1 / 126
_DEAR: Final = 30.0
"""From this price in dollars up a split is a forward one."""
_FORWARD: Final = (1.5, 2.0, 3.0, 4.0)
_REVERSE: Final = (0.5, 0.25, 0.2, 0.1)


class Traits(NamedTuple):
    """What makes a symbol: its multiples of the two factors, its own daily deviation and yearly drift, first price and usual volume.

    A fund on an index that has much of its own takes ``multiple`` times that too: the deviation ``base_own`` of the symbol ``base``.
    """

    market: float
    technology: float
    own: float
    drift: float
    price: float
    shares: float
    base: str = ""
    base_own: float = 0.0
    multiple: float = 0.0


def _index(market: float, technology: float, price: float, shares: float, *, own: float = 0.0015) -> Traits:
    return Traits(market, technology, own, 0.06 * market, price, shares)


def _stock(market: float, technology: float, price: float, shares: float) -> Traits:
    return Traits(market, technology, 0.014, 0.09, price, shares)


def _leveraged(of: Traits, multiple: float, price: float, shares: float, *, drift: float, base: str = "") -> Traits:
    own = of.own if base else 0.0
    return Traits(of.market * multiple, of.technology * multiple, 0.0004, drift, price, shares, base, own, multiple)


def _fear(multiple: float, price: float, shares: float) -> Traits:
    return Traits(-multiple, 0.0, 0.008, -0.10, price, shares)


def _bond(years: float, price: float, shares: float) -> Traits:
    return Traits(-0.012 * years, 0.0, 0.00035 * years, 0.015, price, shares)


def _other(market: float, own: float, price: float, shares: float) -> Traits:
    return Traits(market, 0.0, own, 0.03, price, shares)


_SPY: Final = _index(1.0, 0.0, 205.0, 80e6, own=0.0)
_QQQ: Final = _index(1.1, 0.8, 104.0, 45e6)
_XLK: Final = _index(1.1, 1.0, 41.0, 9e6)
_SOX: Final = _index(1.3, 1.9, 60.0, 5e6, own=0.006)
_FANG: Final = _index(1.2, 1.4, 60.0, 1e6, own=0.005)
_BIOTECH: Final = _index(1.1, 0.3, 60.0, 1e6, own=0.011)
_SMALL: Final = _index(1.2, 0.0, 110.0, 1e6, own=0.004)
_ENERGY: Final = _other(0.9, 0.010, 78.0, 15e6)
_BANKS: Final = _index(1.15, -0.2, 24.0, 45e6, own=0.004)
_LONG_BOND: Final = _bond(17, 125.0, 15e6)

TRAITS: Final[dict[str, Traits]] = {
    "SPY": _SPY,
    "IOO": _index(0.95, 0.2, 75.0, 3e5),
    "VTI": _index(1.0, 0.05, 105.0, 4e6),
    "DIA": _index(0.9, -0.2, 178.0, 5e6),
    "QQQ": _QQQ,
    "QQQE": _index(1.05, 0.6, 45.0, 2e5),
    "XLK": _XLK,
    "SMH": _SOX,
    "VOX": _index(0.95, 0.4, 85.0, 2e5, own=0.004),
    "VOOG": _index(1.05, 0.4, 100.0, 2e5),
    "VOOV": _index(0.95, -0.3, 90.0, 2e5),
    "VTV": _index(0.92, -0.3, 84.0, 2e6),
    "XLF": _BANKS,
    "XLP": _index(0.6, -0.3, 48.0, 11e6, own=0.003),
    "XLU": _index(0.5, -0.3, 47.0, 12e6, own=0.005),
    "XLV": _index(0.8, -0.1, 69.0, 9e6, own=0.004),
    "XLI": _index(1.05, -0.2, 56.0, 10e6, own=0.003),
    "XLB": _index(1.05, -0.2, 48.0, 6e6, own=0.004),
    "XLE": _ENERGY,
    "XLY": _index(1.1, 0.3, 72.0, 5e6, own=0.003),
    "SPLV": _index(0.6, -0.3, 38.0, 3e6),
    "RETL": _leveraged(_index(1.2, 0.0, 30.0, 1e5, own=0.006), 3, 30.0, 1e5, drift=0.05),
    "UPRO": _leveraged(_SPY, 3, 43.0, 6e6, drift=0.12),
    "SPXL": _leveraged(_SPY, 3, 31.0, 7e6, drift=0.12),
    "SPXS": _leveraged(_SPY, -3, 40.0, 7e6, drift=-0.12),
    "SSO": _leveraged(_SPY, 2, 40.0, 3e6, drift=0.10),
    "SDS": _leveraged(_SPY, -2, 40.0, 5e6, drift=-0.09),
    "SPXU": _leveraged(_SPY, -3, 38.0, 8e6, drift=-0.12),
    "SH": _leveraged(_SPY, -1, 44.0, 4e6, drift=-0.05),
    "TQQQ": _leveraged(_QQQ, 3, 24.0, 60e6, drift=0.14),
    "SQQQ": _leveraged(_QQQ, -3, 40.0, 90e6, drift=-0.14),
    "PSQ": _leveraged(_QQQ, -1, 42.0, 5e6, drift=-0.05),
    "QID": _leveraged(_QQQ, -2, 40.0, 5e6, drift=-0.09),
    "TECL": _leveraged(_XLK, 3, 26.0, 1.5e6, drift=0.14),
    "TECS": _leveraged(_XLK, -3, 40.0, 1.5e6, drift=-0.14),
    "SOXL": _leveraged(_SOX, 3, 28.0, 50e6, drift=0.10, base="SMH"),
    "SOXS": _leveraged(_SOX, -3, 40.0, 40e6, drift=-0.15, base="SMH"),
    "FNGU": _leveraged(_FANG, 3, 40.0, 2e6, drift=0.10, base="FNGS"),
    "FNGO": _leveraged(_FANG, 2, 40.0, 3e5, drift=0.08, base="FNGS"),
    "LABU": _leveraged(_BIOTECH, 3, 50.0, 2e6, drift=0.0, base="XBI"),
    "LABD": _leveraged(_BIOTECH, -3, 50.0, 2e6, drift=-0.10, base="XBI"),
    "IWM": _SMALL,
    "TNA": _leveraged(_SMALL, 3, 40.0, 10e6, drift=0.10, base="IWM"),
    "TZA": _leveraged(_SMALL, -3, 40.0, 10e6, drift=-0.12, base="IWM"),
    "FAS": _leveraged(_BANKS, 3, 40.0, 2e6, drift=0.08, base="XLF"),
    "ERX": _leveraged(_ENERGY, 2, 40.0, 1e6, drift=0.02, base="XLE"),
    "UVXY": _fear(5.0, 30.0, 30e6),
    "UVIX": _fear(6.5, 25.0, 5e6),
    "VIXY": _fear(3.4, 28.0, 3e6),
    "VXX": _fear(3.4, 35.0, 8e6),
    "VIXM": _fear(1.4, 28.0, 3e5),
    "SVXY": Traits(1.7, 0.0, 0.004, 0.08, 40.0, 2e6),
    "SVIX": Traits(3.4, 0.0, 0.008, 0.06, 30.0, 3e6),
    "BIL": Traits(0.0, 0.0, 0.00002, 0.015, 91.4, 6e6),
    "SHY": _bond(1.9, 84.5, 3e6),
    "BSV": _bond(2.7, 80.0, 2.5e6),
    "IEI": _bond(4.5, 122.0, 1e6),
    "IEF": _bond(7.5, 106.0, 6e6),
    "TLT": _LONG_BOND,
    "TMF": _leveraged(_LONG_BOND, 3, 60.0, 5e6, drift=-0.02, base="TLT"),
    "TMV": _leveraged(_LONG_BOND, -3, 60.0, 1e6, drift=-0.05, base="TLT"),
    "AGG": _bond(6.0, 110.0, 6e6),
    "BND": _bond(6.2, 82.0, 5e6),
    "LQD": _bond(8.5, 119.0, 10e6),
    "HYG": _index(0.35, 0.0, 90.0, 20e6),
    "GLD": _other(0.0, 0.009, 114.0, 7e6),
    "SLV": _other(0.2, 0.016, 15.0, 15e6),
    "DBC": _other(0.3, 0.009, 18.0, 2e6),
    "PDBC": _other(0.3, 0.009, 17.0, 2e6),
    "UUP": _other(-0.05, 0.004, 24.0, 2e6),
    "KMLM": _other(-0.15, 0.006, 27.0, 3e5),
    "FTLS": _index(0.45, 0.1, 30.0, 2e5, own=0.002),
    "BTAL": _other(-0.45, 0.006, 20.0, 4e5),
    "AAPL": _stock(1.1, 0.9, 27.0, 60e6),
    "AMZN": _stock(1.1, 1.0, 45.0, 45e6),
    "GOOGL": _stock(1.05, 0.8, 40.0, 25e6),
    "MSFT": _stock(1.05, 0.9, 47.0, 25e6),
    "NVDA": _stock(1.4, 1.8, 40.0, 200e6),
    "TSLA": Traits(1.4, 1.2, 0.026, 0.09, 60.0, 90e6),
    "SMR": Traits(1.2, 0.4, 0.035, 0.04, 20.0, 8e6),
    "OKLO": Traits(1.2, 0.5, 0.040, 0.04, 20.0, 8e6),
    "BWXT": _stock(0.8, 0.0, 32.0, 8e5),
    "LEU": Traits(1.1, 0.2, 0.034, 0.04, 40.0, 5e5),
    "EXC": _stock(0.5, -0.2, 26.0, 7e6),
    "NLR": _other(0.6, 0.009, 45.0, 1e5),
}
"""The funds and stocks of the shipped strategies and their usual company."""


class SyntheticMarket:
    """A :class:`alchemiser.exchange.bars.DailySource` of invented bars from :data:`FIRST_DAY` to ``last_day`` for any symbol.

    ``symbols`` are those of the shipped strategies unless others are named; every other symbol can be asked for as well.
    """

    def __init__(
        self,
        calendar: TradingCalendar,
        seed: int,
        *,
        symbols: tuple[str, ...] = tuple(TRAITS),
        last_day: date | None = None,
        dividends: bool = False,
        splits: bool = False,
    ) -> None:
        self._seed = seed
        self._has_splits = splits
        self._pays_dividends = dividends
        self._symbols = tuple(sorted(symbols))
        sessions = calendar.sessions(FIRST_DAY, calendar.last_day if last_day is None else last_day)
        if len(sessions) <= HISTORY_SESSIONS:
            raise DataError(f"a synthetic market begins on {FIRST_DAY} and needs {HISTORY_SESSIONS} sessions of history before {last_day}")
        self._days = np.array([session.date.toordinal() for session in sessions], np.int64)
        self._indexes = self._days.astype(np.uint64)
        self._calm = self._volatility()
        self._market = self._market_levels()
        self._technology = _leaky_sum(_TECHNOLOGY * self._calm * self._bells("technology"), _TECHNOLOGY_PULL)

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols that were named, in alphabetical order."""
        return self._symbols

    def series(self, symbol: str) -> DailySeries:
        """Return the bars of a symbol, rounded to cents."""
        traits = TRAITS.get(symbol) or self._traits_of_stranger(symbol)
        # A symbol's own deviation grows and shrinks with that of the market, half as much.
        own = traits.own * (0.5 + 0.5 * self._calm / _DEVIATION) * self._bells(f"own {symbol}")
        shared = traits.market * self._market + traits.technology * self._technology
        if traits.base_own:
            of_base = traits.base_own * (0.5 + 0.5 * self._calm / _DEVIATION) * self._bells(f"own {traits.base}")
            shared = shared + traits.multiple * _leaky_sum(of_base, _OWN_PULL)
        years = np.arange(len(own)) / _SESSIONS_PER_YEAR
        logarithm = shared + _leaky_sum(own, _OWN_PULL) + traits.drift * years
        logarithm -= logarithm[0]
        steps = np.diff(logarithm, prepend=0.0)
        close = np.maximum(_cents(traits.price * np.exp(logarithm)), 0.01)
        before = np.concatenate((close[:1], close[:-1]))

        breadth = np.abs(traits.market) * self._calm + np.abs(traits.technology) * _TECHNOLOGY * self._calm + traits.own
        breadth = breadth + np.abs(traits.multiple) * traits.base_own
        gap = 0.35 * steps + 0.25 * breadth * self._bells(f"gap {symbol}")
        opens = np.maximum(_cents(before * np.exp(gap)), 0.01)
        top, bottom = np.maximum(opens, close), np.minimum(opens, close)
        up, down = (self._draws(f"{side} {symbol}") for side in ("up", "down"))
        high = np.maximum(_cents(top * (1 + 0.9 * breadth * up * up)), top)
        low = np.maximum(np.minimum(_cents(bottom * (1 - 0.9 * np.minimum(breadth, 0.2) * down * down)), bottom), 0.01)
        excitement = 0.5 + 0.5 * np.minimum(self._calm / _DEVIATION, 4.0) + 8 * np.minimum(np.abs(steps), 0.1)
        volume = np.floor(traits.shares * excitement * (0.7 + 0.6 * self._draws(f"volume {symbol}")))
        nothing = np.zeros(len(close), np.bool_)
        total_return = self._adjusted(close, traits) if self._pays_dividends else close
        series = DailySeries(symbol, self._days, opens, high, low, close, volume, total_return, np.ones(len(close)), nothing)
        return self._with_splits(series) if self._has_splits else series

    def _with_splits(self, series: DailySeries) -> DailySeries:
        """Return the series as it would have been traded with splits: later ones never show in the prices of a day."""
        chances, choices = (self._draws(f"{name} {series.symbol}").tolist() for name in ("split", "ratio"))
        split, shares = np.ones(len(series)), np.ones(len(series))
        held = 1.0
        before = series.close.item(0)
        for place, close in enumerate(series.close.tolist()):
            if place and chances[place] < _SPLITS_PER_SESSION:
                ratios = _FORWARD if before / held >= _DEAR else _REVERSE
                split[place] = ratios[int(choices[place] * len(ratios))]
                held *= split.item(place)
            shares[place] = held
            before = close
        adjusted = series.open, series.high, series.low, series.close
        opens, high, low, close = (np.maximum(_cents(prices / shares), 0.01) for prices in adjusted)
        return replace(
            series,
            open=opens,
            high=high,
            low=low,
            close=close,
            volume=np.floor(series.volume * shares),
            total_return=series.total_return / series.close * close,
            split=split,
            is_as_traded=True,
        )

    def _adjusted(self, close: Floats, traits: Traits) -> Floats:
        """Return the closes adjusted for the dividends that the symbol pays, if it pays any."""
        a_year, periods = _dividend_of(traits)
        if not a_year:
            return close
        before = np.concatenate((close[:1], close[:-1]))
        rates = np.where(self._ex_days(periods), np.rint(before * a_year / periods * 100) / 100, 0.0)
        kept = np.cumprod(1 - rates / before)
        adjusted: Floats = close * (kept[-1] / kept)
        return adjusted

    def _ex_days(self, periods: int) -> NDArray[np.bool_]:
        """Return which days are the first from the fifteenth of their month on, of every month or of the last one of a quarter."""
        days = [date.fromordinal(ordinal) for ordinal in self._days.tolist()]
        months = [(day.year, day.month) if day.day >= _EX_DAY and (periods == _MONTHS or day.month % 3 == 0) else None for day in days]
        return np.array([month is not None and month != before for before, month in pairwise([None, *months])], np.bool_)

    def _volatility(self) -> Floats:
        """Return the daily deviation of the market: mean-reverting in its logarithm, between sleepy and alarmed."""
        shocks = self._bells("volatility")
        logarithm = np.empty(len(shocks))
        level = 0.0
        for index, shock in enumerate(shocks.tolist()):
            level = 0.975 * level + 0.11 * shock
            logarithm[index] = level
        return _DEVIATION * np.exp(logarithm)

    def _market_levels(self) -> Floats:
        """Return the logarithm of the market factor: cycles of bull and bear, momentum, a pull to the trend, falls steeper than rises."""
        shocks = self._bells("market")
        phases = uniforms_at(noise_key(self._seed, "phase"), np.arange(2, dtype=np.uint64)) * (2 * np.pi)
        day = np.arange(len(shocks)) * (2 * np.pi)
        drift = 0.0011 * np.sin(day / _SLOW_CYCLE_SESSIONS + phases[0]) + 0.0010 * np.sin(day / _FAST_CYCLE_SESSIONS + phases[1])
        levels = np.empty(len(shocks))
        level = step = 0.0
        for index, (pull, calm, shock) in enumerate(zip(drift.tolist(), self._calm.tolist(), shocks.tolist(), strict=True)):
            step = pull + 0.12 * step + calm * shock - _MARKET_PULL * level
            # Steeper falls alone would be a trend downwards; the second term takes it out again.
            level += (1.15 * step if step < 0 else step) + 0.06 * calm
            levels[index] = level
        return levels

    def _traits_of_stranger(self, symbol: str) -> Traits:
        draws = uniforms_at(noise_key(self._seed, "traits", symbol), np.arange(6, dtype=np.uint64)).tolist()
        return Traits(
            market=0.6 + 0.8 * draws[0],
            technology=-0.3 + 1.2 * draws[1],
            own=0.008 + 0.018 * draws[2],
            drift=0.02 + 0.10 * draws[3],
            price=round(15 + 185 * draws[4], 2),
            shares=float(round(2e5 + 2e7 * draws[5] ** 3)),
        )

    def _bells(self, name: str) -> Floats:
        return bells_at(noise_key(self._seed, name), self._indexes)

    def _draws(self, name: str) -> Floats:
        return uniforms_at(noise_key(self._seed, name), self._indexes)


def _dividend_of(traits: Traits) -> tuple[float, int]:
    """Return what a symbol pays, as a share of its price in a year, and in how many parts; leveraged funds and commodities pay nothing."""
    if traits.market <= 0 and traits.technology == 0 and traits.drift > 0 and traits.own < _BOND_DEVIATION:
        return _BOND_YIELD, _MONTHS
    if 0 < traits.market <= _UNLEVERAGED:
        return _STOCK_YIELD, _QUARTERS
    return 0.0, 0


def _cents(prices: Floats) -> Floats:
    return np.rint(prices * 100) / 100


def _leaky_sum(steps: Floats, pull: float) -> Floats:
    return np.fromiter(accumulate(steps.tolist(), lambda level, step: level * (1 - pull) + step), np.float64, len(steps))
