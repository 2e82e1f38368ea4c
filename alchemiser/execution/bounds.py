"""The bounds that hold for an order whatever its tactic wants: collar, displayed size, cash per share, and what may be replaced. Pure."""

from decimal import Decimal

from msgspec.structs import replace

from alchemiser.domain.intents import Intent
from alchemiser.domain.market import Quote
from alchemiser.domain.money import printed, truncate_shares
from alchemiser.domain.orders import CLS, LIMIT, Order, OrderState
from alchemiser.execution.decisions import Send
from alchemiser.execution.ladder import LadderRules
from alchemiser.execution.pricing import is_outside_collar, takes_liquidity, within_displayed
from alchemiser.execution.work import LiveOrder


def bounded(wanted: Send, intent: Intent, quote: Quote, rules: LadderRules) -> Send | None:
    """Return an order without more shares than the settings let it take of the far side; ``None`` for a limit outside the price collar.

    An auction order's limit is reckoned from the arrival price, and the auction has its own price and its own sizes.
    """
    if wanted.time_in_force is CLS:
        return wanted
    if wanted.limit_price is not None and is_outside_collar(intent.side, wanted.limit_price, quote, rules.price_collar_bps):
        return None
    share = rules.max_displayed_share
    if share is None or not takes_liquidity(intent.side, wanted.limit_price, quote):
        return wanted
    quantity = within_displayed(intent.side, wanted.quantity, quote, share, whole=not intent.is_fractionable)
    return wanted if quantity == wanted.quantity else replace(wanted, quantity=quantity)


def dearest_price(limit_price: Decimal | None, intent: Intent, quote: Quote | str, rules: LadderRules) -> Decimal:
    """Return the dollars that a share of a buy may cost: its limit, or for a market order the ask with a cushion.

    Without a usable quote the arrival price has to stand for the ask.
    """
    if limit_price is not None:
        return limit_price
    dearest = intent.reference_price
    if isinstance(quote, Quote) and (ask := printed(quote.ask)) > dearest:
        dearest = ask
    return truncate_shares(dearest * rules.market_cushion)


def stands_as_wanted(live: LiveOrder, wanted: Send) -> bool:
    """Whether the live order is just what would be sent: its place in the queue is worth more than a new one."""
    order = live.order
    return (order.order_type, order.time_in_force, order.limit_price, live.leaves) == (
        wanted.order_type,
        wanted.time_in_force,
        wanted.limit_price,
        wanted.quantity,
    )


def venue_replaces(known: Order, current: LiveOrder, wanted: Send) -> bool:
    """Whether the venue lets the live order be replaced by what is wanted.

    It replaces whole shares of working limit orders. One that is filled in part is cancelled instead: it is on record that a replacement of
    such an order traded the old total (Alpaca-API#165).
    """
    is_untouched = known.state is OrderState.WORKING and known.venue_status == "new" and not known.reported_quantity
    is_limit = wanted.order_type is LIMIT and current.order.order_type is LIMIT and wanted.limit_price is not None
    is_whole = wanted.quantity % 1 == 0 and current.order.quantity % 1 == 0
    return is_untouched and is_limit and is_whole and current.order.time_in_force is wanted.time_in_force
