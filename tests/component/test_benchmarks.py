"""The page on benchmarks: every claim of speed names a benchmark that exists, and no benchmark is left out."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_benchmark_is_on_the_page_and_every_row_names_one() -> None:
    """A benchmark is a file that can be run; what several of them share is none."""
    rows = re.findall(r"^\| .*`(benchmarks/\w+\.py)`", (ROOT / "docs" / "benchmarks.md").read_text(), re.MULTILINE)
    found = {f"benchmarks/{path.name}" for path in (ROOT / "benchmarks").glob("*.py") if '__name__ == "__main__"' in path.read_text()}
    assert len(rows) == len(set(rows))
    assert found == set(rows)


def test_the_readme_leads_to_it() -> None:
    """Numbers that nobody finds convince nobody."""
    assert "docs/benchmarks.md" in (ROOT / "README.md").read_text()
