"""A checked symphony as a strategy: its numbers come from a panel, and its ranked groups get histories of their own.

A filter over something that is not an asset ranks what that something would have earned: it is decided on every past session, and each
session's return is that of what had been decided the session before, brought back to those weights each day. Every such node is decided
once per session and panel, whatever the number of filters, measures and decisions that ask for it; a session's number depends on that
session and earlier ones only.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from alchemiser.market.indicators import Measure, tail
from alchemiser.strategies.outcome import NotComputable, Proposal
from alchemiser.strategies.panel import Column, PricePanel, scatter
from alchemiser.strategies.symphony.evaluate import PRICE, STOP, Portfolio, Rules, decide, portfolio_of
from alchemiser.strategies.symphony.explain import label, lines_of
from alchemiser.strategies.symphony.tree import Header, Node, Symphony

LARGE_TREE_NODES = 20_000
"""Trees from this size on are decided in a thread; a path through a smaller one takes far less than a millisecond."""


@dataclass(frozen=True, slots=True)
class SymphonyStrategy:
    """A symphony with its name and its share of the account."""

    name: str
    allocation: float
    symphony: Symphony
    rules: Rules = STOP

    @property
    def symbols(self) -> tuple[str, ...]:
        """Every symbol whose prices it may need, sorted."""
        return self.symphony.symbols

    @property
    def bars_needed(self) -> int:
        """The fewest daily closes per symbol with which every number it uses exists."""
        return self.symphony.bars_needed

    @property
    def bars_settled(self) -> int:
        """The closes per symbol after which more history changes nothing that matters."""
        return self.symphony.bars_settled

    @property
    def header(self) -> Header:
        """When its target is acted upon."""
        return self.symphony.header

    @property
    def is_large(self) -> bool:
        """Whether one decision belongs in a thread: it ranks groups, hence decides many sessions, or it is huge."""
        return self.symphony.ranks_groups or len(self.symphony.nodes) >= LARGE_TREE_NODES

    def on(self, panel: PricePanel) -> "SymphonyDecider":
        """Return the symphony bound to these prices."""
        return SymphonyDecider(self.symphony, panel, self.rules)


class SymphonyDecider:
    """Decides a symphony at any session of a panel."""

    def __init__(self, symphony: Symphony, panel: PricePanel, rules: Rules = STOP) -> None:
        self._symphony = symphony
        self._panel = panel
        self._rules = rules
        self._streams: dict[Node, _Stream] = {}
        self._columns: dict[tuple[Node, Measure], Column] = {}

    def decide(self, place: int, *, explain: bool = True) -> Proposal | NotComputable:
        """Return the target at a session, from prices up to and including it."""
        readings = _AtSession(self, self._panel, place)
        if not explain:
            portfolio = portfolio_of(self._symphony, self._symphony.root, readings, self._rules)
            return portfolio if isinstance(portfolio, NotComputable) else Proposal(_sorted(portfolio))
        decision = decide(self._symphony, readings, self._rules)
        if isinstance(decision, NotComputable):
            return decision
        return Proposal(decision.weights, lines_of(decision.steps))

    def node_value(self, node: Node, measure: Measure, place: int) -> float | NotComputable:
        """Return a measure of a node's own value stream at a session."""
        key = (node, measure)
        column = self._columns.get(key)
        if column is None:
            column = self._columns[key] = self._stream(node).measured(measure)
        value = column[place]
        return self._stream(node).why_not(measure, place) if value is None else value

    def _stream(self, node: Node) -> "_Stream":
        stream = self._streams.get(node)
        if stream is None:
            decided = [
                portfolio_of(self._symphony, node, _AtSession(self, self._panel, place), self._rules) for place in range(len(self._panel))
            ]
            stream = self._streams[node] = _Stream(label(self._symphony, node), self._panel, decided)
        return stream


class _AtSession:
    """The numbers of one session: the answer of a panel to what an evaluation asks."""

    __slots__ = ("_decider", "_panel", "_place")

    def __init__(self, decider: SymphonyDecider, panel: PricePanel, place: int) -> None:
        self._decider = decider
        self._panel = panel
        self._place = place

    def of_symbol(self, symbol: str, measure: Measure) -> float | NotComputable:
        return self._panel.value(symbol, measure, self._place)

    def of_node(self, node: Node, measure: Measure) -> float | NotComputable:
        return self._decider.node_value(node, measure, self._place)

    def volatility(self, node: Node, holdings: Mapping[str, float], measure: Measure) -> float | NotComputable:
        """Return the average of the volatilities of today's holdings, by weight; for a single symbol it is that symbol's."""
        total = 0.0
        for symbol, weight in holdings.items():
            sigma = self._panel.value(symbol, measure, self._place)
            if isinstance(sigma, NotComputable):
                return sigma
            total += weight * sigma
        return total


class _Stream:
    """The value of a node over the sessions, as runs without holes: a session whose return is unknown begins a new run at 1."""

    def __init__(self, name: str, panel: PricePanel, decided: list[Portfolio | NotComputable]) -> None:
        self._name = name
        self._panel = panel
        self._holes: dict[int, NotComputable] = {}
        self._starts: list[int] = []
        self._values: list[float] = []
        for place in range(len(decided)):
            earned = NotComputable(("it is the first session",)) if place == 0 else self._earned(decided[place - 1], place)
            if isinstance(earned, NotComputable):
                self._holes[place] = earned
                self._starts.append(place)
                self._values.append(1.0)
            else:
                self._values.append(self._values[-1] * (1.0 + earned))

    def _earned(self, held: Portfolio | NotComputable, place: int) -> float | NotComputable:
        """Return the return at a session of what was decided the session before."""
        if isinstance(held, NotComputable):
            return held
        total = 0.0
        for symbol, weight in held.items():
            closes = self._panel.column(symbol, PRICE)
            before, after = closes[place - 1], closes[place]
            if before is None or after is None:
                missing = self._panel.value(symbol, PRICE, place)
                assert isinstance(missing, NotComputable), "a portfolio holds only what has a price when it is decided"
                return missing
            total += weight * (after / before - 1.0)
        return total

    def measured(self, measure: Measure) -> Column:
        """Return a measure of the stream at every session."""
        column: Column = [None] * len(self._values)
        for start, end in zip(self._starts, [*self._starts[1:], len(self._values)], strict=True):
            values = tail(measure, np.array(self._values[start:end]))
            scatter(column, range(end - len(values), end), values)
        return column

    def why_not(self, measure: Measure, place: int) -> NotComputable:
        """Return why a measure cannot be computed at a session."""
        start = max(start for start in self._starts if start <= place)
        short = (
            f"{measure.of(self._name)} needs {measure.bars_needed} sessions and has {place - start + 1} since {self._panel.session(start)}"
        )
        return self._holes[start].because(short)


def _sorted(portfolio: Portfolio) -> Portfolio:
    return {symbol: portfolio[symbol] for symbol in sorted(portfolio)}
