"""What can only be seen in the record of a run: not what was thrown at it, but what came of it on the wire and in the journal."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qs

from alchemiser.market.calendar import NEW_YORK
from tests.simulation.record import Record

Json = dict[str, Any]

CUT_OFF_BEFORE_CLOSE = timedelta(minutes=1)
_RESOLUTION = timedelta(milliseconds=1)
"""That of the time in the id of an event."""

HALF_DAY = timedelta(hours=4)


def frames(record: Record) -> list[Json]:
    """Return the order updates as they were sent, in their order."""
    return [one["data"]["data"] for one in record.log if _is_update(one)]


def _is_update(entry: Json) -> bool:
    if entry["kind"] != "frame" or entry["direction"] != "out" or entry["stream"] != "orders" or not isinstance(entry["data"], dict):
        return False
    return entry["data"].get("stream") == "trade_updates" and isinstance(entry["data"]["data"], dict)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def two_updates_had_one_stamp(record: Record) -> bool:
    """Return whether two updates said that they were at the same instant."""
    stamps = [update["timestamp"] for update in frames(record) if "timestamp" in update]
    return len(set(stamps)) < len(stamps)


def an_execution_came_before_its_answer(record: Record) -> bool:
    """Return whether an execution was known before the answer to its submit had come."""
    answers = [row for row in record.of("ExecutionReported") if row.event["report"].get("source") != "stream"]
    answered = {row.event["report"]["client_order_id"]: row.sequence for row in reversed(answers)}
    filled = ((row.event["fill"]["client_order_id"], row.sequence) for row in record.of("OrderFilled"))
    return any(sequence < answered.get(key, 0) for key, sequence in filled)


def an_execution_came_after_its_cancel(record: Record) -> bool:
    """Return whether the stream told of an execution of an order whose cancel had been asked for, or told, before."""
    cancelled: set[str] = set()
    for row in record.journal:
        if row.kind == "CancelRequested":
            cancelled.add(row.event["client_order_id"])
        elif row.kind == "ExecutionReported":
            report = row.event["report"]
            if report.get("event") in ("fill", "partial_fill") and report["client_order_id"] in cancelled and report["source"] == "stream":
                return True
            if report.get("event") == "canceled":
                cancelled.add(report["client_order_id"])
    return False


def a_replay_met_the_live_tail(record: Record) -> bool:
    """Return whether a replay was asked for events that the stream had told already, on its new connection."""
    told = [(_time(one["at"]), one["data"]["data"]) for one in record.log if _is_update(one)]
    for entry in record.log:
        if entry["kind"] != "request" or not entry["path"].endswith("/events/trades"):
            continue
        query, asked_at = parse_qs(entry["query"]), _time(entry["at"])
        since, until = _time(query["since"][0]), _time(query["until"][0])
        for at, update in told:
            if at <= asked_at and "timestamp" in update and since + _RESOLUTION < _time(update["timestamp"]) <= until:
                return True
    return False


def a_dividend_was_paid(record: Record) -> bool:
    """Return whether a dividend that was announced has been booked."""
    return any(row.event["treatment"] == "dividend" for row in record.of("ActivityBooked"))


def a_gap_lasted_over_midnight(record: Record) -> bool:
    """Return whether the order stream was lost on one day of UTC and back on another."""
    lost = None
    for row in record.journal:
        if row.kind not in ("StreamLost", "StreamConnected") or row.event["stream"] != "orders":
            continue
        if row.kind == "StreamLost":
            lost = lost or row.at.date()
        elif lost is not None and row.at.date() > lost:
            return True
        else:
            lost = None
    return False


def a_partial_fill_was_cancelled(record: Record) -> bool:
    """Return whether an order was filled in part and then cancelled."""
    return any(order["status"] == "canceled" and order["filled_qty"] not in ("0", None) for order in record.orders)


def a_half_day(record: Record) -> bool:
    """Return whether a session that ends early was decided."""
    half = [one for one in record.sessions if one.closes_at - one.opens_at < HALF_DAY]
    decided = [row.at for row in record.journal if row.kind in ("DecisionDue", "DecisionMissed")]
    return any(one.opens_at <= at <= one.closes_at for one in half for at in decided)


def clocks_changed(*, hours: int) -> Callable[[Record], bool]:
    """Return a sighting of two sessions between which New York's clocks were set by so many hours, both decided."""

    def seen(record: Record) -> bool:
        decided = [row.at for row in record.journal if row.kind in ("DecisionDue", "DecisionMissed")]
        offsets = [at.astimezone(NEW_YORK).utcoffset() for at in decided]
        return any(a is not None and b is not None and b - a == timedelta(hours=hours) for a, b in pairwise(offsets))

    return seen


def began_late(record: Record) -> bool:
    """Return whether the first daemon began two minutes before a close at the earliest, and said what became of the decision."""
    late = record.sessions[0].closes_at - record.lives[0].began <= timedelta(minutes=2)
    return late and bool(record.of("DecisionMissed") or record.of("DecisionDue"))


def passed_the_cut_off(record: Record) -> bool:
    """Return whether a rebalance was ended by a cut-off."""
    ends = [row.at for row in record.journal if row.kind in ("RebalanceCompleted", "RebalanceParked")]
    cut_offs = [one.closes_at - CUT_OFF_BEFORE_CLOSE for one in record.sessions]
    return any(timedelta(seconds=-1) <= at - cut_off <= CUT_OFF_BEFORE_CLOSE for cut_off in cut_offs for at in ends)
