"""The exchange's day: the pre-market opens, the session opens and closes, the evening ends; what each does to orders and account.

The moments of the coming trading day are planned when the one before is over, in the same heap as everything else that waits.
"""

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final

from alchemiser.exchange.activities import ActivityLog, other_activity
from alchemiser.exchange.agenda import Agenda
from alchemiser.exchange.blotter import Blotter
from alchemiser.exchange.charges import FeesOfDay, Interest
from alchemiser.exchange.floor import Floor
from alchemiser.exchange.issuers import Issuers
from alchemiser.exchange.orders import OrderStatus, VenueOrder
from alchemiser.exchange.settings import ExchangeSettings
from alchemiser.exchange.snapshot import DueKind, ExchangeState
from alchemiser.exchange.standing import Standing
from alchemiser.exchange.timeline import AFTER_HOURS, CLOSED, OVERNIGHT, PRE_MARKET, REGULAR, Timeline, TradingDay

_GTC_SWEEP_AFTER_CLOSE: Final = timedelta(minutes=15)


class DayShift:
    """Walks one exchange through its trading days."""

    def __init__(
        self,
        state: ExchangeState,
        *,
        agenda: Agenda,
        blotter: Blotter,
        standing: Standing,
        floor: Floor,
        issuers: Issuers,
        log: ActivityLog,
        timeline: Timeline,
        settings: ExchangeSettings,
    ) -> None:
        self._state = state
        self._agenda = agenda
        self._blotter = blotter
        self._orders = blotter.open.orders
        self._standing = standing
        self._floor = floor
        self._issuers = issuers
        self._log = log
        self._timeline = timeline
        self._settings = settings
        self.perform: Mapping[DueKind, Callable[[datetime], None]] = {
            "overnight_open": self._begin_night,
            "pre_market_open": self._begin_day,
            "open": self._open,
            "close": self._close,
            "gtc_sweep": self._sweep_gtc,
            "after_hours_close": self._end_evening,
        }
        """What begins or ends at each moment of a day."""

    def plan_day(self, after: datetime) -> TradingDay | None:
        """Plan the moments later than ``after`` of the trading day that is running or comes next, and return that day.

        Nothing is planned beyond the calendar's end.
        """
        day = self._timeline.day_ending_after(after)
        if day is None:
            return None
        moments: tuple[tuple[datetime, DueKind], ...] = (
            (day.overnight_opens_at or after, "overnight_open"),
            (day.pre_market_opens_at, "pre_market_open"),
            (day.opens_at, "open"),
            (day.closes_at, "close"),
            (day.after_hours_close_at, "after_hours_close"),
        )
        self._agenda.plan_later(moments, after)
        return day

    def _open(self, at: datetime) -> None:
        self._state.phase, self._state.phase_since = REGULAR, at
        self._release(at)

    def _begin_night(self, at: datetime) -> None:
        self._state.phase, self._state.phase_since = OVERNIGHT, at
        self._release(at)

    def _begin_day(self, at: datetime) -> None:
        self._state.phase, self._state.phase_since = PRE_MARKET, at
        today = self._timeline.date_of(at)
        self._post_charges(today, at)
        self._state.account.roll_day(today)
        self._state.history.thin(at)
        for book in self._state.books.values():
            if book.previous_close is not book.close or book.band is not None:
                book.begin_day()
        self._issuers.begin_day(today, at)
        self._state.account.keep_opening(today)
        if self._orders:
            self._cancel_shorts(at)
            self._release(at)

    def _release(self, at: datetime) -> None:
        """Send queued orders to the market that has just opened; those that rested since another day begin a new queue."""
        wakes_early = self._settings.queued_orders_start == "pre_market"
        for order in list(self._orders.values()):
            if order.queue_ahead is not None or order.collar_reference is not None:
                order.queue_ahead = order.collar_reference = None
                self._blotter.touch(order)
            is_due = self._floor.is_session_open_for(order) or (wakes_early and self._is_of_today(order, at))
            if order.status is OrderStatus.ACCEPTED and is_due:
                self._floor.route(order, at)
            elif order.is_open:
                self._floor.look(order, at)

    def _cancel_shorts(self, at: datetime) -> None:
        """Cancel open short sales of what has become hard to borrow over night (9.2)."""
        for order in list(self._orders.values()):
            if order.is_open and order.position_intent == "sell_to_open" and not self._standing.asset(order.symbol).easy_to_borrow:
                self._floor.cancel_now(order, at)

    def _close(self, at: datetime) -> None:
        if self._orders:
            self._end_session(at)
            self._agenda.plan(at + _GTC_SWEEP_AFTER_CLOSE, "gtc_sweep")  # What comes in later lives for longer.
        self._state.phase, self._state.phase_since = AFTER_HOURS, at
        for book in self._state.books.values():
            if not book.is_closed:
                book.close_session()
        today = self._timeline.date_of(at)
        equity, maintenance = self._standing.equity_and_maintenance()
        account = self._state.account
        account.close_equity, account.close_maintenance_margin = equity, maintenance
        account.margin.close_day(today, equity=equity, maintenance_margin=maintenance)
        self._state.history.closes.append((at, equity))
        if self._settings.margin_interest and (tomorrow := self._timeline.settlement_date(at)) is not None:
            account.interest.borrow(account.cash, on=today, until=tomorrow)

    def _end_session(self, at: datetime) -> None:
        for order in list(self._orders.values()):
            if order.time_in_force == "cls" and self._is_of_today(order, at):
                self._floor.auction(order, at)
        if self._settings.day_orders_end == "close":
            self._end_day_orders(at, extended_hours=False)

    def _end_evening(self, at: datetime) -> None:
        self._state.phase, self._state.phase_since = CLOSED, at
        if self._orders:
            if self._settings.day_orders_end == "evening":
                self._end_day_orders(at, extended_hours=False)
            self._end_day_orders(at, extended_hours=True)
        tomorrow = self.plan_day(at)
        if tomorrow is not None and tomorrow.phase(at) is OVERNIGHT:
            self._begin_night(at)

    def _end_day_orders(self, at: datetime, *, extended_hours: bool) -> None:
        """End what lives for one session only: day orders expire, remainders of the other times in force end in their own way."""
        for order in list(self._orders.values()):
            if order.time_in_force == "gtc" or order.extended_hours != extended_hours or not self._is_of_today(order, at):
                continue
            if not order.is_open:
                continue  # An order of its group has taken it along.
            if order.time_in_force == "day":
                expires = order.status is not OrderStatus.PENDING_CANCEL
                self._floor.end(order, OrderStatus.EXPIRED if expires else OrderStatus.CANCELED, at)
            else:
                self._floor.end_remainder(order, at)

    def _sweep_gtc(self, at: datetime) -> None:
        for order in list(self._orders.values()):
            is_over = order.time_in_force == "gtc" and order.expires_at is not None and order.expires_at <= at
            if is_over and order.is_open:
                self._floor.cancel_now(order, at)

    def _is_of_today(self, order: VenueOrder, at: datetime) -> bool:
        return order.good_for is not None and order.good_for <= self._timeline.date_of(at)

    def _post_charges(self, on: date, at: datetime) -> None:
        """Take from the cash the fees of the trading day before, each rounded up to the cent, and of a month that is over the interest."""
        account = self._state.account
        for name, amount in account.fees.rounded().items():
            self._charge("FEE", amount, on, at, f"{name} fee for proceeds of the previous trading day", sub_type=name)
        account.fees = FeesOfDay()
        if not account.interest.month or account.interest.month == f"{on:%Y-%m}":
            return
        amount = account.interest.due(self._settings.interest_rate)
        if amount:
            self._charge("INT", amount, on, at, f"margin interest for {account.interest.month}", sub_type="MGN")
        account.interest = Interest()

    def _charge(self, kind: str, amount: Decimal, on: date, at: datetime, text: str, *, sub_type: str) -> None:
        self._state.account.cash -= amount
        made = other_activity(
            kind, activity_uuid=self._blotter.new_uuid(), at=at, on=on, description=text, amount=-amount, sub_type=sub_type
        )
        self._log.add(made)
