"""A pytest plugin for projects that talk to Alpaca: a whole exchange for a test, on loopback, with a market that the test steers.

The fixture ``alpaca_exchange`` starts ``alchemiser exchange`` as a process of its own and ends it after the test. Its options come from a
marker: ``@pytest.mark.alpaca_exchange("--engine", "paper", "--day", "2025-03-03")``.
"""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

_STOP_SECONDS = 10.0


@dataclass(frozen=True)
class RunningExchange:
    """An exchange that serves: its addresses, the credentials that open it, and a handle on its market."""

    rest: str
    trading_stream: str
    data_stream: str
    key_id: str
    secret_key: str = field(repr=False)

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """Steer the market: ``control("POST", "quote", {...})`` asks ``/_exchange/quote``. Raises ``HTTPError`` for what is refused."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.rest}/_exchange/{path}", data=data, method=method)  # noqa: S310 - our own loopback
        with urllib.request.urlopen(request) as answer:  # noqa: S310
            text = answer.read()
        return json.loads(text) if text else None

    def forward(self, seconds: float) -> None:
        """Let market time pass; all that is due meanwhile has happened on return."""
        self.control("POST", "clock", {"advance_seconds": seconds})

    def quote(self, symbol: str, bid: float, ask: float, size: float = 1_000) -> None:
        """Give a symbol a quote, which stays until the session closes."""
        self.control("POST", "quote", {"symbol": symbol, "bid": bid, "bid_size": size, "ask": ask, "ask_size": size})

    def fault(self, kind: str, **members: Any) -> None:
        """Plan a fault of the menu: ``fault("http", path="/v2/orders", status=503)``. Raises ``HTTPError`` for one that cannot be."""
        self.control("POST", "faults", {"kind": kind, **members})


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", "alpaca_exchange(*options): options of `alchemiser exchange` for the alpaca_exchange fixture")


@pytest.fixture
def alpaca_exchange(request: pytest.FixtureRequest) -> Iterator[RunningExchange]:
    """Serve a fresh exchange for one test."""
    marker = request.node.get_closest_marker("alpaca_exchange")
    options = [] if marker is None else [str(option) for option in marker.args]
    command = [sys.executable, "-m", "alchemiser", "exchange", "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own command
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            line = process.stdout.readline()
            if not line:
                pytest.fail(f"the exchange did not start: {process.stderr.read()}")
            yield RunningExchange(**json.loads(line))
        finally:
            process.terminate()
            try:
                process.communicate(timeout=_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
