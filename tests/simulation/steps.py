"""What must hold at every step, judged from what the daemons said of themselves whenever an event was about to be journaled.

Like the referee of whole runs it shares no code with the daemon: it counts from the rows of the journal and compares.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from typing import Any

from tests.simulation.record import Record, Row, Sample

ZERO = Decimal(0)

SHUT_AT_START = frozenset({"recovery", "orders", "session"})
"""Why the gate of a new process is closed."""

ENDED = frozenset({"filled", "cancelled", "expired", "rejected", "replaced"})
"""States of an order after which nothing changes it. One that was never sent may be sent again."""

QUIET = timedelta(seconds=120)
"""After so long without an execution, and with no order at work, the books of a daemon that says it is ready are those of the exchange."""

KEEPS_WAITING = (
    *("slow handler", "stuck handler", "full bus", "slow disk", "full disk", "suspend", "network away"),
    *("timeout", "slow_body", "delay", "http "),
)
"""How the names of faults begin that keep the daemon, or a part of it, from doing something at once."""

STUCK_WITHIN = timedelta(seconds=240)
"""How soon a stuck handler is known to be stuck: its own limit, and two of those of a round trip."""

CANCELLED_WITHIN = timedelta(seconds=60)
"""How soon after a halt no order may be at work any more, while the exchange answers."""


def _passed(record: Record) -> Iterator[tuple[int, Sample]]:
    """Yield the samples that were taken on the way to the final journal, each with how many of its rows were there."""
    places = {row.end: number for number, row in enumerate(record.journal, start=1)}
    for sample in record.samples:
        if sample.after == 0:
            yield 0, sample
        elif sample.end in places:
            yield places[sample.end], sample


def _the_books_balance_at_every_step(record: Record) -> Iterator[str]:
    """Shares and cash of every strategy are what the fills and crossings until then make them, and add up to the account's."""
    shares = _after_each_row(record)
    flows, others = [ZERO], [ZERO]
    booked: dict[str, Decimal | None] = {}
    for row in record.journal:
        flows.append(flows[-1] + cash_moved(row, booked))
        others.append(others[-1] + account_moved(row))
    for place, sample in _passed(record):
        state = sample.state
        said = {(name, symbol): quantity for name, book in state.books.items() for symbol, quantity in book.items() if quantity}
        if said != shares[place]:
            yield f"after event {sample.after} daemon {sample.life} holds {said}, its journal makes it {shares[place]}"
        total: dict[str, Decimal] = defaultdict(lambda: ZERO)
        for (_, symbol), quantity in said.items():
            total[symbol] += quantity
        if total != {symbol: quantity for symbol, quantity in state.holdings.items() if quantity}:
            yield f"after event {sample.after} the parts of the strategies add up to {dict(total)}, the account holds {state.holdings}"
        if sum(state.flows.values(), ZERO) != flows[place]:
            yield f"after event {sample.after} {sum(state.flows.values(), ZERO)} in cash has flowed, its journal makes it {flows[place]}"
        if state.cash is not None and state.cash != Decimal(record.opening_cash) + flows[place] + others[place]:
            yield f"after event {sample.after} the daemon has {state.cash} in cash, the opening and the flow since make {flows[place]} more"


def cash_moved(row: Row, booked: dict[str, Decimal | None]) -> Decimal:
    """Return the cash that a row of the journal moves for strategies.

    ``booked`` is what executions moved that may yet be taken back; ``None`` stands for one that was, while its booking was on the way.
    """
    if row.kind == "ActivityBooked":
        return sum((Decimal(entry.get("cash", "0")) for entry in row.event["entries"]), ZERO)
    if row.kind == "FillBooked":
        if booked.get(row.event["execution_id"], ZERO) is None:
            return ZERO
        moved = booked[row.event["execution_id"]] = sum((Decimal(entry["cash"]) for entry in row.event["entries"]), ZERO)
        return moved
    if row.kind == "FillBroken":
        taken = booked.pop(row.event["fill"]["execution_id"], None)
        if taken is not None:
            return -taken
        booked[row.event["fill"]["execution_id"]] = None
    return ZERO


def account_moved(row: Row) -> Decimal:
    """Return the cash that a row of the journal moves for no strategy: interest, deposits."""
    if row.kind != "ActivityBooked":
        return ZERO
    return Decimal(row.event.get("account_cash", "0")) + Decimal(row.event.get("transferred", "0"))


def _after_each_row(record: Record) -> list[dict[tuple[str, str], Decimal]]:
    """Return what every strategy holds before the first row and after each."""
    moves = {sequence: list[tuple[str, str, Decimal]]() for sequence in (row.sequence for row in record.journal)}
    for sequence, strategy, symbol, quantity in holdings_of(record):
        moves[sequence].append((strategy, symbol, quantity))
    held: dict[tuple[str, str], Decimal] = {}
    after = [held]
    for row in record.journal:
        if moves[row.sequence]:
            held = {**held, **{(strategy, symbol): quantity for strategy, symbol, quantity in moves[row.sequence]}}
            held = {key: quantity for key, quantity in held.items() if quantity}
        after.append(held)
    return after


def holdings_of(record: Record) -> Iterator[tuple[int, str, str, Decimal]]:
    """Yield, for each change of a strategy's holding, what it is afterwards."""
    held: dict[tuple[str, str], Decimal] = defaultdict(lambda: ZERO)
    booked: dict[str, Any] = {}
    for row in record.journal:
        moves: list[tuple[str, str, Decimal]] = []
        if row.kind == "FillBooked" and booked.get(row.event["execution_id"], row) is not None:
            share = _split_since(record, row)
            moves = [(entry["strategy"], row.event["symbol"], share(Decimal(entry["quantity"]))) for entry in row.event["entries"]]
            booked[row.event["execution_id"]] = row.event
        elif row.kind == "FillBroken":
            taken = booked.pop(row.event["fill"]["execution_id"], None)
            if taken is None:
                booked[row.event["fill"]["execution_id"]] = None  # Its booking is on the way, and books nothing any more.
            else:
                moves = [(entry["strategy"], taken["symbol"], -Decimal(entry["quantity"])) for entry in taken["entries"]]
        elif row.kind == "ActivityBooked":
            moves = [
                (entry["strategy"], entry["symbol"], Decimal(entry["quantity"])) for entry in row.event["entries"] if entry.get("quantity")
            ]
        elif row.kind == "RebalancePlanned":
            for crossing in row.event["crossings"]:
                moves.append((crossing["seller"], crossing["symbol"], -Decimal(crossing["quantity"])))
                moves.append((crossing["buyer"], crossing["symbol"], Decimal(crossing["quantity"])))
        for strategy, symbol, quantity in moves:
            held[strategy, symbol] += quantity
            yield row.sequence, strategy, symbol, held[strategy, symbol]


def _split_since(record: Record, booked: Row) -> Callable[[Decimal], Decimal]:
    """Return what became of the shares of an execution by splits that were heard of before it, though they came after it."""
    splits = [
        (Decimal(row.event["new"]), Decimal(row.event["old"]))
        for row in record.of("ActivityBooked")
        if row.event["treatment"] == "split" and row.event["activity"]["symbol"] == booked.event["symbol"]
        if row.sequence < booked.sequence and datetime.fromisoformat(row.event["at"]) > booked.at
    ]

    def split(quantity: Decimal) -> Decimal:
        for new, old in splits:
            quantity = (quantity * new / old).quantize(Decimal("1e-9"), rounding=ROUND_DOWN)
        return quantity

    return split


def _an_order_only_goes_forward(record: Record) -> Iterator[str]:
    """What is filled never falls, is never more than was asked for, and nothing happens after the end."""
    before: dict[str, tuple[str, Decimal, Decimal]] = {}
    broken = {row.event["fill"]["client_order_id"] for row in record.of("FillBroken")}
    # In the order of the journal: what a killed daemon had not made durable the next one lives through again.
    for _, sample in sorted(_passed(record), key=lambda passed: passed[0]):
        for key, (state, quantity, filled) in sample.state.orders.items():
            earlier = before.get(key)
            if not ZERO <= filled <= quantity:
                yield f"after event {sample.after} {key} is filled {filled} of {quantity}"
            if earlier is not None and filled < earlier[2] and key not in broken:
                yield f"after event {sample.after} {key} is filled {filled} only, it was {earlier[2]}"
            if earlier is not None and earlier[0] in ENDED and state != earlier[0]:
                yield f"after event {sample.after} {key} is {state}, it had ended as {earlier[0]}"
        before = sample.state.orders


def _a_replay_passes_through_the_same_states(record: Record) -> Iterator[str]:
    """Whatever much of the journal is replayed gives the state that the daemon had when it had written so much."""
    for _, sample in _passed(record):
        replayed = record.audit.states.get(sample.end)
        if replayed is not None and replayed != sample.state:
            yield f"after event {sample.after} daemon {sample.life} was at {sample.state}, a replay gives {replayed}"
            return
    first, second = record.audit.hashes
    if first != second:
        yield f"two replays of the journal give the hashes {first} and {second}"
    for problem in record.audit.problems:
        yield f"the audit of the journal finds: {problem}"
    if record.audit.verified is not None:
        yield f"the chain of the journal is broken: {record.audit.verified}"


def _queues_stay_below_their_bounds(record: Record) -> Iterator[str]:
    for sample in record.samples:
        for name, depth, capacity in sample.queues:
            if depth > capacity:
                yield f"after event {sample.after} {depth} events wait for {name}, which takes {capacity}"
        if sample.overflowed:
            yield f"after event {sample.after} {sample.overflowed} events were taken beyond a bound"
            return


def _ready_means_that_the_gate_is_open(record: Record) -> Iterator[str]:
    """Health never says ready while something but the closed exchange keeps orders back."""
    shut = set(SHUT_AT_START)
    after = [frozenset(shut)]
    for row in record.journal:
        shut = shut_after(row, shut)
        after.append(frozenset(shut))
    started, slack = record.of("DaemonStarted"), timedelta(seconds=record.clock_error_seconds)
    for place, sample in _passed(record):
        began = record.lives[sample.life].began - slack
        is_new = not any(row.at >= began and row.sequence <= sample.after for row in started)
        if sample.ready and (is_new or after[place] - {"session"}):
            why = "it had not even started" if is_new else f"the gate was closed by {', '.join(sorted(after[place]))}"
            yield f"after event {sample.after} daemon {sample.life} said that it was ready, and {why}"


def _ready_means_that_the_books_agree(record: Record) -> Iterator[str]:
    """After quiet, a daemon that says that it is ready holds what the exchange holds."""
    fills = [(_time(one["transaction_time"]), one["symbol"], _signed(one)) for one in record.activities]
    changed = [(_time(row["created_at"]), row["symbol"], Decimal(row["qty"])) for row in record.changes if row["activity_type"] != "DIV"]
    moves = sorted([*fills, *changed])
    for sample in record.samples:
        if not sample.ready or not _is_quiet(record, sample.at) or _has_just_woken(record, sample.at):
            continue
        theirs: dict[str, Decimal] = defaultdict(lambda: ZERO)
        for at, symbol, quantity in moves:
            if at <= sample.at:
                theirs[symbol] += quantity
        held = {symbol: quantity for symbol, quantity in theirs.items() if quantity}
        ours = {symbol: quantity for symbol, quantity in sample.state.holdings.items() if quantity}
        if held != ours:
            yield f"at {sample.at} daemon {sample.life} said that it was ready; it held {ours}, the exchange {held}"


def _a_halt_ends_what_works(record: Record) -> Iterator[str]:
    """No order is at work a minute after a halt while a daemon is there that can ask for cancels; that none begins is the gate's rule."""
    if any(kind.startswith((*KEEPS_WAITING, "step clock")) for kind in record.struck):
        return
    for row in record.of("TradingStateChanged"):
        is_there = any(life.began <= row.at and row.at + CANCELLED_WITHIN <= life.ended for life in record.lives)
        if row.event["state"] != "halted" or not is_there:
            continue
        for order in record.orders:
            ended = min((_time(order[name]) for name in ENDS if order.get(name)), default=None)
            if _time(order["created_at"]) <= row.at and (ended is None or ended > row.at + CANCELLED_WITHIN):
                yield f"{order['client_order_id']} was at work until {ended}, trading was halted at {row.at}"


def _who_is_stuck_is_not_called_live(record: Record) -> Iterator[str]:
    """Once a handler is stuck, health does not say live and the watchdog is not fed, until it goes on."""
    for name, since, until in record.stuck:
        known = since + STUCK_WITHIN
        fed = [at for at in record.feeds if known <= at < until]
        if fed:
            yield f"{name} was stuck from {since} to {until}, and the watchdog was fed at {fed[0]}"
        for sample in record.samples:
            if known <= sample.at < until and (sample.live or sample.ready):
                yield f"{name} was stuck from {since} to {until}, and daemon {sample.life} called itself live or ready at {sample.at}"
                return


def _a_slow_handler_delays_only_itself(record: Record) -> Iterator[str]:
    """No other mailbox stands still because one handler is slow or stuck, but one whose handler waits for something else."""
    if any(kind.startswith(KEEPS_WAITING) and not kind.endswith(" handler") for kind in record.struck):
        return
    for slow, other in record.delayed:
        if other != "gap keeper":
            yield f"{other} dealt with nothing while {slow} took its time"


def _has_just_woken(record: Record, at: datetime) -> bool:
    """Return whether the host has slept a moment ago: what happened meanwhile is long past, and nobody can have heard of it."""
    return any(woke <= at < woke + QUIET for _, woke in record.asleep)


def _is_quiet(record: Record, at: datetime) -> bool:
    if any(row["type"].startswith("trade_") and timedelta(0) <= at - _time(row["transaction_time"]) < QUIET for row in record.activities):
        return False
    for row in record.changes:
        # What issuers do over night is asked for when the session opens.
        opens = min((session.opens_at for session in record.sessions if session.opens_at >= _time(row["created_at"])), default=at)
        if _time(row["created_at"]) <= at < opens + QUIET:
            return False
    for order in record.orders:
        ended = min((_time(order[name]) for name in ENDS if order.get(name)), default=None)
        if _time(order["created_at"]) <= at and (ended is None or ended > at - QUIET):
            return False
    return True


ENDS = ("filled_at", "canceled_at", "expired_at", "failed_at", "replaced_at")


def _signed(activity: dict[str, Any]) -> Decimal:
    return Decimal(activity["qty"]) if activity["side"] == "buy" else -Decimal(activity["qty"])


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


# --- what the journal tells ---


def shut_after(row: Row, shut: set[str]) -> set[str]:
    """Return what keeps the gate closed after an event, given what did before it."""
    if row.kind == "DaemonStarted":
        return set(SHUT_AT_START)
    reason, closes = GATE.get((row.kind, row.event.get("stream")), GATE.get((row.kind, None), (None, False)))
    if row.kind == "TradingStateChanged" and row.event.get("strategy") is None:
        by = row.event["by"]
        reason, closes = f"trading {by if by.startswith('guard:') else ''}", row.event["state"] in ("paused", "halted")
    if reason is None or row.event.get("stream") == "market":
        return shut
    return shut | {reason} if closes else shut - {reason}


GATE: dict[tuple[str, str | None], tuple[str | None, bool]] = {
    ("DaemonStopping", None): ("stopping", True),
    ("RecoveryCompleted", None): ("recovery", False),
    ("StreamConnected", "orders"): ("orders", False),
    ("StreamLost", "orders"): ("orders", True),
    ("ReconciliationStarted", None): ("reconciling", True),
    ("Reconciled", None): ("reconciling", False),
    ("ReconciliationFailed", None): ("reconciling", False),
    ("GapOpened", "orders"): ("gap", True),
    ("GapClosed", "orders"): ("gap", False),
    ("SessionOpened", None): ("session", False),
    ("SessionClosed", None): ("session", True),
}
"""What each event does to the gate: the reason it concerns, and whether it closes."""


Rule = Callable[[Record], Iterator[str]]

STEP_RULES: tuple[Rule, ...] = (
    _the_books_balance_at_every_step,
    _an_order_only_goes_forward,
    _a_replay_passes_through_the_same_states,
    _queues_stay_below_their_bounds,
    _ready_means_that_the_gate_is_open,
    _ready_means_that_the_books_agree,
    _a_halt_ends_what_works,
    _who_is_stuck_is_not_called_live,
    _a_slow_handler_delays_only_itself,
)
"""By the invariants they stand for: money 1, orders 6, replay 8, queues 12, health 13, halt 11, stuck and slow handlers 13 and 12."""
