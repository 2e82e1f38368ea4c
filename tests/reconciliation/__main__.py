"""``python -m tests.reconciliation`` writes the tables of the page anew."""

from tests.reconciliation.page import PAGE, filled

PAGE.write_text(filled(PAGE.read_text()))
