"""The preview of the running daemon: the plan that the decision then makes, asked for without any effect."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp

from alchemiser.domain.events import OrderIntended, RebalancePlanned
from alchemiser.market.calendar import TradingCalendar
from alchemiser.service.clock import VirtualClock
from alchemiser.service.settings import RunOptions
from alchemiser.service.start import run_daemon
from tests.simulation.days import FIRST_DAY, in_memory, journal_of, simulated_settings
from tests.solipsism import LoopConnector, virtual


def test_a_preview_is_the_plan_and_has_no_effect(tmp_path: Path) -> None:
    """Asked for two seconds before the decision it names the orders of the decision's plan; no order and no event comes of it."""
    settings = simulated_settings(tmp_path, {"strategies": {"held": {"source": "tests.simulation.rotations:HoldThirty"}}})
    session = TradingCalendar.new_york().session(FIRST_DAY)
    assert session is not None

    async def main() -> tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]:
        surroundings = in_memory()
        clock = VirtualClock(session.opens_at - timedelta(minutes=15))
        async with asyncio.TaskGroup() as group:
            group.create_task(run_daemon(settings, RunOptions(start=FIRST_DAY, days=1), surroundings), name="daemon")
            await clock.sleep_until(session.closes_at - timedelta(minutes=10, seconds=2))
            async with aiohttp.ClientSession(connector=LoopConnector()) as http:

                async def get(path: str) -> Any:
                    async with http.get(path) as answer:
                        assert answer.status == 200
                        return await answer.json()

                before = await get("http://127.0.0.1:8099/api/v1/events?limit=1")
                plan = await get("http://127.0.0.1:8099/api/v1/plan")
                after = await get("http://127.0.0.1:8099/api/v1/events?limit=1")
        return plan, before["events"], after["events"]

    preview, before, after = virtual(main)
    events = [envelope.event for envelope in journal_of(tmp_path)]
    (plan,) = (event for event in events if isinstance(event, RebalancePlanned))

    assert before == after
    assert preview["reason"] is None
    # Their order is that of drifts which are equal but for rounding, so it follows the last quotes.
    previewed = {order["symbol"]: order for order in preview["orders"]}
    assert set(previewed) == {intent.symbol for intent in plan.intents}
    for intent in plan.intents:
        assert previewed[intent.symbol]["side"] == intent.side.value
        assert abs(Decimal(previewed[intent.symbol]["quantity"]) / intent.quantity - 1) < Decimal("0.01")
    assert Decimal(preview["cost"]) > 0
    assert sum(isinstance(event, OrderIntended) for event in events) >= len(plan.intents)
