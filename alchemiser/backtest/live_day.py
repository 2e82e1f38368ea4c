"""A session as it was lived against the same session as the backtest would have lived it. Pure.

The backtest begins with what the strategy held, decides with the same strategy on the very bars and live prices that the decision saw,
and trades at the mids of the plan, at once, exactly and for nothing: what :mod:`alchemiser.backtest.vector` does at the close of a bar.
Both are valued at the closes of the session. What live earned more or less is taken apart by asking, of each symbol, how many shares
stand between one step and the next, and what the price did to them until the close. ``docs/live-against-backtest.md`` has the formulae.

Nothing is guessed: what cannot be known makes a reason and no number.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Final

import numpy as np
from msgspec import Struct

from alchemiser.domain.day_comparison import Compared, OtherWeight, Part, StrategyDay, compared
from alchemiser.domain.errors import DataError
from alchemiser.domain.events import DecisionDue, RebalancePlanned, StrategyFailed, TargetProposed
from alchemiser.domain.intents import Crossing
from alchemiser.domain.money import ZERO, from_float, truncate_shares
from alchemiser.domain.rebalancing import Header, why_not_due
from alchemiser.market.history import DailyHistory
from alchemiser.portfolio.day import Answer, BookAt, DayFacts, Traded
from alchemiser.portfolio.handler import ON_SCHEDULE
from alchemiser.strategies.base import LoadedStrategy
from alchemiser.strategies.outcome import NotComputable
from alchemiser.strategies.panel import PricePanel

SAME_WEIGHT: Final = 1e-12
"""Weights that differ by no more are the same: the daemon plans with twelve decimals."""

Shares = dict[str, Decimal]
Weights = Mapping[str, float] | None


class DayPrices(Struct, frozen=True, kw_only=True):
    """The closes of the session and those of the session before it, in dollars; symbols without one are absent."""

    closes: Mapping[str, Decimal]
    before: Mapping[str, Decimal]


class _Unknown(Exception):
    """Why a strategy has no numbers."""


def compare_day(
    facts: DayFacts, strategies: Sequence[LoadedStrategy], history: DailyHistory | str, prices: DayPrices
) -> tuple[StrategyDay, ...]:
    """Return each strategy's session: its numbers, or why there are none.

    ``history`` are the daily bars before the session, or the reason why they are not to be had.
    """
    loaded = {strategy.name: strategy for strategy in strategies}
    holding = {name for books in (facts.start, facts.end) for name, book in books.items() if book.holdings}
    return tuple(_day_of(name, facts, loaded.get(name), history, prices) for name in sorted({*facts.shares, *holding}))


def _day_of(name: str, facts: DayFacts, strategy: LoadedStrategy | None, history: DailyHistory | str, prices: DayPrices) -> StrategyDay:
    others: tuple[OtherWeight, ...] = ()
    try:
        plan, decision = _plan_of(name, facts)
        answer = facts.answers.get(name)
        if answer is None or strategy is None:
            raise _Unknown(f"it gave no answer to {plan.rebalance_id}" if answer is None else "it is no longer in the settings")
        wanted = _recomputed(strategy, answer, facts, history)
        lived = answer.weights if isinstance(answer, TargetProposed) else None
        others = _other_weights(lived, wanted)
        day = _Day(name, facts, plan, decision, prices)
        lived_header = answer.header if isinstance(answer, TargetProposed) else strategy.header
        numbers = day.numbers(day.wanted(lived, lived_header), day.wanted(wanted, strategy.header))
    except (_Unknown, ValueError) as error:
        return StrategyDay(strategy=name, reason=str(error), other_weights=others)
    return StrategyDay(strategy=name, compared=numbers, other_weights=others)


def _plan_of(name: str, facts: DayFacts) -> tuple[RebalancePlanned, DecisionDue]:
    if facts.spoilt or name in facts.spoilt_of:
        raise _Unknown(facts.spoilt or facts.spoilt_of[name])
    if facts.plan is None or facts.decision is None:
        raise _Unknown(f"nothing was planned: {facts.no_plan or 'no decision was due'}")
    return facts.plan, facts.decision


def _recomputed(strategy: LoadedStrategy, answer: Answer, facts: DayFacts, history: DailyHistory | str) -> Weights:
    """Return the weights that the strategy decides on as a backtest does, from whole columns of bars; ``None`` when it cannot."""
    if isinstance(history, str):
        raise _Unknown(f"the bars of its decision are not to be had: {history}")
    if not answer.bars or not answer.prices:
        why = answer.reason if isinstance(answer, StrategyFailed) else "the journal does not say which"
        raise _Unknown(f"it decided on bars that nobody can look up again: {why}")
    if history.version_of(strategy.symbols) != answer.bars:
        raise _Unknown("the bars that can be had are not those of its decision: they, or what it watches, have changed since")
    assert facts.session is not None
    try:
        panel = panel_of(history, strategy.symbols, facts.session.date, answer.prices)
    except DataError as error:
        raise _Unknown(f"the bars of its decision cannot be used: {error}") from error
    outcome = strategy.on(panel).decide(panel.last, explain=False)
    return None if isinstance(outcome, NotComputable) else dict(outcome.weights)


def panel_of(history: DailyHistory, symbols: Iterable[str], today: date, live: Mapping[str, float]) -> PricePanel:
    """Return the bars before a day with the live prices as the bar of that day, the way a backtest sees a session."""
    columns = {}
    for symbol in symbols:
        if symbol in history.symbols:
            before = date.fromordinal(today.toordinal() - 1)
            days, closes = history.days(symbol, through=before), history.closes(symbol, through=before)
            if symbol in live:
                days, closes = np.append(days, today.toordinal()), np.append(closes, live[symbol])
            columns[symbol] = (days, closes)
    return PricePanel(columns)


def _other_weights(live: Weights, backtest: Weights) -> tuple[OtherWeight, ...]:
    if live is None and backtest is None:
        return ()
    symbols = sorted({*(live or {}), *(backtest or {})})
    if live is not None and backtest is not None:
        symbols = [symbol for symbol in symbols if abs(live.get(symbol, 0.0) - backtest.get(symbol, 0.0)) > SAME_WEIGHT]
    return tuple(OtherWeight(symbol=symbol, live=_weight(live, symbol), backtest=_weight(backtest, symbol)) for symbol in symbols)


def _weight(weights: Weights, symbol: str) -> float | None:
    return None if weights is None else weights.get(symbol, 0.0)


class _Day:
    """The arithmetic of one strategy's session, from facts that are exact: every sum here is one of decimals."""

    def __init__(self, name: str, facts: DayFacts, plan: RebalancePlanned, decision: DecisionDue, prices: DayPrices) -> None:
        self._name = name
        self._facts = facts
        self._plan = plan
        self._is_scheduled = decision.reason == ON_SCHEDULE
        self._prices = prices
        self._held = facts.held.get(name, {})
        own = [(trade, entry) for trade in facts.trades.values() for entry in trade.entries if entry.strategy == name]
        self._of_the_plan = [(trade, entry) for trade, entry in own if trade.rebalance_id == plan.rebalance_id]
        self._of_no_plan = [(trade, entry) for trade, entry in own if trade.rebalance_id != plan.rebalance_id]
        share = facts.shares.get(name)
        if not share or facts.equity is None:
            raise _Unknown("it has no share of the account" if not share else "what the account was worth before the session is not known")
        self._capital = from_float(share, decimals=12) * facts.equity
        if self._capital <= 0:
            raise _Unknown("its share of the account was worth nothing")

    def wanted(self, weights: Weights, header: Header) -> Shares:
        """Return the shares that weights ask for; those held when there is no target, or the header holds the strategy back."""
        if weights is None or self._is_held_back(weights, header):
            return dict(self._held)
        capital = self._plan.capital.get(self._name, ZERO)
        exact = {symbol: from_float(weight, decimals=12) for symbol, weight in sorted(weights.items()) if weight}
        return {symbol: truncate_shares(capital * weight / self._mid(symbol)) for symbol, weight in exact.items()}

    def numbers(self, lived: Shares, backtested: Shares) -> Compared:
        """Return the numbers, given the shares that live and backtest wanted."""
        wished = _sums(self._wishes())
        crossed = _sums((one.symbol, quantity) for one, quantity in self._crossings())
        filled = _sums((trade.symbol, entry.quantity) for trade, entry in self._of_the_plan)
        planned = _sums([*self._held.items(), *wished.items(), *crossed.items()])
        execution = (entry.quantity * (self._mid(trade.symbol) - entry.price) for trade, entry in self._of_the_plan)
        crossing = (quantity * (self._mid(one.symbol) - one.price) for one, quantity in self._crossings())
        other = (entry.quantity * (self._price_after(trade) - entry.price) for trade, entry in self._of_no_plan)
        parts = (
            (Part.DECISION, self._gained(lived, backtested)),
            (Part.PLAN, self._gained(planned, lived)),
            (Part.UNFILLED, self._gained(filled, wished)),
            (Part.EXECUTION, sum(execution, ZERO)),
            (Part.CROSSING, sum(crossing, ZERO)),
            (Part.FEES, -self._facts.fees.get(self._name, ZERO)),
            (Part.OTHER, sum(other, ZERO)),
        )
        began = sum((quantity * self._before(symbol) for symbol, quantity in self._book(self._facts.start).holdings.items()), ZERO)
        return compared(self._capital, self._lived() - began, self._backtested(backtested) - began, parts)

    def _lived(self) -> Decimal:
        """Return what the books say: what is held at the end of the session, and the cash that flowed in it."""
        start, end = self._book(self._facts.start), self._book(self._facts.end)
        worth = sum((quantity * self._close(symbol) for symbol, quantity in end.holdings.items()), ZERO)
        return worth + end.cash_flow - start.cash_flow

    def _backtested(self, wanted: Shares) -> Decimal:
        """Return the same of the backtest: it begins with what was held, trades at the mids of the plan, and gets the same income."""
        worth = sum((quantity * self._close(symbol) for symbol, quantity in self._held.items()), ZERO)
        early = sum((entry.quantity * self._mid(trade.symbol) for trade, entry in self._of_no_plan if trade.is_before_plan), ZERO)
        return worth + self._gained(wanted, self._held) - early + self._facts.income.get(self._name, ZERO)

    def _gained(self, these: Shares, those: Shares) -> Decimal:
        """Return what holding these shares from the decision to the close brought more than holding those."""
        more = {symbol: these.get(symbol, ZERO) - those.get(symbol, ZERO) for symbol in sorted({*these, *those})}
        return sum((quantity * (self._close(symbol) - self._mid(symbol)) for symbol, quantity in more.items() if quantity), ZERO)

    def _is_held_back(self, weights: Mapping[str, float], header: Header) -> bool:
        if not self._is_scheduled:
            return False
        standing = self._facts.standing.get(self._name)
        values = {symbol: float(quantity * self._mid(symbol)) for symbol, quantity in sorted(self._held.items()) if self._is_priced(symbol)}
        total = sum(values.values())
        reason = why_not_due(
            header,
            today=self._plan.session,
            acted_on=standing.session if standing else None,
            target=weights,
            previous=standing.weights if standing else {},
            actual={symbol: value / total for symbol, value in values.items()} if total > 0 else {},
        )
        return reason is not None

    def _wishes(self) -> Iterator[tuple[str, Decimal]]:
        for intent in self._plan.intents:
            for wish in intent.wishes:
                if wish.strategy == self._name:
                    yield intent.symbol, intent.side.sign * wish.quantity

    def _crossings(self) -> Iterator[tuple[Crossing, Decimal]]:
        """Yield what was crossed with the signed shares of this strategy."""
        for one in self._plan.crossings:
            if one.seller == self._name:
                yield one, -one.quantity
            if one.buyer == self._name:
                yield one, one.quantity

    def _book(self, books: Mapping[str, BookAt]) -> BookAt:
        return books.get(self._name, BookAt())

    # --- prices ---

    def _is_priced(self, symbol: str) -> bool:
        return symbol in self._plan.prices or any(symbol in answer.prices for answer in self._facts.answers.values())

    def _mid(self, symbol: str) -> Decimal:
        """Return the price of the plan; of what it did not look at, the one that the decision saw."""
        if symbol in self._plan.prices:
            return self._plan.prices[symbol]
        for answer in self._facts.answers.values():
            if symbol in answer.prices:
                return from_float(answer.prices[symbol])
        raise _Unknown(f"the price of {symbol} at the decision is not known")

    def _price_after(self, trade: Traded) -> Decimal:
        """Return the next price that the backtest looks at after a trade of no plan."""
        return self._mid(trade.symbol) if trade.is_before_plan else self._close(trade.symbol)

    def _close(self, symbol: str) -> Decimal:
        if symbol not in self._prices.closes:
            raise _Unknown(f"the close of {symbol} on {self._plan.session} is not known")
        return self._prices.closes[symbol]

    def _before(self, symbol: str) -> Decimal:
        price = self._facts.marks.get(symbol, self._prices.before.get(symbol))
        if price is None:
            raise _Unknown(f"the close of {symbol} before {self._plan.session} is not known")
        return price


def _sums(pairs: Iterable[tuple[str, Decimal]]) -> Shares:
    found: Shares = {}
    for symbol, quantity in pairs:
        found[symbol] = found.get(symbol, ZERO) + quantity
    return found
