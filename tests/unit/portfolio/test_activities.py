"""Rows of the account's activities: which belong together, what is nobody's, what is taken back, and who is asked for them."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest

from alchemiser.alpaca import wire
from alchemiser.bus.envelope import Envelope
from alchemiser.domain.activities import AccountActivity, SpinOff, Treatment
from alchemiser.domain.errors import CredentialsRefused, VenueError, VenueUnavailable
from alchemiser.domain.events import ActivityBooked, DecisionApproached, SessionOpened
from alchemiser.domain.market import Session
from alchemiser.domain.orders import Side
from alchemiser.portfolio.activities import in_order
from alchemiser.portfolio.activity_reader import RETRY_SECONDS, ActivityReader
from alchemiser.portfolio.attribution import apportion
from alchemiser.service.clock import VirtualClock
from tests.solipsism import virtual
from tests.unit.execution.desk import ScriptedVenue
from tests.unit.portfolio.bookkeeping import START, Bookkeeping

D = Decimal


def booked(books: Bookkeeping) -> list[ActivityBooked]:
    """Return what was booked without a trade."""
    return [event for event in books.events if isinstance(event, ActivityBooked)]


def held() -> Bookkeeping:
    """Return books with six shares of ``a`` and two of ``b``, a day later."""
    books = Bookkeeping(cash="1000")
    books.tell("x: a buys 6, b buys 2 SPY at 20")
    books.next_day()
    return books


# --- rows that belong together ---


def test_half_of_a_new_name_is_not_booked() -> None:
    """A name that goes waits for the one that comes; then both are booked, in whatever order they were listed."""
    books = held()
    gone, came = books.row("NC", symbol="SPY", quantity=D(-8)), books.row("NC", symbol="QQQ", quantity=D(8))
    books.take(gone)
    assert booked(books) == []

    books.take(came, gone)
    assert [Treatment.EXCHANGE, Treatment.PART] == [one.treatment for one in booked(books)]
    assert {"QQQ": D(8)} == books.ledger.holdings()


def test_two_new_names_of_a_day_are_told_apart_by_their_shares() -> None:
    """Without a group the row with the same number is the one that belongs to it."""
    books = held()
    books.tell("y: a buys 3 TLT at 10")
    books.next_day()
    rows = [books.row("NC", symbol=symbol, quantity=D(quantity)) for symbol, quantity in (("SPY", -8), ("TLT", -3), ("AAA", 3), ("BBB", 8))]
    books.take(*rows)

    assert {"AAA": D(3), "BBB": D(8)} == books.ledger.holdings()


@pytest.mark.parametrize(
    ("split", "names"),
    [
        ([("SPY", 8)], (-16, 16)),
        ([("QQQ", 8)], (-8, 8)),
        ([("SPY", -4)], (-4, 4)),
        ([("QQQ", -4)], (-8, 8)),
        ([("SPY", -8), ("SPY", 16)], (-16, 16)),
        ([("QQQ", -8), ("QQQ", 16)], (-8, 8)),
    ],
)
@pytest.mark.parametrize("is_listed_first", [True, False])
def test_a_split_and_a_new_name_of_one_moment_are_booked_in_the_order_in_which_they_make_sense(
    split: list[tuple[str, int]], names: tuple[int, int], *, is_listed_first: bool
) -> None:
    """A split under the old name came before the change, one under the new name after it, whatever ids the broker gave them."""
    books = held()
    renamed = [books.row("NC", symbol=symbol, quantity=D(shares), group="g") for symbol, shares in zip(("SPY", "QQQ"), names, strict=True)]
    rows = [books.row("SPLIT", symbol=symbol, quantity=D(shares)) for symbol, shares in split]
    listed = [*rows, *renamed] if is_listed_first else [*renamed, *rows]
    books.take(*(msgspec.structs.replace(row, activity_id=f"{place}") for place, row in enumerate(listed)))

    assert {"QQQ": D(8) + sum(shares for _, shares in split)} == books.ledger.holdings()
    assert D(120) == books.ledger.books["a"].cost("QQQ")


def test_a_split_in_the_night_of_a_merger_comes_before_it() -> None:
    """All that is held then goes."""
    books = held()
    books.take(
        msgspec.structs.replace(books.row("MA", symbol="SPY", quantity=D(-16), amount=D(200)), activity_id="1"),
        msgspec.structs.replace(books.row("SPLIT", symbol="SPY", quantity=D(8)), activity_id="2"),
    )

    assert {} == books.ledger.holdings()


def test_a_split_in_two_rows_is_one() -> None:
    """All old shares go and the new ones come: the cost stays what it was."""
    books = held()
    books.take(books.row("SPLIT", symbol="SPY", quantity=D(-8)), books.row("SPLIT", symbol="SPY", quantity=D(24)))

    assert D(24) == books.ledger.holdings()["SPY"]
    assert D(120) == books.ledger.books["a"].cost("SPY")


def test_what_takes_away_comes_before_what_brings() -> None:
    """Rows of one moment are booked in an order of their own."""
    at = START
    came = AccountActivity(activity_id="1", kind="MA", on=at.date(), at=at, symbol="B", quantity=D(1))
    gone = AccountActivity(activity_id="2", kind="MA", on=at.date(), at=at, symbol="A", quantity=D(-1))
    assert [(gone, came), (came, gone)] == in_order([came, gone])


# --- shares that are not all ours, and executions not heard of ---


def test_a_split_of_an_account_that_holds_others_shares_too() -> None:
    """The broker splits twenty shares, eight of them the strategies'; the ratio is what it last showed, or what the row says."""
    for text in ("", "SPY 2 for 1"):
        books = held()
        books.observe(D(840), {"SPY": D(20)})
        books.take(books.row("SPLIT", symbol="SPY", quantity=D(20), description=text))
        assert {"SPY": D(16)} == books.ledger.holdings()


def test_an_execution_from_before_a_split_that_is_heard_of_after_it_is_split() -> None:
    """A daemon that was away hears of the split first, and of the purchase before it afterwards."""
    books = Bookkeeping(cash="1000")
    order = books.order("SPY", side=Side.BUY, wishes={"a": "4"})
    before = books.at + timedelta(minutes=1)
    books.next_day()
    books.take(books.row("SPLIT", symbol="SPY", quantity=D(4), description="SPY 2-for-1 split"))
    books.fill(order, "x", D(4), D(20), at=before)

    assert "8@10" == books.lots("a")


def test_an_execution_under_the_old_name_belongs_to_the_new_one() -> None:
    """A new name, and then a purchase from before it."""
    books = held()
    order = books.order("SPY", side=Side.BUY, wishes={"a": "4"})
    before = books.at
    books.next_day()
    books.tell("8 SPY are now QQQ")
    books.fill(order, "y", D(4), D(20), at=before)

    assert {"QQQ": D(12)} == books.ledger.holdings()


def test_a_spin_off_of_nobody_knows_what_stays_nobodys() -> None:
    """Shares whose origin nobody names are no strategy's; a person may name it."""
    for spin_offs, expected in (({}, {"SPY": D(8)}), ({"NEW": SpinOff(parent="SPY")}, {"SPY": D(8), "NEW": D(2)})):
        books = held()
        books.spin_offs = spin_offs
        books.take(books.row("SPIN", symbol="NEW", quantity=D(2), description="a distribution"))
        assert expected == books.ledger.holdings()


def test_shares_that_are_transferred_are_no_strategys() -> None:
    """What comes from another broker is worth something to the account and nothing to the books."""
    books = held()
    books.take(books.row("ACATS", symbol="TLT", quantity=D(10), price=D("90.5")))

    assert [(Treatment.TRANSFER_IN_KIND, D("905"))] == [(one.treatment, one.value_in_kind) for one in booked(books)]
    assert {"SPY": D(8)} == books.ledger.holdings()


def test_cash_of_a_kind_that_nobody_knows_is_the_accounts() -> None:
    """Whatever it is, the cash of the books is the broker's."""
    books = held()
    books.take(books.row("XYZ", amount=D("-3.21")))

    assert D("836.79") == books.ledger.cash
    assert D("-3.21") == books.ledger.account_cash


def test_worthless_shares_are_gone_with_their_cost() -> None:
    """Nothing came for them: what they cost is lost."""
    books = held()
    books.take(books.row("REORG", symbol="SPY", quantity=D(-8)))

    assert {} == books.ledger.holdings()
    assert D(-120) == books.ledger.books["a"].realised


def test_a_stock_dividend_is_a_split() -> None:
    """Five per hundred in shares: more of them, at the same cost."""
    books = held()
    books.take(books.row("DIV", symbol="SPY", quantity=D("0.4"), sub_kind="SDIV"))

    assert D("8.4") == books.ledger.holdings()["SPY"]
    assert D(120) == books.ledger.books["a"].cost("SPY")


# --- what is taken back, and what is not ours ---


def test_what_was_written_before_the_account_was_first_seen_does_not_count() -> None:
    """The cash that was seen first has it already."""
    books = Bookkeeping()
    assert 0 == books.take(books.row("CSD", at=START, amount=D(100)))
    assert D(1000) == books.ledger.cash


def test_a_corrected_row_counts_as_it_is_corrected() -> None:
    """The wrong amount goes, the right one comes, in one step."""
    books = held()
    wrong = books.row("DIV", symbol="SPY", quantity=D(8), per_share=D(1), amount=D(8))
    books.take(wrong)
    books.take(books.row("DIV", symbol="SPY", quantity=D(8), per_share=D(2), amount=D(16), status="correct", previous_id=wrong.activity_id))

    assert (D(12), D(4)) == tuple(book.income for book in books.ledger.books.values())
    assert D(856) == books.ledger.cash


def test_a_split_that_is_taken_back_is_undone() -> None:
    """As many shares as before, at the cost of before."""
    books = held()
    books.take(books.row("SPLIT", name="s", symbol="SPY", quantity=D(8)))
    books.tell("cancel s")

    assert {"SPY": D(8)} == books.ledger.holdings()
    assert D(120) == books.ledger.books["a"].cost("SPY")


@pytest.mark.parametrize("traded", ["before", "since"])
def test_a_new_name_whose_shares_were_traded_under_it_stays_a_difference(traded: str) -> None:
    """Nobody can say which of them are the old ones: the reconciliation names it."""
    books = held()
    if traded == "before":
        books.tell("q: a buys 1 QQQ at 5")
    books.take(books.row("NC", name="n", symbol="SPY", quantity=D(-8), group="g"), books.row("NC", symbol="QQQ", quantity=D(8), group="g"))
    if traded == "since":
        books.tell("q: a buys 1 QQQ at 5")
    books.tell("cancel n")

    assert {"QQQ": D(9)} == books.ledger.holdings()


def test_a_merger_that_is_corrected_stays_a_difference() -> None:
    """What is right is not known from it: the shares that it brings may be others."""
    books = held()
    wrong = books.row("MA", name="m", symbol="SPY", quantity=D(-8), amount=D(100))
    books.take(wrong)
    books.take(msgspec.structs.replace(wrong, status="correct", amount=D(90)))

    assert {} == books.ledger.holdings()
    assert D(940) == books.ledger.cash


def test_rows_are_known_again_for_weeks_and_then_forgotten() -> None:
    """The list is asked for since a week before the newest row; what is older than three is never listed again."""
    books = held()
    for _ in range(4):
        books.take(books.row("CSD", amount=D(1)))
        for _ in range(10):
            books.next_day()
    assert 4 == len(booked(books))
    assert 3 == len(books.ledger.memory().activities)
    assert books.ledger.activities_since is not None
    assert timedelta(days=17) == books.at - books.ledger.activities_since


@pytest.mark.parametrize("amount", ["0.07", "-0.07", "100", "-33.333"])
def test_parts_add_up_whatever_the_sign(amount: str) -> None:
    """The greatest weight gets what the cutting leaves."""
    parts = apportion(D(amount), {"a": D(1), "b": D(1), "c": D(1)}, D("0.01"))
    assert D(amount) == sum(parts.values())
    assert parts["b"] == parts["c"]
    assert abs(parts["a"]) >= abs(parts["b"])


# --- who asks ---


class TellingVenue(ScriptedVenue):
    """Tells what it is given, or raises it."""

    answer: tuple[AccountActivity, ...] | VenueError = ()
    asked: int = 0

    async def activities_since(self, after: datetime) -> tuple[AccountActivity, ...]:
        """Answer."""
        self.asked += 1
        if isinstance(self.answer, VenueError):
            raise self.answer
        return self.answer


async def test_the_reader_books_what_the_broker_tells_and_asks_nobody_before_the_account_is_known() -> None:
    """Once per row, however often it is asked."""
    books, venue = held(), TellingVenue()
    reader = ActivityReader(venue, books.ledger, {}, VirtualClock(START))
    venue.answer = (books.row("CSD", amount=D(5)),)

    assert [1, 0] == [await reader.catch_up(), await reader.catch_up()]
    assert 2 == venue.asked
    books.ledger._opened_at = None
    assert 0 == await reader.catch_up()
    assert 2 == venue.asked


@pytest.mark.parametrize("error", [VenueUnavailable("down"), CredentialsRefused("no")])
async def test_a_broker_that_does_not_answer_is_an_error_for_who_compares_and_none_ahead_of_a_decision(error: VenueError) -> None:
    """A comparison must not be made without the rows; a decision has others that ask again."""
    venue = TellingVenue()
    venue.answer = error
    reader = ActivityReader(venue, held().ledger, {}, VirtualClock(START))

    with pytest.raises(type(error)):
        await reader.catch_up()
    await reader.handle(Envelope(1, DecisionApproached(at=START, session=date(2025, 3, 4)), 0.0))
    assert 2 == venue.asked


async def test_a_broker_that_does_not_serve_the_list_is_not_asked_again() -> None:
    """What it would have told shows as differences."""
    venue = TellingVenue()
    venue.answer = VenueError("not found")
    reader = ActivityReader(venue, held().ledger, {}, VirtualClock(START))

    assert [0, 0] == [await reader.catch_up(), await reader.catch_up()]
    assert 1 == venue.asked


OPENED = Envelope(1, SessionOpened(at=START, session=Session(date=START.date(), opens_at=START, closes_at=START + timedelta(hours=6))), 0.0)


def watched(main: Callable[[TellingVenue, ActivityReader, VirtualClock], Awaitable[None]]) -> TellingVenue:
    """Run ``main`` beside a reader whose broker is down, on virtual time, and return the broker."""
    venue = TellingVenue()
    venue.answer = VenueUnavailable("down")

    async def play() -> None:
        clock = VirtualClock(START)
        reader = ActivityReader(venue, held().ledger, {}, clock)
        async with asyncio.TaskGroup() as group:
            asking = group.create_task(reader.run())
            await reader.handle(OPENED)
            await main(venue, reader, clock)
            asking.cancel()

    virtual(play)
    return venue


def test_what_was_not_answered_ahead_of_a_session_is_asked_again_until_it_is() -> None:
    """A new name or a split of the night that waits for the next comparison leaves the books wrong for half an hour."""

    async def main(venue: TellingVenue, reader: ActivityReader, clock: VirtualClock) -> None:
        await clock.sleep(sum(RETRY_SECONDS) + 2 * RETRY_SECONDS[-1] + 1.0)
        assert venue.asked == 1 + len(RETRY_SECONDS) + 2
        venue.answer = ()
        await clock.sleep(RETRY_SECONDS[-1])
        assert venue.asked == 1 + len(RETRY_SECONDS) + 3
        await clock.sleep(3_600.0)

    assert watched(main).asked == 1 + len(RETRY_SECONDS) + 3


def test_what_a_comparison_has_heard_meanwhile_is_not_asked_again() -> None:
    """One answer is enough, whoever asked for it."""

    async def main(venue: TellingVenue, reader: ActivityReader, clock: VirtualClock) -> None:
        venue.answer = ()
        await reader.catch_up()
        await clock.sleep(3_600.0)

    assert watched(main).asked == 2


def test_as_long_as_nobody_has_told_of_the_night_a_decision_asks_itself() -> None:
    """What the books hold may have been split since: who plans has to know, and is told when nobody answers. Later nothing is asked."""

    async def main(venue: TellingVenue, reader: ActivityReader, clock: VirtualClock) -> None:
        with pytest.raises(VenueUnavailable):
            await reader.hear_of_the_night()
        venue.answer = ()
        await reader.hear_of_the_night()
        await reader.hear_of_the_night()
        venue.answer = VenueUnavailable("down")
        await reader.handle(Envelope(2, DecisionApproached(at=START, session=START.date()), 0.0))
        await reader.hear_of_the_night()

    assert watched(main).asked == 4


# --- the wire ---


def test_a_row_is_read_with_whatever_it_says() -> None:
    """All fields, and the least that a row can have: then its id says when it was written, in New York's time."""
    row = {
        "activity_type": "DIV",
        "id": "20250305000000000::x",
        "date": "2025-03-05",
        "net_amount": "1.02",
        "symbol": "T",
        "qty": "2",
        "per_share_amount": "0.51",
        "status": "executed",
    }
    read = wire.non_trade_of(msgspec.convert(row, wire.WireNonTrade, strict=False))
    assert (D("1.02"), D(2), date(2025, 3, 5)) == (read.amount, read.quantity, read.on)
    assert datetime(2025, 3, 5, 5, tzinfo=UTC) == read.at

    least = wire.non_trade_of(wire.WireNonTrade(id="20250705235959000::y", activity_type="FEE"))
    assert (date(2025, 7, 5), datetime(2025, 7, 6, 3, 59, 59, tzinfo=UTC)) == (least.on, least.at)
    with pytest.raises(ValueError, match="time data"):
        wire.non_trade_of(wire.WireNonTrade(id="?", activity_type="FEE"))
