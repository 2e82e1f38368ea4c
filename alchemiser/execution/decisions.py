"""The words in which a tactic decides: what it looks at, and what it may answer. Values only; nothing here awaits or keeps state.

A tactic is asked two questions. While nothing of an intent is live: what is to be sent (:meth:`Tactic.open`)? While an order is live: does
it stay (:meth:`Tactic.watch`)? Its answers follow from the situation alone, so a restart that knows the fills and the step goes on where
the process before it was.
"""

from datetime import datetime
from decimal import Decimal
from typing import Protocol

from msgspec import Struct

from alchemiser.domain.intents import Intent
from alchemiser.domain.market import Quote, Session
from alchemiser.domain.orders import DAY, NewOrder, OrderType, TimeInForce


class Standing(Struct, frozen=True):
    """A live order: since when, on which rung it was sent, and since when that rung is worked, earlier orders of it included."""

    order: NewOrder
    since: datetime
    rung: int
    rung_since: datetime


class Situation(Struct, frozen=True):
    """Everything that a decision follows from.

    ``leaves``, cut to what the venue takes, and ``filled`` are shares of the intent, ``rung`` is how far its tactic has come, ``quote`` the
    usable quote or the reason why there is none. ``begun`` is when the plan was made, ``deadline`` when the intent has to end, ``cut_off``
    the last moment at which an order may be sent or stand; an order for the closing auction stands until its auction.
    """

    intent: Intent
    leaves: Decimal
    filled: Decimal
    rung: int
    quote: Quote | str
    now: datetime
    begun: datetime
    deadline: datetime
    cut_off: datetime
    session: Session
    live: Standing | None = None


class Send(Struct, frozen=True):
    """Send an order like this; ``step`` names the part of the tactic it belongs to, for the report of costs."""

    quantity: Decimal
    order_type: OrderType
    limit_price: Decimal | None
    rung: int
    step: str
    time_in_force: TimeInForce = DAY


class Wait(Struct, frozen=True):
    """Send nothing now; ``until`` is when it is worth asking again without any news, ``None`` when only news can change it."""

    reason: str
    until: datetime | None = None


class Fall(Struct, frozen=True):
    """The tactic cannot be used, or no longer: the alternative of the settings takes over."""

    reason: str


class GiveUp(Struct, frozen=True):
    """The tactic has done what it may: what is left is parked."""

    reason: str


class Keep(Struct, frozen=True):
    """The live order stays as it is; ask again at ``until`` at the latest."""

    until: datetime


class Move(Struct, frozen=True):
    """The live order is no longer right: what is left of it goes on as :meth:`Tactic.open` says for ``rung``."""

    reason: str
    rung: int


class Tactic(Protocol):
    """One way of working an intent. Implementations are values."""

    @property
    def name(self) -> str:
        """The name in settings, journal and reports."""

    def deadline(self, begun: datetime, started: datetime, cut_off: datetime, session: Session) -> datetime:
        """Return when an intent has to end whose plan was made at ``begun`` and that this process works since ``started``."""

    def open(self, situation: Situation) -> Send | Wait | Fall | GiveUp:
        """Decide what is sent while nothing is live."""

    def watch(self, situation: Situation) -> Keep | Move:
        """Decide whether the live order stays."""
