"""What the guards read: pure functions from what is known to a value with its words.

Profit is what the books of the strategies have realised and hold unrealised, in dollars: deposits, withdrawals and what somebody else holds
in the account are no part of it. Without a capital to compare it with there is no reading.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal

from alchemiser.domain.account import Account, BrokerPosition
from alchemiser.domain.money import ZERO, from_float, number_string
from alchemiser.domain.reconciliation import AT_ODDS, Difference
from alchemiser.domain.shortfall import Shortfall
from alchemiser.domain.trading import ACCOUNT
from alchemiser.risk.guards import GuardName, Reading


def loss(profit: Decimal, before: Decimal, capital: Decimal, scope: str, *, is_sure: bool) -> Reading:
    """Return what the account or a strategy lost since the last close, as a share of its capital; negative when it gained."""
    lost = before - profit
    text = f"a profit of {before:.2f} dollars at the last close is {profit:.2f} now: {lost:.2f} of a capital of {capital:.2f} lost"
    guard = GuardName.STRATEGY_DAILY_LOSS if scope else GuardName.DAILY_LOSS
    return Reading(guard=guard, strategy=scope or None, value=lost / capital, text=text, is_sure=is_sure)


def drawdown(profit: Decimal, peak: Decimal, capital: Decimal, scope: str, *, is_sure: bool) -> Reading:
    """Return how far the profit of the account or a strategy is below its best, as a share of its capital."""
    below = max(peak - profit, ZERO)
    text = f"a profit of {peak:.2f} dollars at its best is {profit:.2f} now: {below:.2f} of a capital of {capital:.2f} below"
    guard = GuardName.STRATEGY_DRAWDOWN if scope else GuardName.DRAWDOWN
    return Reading(guard=guard, strategy=scope or None, value=below / capital, text=text, is_sure=is_sure)


def rejects(count: int, last: str) -> Reading:
    """Return how many orders the venue has refused one after the other, and why it refused the last."""
    text = f"the venue refused {count} orders one after the other" + (f", the last because: {last}" if last else "")
    return Reading(guard=GuardName.REJECTS, value=Decimal(count), text=text)


def slippage(rebalance_id: str, shortfall: Shortfall | None) -> Reading | None:
    """Return what a rebalance paid against its arrival prices in basis points, ``None`` when it traded nothing."""
    total = None if shortfall is None else shortfall.total
    if total is None:
        return None
    text = f"rebalance {rebalance_id} paid {total.arrival_cost:.2f} dollars on {total.value:.2f}, {total.arrival_bps:.1f} basis points"
    return Reading(guard=GuardName.SLIPPAGE, value=from_float(total.arrival_bps), text=text)


def oldest_quote(ages: Mapping[str, float]) -> Reading:
    """Return the age of the oldest quote in seconds, zero when none is needed."""
    if not ages:
        return Reading(guard=GuardName.STALE_DATA, value=ZERO, text="no rebalance is in progress that needs a quote")
    symbol = max(sorted(ages), key=lambda name: ages[name])
    text = f"the quote of {symbol} is {ages[symbol]:.0f} seconds old, the oldest of {len(ages)} that are needed"
    return Reading(guard=GuardName.STALE_DATA, value=from_float(ages[symbol]), text=text, is_sure=False)


def books_against(holdings: Mapping[str, Decimal], cash: Decimal | None, account: Account, positions: Iterable[BrokerPosition]) -> Reading:
    """Return the dollars by which the books differ from what the broker said in one breath.

    More shares at the broker are somebody else's and no difference. A symbol that the broker does not price is counted by the share, at a
    dollar each: never as nothing.
    """
    theirs = {position.symbol: position for position in positions}
    found: dict[str, Decimal] = {}
    for symbol, quantity in sorted(holdings.items()):
        position = theirs.get(symbol)
        missing = quantity - (position.quantity if position else ZERO)
        if missing > 0:
            found[f"{number_string(missing)} {symbol}"] = missing * ((position.current_price if position else None) or Decimal(1))
    if cash is not None and cash != account.cash:
        found[f"cash {cash - account.cash:+.2f}"] = abs(cash - account.cash)
    return _differing(found)


def differences_of(differences: Iterable[Difference], marks: Mapping[str, Decimal]) -> Reading:
    """Return the dollars of the differences that a comparison with the venue found between books and broker."""
    found: dict[str, Decimal] = {}
    for difference in differences:
        if difference.code in AT_ODDS:
            apart = abs(Decimal(difference.ours) - Decimal(difference.theirs))
            found[f"{difference.code} {difference.subject}"] = apart * (
                marks.get(difference.symbol, Decimal(1)) if difference.symbol else 1
            )
    return _differing(found)


def profits(realised: Mapping[str, Decimal], unrealised: Mapping[str, Decimal], income: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """Return the profit of each strategy, and of the account as the sum over all, by scope.

    Income is part of it: on the day of a dividend the price falls by what is paid.
    """
    found = {name: realised[name] + unrealised.get(name, ZERO) + income.get(name, ZERO) for name in sorted(realised)}
    return {ACCOUNT: sum(found.values(), ZERO), **found}


def ages_of(quotes: Mapping[str, float | None], now: datetime, opened_at: datetime | None) -> dict[str, float]:
    """Return the ages of quotes in seconds; one that never came is as old as the session."""
    waited = 0.0 if opened_at is None else max((now - opened_at).total_seconds(), 0.0)
    return {symbol: waited if age is None else age for symbol, age in sorted(quotes.items())}


def _differing(found: Mapping[str, Decimal]) -> Reading:
    total = sum(found.values(), ZERO)
    text = f"ledger and broker differ by {total:.2f} dollars" + (f": {', '.join(found)}" if found else "")
    return Reading(guard=GuardName.LEDGER, value=total, text=text)
