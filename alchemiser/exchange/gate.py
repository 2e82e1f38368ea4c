"""What every request passes before and after its handler: log, credentials, rate limit, planned faults, and errors as JSON.

The order is the real service's: a request without credentials costs no quota, and a refused one still carries the headers of an answer.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final

from aiohttp import web

from alchemiser.domain.errors import DataError
from alchemiser.domain.runtime import Clock
from alchemiser.exchange.access import Credentials, presented_pair
from alchemiser.exchange.errors import ApiError
from alchemiser.exchange.faults import DelayFault, FaultBook, HttpFault, RequestFault, TimeoutAfterEffectFault, TimeoutFault
from alchemiser.exchange.http_forms import refusal
from alchemiser.exchange.ticks import MINUTE, floor_to
from alchemiser.exchange.traffic import TrafficLog

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_DATA_PATHS: Final = ("/v2/stocks", "/v1/", "/v1beta1/screener")

_UNLIMITED: Final = 10_000
"""The limit that the headers name when there is none."""


class RateLimit:
    """Requests per market minute; without a limit nothing is refused, but the headers are there."""

    def __init__(self, per_minute: int | None) -> None:
        self._per_minute = per_minute
        self._minute: datetime | None = None
        self._used = 0

    def take(self, now: datetime) -> bool:
        """Count a request; return whether it is within the quota."""
        minute = floor_to(now, MINUTE)
        if minute != self._minute:
            self._minute, self._used = minute, 0
        self._used += 1
        return self._per_minute is None or self._used <= self._per_minute

    def headers(self, now: datetime) -> dict[str, str]:
        """Return the headers that tell a client where it stands; the reset is in seconds of the epoch, market time."""
        limit = self._per_minute or _UNLIMITED
        # Without a limit the remaining quota never reads zero: a careful client would wait for nothing.
        remaining = max(limit - self._used, 1 if self._per_minute is None else 0)
        reset = floor_to(now, MINUTE) + timedelta(minutes=1)
        return {
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(remaining),
            "X-RateLimit-Reset": str(int(reset.timestamp())),
        }


class Gate:
    """Wraps the handlers of both REST APIs."""

    def __init__(
        self,
        *,
        credentials: Credentials,
        clock: Clock,
        faults: FaultBook,
        traffic: TrafficLog,
        rate_limit: RateLimit,
        stir: Callable[[], None],
    ) -> None:
        self._credentials = credentials
        self._clock = clock
        self._faults = faults
        self._traffic = traffic
        self._rate_limit = rate_limit
        self._stir = stir
        self._stopping = asyncio.Event()
        self._requests = 0

    def stop(self) -> None:
        """Let go of every request that a fault is holding."""
        self._stopping.set()

    def guard(self, handler: Handler, *, is_trading: bool) -> Handler:
        """Return the handler behind the gate; ``is_trading`` ones make the market move by the second for a while."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            entry = self._traffic.request(self._clock.now(), request.method, request.path, request.query_string, await request.read())
            response = await self._answer(request, handler, is_trading=is_trading)
            entry["status"] = response.status
            self._requests += 1
            response.headers["X-Request-ID"] = f"{self._requests:032x}"
            response.headers.update(self._rate_limit.headers(self._clock.now()))
            return response

        return guarded

    def logged(self, handler: Handler) -> Handler:
        """Return the handler with nothing but the errors as JSON; for what is not part of Alpaca's protocol."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            try:
                return await handler(request)
            except ApiError as error:
                return refusal(error)

        return guarded

    async def _answer(self, request: web.Request, handler: Handler, *, is_trading: bool) -> web.StreamResponse:
        try:
            self._check(request)
            if is_trading:
                self._stir()
            fault = self._faults.for_request(request.method, _path_of(request), self._clock.now())
            return await (handler(request) if fault is None else self._with_fault(fault, request, handler))
        except ApiError as error:
            return refusal(error)
        except DataError:
            # The driver has it too, and ends the exchange with it when it matters; a client learns no more than from the real service.
            return refusal(ApiError(500, 50010000, "internal server error"))

    def _check(self, request: web.Request) -> None:
        presented = presented_pair(request.headers)
        if presented is None:
            raise ApiError(403, None, "forbidden.")
        if not self._credentials.accept(*presented):
            raise ApiError(401, None, "unauthorized.")
        if not self._rate_limit.take(self._clock.now()):
            is_trading = not _path_of(request).startswith(_DATA_PATHS)
            raise ApiError(429, 42910000, "rate limit exceeded") if is_trading else ApiError(429, None, "too many requests.")

    async def _with_fault(self, fault: RequestFault, request: web.Request, handler: Handler) -> web.StreamResponse:
        match fault:
            case HttpFault():
                if fault.after_effect:
                    await handler(request)
                body = f'{{"message":"fault {fault.status}"}}' if fault.body is None else fault.body
                kind = "application/json" if fault.body is None or fault.body[:1] in "{[" else "text/html"
                return web.Response(status=fault.status, text=body, content_type=kind, headers=fault.headers)
            case DelayFault():
                await self._wait(fault.seconds)
                return await handler(request)
            case TimeoutAfterEffectFault():
                await handler(request)
                return await self._never(request, fault.seconds)
            case TimeoutFault():
                return await self._never(request, fault.seconds)
        raise AssertionError(f"no face for the fault {fault}")

    async def _never(self, request: web.Request, seconds: float) -> web.StreamResponse:
        """Give no answer: hold the request, then cut its connection."""
        await self._wait(seconds)
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=504)

    async def _wait(self, seconds: float) -> None:
        """Wait seconds of the machine, or less when the exchange stops."""
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return


def _path_of(request: web.Request) -> str:
    """Return the path with the doubled slash of some clients made single."""
    return "/" + request.path.lstrip("/")


def error_answer(status: int, message: str) -> web.Response:
    """Return the JSON answer of something that no handler was found for."""
    return refusal(ApiError(status, {404: 40410000}.get(status), message))
