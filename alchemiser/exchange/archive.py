"""Lists that only grow, cut into sealed pieces, so that saving a long life costs little more than saving a short one.

What has ended never changes any more. As soon as enough of it has come together it is encoded and compressed once; from then on a snapshot
copies those bytes instead of looking at every value again.
"""

import zlib
from collections.abc import Sequence
from typing import Any, Final, TypeVar

import msgspec

SEGMENT: Final = 256
"""How many values one sealed piece holds."""
_FAST: Final = 1

T = TypeVar("T")


def seal(values: Sequence[Any]) -> bytes:
    """Return the bytes of values that will never change."""
    return zlib.compress(msgspec.msgpack.encode(values), _FAST)


def unseal(segments: Sequence[bytes], kind: type[T]) -> list[T]:
    """Return the values of all segments, in order. Raises ``msgspec.DecodeError`` or ``zlib.error`` for bytes that are none."""
    decoder = msgspec.msgpack.Decoder(list[kind])  # type: ignore[valid-type]
    return [value for segment in segments for value in decoder.decode(zlib.decompress(segment))]
