"""Heads of plain HTTP requests, read without aiohttp's parser.

Plain is what clients of a REST API send nearly always: HTTP/1.1, a method of the API, a path without escapes, headers that are there once,
a body whose length is given, and nothing that asks for more than an answer on a connection that stays open. Of everything else, malformed
heads included, :func:`read_head` says nothing, so that aiohttp's parser and nobody else decides about it. Pure.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import msgspec
from multidict import CIMultiDict
from yarl import URL

from alchemiser.exchange.access import presented_pair

HEAD_END: Final = b"\r\n\r\n"
_MOST_BYTES: Final = 8_000
_MOST_FIELDS: Final = 64
_REMEMBERED: Final = 1_024

_HEAD: Final = re.compile(
    rb"(GET|POST|PUT|PATCH|DELETE) (/[A-Za-z0-9_:.-]+(?:/[A-Za-z0-9_:.-]+)*)(?:\?([!-\"$-~]*))? HTTP/1\.1"
    rb"((?:\r\n[!#$%&'*+.^_`|~0-9A-Za-z-]+: ?[ -~]*)+)"
)
_LENGTH: Final = re.compile(r"\d{1,7}")
_ASKING_FOR_MORE: Final = (
    "Content-Encoding",
    "Expect",
    "HTTP2-Settings",
    "Proxy-Connection",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
)


class Head(msgspec.Struct, frozen=True, gc=False):
    """What a plain head says: ``keys`` is the key id and secret that were presented, ``length`` the bytes of the body."""

    method: str
    path: str
    query: Mapping[str, str]
    query_text: str
    keys: tuple[str, str] | None
    length: int


@lru_cache(maxsize=_REMEMBERED)
def read_head(data: bytes) -> Head | None:
    """Return what the head of a plain request says, ``None`` for any other; ``data`` ends before the empty line.

    A client sends the same head again and again, so what was read is remembered.
    """
    found = None if len(data) > _MOST_BYTES else _HEAD.fullmatch(data)
    if found is None:
        return None
    method, path, query, lines = (part.decode() for part in found.groups(b""))
    fields: CIMultiDict[str] = CIMultiDict()
    for line in lines.split("\r\n")[1:]:
        name, _, value = line.partition(":")
        if name in fields:
            # Of two fields with one name it would matter which one counts.
            return None
        fields[name] = value.strip(" ")
    length = fields.get("Content-Length", "0")
    is_plain = (
        "Host" in fields
        and len(fields) <= _MOST_FIELDS
        and not any(name in fields for name in _ASKING_FOR_MORE)
        and fields.get("Connection", "keep-alive").lower() == "keep-alive"
        and _LENGTH.fullmatch(length) is not None
        and "/." not in path
    )
    if not is_plain:
        return None
    url = URL.build(path=path, query_string=query, encoded=True)
    return Head(method, path, url.query, url.query_string, presented_pair(fields), int(length))
