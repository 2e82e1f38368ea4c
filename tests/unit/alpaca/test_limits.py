"""The request quota: what the headers say, what is held back, how long to wait."""

from alchemiser.alpaca.limits import Quota

NOW = 1_741_012_200.0


def headers(remaining: int, reset: float = NOW + 30, limit: int = 200) -> dict[str, str]:
    return {"X-RateLimit-Limit": str(limit), "X-RateLimit-Remaining": str(remaining), "X-RateLimit-Reset": str(int(reset))}


def test_nothing_is_held_back_before_the_first_answer() -> None:
    """Without headers there is no quota."""
    quota = Quota()
    assert quota.remaining(NOW) is None
    assert quota.wait_seconds(NOW, is_order=False) == 0
    quota.observe({})
    assert quota.remaining(NOW) is None


def test_a_used_up_quota_waits_for_its_reset() -> None:
    """With nothing left a request waits until the quota changes, and then goes."""
    quota = Quota()
    quota.observe(headers(0))
    assert quota.wait_seconds(NOW, is_order=True) == 30
    assert quota.wait_seconds(NOW + 30, is_order=True) == 0
    assert quota.remaining(NOW + 30) is None


def test_reads_leave_a_share_for_orders() -> None:
    """The last tenth of the quota belongs to orders."""
    quota = Quota()
    quota.observe(headers(20))
    assert quota.wait_seconds(NOW, is_order=False) == 30
    assert quota.wait_seconds(NOW, is_order=True) == 0
    quota.observe(headers(21, reset=NOW + 90))
    assert quota.wait_seconds(NOW, is_order=False) == 0


def test_a_minute_that_is_over_says_nothing() -> None:
    """A daemon that asks for nothing for an hour would otherwise tell all that time of the few requests of its last minute."""
    quota = Quota()
    quota.observe(headers(3))
    assert quota.remaining(NOW + 29) == 3
    assert quota.remaining(NOW + 30) is None


def test_requests_on_their_way_count() -> None:
    """What was sent and is not answered yet has used its part of the quota."""
    quota = Quota()
    quota.observe(headers(2))
    quota.sent()
    quota.sent()
    assert quota.remaining(NOW) == 0
    assert quota.wait_seconds(NOW, is_order=True) == 30
    quota.ended()
    assert quota.wait_seconds(NOW, is_order=True) == 0


def test_answers_that_overtake_one_another() -> None:
    """Within one minute the least counts; a later minute replaces it and an earlier one is ignored."""
    quota = Quota()
    quota.observe(headers(5))
    quota.observe(headers(7))
    assert quota.remaining(NOW) == 5
    quota.observe(headers(200, reset=NOW + 90))
    quota.observe(headers(1, reset=NOW + 30))
    assert quota.remaining(NOW) == 200


def test_a_refusal_stops_everything_until_the_reset() -> None:
    """After a 429 the headers' reset decides, and without one a second."""
    quota = Quota()
    quota.observe(headers(0))
    assert quota.refused(NOW) == 30
    assert quota.wait_seconds(NOW + 10, is_order=True) == 20
    assert Quota().refused(NOW) == 1


def test_a_refusal_with_requests_left_is_a_burst() -> None:
    """Too many in one moment: a second later the minute's quota is still there."""
    quota = Quota()
    quota.observe(headers(150))
    assert quota.refused(NOW) == 1
    assert quota.wait_seconds(NOW, is_order=True) == 1
    assert quota.wait_seconds(NOW + 1, is_order=True) == 0


def test_a_reset_far_away_is_a_clock_that_disagrees() -> None:
    """A quota is renewed each minute: more is never waited for."""
    quota = Quota()
    quota.observe(headers(0, reset=NOW + 1e6))
    assert quota.wait_seconds(NOW, is_order=True) == 60
    assert quota.refused(NOW) == 1


def test_headers_that_are_no_numbers_are_ignored() -> None:
    """A header that cannot be read changes nothing."""
    quota = Quota()
    quota.observe({"X-RateLimit-Remaining": "many", "X-RateLimit-Reset": "soon"})
    quota.observe({"X-RateLimit-Remaining": "3"})
    assert quota.remaining(NOW) is None
    quota.observe({"X-RateLimit-Remaining": "3", "X-RateLimit-Reset": str(int(NOW) + 1)})
    assert quota.remaining(NOW) == 3
