"""``alchemiser journal`` as its users call it."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from alchemiser.bus.envelope import Envelope
from alchemiser.cli.app import run
from alchemiser.domain.events import DaemonStopped, Event
from alchemiser.journal.journal import Journal
from alchemiser.service.offline import JOURNAL_FILE
from tests.unit.journal.scenes import ORDER, START, a_day, booked, envelopes_of, open_journal

BEYOND = "9" * 25
"""No store could look for that number."""


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state directory whose journal holds a small day; the working directory is empty."""
    monkeypatch.chdir(tmp_path)
    with open_journal(tmp_path / "state" / JOURNAL_FILE) as journal:
        keep(journal, a_day())
    return tmp_path / "state"


def keep(journal: Journal, events: list[Any]) -> None:
    """Append events, all of one rebalance."""
    for envelope in envelopes_of(events, journal.last_sequence + 1):
        journal.append(Envelope(envelope.sequence, envelope.event, 0.0, "20250303.1", envelope.sequence - 1 or None))


def test_show_prints_one_line_per_event(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The newest, of the types and of the rebalance asked for."""
    arguments = ["journal", "show", "--state", str(state), "--zone", "UTC"]

    assert 0 == run(arguments)
    assert 10 == len(capsys.readouterr().out.splitlines())
    assert 0 == run([*arguments, "--last", "1", "--type", "OrderFilled", "--rebalance", "20250303.1"])
    assert (
        "       8  2025-03-03 20:50:00.000  OrderFilled           "
        "buy 6 TECL at 70  abc123-20250303.1-TECL-1 (execution e2)  <- 7\n" == capsys.readouterr().out
    )
    assert 0 == run([*arguments, "--rebalance", "20250303.2"])
    assert "" == capsys.readouterr().out


def test_show_answers_with_one_document(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A list of envelopes; an empty one is a list, too."""
    assert 0 == run(["journal", "show", "--state", str(state), "--last", "2", "--json"])

    shown = json.loads(capsys.readouterr().out)
    assert [9, 10] == [envelope["sequence"] for envelope in shown]
    assert "OrderClosed" == shown[1]["event"]["type"]

    assert 0 == run(["journal", "show", "--state", str(state), "--rebalance", "none", "--json"])
    assert [] == json.loads(capsys.readouterr().out)


def test_wrong_arguments_say_what_there_is(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A type and a zone that do not exist; a state directory without a journal."""
    assert 2 == run(["journal", "show", "--state", str(state), "--type", "Nonsense"])
    assert "OrderFilled" in capsys.readouterr().err
    assert 2 == run(["journal", "show", "--state", str(state), "--zone", "Mars/Olympus"])
    assert "time zone" in capsys.readouterr().err
    assert 3 == run(["journal", "show", "--state", str(state / "none")])
    assert "no journal" in capsys.readouterr().err


@pytest.mark.parametrize(("command", "passes"), [("verify", 2), ("replay", 3)])
def test_a_long_journal_shows_how_far_its_reading_is(
    state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str, passes: int
) -> None:
    """From the first page to the last of every pass, never back and never beyond the end; the answer is one document all the same."""
    told: list[tuple[int, int]] = []

    @contextmanager
    def bar(*, of: str) -> Iterator[Any]:
        assert of == "events"
        yield lambda over, total: told.append((over, total))

    monkeypatch.setattr("alchemiser.cli.journal.session_bar", bar)
    monkeypatch.setattr("alchemiser.journal.reader.PAGE", 3)

    assert run(["journal", command, "--state", str(state), "--json"]) == 0

    assert json.loads(capsys.readouterr().out)
    assert {total for _, total in told} == {passes * 10}
    assert [over for over, _ in told] == sorted(over for over, _ in told)
    assert len(told) == passes * 4
    assert told[-1] == (passes * 10, passes * 10)


def test_verify_proves_or_names_the_first_bad_event(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 6, in words and as a document."""
    assert 0 == run(["journal", "verify", "--state", str(state)])
    assert "10 events, up to 10, intact" in capsys.readouterr().out

    damage(state)

    assert 6 == run(["journal", "verify", "--state", str(state)])
    assert "event 4" in capsys.readouterr().err
    assert 6 == run(["journal", "verify", "--state", str(state), "--json"])
    document = json.loads(capsys.readouterr().out)
    assert (False, 4, 3) == (document["intact"], document["first_bad"], document["events"])
    assert 6 == run(["journal", "replay", "--state", str(state)])


@pytest.mark.parametrize(
    ("rest", "told"),
    [
        ([DaemonStopped(at=START, open_orders=(ORDER,))], "left open by a stop, the next start asks the venue about them"),
        ([], "open at its end"),
    ],
)
def test_verify_names_the_orders_that_are_open_at_the_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rest: list[Event], told: str
) -> None:
    """They are no damage, but whoever verifies after a stop in a hurry wants to know of them; without any nothing is said."""
    state = tmp_path / "state"
    with open_journal(state / JOURNAL_FILE) as journal:
        keep(journal, [*a_day()[:3], *rest])

    assert run(["journal", "verify", "--state", str(state)]) == 0
    assert f"  {told}: {ORDER}\n" in capsys.readouterr().out
    assert run(["journal", "verify", "--state", str(state), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["open_orders"] == [ORDER]

    with open_journal(state / JOURNAL_FILE) as journal:
        keep(journal, a_day()[3:])
    assert run(["journal", "verify", "--state", str(state)]) == 0
    assert ORDER not in capsys.readouterr().out


def damage(state: Path) -> None:
    """Change one event."""
    with closing(sqlite3.connect(state / JOURNAL_FILE)) as connection, connection:
        connection.execute("UPDATE events SET payload = replace(payload, '70', '71') WHERE sequence = 4")
    connection.close()


def test_export_writes_lines_of_json(state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """To standard output or a file; what cannot be written is said."""
    assert 0 == run(["journal", "export", "--state", str(state), "--after", "2", "--until", "9", "--type", "ExecutionReported"])
    assert [3, 4, 7] == [json.loads(line)["sequence"] for line in capsys.readouterr().out.splitlines()]

    assert 0 == run(["journal", "export", "--state", str(state), "--output", str(tmp_path / "events.jsonl")])
    assert 10 == len((tmp_path / "events.jsonl").read_text().splitlines())

    assert 3 == run(["journal", "export", "--state", str(state), "--output", str(tmp_path / "none" / "events.jsonl")])
    assert "cannot be written" in capsys.readouterr().err


def test_replay_tells_what_the_events_add_up_to(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With a hash that is the same each time."""
    assert 0 == run(["journal", "replay", "--state", str(state)])
    text = capsys.readouterr().out
    assert "TECL" in text
    assert "cash moved by fills: -700.00" in text

    hashes = []
    for _ in range(2):
        assert 0 == run(["journal", "replay", "--state", str(state), "--json"])
        hashes.append(json.loads(capsys.readouterr().out)["state_hash"])
    assert hashes[0] == hashes[1]
    assert hashes[0] in text


def test_replay_of_a_prefix_tells_the_state_the_daemon_passed(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also one between a fill and its booking."""
    assert 0 == run(["journal", "replay", "--state", str(state), "--until", "8"])
    assert "not booked yet: e2" in capsys.readouterr().out


def test_replay_names_what_does_not_add_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 6, each difference in words."""
    with open_journal(tmp_path / JOURNAL_FILE) as journal:
        keep(journal, [*a_day(), booked("e9", one="2")])

    assert 6 == run(["journal", "replay", "--state", str(tmp_path)])
    assert "e9 is booked, but its fill is not in the journal" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [("show", "--last", BEYOND), ("export", "--until", BEYOND), ("export", "--after", BEYOND), ("replay", "--until", BEYOND)],
    ids=" ".join,
)
def test_a_number_beyond_every_event_is_beyond_the_last(state: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]) -> None:
    """However large it is; after it comes nothing."""
    assert run(["journal", *command, "--state", str(state)]) == 0
    assert bool(capsys.readouterr().out) == ("--after" not in command)


def test_events_are_not_older_than_a_century(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A number of days that no calendar has is wrong usage, not a crash."""
    assert run(["journal", "compact", "--days", "99999999", "--state", str(state)]) == 2
    assert "--days" in capsys.readouterr().err
