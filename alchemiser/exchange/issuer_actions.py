"""What issuers do to shares, to the positions in them and to the orders for them: splits, dividends, spin-offs, name changes, removals.

An action takes effect when its ex-date begins, before anything trades. Rows of section 7.4 become actions by :func:`actions_of`.

Orders (section 9.4 and the common rule of the exchanges): a forward split and a dividend restate simple gtc orders and leave complex ones
as they are; what takes shares away (a reverse split, a new name, a removal) cancels every order for them. Cost moves with the shares; a
spun-off share comes at a cost of zero, because nobody tells how the cost is parted.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Literal

import msgspec

from alchemiser.domain.errors import DataError
from alchemiser.domain.money import ONE, ZERO

ActionKind = Literal["split", "cash_dividend", "stock_dividend", "spin_off", "name_change", "cash_merger", "worthless_removal"]


class CorporateAction(msgspec.Struct, frozen=True, kw_only=True):
    """One action: ``old_rate`` shares become ``new_rate``, or bring ``new_rate`` of ``new_symbol``; ``cash`` is dollars per share."""

    id: str
    kind: ActionKind
    symbol: str
    ex_date: date
    payable_date: date | None = None
    new_rate: Decimal = ONE
    old_rate: Decimal = ONE
    cash: Decimal = ZERO
    new_symbol: str | None = None

    @property
    def ratio(self) -> Decimal:
        """New shares for each old one."""
        return self.new_rate / self.old_rate


class Entitlement(msgspec.Struct, frozen=True, kw_only=True):
    """A dividend that is owed for shares held before the ex-date; for a short position it is owed by the account."""

    action_id: str
    symbol: str
    quantity: Decimal
    per_share: Decimal
    payable: date
    record_date: date | None = None


def actions_of(groups: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[CorporateAction]:
    """Return the actions that a ``corporate_actions`` object of section 7.4 holds, by ex-date.

    Raises ``DataError`` for a group that this exchange does not carry out and for a row that lacks something.
    """
    actions = [_action(group, row) for group, rows in groups.items() for row in rows]
    return sorted(actions, key=lambda action: (action.ex_date, action.symbol, action.id))


def check_listed(actions: Iterable[CorporateAction], symbols: Iterable[str]) -> None:
    """Raise ``DataError`` for an action whose symbols the exchange does not list."""
    known = set(symbols)
    for action in actions:
        for symbol in (action.symbol, action.new_symbol):
            if symbol is not None and symbol not in known:
                raise DataError(f"corporate action {action.id} names {symbol}, which this exchange does not list; nothing is scheduled")


def _action(group: str, row: Mapping[str, Any]) -> CorporateAction:
    try:
        return CorporateAction(id=row["id"], ex_date=_day(row, "ex_date", "effective_date", "process_date"), **_particulars(group, row))
    except KeyError as error:
        raise DataError(f"a row of {group} has no {error.args[0]}: {dict(row)}") from error
    except (ValueError, ArithmeticError) as error:
        raise DataError(f"a row of {group} cannot be read ({error}): {dict(row)}") from error


def _particulars(group: str, row: Mapping[str, Any]) -> dict[str, Any]:
    match group:
        case "forward_splits" | "reverse_splits":
            return {"kind": "split", "symbol": row["symbol"], "new_rate": _rate(row, "new_rate"), "old_rate": _rate(row, "old_rate")}
        case "cash_dividends":
            payable = _day(row, "payable_date", "ex_date")
            return {"kind": "cash_dividend", "symbol": row["symbol"], "cash": _rate(row, "rate"), "payable_date": payable}
        case "stock_dividends":
            return {"kind": "stock_dividend", "symbol": row["symbol"], "new_rate": ONE + _rate(row, "rate")}
        case "spin_offs":
            rates = {"new_rate": _rate(row, "new_rate"), "old_rate": _rate(row, "source_rate")}
            return {"kind": "spin_off", "symbol": row["source_symbol"], "new_symbol": row["new_symbol"], **rates}
        case "name_changes":
            return {"kind": "name_change", "symbol": row["old_symbol"], "new_symbol": row["new_symbol"]}
        case "cash_mergers":
            return {"kind": "cash_merger", "symbol": row["acquiree_symbol"], "cash": _rate(row, "rate")}
        case "worthless_removals":
            return {"kind": "worthless_removal", "symbol": row["symbol"]}
        case _:
            raise DataError(f"corporate actions of the group {group} are not carried out by this exchange; leave them out")


def _day(row: Mapping[str, Any], *names: str) -> date:
    name = next((name for name in names if row.get(name)), names[-1])
    return date.fromisoformat(row[name])


def _rate(row: Mapping[str, Any], name: str) -> Decimal:
    rate = Decimal(str(row[name]))
    if not rate.is_finite() or rate <= 0:
        raise ValueError(f"{name} is {row[name]}, not a positive number")
    return rate
