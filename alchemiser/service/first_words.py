"""What a daemon publishes first: who it is, what of the journal is gone, what still holds. Nothing can be sent before."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from alchemiser import __version__
from alchemiser.bus.bus import Bus
from alchemiser.domain.events import DaemonStarted, JournalTailDropped, StrategyWarned, TradingStateChanged
from alchemiser.domain.trading import HALTED
from alchemiser.journal.journal import Journal
from alchemiser.service.settings import Settings
from alchemiser.service.state import JournaledState


async def say_first_words(
    bus: Bus,
    *,
    at: datetime,
    settings: Settings,
    journal: Journal,
    state: JournaledState,
    account_number: str,
    warnings: Mapping[str, Sequence[str]],
) -> None:
    """Publish how this process begins; ``warnings`` say by strategy what should be known about it.

    When durable events are gone, trading is halted for it in the same commit that says so, or not at all.
    """
    await bus.publish(
        DaemonStarted(
            at=at,
            mode=settings.alpaca.mode,
            version=__version__,
            epoch=journal.epoch,
            account_number=account_number,
            strategies={name: float(share) for name, share in settings.allocations().items()},
            lots=settings.ledger.lots,
            specific={symbol.upper(): names for symbol, names in settings.ledger.specific.items()},
        )
    )
    tail = journal.tail
    if not tail.is_whole:
        await bus.publish(
            JournalTailDropped(
                at=at,
                last_event=tail.last_event,
                torn_bytes=tail.torn_bytes,
                promised_event=tail.promised_event,
                reason=tail.text,
            )
        )
    for name, texts in warnings.items():
        await bus.publish(StrategyWarned(at=at, strategy=name, warnings=tuple(texts)))
    state.settle()
    # Restated, because the gate of this process has not heard it.
    for again in state.trading.restated(at):
        await bus.publish(again)
    if tail.promised_event is not None:
        # Until here nothing has waited for the disk.
        bus.post(TradingStateChanged(at=at, state=HALTED, by="recovery", reason=f"durable events are gone: {tail.text}"))
