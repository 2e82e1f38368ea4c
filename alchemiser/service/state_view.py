"""The answers to what can be asked of a daemon, made from its journaled state: the same for a running daemon and for a stopped one."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from alchemiser import __version__
from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import RebalanceCompleted, StrategyFailed, StreamConnected, TargetProposed
from alchemiser.domain.ids import split_client_order_id
from alchemiser.domain.money import ZERO, from_float
from alchemiser.domain.orders import Order
from alchemiser.domain.reconciliation import MEANINGS, Difference
from alchemiser.domain.shortfall import OrderShortfall, Slippage
from alchemiser.domain.trading import HALTED
from alchemiser.portfolio.returns import Return, Standing, of_account, of_strategy, return_of, standing_of
from alchemiser.service.day_view import day_document
from alchemiser.service.results import ResultHistory, ResultReader
from alchemiser.service.state import JournaledState
from alchemiser.service.view import Plain

EventReader = Callable[[int, int], Sequence[Envelope]]
"""Returns at most so many envelopes after a sequence number, oldest first; after -1 the last ones."""


class JournaledView:
    """Implements ``service.view.StateView``. ``now`` is the time that the answers are true for."""

    def __init__(
        self,
        state: JournaledState,
        *,
        epoch: str,
        read_events: EventReader,
        read_results: ResultReader,
        now: Callable[[], datetime],
    ) -> None:
        self._state = state
        self._results = ResultHistory(read_results)
        self._epoch = epoch
        self._read_events = read_events
        self._now = now

    def as_of(self) -> datetime:
        """Return the time that the answers are true for."""
        return self._now()

    def status(self) -> Plain:
        """Return mode, account, trading state, session, streams, open orders and the last rebalance."""
        overview, trading = self._state.overview, self._state.trading
        started, account, session = overview.started, overview.account, overview.session
        comparison = overview.comparison
        return {
            "version": __version__,
            "mode": started.mode if started else None,
            "account_number": started.account_number if started else None,
            "epoch": self._epoch,
            "started_at": started.at if started else None,
            "stopped_at": overview.stopped.at if overview.stopped else None,
            "stop": self._stop(),
            "trading": {
                "state": trading.state,
                "by": trading.by,
                "reason": trading.reason,
                "since": trading.since,
                "strategies": {name: msgspec.structs.asdict(one) for name, one in trading.scopes.strategies().items()},
            },
            "kill": self._kill_report(),
            "guards": [msgspec.structs.asdict(trip) for _, trip in sorted(self._state.guards.trips.items())],
            "session": {
                "date": session.date if session else None,
                "is_open": overview.session_is_open,
                "opens_at": session.opens_at if session else None,
                "closes_at": session.closes_at if session else None,
            },
            "streams": {name: isinstance(news, StreamConnected) for name, news in sorted(overview.streams.items())},
            "equity": account.account.equity if account else None,
            "cash": overview.cash(),
            "open_orders": len(self._state.orders.open_orders()),
            "rebalance": self._rebalance(),
            "ledger": {
                "compared_at": comparison.at if comparison else None,
                "differences": list(comparison.differences) if comparison else [],
            },
            "reconciliation": self.reconciliation(),
            "parked": {symbol: msgspec.structs.asdict(parking) for symbol, parking in sorted(self._state.parked.by_symbol.items())},
            "strategies": dict(started.strategies) if started else {},
            "handler_failures": overview.failures,
        }

    def _kill_report(self) -> Plain | None:
        """Return when the kill switch was last pulled and what came of it; nothing once trading was resumed."""
        killed, report = self._state.trading.killed, self._state.trading.kill
        if killed is None or self._state.trading.state != HALTED:
            return None
        asked = {"by": killed.by, "reason": killed.reason, "at": killed.pulled_at, "flattens": killed.flattens}
        done = {} if report is None else {"ended": report.ended, "sold": report.sold, "could_not": list(report.could_not)}
        return asked | {"is_over": report is not None} | done

    def reconciliation(self) -> Plain:
        """Return what the last comparison with the venue found: each difference with its code, both sides, and what is done about it."""
        done, failed = self._state.overview.reconciled, self._state.overview.reconciliation_failed
        return {
            "at": done.at if done else None,
            "reason": done.reason if done else None,
            "attempts": done.attempts if done else 0,
            "differences": [difference_row(difference) for difference in done.differences] if done else [],
            "failed": None if failed is None else {"at": failed.at, "code": failed.code, "error": failed.error},
        }

    def positions(self) -> Sequence[Plain]:
        """Return what is held: per symbol the account's quantity, price and value, and each strategy's part.

        ``broker_quantity`` is what the broker said when it was asked last, and what its executions have changed since.
        """
        at_broker = self._state.overview.at_broker()
        books = self._state.ledger.books
        owned = self._state.ledger.holdings()
        rows = []
        for symbol in sorted({*at_broker, *owned}):
            quantity = owned.get(symbol, ZERO)
            price = self._mark(symbol)
            rows.append(
                {
                    "symbol": symbol,
                    "quantity": quantity,
                    "price": price,
                    "value": None if price is None else quantity * price,
                    "broker_quantity": at_broker.get(symbol, ZERO),
                    "strategies": {name: held for name in sorted(books) if (held := books[name].quantity(symbol))},
                }
            )
        return rows

    def orders(self) -> Sequence[Plain]:
        """Return the orders of the current or last session, oldest first."""
        orders = list(self._state.orders)
        last = _session_of(orders[-1]) if orders else None
        costs = {row.client_order_id: row for shortfall in self._state.overview.shortfalls.values() for row in shortfall.orders}
        return [
            {**order_row(order), **_order_cost(costs.get(order.client_order_id))}
            for order in orders
            if not order.is_terminal or _session_of(order) == last
        ]

    def pnl(self) -> Plain:
        """Return equity, cash and profit, for the account and per strategy."""
        observed, books = self._state.overview.account, self._state.ledger.books
        marks = {symbol: price for symbol in self._state.ledger.holdings() if (price := self._mark(symbol)) is not None}
        standings = self._standings(marks)
        strategies = {}
        for name in sorted(books):
            unrealised = books[name].unrealised(marks)
            strategies[name] = {
                "realised": books[name].realised,
                "unrealised": unrealised,
                "income": books[name].income,
                "total": books[name].realised + unrealised + books[name].income,
                "holdings": books[name].holdings(),
                "returns": _returns(return_of(of_strategy(name, standings))),
            }
        result = self._state.overview.result
        return {
            "equity": observed.account.equity if observed else None,
            "cash": self._state.overview.cash(),
            "ledger_cash": self._state.ledger.cash,
            "realised": sum((book.realised for book in books.values()), ZERO),
            "unrealised": sum((book.unrealised(marks) for book in books.values()), ZERO),
            "income": sum((book.income for book in books.values()), ZERO),
            "account_income": self._state.ledger.account_cash,
            "transferred": self._state.ledger.transferred,
            "returns": _returns(return_of(of_account(standings))),
            "strategies": strategies,
            "last_session": None if result is None else msgspec.structs.asdict(result),
            "shortfall": self._shortfall(),
            "live_against_backtest": day_document(day) if (day := self._state.overview.day) else None,
        }

    def _standings(self, marks: Mapping[str, Decimal]) -> list[Standing]:
        """Return the account when it was first seen, at the end of every session, and as it was last seen."""
        ledger, overview = self._state.ledger, self._state.overview
        shares = {name: from_float(share, decimals=12) for name, share in (overview.started.strategies if overview.started else {}).items()}
        found: list[Standing] = []
        if ledger.opened is not None:
            at, equity = ledger.opened
            found.append(Standing(at=at, equity=equity, capital={name: equity * share for name, share in shares.items()}))
        found += [standing_of(result) for result in self._results.events()]
        observed = overview.account
        if observed is not None and found and observed.at > found[-1].at:
            equity, books = observed.account.equity, ledger.books
            profit = {name: book.realised + book.unrealised(marks) + book.income for name, book in books.items()}
            found.append(Standing(at=observed.at, equity=equity, transferred=ledger.paid_in, profit=profit))
        return found

    def _shortfall(self) -> Plain | None:
        """Return what the last rebalance cost; against the close once that is known."""
        shortfalls = self._state.overview.shortfalls
        if not shortfalls:
            return None
        key, last = next(reversed(shortfalls.items()))
        return {
            "rebalance": key,
            "total": _slippage(last.total),
            "steps": {name: _slippage(slippage) for name, slippage in last.steps.items()},
            "strategies": {name: _slippage(slippage) for name, slippage in last.strategies.items()},
            "unfilled": [msgspec.structs.asdict(one) | {"side": one.side.value} for one in last.unfilled],
            "unfilled_cost": last.unfilled_cost,
        }

    def events(self, after: int, limit: int) -> Sequence[Plain]:
        """Return at most ``limit`` journaled events with a sequence number above ``after``, oldest first; after -1, the last ones."""
        return [event_row(envelope) for envelope in self._read_events(after, limit)]

    def history(self) -> Sequence[Plain]:
        """Return the results of the sessions, oldest first: equity, cash, drawdown from the peak, profit by strategy."""
        return self._results.rows()

    def strategies(self) -> Sequence[Plain]:
        """Return per strategy its share, its state and its last target with the explanation."""
        overview = self._state.overview
        rows = []
        for name, allocation in (overview.started.strategies if overview.started else {}).items():
            answer = overview.answers.get(name)
            proposed = answer if isinstance(answer, TargetProposed) else None
            failed = answer if isinstance(answer, StrategyFailed) else None
            rows.append(
                {
                    "name": name,
                    "allocation": allocation,
                    "status": "none" if answer is None else "ok" if proposed else "failed",
                    "decided_at": answer.at if answer else None,
                    "weights": proposed.weights if proposed else None,
                    "explanation": list(proposed.explanation) if proposed else [],
                    "tree": proposed.tree if proposed else None,
                    "is_fragile": proposed.is_fragile if proposed else False,
                    "reason": failed.reason if failed else None,
                }
            )
        return rows

    def _rebalance(self) -> Mapping[str, Any] | None:
        unfinished, last = self._state.rebalances.unfinished, self._state.rebalances.last
        if unfinished is not None:
            return {"id": unfinished.rebalance_id, "state": "working", "intents": len(unfinished.intents)}
        if last is None:
            return None
        if isinstance(last, RebalanceCompleted):
            return {"id": last.rebalance_id, "state": "completed", "intents": len(last.outcomes), "at": last.at}
        return {"id": last.rebalance_id, "state": "parked", "intents": len(last.outcomes), "at": last.at, "reason": last.reason}

    def _stop(self) -> Mapping[str, Any] | None:
        """Return how the last run stopped, while no other has begun."""
        stopped = self._state.overview.stopped
        if stopped is None:
            return None
        stages = [
            msgspec.structs.asdict(stage) | {"seconds": round(stage.seconds, 3), "limit_seconds": round(stage.limit_seconds, 3)}
            for stage in stopped.stages
        ]
        return {"stages": stages, "open_orders": list(stopped.open_orders), "unconfirmed": list(stopped.unconfirmed)}

    def _mark(self, symbol: str) -> Decimal | None:
        """Return the price at which a position is valued: the broker's, as last seen."""
        observed = self._state.overview.account
        for position in observed.positions if observed else ():
            if position.symbol == symbol:
                return position.current_price
        return None


def latest_events(read: Callable[..., Iterable[Envelope]], last_sequence: Callable[[], int]) -> EventReader:
    """Return an event reader over a journal's ``read(after, limit=...)``."""

    def reader(after: int, limit: int) -> Sequence[Envelope]:
        if after >= 0:
            return list(read(after, limit=limit))
        # Sequence numbers have holes where events are not journaled, so the window is widened until it holds enough.
        width = limit * 4
        while True:
            found = list(read(max(last_sequence() - width, 0)))
            if len(found) >= limit or width >= last_sequence():
                return found[-limit:]
            width *= 4

    return reader


def event_row(envelope: Envelope) -> Plain:
    """Return an event as plain data: its place, its type, and its own fields; ``event_`` goes before a name that the place has taken."""
    body = msgspec.to_builtins(envelope.event, builtin_types=(datetime, Decimal))
    kind, at = body.pop("type"), body.pop("at")
    row = {"sequence": envelope.sequence, "at": at, "type": kind, "correlation": envelope.correlation, "causation": envelope.causation}
    return row | {f"event_{name}" if name in row else name: value for name, value in body.items()}


def difference_row(difference: Difference) -> Plain:
    """Return one difference as plain data, with what is done about it and what it means."""
    return msgspec.structs.asdict(difference) | {
        "code": difference.code.value,
        "remedy": difference.remedy.value,
        "meaning": MEANINGS[difference.code].text,
    }


def _session_of(order: Order) -> str | None:
    parts = split_client_order_id(order.client_order_id)
    return None if parts is None else parts[1].split(".")[0]


def order_row(order: Order) -> Plain:
    """Return an order as plain data."""
    request = order.request
    return {
        "client_order_id": order.client_order_id,
        "venue_order_id": order.venue_order_id,
        "symbol": request.symbol,
        "side": request.side.value,
        "type": request.order_type.value,
        "quantity": request.quantity,
        "limit_price": request.limit_price,
        "state": order.state.value,
        "cumulative_quantity": order.cumulative_quantity,
        "leaves_quantity": order.leaves_quantity,
        "average_price": order.average_price,
        "broken_executions": len(order.execution_ids) - len(order.executions),
        "intended_at": order.intended_at,
        "reason": order.reason,
        "tactic": order.tactic or None,
        "step": order.step or None,
        "sent_mid": order.sent_mid,
    }


def _order_cost(cost: OrderShortfall | None) -> Plain:
    """Return what an order cost, once its rebalance has ended; the columns are there before, without a value."""
    slippage = cost.slippage if cost else None
    return {
        "arrival_price": cost.arrival_price if cost else None,
        "close": cost.close if cost else None,
        "arrival_bps": slippage.arrival_bps if slippage else None,
        "mid_bps": slippage.mid_bps if slippage else None,
        "close_bps": slippage.close_bps if slippage else None,
    }


def _returns(found: Return | None) -> Plain | None:
    return None if found is None else msgspec.structs.asdict(found)


def _slippage(slippage: Slippage | None) -> Plain | None:
    return None if slippage is None else msgspec.structs.asdict(slippage)
