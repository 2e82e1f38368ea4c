"""The JSON document of a run: what ``backtest --json`` prints and ``backtest compare`` reads.

``digest`` is the hash of everything in it but ``seconds``: two runs of the same inputs differ in nothing else.
"""

import hashlib
from typing import Any

import msgspec

from alchemiser.backtest.analysis import Analysis
from alchemiser.backtest.result import BacktestResult, Charges, Terms


def document_of(result: BacktestResult, analysis: Analysis, terms: Terms, charges: Charges) -> dict[str, Any]:
    """Return the document: the fields of the result, those of the analysis, the terms of the run, then the digest."""
    document: dict[str, Any] = {**msgspec.to_builtins(result, enc_hook=list), **msgspec.to_builtins(analysis)}
    document["terms"] = {**msgspec.to_builtins(terms), **msgspec.to_builtins(charges)}
    return {**document, "digest": digest_of(document)}


def digest_of(document: dict[str, Any]) -> str:
    """Return the hash of a document, its wall time and its own digest left out."""
    kept = {key: value for key, value in document.items() if key not in ("seconds", "digest")}
    return f"sha256:{hashlib.sha256(msgspec.json.encode(kept, order='sorted')).hexdigest()}"
