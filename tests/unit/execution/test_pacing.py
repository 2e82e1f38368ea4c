"""The pacing of a rebalance: sells first, buys as cash lands, one live order per intent, an end by the deadline."""

from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alchemiser.domain.events import OrderIntended
from alchemiser.domain.market import Quote
from alchemiser.domain.orders import Fill, Order, OrderState, OrderType, Side
from alchemiser.execution.ladder import LadderRules
from alchemiser.execution.tactics import TacticRules
from alchemiser.execution.work import Ask, Cancel, Stage
from tests.unit.execution.pacing_desk import RULES, START, Desk, intent


def test_a_buy_waits_until_its_cash_has_landed() -> None:
    """Sells go first; the buy is released by the fill that pays for it, not by the end of the sell."""
    desk = Desk(intent("OLD", Side.SELL, "20"), intent("NEW", Side.BUY, "9"), cash="0")

    desk.step()
    assert {order.symbol for order in desk.live.values()} == {"OLD"}
    desk.fill(desk.only, "5")
    desk.step()
    assert {order.symbol for order in desk.live.values()} == {"OLD"}
    desk.fill(desk.only, "5")
    desk.step()
    assert {order.symbol for order in desk.live.values()} == {"OLD", "NEW"}


def test_an_order_is_cut_to_what_the_venue_takes() -> None:
    """Nine decimals of a share, or whole shares where no fractions are traded; also what is left after a part was filled."""
    whole = msgspec.structs.replace(intent("OLD", Side.SELL, "7.9"), is_fractionable=False)
    desk = Desk(whole, intent("NEW", Side.BUY, "1.23456789012"), cash="1000")
    desk.step()
    assert [Decimal(7), Decimal("1.234567890")] == [order.quantity for order in desk.live.values()]

    for key, order in list(desk.live.items()):
        desk.fill(key, "0.5" if order.side is Side.BUY else "1")
        desk.end(key, OrderState.CANCELLED)
    desk.step(1)
    assert [Decimal(6), Decimal("0.734567890")] == [order.quantity for order in desk.live.values()]


def test_what_completes_a_purchase_is_looked_at_with_its_end_only() -> None:
    """A sale brings cash and a part is followed by more: both are looked at as soon as they are heard of."""
    desk = Desk(intent("OLD", Side.SELL, "10"), intent("NEW", Side.BUY, "8"), cash="0")
    desk.step()
    sold = desk.fill(desk.only)
    desk.step()
    bought = [desk.fill(desk.only, "3"), desk.fill(desk.only)]
    desk.step()

    assert sold is True
    assert bought == [True, False]
    assert desk.run.is_ended


def test_the_largest_drift_is_released_first() -> None:
    """Cash is kept for the largest drift; a smaller buy does not overtake it."""
    desk = Desk(intent("OLD", Side.SELL, "20"), intent("BIG", Side.BUY, "15"), intent("TINY", Side.BUY, "1", drift=0.1), cash="500")
    desk.step()
    assert {order.symbol for order in desk.live.values()} == {"OLD"}

    desk.fill(desk.only)
    desk.step()
    assert {order.symbol for order in desk.live.values()} == {"BIG", "TINY"}


def test_a_buy_is_resized_when_no_sell_can_bring_more() -> None:
    """When the sells brought less than planned, the buy takes what there is and the rest is stated."""
    desk = Desk(intent("NEW", Side.BUY, "10"), cash="500")

    desk.step()
    order = desk.live[desk.only]
    assert 0 < order.quantity * (order.limit_price or 0) <= 500
    desk.fill(desk.only)
    desk.step()
    assert desk.run.is_ended
    (outcome,) = desk.run.outcomes()
    assert (outcome.state, outcome.reason) == ("partial", "the cash that was left is less than the smallest order")


WIDE = Quote(symbol="", bid=80.0, bid_size=500, ask=120.0, ask_size=500, at=START)
"""A spread of forty dollars around the arrival price of a hundred."""

AT_MARKET = LadderRules(rungs=(), order_deadline_seconds=300.0)


def test_a_market_buy_reserves_what_it_can_cost() -> None:
    """With a wide spread that is the ask with its cushion, not the arrival price: the next buy is offered what is really left."""
    first, second = intent("ONE", Side.BUY, "5"), intent("TWO", Side.BUY, "5", drift=0.1)
    desk = Desk(first, second, cash="1000", rules=AT_MARKET)
    for symbol in ("ONE", "TWO"):
        desk.market.quotes[symbol] = msgspec.structs.replace(WIDE, symbol=symbol)
    desk.step()

    sent = {order.symbol: order for order in desk.live.values()}
    assert {order.order_type for order in sent.values()} == {OrderType.MARKET}
    assert desk.run.works["ONE"].reserved == 5 * Decimal("121.2")
    assert sent["TWO"].quantity < 5
    assert sum(order.quantity * Decimal("120") for order in sent.values()) <= 1000


def test_a_market_buy_that_goes_again_reserves_what_it_did() -> None:
    """While it is known not to have arrived, and waits for its turn, its cash is nobody else's."""
    desk = Desk(intent("ONE", Side.BUY, "5"), cash="1000", rules=AT_MARKET)
    desk.market.quotes["ONE"] = msgspec.structs.replace(WIDE, symbol="ONE")
    desk.step()
    desk.end(desk.only, OrderState.NEVER_SENT)
    assert desk.run.works["ONE"].reserved == 5 * Decimal("121.2")


def test_a_market_buy_found_after_a_restart_reserves_what_it_can_cost_now() -> None:
    """The quote it was sent at is gone; the present one says what it may pay."""
    desk = Desk(intent("ONE", Side.BUY, "5"), cash="1000", rules=AT_MARKET)
    desk.market.quotes["ONE"] = msgspec.structs.replace(WIDE, symbol="ONE")
    desk.step()
    (request,) = desk.live.values()
    again = Desk(intent("ONE", Side.BUY, "5"), cash="1000", rules=AT_MARKET)
    again.market.quotes["ONE"] = msgspec.structs.replace(WIDE, symbol="ONE", ask=130.0)
    again.run.resume([Order(request=request, state=OrderState.WORKING, intended_at=START)], START)
    assert again.run.works["ONE"].reserved == 5 * Decimal("131.3")


def test_the_ladder_climbs_and_falls_back_to_a_market_order() -> None:
    """Each rung that runs out is cancelled, awaited, and followed by a better price; at last by a market order."""
    desk = Desk(intent("OLD", Side.SELL, "20"))
    desk.market.quotes["OLD"] = Quote(symbol="OLD", bid=99.96, bid_size=500, ask=100.04, ask_size=500, at=START)
    prices: list[Decimal | None] = []
    for _ in range(len(RULES.rungs)):
        desk.step()
        prices.append(desk.live[desk.only].limit_price)
        (cancel,) = desk.step(RULES.rung_seconds)
        assert isinstance(cancel, Cancel)
        assert desk.step(1) == [], "the remainder waits for the end of the order before it"
        desk.end(desk.only, OrderState.CANCELLED)
    desk.step()

    assert prices == sorted(prices, key=lambda price: -(price or 0)), "a sell climbs down"
    assert desk.live[desk.only].order_type is OrderType.MARKET


def test_a_ladder_that_may_not_go_to_market_parks_the_rest() -> None:
    """With the fallback set to park, what the rungs did not fill is stated."""
    desk = Desk(intent("OLD", Side.SELL, "20"), rules=LadderRules(rungs=(Decimal(1),), fallback="park"))
    desk.step()
    desk.fill(desk.only, "4")
    desk.step(RULES.rung_seconds)
    desk.end(desk.only, OrderState.CANCELLED)
    desk.step()

    (outcome,) = desk.run.outcomes()
    assert desk.run.is_ended
    assert (outcome.state, outcome.reason, outcome.filled_quantity) == ("partial", "the ladder is used up", Decimal(4))


def test_an_order_that_the_market_left_behind_is_pegged_anew() -> None:
    """A buy below the best bid is cancelled early and goes again at the live quote, on the same rung."""
    desk = Desk(intent("NEW", Side.BUY, "5"), cash="1000")
    desk.step()
    desk.market.quotes["NEW"] = Quote(symbol="NEW", bid=100.4, bid_size=9, ask=100.42, ask_size=9, at=START)

    (cancel,) = desk.step(RULES.minimum_repeg_seconds)
    assert isinstance(cancel, Cancel)
    desk.end(desk.only, OrderState.CANCELLED)
    desk.step()
    assert desk.live[desk.only].limit_price == Decimal("100.41")


def test_a_quote_is_looked_at_for_its_own_order_only() -> None:
    """What the whole round would do about that order is done, and about no other; a quote that changes nothing leads to nothing."""
    desk = Desk(intent("OLD", Side.BUY, "5"), intent("NEW", Side.BUY, "5"), cash="2000")
    desk.step()
    assert desk.run.stage_of("NEW") is Stage.WORKING
    assert desk.run.watch("NEW", desk.now, {}) == []
    assert desk.run.next_due(desk.now) == min(desk.run.due_of(symbol, desk.now) for symbol in ("OLD", "NEW"))
    for symbol in ("OLD", "NEW"):
        desk.market.quotes[symbol] = Quote(symbol=symbol, bid=100.4, bid_size=9, ask=100.42, ask_size=9, at=START)
    desk.now += timedelta(seconds=RULES.minimum_repeg_seconds)

    (cancel,) = desk.run.watch("NEW", desk.now, {})
    assert isinstance(cancel, Cancel)
    assert "-NEW-" in cancel.client_order_id
    assert desk.run.stage_of("NEW") is not Stage.WORKING
    assert desk.run.stage_of("OLD") is Stage.WORKING


def test_no_limit_goes_beyond_the_allowed_slippage() -> None:
    """However far the market runs, the limit stays within the bound from the arrival price."""
    desk = Desk(intent("NEW", Side.BUY, "5"), cash="10000")
    desk.market.quotes["NEW"] = Quote(symbol="NEW", bid=140, bid_size=9, ask=141, ask_size=9, at=START)

    desk.step()

    assert desk.live[desk.only].limit_price == Decimal(101)


def test_without_a_usable_quote_nothing_is_priced() -> None:
    """A stale or one-sided quote prices no order; the intent waits and is parked with that reason at its deadline."""
    desk = Desk(intent("NEW", Side.BUY, "5"), cash="1000")
    desk.market.quotes["NEW"] = "stale"

    assert desk.step() == []
    desk.step(301)
    (outcome,) = desk.run.outcomes()
    assert desk.run.is_ended
    assert outcome.reason == "no usable quote: stale"


def test_a_closed_gate_sends_nothing_but_cancels_pass() -> None:
    """While messages may be missing nothing new is sent; an order may always be taken back."""
    desk = Desk(intent("OLD", Side.SELL, "5"), intent("NEW", Side.BUY, "5"), cash="100")
    desk.step()
    desk.gate = {"gap orders": "messages may be missing"}

    (command,) = desk.step(RULES.rung_seconds)
    assert isinstance(command, Cancel)
    desk.end(desk.only, OrderState.CANCELLED)
    assert desk.step(1) == []


@pytest.mark.parametrize("state", [OrderState.CANCELLED, OrderState.NEVER_SENT])
def test_the_time_of_a_rung_stands_still_while_nothing_of_it_is_at_the_venue(state: OrderState) -> None:
    """However long the gate was closed, the order that goes when it opens has what was left of its rung; one never sent had used none."""
    desk = Desk(intent("OLD", Side.SELL, "5"))
    desk.step()
    if state is OrderState.CANCELLED:
        desk.market.quotes["OLD"] = Quote(symbol="OLD", bid=99.59, bid_size=500, ask=99.61, ask_size=500, at=START)
        (cancel,) = desk.step(RULES.minimum_repeg_seconds)
        assert isinstance(cancel, Cancel)
    used = desk.now - START
    desk.end(desk.only, state)
    desk.gate = {"gap orders": "messages may be missing"}
    assert desk.step(100) == []
    desk.gate = {}
    (again,) = desk.step()
    assert isinstance(again, OrderIntended)
    assert again.rung == 0

    left = RULES.rung_seconds - used.total_seconds()
    assert desk.step(left - 0.1) == [], "it stands for what was left of its rung"
    (cancel,) = desk.step(0.1)
    assert isinstance(cancel, Cancel)
    assert desk.run.works["OLD"].rung == 1


def test_an_unconfirmed_cancel_is_asked_about_and_repeated() -> None:
    """A cancel is a request; without its confirmation the order is looked up and the cancel sent again, for ever bounded."""
    desk = Desk(intent("OLD", Side.SELL, "5"))
    desk.step()
    key = desk.only
    desk.step(RULES.rung_seconds)

    assert [Ask(key), Cancel(key, "the cancel was not confirmed")] == desk.step(5)
    desk.step(400)
    (outcome,) = desk.run.outcomes()
    assert desk.run.is_ended
    assert "never confirmed" in (outcome.reason or "")


def test_an_order_that_never_arrived_goes_again_under_the_same_id() -> None:
    """Only when the venue provably does not know the id may it be used again, with the same body, and not at once."""
    desk = Desk(intent("OLD", Side.SELL, "5"))
    desk.step()
    key = desk.only
    desk.end(key, OrderState.NEVER_SENT, "no connection")

    assert desk.step(0.5) == []
    (submit,) = desk.step(0.6)
    assert isinstance(submit, OrderIntended)
    assert submit.order.client_order_id == key


def test_the_cash_of_an_order_that_goes_again_is_not_spent_twice() -> None:
    """While an order waits to go again under its id, its cash stays set aside for it."""
    desk = Desk(intent("NEW", Side.BUY, "18", drift=0.6), intent("MORE", Side.BUY, "9", drift=0.3), cash="2000")
    desk.step()
    (key,) = [key for key, order in desk.live.items() if order.symbol == "NEW"]
    for other in [other for other in desk.live if other != key]:
        desk.end(other, OrderState.CANCELLED)
    desk.end(key, OrderState.NEVER_SENT, "no connection")
    desk.step()
    assert sum((order.quantity for order in desk.live.values()), Decimal(0)) <= Decimal("2.1"), "only what NEW leaves"


def test_refusals_are_not_a_storm() -> None:
    """A refused order goes again under a new id after a pause; after three refusals the intent is parked with the venue's words."""
    desk = Desk(intent("OLD", Side.SELL, "5"))
    ids = []
    for _ in range(3):
        desk.step(10)
        ids.append(desk.only)
        desk.end(desk.only, OrderState.REJECTED, "insufficient qty")
    desk.step(10)

    assert len(set(ids)) == 3
    assert desk.run.is_ended
    assert desk.run.outcomes()[0].reason == "rejected 3 times: insufficient qty"


def test_stopping_cancels_what_works_and_parks_the_rest() -> None:
    """After a stop nothing new begins."""
    desk = Desk(intent("OLD", Side.SELL, "5"), intent("NEW", Side.BUY, "5"))
    desk.step()
    desk.run.stop("halted")

    (cancel,) = desk.step()
    assert isinstance(cancel, Cancel)
    desk.end(desk.only, OrderState.CANCELLED)
    desk.step()
    assert ["halted", "halted"] == [outcome.reason for outcome in desk.run.outcomes()]


def test_a_buy_waits_for_the_cash_of_an_order_that_is_on_its_way_out() -> None:
    """An order that was written ahead may have left before a crash, beside the fill of the one before: what it holds is not gone."""
    first, second = intent("ONE", Side.BUY, "5", drift=0.6), intent("TWO", Side.BUY, "4", drift=0.3)
    before = Desk(first, cash="1000")
    before.step()
    request = before.live[before.only]
    filled = Order(request=request, state=OrderState.FILLED, intended_at=START, cumulative_quantity=Decimal(5), filled_value=Decimal(500))
    presumed = Order(
        request=msgspec.structs.replace(request, client_order_id=request.client_order_id[:-1] + "2"),
        state=OrderState.INTENDED,
        intended_at=START,
    )
    desk = Desk(first, second, cash="1000")
    desk.run.resume([filled, presumed], START)
    key = presumed.request.client_order_id
    desk.live[key], desk.filled[key] = presumed.request, Decimal(0)
    assert not any(isinstance(command, OrderIntended) for command in desk.step()), "it may still take nearly all of the cash that is left"

    desk.end(key, OrderState.NEVER_SENT)
    desk.step()
    assert desk.live[desk.only].quantity == Decimal(4)


def test_a_restart_takes_over_fills_attempts_and_the_live_order() -> None:
    """What an earlier process did is neither forgotten nor done twice."""
    first = Desk(intent("OLD", Side.SELL, "20"), intent("NEW", Side.BUY, "10"), cash="100")
    first.step()
    key = first.only
    done = Order(
        request=first.live[key],
        state=OrderState.WORKING,
        intended_at=START,
        cumulative_quantity=Decimal(8),
        filled_value=Decimal(800),
    )
    again = Desk(intent("OLD", Side.SELL, "20"), intent("NEW", Side.BUY, "10"), cash="100")
    again.run.resume([done], START)
    again.live[key], again.filled[key] = done.request, Decimal(8)

    commands = again.step()
    assert [Ask(key), Cancel(key, "the cancel was not confirmed")] == commands
    again.end(key, OrderState.CANCELLED)
    again.step()
    submitted = again.live[again.only]
    assert (submitted.symbol, submitted.quantity) == ("OLD", Decimal(12))
    assert submitted.client_order_id.endswith("-OLD-2")


def test_a_corrected_execution_counts_once() -> None:
    """Its shares are not filled twice, and its cash is spent once: the other buys are not told that there is none left."""
    desk = Desk(intent("NEW", Side.BUY, "10"), cash="2000")
    desk.step()
    key = desk.only
    desk.fill(key, "4", price="100")
    was = Fill(
        execution_id="1",
        client_order_id=key,
        venue_order_id="v",
        symbol="NEW",
        side=Side.BUY,
        quantity=Decimal(4),
        price=Decimal(100),
        at=desk.now,
    )
    stranger = msgspec.structs.replace(was, execution_id="0", client_order_id="somebody-else")

    desk.run.on_correction(stranger, "0b")
    desk.run.on_correction(was, "1b")
    assert (desk.run.cash, desk.run.works["NEW"].filled_quantity) == (Decimal(1_600), Decimal(4)), "until the other is heard of"
    desk.run.on_fill(msgspec.structs.replace(was, execution_id="1b", price=Decimal(90)))

    (outcome,) = desk.run.outcomes()
    assert (desk.run.cash, outcome.filled_quantity, outcome.average_price) == (Decimal(1_640), Decimal(4), Decimal(90))
    assert desk.run.works["NEW"].live[key].leaves == Decimal(6)
    desk.end(key, OrderState.CANCELLED)
    desk.run.on_correction(msgspec.structs.replace(was, execution_id="1b"), "1c")
    desk.run.on_fill(msgspec.structs.replace(was, execution_id="1c"))
    assert desk.run.works["NEW"].filled_quantity == Decimal(4)


@given(st.data())
def test_whatever_the_venue_does_every_intent_ends_inside_its_cash(data: st.DataObject) -> None:
    """Random fills, cancels, refusals and silence: buys never spend more than there is, and all ends by the deadline."""
    desk = Desk(
        intent("OLD", Side.SELL, "20"),
        intent("GONE", Side.SELL, "7.5"),
        intent("NEW", Side.BUY, "18", drift=0.6),
        intent("MORE", Side.BUY, "9", drift=0.3),
        cash=data.draw(st.sampled_from(["0", "333.33", "1500"])),
    )
    for _ in range(60):
        desk.step(data.draw(st.sampled_from([0.0, 0.3, 1.0, 6.0])))
        for key in list(desk.live):
            action = data.draw(st.sampled_from(["wait", "part", "fill", "cancel", "reject", "never"]))
            if action == "part":
                desk.fill(key, "1.25")
            elif action == "fill":
                desk.fill(key)
            elif action in ("cancel", "reject", "never") and key in desk.live:
                state = {"cancel": OrderState.CANCELLED, "reject": OrderState.REJECTED, "never": OrderState.NEVER_SENT}[action]
                if state is OrderState.CANCELLED or not desk.filled[key]:
                    desk.end(key, state)
        assert desk.run.cash >= Decimal("-0.5"), "buys fit into the cash that has landed"
    for _ in range(60):
        for key in list(desk.live):
            desk.end(key, OrderState.CANCELLED)
        desk.step(20)

    assert desk.run.is_ended
    assert all(outcome.state == "filled" or outcome.reason for outcome in desk.run.outcomes())
    assert all(outcome.filled_quantity <= outcome.quantity for outcome in desk.run.outcomes())


@pytest.mark.parametrize("quantity", ["0.000000001", "0.009"])
def test_dust_counts_as_filled(quantity: str) -> None:
    """Less than the venue's smallest order is not chased."""
    desk = Desk(intent("OLD", Side.SELL, quantity))
    desk.step()

    assert desk.run.is_ended
    assert desk.run.outcomes()[0].state == "filled"


def test_commands_are_not_repeated_without_a_reason() -> None:
    """Looking again changes nothing: commands follow from events and time alone."""
    desk = Desk(intent("OLD", Side.SELL, "5"))
    assert len(desk.step()) == 1
    assert desk.step() == []
    assert msgspec.json.encode(desk.run.outcomes()) == msgspec.json.encode(desk.run.outcomes())


def test_an_order_whose_executions_are_still_missing_is_not_sent_again() -> None:
    """The venue says that it was filled and has not listed how: it is asked about, and nothing goes out for it meanwhile."""
    before = Desk(intent("SPY", Side.BUY, "10"), cash="2000")
    before.step()
    key = before.only
    filled = Order(request=before.live[key], state=OrderState.FILLED, intended_at=START, reported_quantity=Decimal(10))

    again = Desk(intent("SPY", Side.BUY, "10"), cash="2000")
    again.run.resume([filled], START)

    assert [Ask(key), Cancel(key, "the cancel was not confirmed")] == again.step()
    assert not again.run.is_ended


def test_a_parked_symbol_ends_at_once_and_holds_nobody_up() -> None:
    """Buys wait for the cash of sells: a sell that may not be sent brings none, so it ends with its reason, and the buys go."""
    desk = Desk(intent("OLD", Side.SELL, "20"), intent("NEW", Side.BUY, "9"), cash="900")
    desk.run.why_parked = lambda symbol: "OLD is parked: fewer shares" if symbol == "OLD" else None
    desk.step()

    assert {order.symbol for order in desk.live.values()} == {"NEW"}
    assert ("unfilled", "OLD is parked: fewer shares") == (desk.run.outcomes()[0].state, desk.run.outcomes()[0].reason)


NEWS = st.one_of(
    st.tuples(st.just("wait"), st.sampled_from([0.0, 0.2, 0.9, 1.0, 2.5, 6.0, 40.0])),
    st.tuples(st.just("fill"), st.sampled_from([1, 3, 100])),
    st.tuples(st.just("end"), st.integers(0, 3)),
    st.tuples(st.just("quote"), st.sampled_from([99.0, 99.9, 100.1, 101.0])),
    st.tuples(st.just("gate"), st.booleans()),
    st.tuples(st.just("close"), st.none()),
)


@given(news=st.lists(NEWS, max_size=25), name=st.sampled_from(["ladder", "twap"]))
def test_an_order_that_is_left_alone_would_have_been_left_alone(news: list[tuple[str, float]], name: str) -> None:
    """A live order of which nothing was heard is not looked at again before its time: looking at each every time decides the same."""
    intents = (intent("OLD", Side.SELL, "30"), intent("WAS", Side.SELL, "7"), intent("NEW", Side.BUY, "25"), intent("ALSO", Side.BUY, "4"))
    desks = [
        Desk(*intents, cash="300", rules=msgspec.structs.replace(RULES, replaces=False), tactics=TacticRules(default=name)) for _ in "12"
    ]
    lazy, eager = desks

    def told() -> None:
        for work in eager.run.works.values():
            work.quiet_until = None
        assert lazy.step() == eager.step()

    told()
    for kind, value in news:
        for desk in desks:
            keys = sorted(desk.live)
            if kind == "wait":
                desk.now += timedelta(seconds=value)
            elif kind == "fill" and keys:
                desk.fill(keys[int(value) % len(keys)], str(value))
            elif kind == "end" and keys:
                desk.end(keys[int(value) % len(keys)], OrderState.CANCELLED)
            elif kind == "gate":
                desk.gate = {"x": "closed"} if value else {}
            elif kind == "close":
                desk.run.close("the session has closed")
            elif kind == "quote":
                desk.market.quotes["OLD"] = Quote(symbol="OLD", bid=value - 0.01, bid_size=500, ask=value + 0.01, ask_size=500, at=START)
        if kind == "quote" and lazy.run.stage_of("OLD") is Stage.WORKING:
            first, second = (desk.run.watch("OLD", desk.now, desk.gate) for desk in desks)
            assert first == second
        told()
        assert lazy.run.next_due(lazy.now) == eager.run.next_due(eager.now)


def test_the_end_of_an_order_is_looked_at_once_and_only_where_something_can_follow() -> None:
    """The last fill of a sale pays for the buy, and that it has ended is no news then; a filled buy beside a live one needs no look."""
    desk = Desk(intent("OLD", Side.SELL, "20"), intent("NEW", Side.BUY, "9"), intent("ALSO", Side.BUY, "9"), cash="0")
    desk.step()
    sold = desk.only
    ended = Order(request=desk.live[sold], state=OrderState.FILLED, intended_at=desk.now)
    assert desk.fill(sold)
    assert desk.run.stage_of("OLD") is Stage.ENDED
    assert not desk.run.on_end(ended, desk.now)

    desk.step()
    first, second = desk.live
    assert not desk.fill(first)
    noticed = [desk.is_noticed]
    assert desk.run.stage_of("NEW") is Stage.ENDED
    assert not desk.fill(second)
    noticed.append(desk.is_noticed)
    assert noticed == [False, True]
    assert desk.run.is_ended


@pytest.mark.parametrize(("cash", "sent"), [("5000", ["SEEN"]), ("5", [])])
def test_a_quote_of_a_waiting_intent_sends_what_looking_at_all_would(cash: str, sent: list[str]) -> None:
    """Only the intent that the quote is of is looked at; a larger drift that waits for cash keeps it from overtaking all the same."""
    intents = (intent("OLD", Side.SELL, "20"), intent("BIG", Side.BUY, "15"), intent("SEEN", Side.BUY, "2"), intent("BLIND", Side.BUY, "3"))
    desk, other = (Desk(*intents, cash=cash) for _ in "12")
    for one in (desk, other):
        one.market.quotes |= dict.fromkeys(("SEEN", "BLIND"), "none has come")
        one.step()
        del one.market.quotes["SEEN"]
    commands = desk.run.offer("SEEN", desk.now, {})
    assert [command.order.symbol for command in commands if isinstance(command, OrderIntended)] == sent
    assert commands == other.run.advance(other.now, {})
    assert desk.run.offer("BLIND", desk.now, {}) == []


def test_an_offer_heeds_the_gate_and_the_end() -> None:
    """Nothing is sent while the gate is closed, and an intent whose time is over ends."""
    desk = Desk(intent("NEW", Side.BUY, "2"), cash="5000")
    assert desk.run.offer("NEW", desk.now, {"x": "closed"}) == []
    assert desk.run.outcomes()[0].reason == "closed"
    desk.run.stop("halted")
    assert desk.run.offer("NEW", desk.now, {}) == []
    assert desk.run.stage_of("NEW") is Stage.ENDED


def test_a_sell_is_offered_whatever_the_buys_behind_it_wait_for() -> None:
    """Sells come first: the quote of one sends it while a buy waits for its cash."""
    desk = Desk(intent("OLD", Side.SELL, "20"), intent("NEW", Side.BUY, "15"), cash="5")
    desk.market.quotes["OLD"] = "none has come"
    assert desk.step() == []
    del desk.market.quotes["OLD"]
    (command,) = desk.run.offer("OLD", desk.now, {})
    assert isinstance(command, OrderIntended)
