"""Every line of the menu of faults: how a seed is given it at a moment at which it does harm, and how it is seen that it happened.

Chance alone leaves rare things out. So every seed but each sixteenth is given one line of the menu for certain, in their order, on top of
what chance throws at it; one in three is given another. Whether it happened is judged from the record of the run, not from the plan.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from random import Random
from typing import Any

from alchemiser.domain.market import Session
from alchemiser.market.calendar import TradingCalendar
from tests.simulation.draws import BUSY_SECONDS, drawn
from tests.simulation.faults import BODY_OF_A_PROXY, SYMBOLS, Deed, End, Json, Pin, Scenario
from tests.simulation.record import Record
from tests.simulation.sightings import (
    a_dividend_was_paid,
    a_gap_lasted_over_midnight,
    a_half_day,
    a_partial_fill_was_cancelled,
    a_replay_met_the_live_tail,
    an_execution_came_after_its_cancel,
    an_execution_came_before_its_answer,
    began_late,
    clocks_changed,
    passed_the_cut_off,
    two_updates_had_one_stamp,
)
from tests.simulation.steps import STUCK_WITHIN

FIRST_SESSION = date(2025, 1, 2)
LONGEST_DAYS = 3

Draw = Callable[[Random, Scenario], Scenario]
Seen = Callable[[Record], bool]


@dataclass(frozen=True)
class Item:
    """One line of the menu; ``first`` is a day on which it can be seen, ``days`` how many it takes at least."""

    draw: Draw
    happened: Seen
    first: date = FIRST_SESSION
    days: int = 1


def scenario(seed: int) -> Scenario:
    """Return what a seed throws at a run."""
    chosen = items_of(seed)
    first = next((item.first for item in map(ITEMS.get, chosen) if item and item.first != FIRST_SESSION), FIRST_SESSION)
    days = max((ITEMS[name].days for name in chosen), default=1)
    sessions = TradingCalendar.new_york().sessions(first, first + timedelta(days=10))[:LONGEST_DAYS]
    one = drawn(seed, sessions)
    if len(one.sessions) < days:
        one = replace(one, sessions=sessions[:days])
    random = Random(f"items {seed}")
    for name in chosen:
        one = ITEMS[name].draw(random, one)
    return one


def items_of(seed: int) -> tuple[str, ...]:
    """Return the lines of the menu that a seed is given: one in their order, sometimes another; none for each sixteenth seed."""
    if seed % 16 == 0:
        return ()
    names, random = tuple(ITEMS), Random(f"line {seed}")
    own = names[(seed - seed // 16 - 1) % len(names)]
    other = random.choice(names)
    return (own, other) if random.random() < 0.3 and other != own else (own,)


def happened(record: Record) -> tuple[str, ...]:
    """Return the lines of the menu that are seen in a run, whoever brought them about."""
    return tuple(name for name, item in ITEMS.items() if item.happened(record))


# --- moments ---


def _decided(one: Scenario, session: Session) -> datetime:
    return session.closes_at - timedelta(minutes=int(str(one.settings["schedule.decision"]).split()[2].rstrip("m")))


def _busy(random: Random, one: Scenario) -> datetime:
    """Return a moment at which orders are most likely at work."""
    seconds = random.choice((random.uniform(-0.5, 1.0), random.uniform(0.0, 6.0), random.uniform(0.0, BUSY_SECONDS)))
    return _decided(one, one.sessions[0]) + timedelta(seconds=seconds)


def _early(random: Random, one: Scenario) -> datetime:
    """Return a moment just before the first orders leave."""
    return _decided(one, one.sessions[0]) - timedelta(seconds=random.uniform(0.0, 1.0))


# --- drawing ---


def _nothing(random: Random, one: Scenario) -> Scenario:
    return one


def _faults(*faults: Json, early: bool = False) -> Draw:
    """Return a draw of these faults, all at one moment."""

    def draw(random: Random, one: Scenario) -> Scenario:
        at = (_early if early else _busy)(random, one).isoformat()
        return replace(one, faults=(*one.faults, *({"at": at, **fault} for fault in faults)))

    return draw


def _orders(fault: Json) -> Draw:
    """Return a draw of a fault of one of the first submits."""

    def draw(random: Random, one: Scenario) -> Scenario:
        return _faults({"method": "POST", "path": "/v2/orders", **fault, "times": random.choice((1, 2))}, early=True)(random, one)

    return draw


def _requests(fault: Json) -> Draw:
    """Return a draw of a fault of requests that are certain to be made: a submit, or the questions of a start and of a gap."""

    def draw(random: Random, one: Scenario) -> Scenario:
        path = random.choice(("/v2/account", "/v2/positions", "/v2/orders"))
        request = {"method": "GET", "path": path, "times": random.choice((1, 3))}
        if random.random() < 0.5:
            return _orders(fault)(random, one)
        return _faults({**request, **fault}, DROP)(random, one)

    return draw


def _either(*draws: Draw) -> Draw:
    def draw(random: Random, one: Scenario) -> Scenario:
        return random.choice(draws)(random, one)

    return draw


def _deed(kind: str, *seconds: float) -> Draw:
    def draw(random: Random, one: Scenario) -> Scenario:
        return replace(one, deeds=(*one.deeds, Deed(kind, _busy(random, one), random.choice(seconds or (0.0,)))))

    return draw


def _overnight(*kinds: str) -> Draw:
    def draw(random: Random, one: Scenario) -> Scenario:
        night = one.sessions[0].closes_at + timedelta(hours=2)
        return replace(one, deeds=(*one.deeds, Deed(random.choice(kinds), night)))

    return draw


def _end(kind: Any, **particulars: Any) -> Draw:
    """Return a draw of an end of the first daemon, before all others."""

    def draw(random: Random, one: Scenario) -> Scenario:
        own = {name: value(random) if callable(value) else value for name, value in particulars.items()}
        at = None if "event" in own else _busy(random, one)
        return replace(one, ends=(End(kind, random.choice((0.2, 5.0, 120.0)), at=at, **own), *one.ends))

    return draw


def _of_the_first(random: Random) -> int:
    return random.randint(1, 4)


def _pins(shape: str, seconds: float, *others: Json) -> Draw:
    """Return a draw of such quotes for every symbol from before the decision on, and of faults with them."""

    def draw(random: Random, one: Scenario) -> Scenario:
        at = _decided(one, one.sessions[0])
        own = tuple(Pin(symbol, shape, at - timedelta(seconds=3), at + timedelta(seconds=seconds)) for symbol in SYMBOLS)
        more = ({"at": at.isoformat(), **fault} for fault in others)
        return replace(one, pins=(*one.pins, *own), faults=(*one.faults, *more))

    return draw


def _silent(random: Random, one: Scenario) -> Scenario:
    at = _busy(random, one)
    mute = (random.choice(("orders", "market")), at, at + timedelta(seconds=random.choice((20.0, 90.0))))
    return replace(one, mutes=(*one.mutes, mute))


def _busted(kind: str) -> Draw:
    def draw(random: Random, one: Scenario) -> Scenario:
        late = random.choice((5.0, 60.0, 900.0, 1_200.0, 86_400.0))
        by = {"by": random.choice(("0.05", "-0.03"))} if kind == "correct" else {}
        return _faults({"kind": kind, "seconds": late, "times": random.choice((1, 3)), **by}, early=True)(random, one)

    return draw


def _gone_at_night(random: Random, one: Scenario) -> Scenario:
    """The network goes away just before a close and comes back the next morning."""
    at, morning = one.sessions[0].closes_at - timedelta(seconds=2), one.sessions[1].opens_at - timedelta(minutes=40)
    away = Deed("network away", at, (morning - at).total_seconds())
    return replace(one, faults=(*one.faults, {"at": at.isoformat(), **DROP}), deeds=(*one.deeds, away))


def _overlap(random: Random, one: Scenario) -> Scenario:
    """The order stream is back some seconds before anybody asks what it has missed."""
    at = _decided(one, one.sessions[0]) + timedelta(seconds=random.uniform(0.5, 10.0))
    slow = Deed("slow handler", at - timedelta(seconds=30), random.choice((3.0, 6.0)), "gap keeper")
    return replace(one, faults=(*one.faults, {"at": at.isoformat(), **DROP}), deeds=(*one.deeds, slow))


def _network(random: Random, one: Scenario) -> Scenario:
    at = _busy(random, one)
    away = Deed("network away", at, random.choice((3.0, 20.0, 90.0)))
    return replace(one, faults=(*one.faults, {"at": at.isoformat(), **DROP}), deeds=(*one.deeds, away))


def _late_start(random: Random, one: Scenario) -> Scenario:
    return replace(one, minutes=2.0)


def _too_late(random: Random, one: Scenario) -> Scenario:
    """Every symbol is halted from a decision on that falls two minutes before the close."""
    one = replace(one, settings={**one.settings, "schedule.decision": "close - 2m", "execution.tactic": "ladder"})
    at = _decided(one, one.sessions[0]).isoformat()
    return replace(one, faults=(*one.faults, *({"kind": "halt", "symbol": symbol, "at": at} for symbol in SYMBOLS)))


def _halted(random: Random, one: Scenario) -> Scenario:
    at, symbol = _early(random, one), random.choice(SYMBOLS)
    until = at + timedelta(seconds=random.choice((30.0, 300.0)))
    halt = {"kind": "halt", "symbol": symbol}
    return replace(one, faults=(*one.faults, {**halt, "at": at.isoformat()}, {**halt, "halted": False, "at": until.isoformat()}))


def _stuck_handler(random: Random, one: Scenario) -> Scenario:
    """A handler hangs for half an hour. Where nothing goes on without it, the manager of services ends a daemon that feeds no watchdog."""
    name, is_needed = random.choice((("shortfall", False), ("asset list", False), ("strategies", True), ("rebalancer", True)))
    at = _decided(one, one.sessions[0])
    # What a list of assets is asked for comes when a daemon has started, the rest when a session is decided or over.
    first = End("stop", 5.0, at=at - timedelta(seconds=410))
    stuck = Deed("stuck handler", at - timedelta(seconds=400), 1_800.0, name)
    killed = End("crash", 5.0, at=at + STUCK_WITHIN + timedelta(seconds=random.choice((5.0, 30.0))))
    ends = ((first,) if name == "asset list" else ()) + ((killed,) if is_needed else ())
    return replace(one, deeds=(*one.deeds, stuck), ends=(*ends, *one.ends))


def _slow_handler(random: Random, one: Scenario) -> Scenario:
    name, before = random.choice((("strategies", 60.0), ("rebalancer", 60.0), ("execution", 5.0)))
    at = _decided(one, one.sessions[0]) - timedelta(seconds=before)
    return replace(one, deeds=(*one.deeds, Deed("slow handler", at, random.choice((1.0, 5.0)), name)))


# --- what was thrown and struck ---


def _struck(*beginnings: str) -> Seen:
    """Return whether something of which the kind begins like one of these has struck."""

    def seen(record: Record) -> bool:
        return any(kind.startswith(beginnings) for kind in record.struck)

    return seen


def _refusal(reason: str) -> Item:
    return Item(_faults({"kind": "refuse_order", "reason": reason, "times": 2}, early=True), _struck(f"refuse_order {reason}"))


STREAMS = ("orders", "market")
DROP: Json = {"kind": "drop_stream", "stream": "orders"}
_REFUSE: Json = {"kind": "refuse_stream", "stream": "orders"}
_NO_RESET = {"X-RateLimit-Reset": None, "X-RateLimit-Remaining": None, "X-RateLimit-Limit": None, "Retry-After": None}
_TAKEN = '{"code": 40010001, "message": "client_order_id must be unique"}'
_FORBIDDEN = '{"code": 40310000, "message": "forbidden for a reason of its own"}'
_WRONG_FORCE = '{"code": 42210000, "message": "fractional orders must be DAY orders"}'
_NOT_FOUND = '{"code": 40410000, "message": "order not found"}'
_LOST_SUBMIT: Json = {"kind": "timeout_after_effect", "method": "POST", "path": "/v2/orders", "seconds": 2.0}
_UNKNOWN: Json = {"kind": "http", "method": "GET", "path": "/v2/orders:by_client_order_id", "status": 404, "body": _NOT_FOUND, "times": 2}
_COMMENT = ": you are reading too slowly, dropped 7 messages\n\n"
_DROPPED: Json = {"kind": "http", "method": "GET", "path": "/v2/events/trades", "status": 200, "body": _COMMENT, "times": 2}
_SLOW_CANCEL: Json = {"kind": "delay", "method": "DELETE", "path": "/v2/orders", "seconds": 4.0, "times": 8}
_SWAPPED: Json = {"kind": "reorder_updates", "times": 60, "probability": 0.5}
_EMPTY: Json = {"kind": "http", "method": "GET", "path": "/v2/orders", "status": 200, "body": "[]"}
_SIGN_IN = "<html><body>Sign in to the network</body></html>"


def _frame(text: str) -> Draw:
    return _faults({"kind": "send_frame", "stream": "orders", "text": text})


def _storm(random: Random, one: Scenario) -> Scenario:
    return _faults({"kind": "storm", "symbol": random.choice(SYMBOLS), "messages": 10_000})(random, one)


ITEMS: Mapping[str, Item] = {
    # streams
    "connection refused": Item(_network, _struck("network away")),
    "stream refused with 503": Item(_faults(DROP, {**_REFUSE, "status": 503, "times": 3}), _struck("refuse_stream 503")),
    "authentication refused for good": Item(_faults(DROP, {"kind": "refuse_auth", "stream": "orders"}), _struck("refuse_auth orders")),
    "connection limit": Item(
        _either(
            _faults(DROP, {**_REFUSE, "status": 429, "times": 3}),
            _faults({**DROP, "stream": "market"}, {"kind": "refuse_auth", "stream": "market", "code": 406, "times": 2}),
        ),
        _struck("refuse_stream 429", "refuse_auth 406"),
    ),
    "silent but pinging": Item(_silent, _struck("mute ")),
    "half-open": Item(
        _either(_faults({"kind": "half_open", "stream": "orders"}), _faults({"kind": "half_open", "stream": "market"})),
        _struck("half_open"),
    ),
    "closed with 1006": Item(_faults(DROP), _struck("drop_stream 1006 orders")),
    "closed with 1011": Item(_faults({**DROP, "code": 1011}), _struck("drop_stream 1011 orders")),
    "truncated or null frame": Item(
        _either(_frame("null"), _frame('{"stream": "trade_updates", "data": {"event": "fi')), _struck("send_frame orders")
    ),
    "duplicate updates": Item(_faults({"kind": "duplicate_updates", "times": 40}, early=True), _struck("duplicate_updates")),
    "reordered updates": Item(_faults({"kind": "reorder_updates", "times": 9}, early=True), _struck("reorder_updates")),
    "lost updates": Item(_faults({"kind": "lose_updates", "times": 9, "skip": 2}, early=True), _struck("lose_updates")),
    "fill before its order is acknowledged": Item(
        _orders({"kind": "slow_body", "seconds": 3.0, "times": 4}), an_execution_came_before_its_answer
    ),
    "fill after a cancel": Item(_faults(_SLOW_CANCEL, _SWAPPED, early=True), an_execution_came_after_its_cancel),
    "late bust": Item(_busted("bust"), _struck("bust")),
    "late correction": Item(_busted("correct"), _struck("correct")),
    "gap across midnight": Item(_gone_at_night, a_gap_lasted_over_midnight, days=2),
    "storm of ten thousand messages": Item(_storm, _struck("storm 10000")),
    "binary instead of text": Item(_faults({"kind": "flip_opcode", "stream": "orders", "times": 3}, early=True), _struck("flip_opcode")),
    "comment that says messages were dropped": Item(
        _faults(DROP, {**_DROPPED, "body": ": you are reading too slowly, dropped 7 messages\n\n"}),
        _struck("http 200 GET /v2/events/trades"),
    ),
    "two events with one time stamp": Item(_nothing, two_updates_had_one_stamp),
    "replay that overlaps the live tail": Item(_overlap, a_replay_met_the_live_tail),
    # requests
    "timeout before the effect": Item(_requests({"kind": "timeout", "seconds": 12.0}), _struck("timeout GET", "timeout POST")),
    "timeout after the effect": Item(_orders({"kind": "timeout_after_effect", "seconds": 12.0}), _struck("timeout_after_effect POST")),
    "429 with a reset": Item(_orders({"kind": "http", "status": 429, "headers": {"X-RateLimit-Remaining": "0"}}), _struck("http 429 POST")),
    "429 without a reset": Item(_orders({"kind": "http", "status": 429, "headers": _NO_RESET}), _struck("http 429 POST bare")),
    "403": Item(_orders({"kind": "http", "status": 403, "body": _FORBIDDEN}), _struck("http 403 POST")),
    "422 though executed": Item(
        _orders({"kind": "http", "status": 422, "body": _TAKEN, "after_effect": True}), _struck("http 422 POST done")
    ),
    "5xx": Item(
        _either(*(_requests({"kind": "http", "status": status}) for status in (500, 503, 504))), _struck("http 500", "http 503", "http 504")
    ),
    "5xx though done": Item(
        _either(*(_orders({"kind": "http", "status": status, "after_effect": True}) for status in (500, 503, 504))),
        _struck("http 500 POST done", "http 503 POST done", "http 504 POST done"),
    ),
    "body of HTML": Item(
        _requests({"kind": "http", "status": 502, "body": BODY_OF_A_PROXY}), _struck("http 502 GET page", "http 502 POST page")
    ),
    "slow body": Item(_requests({"kind": "slow_body", "seconds": 12.0}), _struck("slow_body")),
    "wrong page": Item(
        _faults({"kind": "http", "method": "GET", "path": "/v2/positions", "status": 200, "body": _SIGN_IN}, DROP),
        _struck("http 200 GET /v2/positions"),
    ),
    "empty list for a while after a submit": Item(
        _faults(DROP, {"kind": "http", "method": "GET", "path": "/v2/orders", "status": 200, "body": "[]"}),
        _struck("http 200 GET /v2/orders"),
    ),
    "order not found for a while after its submit": Item(_faults(_LOST_SUBMIT, _UNKNOWN, early=True), _struck("http 404 GET")),
    # rules of the venue
    "partial fill, then cancel": Item(_pins("thin", 25.0), a_partial_fill_was_cancelled),
    "fraction with a forbidden time in force": Item(
        _orders({"kind": "http", "status": 422, "body": _WRONG_FORCE}), lambda record: "http 422 POST" in record.struck
    ),
    "wash trade": _refusal("wash_trade"),
    "day trade": _refusal("day_trading"),
    "not shortable": _refusal("not_shortable"),
    "insufficient buying power": _refusal("buying_power"),
    "held for orders": _refusal("held_for_orders"),
    "locked price increment": _refusal("sub_penny"),
    "not fractionable": _refusal("not_fractionable"),
    "not tradable": _refusal("not_tradable"),
    "blocked": _refusal("blocked"),
    "halted symbol": Item(_halted, _struck("halt ")),
    "split overnight": Item(_overnight("forward split", "reverse split"), _struck("forward split", "reverse split"), days=2),
    "rename overnight": Item(_overnight("rename"), _struck("rename"), days=2),
    "dividend overnight": Item(_overnight("dividend"), a_dividend_was_paid, days=2),
    # time
    "half day": Item(_nothing, a_half_day, first=date(2025, 7, 3), days=2),
    "summer time begins": Item(_nothing, clocks_changed(hours=1), first=date(2025, 3, 7), days=2),
    "summer time ends": Item(_nothing, clocks_changed(hours=-1), first=date(2025, 10, 31), days=2),
    "wall clock set on": Item(_deed("step clock", 2.0, 20.0), _struck("step clock on")),
    "wall clock set back": Item(_deed("step clock", -2.0, -20.0), _struck("step clock back")),
    "suspended host": Item(_deed("suspend", 7.0, 90.0, 700.0), _struck("suspend")),
    "slow start two minutes before the close": Item(_late_start, began_late),
    "cut-off passed during the wait": Item(_too_late, passed_the_cut_off),
    # the process
    "kill -9": Item(_end("crash"), _struck("crash")),
    "kill -9 before an order leaves at once": Item(
        _end("crash before request", event="submit at once", count=_of_the_first), _struck("crash before request submit at once")
    ),
    "kill -9 as an order has left at once": Item(
        _end("crash after request", event="submit at once", count=_of_the_first), _struck("crash after request submit at once")
    ),
    "SIGTERM": Item(_end("stop"), lambda record: "stop" in record.struck),
    "SIGTERM twice": Item(_end("stop twice", again_seconds=lambda random: random.choice((0.0, 0.001, 0.01))), _struck("stop twice")),
    "power failure": Item(
        _either(_end("power failure"), _end("power failure in commit", event="commit", count=lambda random: random.randint(2, 30))),
        _struck("power failure"),
    ),
    "disk full": Item(_deed("full disk", 7.0, 30.0), _struck("full disk")),
    "flush that takes five seconds": Item(_deed("slow disk", 7.0, 30.0), _struck("slow disk")),
    "torn tail of the journal": Item(_deed("torn tail"), lambda record: bool(record.of("JournalTailDropped"))),
    "second copy": Item(_deed("second copy"), _struck("second copy")),
    "old version of the journal": Item(_end("old journal"), _struck("old journal")),
    # inside
    "slow handler": Item(_slow_handler, _struck("slow handler")),
    "handler that hangs for half an hour": Item(_stuck_handler, _struck("stuck handler")),
    "halt by the operator": Item(_deed("halt", 30.0), _struck("halt")),
}
"""Every line of the menu by its name."""
