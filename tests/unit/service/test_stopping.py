"""The daemon's stop: every stage with its limit, what is left is named and journaled, and the exit code tells it."""

import asyncio
import os
import re
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import structlog

from alchemiser.bus.bus import Bus
from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import (
    CancelRequested,
    DaemonStopped,
    DaemonStopping,
    Event,
    OrderOutcomeUnknown,
    OrderWithheld,
)
from alchemiser.execution.gate import SubmitGate
from alchemiser.journal.journal import Journal
from alchemiser.market.schedule import parse_schedule
from alchemiser.service.clock import VirtualClock
from alchemiser.service.recovery import STATE, recover
from alchemiser.service.snapshots import SnapshotKeeper
from alchemiser.service.state import JournaledState
from alchemiser.service.stopping import CANCEL_AGAIN_SECONDS, LEFT_OPEN, SHARES, StopParts, Stopping, stopping_on_signals
from tests.solipsism import virtual
from tests.unit.service.trading_day import DECIDED_AT, DECISION, MORNING, ORDER_ID, report

SECONDS = 20.0
DOCUMENTED = Path(__file__).parents[3] / "docs" / "journal.md"


class Leaving:
    """A daemon's bus, journal and state around one stop, with a venue that answers as the test says."""

    def __init__(self, directory: Path, *, cancels_orders: bool) -> None:
        self.clock = VirtualClock(DECIDED_AT)
        self.journal = Journal.open(directory / "journal.sqlite", new_epoch=lambda: "abc123", threaded=False)
        self.bus = Bus(clock=self.clock, tap=self.journal)
        self.state = JournaledState(self.bus.post)
        self.gate = SubmitGate(now=self.clock.now, cut_off=parse_schedule("close - 1m").at)
        self.keeper = SnapshotKeeper(self.state, self.journal, every_events=0, since=0)
        self.held: list[str] = []
        self.cancels: list[float] = []
        self.on_cancel: Callable[[int], None] = lambda number: None
        self.stopping = Stopping(
            StopParts(
                bus=self.bus,
                orders=self.state.orders,
                snapshots=self.keeper,
                clock=self.clock,
                hold=self._hold,
                cancel=self._cancel,
                seconds=SECONDS,
                cancels_orders=cancels_orders,
                tell_repeats=self.tell_repeats,
            )
        )
        parts: tuple[Any, ...] = (
            self.state.orders,
            self.state.ledger,
            self.state.standing,
            self.state.rebalances,
            self.state.trading,
            self.state.guards,
            self.state.day,
            self.state.overview,
            self.gate,
            self.stopping,
            self.keeper,
        )
        for part in parts:
            self.bus.subscribe_inline(type(part).__name__, part.listens_to, part)

    async def _hold(self, reason: str) -> None:
        self.held.append(reason)

    async def _cancel(self, reason: str) -> None:
        self.cancels.append(asyncio.get_running_loop().time())
        for order in self.state.orders.open_orders():
            if order.state.value != "cancelling":
                self.bus.post(CancelRequested(at=self.clock.now(), client_order_id=order.client_order_id, reason=reason))
        self.on_cancel(len(self.cancels))

    def tell_repeats(self) -> None:
        """Write the counts of the log, which stand for all that it still has to say."""
        structlog.get_logger().info("counts")

    def later(self, seconds: float, event: Event) -> None:
        """Let something happen later."""
        asyncio.get_running_loop().call_later(seconds, self.bus.post, event)


def left(
    directory: Path,
    play: Callable[[Leaving], Awaitable[None]],
    *events: Event,
    cancels_orders: bool = True,
    sources: Callable[[], list[asyncio.Task[None]]] = list,
    then: Callable[[], Awaitable[None]] | None = None,
    first: Callable[[Leaving], None] = lambda scene: None,
) -> tuple[int, DaemonStopped, Leaving]:
    """Live through these events, ask for a stop, play beside it, and ``then`` go on; return the exit code, the last event and the scene."""

    async def main() -> tuple[int, Leaving]:
        scene = Leaving(directory, cancels_orders=cancels_orders)
        async with asyncio.TaskGroup() as group:
            started = asyncio.Event()
            group.create_task(scene.bus.run(started.set))
            await started.wait()
            for event in (*MORNING, *DECISION, *events):
                scene.bus.post(event)
            first(scene)
            scene.stopping.ask("SIGTERM was received")
            await scene.stopping.wait()
            await play(scene)
            code = await scene.stopping.run(sources())
            if then is not None:
                await then()
        scene.journal.close()
        return code, scene

    code, scene = virtual(main)
    with Journal.open(directory / "journal.sqlite", new_epoch=str, threaded=False) as journal:
        last = [envelope.event for envelope in journal.read()][-1]
    assert isinstance(last, DaemonStopped)
    return code, last, scene


def outcomes(stopped: DaemonStopped) -> dict[str, tuple[str, int]]:
    """Return outcome and whole seconds by stage."""
    return {stage.name: (stage.outcome, round(stage.seconds)) for stage in stopped.stages}


async def nothing(scene: Leaving) -> None:
    """Let things take their course."""


WORKING = report("new", "new")
CANCELLED = report("canceled", "canceled")


def test_the_shares_of_the_stages_are_all_of_the_time() -> None:
    """The sum of the limits is what the operator set, and each is the documented one."""
    assert sum(SHARES.values()) == pytest.approx(1.0)
    rows = re.findall(r"^\| `([a-z ]+)` \| (\d+) % \|", DOCUMENTED.read_text(), flags=re.MULTILINE)
    assert {name: f"{share:.0%}" for name, share in SHARES.items()} == {name: f"{share}%" for name, share in rows}


def test_a_stop_with_nothing_open_takes_no_time(tmp_path: Path) -> None:
    """Every stage is done; the state is written down, and the next start reads nothing but what came after it."""
    code, stopped, scene = left(tmp_path, nothing, report("fill", "filled", last="10", total="10", execution="e1"))

    assert 0 == code
    assert dict.fromkeys(("gate", "drain", "cancel", "final states", "snapshot"), ("done", 0)) == outcomes(stopped)
    assert ((), ()) == (stopped.open_orders, stopped.unconfirmed)
    assert ["SIGTERM was received"] == scene.held
    assert "stopping" in scene.gate.reasons
    with Journal.open(tmp_path / "journal.sqlite", new_epoch=str, threaded=False) as journal:
        again = JournaledState(lambda event: None)
        how = recover(again, journal)
        assert 1 == how.events, "only the last event came after the snapshot"
        assert again.hash() == scene.state.hash()


def test_the_last_stage_has_the_last_word(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the log still counts is written before it."""
    left(tmp_path, nothing, report("fill", "filled", last="10", total="10", execution="e1"))

    *_, counts, last = capsys.readouterr().out.splitlines()
    assert "counts" in counts
    assert "stage=exit" in re.sub(r"\x1b\[\d*m", "", last)


def test_a_stop_ends_as_it_began(tmp_path: Path) -> None:
    """New settings count for the next stop; one in progress keeps its time and its policy."""

    async def before(scene: Leaving) -> None:
        scene.stopping.allow(seconds=1.0, cancels_orders=False)

    code, stopped, _ = left(tmp_path, before, WORKING)
    assert code == 5
    assert stopped.unconfirmed

    def patient(scene: Leaving) -> None:
        scene.stopping.allow(seconds=1.0, cancels_orders=False)

    code, stopped, scene = left(tmp_path / "other", nothing, WORKING, first=patient)
    assert (code, stopped.unconfirmed, scene.cancels) == (0, (), [])


def test_the_gate_is_closed_before_anything_else(tmp_path: Path) -> None:
    """Why the daemon stops is journaled first, durably, and no cancel leaves before that."""
    seen: list[tuple[str, ...]] = []

    async def play(scene: Leaving) -> None:
        def on_cancel(number: int) -> None:
            seen.append(tuple(type(envelope.event).__name__ for envelope in scene.journal.read(types=(DaemonStopping,))))
            scene.bus.post(CANCELLED)

        scene.on_cancel = on_cancel

    code, _, _ = left(tmp_path, play, WORKING)
    assert 0 == code
    assert [("DaemonStopping",)] == seen


def test_an_answer_under_way_is_waited_for_before_the_cancel(tmp_path: Path) -> None:
    """An order whose request has left is not cancelled blindly: first it is known what became of it."""

    async def play(scene: Leaving) -> None:
        scene.later(1.0, WORKING)
        scene.on_cancel = lambda number: scene.later(0.5, CANCELLED)

    code, stopped, scene = left(tmp_path, play)
    assert 0 == code
    assert ("done", 1) == outcomes(stopped)["drain"]
    assert [pytest.approx(1.0, abs=0.01)] == scene.cancels


@pytest.mark.parametrize(
    "answer",
    [
        OrderOutcomeUnknown(at=DECIDED_AT, client_order_id=ORDER_ID, reason="timeout"),
        OrderWithheld(at=DECIDED_AT, client_order_id=ORDER_ID, reason="the gate is closed"),
        CANCELLED,
    ],
    ids=lambda event: type(event).__name__,
)
def test_any_answer_ends_the_drain(tmp_path: Path, answer: Event) -> None:
    """That the outcome is unknown is an answer too."""

    async def play(scene: Leaving) -> None:
        scene.later(0.4, answer)

    _, stopped, _ = left(tmp_path, play)
    assert "done" == outcomes(stopped)["drain"][0]


def test_a_venue_that_hangs_costs_each_stage_its_limit_and_its_orders_are_named(tmp_path: Path) -> None:
    """No answer to the submit, none to the cancels: the stop ends in its time, says what is open, and exits with the code for it."""
    code, stopped, scene = left(tmp_path, nothing)

    assert LEFT_OPEN == code == 5
    assert {
        "gate": ("done", 0),
        "drain": ("timed out", 3),
        "cancel": ("done", 0),
        "final states": ("timed out", 8),
        "snapshot": ("done", 0),
    } == outcomes(stopped)
    assert ((ORDER_ID,), (ORDER_ID,)) == (stopped.open_orders, stopped.unconfirmed)
    by_name = {stage.name: stage for stage in stopped.stages}
    assert f"{ORDER_ID} is intended" == by_name["drain"].left
    assert f"{ORDER_ID} is cancelling" == by_name["final states"].left
    assert [SECONDS * SHARES[name] for name in by_name] == [stage.limit_seconds for stage in stopped.stages]
    assert [CANCEL_AGAIN_SECONDS] * 3 == [
        pytest.approx(after - before, abs=0.01) for before, after in zip(scene.cancels, scene.cancels[1:], strict=False)
    ]


def test_a_cancel_that_was_lost_is_sent_again(tmp_path: Path) -> None:
    """The second one has its effect, and the stop is clean."""

    async def play(scene: Leaving) -> None:
        def on_cancel(number: int) -> None:
            if number == 2:
                scene.bus.post(CANCELLED)

        scene.on_cancel = on_cancel

    code, stopped, scene = left(tmp_path, play, WORKING)
    assert 0 == code
    assert 2 == len(scene.cancels)
    assert ("done", 2) == outcomes(stopped)["final states"]


def test_a_cancel_stage_that_cannot_even_ask_is_given_up(tmp_path: Path) -> None:
    """The bus holds the request back: the stage ends at its limit, and the order is named as working."""

    async def play(scene: Leaving) -> None:
        async def held_back(reason: str) -> None:
            await asyncio.Event().wait()

        object.__setattr__(scene.stopping, "_parts", _with_cancel(scene, held_back))

    code, stopped, _ = left(tmp_path, play, WORKING)
    assert LEFT_OPEN == code
    assert ("timed out", 2) == outcomes(stopped)["cancel"]
    assert f"{ORDER_ID} is working" == next(stage.left for stage in stopped.stages if stage.name == "cancel")


def _with_cancel(scene: Leaving, cancel: Callable[[str], Awaitable[None]]) -> StopParts:
    return StopParts(
        bus=scene.bus,
        orders=scene.state.orders,
        snapshots=scene.keeper,
        clock=scene.clock,
        hold=scene._hold,
        cancel=cancel,
        seconds=SECONDS,
        cancels_orders=True,
    )


def test_orders_that_are_left_by_policy_are_named_and_no_failure(tmp_path: Path) -> None:
    """Nothing is cancelled, nothing is waited for; the exit code is that of a good end."""
    code, stopped, scene = left(tmp_path, nothing, WORKING, cancels_orders=False)

    assert 0 == code
    assert [] == scene.cancels
    assert ((ORDER_ID,), ()) == (stopped.open_orders, stopped.unconfirmed)
    assert {("done", 0)} == set(outcomes(stopped).values())


@pytest.mark.parametrize(("after", "skipped"), [(1.0, ["drain", "cancel", "final states"]), (5.0, ["final states"])])
def test_a_second_request_skips_to_the_end_and_still_journals_what_is_known(tmp_path: Path, after: float, skipped: list[str]) -> None:
    """From whatever stage it is in: the state is written down, the open order is named, the code says that it is open."""

    async def play(scene: Leaving) -> None:
        asyncio.get_running_loop().call_later(after, scene.stopping.ask_again, "SIGTERM was received")

    code, stopped, scene = left(tmp_path, play)
    assert LEFT_OPEN == code
    assert skipped == [stage.name for stage in stopped.stages if stage.outcome == "skipped"]
    assert "done" == outcomes(stopped)["snapshot"][0]
    assert (ORDER_ID,) == stopped.unconfirmed
    with Journal.open(tmp_path / "journal.sqlite", new_epoch=str, threaded=False) as journal:
        assert journal.snapshots(STATE)[0].problem is None
    assert scene.stopping.stage is None


def test_streams_that_do_not_close_hold_up_neither_snapshot_nor_exit(tmp_path: Path) -> None:
    """Half of the snapshot's time is theirs."""

    async def stubborn() -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if stubborn_has.is_set():
                    raise

    stubborn_has = asyncio.Event()

    def sources() -> list[asyncio.Task[None]]:
        task = asyncio.create_task(stubborn())
        loop = asyncio.get_running_loop()
        loop.call_later(SECONDS - 0.1, stubborn_has.set)
        loop.call_later(SECONDS, task.cancel)
        return [task]

    code, stopped, _ = left(tmp_path, nothing, WORKING, CANCELLED, sources=sources)
    assert 0 == code
    assert ("done", round(SECONDS * SHARES["snapshot"] / 2)) == outcomes(stopped)["snapshot"]


def test_the_first_reason_counts_and_an_operator_is_told_what_was_done(tmp_path: Path) -> None:
    """The end of the schedule does not hurry a stop; a second word of a person does."""

    async def main() -> None:
        stopping = Leaving(tmp_path, cancels_orders=True).stopping
        assert {"stopping": True, "hurried": False, "stage": None} == stopping.told("new kernel")
        stopping.ask("the last session is over")
        assert "asked for by the operator: new kernel" == stopping.reason
        assert {"stopping": True, "hurried": True, "stage": None} == stopping.told("now")
        assert "asked for by the operator: new kernel" == stopping.reason

    virtual(main)


def test_a_disk_that_hangs_costs_gate_snapshot_and_exit_their_limits(tmp_path: Path) -> None:
    """Each is given up at its own limit and named; the whole stop takes no longer than it may, and what is known is written at the end."""
    took: list[float] = []

    async def play(scene: Leaving) -> None:
        async def never(sequence: int | None = None) -> None:
            await asyncio.Event().wait()

        scene.bus.durable = never  # type: ignore[method-assign]
        took.append(asyncio.get_running_loop().time())

    async def nobody_listens() -> None:
        took.append(asyncio.get_running_loop().time())

    code, stopped, scene = left(tmp_path, play, WORKING, CANCELLED, then=nobody_listens)
    assert code == 0
    limits = {name: SECONDS * share for name, share in SHARES.items()}
    given_up = {stage.name: stage.seconds for stage in stopped.stages if stage.outcome == "timed out"}
    assert given_up == {name: pytest.approx(limits[name], abs=0.01) for name in ("gate", "snapshot")}
    assert took[1] - took[0] == pytest.approx(limits["gate"] + limits["snapshot"] + limits["exit"] / 2, abs=0.01)
    assert scene.held == ["SIGTERM was received"]


def test_a_handler_that_hangs_is_left_when_the_time_of_the_exit_is_over(tmp_path: Path) -> None:
    """It is named with what it was at and what waits for it, and nobody waits for it."""

    async def play(scene: Leaving) -> None:
        async def stuck(envelope: Envelope) -> None:
            await asyncio.Event().wait()

        scene.bus.subscribe("stuck", (DaemonStopping,), stuck)

    began: list[float] = []

    async def note() -> None:
        began.append(asyncio.get_running_loop().time())

    code, stopped, scene = left(tmp_path, play, WORKING, CANCELLED, then=note)
    assert code == 0
    assert set(outcomes(stopped).values()) == {("done", 0)}
    assert began == [pytest.approx(SECONDS * SHARES["exit"] / 2, abs=0.01)]
    (hanging,) = [one for one in scene.bus.statistics() if one.name == "stuck"]
    assert hanging.handled == 0


async def test_signals_ask_for_a_stop_while_the_block_runs() -> None:
    """Each is told by its name; before and after the block, and where they are not wanted, they are somebody else's."""
    asked: asyncio.Queue[str] = asyncio.Queue()
    others: list[int] = []
    before = {number: signal.signal(number, lambda number, frame: others.append(number)) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        async with stopping_on_signals(asked.put_nowait, enabled=True):
            for number in before:
                os.kill(os.getpid(), number)
                assert f"{number.name} was received" == await asked.get()
        for number in before:
            signal.signal(number, lambda number, frame: others.append(number))
        async with stopping_on_signals(asked.put_nowait, enabled=False):
            os.kill(os.getpid(), signal.SIGTERM)
        assert ([signal.SIGTERM], True) == (others, asked.empty())
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
