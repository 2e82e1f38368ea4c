"""Frames cut off a stream of bytes: none lost, none twice, in order, wherever the bytes were cut."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from alchemiser.alpaca.splitter import FrameSplitter

Said = tuple[str, bytes]

LIMIT = 100_000


def split(*pieces: bytes) -> list[Said]:
    """Return what a splitter says to these pieces of bytes."""
    said: list[Said] = []
    splitter = FrameSplitter(
        lambda payload, is_text: said.append(("text" if is_text else "binary", payload)),
        lambda frame: said.append(("left", frame)),
        bytes_at_most=LIMIT,
    )
    for piece in pieces:
        splitter.feed(piece)
    return said


def wire(opcode: Opcode, payload: bytes, *, fin: bool = True, mask: bool = False) -> bytes:
    return Frame(opcode, payload, fin).serialize(mask=mask)


lengths = st.sampled_from([0, 1, 5, 125, 126, 127, 300, 65_535, 65_536, 70_000])
whole = st.builds(lambda opcode, length: (opcode, b"x" * length), st.sampled_from([Opcode.TEXT, Opcode.BINARY]), lengths)
control = st.builds(
    lambda opcode, length: (opcode, b"p" * length), st.sampled_from([Opcode.PING, Opcode.PONG, Opcode.CLOSE]), st.integers(0, 125)
)


@given(frames=st.lists(whole | control, max_size=8), data=st.data())
def test_any_cut_gives_the_same_frames(frames: list[tuple[Opcode, bytes]], data: st.DataObject) -> None:
    """Data frames are taken, control frames are left whole, in the order in which they came."""
    raw = b"".join(wire(opcode, payload) for opcode, payload in frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=10)))
    pieces = [raw[start:stop] for start, stop in pairwise([0, *cuts, len(raw)])]
    kind = {Opcode.TEXT: "text", Opcode.BINARY: "binary"}
    expected = [(kind[opcode], payload) if opcode in kind else ("left", wire(opcode, payload)) for opcode, payload in frames]
    assert split(*pieces) == expected


def test_byte_by_byte() -> None:
    """The smallest pieces there are."""
    raw = wire(Opcode.TEXT, b"a" * 130) + wire(Opcode.PING, b"") + wire(Opcode.BINARY, b"b")
    assert split(*(raw[at : at + 1] for at in range(len(raw)))) == [
        ("text", b"a" * 130),
        ("left", wire(Opcode.PING, b"")),
        ("binary", b"b"),
    ]


def test_fragments_are_left_with_whatever_stands_between_them() -> None:
    """Within a fragmented message even a whole data frame is the library's business; after it frames are taken again."""
    pieces = [
        wire(Opcode.BINARY, b"1", fin=False),
        wire(Opcode.PING, b"p"),
        wire(Opcode.TEXT, b"a mistake of the server", fin=False),
        wire(Opcode.CONT, b"2", fin=False),
        wire(Opcode.CONT, b"3"),
    ]
    assert split(*pieces, wire(Opcode.BINARY, b"4")) == [*(("left", piece) for piece in pieces), ("binary", b"4")]


@pytest.mark.parametrize(
    "odd",
    [
        b"\x82\x7f" + (LIMIT + 1).to_bytes(8, "big"),
        wire(Opcode.BINARY, b"masked", mask=True),
        wire(Opcode.BINARY, b"m" * 300, mask=True),
    ],
    ids=["too long", "masked", "masked and long"],
)
def test_what_a_server_may_not_send_ends_the_splitting(odd: bytes) -> None:
    """From there on the library gets every byte and judges."""
    good = wire(Opcode.TEXT, b"good")
    said = split(good, odd[:2], odd[2:], good)
    assert said[0] == ("text", b"good")
    assert {kind for kind, _ in said[1:]} == {"left"}
    assert b"".join(frame for _, frame in said[1:]) == odd + good


def test_odd_bits_are_left() -> None:
    """A compressed frame, or an unknown opcode, is not taken for a usual one."""
    for first in (0xC2, 0x83, 0x8B, 0x02, 0x80):
        frame = bytes([first, 1]) + b"z"
        assert split(frame) == [("left", frame)]
