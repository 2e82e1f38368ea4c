"""Carries out what was booked of a row of the account's activities: cash into books, splits and new names to lots.

Who gets what was decided before and is in the event; here it is done, the same when it is replayed.
"""

from decimal import Decimal

from alchemiser.domain.activities import Treatment
from alchemiser.domain.events import ActivityBooked
from alchemiser.domain.money import ONE, ZERO, truncate_shares
from alchemiser.portfolio.activities import effective_at
from alchemiser.portfolio.lots import Lot, Lots, Reshaping, cost_parts, quantity_of
from alchemiser.portfolio.shelf import Shelf


def carry_out(booked: ActivityBooked, shelf: Shelf) -> None:
    """Change the books by a row that was booked."""
    match booked.treatment:
        case Treatment.SPIN_OFF:
            _spin_off(booked, shelf)
        case Treatment.EXCHANGE:
            _exchange(booked, shelf)
        case Treatment.REVERSAL if any(entry.cost for entry in booked.entries) or booked.new_symbol or booked.parent:
            _undo(booked, shelf)
        case _:
            _by_entry(booked, shelf)


def _by_entry(booked: ActivityBooked, shelf: Shelf) -> None:
    symbol = booked.activity.symbol
    if booked.treatment is Treatment.SPLIT and symbol is not None and booked.old is not None and booked.new is not None:
        shelf.remember_split(symbol, _reshaping(booked, old=booked.old, new=booked.new))
    for entry in booked.entries:
        book = shelf.book_of(entry.strategy)
        is_gone = False
        if entry.symbol is not None and entry.quantity:
            held = quantity_of(shelf.lots_of(entry.strategy, entry.symbol, effective_at(booked.activity)))
            is_gone = held + entry.quantity == 0
            deed = _reshaping(booked, old=held, new=held + entry.quantity, cash=entry.cash)
            shelf.reshape(entry.strategy, entry.symbol, deed, on=booked.activity.on)
        book.cash_flow += entry.cash
        if not is_gone:  # What the last shares brought is in what they realised.
            book.income += entry.cash


def _spin_off(booked: ActivityBooked, shelf: Shelf) -> None:
    assert booked.parent is not None, f"row {booked.activity.activity_id} was booked as a spin-off of nothing"
    on, at = booked.activity.on, effective_at(booked.activity)
    moved = {entry.strategy: -entry.cost for entry in booked.entries if entry.symbol == booked.parent}
    arrivals = {entry.strategy: entry for entry in booked.entries if entry.quantity}
    for strategy in shelf.holders(booked.parent, at):
        lots = shelf.lots_of(strategy, booked.parent, at)
        entry = arrivals.get(strategy)
        cost = moved.get(strategy, ZERO)
        if cost:
            shelf.reshape(strategy, booked.parent, _reshaping(booked, cost_moved=cost), on=on)
        if entry is not None and entry.symbol is not None:
            arrived = _spread(lots, entry.symbol, entry.quantity, cost_parts(lots, cost))
            shelf.reshape(strategy, entry.symbol, _reshaping(booked, arrived=arrived), on=on)


def _exchange(booked: ActivityBooked, shelf: Shelf) -> None:
    old, new = booked.activity.symbol, booked.new_symbol
    assert old is not None, f"row {booked.activity.activity_id} was booked as an exchange of nothing"
    assert new is not None, f"row {booked.activity.activity_id} was booked as an exchange for nothing"
    arrivals = {entry.strategy: entry.quantity for entry in booked.entries if entry.symbol == new}
    for strategy, held in shelf.holders(old, effective_at(booked.activity)).items():
        if arrivals.get(strategy, held) != held:
            deed = _reshaping(booked, old=held, new=arrivals[strategy])
            shelf.reshape(strategy, old, deed, on=booked.activity.on)
    shelf.rename(old, new, effective_at(booked.activity))
    for entry in booked.entries:
        book = shelf.book_of(entry.strategy)
        book.cash_flow += entry.cash
        book.income += entry.cash


def _undo(booked: ActivityBooked, shelf: Shelf) -> None:
    """Take back what became of shares: the lots are again what they would be, with their dates and their cost."""
    row = booked.activity
    deed = row.previous_id or row.activity_id
    if booked.new_symbol is not None and row.symbol is not None:
        shelf.rename(booked.new_symbol, row.symbol, effective_at(row))
    for strategy, symbol in dict.fromkeys((entry.strategy, entry.symbol) for entry in booked.entries):
        if symbol is not None and shelf.has_deed(strategy, symbol, deed):
            shelf.undo(strategy, symbol, deed, on=row.on)
    for entry in booked.entries:
        book = shelf.book_of(entry.strategy)
        book.cash_flow += entry.cash
        if booked.new_symbol is not None:  # Of a removal the cash is in what it realised, of an exchange it was income.
            book.income += entry.cash


def _reshaping(
    booked: ActivityBooked,
    *,
    old: Decimal = ONE,
    new: Decimal = ONE,
    cash: Decimal = ZERO,
    cost_moved: Decimal = ZERO,
    arrived: Lots = (),
) -> Reshaping:
    activity = booked.activity
    return Reshaping(
        execution_id=activity.activity_id, at=effective_at(activity), old=old, new=new, cash=cash, cost_moved=cost_moved, arrived=arrived
    )


def _spread(parents: Lots, symbol: str, quantity: Decimal, costs: tuple[Decimal, ...]) -> Lots:
    """Return lots of a new symbol, one for each lot that it was spun off from, as old as that; the first takes what cutting leaves."""
    held = quantity_of(parents)
    later = [truncate_shares(quantity * lot.quantity / held) for lot in parents[1:]]
    sizes = [quantity - sum(later, ZERO), *later]
    lost = sum((cost for size, cost in zip(sizes, costs, strict=True) if not size), ZERO)
    made: list[Lot] = []
    for lot, size, cost in zip(parents, sizes, costs, strict=True):
        if size:
            made.append(lot.costing(size, cost + lost, symbol))
            lost = ZERO
    return tuple(made)
