"""Bugs put into the daemon on purpose, one at a time: a referee that never says no proves nothing.

Each is a context in which the daemon has one classical fault of its kind. They are not tests of the daemon; they are the test of the test.
So it is not enough that a run with one ends badly: one of the rules has to break that are about what it spoils. A plant that only throws
an exception, because what it took hold of has changed since, is not found.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

from tests.simulation.plants import books, durability, orders, recoveries


@dataclass(frozen=True)
class Plant:
    """A bug: how it is switched on, which rules may find it, and the line of the menu that brings out what is rare."""

    switch: Callable[[], AbstractContextManager[None]]
    rules: frozenset[str]
    line: str | None = None

    @property
    def name(self) -> str:
        """What it is called."""
        return self.switch.__name__

    @property
    def story(self) -> str:
        """What is wrong with the daemon, in a sentence."""
        return (self.switch.__doc__ or "").strip()


def _plant(switch: Callable[[], AbstractContextManager[None]], *rules: str, line: str | None = None) -> Plant:
    return Plant(switch, frozenset(rules), line)


PLANTED: Mapping[str, Plant] = {
    plant.name: plant
    for plant in (
        _plant(books.double_apply, "each_execution_is_booked_once"),
        _plant(books.dropped_fill, "each_execution_is_booked_once"),
        _plant(books.one_of_an_instant, "all_fills_of_the_exchange_are_known", line="two events with one time stamp"),
        _plant(books.deaf_to_late_fills, "all_fills_of_the_exchange_are_known", line="timeout after the effect"),
        _plant(books.deaf_to_busts, "books_equal_the_exchange", line="late bust"),
        _plant(books.booked_at_each_look, "books_equal_the_exchange", line="dividend overnight"),
        _plant(books.all_to_the_first, "no_strategy_gets_more_than_it_wished"),
        _plant(books.forgotten_reservation, "buys_stay_within_cash"),
        _plant(books.leaked_reservation, "no_cash_is_forgotten"),
        _plant(orders.blind_retry, "no_submit_is_repeated_blindly", line="timeout after the effect"),
        _plant(orders.missing_look_up, "no_submit_is_repeated_blindly", line="order not found for a while after its submit"),
        _plant(orders.ignored_gate, "nothing_is_sent_while_the_gate_is_closed"),
        _plant(orders.missed_cut_off, "nothing_is_sent_while_the_gate_is_closed", line="halted symbol"),
        _plant(orders.silent_miss, "each_session_is_decided", line="slow start two minutes before the close"),
        _plant(orders.deaf_halt, "a_halt_ends_what_works", line="halt by the operator"),
        _plant(orders.amnesia, "no_submit_is_repeated_blindly"),
        _plant(orders.half_of_a_cancel, "an_intent_is_never_overfilled", line="partial fill, then cancel"),
        _plant(orders.presumed_cancel, "at_most_one_live_order_per_intent"),
        _plant(durability.early_submit, "what_arrives_is_on_the_disk"),
        _plant(durability.missing_fsync, "what_was_durable_is_there", line="power failure"),
        _plant(durability.empty_promise, "what_arrives_is_on_the_disk"),
        _plant(durability.generous_preparation, "what_arrives_is_on_the_disk", line="flush that takes five seconds"),
        _plant(durability.forgotten_preparation, "an_id_has_one_body", line="kill -9 as an order has left at once"),
        _plant(recoveries.deaf_recovery, "a_gap_closes_after_a_comparison"),
        _plant(recoveries.hasty_recovery, "a_gap_closes_after_a_comparison"),
        _plant(recoveries.ready_too_soon, "ready_means_that_the_gate_is_open", line="kill -9"),
        _plant(recoveries.snapshot_for_all, "a_replay_passes_through_the_same_states", line="kill -9"),
        _plant(recoveries.fed_watchdog, "who_is_stuck_is_not_called_live", line="handler that hangs for half an hour"),
        _plant(recoveries.one_at_a_time, "a_slow_handler_delays_only_itself", line="slow handler"),
    )
}
"""Every planted bug by its name."""
