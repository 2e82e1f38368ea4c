"""Moving a live order: replaced where the venue allows it, else cancelled, awaited, sent anew; never two that may both trade."""

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alchemiser.domain.account import Account
from alchemiser.domain.events import OrderIntended
from alchemiser.domain.market import Quote
from alchemiser.domain.money import tick_of
from alchemiser.domain.orders import NewOrder, Order, OrderState, OrderType, Side, TimeInForce
from alchemiser.execution.ladder import LadderRules
from alchemiser.execution.tactics import TacticName, TacticRules
from alchemiser.execution.work import Ask, Cancel, LookAtAccount, Replace, Stage
from tests.unit.execution.pacing_desk import CUT_OFF, SESSION, START, Desk, intent

WIDE = Quote(symbol="OLD", bid=99.90, bid_size=500, ask=100.10, ask_size=500, at=START)
RUNG_SECONDS = 7.5
"""How long a rung stands at twenty basis points of spread."""


def selling(quantity: str = "20", **rules: object) -> Desk:
    """Return a desk that has sent an order to sell, and the venue works on it."""
    desk = Desk(intent("OLD", Side.SELL, quantity), rules=LadderRules(**rules))  # type: ignore[arg-type]
    desk.market.quotes["OLD"] = WIDE
    desk.step()
    desk.acknowledge()
    return desk


def test_a_working_limit_of_whole_shares_is_replaced() -> None:
    """One request instead of a cancel, its confirmation, and a new order; the whole quantity, a new id, the price of the next rung."""
    desk = selling()
    first = desk.only
    (replace,) = desk.step(RUNG_SECONDS)

    assert isinstance(replace, Replace)
    assert first == replace.client_order_id
    order = replace.intended.order
    assert (Decimal(20), Decimal("99.95"), "rung 2") == (order.quantity, order.limit_price, replace.intended.step)
    assert desk.step(1) == [], "until the venue has answered nothing else is decided"
    desk.replaced(first)
    desk.fill(desk.only)
    desk.step()
    assert desk.run.outcomes()[0].state == "filled"


@pytest.mark.parametrize(
    ("why", "quantity", "rules", "is_acknowledged", "filled"),
    [
        ("a fraction of a share", "20.5", {}, True, None),
        ("filled in part", "20", {}, True, "3"),
        ("not yet at the market", "20", {}, False, None),
        ("switched off in the settings", "20", {"replaces": False}, True, None),
        ("a market order comes next", "20", {"rungs": (Decimal(1),)}, True, None),
    ],
)
def test_what_cannot_be_replaced_is_cancelled(
    why: str, quantity: str, rules: dict[str, object], is_acknowledged: bool, filled: str | None
) -> None:
    """The venue replaces whole shares of untouched working limit orders; a replacement of a filled one has traded the old total."""
    desk = selling(quantity, **rules)
    if not is_acknowledged:
        desk.acknowledged.clear()
    if filled is not None:
        desk.fill(desk.only, filled)

    assert all(isinstance(command, Cancel) for command in desk.step(RUNG_SECONDS)), why
    desk.end(desk.only, OrderState.CANCELLED)
    (again,) = desk.step()
    assert isinstance(again, OrderIntended)
    assert Decimal(quantity) - Decimal(filled or 0) == again.order.quantity


@pytest.mark.parametrize("state", [OrderState.REJECTED, OrderState.NEVER_SENT])
def test_a_refused_replacement_falls_back_to_cancel_and_submit(state: OrderState) -> None:
    """The old order is live all the while; it is cancelled, awaited, and no second replacement of this intent is tried."""
    desk = selling()
    first = desk.only
    desk.step(RUNG_SECONDS)
    desk.refused(first, state)

    (cancel,) = desk.step(RUNG_SECONDS)
    assert isinstance(cancel, Cancel)
    assert first == cancel.client_order_id
    desk.end(first, OrderState.CANCELLED)
    (again,) = desk.step()
    assert isinstance(again, OrderIntended)
    assert again.order.client_order_id.endswith("-3"), "the id of the refused one is not used again"
    assert desk.run.outcomes()[0].reason is None


def test_a_fill_that_wins_the_race_ends_the_intent() -> None:
    """The old order is filled while its replacement is on the way; the new one is refused, and nothing is traded twice."""
    desk = selling()
    first = desk.only
    desk.step(RUNG_SECONDS)
    desk.fill(first)
    assert [Cancel(desk.replacing[first], "it would buy or sell more than is left of the intent")] == desk.step()
    desk.refused(first)
    desk.step()

    assert desk.run.is_ended
    assert (Decimal(20), "filled") == (desk.run.outcomes()[0].filled_quantity, desk.run.outcomes()[0].state)


def test_a_part_fill_during_the_replacement_is_not_traded_again() -> None:
    """The new order asks for more than is left: it is taken back whatever the venue has made of it, and the rest goes anew."""
    desk = selling()
    first = desk.only
    desk.step(RUNG_SECONDS)
    desk.fill(first, "5")
    new = desk.replaced(first)

    (cancel,) = desk.step()
    assert isinstance(cancel, Cancel)
    assert (new, "it would buy or sell more than is left of the intent") == (cancel.client_order_id, cancel.reason)
    desk.end(new, OrderState.CANCELLED)
    (again,) = desk.step()
    assert isinstance(again, OrderIntended)
    assert again.order.quantity == 15


def test_a_replacement_without_an_answer_is_asked_about() -> None:
    """Both orders, until one of them has ended; at the deadline both are cancelled."""
    desk = selling()
    first = desk.only
    desk.step(RUNG_SECONDS)
    new = desk.replacing[first]

    assert [Ask(first), Ask(new)] == desk.step(5)
    desk.run.stop("halted")
    assert [Cancel(first, "halted"), Cancel(new, "halted")] == desk.step()


def test_an_order_that_stands_where_it_should_is_left_alone() -> None:
    """The next rung has the same price on the tick: its place in the queue is worth more than a new order; the ladder climbs on."""
    desk = Desk(intent("OLD", Side.SELL, "20"))
    desk.step()
    desk.acknowledge()
    assert Decimal("100.00") == desk.live[desk.only].limit_price
    (moved,) = desk.step(5)
    assert isinstance(moved, Replace)
    desk.replaced(desk.only)
    standing = desk.only
    assert desk.step(5) == []
    assert [standing] == list(desk.live)
    (last,) = desk.step(5)
    assert isinstance(last, Cancel), "after the last rung comes the market order"


def test_only_a_part_of_what_is_displayed_is_taken() -> None:
    """An order that trades at once asks for at most the share of the displayed size; the next follows at once when it is filled."""
    desk = Desk(intent("OLD", Side.SELL, "700"), rules=LadderRules(rungs=(Decimal(1),), max_displayed_share=Decimal("0.5")))
    taken = []
    while not desk.run.is_ended:
        desk.step()
        if desk.live:
            taken.append(desk.live[desk.only].quantity)
            desk.fill(desk.only)
    assert [250, 250, 200] == taken


def test_a_refused_buy_makes_the_broker_tell_its_cash() -> None:
    """The broker has less than we count: the next attempt is sized to that, not to a third refusal."""
    desk = Desk(intent("NEW", Side.BUY, "10"), cash="2000")
    desk.step()
    desk.end(desk.only, OrderState.REJECTED, "insufficient buying power")
    assert [LookAtAccount] == [type(command) for command in desk.step()]
    poor = Account(account_number="A", cash=Decimal(400), equity=Decimal(400), buying_power=Decimal(400), multiplier=1)
    desk.run.on_account(poor)

    (again,) = desk.step(2)
    assert isinstance(again, OrderIntended)
    assert again.order.limit_price is not None
    assert again.order.quantity * again.order.limit_price <= 400


def test_sells_do_not_wait_for_the_auction_when_buys_need_their_cash() -> None:
    """An auction pays at the close, when no buy can be sent any more: the alternative sells, and says why."""
    early = TacticRules(default="moc", auction_cutoff=TacticRules().auction_cutoff)
    desk = Desk(intent("OLD", Side.SELL, "20"), intent("NEW", Side.BUY, "9"), cash="0", tactics=early)
    paid = Desk(intent("OLD", Side.SELL, "20"), intent("NEW", Side.BUY, "9"), cash="5000", tactics=early)

    assert desk.run.works["OLD"].tactic.name == "ladder"
    assert desk.run.works["OLD"].fell_because == "moc: the buys need its cash before the close"
    assert paid.run.works["OLD"].tactic.name == "moc"


def auctioned(quantity: str = "10", fallback: str = "ladder") -> Desk:
    """Return a desk whose order waits for the closing auction; the cut-off is a minute before the close here."""
    from_close = type(TacticRules().auction_cutoff)("close - 1m", TacticRules().auction_cutoff.anchor, timedelta(minutes=1))
    rules = TacticRules(default="moc", auction_cutoff=from_close, auction_fallback=fallback)
    desk = Desk(intent("OLD", Side.SELL, quantity), tactics=rules)
    desk.step()
    return desk


@pytest.mark.parametrize(("fallback", "tactic"), [("ladder", "ladder"), ("park", "moc")])
def test_a_refused_auction_order_falls_to_the_alternative(fallback: str, tactic: str) -> None:
    """The venue's clock may be ahead of ours: its refusal is believed at once."""
    desk = auctioned(fallback=fallback)
    assert desk.live[desk.only].time_in_force is TimeInForce.CLS
    desk.end(desk.only, OrderState.REJECTED, "cls orders must be submitted before 3:50pm")
    desk.step(2)

    (outcome,) = desk.run.outcomes()
    assert outcome.tactic == tactic
    assert "must be submitted before" in (outcome.fell_because or "")
    assert desk.run.is_ended is (fallback == "park")
    assert all(order.time_in_force is TimeInForce.DAY for order in desk.live.values())


def test_the_close_does_not_take_an_order_out_of_its_auction() -> None:
    """After the cut-off and the close it is awaited; only silence for half a minute makes us ask."""
    desk = auctioned()
    desk.run.close("the session has closed")
    desk.now = SESSION.closes_at
    assert desk.step() == []
    asked = desk.step(31)
    assert [Cancel] == [type(command) for command in asked]
    desk.end(desk.only, OrderState.EXPIRED)
    desk.step()
    assert desk.run.outcomes()[0].reason == "the closing auction did not fill it"


def test_a_restart_leaves_an_auction_order_where_it_is() -> None:
    """After the cut-off there is no second one."""
    before = auctioned()
    key = before.only
    live = Order(request=before.live[key], state=OrderState.WORKING, intended_at=START, tactic="moc", step="auction")
    again = auctioned()
    again.run.works["OLD"].live.clear()
    again.run.works["OLD"].stage = Stage.WAITING
    again.run.resume([live], CUT_OFF + timedelta(seconds=5))
    again.run.close("the daemon was away")
    again.now = CUT_OFF + timedelta(seconds=5)

    assert again.step() == []
    assert [key] == list(again.run.works["OLD"].live)


def test_a_restart_goes_on_at_the_rung_that_was_reached() -> None:
    """Neither from the beginning nor at the market."""
    before = selling()
    ended = Order(request=before.live[before.only], state=OrderState.CANCELLED, intended_at=START, tactic="ladder", rung=2)
    again = Desk(intent("OLD", Side.SELL, "20"))
    again.run.resume([ended], START)
    (submit,) = again.step()
    assert isinstance(submit, OrderIntended)
    assert ("rung 3", 2) == (submit.step, submit.attempt)


@settings(max_examples=80, deadline=None)
@given(data=st.data(), tactic=st.sampled_from([name.value for name in TacticName]), share=st.sampled_from([None, Decimal("0.01")]))
def test_whatever_happens_nothing_is_ordered_twice_or_priced_by_a_bad_quote(
    data: st.DataObject, tactic: str, share: Decimal | None
) -> None:
    """Every tactic against random fills, races, refusals and quotes: quantity is conserved, prices keep tick and bound, all ends."""
    desk = Desk(
        intent("OLD", Side.SELL, data.draw(st.sampled_from(["20", "7.5", "0.6"]))),
        intent("NEW", Side.BUY, data.draw(st.sampled_from(["18", "3.25"])), drift=0.6),
        cash=data.draw(st.sampled_from(["0", "900", "5000"])),
        rules=LadderRules(max_displayed_share=share, fallback=data.draw(st.sampled_from(["market", "leave", "park"]))),
        tactics=TacticRules(default=tactic),
    )
    wanted = {work.intent.symbol: work.intent.quantity for work in desk.run.works.values()}
    for _ in range(30):
        for symbol in wanted:
            shape = data.draw(st.sampled_from(["same", "same", "stale", "crossed", "up", "down"]))
            if shape in ("stale", "crossed"):
                desk.market.quotes[symbol] = shape
            elif shape != "same":
                shift = 0.3 if shape == "up" else -0.3
                desk.market.quotes[symbol] = Quote(
                    symbol=symbol, bid=99.9 + shift, bid_size=90, ask=100.1 + shift, ask_size=90, at=desk.now
                )
        for command in desk.step(data.draw(st.sampled_from([0.0, 0.4, 1.0, 7.0, 30.0]))):
            if isinstance(command, OrderIntended | Replace):
                submit = command.intended if isinstance(command, Replace) else command
                _check(desk, submit.order)
        for key in list(desk.live):
            _happen(desk, key, data.draw(st.sampled_from(["wait", "ack", "part", "fill", "cancel", "reject", "replace", "refuse"])))
        for work in desk.run.works.values():
            assert Decimal(0) <= work.filled_quantity <= wanted[work.intent.symbol], "never more than the intent"
    for _ in range(40):
        for key in list(desk.live):
            if key in desk.replacing:
                desk.refused(key)
            desk.end(key, OrderState.CANCELLED)
        desk.step(30)
    assert desk.run.is_ended
    assert all(outcome.state == "filled" or outcome.reason for outcome in desk.run.outcomes())
    due = desk.run.next_due(desk.now)
    assert due is None


def _check(desk: Desk, order: NewOrder) -> None:
    """Check an order that is about to leave."""
    quote = desk.market(order.symbol, desk.now)
    work = next(work for work in desk.run.works.values() if work.intent.symbol == order.symbol)
    assert 0 < order.quantity <= work.leaves_quantity
    if order.time_in_force is TimeInForce.DAY:
        assert isinstance(quote, Quote), "a bad quote prices nothing"
        assert desk.now < CUT_OFF
    if order.order_type is OrderType.LIMIT:
        assert order.limit_price is not None
        assert order.limit_price % tick_of(order.limit_price) == 0
        assert (order.limit_price - 100) * order.side.sign <= 1, "the slippage bound of one percent"


def _happen(desk: Desk, key: str, what: str) -> None:
    if what == "ack":
        desk.acknowledged.add(key)
    elif what == "part":
        desk.fill(key, "1.25")
    elif what == "fill":
        desk.fill(key)
    elif key in desk.replacing:
        if what == "replace" and desk.bodies[desk.replacing[key]].quantity > desk.filled[key]:
            desk.replaced(key)
        elif what in ("refuse", "reject"):
            desk.refused(key)
    elif what in ("cancel", "reject") and (what == "cancel" or not desk.filled[key]):
        desk.end(key, OrderState.CANCELLED if what == "cancel" else OrderState.REJECTED, "refused" if what == "reject" else None)
    if key not in desk.live and key in desk.replacing:
        desk.refused(key)
