"""Documents as text."""

from alchemiser.cli.tables import render, table


def test_numbers_stand_to_the_right() -> None:
    """Columns are aligned, numbers by their last digit; what is absent is a dash."""
    rows: list[dict[str, object]] = [
        {"symbol": "TECL", "quantity": "1.5", "open": True},
        {"symbol": "BIL", "quantity": "-100", "note": "x"},
    ]

    assert table(rows) == "symbol  quantity  open  note\nTECL         1.5  yes   -\nBIL         -100  -     x\n"


def test_documents_are_pairs_and_tables() -> None:
    """Simple and nested values are pairs, lists of objects tables wherever they are; what is empty is called none."""
    document = {
        "mode": "paper",
        "session": {"date": "2025-03-03", "half": False},
        "symbols": ["A", "B"],
        "orders": [],
        "rows": [{"a": 1}],
        "e": {},
        "stop": {"stages": [{"name": "gate", "seconds": 0.002}], "left": []},
    }

    pairs = "mode          paper\nsession.date  2025-03-03\nsession.half  no\nsymbols       A, B\ne             none\nstop.left     none\n"
    assert render(document) == f"{pairs}\norders: none\n\nrows\na\n1\n\nstop.stages\nname  seconds\ngate    0.002\n"
