"""The page on gaps, gate and reconciliation says what the tests run."""

from tests.reconciliation.page import PAGE, filled


def test_the_tables_of_the_page_are_those_of_the_tests() -> None:
    """``python -m tests.reconciliation`` writes them anew."""
    text = PAGE.read_text()

    assert filled(text) == text
