"""A row is what the format says, however quickly it was made."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import example, given, settings
from hypothesis import strategies as st

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import StreamLost
from alchemiser.journal.format import Draft, checksum_of, decode_row, encode_row, first_checksum

ZONES = st.sampled_from([UTC, timezone(timedelta(hours=-5)), timezone(timedelta(hours=5, minutes=30))])
TIMES = st.datetimes(datetime(2000, 1, 2), datetime(2100, 1, 1), timezones=ZONES)  # noqa: DTZ001 - the zones are drawn beside
EPOCH = "abc123"


@settings(max_examples=300, deadline=None, database=None)
@given(at=TIMES, reason=st.text(), correlation=st.none() | st.text(), causation=st.none() | st.integers(1), time=st.floats(0, 1e9))
@example(at=datetime(2025, 3, 3, tzinfo=UTC), reason="can't", correlation="it's", causation=None, time=0.0)
@example(at=datetime(2025, 3, 3, tzinfo=UTC), reason="a\\b\x7f\x1f\n", correlation='"', causation=1, time=1e-9)
@example(at=datetime(2025, 3, 3, 0, 0, 0, 1, tzinfo=UTC), reason="\N{EURO SIGN}\x85\u2028", correlation=None, causation=1, time=1e22)
def test_a_row_is_chained_as_whoever_reads_it_reckons(
    at: datetime, reason: str, correlation: str | None, causation: int | None, time: float
) -> None:
    """The writer takes short cuts; the checksum and the time are those that every version before it wrote, whatever is in the event."""
    envelope = Envelope(7, StreamLost(at=at, stream="orders", reason=reason), time, correlation, causation)
    row = encode_row(envelope, first_checksum(EPOCH))

    assert row.checksum == checksum_of(row, first_checksum(EPOCH))
    assert row.at == at.astimezone(UTC).isoformat(timespec="microseconds")
    assert decode_row(row) == envelope


def test_a_checksum_is_that_of_the_format() -> None:
    """A number that must never change: journals that were written with it are still read."""
    envelope = Envelope(
        7, StreamLost(at=datetime(2025, 3, 3, 14, 30, tzinfo=UTC), stream="orders", reason="can't say"), 1.5, "20250303.1", 6
    )
    assert first_checksum(EPOCH) == "8a88e852536fa4657ebc5c3d32d77ad6"
    assert encode_row(envelope, first_checksum(EPOCH)).checksum == "a3ce59d4253d24c7530c4ef24b909c95"


def test_a_draft_becomes_one_row() -> None:
    """Asked for twice, before a commit and in it, it is the same one."""
    draft = Draft.of(Envelope(1, StreamLost(at=datetime(2025, 3, 3, tzinfo=UTC), stream="orders", reason="x"), 0.0))
    assert draft.row_after(first_checksum(EPOCH)) is draft.row_after(first_checksum(EPOCH))
