"""Random fills, corporate actions and strategies: every sum holds at every moment, a replay gives the same books, order does not matter."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import ROUND_DOWN, Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.activities import LotMethod, SpinOff
from alchemiser.domain.money import to_cents, truncate_shares
from alchemiser.domain.orders import Side
from alchemiser.journal.audit import Audit
from alchemiser.portfolio.lots import cost_of, quantity_of
from tests.unit.portfolio.bookkeeping import Bookkeeping

D = Decimal
NAMES = ("a", "b", "c")
SYMBOLS = ("SPY", "QQQ")

shares = st.integers(1_000_000, 500_000_000_000).map(lambda number: D(number).scaleb(-9))
prices = st.integers(5_000, 9_000_000).map(lambda number: D(number).scaleb(-4))
ratios = st.sampled_from([(2, 1), (3, 2), (3, 1), (20, 1), (1, 4), (1, 7), (5, 4)])
facts = st.lists(
    st.tuples(
        st.sampled_from(
            ("buy", "buy", "buy", "sell", "sell", "cross", "split", "dividend", "fee", "deposit", "interest", "spin-off", "rename", "bust")
        ),
        st.sampled_from(SYMBOLS),
        st.tuples(shares, shares, shares),
        prices,
        ratios,
    ),
    min_size=1,
    max_size=25,
)


class Broker:
    """What the account holds, counted without any books."""

    def __init__(self, cash: Decimal) -> None:
        self.cash = cash
        self.shares: dict[str, Decimal] = {}

    def move(self, symbol: str, quantity: Decimal, cash: Decimal) -> None:
        self.shares[symbol] = self.shares.get(symbol, D(0)) + quantity
        self.cash += cash


class Market:
    """Tells a ledger random facts, and the broker what they do to the account."""

    def __init__(self, lots: LotMethod) -> None:
        spin_offs = {"NEW": SpinOff(cost_fraction=D("0.137"))}
        self.books = Bookkeeping("1000000", NAMES, spin_offs, lots, {"SPY": ("x5", "x2"), "QQQ": ("x4",)})
        self.broker = Broker(D(1_000_000))
        self.number = 0
        self.called = {symbol: symbol for symbol in SYMBOLS}
        self.standing: list[str] = []

    def happen(self, kind: str, symbol: str, sizes: Sequence[Decimal], price: Decimal, ratio: tuple[int, int]) -> None:
        """Let one thing happen, if it can."""
        self.number += 1
        symbol = self.called[symbol]
        if self.number % 3 == 0:
            self.books.next_day()
        self.books.at += timedelta(minutes=1)
        getattr(self, f"_{kind.replace('-', '_')}")(symbol, sizes, price, ratio)

    def _held(self, name: str, symbol: str) -> Decimal:
        return self.books.ledger.books[name].quantity(symbol)

    def _buy(self, symbol: str, sizes: Sequence[Decimal], price: Decimal, ratio: tuple[int, int]) -> None:
        self._trade(symbol, Side.BUY, dict(zip(NAMES, sizes, strict=True)), price)

    def _sell(self, symbol: str, sizes: Sequence[Decimal], price: Decimal, ratio: tuple[int, int]) -> None:
        wishes = {name: min(size, self._held(name, symbol)) for name, size in zip(NAMES, sizes, strict=True)}
        self._trade(symbol, Side.SELL, {name: size for name, size in wishes.items() if size > 0}, price)

    def _trade(self, symbol: str, side: Side, wishes: dict[str, Decimal], price: Decimal) -> None:
        if not wishes:
            return
        name = f"x{self.number}"
        self.books.trade(name, symbol, side, {strategy: f"{size:f}" for strategy, size in wishes.items()}, f"{price:f}")
        total = side.sign * sum(wishes.values(), D(0))
        self.broker.move(symbol, total, -total * price)
        self.standing.append(name)

    def _cross(self, symbol: str, sizes: Sequence[Decimal], price: Decimal, ratio: tuple[int, int]) -> None:
        size = min(sizes[0], self._held("a", symbol))
        if size > 0:
            self.books.tell(f"a gives b {size:f} {symbol} at {price:f}")

    def _split(self, symbol: str, sizes: Sequence[Decimal], price: Decimal, ratio: tuple[int, int]) -> None:
        self.books.next_day()  # Issuers act over night.
        held = self.broker.shares.get(symbol, D(0))
        change = truncate_shares(held * ratio[0] / ratio[1]) - held
        if not change or held <= 0:
            return
        cash = to_cents(price / 100)
        text = f"{symbol} {ratio[0]} for {ratio[1]}"
        self.books.take(self.books.row("SPLIT", symbol=symbol, quantity=change, amount=cash, description=text))
        self.broker.move(symbol, change, cash)
        self.standing.clear()

    def _dividend(self, symbol: str, sizes: Sequence[Decimal], price: Decimal, ratio: tuple[int, int]) -> None:
        held = self.broker.shares.get(symbol, D(0))
        amount = to_cents(held * price / 100)
        self.books.take(self.books.row("DIV", symbol=symbol, quantity=held, per_share=price / 100, amount=amount))
        self.books.take(self.books.row("DIVNRA", symbol=symbol, amount=-to_cents(amount * D("0.15"))))
        self.broker.cash += amount - to_cents(amount * D("0.15"))

    def _fee(self, symbol: str, sizes: Sequence[Decimal], price: Decimal, ratio: tuple[int, int]) -> None:
        self._cash("FEE", -to_cents(price / 100))

    def _deposit(self, symbol: str, sizes: Sequence[Decimal], price: Decimal, ratio: tuple[int, int]) -> None:
        self._cash("CSD", to_cents(price))

    def _interest(self, symbol: str, sizes: Sequence[Decimal], price: Decimal, ratio: tuple[int, int]) -> None:
        self._cash("INT", to_cents(price / 10))

    def _cash(self, kind: str, amount: Decimal) -> None:
        self.books.take(self.books.row(kind, amount=amount))
        self.broker.cash += amount

    def _spin_off(self, symbol: str, sizes: Sequence[Decimal], price: Decimal, ratio: tuple[int, int]) -> None:
        self.books.next_day()  # Issuers act over night.
        held = self.broker.shares.get(symbol, D(0))
        came = (held * ratio[1] / 7).quantize(D("0.000000001"), rounding=ROUND_DOWN)
        if came > 0:
            self.books.take(self.books.row("SPIN", symbol="NEW", quantity=came, description=f"NEW spun off from {symbol}"))
            self.broker.move("NEW", came, D(0))

    def _rename(self, symbol: str, sizes: Sequence[Decimal], price: Decimal, ratio: tuple[int, int]) -> None:
        self.books.next_day()  # Issuers act over night.
        held = self.broker.shares.get(symbol, D(0))
        if held <= 0:
            return
        new = f"N{chr(65 + self.number % 26)}{chr(65 + self.number // 26)}"
        self.books.tell(f"{held:f} {symbol} are now {new}")
        self.broker.shares[new] = self.broker.shares.pop(symbol)
        self.called = {name: new if current == symbol else current for name, current in self.called.items()}
        self.standing.clear()

    def _bust(self, symbol: str, sizes: Sequence[Decimal], price: Decimal, ratio: tuple[int, int]) -> None:
        """The last execution never was; only while no issuer has changed the shares, for the broker here knows no past."""
        if not self.standing:
            return
        fill = self.books.fills[self.standing.pop()]
        if any(self._held(name, fill.symbol) < 0 for name in NAMES):
            return
        signed = fill.side.sign * fill.quantity
        self.books.take_back(fill.execution_id)
        self.broker.move(fill.symbol, -signed, signed * fill.price)


@settings(max_examples=100, deadline=None)
@given(facts, st.sampled_from(LotMethod))
def test_all_sums_hold_at_every_moment(
    story: list[tuple[str, str, tuple[Decimal, ...], Decimal, tuple[int, int]]], method: LotMethod
) -> None:
    """The books add up to the account to the cent and the ninth decimal; what flowed is what was earned less what the lots cost."""
    market = Market(method)
    for kind, symbol, sizes, price, ratio in story:
        market.happen(kind, symbol, sizes, price, ratio)
        ledger = market.books.ledger
        assert {symbol: held for symbol, held in market.broker.shares.items() if held} == {
            symbol: held for symbol, held in ledger.holdings().items() if held
        }
        assert ledger.cash is not None
        assert abs(market.broker.cash - ledger.cash) < D("0.000001")
        for name, book in ledger.books.items():
            cost = sum((book.cost(symbol) for symbol in book.lots), D(0))
            assert abs(book.cash_flow - (book.realised + book.income - cost)) < D("0.000001"), name
            for held, lots in book.lots.items():  # What is carried along with trades is what the lots add up to.
                assert all(lot.quantity for lot in lots)
                assert book.quantity(held) == quantity_of(lots)
                assert abs(book.unrealised({held: price}) - (quantity_of(lots) * price - cost_of(lots))) < D("0.000001")
    assert market.books.replayed().memory() == market.books.ledger.memory()
    audit = Audit()
    for number, event in enumerate(market.books.events, start=1):
        audit(Envelope(number, event, 0.0))
    assert audit.problems == []


@settings(max_examples=60, deadline=None)
@given(st.permutations(range(7)), st.tuples(*[st.tuples(shares, prices)] * 4))
def test_independent_facts_may_be_told_in_any_order(order: list[int], buys: tuple[tuple[Decimal, Decimal], ...]) -> None:
    """Executions, a split between them, a deposit and interest: whichever is heard of first, the books are the same in the end."""

    def told(places: Sequence[int]) -> object:
        books = Bookkeeping(cash="1000000")
        orders = [books.order("SPY", Side.BUY, {"a": f"{3 * size:f}", "b": f"{size:f}"}) for size, _ in buys]
        opening = sum((4 * size for size, _ in buys[:2]), D(0))
        times = [books.at + timedelta(hours=hour) for hour in (1, 2, 18, 25, 26, 27, 28)]
        books.at = times[-1] + timedelta(hours=1)

        def executed(number: int, hour: int) -> None:
            size, price = buys[number]
            books.fill(orders[number], f"x{number}", 4 * size, price, at=times[hour])

        def row(kind: str, hour: int, **particulars: object) -> None:
            books.take(books.row(kind, name=kind, at=times[hour], on=times[hour].date(), **particulars))

        tell = (
            lambda: executed(0, 0),
            lambda: executed(1, 1),
            lambda: row("SPLIT", 2, symbol="SPY", quantity=opening, description="SPY 2 for 1"),
            lambda: executed(2, 3),
            lambda: executed(3, 4),
            lambda: row("CSD", 5, amount=D(500)),
            lambda: row("INT", 6, amount=D("1.17")),
        )
        for place in places:
            tell[place]()
        assert books.replayed().memory() == books.ledger.memory()
        return books.ledger.books, books.ledger.cash, books.ledger.transferred

    assert told(range(7)) == told(order)


@pytest.mark.parametrize("kind", ["SPLIT", "CSD", "DIV", "SPIN"])
def test_a_row_counts_once_whatever_road_it_comes_by(kind: str) -> None:
    """The same id a second time, in the same answer or a later one, changes nothing."""
    books = Bookkeeping()
    books.tell("x: a buys 10 SPY at 20")
    symbol = {"CSD": None, "SPIN": "NEW"}.get(kind, "SPY")
    row = books.row(kind, symbol=symbol, quantity=None if kind == "CSD" else D(5), amount=D(3), per_share=D("0.6"), description="of SPY")
    assert books.take(row) == 1
    state = books.state()

    assert books.take(row, row) == 0
    assert state == books.state()
