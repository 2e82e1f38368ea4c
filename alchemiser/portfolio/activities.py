"""How a row of the broker's account activities is booked: who gets which part of it, and what becomes of the lots. Pure.

The rules, which ``docs/books.md`` tells with examples: what is paid for shares goes to who held them before the ex-date; what trading cost
goes to who traded; what an issuer does to shares is done to every lot of them, at the same cost; cash that is no strategy's is the
account's. The parts always add up to the row, to the cent and to the ninth decimal of a share.
"""

import re
from collections.abc import Callable, Container, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final

import msgspec

from alchemiser.domain.activities import AccountActivity, ActivityEntry, SpinOff, Treatment
from alchemiser.domain.events import ActivityBooked
from alchemiser.domain.money import CENT, ONE, SHARE_QUANTUM, ZERO, to_cents, truncate_shares
from alchemiser.portfolio.attribution import apportion
from alchemiser.portfolio.history import begins
from alchemiser.portfolio.lots import cost_of
from alchemiser.portfolio.shelf import Shelf

CANCELLED: Final = "canceled"
"""The broker's word for the state of a row that takes an earlier one back."""

_DIVIDENDS: Final = frozenset({"DIV", "DIVCGL", "DIVCGS", "DIVROC", "DIVFEE", "DIVFT", "DIVNRA", "DIVTW", "DIVTXEX"})
_INTEREST: Final = frozenset({"INT", "INTNRA", "INTTW"})
_FEES: Final = frozenset({"FEE", "CFEE", "REG", "TAF", "PTC", "PTR"})
_SPLITS: Final = frozenset({"SPLIT", "SSP", "FSPLIT", "RSPLIT", "REV"})
_SPIN_OFFS: Final = frozenset({"SPIN", "SSO"})
_NEW_NAMES: Final = frozenset({"NC", "SC"})
_REMOVALS: Final = frozenset({"MA", "REORG", "OPCA", "DELIST"})
_TRANSFERS: Final = frozenset({"CSD", "CSW", "JNL", "JNLC", "TRANS", "ACATC"})
_IN_KIND: Final = frozenset({"ACATS", "JNLS", "JNL", "TRANS"})

_PAID_WITHIN: Final = timedelta(days=100)
"""How long after its ex-date a dividend may be paid."""

_RATIO: Final = re.compile(r"(\d+(?:\.\d+)?)\s*[- ]?(?:for|:)[- ]?\s*(\d+(?:\.\d+)?)", re.IGNORECASE)
_RECORD_DATE: Final = re.compile(r"rec(?:ord)?\s*date:?\s*(\d{4}-\d{2}-\d{2})", re.IGNORECASE)
_WORD: Final = re.compile(r"[A-Z][A-Z.]{0,9}")


class Facts(msgspec.Struct, frozen=True):
    """What a booking is decided with.

    The books, the broker's shares when they were last seen, what a person says of spin-offs, and what was booked lately.
    """

    shelf: Shelf
    at_broker: Mapping[str, Decimal] = {}
    spin_offs: Mapping[str, SpinOff] = {}
    lately: Sequence[ActivityBooked] = ()


def in_order(rows: Sequence[AccountActivity]) -> list[tuple[AccountActivity, AccountActivity | None]]:
    """Return rows in the order in which they are booked, each with the row that brings what it takes away.

    A row that takes shares away for others comes before the one that brings them. What happened at the same moment under a name that goes
    comes before the change of the name, what happened under one that comes after it. One whose partner has not been listed yet is left
    out: half of an exchange is not booked.
    """
    going, coming = _names(rows, _NEW_NAMES | _REMOVALS, _is_removal), _names(rows, _NEW_NAMES, _is_arrival)

    def place(row: AccountActivity) -> tuple[int, bool]:
        """Where the row stands among those of its moment: before or after the names that change, and what it brings."""
        by_name = 0 if row.kind in _NEW_NAMES | _REMOVALS else ((row.at, row.symbol) in coming) - ((row.at, row.symbol) in going)
        return by_name, _is_arrival(row)

    oldest_first = sorted(rows, key=lambda row: (row.on, _is_withheld(row), row.at, place(row), row.activity_id))
    found: list[tuple[AccountActivity, AccountActivity | None]] = []
    taken: set[str] = set()
    for row in oldest_first:
        if row.activity_id in taken:
            continue
        partner = _partner_of(row, [one for one in oldest_first if one.activity_id not in taken]) if _is_removal(row) else None
        is_half = _is_half(row) and partner is None
        if not is_half:
            found.append((row, partner))
        if partner is not None:
            taken.add(partner.activity_id)
            found.append((partner, row))
    return found


def booking_of(row: AccountActivity, partner: AccountActivity | None, facts: Facts) -> ActivityBooked:
    """Return how a row is booked. ``partner`` is the row of the same happening that brings what this one takes, or the other way round."""
    if partner is not None and not _is_removal(row):
        holders = facts.shelf.holders(row.symbol) if row.symbol else {}
        return _paid_out(row, Treatment.PART, holders, row.quantity)
    shares = _shares(row, partner, facts)
    if shares is not None:
        return shares
    if row.kind in _DIVIDENDS or (row.kind in _FEES and row.symbol is not None and _held(row, facts)):
        is_fee = row.kind in _FEES
        return _paid_out(row, Treatment.FEE if is_fee else Treatment.DIVIDEND, *_entitled(row, facts))
    if row.kind in _FEES:
        return _paid_out(row, Treatment.FEE, facts.shelf.history.traded_before(row.on), None)
    if row.kind in _TRANSFERS and not row.quantity:
        return ActivityBooked(at=row.at, activity=row, treatment=Treatment.TRANSFER, entries=(), transferred=row.amount)
    if row.kind in _IN_KIND:
        value = to_cents(row.quantity * row.price) if row.quantity and row.price else ZERO
        return ActivityBooked(
            at=row.at, activity=row, treatment=Treatment.TRANSFER_IN_KIND, entries=(), transferred=row.amount, value_in_kind=value
        )
    treatment = Treatment.INTEREST if row.kind in _INTEREST else Treatment.OTHER
    return ActivityBooked(at=row.at, activity=row, treatment=treatment, entries=(), account_cash=row.amount)


def effective_at(row: AccountActivity) -> datetime:
    """Return when what a row says came true: before anybody traded on its day, however late the broker wrote it down."""
    return min(row.at, begins(row.on))


def reversal_of(row: AccountActivity, booked: ActivityBooked, shelf: Shelf) -> ActivityBooked:
    """Return how it is booked that an earlier row is taken back: cash and shares go back as they came.

    What cannot be told apart any more stays a difference that the reconciliation names: shares of a new name or of a merger that have been
    traded since, or that have become one with shares that were held before; and shares of a row that is corrected and not cancelled.
    """
    if not _is_reversible(row, booked, shelf):
        return ActivityBooked(at=row.at, activity=row, treatment=Treatment.OTHER, entries=())
    entries = tuple(
        msgspec.structs.replace(entry, quantity=-entry.quantity, cash=-entry.cash, cost=-entry.cost, realised=-entry.realised)
        for entry in booked.entries
    )
    return ActivityBooked(
        at=row.at,
        activity=row,
        treatment=Treatment.REVERSAL,
        entries=entries,
        account_cash=-booked.account_cash,
        transferred=-booked.transferred,
        value_in_kind=-booked.value_in_kind,
        new_symbol=booked.new_symbol,
        parent=booked.parent,
    )


def _is_reversible(row: AccountActivity, booked: ActivityBooked, shelf: Shelf) -> bool:
    if booked.treatment is Treatment.SPLIT or not any(entry.quantity or entry.cost for entry in booked.entries):
        return True
    if row.status != CANCELLED:
        return False
    if booked.treatment is Treatment.EXCHANGE and booked.new_symbol is not None:
        came = {entry.strategy: entry.quantity for entry in booked.entries if entry.symbol == booked.new_symbol and entry.quantity}
        return came == shelf.holders(booked.new_symbol)
    return booked.treatment in (Treatment.REMOVAL, Treatment.SPIN_OFF) and all(
        shelf.has_deed(entry.strategy, entry.symbol, booked.activity.activity_id) for entry in booked.entries if entry.symbol is not None
    )


# --- cash ---


def _entitled(row: AccountActivity, facts: Facts) -> tuple[dict[str, Decimal], Decimal | None]:
    """Return who held the shares that a payment is for, and how many the whole account held of them, if the row says so.

    What is withheld of a dividend is withheld of who got it. The record date in the description tells the day. Without one it is the
    last day before the payment at which the books held as many shares as the row says, else the last one at which they held any.
    """
    if row.symbol is None:
        return {}, None
    if _is_withheld(row):
        paid = [
            one for one in facts.lately if (one.activity.symbol, one.activity.on) == (row.symbol, row.on) and one.activity.kind == "DIV"
        ]
        if paid:
            parts = {entry.strategy: entry.cash for entry in paid[-1].entries}
            return parts, sum(parts.values(), ZERO) + paid[-1].account_cash
    history, quantity = facts.shelf.history, abs(row.quantity) if row.quantity else None
    said = _RECORD_DATE.search(row.description)
    if said is not None:
        return history.held_before(row.symbol, date.fromisoformat(said[1])), quantity
    days = [row.on, *(day for day in history.days_of(row.symbol) if row.on - _PAID_WITHIN <= day <= row.on)]
    holders = [history.held_before(row.symbol, day) for day in dict.fromkeys(days)]
    exact = next((held for held in holders if held and quantity == sum(held.values(), ZERO)), None)
    return exact or next((held for held in holders if held), {}), quantity


def _paid_out(row: AccountActivity, treatment: Treatment, weights: Mapping[str, Decimal], entitled: Decimal | None) -> ActivityBooked:
    """Divide the cash of a row; what was paid for more shares than the strategies had is the account's."""
    ours = sum(weights.values(), ZERO)
    amount = row.amount
    if ours <= 0:
        amount = ZERO
    elif entitled is not None and entitled > ours:
        amount = to_cents(row.amount * ours / entitled)
    parts = apportion(amount, weights, CENT)
    entries = tuple(ActivityEntry(strategy=name, symbol=row.symbol, cash=part) for name, part in parts.items() if part)
    return ActivityBooked(at=row.at, activity=row, treatment=treatment, entries=entries, account_cash=row.amount - amount)


# --- shares ---


def _shares(row: AccountActivity, partner: AccountActivity | None, facts: Facts) -> ActivityBooked | None:
    """Return how a row that changes the shares of a symbol is booked, ``None`` for one that does not."""
    if row.symbol is None or not row.quantity:
        return None
    if row.kind in _SPIN_OFFS and row.quantity > 0:
        return _spin_off(row, facts)
    if partner is not None and partner.symbol != row.symbol:
        return _exchange(row, partner, facts)
    if row.kind in _SPLITS or is_stock_dividend(row):
        return _split(row, row.quantity + (partner.quantity or ZERO if partner else ZERO), facts)
    if row.kind in _REMOVALS | _NEW_NAMES and row.quantity < 0:
        return _removal(row, facts)
    return None


def is_stock_dividend(row: AccountActivity) -> bool:
    """Whether a dividend is paid in shares: the broker says so, or it names shares and neither dollars nor dollars per share."""
    return row.kind == "DIV" and bool(row.quantity) and (row.sub_kind == "SDIV" or (row.per_share is None and not row.amount))


def _split(row: AccountActivity, change: Decimal, facts: Facts) -> ActivityBooked:
    assert row.symbol is not None, f"split {row.activity_id} names no symbol"
    holders = facts.shelf.holders(row.symbol, effective_at(row))
    held = sum(holders.values(), ZERO)
    after = _after_split(row, held, change, facts.at_broker.get(row.symbol))
    parts = apportion(after, holders, SHARE_QUANTUM)
    # Cash in the place of fractions goes with the shares: what came for others' is the account's.
    cash = row.amount if after == held + change else to_cents(row.amount * (after - held) / change)
    cash = cash if holders else ZERO
    cash_parts = apportion(cash, holders, CENT)
    entries = tuple(
        ActivityEntry(
            strategy=name,
            symbol=row.symbol,
            quantity=parts[name] - quantity,
            cash=cash_parts[name],
            # Nothing is left of them: what they cost is lost, but for the cash.
            cost=ZERO if parts[name] else -cost_of(facts.shelf.lots_of(name, row.symbol, effective_at(row))),
            realised=ZERO if parts[name] else cash_parts[name] - cost_of(facts.shelf.lots_of(name, row.symbol, effective_at(row))),
        )
        for name, quantity in holders.items()
    )
    old, new = _ratio_of(row) or ((held, after) if held > 0 < after else (None, None))
    return ActivityBooked(
        at=row.at, activity=row, treatment=Treatment.SPLIT, entries=entries, account_cash=row.amount - cash, old=old, new=new
    )


def _ratio_of(row: AccountActivity) -> tuple[Decimal, Decimal] | None:
    """Return how many old shares became how many, as the description says; what does not go with the row's shares is not believed."""
    said = _RATIO.search(row.description)
    if said is None or not Decimal(said[1]) or not Decimal(said[2]):
        return None
    new, old = Decimal(said[1]), Decimal(said[2])
    is_fitting = new != old and (new > old) == ((row.quantity or ZERO) > 0)
    return (old, new) if is_fitting else None


def _after_split(row: AccountActivity, held: Decimal, change: Decimal, at_broker: Decimal | None) -> Decimal:
    """Return how many shares the books hold after a split that changed the account's by ``change``.

    Where the books hold all of the account's shares it is exactly what the broker makes of them. The account may hold others' shares too,
    or executions that have not been heard of: then ours become what the ratio makes of them.
    """
    ratio = _ratio_of(row)
    if ratio is None and at_broker is not None and at_broker > held:
        ratio = at_broker, at_broker + change
    if ratio is None:
        return held + change
    old, new = ratio
    is_whole = all(number == number.to_integral_value() for number in (held, change))
    slack = ONE if is_whole else 10 * SHARE_QUANTUM
    return held + change if abs(held + change - held * new / old) < slack else truncate_shares(held * new / old)


def _spin_off(row: AccountActivity, facts: Facts) -> ActivityBooked | None:
    assert row.symbol is not None, f"spin-off {row.activity_id} names no symbol"
    assert row.quantity is not None, f"spin-off {row.activity_id} names no shares"
    said = facts.spin_offs.get(row.symbol, SpinOff())
    parent = said.parent or _parent_of(row, facts)
    holders = facts.shelf.holders(parent, effective_at(row)) if parent else {}
    if parent is None or not holders:
        return None  # Nobody's: the reconciliation shows them as shares of somebody else.
    at_broker, held = facts.at_broker.get(parent), sum(holders.values(), ZERO)
    ours = row.quantity
    if at_broker is not None and at_broker > held > 0:
        ours = truncate_shares(row.quantity * held / at_broker)
    entries: list[ActivityEntry] = []
    for name, part in apportion(ours, holders, SHARE_QUANTUM).items():
        cost = to_cents(cost_of(facts.shelf.lots_of(name, parent, effective_at(row))) * said.cost_fraction)
        if cost:
            entries.append(ActivityEntry(strategy=name, symbol=parent, cost=-cost))
        if part:
            entries.append(ActivityEntry(strategy=name, symbol=row.symbol, quantity=part, cost=cost))
    return ActivityBooked(
        at=row.at,
        activity=row,
        treatment=Treatment.SPIN_OFF,
        entries=tuple(entries),
        account_cash=row.amount,
        parent=parent,
        cost_fraction=said.cost_fraction,
    )


def _parent_of(row: AccountActivity, facts: Facts) -> str | None:
    """Return the one symbol of the description that somebody holds."""
    words = dict.fromkeys(_WORD.findall(row.description))
    held = [word for word in words if word != row.symbol and facts.shelf.holders(word)]
    return held[0] if len(held) == 1 else None


def _exchange(row: AccountActivity, partner: AccountActivity, facts: Facts) -> ActivityBooked:
    assert row.symbol is not None, f"row {row.activity_id} names no symbol"
    assert row.quantity is not None, f"row {row.activity_id} names no shares"
    assert partner.symbol is not None, f"row {partner.activity_id} names no symbol"
    holders = facts.shelf.holders(row.symbol, effective_at(row))
    held, gone = sum(holders.values(), ZERO), -row.quantity
    came = partner.quantity or ZERO
    ours = came if gone <= held else truncate_shares(came * held / gone)
    cash = row.amount if gone <= held else to_cents(row.amount * held / gone)
    cash = cash if holders else ZERO
    parts, cash_parts = apportion(ours, holders, SHARE_QUANTUM), apportion(cash, holders, CENT)
    entries: list[ActivityEntry] = []
    for name, quantity in holders.items():
        cost = cost_of(facts.shelf.lots_of(name, row.symbol, effective_at(row)))
        entries.append(ActivityEntry(strategy=name, symbol=row.symbol, quantity=-quantity, cash=cash_parts[name], cost=-cost))
        entries.append(ActivityEntry(strategy=name, symbol=partner.symbol, quantity=parts[name], cost=cost))
    return ActivityBooked(
        at=row.at,
        activity=row,
        treatment=Treatment.EXCHANGE,
        entries=tuple(entries),
        account_cash=row.amount - cash,
        new_symbol=partner.symbol,
    )


def _removal(row: AccountActivity, facts: Facts) -> ActivityBooked:
    assert row.symbol is not None, f"row {row.activity_id} names no symbol"
    assert row.quantity is not None, f"row {row.activity_id} names no shares"
    holders = facts.shelf.holders(row.symbol, effective_at(row))
    held, gone = sum(holders.values(), ZERO), -row.quantity
    cash = row.amount if gone <= held else to_cents(row.amount * held / gone)
    cash = cash if holders else ZERO
    cash_parts = apportion(cash, holders, CENT)
    entries = tuple(
        ActivityEntry(
            strategy=name,
            symbol=row.symbol,
            quantity=-quantity,
            cash=cash_parts[name],
            cost=-(cost := cost_of(facts.shelf.lots_of(name, row.symbol, effective_at(row)))),
            realised=cash_parts[name] - cost,
        )
        for name, quantity in holders.items()
    )
    return ActivityBooked(at=row.at, activity=row, treatment=Treatment.REMOVAL, entries=entries, account_cash=row.amount - cash)


# --- rows that belong together ---


def _is_removal(row: AccountActivity) -> bool:
    return row.kind in _SPLITS | _NEW_NAMES | _REMOVALS and row.quantity is not None and row.quantity < 0


def _is_arrival(row: AccountActivity) -> bool:
    return row.kind in _SPLITS | _NEW_NAMES | _REMOVALS and row.quantity is not None and row.quantity > 0


def _names(
    rows: Sequence[AccountActivity], kinds: Container[str], is_on_side: Callable[[AccountActivity], bool]
) -> set[tuple[datetime, str | None]]:
    """Return the names that go, or come, in rows of these kinds, with the moment."""
    return {(row.at, row.symbol) for row in rows if row.kind in kinds and is_on_side(row)}


def _is_half(row: AccountActivity) -> bool:
    """Whether a row is nothing by itself: a name that goes, and one that comes."""
    return row.kind in _NEW_NAMES and row.quantity is not None and row.status != CANCELLED  # A row that takes one back is whole.


def _partner_of(row: AccountActivity, rows: Sequence[AccountActivity]) -> AccountActivity | None:
    """Return the row that brings what this one takes away: of its group, else the one of its kind and day, the same number first."""
    same = [one for one in rows if _is_arrival(one) and one.kind == row.kind and one.on == row.on]
    if row.kind in _SPLITS:
        same = [one for one in same if one.symbol == row.symbol]
    if row.group is not None:
        return next((one for one in same if one.group == row.group), None)
    free = [one for one in same if one.group is None]
    exact = [one for one in free if one.quantity == -(row.quantity or ZERO)]
    return exact[0] if exact else free[0] if len(free) == 1 else None


def _is_withheld(row: AccountActivity) -> bool:
    return row.kind in _DIVIDENDS and row.amount < 0


def _held(row: AccountActivity, facts: Facts) -> bool:
    return bool(_entitled(row, facts)[0])
