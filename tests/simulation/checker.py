"""The referee: what must hold of a run, judged from the exchange's own record and the rows of the journal as plain JSON.

It shares no code with the daemon: no event types, no ledger, no order states. It counts again, from what was said on the wire and what
was written down, and returns each rule that was broken in words.
"""

import itertools
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.simulation.record import Record, Row, SessionHours
from tests.simulation.steps import SHUT_AT_START, STEP_RULES, account_moved, cash_moved, holdings_of, shut_after

Json = dict[str, Any]

ZERO = Decimal(0)
CUT_OFF_BEFORE_CLOSE = timedelta(minutes=1)
INTENT_SECONDS = 180.0
"""How long an intent may be worked."""

WINDOW_SECONDS = 240.0
"""Over how long slices are spread."""

SLICED = frozenset({"twap", "vwap"})
AUCTIONED = frozenset({"moc", "loc"})

GRACE_SECONDS = 60.0
"""How long the end of a rebalance may take after its deadline: the last cancels are confirmed, or given up on."""

IN_TRANSIT_SECONDS = 0.05
"""How long a request may be on its way while the gate closes behind it."""

CASH_TO_SPARE = Decimal("1.1")
"""So many times what an intent costs at its reference price pays for it whatever the market does meanwhile."""

CASH_KEPT = Decimal("0.05")
"""What part of the opening cash may be kept in reserve, or be in doubt."""

OPEN_AT_EXCHANGE = frozenset({"new", "accepted", "pending_new", "partially_filled", "pending_cancel", "pending_replace", "held"})


def broken_rules(record: Record) -> list[str]:
    """Return every rule that the run broke, in words; none when all was well."""
    return [f"{rule.__name__.lstrip('_')}: {found}" for rule in (*RULES, *STEP_RULES) for found in rule(record)]


# --- helpers of the referee ---


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _parts(client_order_id: str) -> tuple[str, str] | None:
    """Return rebalance and intent of one of the daemon's ids, by its shape: epoch-rebalance-intent-attempt."""
    parts = client_order_id.split("-")
    return (parts[1], parts[2]) if len(parts) == 4 else None


def _ended_at(order: Json) -> datetime | None:
    moments = [order[name] for name in ("filled_at", "canceled_at", "expired_at", "failed_at", "replaced_at") if order.get(name)]
    return min(map(_time, moments)) if moments and order["status"] not in OPEN_AT_EXCHANGE else None


def _begins_at(order: Json, orders: dict[str, Json]) -> datetime:
    """Return from when an order may trade; one that takes the place of another may when that one has ended, whatever the venue calls it."""
    created, before = _time(order["created_at"]), orders.get(order.get("replaces") or "")
    ended = None if before is None else _ended_at(before)
    return created if ended is None else max(created, ended)


def _replacements(record: Record) -> list[Json]:
    return [entry for entry in record.log if entry["kind"] == "request" and entry["method"] == "PATCH"]


def _posts(record: Record) -> list[Json]:
    return [
        entry
        for entry in record.log
        if entry["kind"] == "request" and entry["method"] == "POST" and entry["path"].lstrip("/") == "v2/orders"
    ]


def _executions(record: Record) -> dict[str, list[tuple[Decimal, Decimal]]]:
    """Return the exchange's fills as pairs of shares and price, by client order id."""
    ids = {order["id"]: order["client_order_id"] for order in record.orders}
    fills: dict[str, list[tuple[Decimal, Decimal]]] = defaultdict(list)
    for activity in record.activities:
        fills[ids[activity["order_id"]]].append((Decimal(activity["qty"]), Decimal(activity["price"])))
    return fills


# --- the rules ---


def _every_daemon_ends_in_order(record: Record) -> Iterator[str]:
    for number, life in enumerate(record.lives):
        if life.hung:
            yield f"daemon {number} hangs: begun {life.began}, still there {life.ended}"
        if life.error is not None and (life.started or life.is_last):
            yield f"daemon {number} ended by {life.error}"


def _no_handler_fails(record: Record) -> Iterator[str]:
    for row in record.of("HandlerFailed"):
        yield f"{row.event['handler']} on {row.event['event_type']}: {row.event['error']}"


def _each_execution_is_booked_once(record: Record) -> Iterator[str]:
    filled = Counter(row.event["fill"]["execution_id"] for row in record.of("OrderFilled"))
    booked = Counter(row.event["execution_id"] for row in record.of("FillBooked"))
    broken = {row.event["fill"]["execution_id"] for row in record.of("FillBroken")}
    for execution in sorted(filled | booked):
        # What the venue took back before its turn came is booked to nobody.
        if filled[execution] != 1 or (booked[execution] != 1 and not (execution in broken and booked[execution] == 0)):
            yield f"execution {execution} was announced {filled[execution]} times and booked {booked[execution]} times"
    for row in record.of("FillBooked"):
        fill = next((other.event["fill"] for other in record.of("OrderFilled") if _same(other, row)), None)
        parts = sum((abs(Decimal(entry["quantity"])) for entry in row.event["entries"]), ZERO)
        if fill is not None and parts != Decimal(fill["quantity"]):
            yield f"execution {row.event['execution_id']} of {fill['quantity']} was booked as {parts}"


def _same(filled: Row, booked: Row) -> bool:
    return bool(filled.event["fill"]["execution_id"] == booked.event["execution_id"])


def _all_fills_of_the_exchange_are_known(record: Record) -> Iterator[str]:
    theirs = _executions(record)
    ours: dict[str, list[tuple[Decimal, Decimal]]] = defaultdict(list)
    for row in record.of("OrderFilled"):
        fill = row.event["fill"]
        ours[fill["client_order_id"]].append((Decimal(fill["quantity"]), Decimal(fill["price"])))
    for row in record.of("FillBroken"):
        fill = row.event["fill"]
        ours[fill["client_order_id"]].append((-Decimal(fill["quantity"]), Decimal(fill["price"])))
    for key in sorted({*theirs, *ours}):
        # One that was corrected before anybody heard of it, for its message was lost, was never there.
        if _standing(theirs.get(key, [])) != _standing(ours.get(key, [])):
            yield f"order {key}: the exchange executed {_words(theirs.get(key, []))}, the daemon knows {_words(ours.get(key, []))}"


def _standing(fills: list[tuple[Decimal, Decimal]]) -> list[tuple[Decimal, Decimal]]:
    """Return the executions without those that were taken back, and what was taken back of others."""
    left = sorted(fill for fill in fills if fill[0] > 0)
    for quantity, price in sorted(fill for fill in fills if fill[0] <= 0):
        if (-quantity, price) in left:
            left.remove((-quantity, price))
        else:
            left.append((quantity, price))
    return left


def _words(fills: list[tuple[Decimal, Decimal]]) -> str:
    return " + ".join(f"{quantity:f}@{price:f}" for quantity, price in sorted(fills)) or "nothing"


def _at_most_one_live_order_per_intent(record: Record) -> Iterator[str]:
    by_intent: dict[tuple[str, str], list[Json]] = defaultdict(list)
    ids = {order["id"]: order for order in record.orders}
    for order in record.orders:
        intent = _parts(order["client_order_id"])
        if intent is None:
            yield f"the exchange has an order with the foreign id {order['client_order_id']}"
        else:
            by_intent[intent].append(order)
    for orders in by_intent.values():
        orders.sort(key=lambda order: _time(order["created_at"]))
        for earlier, later in itertools.pairwise(order for order in orders if order["status"] != "rejected"):
            ended, begins = _ended_at(earlier), _begins_at(later, ids)
            if ended is None or ended > begins:
                yield f"{later['client_order_id']} was live at {begins} beside {earlier['client_order_id']}, ended {ended}"


def _an_intent_is_never_overfilled(record: Record) -> Iterator[str]:
    wanted = {
        (row.event["rebalance_id"], intent["intent_id"]): Decimal(intent["quantity"])
        for row in record.of("RebalancePlanned")
        for intent in row.event["intents"]
    }
    got: dict[tuple[str, str], Decimal] = defaultdict(lambda: ZERO)
    for key, fills in _executions(record).items():
        intent = _parts(key)
        if intent is not None:
            got[intent] += sum((quantity for quantity, _ in fills), ZERO)
    for intent, quantity in sorted(got.items()):
        if quantity > wanted.get(intent, ZERO):
            yield f"{quantity} of {intent} were executed where {wanted.get(intent, ZERO)} were wanted"


def _an_id_has_one_body(record: Record) -> Iterator[str]:
    bodies: dict[str, str] = {}
    for post in _posts(record):
        body = json.dumps(post["body"], sort_keys=True)
        key = post["body"]["client_order_id"]
        if bodies.setdefault(key, body) != body:
            yield f"{key} was sent as {bodies[key]} and as {body}"


def _no_submit_is_repeated_blindly(record: Record) -> Iterator[str]:
    """Between two submits of one id the venue must have proved that the first did nothing: by a 429, or by not finding the order."""
    proved: dict[str, bool] = {}
    for entry in record.log:
        if entry["kind"] != "request":
            continue
        if entry["method"] == "POST" and entry["path"].lstrip("/") == "v2/orders":
            key = entry["body"]["client_order_id"]
            if not proved.get(key, True):
                yield f"{key} was sent again at {entry['at']} although nobody knew what had become of it"
            proved[key] = entry["status"] == 429
        elif entry["path"].endswith("by_client_order_id") and entry["status"] == 404:
            key = entry["query"].partition("client_order_id=")[2].partition("&")[0]
            proved[key] = True


def _what_is_sent_was_written_down(record: Record) -> Iterator[str]:
    intended = {row.event["order"]["client_order_id"]: row.event["order"] for row in record.of("OrderIntended")}
    presumed = {row.event["order"]["client_order_id"] for row in record.of("OrderIntended") if row.event.get("is_presumed")}
    for post in (*_posts(record), *_replacements(record)):
        key = post["body"]["client_order_id"]
        if key not in intended:
            yield f"{key} was sent and the journal does not know it"
        elif Decimal(post["body"]["qty"]) != Decimal(intended[key]["quantity"]) and key not in presumed:
            yield f"{key} was sent for {post['body']['qty']}, written down as {intended[key]['quantity']}"
        elif Decimal(post["body"]["qty"]) > Decimal(intended[key]["quantity"]):
            yield f"{key} was sent for {post['body']['qty']}, written down for at most {intended[key]['quantity']}"


def _what_arrives_is_on_the_disk(record: Record) -> Iterator[str]:
    """When a request arrives, its order is durable: as it was intended, or written ahead for this symbol and side and as many shares.

    One that takes the place of another has to be intended: what is written ahead does not name the other one.
    """
    for arrival in record.arrivals:
        body = arrival.body
        key = body["client_order_id"]
        if _is_of_a_kill(body):
            continue  # It waits for no journal; it is in kill.json, on the disk, before it leaves, as its own tests show.
        wanted = body.get("symbol"), body.get("side"), Decimal(body["qty"])
        as_intended = [row.event["order"] for row in arrival.written if row.kind == "OrderIntended" and not row.event.get("is_presumed")]
        ahead = [row for row in arrival.written if row.kind == "OrderPrepared" and row.event["client_order_id"] == key]
        if arrival.written and arrival.written[-1].kind == "OrderUnprepared":  # A later start may write it ahead anew: it was never sent.
            yield f"{key} arrived although it was withdrawn"
        bodies = [(order["symbol"], order["side"], Decimal(order["quantity"])) for order in as_intended if order["client_order_id"] == key]
        if arrival.method == "PATCH":
            if wanted[2] not in [quantity for _, _, quantity in bodies]:
                yield f"{key} took the place of another and was on the disk as {bodies}"
        elif wanted not in bodies and not any(_covers(row.event, *wanted) for row in ahead):
            yield f"{key} arrived as {wanted} and was on the disk as {bodies}, ahead as {[row.event for row in ahead]}"


def _covers(ahead: Json, symbol: str | None, side: str | None, quantity: Decimal) -> bool:
    return (ahead["symbol"], ahead["side"]) == (symbol, side) and quantity <= Decimal(ahead["quantity"])


def _what_was_durable_is_there(record: Record) -> Iterator[str]:
    """No daemon finds that events are gone which the one before it had been told were durable."""
    for row in record.of("JournalTailDropped"):
        if row.event["promised_event"] is not None:
            yield f"event {row.sequence}: {row.event['reason']}"


def _nothing_is_sent_while_the_gate_is_closed(record: Record) -> Iterator[str]:
    spans = list(_gate_open(record))
    for post in (*_posts(record), *_replacements(record)):
        at = _time(post["at"])
        if _is_of_a_kill(post["body"]) and post["body"]["side"] == "sell":
            continue  # The kill switch asks no gate: that is what it is for.
        slack = timedelta(seconds=IN_TRANSIT_SECONDS + record.clock_error_seconds)
        if not any(begin - timedelta(seconds=record.clock_error_seconds) <= at <= (end or at) + slack for begin, end in spans):
            yield f"{post['body']['client_order_id']} was sent at {at}, while the gate was closed"
        session = next((one for one in record.sessions if one.opens_at <= at <= one.closes_at), None)
        if session is None or at > session.closes_at - CUT_OFF_BEFORE_CLOSE + slack:
            yield f"{post['body']['client_order_id']} was sent at {at}, outside of the session or after its cut-off"


def _a_gap_closes_after_a_comparison(record: Record) -> Iterator[str]:
    """What a gap or a restart hid is asked for and applied before either is said to be over, and on a connection that still stands."""
    asks = has_compared = False
    for row in record.journal:
        if row.kind in ("DaemonStarted", "GapOpened") or (row.kind == "StreamLost" and row.event["stream"] == "orders"):
            asks = has_compared = False
        elif row.kind == "ReconciliationStarted":
            asks = True
        elif row.kind == "Reconciled":
            has_compared = asks
        elif row.kind in ("GapClosed", "RecoveryCompleted") and not has_compared:
            yield f"event {row.sequence}: {row.kind} at {row.at}, and nothing had been compared since it began"


def _is_of_a_kill(body: dict[str, Any]) -> bool:
    """Whether an order is one of the kill switch: its rebalances have numbers that no decision has."""
    return re.search(r"-\d{8}\.9\d{3}-", body["client_order_id"]) is not None


def _gate_open(record: Record) -> Iterator[tuple[datetime, datetime | None]]:
    """Yield from when to when the gate was open, as the journal tells it; a killed daemon's gate is closed by its death."""
    shut = set(SHUT_AT_START)
    opened: datetime | None = None
    deaths = sorted(life.ended for life in record.lives)
    # Deaths are told in true time. By a clock that is wrong a gate may seem to open before the death of the daemon that went before.
    slack = timedelta(seconds=record.clock_error_seconds)
    for row in record.journal:
        before, shut = shut, shut_after(row, shut)
        if before and not shut:
            opened = row.at
        elif not before and shut and opened is not None:
            # The daemon that opened it may have been killed long before the next one wrote anything.
            yield opened, min([row.at, *(death for death in deaths if death > opened + slack)])
            opened = None
    if opened is not None:
        yield opened, min((death for death in deaths if death > opened + slack), default=None)


def _buys_stay_within_cash(record: Record) -> Iterator[str]:
    """At the creation of a buy, what the open buys may still take must be there."""
    ids = {order["id"]: order for order in record.orders}
    fills = [(_time(one["transaction_time"]), one["order_id"], Decimal(one["qty"]), Decimal(one["price"])) for one in record.activities]
    for order in record.orders:
        if order["side"] != "buy":
            continue
        at = _begins_at(order, ids)
        cash, taken = Decimal(record.opening_cash), ZERO
        cash += sum((Decimal(row["net_amount"]) for row in record.changes if _time(row["created_at"]) <= at), ZERO)
        done: dict[str, Decimal] = defaultdict(lambda: ZERO)
        for moment, order_id, quantity, price in fills:
            if moment > at:
                continue
            done[order_id] += quantity
            cash -= quantity * price if ids[order_id]["side"] == "buy" else -quantity * price
        for other in record.orders:
            ended = _ended_at(other)
            if other["side"] == "buy" and _begins_at(other, ids) <= at and (ended is None or ended > at) and other["limit_price"]:
                taken += (Decimal(other["qty"]) - done[other["id"]]) * Decimal(other["limit_price"])
        if taken > cash:
            yield f"with {order['client_order_id']} at {at} the open buys may take {taken} of {cash} in cash"
    if Decimal(record.account["cash"]) < 0 and not record.of("FillBroken"):
        yield f"the account ends with {record.account['cash']} in cash"


def _no_strategy_sells_what_it_does_not_hold(record: Record) -> Iterator[str]:
    broken = {row.event["fill"]["symbol"] for row in record.of("FillBroken")}
    for sequence, strategy, symbol, quantity in holdings_of(record):
        if quantity < 0 and symbol not in broken:
            yield f"event {sequence} leaves strategy {strategy} with {quantity} {symbol}"
    for position in record.positions:
        if Decimal(position["qty"]) < 0 and position["symbol"] not in broken:
            yield f"the account is short of {position['qty']} {position['symbol']}"


def _no_strategy_gets_more_than_it_wished(record: Record) -> Iterator[str]:
    """Of what was executed for an intent each strategy is booked its own wish at most."""
    wishes = {
        (row.event["rebalance_id"], intent["intent_id"], wish["strategy"]): Decimal(wish["quantity"])
        for row in record.of("RebalancePlanned")
        for intent in row.event["intents"]
        for wish in intent["wishes"]
    }
    orders = {row.event["fill"]["execution_id"]: row.event["fill"]["client_order_id"] for row in record.of("OrderFilled")}
    broken = {row.event["fill"]["execution_id"] for row in record.of("FillBroken")}
    got: dict[tuple[str, str, str], Decimal] = defaultdict(lambda: ZERO)
    for row in record.of("FillBooked"):
        intent = _parts(orders.get(row.event["execution_id"], ""))
        if intent is not None and row.event["execution_id"] not in broken:
            for entry in row.event["entries"]:
                got[*intent, entry["strategy"]] += abs(Decimal(entry["quantity"]))
    for key, quantity in sorted(got.items()):
        if quantity > wishes.get(key, ZERO):
            yield f"{key[2]} was booked {quantity} of {key[1]} in {key[0]}, and had wished for {wishes.get(key, ZERO)}"


def _books_equal_the_exchange(record: Record) -> Iterator[str]:
    last: dict[tuple[str, str], Decimal] = {}
    for _, strategy, symbol, quantity in holdings_of(record):
        last[strategy, symbol] = quantity
    ours: dict[str, Decimal] = defaultdict(lambda: ZERO)
    for (_, symbol), quantity in last.items():
        ours[symbol] += quantity
    theirs = {position["symbol"]: Decimal(position["qty"]) for position in record.positions}
    for symbol in sorted({*ours, *theirs}):
        if ours[symbol] != theirs.get(symbol, ZERO):
            yield f"{symbol}: the books hold {ours[symbol]}, the exchange {theirs.get(symbol, ZERO)}"
    booked: dict[str, Decimal | None] = {}
    cash = Decimal(record.opening_cash) + sum((cash_moved(row, booked) + account_moved(row) for row in record.journal), ZERO)
    if abs(cash - Decimal(record.account["cash"])) >= Decimal("0.01"):
        yield f"cash: the books hold {cash}, the exchange {record.account['cash']}"
    compared = record.of("LedgerCompared")
    if compared and compared[-1].event["differences"]:
        yield f"the daemon itself ends with differences: {compared[-1].event['differences']}"


def _no_cash_is_forgotten(record: Record) -> Iterator[str]:
    """An intent that was given up for want of cash really lacked it: nobody holds cash back for an order that is no more.

    What others could not buy for another reason may have been kept for them until they ended. What a purchase that was broken since the
    plan gives back is for the next one.
    """
    sides = {order["id"]: order["side"] for order in record.orders}
    wanted = {
        (row.event["rebalance_id"], intent["intent_id"]): intent for row in record.of("RebalancePlanned") for intent in row.event["intents"]
    }
    planned = {row.event["rebalance_id"]: row.at for row in record.of("RebalancePlanned")}
    for row in (*record.of("RebalanceCompleted"), *record.of("RebalanceParked")):
        began = planned.get(row.event["rebalance_id"], row.at)
        cash = Decimal(record.opening_cash) + sum(
            (Decimal(one["net_amount"]) for one in record.changes if _time(one["created_at"]) <= row.at), ZERO
        )
        for one in record.activities:
            if _time(one["transaction_time"]) <= (began if one["type"] == "trade_bust" else row.at):
                cash -= (1 if sides[one["order_id"]] == "buy" else -1) * Decimal(one["qty"]) * Decimal(one["price"])
        lacked, kept = [], ZERO
        for outcome in row.event["outcomes"]:
            intent = wanted.get((row.event["rebalance_id"], outcome["intent_id"]))
            if intent is not None and intent["side"] == "buy":
                if "cash that was left" in (outcome["reason"] or ""):
                    lacked.append(outcome["intent_id"])
                else:
                    kept += (Decimal(intent["quantity"]) - Decimal(outcome["filled_quantity"])) * Decimal(intent["reference_price"])
        if lacked and cash > kept * CASH_TO_SPARE + Decimal(record.opening_cash) * CASH_KEPT:
            yield f"{', '.join(lacked)} of {row.event['rebalance_id']} lacked cash: there were {cash}, at most {kept} of it for others"


def _every_order_ends(record: Record) -> Iterator[str]:
    for order in record.orders:
        if order["status"] in OPEN_AT_EXCHANGE:
            yield f"{order['client_order_id']} is still {order['status']} at the exchange"
    closed = Counter(row.event["client_order_id"] for row in record.of("OrderClosed"))
    for row in record.of("OrderIntended"):
        key = row.event["order"]["client_order_id"]
        if not closed[key]:
            yield f"{key} was intended at {row.at} and never closed"


def _every_rebalance_ends_in_time(record: Record) -> Iterator[str]:
    ends = {row.event["rebalance_id"]: row for row in record.journal if row.kind in ("RebalanceCompleted", "RebalanceParked")}
    begins = {row.event["rebalance_id"]: row for row in record.of("DecisionDue")}
    slack = timedelta(seconds=record.clock_error_seconds)
    for key, begin in begins.items():
        close = next(one.closes_at for one in record.sessions if one.opens_at <= begin.at <= one.closes_at)
        end = ends.get(key)
        # Only a daemon that is there can end something: an end is owed while one lives, and by the next one when it starts.
        # By a clock that is fast a daemon may seem to have begun something after its own death.
        present = [life for life in record.lives if life.ended >= begin.at - slack and not life.is_last]
        away = any(life.was_killed or life.error or life.ended < close for life in present[:-1] or present)
        if end is None:
            if any(life.began < close for life in present[-1:]) and not away:
                yield f"{key} began at {begin.at} and never ended"
            elif any(life.began < close - CUT_OFF_BEFORE_CLOSE and life.ended >= close and life.started for life in present):
                yield f"{key} began at {begin.at} and never ended, although a daemon was there until the close"
            continue
        limit = close - CUT_OFF_BEFORE_CLOSE + timedelta(seconds=GRACE_SECONDS)
        if not away:
            # Buys that wait for the cash of sells have their time after them; slices have their window on top.
            allowed = 2 * INTENT_SECONDS + WINDOW_SECONDS * _is(record, key, SLICED) + GRACE_SECONDS + 30.0
            limit = min(limit, begin.at + timedelta(seconds=allowed))
        if _is(record, key, AUCTIONED):
            limit = close + timedelta(seconds=GRACE_SECONDS)
        # Nobody can end anything while the whole host sleeps, or while who has to answer is stuck.
        idle = [*record.asleep, *((since, until) for _, since, until in record.stuck)]
        limit = max([limit, *(until + timedelta(seconds=GRACE_SECONDS) for since, until in idle if since <= limit)])
        if end.at > limit and not (away and end.at > close):
            yield f"{key} began at {begin.at} and ended at {end.at} only, after {limit}"
    often = Counter(row.event["rebalance_id"] for row in record.journal if row.kind in ("RebalanceCompleted", "RebalanceParked"))
    for key, times in often.items():
        if times != 1:
            yield f"{key} ended {times} times"


def _is(record: Record, rebalance: str, tactics: frozenset[str]) -> bool:
    return any(row.event["rebalance_id"] == rebalance and row.event.get("tactic") in tactics for row in record.of("OrderIntended"))


def _an_ended_rebalance_has_no_live_order(record: Record) -> Iterator[str]:
    ends = {row.event["rebalance_id"]: row for row in record.journal if row.kind in ("RebalanceCompleted", "RebalanceParked")}
    for order in record.orders:
        parts = _parts(order["client_order_id"])
        end = ends.get(parts[0]) if parts else None
        if end is None:
            continue
        ended, stated = _ended_at(order), "never confirmed" in end.event.get("reason", "")
        if (ended is None or ended > end.at + timedelta(seconds=record.clock_error_seconds)) and not stated:
            yield f"{order['client_order_id']} was live until {ended}, its rebalance ended at {end.at}"


def _each_session_is_decided(record: Record) -> Iterator[str]:
    for session in record.sessions:
        day = str(session.closes_at.date())
        decided = [row for row in record.journal if row.kind in ("DecisionDue", "DecisionMissed") and row.event["session"] == day]
        cut_off = session.closes_at - CUT_OFF_BEFORE_CLOSE
        lives = [life for life in record.lives if life.started and life.began < cut_off and life.ended >= session.closes_at]
        # Of what a killed daemon had nothing to do with but to write it down, the end may be lost with it.
        there = any(not life.was_killed or any(cut_off <= row.at < life.ended for row in record.journal) for life in lives)
        if not decided and there:
            yield f"the session that closes at {session.closes_at} had no decision although a daemon was there"
        plans = [row for row in record.of("RebalancePlanned") if _within(row.at, session) and ".9" not in row.event["rebalance_id"]]
        if len(plans) > 1:
            yield f"the session that closes at {session.closes_at} was planned {len(plans)} times"


def _within(at: datetime, session: SessionHours) -> bool:
    return session.opens_at <= at <= session.closes_at


Rule = Callable[[Record], Iterator[str]]

RULES: tuple[Rule, ...] = (
    _every_daemon_ends_in_order,
    _no_handler_fails,
    _each_execution_is_booked_once,
    _all_fills_of_the_exchange_are_known,
    _at_most_one_live_order_per_intent,
    _an_intent_is_never_overfilled,
    _an_id_has_one_body,
    _no_submit_is_repeated_blindly,
    _what_is_sent_was_written_down,
    _what_arrives_is_on_the_disk,
    _what_was_durable_is_there,
    _nothing_is_sent_while_the_gate_is_closed,
    _a_gap_closes_after_a_comparison,
    _buys_stay_within_cash,
    _no_strategy_sells_what_it_does_not_hold,
    _no_strategy_gets_more_than_it_wished,
    _books_equal_the_exchange,
    _no_cash_is_forgotten,
    _every_order_ends,
    _every_rebalance_ends_in_time,
    _an_ended_rebalance_has_no_live_order,
    _each_session_is_decided,
)
"""Every rule, by the invariants they stand for: money 1, once 2, one order 3, gate 4, cash 5, books 7, crash 9, liveness 10."""
