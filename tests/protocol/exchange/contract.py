"""What a contract card is made of, and how one is played against a venue over real sockets.

A card is a list of steps. What an answer has to hold is given as a part of it: members that are named must be there with that value, others
are nobody's business. A text such as ``"{entry}"`` stands for what an earlier step saved under that name; :class:`Has` stands for a text
that holds another one, :data:`ANYTHING` for whatever is there, :data:`ABSENT` for a member that must not be there.

Steps that steer the market (:class:`Quote`, :class:`Forward`, :class:`Control`) need the control endpoints of our exchange; a card without
any may be played against a paper account as well.
"""

import re
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from aiohttp import ClientWebSocketResponse, WSMsgType

from alchemiser.exchange.server import ServerSettings
from alchemiser.exchange.settings import ExchangeSettings
from tests.protocol.exchange.harness import CREDENTIALS, HEADERS, Running, running

ANYTHING: Final = object()
ABSENT: Final = object()
USUAL_CORE: Final = ExchangeSettings()
USUAL_SERVER: Final = ServerSettings()
_NAME: Final = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Has:
    """A text that holds another one."""

    part: str


@dataclass(frozen=True)
class Call:
    """A REST request and what its answer has to be; ``save`` keeps the ``id`` of the answer under a name."""

    method: str
    path: str
    body: Any = None
    status: int = 200
    has: Any = None
    save: str | None = None
    headers: Mapping[str, str] | None = None
    answers: Mapping[str, Any] = field(default_factory=dict)
    """Headers of the answer."""
    raw: bytes | None = None


@dataclass(frozen=True)
class Quote:
    """The symbol has this quote from now on; with ``last`` it has traded there too."""

    symbol: str
    bid: float
    ask: float
    size: float = 1_000
    last: float | None = None


@dataclass(frozen=True)
class Forward:
    """Market time passes."""

    seconds: float


@dataclass(frozen=True)
class Control:
    """A request to the control endpoints."""

    path: str
    body: Any


@dataclass(frozen=True)
class Events:
    """What the order stream has said since it was last asked: the event, the saved name of its order, and parts of its data."""

    expected: tuple[Any, ...]


@dataclass(frozen=True)
class Connect:
    """A WebSocket is opened under a name."""

    path: str
    name: str = "s"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Say:
    """A frame is sent: an object as JSON text, a text or bytes as they are."""

    message: Any
    name: str = "s"


@dataclass(frozen=True)
class Hear:
    """The next frame holds this."""

    has: Any
    name: str = "s"


@dataclass(frozen=True)
class Closed:
    """The server has closed the connection."""

    name: str = "s"


Step = Call | Quote | Forward | Control | Events | Connect | Say | Hear | Closed


@dataclass(frozen=True)
class Card:
    """One case of the contract: its number, the section of the protocol reference that it cites, what it shows, and how."""

    number: int
    section: str
    title: str
    steps: tuple[Step, ...]
    core: ExchangeSettings = USUAL_CORE
    server: ServerSettings = USUAL_SERVER
    days: int = 1
    """Sessions that are played."""

    @property
    def name(self) -> str:
        """What a test report shows."""
        return f"{self.number:03d} {self.section} {self.title}"

    @property
    def needs_control(self) -> bool:
        """Whether only our exchange can play it."""
        return any(isinstance(step, Quote | Forward | Control) for step in self.steps)


async def play(card: Card) -> None:
    """Play a card against a fresh exchange. Raises ``AssertionError`` that names the step."""
    failure: AssertionError | None = None
    async with running(core_settings=card.core, settings=card.server, days=card.days) as exchange, AsyncExitStack() as stack:
        player = _Player(exchange, stack)
        if any(isinstance(step, Events) for step in card.steps):
            await player.listen()
        for place, step in enumerate(card.steps):
            try:
                await player.take(step)
            except AssertionError as error:
                # Raised outside of the exchange's task group, so that it is not wrapped.
                failure = AssertionError(f"card {card.name}, step {place} {step}: {error}")
                break
    if failure is not None:
        raise failure


class _Player:
    def __init__(self, exchange: Running, stack: AsyncExitStack) -> None:
        self._exchange = exchange
        self._stack = stack
        self._sockets: dict[str, ClientWebSocketResponse] = {}
        self._saved: dict[str, str] = {}

    async def listen(self) -> None:
        await self._connect(Connect("/stream", "orders"))
        for message in (
            {"action": "auth", "key": CREDENTIALS.key_id, "secret": CREDENTIALS.secret_key},
            {"action": "listen", "data": {"streams": ["trade_updates"]}},
        ):
            await self._sockets["orders"].send_json(message)
            await self._sockets["orders"].receive()

    async def take(self, step: Step) -> None:
        match step:
            case Call():
                await self._call(step)
            case Quote():
                await self._quote(step)
            case Forward():
                await self._exchange.forward(step.seconds)
            case Control():
                status, answer = await self._exchange.call("POST", f"/_exchange/{step.path}", self._filled(step.body))
                assert status == 200, answer
            case Events():
                await self._events(step)
            case Connect():
                await self._connect(step)
            case Say():
                await self._say(step)
            case Hear():
                check(await self._said(step.name), self._filled(step.has))
            case Closed():
                while (message := await self._sockets[step.name].receive()).type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    pass
                assert message.type in (WSMsgType.CLOSE, WSMsgType.CLOSED), message

    async def _quote(self, step: Quote) -> None:
        await self._exchange.quote(step.symbol, step.bid, step.ask, step.size)
        if step.last is not None:
            await self._exchange.call("POST", "/_exchange/trade", {"symbol": step.symbol, "price": step.last, "size": 1})

    async def _events(self, step: Events) -> None:
        for event, name, *parts in step.expected:
            data = (await self._said("orders"))["data"]
            assert data["order"]["id"] == self._saved[name], f"an event {data['event']} of another order than {name}"
            check(data, self._filled({"event": event, **(parts[0] if parts else {})}))

    async def _call(self, step: Call) -> None:
        url = self._exchange.address.rest + self._filled(step.path)
        headers = HEADERS if step.headers is None else step.headers
        body = {"data": step.raw} if step.raw is not None else {} if step.body is None else {"json": self._filled(step.body)}
        async with self._exchange.http.request(step.method, url, headers=headers, **body) as response:
            text = await response.read()
            assert response.status == step.status, f"answered {response.status} {text[:500]!r}, not {step.status}"
            check(dict(response.headers), dict(step.answers))
        answer: Any = msgspec.json.decode(text) if text else None
        if step.has is not None:
            check(answer, self._filled(step.has))
        if step.save is not None:
            self._saved[step.save] = answer["id"]
            for place, leg in enumerate(answer.get("legs") or ()):
                self._saved[f"{step.save}_leg{place}"] = leg["id"]

    async def _connect(self, step: Connect) -> None:
        self._sockets[step.name] = await self._stack.enter_async_context(self._exchange.stream(step.path, step.headers))

    async def _say(self, step: Say) -> None:
        socket = self._sockets[step.name]
        match step.message:
            case str() as text:
                await socket.send_str(text)
            case bytes() as data:
                await socket.send_bytes(data)
            case message:
                await socket.send_json(message)

    async def _said(self, name: str) -> Any:
        message = await self._sockets[name].receive(timeout=5)
        assert message.type in (WSMsgType.TEXT, WSMsgType.BINARY), message
        return msgspec.json.decode(message.data)

    def _filled(self, value: Any) -> Any:
        match value:
            case str():
                return _NAME.sub(lambda match: self._saved[match[1]], value)
            case dict():
                return {key: self._filled(member) for key, member in value.items()}
            case list():
                return [self._filled(member) for member in value]
        return value


def check(answer: Any, has: Any, where: str = "") -> None:
    """Raise ``AssertionError`` unless the answer holds what is named."""
    match has:
        case dict():
            assert isinstance(answer, dict), f"{where or 'the answer'} is {answer!r}, no object"
            for key, member in has.items():
                if member is ABSENT:
                    assert key not in answer, f"{where}{key} is there: {answer[key]!r}"
                else:
                    assert key in answer, f"{where}{key} is not in {answer!r}"
                    check(answer[key], member, f"{where}{key}.")
        case list():
            assert isinstance(answer, list), f"{where or 'the answer'} is {answer!r}, no list"
            assert len(answer) == len(has), f"{where or 'the answer'} has {len(answer)} members, not {len(has)}: {answer!r}"
            for place, (one, part) in enumerate(zip(answer, has, strict=True)):
                check(one, part, f"{where}{place}.")
        case Has():
            assert isinstance(answer, str), f"{where} is {answer!r}, no text"
            assert has.part in answer, f"{where} {answer!r} does not hold {has.part!r}"
        case _ if has is not ANYTHING:
            assert answer == has, f"{where or 'the answer'} is {answer!r}, not {has!r}"
