"""The exchange's day: the pre-market opens, the session opens and closes, the evening ends; what each does to orders and account.

The moments of the coming trading day are planned when the one before is over, in the same heap as everything else that waits.
"""

from datetime import datetime, timedelta
from typing import Final

from alchemiser.exchange.account import FeesOfDay
from alchemiser.exchange.blotter import Blotter
from alchemiser.exchange.floor import Floor
from alchemiser.exchange.orders import OrderStatus, VenueOrder
from alchemiser.exchange.snapshot import Due, DueKind, ExchangeState
from alchemiser.exchange.standing import Standing
from alchemiser.exchange.statements import fee_activity
from alchemiser.exchange.timeline import NEW_YORK, Phase, Timeline

_GTC_SWEEP_AFTER_CLOSE: Final = timedelta(minutes=15)


class DayShift:
    """Walks one exchange through its trading days."""

    def __init__(self, state: ExchangeState, *, blotter: Blotter, standing: Standing, floor: Floor, timeline: Timeline) -> None:
        self._state = state
        self._blotter = blotter
        self._standing = standing
        self._floor = floor
        self._timeline = timeline

    def plan_day(self, after: datetime) -> None:
        """Plan the moments later than ``after`` of the trading day that is running or comes next; nothing beyond the calendar's end."""
        day = self._timeline.day_ending_after(after)
        if day is None:
            return
        moments: tuple[tuple[datetime, DueKind], ...] = (
            (day.pre_market_opens_at, "pre_market_open"),
            (day.opens_at, "open"),
            (day.closes_at, "close"),
            (day.closes_at + _GTC_SWEEP_AFTER_CLOSE, "gtc_sweep"),
            (day.after_hours_close_at, "after_hours_close"),
        )
        for at, kind in moments:
            if at > after:
                self._floor.plan(at, kind)

    def perform(self, due: Due) -> None:
        """Do what begins or ends at that moment."""
        match due.kind:
            case "pre_market_open":
                self._begin_day(due.at)
            case "open":
                self._enter_phase(Phase.REGULAR, due.at)
                self._release(due.at)
            case "close":
                self._close(due.at)
            case "gtc_sweep":
                self._sweep_gtc(due.at)
            case "after_hours_close":
                self._enter_phase(Phase.CLOSED, due.at)
                self._end_day_orders(due.at, extended_hours=True)
                self.plan_day(due.at)
            case _:
                raise AssertionError(f"{due.kind} is not a moment of the day")

    def _enter_phase(self, phase: Phase, at: datetime) -> None:
        self._state.phase, self._state.phase_since = phase, at

    def _begin_day(self, at: datetime) -> None:
        self._enter_phase(Phase.PRE_MARKET, at)
        self._post_fees(at)
        self._state.account.roll_day()
        for book in self._state.books.values():
            book.previous_close = book.close if book.close is not None else book.previous_close
        self._release(at)

    def _release(self, at: datetime) -> None:
        """Send queued orders to the market that has just opened; those that rested since another day begin a new queue."""
        for order in self._blotter.open_orders():
            order.queue_ahead = order.collar_reference = None
            if order.status is OrderStatus.ACCEPTED and self._floor.is_session_open_for(order):
                self._floor.route(order, at)

    def _close(self, at: datetime) -> None:
        for order in self._blotter.open_orders():
            if order.time_in_force == "cls" and self._is_of_today(order, at):
                self._floor.auction(order, at)
        self._end_day_orders(at, extended_hours=False)
        self._enter_phase(Phase.AFTER_HOURS, at)
        for book in self._state.books.values():
            mark = book.mark
            book.close = book.close if mark is None else float(mark)
        value = self._standing.valuation()
        account = self._state.account
        account.close_equity, account.close_maintenance_margin = value.equity, value.maintenance_margin
        self._state.history.append((at, value.equity))

    def _end_day_orders(self, at: datetime, *, extended_hours: bool) -> None:
        """End what lives for one session only: day orders expire, remainders of the other times in force are cancelled."""
        for order in self._blotter.open_orders():
            if order.time_in_force == "gtc" or order.extended_hours != extended_hours or not self._is_of_today(order, at):
                continue
            expires = order.time_in_force == "day" and order.status is not OrderStatus.PENDING_CANCEL
            self._blotter.transition(order, OrderStatus.EXPIRED if expires else OrderStatus.CANCELED, at)

    def _sweep_gtc(self, at: datetime) -> None:
        for order in self._blotter.open_orders():
            if order.time_in_force == "gtc" and order.expires_at is not None and order.expires_at <= at:
                self._floor.cancel_now(order, at)

    def _is_of_today(self, order: VenueOrder, at: datetime) -> bool:
        return order.good_for is not None and order.good_for <= at.astimezone(NEW_YORK).date()

    def _post_fees(self, at: datetime) -> None:
        """Take the fees of the trading day before from the cash, each rounded up to the cent."""
        account = self._state.account
        for name, amount in account.fees.rounded().items():
            account.cash -= amount
            on = at.astimezone(NEW_YORK).date()
            self._state.activities.append(fee_activity(name, amount, activity_uuid=self._blotter.new_uuid(), on=on, at=at))
        account.fees = FeesOfDay()
