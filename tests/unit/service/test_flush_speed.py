"""A look at the disk: it measures real flushes and leaves nothing behind."""

import os
from pathlib import Path

import pytest

from alchemiser.service.flush_speed import measure_flush


def test_it_flushes_really_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every write is flushed, and the directory is as empty as before."""
    flushed: list[int] = []
    fsync = os.fsync

    def noted(number: int) -> None:
        flushed.append(number)
        fsync(number)

    monkeypatch.setattr(os, "fsync", noted)

    found = measure_flush(tmp_path)

    assert 0 < found.quickest_seconds <= found.slowest_seconds
    assert len(flushed) == 8
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_can_be_written_it_says_so(tmp_path: Path) -> None:
    """The error is the system's own."""
    with pytest.raises(FileNotFoundError):
        measure_flush(tmp_path / "nowhere")
