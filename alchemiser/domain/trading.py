"""How much may be traded: the trading states, and which of several restrictions holds. Pure.

The account and each strategy have a state of their own, and the stricter one counts. Within one of them the operator and the daemon share a
place, in which the last word counts, and each guard has its own: what a guard has restricted only re-arming it lifts, and re-arming one
guard lifts nothing else.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

import msgspec

from alchemiser.domain.events import TradingStateChanged
from alchemiser.domain.orders import Side

ACTIVE: Final = "active"
REDUCING: Final = "reducing"
PAUSED: Final = "paused"
HALTED: Final = "halted"

STATES: Final = (ACTIVE, REDUCING, PAUSED, HALTED)
"""From the freest to the strictest: all is traded; only what lowers risk; nothing new leaves; what is open is cancelled, too."""

GUARD: Final = "guard:"
"""How the author of a guard's restriction begins; the guard's name follows."""

ACCOUNT: Final = ""
"""Stands for the whole account where strategies have their names."""


class Restriction(msgspec.Struct, frozen=True, kw_only=True):
    """A trading state that is not active: who asked for it, why, and since when."""

    state: str
    by: str
    reason: str
    since: datetime

    def words(self, strategy: str = ACCOUNT) -> str:
        """Return it as a sentence."""
        subject = f"trading of {strategy}" if strategy else "trading"
        done = "reduced" if self.state == REDUCING else self.state
        return f"{subject} was {done} by {self.by}: {self.reason}"


class TradingScopes(msgspec.Struct):
    """The restrictions in force: ``by_scope`` maps the account and each strategy to its restrictions by place."""

    by_scope: dict[str, dict[str, Restriction]] = {}

    def apply(self, event: TradingStateChanged) -> None:
        """Take note of a change. One that is said again keeps the time at which it was said first."""
        scope, place = event.strategy or ACCOUNT, event.by if event.by.startswith(GUARD) else ""
        places = self.by_scope.setdefault(scope, {})
        before = places.pop(place, None)
        if event.state != ACTIVE:
            again = before is not None and (before.state, before.by, before.reason) == (event.state, event.by, event.reason)
            since = before.since if before is not None and again else event.at
            places[place] = Restriction(state=event.state, by=event.by, reason=event.reason, since=since)
        if not places:
            del self.by_scope[scope]

    @property
    def account(self) -> Restriction | None:
        """The strictest restriction of the account, ``None`` when it has none."""
        return self.own(ACCOUNT) if self.by_scope else None

    def own(self, scope: str) -> Restriction | None:
        """Return the strictest restriction of the account or a strategy by itself."""
        places = self.by_scope.get(scope)
        return max(places.values(), key=_strictness) if places else None

    def strategies(self) -> dict[str, Restriction]:
        """Return the strictest restriction of each strategy that has one of its own, by name in order."""
        found = {scope: self.own(scope) for scope in sorted(self.by_scope) if scope}
        return {scope: restriction for scope, restriction in found.items() if restriction is not None}

    def denies(self, side: Side, strategies: Iterable[str] = ()) -> str | None:
        """Return why no order of that side may be planned for those strategies, in words; ``None`` when it may.

        A sale of what the strategies hold lowers risk: only a halt of the account denies it. A pause denies nothing, for it may be over
        before the deadline of the plan is; until then nothing leaves.
        """
        if not self.by_scope:
            return None
        account = self.account
        if account is not None and (account.state == HALTED or (account.state == REDUCING and side is Side.BUY)):
            return account.words()
        for name in strategies if side is Side.BUY else ():
            own = self.own(name)
            if own is not None:
                return own.words(name)
        return None

    def ends(self, side: Side, strategies: Iterable[str], *, is_flatten: bool = False) -> str | None:
        """Return why what was planned already may not be worked on, ``None`` when it may.

        A halt of a strategy ends whatever it takes part in, but for a sale of everything, which somebody ordered all the same.
        """
        if not self.by_scope:
            return None
        account = self.account
        if account is not None and account.state == REDUCING and side is Side.BUY:
            return account.words()
        for name in strategies:
            own = self.own(name)
            if own is None or own.state == PAUSED:
                continue
            if side is Side.BUY or (own.state == HALTED and not is_flatten):
                return own.words(name)
        return None

    def keeps(self, strategy: str) -> str | None:
        """Return why a strategy has to keep what it holds, ``None`` when it may trade."""
        restriction = self.own(strategy) if self.by_scope else None
        return restriction.words(strategy) if restriction is not None and restriction.state in (PAUSED, HALTED) else None

    def reducing(self, strategies: Iterable[str]) -> dict[str, str]:
        """Return which of some strategies may only sell, each with the reason."""
        found: dict[str, str] = {}
        for name in strategies if self.by_scope else ():
            for scope in (name, ACCOUNT):
                restriction = self.own(scope)
                if restriction is not None and restriction.state == REDUCING:
                    found.setdefault(name, restriction.words(scope))
        return found


def _strictness(restriction: Restriction) -> int:
    return STATES.index(restriction.state)
