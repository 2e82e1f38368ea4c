"""Events as single lines for people: what happened to what, with the numbers that matter first."""

from datetime import datetime, tzinfo
from decimal import Decimal
from typing import Any

import msgspec

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import ActivityBooked, DayCompared, Event, ExecutionReported, FillBooked, OrderFilled, OrderIntended
from alchemiser.domain.money import number_string

WIDEST = 240
"""Characters of a line's story; what is longer is cut, the export has all of it."""


def line_of(envelope: Envelope, zone: tzinfo | None) -> str:
    """Return ``sequence time type story <- cause``, the time in ``zone``; without one it is the machine's."""
    event = envelope.event
    at = event.at.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    story = story_of(event)
    if len(story) > WIDEST:
        story = f"{story[:WIDEST]}…"
    led_here = "" if envelope.causation is None else f"  <- {envelope.causation}"
    return f"{envelope.sequence:>8}  {at}  {type(event).__name__:<20}  {story}{led_here}"


def story_of(event: Event) -> str:
    """Return what the event says, without its time."""
    match event:
        case OrderIntended(order=order, intent_id=intent, attempt=attempt):
            limit = "" if order.limit_price is None else f" at {number_string(order.limit_price)}"
            what = f"{order.side} {number_string(order.quantity)} {order.symbol} {order.order_type}{limit} {order.time_in_force}"
            if event.is_presumed:
                what = f"perhaps {order.side} at most {number_string(order.quantity)} {order.symbol}"
            return f"{what}  {order.client_order_id} (intent {intent}, attempt {attempt})"
        case ExecutionReported(report=report):
            done = f"{number_string(report.cumulative_quantity)} filled"
            return f"{report.event} -> {report.status}  {report.side} {report.symbol}, {done}  {report.client_order_id} by {report.source}"
        case OrderFilled(fill=fill):
            what = f"{fill.side} {number_string(fill.quantity)} {fill.symbol} at {number_string(fill.price)}"
            return f"{what}  {fill.client_order_id} (execution {fill.execution_id})"
        case FillBooked(symbol=symbol, entries=entries):
            parts = ", ".join(f"{entry.strategy} {number_string(entry.quantity)}" for entry in entries)
            return f"{symbol}: {parts}"
        case ActivityBooked(activity=row, treatment=treatment, entries=entries):
            about = "" if row.symbol is None else f" {row.symbol}"
            parts = "".join(f", {entry.strategy} {number_string(entry.quantity)} and {number_string(entry.cash)}" for entry in entries)
            return f"{row.kind}{about} {number_string(row.amount)} as {treatment}{parts}"
        case DayCompared(session=session, strategies=strategies):
            numbers = [
                (one.strategy, "not compared" if one.compared is None else f"{one.compared.difference_bps:+f}") for one in strategies
            ]
            return f"{session} off the backtest in bps: {', '.join(f'{name} {off}' for name, off in numbers)}"
        case _:
            fields = (name for name in event.__struct_fields__ if name != "at")
            return "  ".join(f"{name}={text_of(getattr(event, name))}" for name in fields)


def text_of(value: Any) -> str:
    """Return a field of an event, or of its plain document, as a person reads it."""
    match value:
        case str():
            return value if value and " " not in value else f'"{value}"'
        case Decimal():
            return number_string(value)
        case datetime():
            return value.isoformat()
        case msgspec.Struct():
            return "(" + " ".join(f"{name}={text_of(getattr(value, name))}" for name in value.__struct_fields__) + ")"
        case tuple() | list():
            return "[" + ", ".join(map(text_of, value)) + "]"
        case dict():
            return "{" + ", ".join(f"{key} {text_of(item)}" for key, item in value.items()) + "}"
        case None:
            return "-"
        case _:
            return str(value)
