"""The fast backtest: strategies over the sessions of a panel, filled at one price per session.

Conventions, those of the field's symphony tools:

- the decision of a session sees closes up to and including that session; with ``close`` it is filled at that close and earns from then on,
  with ``next-open`` it is filled at the open of the next session;
- before its first target a strategy holds cash; a strategy without a target today keeps what it holds; between rebalances holdings drift;
- the capital of a strategy is its allocation of the whole account at the moment it trades, as in the daemon; where others keep what they
  hold, purchases end with the cash there is (:func:`within_cash`);
- costs are charged on the traded notional, netted over strategies, and come out of those that trade in proportion to their part;
- fractions of a share are allowed unless whole ones are asked for; what those leave stays in cash. A symbol without a price is valued, and
  sold, at its last close;
- money that comes or goes is booked at the close of its session, before the decision (:mod:`alchemiser.backtest.flows`).

Indicators are computed over the whole history at once; there is nothing to look ahead at, because a session's value never depends on
later ones.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np

from alchemiser.backtest.at_once import Curve, Filled, closes_of, whole_curve
from alchemiser.backtest.fillable import Fillable
from alchemiser.backtest.flows import DatedFlow, flows_of, performance_of
from alchemiser.backtest.metrics import metrics_of
from alchemiser.backtest.record import Contribution, Recorder
from alchemiser.backtest.result import BacktestResult, DatedTarget, Failure, FailureLog, Opens, Terms, run_range
from alchemiser.domain.errors import DataError
from alchemiser.domain.rebalancing import is_due
from alchemiser.strategies.base import Decider, LoadedStrategy
from alchemiser.strategies.outcome import NotComputable
from alchemiser.strategies.panel import PricePanel

_BASIS_POINTS = 10_000.0
_NO_SHARES = 1e-12
"""What is left of a sold position by the sums of floats."""
_NO_ORDER = 1e-6
"""Dollars. So little is not bought with cash that does not reach, as the event engine sends no such order: nothing is held then."""
_WHOLE = 1e-9
"""So little is lacking in a whole number of shares that only the sums of floats are to blame."""


def run_vector(
    strategies: Sequence[LoadedStrategy],
    panel: PricePanel,
    terms: Terms,
    *,
    timer: Callable[[], float],
    start: date | None = None,
    end: date | None = None,
    opens: Opens | None = None,
    recorder: Recorder | None = None,
) -> BacktestResult:
    """Run the strategies from ``start`` (default: the first session with a target) to ``end`` (default: the last session).

    ``opens`` are needed to fill at the next open. ``timer`` counts seconds. A ``recorder`` is told every fill and has the book of the
    run afterwards. Raises ``DataError`` when there is no session in that range.
    """
    began = timer()
    sleeves = [_Sleeve(strategy, strategy.on(panel), strategy.allocation * terms.cash) for strategy in strategies]
    first, last = run_range(panel, {sleeve.strategy.name: sleeve.decider for sleeve in sleeves}, start, end)
    dates = panel.sessions(first, last)
    deciders = [sleeve.decider for sleeve in sleeves]
    curve = whole_curve(strategies, deciders, panel, terms, opens or Opens({}), first, dates)
    if curve is not None:
        if recorder is not None and curve.filled is not None:
            _tell(recorder, curve, curve.filled, strategies[0].name, panel, terms, first, dates)
        log = FailureLog(panel)
        for place in curve.without_target:
            log.note(strategies[0].name, place, lambda at=place: str(deciders[0].decide(at)))  # type: ignore[misc]
        return _result_of(curve, log.failures, dates, terms, lambda: timer() - began)
    if terms.fill == "next-open":
        for sleeve in sleeves:
            sleeve.decider = Fillable(sleeve.decider, panel, opens or Opens({}))
    flows = flows_of(terms.flows, dates)
    run = _Run(sleeves, panel, terms, opens or Opens({}), recorder, flows)
    for place in range(first, last + 1):
        run.session(place)
    if terms.fill == "next-open" and run.targets and run.targets[-1].date == dates[-1]:
        run.targets.pop()  # There is no open any more at which it could be acted upon.
    if recorder is not None:
        run.hand_over(recorder, dates, first)
    lived = Curve(np.array(run.equity), run.targets, np.array(run.traded_shares), run.costs)
    return _result_of(lived, run.failures, dates, terms, lambda: timer() - began, flows)


def _tell(
    recorder: Recorder, curve: Curve, filled: Filled, name: str, panel: PricePanel, terms: Terms, first: int, dates: Sequence[date]
) -> None:
    """Tell a recorder what was traded by one strategy in a run that was worked out at once."""
    days = [dates[place] for place in filled.fills.tolist()]
    wanted, positions = (
        [own * equity / price for own, price in zip(filled.weights, filled.prices, strict=True)] for equity in (filled.before, filled.after)
    )
    rate = terms.slippage_bps / _BASIS_POINTS
    recorder.filled_at_once(days, filled.symbols, wanted=wanted, positions=positions, prices=filled.prices, rate=rate)
    profit = float(curve.equity[-1]) - terms.cash
    recorder.ended(
        initial=terms.cash,
        dates=dates,
        equity=curve.equity.tolist(),
        closes={symbol: closes_of(panel, symbol)[first : first + len(dates)] for symbol in recorder.symbols},
        strategies=[Contribution(name, profit, profit / terms.cash, curve.costs)],
    )


def _result_of(
    curve: Curve,
    failures: list[Failure],
    dates: list[date],
    terms: Terms,
    seconds: Callable[[], float],
    flows: Sequence[DatedFlow] = (),
) -> BacktestResult:
    equity = curve.equity.tolist()
    performance = performance_of(equity, dates, flows) if flows else curve.equity
    return BacktestResult(
        engine="vector",
        start=dates[0],
        end=dates[-1],
        sessions=len(dates),
        metrics=metrics_of(
            performance, initial=terms.cash, traded_shares=curve.traded_shares, costs=curve.costs, risk_free=terms.risk_free
        ),
        dates=dates,
        equity=equity,
        targets=curve.targets,
        failures=failures,
        flows=list(flows),
        seconds=seconds(),
    )


@dataclass(slots=True)
class _Sleeve:
    """One strategy's part of the money: what it holds, in shares and cash, and the target it last acted upon."""

    strategy: LoadedStrategy
    decider: Decider
    cash: float
    shares: dict[str, float] = field(default_factory=dict)
    target: Mapping[str, float] = field(default_factory=dict)
    acted_on: date | None = None
    pending: Mapping[str, float] | None = None
    given: float = 0.0
    """What it was given of the account's money; what it is worth more is its profit. Its cash may be below zero: another's pays then."""
    costs: float = 0.0

    def __post_init__(self) -> None:
        self.given = self.cash

    def worth(self, prices: Mapping[str, float]) -> float:
        """Return what it holds is worth, without cash."""
        return sum(shares * prices[symbol] for symbol, shares in self.shares.items())

    def value(self, prices: Mapping[str, float]) -> float:
        return self.cash + self.worth(prices)


class _Run:
    """The state of a run; :meth:`session` is one step of it."""

    def __init__(
        self,
        sleeves: Sequence[_Sleeve],
        panel: PricePanel,
        terms: Terms,
        opens: Opens,
        recorder: Recorder | None,
        flows: Sequence[DatedFlow] = (),
    ) -> None:
        self._recorder = recorder
        self._flows = {flow.date: flow.amount for flow in flows}
        self._rate = terms.slippage_bps / _BASIS_POINTS
        self._sleeves = sleeves
        self._panel = panel
        self._terms = terms
        self._opens = opens
        self._marks: dict[str, list[float | None]] = {}
        self._log = FailureLog(panel)
        self.equity: list[float] = []
        self.targets: list[DatedTarget] = []
        self.traded_shares: list[float] = []
        self.costs = 0.0

    @property
    def failures(self) -> list[Failure]:
        """The stretches of sessions without a target so far."""
        return self._log.failures

    def session(self, place: int) -> None:
        """Fill what waits for the open, decide at the close, fill at the close if those are the terms, and value the account."""
        if self._terms.fill == "next-open":
            self._fill_pending(place, self._open_prices(place))
        day = self._panel.session(place)
        held_closes = self._last_closes(place)
        if day in self._flows:
            self._take_flow(day, held_closes)
        for sleeve in self._sleeves:
            self._decide(sleeve, place, day, held_closes)
        if any(sleeve.pending is not None for sleeve in self._sleeves):
            self.targets.append(DatedTarget(day, self._account_target()))
        if self._terms.fill == "close":
            self._fill_pending(place, self._last_closes(place))
        if day in self._flows:
            self._cover(day, self._last_closes(place))
        self.equity.append(sum(sleeve.value(self._last_closes(place)) for sleeve in self._sleeves))

    def _take_flow(self, day: date, closes: Mapping[str, float]) -> None:
        """Give every strategy its part of a deposit, or take its part of a withdrawal."""
        amount, shares = self._flows[day], sum(sleeve.strategy.allocation for sleeve in self._sleeves)
        if sum(sleeve.value(closes) for sleeve in self._sleeves) + amount <= 0.0:
            raise DataError(f"the withdrawal of {-amount:,.2f} on {day} is more than the account holds; withdraw less, or earlier")
        for sleeve in self._sleeves:
            part = amount * sleeve.strategy.allocation / shares
            sleeve.cash += part
            sleeve.given += part

    def _cover(self, day: date, closes: Mapping[str, float]) -> None:
        """Sell in proportion what a withdrawal took beyond the cash of the account."""
        cash = sum(sleeve.cash for sleeve in self._sleeves)
        worth = sum(sleeve.worth(closes) for sleeve in self._sleeves)
        if cash >= 0.0 or not worth:
            return
        before = self._shares()
        sold = min(-cash / (worth * (1.0 - self._rate)), 1.0)
        costs = {symbol: shares * sold * closes[symbol] * self._rate for symbol, shares in before.items()}
        for sleeve in self._sleeves:
            cost = sleeve.worth(closes) * sold * self._rate
            sleeve.cash += sleeve.worth(closes) * sold - cost
            sleeve.costs += cost
            sleeve.shares = {symbol: shares * (1.0 - sold) for symbol, shares in sleeve.shares.items()}
        self._traded(day, worth * sold, worth + cash, before, closes, costs)

    def _decide(self, sleeve: _Sleeve, place: int, day: date, closes: Mapping[str, float]) -> None:
        outcome = sleeve.decider.decide(place, explain=False)
        if isinstance(outcome, NotComputable):
            self._log.note(sleeve.strategy.name, place, lambda: str(sleeve.decider.decide(place)))
            return
        worth = sleeve.worth(closes)
        actual = {symbol: shares * closes[symbol] / worth for symbol, shares in sleeve.shares.items()}
        header = sleeve.strategy.header
        if is_due(header, today=day, acted_on=sleeve.acted_on, target=outcome.weights, previous=sleeve.target, actual=actual):
            sleeve.pending = outcome.weights
            sleeve.target = outcome.weights
            sleeve.acted_on = day

    def _account_target(self) -> dict[str, float]:
        merged: dict[str, float] = {}
        for sleeve in self._sleeves:
            for symbol, weight in sleeve.target.items():
                merged[symbol] = merged.get(symbol, 0.0) + sleeve.strategy.allocation * weight
        return {symbol: merged[symbol] for symbol in sorted(merged)}

    def _fill_pending(self, place: int, prices: Mapping[str, float]) -> None:
        """Bring every sleeve that waits for a fill to its target, at these prices, and charge the costs of it."""
        acting: list[tuple[_Sleeve, Mapping[str, float]]] = []
        for sleeve in self._sleeves:
            target, sleeve.pending = sleeve.pending, None
            if target is not None:
                acting.append((sleeve, target))
        if not acting:
            return
        equity = sum(sleeve.value(prices) for sleeve in self._sleeves)
        before = self._shares()
        spare = 2.0 * self._rate if self._terms.whole_shares else 0.0
        wishes: dict[str, dict[str, float]] = {}
        whole: dict[str, dict[str, float]] = {sleeve.strategy.name: {} for sleeve, _ in acting}
        for sleeve, target in acting:
            part = equity * sleeve.strategy.allocation * (1.0 - spare)
            for symbol in dict.fromkeys((*target, *sleeve.shares)):
                wanted = self._bought(part * target[symbol] / prices[symbol]) if symbol in target else 0.0
                whole[sleeve.strategy.name][symbol] = wanted
                wishes.setdefault(symbol, {})[sleeve.strategy.name] = wanted - sleeve.shares.get(symbol, 0.0)
        cash = sum(sleeve.cash for sleeve in self._sleeves)
        if len(acting) < len(self._sleeves):
            wishes = within_cash(wishes, prices, cash, whole=self._terms.whole_shares)
        changes = {symbol: sum(by_name.values()) for symbol, by_name in wishes.items()}
        traded = sum(abs(change) * prices[symbol] for symbol, change in changes.items())
        cost = traded * self._rate
        after = whole
        if len(acting) < len(self._sleeves):
            after = {sleeve.strategy.name: dict(sleeve.shares) for sleeve, _ in acting}
            for symbol, by_name in wishes.items():
                for name, change in by_name.items():
                    after[name][symbol] = after[name].get(symbol, 0.0) + change
        held = sum(shares * prices[symbol] for own in after.values() for symbol, shares in own.items())
        kept = 1.0 - cost / held if held and not self._terms.whole_shares else 1.0
        parts = sum(sleeve.strategy.allocation for sleeve, _ in acting)
        for sleeve, target in acting:
            own, portion = after[sleeve.strategy.name], cost * sleeve.strategy.allocation / parts
            shares = {
                symbol: own[symbol] * kept for symbol in dict.fromkeys((*target, *own)) if symbol in target or own[symbol] > _NO_SHARES
            }
            shares = {symbol: count for symbol, count in shares.items() if count}
            sleeve.cash -= sum(count * prices[symbol] for symbol, count in shares.items()) - sleeve.worth(prices) + portion
            sleeve.shares = shares
            sleeve.costs += portion
        costs = {symbol: abs(change) * prices[symbol] * self._rate for symbol, change in changes.items()}
        self._traded(self._panel.session(place), traded, equity, before, prices, costs)

    def _traded(
        self,
        day: date,
        traded: float,
        equity: float,
        before: Mapping[str, float],
        prices: Mapping[str, float],
        costs: Mapping[str, float],
    ) -> None:
        """Write down what was traded for so many dollars, and what that cost by symbol."""
        self.costs += sum(costs.values())
        self.traded_shares.append(traded / equity)
        if self._recorder is not None:
            self._recorder.filled(day, before=before, after=self._shares(), prices=prices, costs=costs)

    def _bought(self, shares: float) -> float:
        return float(math.floor(shares + _WHOLE)) if self._terms.whole_shares else shares

    def _shares(self) -> dict[str, float]:
        """Return the shares of the account, summed over the strategies."""
        held: dict[str, float] = {}
        for sleeve in self._sleeves:
            for symbol, shares in sleeve.shares.items():
                held[symbol] = held.get(symbol, 0.0) + shares
        return held

    def hand_over(self, recorder: Recorder, dates: Sequence[date], first: int) -> None:
        """Give the recorder what it needs beside the fills, at the end of the run."""
        last = first + len(dates) - 1
        closes = self._last_closes(last)
        earned = []
        for sleeve in self._sleeves:
            profit = sleeve.value(closes) - sleeve.given
            earned.append(Contribution(sleeve.strategy.name, profit, profit / self._terms.cash, sleeve.costs))
        recorder.ended(
            initial=self._terms.cash,
            dates=dates,
            equity=self.equity,
            closes={symbol: self._marks_of(symbol)[first : last + 1] for symbol in recorder.symbols},
            strategies=earned,
        )

    # --- prices ---

    def _held(self) -> list[str]:
        wanted = [symbol for sleeve in self._sleeves for symbol in (*sleeve.shares, *(sleeve.pending or ()))]
        return list(dict.fromkeys(wanted))

    def _last_closes(self, place: int) -> dict[str, float]:
        """Return the close of everything held or wanted, the last known one where there is none today."""
        prices = {}
        for symbol in self._held():
            if (price := self._marks_of(symbol)[place]) is not None:
                prices[symbol] = price
        return prices

    def _marks_of(self, symbol: str) -> list[float | None]:
        marks = self._marks.get(symbol)
        if marks is None:
            marks = self._marks[symbol] = closes_of(self._panel, symbol)
        return marks

    def _open_prices(self, place: int) -> dict[str, float]:
        """Return the open of everything held or wanted; what does not trade today keeps the close of the session before."""
        day = self._panel.session(place).toordinal()
        prices = {}
        for symbol in self._held():
            opened = self._opens.by_symbol.get(symbol, {}).get(day)
            price = opened if opened is not None else self._marks_of(symbol)[place - 1]
            if price is not None:
                prices[symbol] = price
        return prices


def within_cash(
    wishes: Mapping[str, Mapping[str, float]], prices: Mapping[str, float], cash: float, *, whole: bool = False
) -> dict[str, dict[str, float]]:
    """Return the changes by symbol and strategy with the purchases scaled to what cash and sales can pay, to ``whole`` shares if asked.

    What one strategy sells and another one buys is crossed between them first, in the order of their names, and is never scaled.
    """
    crossed: dict[str, dict[str, float]] = {}
    left: dict[str, dict[str, float]] = {}
    for symbol, by_name in wishes.items():
        done, open_ = dict.fromkeys(by_name, 0.0), {name: by_name[name] for name in sorted(by_name)}
        for seller in [name for name, wish in open_.items() if wish < 0.0]:
            for buyer in [name for name, wish in open_.items() if wish > 0.0]:
                count = max(min(-open_[seller], open_[buyer]), 0.0)
                for name, change in ((seller, -count), (buyer, count)):
                    done[name] += change
                    open_[name] -= change
        crossed[symbol], left[symbol] = done, open_
    net = {symbol: sum(by_name.values()) for symbol, by_name in left.items()}
    cost = sum(change * prices[symbol] for symbol, change in net.items() if change > 0.0)
    paid = cash - sum(change * prices[symbol] for symbol, change in net.items() if change < 0.0)
    if cost <= max(paid, 0.0):
        return {symbol: {name: done + left[symbol][name] for name, done in by_name.items()} for symbol, by_name in crossed.items()}
    factor = max(paid, 0.0) / cost

    def bought(symbol: str, wish: float) -> float:
        count = math.floor(wish * factor + _WHOLE) if whole else wish * factor
        return count if count * prices[symbol] >= _NO_ORDER else 0.0

    return {
        symbol: {
            name: done + (bought(symbol, left[symbol][name]) if net[symbol] > 0.0 else left[symbol][name]) for name, done in by_name.items()
        }
        for symbol, by_name in crossed.items()
    }
