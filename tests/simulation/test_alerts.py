"""The alerts as drills: one day in the simulation in which things go wrong and the runbook's safe actions mend them.

The daemon's own ``/metrics`` is scraped every minute of market time, through its door. What was scraped is handed to Prometheus's own tool
with the rules of ``deploy/alerts.yml``: each alert that the day provokes has to stand when it should and to be gone when it should.
"""

from collections.abc import Mapping
from pathlib import Path

import pytest

from alchemiser.exchange.access import Credentials
from alchemiser.strategies.python import MarketView
from tests.simulation.days import simulate
from tests.simulation.drills import DAEMON, EXCHANGE, KEYS, PROMTOOL, TOKEN, UP, Drill, told_by_prometheus
from tests.simulation.safe_actions import actions_of, alerts_of
from tests.simulation.traders import ShippedRotation


class Moody(ShippedRotation):
    """Cannot decide before three o'clock."""

    has_failed = False

    def decide(self, market: MarketView) -> Mapping[str, float]:
        """Fail the first time."""
        if not Moody.has_failed:
            Moody.has_failed = True
            raise ValueError("not today")
        return super().decide(market)


class BadDay(Drill):
    """What goes wrong around a daemon: at the broker, on the streams, by hand."""

    async def halt(self) -> None:
        """A request for an order gets no answer, and somebody halts trading in the middle of the rebalance; it is resumed."""
        await self.until("14:33")
        await self.fault(kind="timeout_after_effect", method="POST", path="/v2/orders", seconds=2.0)
        await self.tell("rebalance")
        await self.clock.sleep(1.0)
        await self.tell("halt")
        await self.until("14:36")
        self.stands("AlchemiserRebalanceParked", "AlchemiserOutcomeUnknown")
        await self.tell("resume")
        assert (await self.ask("status"))["rebalance"]["state"] == "parked"

    async def refusals(self) -> None:
        """The broker refuses, a strategy fails, a guard trips; the guard is armed again."""
        await self.until("14:40")
        await self.fault(kind="refuse_order", reason="buying_power", times=6)
        await self.tell("rebalance")
        await self.until("14:50")
        self.stands("AlchemiserOrdersRefused", "AlchemiserStrategyFailed", "AlchemiserGuardTripped")
        await self.tell("pause")
        assert (await self.ask("status"))["trading"]["state"] == "paused"
        self.does("AlchemiserOrdersRefused", "`alchemiser pause` while you look, if it goes on.")
        await self.tell("resume", accepts=(409,))  # Not while a guard holds trading back.
        assert await self.reasons() >= {"guard", "trading"}
        await self.tell("rearm", guard="rejects", reset=True)
        await self.tell("resume")
        assert not await self.reasons() & {"guard", "trading"}
        self.does("AlchemiserGuardTripped", "Then `alchemiser rearm GUARD`; what it restricted is lifted by that.")
        self.does("AlchemiserTradingRestricted", "a guard's restriction is lifted by `alchemiser rearm`.")
        await self.until("15:08")
        self.is_gone("AlchemiserOrdersRefused", "AlchemiserGuardTripped", "AlchemiserOutcomeUnknown")

    async def decides_again(self) -> None:
        """What the strategy lacked is there now: asked again it decides, on the same day, and what was parked is traded."""
        before = (await self.ask("status"))["rebalance"]["id"]
        again = (await self.tell("rebalance"))["rebalance"]
        await self.until("15:12")
        now = (await self.ask("status"))["rebalance"]
        assert before < again == now["id"]
        assert (now["state"], now["intents"] > 0) == ("completed", True)
        self.does("AlchemiserRebalanceParked", "`alchemiser rebalance` tries again while the session is open.")
        assert "failed" not in {row["status"] for row in (await self.ask("strategies"))["strategies"]}
        self.does("AlchemiserStrategyFailed", "`alchemiser rebalance` decides again today.")

    async def stream(self) -> None:
        """The order stream is away for a quarter of an hour, and comes back by itself."""
        await self.fault(kind="drop_stream", stream="orders")
        await self.fault(kind="refuse_stream", stream="orders", status=503, times=10_000)
        await self.until("15:53")
        self.stands("AlchemiserStreamDown", "AlchemiserGapOpen", "AlchemiserNotReady")
        told = await self.tell("reconcile", accepts=(409,))
        assert "the order stream is away" in told["error"]["message"]
        self.does("AlchemiserGapOpen", "`alchemiser reconcile` says what it waits for.")
        await self.mend()
        await self.until("16:00")
        assert not await self.reasons() & {"gap", "orders_stream"}
        self.does("AlchemiserGapOpen", "Wait: the daemon asks by itself until the broker answers.")
        self.does("AlchemiserStreamDown", "or wait: it reconnects by itself.")
        self.is_gone("AlchemiserStreamDown", "AlchemiserGapOpen", "AlchemiserNotReady")

    async def pause(self) -> None:
        """Somebody paused trading and forgot; it is resumed."""
        await self.tell("pause")
        await self.until("16:18")
        self.stands("AlchemiserTradingRestricted", "AlchemiserNotReady")
        async with self.http.get(f"{DAEMON}/readyz") as answer:
            (reason,) = (await answer.json())["reasons"]
        assert reason["remedy"].startswith("alchemiser resume")
        await self.tell("resume")
        assert await self.reasons() == set()
        self.does("AlchemiserNotReady", "Do what the remedy says.")
        self.does("AlchemiserTradingRestricted", "`alchemiser resume` when the reason is gone;")
        await self.until("16:20")
        self.is_gone("AlchemiserTradingRestricted", "AlchemiserStrategyFailed", "AlchemiserRebalanceParked")

    async def hand(self) -> None:
        """Somebody sells by hand what a strategy holds, and buys it back a dollar dearer: it is compared, cleared, its cash booked."""
        symbol = max((await self.ask("positions"))["positions"], key=lambda row: float(row["quantity"]))["symbol"]
        await self.quote(symbol, 100.0)
        await self.by_hand("sell", symbol)
        await self.tell("reconcile")
        await self.until("16:28")
        self.stands("AlchemiserLedgerDiffers", "AlchemiserSymbolParked")
        assert set((await self.ask("status"))["parked"]) == {symbol}
        self.does("AlchemiserLedgerDiffers", "Shares that no strategy owns are left alone; a symbol that stays different is parked.")
        await self.quote(symbol, 101.0)
        await self.by_hand("buy", symbol)
        await self.tell("reconcile", clear=[symbol])
        assert (await self.ask("status"))["parked"] == {}
        self.does("AlchemiserSymbolParked", "Compare with the broker's page; then `alchemiser reconcile --clear SYMBOL`.")
        await self.tell("reconcile")
        (difference,) = (await self.ask("status"))["ledger"]["differences"]
        assert "cash" in difference
        await self.tell("reconcile", accept_cash="-3.00", reason="sold and bought again by hand")
        self.does(
            "AlchemiserLedgerDiffers",
            "Cash that differs and that you can explain is [booked by hand](reconciliation.md#cash-that-a-person-explains).",
        )
        await self.tell("reconcile")
        assert (await self.ask("status"))["ledger"]["differences"] == []
        self.does("AlchemiserLedgerDiffers", "`alchemiser reconcile`.")
        await self.until("16:40")
        self.is_gone("AlchemiserLedgerDiffers", "AlchemiserSymbolParked")

    async def quote(self, symbol: str, price: float) -> None:
        """Have everybody trade a symbol at one price."""
        quote = {"symbol": symbol, "bid": price, "bid_size": 100, "ask": price, "ask_size": 100}
        await self.http.post(f"{EXCHANGE}/_exchange/quote", json=quote, raise_for_status=True)

    async def venue(self) -> None:
        """The broker's API answers badly for ten minutes."""
        await self.fault(kind="http", method="GET", path="/v2/", status=503, times=100_000)
        for minute in range(41, 53):
            while self.minute < 16 * 60 + minute:
                await self.tell("reconcile", accepts=(200, 409))
                await self.clock.sleep(10.0)
            await self.scrape()
        self.stands("AlchemiserVenueErrors")
        await self.mend()
        await self.until("17:05")
        self.is_gone("AlchemiserVenueErrors")
        self.does("AlchemiserVenueErrors", "Wait.")
        await self.until("21:20")


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.skipif(PROMTOOL is None, reason="needs promtool, of Debian's package prometheus")
def test_what_goes_wrong_raises_its_alert_and_the_safe_action_clears_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the daemon's own figures and Prometheus's own reading of the rules."""
    monkeypatch.setattr(Credentials, "generate", classmethod(lambda kind: KEYS))
    monkeypatch.setattr(Moody, "has_failed", False)
    drill = BadDay()
    steps = (drill.halt, drill.refusals, drill.decides_again, drill.stream, drill.pause, drill.hand, drill.venue)
    overrides = {
        "service.token": TOKEN,
        "market.history_sessions": 30,
        "risk.guards.rejects.limit": 3,
        "risk.guards.rejects.action": "reduce",
        "strategies": {
            "rotation": {"source": "tests.simulation.traders:ShippedRotation"},
            "moody": {"source": f"{__name__}:Moody"},
        },
    }
    assert simulate(tmp_path / "state", overrides=overrides, beside=drill.life(*steps)) == 0
    down = min(minute for minute, value in drill.series[UP].items() if value == 0)
    drill.asked += [("AlchemiserDown", down + 5, True), ("AlchemiserDown", down - 5, False)]

    assert told_by_prometheus(drill, tmp_path) == ""
    test = test_what_goes_wrong_raises_its_alert_and_the_safe_action_clears_it
    assert drill.provoked() == alerts_of(test)
    assert drill.carried_out == actions_of(test)
