"""The rotation that the backtest benchmark runs, its prices, and the same rule in plain NumPy.

Twelve symbols over twenty years of days. Above 79 the ten-day RSI of the market goes to cash; with the market above its 200-day average the
three risky symbols with the best mean return of 90 days share the account; below it an RSI under 31 buys the market, and otherwise three
defensive symbols are weighed by the inverse of their volatility of 20 days. Every day is a rebalance.
"""

from datetime import date

import numpy as np

from alchemiser.market.arrays import Days, Floats

SESSIONS = 5_040
CASH = 100_000.0
MARKET = "BULL"
RISKY = (MARKET, "R1", "R2", "R3", "R4", "R5", "R6", "R7")
DEFENSIVE = ("D1", "D2", "D3")
BILLS = "BILL"
SYMBOLS = (*RISKY, *DEFENSIVE, BILLS)
RSI_WINDOW, AVERAGE_WINDOW, MOMENTUM_WINDOW, VOLATILITY_WINDOW = 10, 200, 90, 20
HOT, COLD, HELD = 79.0, 31.0, 3


def symphony_text() -> str:
    """Return the rule as a symphony."""
    risky = " ".join(f'(asset "{symbol}")' for symbol in RISKY)
    defensive = " ".join(f'(asset "{symbol}")' for symbol in DEFENSIVE)
    rsi = f'(rsi "{MARKET}" {{:window {RSI_WINDOW}}})'
    return f"""(defsymphony "Rotation" {{:rebalance-frequency :daily}}
      (if (> {rsi} {HOT:g}) [(asset "{BILLS}")]
        [(if (> (current-price "{MARKET}") (moving-average-price "{MARKET}" {{:window {AVERAGE_WINDOW}}}))
           [(filter (moving-average-return {{:window {MOMENTUM_WINDOW}}}) (select-top {HELD}) [{risky}])]
           [(if (< {rsi} {COLD:g}) [(asset "{MARKET}")] [(weight-inverse-volatility {VOLATILITY_WINDOW} [{defensive}])])])]))"""


def weekdays() -> Days:
    """Return the days as ordinals."""
    found: list[int] = []
    day = date(2005, 1, 3).toordinal()
    while len(found) < SESSIONS:
        if date.fromordinal(day).weekday() < 5:
            found.append(day)
        day += 1
    return np.array(found, dtype=np.int64)


def prices(seed: int) -> dict[str, Floats]:
    """Return seeded walks that share a market: closes by symbol."""
    dice = np.random.default_rng(seed)
    market = dice.normal(0.0003, 0.010, SESSIONS)
    found = {}
    for symbol in SYMBOLS:
        own = dice.normal(0.0002, 0.0005 if symbol == BILLS else 0.012, SESSIONS)
        found[symbol] = np.round(50.0 * np.exp(np.cumsum(own + (0.6 * market if symbol in RISKY else 0.0))), 4)
    return found


def floor_weights(closes: Floats) -> Floats:
    """Return the weights of every session, zeros before the first target; ``closes`` has a row per symbol, in the order of ``SYMBOLS``."""
    market, risky = closes[0], closes[: len(RISKY)]
    rsi, average = _rsi(market), _means(market, AVERAGE_WINDOW)
    returns = closes[:, 1:] / closes[:, :-1] - 1.0
    momentum = _means_of_rows(returns[: len(RISKY)], MOMENTUM_WINDOW)
    volatility = _deviations(returns[len(RISKY) : len(RISKY) + len(DEFENSIVE)])
    first = AVERAGE_WINDOW - 1
    count = closes.shape[1] - first
    rsi, price = rsi[-count:], market[first:]
    is_hot, is_up, is_cold = rsi > HOT, price > average[-count:], rsi < COLD

    weights = np.zeros((closes.shape[1], len(SYMBOLS)))
    tail = weights[first:]
    best = np.argpartition(-momentum[:, -count:], HELD - 1, axis=0)[:HELD]
    rising = np.flatnonzero(~is_hot & is_up)
    for row in best:
        tail[rising, row[rising]] = 1.0 / HELD
    tail[is_hot, -1] = 1.0
    tail[~is_hot & ~is_up & is_cold, 0] = 1.0
    falling = np.flatnonzero(~is_hot & ~is_up & ~is_cold)
    inverse = 1.0 / volatility[:, -count:][:, falling]
    tail[falling, len(risky) : len(risky) + len(DEFENSIVE)] = (inverse / inverse.sum(axis=0)).T
    return weights


def floor_equity(closes: Floats, weights: Floats) -> Floats:
    """Return the equity of every session from the first target on."""
    first = int(np.flatnonzero(weights.any(axis=1))[0])
    grown = closes[:, first + 1 :] / closes[:, first:-1]
    growth = np.einsum("ij,ji->i", weights[first:-1], grown)
    return CASH * np.concatenate([[1.0], np.cumprod(growth)])


def _rsi(closes: Floats) -> Floats:
    """Return Wilder's index from its first value on: a recursion, which plain NumPy has no function for."""
    changes = np.diff(closes)
    gains, losses = np.maximum(changes, 0.0), np.maximum(-changes, 0.0)
    gain, loss = float(gains[:RSI_WINDOW].mean()), float(losses[:RSI_WINDOW].mean())
    found = [100.0 * gain / (gain + loss)]
    for up, down in zip(gains[RSI_WINDOW:].tolist(), losses[RSI_WINDOW:].tolist(), strict=True):
        gain += (up - gain) / RSI_WINDOW
        loss += (down - loss) / RSI_WINDOW
        found.append(100.0 * gain / (gain + loss))
    return np.array(found)


def _means(values: Floats, window: int) -> Floats:
    total = np.concatenate([[0.0], np.cumsum(values)])
    means: Floats = (total[window:] - total[:-window]) / window
    return means


def _means_of_rows(values: Floats, window: int) -> Floats:
    total = np.concatenate([np.zeros((len(values), 1)), np.cumsum(values, axis=1)], axis=1)
    means: Floats = (total[:, window:] - total[:, :-window]) / window
    return means


def _deviations(returns: Floats) -> Floats:
    windows = np.lib.stride_tricks.sliding_window_view(returns, VOLATILITY_WINDOW, axis=1)
    deviations: Floats = windows.std(axis=2, ddof=1)
    return deviations
