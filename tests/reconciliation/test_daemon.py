"""The catalogue, for real: each case once through the whole daemon against the embedded exchange, over its HTTP and streams."""

from pathlib import Path

import pytest

from alchemiser.domain.reconciliation import MEANINGS, DifferenceCode, Remedy
from tests.reconciliation.catalogue import CASES
from tests.reconciliation.language import Case
from tests.reconciliation.stage import played
from tests.reconciliation.test_kernels import found_codes
from tests.solipsism import virtual

TAKEN_BACK = {code.value for code, meaning in MEANINGS.items() if meaning.remedy is Remedy.CANCELLED}
FEW = CASES[:: len(CASES) // 6]
"""A handful that the first stage runs too."""


def check(case: Case, directory: Path) -> None:
    """Play a case and compare where the daemon ends with the table."""
    ended = virtual(lambda: played(case, directory))

    assert list(case.in_the_end) == found_codes([difference.code.value for difference in ended.reconciled.differences])
    assert case.parked == ended.parked
    # What is not ours is never touched, and nothing is sent before the comparison is done.
    assert len(ended.cancelled) >= sum(code in TAKEN_BACK for code in case.in_the_end)
    assert bool(ended.cancelled) == any(code in TAKEN_BACK for code in case.in_the_end)
    assert ended.submitted == 0
    assert not {DifferenceCode(code) for code in case.in_the_end} - set(MEANINGS)


@pytest.mark.parametrize("case", FEW, ids=lambda case: case.name)
def test_a_few_cases_end_as_the_table_says(case: Case, tmp_path: Path) -> None:
    """The first stage sees that the road through the daemon is open."""
    check(case, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_daemon_ends_as_the_table_says(case: Case, tmp_path: Path) -> None:
    """Found, applied, taken back, parked or left alone: as the table says, with a real venue."""
    check(case, tmp_path)
