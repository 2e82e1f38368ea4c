"""A million fills in the ledger: how long until it can be used, how long its profit and loss takes, and what making it from nothing costs.

Four strategies share orders in fifty symbols: every fill is split to two of them, bought one day and sold the next. Three numbers:

- **load**: what a start does. The newest snapshot of the state that follows from a million fills is restored and its hash checked, then the
  events after it are read from the journal, each checked against the chain, and folded: as many as the settings let come together
  between two snapshots. The size of a snapshot follows from what is open, not from how much ever happened; so does this time.
- **P&L**: the answer to ``alchemiser pnl``, as of now, from memory.
- **fold**: the million fills folded from their decoded events, without any snapshot. That is what a start costs after an upgrade that folds
  the events anew, besides reading and checking them. It has no target; it is here so that the first number is not taken for it.

The books are checked before anything is timed: the shares and the cash are what was traded; a state that is restored has to have the
hash of the one that was made.

``python benchmarks/ledger.py`` prints a table and exits with 1 when a target is missed;
``--fills N`` makes it shorter.
"""

import argparse
import gc
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from measure import environment, spread_of

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.account import Account, BrokerPosition
from alchemiser.domain.events import (
    AccountObserved,
    BookEntry,
    DaemonStarted,
    Event,
    FillBooked,
    OrderClosed,
    OrderFilled,
    OrderIntended,
    RebalancePlanned,
    SessionOpened,
)
from alchemiser.domain.intents import Intent, Wish
from alchemiser.domain.market import Session
from alchemiser.domain.orders import Fill, NewOrder, OrderType, Side, TimeInForce
from alchemiser.journal.journal import Journal
from alchemiser.journal.reader import JournalReader
from alchemiser.service.settings import Settings
from alchemiser.service.state import JournaledState
from alchemiser.service.state_view import JournaledView

LOAD_SECONDS = 3.0
PNL_MILLISECONDS = 10.0
ROUNDS = 7
SYMBOLS = tuple(f"S{number:02}" for number in range(50))
NAMES = ("one", "two", "three", "four")
FILLS_OF_AN_ORDER = 10
SHARES = Decimal(10)
PARTS = (Decimal("7.5"), Decimal("2.5"))
BEGAN = datetime(2005, 1, 3, 15, tzinfo=UTC)
CASH = Decimal(10**9)


def price_of(number: int) -> Decimal:
    """Return the price of a fill."""
    return Decimal(10_000 + number * 7 % 5_000).scaleb(-2)


def story(fills: int, *, first: int = 0) -> Iterator[Event]:
    """Yield what happens until there are so many fills; ``first`` is the number of the first of them."""
    day = first // (len(SYMBOLS) * FILLS_OF_AN_ORDER)
    number = first
    while number < first + fills:
        opens = BEGAN + timedelta(days=day)
        side = Side.BUY if day % 2 == 0 else Side.SELL
        yield SessionOpened(at=opens, session=Session(date=opens.date(), opens_at=opens, closes_at=opens + timedelta(hours=6)))
        yield from plan_of(opens, side)
        for place, symbol in enumerate(SYMBOLS):
            for _ in range(FILLS_OF_AN_ORDER):
                yield from fill_of(number, opens, symbol, place, side)
                number += 1
            total = SHARES * FILLS_OF_AN_ORDER
            key = order_id(opens, symbol)
            yield OrderClosed(
                at=opens, client_order_id=key, symbol=symbol, state="filled", cumulative_quantity=total, average_price=None, reason=None
            )
        day += 1


def order_id(opens: datetime, symbol: str) -> str:
    """Return the id of the order of a day in a symbol."""
    return f"e-{opens:%Y%m%d}.1-{symbol}-1"


def owners(place: int) -> tuple[str, str]:
    """Return the two strategies that share the orders of a symbol."""
    return NAMES[place % 4], NAMES[(place + 1) % 4]


def plan_of(opens: datetime, side: Side) -> Iterator[Event]:
    """Yield the plan of a day and its orders."""
    key, total = f"{opens:%Y%m%d}.1", SHARES * FILLS_OF_AN_ORDER
    intents = tuple(
        Intent(
            intent_id=symbol,
            symbol=symbol,
            side=side,
            quantity=total,
            reference_price=Decimal(100),
            drift=0.1,
            wishes=tuple(Wish(strategy=name, quantity=part * FILLS_OF_AN_ORDER) for name, part in zip(owners(place), PARTS, strict=True)),
        )
        for place, symbol in enumerate(SYMBOLS)
    )
    yield RebalancePlanned(
        at=opens,
        rebalance_id=key,
        session=opens.date(),
        equity=CASH,
        cash=CASH,
        target={},
        prices={},
        capital={},
        intents=intents,
        denials=(),
        crossings=(),
    )
    for symbol in SYMBOLS:
        order = NewOrder(
            client_order_id=order_id(opens, symbol),
            symbol=symbol,
            side=side,
            quantity=total,
            order_type=OrderType.MARKET,
            time_in_force=TimeInForce.DAY,
        )
        yield OrderIntended(at=opens, rebalance_id=key, intent_id=symbol, attempt=1, order=order)


def fill_of(number: int, opens: datetime, symbol: str, place: int, side: Side) -> Iterator[Event]:
    """Yield a fill and its booking."""
    at, price = opens + timedelta(seconds=number % 500), price_of(number)
    fill = Fill(
        execution_id=f"x{number}",
        client_order_id=order_id(opens, symbol),
        venue_order_id="v",
        symbol=symbol,
        side=side,
        quantity=SHARES,
        price=price,
        at=at,
    )
    yield OrderFilled(at=at, fill=fill)
    entries = tuple(
        BookEntry(strategy=name, quantity=side.sign * part, price=price, cash=-side.sign * part * price, realised=Decimal(0))
        for name, part in zip(owners(place), PARTS, strict=True)
    )
    yield FillBooked(at=at, execution_id=fill.execution_id, symbol=symbol, entries=entries)


def silent(event: Event) -> None:
    """Take what a replay would publish, which is nothing."""
    raise AssertionError(f"a replay published {event}")


def folded(fills: int) -> tuple[JournaledState, float]:
    """Return the state after so many fills, and the CPU seconds that folding them took, without the making of the events."""
    state, seconds, sequence = JournaledState(silent), 0.0, 0
    account = Account(account_number="A", cash=CASH, equity=CASH, buying_power=CASH, multiplier=1)
    priced = tuple(
        BrokerPosition(
            symbol=symbol, quantity=SHARES, available_quantity=SHARES, average_entry_price=price_of(0), current_price=price_of(1)
        )
        for symbol in SYMBOLS
    )
    opening: list[Event] = [
        DaemonStarted(at=BEGAN, mode="paper", version="0", epoch="e", account_number="A", strategies=dict.fromkeys(NAMES, 0.25)),
        AccountObserved(at=BEGAN, account=account, positions=priced, reason="start"),
    ]
    batch: list[Envelope] = []
    for source in (opening, story(fills)):
        for event in source:
            sequence += 1
            batch.append(Envelope(sequence, event, 0.0))
            if len(batch) == 20_000:
                seconds += timed(state, batch)
                batch = []
    return state, seconds + timed(state, batch)


def timed(state: JournaledState, batch: list[Envelope]) -> float:
    """Fold some events and return the CPU seconds."""
    began = time.process_time()
    state.replay(batch)
    return time.process_time() - began


def check(state: JournaledState, fills: int) -> None:
    """Stop unless shares and cash are what was traded."""
    per_day = len(SYMBOLS) * FILLS_OF_AN_ORDER
    shares = sum((SHARES if number // per_day % 2 == 0 else -SHARES for number in range(fills)), Decimal(0))
    cash = CASH + sum((-price_of(number) * SHARES * (1 if number // per_day % 2 == 0 else -1) for number in range(fills)), Decimal(0))
    held = sum(state.ledger.holdings().values(), Decimal(0))
    if (held, state.ledger.cash) != (shares, cash):
        sys.exit(f"the books hold {held} shares and {state.ledger.cash}, traded were {shares} and {cash}")


def load(dumped: bytes, digest: str, path: Path) -> tuple[float, int]:
    """Return the wall seconds in which a state is restored and the journal after it is read, checked and folded, and its events."""
    gc.collect()
    began = time.perf_counter()
    state = JournaledState(silent)
    state.restore(dumped, digest)
    with JournalReader.open(path) as reader:
        count = state.replay(reader.read_chained())
    return time.perf_counter() - began, count


def written(path: Path, fills: int, events: int) -> None:
    """Write a journal of what came after the snapshot."""
    tail = story(events, first=fills)
    with Journal.open(path, new_epoch=lambda: "bench", threaded=False) as journal:
        for sequence, event in zip(range(1, events + 1), tail, strict=False):
            journal.append(Envelope(sequence, event, 0.0))


def main() -> int:
    """Fold, check, measure, print; return 1 when a target is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--fills", type=int, default=1_000_500, help="a multiple of 500, a day's; after an odd number of days shares are held"
    )
    fills = parser.parse_args().fills
    tail = Settings().journal.snapshot_events
    state, fold_seconds = folded(fills)
    check(state, fills)
    dumped, digest = state.dump(), state.hash()
    view = JournaledView(state, epoch="e", read_events=lambda after, limit: [], read_results=lambda after: [], now=lambda: BEGAN)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.sqlite"
        written(path, fills, tail)
        loads = [load(dumped, digest, path) for _ in range(ROUNDS)]
    answers = []
    for _ in range(10 * ROUNDS):
        began = time.perf_counter()
        view.pnl()
        answers.append((time.perf_counter() - began) * 1000)
    print(f"{environment('msgspec')}; {fills:,} fills, two strategies each; {ROUNDS} rounds")
    seconds, milliseconds = spread_of([one for one, _ in loads]), spread_of(answers)
    print(
        f"load: snapshot of {len(dumped):,} bytes and {loads[0][1]:,} events after it   {seconds.median:8.2f} s   at most {LOAD_SECONDS} s"
    )
    print(f"P&L as of now                                                  {milliseconds.median:8.3f} ms  at most {PNL_MILLISECONDS} ms")
    print(f"fold of all fills without a snapshot (CPU)                     {fold_seconds:8.1f} s   {fills / fold_seconds:,.0f} fills/s")
    missed = seconds.median > LOAD_SECONDS or milliseconds.median > PNL_MILLISECONDS
    if missed:
        print("MISSED")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
