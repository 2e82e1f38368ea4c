"""Executions that are taken back or corrected: the books are what they would be had that always been known. Tables, and in any order."""

from datetime import timedelta
from decimal import Decimal
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import FillBooked, FillBroken, OrderFilled
from alchemiser.domain.money import number_string
from alchemiser.domain.orders import Fill, Side
from tests.unit.portfolio.test_ledger import AT, Tape, replayed

D = Decimal


class Row(NamedTuple):
    """One fact, and what strategy ``a`` has after it: shares and cost of its lots, realised profit, and the cash of the account."""

    fact: str
    lots: str
    realised: str
    cash: str


TABLES: dict[str, tuple[Row, ...]] = {
    "a purchase is broken": (
        Row("x: a buys 10 at 20", "10@20", "0", "800"),
        Row("y: a buys 10 at 30", "10@20 10@30", "0", "500"),
        Row("z: a sells 5 at 40", "5@20 10@30", "100", "700"),
        Row("break x", "5@30", "50", "900"),
    ),
    "a sale is broken": (
        Row("x: a buys 10 at 20", "10@20", "0", "800"),
        Row("y: a sells 4 at 25", "6@20", "20", "900"),
        Row("z: a sells 6 at 30", "", "80", "1080"),
        Row("break y", "4@20", "60", "980"),
    ),
    "a purchase is broken after all of it was sold: the shares are owed until they are bought": (
        Row("x: a buys 10 at 20", "10@20", "0", "800"),
        Row("y: a sells 10 at 25", "", "50", "1050"),
        Row("break x", "-10@25", "0", "1250"),
        Row("z: a buys 12 at 24", "2@24", "10", "962"),
    ),
    "the price of a purchase is corrected after a part of it was sold": (
        Row("x: a buys 10 at 20", "10@20", "0", "800"),
        Row("y: a buys 10 at 30", "10@20 10@30", "0", "500"),
        Row("z: a sells 5 at 40", "5@20 10@30", "100", "700"),
        Row("correct x to 10 at 22", "5@22 10@30", "90", "680"),
    ),
    "the quantity of a purchase is corrected": (
        Row("x: a buys 10 at 20", "10@20", "0", "800"),
        Row("y: a sells 9 at 21", "1@20", "9", "989"),
        Row("correct x to 8 at 20", "-1@21", "8", "1029"),
    ),
    "the price of a sale is corrected, and then it is broken": (
        Row("x: a buys 10 at 20", "10@20", "0", "800"),
        Row("y: a sells 4 at 25", "6@20", "20", "900"),
        Row("correct y to 4 at 26", "6@20", "24", "904"),
        Row("break y", "10@20", "0", "800"),
    ),
    "the shares of two strategies": (
        Row("x: a buys 6, b buys 2 at 20", "6@20", "0", "840"),
        Row("y: a sells 3, b sells 2 at 25", "3@20", "15", "965"),
        Row("correct y to 5 at 24", "3@20", "12", "960"),
        Row("break x", "-3@24", "0", "1120"),
    ),
    "a sale of what was bought, told after the purchase was broken": (
        Row("x: a buys 10 at 20", "10@20", "0", "800"),
        Row("break x", "", "0", "1000"),
        Row("z: a sells 10 at 25", "-10@25", "0", "1250"),
    ),
}


class Story:
    """Reads the facts of a table and tells them to a ledger, each a minute after the one before."""

    def __init__(self) -> None:
        self.tape = Tape()
        self.tape.start()
        self.names: dict[str, str] = {}
        self.minute = 0

    def tell(self, fact: str) -> None:
        """Tell one fact."""
        self.minute += 1
        words = fact.split()
        match words:
            case ["break", name]:
                self.take_back(name, None)
            case ["correct", name, "to", quantity, "at", price]:
                old = self.take_back(name, f"{self.names.get(name, name)}'")
                self.names[name] = f"{self.names.get(name, name)}'"
                self.fill(old.client_order_id, old.side, quantity, price, self.names[name])
            case [name, *parts]:
                side = Side.BUY if "buys" in parts else Side.SELL
                wishes = {parts[place - 1]: parts[place + 1].strip(",") for place, word in enumerate(parts) if word in ("buys", "sells")}
                total = sum(map(D, wishes.values()), D(0))
                self.fill(self.tape.plan(self.minute, side, wishes), side, str(total), parts[-1], name.strip(":"))

    def fill(self, key: str, side: Side, quantity: str, price: str, name: str) -> None:
        at = AT + timedelta(minutes=self.minute)
        fill = Fill(
            execution_id=name,
            client_order_id=key,
            venue_order_id="v",
            symbol="SPY",
            side=side,
            quantity=D(quantity),
            price=D(price),
            at=at,
        )
        self.tape.feed(OrderFilled(at=at, fill=fill))

    def take_back(self, name: str, replaced_by: str | None) -> Fill:
        standing = self.names.get(name, name)
        (fill,) = [one.fill for one in self.tape.events if isinstance(one, OrderFilled) and one.fill.execution_id == standing]
        self.tape.feed(FillBroken(at=AT + timedelta(minutes=self.minute), fill=fill, replaced_by=replaced_by, reason="trade"))
        return fill


@pytest.mark.parametrize("name", TABLES)
def test_the_books_after_each_fact_are_those_of_the_table(name: str) -> None:
    """Lots, profit and cash to the cent, worked out by hand; a replay of the journal gives the same."""
    story = Story()
    for row in TABLES[name]:
        story.tell(row.fact)
        ledger = story.tape.ledger
        book = ledger.books["a"]
        lots = " ".join(f"{number_string(lot.quantity)}@{number_string(lot.price)}" for lot in book.lots.get("SPY", ()))
        assert (row.lots, D(row.realised), D(row.cash)) == (lots, book.realised, ledger.cash), row.fact
    assert replayed(story.tape.events).state() == story.tape.state()
    assert replayed(story.tape.events).ledger.memory() == story.tape.ledger.memory()


def test_a_strategy_gets_back_what_it_had_of_a_corrected_execution() -> None:
    """Who had one share of four has one share of the corrected four, and of five the fifth goes to who waits for it."""
    story = Story()
    key = story.tape.plan(1, Side.BUY, {"a": "6", "b": "2"})
    story.fill(key, Side.BUY, "4", "20", "x")
    story.take_back("x", "x'")
    story.fill(key, Side.BUY, "5", "21", "x'")
    assert {"a": D("3.75"), "b": D("1.25")} == {name: book.quantity("SPY") for name, book in story.tape.ledger.books.items()}


facts = st.lists(st.tuples(st.booleans(), st.integers(1, 9), st.integers(10, 40)), min_size=2, max_size=6)


@settings(max_examples=150, deadline=None)
@given(facts, st.data())
def test_the_order_in_which_independent_facts_arrive_does_not_matter(trades: list[tuple[bool, int, int]], data: st.DataObject) -> None:
    """Each execution is told before what becomes of it; otherwise fills, breaks and corrections may come in any order."""
    fates = [data.draw(st.sampled_from(("stands", "broken", "corrected", "corrected and broken"))) for _ in trades]
    told: list[tuple[int, int]] = [
        (number, step) for number, fate in enumerate(fates) for step in range(1 + ("corrected" in fate) + ("broken" in fate))
    ]
    opening = (True, 100, 25)  # Held before all, so that no sale is of what was never held.
    steps: dict[int, int] = {}
    arrival = []
    for number, _ in data.draw(st.permutations(told)):
        arrival.append((number, steps.get(number, 0)))
        steps[number] = steps.get(number, 0) + 1

    def books(order: list[tuple[int, int]]) -> object:
        tape = Tape()
        tape.start(cash="10000")
        all_trades = [opening, *trades]
        keys = [
            tape.plan(place, Side.BUY if is_buy else Side.SELL, {"a": str(quantity), "b": str(quantity)})
            for place, (is_buy, quantity, _) in enumerate(all_trades, 1)
        ]

        def tell(place: int, name: str, price: int) -> None:
            is_buy, quantity, _ = all_trades[place]
            at = AT + timedelta(minutes=place)
            fill = Fill(
                execution_id=name,
                client_order_id=keys[place],
                venue_order_id="v",
                symbol="SPY",
                side=Side.BUY if is_buy else Side.SELL,
                quantity=D(2 * quantity),
                price=D(price),
                at=at,
            )
            tape.feed(OrderFilled(at=at, fill=fill))

        tell(0, "opening", 25)
        for number, step in order:
            place, price = number + 1, trades[number][2]
            if step == 0:
                tell(place, f"x{number}", price)
            elif "corrected" in fates[number] and step == 1:
                _break(tape, f"x{number}", f"x{number}'")
                tell(place, f"x{number}'", price + 1)
            else:
                _break(tape, f"x{number}'" if "corrected" in fates[number] else f"x{number}", None)
        assert replayed(tape.events).state() == tape.state()
        return tape.state()

    assert books(told) == books(arrival)


def _break(tape: Tape, name: str, replaced_by: str | None) -> None:
    (fill,) = [one.fill for one in tape.events if isinstance(one, OrderFilled) and one.fill.execution_id == name]
    tape.feed(FillBroken(at=fill.at, fill=fill, replaced_by=replaced_by, reason="trade"))


def test_a_ledger_that_lives_and_one_that_replays_a_cut_journal_end_alike() -> None:
    """Whatever the journal was cut after, the rest of the facts lead to the same books."""
    story = Story()
    for row in TABLES["the shares of two strategies"]:
        story.tell(row.fact)
    events = story.tape.events
    for length in range(len(events)):
        heir = Tape()
        for number, event in enumerate(events[:length], start=1):
            heir.ledger.replay(Envelope(number, event, 0.0))
        heir.ledger.settle()
        known = {event.execution_id for event in heir.events if isinstance(event, FillBooked)}
        for event in events[length:]:
            if not (isinstance(event, FillBooked) and event.execution_id in known):
                heir.ledger.replay(Envelope(99, event, 0.0))
        assert heir.state() == story.tape.state()
