"""``pnl``, ``positions``, ``orders`` and ``events`` as a person reads them: what matters at a glance, per strategy, with small curves.

Made of the same documents that ``--json`` prints; nothing here is reckoned but sums and differences of what they say.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from alchemiser.cli.chart import bar, sparkline
from alchemiser.cli.tables import table
from alchemiser.domain.money import ZERO
from alchemiser.journal.lines import WIDEST, text_of

Document = Mapping[str, Any]

FINISHED: Final = frozenset({"filled", "cancelled", "expired", "rejected", "replaced", "never_sent"})

PLACE: Final = frozenset({"sequence", "at", "type", "correlation", "causation"})
"""What a row of the events says about the event's place; the rest of the row is the event's own."""


def pnl_text(pnl: Document, history: Sequence[Document], *, is_plain: bool = False) -> str:
    """Return the money of the account in two lines, and a line per strategy with the curve of its profit over the sessions."""
    if pnl["equity"] is None:
        return "Nothing is known of the account yet.\n"
    equity = Decimal(pnl["equity"])
    parts = [f"equity {_money(equity)}", f"cash {_money(pnl['cash'])}", f"profit {_signed(_total(pnl))}"]
    if history:
        last = Decimal(history[-1]["equity"])
        peak = max([equity, *(Decimal(row["equity"]) for row in history)])
        parts.append(f"since the close of {history[-1]['session']} {_signed(equity - last)}")
        parts.append(f"{(peak - equity) / peak if peak else ZERO:.2%} below the best")
    parts.append(f"return {_percent(pnl.get('returns'))}")
    lines = ["   ".join(parts)]
    flows = {
        "dividends and fees": pnl.get("income"),
        "outside of strategies": pnl.get("account_income"),
        "moved in": pnl.get("transferred"),
    }
    told = [f"{name} {_signed(amount)}" for name, amount in flows.items() if amount is not None and Decimal(amount)]
    lines += ["   ".join(told)] if told else []
    if history:
        curve = sparkline([float(row["equity"]) for row in history], width=60, is_plain=is_plain)
        lines.append(f"{curve}  {history[0]['session']} to {history[-1]['session']}")
    rows = [_strategy(name, one, history, is_plain=is_plain) for name, one in pnl["strategies"].items()]
    lines += ["", table(rows).rstrip("\n")] if rows else []
    costs = _costs(pnl.get("shortfall"))
    off = _off_backtest(pnl.get("live_against_backtest"))
    return "\n".join([*lines, *(["", *costs] if costs else []), *(["", off] if off else [])]) + "\n"


def positions_text(positions: Sequence[Document], *, is_plain: bool = False) -> str:
    """Return what is held, the largest first, with its share of all that is held, and whose it is."""
    if not positions:
        return "Nothing is held.\n"
    values = [ZERO if row["value"] is None else Decimal(row["value"]) for row in positions]
    total = sum(values, ZERO)
    rows = [
        {
            "symbol": row["symbol"],
            "quantity": row["quantity"],
            "price": _money(row["price"]),
            "value": _money(row["value"]),
            "share": f"{value / total:.1%}" if total else "-",
            "": bar(float(value / total) if total else 0.0, is_plain=is_plain),
            "of": ", ".join(f"{name} {quantity}" for name, quantity in row["strategies"].items()) or "nobody here",
            "at the broker": "the same" if row["broker_quantity"] == row["quantity"] else row["broker_quantity"],
        }
        for value, row in sorted(zip(values, positions, strict=True), key=lambda pair: (-pair[0], pair[1]["symbol"]))
    ]
    return f"{len(rows)} symbols for {_money(total)}\n\n{table(rows)}"


def orders_text(orders: Sequence[Document], *, is_plain: bool = False) -> str:
    """Return the orders of the session, oldest first: how far each is filled, at what price, and what it cost against the arrival price."""
    if not orders:
        return "No orders in this session.\n"
    rows = [
        {
            "at": str(row["intended_at"])[11:19],
            "side": row["side"],
            "symbol": row["symbol"],
            "filled": f"{row['cumulative_quantity']} of {row['quantity']}",
            "": bar(float(Decimal(row["cumulative_quantity"]) / Decimal(row["quantity"])), width=8, is_plain=is_plain),
            "price": _money(row["average_price"] or row["limit_price"]),
            "state": row["state"],
            "bps": "-" if row.get("arrival_bps") is None else f"{row['arrival_bps']:+z.1f}",
            "why": row["step"] or row["type"],
            "order": row["client_order_id"],
            "note": row["reason"] or "",
        }
        for row in orders
    ]
    at_work = sum(row["state"] not in FINISHED for row in orders)
    return f"{len(rows)} orders, {at_work} at work\n\n{table(rows)}"


def events_text(events: Sequence[Document]) -> str:
    """Return a line for each event, oldest first: its number, when it happened, what it says, and the event that led to it.

    What an event says is cut where it is long, as in ``journal show``; the export and ``--json`` have all of it.
    """
    if not events:
        return "No events.\n"
    return "".join(map(_event_line, events))


def _event_line(row: Document) -> str:
    story = "  ".join(f"{name}={text_of(value)}" for name, value in row.items() if name not in PLACE)
    story = f"{story[:WIDEST]}…" if len(story) > WIDEST else story
    led_here = "" if row.get("causation") is None else f"  <- {row['causation']}"
    return f"{row['sequence']:>8}  {row['at']}  {row['type']:<20}  {story}{led_here}".rstrip() + "\n"


def _strategy(name: str, one: Document, history: Sequence[Document], *, is_plain: bool) -> dict[str, Any]:
    curve = [float(row["profit"][name]) for row in history if name in row["profit"]]
    closed = Decimal(str(curve[-1])) if curve else None
    total = Decimal(one["total"])
    return {
        "strategy": name,
        "profit": _signed(total),
        "since close": "-" if closed is None else _signed(total - closed),
        "realised": _signed(one["realised"]),
        "open": _signed(one["unrealised"]),
        "return": _percent(one.get("returns")),
        "curve": sparkline(curve, is_plain=is_plain) or "-",
        "holds": ", ".join(f"{symbol} {quantity}" for symbol, quantity in one["holdings"].items()) or "nothing",
    }


def _total(pnl: Document) -> Decimal:
    return sum((Decimal(one["total"]) for one in pnl["strategies"].values()), ZERO)


def _costs(shortfall: Document | None) -> list[str]:
    """Return what the last rebalance cost against its arrival prices: in all, by step of the tactic, by strategy."""
    if shortfall is None or shortfall["total"] is None:
        return []
    parts = {"in all": shortfall["total"], **shortfall.get("steps", {}), **shortfall.get("strategies", {})}
    rows = [
        {
            f"rebalance {shortfall['rebalance']}": name,
            "bps": f"{one['arrival_bps']:+z.1f}",
            "gained": _signed(-Decimal(one["arrival_cost"])),
            "traded": _money(one["value"]),
        }
        for name, one in parts.items()
        if one is not None
    ]
    return [table(rows).rstrip("\n")]


def _off_backtest(day: Document | None) -> str:
    """Return in one line how far the last session was from its backtest; ``compare-day`` has the parts."""
    if day is None:
        return ""
    each = [
        f"{name} {'not compared' if one['reason'] is not None else format(Decimal(one['difference_bps']), '+z.1f')}"
        for name, one in day["strategies"].items()
    ]
    return f"off the backtest on {day['session']}, in basis points: {', '.join(each)}"


def _money(amount: Any) -> str:
    return "-" if amount is None else f"{Decimal(amount):,.2f}"


def _signed(amount: Any) -> str:
    return f"{Decimal(amount):+z,.2f}"


def _percent(returns: Document | None) -> str:
    value = None if returns is None else returns.get("time_weighted")
    if value is None or returns is None:
        return "-"
    weighted = returns.get("money_weighted")
    return f"{value:+z.2%}" + ("" if weighted is None else f" ({weighted:+z.2%} by money)")
