"""What can be thrown at a run, as plain data: faults of the exchange's menu, quotes that price nothing, deeds, and the ends of daemons."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from alchemiser.domain.market import Session
from tests.simulation.traders import Rotation, SmallRotation

Json = dict[str, Any]

SYMBOLS = tuple(sorted({*Rotation.symbols, *SmallRotation.symbols}))

BODY_OF_A_PROXY = "<html><body><h1>502 Bad Gateway</h1></body></html>"

EndKind = Literal[
    "stop",
    "crash",
    "crash at event",
    "crash at commit",
    "crash before request",
    "crash after request",
    "crash after effect",
    "crash before boundary",
    "crash after boundary",
    "stop twice",
    "old journal",
    "power failure",
    "power failure in commit",
]


@dataclass(frozen=True)
class End:
    """How and when one daemon of a run ends, and how long nobody is there afterwards.

    ``at`` is a moment for those that strike at one; ``event`` and ``count`` say at which occurrence of an event the others strike: as it is
    handed to the journal and lost, as it has become durable, as the request that follows it is about to leave, has left, or has had its
    effect. Requests are "submit", "cancel", and "submit at once" for an order that leaves in the very call in which it is decided.
    ``again_seconds`` is after how long a second request to stop follows the first.
    """

    kind: EndKind
    away_seconds: float
    at: datetime | None = None
    event: str = ""
    count: int = 1
    again_seconds: float = 0.0

    @property
    def name(self) -> str:
        """What is told about it."""
        return f"{self.kind} {self.event}".strip()


@dataclass(frozen=True)
class Pin:
    """A quote that the exchange shows from one moment to another, whatever its market does: ``shape`` says what is wrong with it."""

    symbol: str
    shape: str
    at: datetime
    until: datetime


@dataclass(frozen=True)
class Deed:
    """Something done at a moment to the host, to the disk or to the market, none of which is a fault of the exchange: see ``deeds``."""

    kind: str
    at: datetime
    seconds: float = 0.0
    symbol: str = ""

    @property
    def name(self) -> str:
        """What is told about it."""
        return f"{self.kind} {'on' if self.seconds > 0 else 'back'}" if self.kind == "step clock" else self.kind


@dataclass(frozen=True)
class Scenario:
    """One seeded run; ``minutes`` is how long before its first close it begins, ``symbols`` what the exchange lists."""

    seed: int
    sessions: tuple[Session, ...]
    strategies: dict[str, str]
    faults: tuple[Json, ...] = ()
    pins: tuple[Pin, ...] = ()
    mutes: tuple[tuple[str, datetime, datetime], ...] = ()
    ends: tuple[End, ...] = ()
    deeds: tuple[Deed, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    minutes: float = 18.0
    symbols: tuple[str, ...] = SYMBOLS

    def kinds(self) -> list[str]:
        """Return the kinds of what is thrown at the run, one for each strike."""
        return [
            *(kind_of_fault(fault) for fault in self.faults),
            *(f"pin {pin.shape}" for pin in self.pins),
            *(f"mute {stream}" for stream, _, _ in self.mutes),
            *(deed.name for deed in self.deeds),
            *(end.name for end in self.ends),
        ]


def kind_of_fault(fault: Json) -> str:
    """Return what is told about a fault of the exchange's menu."""
    number = fault.get("status", fault.get("code", fault.get("messages", 1006 if fault["kind"] == "drop_stream" else "")))
    words = [fault["kind"], str(number), str(fault.get("method", fault.get("stream", fault.get("reason", fault.get("symbol", "")))))]
    if number in (200, 404):
        words.append(fault["path"])
    if number == 429 and "X-RateLimit-Reset" in fault.get("headers", {}):
        words.append("bare")
    if fault.get("body") == BODY_OF_A_PROXY:
        words.append("page")
    if fault.get("after_effect"):
        words.append("done")
    return " ".join(word for word in words if word)
