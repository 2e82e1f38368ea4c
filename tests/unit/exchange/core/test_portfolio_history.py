"""The account's equity over time (section 8.7): sampling, spans, time frames, gains, cash flows, and bounded memory."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from alchemiser.exchange.portfolio_history import EquityHistory, HistoryFilter, parse_history_filter
from tests.unit.exchange.core.scene import HALF_DAY, Scene, refusal, utc

TUESDAY = date(2025, 1, 7)


def history(scene: Scene, **query: str) -> dict[str, Any]:
    """Ask for the history."""
    return scene.exchange.portfolio_history(scene.now, parse_history_filter(query))


def labels(body: dict[str, Any]) -> list[str]:
    """The labels of a history as UTC."""
    return [datetime.fromtimestamp(at, UTC).strftime("%d %H:%M") for at in body["timestamp"]]


def traded_day() -> Scene:
    """A hundred shares at 100.02 since 15:00, marked at 101 from 15:10 and at 99 from 15:30; it is 16:00:30."""
    scene = Scene()
    scene.quote()
    scene.buy("100")
    for minute, price in ((10, 101.0), (30, 99.0)):
        scene.go(utc(15, minute))
        scene.trade(price)
    scene.go(utc(16, 0, 30))
    return scene


def test_an_intraday_history_has_the_equity_at_the_end_of_each_bucket() -> None:
    """Left-labelled; the bucket that runs is worth what the account is now; before the account was opened it is its cash."""
    body = history(traded_day(), period="1D", timeframe="15Min")
    assert ["06 14:30", "06 14:45", "06 15:00", "06 15:15", "06 15:30", "06 15:45", "06 16:00"] == labels(body)
    assert [100000.0, 100000.0, 100098.0, 100098.0, 99898.0, 99898.0, 99898.0] == body["equity"]
    assert [0.0, 0.0, 98.0, 98.0, -102.0, -102.0, -102.0] == body["profit_loss"]
    assert (100000.0, "2025-01-06", "15Min", -0.00102) == (
        body["base_value"],
        body["base_value_asof"],
        body["timeframe"],
        body["profit_loss_pct"][-1],
    )


@pytest.mark.parametrize(
    ("reporting", "first", "count"), [("market_hours", "06 14:30", 2), ("extended_hours", "06 09:00", 8), ("continuous", "06 05:00", 12)]
)
def test_the_hours_that_are_reported(reporting: str, first: str, count: int) -> None:
    """The session, four to eight, or the clock round."""
    body = history(traded_day(), period="1D", timeframe="1H", intraday_reporting=reporting)
    assert (first, count) == (labels(body)[0], len(body["timestamp"]))
    assert len({len(body[name]) for name in ("timestamp", "equity", "profit_loss", "profit_loss_pct")}) == 1


@pytest.mark.parametrize(
    ("query", "frame"),
    [({}, "1D"), ({"period": "1D"}, "1Min"), ({"period": "1W"}, "15Min"), ({"period": "2M"}, "1D"), ({"period": "1A"}, "1D")],
)
def test_the_usual_time_frame_follows_from_the_span(query: dict[str, str], frame: str) -> None:
    """One minute below seven days, fifteen below thirty, else days; a month when nobody says."""
    assert frame == history(traded_day(), **query)["timeframe"]


def test_days_have_their_closes_and_today_its_worth() -> None:
    """Labelled with the midnight of New York; gains by day or since the beginning."""
    scene = traded_day()
    scene.go(utc(15, on=HALF_DAY))
    scene.trade(103)
    body = history(scene, timeframe="1D")
    assert ["06 05:00", "07 05:00", "08 05:00"] == labels(body)
    assert ([99898.0, 99898.0, 100298.0], [-102.0, 0.0, 400.0]) == (body["equity"], body["profit_loss"])
    assert [-102.0, -102.0, 298.0] == history(scene, timeframe="1D", pnl_reset="no_reset")["profit_loss"]
    later = history(scene, start="2025-01-07", timeframe="1D")
    assert (99898.0, "2025-01-06", ["07 05:00", "08 05:00"]) == (later["base_value"], later["base_value_asof"], labels(later))
    assert ["06 05:00", "07 05:00"] == labels(history(scene, end="2025-01-07T20:00:00Z", timeframe="1D"))
    assert ["07 05:00", "08 05:00"] == labels(history(scene, period="2D", timeframe="1D"))
    assert ["06 05:00"] == labels(history(scene, start="2025-01-06T05:00:00Z", period="1D", timeframe="1D"))[:1]


def test_a_half_day_is_half_a_day() -> None:
    """Buckets end with the session."""
    scene = Scene(utc(23, on=HALF_DAY))
    body = history(scene, start="2025-01-08", timeframe="1H")
    assert ["08 14:30", "08 15:30", "08 16:30", "08 17:30"] == labels(body)


def test_cash_flows_are_told_by_type_and_bucket() -> None:
    """What comes in the night counts to the first bucket after it."""
    scene = Scene(fees=True)
    scene.quote()
    scene.buy("100")
    scene.go(utc(15, on=TUESDAY))
    assert {} == history(scene, timeframe="1D")["cashflow"]
    assert {"FEE": [0.0, -0.01]} == history(scene, timeframe="1D", cashflow_types="ALL")["cashflow"]
    assert {"DIV": [0.0, 0.0]} == history(scene, timeframe="1D", cashflow_types="DIV")["cashflow"]
    flows = history(scene, period="1D", timeframe="15Min", cashflow_types="FEE")["cashflow"]["FEE"]
    assert [-0.01, 0.0] == flows
    assert {} == history(scene, timeframe="1D", cashflow_types="NONE")["cashflow"]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"period": "1Y"}, "invalid period: 1Y"),
        ({"period": "0D"}, "invalid period: 0D"),
        ({"timeframe": "2Min"}, "invalid timeframe: 2Min"),
        ({"intraday_reporting": "always"}, "invalid intraday_reporting: always"),
        ({"pnl_reset": "weekly"}, "invalid pnl_reset: weekly"),
        ({"start": "soon"}, "invalid start: soon"),
        ({"cashflow_types": "DIV,GIFTS"}, "invalid cashflow_types: GIFTS"),
        ({"start": "2025-01-07", "end": "2025-01-06"}, "start must be before end"),
        ({"start": "2025-01-06", "end": "2025-01-07", "period": "1D"}, "only two of start, end and period can be specified"),
        ({"period": "6M", "timeframe": "5Min"}, "intraday history is limited to 30 days"),
    ],
)
def test_a_question_that_cannot_be_answered_is_refused(query: dict[str, str], message: str) -> None:
    """422 with the field that is wrong."""
    body = refusal(lambda: history(traded_day(), **query))
    assert (422, message) == (body["status"], body["message"])


def test_old_parameters_are_understood() -> None:
    """8.7: date_end and extended_hours of older clients."""
    wanted = parse_history_filter({"date_end": "2025-01-06", "extended_hours": "true"})
    assert (utc(0), "extended_hours") == (wanted.end, wanted.reporting)


def test_sampling_does_not_depend_on_the_steps() -> None:
    """However coarsely time is advanced, the same minutes are kept."""

    def kept(step: int) -> list[Any]:
        scene = Scene()
        scene.quote()
        scene.submit(qty=100)
        for _ in range(3600 // step):
            scene.wait(step * 1000)
        scene.trade(105)
        scene.wait(60_000)
        body = history(scene, period="1D", timeframe="1Min")
        return list(zip(body["timestamp"], body["equity"], strict=True))

    assert kept(1) == kept(30) == kept(3600)


def test_memory_is_bounded_and_the_past_stays_readable() -> None:
    """Minutes for eight days, every fifth for a month, nothing before but what was last known."""
    kept = EquityHistory()
    start = utc(0)
    for minute in range(40 * 24 * 60):
        kept.sample(start + timedelta(minutes=minute), Decimal(minute))
    now = start + timedelta(days=40)
    kept.thin(now)
    assert len(kept.minutes) <= 8 * 1440 + 23 * 288 + 2
    assert kept.minutes == sorted(set(kept.minutes))
    exact = now - timedelta(days=2)
    assert Decimal((exact - start) / timedelta(minutes=1)) == kept.equity_at(exact, Decimal(0))
    coarse = now - timedelta(days=20)
    assert abs(Decimal((coarse - start) / timedelta(minutes=1)) - kept.equity_at(coarse, Decimal(0))) < 5
    assert kept.equity_at(start, Decimal(7)) == 7
    again = list(kept.minutes)
    kept.thin(now)
    assert again == kept.minutes


def test_a_quiet_account_keeps_nothing_but_its_first_minute() -> None:
    """Minutes without a change are not kept."""
    scene = Scene()
    scene.go(utc(15, on=date(2025, 1, 28)))
    assert {100000.0} == set(history(scene, period="5D", timeframe="1Min")["equity"])
    assert 3 * 390 < len(history(scene, period="5D", timeframe="1Min")["equity"]) <= 5 * 390
    assert HistoryFilter() == parse_history_filter({})
