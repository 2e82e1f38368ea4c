"""Sends what ``service.bulletins`` writes, through apprise: mail, chat, webhooks. Trading never waits for it.

Listening is putting a message into the line of each address; one task for each sends. So an address that is away keeps no other waiting.
Each is tried again and again for a while, and what could not be delivered is a line in the log. One that takes a connection and never
answers is left to itself after half a minute: neither trading nor the end of the process waits for it. An address holds a password more
often than not, so it is never shown: messages name it by its kind and its place in the settings.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from random import Random
from typing import Any, Final

import structlog

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.errors import ConfigError
from alchemiser.domain.events import DaemonStopping, DayCompared, Event, ResultReported, SessionOpened
from alchemiser.service.bulletins import WRITERS, Bulletin, Editor, Level, bulletin_of, digest
from alchemiser.service.clock import wait_loop_seconds
from alchemiser.service.deferred import load
from alchemiser.service.impatient import Impatient
from alchemiser.service.settings import NotificationSettings

_log = structlog.get_logger(__name__)

WAITING_AT_MOST: Final = 100
ATTEMPTS: Final = 6
FIRST_PAUSE_SECONDS: Final = 5.0
LONGEST_PAUSE_SECONDS: Final = 300.0
ATTEMPT_SECONDS: Final = 30.0
FAREWELL_SECONDS: Final = 5.0
"""How long the end of the daemon waits for messages that are on their way."""

Send = Callable[[Bulletin], Awaitable[bool]]
"""Delivers one message to one address; whether it was taken."""

_LEVELS: Final = {"info": Level.INFO, "warning": Level.WARNING, "error": Level.ERROR}
_KINDS: Final = {Level.INFO: "info", Level.WARNING: "warning", Level.ERROR: "failure"}


class Address:
    """One place that messages go to; ``name`` may be shown, the address itself never is."""

    def __init__(self, name: str, send: Send) -> None:
        self.name = name
        self.send = send


def addresses(settings: NotificationSettings) -> list[Address]:
    """Return the places of the settings.

    Raises ``ConfigError`` for one that apprise cannot read, and when apprise is not installed.
    """
    if not settings.urls:
        return []
    try:
        make, make_asset = load("apprise:Apprise"), load("apprise:AppriseAsset")
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"notifications.urls are set, but the package apprise is not installed, or not whole ({error}): install alchemiser[notify], or "
            "remove them; nothing was started"
        ) from error
    # How long is waited is settled here: its own limit works with threads that the end of the process would wait for.
    asset = make_asset(service_timeout=0)
    return [_address(partial(make, asset=asset), number, secret.get_secret_value()) for number, secret in enumerate(settings.urls, 1)]


def _address(make: Callable[[], Any], number: int, url: str) -> Address:
    kind = url.partition("://")[0] if "://" in url else "?"
    service = make()
    if not service.add(url):
        raise ConfigError(f"notifications.urls: number {number} ({kind}://...) is not an address that apprise knows; nothing was started")

    async def send(bulletin: Bulletin) -> bool:
        def notify() -> bool:
            return bool(service.notify(body=bulletin.text, title=f"Alchemiser: {bulletin.title}", notify_type=_KINDS[bulletin.level]))

        try:
            return await impatient.run(notify)
        except TimeoutError:
            return False

    name = f"number {number} ({kind}://)"
    impatient = Impatient[bool](f"message to {name}", seconds=ATTEMPT_SECONDS)
    return Address(name, send)


class _Line:
    """The messages that wait for one address."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.waiting: deque[Bulletin] = deque()
        self.sending: Bulletin | None = None
        self.woken = asyncio.Event()
        self.idle = asyncio.Event()
        self.idle.set()

    def put(self, bulletin: Bulletin) -> None:
        """Have a message wait; the oldest gives way when there are too many."""
        if len(self.waiting) >= WAITING_AT_MOST:
            lost = self.waiting.popleft()
            _log.error("message_dropped", title=lost.title, to=self.address.name, reason=f"{WAITING_AT_MOST} messages wait to be sent")
        self.waiting.append(bulletin)
        self.idle.clear()
        self.woken.set()

    def unsent(self) -> list[Bulletin]:
        """Return what has not been delivered or given up, the oldest first."""
        return [*([self.sending] if self.sending is not None else ()), *self.waiting]


class Messenger:
    """Writes messages as an inline listener and sends them in tasks of its own, in :meth:`run`.

    ``history`` and ``orders`` are what a digest is made of; ``count`` is told of each delivery whether it worked.
    """

    listens_to: tuple[type[Event], ...] = (*WRITERS, ResultReported, SessionOpened, DaemonStopping)

    def __init__(
        self,
        settings: NotificationSettings,
        to: Sequence[Address],
        *,
        history: Callable[[], Sequence[Mapping[str, Any]]],
        orders: Callable[[], Sequence[Mapping[str, Any]]],
        count: Callable[[str], None],
        random: Random,
    ) -> None:
        self._lines = [_Line(address) for address in to]
        self._changed = asyncio.Event()
        self._sends_digest = settings.digest
        self._editor = Editor(
            least=_LEVELS[settings.level], repeat_seconds=settings.repeat_seconds, at_most_per_hour=settings.at_most_per_hour
        )
        self._history = history
        self._orders = orders
        self._count = count
        self._random = random
        self._result: ResultReported | None = None

    def write_by(self, settings: NotificationSettings, to: Sequence[Address]) -> None:
        """Write by these settings and send to these places from now on, also what waits already."""
        unsent: list[Bulletin] = []
        for line in self._lines:
            unsent += [bulletin for bulletin in line.unsent() if bulletin not in unsent]
        self._lines, self._sends_digest = [_Line(address) for address in to], settings.digest
        for line in self._lines:
            for bulletin in unsent:
                line.put(bulletin)
        self._changed.set()
        self._editor.admit_by(
            least=_LEVELS[settings.level], repeat_seconds=settings.repeat_seconds, at_most_per_hour=settings.at_most_per_hour
        )

    def __call__(self, envelope: Envelope) -> None:
        """Have a message about an event wait, if there is one and somebody to read it."""
        if not self._lines:
            return
        event = envelope.event
        match event:
            case ResultReported():
                self._result = event
            case SessionOpened() | DaemonStopping():
                self._send_digest(None)
            case DayCompared(session=session):
                if self._result is not None and self._result.session == session:
                    self._send_digest(event)
                self._send(bulletin_of(event))
            case _:
                self._send(bulletin_of(event))

    def _send_digest(self, compared: DayCompared | None) -> None:
        """Have the digest of the result wait that is at hand: with the comparison that follows it soon, or when that does not come."""
        result, self._result = self._result, None
        if result is not None and self._sends_digest:
            self._send(digest(result, self._history(), self._orders(), compared))

    def _send(self, bulletin: Bulletin | None) -> None:
        admitted = bulletin and self._editor.admit(bulletin, asyncio.get_running_loop().time())
        if admitted:
            for line in self._lines:
                line.put(admitted)

    async def run(self) -> None:
        """Send what waits, until cancelled; each address by itself."""
        while True:
            self._changed.clear()
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._serve(line), name=f"messages to {line.address.name}") for line in self._lines]
                await self._changed.wait()
                for task in tasks:
                    task.cancel("the addresses have changed")

    async def settled(self) -> None:
        """Return when every message is delivered or given up, or after a while: a daemon that ends says what it has to say."""
        try:
            async with asyncio.timeout(FAREWELL_SECONDS):
                for line in self._lines:
                    await line.idle.wait()
        except TimeoutError:
            left = [line.address.name for line in self._lines if not line.idle.is_set()]
            _log.warning("messages_left_behind", to=left, waited_seconds=FAREWELL_SECONDS)

    async def _serve(self, line: _Line) -> None:
        while True:
            while line.waiting:
                line.sending = line.waiting.popleft()
                await self._deliver(line.sending, line.address)
                line.sending = None
            line.idle.set()
            line.woken.clear()
            await line.woken.wait()

    async def _deliver(self, bulletin: Bulletin, address: Address) -> None:
        pause = FIRST_PAUSE_SECONDS
        for attempt in range(1, ATTEMPTS + 1):
            if await address.send(bulletin):
                self._count("delivered")
                _log.info("message_delivered", title=bulletin.title, to=address.name, attempt=attempt)
                return
            _log.warning("message_not_delivered", title=bulletin.title, to=address.name, attempt=attempt, attempts=ATTEMPTS)
            if attempt < ATTEMPTS:
                await wait_loop_seconds(pause * self._random.uniform(0.5, 1.0))  # A mail server knows no market time.
                pause = min(pause * 3, LONGEST_PAUSE_SECONDS)
        self._count("failed")
        _log.error("message_given_up", title=bulletin.title, to=address.name, text=bulletin.text)
