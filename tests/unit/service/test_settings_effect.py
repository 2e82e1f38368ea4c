"""When a change of a setting takes effect: every setting says so, and a reload takes what it may and nothing else."""

from decimal import Decimal
from typing import Any

import pytest

from alchemiser.service.settings import Settings
from alchemiser.service.settings_effect import takes_effect, until_the_next_start
from alchemiser.service.settings_load import differences, load_settings
from alchemiser.service.settings_section import When
from alchemiser.service.settings_sources import flatten

FULL: dict[str, Any] = {
    "strategies": {"one": {"source": "tecl"}},
    "portfolio.groups": {"tech": {"symbols": ["TQQQ"], "max_weight": 0.5}},
    "ledger.spin_offs": {"NEW": {"parent": "OLD"}},
    "ledger.specific": {"SPY": ["a"]},
    "execution.symbol_tactics": {"SPY": "moc"},
}


def settings(**values: Any) -> Settings:
    """Return settings with these values by dotted key."""
    dotted = {key.replace("__", "."): value for key, value in values.items()}
    return load_settings(overrides={**FULL, **dotted}, environ={}, secrets=()).settings


def test_every_setting_says_when_it_takes_effect_and_why_not_sooner() -> None:
    """A new setting cannot be forgotten: reading when it takes effect fails for one that does not say so."""
    keys = [key for key, _ in flatten(settings().model_dump())] + ["portfolio.groups", "ledger.spin_offs", "execution.symbol_tactics"]

    effects = {key: takes_effect(key) for key in keys}

    assert len(effects) > 90
    for key, effect in effects.items():
        assert bool(effect.because) == (effect.when is When.NEXT_START), key


@pytest.mark.parametrize(
    ("key", "when"),
    [
        ("service.token", When.AT_ONCE),
        ("service.http", When.NEXT_START),
        ("strategies.anything.allocation", When.NEXT_DECISION),
        ("portfolio.groups.tech.max_weight", When.NEXT_DECISION),
        ("portfolio.groups", When.NEXT_DECISION),
        ("risk.guards.drawdown.limit", When.AT_ONCE),
        ("risk.max_order_notional", When.NEXT_DECISION),
        ("execution.symbol_tactics.SPY", When.NEXT_DECISION),
        ("ledger.specific.SPY", When.NEXT_START),
        ("ledger.spin_offs.NEW.cost_fraction", When.AT_ONCE),
        ("embedded.speed", When.NEXT_START),
    ],
)
def test_a_mark_of_its_own_goes_before_that_of_the_table(key: str, when: When) -> None:
    """Also below tables of tables, whose names are anybody's."""
    assert takes_effect(key).when is when


@pytest.mark.parametrize("key", ["service.state.path", "schedule.decision.hour"])
def test_what_is_no_setting_has_no_effect(key: str) -> None:
    """Better an error than a guess."""
    with pytest.raises(KeyError):
        takes_effect(key)


def test_a_reload_takes_all_but_what_needs_a_start() -> None:
    """The settings of a running daemon are those that are written, with the old values of what only a start can change."""
    running = settings()
    written = settings(service__http="127.0.0.1:1", service__stop_seconds=3.0, embedded__seed=9, portfolio__no_trade_band=Decimal("0.1"))

    taken = until_the_next_start(running, written)

    assert {one.key for one in differences(running, taken)} == {"service.stop_seconds", "portfolio.no_trade_band"}
    assert {one.key for one in differences(taken, written)} == {"service.http", "embedded.seed"}


def test_settings_that_need_no_start_are_taken_as_they_are() -> None:
    """Nothing is copied where nothing is kept back."""
    assert until_the_next_start(settings(), written := settings(risk__max_order_notional=5)) == written
