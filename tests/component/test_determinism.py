"""The same seed writes the same journal in two processes, with different hash randomisation."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
from pathlib import Path

import pytest
import msgspec
from tests.simulation.days import journal_of, simulate
state = Path(sys.argv[1])
assert simulate(state, days=2) == 0
sys.stdout.buffer.write(b"".join(msgspec.json.encode(envelope) + b"\\n" for envelope in journal_of(state)))
"""


def digest(state: Path, hash_seed: str) -> tuple[str, int]:
    """Run two days in a process of its own and return the digest and the length of its journal."""
    env = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(state)], env=env, capture_output=True, check=True, timeout=60)
    lines = [line for line in done.stdout.splitlines() if line.startswith(b'{"sequence"')]
    return hashlib.sha256(b"\n".join(lines)).hexdigest(), len(lines)


@pytest.mark.slow
def test_two_processes_write_the_same_journal(tmp_path: Path) -> None:
    """Nothing on the way to the journal depends on the order of a set, a memory address or the wall clock."""
    first, second = digest(tmp_path / "first", "1"), digest(tmp_path / "second", "4242")

    assert first == second
    assert first[1] > 20
