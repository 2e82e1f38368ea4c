"""The windows of a walk-forward: parameters are chosen on one stretch of sessions and tried on the next, which they have not seen.

A choice is made at the close of the last session of its training and acts from that close on; what is earned from it belongs to the
sessions after. So the out-of-sample stretches join without a gap and without an overlap.
"""

from typing import Literal

import msgspec

from alchemiser.domain.errors import UsageError

Walk = Literal["rolling", "anchored"]


class Fold(msgspec.Struct, frozen=True):
    """Places in the panel: trained on the closes from ``train_first`` to ``chosen``, acting from there, earning up to ``test_last``."""

    train_first: int
    chosen: int
    test_last: int


def folds_of(walk: Walk, first: int, last: int, *, train: int, test: int) -> tuple[Fold, ...]:
    """Return the folds of the sessions from ``first`` to ``last``, ``train`` and ``test`` sessions long; anchored training only grows.

    The last test may be shorter. Raises ``UsageError`` when there is not a single one.
    """
    if train < 2 or test < 1:
        raise UsageError(f"--train {train} --test {test}: training takes at least 2 sessions and a test 1")
    folds = []
    chosen = first + train - 1
    while chosen < last:
        folds.append(Fold(first if walk == "anchored" else chosen - train + 1, chosen, min(chosen + test, last)))
        chosen += test
    if not folds:
        raise UsageError(f"--train {train}: there are only {last - first + 1} sessions, so nothing is left to test on")
    return tuple(folds)
