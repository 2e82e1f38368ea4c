"""The page on tactics says what the daemon does: its tables are run here, row by row."""

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from alchemiser.domain.events import OrderIntended
from alchemiser.domain.market import Session
from alchemiser.domain.orders import OrderState, OrderType, TimeInForce
from alchemiser.execution.decisions import GiveUp, Send
from alchemiser.execution.ladder import LadderRules, ladder_of, stands_seconds
from alchemiser.execution.slices import U_SHAPED_VOLUME, volume_share
from alchemiser.execution.tactics import TacticName, TacticRules, make
from alchemiser.execution.work import Ask, Cancel
from tests.component.test_lives import table, words
from tests.unit.execution.situations import HALF_DAY, SESSION, quote, situation
from tests.unit.execution.test_replacing import RUNG_SECONDS, selling

PAGE = "tactics"


@pytest.mark.parametrize("row", table(PAGE, "Which tactic"), ids=lambda row: row[0])
def test_the_orders_of_each_tactic(row: tuple[str, ...]) -> None:
    """Name, time in force and type of what it sends first."""
    (name,) = words(row[0])
    first = make(name, TacticRules(), LadderRules()).open(situation(quantity="10"))
    assert isinstance(first, Send)
    is_auction = "cls" in row[2]
    assert (TimeInForce.CLS if is_auction else TimeInForce.DAY) is first.time_in_force
    assert (OrderType.MARKET if "market" in row[2] else OrderType.LIMIT) is first.order_type


def test_the_table_has_every_tactic() -> None:
    """None is left out, none is invented."""
    assert [name.value for name in TacticName] == [words(row[0])[0] for row in table(PAGE, "Which tactic")]


@pytest.mark.parametrize("row", table(PAGE, "How long a rung stands"), ids=str)
def test_how_long_a_rung_stands(row: tuple[str, ...]) -> None:
    """Spread, minutes after the open, minutes before the close; seconds."""
    spread, after, before, seconds = (float(cell) for cell in row)
    assert after + before == 390
    live = quote(100 - spread / 200, 100 + spread / 200)
    assert seconds == pytest.approx(stands_seconds(LadderRules(), live, SESSION.opens_at + timedelta(minutes=after), SESSION))


@pytest.mark.parametrize("row", table(PAGE, "The last resort"), ids=lambda row: row[0])
def test_the_last_resort(row: tuple[str, ...]) -> None:
    """What is sent when the rungs are used up."""
    rules = LadderRules(fallback=words(row[0])[0])
    found = ladder_of(rules).open(situation(rung=len(rules.rungs)))
    expected = {"a market order": OrderType.MARKET, "the last limit again, if it is not standing": OrderType.LIMIT, "nothing": None}[row[1]]
    if expected is None:
        assert isinstance(found, GiveUp)
    else:
        assert isinstance(found, Send)
        assert expected is found.order_type


def test_the_volume_curve() -> None:
    """The row of percents is the default of the setting, and adds up."""
    ((_, *cells),) = [row for row in table(PAGE, "The volume curve") if row[0].startswith("Percent")] or [("",)]
    assert list(U_SHAPED_VOLUME) == [float(cell) for cell in cells]
    assert sum(U_SHAPED_VOLUME) == pytest.approx(100.0)
    assert volume_share(U_SHAPED_VOLUME, SESSION, SESSION.closes_at) == pytest.approx(1.0)


@pytest.mark.parametrize("row", table(PAGE, "The closing auction"), ids=str)
def test_the_cut_off_of_the_auction(row: tuple[str, ...]) -> None:
    """Day, New York time, taken or not."""
    session: Session = {"full": SESSION, "half": HALF_DAY}[row[0]]
    hour, minute = (int(part) for part in row[1].split(":"))
    now = datetime.combine(session.date, datetime.min.time(), ZoneInfo("America/New_York")).replace(hour=hour, minute=minute)
    found = make("moc", TacticRules(), LadderRules()).open(situation(now=now, begun=now, session=session))
    assert (row[2] == "yes") is (isinstance(found, Send) and found.time_in_force is TimeInForce.CLS)


def _filled_first() -> None:
    desk = selling()
    old = desk.only
    desk.step(RUNG_SECONDS)
    desk.fill(old)
    desk.refused(old)
    desk.step()
    assert desk.run.outcomes()[0].state == "filled"


def _filled_in_part() -> None:
    desk = selling()
    old = desk.only
    desk.step(RUNG_SECONDS)
    desk.fill(old, "5")
    new = desk.replaced(old)
    assert [Cancel] == [type(command) for command in desk.step()]
    desk.end(new, OrderState.CANCELLED)
    (again,) = desk.step()
    assert isinstance(again, OrderIntended)
    assert again.order.quantity == Decimal(15)


def _refused() -> None:
    desk = selling()
    old = desk.only
    desk.step(RUNG_SECONDS)
    desk.refused(old)
    assert [Cancel] == [type(command) for command in desk.step(RUNG_SECONDS)]
    desk.end(old, OrderState.CANCELLED)
    desk.step()
    desk.acknowledge()
    assert [Cancel] == [type(command) for command in desk.step(RUNG_SECONDS)], "no second replacement"


def _silence() -> None:
    desk = selling()
    old = desk.only
    desk.step(RUNG_SECONDS)
    assert [Ask(old), Ask(desk.replacing[old])] == desk.step(5)


RACES: dict[str, Callable[[], None]] = {
    "the old order is filled first": _filled_first,
    "the old order is filled in part": _filled_in_part,
    "the broker refuses the replacement": _refused,
    "no answer comes": _silence,
}


@pytest.mark.parametrize("row", table(PAGE, "Moving an order"), ids=lambda row: row[0])
def test_what_may_happen_while_an_order_is_replaced(row: tuple[str, ...]) -> None:
    """Each race of the table is played."""
    RACES[row[0]]()
