"""Where the daemon and the venue disagree, by name: the codes of a reconciliation, what is done about each, and parked symbols."""

from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec


class DifferenceCode(StrEnum):
    """Every way in which our state and the venue's answers can differ."""

    ORDER_BEHIND = "order_behind"
    ORDER_ENDED = "order_ended"
    ORDER_NOT_ARRIVED = "order_not_arrived"
    ORDER_VANISHED = "order_vanished"
    ORDER_REVIVED = "order_revived"
    ORDER_UNOWNED = "order_unowned"
    ORDER_ALTERED = "order_altered"
    ORDER_REPRICED = "order_repriced"
    ORDER_REPLACED = "order_replaced"
    ORDER_FOREIGN = "order_foreign"
    ORDER_OF_ANOTHER_JOURNAL = "order_of_another_journal"
    ORDER_UNRECORDED = "order_unrecorded"
    INTENT_DOUBLED = "intent_doubled"
    FILL_MISSED = "fill_missed"
    FILL_ALTERED = "fill_altered"
    FILL_BROKEN = "fill_broken"
    FILL_FOREIGN = "fill_foreign"
    FILLS_UNLISTED = "fills_unlisted"
    FILLS_EXCESS = "fills_excess"
    POSITION_MISSING = "position_missing"
    POSITION_LESS = "position_less"
    POSITION_OPPOSITE = "position_opposite"
    POSITION_MORE = "position_more"
    POSITION_FOREIGN = "position_foreign"
    POSITION_FOREIGN_SHORT = "position_foreign_short"
    POSITION_OWED = "position_owed"
    POSITION_HELD = "position_held"
    POSITION_UNSETTLED = "position_unsettled"
    BOOKS_SHORT = "books_short"
    CASH_LESS = "cash_less"
    CASH_MORE = "cash_more"
    CASH_UNSETTLED = "cash_unsettled"


class Remedy(StrEnum):
    """What is done about a difference."""

    APPLIED = "applied"  # our state follows the venue's
    LOOKED_UP = "looked_up"  # the execution handler asks until the venue has answered
    CANCELLED = "cancelled"  # the order is taken back at the venue; the symbol is parked until it is gone
    PARKED = "parked"  # asked again a few times, then nothing of the symbol is sent until the difference is gone
    LEFT_ALONE = "left_alone"  # not the daemon's
    SHOWN = "shown"  # nothing to be done but to know it


class Meaning(msgspec.Struct, frozen=True):
    """What a difference means and what is done about it."""

    remedy: Remedy
    text: str


MEANINGS: Final[dict[DifferenceCode, Meaning]] = {
    DifferenceCode.ORDER_BEHIND: Meaning(Remedy.APPLIED, "the venue has the order, and has it further than we knew"),
    DifferenceCode.ORDER_ENDED: Meaning(Remedy.APPLIED, "the order has ended at the venue"),
    DifferenceCode.ORDER_NOT_ARRIVED: Meaning(
        Remedy.LOOKED_UP, "the venue does not know an order that it never confirmed; its submit may still be on the way"
    ),
    DifferenceCode.ORDER_VANISHED: Meaning(Remedy.PARKED, "the venue does not know an order that it had confirmed"),
    DifferenceCode.ORDER_REVIVED: Meaning(Remedy.CANCELLED, "an order that has ended for us is live at the venue"),
    DifferenceCode.ORDER_UNOWNED: Meaning(Remedy.CANCELLED, "a live order belongs to a rebalance that has ended"),
    DifferenceCode.ORDER_ALTERED: Meaning(Remedy.PARKED, "the order has another symbol, side or quantity at the venue"),
    DifferenceCode.ORDER_REPRICED: Meaning(Remedy.SHOWN, "the order has another limit price at the venue"),
    DifferenceCode.ORDER_REPLACED: Meaning(Remedy.PARKED, "somebody replaced the order by one that is not ours"),
    DifferenceCode.ORDER_FOREIGN: Meaning(Remedy.LEFT_ALONE, "an open order that the daemon did not send"),
    DifferenceCode.ORDER_OF_ANOTHER_JOURNAL: Meaning(Remedy.LEFT_ALONE, "an open order of another journal of this daemon"),
    DifferenceCode.ORDER_UNRECORDED: Meaning(Remedy.CANCELLED, "a live order of this journal that this journal does not hold"),
    DifferenceCode.INTENT_DOUBLED: Meaning(Remedy.CANCELLED, "a second live order of one intent"),
    DifferenceCode.FILL_MISSED: Meaning(Remedy.APPLIED, "an execution that we had not heard of"),
    DifferenceCode.FILL_BROKEN: Meaning(Remedy.APPLIED, "an execution was taken back or corrected, and we had not heard of it"),
    DifferenceCode.FILL_ALTERED: Meaning(Remedy.PARKED, "an execution has another price or quantity at the venue"),
    DifferenceCode.FILL_FOREIGN: Meaning(Remedy.LEFT_ALONE, "an execution of an order that the daemon did not send"),
    DifferenceCode.FILLS_UNLISTED: Meaning(Remedy.PARKED, "the venue counts more filled than its list of executions has"),
    DifferenceCode.FILLS_EXCESS: Meaning(Remedy.PARKED, "we know of more executions than the venue counts"),
    DifferenceCode.POSITION_MISSING: Meaning(Remedy.PARKED, "the books hold shares of which the broker has none"),
    DifferenceCode.POSITION_LESS: Meaning(Remedy.PARKED, "the books hold more shares than the broker"),
    DifferenceCode.POSITION_OPPOSITE: Meaning(Remedy.PARKED, "the books hold shares of which the account is short"),
    DifferenceCode.POSITION_MORE: Meaning(Remedy.LEFT_ALONE, "the broker has more shares than the books: the rest is somebody else's"),
    DifferenceCode.POSITION_FOREIGN: Meaning(Remedy.LEFT_ALONE, "the account holds shares of which the books have none"),
    DifferenceCode.POSITION_FOREIGN_SHORT: Meaning(Remedy.LEFT_ALONE, "the account is short of shares of which the books have none"),
    DifferenceCode.POSITION_OWED: Meaning(
        Remedy.SHOWN, "shares were sold before their purchase was taken back: books and broker are short alike until the next decision"
    ),
    DifferenceCode.POSITION_HELD: Meaning(Remedy.SHOWN, "an order that is not ours holds shares of the books"),
    DifferenceCode.POSITION_UNSETTLED: Meaning(Remedy.SHOWN, "shares differ while orders of the symbol are at work; judged when they end"),
    DifferenceCode.BOOKS_SHORT: Meaning(Remedy.PARKED, "the books are short of shares, and the broker says otherwise"),
    DifferenceCode.CASH_LESS: Meaning(Remedy.SHOWN, "the broker has less cash than the books make it"),
    DifferenceCode.CASH_MORE: Meaning(Remedy.SHOWN, "the broker has more cash than the books make it"),
    DifferenceCode.CASH_UNSETTLED: Meaning(Remedy.SHOWN, "cash differs while orders are at work; judged when they end"),
}
"""Each code with its remedy and its meaning in words; the page on reconciliation prints this table."""

AT_ODDS: Final = frozenset(
    {
        DifferenceCode.POSITION_MISSING,
        DifferenceCode.POSITION_LESS,
        DifferenceCode.POSITION_OPPOSITE,
        DifferenceCode.BOOKS_SHORT,
        DifferenceCode.CASH_LESS,
        DifferenceCode.CASH_MORE,
    }
)
"""The codes that say that the ledger does not agree with the broker."""


UNRESOLVED: Final = "order_unresolved"
"""The code of a symbol that is parked because a rebalance ended before the venue had said what became of its order."""


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One difference: its code, what it is about (a client order id, an execution id, a symbol, ``cash``), and both sides in numbers.

    ``symbol`` is ``None`` for what concerns the account as a whole.
    """

    code: DifferenceCode
    subject: str
    symbol: str | None
    ours: str
    theirs: str

    @property
    def remedy(self) -> Remedy:
        """What is done about it."""
        return MEANINGS[self.code].remedy

    @property
    def parks(self) -> bool:
        """Whether nothing of the symbol may be sent while it lasts."""
        return self.remedy in (Remedy.PARKED, Remedy.CANCELLED)

    @property
    def text(self) -> str:
        """The difference in one sentence with its numbers."""
        return f"{self.code}: {MEANINGS[self.code].text} ({self.subject}: ours {self.ours}, theirs {self.theirs})"


class Parking(msgspec.Struct, frozen=True, kw_only=True):
    """Why and since when nothing of a symbol is sent; ``code`` is that of a difference, or :data:`UNRESOLVED`."""

    code: str
    reason: str
    since: datetime
