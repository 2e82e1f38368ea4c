"""The rotation in other backtesters, each as its users write it, with the weights already computed: they are timed for the trading alone.

Every function takes the closes (a row per symbol), the days and the weights, and returns the equity from the first target on. Costs are
nil, shares are fractions, orders are filled at the close of the day that decides them.
"""

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np
from rotation import CASH, SYMBOLS

from alchemiser.market.arrays import Days, Floats

Peer = Callable[[Floats, Days, Floats], Sequence[float]]


def first_target(weights: Floats) -> int:
    """Return the place of the first target."""
    return int(np.flatnonzero(weights.any(axis=1))[0])


def bt_peer() -> Peer:
    """Return the rotation in bt."""
    import bt  # noqa: PLC0415 - the peers are extras
    import pandas as pd  # noqa: PLC0415

    def run(closes: Floats, days: Days, weights: Floats) -> Sequence[float]:
        index = pd.DatetimeIndex([datetime.fromordinal(int(day)) for day in days])
        frame = pd.DataFrame(closes.T, index=index, columns=list(SYMBOLS))
        targets = pd.DataFrame(weights, index=index, columns=list(SYMBOLS))
        first = first_target(weights)
        strategy = bt.Strategy("rotation", [bt.algos.WeighTarget(targets.iloc[first:]), bt.algos.Rebalance()])
        test = bt.Backtest(strategy, frame.iloc[first:], initial_capital=CASH, integer_positions=False, progress_bar=False)
        test.run()
        found: list[float] = test.strategy.values.iloc[1:].tolist()  # Its first row is the day before.
        return found

    return run


def vectorbt_peer() -> Peer:
    """Return the rotation in vectorbt."""
    import pandas as pd  # noqa: PLC0415
    import vectorbt as vbt  # noqa: PLC0415

    def run(closes: Floats, days: Days, weights: Floats) -> Sequence[float]:
        first = first_target(weights)
        index = pd.DatetimeIndex([datetime.fromordinal(int(day)) for day in days[first:]])
        portfolio = vbt.Portfolio.from_orders(
            pd.DataFrame(closes.T[first:], index=index, columns=list(SYMBOLS)),
            size=pd.DataFrame(weights[first:], index=index, columns=list(SYMBOLS)),
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
        params = (("weights", None),)

        def __init__(self) -> None:
            self.equity: list[float] = []
            self.place = 0

        def next(self) -> None:
            value = self.broker.getvalue() - CASH
            self.equity.append(value)
            wanted = self.p.weights[self.place]
            self.place += 1
            changes = []
            for data, weight in zip(self.datas, wanted, strict=True):
                held = self.getposition(data).size
                change = value * weight / data.close[0] - held
                if abs(change) > 1e-12:
                    changes.append((change, data))
            for change, data in sorted(changes, key=lambda pair: pair[0] > 0):
                (self.buy if change > 0 else self.sell)(data=data, size=abs(change))

    def run(closes: Floats, days: Days, weights: Floats) -> Sequence[float]:
        first = first_target(weights)
        index = pd.DatetimeIndex([datetime.fromordinal(int(day)) for day in days[first:]])
        cerebro = backtrader.Cerebro(stdstats=False)
        for row, symbol in enumerate(SYMBOLS):
            close = closes[row, first:]
            frame = pd.DataFrame({"open": close, "high": close, "low": close, "close": close, "volume": 1e9}, index=index)
            cerebro.adddata(backtrader.feeds.PandasData(dataname=frame), name=symbol)
        cerebro.addstrategy(Rotation, weights=weights[first:].tolist())
        cerebro.broker.setcash(2 * CASH)  # It refuses a purchase that lacks the last place of a float; the second half is never used.
        cerebro.broker.set_coc(True)
        cerebro.broker.set_checksubmit(False)
        (strategy,) = cerebro.run()
        found: list[float] = strategy.equity
        return found

    return run


def nautilus_peer() -> Peer:  # noqa: C901 - one peer, told in one place
    """Return the rotation in NautilusTrader: one instrument per symbol, market orders on daily bars, without its risk checks."""
    from nautilus_trader.backtest.config import BacktestEngineConfig  # noqa: PLC0415
    from nautilus_trader.backtest.engine import BacktestEngine  # noqa: PLC0415
    from nautilus_trader.config import LoggingConfig, RiskEngineConfig  # noqa: PLC0415
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
        def __init__(self, instruments: list[Any], types: list[Any], weights: list[list[float]]) -> None:
            super().__init__()
            self.instruments, self.types, self.weights = instruments, types, weights
            self.equity: list[float] = []
            self.cash = CASH
            self.shares = dict.fromkeys((one.id for one in instruments), 0.0)
            self.prices: dict[Any, float] = {}
            self.place = 0

        def on_start(self) -> None:
            for kind in self.types:
                self.subscribe_bars(kind)

        def on_bar(self, bar: Any) -> None:
            self.prices[bar.bar_type.instrument_id] = float(bar.close)
            if bar.bar_type is not self.types[-1] and bar.bar_type != self.types[-1]:
                return
            value = self.cash + sum(shares * self.prices[key] for key, shares in self.shares.items() if shares)
            self.equity.append(value)
            wanted = self.weights[self.place]
            self.place += 1
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

    def run(closes: Floats, days: Days, weights: Floats) -> Sequence[float]:
        first = first_target(weights)
        engine = BacktestEngine(
            BacktestEngineConfig(
                trader_id=TraderId("BENCH-001"),
                logging=LoggingConfig(bypass_logging=True),
                risk_engine=RiskEngineConfig(bypass=True),
                run_analysis=False,
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
        for place in range(first, len(days)):
            at = int(datetime.fromordinal(int(days[place])).replace(tzinfo=UTC).timestamp()) * 1_000_000_000
            for row, kind in enumerate(types):
                price = Price(closes[row, place], places)
                bars.append(Bar(kind, price, price, price, price, volume, at, at))
        engine.add_data(bars, sort=False)
        strategy = Rotation(instruments, types, weights[first:].tolist())
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
    "NautilusTrader": ("nautilus_trader", nautilus_peer),
}
"""Each peer's package, and what loads it."""

logging.getLogger("backtrader").setLevel(logging.ERROR)
