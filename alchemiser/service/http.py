"""The daemon's door: health for supervisors, metrics for scrapers, the API for operators, a page for people.

It reads from the daemon through ``DaemonView`` and asks for control through one method; it decides nothing. Control needs the bearer
token. On an address wider than loopback the API needs it too; health and metrics stay open, because probes carry no secrets.
"""

import asyncio
import errno
import hmac
import math
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, Final, Literal, Protocol, get_args

import msgspec
from aiohttp import web
from pydantic import SecretStr

from alchemiser import __version__
from alchemiser.domain.errors import AlchemiserError, ConfigError, UsageError
from alchemiser.service.deferred import load
from alchemiser.service.door_limits import CONTROLS, READS, WRONG_TOKENS, Bucket
from alchemiser.service.health import HealthReport
from alchemiser.service.http_address import split_address, url_of
from alchemiser.service.live_feed import Listener, LiveFeed
from alchemiser.service.safety import is_loopback, require_private_door
from alchemiser.service.settings import Settings
from alchemiser.service.state_file import PROCESS_HEADER, HttpAddress, remove_http_address, write_http_address
from alchemiser.service.view import EVENTS_BY_DEFAULT, RESOURCES, Resource, StateView, document, to_json

Action = Literal["pause", "resume", "halt", "reduce", "flatten", "rebalance", "reconcile", "stop", "rearm", "kill", "lots", "reload"]
ACTIONS: Final[tuple[Action, ...]] = get_args(Action)

BODY_BYTES_AT_MOST: Final = 64 * 1024
_JSON: Final = "application/json"
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
_PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'none'"
)
OPENAPI: Final = "alchemiser.service.openapi:document"
DASHBOARD: Final = "alchemiser.service.dashboard:asset"
STILL_HERE_SECONDS: Final = 15.0
"""How long a stream is silent at most, so that whoever listens knows that it is open."""


class DaemonView(StateView, Protocol):
    """What the door asks of the daemon; ``feed`` has the events as they happen."""

    feed: LiveFeed

    def health(self) -> HealthReport:
        """Return whether the daemon is live and ready, and why not."""

    async def plan(self) -> msgspec.Struct:
        """Return what would be traded if a decision were due now."""

    async def control(self, action: Action, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Do ``action`` and return what was done and what was not. Raises an ``AlchemiserError`` when it is refused."""


class Door:
    """The aiohttp application: one method per kind of request."""

    def __init__(
        self, view: DaemonView, *, metrics: Callable[[], tuple[bytes, str]], token: Callable[[], SecretStr | None], is_private: bool
    ) -> None:
        """``metrics`` returns the exposition and its content type; ``is_private`` says that only this machine can come in.

        ``token`` is asked at every request for the token of the moment: it may be changed while the door is open.
        """
        self._view = view
        self._metrics = metrics
        self._token = token
        self._is_private = is_private
        self._reads, self._controls, self._wrong_tokens = Bucket(READS), Bucket(CONTROLS), Bucket(WRONG_TOKENS)

    def application(self) -> web.Application:
        """Return the application with its routes."""
        app = web.Application(client_max_size=BODY_BYTES_AT_MOST, middlewares=[_answer_errors, _is_meant, self._limit])
        app.on_shutdown.append(self._close_streams)
        app.router.add_get("/", self.page)
        app.router.add_get("/livez", self.livez)
        app.router.add_get("/readyz", self.readyz)
        app.router.add_get("/healthz", self.healthz)
        app.router.add_get("/metrics", self.metrics)
        app.router.add_get("/assets/{name}", self.asset)
        app.router.add_get("/api/v1/openapi.json", self.openapi)
        app.router.add_get("/api/v1/plan", self.plan)
        app.router.add_get("/api/v1/stream", self.stream)
        for resource in RESOURCES:
            app.router.add_get(f"/api/v1/{resource}", partial(self.read, resource))
        for action in ACTIONS:
            app.router.add_post(f"/api/v1/{action}", partial(self.control, action))
        app.router.add_route("*", "/api/v1/{name}", self.unknown)
        return app

    @web.middleware
    async def _limit(self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> web.StreamResponse:
        """Refuse questions that come too often; whoever watches the health is never refused."""
        is_question = request.path.startswith("/api/") and request.method != "POST"
        if is_question and (wait := self._reads.take(asyncio.get_running_loop().time())):
            return _too_often(wait)
        return await handler(request)

    async def livez(self, request: web.Request) -> web.Response:
        """Answer 200 while a message has gone round the bus within the limit, else 503: restart me."""
        report = self._view.health()
        return _answer({"live": report.live}, status=200 if report.live else 503)

    async def readyz(self, request: web.Request) -> web.Response:
        """Answer 200 while the daemon may trade, else 503 with the reasons."""
        report = self._view.health()
        body = report.document()
        return _answer({"ready": report.ready, "reasons": body["reasons"]}, status=200 if report.ready else 503)

    async def healthz(self, request: web.Request) -> web.Response:
        """Answer both questions in one document."""
        report = self._view.health()
        return _answer(report.document(), status=200 if report.is_well else 503)

    async def metrics(self, request: web.Request) -> web.Response:
        """Answer with the Prometheus exposition."""
        body, content_type = self._metrics()
        return web.Response(body=body, headers={**_HEADERS, "Content-Type": content_type})

    async def page(self, request: web.Request) -> web.Response:
        """Answer with the dashboard, which asks for everything else itself."""
        return self._file("index.html")

    async def asset(self, request: web.Request) -> web.Response:
        """Answer with a part of the dashboard."""
        return self._file(request.match_info["name"])

    def _file(self, name: str) -> web.Response:
        found = load(DASHBOARD)(name)
        if found is None:
            return _refuse(404, "not_found", f"the dashboard has no {name}")
        content, content_type = found
        return web.Response(body=content, headers={**_HEADERS, "Content-Security-Policy": _PAGE_POLICY, "Content-Type": content_type})

    async def openapi(self, request: web.Request) -> web.Response:
        """Answer with the description of this door."""
        return _answer(load(OPENAPI)())

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Answer with every journaled event as it happens, as server-sent events; ``Last-Event-ID`` or ``after`` resumes."""
        if not self._is_private and (refusal := self._refusal(request)):
            return refusal
        after = _whole_number(request, "after", -1) if "after" in request.query else _last_seen(request)
        response = web.StreamResponse(headers={**_HEADERS, "Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
        with self._view.feed.listen(after) as listener, suppress(ConnectionResetError):  # A listener that has left needs no answer.
            await response.prepare(request)
            await response.write(b": the events of the journal, as they happen\n\n")
            while message := await _next_or_comment(listener):
                await response.write(message)
        return response

    async def _close_streams(self, application: web.Application) -> None:
        self._view.feed.close()

    async def read(self, resource: Resource, request: web.Request) -> web.Response:
        """Answer one question about the daemon's state."""
        if not self._is_private and (refusal := self._refusal(request)):
            return refusal
        after, limit = _whole_number(request, "after", -1), _whole_number(request, "limit", EVENTS_BY_DEFAULT)
        return _answer(document(self._view, resource, live=True, after=after, limit=limit))

    async def unknown(self, request: web.Request) -> web.Response:
        """Say what there is instead: 405 for a known name with the wrong method, else 404."""
        name = request.match_info["name"]
        if name in RESOURCES or name in ACTIONS or name in ("plan", "stream", "openapi.json"):
            raise web.HTTPMethodNotAllowed(request.method, ["POST"] if name in ACTIONS else ["GET", "HEAD"])
        return _refuse(404, "not_found", f"there is no {name}; GET {', '.join(RESOURCES)}, plan, stream or POST {', '.join(ACTIONS)}")

    async def plan(self, request: web.Request) -> web.Response:
        """Answer what would be traded now: it asks the venue, so it takes a moment, and a wide door needs the token."""
        if not self._is_private and (refusal := self._refusal(request)):
            return refusal
        return _answer({"live": True, **msgspec.structs.asdict(await self._view.plan())})

    async def control(self, action: Action, request: web.Request) -> web.Response:
        """Do what the operator asks, if the request carries the token and not too many came before it; a kill is never too much.

        Counted are those with the token alone, so that no stranger uses up what the operator may ask.
        """
        if refusal := self._refusal(request):
            return refusal
        if action != "kill" and (wait := self._controls.take(asyncio.get_running_loop().time())):
            return _too_often(wait)
        result = await self._view.control(action, await _arguments(request))
        return _answer({"action": action, "accepted": True, **result})

    def _refusal(self, request: web.Request) -> web.Response | None:
        token = self._token()
        if token is None:
            return _refuse(403, "no_token", "control is off, because no service.token is set; set one and start the daemon again")
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        # Compared in constant time, as the bytes that came: text that is not ASCII is refused by compare_digest.
        held = token.get_secret_value().encode()
        if scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(errors="surrogateescape"), held):
            return None
        if given and (wait := self._wrong_tokens.take(asyncio.get_running_loop().time())):
            return _too_often(wait)
        response = _refuse(401, "unauthorised", "this needs the header 'Authorization: Bearer TOKEN' with the daemon's service.token")
        response.headers["WWW-Authenticate"] = 'Bearer realm="alchemiser"'
        return response


@asynccontextmanager
async def open_door(
    view: DaemonView,
    settings: Settings,
    *,
    metrics: Callable[[], tuple[bytes, str]],
    token: Callable[[], SecretStr | None] | None = None,
    listener: socket.socket | None = None,
) -> AsyncIterator[HttpAddress]:
    """Serve until the block ends, and say where in ``STATE/http.json``.

    ``token`` gives the token of the moment, by default that of the settings. ``listener`` is a socket that listens already; without it
    ``service.http`` is bound. Raises ``ConfigError`` when the address cannot be had and
    ``SafetyRefused`` when it is wider than loopback without a token.
    """
    require_private_door(settings)
    host, port = split_address(settings.service.http)
    door = Door(view, metrics=metrics, token=token or (lambda: settings.service.token), is_private=is_loopback(host))
    runner = web.AppRunner(door.application(), access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.SockSite(runner, listener) if listener else web.TCPSite(runner, host, port)
        await _bind(site, settings.service.http)
        port = runner.addresses[0][1] if port == 0 else port
        address = HttpAddress(url=url_of(f"{host}:{port}"), host=host, port=port, pid=os.getpid())
        write_http_address(settings.service.state, address)
        try:
            yield address
        finally:
            remove_http_address(settings.service.state)
    finally:
        await runner.cleanup()


async def _bind(site: web.BaseSite, address: str) -> None:
    try:
        await site.start()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            text = f"service.http {address} is taken by another process; stop it or set another port (port 0 picks a free one)"
        elif error.errno == errno.EACCES:
            text = f"service.http {address} may not be opened by this user; ports below 1024 need a privilege, set a higher one"
        else:
            text = f"service.http {address} cannot be opened ({error.strerror}); set an address of this machine"
        raise ConfigError(f"{text}. Nothing was started") from error


@web.middleware
async def _answer_errors(request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> web.StreamResponse:
    """Turn refusals into documents. What is not ours is left to aiohttp, which logs it and answers 500 without details."""
    try:
        return await handler(request)
    except UsageError as error:
        return _refuse(400, "bad_request", str(error))
    except AlchemiserError as error:
        return _refuse(409, type(error).__name__, str(error))
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return _refuse(error.status, "http", error.reason, {key: value for key, value in error.headers.items() if key == "Allow"})


@web.middleware
async def _is_meant(request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> web.StreamResponse:
    """Refuse what was meant for another process that had this address before."""
    meant = request.headers.get(PROCESS_HEADER)
    if meant is not None and meant != str(os.getpid()):
        return _refuse(421, "another_daemon", f"this is process {os.getpid()}, and the request was meant for process {meant[:20]}")
    return await handler(request)


class Arguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a control request may say; each action takes what it knows and the reason."""

    reason: str | msgspec.UnsetType = msgspec.UNSET
    strategy: str | msgspec.UnsetType | None = msgspec.UNSET
    guard: str | msgspec.UnsetType = msgspec.UNSET
    reset: bool | msgspec.UnsetType = msgspec.UNSET
    flatten: bool | msgspec.UnsetType = msgspec.UNSET
    clear: list[str] | msgspec.UnsetType = msgspec.UNSET
    check: bool | msgspec.UnsetType = msgspec.UNSET
    accept_cash: str | msgspec.UnsetType = msgspec.UNSET
    symbol: str | msgspec.UnsetType = msgspec.UNSET
    lots: list[str] | msgspec.UnsetType = msgspec.UNSET


async def _arguments(request: web.Request) -> Mapping[str, Any]:
    body = await request.read()
    if not body:
        return {}
    try:
        arguments = msgspec.json.decode(body, type=Arguments)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"the body is not what a control request may say: {error}") from error
    return {name: value for name in Arguments.__struct_fields__ if (value := getattr(arguments, name)) is not msgspec.UNSET}


def _whole_number(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise UsageError(f"{name} must be a whole number, found {text[:40]!r}")
    return int(text)


async def _next_or_comment(listener: Listener) -> bytes:
    try:
        async with asyncio.timeout(STILL_HERE_SECONDS):
            return await listener.next()
    except TimeoutError:
        return b": still here\n\n"


def _last_seen(request: web.Request) -> int | None:
    text = request.headers.get("Last-Event-ID", "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 18 else None


def _answer(value: Any, *, status: int = 200) -> web.Response:
    return web.Response(body=to_json(value), status=status, content_type=_JSON, headers={**_HEADERS, "Server": f"alchemiser/{__version__}"})


def _too_often(wait: float) -> web.Response:
    text = f"too many requests; the next is answered in {wait:.1f} s"
    return _refuse(429, "too_many_requests", text, {"Retry-After": str(math.ceil(wait))})


def _refuse(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    response = _answer({"error": {"code": code, "message": message}}, status=status)
    response.headers.update(headers or {})
    return response
