"""The catalogue, purely: what one comparison of our state with the venue's answers finds, and that applying it is enough."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alchemiser.domain.account import BrokerPosition
from alchemiser.domain.events import Reconciled
from alchemiser.domain.orders import OrderState
from alchemiser.domain.reconciliation import MEANINGS, DifferenceCode
from alchemiser.execution.reconciler import parked_after
from alchemiser.execution.reconciliation import OwnSide, VenueSide, reconcile
from tests.reconciliation.catalogue import CASES
from tests.reconciliation.language import Case, Own, OwnState, There, VenueStatus
from tests.reconciliation.model import CASH, Lived, PaperVenue, compared
from tests.reconciliation.record import BEGAN, events_of

SETTLES = ("order_behind", "order_ended", "fill_missed")
"""The codes that applying the reports makes go away."""


def found_codes(codes: list[str]) -> list[str]:
    """Return the codes sorted; executions of others count once, for a person may need two orders for one trade."""
    foreign = DifferenceCode.FILL_FOREIGN.value
    return sorted([code for code in codes if code != foreign] + [foreign] * (foreign in codes))


def test_there_are_enough_cases_and_each_has_its_name() -> None:
    """A table that shrinks, or names two cases alike, has lost one."""
    assert len(CASES) >= 150
    assert len({case.name for case in CASES}) == len(CASES)
    assert {code.value for code in DifferenceCode} - {code for case in CASES for code in case.finds} == {
        # Not made by any state of orders and positions that the venue can be in; tested by themselves below.
        "fill_altered",
        "fill_broken",
        "fills_excess",
        "books_short",
        "position_owed",
    }
    assert set(MEANINGS) == set(DifferenceCode)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_comparison_finds_what_the_table_says(case: Case) -> None:
    """Each difference by its code, none too many."""
    _, findings = compared(case)

    assert list(case.finds) == found_codes([difference.code.value for difference in findings.differences])
    for difference in findings.differences:
        assert difference.ours != difference.theirs
        assert difference.text


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_was_applied_is_not_found_again(case: Case) -> None:
    """After one step our state follows the venue's: a second comparison has nothing to apply, and finds the rest as before."""
    lived, findings = compared(case)
    parked = parked_after(findings, lived.state.parked.by_symbol, BEGAN)
    lived.feed(Reconciled(at=BEGAN, reason="test", attempts=1, reports=findings.reports, differences=findings.differences, parked=parked))
    own = lived.own_side()
    again = reconcile(own, PaperVenue(case).answers(own))

    assert again.reports == ()
    assert not {difference.code.value for difference in again.differences} & set(SETTLES)
    assert parked.keys() == lived.state.parked.by_symbol.keys()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_books_of_a_step_are_those_of_the_venue(case: Case) -> None:
    """Where nothing is said about shares or cash, the books hold exactly what the broker does after the step."""
    lived, findings = compared(case)
    lived.feed(Reconciled(at=BEGAN, reason="test", attempts=1, reports=findings.reports, differences=findings.differences, parked={}))
    venue = PaperVenue(case).answers(lived.own_side())
    spoken = {difference.symbol for difference in findings.differences if difference.code.value.startswith("position")}
    held = lived.state.ledger.holdings()

    for position in venue.positions:
        if position.symbol not in spoken:
            assert held.get(position.symbol) == position.quantity
    if not any(difference.subject == "cash" for difference in findings.differences):
        assert lived.state.ledger.cash == venue.cash


def world(**changes: Any) -> tuple[OwnSide, VenueSide]:
    """Return both sides of an order of ten of which four are executed, agreeing but for the changes."""
    case = Case("one order", (Own("working", (0,)),), (There("open", (4,)),))
    venue = PaperVenue(case)
    own = Lived(list(events_of(case, venue.heard, cash=CASH))).own_side()
    answers = venue.answers(own)
    ours = {name: value for name, value in changes.items() if name in own.__struct_fields__}
    theirs = {name: value for name, value in changes.items() if name not in ours}
    return msgspec.structs.replace(own, **ours), msgspec.structs.replace(answers, **theirs)


def codes_of(own: OwnSide, venue: VenueSide) -> list[str]:
    """Return what a comparison finds."""
    return sorted(difference.code.value for difference in reconcile(own, venue).differences)


def test_an_execution_that_changed_at_the_venue_is_named() -> None:
    """A corrected price makes other books than ours: the symbol is parked, and a person decides."""
    own, venue = world()
    corrected = tuple(msgspec.structs.replace(one, price=one.price + 1) for one in venue.executions)
    (difference,) = reconcile(own, msgspec.structs.replace(venue, executions=corrected)).differences

    assert (DifferenceCode.FILL_ALTERED, "SPY", "4 at 100", "4 at 101", True) == (
        difference.code,
        difference.symbol,
        difference.ours,
        difference.theirs,
        difference.parks,
    )


def test_executions_that_the_venue_does_not_count_are_named() -> None:
    """An answer may be older than what the stream brought; one that stays so is a broken execution, and no reason to sell."""
    own, venue = world()
    older = tuple(msgspec.structs.replace(one, cumulative_quantity=Decimal(3)) for one in venue.open_orders)

    assert ["fills_excess"] == codes_of(own, msgspec.structs.replace(venue, open_orders=older))
    assert not reconcile(own, msgspec.structs.replace(venue, open_orders=older)).is_settled


@pytest.mark.parametrize(("theirs", "code"), [("-3", "position_owed"), ("-2", "books_short"), ("1", "books_short")])
def test_books_that_are_short_are_named(theirs: str, code: str) -> None:
    """Only a purchase that was taken back makes them so; then the account is short alike, and the next decision buys it back."""
    short = BrokerPosition(
        symbol="BIL", quantity=Decimal(theirs), available_quantity=Decimal(theirs), average_entry_price=Decimal(1), current_price=None
    )
    own, venue = world()
    own = msgspec.structs.replace(own, holdings={**own.holdings, "BIL": Decimal(-3)})

    assert [code] == codes_of(own, msgspec.structs.replace(venue, positions=(*venue.positions, short)))


def test_an_execution_that_was_taken_back_unheard_is_applied() -> None:
    """The list tells of it: shares and cash are compared as they are after it, and nothing is parked."""
    own, venue = world()
    (standing,) = venue.executions
    taken = msgspec.structs.replace(
        standing,
        activity_id="bust",
        execution_id="bust",
        quantity=-standing.quantity,
        cumulative_quantity=Decimal(0),
        correction="trade_bust",
        previous_execution_id=standing.execution_id,
        at=standing.at + timedelta(minutes=1),
    )
    listed = tuple(msgspec.structs.replace(one, cumulative_quantity=Decimal(0), at=taken.at) for one in venue.open_orders)
    at_broker = tuple(
        msgspec.structs.replace(one, quantity=one.quantity - standing.quantity) for one in venue.positions if one.symbol == standing.symbol
    )
    found = reconcile(
        own,
        msgspec.structs.replace(
            venue,
            open_orders=listed,
            executions=(standing, taken),
            positions=tuple(one for one in at_broker if one.quantity),
            cash=venue.cash + standing.quantity * standing.price,
        ),
    )

    assert ["fill_broken"] == [difference.code.value for difference in found.differences]
    assert found.is_settled
    assert ["trade_bust"] == [report.event for report in found.reports]


def test_an_execution_that_was_corrected_unheard_is_applied_once() -> None:
    """The old one is taken back and the new one counts: one difference, and the books have the new price."""
    own, venue = world()
    (standing,) = venue.executions
    corrected = msgspec.structs.replace(
        standing,
        activity_id="correction",
        execution_id="correction",
        price=standing.price + 1,
        correction="trade_correct",
        previous_execution_id=standing.execution_id,
        at=standing.at + timedelta(minutes=1),
    )
    listed = tuple(msgspec.structs.replace(one, at=corrected.at) for one in venue.open_orders)
    found = reconcile(
        own, msgspec.structs.replace(venue, open_orders=listed, executions=(standing, corrected), cash=venue.cash - standing.quantity)
    )
    assert ["fill_broken"] == [difference.code.value for difference in found.differences]
    assert ["trade_correct"] == [report.event for report in found.reports]


def test_cash_that_was_never_seen_is_not_compared() -> None:
    """Before the first look at the account the books have no cash to compare."""
    own, venue = world(unfinished="20250303.1")
    assert codes_of(msgspec.structs.replace(own, cash=None), msgspec.structs.replace(venue, cash=Decimal(1))) == []


def test_what_is_replayed_of_others_is_left_to_the_lists() -> None:
    """A person trades the same account: the replay tells of that too, and it is no order of ours."""
    own, venue = world(unfinished="20250303.1")
    (ours,) = venue.open_orders
    other = msgspec.structs.replace(ours, client_order_id="5680c4bc-9ac1", venue_order_id="another", event_id="01")
    before = codes_of(own, venue)
    assert codes_of(own, msgspec.structs.replace(venue, replayed=(other,))) == before


def test_an_order_that_ended_and_is_not_found_is_none_that_vanished() -> None:
    """It was looked up for executions that it lacks; the venue need not know it any more."""
    own, venue = world(unfinished="20250303.1")
    (order,) = [one for one in own.orders if not one.is_terminal]
    ended = msgspec.structs.replace(order, state=OrderState.CANCELLED)
    orders = tuple(ended if one is order else one for one in own.orders)
    answers = msgspec.structs.replace(venue, open_orders=(), looked_up={order.client_order_id: None})
    found = codes_of(msgspec.structs.replace(own, orders=orders), answers)
    assert not {"order_vanished", "order_not_arrived"} & set(found)
    assert "order_vanished" in codes_of(own, answers)


def test_a_difference_below_a_cent_is_none() -> None:
    """The broker rounds, the books do not."""
    own, venue = world(cash=CASH - 400 + Decimal("0.004"), unfinished="20250303.1")

    assert codes_of(own, venue) == []


def test_what_is_replayed_needs_no_list() -> None:
    """The replayable source brings executions under the stream's ids; the list names them again, and each is applied once."""
    case = Case("a fill", (Own("working"),), (There("filled", (4, 6)),))
    venue = PaperVenue(case)
    own = Lived(list(events_of(case, venue.heard, cash=CASH))).own_side()
    replayed = tuple(
        msgspec.structs.replace(venue.heard(Own("working", (0, 1), other_ids=True), str(number)), event_id=f"{number:026d}")
        for number in range(2)
    )
    answers = venue.answers(own)

    for executions in (answers.executions, ()):
        found = reconcile(own, msgspec.structs.replace(answers, executions=executions, replayed=replayed))
        assert ["fill_missed", "fill_missed", "order_ended"] == sorted(one.code.value for one in found.differences)


@given(data=st.data())
def test_no_share_is_made_or_lost(data: st.DataObject) -> None:
    """Whatever pieces of an order were executed and heard of, in whatever state it is: after one step the books are the broker's."""
    sizes = tuple(data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=5), label="sizes"))
    quantity = sum(sizes) + data.draw(st.sampled_from((0, 1, 7)), label="left")
    heard = tuple(sorted(data.draw(st.sets(st.sampled_from(range(len(sizes)))), label="heard")))
    state: OwnState = data.draw(st.sampled_from(("working", "cancelling")), label="state")
    status: VenueStatus = "filled" if quantity == sum(sizes) else data.draw(st.sampled_from(("open", "canceled")), label="status")
    case = Case("drawn", (Own(state, heard, quantity=quantity),), (There(status, sizes, quantity=quantity),))
    lived, findings = compared(case)
    lived.feed(Reconciled(at=BEGAN, reason="test", attempts=1, reports=findings.reports, differences=findings.differences, parked={}))

    assert {"SPY": Decimal(sum(sizes))} == lived.state.ledger.holdings()
    assert lived.state.ledger.cash == CASH - 100 * sum(sizes)
    assert sum(one.code is DifferenceCode.FILL_MISSED for one in findings.differences) == len(sizes) - len(heard)
