"""The complete state of an exchange as one value, and its bytes.

Everything that changes is in :class:`ExchangeState`, the state of the random generator included; settings, assets and calendar are given
anew when it is restored. Restoring what was saved and going on gives the same answers as never having stopped.
"""

from datetime import datetime
from decimal import Decimal
from random import Random
from typing import Final, Literal

import msgspec

from alchemiser.domain.errors import DataError
from alchemiser.exchange.account import Account, Opening
from alchemiser.exchange.activities import ActivityRows
from alchemiser.exchange.assets import AssetChange
from alchemiser.exchange.book import Book
from alchemiser.exchange.ids import uuid_text
from alchemiser.exchange.issuer_actions import CorporateAction, Entitlement
from alchemiser.exchange.orders import OrderUpdate, VenueOrder
from alchemiser.exchange.portfolio_history import EquityHistory, mark_after
from alchemiser.exchange.settings import ExchangeSettings
from alchemiser.exchange.timeline import NEW_YORK, Phase, Timeline
from alchemiser.exchange.watchlists import Watchlist

_FORMAT: Final = 2

DueKind = Literal[
    "acknowledge",
    "match",
    "activate",
    "cancel",
    "replace",
    "unpark",
    "overnight_open",
    "pre_market_open",
    "open",
    "close",
    "gtc_sweep",
    "after_hours_close",
]


class Due(msgspec.Struct, frozen=True, order=True, gc=False):
    """Something to be done at a time; ``sequence`` keeps those of one moment in the order in which they were planned."""

    at: datetime
    sequence: int
    kind: DueKind
    order_id: str = ""


class ExchangeState(msgspec.Struct, kw_only=True):
    """What an exchange is at one moment. ``phase_since`` is when the phase began: older quotes do not trade in it.

    ``orders`` and ``activities`` keep what is old sealed; ``sample_at`` is the next minute mark of the equity history.
    """

    opened_at: datetime
    now: datetime
    phase: Phase
    phase_since: datetime
    account: Account
    starting_cash: Decimal
    sample_at: datetime
    format: int = _FORMAT
    sequence: int = 0
    last_event_id: str = "0"
    orders: list[VenueOrder] = []
    archive: list[bytes] = []
    books: dict[str, Book] = {}
    due: list[Due] = []
    updates: list[OrderUpdate] = []
    activities: ActivityRows = msgspec.field(default_factory=ActivityRows)
    history: EquityHistory = msgspec.field(default_factory=EquityHistory)
    actions: list[CorporateAction] = []
    entitlements: list[Entitlement] = []
    borrow: dict[str, bool] = {}
    asset_changes: dict[str, AssetChange] = {}
    watchlists: list[Watchlist] = []


class _Saved(msgspec.Struct, frozen=True):
    state: ExchangeState
    random: tuple[int, tuple[int, ...], float | None]


def fresh_state(settings: ExchangeSettings, timeline: Timeline, random: Random, opened_at: datetime) -> ExchangeState:
    """Return the state of an exchange whose one account was opened at that moment."""
    day = timeline.day_ending_after(opened_at)
    account = Account(
        id=uuid_text(random.getrandbits(128)),
        number=f"PA3{random.randrange(10**9):09d}",
        cash=settings.cash,
        last_equity=settings.cash,
        is_in_cents=settings.cash_in_cents,
        openings=[Opening(on=opened_at.astimezone(NEW_YORK).date())],
    )
    return ExchangeState(
        opened_at=opened_at,
        now=opened_at,
        phase=timeline.phase(opened_at),
        phase_since=opened_at if day is None else day.phase_began(opened_at),
        account=account,
        starting_cash=settings.cash,
        sample_at=mark_after(opened_at),
    )


def encode_state(state: ExchangeState, random: Random) -> bytes:
    """Return the bytes of a state and of the random generator that goes with it."""
    return msgspec.msgpack.encode(_Saved(state, saved_random(random)))


def saved_random(random: Random) -> tuple[int, tuple[int, ...], float | None]:
    """Return the state of a random generator as it is saved."""
    version, internal, gauss_next = random.getstate()
    return version, internal, gauss_next


def decode_state(data: bytes, random: Random) -> ExchangeState:
    """Return the state and set ``random`` to what it was. Raises ``DataError`` for bytes that are no snapshot of this format."""
    try:
        saved = msgspec.msgpack.decode(data, type=_Saved)
    except msgspec.DecodeError as error:
        raise DataError(f"the exchange's snapshot cannot be read ({error}); start it without one") from error
    if saved.state.format != _FORMAT:
        raise DataError(f"the exchange's snapshot has format {saved.state.format}, not {_FORMAT}; start it without one")
    random.setstate(saved.random)
    return saved.state
