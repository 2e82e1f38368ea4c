"""The menu of faults as a table: for each line of it one seeded day, or two, with that fault alone, and how it is seen that it struck.

A fault that did not strike proves nothing. So each line says which kind the run has to report, and where that is not enough, what has to
be seen on the wire or in the journal.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from alchemiser.market.calendar import TradingCalendar
from tests.simulation.faults import BODY_OF_A_PROXY, SYMBOLS, Deed, End, Json, Pin, Scenario
from tests.simulation.record import Record
from tests.simulation.sightings import (
    a_gap_lasted_over_midnight,
    a_partial_fill_was_cancelled,
    a_replay_met_the_live_tail,
    an_execution_came_after_its_cancel,
    an_execution_came_before_its_answer,
    two_updates_had_one_stamp,
)

DECISION = timedelta(minutes=10)
Seen = Callable[[Record], bool]


@dataclass(frozen=True)
class Line:
    """One line of the menu: a scenario with one fault, how the kind begins that must be reported as struck, and what must be seen."""

    scenario: Scenario
    kind: str | None
    seen: Seen = lambda record: True


def day(seed: int = 3, *, first: date = date(2025, 1, 2), days: int = 1, **changes: Any) -> Scenario:
    """Return a scenario without faults from that day on; ``changes`` are those of its members."""
    sessions = TradingCalendar.new_york().sessions(first, first + timedelta(days=10))[:days]
    settings = {"schedule.decision": "close - 10m", **changes.pop("settings", {})}
    strategies = {"rotation": "tests.simulation.traders:Rotation", "small": "tests.simulation.traders:SmallRotation"}
    return Scenario(seed=seed, sessions=sessions, strategies=strategies, settings=settings, **changes)


def decided(scenario: Scenario, seconds: float = 0.0, *, number: int = 0) -> datetime:
    """Return a moment after the decision of one of the sessions."""
    return scenario.sessions[number].closes_at - DECISION + timedelta(seconds=seconds)


def _with_faults(*faults: Json, seconds: float = 0.5, seed: int = 3, **changes: Any) -> Scenario:
    """Return a day with faults of the exchange, each from so many seconds after the decision on unless it says when."""
    plain = day(seed, **changes)
    return replace(plain, faults=tuple({"at": decided(plain, seconds).isoformat(), **fault} for fault in faults))


def _lines() -> Iterator[tuple[str, Line]]:
    yield from _of_streams()
    yield from _of_requests()
    yield from _of_the_venue()
    yield from _of_issuers()
    yield from _of_time()
    yield from _of_the_process()


# --- streams ---

ORDERS: Json = {"stream": "orders"}
DROP: Json = {"kind": "drop_stream", **ORDERS}


def _of_streams() -> Iterator[tuple[str, Line]]:
    refuse: Json = {"kind": "refuse_stream", **ORDERS}
    yield "connection refused", Line(_with_faults(DROP, {**refuse, "status": 503, "times": 3}), "refuse_stream 503 orders")
    away = Deed("network away", decided(day(), 0.5), 20.0)
    yield "network away for a while", Line(_with_faults(DROP, deeds=(away,)), "network away")
    yield "key refused for good", Line(_with_faults(DROP, {"kind": "refuse_auth", **ORDERS}), "refuse_auth orders")
    yield "connection limit", Line(_with_faults(DROP, {**refuse, "status": 429, "times": 3}), "refuse_stream 429 orders")
    limit: Json = {"kind": "refuse_auth", "stream": "market", "code": 406, "times": 2}
    yield "connection limit after the handshake", Line(_with_faults({**DROP, "stream": "market"}, limit), "refuse_auth 406 market")
    for code in (None, 1001, 1011):
        drop, number = (DROP, 1006) if code is None else ({**DROP, "code": code}, code)
        yield (
            f"orders end with {code or 1006}",
            Line(_with_faults(drop, seconds=1.0), f"drop_stream {number} orders", _has("GapOpened")),
        )
        yield f"quotes end with {number}", Line(_with_faults({**drop, "stream": "market"}), f"drop_stream {number} market")
    for stream in ("orders", "market"):
        yield f"{stream} half-open", Line(_with_faults({"kind": "half_open", "stream": stream}), f"half_open {stream}")
        quiet = day()
        mute = (stream, decided(quiet, 0.2), decided(quiet, 60.0))
        yield f"{stream} silent but pinging", Line(replace(quiet, mutes=(mute,)), f"mute {stream}")
    frames = {
        "null": "null",
        "truncated": '{"stream": "trade_updates", "data": {"event": "fi',
        "empty": "",
        "without an order": '{"stream": "trade_updates", "data": {"event": "fill"}}',
        "of another shape": '{"stream": "trade_updates", "data": {"event": "new", "order": 7}}',
        "a list": "[]",
        "of an unknown stream": '{"stream": "weather", "data": {}}',
    }
    for name, text in frames.items():
        sent = {"kind": "send_frame", **ORDERS, "text": text}
        yield f"frame {name}", Line(_with_faults(sent, seconds=1.0), "send_frame orders")
    yield (
        "quote frame truncated",
        Line(_with_faults({"kind": "send_frame", "stream": "market", "text": '[{"T": "q", "S'}), "send_frame market"),
    )
    yield "binary instead of text", Line(_with_faults({"kind": "flip_opcode", **ORDERS, "times": 5}), "flip_opcode orders")
    for kind in ("duplicate_updates", "lose_updates", "reorder_updates"):
        yield kind.replace("_", " "), Line(_with_faults({"kind": kind, "times": 12, "skip": 2}, seconds=0.0), kind)
    slow: Json = {"kind": "slow_body", "method": "POST", "path": "/v2/orders", "seconds": 3.0, "times": 4}
    yield (
        "fill before its order is acknowledged",
        Line(_with_faults(slow, seconds=0.0), "slow_body", an_execution_came_before_its_answer),
    )
    cancels: Json = {"kind": "delay", **CANCEL, "seconds": 4.0, "times": 8}
    swapped: Json = {"kind": "reorder_updates", "times": 60, "probability": 0.5}
    yield "fill after a cancel", Line(_with_faults(cancels, swapped, seconds=0.0), "delay DELETE", an_execution_came_after_its_cancel)
    for kind, by in (("bust", {}), ("correct", {"by": "0.05"})):
        name = "execution taken back a minute later" if kind == "bust" else "execution corrected a minute later"
        late: Json = {"kind": kind, "seconds": 60.0, **by}
        yield name, Line(_with_faults(late, seconds=-1.0), kind)
    comment: Json = {"kind": "http", **REPLAY, "status": 200, "body": ": you are reading too slowly, dropped 7 messages\n\n", "times": 2}
    yield "comment that messages were dropped", Line(_with_faults(DROP, comment, seconds=2.0), "http 200 GET")
    held = Deed("slow handler", decided(day(), -30.0), 3.0, "gap keeper")
    overlaps = _with_faults(DROP, seconds=1.0, deeds=(held,))
    yield "replay that overlaps the live tail", Line(overlaps, "slow handler", a_replay_met_the_live_tail)
    yield "two updates with one time stamp", Line(day(), None, two_updates_had_one_stamp)
    storm: Json = {"kind": "storm", "symbol": SYMBOLS[0], "messages": 10_000}
    yield "storm of ten thousand quotes", Line(_with_faults(storm, seconds=2.0), "storm")
    night = day(days=2)
    closed = night.sessions[0].closes_at
    gone: tuple[Json, ...] = (
        {**DROP, "at": (closed - timedelta(seconds=2)).isoformat()},
        {**refuse, "status": 503, "times": 1900, "at": (closed - timedelta(seconds=2)).isoformat()},
    )
    yield "gap across midnight", Line(replace(night, faults=gone), "refuse_stream 503 orders", a_gap_lasted_over_midnight)


# --- requests ---

SUBMIT: Json = {"method": "POST", "path": "/v2/orders"}
CANCEL: Json = {"method": "DELETE", "path": "/v2/orders"}
ASK: Json = {"method": "GET", "path": "/v2/orders:by_client_order_id"}
LIST: Json = {"method": "GET", "path": "/v2/orders"}
FILLS: Json = {"method": "GET", "path": "/v2/account/activities"}
REPLAY: Json = {"method": "GET", "path": "/v2/events/trades"}
ACCOUNT: Json = {"method": "GET", "path": "/v2/account"}
POSITIONS: Json = {"method": "GET", "path": "/v2/positions"}


def _of_requests() -> Iterator[tuple[str, Line]]:
    for name, request in (("submit", SUBMIT), ("account", ACCOUNT), ("positions", POSITIONS), ("cancel", CANCEL)):
        method = request["method"]
        held = _works_long() if request is CANCEL else {}
        for kind in ("timeout", "timeout_after_effect", "delay", "slow_body"):
            fault = {"kind": kind, **request, "seconds": 12.0, "times": 2}
            seconds = -1.0 if request is not CANCEL else 0.0
            yield f"{name} {kind.replace('_', ' ')}", Line(_with_faults(fault, seconds=seconds, **held), f"{kind} {method}")
        for status in (500, 502, 503, 504):
            fault = {"kind": "http", **request, "status": status, "times": 2}
            if status == 502:
                fault["body"] = BODY_OF_A_PROXY
            yield f"{name} answered {status}", Line(_with_faults(fault, seconds=-1.0, **held), f"http {status} {method}")
            done = {**fault, "after_effect": True}
            if request in (SUBMIT, CANCEL):
                yield f"{name} done and answered {status}", Line(_with_faults(done, seconds=-1.0, **held), f"http {status} {method}")
    limited = {"kind": "http", **SUBMIT, "status": 429, "times": 3}
    yield "429 with a reset", Line(_with_faults({**limited, "headers": {"X-RateLimit-Remaining": "0"}}), "http 429 POST")
    bare = {"X-RateLimit-Reset": None, "X-RateLimit-Remaining": None, "X-RateLimit-Limit": None, "Retry-After": None}
    yield "429 without a reset", Line(_with_faults({**limited, "headers": bare}), "http 429 POST")
    refused = {"kind": "http", **SUBMIT, "status": 403, "body": '{"code": 40310000, "message": "forbidden for a reason of its own"}'}
    yield "403", Line(_with_faults(refused), "http 403 POST", _has("OrderRejected"))
    taken = '{"code": 40010001, "message": "client_order_id must be unique"}'
    executed = {"kind": "http", **SUBMIT, "status": 422, "body": taken, "after_effect": True, "times": 2}
    yield "422 though executed", Line(_with_faults(executed), "http 422 POST")
    page = {"kind": "http", "status": 200, "body": "<html><body>Sign in to the network</body></html>", "times": 2}
    for name, request in (("submit", SUBMIT), ("account", ACCOUNT), ("positions", POSITIONS)):
        wrong = _with_faults({**page, **request, "after_effect": request is SUBMIT}, seconds=-1.0)
        yield f"{name} answered with a wrong page", Line(wrong, f"http 200 {request['method']}")
    drop = {**DROP, "skip": 0}
    for name, request in (("orders", LIST), ("executions", FILLS)):
        empty = {"kind": "http", **request, "status": 200, "body": "[]"}
        yield f"list of {name} empty for a while", Line(_with_faults(drop, empty, seconds=2.0), "http 200 GET")
    lost = {"kind": "timeout_after_effect", **SUBMIT, "seconds": 2.0}
    unknown = {"kind": "http", **ASK, "status": 404, "body": '{"code": 40410000, "message": "order not found"}', "times": 2}
    yield "order not found for a while after its submit", Line(_with_faults(lost, unknown, seconds=0.0), "http 404 GET")


def _works_long() -> Json:
    """Return what makes orders work until they are cancelled: quotes so wide that nothing meets them in the middle."""
    quiet = day()
    pins = tuple(Pin(symbol, "wide", decided(quiet, -2.0), decided(quiet, 45.0)) for symbol in SYMBOLS)
    return {"pins": pins, "settings": {"execution.fallback": "park"}}


# --- the venue's rules ---

REASONS = (
    "buying_power",
    "wash_trade",
    "held_for_orders",
    "not_shortable",
    "not_fractionable",
    "day_trading",
    "sub_penny",
    "not_tradable",
    "blocked",
)


def _of_the_venue() -> Iterator[tuple[str, Line]]:
    for reason in REASONS:
        fault = {"kind": "refuse_order", "reason": reason, "times": 2}
        yield f"refused: {reason}", Line(_with_faults(fault), f"refuse_order {reason}", _has("OrderRejected"))
    body = '{"code": 42210000, "message": "fractional orders must be DAY orders"}'
    force = {"kind": "http", **SUBMIT, "status": 422, "body": body, "times": 2}
    yield "fraction with a forbidden time in force", Line(_with_faults(force), "http 422 POST", _has("OrderRejected"))
    for symbol in ("BBY", "CCZ"):
        fault = {"kind": "halt", "symbol": symbol}
        yield f"{symbol} halted until the close", Line(_with_faults(fault, seconds=-30.0), "halt")
    until: Json = {"kind": "halt", "symbol": "BBY", "halted": False, "at": decided(day(), 40.0).isoformat()}
    yield "BBY halted for a while", Line(_with_faults({"kind": "halt", "symbol": "BBY"}, until, seconds=0.5), "halt")
    yield "trading blocked", Line(_with_faults({"kind": "block", "trading": True}, seconds=1.0), "block")
    quiet = day()
    for shape in ("zero", "one-sided", "locked", "crossed", "wide", "thin"):
        pins = tuple(Pin(symbol, shape, decided(quiet, -3.0), decided(quiet, 25.0)) for symbol in SYMBOLS)
        seen = a_partial_fill_was_cancelled if shape == "thin" else _always
        name = "partial fill, then cancel" if shape == "thin" else f"quotes {shape}"
        yield name, Line(replace(quiet, pins=pins), f"pin {shape}", seen)


def _of_issuers() -> Iterator[tuple[str, Line]]:
    two = day(days=2)
    night = two.sessions[0].closes_at + timedelta(hours=2)
    for kind in ("forward split", "reverse split", "dividend", "rename", "spin-off", "merger"):
        yield f"{kind} overnight", Line(replace(two, deeds=(Deed(kind, night),)), kind, _has("ActivityBooked"))


# --- time ---


def _of_time() -> Iterator[tuple[str, Line]]:
    yield "half day", Line(day(first=date(2025, 7, 3), days=2), None, _closes_at(17))
    yield "summer time begins", Line(day(first=date(2025, 3, 7), days=2), None, _closes_at(21, 20))
    yield "summer time ends", Line(day(first=date(2025, 10, 31), days=2), None, _closes_at(20, 21))
    quiet = day()
    for seconds in (20.0, -20.0):
        for when in (-30.0, 3.0):
            step = Deed("step clock", decided(quiet, when), seconds)
            name = f"clock set {'on' if seconds > 0 else 'back'} {'before' if when < 0 else 'after'} the decision"
            yield name, Line(replace(quiet, deeds=(step,)), "step clock")
    for seconds in (30.0, 700.0):
        for when in (-20.0, 2.0):
            sleep = Deed("suspend", decided(quiet, when), seconds)
            yield f"host suspended for {seconds:.0f} s from {when:+.0f} s", Line(replace(quiet, deeds=(sleep,)), "suspend")
    yield "slow start two minutes before the close", Line(replace(quiet, minutes=2.0), None, _has("DecisionMissed", "DecisionDue"))
    late = day(settings={"schedule.decision": "close - 2m"})
    halts = tuple({"kind": "halt", "symbol": symbol, "at": (late.sessions[0].closes_at - DECISION).isoformat()} for symbol in SYMBOLS)
    yield "cut-off passed during the wait", Line(replace(late, faults=halts), "halt", _has("RebalanceParked", "RebalanceCompleted"))


# --- the process, its host and its operator ---


def _of_the_process() -> Iterator[tuple[str, Line]]:
    quiet = day()
    for seconds in (0.3, 3.0, 20.0):
        crash = End("crash", 5.0, at=decided(quiet, seconds))
        yield f"kill -9 {seconds} s after the decision", Line(replace(quiet, ends=(crash,)), "crash")
        stop = End("stop", 5.0, at=decided(quiet, seconds))
        yield f"stopped {seconds} s after the decision", Line(replace(quiet, ends=(stop,)), "stop")
        if seconds < 20.0:  # Later there is nothing left to do, and it is gone before anybody is impatient.
            twice = End("stop twice", 5.0, at=decided(quiet, seconds), again_seconds=0.001)
            yield f"stopped twice {seconds} s after the decision", Line(replace(quiet, ends=(twice,)), "stop twice")
        for kind in ("full disk", "slow disk", "torn tail", "second copy", "halt", "pause"):
            deed = Deed(kind, decided(quiet, seconds), 20.0)
            seen = _has("TradingStateChanged") if kind in ("halt", "pause") else _always
            yield f"{kind} {seconds} s after the decision", Line(replace(quiet, deeds=(deed,)), kind, seen)
    old = End("old journal", 5.0, at=decided(quiet, 3.0))
    yield "old version of the journal found by a start", Line(replace(quiet, ends=(old,)), "old journal")
    for handler, seconds in (("history", 30.0), ("strategies", 20.0), ("gap keeper", 20.0), ("rebalancer", 10.0)):
        slow = Deed("slow handler", decided(quiet, -300.0), seconds, handler)
        faults = ({**DROP, "at": decided(quiet, 1.0).isoformat()},) if handler == "gap keeper" else ()
        ends = (End("stop", 5.0, at=decided(quiet, -310.0)),) if handler == "history" else ()
        yield f"slow {handler}", Line(replace(quiet, deeds=(slow,), faults=faults, ends=ends), None)
    for handler in ("shortfall", "asset list"):
        stuck = Deed("stuck handler", decided(quiet, -400.0), 1_500.0, handler)
        ends = (End("stop", 5.0, at=decided(quiet, -410.0)),) if handler == "asset list" else ()
        yield f"{handler} stuck", Line(replace(quiet, deeds=(stuck,), ends=ends), "stuck handler", _noticed)


# --- what must be seen ---


def _noticed(record: Record) -> bool:
    """Return whether health said that the daemon was not live while a handler was stuck, and had said that it was."""
    return {sample.live for sample in record.samples} == {True, False} and bool(record.stuck) and bool(record.feeds)


def _always(record: Record) -> bool:
    return True


def _has(*kinds: str) -> Seen:
    def seen(record: Record) -> bool:
        return any(record.of(kind) for kind in kinds)

    return seen


def _closes_at(*hours: int) -> Seen:
    """Return whether the sessions close at these hours of UTC, and each was decided ten minutes before."""

    def seen(record: Record) -> bool:
        decisions = [row.at.replace(microsecond=0) for row in record.of("DecisionDue")]
        expected = [session.closes_at - DECISION for session in record.sessions]
        return decisions == expected and [session.closes_at.hour for session in record.sessions][: len(hours)] == list(hours)

    return seen


MENU: dict[str, Line] = dict(_lines())
"""Every line of the menu by its name."""
