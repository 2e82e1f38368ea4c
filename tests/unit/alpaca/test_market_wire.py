"""What Alpaca's market-data messages mean, in both encodings, and what one bad message costs: itself."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from alchemiser.alpaca import market_wire as mw

AT = datetime(2026, 2, 23, 15, 51, 45, 335689, tzinfo=UTC)
QUOTE = {"T": "q", "S": "AMD", "bx": "U", "bp": 87.66, "bs": 100, "ax": "Q", "ap": 87.68, "as": 400, "c": ["R"], "t": AT, "z": "C"}
TRADE = {"T": "t", "S": "AAPL", "i": 2**63 + 1, "x": "D", "p": 126.55, "s": 1, "c": ["@", "I"], "t": AT, "z": "C"}
BAR = {"T": "b", "S": "SPY", "o": 388.985, "h": 389.13, "l": 388.975, "c": 389.12, "v": 49378, "n": 461, "vw": 389.062639, "t": AT}
STATUS = {"T": "s", "S": "AAPL", "sc": "H", "sm": "Trading Halt", "rc": "T12", "rm": "why", "t": AT, "z": "C"}


def both(messages: list[Any]) -> list[tuple[bytes, bool]]:
    """Return the frame in either encoding, and whether it is text."""
    return [(msgspec.msgpack.encode(messages), False), (msgspec.json.encode(messages), True)]


@pytest.mark.parametrize(("frame", "is_text"), both([QUOTE, TRADE, BAR, STATUS]))
def test_data_messages(frame: bytes, is_text: bool) -> None:
    """All kinds that are used are read alike from msgpack and JSON."""
    decode = mw.decode_json if is_text else mw.decode_msgpack
    quote, trade, bar, status = decode(frame)
    assert quote == mw.WireQuote("AMD", 87.66, 100, 87.68, 400, AT)
    assert trade == mw.WireTrade("AAPL", 126.55, 1, AT)
    assert bar == mw.WireMinuteBar("SPY", 388.985, 389.13, 388.975, 389.12, 49378, AT)
    assert status == mw.WireStatus("AAPL", "H", AT, "Trading Halt", "T12", "why")


@pytest.mark.parametrize("size", [4, 8, 12])
def test_every_form_of_a_msgpack_time(size: int) -> None:
    """The three lengths of the timestamp extension are understood; nanoseconds are rounded to microseconds."""
    seconds, nanoseconds = 1_741_012_200, 0 if size == 4 else 123_456_789
    data = {
        4: seconds.to_bytes(4, "big"),
        8: (nanoseconds << 34 | seconds).to_bytes(8, "big"),
        12: nanoseconds.to_bytes(4, "big") + seconds.to_bytes(8, "big"),
    }[size]
    (quote,) = mw.decode_msgpack(msgspec.msgpack.encode([{**QUOTE, "t": msgspec.msgpack.Ext(-1, data)}]))
    assert quote.at == datetime(2025, 3, 3, 14, 30, 0, 0 if size == 4 else 123457, tzinfo=UTC)


@pytest.mark.parametrize("index", [0, 1])
def test_control_messages(index: int) -> None:
    """Steps, errors and acknowledgements; an acknowledgement may name channels we do not know."""
    for message, expected in [
        ({"T": "success", "msg": "connected"}, mw.Success("connected")),
        ({"T": "error", "code": 402, "msg": "auth failed"}, mw.Refusal(402, "auth failed")),
        ({"T": "subscription", "quotes": ["A"], "lulds": [], "imbalances": ["*"]}, mw.Acknowledgement(quotes=("A",))),
    ]:
        frame, is_text = both([message])[index]
        assert (mw.decode_json if is_text else mw.decode_msgpack)(frame) == [expected]


@pytest.mark.parametrize(("frame", "is_text"), both([QUOTE, {"T": "zz", "new": 1}, TRADE]))
def test_unknown_kinds_cost_nothing(frame: bytes, is_text: bool) -> None:
    """A kind that the venue adds one day does not take its neighbours with it, and is no error."""
    with pytest.raises(msgspec.DecodeError):
        (mw.decode_json if is_text else mw.decode_msgpack)(frame)
    assert [type(message) for message in mw.read_apart(frame, is_text=is_text)] == [mw.WireQuote, mw.WireTrade]


@pytest.mark.parametrize("bad", [{"bp": -1.0}, {"bp": float("nan")}, {"ap": float("inf")}, {"S": 7}, {"t": "yesterday"}, {"bp": None}])
def test_a_bad_message_costs_only_itself(bad: dict[str, Any]) -> None:
    """A price that is negative or not a number would pass comparisons as a good quote: it is refused, and its neighbours are not."""
    frame = msgspec.msgpack.encode([TRADE, {**QUOTE, **bad}, QUOTE, {"no": "type"}, 5])
    trade, quote, unreadable = mw.read_apart(frame, is_text=False)
    assert (type(trade), type(quote)) == (mw.WireTrade, mw.WireQuote)
    assert isinstance(unreadable, mw.Unreadable)
    assert unreadable.count == 3


@pytest.mark.parametrize("frame", [b"", b"\xc1", b"\x81", b"hello", msgspec.msgpack.encode({"T": "q"}), msgspec.msgpack.encode(None)])
def test_a_frame_that_is_no_array(frame: bytes) -> None:
    """What cannot be taken apart is one unreadable whole."""
    (unreadable,) = mw.read_apart(frame, is_text=False)
    assert isinstance(unreadable, mw.Unreadable)
    assert unreadable.error


def test_messages_that_come_with_trades_are_known() -> None:
    """Corrections and cancellations come unasked; they must not push every frame onto the slow path."""
    frame = msgspec.msgpack.encode([{"T": "c", "S": "A", "op": 1.0}, {"T": "x", "S": "A", "a": "C"}])
    assert len(mw.decode_msgpack(frame)) == 2


def test_halts_of_both_tapes() -> None:
    """A halt lasts until trading resumes; codes about other things leave it as it is."""
    book = mw.HaltBook()
    told = [book.observe("A", code) for code in ("E", "H", "Q", "C", "T", "2", "5", "3", "P", "T")]
    assert told == [False, True, True, True, False, True, True, False, True, False]
    book.observe("A", "H")
    assert not book.observe("B", "7")


def test_snapshot_with_everything() -> None:
    """Each part becomes its value; the time of a daily bar is midnight in New York."""
    raw = {
        "latestTrade": {"t": "2026-02-23T15:51:44.208123456Z", "p": 126.55, "x": "D", "u": None},
        "latestQuote": {"t": "2026-02-23T15:51:45Z", "ap": 87.68, "as": 4, "bp": 0, "bs": 0, "ax": "", "z": "C"},
        "minuteBar": {"t": "junk is not looked at"},
        "dailyBar": {"t": "2026-02-23T05:00:00Z", "o": 1, "h": 2, "l": 0.5, "c": 1.5, "v": 10, "n": 1, "vw": 1.1},
        "prevDailyBar": {"t": "2026-02-20T05:00:00Z", "o": 1, "h": 2, "l": 0.5, "c": 1.4, "v": 10, "n": 1, "vw": 1.1},
    }
    snapshot = mw.snapshot_of("AMD", msgspec.json.decode(msgspec.json.encode(raw), type=mw.RestSnapshot))
    assert snapshot.quote is not None
    assert snapshot.quote.fault == "one_sided"
    assert (snapshot.last_price, snapshot.last_at) == (126.55, datetime(2026, 2, 23, 15, 51, 44, 208123, tzinfo=UTC))
    assert snapshot.today is not None
    assert snapshot.previous is not None
    assert (snapshot.today.close, snapshot.previous.close, snapshot.previous.start.day) == (1.5, 1.4, 20)


def test_snapshot_with_nothing() -> None:
    """A symbol that never traded has parts that are null or absent."""
    snapshot = mw.snapshot_of("NEW", msgspec.json.decode(b'{"latestTrade":null,"dailyBar":null}', type=mw.RestSnapshot))
    assert (snapshot.quote, snapshot.last_price, snapshot.last_at, snapshot.today, snapshot.previous) == (None,) * 5
