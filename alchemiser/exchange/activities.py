"""The account's activities (section 8.6): every fill, and every row that moved cash or shares without a trade."""

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

import msgspec

from alchemiser.domain.money import ZERO, number_string
from alchemiser.exchange.archive import SEGMENT, seal, unseal
from alchemiser.exchange.charges import FeesOfDay
from alchemiser.exchange.errors import invalid
from alchemiser.exchange.formats import time_text
from alchemiser.exchange.orders import STATUS_NAMES, VenueOrder
from alchemiser.exchange.requests import ActivityFilter
from alchemiser.exchange.timeline import NEW_YORK

_TRADE_TYPES: Final = frozenset({"FILL"})


class Traded(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one execution did to the account. ``instead_of`` is the execution that it corrects, or breaks: then it is of zero shares."""

    execution_id: str
    symbol: str
    sign: int
    quantity: Decimal
    price: Decimal
    settles: date | None = None
    fees: FeesOfDay | None = None
    instead_of: str | None = None


class AfterFill(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How an execution left its order: the status, the shares still to be filled, and those that are."""

    status: str
    leaves: Decimal
    filled: Decimal


class Activity(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """One row: what it says and what it is filtered by. ``amount`` is what a row without a trade did to the cash.

    A row never leads back to itself, so that the garbage collector need not look at the thousands that are kept.

    A row ``written`` in full has its id in ``written_id``. Of an execution, the many that nobody ever reads, id and row are made of
    ``traded`` and ``after`` when they are asked for, and ``written`` is only what the row of a broken or corrected one says otherwise.
    """

    written_id: str = ""
    type: str
    at: datetime
    order_id: str | None
    written: dict[str, Any] = {}
    amount: Decimal = ZERO
    traded: Traded | None = None
    after: AfterFill | None = None

    @property
    def id(self) -> str:
        """The id of the row, which sorts by time."""
        return self.written_id if self.traded is None or self.after is None else f"{_id_time(self.at)}::{self.traded.execution_id}"

    @property
    def row(self) -> dict[str, Any]:
        """The row as JSON."""
        traded, after = self.traded, self.after
        if traded is None or after is None:
            return self.written
        return {
            "activity_type": self.type,
            "id": self.id,
            "transaction_time": time_text(self.at),
            "type": "fill" if after.status == "filled" else "partial_fill",
            "price": number_string(traded.price),
            "qty": number_string(traded.quantity),
            "side": "buy" if traded.sign > 0 else "sell",
            "symbol": traded.symbol,
            "leaves_qty": number_string(after.leaves),
            "order_id": self.order_id,
            "cum_qty": number_string(after.filled),
            "order_status": after.status,
            **self.written,
        }


class ActivityRows(msgspec.Struct):
    """The activities of an account as they are saved, oldest first: the old ones in sealed segments."""

    sealed: list[bytes] = []
    recent: list[Activity] = []


class ActivityLog:
    """The activities of one account; only ever appended to."""

    def __init__(self, rows: ActivityRows) -> None:
        self._rows = rows
        self._all = [*unseal(rows.sealed, Activity), *rows.recent]

    def add(self, activity: Activity) -> None:
        """Append a row."""
        self._all.append(activity)
        self._rows.recent.append(activity)

    def add_execution(self, order: VenueOrder, traded: Traded, at: datetime, correction: dict[str, Any] | None = None) -> None:
        """Append the row of one execution; the order is in the state after it.

        ``correction`` is what the row of a broken or corrected execution says otherwise.
        """
        after = AfterFill(STATUS_NAMES[order.status], order.leaves(), order.filled_qty)
        activity = Activity(type="FILL", at=at, order_id=order.id, written=correction or {}, traded=traded, after=after)
        self._all.append(activity)
        self._rows.recent.append(activity)

    def complete_state(self) -> None:
        """Bring the state up to what a snapshot needs: old rows sealed, a segment at a time. Where nobody saves it, nothing is."""
        rows = self._rows
        while len(rows.recent) >= SEGMENT:
            rows.sealed.append(seal(rows.recent[:SEGMENT]))
            rows.recent = rows.recent[SEGMENT:]

    def page(self, wanted: ActivityFilter) -> list[dict[str, Any]]:
        """Return one page of rows. Raises ``ApiError`` for a token that is no row's id."""
        rows = [activity for activity in self._all if _matches(activity, wanted)]
        if wanted.direction == "desc":
            rows.reverse()
        if wanted.page_token is not None:
            ids = [activity.id for activity in rows]
            if wanted.page_token not in ids:
                raise invalid("invalid page_token")
            rows = rows[ids.index(wanted.page_token) + 1 :]
        return [activity.row for activity in rows[: wanted.page_size]]

    def latest(self) -> Iterator[Activity]:
        """Yield all rows, the last one first."""
        return reversed(self._all)

    def cash_flows(self) -> Iterator[Activity]:
        """Yield the rows that moved cash without a trade, oldest first."""
        return (activity for activity in self._all if activity.amount)


def other_activity(
    kind: str,
    *,
    activity_uuid: str,
    at: datetime,
    on: date,
    description: str,
    amount: Decimal = ZERO,
    sub_type: str | None = None,
    symbol: str | None = None,
    quantity: Decimal | None = None,
    per_share: Decimal | None = None,
    group_id: str | None = None,
) -> Activity:
    """Return an activity that is no trade; ``amount`` is what it adds to the cash."""
    activity_id = f"{_id_time(at)}::{activity_uuid}"
    row: dict[str, Any] = {
        "activity_type": kind,
        "activity_sub_type": sub_type,
        "id": activity_id,
        "date": on.isoformat(),
        "created_at": time_text(at),
        "net_amount": number_string(amount),
        "symbol": symbol,
        "qty": None if quantity is None else number_string(quantity),
        "per_share_amount": None if per_share is None else number_string(per_share),
        "description": description,
        "status": "executed",
        "currency": "USD",
        "group_id": group_id,
    }
    row = {name: value for name, value in row.items() if value is not None}
    return Activity(written_id=activity_id, type=kind, at=at, order_id=None, written=row, amount=amount)


def _matches(activity: Activity, wanted: ActivityFilter) -> bool:
    is_trade = activity.type in _TRADE_TYPES
    return (
        (not wanted.types or activity.type in wanted.types)
        and (wanted.category is None or is_trade == (wanted.category == "trade_activity"))
        and (wanted.order_id is None or activity.order_id == wanted.order_id)
        and (wanted.on is None or activity.at.astimezone(NEW_YORK).date() == wanted.on)
        and (wanted.after is None or activity.at > wanted.after)
        and (wanted.until is None or activity.at < wanted.until)
    )


@lru_cache(maxsize=16)
def _id_time(at: datetime) -> str:
    # The time part of an activity's id is New York time with milliseconds, unlike every other time of the venue.
    local = at.astimezone(NEW_YORK)
    return f"{local:%Y%m%d%H%M%S}{local.microsecond // 1000:03d}"
