"""What chance throws at a run: faults, pins, deeds and ends, alone and a dozen at once, drawn from one seed.

Pure: a seed and the sessions in, a :class:`Scenario` out. Nothing here knows what the daemon will do, only when it usually does it. What
chance may leave out for hundreds of seeds is in ``items``, which gives every seed one line of the menu for certain.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random

from alchemiser.domain.market import Session
from tests.simulation.faults import BODY_OF_A_PROXY, SYMBOLS, Deed, End, EndKind, Json, Pin, Scenario

DECISION_MINUTES = (10, 10, 10, 2)
"""How many minutes before the close a run may decide: mostly with time to spare, sometimes with the cut-off a minute away."""

TACTICS = ("ladder", "ladder", "ladder", "marketable_limit", "twap", "vwap", "moc", "loc")
AUCTIONS = ("moc", "loc")
BEFORE_AUCTION_MINUTES = 14
"""How many minutes before the close a run decides whose orders go into the closing auction: before its cut-off."""

BUSY_SECONDS = 45.0
"""How long after its decision a rebalance is usually at work: where faults do the most harm."""

SHAPES = ("zero", "one-sided", "locked", "crossed", "wide", "thin")
EVENTS = (
    "OrderIntended",
    "ExecutionReported",
    "OrderFilled",
    "FillBooked",
    "OrderClosed",
    "CancelRequested",
    "RebalancePlanned",
    "DecisionDue",
    "TargetProposed",
    "RebalanceCompleted",
    "RebalanceParked",
    "AccountObserved",
    "OrderOutcomeUnknown",
    "GapOpened",
    "RecoveryCompleted",
)


ONCE_A_DAY = frozenset({"RebalancePlanned", "DecisionDue", "RebalanceCompleted", "RebalanceParked", "GapOpened", "RecoveryCompleted"})
"""Events of which there is seldom a second one."""


def drawn(seed: int, sessions: tuple[Session, ...]) -> Scenario:
    """Return what the seed throws at these sessions: from nothing, in one of sixteen runs, to a dozen things at once."""
    random = Random(seed)
    strategies = {"rotation": "tests.simulation.traders:Rotation"}
    if random.random() < 0.4:
        strategies["small"] = "tests.simulation.traders:SmallRotation"
    days = sessions[: random.choice((1, 1, 2, 2, 3))]
    # From a source of its own: what a seed throws stays what it was before there were tactics.
    tactic = Random(f"tactic {seed}").choice(TACTICS)
    minutes = random.choice(DECISION_MINUTES)
    if tactic in AUCTIONS:
        minutes = BEFORE_AUCTION_MINUTES
    lead = timedelta(minutes=minutes)
    storm = random.choice((0, 1, 1, 2, 2, 3, 4, 6)) if seed % 16 else 0
    faults: list[Json] = []
    pins: list[Pin] = []
    mutes: list[tuple[str, datetime, datetime]] = []
    deeds: list[Deed] = []
    for _ in range(storm):
        draw = random.choice(_DRAWS)
        found = draw(random, moment(random, random.choice(days), lead))
        for one in found:
            if isinstance(one, Pin):
                pins.append(one)
            elif isinstance(one, Deed):
                deeds.append(one)
            elif isinstance(one, tuple):
                mutes.append(one)
            else:
                faults.append(one)
    ends: list[End] = []
    if seed % 16 and random.random() < 0.6:
        ends = [_end(random, random.choice(days), lead) for _ in range(random.choice((1, 1, 2, 3)))]
        ends.sort(key=lambda end: end.at or days[0].opens_at)
    return Scenario(
        seed=seed,
        sessions=days,
        strategies=strategies,
        faults=tuple(faults),
        pins=tuple(pins),
        mutes=tuple(mutes),
        ends=tuple(ends),
        deeds=tuple(deeds),
        settings={
            "schedule.decision": f"close - {minutes}m",
            "portfolio.fractional": random.random() < 0.7,
            "execution.fallback": random.choice(("market", "market", "park")),
            "execution.tactic": tactic,
        },
    )


def moment(random: Random, session: Session, lead: timedelta) -> datetime:
    """Return a moment near the decision, mostly while its orders are at work."""
    seconds = random.choice((random.uniform(-20, 5), random.uniform(0, 8), random.uniform(0, BUSY_SECONDS), random.uniform(0, 400)))
    return session.closes_at - lead + timedelta(seconds=seconds)


def _end(random: Random, session: Session, lead: timedelta) -> End:
    away = random.choice((0.2, 1.0, 5.0, 30.0, 120.0, 700.0))
    kind: EndKind = random.choice(("stop", "crash", "crash at event", "crash at commit", "crash before request", "crash after effect"))
    if kind in ("stop", "crash"):
        return End(kind, away, at=moment(random, session, lead))
    if kind in ("crash before request", "crash after effect"):
        return End(kind, away, event=random.choice(("submit", "submit", "cancel")), count=random.randint(1, 6))
    event = random.choice(EVENTS)
    return End(kind, away, event=event, count=1 if event in ONCE_A_DAY else random.randint(1, 6))


# --- the menu ---

Drawn = list[Json | Pin | Deed | tuple[str, datetime, datetime]]


def _request(random: Random, at: datetime) -> Json:
    """Return what a fault of a request has in common with the others."""
    method, path = random.choice(
        (
            ("POST", "/v2/orders"),
            ("POST", "/v2/orders"),
            ("DELETE", "/v2/orders"),
            ("GET", "/v2/orders"),
            ("GET", "/v2/orders:by_client_order_id"),
            ("GET", "/v2/account"),
            ("GET", "/v2/account/activities"),
            ("GET", "/v2/positions"),
            ("GET", "/v2/stocks"),
        )
    )
    return {"at": at.isoformat(), "method": method, "path": path, "times": random.choice((1, 1, 2, 4)), "skip": random.choice((0, 0, 1, 3))}


def _status(random: Random, at: datetime) -> Drawn:
    status = random.choice((500, 502, 503, 504, 429))
    fault = {**_request(random, at), "kind": "http", "status": status, "after_effect": status != 429 and random.random() < 0.5}
    if random.random() < 0.3 and status != 429:
        fault["body"] = random.choice((BODY_OF_A_PROXY, "", "{", "null"))
    if status == 429 and random.random() < 0.5:
        fault["headers"] = {"X-RateLimit-Remaining": "0"}
    return [fault]


def _executed_though_refused(random: Random, at: datetime) -> Drawn:
    body = '{"code": 40010001, "message": "client_order_id must be unique"}'
    wanted = {"kind": "http", "at": at.isoformat(), "method": "POST", "path": "/v2/orders", "status": 422, "body": body}
    return [{**wanted, "after_effect": True, "skip": random.choice((0, 1, 2))}]


def _refused(random: Random, at: datetime) -> Drawn:
    reason = random.choice(
        ("buying_power", "wash_trade", "held_for_orders", "not_fractionable", "day_trading", "sub_penny", "not_tradable")
    )
    return [
        {"kind": "refuse_order", "at": at.isoformat(), "reason": reason, "times": random.choice((1, 2, 3)), "skip": random.choice((0, 1))}
    ]


def _silence(random: Random, at: datetime) -> Drawn:
    kind = random.choice(("timeout", "timeout_after_effect", "timeout_after_effect"))
    return [{**_request(random, at), "kind": kind, "seconds": random.choice((3.0, 30.0))}]


def _slow(random: Random, at: datetime) -> Drawn:
    return [{**_request(random, at), "kind": random.choice(("delay", "slow_body")), "seconds": random.choice((0.2, 2.0, 6.0, 12.0))}]


def _empty_list(random: Random, at: datetime) -> Drawn:
    path = random.choice(("/v2/orders", "/v2/account/activities"))
    exact = {"kind": "http", "at": at.isoformat(), "method": "GET", "path": path, "status": 200, "body": "[]"}
    return [*_dropped(random, at), {**exact, "times": 1}]


def _not_found_yet(random: Random, at: datetime) -> Drawn:
    """The venue took an order, lost the answer, and does not find the order for a while."""
    lost = {"kind": "timeout_after_effect", "at": at.isoformat(), "method": "POST", "path": "/v2/orders", "seconds": 2.0}
    body = '{"code": 40410000, "message": "order not found"}'
    asked = {"kind": "http", "at": at.isoformat(), "method": "GET", "path": "/v2/orders:by_client_order_id", "status": 404, "body": body}
    return [lost, {**asked, "times": random.choice((1, 2, 3))}]


def _dropped(random: Random, at: datetime) -> Drawn:
    drop: Json = {"kind": "drop_stream", "stream": "orders", "at": at.isoformat()}
    code = random.choice((None, 1006, 1011, 1001))
    if code not in (None, 1006):
        drop["code"] = code
    faults: Drawn = [drop]
    if random.random() < 0.5:
        refuse = {"kind": "refuse_stream", "stream": "orders", "at": at.isoformat()}
        faults.append({**refuse, "status": random.choice((429, 503)), "times": random.choice((1, 2, 3))})
    return faults


def _market_dropped(random: Random, at: datetime) -> Drawn:
    return [{"kind": random.choice(("drop_stream", "half_open")), "stream": "market", "at": at.isoformat()}]


def _half_open(random: Random, at: datetime) -> Drawn:
    return [{"kind": "half_open", "stream": "orders", "at": at.isoformat()}]


def _updates(random: Random, at: datetime) -> Drawn:
    kind = random.choice(("lose_updates", "lose_updates", "duplicate_updates", "duplicate_updates", "reorder_updates"))
    # An order has two or three updates before its first fill: what is to strike fills strikes often.
    times = random.choice((10, 40)) if kind == "duplicate_updates" else random.choice((1, 3, 9))
    return [{"kind": kind, "at": at.isoformat(), "times": times, "skip": random.choice((0, 1, 3))}]


def _garbage(random: Random, at: datetime) -> Drawn:
    text = random.choice(
        (
            "null",
            "{",
            '{"stream": "trade_updates", "data": null}',
            '{"stream": "trade_updates", "data": {"event": "fill"}}',
            "\ufeff",
            "[]",
            '{"stream": "trade_updates", "data": {"event": "new", "order": 7}}',
        )
    )
    return [{"kind": "send_frame", "stream": random.choice(("orders", "orders", "market")), "text": text, "at": at.isoformat()}]


def _flipped(random: Random, at: datetime) -> Drawn:
    return [{"kind": "flip_opcode", "stream": "orders", "at": at.isoformat(), "times": random.choice((1, 3))}]


def _muted(random: Random, at: datetime) -> Drawn:
    stream = random.choice(("orders", "orders", "market"))
    return [(stream, at, at + timedelta(seconds=random.choice((5.0, 20.0, 90.0))))]


def _pinned(random: Random, at: datetime) -> Drawn:
    until = at + timedelta(seconds=random.choice((3.0, 15.0, 60.0, 400.0)))
    return [Pin(random.choice(SYMBOLS), random.choice(SHAPES), at, until)]


def _halted(random: Random, at: datetime) -> Drawn:
    symbol, until = random.choice(SYMBOLS), at + timedelta(seconds=random.choice((5.0, 30.0, 300.0)))
    return [
        {"kind": "halt", "symbol": symbol, "at": at.isoformat()},
        {"kind": "halt", "symbol": symbol, "halted": False, "at": until.isoformat()},
    ]


def _refused_to_know(random: Random, at: datetime) -> Drawn:
    """The market stream says that the limit of connections is reached, or that it does not know the key just now."""
    drop: Json = {"kind": "drop_stream", "stream": "market", "at": at.isoformat()}
    return [drop, {"kind": "refuse_auth", "stream": "market", "code": 406, "times": random.choice((1, 2, 4)), "at": at.isoformat()}]


def _storm(random: Random, at: datetime) -> Drawn:
    return [{"kind": "storm", "symbol": random.choice(SYMBOLS), "messages": random.choice((100, 2_000)), "at": at.isoformat()}]


def _misread(random: Random, at: datetime) -> Drawn:
    """A page that is none of the venue's."""
    body = random.choice(("<html><body>Sign in to the network</body></html>", "", "[]", "{}", "null"))
    request = _request(random, at)
    # An empty list of executions is not wrong by itself, and asked for often enough it is believed.
    return [{**request, "kind": "http", "status": 200, "body": body, "after_effect": random.random() < 0.5, "times": 1}]


def _host(random: Random, at: datetime) -> Drawn:
    kind = random.choice(("suspend", "slow disk", "full disk", "torn tail", "second copy", "step clock"))
    seconds = random.choice((-20.0, -2.0, 2.0, 20.0)) if kind == "step clock" else random.choice((7.0, 30.0, 90.0))
    return [Deed(kind, at, seconds)]


def _operator(random: Random, at: datetime) -> Drawn:
    return [Deed(random.choice(("halt", "pause")), at, random.choice((2.0, 30.0, 300.0)))]


def _slow_handler(random: Random, at: datetime) -> Drawn:
    return [Deed("slow handler", at, random.choice((1.0, 5.0)), random.choice(("history", "gap keeper", "rebalancer", "strategies")))]


_DRAWS: tuple[Callable[[Random, datetime], Drawn], ...] = (
    _status,
    _status,
    _status,
    _executed_though_refused,
    _refused,
    _silence,
    _silence,
    _slow,
    _empty_list,
    _not_found_yet,
    _dropped,
    _dropped,
    _market_dropped,
    _half_open,
    _updates,
    _updates,
    _updates,
    _garbage,
    _flipped,
    _muted,
    _pinned,
    _pinned,
    _halted,
    _refused_to_know,
    _storm,
    _misread,
    _host,
    _host,
    _host,
    _operator,
    _slow_handler,
)
