"""The catalogue: every case by its name, with what one comparison finds and where the daemon ends.

The tables are matrices of what we think against what is true, for a buy and for a sell; the lists below them are single cases. An
empty cell says that both sides agree.
"""

from collections.abc import Iterator

from alchemiser.domain.orders import Side
from tests.reconciliation.language import NOW, OTHER, PAST, Case, Late, Own, OwnState, There

NEVER = 99

TRUTHS: dict[str, There | None] = {
    "nothing": None,
    "open": There("open"),
    "open, 4 done": There("open", (4,)),
    "filled in 4 + 6": There("filled", (4, 6)),
    "canceled": There("canceled"),
    "canceled after 4": There("canceled", (4,)),
}
"""What the venue may have made of an order of ten shares."""

Row = dict[str, str]

UNCONFIRMED: Row = {
    "nothing": "order_not_arrived",
    "open": "order_behind",
    "open, 4 done": "fill_missed order_behind",
    "filled in 4 + 6": "fill_missed fill_missed order_ended",
    "canceled": "order_ended",
    "canceled after 4": "fill_missed order_ended",
}
CONFIRMED: Row = {
    "nothing": "order_vanished",
    "open": "",
    "open, 4 done": "fill_missed",
    "filled in 4 + 6": "fill_missed fill_missed order_ended",
    "canceled": "order_ended",
    "canceled after 4": "fill_missed order_ended",
}
CONFIRMED_4: Row = {
    "nothing": "cash_unsettled order_vanished position_unsettled",
    "open, 4 done": "",
    "filled in 4 + 6": "fill_missed order_ended",
    "canceled after 4": "order_ended",
}
NEVER_CONFIRMED: Row = {
    "nothing": "",
    "open": "order_revived",
    "open, 4 done": "fill_missed order_revived",
    "filled in 4 + 6": "fill_missed fill_missed order_ended",
    "canceled": "",
    "canceled after 4": "fill_missed",
}
ENDED: Row = {
    "nothing": "",
    "open": "order_revived",
    "open, 4 done": "fill_missed order_revived",
    "filled in 4 + 6": "fill_missed fill_missed order_ended",
    "canceled": "",
    "canceled after 4": "fill_missed",
}
ENDED_4: Row = {
    "open, 4 done": "order_revived",
    "filled in 4 + 6": "fill_missed order_ended",
    "canceled after 4": "",
}

MATRIX: tuple[tuple[OwnState, tuple[int, ...], Row], ...] = (
    ("intended", (), UNCONFIRMED),
    ("unknown", (), UNCONFIRMED),
    ("asked to cancel unheard", (), UNCONFIRMED | {"open": "", "open, 4 done": "fill_missed"}),
    ("working", (), CONFIRMED),
    ("working", (0,), CONFIRMED_4),
    ("cancelling", (), CONFIRMED),
    ("cancelling", (0,), CONFIRMED_4),
    ("never_sent", (), NEVER_CONFIRMED),
    ("rejected", (), NEVER_CONFIRMED),
    ("cancelled", (), ENDED),
    ("cancelled", (0,), ENDED_4),
    ("expired", (), ENDED),
    ("expired", (0,), ENDED_4),
    ("filled", (0, 1), {"filled in 4 + 6": ""}),
)
"""Our state, the executions that we have heard of, and what is found for each truth."""


def _codes(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _turned(one: There | None, side: Side) -> tuple[There, ...]:
    return () if one is None else (There(one.status, one.pieces, side=side),)


def _matrix() -> Iterator[Case]:
    for side in Side:
        books = 10 if side is Side.SELL else 0
        for state, heard, row in MATRIX:
            for truth, found in row.items():
                seen = f", {len(heard)} executions heard" if heard else ""
                yield Case(
                    f"{side.value} {state}{seen}: at the venue {truth}",
                    ours=(Own(state, heard, side=side),),
                    venue=_turned(TRUTHS[truth], side),
                    books=books,
                    finds=_codes(found),
                    parked=("SPY",) if "order_vanished" in found else (),
                )


def _other_ids() -> Iterator[Case]:
    """Executions that the stream named otherwise than the list does are the same ones."""
    rows: tuple[tuple[OwnState, tuple[int, ...], str, str], ...] = (
        ("working", (0,), "open, 4 done", ""),
        ("working", (0,), "filled in 4 + 6", "fill_missed order_ended"),
        ("working", (0,), "canceled after 4", "order_ended"),
        ("cancelled", (0,), "canceled after 4", ""),
        ("filled", (0, 1), "filled in 4 + 6", ""),
    )
    for side in Side:
        for state, heard, truth, found in rows:
            yield Case(
                f"{side.value} {state}, {len(heard)} executions heard under other ids: at the venue {truth}",
                ours=(Own(state, heard, side=side, other_ids=True),),
                venue=_turned(TRUTHS[truth], side),
                books=10 if side is Side.SELL else 0,
                finds=_codes(found),
            )


def _pieces() -> Iterator[Case]:
    """Executions that were lost in the middle, at the beginning or at the end."""
    rows: tuple[tuple[OwnState, tuple[int, ...], There, str], ...] = (
        ("working", (0,), There("filled", (4, 3, 3)), "fill_missed fill_missed order_ended"),
        ("working", (0, 1), There("filled", (4, 3, 3)), "fill_missed order_ended"),
        ("working", (1,), There("filled", (4, 3, 3)), "fill_missed fill_missed order_ended"),
        ("filled", (0, 2), There("filled", (4, 3, 3)), "fill_missed"),
        ("filled", (1, 2), There("filled", (4, 3, 3)), "fill_missed"),
        ("filled", (2,), There("filled", (4, 3, 3)), "fill_missed fill_missed"),
        ("working", (), There("open", (4, 3)), "fill_missed fill_missed"),
        ("working", (0,), There("open", (4, 3)), "fill_missed"),
        ("working", (1,), There("open", (4, 3)), "fill_missed"),
        ("cancelling", (1,), There("canceled", (4, 3)), "fill_missed order_ended"),
        ("cancelled", (1,), There("canceled", (4, 3)), "fill_missed"),
        ("unknown", (), There("filled", (1, 2, 3, 4)), "fill_missed fill_missed fill_missed fill_missed order_ended"),
    )
    for state, heard, there, found in rows:
        sizes = " + ".join(map(str, there.pieces))
        names = ", ".join(str(number + 1) for number in heard) or "none"
        yield Case(
            f"pieces {sizes} {there.status}, heard of {names}, {state} here",
            ours=(Own(state, heard),),
            venue=(there,),
            finds=_codes(found),
        )


UNSETTLED = "cash_unsettled fills_unlisted"
LATE: tuple[Case, ...] = (
    Case(
        "the list of executions is late once, the order is filled",
        (Own("working"),),
        (There("filled", (4, 6)),),
        late=(Late("executions", 1),),
        finds=_codes(f"{UNSETTLED} order_ended position_unsettled"),
        ends=_codes("fill_missed fill_missed order_ended"),
    ),
    Case(
        "the list of executions is late twice, the order is canceled after 4",
        (Own("cancelling"),),
        (There("canceled", (4,)),),
        late=(Late("executions", 2),),
        finds=_codes(f"{UNSETTLED} order_ended position_unsettled"),
        ends=_codes("fill_missed order_ended"),
    ),
    Case(
        "the list of executions is late thrice, the order is open with 4 done",
        (Own("working"),),
        (There("open", (4,)),),
        late=(Late("executions", 3),),
        finds=_codes(f"{UNSETTLED} position_unsettled"),
        ends=_codes("fill_missed"),
    ),
    Case(
        "the list of executions never comes, but the venue replays them",
        (Own("working"),),
        (There("filled", (10,)),),
        late=(Late("executions", NEVER),),
        finds=_codes(f"{UNSETTLED} order_ended position_unsettled"),
        ends=_codes("fill_missed order_ended"),
    ),
    Case(
        "the list of executions is late once, and the venue replays nothing",
        (Own("working"),),
        (There("filled", (10,)),),
        late=(Late("executions", 1), Late("replay", NEVER)),
        finds=_codes(f"{UNSETTLED} order_ended position_unsettled"),
        ends=_codes("fill_missed order_ended"),
    ),
    Case(
        "executions are neither listed nor replayed, the order is filled",
        (Own("working"),),
        (There("filled", (10,)),),
        late=(Late("executions", NEVER), Late("replay", NEVER)),
        finds=_codes(f"{UNSETTLED} order_ended position_unsettled"),
        parked=("SPY",),
    ),
    Case(
        "executions are neither listed nor replayed, a sell is filled",
        (Own("working", side=Side.SELL),),
        (There("filled", (10,), side=Side.SELL),),
        books=10,
        late=(Late("executions", NEVER), Late("replay", NEVER)),
        finds=_codes(f"{UNSETTLED} order_ended position_unsettled"),
        parked=("SPY",),
    ),
    Case(
        "executions are neither listed nor replayed, one was heard",
        (Own("working", (0,)),),
        (There("canceled", (4, 3)),),
        late=(Late("executions", NEVER), Late("replay", NEVER)),
        finds=_codes(f"{UNSETTLED} order_ended position_unsettled"),
        parked=("SPY",),
    ),
    Case(
        "executions are not listed, and nothing was heard before which they could be replayed",
        (Own("unknown"),),
        (There("open", (4,)),),
        late=(Late("executions", NEVER),),
        finds=_codes(f"{UNSETTLED} order_behind position_unsettled"),
        parked=("SPY",),
    ),
    Case("the list of orders is late, the order works", (Own("working"),), (There("open"),), late=(Late("orders", 1),)),
    Case(
        "the list of orders is late, the order is new to us",
        (Own("intended"),),
        (There("open"),),
        late=(Late("orders", 1),),
        finds=("order_behind",),
    ),
    Case(
        "the list of orders is late, the order has an execution",
        (Own("working"),),
        (There("open", (4,)),),
        late=(Late("orders", 1),),
        finds=("fill_missed",),
    ),
    Case(
        "list and look-up are late, the order had been confirmed",
        (Own("working"),),
        (There("open"),),
        late=(Late("orders", 1), Late("look-up", 1)),
        finds=("order_vanished",),
        ends=(),
    ),
    Case(
        "list and look-up are late, the order had not been confirmed",
        (Own("unknown"),),
        (There("open"),),
        late=(Late("orders", 1), Late("look-up", 1)),
        finds=("order_not_arrived",),
    ),
    Case(
        "the look-up of an order that had not been confirmed is late, its executions are listed",
        (Own("intended"),),
        (There("filled", (10,)),),
        late=(Late("look-up", 2),),
        finds=_codes("cash_unsettled fill_foreign order_not_arrived position_unsettled"),
        ends=_codes("fill_missed order_ended"),
    ),
    Case(
        "an order has not arrived, and a person bought the same",
        (Own("unknown"),),
        by_hand=5,
        finds=_codes("cash_unsettled fill_foreign order_not_arrived position_unsettled"),
    ),
    Case(
        "the look-up of a filled order never finds it",
        (Own("working"),),
        (There("filled", (10,)),),
        late=(Late("look-up", NEVER),),
        finds=_codes("fill_missed order_ended order_vanished"),
        parked=("SPY",),
    ),
)

FOREIGN: tuple[Case, ...] = (
    Case("nothing anywhere"),
    Case("an order by hand, nothing of ours", venue=(There("open", kind="by hand"),), finds=("order_foreign",)),
    Case(
        "an order by hand with executions, nothing of ours",
        venue=(There("open", (4,), kind="by hand"),),
        finds=_codes("cash_less order_foreign position_foreign"),
    ),
    Case(
        "an order by hand beside ours",
        (Own("working"),),
        (There("open"), There("open", name="h", kind="by hand")),
        finds=("order_foreign",),
    ),
    Case(
        "an order by hand of another symbol beside ours",
        (Own("working"),),
        (There("open"), There("open", name="h", symbol=OTHER, kind="by hand")),
        finds=("order_foreign",),
    ),
    Case(
        "an order by hand that sells what the books hold",
        venue=(There("open", name="h", side=Side.SELL, kind="by hand"),),
        books=10,
        finds=_codes("order_foreign position_held"),
    ),
    Case("an order of another journal", venue=(There("open", kind="another journal"),), finds=("order_of_another_journal",)),
    Case(
        "an order of another journal beside ours",
        (Own("working"),),
        (There("open"), There("open", name="o", kind="another journal")),
        finds=("order_of_another_journal",),
    ),
    Case("an order of this journal that it does not hold", venue=(There("open", name="u"),), finds=("order_unrecorded",)),
    Case(
        "an order of this journal that it does not hold, beside ours",
        (Own("working"),),
        (There("open"), There("open", name="u")),
        finds=("order_unrecorded",),
    ),
    Case(
        "an order of this journal that it does not hold, with executions, beside ours",
        (Own("working"),),
        (There("open", (4,), name="u"), There("open")),
        finds=_codes("cash_unsettled fill_foreign order_unrecorded position_unsettled"),
    ),
    Case("shares bought by hand", by_hand=5, finds=_codes("cash_less position_foreign")),
    Case("shares sold short by hand", by_hand=-5, finds=_codes("cash_more position_foreign_short")),
    Case("shares bought by hand on top of ours", books=10, by_hand=5, finds=_codes("cash_less fill_foreign position_more")),
    Case(
        "some of our shares sold by hand",
        books=10,
        by_hand=-4,
        finds=_codes("cash_more fill_foreign position_less"),
        parked=("SPY",),
    ),
    Case(
        "all of our shares sold by hand",
        books=10,
        by_hand=-10,
        finds=_codes("cash_more fill_foreign position_missing"),
        parked=("SPY",),
    ),
    Case(
        "more than our shares sold by hand",
        books=10,
        by_hand=-15,
        finds=_codes("cash_more fill_foreign position_opposite"),
        parked=("SPY",),
    ),
    Case(
        "shares bought by hand while our order works",
        (Own("working"),),
        (There("open"),),
        by_hand=5,
        finds=_codes("cash_unsettled fill_foreign position_unsettled"),
    ),
    Case(
        "shares bought by hand while we were away and ours was filled",
        (Own("working"),),
        (There("filled", (10,)),),
        by_hand=5,
        finds=_codes("cash_less fill_foreign fill_missed order_ended position_more"),
    ),
)

OWNERSHIP: tuple[Case, ...] = (
    Case(
        "an order of an ended rebalance works",
        (Own("working", rebalance=PAST),),
        (There("open", rebalance=PAST),),
        finds=("order_unowned",),
    ),
    Case(
        "an order of an ended rebalance works, with an execution",
        (Own("working", rebalance=PAST),),
        (There("open", (4,), rebalance=PAST),),
        finds=_codes("fill_missed order_unowned"),
    ),
    Case(
        "an order of an ended rebalance was unknown and works",
        (Own("unknown", rebalance=PAST),),
        (There("open", rebalance=PAST),),
        finds=_codes("order_behind order_unowned"),
        ends=("order_unowned",),
    ),
    Case(
        "an order of an ended rebalance has ended",
        (Own("working", rebalance=PAST),),
        (There("canceled", rebalance=PAST),),
        finds=("order_ended",),
    ),
    Case(
        "an order of an ended rebalance is unknown, its symbol parked for it",
        (Own("unknown", rebalance=PAST),),
        was_parked="order_unresolved",
        finds=("order_not_arrived",),
        parked=("SPY",),
    ),
    Case(
        "the order that a symbol was parked for has been filled",
        (Own("unknown", rebalance=PAST),),
        (There("filled", (10,), rebalance=PAST),),
        was_parked="order_unresolved",
        finds=_codes("fill_missed order_ended"),
    ),
    Case(
        "two orders of one intent work",
        (Own("working"), Own("working", attempt=2)),
        (There("open"), There("open", attempt=2)),
        finds=("intent_doubled",),
    ),
    Case(
        "two orders of one intent, the first has ended",
        (Own("working"), Own("working", attempt=2)),
        (There("canceled"), There("open", attempt=2)),
        finds=("order_ended",),
    ),
    Case(
        "three orders of one intent work",
        (Own("working"), Own("working", attempt=2), Own("unknown", attempt=3)),
        (There("open"), There("open", attempt=2), There("open", attempt=3)),
        finds=_codes("intent_doubled intent_doubled order_behind"),
        ends=_codes("intent_doubled intent_doubled"),
    ),
)

CHANGED: tuple[Case, ...] = (
    Case(
        "the order is larger at the venue",
        (Own("working"),),
        (There("open", quantity=12),),
        finds=("order_altered",),
        parked=("SPY",),
    ),
    Case(
        "the order is smaller at the venue",
        (Own("unknown"),),
        (There("open", quantity=7),),
        finds=("order_altered",),
        parked=("SPY",),
    ),
    Case(
        "the order sells where we bought",
        (Own("unknown"),),
        (There("open", side=Side.SELL),),
        books=10,
        finds=("order_altered",),
        parked=("SPY",),
    ),
    Case("the order has another limit", (Own("working"),), (There("open", limit="99.5"),), finds=("order_repriced",)),
    Case(
        "the order has another limit and an execution",
        (Own("working"),),
        (There("canceled", limit="99.5"),),
        finds=_codes("order_ended order_repriced"),
    ),
    Case(
        "somebody replaced the order by one that works",
        (Own("working"),),
        (There("replaced"), There("open", limit="99.5", kind="by hand")),
        finds=_codes("order_ended order_replaced"),
        parked=("SPY",),
    ),
    Case(
        "somebody replaced the order by one that was filled",
        (Own("working"),),
        (There("replaced"), There("filled", (10,), limit="99.5", kind="by hand")),
        finds=_codes("cash_unsettled fill_foreign order_ended order_replaced position_unsettled"),
        parked=("SPY",),
    ),
)

BOOKS: tuple[Case, ...] = (
    Case("the books agree", books=10),
    Case("the books agree while an order works", (Own("working"),), (There("open"),), books=10),
    Case("more cash in the books", cash=100, finds=("cash_less",)),
    Case("less cash in the books", cash=-100, finds=("cash_more",)),
    Case("less cash in the books beside shares", books=10, cash=-250, finds=("cash_more",)),
    Case("more cash in the books while an order works", (Own("working"),), (There("open"),), cash=100, finds=("cash_unsettled",)),
    Case("a parked symbol agrees again", books=10, was_parked="position_less"),
    Case("a parked symbol without anything in it", was_parked="order_vanished"),
    Case(
        "a parked symbol still lacks shares",
        books=10,
        by_hand=-4,
        was_parked="position_less",
        finds=_codes("cash_more fill_foreign position_less"),
        parked=("SPY",),
    ),
    Case(
        "a parked symbol lacks all shares now",
        books=10,
        by_hand=-10,
        was_parked="position_less",
        finds=_codes("cash_more fill_foreign position_missing"),
        parked=("SPY",),
    ),
    Case(
        "the venue has forgotten a filled order and its shares",
        (Own("filled", (0,)),),
        finds=_codes("cash_more position_missing"),
        parked=("SPY",),
    ),
    Case(
        "the venue has forgotten an order that was cancelled after 4, and its shares",
        (Own("cancelled", (0,)),),
        finds=_codes("cash_more position_missing"),
        parked=("SPY",),
    ),
    Case(
        "we know of ten shares where the venue executed four",
        (Own("filled", (0, 1)),),
        (There("canceled", (4,)),),
        finds=_codes("cash_more position_less"),
        parked=("SPY",),
    ),
    Case(
        "one symbol differs, another agrees",
        (Own("working"), Own("working", name="t", symbol=OTHER)),
        (There("open", name="t", symbol=OTHER),),
        finds=("order_vanished",),
        parked=("SPY",),
    ),
    Case(
        "both symbols differ",
        (Own("working"), Own("working", name="t", symbol=OTHER)),
        finds=_codes("order_vanished order_vanished"),
        parked=("SPY", "TECL"),
    ),
    Case(
        "what one symbol missed does not touch the other",
        (Own("working"), Own("working", name="t", symbol=OTHER)),
        (There("filled", (10,)), There("open", name="t", symbol=OTHER)),
        finds=_codes("fill_missed order_ended"),
    ),
)

STRANGE: tuple[Case, ...] = (
    Case(
        "the middle one of three executions was heard of",
        (Own("working", (1,)),),
        (There("filled", (3, 3, 4)),),
        finds=_codes("fill_missed fill_missed order_ended"),
    ),
    Case(
        "an order that expired here was filled there after all",
        (Own("expired"),),
        (There("filled", (10,)),),
        finds=_codes("fill_missed order_ended"),
    ),
    Case(
        "an order by hand and shares by hand, nothing of ours",
        venue=(There("open", kind="by hand"),),
        by_hand=5,
        finds=_codes("cash_less order_foreign position_foreign"),
    ),
    Case(
        "an order of another journal with executions, nothing of ours",
        venue=(There("open", (4,), kind="another journal"),),
        finds=_codes("cash_less order_of_another_journal position_foreign"),
    ),
    Case(
        "a sale of ours was filled while a person sold the rest of the symbol",
        (Own("working", side=Side.SELL),),
        (There("filled", (10,), side=Side.SELL),),
        books=20,
        by_hand=-10,
        finds=_codes("cash_more fill_foreign fill_missed order_ended position_missing"),
        parked=("SPY",),
    ),
    Case(
        "an order was filled twice over: ours, and one of another journal",
        (Own("working"),),
        (There("filled", (10,)), There("filled", (10,), name="o", kind="another journal")),
        finds=_codes("cash_less fill_foreign fill_missed order_ended position_more"),
    ),
    Case(
        "an order we asked to cancel was filled in part there, the rest by hand",
        (Own("cancelling"),),
        (There("canceled", (4,)),),
        by_hand=6,
        finds=_codes("cash_less fill_foreign fill_missed order_ended position_more"),
    ),
    Case(
        "a parked symbol has an order of ours, and everything agrees",
        (Own("working"),),
        (There("open"),),
        books=10,
        was_parked="position_less",
    ),
    Case(
        "the list of executions is late while a person bought",
        (Own("working"),),
        (There("filled", (10,)),),
        by_hand=5,
        late=(Late("executions", 1),),
        finds=_codes("cash_unsettled fills_unlisted order_ended position_unsettled"),
        ends=_codes("cash_less fill_foreign fill_missed order_ended position_more"),
    ),
    Case(
        "an order that was never sent works, and so does the one after it",
        (Own("never_sent"), Own("working", attempt=2)),
        (There("open"), There("open", attempt=2)),
        finds=_codes("order_revived"),
    ),
)

CASES: tuple[Case, ...] = (*_matrix(), *_other_ids(), *_pieces(), *LATE, *FOREIGN, *OWNERSHIP, *CHANGED, *BOOKS, *STRANGE)
"""Every case. Their names are unique."""

assert NOW != PAST
