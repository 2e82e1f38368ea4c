"""The words of the symphony language below the level of nodes: numbers, windows, symbols and indicators, in both dialects."""

import re
from collections.abc import Iterable
from decimal import Decimal
from difflib import get_close_matches

from msgspec import Struct

from alchemiser.domain.errors import SymphonyError
from alchemiser.market.indicators import DEFAULT_DEVIATIONS, INDICATORS, Measure
from alchemiser.strategies.symphony.reader import Form, Item, Source, Text, Word
from alchemiser.strategies.symphony.tree import CheckWarning, Comparator

MAX_WINDOW = 10_000
"""Forty years of sessions: a longer window is a slip of the keyboard."""
DEFAULT_VOLATILITY_WINDOW = 20

COMPARATORS: dict[str, Comparator] = {">": ">", "<": "<", ">=": ">=", "<=": "<=", "=": "="}
_LONG_NAMES = {
    "relative-strength-index": "rsi",
    "standard-deviation-return": "stdev-return",
    "standard-deviation-price": "stdev-price",
    "moving-average-convergence-divergence": "macd",
    "moving-average-convergence-divergence-signal": "macd-signal",
    "bollinger-band-upper": "upper-bollinger",
    "bollinger-band-lower": "lower-bollinger",
}
DEVIATIONS = "standard-deviations"
"""The key of the half width of a Bollinger band."""
_UNSUPPORTED = {
    "weight-market-cap": "it needs market capitalisations, which this system does not have",
    "weight-marketcap": "it needs market capitalisations, which this system does not have",
    "and": "compound conditions are not part of this dialect; nest (if ...) forms",
    "or": "compound conditions are not part of this dialect; nest (if ...) forms",
    "any": "compound conditions are not part of this dialect; nest (if ...) forms",
    "all": "compound conditions are not part of this dialect; nest (if ...) forms",
}
_NUMBER = re.compile(r"-?(?:[0-9]{1,20}(?:\.[0-9]{0,20})?|\.[0-9]{1,20})")
_INTEGER = re.compile(r"[0-9]{1,9}")
_TOO_LARGE = re.compile(r"[0-9]{10,}")
_SYMBOL = re.compile(r"[A-Z][A-Z0-9]{0,9}(?:[./][A-Z]{1,3})?")
_QUALIFIED = re.compile(r"(?P<kind>[A-Z]+)::(?P<symbol>[^:]*?)(?://(?P<currency>[A-Z]+))?")


class MeasureForm(Struct, frozen=True):
    """What an indicator form says: the measure, the symbol unless it ranks children, and remarks on what was left out of it."""

    measure: Measure
    symbol: str | None
    remarks: tuple[str, ...]


def refuse_word(source: Source, word: Word, kind: str, known: Iterable[str]) -> SymphonyError:
    """Return the refusal of an unknown word, with the known one that it may have been meant to be."""
    if word.text in _UNSUPPORTED:
        return source.refuse(word.place, f"{word.text} is not supported: {_UNSUPPORTED[word.text]}")
    names = list(known)
    close = get_close_matches(word.text, names, n=1)
    hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(names)}"
    return source.refuse(word.place, f"unknown {kind} '{word}'; {hint}")


def warning_at(source: Source, item: Item, message: str) -> CheckWarning:
    """Return a warning about an item, with its place."""
    line, column = source.line_and_column(item.place)
    return CheckWarning(line, column, message)


def parse_number(source: Source, item: Item, what: str) -> Decimal:
    """Return a plain decimal number, exactly as written; exponents, infinities and not-a-number are refused."""
    if not isinstance(item, Word) or not _NUMBER.fullmatch(item.text):
        raise source.refuse(item.place, f"expected {what}, found {item}")
    return Decimal(item.text)


def parse_integer(source: Source, item: Item, what: str) -> int:
    """Return a positive integer."""
    if isinstance(item, Word) and _TOO_LARGE.fullmatch(item.text):
        raise source.refuse(item.place, f"{what} is too large, found {item}")
    if not isinstance(item, Word) or not _INTEGER.fullmatch(item.text) or int(item.text) == 0:
        raise source.refuse(item.place, f"{what} is a positive integer, found {item}")
    return int(item.text)


def parse_window(source: Source, item: Item, name: str) -> int:
    """Return one window, written plainly or as a map with that one key."""
    if isinstance(item, Form) and item.opening == "{":
        if len(item.items) != 2 or str(item.items[0]) != f":{name}":
            raise source.refuse(item.place, f"expected {{:{name} N}}")
        item = item.items[1]
    window = parse_integer(source, item, f"the {name.replace('-', ' ')}")
    if window > MAX_WINDOW:
        raise source.refuse(item.place, f"the {name.replace('-', ' ')} {window} is longer than {MAX_WINDOW} bars")
    return window


def parse_symbol(source: Source, item: Item) -> str:
    """Return a ticker in the broker's spelling: without class prefix and currency, share classes after a dot."""
    if not isinstance(item, Text):
        raise source.refuse(item.place, f'expected a symbol in quotes such as "SPY", found {item}')
    symbol = item.value.strip()
    if qualified := _QUALIFIED.fullmatch(symbol):
        if qualified["kind"] != "EQUITIES" or qualified["currency"] not in (None, "USD"):
            raise source.refuse(item.place, f"{item} is not a US equity")
        symbol = qualified["symbol"]
    if not _SYMBOL.fullmatch(symbol):
        raise source.refuse(item.place, f"{item} is not a US equity symbol (capitals and digits, a share class after . or /)")
    return symbol.replace("/", ".")


def measure_form(source: Source, item: Item, *, with_symbol: bool) -> MeasureForm:
    """Return what an indicator form says, with a symbol (a side of a condition) or without one (the ranking of a filter)."""
    if not isinstance(item, Form) or item.opening != "(" or not item.items:
        raise source.refuse(item.place, f"expected an indicator such as (rsi {{:window 10}}), found {item}")
    word = _indicator_word(source, item.items[0])
    name = _LONG_NAMES.get(word.text, word.text)
    if name not in INDICATORS:
        raise refuse_word(source, word, "indicator", (*INDICATORS, *_LONG_NAMES))
    arguments = item.items[1:]
    symbol = None
    if with_symbol:
        if not arguments:
            raise source.refuse(item.place, f"{name} needs a symbol here")
        symbol = parse_symbol(source, arguments[0])
        arguments = arguments[1:]
    elif arguments and isinstance(arguments[0], Text):
        raise source.refuse(
            arguments[0].place, f"the ranking of a filter is applied to each child and takes no symbol, found {arguments[0]}"
        )
    return _measure(source, name, item, arguments, symbol)


def _indicator_word(source: Source, head: Item) -> Word:
    """Return the name of an indicator, also from ``(unimplemented :name)``, which one exporter wrote for what it did not know."""
    if isinstance(head, Form) and len(head.items) == 2 and str(head.items[0]) == "unimplemented" and isinstance(head.items[1], Word):
        return Word(head.items[1].text.removeprefix(":"), head.items[1].place)
    if not isinstance(head, Word):
        raise source.refuse(head.place, f"expected the name of an indicator, found {head}")
    return head


def _measure(source: Source, name: str, form: Form, arguments: list[Item], symbol: str | None) -> MeasureForm:
    indicator = INDICATORS[name]
    names = (*indicator.window_names, *((DEVIATIONS,) if indicator.is_band else ()))
    if len(arguments) == 1 and isinstance(arguments[0], Form) and arguments[0].opening == "{":
        given = _parameter_map(source, arguments[0])
    else:
        # An indicator without a window tolerates one, which has no effect.
        places = names or ("window",)
        if len(arguments) > len(places):
            raise source.refuse(arguments[len(places)].place, f"{name} takes {len(places)} number(s), found one more argument")
        given = dict(zip(places, arguments, strict=False))
    remarks: list[str] = []
    windows: list[int] = []
    for key, default in zip(indicator.window_names, indicator.default_windows, strict=True):
        if key not in given:
            remarks.append(f"{name} without a {key.replace('-', ' ')}; {default} is used")
        windows.append(parse_window(source, given.pop(key), key) if key in given else default)
    deviations = _deviations(source, name, given, remarks) if indicator.is_band else None
    if not names and given:
        for key, value in given.items():
            parse_window(source, value, key)
        given.clear()
        remarks.append(f"{name} has no window; the one given has no effect")
    for key, value in given.items():
        raise source.refuse(value.place, f"{name} takes {' and '.join(names)}, not {key}")
    return MeasureForm(Measure(name, tuple(windows), deviations), symbol, tuple(remarks))


def _deviations(source: Source, name: str, given: dict[str, Item], remarks: list[str]) -> float:
    if DEVIATIONS not in given:
        remarks.append(f"{name} without {DEVIATIONS.replace('-', ' ')}; {DEFAULT_DEVIATIONS:g} is used")
        return DEFAULT_DEVIATIONS
    item = given.pop(DEVIATIONS)
    deviations = parse_number(source, item, "a number of standard deviations")
    if deviations <= 0:
        raise source.refuse(item.place, f"the number of standard deviations is positive, found {item}")
    return float(deviations)


def _parameter_map(source: Source, form: Form) -> dict[str, Item]:
    if len(form.items) % 2:
        raise source.refuse(form.place, "a map has a key without a value")
    given: dict[str, Item] = {}
    for key, value in zip(form.items[::2], form.items[1::2], strict=True):
        if not isinstance(key, Word) or not key.text.startswith(":"):
            raise source.refuse(key.place, f"expected a keyword such as :window, found {key}")
        name = key.text.removeprefix(":")
        if name in given:
            raise source.refuse(key.place, f":{name} is given twice")
        given[name] = value
    return given
