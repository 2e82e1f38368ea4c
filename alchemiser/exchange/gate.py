"""What every request passes before and after its handler: log, credentials, rate limit, planned faults, and errors as JSON.

The order is the real service's: a request without credentials costs no quota, and a refused one still carries the headers of an answer.
The trading and the data API are two services with a quota each. An error that no refusal stands for is reported to the loop, with all it
knows; the client gets the real service's 500, and its connection goes on.
"""

import asyncio
from collections.abc import Callable, MutableMapping
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Protocol

import msgspec
from aiohttp import web

from alchemiser.domain.errors import DataError
from alchemiser.domain.runtime import Clock
from alchemiser.exchange.access import Credentials, presented_pair
from alchemiser.exchange.calls import Answering, Call, Handler, Reply, reply, response_of
from alchemiser.exchange.errors import ApiError
from alchemiser.exchange.fault_menu import (
    DelayFault,
    HttpFault,
    RefuseOrder,
    RequestFault,
    SkewClock,
    SlowBodyFault,
    TimeoutAfterEffectFault,
    TimeoutFault,
)
from alchemiser.exchange.fault_refusals import REFUSALS
from alchemiser.exchange.faults import FaultBook
from alchemiser.exchange.http_forms import answer
from alchemiser.exchange.rate_limit import RateLimit
from alchemiser.exchange.traffic import TrafficLog
from alchemiser.exchange.wire import UNREADABLE
from alchemiser.market.calendar import NEW_YORK

_DATA_PATHS: Final = ("/v2/stocks", "/v1/", "/v1beta1/screener")

_REFUSALS: Final = (ApiError, OverflowError, DataError)

_ABSENT: Final = "\x00"
"""The value of a header that a fault takes away."""


class SymbolOfOrder(Protocol):
    """Tells of which symbol an order is."""

    def __call__(self, *, order_id: str | None, client_order_id: str | None) -> str | None:
        """Return the symbol of the order that one of two ids names, ``None`` when there is no such order."""


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
        data_rate_limit: RateLimit,
        stir: Callable[[datetime], None],
        symbol_of_order: SymbolOfOrder,
    ) -> None:
        """``symbol_of_order`` tells of which symbol an order is, for faults of one symbol."""
        self._credentials = credentials
        self._clock = clock
        self._faults = faults
        self._traffic = traffic
        self._rate_limit = rate_limit
        self._data_rate_limit = data_rate_limit
        self._stir = stir
        self._symbol_of_order = symbol_of_order
        self._stopping = asyncio.Event()
        self._requests = 0
        self._accepted: tuple[str, str] | None = None

    def stop(self) -> None:
        """Let go of every request that a fault is holding."""
        self._stopping.set()

    def answer_headers(self, path: str = "/v2/") -> dict[str, str]:
        """Return what every answer carries: an id of its own, and where the client stands with its quota."""
        self._requests += 1
        return {"X-Request-ID": f"{self._requests:032x}", **self._limit_of(path).headers(self._clock.now())}

    def guard(self, handler: Handler, *, is_trading: bool) -> Handler:
        """Return the handler behind the gate; ``is_trading`` ones make the market move by the second for a while."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            body = await request.read()
            now, path = self._clock.now(), _path_of(request)
            entry = self._traffic.request(now, request.method, request.path, request.query_string, body)
            response = await self._answer(request, path, body, handler, now, is_trading=is_trading)
            entry.status = response.status
            if not response.prepared:
                _complete(response.headers, self.answer_headers(path))
            return response

        return guarded

    def answer_at_once(
        self, call: Call, keys: tuple[str, str] | None, answering: Answering, *, is_trading: bool
    ) -> tuple[Reply, str] | None:
        """Return the answer to a request without aiohttp, and the lines of :meth:`answer_headers`.

        ``None``, and nothing has happened, while faults are planned. ``keys`` is the pair that the request presents.
        """
        if not self._faults.is_empty:
            return None
        now, limit = self._clock.now(), self._limit_of(call.path)
        entry = self._traffic.request(now, call.method, call.path, call.query_text, call.body)
        try:
            self._admit(keys, limit, now, is_trading=is_trading)
            found = answering(call)
        except _REFUSALS as error:
            found = _refused(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the exchange's own and not the client's
            found = _broken(error, call.method, call.path)
        entry.status = found.status
        self._requests += 1
        return found, f"X-Request-ID: {self._requests:032x}\r\n{limit.lines(now)}"

    def logged(self, handler: Handler) -> Handler:
        """Return the handler with nothing but the errors as JSON; for what is not part of Alpaca's protocol."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            try:
                return await handler(request)
            except ApiError as error:
                return response_of(_refused(error))

        return guarded

    async def _answer(
        self, request: web.Request, path: str, body: bytes, handler: Handler, now: datetime, *, is_trading: bool
    ) -> web.StreamResponse:
        try:
            self._admit(presented_pair(request.headers), self._limit_of(path), now, is_trading=is_trading)
            if self._faults.is_empty:
                return await handler(request)
            fault = self._faults.for_request(request.method, path, now, partial(self._names, request, body))
            return await (handler(request) if fault is None else self._with_fault(fault, request, handler))
        except _REFUSALS as error:
            return response_of(_refused(error))
        except (web.HTTPException, ConnectionError):
            raise
        except Exception as error:  # noqa: BLE001 - as above
            return response_of(_broken(error, request.method, path))

    def _admit(self, keys: tuple[str, str] | None, limit: RateLimit, now: datetime, *, is_trading: bool) -> None:
        """Let a request through to its handler, or raise the refusal."""
        if keys is None:
            raise ApiError(403, None, "forbidden.")
        if keys is not self._accepted:
            if not self._credentials.accept(*keys):
                raise ApiError(401, None, "unauthorized.")
            # The head of a plain request is remembered, so that the very same pair comes again and again.
            self._accepted = keys
        if not limit.take(now):
            is_of_trading = limit is self._rate_limit
            raise ApiError(429, 42910000, "rate limit exceeded") if is_of_trading else ApiError(429, None, "too many requests.")
        if is_trading:
            self._stir(now)

    def _limit_of(self, path: str) -> RateLimit:
        return self._data_rate_limit if path.startswith(_DATA_PATHS) else self._rate_limit

    def _names(self, request: web.Request, body: bytes, symbol: str) -> bool:
        """Return whether a request names a symbol: in its path, its query or its body, or by an order of it."""
        order = {"order_id": request.match_info.get("order_id"), "client_order_id": request.query.get("client_order_id")}
        asked = request.match_info.get("symbol"), *request.query.get("symbols", "").split(","), request.query.get("symbol")
        if symbol in asked or symbol == self._symbol_of_order(**order):
            return True
        try:
            fields = msgspec.json.decode(body or b"null")
        except UNREADABLE:
            return False
        return isinstance(fields, dict) and fields.get("symbol") == symbol

    async def _with_fault(self, fault: RequestFault, request: web.Request, handler: Handler) -> web.StreamResponse:
        match fault:
            case HttpFault():
                if fault.after_effect:
                    await handler(request)
                body = f'{{"message":"fault {fault.status}"}}' if fault.body is None else fault.body
                kind = "application/json" if fault.body is None or fault.body[:1] in "{[" else "text/html"
                headers = {name: _ABSENT if value is None else value for name, value in fault.headers.items()}
                return web.Response(status=fault.status, text=body, content_type=kind, headers=headers)
            case RefuseOrder():
                status, body_of_refusal = REFUSALS[fault.reason]
                return answer(body_of_refusal, status)
            case SkewClock():
                return _skewed(await handler(request), timedelta(seconds=fault.seconds))
            case SlowBodyFault():
                return await self._slowly(request, await handler(request), fault.seconds)
            case DelayFault():
                await self._wait(fault.seconds)
                return await handler(request)
            case TimeoutAfterEffectFault():
                await handler(request)
                return await self._never(request, fault.seconds)
            case TimeoutFault():
                return await self._never(request, fault.seconds)
        raise AssertionError(f"no face for the fault {fault}")

    async def _slowly(self, request: web.Request, response: web.StreamResponse, seconds: float) -> web.StreamResponse:
        """Send the head and the first half of an answer, and the second half after a while."""
        if not isinstance(response, web.Response) or not isinstance(response.body, bytes):
            return response
        body = response.body
        headers = {"Content-Type": response.headers["Content-Type"], "Content-Length": str(len(body))}
        slow = web.StreamResponse(status=response.status, headers={**headers, **self.answer_headers(_path_of(request))})
        await slow.prepare(request)
        await slow.write(body[: len(body) // 2])
        await self._wait(seconds)
        await slow.write(body[len(body) // 2 :])
        await slow.write_eof()
        return slow

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


def _skewed(response: web.StreamResponse, by: timedelta) -> web.StreamResponse:
    """Return an answer with another ``timestamp``."""
    fields = msgspec.json.decode(response.body) if isinstance(response, web.Response) and isinstance(response.body, bytes) else None
    if not isinstance(fields, dict) or "timestamp" not in fields:
        return response
    at = datetime.fromisoformat(fields["timestamp"]) + by
    return answer({**fields, "timestamp": at.astimezone(NEW_YORK).isoformat()}, response.status)


def _path_of(request: web.Request) -> str:
    """Return the path with the doubled slash of some clients made single."""
    path = request.path
    return "/" + path.lstrip("/") if path.startswith("//") else path


def _complete(headers: MutableMapping[str, str], more: dict[str, str]) -> None:
    """Add headers that are not there; one that a fault has taken away stays away."""
    for name, value in more.items():
        if headers.setdefault(name, value) == _ABSENT:
            del headers[name]


def error_answer(status: int, message: str) -> web.Response:
    """Return the JSON answer of something that no handler was found for."""
    return response_of(_refused(ApiError(status, {404: 40410000}.get(status), message)))


def _refused(error: ApiError | OverflowError | DataError) -> Reply:
    """Return the answer that an error of a handler stands for."""
    if isinstance(error, OverflowError):
        # A date that was read but that no calculation with dates can hold, such as the first day of year 1 in another zone.
        error = ApiError(400, None, "a value is out of range")
    elif isinstance(error, DataError):
        # The driver has it too, and ends the exchange with it when it matters; a client learns no more than from the real service.
        error = _internal_error()
    return reply(error.body(), error.status)


def _broken(error: Exception, method: str, path: str) -> Reply:
    """Report an error of the exchange itself, and return the answer to the client that met it."""
    asyncio.get_running_loop().call_exception_handler({"message": f"{method} {path} was answered with 500", "exception": error})
    return _refused(_internal_error())


def _internal_error() -> ApiError:
    return ApiError(500, 50010000, "internal server error")
