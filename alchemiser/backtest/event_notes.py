"""What an event-driven run has done, written down for its result: equity, targets, trades, costs and stretches without a target."""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

from alchemiser.backtest.event_desk import Desk
from alchemiser.backtest.event_market import EventMarket
from alchemiser.backtest.record import Contribution, Recorder
from alchemiser.backtest.result import Charges, DatedTarget, Failure, FailureLog, Terms
from alchemiser.domain.errors import InvariantBroken
from alchemiser.domain.events import Event, FillBooked, LedgerCompared, RebalanceParked, RebalancePlanned, ResultReported, StrategyFailed
from alchemiser.domain.money import to_float
from alchemiser.strategies.panel import PricePanel

_NO_SHARES = 1e-12
"""What is left of a position by the sums of floats."""


Traded = tuple[float, float, float, float, float]
"""What the fills of one symbol in one session come to: signed shares, their worth and cost, unsigned shares, the last price."""

Netted = tuple[int, dict[str, float], dict[str, float], dict[str, float], dict[str, float]]
"""What was traded in a session: its place, the shares before and after by symbol, and the prices and costs of those traded."""

_NOTHING_TRADED: Traded = (0.0,) * 5


class _Earned:
    """What one strategy has paid for its shares, less what it got for them, and what that cost it."""

    def __init__(self) -> None:
        self.cash = 0.0
        self.costs = 0.0
        self.shares: dict[str, float] = {}

    def trade(self, symbol: str, shares: float, dollars: float, cost: float) -> None:
        """Count a trade: signed shares, their worth, and what it cost beyond that."""
        self.cash -= dollars + cost
        self.costs += cost
        self.shares[symbol] = self.shares.get(symbol, 0.0) + shares


class Notes:
    """Listens to the bus of a run; everything it keeps is in dollars and floats, for reports."""

    def __init__(
        self, panel: PricePanel, terms: Terms, charges: Charges, allocations: Mapping[str, float], desk: Desk, market: EventMarket
    ) -> None:
        self._panel = panel
        self._terms = terms
        self._market = market
        self._log = FailureLog(panel)
        self._place = 0
        self._is_exact = not charges.fees and not charges.in_cents and not charges.margin_rate
        self._has_fees = not self._is_exact
        self._has_spread = bool(terms.slippage_bps or charges.spread_bps) or terms.fill == "path"
        self._equity_planned = terms.cash
        self._strategies = allocations.keys()
        self._parts: list[tuple[str, str, float, float, float]] = []  # of each strategy in what was filled and crossed, for the end
        self._traded: dict[str, Traded] = {}
        self._sessions: list[tuple[int, dict[str, Traded]]] = []  # those with trades, by their places
        self.equity: list[float] = []
        self.targets: list[DatedTarget] = []
        self.traded_shares: list[float] = []
        self._spread_costs = 0.0
        acts: dict[type[Event], Callable[[Any], None]] = {
            RebalancePlanned: self._plan,
            RebalanceParked: self._park,
            StrategyFailed: self._fail,
            FillBooked: self._fill,
            LedgerCompared: self._compare,
            ResultReported: self._end_session,
        }
        desk.bus.subscribe_acts("notes", acts)

    @property
    def failures(self) -> list[Failure]:
        """The stretches of sessions without a target."""
        return self._log.failures

    @property
    def costs(self) -> float:
        """What trading has cost, in dollars: spreads, fees and interest."""
        return self._spread_costs + self._fees()

    def session_began(self, place: int) -> None:
        """Take note that a session has begun."""
        self._place = place

    def hand_over(self, recorder: Recorder, dates: Sequence[date], first: int) -> None:
        """Give the recorder the trades and what the strategies earned; the fees of the run are spread over what was sold."""
        fees, sessions = self._fees(), self._netted()
        sold = sum(
            max(before.get(symbol, 0.0) - after.get(symbol, 0.0), 0.0) * price
            for _, before, after, prices, _ in sessions
            for symbol, price in prices.items()
        )
        rate = fees / sold if sold else 0.0
        for place, before, after, prices, costs in sessions:
            for symbol, price in prices.items():
                costs[symbol] += max(before.get(symbol, 0.0) - after.get(symbol, 0.0), 0.0) * price * rate
            recorder.filled(self._panel.session(place), before=before, after=after, prices=prices, costs=costs)
        traded = sorted({trade.symbol for trade in recorder.trades})
        last = first + len(dates) - 1
        recorder.ended(
            initial=self._terms.cash,
            dates=dates,
            equity=self.equity,
            closes={symbol: self._market.marks[symbol][first : last + 1] for symbol in traded},
            strategies=self._contributions(last, fees),
        )

    # --- private ---

    def _plan(self, plan: RebalancePlanned) -> None:
        if not self._strategies <= plan.kept.keys():
            self.targets.append(DatedTarget(plan.session, plan.target))
        self._equity_planned = to_float(plan.equity)
        for crossing in plan.crossings:
            unit = self._market.unit(crossing.symbol)
            shares, price = to_float(crossing.quantity) * unit, to_float(crossing.price) / unit
            for name, change in ((crossing.seller, -shares), (crossing.buyer, shares)):
                self._parts.append((name, crossing.symbol, change, change * price, 0.0))

    def _park(self, parked: RebalanceParked) -> None:
        if parked.outcomes or parked.reason.startswith("no plan was made"):
            self._log.note("rebalance", self._market.place, lambda: parked.reason)

    def _fail(self, failed: StrategyFailed) -> None:
        self._log.note(failed.strategy, self._market.place, lambda: failed.reason)

    def _compare(self, compared: LedgerCompared) -> None:
        if compared.differences and self._is_exact:
            day = self._panel.session(self._place)
            raise InvariantBroken(f"books and exchange differ on {day}: {'; '.join(compared.differences)}")

    def _fill(self, booked: FillBooked) -> None:
        symbol = booked.symbol
        mid = self._market.mid(symbol, booked.at)
        assert mid is not None, f"{symbol} was filled and has no price"
        unit = self._market.unit(symbol)
        mid /= unit
        shares, dollars, cost, turnover, _ = self._traded.get(symbol, _NOTHING_TRADED)
        for entry in booked.entries:
            bought = to_float(entry.quantity) * unit
            worth = bought * mid
            dearer = bought * (to_float(entry.price) / unit - mid) if self._has_spread else 0.0
            shares += bought
            dollars += worth
            cost += dearer
            turnover += abs(bought)
            self._parts.append((entry.strategy, symbol, bought, worth, dearer))
        self._traded[symbol] = (shares, dollars, cost, turnover, mid)

    def _end_session(self, result: ResultReported) -> None:
        self.equity.append(to_float(result.equity))
        traded = self._traded
        if not traded:
            return
        turned = costs = 0.0
        for _, (shares, dollars, cost, turnover, last) in sorted(traded.items()):
            turned += turnover * (dollars / shares if shares else last)
            costs += cost
        self._sessions.append((self._place, traded))
        self._traded = {}
        self._spread_costs += costs
        self.traded_shares.append(turned / (self._equity_planned or math.inf))

    def _netted(self) -> list[Netted]:
        """Return the fills of each session netted into one trade per symbol: for the end, where there are fees or a recorder."""
        before: dict[str, float] = {}
        found = []
        for place, traded in self._sessions:
            after, prices, costs = dict(before), {}, {}
            for symbol, (shares, dollars, cost, _, last) in sorted(traded.items()):
                # Of several fills the price that gives the same dollars.
                prices[symbol] = dollars / shares if shares else last
                costs[symbol] = cost
                position = before.get(symbol, 0.0) + shares
                after.pop(symbol, None)
                if abs(position) > _NO_SHARES:
                    after[symbol] = position
            found.append((place, before, after, prices, costs))
            before = after
        return found

    def _earned(self) -> dict[str, _Earned]:
        """Return what each strategy has earned: asked for at the end, where there are fees or a recorder."""
        found = {name: _Earned() for name in self._strategies}
        for name, symbol, shares, dollars, cost in self._parts:
            found[name].trade(symbol, shares, dollars, cost)
        return found

    def _fees(self) -> float:
        """Return what the exchange took besides the prices of the fills."""
        if not self._has_fees:
            return 0.0
        cash = sum(earned.cash for earned in self._earned().values())
        sessions = self._netted()
        position = sessions[-1][2] if sessions else {}
        worth = sum(shares * (self._market.marks[symbol][self._place] or 0.0) for symbol, shares in position.items())
        return max(self._terms.cash + cash + worth - self.equity[-1], 0.0)

    def _contributions(self, last: int, fees: float) -> list[Contribution]:
        by_strategy = self._earned()
        costs = sum(earned.costs for earned in by_strategy.values())
        found = []
        for name, earned in by_strategy.items():
            part = fees * (earned.costs / costs if costs else 1.0 / len(by_strategy))
            worth = sum(shares * (self._market.marks[symbol][last] or 0.0) for symbol, shares in earned.shares.items())
            profit = earned.cash + worth - part
            found.append(Contribution(name, profit, profit / self._terms.cash, earned.costs + part))
        return found
