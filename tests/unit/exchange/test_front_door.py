"""The door of a connection with a fake pipe: nothing that a client sends is lost, doubled or put out of order, whoever answers."""

import asyncio
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from alchemiser.exchange.front_door import FrontDoor
from alchemiser.exchange.heads import Head

AT_ONCE = b"POST /at-once HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
AWAITS = b"GET /awaits HTTP/1.1\r\nHost: x\r\n\r\n"
NOT_PLAIN = b"GET /at-once HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


class Behind(asyncio.Protocol):
    """What stands behind the door: it remembers what it is given."""

    def __init__(self) -> None:
        self.heard = b""
        self.calls: list[str] = []

    def data_received(self, data: bytes) -> None:
        """Remember bytes."""
        self.heard += data

    def eof_received(self) -> None:
        """Remember the end."""
        self.calls.append("eof")

    def pause_writing(self) -> None:
        """Remember that the pipe is full."""
        self.calls.append("pause")

    def resume_writing(self) -> None:
        """Remember that the pipe has room again."""
        self.calls.append("resume")


class Pipe(asyncio.Transport):
    """A transport that is full after some writes."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room
        self.written: list[bytes] = []
        self.door: FrontDoor | None = None

    def write(self, data: object) -> None:
        """Remember an answer; say so when there is no more room."""
        self.written.append(cast(bytes, data))
        if len(self.written) == self.room and self.door is not None:
            self.door.pause_writing()


def opened(room: int = 1_000) -> tuple[FrontDoor, Behind, Pipe]:
    """Return an open door, what is behind it, and its pipe."""

    def answer(head: Head, body: bytes) -> bytes | None:
        assert len(body) == head.length
        return body if head.path == "/at-once" else None

    behind, pipe = Behind(), Pipe(room)
    door = FrontDoor(behind, answer)
    pipe.door = door
    door.connection_made(pipe)
    return door, behind, pipe


@given(st.lists(st.sampled_from([AT_ONCE, AWAITS, NOT_PLAIN])), st.lists(st.integers(1, 60)), st.integers(1, 4), st.booleans())
def test_every_request_is_answered_once_or_passed_on_in_order(kinds: list[bytes], cuts: list[int], room: int, taken_back: bool) -> None:
    """However the bytes are cut and whenever the pipe is full: each request is answered or passed on, never both, in the order sent."""
    requests = [kind.replace(b"abc", b"%03d" % number) for number, kind in enumerate(kinds)]
    door, behind, pipe = opened(room)
    data, place = b"".join(requests), 0
    for cut in [*cuts, len(data)]:
        door.data_received(data[place : place + cut])
        place += cut
        if taken_back and door.is_lent:
            door.take_back()
    door.eof_received()
    assert behind.calls[-1] == "eof"
    assert pipe.written == sorted(pipe.written)
    assert behind.heard == b"".join(request for number, request in enumerate(requests) if b"%03d" % number not in pipe.written)


def test_a_full_pipe_ends_the_answers_at_once() -> None:
    """When the client does not read, the rest of what has come, a request that is not complete included, is for what stands behind."""
    door, behind, pipe = opened(room=2)
    door.data_received(AT_ONCE * 3 + AT_ONCE[:-1])
    door.data_received(AT_ONCE[-1:])
    assert len(pipe.written) == 2
    assert behind.heard == AT_ONCE * 2
    door.resume_writing()
    assert behind.calls == ["pause", "resume"]


def test_a_loan_ends_when_the_answer_is_written() -> None:
    """Until then what comes is passed on, and the connection with it; after it the door answers again."""
    door, behind, pipe = opened()
    door.data_received(AWAITS)
    was_lent = door.is_lent
    door.take_back()
    door.data_received(AT_ONCE)
    assert (len(pipe.written), behind.heard) == (1, AWAITS)
    door.data_received(AWAITS + AT_ONCE)
    assert (was_lent, door.is_lent) == (True, False)
    door.take_back()
    door.data_received(AT_ONCE)
    assert (len(pipe.written), behind.heard) == (1, AWAITS * 2 + AT_ONCE * 2)


def test_half_a_request_is_passed_on_at_the_end() -> None:
    """A body that was announced and never came is what aiohttp has to judge."""
    door, behind, pipe = opened()
    door.data_received(AT_ONCE[:-1])
    assert behind.heard == b""
    door.eof_received()
    assert (behind.heard, behind.calls, pipe.written) == (AT_ONCE[:-1], ["eof"], [])
