"""Repeated lines: which are the same, when their count is told, and that none is lost."""

import asyncio
import io
import json
import logging
import re
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from alchemiser.service.clock import VirtualClock
from alchemiser.service.log_repeats import SUBJECTS_AT_MOST, Repeats
from alchemiser.service.logs import configure_logging
from alchemiser.service.secrets import SecretMasker
from tests.solipsism import virtual

START = datetime(2025, 3, 3, tzinfo=UTC)


class HandClock(VirtualClock):
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        """Return what the test set."""
        return self.seconds


class Desk:
    """Lines go in; what is written comes out."""

    def __init__(self, window_seconds: float = 60.0) -> None:
        self.clock = HandClock()
        self.repeats = Repeats(self.clock, window_seconds=window_seconds)
        self.written: list[dict[str, Any]] = []
        self.repeats.write = lambda line: self.written.append(dict(line))

    def log(self, **line: Any) -> None:
        """Write a line as the log would."""
        if self.repeats.admit(line):
            self.written.append(line)


def test_the_first_is_written_and_the_others_are_counted() -> None:
    """A minute later, with the next line whatever it is: the last of them with how many they were."""
    desk = Desk()
    for number in range(5):
        desk.log(event="stream_lost", stream="market", sequence=number, seconds=0.1 * number)
    assert len(desk.written) == 1
    desk.clock.seconds = 61
    desk.log(event="other")

    assert desk.written[1] == {"event": "stream_lost", "stream": "market", "sequence": 4, "seconds": 0.4, "repeated": 4}
    assert desk.written[2] == {"event": "other"}


@pytest.mark.parametrize("other", [{"level": "error"}, {"event": "stream_silent"}, {"stream": "orders"}, {"reason": "else"}])
def test_what_says_something_else_is_another_line(other: dict[str, str]) -> None:
    """Level, event and context make the line; times, sequence numbers and measured figures do not."""
    desk = Desk()
    first = {"level": "warning", "event": "stream_lost", "stream": "market"}
    desk.log(**first)
    desk.log(**first | other)

    assert len(desk.written) == 2


@pytest.mark.parametrize("subject", ["order", "rebalance"])
def test_facts_of_orders_and_rebalances_are_never_collapsed(subject: str) -> None:
    """Two fills of one order at one price are two fills."""
    desk = Desk()
    for _ in range(3):
        desk.log(event="order_filled", **{subject: "x"})

    assert len(desk.written) == 3


def test_the_memory_is_bounded() -> None:
    """With one subject too many the oldest is told early and forgotten."""
    desk = Desk()
    desk.log(event="first")
    desk.log(event="first")
    for number in range(SUBJECTS_AT_MOST):
        desk.log(event=f"event {number}")

    assert {"event": "first", "repeated": 1} in desk.written


@given(st.lists(st.tuples(st.integers(0, 40), st.sampled_from("abc"))))
def test_no_line_is_lost(steps: list[tuple[int, str]]) -> None:
    """Lines that are written and their counts add up to the lines that were logged, whatever the times."""
    desk = Desk()
    for seconds, event in steps:
        desk.clock.seconds += seconds
        desk.log(event=event)
    desk.repeats.tell_all()

    for event in "abc":
        written = [line for line in desk.written if line["event"] == event]
        assert sum(line.get("repeated", 1) for line in written) == sum(name == event for _, name in steps)


def test_counts_are_told_in_time_and_at_the_end() -> None:
    """By the clock, also when nothing more is logged; and what is pending when the work ends, or fails."""

    async def story() -> tuple[list[int], list[int]]:
        clock = VirtualClock(START)
        repeats = Repeats(clock, window_seconds=60.0)
        told: list[int] = []
        repeats.write = lambda line: told.append(line["repeated"])

        async def work() -> None:
            for _ in range(3):
                repeats.admit({"event": "early"})
            await clock.sleep(80)
            before.extend(told)
            for _ in range(8):
                repeats.admit({"event": "late"})
            raise asyncio.CancelledError

        before: list[int] = []
        with pytest.raises(asyncio.CancelledError):
            await repeats.beside(work())
        return before, told

    assert virtual(story) == ([2], [2, 7])


def ours(text: str) -> None:
    """Write a line of ours, by the configuration of the moment."""
    structlog.get_logger("a").warning(text)


@pytest.mark.parametrize("log", [ours, logging.getLogger("b").warning], ids=["ours", "others"])
def test_the_log_of_the_process_collapses(log: Any) -> None:
    """Our lines and those of other packages, in JSON, without a secret in the count either."""
    stream = io.StringIO()
    repeats = Repeats(HandClock())
    configure_logging(stream=stream, repeats=repeats, masker=SecretMasker(["hunter2hunter2"]))
    for _ in range(3):
        log("the password is hunter2hunter2")
    repeats.tell_all()
    first, count = map(json.loads, stream.getvalue().splitlines())

    assert "hunter2" not in stream.getvalue()
    assert (first["event"], first["level"]) == (count["event"], count["level"])
    assert ("repeated" in first, count["repeated"]) == (False, 2)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", count["timestamp"])
    assert first["timestamp"] <= count["timestamp"]
