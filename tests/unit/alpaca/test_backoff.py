"""Waits between attempts: bounds, jitter and what counts as a failure."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alchemiser.alpaca.backoff import Backoff, ReconnectPolicy

BACKOFF = Backoff(base_seconds=0.5, cap_seconds=30, floor_seconds=0.05)


def test_bound_doubles_up_to_the_cap() -> None:
    """The longest wait doubles with each attempt and stops at the cap."""
    assert [0.5, 1, 2, 4, 8, 16, 30, 30] == [BACKOFF.bound_seconds(attempt) for attempt in range(1, 9)]
    assert BACKOFF.bound_seconds(10_000) == 30


def test_attempts_count_from_one() -> None:
    """There is no wait before the first attempt, so asking for one is a mistake."""
    with pytest.raises(ValueError):
        BACKOFF.bound_seconds(0)


@given(attempt=st.integers(1, 1000), seed=st.integers())
def test_delay_lies_between_floor_and_bound(attempt: int, seed: int) -> None:
    """A wait is never above its bound, and never so short that a loop would spin."""
    assert 0.05 <= BACKOFF.delay_seconds(attempt, Random(seed)) <= BACKOFF.bound_seconds(attempt)


def test_delays_are_spread_and_repeatable() -> None:
    """Two daemons do not come back together; one daemon with the same seed waits the same."""
    first = [BACKOFF.delay_seconds(attempt, random) for random in [Random(1)] for attempt in range(1, 9)]
    again = [BACKOFF.delay_seconds(attempt, random) for random in [Random(1)] for attempt in range(1, 9)]
    other = [BACKOFF.delay_seconds(attempt, random) for random in [Random(2)] for attempt in range(1, 9)]
    assert first == again
    assert first != other


def test_only_a_connection_that_lasted_resets_the_count() -> None:
    """A stream that is accepted and dropped at once keeps backing off."""
    policy = ReconnectPolicy(stable_seconds=30)
    assert policy.failures_after(4, 0.0) == 5
    assert policy.failures_after(4, 29.9) == 5
    assert policy.failures_after(4, 30.0) == 1


def test_a_crowded_venue_is_left_alone_for_longer() -> None:
    """After "too many connections" even the shortest wait is seconds."""
    policy = ReconnectPolicy()
    waits = [policy.delay_seconds(failures, Random(failures), is_crowded=True) for failures in range(1, 50)]
    assert min(waits) >= 5
    assert max(waits) <= 120
    assert policy.delay_seconds(1, Random(1), is_crowded=False) <= 0.5
