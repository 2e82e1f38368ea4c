"""What can be chosen about the embedded exchange; the defaults are the recommended reading of the protocol reference."""

from decimal import Decimal
from typing import Literal

import msgspec


class ExchangeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The switches of one exchange. They are not part of a snapshot: a restored exchange is given them again.

    ``engine`` is ``book`` (displayed size is consumed, larger market orders walk with impact, resting orders queue) or ``paper``
    (section 10 of the reference: any size fills at the NBBO, one eligible fill in ten is partial). ``multiplier`` 2 lends one dollar for
    each of the account's own, 4 three more while the regular session is open, 1 none. Latencies are market milliseconds. A market order
    never trades further than ``collar`` from the NBBO it met first; each further displayed size costs it ``impact_bps``, at least a tick.
    """

    cash: Decimal = Decimal(100_000)
    engine: Literal["book", "paper"] = "book"
    multiplier: Literal["1", "2", "4"] = "2"
    acknowledge_ms: int = 6
    match_ms: int = 20
    cancel_ms: int = 6
    replace_ms: int = 6
    impact_bps: Decimal = Decimal(1)
    collar: Decimal = Decimal("0.05")
    partial_fill_probability: float = 0.1
    quote_life_seconds: int | None = None
    shorting_enabled: bool = True
    fees: bool = False
    extended_gtc: bool = False
    legacy_account_fields: bool = False
