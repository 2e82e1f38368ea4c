"""The header of a symphony: when its target is acted upon."""

from alchemiser.domain.rebalancing import Frequency, Header
from alchemiser.strategies.symphony.reader import Form, Item, Source, Text, Word
from alchemiser.strategies.symphony.tree import CheckWarning
from alchemiser.strategies.symphony.words import parse_number, warning_at


def header_form(source: Source, item: Item, warnings: list[CheckWarning]) -> Header:
    """Return the checked header; an unknown entry is added to ``warnings`` and has no effect. Raises ``SymphonyError``."""
    if not isinstance(item, Form) or item.opening != "{":
        raise source.refuse(item.place, f"expected a header such as {{:rebalance-frequency :daily}}, found {item}")
    if len(item.items) % 2:
        raise source.refuse(item.place, "the header has a key without a value")
    frequency: Frequency | None = None
    threshold: float | None = None
    seen: set[str] = set()
    for key, value in zip(item.items[::2], item.items[1::2], strict=True):
        if str(key) in seen:
            raise source.refuse(key.place, f"the header has {key} twice")
        seen.add(str(key))
        match str(key):
            case ":asset-class":
                _check_asset_class(source, value)
            case ":rebalance-frequency":
                frequency = _frequency(source, value)
            case ":rebalance-threshold":
                threshold = _threshold(source, value)
            case _:
                warnings.append(warning_at(source, key, f"the header entry {key} is unknown and has no effect"))
    if threshold is not None and frequency not in (None, Frequency.NONE):
        raise source.refuse(item.place, "the header has a rebalance frequency and a threshold; only one of them can hold")
    return Header(frequency or Frequency.NONE, threshold)


def _check_asset_class(source: Source, value: Item) -> None:
    if not isinstance(value, Text) or value.value != "EQUITIES":
        raise source.refuse(value.place, f'only the asset class "EQUITIES" can be traded, found {value}')


def _frequency(source: Source, value: Item) -> Frequency:
    text = str(value).removeprefix(":")
    if not isinstance(value, Word) or text not in list(Frequency):
        known = ", ".join(f":{frequency}" for frequency in Frequency)
        raise source.refuse(value.place, f"the rebalance frequency is one of {known}, found {value}")
    return Frequency(text)


def _threshold(source: Source, value: Item) -> float:
    threshold = parse_number(source, value, "a rebalance threshold")
    if not 0 < threshold < 1:
        raise source.refuse(value.place, f"a rebalance threshold is a share between 0 and 1, found {value}")
    return float(threshold)
