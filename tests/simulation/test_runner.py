"""The campaign's own machinery: runs repeat themselves anywhere, failing ones become small and are kept, the command says what happened."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.simulation import __main__ as simulation
from tests.simulation.campaign import scenario_of
from tests.simulation.faults import Scenario
from tests.simulation.items import ITEMS
from tests.simulation.kept import Case, keep, kept_cases
from tests.simulation.plants.books import double_apply
from tests.simulation.runner import Outcome, TurnsOnTheSpot, outcome_of, outcomes, time_limit
from tests.simulation.shrink import simpler, smallest

ROOT = Path(__file__).parents[2]


def command(*words: str, hash_seed: str = "random") -> subprocess.Popen[str]:
    """Start the campaign's command in a process of its own."""
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.simulation", *words],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def size(one: Scenario) -> int:
    """Return how much there is of a scenario."""
    members = sum(len(fault) for fault in one.faults)
    return members + len(one.kinds()) + len(one.sessions) + len(one.strategies) + len(one.settings)


# --- the same seed, the same trace (invariant 14) ---


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_seed_leaves_the_same_trace_in_two_processes_with_other_hashes(tmp_path: Path) -> None:
    """What was said on the wire and written to the journal depends on the seed alone: not on hashes, not on what ran before.

    Nor on how many processes share the seeds: here the second campaign has two, and each seed its outcome.
    """
    one, other = (
        command("--seeds", "12", "--jobs", jobs, "--json", str(tmp_path / f"{seed}.json"), hash_seed=seed)
        for seed, jobs in (("1", "1"), ("2", "2"))
    )
    assert one.wait() == other.wait() == 0
    traces = [json.loads((tmp_path / f"{seed}.json").read_text())["traces"] for seed in ("1", "2")]

    assert traces[0] == traces[1]
    assert len(set(traces[0].values())) == 12
    for process in (one, other):
        process.communicate()


@pytest.mark.slow
def test_another_seed_leaves_another_trace() -> None:
    """The trace says something."""
    first, again, other = (outcome_of("a run", scenario_of(seed)).trace for seed in (16, 16, 32))

    assert first == again
    assert first != other


# --- making it small ---


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 5000), st.data())
def test_the_smallest_still_fails_and_nothing_can_be_left_out(seed: int, data: st.DataObject) -> None:
    """Whatever a failure needs is still there, and what it does not need is gone."""
    whole = scenario_of(seed)
    kinds = whole.kinds()
    needed = set(data.draw(st.lists(st.sampled_from(kinds), max_size=3)) if kinds else [])

    def fails(one: Scenario) -> bool:
        return needed <= set(one.kinds())

    small = smallest(whole, fails, trials=10_000)

    assert fails(small)
    assert not any(fails(candidate) for candidate in simpler(small))
    assert sorted(small.kinds()) == sorted(needed)
    assert (len(small.sessions), len(small.strategies), small.settings) == (1, 1, {})


@given(st.integers(1, 5000))
def test_each_simpler_scenario_is_smaller(seed: int) -> None:
    """So making small comes to an end."""
    whole = scenario_of(seed)
    assert all(size(candidate) < size(whole) for candidate in simpler(whole))


def test_making_small_ends_when_its_trials_are_used_up() -> None:
    """A campaign does not wait for ever for its report."""
    whole, asked = scenario_of(3), list[Scenario]()

    def never(one: Scenario) -> bool:
        asked.append(one)
        return False

    assert smallest(whole, never, trials=3) == whole
    assert len(asked) == 3


# --- keeping ---


@pytest.mark.parametrize("seed", [1, 7, 23, 326])
def test_a_kept_case_is_read_as_it_was_written(tmp_path: Path, seed: int) -> None:
    """Sessions, moments and all kinds of faults survive the file."""
    case = Case(story="what it was", seed=seed, commit="abc", rules=("one",), scenario=scenario_of(seed))
    keep(case, f"seed-{seed}", tmp_path)

    assert kept_cases(tmp_path) == {f"seed-{seed}": case}


# --- running many ---


def test_a_run_that_raises_is_a_broken_outcome() -> None:
    """A campaign tells what went wrong in its own machinery too, and goes on."""
    impossible = replace(scenario_of(16), faults=({"kind": "no such fault"},))

    (outcome,) = outcomes([("impossible", impossible)])
    assert outcome.rules == ("run",)
    assert "no such fault" in outcome.story


def test_a_run_that_turns_on_the_spot_is_ended() -> None:
    """By the time of a processor that it has used: one that shares a busy machine takes longer, and is not at fault."""
    began = time.process_time()

    def turn() -> None:
        with time_limit(0.1):
            while time.process_time() < began + 60:
                pass

    with pytest.raises(TurnsOnTheSpot):
        turn()


def test_a_failing_run_tells_its_seed_its_commit_and_its_rules() -> None:
    """Whoever reads it can run it again."""
    with double_apply():
        outcome = next(one for one in (outcome_of(f"seed-{seed}", scenario_of(seed)) for seed in range(1, 40)) if one.broken)

    head = outcome.story.splitlines()[0]
    assert head.startswith(f"{outcome.name} at commit ")
    assert outcome.rules
    assert all(f"  BROKEN {found}" in outcome.story for found in outcome.broken)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_planted_bug_is_made_small(tmp_path: Path) -> None:
    """The end of a search is a scenario with what the bug needs: here one thing that sends an execution a second time."""
    with double_apply():
        outcome = next(one for one in (outcome_of(f"seed-{seed}", scenario_of(seed)) for seed in range(1, 40)) if one.broken)
        small = smallest(outcome.scenario, lambda one: bool(set(outcome_of("smaller", one).rules) & set(outcome.rules)))
    path = keep(Case("", small.seed, "planted", outcome.rules, small), outcome.name, tmp_path)

    assert len(small.kinds()) <= 2
    assert len(small.sessions) == 1
    assert outcome_of("sound", kept_cases(tmp_path)[path.stem].scenario).broken == ()


# --- the command ---


@pytest.mark.slow
def test_the_command_sums_up(tmp_path: Path) -> None:
    """Days, faults by kind, time and failures; the exit code says whether a rule was broken."""
    process = command("--seeds", "4", "--json", str(tmp_path / "summary.json"))
    told, _ = process.communicate()

    assert process.returncode == 0
    assert "4 runs, " in told
    assert "days simulated" in told
    assert "failures: none" in told
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["runs"] == 4
    assert summary["days"] >= 4
    assert sum(summary["struck"].values()) > 0


@pytest.mark.parametrize(("words", "unplayed", "code"), [(["--whole-menu"], 0, 0), (["--whole-menu"], 1, 1), ([], 1, 0)])
def test_a_line_of_the_menu_that_was_never_seen_fails_where_all_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], unplayed: int, code: int
) -> None:
    """However few the seeds: a campaign that asks for the whole menu has played all of it, or fails and names what is missing."""
    seen, missing = tuple(ITEMS)[unplayed:], tuple(ITEMS)[:unplayed]
    monkeypatch.setattr(sys, "argv", ["tests.simulation", "--logs", *words])
    monkeypatch.setattr(simulation, "_stop_on_signals", threading.Event)
    monkeypatch.setattr(simulation, "outcomes", lambda *_, **__: (one for one in [Outcome("seed-1", scenario_of(1), happened=seen)]))

    assert simulation.main() == code
    assert f"never seen: {', '.join(missing) or 'none'}\n" in capsys.readouterr().out


@pytest.mark.slow
def test_one_seed_is_told_in_detail() -> None:
    """The scenario, every row of the journal, the trace."""
    process = command("--seed", "16")
    told, _ = process.communicate()

    assert process.returncode == 0
    assert '"seed": 16' in told
    assert "RebalanceCompleted" in told
    assert "trace " in told


@pytest.mark.parametrize("words", [("--seeds", "0"), ("--jobs", "none"), ("--unknown",)])
def test_wrong_usage_is_told_apart(words: tuple[str, ...]) -> None:
    """Exit code 2, before anything runs."""
    process = command(*words)
    process.communicate()
    assert process.returncode == 2


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("jobs", ["1", "2"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_campaign_tells_how_far_it_came(tmp_path: Path, jobs: str, number: signal.Signals) -> None:
    """Nobody waits for the rest, and no process is left behind."""
    process = command("--seeds", "2000", "--jobs", jobs, "--keep", str(tmp_path / "kept"))
    while not list(tmp_path.glob("kept/seed-3/*")):
        assert process.poll() is None
    process.send_signal(number)
    told, _ = process.communicate(timeout=120)

    assert process.returncode == 130
    assert "days simulated" in told
