"""How a case of the catalogue is written down: orders of ours, orders at the venue, shares and cash, and what is expected of a comparison.

One intent of ten shares is the measure of all things. Our order and the venue's are the same one when they have the same name; what
we have heard of it is said in pieces of the venue's executions.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from alchemiser.domain.orders import Side

EPOCH = "abc123"
NOW, PAST = "20250303.1", "20250228.1"
"""The rebalance in progress, and one that has ended."""

SYMBOL, OTHER = "SPY", "TECL"

OwnState = Literal[
    "intended", "unknown", "working", "cancelling", "filled", "cancelled", "expired", "rejected", "never_sent", "asked to cancel unheard"
]
VenueStatus = Literal["open", "canceled", "filled", "replaced"]
Kind = Literal["ours", "by hand", "another journal"]


@dataclass(frozen=True)
class Own:
    """An order as we have it; ``heard`` are the pieces of its executions that we have heard of, by their place in the venue's list."""

    state: OwnState
    heard: tuple[int, ...] = ()
    name: str = "a"
    side: Side = Side.BUY
    quantity: int = 10
    limit: str = "100"
    symbol: str = SYMBOL
    rebalance: str = NOW
    attempt: int = 1
    other_ids: bool = False

    @property
    def client_order_id(self) -> str:
        """Its id, made as the daemon makes it."""
        return client_order_id(self.name, self.symbol, self.rebalance, self.attempt)


@dataclass(frozen=True)
class There:
    """An order at the venue, with the sizes of its executions."""

    status: VenueStatus
    pieces: tuple[int, ...] = ()
    name: str = "a"
    side: Side = Side.BUY
    quantity: int = 10
    limit: str = "100"
    symbol: str = SYMBOL
    rebalance: str = NOW
    attempt: int = 1
    kind: Kind = "ours"

    @property
    def client_order_id(self) -> str:
        """Its id: a person's are unlike ours, another journal's differ in the epoch."""
        if self.kind == "by hand":
            return f"by-hand-{self.name}"
        made = client_order_id(self.name, self.symbol, self.rebalance, self.attempt)
        return made if self.kind == "ours" else made.replace(EPOCH, "zzz999")


def client_order_id(name: str, symbol: str, rebalance: str, attempt: int) -> str:
    """Return the id of an order of ours; orders of one name are attempts of one intent."""
    return f"{EPOCH}-{rebalance}-{symbol}.{name}-{attempt}"


@dataclass(frozen=True)
class Late:
    """A list of the venue that is empty, a look-up that finds nothing, or a replay that is not served, for so many answers."""

    what: Literal["executions", "orders", "look-up", "replay"]
    answers: int


@dataclass(frozen=True)
class Case:
    """One case: our state, the venue's, what one comparison finds, and where the daemon ends.

    ``books`` are shares that we and the venue have held since before; ``by_hand`` shares that a person bought (or sold) there since,
    ``cash`` dollars by which our cash was above the venue's when we first looked. ``finds`` are the codes of one comparison,
    sorted; ``ends`` those of the daemon's, if they differ because asking again changes the answers; ``parked`` the symbols that are parked
    in the end. ``was_parked`` is the code for which the symbol was parked before.
    """

    name: str
    ours: tuple[Own, ...] = ()
    venue: tuple[There, ...] = ()
    books: int = 0
    by_hand: int = 0
    cash: int = 0
    late: tuple[Late, ...] = ()
    was_parked: str | None = None
    finds: tuple[str, ...] = ()
    ends: tuple[str, ...] | None = None
    parked: tuple[str, ...] = ()

    @property
    def in_the_end(self) -> tuple[str, ...]:
        """The codes with which the daemon ends."""
        return self.finds if self.ends is None else self.ends


def own_words(case: Case) -> Iterator[str]:
    """Yield our state of a case in words."""
    for own in case.ours:
        done = f", {len(own.heard)} of its executions heard" if own.heard else ""
        past = " of an ended rebalance" if own.rebalance == PAST else ""
        ids = " under other ids" if own.other_ids else ""
        yield f"{own.side.value} {own.quantity}{'' if own.symbol == SYMBOL else ' ' + own.symbol} {own.state}{past}{done}{ids}"
    if case.books:
        yield f"the books hold {case.books}"
    if case.cash:
        yield f"{abs(case.cash)} dollars {'more' if case.cash > 0 else 'less'} in cash"
    if case.was_parked is not None:
        yield f"parked for {case.was_parked}"


def venue_words(case: Case) -> Iterator[str]:
    """Yield the venue's state of a case in words."""
    for one in case.venue:
        executed = f", executed {' + '.join(map(str, one.pieces))}" if one.pieces else ""
        whose = "" if one.kind == "ours" else f" {one.kind}" if one.kind == "by hand" else f" of {one.kind}"
        yield f"{one.side.value} {one.quantity}{'' if one.symbol == SYMBOL else ' ' + one.symbol}{whose} {one.status}{executed}"
    if case.by_hand:
        yield f"{abs(case.by_hand)} shares {'bought' if case.by_hand > 0 else 'sold'} by hand"
    for late in case.late:
        yield f"{late.what} {'never answered' if late.answers > 20 else f'late by {late.answers}'}"
