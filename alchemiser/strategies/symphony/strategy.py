"""A checked symphony as a strategy: decided on a whole history, or on live prices behind one.

Over a history every session is computed at once and a decision is looked up in it. With live prices only the path of today is walked: what
depends on the closes before is taken from the history, which all live panels on top of it share. Either way the path is told by walking
it, and the weights are the same to the last bit.
"""

from collections.abc import Mapping

from msgspec import Struct

from alchemiser.domain.rebalancing import Header
from alchemiser.market.arrays import Flags, Floats
from alchemiser.market.indicators import Measure
from alchemiser.strategies.base import Decider
from alchemiser.strategies.live_panel import LivePanel
from alchemiser.strategies.outcome import UNEXPLAINED, NotComputable, Proposal
from alchemiser.strategies.panel import PRICE, Panel, PricePanel
from alchemiser.strategies.symphony.evaluate import STOP, Decision, Portfolio, Rules, decide, portfolio_of
from alchemiser.strategies.symphony.explain import label, lines_of
from alchemiser.strategies.symphony.history import History
from alchemiser.strategies.symphony.stream import first_value
from alchemiser.strategies.symphony.tree import Asset, Node, Symphony

LARGE_TREE_NODES = 20_000
"""Trees from this size on are decided in a thread; a path through a smaller one takes far less than a millisecond."""


class SymphonyStrategy(Struct, frozen=True):
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
    def symbols_held(self) -> tuple[str, ...]:
        """Those of them that it may hold, hence trade."""
        return self.symphony.symbols_held

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

    def on(self, panel: Panel) -> Decider:
        """Return the symphony bound to these prices."""
        if isinstance(panel, LivePanel):
            return LiveDecider(self.symphony, panel, self.rules)
        assert isinstance(panel, PricePanel), "prices are a history, or a history with live prices behind it"
        return HistoryDecider(self.symphony, panel, self.rules)


class HistoryDecider:
    """Decides a symphony at any session of a history."""

    def __init__(self, symphony: Symphony, panel: PricePanel, rules: Rules = STOP) -> None:
        self._symphony = symphony
        self._panel = panel
        self.rules = rules
        self._history = _history_of(symphony, panel, rules)

    def decide(self, place: int, *, explain: bool = True) -> Proposal | NotComputable:
        """Return the target at a session, from prices up to and including it."""
        weights = self._history.weights(place)
        if not explain:
            return UNEXPLAINED if weights is None else Proposal(weights)
        decision = self.decision(place)
        return decision if isinstance(decision, NotComputable) else _proposal_of(decision)

    def has_target(self) -> Flags:
        """Return for every session whether there is a target."""
        return self._history.has_target()

    def all_weights(self) -> tuple[list[str], Floats]:
        """Return symbols, and the weights of each on every session: a row per symbol, zeros where there is no target."""
        return self._history.all_weights()

    def decision(self, place: int) -> Decision | NotComputable:
        """Return the target at a session with the path that led to it."""
        weights = self._history.weights(place)
        decision = decide(self._symphony, _AtSession(self, self._panel, place), self.rules)
        if isinstance(decision, NotComputable):
            assert weights is None, "the walk must find a path where the history has found one"
        else:
            assert decision.weights == weights, "the walk and the history agree to the last bit"
        return decision

    def node_value(self, node: Node, measure: Measure, place: int) -> float | NotComputable:
        """Return a measure of a ranked node's own value stream at a session."""
        value = self._history.stream(node).column(measure).at(place)
        if value is not None:
            return value
        start = self._history.stream(node).start_of(place)
        return self.reason_at(node, start).because(_short_run(self._symphony, self._panel, node, measure, start, place))

    def reason_at(self, node: Node, start: int) -> NotComputable:
        """Return why the return of a node at a session is not known, so that its stream begins anew there."""
        if start == 0:
            return NotComputable(("it is the first session",))
        held = portfolio_of(self._symphony, node, _AtSession(self, self._panel, start - 1), self.rules)
        return held if isinstance(held, NotComputable) else _without_price(self._panel, held, start)


class LiveDecider:
    """Decides a symphony on live prices; of the sessions before it asks the history that it shares."""

    def __init__(self, symphony: Symphony, panel: LivePanel, rules: Rules = STOP) -> None:
        self._symphony = symphony
        self._panel = panel
        self.rules = rules

    def decide(self, place: int, *, explain: bool = True) -> Proposal | NotComputable:
        """Return the target at a session; the last one has the live prices."""
        if place < len(self._panel.history):
            return self._before().decide(place, explain=explain)
        readings = _AtSession(self, self._panel, place)
        if not explain:
            portfolio = portfolio_of(self._symphony, self._symphony.root, readings, self.rules)
            return (
                portfolio if isinstance(portfolio, NotComputable) else Proposal({symbol: portfolio[symbol] for symbol in sorted(portfolio)})
            )
        decision = decide(self._symphony, readings, self.rules)
        return decision if isinstance(decision, NotComputable) else _proposal_of(decision)

    def node_value(self, node: Node, measure: Measure, place: int) -> float | NotComputable:
        """Return a measure of a ranked node's value stream, its last value from what was held over night and the live prices."""
        before = self._before()
        if place < len(self._panel.history):
            return before.node_value(node, measure, place)
        stream = _history_of(self._symphony, self._panel.history, self.rules).stream(node)
        earned = self._earned(before, node, stream.held_last)
        if isinstance(earned, NotComputable):
            value = first_value(measure)
            short = _short_run(self._symphony, self._panel, node, measure, place, place)
            return earned.because(short) if value is None else value
        value = stream.last_bar(measure).value(stream.last_value * (1.0 + earned))
        if value is not None:
            return value
        start = stream.last_start
        return before.reason_at(node, start).because(_short_run(self._symphony, self._panel, node, measure, start, place))

    def _before(self) -> HistoryDecider:
        return HistoryDecider(self._symphony, self._panel.history, self.rules)

    def _earned(self, before: HistoryDecider, node: Node, held: Mapping[str, float] | None) -> float | NotComputable:
        """Return the return of today, as a fraction, of what was decided at the last close."""
        today = len(self._panel.history)
        if held is None:
            return before.reason_at(node, today)
        total = 0.0
        for symbol, weight in held.items():
            price, close = self._panel.value(symbol, PRICE, today), self._panel.value(symbol, PRICE, today - 1)
            if isinstance(price, NotComputable):
                return price
            assert not isinstance(close, NotComputable), "a portfolio holds only what has a price when it is decided"
            total += weight * (price / close - 1.0)
        return total


class _AtSession:
    """The numbers of one session: the answer of a panel to what an evaluation asks."""

    __slots__ = ("_decider", "_panel", "_place")

    def __init__(self, decider: HistoryDecider | LiveDecider, panel: Panel, place: int) -> None:
        self._decider = decider
        self._panel = panel
        self._place = place

    def of_symbol(self, symbol: str, measure: Measure) -> float | NotComputable:
        return self._panel.value(symbol, measure, self._place)

    def of_node(self, node: Node, measure: Measure) -> float | NotComputable:
        return self._decider.node_value(node, measure, self._place)

    def volatility(self, node: Node, holdings: Mapping[str, float], measure: Measure) -> float | NotComputable:
        """Return the average of the volatilities of today's holdings, by weight; for a single symbol it is that symbol's.

        By the other rule it is that of the node's own stream.
        """
        if self._decider.rules.volatility == "own" and not isinstance(node, Asset):
            return self._decider.node_value(node, measure, self._place)
        total = 0.0
        for symbol, weight in holdings.items():
            sigma = self._panel.value(symbol, measure, self._place)
            if isinstance(sigma, NotComputable):
                return sigma
            total += weight * sigma
        return total


def _proposal_of(decision: Decision) -> Proposal:
    return Proposal(decision.weights, lines_of(decision.tree), decision.tree.plain(), is_fragile=decision.tree.is_fragile)


def _history_of(symphony: Symphony, panel: PricePanel, rules: Rules) -> History:
    return panel.kept((symphony, rules), lambda: History(symphony, panel, rules))


def _without_price(panel: Panel, held: Portfolio, place: int) -> NotComputable:
    for symbol in held:
        price = panel.value(symbol, PRICE, place)
        if isinstance(price, NotComputable):
            return price
    raise AssertionError("a return is known when everything that was held has a price")


def _short_run(symphony: Symphony, panel: Panel, node: Node, measure: Measure, start: int, place: int) -> str:
    subject, sessions = measure.of(label(symphony, node)), place - start + 1
    return f"{subject} needs {measure.bars_needed} sessions and has {sessions} since {panel.session(start)}"
