"""A request and its answer as values, without the library that carries them.

Most endpoints of the trading API are answered by a function from a :class:`Call` to a :class:`Reply`, which awaits nothing. It can be asked
in two ways: by aiohttp, through :func:`carried`, for every request there is, and at once by :mod:`~alchemiser.exchange.express`, for the
plain ones. Either way the same function gives the same answer.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec
from aiohttp import web

JSON_TYPE: Final = "application/json; charset=UTF-8"


class Call(msgspec.Struct, frozen=True, gc=False):
    """What a client asks: ``query_text`` is the query as one text, ``parts`` the named segments of the path, ``body`` as it came."""

    method: str
    path: str
    query: Mapping[str, str]
    query_text: str
    parts: Mapping[str, str]
    body: bytes


class Reply(msgspec.Struct, frozen=True, gc=False):
    """An answer: JSON, or nothing at all when ``body`` is ``None``."""

    body: bytes | None
    status: int = 200


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Route = tuple[str, str, Handler]
"""Method, path in the syntax of aiohttp, and what answers."""

Answering = Callable[[Call], Reply]
AnsweringRoute = tuple[str, str, Answering]
"""The same of an endpoint that answers without awaiting; raises ``ApiError`` for a refusal."""


def reply(value: Any, status: int = 200) -> Reply:
    """Return the JSON answer that says ``value``."""
    return Reply(msgspec.json.encode(value), status)


def response_of(answer: Reply) -> web.Response:
    """Return an answer as aiohttp sends it."""
    if answer.body is None:
        return web.Response(status=answer.status)
    return web.Response(body=answer.body, status=answer.status, headers={"Content-Type": JSON_TYPE})


def carried(answering: Answering) -> Handler:
    """Return the handler by which aiohttp asks an endpoint that awaits nothing."""

    async def handler(request: web.Request) -> web.Response:
        body = await request.read()
        return response_of(answering(Call(request.method, request.path, request.query, request.query_string, request.match_info, body)))

    return handler
