"""The bucket: bursts are allowed, floods are not, and time heals."""

from hypothesis import given
from hypothesis import strategies as st

from alchemiser.service.door_limits import Bucket, Rate


def test_a_burst_is_allowed_and_what_follows_waits() -> None:
    """The answer says how long."""
    bucket = Bucket(Rate(burst=3, per_second=0.5))

    assert [bucket.take(10.0) for _ in range(4)] == [0.0, 0.0, 0.0, 2.0]
    assert bucket.take(12.0) == 0.0


@given(st.lists(st.floats(0, 5), max_size=60), st.integers(1, 5), st.floats(0.1, 10))
def test_never_more_than_the_rate(pauses: list[float], burst: int, per_second: float) -> None:
    """In any stretch of time no more than a burst and what the rate grants meanwhile."""
    bucket, now, taken = Bucket(Rate(burst=burst, per_second=per_second)), 0.0, []
    for pause in pauses:
        now += pause
        if bucket.take(now) == 0.0:
            taken.append(now)
    for place, first in enumerate(taken):
        for count, last in enumerate(taken[place:], 1):
            assert count <= burst + (last - first) * per_second + 1e-6
