"""Which orders are written down before their time, so that they need not wait for the disk when it comes. Pure.

An order may leave when its intention is durable. What waits for cash, for a quote or for the end of the order before it can have the most
that it may become written down meanwhile: the id, the symbol, the side and the largest number of shares. When its moment comes it
leaves at once, and the record of what it became is flushed while it travels. The price is paid after a crash: whatever was written ahead
may be at the venue and has to be asked about, so only the few that come next are written.

An order for an auction, one that takes the place of another, and one that goes again under its own id are not written ahead: the first is
in no hurry, the second needs the venue's word about another order, and of the third the record is there.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from alchemiser.domain.money import truncate_shares
from alchemiser.domain.orders import DAY, NewOrder
from alchemiser.execution.tactics import AUCTIONS
from alchemiser.execution.work import CANCELLING, ENDED, WAITING, Prepare, Unprepare, Work

WRITTEN_AHEAD_AT_MOST: Final = 8
"""So many orders are asked about after a crash at most because they were written ahead: each costs a handful of requests."""


def look_ahead(works: Iterable[Work], id_of: Callable[[Work], str], *, may_send: bool) -> Iterator[Prepare | Unprepare]:
    """Yield which orders are to be written ahead now, those that come first in the plan first, and which no longer are.

    They are topped up when half of them are used. ``id_of`` gives the id of the next order of an intent; with ``may_send`` false nothing
    new is written.
    """
    coming: list[Work] = []
    written = 0
    for work in works:
        if work.prepared is None:
            if _is_coming(work):
                coming.append(work)
        elif work.stage is ENDED:
            key, work.prepared = work.prepared.client_order_id, None
            yield Unprepare(key, work.reason or "the intent has ended")
        else:
            written += 1
    if not may_send or written > WRITTEN_AHEAD_AT_MOST // 2:
        return
    for work in coming[: WRITTEN_AHEAD_AT_MOST - written]:
        work.prepared = _most_of(work, id_of(work))
        yield work.prepared


def is_covered(order: NewOrder, prepared: Prepare | None) -> bool:
    """Whether an order is one of those that were written ahead: its record may then follow it."""
    return (
        prepared is not None
        and order.client_order_id == prepared.client_order_id
        and (order.symbol, order.side, order.time_in_force) == (prepared.symbol, prepared.side, DAY)
        and order.quantity <= prepared.quantity
    )


def _is_coming(work: Work) -> bool:
    is_due = work.stage is CANCELLING or (work.stage is WAITING and work.again is None)
    return is_due and work.barred is None and work.tactic.name not in AUCTIONS and work.leaves_quantity > 0


def _most_of(work: Work, client_order_id: str) -> Prepare:
    intent = work.intent
    return Prepare(
        client_order_id=client_order_id,
        intent_id=intent.intent_id,
        attempt=work.attempt + 1,
        symbol=intent.symbol,
        side=intent.side,
        quantity=truncate_shares(work.leaves_quantity, whole=not intent.is_fractionable),
        tactic=work.tactic.name,
        rung=work.rung,
    )
