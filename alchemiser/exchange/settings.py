"""What can be chosen about the embedded exchange; the defaults are the recommended reading of the protocol reference."""

from decimal import Decimal
from typing import Annotated, Literal

import msgspec

_Milliseconds = Annotated[int, msgspec.Meta(ge=0, le=3_600_000)]


class ExchangeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The switches of one exchange. They are not part of a snapshot: a restored exchange is given them again.

    ``engine`` is ``book`` (displayed size is consumed, larger market orders walk with impact, resting orders queue) or ``paper``
    (section 10 of the reference: any size fills at the NBBO, one eligible fill in ten is partial); ``instant`` fills any size at the NBBO,
    and what can be filled when it comes is so before it is answered: the order stream tells of nothing but the execution, and there is no
    moment for a whim. ``multiplier`` 2 lends one dollar for
    each of the account's own, 4 three more while the regular session is open, 1 none. Latencies are market milliseconds. A market order
    never trades further than ``collar`` from the NBBO it met first; each further displayed size costs it ``impact_bps``, at least a tick.

    Quotes are taken to ``price_decimals`` places, no order is worth less than ``smallest_order`` dollars, and with ``cash_in_cents``
    each execution moves the cash by whole cents, what rounding leaves counts in
    the next one: the exchange itself is exact. Backtests, whose adjusted prices no tape has printed, use these.

    Without ``equity_by_minute`` the portfolio history knows the closes only.

    With ``refuse_margin_deficits`` an order is refused that would need more maintenance margin than the account has equity.

    Money that the paper engine leaves out and that may be switched on: ``fees``, ``dividends``, ``margin_interest``. With
    ``settled_cash_only`` an account without margin spends only what has settled; the venue lets it spend unsettled proceeds.

    ``splits`` lets the synthetic market split shares about twice a year and symbol; those in the bars of a folder always happen. ``halts``
    stops a symbol for some minutes about once in 25 sessions: five for volatility, longer for news.

    ``overnight`` plays the session from eight in the evening to four in the morning before each trading day, and makes every asset
    ``overnight_tradable``.

    The open questions of the reference (section 11) each have a switch, the documented reading first:

    - ``extended_gtc``: whether gtc orders may ask for extended hours (5).
    - ``pending_replace_event``: whether a replacement begins with a ``pending_replace`` event of the old order (2).
    - ``cls_cut_off_minutes``: 10 before the close, or 5 as an error text has it (4).
    - ``auction_remainder``: how what is left of ioc, fok, opg and cls orders ends; ``day_orders_end``: with the session or the evening (6).
    - ``repeated_cancel_status``: the answer to a cancel of an order whose cancel is under way (7).
    - ``notional_decimals`` and ``notional_limit_orders`` (9).
    - ``low_price``: below it long positions are not margined; ``intraday_power``: what four times is taken of (10).
    - ``taf_cap_per``: execution or order; ``taf_holiday``: nothing is charged from October to December 2026 (11).
    - ``held_legs_listed_as``: whether a list of orders counts a leg that waits as open or as closed (15).
    - ``sibling_cancel_event``: whether the order stream tells of a leg that its sibling's fill has cancelled (16).
    - ``inherited_quantity``: whether a replacement without a quantity keeps the old total or only what was left of it.
    - ``oto_replaceable``: whether orders of class oto may be replaced at all (3.9).
    - ``queued_orders_start``: when orders sent while the market was closed become new, at the open or already at 04:00 (4.1).
    """

    cash: Decimal = Decimal(100_000)
    price_decimals: Annotated[int, msgspec.Meta(ge=0, le=9)] = 4
    smallest_order: Decimal = Decimal(1)
    cash_in_cents: bool = False
    engine: Literal["book", "paper", "instant"] = "book"
    multiplier: Literal["1", "2", "4"] = "2"
    acknowledge_ms: _Milliseconds = 6
    match_ms: _Milliseconds = 20
    cancel_ms: _Milliseconds = 6
    replace_ms: _Milliseconds = 6
    impact_bps: Decimal = Decimal(1)
    collar: Decimal = Decimal("0.05")
    partial_fill_probability: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.1
    quote_life_seconds: Annotated[int, msgspec.Meta(ge=1)] | None = None
    shorting_enabled: bool = True
    legacy_account_fields: bool = False
    refuse_margin_deficits: bool = True
    equity_by_minute: bool = True

    fees: bool = False
    dividends: bool = False
    splits: bool = False
    halts: bool = False
    overnight: bool = False
    margin_interest: bool = False
    interest_rate: Decimal = Decimal("0.0625")
    settled_cash_only: bool = False

    extended_gtc: bool = False
    pending_replace_event: bool = True
    cls_cut_off_minutes: Literal[10, 5] = 10
    auction_remainder: Literal["canceled", "expired"] = "canceled"
    day_orders_end: Literal["close", "evening"] = "close"
    repeated_cancel_status: Literal[204, 422] = 204
    notional_decimals: Literal[2, 9] = 2
    notional_limit_orders: bool = True
    low_price: Literal["2.50", "6"] = "2.50"
    intraday_power: Literal["equity", "last_equity"] = "equity"
    taf_cap_per: Literal["execution", "order"] = "execution"
    taf_holiday: bool = False
    held_legs_listed_as: Literal["open", "closed"] = "open"
    sibling_cancel_event: bool = True
    inherited_quantity: Literal["total", "leaves"] = "total"
    oto_replaceable: bool = True
    queued_orders_start: Literal["open", "pre_market"] = "open"
