"""Branches that can never be taken, whatever the prices: because of what a number can be, or of what was asked before on every path.

Knowledge flows from the root down: a branch knows the outcome of its condition, and a node what all of its parents agree on. A group that
is ranked forgets everything, because it is decided on past sessions too, on which the conditions above it had other outcomes.
"""

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from alchemiser.strategies.symphony.tree import Asset, Comparator, Condition, Filter, If, Node, Number, Operand, Reading, children_of

MAX_NODES = 50_000
"""Larger trees are not searched: knowledge along deep paths would cost more than the remark is worth."""

Orders = frozenset[str]
"""What the left side may be to the right one: ``<``, ``=``, ``>``."""

_ANY: Orders = frozenset("<=>")
_HOLDS: Mapping[Comparator, Orders] = {
    ">": frozenset(">"),
    "<": frozenset("<"),
    ">=": frozenset("=>"),
    "<=": frozenset("<="),
    "=": frozenset("="),
}
_MIRRORED = {"<": ">", "=": "=", ">": "<"}
_INFINITY = float("inf")


class Interval(Struct, frozen=True):
    """Where a number lies; an end that is open does not belong to it."""

    low: float
    high: float
    is_low_open: bool = False
    is_high_open: bool = False

    def orders_to(self, other: "Interval") -> Orders:
        """Return what a number in here may be to one in there."""
        below = self.low < other.high
        above = self.high > other.low
        touches_low = self.low == other.high and not (self.is_low_open or other.is_high_open)
        touches_high = self.high == other.low and not (self.is_high_open or other.is_low_open)
        same = (below and above) or touches_low or touches_high
        return frozenset(("<" if below else "") + ("=" if same else "") + (">" if above else ""))

    def limited(self, orders: Orders, value: float) -> "Interval":
        """Return the part of the interval that is in one of these orders to a value."""
        found = self
        if ">" not in orders and value <= found.high:
            found = Interval(found.low, value, found.is_low_open, "=" not in orders or (value == found.high and found.is_high_open))
        if "<" not in orders and value >= found.low:
            found = Interval(value, found.high, "=" not in orders or (value == found.low and found.is_low_open), found.is_high_open)
        return found

    def hull(self, other: "Interval") -> "Interval":
        """Return the smallest interval around both."""
        low, is_low_open = min((self.low, self.is_low_open), (other.low, other.is_low_open))
        high, is_high_closed = max((self.high, not self.is_high_open), (other.high, not other.is_high_open))
        return Interval(low, high, is_low_open, not is_high_closed)


Pair = tuple[Reading, Reading]


class Knowledge(Struct, frozen=True):
    """What is certain on every path to a node."""

    intervals: Mapping[Reading, Interval]
    orders: Mapping[Pair, Orders]

    def possible(self, condition: Condition) -> Orders:
        """Return what the left side of a condition may be to the right one."""
        left, right = condition.left, condition.right
        if left == right:
            return frozenset("=")
        found = self._interval(left).orders_to(self._interval(right))
        if isinstance(left, Reading) and isinstance(right, Reading):
            found &= self.orders.get((left, right), _ANY)
        return found

    def outcome(self, condition: Condition) -> bool | None:
        """Return the outcome of a comparison that prices cannot change any more, or ``None``."""
        possible, holds = self.possible(condition), _HOLDS[condition.comparator]
        return True if possible <= holds else None if possible & holds else False

    def given(self, condition: Condition, *, holds: bool) -> "Knowledge":
        """Return the knowledge behind a condition with that outcome."""
        orders = _HOLDS[condition.comparator] if holds else _ANY - _HOLDS[condition.comparator]
        left, right = condition.left, condition.right
        if isinstance(left, Reading) and isinstance(right, Reading):
            mirrored = frozenset(_MIRRORED[order] for order in orders)
            before, after = self.orders.get((left, right), _ANY), self.orders.get((right, left), _ANY)
            return Knowledge(self.intervals, {**self.orders, (left, right): before & orders, (right, left): after & mirrored})
        if isinstance(left, Reading) and isinstance(right, Number):
            return Knowledge({**self.intervals, left: self._interval(left).limited(orders, right.value)}, self.orders)
        if isinstance(right, Reading) and isinstance(left, Number):
            mirrored = frozenset(_MIRRORED[order] for order in orders)
            return Knowledge({**self.intervals, right: self._interval(right).limited(mirrored, left.value)}, self.orders)
        return self

    def agreed(self, other: "Knowledge") -> "Knowledge":
        """Return what is certain on both of two paths."""
        intervals = {reading: mine.hull(other.intervals[reading]) for reading, mine in self.intervals.items() if reading in other.intervals}
        orders = {pair: mine | other.orders[pair] for pair, mine in self.orders.items() if pair in other.orders}
        return Knowledge(intervals, orders)

    def _interval(self, side: Operand) -> Interval:
        if isinstance(side, Number):
            return Interval(side.value, side.value)
        return self.intervals.get(side) or _natural(side)


NOTHING_KNOWN = Knowledge({}, {})


def fixed_conditions(root: Node, nodes: Sequence[Node]) -> Iterator[tuple[If, str]]:
    """Yield the conditions whose outcome prices cannot change, with the remark about them; ``nodes`` has children before parents."""
    if len(nodes) > MAX_NODES:
        return
    known: dict[Node, Knowledge] = {root: NOTHING_KNOWN}
    found: list[tuple[If, str]] = []
    for node in reversed(nodes):
        here = known.pop(node, None)
        if here is None:
            continue  # every way to it is closed
        if isinstance(node, If):
            outcome = here.outcome(node.condition)
            if outcome is not None:
                always = "always" if NOTHING_KNOWN.outcome(node.condition) is not None else "after what was asked before it always"
                found.append((node, f"{node.condition} is {always} {str(outcome).lower()}; the other branch is never reached"))
            for branch, holds in ((node.then, True), (node.otherwise, False)):
                if outcome in (None, holds):
                    _tell(known, branch, here.given(node.condition, holds=holds))
        else:
            for child in children_of(node):
                is_ranked = isinstance(node, Filter) and not isinstance(child, Asset)
                _tell(known, child, NOTHING_KNOWN if is_ranked else here)
    yield from reversed(found)


def _tell(known: dict[Node, Knowledge], node: Node, news: Knowledge) -> None:
    if not isinstance(node, Asset):
        known[node] = known[node].agreed(news) if node in known else news


def _natural(reading: Reading) -> Interval:
    """Return where an indicator can be at all."""
    match reading.measure.name:
        case "rsi" | "max-drawdown":
            return Interval(0.0, 100.0)
        case "cumulative-return" | "moving-average-return" | "percentage-price-oscillator" | "percentage-price-oscillator-signal":
            return Interval(-100.0, _INFINITY)
        case "macd" | "macd-signal" | "lower-bollinger":
            return Interval(-_INFINITY, _INFINITY)
        case _:
            return Interval(0.0, _INFINITY)
