"""Books worked out by hand: after each fact the lots, the profits and the cash, to the cent and to the ninth decimal of a share."""

from decimal import Decimal
from typing import NamedTuple

import msgspec
import pytest

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.activities import LotMethod, SpinOff
from alchemiser.domain.events import DaemonStarted, FillBooked, FillBroken, LotsNamed, RebalancePlanned
from alchemiser.domain.orders import Side
from alchemiser.journal.audit import Audit
from tests.unit.portfolio.bookkeeping import Bookkeeping

D = Decimal


class Row(NamedTuple):
    """A fact, and what there is after it: the lots of ``a`` and ``b``, what each realised and took in, and the cash of the account."""

    fact: str
    a: str
    b: str
    realised: tuple[str, str]
    income: tuple[str, str]
    cash: str


NONE = ("0", "0")

TABLES: dict[str, tuple[Row, ...]] = {
    "a full exit": (
        Row("x: a buys 10 SPY at 20.05", "10@20.05", "", NONE, NONE, "799.50"),
        # 10 x (21.25 - 20.05) = 12.00
        Row("y: a sells 10 SPY at 21.25", "", "", ("12", "0"), NONE, "1012.00"),
    ),
    "a partial exit, a fraction of a share left": (
        Row("x: a buys 2.5 SPY at 100", "2.5@100", "", NONE, NONE, "750"),
        # 1.123456789 x (104 - 100) = 4.493827156; 2.5 - 1.123456789 = 1.376543211; 1.123456789 x 104 = 116.839506056
        Row("y: a sells 1.123456789 SPY at 104", "1.376543211@100", "", ("4.493827156", "0"), NONE, "866.839506056"),
        # 1.376543211 x (90 - 100) = -13.76543211; the whole: 4.493827156 - 13.76543211 = -9.271604954; 1.376543211 x 90 = 123.88888899
        Row("z: a sells 1.376543211 SPY at 90", "", "", ("-9.271604954", "0"), NONE, "990.728395046"),
    ),
    "averaging up": (
        Row("x: a buys 10 SPY at 20", "10@20", "", NONE, NONE, "800"),
        Row("y: a buys 5 SPY at 26", "10@20 5@26", "", NONE, NONE, "670"),
        # The oldest first: 10 x (30 - 20) + 2 x (30 - 26) = 108
        Row("z: a sells 12 SPY at 30", "3@26", "", ("108", "0"), NONE, "1030"),
    ),
    "two strategies in one symbol": (
        # 8 shares, 6 and 2 of them wished for: 6/8 and 2/8.
        Row("x: a buys 6, b buys 2 SPY at 20", "6@20", "2@20", NONE, NONE, "840"),
        Row("y: b buys 3 SPY at 24", "6@20", "2@20 3@24", NONE, NONE, "768"),
        # a: 3 x (25 - 20) = 15; b: 2 x (25 - 20) + 1 x (25 - 24) = 11
        Row("z: a sells 3, b sells 3 SPY at 25", "3@20", "2@24", ("15", "11"), NONE, "918"),
    ),
    "a crossing": (
        Row("x: a buys 10 SPY at 20", "10@20", "", NONE, NONE, "800"),
        # 4 x (23 - 20) = 12 for who sells; the account's cash and shares do not notice.
        Row("a gives b 4 SPY at 23", "6@20", "4@23", ("12", "0"), NONE, "800"),
        # a: 6 x (22 - 20) = 12 more; b: 4 x (22 - 23) = -4; 800 + 220
        Row("y: a sells 6, b sells 4 SPY at 22", "", "", ("24", "-4"), NONE, "1020"),
    ),
    "a split while it is held": (
        Row("x: a buys 6, b buys 2 SPY at 30", "6@30", "2@30", NONE, NONE, "760"),
        Row("next day", "6@30", "2@30", NONE, NONE, "760"),
        # Three for two: 8 become 12; 6 x 30 = 180 = 9 x 20
        Row("SPY splits 3 for 2, +4", "9@20", "3@20", NONE, NONE, "760"),
        # 4 x (21 - 20) = 4
        Row("y: a sells 4 SPY at 21", "5@20", "3@20", ("4", "0"), NONE, "844"),
    ),
    "a split whose price never ends": (
        Row("x: a buys 10 SPY at 10", "10@10", "", NONE, NONE, "900"),
        Row("next day", "10@10", "", NONE, NONE, "900"),
        # Three for one: 100 dollars for 30 shares are 3.33333333 each, and 0.0000001 beside.
        Row("SPY splits 3 for 1, +20", "30@3.33333333+0.0000001", "", NONE, NONE, "900"),
        # 29 x (4 - 3.33333333) = 19.33333343
        Row("y: a sells 29 SPY at 4", "1@3.33333333+0.0000001", "", ("19.33333343", "0"), NONE, "1016"),
        # With the last share goes the rest of the cost: in all 30 x 4 - 100 = 20.
        Row("z: a sells 1 SPY at 4", "", "", ("20", "0"), NONE, "1020"),
    ),
    "a reverse split with cash in the place of a fraction": (
        Row("x: a buys 7, b buys 4 SPY at 3", "7@3", "4@3", NONE, NONE, "967"),
        Row("next day", "7@3", "4@3", NONE, NONE, "967"),
        # One for five: 11 become 2.2, of which 2 are held and 0.2 paid out, 3.00 dollars. 2 x 7/11 = 1.272727272, the rest 0.727272727,
        # what the cutting leaves goes to who has most. Cost stays, at eight decimals and with what those leave beside:
        # 21 - 1.272727273 x 16.5 = -0.0000000045, 12 - 0.727272727 x 16.50000001 = -0.00000000277272727.
        # 3.00 x 7/11 = 1.909 and 3.00 x 4/11 = 1.0909: 1.90 and 1.09, the cent that is left to who has most.
        Row(
            "SPY splits 1 for 5, -9 and 3.00 in cash",
            "1.272727273@16.5-0.0000000045",
            "0.727272727@16.50000001-0.00000000277272727",
            NONE,
            ("1.91", "1.09"),
            "970",
        ),
    ),
    "a dividend goes to who held before the ex-date": (
        Row("x: a buys 6, b buys 2 SPY at 20", "6@20", "2@20", NONE, NONE, "840"),
        Row("next day", "6@20", "2@20", NONE, NONE, "840"),
        # On the ex-date, 4 March, a sells what it has to b: too late for b.
        Row("a gives b 6 SPY at 21", "", "2@20 6@21", ("6", "0"), NONE, "840"),
        Row("next day", "", "2@20 6@21", ("6", "0"), NONE, "840"),
        # 8 x 0.55 = 4.40: 6/8 of it are 3.30, 2/8 are 1.10.
        Row("SPY pays 0.55 on 8, record 2025-03-04", "", "2@20 6@21", ("6", "0"), ("3.30", "1.10"), "844.40"),
        # Of who got it: 0.66 x 3.30/4.40 = 0.495 and 0.66 x 1.10/4.40 = 0.165, the cent that is left of who got most.
        Row("of SPY 0.66 is withheld", "", "2@20 6@21", ("6", "0"), ("2.80", "0.94"), "843.74"),
    ),
    "a dividend without a record date goes by the shares that it is for": (
        Row("x: a buys 6, b buys 2 SPY at 20", "6@20", "2@20", NONE, NONE, "840"),
        Row("next day", "6@20", "2@20", NONE, NONE, "840"),
        Row("y: a sells 6 SPY at 21", "", "2@20", ("6", "0"), NONE, "966"),
        Row("next day", "", "2@20", ("6", "0"), NONE, "966"),
        # For 8 shares: the last evening at which the books held 8 is that of 3 March.
        Row("SPY pays 0.55 on 8", "", "2@20", ("6", "0"), ("3.30", "1.10"), "970.40"),
    ),
    "a dividend of which somebody else has a part": (
        Row("x: a buys 6, b buys 2 SPY at 20", "6@20", "2@20", NONE, NONE, "840"),
        Row("next day", "6@20", "2@20", NONE, NONE, "840"),
        # The account holds 10: 5.00 dollars, of which 8/10 are the strategies' (3.00 and 1.00), and 1.00 is the account's.
        Row("SPY pays 0.50 on 10", "6@20", "2@20", NONE, ("3", "1"), "845"),
    ),
    "a fee goes to who sold": (
        Row("x: a buys 6, b buys 2 SPY at 20", "6@20", "2@20", NONE, NONE, "840"),
        # a sells for 60 dollars, b for 20: three quarters and one.
        Row("y: a sells 3, b sells 1 SPY at 20", "3@20", "1@20", NONE, NONE, "920"),
        Row("next day", "3@20", "1@20", NONE, NONE, "920"),
        # 0.07 x 3/4 = 0.0525 and 0.07 x 1/4 = 0.0175: 0.05 and 0.01, the cent that is left to who sold most.
        Row("a fee of 0.07", "3@20", "1@20", NONE, ("-0.06", "-0.01"), "919.93"),
    ),
    "deposits, withdrawals and interest are the account's": (
        Row("x: a buys 10 SPY at 20", "10@20", "", NONE, NONE, "800"),
        Row("d: a deposit of 500", "10@20", "", NONE, NONE, "1300"),
        Row("a withdrawal of 120.50", "10@20", "", NONE, NONE, "1179.50"),
        Row("interest of 1.23", "10@20", "", NONE, NONE, "1180.73"),
        Row("cancel d", "10@20", "", NONE, NONE, "680.73"),
    ),
    "a bust after the close": (
        Row("x: a buys 6, b buys 2 SPY at 20", "6@20", "2@20", NONE, NONE, "840"),
        Row("y: a buys 4 SPY at 22", "6@20 4@22", "2@20", NONE, NONE, "752"),
        Row("next day", "6@20 4@22", "2@20", NONE, NONE, "752"),
        # x never was: 160 dollars come back, and the shares that are left are those of y.
        Row("break x", "4@22", "", NONE, NONE, "912"),
    ),
    "a bust after a split": (
        Row("x: a buys 6, b buys 2 SPY at 20", "6@20", "2@20", NONE, NONE, "840"),
        Row("y: a buys 4 SPY at 22", "6@20 4@22", "2@20", NONE, NONE, "752"),
        Row("next day", "6@20 4@22", "2@20", NONE, NONE, "752"),
        Row("SPY splits 2 for 1, +12", "12@10 8@11", "4@10", NONE, NONE, "752"),
        # As if x had never been: what is left is y, split.
        Row("break x", "8@11", "", NONE, NONE, "912"),
    ),
    "a spin-off with a fifth of the cost": (
        Row("x: a buys 6, b buys 2 SPY at 20", "6@20", "2@20", NONE, NONE, "840"),
        Row("y: a buys 2 SPY at 30", "6@20 2@30", "2@20", NONE, NONE, "780"),
        Row("next day", "6@20 2@30", "2@20", NONE, NONE, "780"),
        # One NEW for two SPY, 5 for 10: 4 for a, 1 for b. Of 120 dollars 24 go with 3 NEW, of 60 dollars 12 with 1, of 40 dollars 8 with 1.
        Row("SPY spins off 5 NEW", "NEW:3@8 NEW:1@12 6@16 2@24", "NEW:1@8 2@16", NONE, NONE, "780"),
        # 3 x (10 - 8) = 6; 6 x (20 - 16) + 1 x (20 - 24) = 20
        Row("z: a sells 3 NEW at 10", "NEW:1@12 6@16 2@24", "NEW:1@8 2@16", ("6", "0"), NONE, "810"),
        Row("u: a sells 7 SPY at 20", "NEW:1@12 1@24", "NEW:1@8 2@16", ("26", "0"), NONE, "950"),
    ),
    "a new name": (
        Row("x: a buys 6, b buys 2 SPY at 20", "6@20", "2@20", NONE, NONE, "840"),
        Row("next day", "6@20", "2@20", NONE, NONE, "840"),
        Row("8 SPY are now QQQ", "QQQ:6@20", "QQQ:2@20", NONE, NONE, "840"),
        Row("y: a sells 6 QQQ at 21", "", "QQQ:2@20", ("6", "0"), NONE, "966"),
        # The purchase under the old name is taken back: a owes what it has sold, at that price.
        Row("break x", "QQQ:-6@21", "", NONE, NONE, "1126"),
    ),
    "a merger for cash": (
        Row("x: a buys 6, b buys 2 SPY at 20", "6@20", "2@20", NONE, NONE, "840"),
        Row("next day", "6@20", "2@20", NONE, NONE, "840"),
        # 8 shares for 190 dollars: 142.50 and 47.50, less the cost of 120 and 40.
        Row("8 SPY go for 190", "", "", ("22.50", "7.50"), NONE, "1030"),
    ),
    "a spin-off that is cancelled": (
        Row("x: a buys 6, b buys 2 SPY at 20", "6@20", "2@20", NONE, NONE, "840"),
        Row("y: a buys 2 SPY at 30", "6@20 2@30", "2@20", NONE, NONE, "780"),
        Row("next day", "6@20 2@30", "2@20", NONE, NONE, "780"),
        Row("s: SPY spins off 5 NEW", "NEW:3@8 NEW:1@12 6@16 2@24", "NEW:1@8 2@16", NONE, NONE, "780"),
        Row("next day", "NEW:3@8 NEW:1@12 6@16 2@24", "NEW:1@8 2@16", NONE, NONE, "780"),
        # 1 x (21 - 16) = 5
        Row("z: a sells 1 SPY at 21", "NEW:3@8 NEW:1@12 5@16 2@24", "NEW:1@8 2@16", ("5", "0"), NONE, "801"),
        # As if it had never been: the cost is back in the lots, and what was sold had cost 20: 1 x (21 - 20) = 1.
        Row("cancel s", "5@20 2@30", "2@20", ("1", "0"), NONE, "801"),
    ),
    "a merger for cash that is cancelled": (
        Row("x: a buys 6, b buys 2 SPY at 20", "6@20", "2@20", NONE, NONE, "840"),
        Row("y: a buys 1 SPY at 26", "6@20 1@26", "2@20", NONE, NONE, "814"),
        Row("next day", "6@20 1@26", "2@20", NONE, NONE, "814"),
        # 9 shares for 189 dollars, 21 each: 147 - 146 and 42 - 40.
        Row("m: 9 SPY go for 189", "", "", ("1", "2"), NONE, "1003"),
        Row("next day", "", "", ("1", "2"), NONE, "1003"),
        # The shares come back with their dates and their cost, the cash goes, and nothing was realised.
        Row("cancel m", "6@20 1@26", "2@20", NONE, NONE, "814"),
        Row("z: a sells 6 SPY at 21", "1@26", "2@20", ("6", "0"), NONE, "940"),
    ),
    "a new name that is cancelled": (
        Row("x: a buys 6, b buys 2 SPY at 20", "6@20", "2@20", NONE, NONE, "840"),
        Row("next day", "6@20", "2@20", NONE, NONE, "840"),
        Row("n: 8 SPY are now QQQ", "QQQ:6@20", "QQQ:2@20", NONE, NONE, "840"),
        Row("next day", "QQQ:6@20", "QQQ:2@20", NONE, NONE, "840"),
        Row("cancel n", "6@20", "2@20", NONE, NONE, "840"),
        Row("y: a sells 6 SPY at 21", "", "2@20", ("6", "0"), NONE, "966"),
    ),
    "a merger for shares and cash that is cancelled": (
        Row("x: a buys 6, b buys 2 SPY at 20", "6@20", "2@20", NONE, NONE, "840"),
        Row("next day", "6@20", "2@20", NONE, NONE, "840"),
        Row("m: 8 SPY go for 4 NEW and 10", "NEW:3@40", "NEW:1@40", NONE, ("7.50", "2.50"), "850"),
        Row("next day", "NEW:3@40", "NEW:1@40", NONE, ("7.50", "2.50"), "850"),
        Row("cancel m", "6@20", "2@20", NONE, NONE, "840"),
    ),
    "a merger for shares and cash": (
        Row("x: a buys 6, b buys 2 SPY at 20", "6@20", "2@20", NONE, NONE, "840"),
        Row("next day", "6@20", "2@20", NONE, NONE, "840"),
        # 8 shares become 4, at the same cost, with 10 dollars beside: 7.50 and 2.50.
        Row("8 SPY go for 4 QQQ and 10", "QQQ:3@40", "QQQ:1@40", NONE, ("7.50", "2.50"), "850"),
    ),
}


@pytest.mark.parametrize("name", TABLES)
def test_the_books_after_each_fact_are_those_of_the_table(name: str) -> None:
    """Every number was worked out by hand; the parts add up to the account, and a replay of the journal gives the same."""
    books = Bookkeeping(spin_offs={"NEW": SpinOff(cost_fraction=D("0.2"))})
    for row in TABLES[name]:
        books.tell(row.fact)
        both = (books.ledger.books["a"], books.ledger.books["b"])

        assert (row.a, row.b) == (books.lots("a"), books.lots("b")), row.fact
        assert tuple(map(D, row.realised)) == tuple(book.realised for book in both), row.fact
        assert tuple(map(D, row.income)) == tuple(book.income for book in both), row.fact
        assert D(row.cash) == books.ledger.cash, row.fact
    assert books.replayed().memory() == books.ledger.memory()


BOUGHT = (
    "x: a buys 10 SPY at 20",
    "y: a buys 10 SPY at 30",
    "z: a buys 10 SPY at 25",
    "u: a sells 15 SPY at 28",
    "v: a sells 10 SPY at 22",
)

METHODS: dict[LotMethod, tuple[tuple[str, str], tuple[str, str]]] = {
    # 10 x (28 - 20) + 5 x (28 - 30) = 70; then 5 x (22 - 30) + 5 x (22 - 25) = -55
    LotMethod.FIFO: (("5@30 10@25", "70"), ("5@25", "15")),
    # 10 x (28 - 25) + 5 x (28 - 30) = 20; then 5 x (22 - 30) + 5 x (22 - 20) = -30
    LotMethod.LIFO: (("10@20 5@30", "20"), ("5@20", "-10")),
    # 10 x (28 - 30) + 5 x (28 - 25) = -5; then 5 x (22 - 25) + 5 x (22 - 20) = -5
    LotMethod.HIGHEST_COST: (("10@20 5@25", "-5"), ("5@20", "-10")),
    # z was named, then the oldest: 10 x (28 - 25) + 5 x (28 - 20) = 70; then 5 x (22 - 20) + 5 x (22 - 30) = -30
    LotMethod.SPECIFIC: (("5@20 10@30", "70"), ("5@30", "40")),
}


@pytest.mark.parametrize("method", LotMethod)
def test_each_method_closes_its_lots(method: LotMethod) -> None:
    """30 shares in three lots, 15 and then 10 sold: by hand for each method, and the same when it is replayed or audited."""
    books = Bookkeeping(lots=method, specific={"SPY": ("z", "nothing")})
    (after_first, earned_first), (after_second, earned) = METHODS[method]
    for fact in BOUGHT[:4]:
        books.tell(fact)
    assert (after_first, D(earned_first)) == (books.lots("a"), books.ledger.books["a"].realised)
    books.tell(BOUGHT[4])
    assert (after_second, D(earned)) == (books.lots("a"), books.ledger.books["a"].realised)
    assert books.replayed().memory() == books.ledger.memory()
    audit = Audit()
    for number, event in enumerate(books.events, start=1):
        audit(Envelope(number, event, 0.0))
    assert audit.problems == []


@pytest.mark.parametrize("method", LotMethod)
def test_a_sale_keeps_the_method_it_was_made_with(method: LotMethod) -> None:
    """The setting changes, and then an earlier purchase is broken: what is worked out anew closes as it did then."""
    books = Bookkeeping(lots=method, specific={"SPY": ("z",)})
    for fact in (*BOUGHT[:4], "w: a buys 1 SPY at 40"):
        books.tell(fact)
    lots = books.lots("a")
    started = next(event for event in books.events if isinstance(event, DaemonStarted))
    books.feed(msgspec.structs.replace(started, lots=LotMethod.LIFO if method is LotMethod.FIFO else LotMethod.FIFO))
    books.tell("break w")

    assert lots.removesuffix(" 1@40") == books.lots("a")


def test_a_person_names_the_lots_while_the_daemon_runs() -> None:
    """Before the setting and through a restart, for that symbol alone, until he takes it back; the audit agrees each time."""
    books = Bookkeeping()
    for fact in ("x: a buys 10 SPY at 20", "y: a buys 10 SPY at 30", "z: a buys 10 SPY at 25"):
        books.tell(fact)
    books.feed(LotsNamed(at=books.at, symbol="SPY", lots=("z", "y"), by="operator", reason="tax"))
    books.feed(next(event for event in books.events if isinstance(event, DaemonStarted)))
    # 10 x (28 - 25) + 2 x (28 - 30) = 26, where first in first out would have been 10 x (28 - 20) + 2 x (28 - 30) = 76
    books.tell("s: a sells 12 SPY at 28")
    assert (books.lots("a"), books.ledger.books["a"].realised) == ("10@20 8@30", D(26))

    books.feed(LotsNamed(at=books.at, symbol="SPY", lots=(), by="operator", reason="done"))
    # The oldest again: 4 x (28 - 20) = 32 more.
    books.tell("t: a sells 4 SPY at 28")
    assert (books.lots("a"), books.ledger.books["a"].realised) == ("6@20 8@30", D(58))
    assert books.replayed().memory() == books.ledger.memory()
    audit = Audit()
    for number, event in enumerate(books.events, start=1):
        audit(Envelope(number, event, 0.0))
    assert audit.problems == []


THREE_LOTS = ("x: a buys 10 SPY at 20", "y: a buys 10 SPY at 30", "z: a buys 10 SPY at 25")


def is_sound(books: Bookkeeping) -> bool:
    """Whether a replay gives the same books, and the audit of the journal finds nothing."""
    audit = Audit()
    for number, event in enumerate(books.events, start=1):
        audit(Envelope(number, event, 0.0))
    return books.replayed().memory() == books.ledger.memory() and audit.problems == []


@pytest.mark.parametrize("is_named", [True, False])
@pytest.mark.parametrize("method", LotMethod)
def test_a_sale_closes_the_lots_that_held_when_it_was_heard_of(method: LotMethod, *, is_named: bool) -> None:
    """Lots are named, or the settings change, while its booking is on the way: what it says was earned is what the books make of it."""
    alone, books = (Bookkeeping(lots=method, specific={"SPY": ("z",)}) for _ in range(2))
    for fact in THREE_LOTS:
        alone.tell(fact)
        books.tell(fact)
    named = LotsNamed(at=books.at, symbol="SPY", lots=("y",), by="operator", reason="tax")
    started = next(event for event in books.events if isinstance(event, DaemonStarted))
    other = LotMethod.LIFO if method is LotMethod.FIFO else LotMethod.FIFO
    books.meanwhile = [named if is_named else msgspec.structs.replace(started, lots=other)]
    for told in (alone, books):
        told.tell("s: a sells 12 SPY at 28")

    assert isinstance(books.events[-2], LotsNamed | DaemonStarted)
    assert (books.lots("a"), books.ledger.books["a"].realised) == (alone.lots("a"), alone.ledger.books["a"].realised)
    (booking,) = [event for event in books.events if isinstance(event, FillBooked) and event.execution_id == "s"]
    assert [entry.realised for entry in booking.entries] == [books.ledger.books["a"].realised]
    assert is_sound(books)

    books.tell("t: a sells 1 SPY at 28")  # From here on as it was said.
    assert is_sound(books)


def test_a_purchase_that_is_taken_back_while_a_sale_is_being_booked_leaves_sound_books() -> None:
    """The books are what they would be without it; what the booking says was earned was so when it was made."""
    books = Bookkeeping()
    for fact in THREE_LOTS:
        books.tell(fact)
    books.meanwhile = [FillBroken(at=books.at, fill=books.fills["x"], replaced_by=None, reason="trade_bust")]
    books.tell("s: a sells 12 SPY at 28")

    # 10 x (28 - 30) + 2 x (28 - 25) = -14
    assert (books.lots("a"), books.ledger.books["a"].realised) == ("8@25", D(-14))
    assert is_sound(books)


def told_of_four() -> Bookkeeping:
    """Return books of two strategies on the day after they bought."""
    books = Bookkeeping()
    for fact in ("next day", *THREE_LOTS, "w: b buys 5 SPY at 22", "next day"):
        books.tell(fact)
    return books


@pytest.mark.parametrize(
    ("meanwhile", "lots"),
    [
        ("a gives b 10 SPY at 26", "8@25"),
        ("b gives a 5 SPY at 26", "8@30 10@25 5@26"),
        ("SPY splits 2-for-1, +35", "8@10 20@15 20@12.5"),
        ("SPY splits 1-for-2, -17.5", "3@50"),
        ("break x", "8@25"),
        ("next week", "8@30 10@25"),
    ],
)
def test_what_was_foreseen_of_a_sale_counts_only_while_the_books_stay_as_they_were(meanwhile: str, lots: str) -> None:
    """Whatever comes between a fill and its booking: the books become what a replay, which foresees nothing, makes of the events."""
    twin, books = told_of_four(), told_of_four()
    known = len(twin.events)
    if meanwhile == "next week":
        twin.skip(7)
        twin.next_day()
    else:
        twin.tell(meanwhile)
    books.meanwhile = twin.events[known:]
    books.tell("s: a sells 12 SPY at 28")

    assert books.meanwhile == []
    assert isinstance(books.events[-1], FillBooked)
    assert books.lots("a") == lots
    assert books.replayed().memory() == books.ledger.memory()


def test_a_plan_of_the_same_name_counts_for_a_fill_that_is_being_booked() -> None:
    """What was waited for when the fill was heard of is not remembered beyond a plan that says it anew."""
    books = Bookkeeping()
    for fact in THREE_LOTS:
        books.tell(fact)
    order = books.order("SPY", Side.SELL, {"a": "12"})
    books.meanwhile = [next(event for event in reversed(books.events) if isinstance(event, RebalancePlanned))]
    books.fill(order, "s", D(12), D(28))

    assert isinstance(books.events[-2], RebalancePlanned)
    assert books.replayed().memory() == books.ledger.memory()
