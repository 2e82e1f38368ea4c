"""The menu of faults that a drill or a test can ask of the exchange.

Every fault is one JSON object with a ``kind``. Common members: ``at`` (market time before which it sleeps; default at once), ``skip`` (how
many matching occasions it lets pass first; default 0), ``times`` (how often it strikes; default 1) and ``probability`` (how likely it is
to strike at each occasion, decided by the exchange's seed; default 1). Seconds are seconds of the machine, because they are about sockets.

REST (``path`` is a prefix, ``/`` matches all; ``method`` and ``symbol`` narrow it down):

``http``                  answer ``status`` with ``body`` (a text; default a JSON error) and ``headers`` (``null`` takes one away);
                          with ``"after_effect": true`` the request is done first. A stale list is status 200 with the body ``[]``
``delay``                 wait ``seconds`` before the request is looked at
``timeout``               never answer and do nothing; the connection ends after ``seconds`` (default 30)
``timeout_after_effect``  do the request, then never answer
``slow_body``             send the head and half of the body, then wait ``seconds`` for the rest
``refuse_order``          refuse an order as the venue would: ``reason`` is one of the reasons below

Streams (``stream`` is ``orders``, ``market``, or ``events`` for the server-sent events):

``drop_stream``           end every connection: without ``code`` as a broken network would, with one by a close frame
``refuse_stream``         answer the next handshakes with ``status`` (default 429)
``refuse_auth``           refuse the next authentications; ``code`` is the market stream's error (default 402, or 406)
``half_open``             the connections of now stay open, but nothing is read, sent or answered on them any more, pings included
``mute_stream``           send nothing more (of ``symbol``) on the connections until the fault is deleted; pings are still answered
``flip_opcode``           send frames with the other opcode: binary instead of text, and the reverse
``send_frame``            send ``text`` as it is: null payloads, truncated JSON, a comment of the event streams, anything
``lose_updates``          order updates (of ``symbol``, of one ``event``) that happen but are not sent
``duplicate_updates``     likewise, that are sent twice
``reorder_updates``       likewise, that are sent after the next one: ``"event": "new"`` is a fill before its acknowledgement
``repeat_stamp``          likewise, that have the time of the one before
``overlap_replay``        server-sent events that come twice, as when a replay overlaps the live tail
``storm``                 ``messages`` (default 10000) quotes of ``symbol`` at once

Orders (of ``symbol``) at the market:

``reject_order``          an accepted order is rejected when it reaches the market
``park_order``            an order is in ``status`` for ``seconds`` (default 60) before it works: ``accepted_for_bidding``, ``stopped``,
                          ``suspended``, ``calculated`` or ``done_for_day``
``cut_short``             an execution is halved and the rest of its order cancelled
``refuse_cancel``         a cancel of a simple order that was asked for is refused by the market
``stall_cancel``          a cancel that comes ``seconds`` late: the order is pending_cancel until then, and may be filled
``refuse_replace``        a replacement that was asked for is refused by the market

Venue and time; but for the first two, whose occasions are executions, they strike by themselves when their time has come:

``bust``                  break an execution of the account (of ``symbol``) ``seconds`` of market time after it was made (default 0)
``correct``               likewise, and its price becomes ``by`` dollars more (less, when negative)
``halt``                  halt ``symbol``, or with ``"halted": false`` resume it
``borrow``                make ``symbol`` hard to borrow, or with ``"easy": true`` easy again
``block``                 block the ``account``, its ``trading`` or its ``transfers`` (true or false each)
``corporate_actions``     announce ``actions``: groups of rows of section 7.4, dividends, splits, new names, each for its ex-date
``step_clock``            set the market clock forward by ``seconds`` at once, as after a suspended host
``skew_clock``            of REST: the clock that ``/v2/clock`` tells is ``seconds`` ahead, or behind when negative

Pure types. What they do is up to the faces; which strikes when, to :mod:`alchemiser.exchange.faults`.
"""

from collections.abc import Collection, Iterable
from datetime import datetime
from decimal import Decimal
from random import Random
from typing import Annotated, Any, ClassVar, Final, Literal

import msgspec

from alchemiser.domain.errors import DataError
from alchemiser.exchange.fault_refusals import Reason
from alchemiser.exchange.issuer_actions import actions_of

MOST_SECONDS: Final = 366 * 86_400
"""How far ahead anything can be planned, and how far the clock can be set forward at once."""

_MOST_DOLLARS: Final = 1_000_000

Stream = Literal["orders", "market", "events"]


class Fault(msgspec.Struct, kw_only=True, tag_field="kind", forbid_unknown_fields=True):
    """What all faults have in common; ``times`` and ``skip`` count down as they are used up."""

    at: datetime | None = None
    skip: int = 0
    times: int = 1
    probability: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0

    def is_armed(self, now: datetime) -> bool:
        """Return whether the fault may strike at this time."""
        return self.times > 0 and (self.at is None or self.at <= now)

    def strike(self, random: Random) -> bool:
        """Count one occasion; return whether the fault strikes this time."""
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.probability < 1 and random.random() >= self.probability:
            return False
        self.times -= 1
        return True


class RequestFault(Fault, kw_only=True):
    """A fault of REST requests whose path begins with ``path``; with ``symbol``, of those that name it, or an order of it by its id."""

    path: str = "/"
    method: str | None = None
    symbol: str | None = None

    def concerns(self, method: str, path: str) -> bool:
        """Return whether this request is one of those meant, whatever its symbol."""
        return path.startswith(self.path) and (self.method is None or self.method.upper() == method)


class HttpFault(RequestFault, kw_only=True, tag="http"):
    """An answer that the exchange would not give."""

    status: Annotated[int, msgspec.Meta(ge=200, le=599)]
    body: str | None = None
    headers: dict[str, str | None] = {}
    after_effect: bool = False


class DelayFault(RequestFault, kw_only=True, tag="delay"):
    """A slow answer."""

    seconds: Annotated[float, msgspec.Meta(ge=0, le=MOST_SECONDS)]


class TimeoutFault(RequestFault, kw_only=True, tag="timeout"):
    """No answer and no effect."""

    seconds: Annotated[float, msgspec.Meta(ge=0, le=MOST_SECONDS)] = 30.0


class TimeoutAfterEffectFault(RequestFault, kw_only=True, tag="timeout_after_effect"):
    """An effect and no answer."""

    seconds: Annotated[float, msgspec.Meta(ge=0, le=MOST_SECONDS)] = 30.0


class SlowBodyFault(RequestFault, kw_only=True, tag="slow_body"):
    """An answer whose second half is late."""

    seconds: Annotated[float, msgspec.Meta(ge=0, le=MOST_SECONDS)]


class RefuseOrder(RequestFault, kw_only=True, tag="refuse_order"):
    """An order that the venue refuses."""

    path: str = "/v2/orders"
    method: str | None = "POST"
    reason: Reason


class SkewClock(RequestFault, kw_only=True, tag="skew_clock"):
    """A venue whose clock is wrong."""

    path: str = "/v2/clock"
    seconds: Annotated[float, msgspec.Meta(ge=-MOST_SECONDS, le=MOST_SECONDS)]


class StreamFault(Fault, kw_only=True):
    """A fault of one of the streams."""

    stream: Stream


class DropStream(StreamFault, kw_only=True, tag="drop_stream"):
    """Every connection ends."""

    code: int | None = None


class RefuseStream(StreamFault, kw_only=True, tag="refuse_stream"):
    """Handshakes are refused."""

    status: Annotated[int, msgspec.Meta(ge=400, le=599)] = 429


class RefuseAuth(StreamFault, kw_only=True, tag="refuse_auth"):
    """Right credentials are refused."""

    code: Literal[402, 404, 406, 409, 500] = 402


class HalfOpen(StreamFault, kw_only=True, tag="half_open"):
    """Connections are dead, and nobody is told."""


class MuteStream(StreamFault, kw_only=True, tag="mute_stream"):
    """Connections stay open and say nothing, or nothing of one symbol."""

    symbol: str | None = None


class FlipOpcode(StreamFault, kw_only=True, tag="flip_opcode"):
    """Frames come with the other opcode."""


class SendFrame(StreamFault, kw_only=True, tag="send_frame"):
    """A frame that the exchange would not send."""

    text: str


class OrderFault(Fault, kw_only=True):
    """A fault of single orders; with ``symbol``, of those for it."""

    symbol: str | None = None
    event: ClassVar[str | None] = None


class RejectOrder(OrderFault, kw_only=True, tag="reject_order"):
    """Accepted, and rejected by the market."""


class ParkOrder(OrderFault, kw_only=True, tag="park_order"):
    """An order that does not work at once."""

    status: Literal["accepted_for_bidding", "stopped", "suspended", "calculated", "done_for_day"]
    seconds: Annotated[float, msgspec.Meta(ge=0, le=MOST_SECONDS)] = 60.0


class CutShort(OrderFault, kw_only=True, tag="cut_short"):
    """Filled in part, then cancelled by the venue."""


class RefuseCancel(OrderFault, kw_only=True, tag="refuse_cancel"):
    """A cancel that the market refuses."""


class StallCancel(OrderFault, kw_only=True, tag="stall_cancel"):
    """A cancel that takes its time."""

    seconds: Annotated[float, msgspec.Meta(ge=0, le=MOST_SECONDS)]


class RefuseReplace(OrderFault, kw_only=True, tag="refuse_replace"):
    """A replacement that the market refuses."""


class UpdateFault(Fault, kw_only=True):
    """A fault of single order updates; with ``symbol``, of those of orders for it; with ``event``, of those of that kind."""

    symbol: str | None = None
    event: str | None = None


class RepeatStamp(UpdateFault, kw_only=True, tag="repeat_stamp"):
    """Order updates with the time of the one before."""


class LoseUpdates(UpdateFault, kw_only=True, tag="lose_updates"):
    """Order updates that nobody hears of."""


class DuplicateUpdates(UpdateFault, kw_only=True, tag="duplicate_updates"):
    """Order updates that come twice."""


class ReorderUpdates(UpdateFault, kw_only=True, tag="reorder_updates"):
    """Order updates that come after the next one."""


class OverlapReplay(Fault, kw_only=True, tag="overlap_replay"):
    """Server-sent events that come twice."""


class Storm(Fault, kw_only=True, tag="storm"):
    """Very many quotes at once."""

    symbol: str
    messages: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 10_000


class Bust(OrderFault, kw_only=True, tag="bust"):
    """An execution is broken some market seconds after it was made."""

    seconds: Annotated[float, msgspec.Meta(ge=0, le=MOST_SECONDS)] = 0.0


class Correct(Bust, kw_only=True, tag="correct"):
    """An execution's price is corrected."""

    by: Decimal


class Halt(Fault, kw_only=True, tag="halt"):
    """Trading of a symbol is halted or resumed."""

    symbol: str
    halted: bool = True


class Borrow(Fault, kw_only=True, tag="borrow"):
    """A symbol becomes hard, or easy, to borrow."""

    symbol: str
    easy: bool = False


class Block(Fault, kw_only=True, tag="block"):
    """The broker blocks the account, or a part of what it may do."""

    account: bool | None = None
    trading: bool | None = None
    transfers: bool | None = None


class CorporateActions(Fault, kw_only=True, tag="corporate_actions"):
    """Issuers announce something."""

    actions: dict[str, list[dict[str, Any]]]


class StepClock(Fault, kw_only=True, tag="step_clock"):
    """The market clock jumps forward."""

    seconds: Annotated[float, msgspec.Meta(gt=0, le=MOST_SECONDS)]


DueFault = DropStream | SendFrame | HalfOpen | Storm | Halt | Borrow | Block | StepClock | CorporateActions
"""The faults that strike by themselves."""

AnyFault = (
    DueFault
    | HttpFault
    | DelayFault
    | TimeoutFault
    | TimeoutAfterEffectFault
    | SlowBodyFault
    | RefuseOrder
    | RefuseStream
    | RefuseAuth
    | MuteStream
    | FlipOpcode
    | LoseUpdates
    | DuplicateUpdates
    | ReorderUpdates
    | OverlapReplay
    | RejectOrder
    | ParkOrder
    | CutShort
    | RefuseCancel
    | StallCancel
    | RefuseReplace
    | RepeatStamp
    | SkewClock
    | Bust
    | Correct
)


def parse_faults(document: Any) -> list[AnyFault]:
    """Return the faults of a decoded JSON document, one object or a list; raise ``ValueError`` that names what is wrong."""
    items = document if isinstance(document, list) else [document]
    faults = []
    for place, item in enumerate(items):
        try:
            fault = msgspec.convert(item, AnyFault, strict=True, str_keys=True, builtin_types=())
        except msgspec.ValidationError as error:
            raise ValueError(f"fault {place}: {error}") from error
        if fault.at is not None and fault.at.tzinfo is None:
            raise ValueError(f"fault {place}: `at` needs a zone, for example 2025-03-03T15:00:00Z, not {fault.at.isoformat()}")
        if isinstance(fault, Correct) and not (fault.by.is_finite() and abs(fault.by) <= _MOST_DOLLARS):
            raise ValueError(f"fault {place}: `by` must be a number of dollars, not {fault.by}")
        if isinstance(fault, CorporateActions):
            try:
                actions_of(fault.actions)
            except (DataError, AttributeError) as error:
                raise ValueError(f"fault {place}: {error}") from error
        if fault.times < 1 or fault.skip < 0:
            raise ValueError(f"fault {place}: `times` must be at least 1 and `skip` at least 0")
        faults.append(fault)
    return faults


def check_symbols(faults: Iterable[AnyFault], listed: Collection[str]) -> None:
    """Raise ``ValueError`` for a fault of a symbol that the exchange does not list: it would never strike.

    A request may name any symbol, also one that is listed later, so its faults may too.
    """
    for place, fault in enumerate(faults):
        symbol = None if isinstance(fault, RequestFault) else getattr(fault, "symbol", None)
        if symbol is not None and symbol not in listed:
            raise ValueError(f"fault {place}: the symbol {symbol} is not listed by this exchange")
