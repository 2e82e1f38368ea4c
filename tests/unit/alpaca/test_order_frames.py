"""Frames of the order stream: every kind, both opcodes, and anything a fuzzer thinks of."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alchemiser.alpaca.order_frames import Authorization, Listening, Other, ProtocolError, Unreadable, Update, read_frame
from tests.unit.alpaca.fakes import START, order_json, update_json


def read(message: Any) -> Any:
    """Return what a frame says, having checked that its opcode does not matter."""
    raw = msgspec.json.encode(message)
    frame = read_frame(raw, now=START)
    assert frame == read_frame(raw.decode(), now=START)
    return frame


def test_authorization() -> None:
    """Only the word ``authorized`` lets in."""
    answer = {"stream": "authorization", "data": {"action": "authenticate", "status": "authorized"}}
    assert read(answer) == Authorization(True, "authorized authenticate")
    answer["data"] = {"action": "listen", "status": "unauthorized", "message": "sorry"}
    assert read(answer) == Authorization(False, "unauthorized listen sorry")


def test_listening() -> None:
    """The answer holds the whole set."""
    assert read({"stream": "listening", "data": {"streams": ["trade_updates"]}}) == Listening(("trade_updates",))


def test_protocol_error() -> None:
    """A complaint is told with its text."""
    assert read({"action": "error", "data": {"error_message": "another connection is open"}}) == ProtocolError("another connection is open")


def test_update() -> None:
    """An update carries a report."""
    frame = read(update_json())
    assert isinstance(frame, Update)
    assert frame.report.event == "fill"


@pytest.mark.parametrize("message", [{"stream": "weather", "data": {"rain": True}}, {"action": "pong"}, {}])
def test_frames_of_no_concern(message: Any) -> None:
    """A stream or action that is not known is passed over."""
    assert isinstance(read(message), Other)


@pytest.mark.parametrize(
    "message",
    [
        {"stream": "trade_updates", "data": None},
        {"stream": "trade_updates"},
        {"stream": "trade_updates", "data": {"event": "fill"}},
        update_json(order=order_json(side="")),
        update_json(price="NaN"),
        {"stream": "authorization", "data": {}},
        None,
        [],
        7,
    ],
)
def test_frames_that_cannot_be_read(message: Any) -> None:
    """Null data, missing members, numbers that are none: unreadable, with a reason, and never an exception."""
    frame = read(message)
    assert isinstance(frame, Unreadable)
    assert frame.error


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_no_bytes_raise(raw: bytes | str) -> None:
    """Whatever arrives, reading it returns."""
    read_frame(raw, now=START)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=10),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["event", "order", "id", "status", "qty"]), inner, max_size=4)
        ),
        max_leaves=10,
    )
)
def test_no_update_raises(data: Any) -> None:
    """Whatever an update holds, reading it returns."""
    read_frame(msgspec.json.encode({"stream": "trade_updates", "data": data}), now=START)
