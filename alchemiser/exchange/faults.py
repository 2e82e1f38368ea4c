"""Which of the planned faults strikes which request, frame or moment. Pure: it remembers and decides; the faces do the damage.

The menu of faults and their JSON are in :mod:`alchemiser.exchange.fault_menu`.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import NamedTuple, TypeVar

from alchemiser.exchange.fault_menu import (
    AnyFault,
    Bust,
    CutShort,
    DueFault,
    DuplicateUpdates,
    Fault,
    FlipOpcode,
    LoseUpdates,
    MuteStream,
    OrderFault,
    OverlapReplay,
    ParkOrder,
    RefuseAuth,
    RefuseCancel,
    RefuseReplace,
    RefuseStream,
    RejectOrder,
    ReorderUpdates,
    RepeatStamp,
    RequestFault,
    StallCancel,
    Stream,
    UpdateFault,
)
from alchemiser.exchange.orders import OrderStatus
from alchemiser.exchange.whims import Parking

F = TypeVar("F", bound=Fault)
U = TypeVar("U", bound=OrderFault | UpdateFault)

_ALWAYS = datetime.min.replace(tzinfo=UTC)


class LateChange(NamedTuple):
    """An execution that is to be broken or corrected, and when."""

    at: datetime
    execution_id: str
    fault: Bust


class FaultBook:
    """The faults that are waiting to strike, in the order in which they were asked for; ``random`` decides about probabilities."""

    def __init__(self, random: Random | None = None) -> None:
        self._random = random or Random(0)  # noqa: S311 - faults of a simulation
        self._faults: list[AnyFault] = []
        self._late: list[LateChange] = []

    def add(self, faults: list[AnyFault]) -> None:
        """Remember more faults."""
        self._faults.extend(faults)

    def clear(self) -> None:
        """Forget all faults."""
        self._faults.clear()
        self._late.clear()

    def waiting(self) -> list[AnyFault]:
        """Return the faults that have not been used up."""
        return [fault for fault in self._faults if fault.times > 0]

    @property
    def is_empty(self) -> bool:
        """Whether no fault waits; every request and every event asks."""
        return not self._faults

    @property
    def is_over(self) -> bool:
        """Whether no fault waits, nor anything that one has begun."""
        return not self._faults and not self._late

    def for_request(self, method: str, path: str, now: datetime, names: Callable[[str], bool]) -> RequestFault | None:
        """Return the fault that strikes this request, counting it, or ``None``; ``names`` tells whether the request names a symbol."""
        if not self._faults:
            return None
        for fault in self._armed(RequestFault, now):
            if fault.concerns(method, path) and (fault.symbol is None or names(fault.symbol)) and self._strikes(fault):
                return fault
        return None

    def refusal(self, stream: Stream, now: datetime) -> RefuseStream | None:
        """Return the fault that refuses this handshake, counting it, or ``None``."""
        for fault in self._armed(RefuseStream, now):
            if fault.stream == stream and self._strikes(fault):
                return fault
        return None

    def auth_refusal(self, stream: Stream, now: datetime) -> int | None:
        """Return the error code with which this authentication is refused, counting the fault, or ``None``."""
        for fault in self._armed(RefuseAuth, now):
            if fault.stream == stream and self._strikes(fault):
                return fault.code
        return None

    def is_mute(self, stream: Stream, now: datetime, symbol: str | None = None) -> bool:
        """Return whether the stream has to be silent, altogether or of a symbol."""
        if not self._faults:
            return False
        return any(fault.stream == stream and fault.symbol in (None, symbol) for fault in self._armed(MuteStream, now))

    def flips_opcode(self, stream: Stream, now: datetime) -> bool:
        """Return whether the next frame has the wrong opcode, counting it."""
        return bool(self._faults) and any(fault.stream == stream and self._strikes(fault) for fault in self._armed(FlipOpcode, now))

    def copies_of_update(self, symbol: str, event: str, now: datetime) -> int:
        """Return how often the next order update is to be sent: once, unless a fault says never or twice."""
        if self._update_strikes(LoseUpdates, symbol, now, event):
            return 0
        return 2 if self._update_strikes(DuplicateUpdates, symbol, now, event) else 1

    def holds_back_update(self, symbol: str, event: str, now: datetime) -> bool:
        """Return whether this order update is sent after the next one, counting it."""
        return self._update_strikes(ReorderUpdates, symbol, now, event)

    def repeats_stamp(self, symbol: str, event: str, now: datetime) -> bool:
        """Return whether this order update has the time of the one before, counting it."""
        return self._update_strikes(RepeatStamp, symbol, now, event)

    def rejects(self, symbol: str, at: datetime) -> bool:
        """Whether an accepted order is rejected by the market."""
        return self._update_strikes(RejectOrder, symbol, at)

    def parks(self, symbol: str, at: datetime) -> Parking | None:
        """Whether an order is parked before it works."""
        fault = self._first_striking(ParkOrder, symbol, at)
        return None if fault is None else Parking(OrderStatus(fault.status), fault.seconds)

    def cuts_short(self, symbol: str, at: datetime) -> bool:
        """Whether an execution is halved and the rest of its order cancelled."""
        return self._update_strikes(CutShort, symbol, at)

    def refuses_cancel(self, symbol: str, at: datetime) -> bool:
        """Whether the market refuses a cancel."""
        return self._update_strikes(RefuseCancel, symbol, at)

    def stalls_cancel(self, symbol: str, at: datetime) -> float:
        """By how many market seconds a cancel is late."""
        fault = self._first_striking(StallCancel, symbol, at)
        return 0.0 if fault is None else fault.seconds

    def refuses_replace(self, symbol: str, at: datetime) -> bool:
        """Whether the market refuses a replacement."""
        return self._update_strikes(RefuseReplace, symbol, at)

    def note_execution(self, symbol: str, execution_id: str, at: datetime) -> None:
        """Take an execution, made at that time, as an occasion of being broken or corrected later."""
        if not self._faults:
            return
        for fault in self._armed(Bust, at):
            if fault.symbol in (None, symbol) and self._strikes(fault):
                self._late.append(LateChange(at + timedelta(seconds=fault.seconds), execution_id, fault))
                return

    def late_changes(self, now: datetime) -> list[LateChange]:
        """Return, and forget, the executions that are to be broken or corrected by now."""
        if not self._late:
            return []
        due = [change for change in self._late if change.at <= now]
        self._late = [change for change in self._late if change.at > now]
        return due

    def overlaps_replay(self, now: datetime) -> bool:
        """Return whether the next server-sent event comes twice, counting it."""
        return bool(self._faults) and any(self._strikes(fault) for fault in self._armed(OverlapReplay, now))

    def due(self, now: datetime) -> list[DueFault]:
        """Return, and use up, the faults that strike by themselves and whose time has come."""
        if not self._faults:
            return []
        due: list[DueFault] = []
        for fault in self.waiting():
            if isinstance(fault, DueFault) and fault.is_armed(now):
                due.extend([fault] * sum(fault.probability >= 1 or self._random.random() < fault.probability for _ in range(fault.times)))
                fault.times = 0
        self._faults = self.waiting()
        return due

    def next_due(self) -> datetime | None:
        """Return when the next fault strikes by itself, or ``None``; one without a time has already struck."""
        if self.is_over:
            return None
        moments = [fault.at or _ALWAYS for fault in self._faults if isinstance(fault, DueFault)]
        return min([*moments, *(change.at for change in self._late)], default=None)

    def _armed(self, kind: type[F], now: datetime) -> Iterator[F]:
        return iter([fault for fault in self._faults if isinstance(fault, kind) and fault.is_armed(now)])

    def _update_strikes(self, kind: type[U], symbol: str, now: datetime, event: str | None = None) -> bool:
        return bool(self._faults) and self._first_striking(kind, symbol, now, event) is not None

    def _first_striking(self, kind: type[U], symbol: str, now: datetime, event: str | None = None) -> U | None:
        if not self._faults:
            return None
        meant = (fault for fault in self._armed(kind, now) if fault.symbol in (None, symbol) and fault.event in (None, event))
        return next((fault for fault in meant if self._strikes(fault)), None)

    def _strikes(self, fault: Fault) -> bool:
        """Count an occasion of a fault, and forget the fault when it is used up."""
        strikes = fault.strike(self._random)
        self._faults = self.waiting()
        return strikes
