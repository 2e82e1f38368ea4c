"""Which bars a run was made of: one hash over all of them, and one per symbol to find what differs.

The same days and prices give the same version on every machine, whatever files they came from; one changed close changes it. What is
hashed is what was used: adjusted closes through the last session, the adjusted opens where fills are made at them, and recorded minutes.
"""

import hashlib
from collections.abc import Mapping
from datetime import date

import msgspec
import numpy as np

from alchemiser.exchange.recordings import Recordings
from alchemiser.market.arrays import Days, Floats


class SymbolData(msgspec.Struct, frozen=True):
    """The bars of one symbol; one that was listed only after the last session has none, and neither a first nor a last day."""

    symbol: str
    bars: int
    first: date | None
    last: date | None
    sha256: str


class DataVersion(msgspec.Struct, frozen=True):
    """The bars of a run; ``version`` covers all symbols."""

    version: str
    symbols: list[SymbolData]


def data_version(
    closes: Mapping[str, tuple[Days, Floats]], opens: Mapping[str, Mapping[int, float]] | None = None, recordings: Recordings | None = None
) -> DataVersion:
    """Return the version of days (as ordinals) and closes per symbol, with the opens by day and the recordings where those were used."""
    symbols = [_symbol(symbol, *closes[symbol], (opens or {}).get(symbol, {}), recordings) for symbol in sorted(closes)]
    whole = hashlib.sha256("".join(f"{entry.symbol} {entry.sha256}\n" for entry in symbols).encode())
    return DataVersion(f"sha256:{whole.hexdigest()}", symbols)


def _symbol(symbol: str, days: Days, closes: Floats, opens: Mapping[int, float], recordings: Recordings | None) -> SymbolData:
    digest = hashlib.sha256()
    digest.update(np.ascontiguousarray(days, dtype="<i8").tobytes())
    digest.update(np.ascontiguousarray(closes, dtype="<f8").tobytes())
    ordered = sorted(opens.items())
    digest.update(np.array([day for day, _ in ordered], dtype="<i8").tobytes())
    digest.update(np.array([price for _, price in ordered], dtype="<f8").tobytes())
    recorded = [] if recordings is None else [recordings.day(symbol, day) for day in recordings.days(symbol)]
    for columns in (part for day in recorded if day is not None for part in day if part is not None):
        for values in columns:
            digest.update(np.ascontiguousarray(values, dtype="<f8" if values.dtype.kind == "f" else "<i8").tobytes())
    first, last = (date.fromordinal(int(days[at])) for at in (0, -1)) if len(days) else (None, None)
    return SymbolData(symbol, len(days), first, last, digest.hexdigest())
