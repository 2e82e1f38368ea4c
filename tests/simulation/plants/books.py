"""Bugs of what is counted and booked, shares and cash: planted one at a time, see ``planted``."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from itertools import count
from typing import Any
from unittest.mock import PropertyMock, patch

import msgspec

from alchemiser.domain.money import ZERO
from alchemiser.domain.orders import Side, apply_report
from alchemiser.execution import order_states
from alchemiser.execution.pacing import RebalanceRun
from alchemiser.execution.run_state import RunState
from alchemiser.execution.work import Work
from alchemiser.portfolio import attribution, ledger
from alchemiser.portfolio.ledger import Ledger


@contextmanager
def double_apply() -> Iterator[None]:
    """An execution that comes by a second road counts a second time."""

    def forgetful(order: Any, report: Any) -> Any:
        return apply_report(msgspec.structs.replace(order, execution_ids=()), report)

    with patch.object(order_states, "apply_report", forgetful):
        yield


@contextmanager
def dropped_fill() -> Iterator[None]:
    """Every seventh fill is not booked."""
    book, number = Ledger._book, count(1)

    def careless(ledger: Ledger, fill: Any) -> None:
        if next(number) % 7:
            book(ledger, fill)

    with patch.object(Ledger, "_book", careless):
        yield


@contextmanager
def one_of_an_instant() -> Iterator[None]:
    """Of two executions with one time stamp the second is taken for the first again."""
    last: dict[str, Any] = {}

    def careless(order: Any, report: Any) -> Any:
        changed, fill = apply_report(order, report)
        if fill is not None and last.get("at") == fill.at and last.get("id") != fill.execution_id:
            return order, None
        if fill is not None:
            last.update(at=fill.at, id=fill.execution_id)
        return changed, fill

    with patch.object(order_states, "apply_report", careless):
        yield


@contextmanager
def forgotten_reservation() -> Iterator[None]:
    """The cash that a working buy may still take is offered to the next one."""
    with patch.object(Work, "reserved", PropertyMock(return_value=ZERO)):
        yield


@contextmanager
def leaked_reservation() -> Iterator[None]:
    """What a buy may still have taken when it was taken back is kept for it after its end."""
    ended, reserved, leaked = RebalanceRun.on_end, RunState.reserved_cash, defaultdict[str, Decimal](Decimal)

    def leaky(run: RebalanceRun, order: Any, now: Any) -> bool:
        work = run._work_of(order.client_order_id)
        live = None if work is None else work.live.get(order.client_order_id)
        if live is not None and live.order.side is Side.BUY:
            leaked[run.plan.rebalance_id] += live.may_take
        return ended(run, order, now)

    def all_reserved(run: RunState) -> Decimal:
        return reserved(run) + leaked[run.plan.rebalance_id]

    with patch.object(RebalanceRun, "on_end", leaky), patch.object(RunState, "reserved_cash", all_reserved):
        yield


@contextmanager
def all_to_the_first() -> Iterator[None]:
    """What is executed for two strategies is booked to the one that waits for most."""
    split = attribution.split_fill

    def greedy(quantity: Decimal, waiting: Mapping[str, Decimal]) -> dict[str, Decimal]:
        parts = split(quantity, waiting)
        return {max(parts, key=parts.__getitem__): quantity} if parts else parts

    with patch.object(ledger, "split_fill", greedy):
        yield


@contextmanager
def deaf_to_late_fills() -> Iterator[None]:
    """What is heard of an order after its end is dropped, also an execution from before it."""

    def deaf(order: Any, report: Any) -> Any:
        return (order, None) if order.is_terminal else apply_report(order, report)

    with patch.object(order_states, "apply_report", deaf):
        yield


@contextmanager
def deaf_to_busts() -> Iterator[None]:
    """An execution that is taken back stays in the books."""

    def deaf(ledger: Ledger, told: Any) -> None:
        return

    with patch.object(Ledger, "_undo", deaf):
        yield


@contextmanager
def booked_at_each_look() -> Iterator[None]:
    """A row of the account's activities is booked each time it is read."""
    take, looks = Ledger.take, count(1)

    def careless(ledger: Ledger, rows: Any, spin_offs: Any) -> int:
        look = next(looks)
        return take(ledger, [msgspec.structs.replace(row, activity_id=f"{row.activity_id} {look}") for row in rows], spin_offs)

    with patch.object(Ledger, "take", careless):
        yield
