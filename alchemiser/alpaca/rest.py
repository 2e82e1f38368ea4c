"""One REST request to Alpaca and everything that can become of it.

Promises: every call ends within its total deadline; every failure is an error of the tree that says whether anything may have been
done; a request with an effect is sent at most once; a question is asked again a bounded number of times, with jittered waits; nothing
is sent while the quota is known to be used up. What the answers mean is not decided here.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from random import Random
from types import TracebackType
from typing import Final, Self

import aiohttp
import msgspec
import structlog
from yarl import URL

from alchemiser.alpaca.backoff import Backoff
from alchemiser.alpaca.credentials import AnyCredentials
from alchemiser.alpaca.limits import Quota
from alchemiser.alpaca.line import Answer, Line
from alchemiser.alpaca.prompt_request import PromptRequest, leave
from alchemiser.alpaca.refusals import Subject, refusal, unproven
from alchemiser.alpaca.tls import needs_trust, trust
from alchemiser.bus.begun import breathe
from alchemiser.domain.errors import CredentialsRefused, RateLimited, VenueError, VenueUnavailable
from alchemiser.domain.runtime import Clock
from alchemiser.domain.venue import After

_log = structlog.get_logger(__name__)

_CONNECTIONS_AT_MOST: Final = 32
_KEEP_ALIVE_SECONDS: Final = 30.0


class RestLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of the requests; deadlines are seconds of the event loop and include retries and waits."""

    deadline_seconds: float = 10.0
    bulk_deadline_seconds: float = 30.0
    connect_seconds: float = 5.0
    read_attempts: int = 3
    retry: Backoff = Backoff(base_seconds=0.25, cap_seconds=2.0)


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request: ``template`` is its path without ids, for counting; ``what`` names it in messages, with the id it concerns.

    When its bytes are about to be written, after every wait for quota and connection, ``after`` is awaited and then ``may_leave`` is asked,
    which says why they may not.
    """

    method: str
    path: str
    what: str
    template: str = ""
    query: Mapping[str, str] | None = None
    body: bytes | None = None
    is_bulk: bool = False
    accept: str | None = None
    may_leave: Callable[[], str | None] | None = None
    after: After | None = None

    @property
    def has_effect(self) -> bool:
        """Whether the venue is asked to do something."""
        return self.method != "GET"

    @property
    def headers(self) -> Mapping[str, str] | None:
        """The headers of this request beside those of every request."""
        if self.accept is not None:
            return {"Accept": self.accept}
        return None if self.body is None else {"Content-Type": "application/json"}

    @property
    def subject(self) -> Subject:
        """What is asked, for an error."""
        return Subject(what=self.what, has_effect=self.has_effect)


class Host:
    """One of the venue's hosts and the quota it grants."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url.rstrip("/")
        self.is_encrypted = needs_trust(base_url)
        self.quota = Quota()


OnRequest = Callable[[str, int | None, float], object]
"""Told of every request: its method, the status or ``None`` when no answer came, and the seconds it took."""


class RestClient:
    """Sends requests over one keep-alive session; an asynchronous context manager."""

    def __init__(
        self,
        credentials: AnyCredentials,
        *,
        clock: Clock,
        random: Random,
        limits: RestLimits | None = None,
        make_connector: Callable[[], aiohttp.BaseConnector] | None = None,
        on_request: OnRequest | None = None,
    ) -> None:
        self._credentials = credentials
        self._generation = credentials.generation
        self._clock = clock
        self._random = random
        self._limits = limits or RestLimits()
        self._make_connector = make_connector or _tcp_connector
        self._on_request = on_request
        self._session: aiohttp.ClientSession | None = None
        self._lines: dict[str, Line] = {}
        self.requests: Counter[tuple[str, str, str]] = Counter()
        """Requests sent, by method, path template and status; ``none`` when no answer came."""

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=self._make_connector(),
            headers={**self._credentials.headers(), "Accept": "application/json"},
            # The total deadline is ours, because it spans retries; this one tells a connection that never stood from one that broke.
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._limits.connect_seconds),
            request_class=PromptRequest,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=True,
            trust_env=False,
        )
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        assert self._session is not None
        for line in self._lines.values():
            line.close()
        await self._session.close()

    @property
    def requests_made(self) -> int:
        """How many requests were sent since the start."""
        return self.requests.total()

    async def call(self, host: Host, request: Request) -> bytes:
        """Return the body of a successful answer; raises errors under ``VenueError`` and nothing else."""
        deadline_seconds = self._limits.bulk_deadline_seconds if request.is_bulk else self._limits.deadline_seconds
        sent = _Sent(request)
        try:
            async with asyncio.timeout(deadline_seconds):
                return await self._attempts(host, request, sent, deadline_seconds)
        except TimeoutError:
            if sent.is_out:
                raise unproven(request.subject, f"none within {deadline_seconds:g} s") from None
            raise VenueUnavailable(f"{request.what}: not sent within {deadline_seconds:g} s; nothing was done") from None

    async def call_now(self, host: Host, request: Request) -> bytes | None:
        """Write a request in this very moment and return the body of its answer; ``None``, and nothing is sent, when it would have to wait.

        For new orders, whose address is always the same. Nothing is awaited before it is written, so this may be begun by whoever has the
        order, see ``bus.begun``; with the answer it does as :meth:`call` does.
        """
        self._take_over_key()
        generation = self._generation
        line = self._lines.get(host.base_url + request.path)
        if line is None or not line.is_at_hand or host.quota.wait_seconds(self._clock.now().timestamp(), is_order=True):
            return None
        assert request.body is not None, "a new order has a body"
        sent = _Sent(request)
        sent.leave()
        try:
            return await self._attempt(host, request, sent, self._heard(line, request, request.body))
        except CredentialsRefused:
            if not self._has_other_key(generation):
                raise
        return await self.call(host, request)

    async def _heard(self, line: Line, request: Request, body: bytes) -> Answer:
        """Write and, in the task that waits for it, read the answer."""
        with line.send_now(body) as flight:
            await breathe()
            try:
                async with asyncio.timeout(self._limits.deadline_seconds):
                    return await flight.answer()
            except TimeoutError:
                raise unproven(request.subject, f"none within {self._limits.deadline_seconds:g} s") from None

    async def _attempts(self, host: Host, request: Request, sent: "_Sent", deadline_seconds: float) -> bytes:
        attempts = 1 if request.has_effect else self._limits.read_attempts
        for attempt in range(1, attempts + 1):
            try:
                await self._wait_for_quota(host, request, deadline_seconds)
                return await self._with_the_present_key(host, request, sent)
            except VenueUnavailable as error:
                wait = self._limits.retry.delay_seconds(attempt, self._random)
                if isinstance(error, RateLimited):
                    wait = error.retry_after_seconds
                if attempt == attempts or wait > deadline_seconds:
                    raise
                _log.debug("asking the venue again", request=request.what, attempt=attempt, wait_seconds=round(wait, 3), reason=str(error))
                await self._clock.sleep(wait)
        raise AssertionError("the last attempt returns or raises")

    async def _wait_for_quota(self, host: Host, request: Request, deadline_seconds: float) -> None:
        while wait := host.quota.wait_seconds(self._clock.now().timestamp(), is_order=request.has_effect):
            if wait > deadline_seconds:
                raise RateLimited(
                    f"{request.what}: the request quota is used up for {wait:.0f} s; nothing was sent", retry_after_seconds=wait
                )
            await self._clock.sleep(wait)

    async def _with_the_present_key(self, host: Host, request: Request, sent: "_Sent") -> bytes:
        """Send a request; when its key is refused and there is another one by now, send it once more, for nothing was done."""
        self._take_over_key()
        generation = self._generation
        try:
            return await self._attempt(host, request, sent, self._exchange(host, request, sent))
        except CredentialsRefused:
            if not self._has_other_key(generation):
                raise
        self._take_over_key()
        return await self._attempt(host, request, sent, self._exchange(host, request, sent))

    def _has_other_key(self, generation: int) -> bool:
        """Return whether there is another key by now than the one of that generation, which the venue has just refused."""
        return self._credentials.generation != generation or self._credentials.renew()

    def _take_over_key(self) -> None:
        if self._generation != self._credentials.generation and self._session is not None:
            self._generation = self._credentials.generation
            self._session.headers.update(self._credentials.headers())
            for line in self._lines.values():
                line.close()
            self._lines.clear()

    async def _attempt(self, host: Host, request: Request, sent: "_Sent", exchange: Awaitable[Answer]) -> bytes:
        loop = asyncio.get_running_loop()
        began = loop.time()
        status: int | None = None
        host.quota.sent()
        try:
            status, headers, body = await exchange
            host.quota.observe(headers)
        except (aiohttp.ClientError, OSError) as error:
            raise _broken(request, error, sent) from error
        finally:
            host.quota.ended()
            self._count(request, status, loop.time() - began)
        if 200 <= status < 300:
            return body
        raise self._refusal(host, request, status, body, headers.get("X-Request-ID"))

    async def _exchange(self, host: Host, request: Request, sent: "_Sent") -> Answer:
        """Send a request and return the answer; a new order, whose address is always the same, goes the short way."""
        sent.is_out = False
        assert self._session is not None, "the client is used inside its context"
        ssl = trust() if host.is_encrypted else True
        if request.method == "POST" and request.body is not None and request.query is None:
            line = self._lines.get(host.base_url + request.path)
            if line is None:
                url = URL(host.base_url + request.path)
                line = Line(self._session, "POST", url, headers=request.headers or {}, ssl=ssl, idle_seconds=_KEEP_ALIVE_SECONDS)
                self._lines[str(url)] = line
            return await line.send(request.body, sent)
        token = leave.set(sent)
        try:
            async with self._session.request(
                request.method,
                host.base_url + request.path,
                params=request.query,
                data=request.body,
                headers=request.headers,
                allow_redirects=False,
                ssl=ssl,
            ) as response:
                return Answer(response.status, response.headers, await response.read())
        finally:
            leave.reset(token)

    def _refusal(self, host: Host, request: Request, status: int, body: bytes, request_id: str | None) -> VenueError:
        wait = host.quota.refused(self._clock.now().timestamp()) if status == 429 else 0.0
        return refusal(request.subject, status, body, retry_after_seconds=wait, request_id=request_id)

    def _count(self, request: Request, status: int | None, seconds: float) -> None:
        self.requests[request.method, request.template or request.path, "none" if status is None else str(status)] += 1
        if self._on_request is not None:
            self._on_request(request.method, status, seconds)


class _Sent:
    """Whether the request of a call may have reached the venue; called before its first byte is written."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.is_out = False

    async def __call__(self) -> None:
        """Wait until the request may leave, and note that it does; what is raised here ends it unsent."""
        request = self.request
        if request.after is not None:
            await request.after()
        self.leave()

    def leave(self) -> None:
        """Note that the request leaves now, if it may."""
        request = self.request
        why_not = None if request.may_leave is None else request.may_leave()
        if why_not is not None:
            raise VenueUnavailable(f"{request.what}: it was withheld at the last moment: {why_not}; nothing was sent")
        self.is_out = True


def _broken(request: Request, error: Exception, sent: _Sent) -> VenueError:
    reason = str(error) or type(error).__name__
    if isinstance(error, aiohttp.ClientConnectorError):  # Its own text shows an object of the TLS library.
        reason = f"cannot connect to {error.host}:{error.port}: {error.strerror or type(error.os_error).__name__}"
    if sent.is_out:
        return unproven(request.subject, f"the connection broke: {reason}")
    return VenueUnavailable(f"{request.what}: the venue cannot be reached ({reason}); nothing was sent")


def _tcp_connector() -> aiohttp.BaseConnector:
    return aiohttp.TCPConnector(limit=_CONNECTIONS_AT_MOST, keepalive_timeout=_KEEP_ALIVE_SECONDS)
