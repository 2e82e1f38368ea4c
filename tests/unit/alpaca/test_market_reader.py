"""From frames to events: every kind, bad ones, and at what price a quote is let through."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alchemiser.alpaca.market_reader import Control, MarketReader
from alchemiser.alpaca.market_wire import Acknowledgement, Refusal, Success
from alchemiser.domain.events import BarClosed, FrameUnreadable, QuoteUpdated, TradePrinted, TradingStatusChanged
from alchemiser.domain.market import Bar
from tests.unit.alpaca.fakes import START, InstantClock, Listener

AT = START + timedelta(microseconds=123456)
QUOTE = {"T": "q", "S": "AMD", "bx": "U", "bp": 87.66, "bs": 100, "ax": "Q", "ap": 87.68, "as": 400, "c": ["R"], "t": AT, "z": "C"}
TRADE = {"T": "t", "S": "AAPL", "i": 96921, "x": "D", "p": 126.55, "s": 1, "c": ["@", "I"], "t": AT, "z": "C"}
BAR = {"T": "b", "S": "SPY", "o": 1.0, "h": 2.0, "l": 0.5, "c": 1.5, "v": 10, "n": 3, "vw": 1.2, "t": AT}


@pytest.fixture
def control() -> list[Control]:
    return []


@pytest.fixture
def reader(listener: Listener, clock: InstantClock, control: list[Control]) -> MarketReader:
    return MarketReader(post=listener.post, clock=clock, on_control=control.append)


def pack(*messages: Any) -> bytes:
    return msgspec.msgpack.encode(list(messages))


def test_data_becomes_events_in_order(reader: MarketReader, listener: Listener) -> None:
    """Each message of a frame is one event, dated by the exchange; a bar happens when it arrives and keeps its start."""
    status = {"T": "s", "S": "AMD", "sc": "H", "sm": "Trading Halt", "rc": "T12", "rm": "news", "t": AT, "z": "C"}
    reader.receive(pack(QUOTE, TRADE, BAR, status, QUOTE), False)
    quote = QuoteUpdated(at=AT, symbol="AMD", bid=87.66, bid_size=100, ask=87.68, ask_size=400)
    assert listener.events == [
        quote,
        TradePrinted(at=AT, symbol="AAPL", price=126.55, size=1),
        BarClosed(at=START, bar=Bar(symbol="SPY", start=AT, open=1.0, high=2.0, low=0.5, close=1.5, volume=10)),
        TradingStatusChanged(at=AT, symbol="AMD", code="H", message="Trading Halt: news", is_halted=True),
        quote,
    ]


def test_text_frames_are_read_too(reader: MarketReader, listener: Listener) -> None:
    """A server that answers JSON although msgpack was asked for is understood."""
    reader.receive(msgspec.json.encode([QUOTE]), True)
    assert [event.symbol for event in listener.of(QuoteUpdated)] == ["AMD"]


def test_a_halt_is_remembered_between_frames(reader: MarketReader, listener: Listener) -> None:
    """A status about something else does not end a halt."""
    for code in ("H", "E", "T"):
        reader.receive(pack({"T": "s", "S": "AMD", "sc": code, "t": AT}), False)
    assert [event.is_halted for event in listener.of(TradingStatusChanged)] == [True, True, False]


def test_control_messages_go_to_the_session(reader: MarketReader, listener: Listener, control: list[Control]) -> None:
    """What concerns the session is no event."""
    for message in ({"T": "success", "msg": "connected"}, {"T": "error", "code": 406, "msg": "x"}, {"T": "subscription", "quotes": ["A"]}):
        reader.receive(pack(message), False)
    assert control == [Success("connected"), Refusal(406, "x"), Acknowledgement(quotes=("A",))]
    assert listener.events == []


def test_a_bad_message_is_told_and_its_neighbours_come(reader: MarketReader, listener: Listener) -> None:
    """A quote whose price is no number never reaches a handler; the frame is kept and counted."""
    reader.receive(pack(QUOTE, {**QUOTE, "bp": float("nan")}, {"T": "new kind"}, TRADE), False)
    assert [type(event) for event in listener.events] == [QuoteUpdated, TradePrinted, FrameUnreadable]
    (unreadable,) = listener.of(FrameUnreadable)
    assert (unreadable.stream, reader.unreadable, reader.frames) == ("market", 1, 1)
    assert "bp" in unreadable.raw
    assert unreadable.error


def test_an_unknown_kind_alone_is_not_told(reader: MarketReader, listener: Listener) -> None:
    """New kinds of messages are none of our business."""
    reader.receive(pack({"T": "imbalance", "S": "A"}, QUOTE), False)
    assert [type(event) for event in listener.events] == [QuoteUpdated]
    assert reader.unreadable == 0


def test_the_age_of_the_data_is_known(reader: MarketReader, clock: InstantClock) -> None:
    """A mute stream is judged by when its last frame came, not by its socket."""
    assert reader.last_frame_at is None
    clock.seconds = 5.0
    reader.receive(pack(QUOTE), False)
    assert reader.last_frame_at == 5.0


def test_a_long_unreadable_frame_is_cut(reader: MarketReader, listener: Listener) -> None:
    """So much of it is kept as an operator can look at."""
    reader.receive(b"\xff" * 100_000, False)
    (unreadable,) = listener.of(FrameUnreadable)
    assert len(unreadable.raw) == 2_000


@given(frame=st.binary(max_size=300), is_text=st.booleans())
def test_no_bytes_raise(frame: bytes, is_text: bool) -> None:
    """Whatever arrives, reading it returns; and if it held no message it is told."""
    listener = Listener()
    MarketReader(post=listener.post, clock=InstantClock(), on_control=lambda message: None).receive(frame, is_text)


finite = st.floats(0, 1e9)


@given(quotes=st.lists(st.tuples(st.text(max_size=6), finite, finite, finite, finite), max_size=20))
def test_quotes_survive_the_way(quotes: list[tuple[str, float, float, float, float]]) -> None:
    """What the venue packs is what a handler gets, to the last bit."""
    listener = Listener()
    reader = MarketReader(post=listener.post, clock=InstantClock(), on_control=lambda message: None)
    reader.receive(pack(*({"T": "q", "S": s, "bp": b, "bs": bs, "ap": a, "as": az, "t": AT} for s, b, bs, a, az in quotes)), False)
    assert [(event.symbol, event.bid, event.bid_size, event.ask, event.ask_size) for event in listener.of(QuoteUpdated)] == quotes
