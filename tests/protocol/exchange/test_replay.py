"""The replayable event source across restarts (section 5.4): nothing that was told is lost, nothing comes twice, ids and times stay."""

import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from alchemiser.domain.errors import DataError
from alchemiser.exchange.event_file import EventFile
from alchemiser.exchange.event_log import Event, EventLog, EventRange, encoded, sortable_id
from alchemiser.exchange.persistence import StateFile
from tests.protocol.exchange.harness import Running, at, running, session
from tests.protocol.exchange.test_events import TRADES, event, events, line


async def replayed(exchange: Running, query: str) -> list[dict[str, Any]]:
    """Return the events of a replay that ends by itself."""
    found = []
    async with events(exchange, f"{TRADES}?{query}") as stream:
        while text := await line(stream):
            assert text.startswith("data: ")
            found.append(msgspec.json.decode(text.removeprefix("data: ")))
    return found


async def test_events_survive_a_restart(tmp_path: Path) -> None:
    """Since an id or a time, a client gets what happened before the restart and after it, once, in order, and then what comes next."""
    kept = tmp_path / "state"
    async with running(state=kept) as exchange:
        await exchange.buy("SPY")
        await exchange.forward(1)
        before = await replayed(exchange, "since=2025-03-03&until=2025-03-03T14:30:00.5Z")
    assert [each["event"] for each in before] == ["pending_new", "new", "fill"]

    async with running(state=kept) as exchange:
        assert await replayed(exchange, "since=2025-03-03&until=2025-03-03T14:30:00.5Z") == before
        second = await exchange.buy("TECL")
        await exchange.forward(1)
        async with events(exchange, f"{TRADES}?since_id={before[0]['event_id']}") as live:
            past = [await event(live) for _ in range(5)]
            await exchange.buy("BIL")
            assert (await event(live))["order"]["symbol"] == "BIL"
        assert past[:2] == before[1:]
        assert {each["order"]["id"] for each in past[2:]} == {second["id"]}
        ids = [each["event_id"] for each in (*before[:1], *past)]
        assert ids == sorted(set(ids))
        bounds = f"since_id={ids[1]}&until_id={ids[3]}"
        assert [each["event_id"] for each in await replayed(exchange, bounds)] == ids[2:4]

    async with running(state=kept) as exchange:
        everything = await replayed(exchange, f"since=2025-03-03&until={exchange.clock.now():%Y-%m-%dT%H:%M:%S.%fZ}")
        assert [each["event_id"] for each in everything][:6] == ids


async def test_a_future_that_never_was_is_not_replayed(tmp_path: Path) -> None:
    """Events that were written after the state that a restart begins from are overwritten, not told."""
    kept, copy = tmp_path / "state", tmp_path / "copy"
    async with running(state=kept) as exchange:
        await exchange.buy("SPY")
        await exchange.forward(1)
        shutil.copy(kept, copy)
        await exchange.buy("TECL")
        await exchange.forward(1)
    shutil.copy(kept.with_name("state.events"), copy.with_name("copy.events"))

    async with running(state=copy) as exchange:
        await exchange.buy("BIL")
        await exchange.forward(1)
        found = await replayed(exchange, f"since=2025-03-03&until={exchange.clock.now():%Y-%m-%dT%H:%M:%S.%fZ}")
        assert [each["order"]["symbol"] for each in found] == ["SPY"] * 3 + ["BIL"] * 3


async def test_a_new_account_has_no_events_of_the_old_one(tmp_path: Path) -> None:
    """Who moves the state away begins anew, whatever lies beside it."""
    kept = tmp_path / "state"
    async with running(state=kept) as exchange:
        await exchange.buy("SPY")
        await exchange.forward(1)
    kept.unlink()
    async with running(state=kept) as exchange:
        assert await replayed(exchange, "since=2025-03-03&until=2025-03-03T14:29:00Z") == []
        order = await exchange.buy("BIL")
        found = await replayed(exchange, f"since=2025-03-03&until={exchange.clock.now():%Y-%m-%dT%H:%M:%S.%fZ}")
        assert {each["order"]["id"] for each in found} <= {order["id"]}


def test_a_full_file_is_put_aside(tmp_path: Path) -> None:
    """Between one and two files are kept; a crash between putting one aside and saving the state loses nothing and invents nothing."""
    path = tmp_path / "events"
    file = EventFile(path, most_events=10)
    file.append([])
    assert not path.exists()
    for number in range(25):
        file.append([str(number).encode()])
    assert file.read() == [str(number).encode() for number in range(10, 25)]
    size, count = file.size, file.count
    for number in range(25, 33):
        file.append([str(number).encode()])

    again = EventFile(path, most_events=10)
    again.restore(size, count + 5)
    assert again.size == 0
    assert again.read()[-1] == b"29"
    again.append([b"new"])
    assert again.read()[-2:] == [b"29", b"new"]


def test_what_cannot_be_kept_is_named(tmp_path: Path) -> None:
    """A path that cannot be written or read, and a line that is no event, end with the file's name or the line."""
    (tmp_path / "folder").mkdir()
    file = EventFile(tmp_path / "folder")
    with pytest.raises(DataError, match="folder"):
        file.append([b"{}"])
    file.restore(0, 0)
    file.size = 1
    with pytest.raises(DataError, match="folder"):
        file.read()
    with pytest.raises(DataError, match="nonsense"):
        EventLog(earlier=lambda: [b"nonsense"]).select(EventRange(since=at("14:30:00")))


def test_without_a_path_there_is_no_file() -> None:
    """Nothing is kept and nothing is found."""
    state = StateFile(None)
    state.keep_events([])
    assert state.events() == []
    file = EventFile(None)
    file.append([b"x"])
    file.restore(5, 1)
    assert file.read() == []


def test_earlier_events_come_before_those_of_this_run() -> None:
    """The file knows the events of this run too; each is listed once, and the file is read once."""
    moment, asked = session().opens_at, 0
    ids = [sortable_id(moment, "", 1)]
    for _ in range(5):
        ids.append(sortable_id(moment, ids[-1], 1))
    lines = [encoded({"event_id": event_id, "at": moment}) for event_id in ids]

    def earlier() -> list[bytes]:
        nonlocal asked
        asked += 1
        return lines

    log = EventLog(earlier=earlier)
    for event_id, text in zip(ids[3:], lines[3:], strict=True):
        log.append(Event(event_id, moment, text))
    assert log.select(EventRange()) == []
    for _ in range(2):
        assert [each.id for each in log.select(EventRange(since=moment))] == ids
    assert asked == 1
