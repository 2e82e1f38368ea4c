"""The target that each strategy acted upon last: an inline component that follows from journaled events alone.

A strategy whose header holds it back today keeps what it holds, and whether it does depends on what it last traded to and when. A plan in
which it takes part makes its proposal the standing target. A rebalance that was parked, or a sale of everything, takes that back: what was
not carried out is due again at the next decision.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import Any, Final

import msgspec

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import Event, FlattenOrdered, RebalanceParked, RebalancePlanned, TargetProposed
from alchemiser.domain.memory import Remembering


class StandingTarget(msgspec.Struct, frozen=True):
    """What a strategy last traded to, in which rebalance, and the session of it."""

    rebalance_id: str
    session: date
    weights: dict[str, float]


class StandingMemory(msgspec.Struct, kw_only=True):
    """The last proposal of each strategy, and what each last traded to."""

    proposed: dict[str, TargetProposed]
    standing: dict[str, StandingTarget]


class StandingTargets(Remembering):
    """The standing target of each strategy that has one."""

    memory_type = StandingMemory
    listens_to = (TargetProposed, RebalancePlanned, RebalanceParked, FlattenOrdered)

    def __init__(self) -> None:
        self._proposed: dict[str, TargetProposed] = {}
        self._standing: dict[str, StandingTarget] = {}
        self.acts: Final[Mapping[type[Event], Callable[[Any], None]]] = {
            TargetProposed: self._propose,
            RebalancePlanned: self._act,
            RebalanceParked: self._take_back,
            FlattenOrdered: self._sell,
        }

    @property
    def by_strategy(self) -> Mapping[str, StandingTarget]:
        """The standing targets by the name of the strategy."""
        return self._standing

    def weights_of(self, names: Iterable[str]) -> dict[str, dict[str, float]]:
        """Return the weights that these strategies traded to last; those that have never traded are left out."""
        found = {}
        for name in names:
            if name in self._standing:
                found[name] = self._standing[name].weights
        return found

    def __call__(self, envelope: Envelope) -> None:
        """Apply one event."""
        act = self.acts.get(type(envelope.event))
        if act is not None:
            act(envelope.event)

    def _propose(self, proposed: TargetProposed) -> None:
        self._proposed[proposed.strategy] = proposed

    def _act(self, plan: RebalancePlanned) -> None:
        for name, proposed in self._proposed.items():
            if proposed.rebalance_id == plan.rebalance_id and name not in plan.kept:
                self._standing[name] = StandingTarget(plan.rebalance_id, plan.session, proposed.weights)

    def _take_back(self, parked: RebalanceParked) -> None:
        self._standing = {name: target for name, target in self._standing.items() if target.rebalance_id != parked.rebalance_id}

    def _sell(self, ordered: FlattenOrdered) -> None:
        self._standing = {}
