"""What "live" and "ready" mean, as values. The daemon fills them in; the door, the command line and systemd pass them on."""

from datetime import datetime
from typing import Any

import msgspec


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that keeps the daemon from being live or ready: a stable code, the facts in words, since when, and what to do about it.

    One that ``is_alarm`` keeps it from nothing: somebody should know it.
    """

    code: str
    text: str
    since: datetime | None = None
    remedy: str = ""
    is_alarm: bool = False


class HealthReport(msgspec.Struct, frozen=True, kw_only=True):
    """How the daemon is.

    ``live``: a message went round the bus within the limit; a process that is not live should be restarted.
    ``ready``: it may trade; one that is live and not ready needs time or a person, and a restart does not help.
    """

    live: bool
    ready: bool
    reasons: tuple[Reason, ...] = ()

    @property
    def is_well(self) -> bool:
        """Whether the daemon is both live and ready."""
        return self.live and self.ready

    def document(self) -> dict[str, Any]:
        """Return the report as plain data, the answer of ``/healthz``."""
        return {
            "live": self.live,
            "ready": self.ready,
            "reasons": [
                {
                    "code": reason.code,
                    "text": reason.text,
                    "since": reason.since.isoformat() if reason.since else None,
                    "remedy": reason.remedy,
                    "severity": "alarm" if reason.is_alarm else "stops",
                }
                for reason in self.reasons
            ],
        }
