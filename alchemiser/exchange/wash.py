"""Whether an order might meet an open one of the other side: the prices of each side of a symbol, kept in order.

An index and no rule: it answers yes or no at once, however many orders are open; ``rules.check_wash_trade`` says what is refused, and with
which order. Orders that the rule lets pass (trailing stops, complex orders) are not in it.
"""

from decimal import Decimal
from heapq import heappop, heappush

from alchemiser.exchange.orders import VenueOrder
from alchemiser.exchange.rules import Priced, has_limit, is_wash_exempt


class WashTable:
    """The open orders of one symbol, by side."""

    __slots__ = ("_buys", "_sells")

    def __init__(self) -> None:
        self._buys = _Ladder(-1)
        self._sells = _Ladder(1)

    def put(self, order: VenueOrder) -> None:
        """Take in an order, or note its new limit."""
        if not is_wash_exempt(order):
            self._side(order).put(order.id, order.limit_price if has_limit(order) else None)

    def discard(self, order: VenueOrder) -> None:
        """Forget an order, if it is there."""
        self._side(order).discard(order.id)

    def might_meet(self, new: Priced) -> bool:
        """Return whether any order of the other side might trade with a new one."""
        if is_wash_exempt(new):
            return False
        return (self._sells if new.side == "buy" else self._buys).reaches(new.limit_price if has_limit(new) else None)

    def _side(self, order: VenueOrder) -> "_Ladder":
        return self._buys if order.side == "buy" else self._sells


class _Ladder:
    """One side: what has no limit, and the limits, the best on top of a heap that forgets late.

    ``sign`` is plus one where the lowest limit is the best.
    """

    __slots__ = ("_heap", "_limits", "_sign", "_unlimited")

    def __init__(self, sign: int) -> None:
        self._sign = sign
        self._unlimited: set[str] = set()
        self._limits: dict[str, Decimal] = {}
        self._heap: list[tuple[Decimal, str]] = []

    def put(self, order_id: str, limit: Decimal | None) -> None:
        if limit is None:
            self._unlimited.add(order_id)
        elif self._limits.get(order_id) != limit:
            self._limits[order_id] = limit
            heappush(self._heap, (self._sign * limit, order_id))

    def discard(self, order_id: str) -> None:
        self._unlimited.discard(order_id)
        self._limits.pop(order_id, None)
        # Entries of ended orders below the top would pile up for ever while one good price stays.
        if len(self._heap) > 2 * len(self._limits) + 64:
            self._heap = sorted((self._sign * limit, each) for each, limit in self._limits.items())

    def reaches(self, limit: Decimal | None) -> bool:
        """Return whether an order of the other side with that limit, or with none, might trade here."""
        if self._unlimited:
            return True
        best = self._best()
        return best is not None and (limit is None or (limit - best) * self._sign >= 0)

    def _best(self) -> Decimal | None:
        while self._heap:
            price, order_id = self._heap[0]
            if self._limits.get(order_id) == self._sign * price:
                return self._sign * price
            heappop(self._heap)
        return None
