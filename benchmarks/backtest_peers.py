"""The rotation in other backtesters, each as its users write it: the rule with the means of its framework, and the trading.

Every function takes the closes (a row per symbol) and the days, and returns the equity from the first target on. Costs are nil, shares are
fractions, orders are filled at the close of the day that decides them. bt and vectorbt get the targets of all days from pandas, at once;
backtrader and NautilusTrader have indicators that go from day to day. What the rule is, ``rotation`` says; whoever understands it otherwise
has another curve, and then nothing is compared.
"""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any

import numpy as np
from rotation import (
    AVERAGE_WINDOW,
    BILLS,
    CASH,
    COLD,
    DEFENSIVE,
    HELD,
    HOT,
    MARKET,
    MOMENTUM_WINDOW,
    RISKY,
    RSI_WINDOW,
    SYMBOLS,
    VOLATILITY_WINDOW,
)

from alchemiser.market.arrays import Days, Floats

Peer = Callable[[Floats, Days], Sequence[float]]

FIRST = AVERAGE_WINDOW - 1
"""The place of the first session with a target: its average has the longest window."""


def pandas_targets(frame: Any) -> Any:
    """Return the targets of every session from a frame of closes, a column per symbol, from the first target on."""
    import pandas as pd  # noqa: PLC0415 - the peers are extras

    market = frame[MARKET]
    changes = market.diff().iloc[1:]
    gain, loss = (side.ewm(alpha=1 / RSI_WINDOW, adjust=False).mean() for side in (changes.clip(lower=0), -changes.clip(upper=0)))
    rsi = (100 * gain / (gain + loss)).reindex(market.index)
    returns = frame.pct_change()
    ranks = returns[list(RISKY)].rolling(MOMENTUM_WINDOW).mean().rank(axis=1, ascending=False)
    inverse = 1 / returns[list(DEFENSIVE)].rolling(VOLATILITY_WINDOW).std()
    is_hot, is_cold, is_up = rsi > HOT, rsi < COLD, market > market.rolling(AVERAGE_WINDOW).mean()

    found = pd.DataFrame(0.0, index=frame.index, columns=frame.columns)
    found[list(RISKY)] = (ranks <= HELD).div(HELD).where(~is_hot & is_up, 0.0)
    found[list(DEFENSIVE)] = inverse.div(inverse.sum(axis=1), axis=0).where(~is_hot & ~is_up & ~is_cold, 0.0)
    found[MARKET] = found[MARKET].mask(~is_hot & ~is_up & is_cold, 1.0)
    found[BILLS] = is_hot.astype(float)
    return found.iloc[FIRST:]


def wanted_weights(
    rsi: float, is_up: bool, momentum: Callable[[], Sequence[float]], deviations: Callable[[], Sequence[float]]
) -> list[float]:
    """Return the weights of one session, in the order of the symbols; what only one branch asks for is computed in that branch."""
    weights = dict.fromkeys(SYMBOLS, 0.0)
    if rsi > HOT:
        weights[BILLS] = 1.0
    elif is_up:
        for _, symbol in sorted(zip(momentum(), RISKY, strict=True), reverse=True)[:HELD]:
            weights[symbol] = 1.0 / HELD
    elif rsi < COLD:
        weights[MARKET] = 1.0
    else:
        inverse = [1.0 / deviation for deviation in deviations()]
        weights.update((symbol, one / sum(inverse)) for symbol, one in zip(DEFENSIVE, inverse, strict=True))
    return list(weights.values())


def bt_peer() -> Peer:
    """Return the rotation in bt."""
    import bt  # noqa: PLC0415
    import pandas as pd  # noqa: PLC0415

    def run(closes: Floats, days: Days) -> Sequence[float]:
        index = pd.DatetimeIndex([datetime.fromordinal(int(day)) for day in days])
        frame = pd.DataFrame(closes.T, index=index, columns=list(SYMBOLS))
        strategy = bt.Strategy("rotation", [bt.algos.WeighTarget(pandas_targets(frame)), bt.algos.Rebalance()])
        test = bt.Backtest(strategy, frame.iloc[FIRST:], initial_capital=CASH, integer_positions=False, progress_bar=False)
        test.run()
        found: list[float] = test.strategy.values.iloc[1:].tolist()  # Its first row is the day before.
        return found

    return run


def vectorbt_peer() -> Peer:
    """Return the rotation in vectorbt."""
    import pandas as pd  # noqa: PLC0415
    import vectorbt as vbt  # noqa: PLC0415

    def run(closes: Floats, days: Days) -> Sequence[float]:
        index = pd.DatetimeIndex([datetime.fromordinal(int(day)) for day in days])
        frame = pd.DataFrame(closes.T, index=index, columns=list(SYMBOLS))
        portfolio = vbt.Portfolio.from_orders(
            frame.iloc[FIRST:],
            size=pandas_targets(frame),
            size_type="targetpercent",
            group_by=True,
            cash_sharing=True,
            call_seq="auto",
            init_cash=CASH,
            freq="1D",
        )
        found: list[float] = portfolio.value().tolist()
        return found

    return run


def backtrader_peer() -> Peer:
    """Return the rotation in backtrader, orders filled at the close of their day."""
    import backtrader as backtrader  # noqa: PLC0415
    import pandas as pd  # noqa: PLC0415

    class Rotation(backtrader.Strategy):  # type: ignore[misc]
        def __init__(self) -> None:
            self.equity: list[float] = []
            by_name = dict(zip(SYMBOLS, self.datas, strict=True))
            kinds = backtrader.indicators
            self.market = by_name[MARKET]
            self.rsi = kinds.RSI_SMMA(self.market, period=RSI_WINDOW)  # Wilder's own.
            self.average = kinds.SMA(self.market, period=AVERAGE_WINDOW)
            self.momentum = [kinds.SMA(kinds.PctChange(by_name[symbol], period=1), period=MOMENTUM_WINDOW) for symbol in RISKY]
            self.deviations = [
                kinds.StandardDeviation(kinds.PctChange(by_name[symbol], period=1), period=VOLATILITY_WINDOW) for symbol in DEFENSIVE
            ]

        def next(self) -> None:
            value = self.broker.getvalue() - CASH
            self.equity.append(value)
            wanted = wanted_weights(
                self.rsi[0],
                self.market.close[0] > self.average[0],
                lambda: [line[0] for line in self.momentum],
                lambda: [line[0] for line in self.deviations],
            )
            changes = []
            for data, weight in zip(self.datas, wanted, strict=True):
                held = self.getposition(data).size
                change = value * weight / data.close[0] - held
                if abs(change) > 1e-12:
                    changes.append((change, data))
            for change, data in sorted(changes, key=lambda pair: pair[0] > 0):
                (self.buy if change > 0 else self.sell)(data=data, size=abs(change))

    def run(closes: Floats, days: Days) -> Sequence[float]:
        index = pd.DatetimeIndex([datetime.fromordinal(int(day)) for day in days])
        cerebro = backtrader.Cerebro(stdstats=False)
        for symbol, close in zip(SYMBOLS, closes, strict=True):
            frame = pd.DataFrame({"open": close, "high": close, "low": close, "close": close, "volume": 1e9}, index=index)
            cerebro.adddata(backtrader.feeds.PandasData(dataname=frame), name=symbol)
        cerebro.addstrategy(Rotation)
        cerebro.broker.setcash(2 * CASH)  # It refuses a purchase that lacks the last place of a float; the second half is never used.
        cerebro.broker.set_coc(True)
        cerebro.broker.set_checksubmit(False)
        (strategy,) = cerebro.run()
        found: list[float] = strategy.equity
        return found

    return run


def nautilus_peer(*, figures: bool) -> Peer:  # noqa: C901 - one peer, told in one place
    """Return the rotation in NautilusTrader: one instrument per symbol, market orders on daily bars, its risk checks on as ours are.

    With ``figures`` it makes its own (returns, Sharpe, profit by position) at the end of the run, as it does unless told otherwise and as
    our engines make theirs; they are not written out. Without, it is the bare matching, risk and portfolio.
    """
    from nautilus_trader.backtest.config import BacktestEngineConfig  # noqa: PLC0415
    from nautilus_trader.backtest.engine import BacktestEngine  # noqa: PLC0415
    from nautilus_trader.config import LoggingConfig  # noqa: PLC0415
    from nautilus_trader.indicators import MovingAverageType, RelativeStrengthIndex, SimpleMovingAverage  # noqa: PLC0415
    from nautilus_trader.model.currencies import USDT  # noqa: PLC0415
    from nautilus_trader.model.data import Bar, BarType  # noqa: PLC0415
    from nautilus_trader.model.enums import AccountType, CurrencyType, OmsType, OrderSide  # noqa: PLC0415
    from nautilus_trader.model.identifiers import InstrumentId, Symbol, TraderId, Venue  # noqa: PLC0415
    from nautilus_trader.model.instruments import CurrencyPair  # noqa: PLC0415
    from nautilus_trader.model.objects import Currency, Money, Price, Quantity  # noqa: PLC0415
    from nautilus_trader.trading.strategy import Strategy  # noqa: PLC0415

    venue = Venue("SIM")
    places = 8

    def instrument(symbol: str) -> Any:
        base = Currency(symbol, precision=places, iso4217=0, name=symbol, currency_type=CurrencyType.CRYPTO)
        identity = InstrumentId(Symbol(f"{symbol}USDT"), venue)
        return CurrencyPair(
            instrument_id=identity,
            raw_symbol=identity.symbol,
            base_currency=base,
            quote_currency=USDT,
            price_precision=places,
            size_precision=places,
            price_increment=Price(1e-8, places),
            size_increment=Quantity(1e-8, places),
            lot_size=None,
            max_quantity=None,
            min_quantity=None,
            max_notional=None,
            min_notional=None,
            max_price=None,
            min_price=None,
            margin_init=Decimal(0),
            margin_maint=Decimal(0),
            maker_fee=Decimal(0),
            taker_fee=Decimal(0),
            ts_event=0,
            ts_init=0,
        )

    class Rotation(Strategy):  # type: ignore[misc]
        def __init__(self, instruments: list[Any], types: list[Any]) -> None:
            super().__init__()
            self.instruments, self.types = instruments, types
            self.equity: list[float] = []
            self.cash = CASH
            self.shares = dict.fromkeys((one.id for one in instruments), 0.0)
            self.prices: dict[Any, float] = {}
            ids = dict(zip(SYMBOLS, self.shares, strict=True))
            self.market = ids[MARKET]
            self.rsi = RelativeStrengthIndex(RSI_WINDOW, MovingAverageType.WILDER)
            self.average = SimpleMovingAverage(AVERAGE_WINDOW)
            self.momentum = {ids[symbol]: SimpleMovingAverage(MOMENTUM_WINDOW) for symbol in RISKY}
            self.returns: dict[Any, deque[float]] = {ids[symbol]: deque(maxlen=VOLATILITY_WINDOW) for symbol in DEFENSIVE}

        def on_start(self) -> None:
            kinds = dict(zip(SYMBOLS, self.types, strict=True))
            self.register_indicator_for_bars(kinds[MARKET], self.rsi)
            self.register_indicator_for_bars(kinds[MARKET], self.average)
            for kind in self.types:
                self.subscribe_bars(kind)

        def on_bar(self, bar: Any) -> None:
            key, close = bar.bar_type.instrument_id, float(bar.close)
            before = self.prices.get(key)
            self.prices[key] = close
            if before is not None:
                if key in self.momentum:
                    self.momentum[key].update_raw(close / before - 1.0)
                elif key in self.returns:
                    self.returns[key].append(close / before - 1.0)
            if bar.bar_type == self.types[-1] and self.average.initialized:
                self.rebalance()

        def rebalance(self) -> None:
            value = self.cash + sum(shares * self.prices[key] for key, shares in self.shares.items() if shares)
            self.equity.append(value)
            wanted = wanted_weights(
                100.0 * self.rsi.value,
                self.prices[self.market] > self.average.value,
                lambda: [average.value for average in self.momentum.values()],
                lambda: [float(np.std(returns)) for returns in self.returns.values()],
            )
            changes = []
            for one, weight in zip(self.instruments, wanted, strict=True):
                change = value * weight / self.prices[one.id] - self.shares[one.id]
                if abs(change) > 1e-7:
                    changes.append((change, one))
            for change, one in sorted(changes, key=lambda pair: pair[0] > 0):
                side = OrderSide.BUY if change > 0 else OrderSide.SELL
                self.submit_order(self.order_factory.market(one.id, side, Quantity(abs(change), places)))

        def on_order_filled(self, event: Any) -> None:
            shares = float(event.last_qty) * (1.0 if event.order_side == OrderSide.BUY else -1.0)
            self.shares[event.instrument_id] += shares
            self.cash -= shares * float(event.last_px)

    def run(closes: Floats, days: Days) -> Sequence[float]:
        engine = BacktestEngine(
            BacktestEngineConfig(
                trader_id=TraderId("BENCH-001"),
                logging=LoggingConfig(bypass_logging=True),
                run_analysis=figures,
            )
        )
        engine.add_venue(
            venue=venue,
            oms_type=OmsType.NETTING,
            account_type=AccountType.MARGIN,
            starting_balances=[Money(CASH, USDT)],
            base_currency=USDT,
        )
        instruments = [instrument(symbol) for symbol in SYMBOLS]
        types = [BarType.from_str(f"{one.id}-1-DAY-LAST-EXTERNAL") for one in instruments]
        for one in instruments:
            engine.add_instrument(one)
        bars = []
        volume = Quantity(1e9, places)
        for place in range(len(days)):
            at = int(datetime.fromordinal(int(days[place])).replace(tzinfo=UTC).timestamp()) * 1_000_000_000
            for row, kind in enumerate(types):
                price = Price(closes[row, place], places)
                bars.append(Bar(kind, price, price, price, price, volume, at, at))
        engine.add_data(bars, sort=False)
        strategy = Rotation(instruments, types)
        engine.add_strategy(strategy)
        engine.run()
        found = list(strategy.equity)
        engine.dispose()
        return found

    return run


PEERS: dict[str, tuple[str, Callable[[], Peer]]] = {
    "bt": ("bt", bt_peer),
    "vectorbt": ("vectorbt", vectorbt_peer),
    "backtrader": ("backtrader", backtrader_peer),
    "NautilusTrader": ("nautilus_trader", partial(nautilus_peer, figures=True)),
    "N., no figures": ("nautilus_trader", partial(nautilus_peer, figures=False)),
}
"""Each peer's package, and what loads it."""

logging.getLogger("backtrader").setLevel(logging.ERROR)
