"""Heads of plain requests: what is read without aiohttp's parser is what that parser reads, and only of plain ones anything is read."""

import asyncio
from typing import Any

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpRequestParser
from hypothesis import given, settings
from hypothesis import strategies as st

from alchemiser.exchange.access import presented_pair
from alchemiser.exchange.heads import HEAD_END, read_head

PLAIN = (
    b"POST /v2/orders?a=1&b=%2C&c HTTP/1.1\r\nHost: 127.0.0.1:80\r\nAPCA-API-KEY-ID: KEY\r\napca-api-secret-key: SECRET\r\n"
    b"Accept: */*\r\nConnection: keep-alive\r\nContent-Length: 12"
)

_METHODS = st.sampled_from([b"GET", b"POST", b"DELETE", b"PATCH", b"HEAD", b"get", b"OPTIONS", b"CONNECT", b"PRI"])
_TARGETS = st.one_of(
    st.sampled_from([b"/", b"*", b"/v2/orders", b"//v2/orders", b"/v2/../x", b"/v2/./x", b"/v2/orders/", b"http://h/v2/orders", b"/a%2Fb"]),
    st.sampled_from(
        [b"/v2/orders?symbols=A,B&x=%20+y", b"/x?", b"/x?a=1#f", b"/x?a=b=c&&d", b"/x?\xff", b"/x?a=%zz", b"/v2/orders:by?a=%C3%A9"]
    ),
    st.binary(max_size=12).map(lambda text: b"/" + text),
)
_VERSIONS = st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/1.1 ", b""])
_NAMES = st.sampled_from(
    b"Host|Connection|Content-Length|content-length|Transfer-Encoding|Expect|Upgrade|Authorization|APCA-API-KEY-ID|APCA-API-SECRET-KEY"
    b"|X-Y|X Y|X-Y ||Content-Encoding|Te\xe9".split(b"|")
)
_VALUES = st.one_of(
    st.sampled_from(
        [b"", b"5", b"-5", b"+5", b"5, 5", b"0x5", b" 5 ", b"keep-alive", b"Keep-Alive", b"close", b"chunked", b"100-continue"]
    ),
    st.sampled_from([b"websocket", b"gzip", b"Basic S0VZOlNFQ1JFVA==", b"a\tb", b"a\nb", b"a\r\n b", b"\x7f", b"\xe9", b"a  b"]),
    st.binary(max_size=6),
)
_FIELDS = st.lists(st.tuples(_NAMES, st.sampled_from([b":", b": ", b":  ", b" : "]), _VALUES).map(b"".join), max_size=5)


def parsed(head: bytes, body: bytes) -> tuple[Any, Any]:
    """Return message and payload as aiohttp's own parser reads them."""
    loop = asyncio.new_event_loop()
    try:
        parser = HttpRequestParser(BaseProtocol(loop), loop, 2**16)
        ((message, payload),), _, tail = parser.feed_data(head + HEAD_END + body)
        assert tail == b""
        return message, payload
    finally:
        loop.close()


def check(head: bytes) -> bool:
    """Check what is read of a head against aiohttp's parser; return whether anything is."""
    found = read_head(head)
    if found is None:
        return False
    body = b"x" * min(found.length, 64)
    if found.length <= 64:
        message, payload = parsed(head, body)
        assert payload.is_eof() or found.length == 0
    else:
        message, payload = parsed(head, b"")
        assert not payload.is_eof()
    assert (message.method, message.path.partition("?")[0], message.version) == (found.method, found.path, (1, 1))
    assert message.url.path == found.path
    assert (message.url.query, message.url.query_string) == (found.query, found.query_text)
    assert presented_pair(message.headers) == found.keys
    assert message.headers.get("Content-Length", "0") == str(found.length).rjust(len(message.headers.get("Content-Length", "0")), "0")
    assert [message.should_close, message.upgrade, message.chunked, message.compression] == [False, False, False, None]
    return True


@settings(max_examples=400, deadline=None)
@given(_METHODS, _TARGETS, _VERSIONS, _FIELDS)
def test_what_is_read_is_what_aiohttp_reads(method: bytes, target: bytes, version: bytes, fields: list[bytes]) -> None:
    """Whatever the door takes as a plain request, aiohttp's parser takes too, and as the same one."""
    check(b"\r\n".join([b" ".join([method, target, version]), *fields]))


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(PLAIN) - 1), st.binary(max_size=3), st.integers(0, 3))
def test_a_damaged_head_is_read_as_aiohttp_reads_it_or_not_at_all(place: int, damage: bytes, lost: int) -> None:
    """A few bytes put into a plain head, or taken out of it, never make the door and aiohttp understand two different requests."""
    check(PLAIN[:place] + damage + PLAIN[place + lost :])


def test_a_plain_head_is_read() -> None:
    """The head that clients of a REST API send is a plain one: its keys, its query and its length are there."""
    assert check(PLAIN)
    found = read_head(PLAIN)
    assert found is not None
    assert (found.keys, found.length, found.query_text) == (("KEY", "SECRET"), 12, "a=1&b=,&c")


@pytest.mark.parametrize(
    "line",
    [
        b"Connection: close",
        b"Connection: Upgrade",
        b"Upgrade: websocket",
        b"Expect: 100-continue",
        b"Transfer-Encoding: chunked",
        b"Content-Encoding: deflate",
        b"Host: twice",
        b"Content-Length: 12345678",
        b"X-Long: " + b"x" * 9_000,
        b"X-Folded: a\r\n b",
        b"No-Colon",
    ],
)
def test_a_head_that_asks_for_more_is_left_to_aiohttp(line: bytes) -> None:
    """Closing, upgrading, continuing, chunks, and whatever might be read in two ways, are nothing that the door decides about."""
    head = PLAIN.replace(b"Connection: keep-alive", line) if line.startswith(b"Connection") else PLAIN + b"\r\n" + line
    assert read_head(head) is None


def test_a_head_that_aiohttp_refuses_is_not_read() -> None:
    """A head that aiohttp answers with 400 is left to it, so that the answer is the same."""
    broken = PLAIN.replace(b"Host:", b"Ho st:")
    with pytest.raises(HttpProcessingError):
        parsed(broken, b"")
    assert read_head(broken) is None
