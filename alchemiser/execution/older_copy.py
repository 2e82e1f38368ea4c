"""Whether the journal is an older copy of itself: the venue knows orders of it that it does not hold.

No order leaves before the journal holds it, and every journal has an epoch of its own in the ids of its orders. So an order with our epoch
that we do not know was sent by a journal that is further than this one: a backup was put back, or a second daemon works on a copy. What
was bought and sold by such orders looks like somebody else's shares, and the next decision would buy them once more. Pure.

What it cannot tell: a copy whose lost orders were all refused, or sent for a decision that was not the first of its day.
"""

from collections.abc import Container, Iterable, Iterator
from datetime import datetime

from alchemiser.domain.account import BrokerActivity
from alchemiser.domain.ids import client_order_id, is_of_a_kill, rebalance_id, split_client_order_id
from alchemiser.domain.reconciliation import Difference, DifferenceCode
from alchemiser.market.calendar import new_york_date

LOOKED_UP_AT_MOST = 8
"""How many orders are asked for: one that the venue knows is enough."""


def orders_to_ask_for(
    executions: Iterable[BrokerActivity], known: Container[str], known_at_venue: Container[str], *, after: datetime, epoch: str
) -> tuple[str, ...]:
    """Return the ids that our first orders would have had of which executions after that time could be.

    ``known`` are the ids of the orders that the journal holds, ``known_at_venue`` what the venue calls them. An execution names its order
    only by the venue's id, and the order by which it was made can be asked for by ours.
    """
    asked: dict[str, None] = {}
    for execution in executions:
        if execution.at <= after or execution.venue_order_id in known_at_venue or execution.correction is not None:
            continue
        try:
            key = client_order_id(epoch, rebalance_id(new_york_date(execution.at), 1), execution.symbol, 1)
        except ValueError:
            continue  # No symbol of ours.
        if key not in known:
            asked[key] = None
    return tuple(asked)[:LOOKED_UP_AT_MOST]


def orders_not_held(differences: Iterable[Difference]) -> Iterator[str]:
    """Yield the ids of live orders of this journal that it does not hold; those of the kill switch are written down beside it."""
    for difference in differences:
        parts = split_client_order_id(difference.subject)
        if difference.code is DifferenceCode.ORDER_UNRECORDED and parts is not None and not is_of_a_kill(parts[1]):
            yield difference.subject
