"""A checked tree back to text: canonical, indented, and read again to the very same tree.

Display names, comments and the dialect of the original are not kept: the tree does not know them. Nothing recurses, so deep trees print;
a sub-tree that exists once but is used many times is written as often as it is used, as in the file it came from.
"""

from collections.abc import Iterator
from decimal import Decimal

from alchemiser.domain.rebalancing import Frequency, Header
from alchemiser.market.indicators import INDICATORS, Measure
from alchemiser.strategies.symphony.tree import (
    Asset,
    Filter,
    Group,
    If,
    Node,
    Operand,
    Reading,
    Symphony,
    WeightEqual,
    WeightInverseVolatility,
    WeightSpecified,
)
from alchemiser.strategies.symphony.words import DEVIATIONS

_Part = str | Node


def print_symphony(symphony: Symphony) -> str:
    """Return the text of a symphony."""
    lines = [f"(defsymphony {_text(symphony.name)} {_header(symphony.header)}"]
    waiting: list[tuple[int, _Part]] = [(1, symphony.root)]
    while waiting:
        level, part = waiting.pop()
        if isinstance(part, str):
            lines[-1] += part
        elif isinstance(part, Asset):
            lines.append(f'{" " * level}(asset "{part.symbol}")')
        else:
            head, *rest = _parts(part)
            lines.append(f"{' ' * level}{head}")
            waiting.extend((level + 1, inner) for inner in reversed(rest))
    return "\n".join([*lines, ""]).removesuffix("\n") + ")\n"


def _parts(node: Node) -> Iterator[_Part]:
    """Yield the text that begins a node, its children, and the text around them."""
    match node:
        case Group(name=name, child=child):
            yield f"(group {_text(name)} ["
            yield child
            yield "])"
        case WeightEqual(children=children):
            yield "(weight-equal ["
            yield from children
            yield "])"
        case WeightSpecified(shares=shares, children=children):
            yield "(weight-specified"
            for share, child in zip(shares, children, strict=True):
                yield f" {_number(share)}"
                yield child
            yield ")"
        case WeightInverseVolatility(window=window, children=children):
            yield f"(weight-inverse-volatility {window} ["
            yield from children
            yield "])"
        case If(condition=condition, then=then, otherwise=otherwise):
            yield f"(if ({condition.comparator} {_operand(condition.left)} {_operand(condition.right)}) ["
            yield then
            yield "] ["
            yield otherwise
            yield "])"
        case Filter(measure=measure, select=select, count=count, children=children):
            yield f"(filter {_measure(measure)} (select-{select} {count}) ["
            yield from children
            yield "])"
        case Asset():
            raise AssertionError("an asset has no parts")


def _header(header: Header) -> str:
    if header.threshold is not None:
        return f'{{:asset-class "EQUITIES" :rebalance-threshold {_number(header.threshold)}}}'
    if header.frequency is Frequency.NONE:
        return '{:asset-class "EQUITIES"}'
    return f'{{:asset-class "EQUITIES" :rebalance-frequency :{header.frequency}}}'


def _operand(side: Operand) -> str:
    return _measure(side.measure, side.symbol) if isinstance(side, Reading) else _number(side.value)


def _measure(measure: Measure, symbol: str | None = None) -> str:
    names = INDICATORS[measure.name].window_names
    given = [f":{name} {window}" for name, window in zip(names, measure.windows, strict=True)]
    if measure.deviations is not None:
        given.append(f":{DEVIATIONS} {_number(measure.deviations)}")
    words = [measure.name, *([f'"{symbol}"'] if symbol is not None else []), *([f"{{{' '.join(given)}}}"] if given else [])]
    return f"({' '.join(words)})"


def _number(value: float) -> str:
    """Return a plain decimal number that reads back as the same float."""
    return f"{Decimal(repr(value)):f}"


def _text(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")
    return f'"{escaped}"'
