"""A kill without the daemon: straight from this process to the venue, for when the daemon is stuck, gone or does not answer.

It makes the switch's file, so that the daemon halts when it comes round and at every start until the file is removed, and keeps the record
from which the daemon takes over what was sold. The books are those of the journal, which may be read while a daemon holds it.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final

from alchemiser.domain.errors import ConfigError
from alchemiser.domain.events import Event
from alchemiser.domain.ids import client_order_id
from alchemiser.domain.money import ZERO
from alchemiser.domain.orders import ExecutionReport, NewOrder
from alchemiser.execution.kill import Kill, KillParts, KillReport
from alchemiser.journal.reader import JournalReader
from alchemiser.service.broker import names_broker, open_broker
from alchemiser.service.kill_record import DIRECT_FILE, FLATTEN_WORD, SentOrder, new_record, pull_switch, write_record
from alchemiser.service.offline import JOURNAL_FILE
from alchemiser.service.recovery import recover
from alchemiser.service.settings import Settings
from alchemiser.service.state import JournaledState

FIRST_NUMBER: Final = 9501
"""The sales of a session's first direct kill are rebalance number 9501; those of the daemon's own kills begin before."""


async def kill_directly(settings: Settings, reason: str, *, flattens: bool, watch: Callable[[KillReport], None]) -> KillReport:
    """Cancel everything and, if so asked, sell what the books of the journal hold; return what was done.

    It asks a venue that does not answer for ever; ``watch`` is given the report, which changes while it works. Raises ``ConfigError``
    without credentials, and ``DataError`` when what is held should be sold and the journal cannot be read.
    """
    if not names_broker(settings):
        raise ConfigError("a direct kill needs the credentials and addresses of the venue; an embedded exchange ends with its daemon")
    state = settings.service.state
    state.mkdir(parents=True, exist_ok=True)
    # Without the word that has everything sold: that is done here, and once is enough.
    pull_switch(state, f"killed directly: {reason}".lower().replace(FLATTEN_WORD, "sell all"))
    epoch, holdings = _journaled(settings)
    path = state / DIRECT_FILE
    async with open_broker(settings) as (venue, clock):
        record = new_record(
            path, now=clock.now(), by="command line", reason=reason, flattens=flattens, epoch=epoch, first_number=FIRST_NUMBER
        )
        write_record(path, record)
        prices: dict[str, Decimal] = {}

        def planned(quantities: Mapping[str, Decimal], seen: Mapping[str, Decimal]) -> None:
            prices.update(seen)

        async def intends(order: NewOrder, attempt: int) -> None:
            record.orders.append(SentOrder(order=order, attempt=attempt, price=prices[order.symbol], at=clock.now()))
            write_record(path, record)

        kill = Kill(
            KillParts(
                venue=venue,
                clock=clock,
                flattens=lambda: flattens,
                holdings=lambda: {symbol: held for symbol, held in holdings.items() if held > ZERO},
                order_id=lambda symbol, attempt: client_order_id(epoch, record.rebalance_id, symbol, attempt),
                planned=planned,
                intends=intends,
                heard=_nothing,
            )
        )
        watch(kill.report)
        report = await kill.run()
        record.ended, record.sold, record.could_not, record.is_over = report.ended, report.sold, report.could_not, True
        write_record(path, record)
    return report


def _journaled(settings: Settings) -> tuple[str, dict[str, Decimal]]:
    """Return the epoch of the journal and the shares that its books hold; nothing, when there is no journal."""
    path = settings.service.state / JOURNAL_FILE
    if not path.exists():
        return "none", {}
    state = JournaledState(_nobody_listens)
    with JournalReader.open(path) as reader:
        recover(state, reader)
        return reader.epoch, state.ledger.holdings()


def _nobody_listens(event: Event) -> None:
    """Take an event that only a running daemon would pass on."""


def _nothing(report: ExecutionReport) -> None:
    """Hear what the next daemon asks the venue for itself."""
