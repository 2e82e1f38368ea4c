"""Facts in words, told to a ledger as the bus tells them: what the tables and the properties of the books are written in.

A fact is one line: ``x: a buys 6, b buys 2 SPY at 20``, ``SPY splits 2 for 1, +8``, ``SPY pays 0.50 on 8, record 2025-03-05``.
Each is an hour after the one before; ``next day`` goes on at the same hour of the next day.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count

import msgspec

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.account import Account, BrokerPosition
from alchemiser.domain.activities import AccountActivity, LotMethod, SpinOff
from alchemiser.domain.events import (
    AccountObserved,
    DaemonStarted,
    Event,
    FillBooked,
    FillBroken,
    OrderFilled,
    OrderIntended,
    RebalancePlanned,
    SessionOpened,
)
from alchemiser.domain.intents import Crossing, Intent, Wish
from alchemiser.domain.market import Session
from alchemiser.domain.money import number_string
from alchemiser.domain.orders import Fill, NewOrder, OrderType, Side, TimeInForce
from alchemiser.portfolio.ledger import Ledger

D = Decimal
START = datetime(2025, 3, 3, 15, tzinfo=UTC)


class Bookkeeping:
    """A ledger, what it was told, and what it published."""

    def __init__(
        self,
        cash: str = "1000",
        strategies: tuple[str, ...] = ("a", "b"),
        spin_offs: Mapping[str, SpinOff] | None = None,
        lots: LotMethod = LotMethod.FIFO,
        specific: dict[str, tuple[str, ...]] | None = None,
    ) -> None:
        self.events: list[Event] = []
        self.meanwhile: list[Event] = []
        """What comes between the next fill and its booking."""
        self.ledger = Ledger(self.feed)
        self.at = START
        self.fills: dict[str, Fill] = {}
        self.spin_offs = spin_offs or {}
        self._numbers = count(1)
        shares = dict.fromkeys(strategies, 1 / len(strategies))
        self.feed(
            DaemonStarted(
                at=self.at,
                mode="paper",
                version="0",
                epoch="e",
                account_number="A",
                strategies=shares,
                lots=lots,
                specific=specific or {},
            )
        )
        self.observe(D(cash), {})

    def feed(self, event: Event) -> None:
        """Publish an event."""
        if isinstance(event, FillBooked):
            before, self.meanwhile = self.meanwhile, []
            for other in before:
                self.feed(other)
        self.events.append(event)
        self.ledger(Envelope(len(self.events), event, 0.0))

    def observe(self, cash: Decimal, shares: Mapping[str, Decimal]) -> None:
        """Look at the account at the broker."""
        account = Account(account_number="A", cash=cash, equity=cash, buying_power=cash, multiplier=1)
        positions = tuple(
            BrokerPosition(symbol=symbol, quantity=held, available_quantity=held, average_entry_price=D(1), current_price=None)
            for symbol, held in shares.items()
        )
        self.feed(AccountObserved(at=self.at, account=account, positions=positions, reason="test"))

    # --- facts in words ---

    def tell(self, fact: str) -> None:
        """Tell one fact. Raises ``AssertionError`` for words that say nothing."""
        if fact == "next day":
            self.next_day()
            return
        self.at += timedelta(hours=1)
        for pattern, call in _FACTS:
            match = re.fullmatch(pattern, fact)
            if match is not None:
                call(self, match)
                return
        raise AssertionError(f"nobody knows what {fact!r} means")

    def skip(self, days: int) -> None:
        """Let days pass without a session."""
        self.at = datetime.combine(self.at.date() + timedelta(days=days), START.time(), UTC)

    def next_day(self) -> None:
        """Let the next session open."""
        self.at = datetime.combine(self.at.date() + timedelta(days=1), START.time(), UTC)
        opens = self.at - timedelta(minutes=30)
        self.feed(SessionOpened(at=opens, session=Session(date=opens.date(), opens_at=opens, closes_at=opens + timedelta(hours=6.5))))

    def trade(self, name: str, symbol: str, side: Side, wishes: Mapping[str, str], price: str) -> None:
        """Plan, intend and fill an order of some strategies."""
        self.fill(self.order(symbol, side, wishes), name, sum(map(D, wishes.values()), D(0)), D(price))

    def order(self, symbol: str, side: Side, wishes: Mapping[str, str], crossings: tuple[Crossing, ...] = ()) -> NewOrder:
        """Plan a rebalance of one symbol and intend its order."""
        number = next(self._numbers)
        total = sum(map(D, wishes.values()), D(0))
        wanted = tuple(Wish(strategy=name, quantity=D(quantity)) for name, quantity in wishes.items())
        intent = Intent(intent_id=symbol, symbol=symbol, side=side, quantity=total, reference_price=D(10), drift=0.1, wishes=wanted)
        key = f"{self.at:%Y%m%d}.{number}"
        self.feed(
            RebalancePlanned(
                at=self.at,
                rebalance_id=key,
                session=self.at.date(),
                equity=D(0),
                cash=D(0),
                target={},
                prices={},
                capital={},
                intents=(intent,) if wishes else (),
                denials=(),
                crossings=crossings,
            )
        )
        order = NewOrder(
            client_order_id=f"e-{key}-{symbol}-1",
            symbol=symbol,
            side=side,
            quantity=total,
            order_type=OrderType.MARKET,
            time_in_force=TimeInForce.DAY,
        )
        if wishes:
            self.feed(OrderIntended(at=self.at, rebalance_id=key, intent_id=symbol, attempt=1, order=order))
        return order

    def fill(self, order: NewOrder, name: str, quantity: Decimal, price: Decimal, at: datetime | None = None) -> None:
        """Let an order be executed."""
        fill = Fill(
            execution_id=name,
            client_order_id=order.client_order_id,
            venue_order_id="v",
            symbol=order.symbol,
            side=order.side,
            quantity=quantity,
            price=price,
            at=at or self.at,
        )
        self.fills[name] = fill
        self.feed(OrderFilled(at=self.at, fill=fill))

    def take_back(self, name: str, replaced_by: str | None = None) -> None:
        """Let the market take an execution back."""
        self.feed(FillBroken(at=self.at, fill=self.fills[name], replaced_by=replaced_by, reason="trade_bust"))

    def row(self, kind: str, name: str | None = None, **particulars: object) -> AccountActivity:
        """Return a row of the account's activities, of now."""
        made: dict[str, object] = {"activity_id": name or f"row {next(self._numbers)}", "kind": kind, "on": self.at.date(), "at": self.at}
        return AccountActivity(**{**made, **particulars})  # type: ignore[arg-type]

    def take(self, *rows: AccountActivity) -> int:
        """Let the broker tell of rows."""
        return self.ledger.take(rows, self.spin_offs)

    # --- what there is ---

    def lots(self, strategy: str) -> str:
        """Return a strategy's lots in words: shares at a price, by symbol; a symbol is named when it is not SPY."""
        book = self.ledger.books[strategy]
        return " ".join(
            f"{'' if symbol == 'SPY' else symbol + ':'}{number_string(lot.quantity)}@{number_string(lot.price)}"
            + (f"{lot.rest:+f}".rstrip("0") if lot.rest else "")
            for symbol in sorted(book.lots)
            for lot in book.lots[symbol]
        )

    def state(self) -> bytes:
        """Return the books as bytes."""
        ledger = self.ledger
        return msgspec.json.encode((dict(ledger.books), ledger.cash, ledger.account_cash, ledger.transferred), order="sorted")

    def replayed(self) -> "Ledger":
        """Return a ledger that has replayed everything, and check that it published nothing."""

        def nobody(event: Event) -> None:
            raise AssertionError(f"a replay published {event}")

        ledger = Ledger(nobody)
        for number, event in enumerate(self.events, start=1):
            ledger.replay(Envelope(number, event, 0.0))
        return ledger


def _trade(books: Bookkeeping, match: re.Match[str]) -> None:
    side = Side.BUY if " buys " in match["who"] else Side.SELL
    wishes = dict(re.findall(r"(\w+) (?:buys|sells) ([\d.]+)", match["who"]))
    books.trade(match["name"], match["symbol"], side, wishes, match["price"])


def _cross(books: Bookkeeping, match: re.Match[str]) -> None:
    crossing = Crossing(
        symbol=match["symbol"], seller=match["seller"], buyer=match["buyer"], quantity=D(match["quantity"]), price=D(match["price"])
    )
    books.order(match["symbol"], Side.BUY, {}, (crossing,))


def _split(books: Bookkeeping, match: re.Match[str]) -> None:
    text = f"{match['symbol']} {match['ratio']}"
    amount = D(match["cash"] or 0)
    books.take(books.row("SPLIT", symbol=match["symbol"], quantity=D(match["change"]), amount=amount, description=text))


def _dividend(books: Bookkeeping, match: re.Match[str]) -> None:
    per_share, quantity = D(match["rate"]), D(match["quantity"])
    said = f", Rec Date: {date.fromisoformat(match['record'])}" if match["record"] else ""
    amount = (per_share * quantity).quantize(D("0.01"))
    books.take(
        books.row(
            "DIV",
            symbol=match["symbol"],
            quantity=quantity,
            per_share=per_share,
            amount=amount,
            sub_kind="CDIV",
            description=f"Cash DIV @ {per_share}{said}",
        )
    )


def _cash(kind: str, sign: int) -> "Tell":
    def tell(books: Bookkeeping, match: re.Match[str]) -> None:
        symbol = match.groupdict().get("symbol")
        books.take(books.row(kind, name=match.groupdict().get("name"), amount=sign * D(match["amount"]), symbol=symbol))

    return tell


def _spin_off(books: Bookkeeping, match: re.Match[str]) -> None:
    text = f"{match['symbol']} spun off from {match['parent']}"
    books.take(books.row("SPIN", name=match["name"], symbol=match["symbol"], quantity=D(match["quantity"]), description=text))


def _rename(books: Bookkeeping, match: re.Match[str]) -> None:
    gone = books.row("NC", name=match["name"], symbol=match["old"], quantity=-D(match["quantity"]), group="g")
    books.take(books.row("NC", symbol=match["new"], quantity=D(match["quantity"]), group="g"), gone)


def _merger(books: Bookkeeping, match: re.Match[str]) -> None:
    rows = [
        books.row("MA", name=match["name"], symbol=match["symbol"], quantity=-D(match["quantity"]), amount=D(match["cash"] or 0), group="g")
    ]
    if match["new"]:
        rows.append(books.row("MA", symbol=match["new"], quantity=D(match["shares"]), group="g"))
    books.take(*rows)


def _break(books: Bookkeeping, match: re.Match[str]) -> None:
    books.take_back(match["name"])


def _cancel(books: Bookkeeping, match: re.Match[str]) -> None:
    wrong = next(event for event in reversed(books.events) if getattr(getattr(event, "activity", None), "activity_id", "") == match["name"])
    row = msgspec.structs.replace(wrong.activity, status="canceled")  # type: ignore[attr-defined]
    books.take(row)


Tell = Callable[[Bookkeeping, re.Match[str]], None]

_NUMBER = r"[\d.]+"
_FACTS: tuple[tuple[str, Tell], ...] = (
    (rf"(?P<name>\w+): (?P<who>(?:\w+ (?:buys|sells) {_NUMBER}(?:, )?)+) (?P<symbol>[A-Z]+) at (?P<price>{_NUMBER})", _trade),
    (rf"(?P<seller>\w+) gives (?P<buyer>\w+) (?P<quantity>{_NUMBER}) (?P<symbol>[A-Z]+) at (?P<price>{_NUMBER})", _cross),
    (rf"(?P<symbol>[A-Z]+) splits (?P<ratio>.+), (?P<change>[+-]{_NUMBER})(?: and (?P<cash>{_NUMBER}) in cash)?", _split),
    (rf"(?P<symbol>[A-Z]+) pays (?P<rate>{_NUMBER}) on (?P<quantity>{_NUMBER})(?:, record (?P<record>[\d-]+))?", _dividend),
    (rf"of (?P<symbol>[A-Z]+) (?P<amount>{_NUMBER}) is withheld", _cash("DIVNRA", -1)),
    (rf"a fee of (?P<amount>{_NUMBER})", _cash("FEE", -1)),
    (rf"interest of (?P<amount>{_NUMBER})", _cash("INT", 1)),
    (rf"(?:(?P<name>\w+): )?a deposit of (?P<amount>{_NUMBER})", _cash("CSD", 1)),
    (rf"a withdrawal of (?P<amount>{_NUMBER})", _cash("CSW", -1)),
    (rf"(?:(?P<name>\w+): )?(?P<parent>[A-Z]+) spins off (?P<quantity>{_NUMBER}) (?P<symbol>[A-Z]+)", _spin_off),
    (rf"(?:(?P<name>\w+): )?(?P<quantity>{_NUMBER}) (?P<old>[A-Z]+) are now (?P<new>[A-Z]+)", _rename),
    (
        rf"(?:(?P<name>\w+): )?(?P<quantity>{_NUMBER}) (?P<symbol>[A-Z]+) go for "
        rf"(?:(?P<shares>{_NUMBER}) (?P<new>[A-Z]+) and )?(?P<cash>{_NUMBER})",
        _merger,
    ),
    (r"break (?P<name>\w+)", _break),
    (r"cancel (?P<name>\w+)", _cancel),
)
