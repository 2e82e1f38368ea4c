"""What a rebalance in progress knows: its plan, its intents at work, the cash, and what belongs to all of them. Pure.

``pacing`` changes it by what happens, ``live_orders`` and ``release`` decide with it what is done next. It decides nothing itself.
"""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal

from alchemiser.domain.events import OrderIntended, RebalancePlanned
from alchemiser.domain.ids import client_order_id
from alchemiser.domain.market import Quote, Session
from alchemiser.domain.money import ZERO, truncate_shares
from alchemiser.domain.orders import BUY, SELL, Fill, NewOrder, Order
from alchemiser.execution.decisions import Send, Situation, Standing
from alchemiser.execution.ladder import LadderRules, duration
from alchemiser.execution.tactics import AUCTIONS, Tactics
from alchemiser.execution.work import ENDED, Work

CANCEL_REPEAT_SECONDS = 5.0
"""How long a confirmation of a cancel or a replacement is awaited before the order is asked about and the cancel repeated."""

DEADLINE = "the deadline of the intent has passed"

Quotes = Callable[[str, datetime], Quote | str]
"""The usable quote of a symbol at a time, or the reason why there is none."""


def _unknown(client_order_id: str) -> Order | None:
    return None


class RunState:
    """One rebalance in progress.

    ``works`` are its intents by their ids, in the order of the plan, ``under_way`` those of them that have not ended. ``orders_before`` is
    how many orders the session has had already; ``why_parked`` says why nothing of a symbol is sent; ``order_of`` gives what is known of
    an order, ``None`` for nothing. An order stands at least for ``repeg_time`` before it follows the market. ``corrected`` are executions
    by the id of the one that stands in the place of each and has not been counted yet. ``sent`` are the intents of all orders so far, by
    client order id, ``refused`` the ids of intents of which the venue has refused a buy since the account was looked at.
    """

    def __init__(
        self,
        plan: RebalancePlanned,
        epoch: str,
        rules: LadderRules,
        quotes: Quotes,
        started_at: datetime,
        cut_off: datetime,
        session: Session,
        tactics: Tactics,
        orders_before: int = 0,
        why_parked: Callable[[str], str | None] = lambda symbol: None,
        order_of: Callable[[str], Order | None] = _unknown,
    ) -> None:
        """Prepare the intents in the order of the plan: sells first, then buys by drift."""
        self.plan = plan
        self.epoch = epoch
        self.rules = rules
        self.quotes = quotes
        self.cut_off = cut_off
        self.session = session
        self.tactics = tactics
        self.why_parked = why_parked
        self.order_of = order_of
        self.cash = plan.cash
        self.orders_left = rules.max_orders_per_session - orders_before
        self.repeg_time = duration(rules.minimum_repeg_seconds)
        self.works: dict[str, Work] = {}
        self.buys: list[Work] = []
        self.corrected: dict[str, Fill] = {}
        self.sent: dict[str, Work] = {}
        self.refused: set[str] = set()
        self.stop_reason: str | None = None
        self.close_reason: str | None = None
        begins, behind_sells = started_at, started_at + duration(rules.order_deadline_seconds)
        at_the_close: list[Work] = []
        for intent in plan.intents:
            tactic, is_buy = tactics.of(intent), intent.side is BUY
            if not is_buy:
                # Waiting for the cash of the sells is not working: behind them a buy has its full time after theirs.
                begins = behind_sells
            work = Work(intent, tactic, tactic.deadline(plan.at, begins if is_buy else started_at, cut_off, session))
            self.works[intent.intent_id] = work
            self.judge(work, intent.quantity)
            if is_buy:
                self.buys.append(work)
            elif tactic.name in AUCTIONS:
                at_the_close.append(work)
        self.under_way = dict(self.works)
        if at_the_close and sum([work.intent.quantity * work.intent.reference_price for work in self.buys], ZERO) > self.cash:
            for work in at_the_close:
                # An auction pays at the close, when no buy can be sent any more.
                self.fall(work, "the buys need its cash before the close", started_at)

    def next_order(self, work: Work, wanted: Send, quote: Quote | str, now: datetime, replaces: str | None = None) -> OrderIntended:
        """Give an order its id, which uses up one attempt and one order of the session; it may take the place of another."""
        intent, attempt = work.intent, work.attempt + 1
        intended = OrderIntended(
            at=now,
            rebalance_id=self.plan.rebalance_id,
            intent_id=intent.intent_id,
            attempt=attempt,
            order=NewOrder(
                client_order_id=self.next_id(work),
                symbol=intent.symbol,
                side=intent.side,
                quantity=wanted.quantity,
                order_type=wanted.order_type,
                time_in_force=wanted.time_in_force,
                limit_price=wanted.limit_price,
            ),
            tactic=work.tactic.name,
            step=wanted.step,
            rung=wanted.rung,
            quote=quote if isinstance(quote, Quote) else None,
            replaces=replaces,
        )
        work.attempt, work.prepared = attempt, None
        self.orders_left -= 1
        return intended

    def next_id(self, work: Work) -> str:
        """Return the client order id of the next attempt of an intent."""
        return client_order_id(self.epoch, self.plan.rebalance_id, work.intent.intent_id, work.attempt + 1)

    def count(self, work: Work, quantity: Decimal, value: Decimal) -> None:
        """Count so many shares of an intent as filled for so many dollars; negative numbers take back."""
        intent = work.intent
        work.filled_quantity = filled = work.filled_quantity + quantity
        work.filled_value += value
        if intent.side is SELL:
            self.cash += value
        else:
            self.cash -= value
        self.judge(work, intent.quantity - filled)

    def judge(self, work: Work, leaves: Decimal) -> None:
        """Reckon what of an intent is left to be sent. Here and not where it is asked for, because most of a plan only waits."""
        if leaves > ZERO:
            intent = work.intent
            work.sendable = sendable = truncate_shares(leaves, not intent.is_fractionable)
            work.is_too_small = not sendable or sendable * intent.reference_price < self.rules.smallest_order
        else:
            work.sendable, work.is_too_small = ZERO, True

    def fall(self, work: Work, reason: str, now: datetime) -> None:
        """Let the alternative take over an intent whose tactic cannot be used; it begins with its first rung."""
        work.fell_because = work.fell_because or f"{work.tactic.name}: {reason}"
        tactic = self.tactics.alternative
        if tactic is None:
            self.end(work, f"{work.tactic.name}: {reason}")
            return
        work.tactic, work.rung, work.rung_since = tactic, 0, None
        work.deadline = tactic.deadline(self.plan.at, now, self.cut_off, self.session)

    def end(self, work: Work, reason: str | None) -> None:
        """End an intent; without a reason it is filled."""
        work.stage, work.reason = ENDED, reason
        self.under_way.pop(work.intent.intent_id, None)

    def free_cash(self) -> Decimal:
        """Return the dollars that no live buy may still take."""
        return self.cash - self.reserved_cash()

    def reserved_cash(self) -> Decimal:
        """Return the dollars that the live buys may still take."""
        total = ZERO
        for work in self.buys:
            if work.live or work.again is not None:
                total += work.reserved
        return total

    def quote_of(self, work: Work, now: datetime) -> Quote | str:
        """Return the usable quote of an intent's symbol, or why there is none."""
        return self.quotes(work.intent.symbol, now)

    def situation(self, work: Work, now: datetime, quote: Quote | str, live: Standing | None = None) -> Situation:
        """Return what a tactic is shown of an intent, and of its live order where it is asked about that."""
        return Situation(
            intent=work.intent,
            leaves=work.sendable,
            filled=work.filled_quantity,
            rung=work.rung,
            quote=quote,
            now=now,
            begun=self.plan.at,
            deadline=work.deadline,
            cut_off=self.cut_off,
            session=self.session,
            live=live,
        )
