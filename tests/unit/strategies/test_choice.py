"""Choosing on all sessions at once against choosing on each."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from alchemiser.strategies.symphony.choice import FEW_KEPT, best_of, inverse_shares, inverse_shares_of, kept_of, rank

SESSIONS = 5
scores = st.sampled_from([0.0, 1.0, 1.0 + 4e-10, 1.0 + 9e-10, 1.0 + 1.8e-9, 2.0, -1.0, -1.0 - 9e-10, 3.5])
"""Some are ties, some are ties of ties, and some just are not."""


@given(
    table=st.integers(2, FEW_KEPT + 4).flatmap(
        lambda rows: st.lists(st.lists(st.none() | scores, min_size=SESSIONS, max_size=SESSIONS), min_size=rows, max_size=rows)
    ),
    count=st.integers(1, FEW_KEPT + 3),
    largest_first=st.booleans(),
)
def test_what_is_kept_is_what_the_ranking_puts_first(table: list[list[float | None]], count: int, *, largest_first: bool) -> None:
    """However many are kept, with ties and candidates that have no score, every session keeps the first of its ranking."""
    known = np.array([[score is not None for score in row] for row in table])
    values = np.array([[0.0 if score is None else score for score in row] for row in table])

    kept = kept_of(values, known, count, largest_first=largest_first)
    best = best_of(values, known, largest_first=largest_first)

    for session in range(SESSIONS):
        rows = np.flatnonzero(known[:, session]).tolist()
        order = [rows[place] for place in rank(values[rows, session].tolist(), largest_first=largest_first)]
        assert sorted(order[:count]) == np.flatnonzero(kept[:, session]).tolist()
        if order:
            assert order[0] == best[session]


@given(sigmas=st.lists(st.lists(st.sampled_from([0.0, 0.5, 1.0, 3.0]), min_size=3, max_size=3), min_size=1, max_size=6))
def test_shares_by_volatility_are_those_of_each_session(sigmas: list[list[float]]) -> None:
    """What does not move at all takes everything, on that session only."""
    shares = inverse_shares_of(np.array(sigmas).T)

    assert [inverse_shares(session) for session in sigmas] == shares.T.tolist()
