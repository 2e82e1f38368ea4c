"""The referee can say no: a sound record breaks no rule, and each way of spoiling it breaks the rule that is there for it."""

import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.simulation.campaign import play, scenario_of
from tests.simulation.checker import RULES, broken_rules
from tests.simulation.record import Arrival, Record, Row
from tests.simulation.steps import STEP_RULES

Spoil = Callable[[Record], Record]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """The record of a run without faults, of two strategies that meet on some symbols."""
    record = play(scenario_of(16), tmp_path_factory.mktemp("sound"))
    assert broken_rules(record) == []
    return record


def rows_changed(record: Record, kind: str, change: Callable[[dict[str, Any]], object], *, number: int = 0) -> Record:
    """Return the record with the event of one row changed."""
    rows, chosen = list(record.journal), record.of(kind)[number]
    event = deepcopy(chosen.event)
    change(event)
    rows[rows.index(chosen)] = replace(chosen, event=event)
    return replace(record, journal=rows)


def rows_without(record: Record, kind: str) -> Record:
    """Return the record without the last row of a kind."""
    rows = list(record.journal)
    rows.remove(record.of(kind)[-1])
    return replace(record, journal=rows)


def rows_with(record: Record, row: Row, **changes: Any) -> Record:
    """Return the record with another row at its end."""
    sequence = record.journal[-1].sequence + 1
    return replace(record, journal=[*record.journal, replace(row, sequence=sequence, end=f"row {sequence}", **changes)])


def posts(record: Record) -> list[dict[str, Any]]:
    """Return the submits that the exchange has seen."""
    return [one for one in record.log if one["kind"] == "request" and (one["method"], one["path"]) == ("POST", "/v2/orders")]


def posted_again(record: Record, **changes: Any) -> Record:
    """Return the record with the first submit once more at the end of the log."""
    first = posts(record)[0]
    return replace(record, log=[*record.log, {**first, **changes, "body": {**first["body"], **changes.get("body", {})}}])


def order_changed(record: Record, **changes: Any) -> Record:
    """Return the record with the exchange's first order changed."""
    return replace(record, orders=[{**record.orders[0], **changes}, *record.orders[1:]])


def samples_changed(record: Record, **changes: Any) -> Record:
    """Return the record with what a daemon said in the middle of its work changed."""
    middle = len(record.samples) // 2
    samples = list(record.samples)
    state = replace(samples[middle].state, **{name: changes.pop(name) for name in list(changes) if hasattr(samples[middle].state, name)})
    samples[middle] = replace(samples[middle], state=state, **changes)
    return replace(record, samples=samples)


def of_sells(record: Record) -> Record:
    """Return the record with the strategies' first booking turned into a sale of what they do not hold."""

    def sold(event: dict[str, Any]) -> None:
        for entry in event["entries"]:
            entry["quantity"] = str(-Decimal(entry["quantity"]))

    return rows_changed(record, "FillBooked", sold)


def with_live_sibling(record: Record) -> Record:
    """Return the record with a second order of the first one's intent, live at the same time."""
    first = record.orders[0]
    parts = first["client_order_id"].split("-")
    sibling = {**first, "id": "another", "client_order_id": "-".join([*parts[:3], "9"])}
    return replace(record, orders=[*record.orders, sibling])


def late(record: Record) -> Record:
    """Return the record with an order that lived a minute longer than its rebalance."""
    end = record.of("RebalanceCompleted")[0].at + timedelta(minutes=1)
    ended = dict.fromkeys(("filled_at", "canceled_at", "expired_at"))
    return order_changed(record, **{**ended, "canceled_at": end.isoformat()}, status="canceled")


def moved(record: Record, kind: str, seconds: float) -> Record:
    """Return the record with the first row of a kind at another time."""
    rows, chosen = list(record.journal), record.of(kind)[0]
    rows[rows.index(chosen)] = replace(chosen, at=chosen.at + timedelta(seconds=seconds))
    return replace(record, journal=rows)


def unready_gate(record: Record) -> Record:
    """Return the record with a daemon that says it is ready before it has recovered."""
    samples = [replace(one, ready=True) if number == 3 else one for number, one in enumerate(record.samples)]
    return replace(record, samples=samples)


def forgetful_books(record: Record) -> Record:
    """Return the record with a last look at the books that shows a share less than the exchange holds."""
    last = record.samples[-1]
    symbol, held = next(iter(last.state.holdings.items()))
    state = replace(last.state, holdings={**last.state.holdings, symbol: held - 1})
    another = replace(last, end="of a lost tail", ready=True, state=state, at=last.at + timedelta(hours=1))
    return replace(record, samples=[*record.samples, another])


def halted_in_vain(record: Record) -> Record:
    """Return the record with a halt while an order works that goes on for an hour."""
    first = record.orders[0]
    begun = datetime.fromisoformat(first["created_at"])
    event = {"state": "halted", "by": "operator", "reason": "a test"}
    halted = rows_with(record, record.journal[-1], kind="TradingStateChanged", event=event, at=begun + timedelta(seconds=1))
    late_end = {"filled_at": None, "canceled_at": (begun + timedelta(hours=1)).isoformat()}
    return replace(order_changed(halted, **late_end), struck=("halt",))


def backwards(record: Record) -> Record:
    """Return the record with an order that is filled less than it was."""
    samples = list(record.samples)
    place = next(number for number, one in enumerate(samples) if any(filled for _, _, filled in one.state.orders.values()))
    orders = {key: (state, quantity, Decimal(-1)) for key, (state, quantity, _) in samples[place].state.orders.items()}
    samples[place] = replace(samples[place], state=replace(samples[place].state, orders=orders))
    return replace(record, samples=samples)


SPOILED: dict[str, Spoil] = {
    "every_daemon_ends_in_order": lambda record: replace(record, lives=(replace(record.lives[0], hung=True), *record.lives[1:])),
    "no_handler_fails": lambda record: rows_with(
        record, record.journal[-1], kind="HandlerFailed", event={"handler": "one", "event_type": "Any", "error": "ValueError"}
    ),
    "each_execution_is_booked_once": lambda record: rows_with(record, record.of("FillBooked")[0]),
    "all_fills_of_the_exchange_are_known": lambda record: replace(record, activities=record.activities[:-1]),
    "at_most_one_live_order_per_intent": with_live_sibling,
    "an_intent_is_never_overfilled": lambda record: rows_changed(
        record, "RebalancePlanned", lambda event: event["intents"][0].update(quantity="0.000001")
    ),
    "an_id_has_one_body": lambda record: posted_again(record, body={"qty": "123456"}),
    "no_submit_is_repeated_blindly": posted_again,
    "what_arrives_is_on_the_disk": lambda record: replace(record, arrivals=(replace(record.arrivals[0], written=()),)),
    "what_is_sent_was_written_down": lambda record: rows_without(record, "OrderIntended"),
    "what_was_durable_is_there": lambda record: rows_with(
        record, record.journal[-1], kind="JournalTailDropped", event={"promised_event": 7, "reason": "gone"}
    ),
    "nothing_is_sent_while_the_gate_is_closed": lambda record: posted_again(record, at="2025-01-02T12:00:00Z"),
    "a_gap_closes_after_a_comparison": lambda record: rows_without(record, "Reconciled"),
    "buys_stay_within_cash": lambda record: replace(record, opening_cash="50000"),
    "no_strategy_sells_what_it_does_not_hold": of_sells,
    "no_strategy_gets_more_than_it_wished": lambda record: rows_changed(
        record, "FillBooked", lambda event: event["entries"][0].update(quantity="1000")
    ),
    "books_equal_the_exchange": lambda record: replace(record, account={**record.account, "cash": "1.00"}),
    "no_cash_is_forgotten": lambda record: replace(
        rows_changed(
            record,
            "RebalanceCompleted",
            lambda event: event["outcomes"][0].update(reason="the cash that was left is less than the smallest order"),
        ),
        opening_cash="300000",
    ),
    "every_order_ends": lambda record: order_changed(record, status="new"),
    "every_rebalance_ends_in_time": lambda record: moved(record, "RebalanceCompleted", 600.0),
    "an_ended_rebalance_has_no_live_order": late,
    "each_session_is_decided": lambda record: replace(
        record, journal=[row for row in record.journal if row.kind not in ("DecisionDue", "DecisionMissed")]
    ),
    "the_books_balance_at_every_step": lambda record: samples_changed(record, cash=Decimal("0.01")),
    "an_order_only_goes_forward": backwards,
    "a_replay_passes_through_the_same_states": lambda record: samples_changed(record, digest="another"),
    "queues_stay_below_their_bounds": lambda record: samples_changed(record, queues=(("execution", 5000, 4096),)),
    "ready_means_that_the_gate_is_open": unready_gate,
    "ready_means_that_the_books_agree": forgetful_books,
    "a_halt_ends_what_works": halted_in_vain,
    "who_is_stuck_is_not_called_live": lambda record: replace(
        record, stuck=(("history", record.samples[0].at - timedelta(hours=1), record.samples[-1].at),)
    ),
    "a_slow_handler_delays_only_itself": lambda record: replace(record, delayed=(("history", "execution"),)),
}
"""For each rule a record that breaks it."""


def test_every_rule_is_spoiled_once() -> None:
    """No rule is there that nobody has seen to say no."""
    assert sorted(SPOILED) == sorted(rule.__name__.lstrip("_") for rule in (*RULES, *STEP_RULES))


@pytest.mark.parametrize("name", SPOILED)
def test_a_spoiled_record_breaks_its_rule(sound: Record, name: str) -> None:
    """What was spoiled is what is found; other rules may notice it too."""
    found = {rule.partition(":")[0] for rule in broken_rules(SPOILED[name](sound))}
    assert name in found


BODY = {"client_order_id": "e-20250303.1-SPY-1", "symbol": "SPY", "side": "buy", "qty": "7"}
AHEAD = {"client_order_id": "e-20250303.1-SPY-1", "symbol": "SPY", "side": "buy", "quantity": "10"}
INTENDED = {"order": {**AHEAD, "quantity": "7"}}


@pytest.mark.parametrize(
    ("method", "kind", "event", "is_fine"),
    [
        ("POST", "OrderIntended", INTENDED, True),
        ("POST", "OrderPrepared", AHEAD, True),
        ("POST", "OrderPrepared", {**AHEAD, "quantity": "7"}, True),
        ("POST", "OrderPrepared", {**AHEAD, "quantity": "6.999"}, False),
        ("POST", "OrderPrepared", {**AHEAD, "side": "sell"}, False),
        ("POST", "OrderPrepared", {**AHEAD, "symbol": "TLT"}, False),
        ("POST", "OrderPrepared", {**AHEAD, "client_order_id": "e-20250303.1-SPY-2"}, False),
        ("POST", "OrderIntended", {"order": AHEAD}, False),
        ("POST", "OrderIntended", {**INTENDED, "is_presumed": True}, False),
        ("POST", "OrderUnprepared", {"client_order_id": "e-20250303.1-SPY-1"}, False),
        ("PATCH", "OrderIntended", INTENDED, True),
        ("PATCH", "OrderPrepared", AHEAD, False),
    ],
)
def test_what_is_on_the_disk_covers_what_arrives_and_nothing_else(
    sound: Record, method: str, kind: str, event: dict[str, Any], *, is_fine: bool
) -> None:
    """The order as it was intended, or written ahead for its symbol, its side and at least as many shares."""
    row = replace(sound.journal[0], kind=kind, event=event)
    arrived = replace(sound, arrivals=(Arrival(method, BODY, (row,)),))
    assert is_fine is not any("what_arrives_is_on_the_disk" in found for found in broken_rules(arrived))


def test_what_was_withdrawn_may_be_written_ahead_anew(sound: Record) -> None:
    """A start after a crash takes the same id again, which was never sent; what was withdrawn last may not arrive."""
    ahead, gone = (replace(sound.journal[0], kind=kind, event=AHEAD) for kind in ("OrderPrepared", "OrderUnprepared"))

    for written, is_fine in (((ahead, gone, ahead), True), ((ahead, gone), False)):
        arrived = replace(sound, arrivals=(Arrival("POST", BODY, written),))
        assert is_fine is not any("what_arrives_is_on_the_disk" in found for found in broken_rules(arrived))


def test_an_execution_that_was_taken_back_unheard_need_not_be_known(sound: Record) -> None:
    """Of one that was corrected before anybody heard of it only what stands in its place is told; a bust of a known one must be known."""
    known = sound.activities[-1]
    unheard = {**known, "price": "1.23"}
    for taken_back, is_fine in (
        (({**unheard}, {**unheard, "qty": "-" + known["qty"]}), True),
        (({**known, "qty": "-" + known["qty"]},), False),
    ):
        broken = broken_rules(replace(sound, activities=[*sound.activities, *taken_back]))
        assert is_fine is not any("all_fills_of_the_exchange_are_known" in one for one in broken)


def test_a_gate_that_seems_to_open_before_a_death_by_a_wrong_clock_is_open(sound: Record) -> None:
    """Deaths are told in true time: one just after an opening by a clock that is late was that of the daemon before."""
    opened = next(row.at for row in sound.journal if row.kind == "SessionOpened")
    before = replace(sound.lives[0], ended=opened + timedelta(seconds=1), was_killed=True)
    found = broken_rules(replace(sound, lives=(before, *sound.lives), clock_error_seconds=2.0))
    assert not any("nothing_is_sent_while_the_gate_is_closed" in one for one in found)
    found = broken_rules(replace(sound, lives=(before, *sound.lives)))
    assert any("nothing_is_sent_while_the_gate_is_closed" in one for one in found)


def test_the_disk_is_looked_at_whenever_an_order_arrives(sound: Record) -> None:
    """Every submit of a run is among the arrivals."""
    assert len(posts(sound)) == sum(arrival.method == "POST" for arrival in sound.arrivals)


def test_a_watchdog_that_is_fed_while_a_handler_is_stuck_is_found(sound: Record) -> None:
    """Also where nobody asked for the health."""
    begin = sound.samples[0].at
    stuck = (("history", begin - timedelta(hours=2), begin - timedelta(hours=1)),)
    fed = replace(sound, stuck=stuck, feeds=(begin - timedelta(minutes=70),))
    assert [rule.partition(":")[0] for rule in broken_rules(fed)] == ["who_is_stuck_is_not_called_live"]
    assert broken_rules(replace(fed, feeds=(begin - timedelta(minutes=50),))) == []


def test_the_samples_of_a_sound_run_say_something(sound: Record) -> None:
    """There are many, of ready and of closed daemons, and each meets the replay."""
    ends = {row.end for row in sound.journal}

    assert len(sound.samples) > 150
    assert {sample.ready for sample in sound.samples} == {True, False}
    assert sum(sample.end in ends for sample in sound.samples) > 100
    assert any(len(sample.state.orders) > 1 for sample in sound.samples)
    assert any(len(sample.state.books) > 0 for sample in sound.samples)
    assert json.dumps(sound.audit.hashes[0])
