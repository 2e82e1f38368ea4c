"""Messages reach people: retried, never in anybody's way, and delivered for real to a mail server and a webhook."""

import asyncio
import importlib
import itertools
import json
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from aiohttp import web

from alchemiser.bus.envelope import Envelope
from alchemiser.cli.app import run
from alchemiser.domain.day_comparison import StrategyDay
from alchemiser.domain.errors import ConfigError
from alchemiser.domain.events import DaemonStopping, DayCompared, DecisionMissed, Event, GapOpened, ResultReported
from alchemiser.service import messenger as messenger_module
from alchemiser.service.bulletins import Bulletin, Level
from alchemiser.service.messenger import ATTEMPTS, FAREWELL_SECONDS, WAITING_AT_MOST, Address, Messenger, addresses
from alchemiser.service.secrets import secrets_of
from alchemiser.service.settings import NotificationSettings, Settings
from tests.solipsism import virtual

AT = datetime(2025, 3, 3, 21, 0, tzinfo=UTC)
MISSED = DecisionMissed(at=AT, session=date(2025, 3, 3), reason="started too late")
PASSWORD = "hunter2-hunter2"


def result(number: int) -> Event:
    """Return the result of a session."""
    return ResultReported(at=AT, session=date(2025, 1, 1 + number), equity=Decimal(1), cash=Decimal(1), realised={}, unrealised={})


def compared(number: int) -> Event:
    """Return the comparison of that session with its backtest."""
    one = StrategyDay(strategy="tecl", reason="no decision was due")
    return DayCompared(at=AT, session=date(2025, 1, 1 + number), rebalance_id=None, strategies=(one,), closes={}, limit_bps=Decimal(50))


class Desk:
    """A messenger, and what its one address was sent."""

    def __init__(self, answers: Callable[[], bool] = lambda: True, *, others: Sequence[Address] = (), **settings: Any) -> None:
        self.sent: list[tuple[float, Bulletin]] = []
        self.counts: Counter[str] = Counter()
        self._answers = answers
        self.messenger = Messenger(
            NotificationSettings.model_validate(settings),
            [*others, Address("number 1 (test://)", self._send)],
            history=list,
            orders=list,
            count=lambda result: self.counts.update([result]),
            random=Random(1),
        )

    async def _send(self, bulletin: Bulletin) -> bool:
        self.sent.append((asyncio.get_running_loop().time(), bulletin))
        return self._answers()

    async def hear(self, *happened: Event, seconds: float) -> None:
        """Tell it of events and let so much time pass."""
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.messenger.run(), name="messages")
            for number, event in enumerate(happened):
                self.messenger(Envelope(number, event, 0.0))
            await pause(seconds)
            task.cancel()


async def pause(seconds: float) -> None:
    """Return so many virtual seconds later."""
    done = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(seconds, done.set_result, None)
    await done


def test_a_message_is_sent_and_counted() -> None:
    """Once, at once."""

    async def scene() -> None:
        desk = Desk()
        await desk.hear(MISSED, seconds=1)
        assert [bulletin.title for _, bulletin in desk.sent] == ["A decision was missed"]
        assert desk.counts == {"delivered": 1}

    virtual(scene)


def test_what_is_not_taken_is_tried_again_with_longer_pauses_and_given_up_in_the_end() -> None:
    """A mail server that is away for a minute loses nothing; one that is away for good ends in a count."""

    async def scene() -> None:
        desk = Desk(lambda: False)
        await desk.hear(MISSED, seconds=3600)
        times = [at for at, _ in desk.sent]
        pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert len(times) == ATTEMPTS
        assert all(later > earlier for earlier, later in itertools.pairwise(pauses[:3]))
        assert desk.counts == {"failed": 1}

    virtual(scene)


def test_who_is_told_and_of_what_can_be_changed_while_it_runs() -> None:
    """Nobody first, and then an address that wants errors alone."""

    async def scene() -> None:
        desk = Desk()
        desk.messenger.write_by(NotificationSettings(), [])
        await desk.hear(MISSED, seconds=1)
        assert desk.sent == []

        desk.messenger.write_by(NotificationSettings.model_validate({"level": "error"}), [Address("number 1 (test://)", desk._send)])
        await desk.hear(GapOpened(at=MISSED.at, stream="orders", since=MISSED.at, reason="closed"), MISSED, seconds=1)
        assert [bulletin.title for _, bulletin in desk.sent] == ["A decision was missed"]

    virtual(scene)


def test_what_waits_goes_to_the_new_addresses() -> None:
    """What the old ones have not taken is sent to the new ones, each message once and in its order."""

    async def scene() -> None:
        desk = Desk(lambda: False, others=[Address("number 0 (test://)", never)], repeat_seconds=0)
        other = desk.messenger
        task = asyncio.create_task(other.run())
        for number, reason in enumerate(("first", "second")):
            other(Envelope(number, msgspec.structs.replace(MISSED, reason=reason), 0.0))
        await pause(1)
        found: list[str] = []

        async def take(bulletin: Bulletin) -> bool:
            found.append(bulletin.text)
            return True

        other.write_by(NotificationSettings(), [Address("number 1 (new://)", take)])
        await other.settled()
        assert [text.rpartition(" ")[2] for text in found] == ["first", "second"]
        task.cancel()

    virtual(scene)


async def never(bulletin: Bulletin) -> bool:
    """Take the connection and never answer."""
    await asyncio.get_running_loop().create_future()
    raise AssertionError


def test_nobody_waits_for_messages() -> None:
    """A dead address costs the listener nothing: what waits is bounded, the oldest goes first."""

    async def scene() -> None:
        desk = Desk(lambda: False, at_most_per_hour=1000, repeat_seconds=0)
        for number in range(WAITING_AT_MOST + 50):
            desk.messenger(Envelope(number, MISSED, 0.0))
        await desk.hear(seconds=1)
        assert len(desk.sent) == 1

    virtual(scene)


def test_an_address_that_is_away_keeps_no_other_waiting() -> None:
    """The second message is where it can be delivered long before the first is given up where it cannot."""

    async def scene() -> None:
        desk = Desk(others=[Address("number 0 (away://)", never)], repeat_seconds=0)
        await desk.hear(MISSED, MISSED, seconds=1)
        assert len(desk.sent) == 2

    virtual(scene)


def test_the_end_waits_a_moment_for_what_is_on_its_way() -> None:
    """What was said last is delivered; for an address that is away nobody waits long."""

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        for answers, seconds in ((lambda: True, 0.0), (lambda: False, FAREWELL_SECONDS)):
            desk = Desk(answers)
            task = asyncio.create_task(desk.messenger.run())
            desk.messenger(Envelope(1, MISSED, 0.0))
            began = loop.time()
            await desk.messenger.settled()
            assert loop.time() - began == pytest.approx(seconds, abs=0.1)
            assert len(desk.sent) >= 1
            task.cancel()

    virtual(scene)


def test_the_digest_is_sent_unless_it_is_not_wanted() -> None:
    """One setting."""

    async def scene() -> None:
        for wanted, count in ((True, 1), (False, 0)):
            desk = Desk(digest=wanted)
            await desk.hear(result(1), compared(1), seconds=1)
            assert count == len(desk.sent)

    virtual(scene)


def test_the_digest_waits_for_the_comparison_with_the_backtest_and_not_for_ever() -> None:
    """It has the comparison of its own session; when none comes it goes out as the next session opens or the daemon stops."""

    async def scene() -> None:
        desk = Desk()
        await desk.hear(result(1), seconds=1)
        assert desk.sent == []
        await desk.hear(compared(2), seconds=1)
        assert desk.sent == []
        await desk.hear(compared(1), seconds=1)
        assert desk.sent[0][1].text.endswith("tecl: not compared with its backtest: no decision was due.")
        await desk.hear(result(2), DaemonStopping(at=AT, reason="drill"), seconds=1)
        assert "backtest" not in desk.sent[1][1].text
        assert len(desk.sent) == 2

    virtual(scene)


# --- for real ---


@asynccontextmanager
async def mail_server() -> AsyncIterator[tuple[int, list[str]]]:
    """Serve SMTP as far as a client needs it, and yield the port and the mails."""
    mails: list[str] = []

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 test\r\n")
        while line := await reader.readline():
            word = line.split()[0].upper() if line.split() else b""
            if word == b"DATA":
                writer.write(b"354 go on\r\n")
                mails.append((await reader.readuntil(b"\r\n.\r\n")).decode())
            writer.write(b"221 bye\r\n" if word == b"QUIT" else b"250 fine\r\n")
            if word == b"QUIT":
                break
        writer.close()

    server = await asyncio.start_server(converse, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], mails


@asynccontextmanager
async def webhook(answer: Callable[[], int] = lambda: 200) -> AsyncIterator[tuple[int, list[dict[str, Any]]]]:
    """Serve a webhook, and yield the port and the bodies."""
    bodies: list[dict[str, Any]] = []

    async def take(request: web.Request) -> web.Response:
        bodies.append(json.loads(await request.text()))
        return web.Response(status=answer())

    app = web.Application()
    app.router.add_post("/hook", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield runner.addresses[0][1], bodies
    finally:
        await runner.cleanup()


async def test_mail_and_webhook_really_arrive() -> None:
    """Through apprise, over real sockets, to a mail server and a webhook."""
    async with mail_server() as (mail_port, mails), webhook() as (hook_port, bodies):
        urls = [
            f"mailto://127.0.0.1:{mail_port}?from=daemon@example.org&to=me@example.org&mode=insecure",
            f"json://127.0.0.1:{hook_port}/hook",
        ]
        for address in addresses(NotificationSettings.model_validate({"urls": urls})):
            assert await address.send(Bulletin(Level.ERROR, "key", "Ledger and broker disagree", "cash is 1.00 off")), address.name

    assert "Subject: Alchemiser: Ledger and broker disagree" in mails[0]
    assert "cash is 1.00 off" in mails[0]
    assert [("Alchemiser: Ledger and broker disagree", "cash is 1.00 off")] == [(body["title"], body["message"]) for body in bodies]


async def test_a_webhook_that_hangs_is_left_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes the connection and goes on answering for ever; neither this message nor the next waits for that."""
    monkeypatch.setattr(messenger_module, "ATTEMPT_SECONDS", 0.2)
    over = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        await over.wait()
        writer.close()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        (address,) = addresses(NotificationSettings.model_validate({"urls": [f"json://127.0.0.1:{port}/hook?rto=60"]}))
        for _ in range(2):
            assert not await address.send(Bulletin(Level.INFO, "key", "title", "text"))
        over.set()
        hanging = [thread for thread in threading.enumerate() if thread.name.startswith("message to")]
        for thread in hanging:
            await asyncio.to_thread(thread.join)
    assert len(hanging) == 1


async def test_a_refusal_is_seen() -> None:
    """A webhook that answers 500 has not taken the message."""
    async with webhook(lambda: 500) as (port, _):
        (address,) = addresses(NotificationSettings.model_validate({"urls": [f"json://127.0.0.1:{port}/hook"]}))
        assert not await address.send(Bulletin(Level.INFO, "key", "title", "text"))


def test_an_address_that_cannot_be_read_is_refused_without_showing_it() -> None:
    """The message says which one, never the password in it."""
    with pytest.raises(ConfigError, match="number 2") as caught:
        addresses(NotificationSettings.model_validate({"urls": ["json://127.0.0.1/hook", f"nobody://me:{PASSWORD}@host"]}))

    assert PASSWORD not in str(caught.value)


def test_without_the_package_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra; nobody should have to guess its name."""
    load = importlib.import_module

    def missing(name: str) -> Any:
        if name == "apprise":
            raise ModuleNotFoundError(name)
        return load(name)

    monkeypatch.delitem(sys.modules, "apprise", raising=False)
    monkeypatch.setattr("importlib.import_module", missing)
    assert addresses(NotificationSettings()) == []
    with pytest.raises(ConfigError, match=r"alchemiser\[notify\]"):
        addresses(NotificationSettings.model_validate({"urls": ["json://127.0.0.1/hook"]}))


def test_the_addresses_are_secrets() -> None:
    """They are masked wherever the daemon writes."""
    settings = Settings.model_validate({"notifications": {"urls": [f"mailto://me:{PASSWORD}@example.org"]}})

    assert f"mailto://me:{PASSWORD}@example.org" in set(secrets_of(settings))
    assert PASSWORD not in repr(settings)


def test_the_command_sends_a_test_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Each address with whether it took the message; exit 6 when one did not, 3 when there is none."""
    monkeypatch.chdir(tmp_path)
    assert run(["notify"]) == 3
    monkeypatch.setenv("ALCHEMISER_NOTIFICATIONS__URLS", f'["json://me:{PASSWORD}@127.0.0.1:9/hook"]')
    assert run(["notify", "--json"]) == 6
    out = capsys.readouterr()
    assert json.loads(out.out) == {"addresses": [{"address": "number 1 (json://)", "delivered": False}]}
    assert PASSWORD not in out.out + out.err
