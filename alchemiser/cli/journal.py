"""``journal show``, ``verify``, ``export`` and ``replay``: the durable record, read beside a running daemon or without one."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import tzinfo
from decimal import Decimal
from pathlib import Path
from typing import IO, Annotated, Any
from zoneinfo import ZoneInfo

import msgspec
import typer

from alchemiser.bus.envelope import Envelope
from alchemiser.cli.options import ConfigOption, JsonOption, StateOption, bounded, load
from alchemiser.cli.session_bar import session_bar
from alchemiser.domain.errors import DataError, UsageError, VerificationFailed
from alchemiser.domain.events import AnyEvent
from alchemiser.domain.money import ZERO
from alchemiser.journal.lines import line_of
from alchemiser.journal.reader import JournalReader, Verification
from alchemiser.journal.replay import Replayed, replay
from alchemiser.service.offline import JOURNAL_FILE
from alchemiser.service.state import JournaledState
from alchemiser.service.verification import verify_journal

_TYPES = frozenset(event_type.__name__ for event_type in AnyEvent.__args__)

LastOption = Annotated[
    int | None, typer.Option("--last", metavar="N", callback=bounded, min=1, help="Only the newest N events. Default: all.")
]
TypeOption = Annotated[list[str] | None, typer.Option("--type", metavar="EVENT", help="Only events of this type. May be repeated.")]
RebalanceOption = Annotated[str | None, typer.Option("--rebalance", metavar="ID", help="Only events of this rebalance, as 20250303.1.")]
ZoneOption = Annotated[
    str, typer.Option("--zone", metavar="ZONE", help="Zone of the times shown: UTC, local or a name as America/New_York.")
]
OutputOption = Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write there instead of to standard output.")]
AfterOption = Annotated[int, typer.Option("--after", metavar="N", callback=bounded, min=0, help="Only events after this sequence number.")]
UntilOption = Annotated[
    int | None, typer.Option("--until", metavar="N", callback=bounded, min=1, help="Only events up to this sequence number.")
]


def journal_show(
    *,
    last: LastOption = None,
    types: TypeOption = None,
    rebalance: RebalanceOption = None,
    zone: ZoneOption = "local",
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the events of a journal, one line each; `<- N` is the event that led to it.

    Example: alchemiser journal show --last 50 --type OrderFilled
    """
    names = _known(types)
    where = _zone(zone)
    with _reader(config, state) as reader:
        if last is not None:
            found: Iterator[Envelope] = iter(reader.tail(last, names, correlation=rebalance))
        else:
            found = reader.read_named(names, correlation=rebalance)
        if as_json:
            sys.stdout.write("[")
            for number, envelope in enumerate(found):
                sys.stdout.write(("" if number == 0 else ",") + "\n" + _json(envelope))
            sys.stdout.write("\n]\n")
            return
        for envelope in found:
            sys.stdout.write(line_of(envelope, where) + "\n")


def journal_verify(*, state: StateOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Prove that every event is there as it was written, that snapshots hold what a replay gives, and that orders and money add up.

    It also looks at the end of the log: a commit that was cut off is told, durable events that are gone are a failure. Orders that are open
    there, as after a stop in a hurry, are named.

    Exit 6 names what does not.

    Example: alchemiser journal verify --state state
    """
    with _reader(config, state) as reader, _told(reader, passes=2):
        found = verify_journal(reader)
        chain = found.chain
        document = {
            "journal": str(reader.path),
            "epoch": reader.epoch,
            "format": reader.format,
            "intact": found.is_intact,
            **msgspec.to_builtins(chain),
            "tail": {**msgspec.to_builtins(found.tail), "text": found.tail.text},
            "begins_after": found.begins_after,
            "dropped": list(found.dropped),
            "snapshots": msgspec.to_builtins(found.snapshots),
            "problems": list(found.problems),
            "state_hash": found.state_hash,
            "open_orders": list(found.open_orders),
        }
    if as_json:
        _write_json(document)
    elif found.is_intact:
        sys.stdout.write(f"{document['journal']}: {chain.events} events, up to {chain.last_sequence or 0}, intact\n")
        if found.tail.torn_bytes:
            sys.stdout.write(f"  {found.tail.text}; nothing of it was promised\n")
        for told in found.dropped:
            sys.stdout.write(f"  an earlier start dropped the end, {told}\n")
        for check in found.snapshots:
            sys.stdout.write(f"  snapshot after event {check.sequence}: {check.note or 'equal to a replay'}\n")
        if found.begins_after:
            sys.stdout.write(
                f"  events up to {found.begins_after} are in an archive that is not here: orders and money were not added up\n"
            )
        else:
            sys.stdout.write("  orders, executions, money: no rule is broken\n")
        if found.open_orders:
            left = "left open by a stop, the next start asks the venue about them" if found.has_stopped else "open at its end"
            sys.stdout.write(f"  {left}: {', '.join(found.open_orders)}\n")
        sys.stdout.write(f"  state hash: {found.state_hash}\n")
    if not found.is_intact:
        raise VerificationFailed(f"journal {document['journal']}: {found.first_problem}")


def journal_export(
    *,
    output: OutputOption = None,
    types: TypeOption = None,
    rebalance: RebalanceOption = None,
    after: AfterOption = 0,
    until: UntilOption = None,
    state: StateOption = None,
    config: ConfigOption = None,
) -> None:
    """Write a journal as lines of JSON, one event each, with its place and its cause.

    Example: alchemiser journal export --output events.jsonl
    """
    names = _known(types)
    with _reader(config, state) as reader, _sink(output) as sink:
        for envelope in reader.read_named(names, after=after, until=until, correlation=rebalance):
            sink.write(_json(envelope) + "\n")


def journal_replay(
    *, until: UntilOption = None, state: StateOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Rebuild orders, positions and cash from the events alone, and print them with the hash of the daemon's state after them.

    It is the hash that the daemon logs when it has recovered and that its snapshots carry. Exit 6 when the chain is broken, when fills
    and bookings do not add up, or when the daemon's own books, made of the same events, tell another story.

    Example: alchemiser journal replay --until 1200
    """
    with _reader(config, state) as reader, _told(reader, passes=3):
        _require(reader.verify(), str(reader.path))
        replayed = replay(reader.read(until=until))
        if not replayed.problems:
            replayed = _compared(replayed, reader.read(until=until))
    if as_json:
        _write_json(msgspec.to_builtins(replayed))
    else:
        _write_replayed(replayed)
    if replayed.problems:
        raise VerificationFailed("the journal does not add up: " + "; ".join(replayed.problems))


def _compared(replayed: Replayed, envelopes: Iterator[Envelope]) -> Replayed:
    """Add what the daemon's own components make of the same events differently."""
    state = JournaledState(lambda _: None)
    state.replay(envelopes)
    books = {symbol: held for symbol, held in state.ledger.holdings().items() if held}
    booked: dict[str, Decimal] = {}
    for book in replayed.strategy_positions.values():
        for symbol, held in book.items():
            booked[symbol] = booked.get(symbol, ZERO) + held
    problems = [
        f"{symbol}: the ledger holds {books.get(symbol, ZERO)}, the bookings add up to {booked.get(symbol, ZERO)}"
        for symbol in sorted(books.keys() | booked.keys())
        if books.get(symbol, ZERO) != booked.get(symbol, ZERO)
    ]
    open_orders = tuple(order.client_order_id for order in state.orders.open_orders())
    if sorted(open_orders) != sorted(replayed.open_orders):
        problems.append(f"open orders: the daemon knows {list(open_orders)}, the reports leave {list(replayed.open_orders)}")
    return msgspec.structs.replace(replayed, problems=(*replayed.problems, *problems), state_hash=state.hash())


def _write_replayed(replayed: Replayed) -> None:
    write = sys.stdout.write
    write(f"{sum(replayed.events.values())} events, up to {replayed.last_sequence}\n")
    for name, count in replayed.events.items():
        write(f"  {name:<22} {count:>8}\n")
    write(f"{len(replayed.orders)} orders, {len(replayed.open_orders)} open\n")
    for symbol, held in replayed.positions.items():
        write(f"  {symbol:<22} {held:>16f} shares\n")
    if replayed.unbooked:
        write(f"not booked yet: {', '.join(replayed.unbooked)}\n")
    write(f"cash moved by fills: {replayed.cash:.2f}\n")
    write(f"trading state: {replayed.trading_state or 'active'}\n")
    write(f"state hash: {replayed.state_hash}\n")


def _require(result: Verification, journal: str) -> None:
    if not result.is_intact:
        raise VerificationFailed(f"journal {journal} is damaged at event {result.first_bad}: {result.problem}")


@contextmanager
def _reader(config: Path | None, state: Path | None) -> Iterator[JournalReader]:
    directory = load(config, state=state).settings.service.state
    with JournalReader.open(directory / JOURNAL_FILE) as reader:
        yield reader


@contextmanager
def _told(reader: JournalReader, *, passes: int) -> Iterator[None]:
    """Show on a terminal how far the reading of all events is, which happens so many times."""
    last, done, before = reader.last_sequence, 0, 0
    with session_bar(of="events") as told:

        def on_page(sequence: int) -> None:
            nonlocal done, before
            if sequence < before:
                done += 1  # It begins again.
            before = sequence
            told(done * last + min(sequence, last), passes * last)

        reader.on_page = on_page
        yield


@contextmanager
def _sink(output: Path | None) -> Iterator[IO[str]]:
    if output is None:
        yield sys.stdout
        return
    try:
        file = output.open("w", encoding="utf-8")
    except OSError as error:
        raise DataError(f"{output} cannot be written: {error.strerror}; nothing was exported") from error
    with file:
        yield file


def _known(types: list[str] | None) -> list[str] | None:
    for name in types or ():
        if name not in _TYPES:
            raise UsageError(f"--type {name}: there is no such event; the events are {', '.join(sorted(_TYPES))}")
    return types or None


def _zone(name: str) -> tzinfo | None:
    if name == "local":
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise UsageError(f"--zone {name}: there is no such time zone") from error


def _json(envelope: Envelope) -> str:
    return msgspec.json.encode(envelope).decode()


def _write_json(document: Any) -> None:
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n")
