"""The state file: a change costs what has changed, and wherever the process is killed the file tells a moment that was."""

import os
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from random import Random

import msgspec
import pytest

from alchemiser.domain.errors import DataError
from alchemiser.exchange.engine import Exchange
from alchemiser.exchange.persistence import SavedState, StateFile
from alchemiser.exchange.requests import OrderFilter
from tests.unit.exchange.core.scene import Scene, session_of

NOW = datetime(2025, 1, 6, 15, tzinfo=UTC)


def crowded(orders: int) -> Scene:
    """Return an exchange with that many open orders."""
    scene = Scene()
    scene.is_checked = False
    scene.quote()
    for _ in range(orders):
        scene.submit(qty=1, limit_price="1.00", time_in_force="gtc")
    scene.settle()
    scene.exchange.drain()
    return scene


def save(file: StateFile, scene: Scene) -> bytes:
    """Keep what has changed; return the complete state."""
    scene.exchange.drain()
    file.save(scene.now, scene.exchange.changes)
    return scene.exchange.snapshot()


@pytest.mark.parametrize("others", [10, 1_000])
def test_a_change_costs_what_has_changed(tmp_path: Path, others: int) -> None:
    """One more order adds a few thousand bytes to the file, however many are open; the checkpoint alone holds them all."""
    scene, path = crowded(others), tmp_path / "state"
    file = StateFile(path)
    save(file, scene)
    before = path.stat().st_size
    scene.submit(qty=1, limit_price="1.00", time_in_force="gtc")
    whole = save(file, scene)

    assert path.stat().st_size - before < 6_000
    assert before > 300 * others
    loaded = StateFile(path).load()
    assert loaded is not None
    assert loaded.core == whole


def test_a_kill_at_any_byte_leaves_a_moment_that_was(tmp_path: Path) -> None:
    """Cut anywhere, the file tells the last change that is whole in it; what follows a cut is written into a file that is sound again."""
    scene, path, cut = crowded(3), tmp_path / "state", tmp_path / "cut"
    file = StateFile(path)
    moments = [(save(file, scene), path.stat().st_size)]
    for number in range(4):
        scene.submit(qty=1, limit_price=f"{number + 2}.00", time_in_force="gtc")
        scene.settle()
        moments.append((save(file, scene), path.stat().st_size))
    data = path.read_bytes()
    first = moments[0][1]
    ends = {end + step for _, end in moments for step in (-1, 0, 1, 7, 8, 9)} | set(range(first, len(data), 97))
    for end in sorted(end for end in ends if first <= end <= len(data)):
        cut.write_bytes(data[:end])
        loaded = StateFile(cut).load()
        assert loaded is not None
        assert loaded.core == [core for core, size in moments if size <= end][-1]

    cut.write_bytes(data[:-5])
    again = StateFile(cut)
    loaded = again.load()
    assert loaded is not None
    scene.exchange = Exchange.restore(loaded.core, settings=scene.settings, assets=scene.assets, sessions=session_of, random=Random(0))
    scene.submit(qty=1, limit_price="9.00", time_in_force="gtc")
    whole = save(again, scene)
    found = StateFile(cut).load()
    assert found is not None
    assert found.core == whole
    assert len(scene.exchange.orders(OrderFilter(status="all"))) == 3 + 3 + 1


def test_a_checkpoint_that_was_cut_and_damage_in_the_middle_are_named(tmp_path: Path) -> None:
    """Neither is a moment that was: the start is refused, with what to do."""
    scene, path = crowded(3), tmp_path / "state"
    file = StateFile(path)
    save(file, scene)
    first = path.stat().st_size
    for _ in range(2):
        scene.submit(qty=1, limit_price="1.00", time_in_force="gtc")
        save(file, scene)
    data = path.read_bytes()
    for bad in (data[:40], data[: first - 1], data[: first + 20] + b"\x00\x00" + data[first + 22 :]):
        path.write_bytes(bad)
        with pytest.raises(DataError, match="move it away"):
            StateFile(path).load()


def test_a_file_that_has_grown_is_written_anew(tmp_path: Path) -> None:
    """The file stays within a few times of what there is to keep, and says the same before and after."""
    scene, path = crowded(2), tmp_path / "state"
    file = StateFile(path)
    sizes = []
    for _ in range(500):
        scene.wait(1)
        scene.submit(qty=1, limit_price="1.00", time_in_force="ioc")
        whole = save(file, scene)
        sizes.append(path.stat().st_size)
    assert any(later < earlier for earlier, later in pairwise(sizes))
    assert max(sizes) < 2 * 2**20
    loaded = StateFile(path).load()
    assert loaded is not None
    assert loaded.core == whole


@pytest.mark.parametrize("harm", ["gone", "longer", "shorter"])
def test_a_file_that_is_not_as_it_was_left_is_written_anew(tmp_path: Path, harm: str) -> None:
    """Somebody else has removed or changed it: the next change keeps the whole again."""
    scene, path = crowded(3), tmp_path / "state"
    file = StateFile(path)
    save(file, scene)
    if harm == "gone":
        path.unlink()
    else:
        os.truncate(path, path.stat().st_size + (5 if harm == "longer" else -5))
    scene.submit(qty=1, limit_price="1.00", time_in_force="gtc")
    whole = save(file, scene)
    loaded = StateFile(path).load()
    assert loaded is not None
    assert loaded.core == whole


def test_time_alone_is_kept_in_a_few_bytes(tmp_path: Path) -> None:
    """A minute in which nothing happened moves the time that a restart begins at, and nothing else."""
    scene, path = crowded(3), tmp_path / "state"
    file = StateFile(path)
    whole = save(file, scene)
    before = path.stat().st_size
    file.save(NOW + timedelta(minutes=5), None)

    assert path.stat().st_size - before < 60
    loaded = StateFile(path).load()
    assert loaded is not None
    assert (loaded.at, loaded.core) == (NOW + timedelta(minutes=5), whole)


def test_a_file_of_the_first_format_is_continued(tmp_path: Path) -> None:
    """What an earlier version kept as one value is read, and replaced with the first change."""
    scene, path = crowded(3), tmp_path / "state"
    core = scene.exchange.snapshot()
    path.write_bytes(msgspec.msgpack.encode(SavedState(format=1, at=NOW, core=core)))
    file = StateFile(path)
    loaded = file.load()

    assert loaded is not None
    assert (loaded.at, loaded.core) == (NOW, core)
    whole = save(file, scene)
    found = StateFile(path).load()
    assert found is not None
    assert found.core == whole


def test_a_state_belongs_to_the_market_of_its_seed(tmp_path: Path) -> None:
    """Another seed is refused, none takes that of the state, and a state of a former version goes with any."""
    scene, path = crowded(1), tmp_path / "state"
    path.write_bytes(msgspec.msgpack.encode(SavedState(format=1, at=NOW, core=scene.exchange.snapshot())))
    former = StateFile(path, seed=7)
    former.load()
    save(former, scene)

    with pytest.raises(DataError, match="the market of seed 7, not 8; go on with seed 7"):
        StateFile(path, seed=8).load()
    again = StateFile(path)
    again.load()
    assert again.seed == 7
