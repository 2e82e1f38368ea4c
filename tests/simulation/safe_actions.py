"""The test in which each alert is provoked, and every safe action of the runbook, word by word, with the test that carries it out.

A test that carries an action out has seen what it does. A part of the text without a test is no action: it says why, or that there is
nothing to do.
"""

from collections.abc import Callable, Mapping
from typing import Final

AROUND = "tests.simulation.test_alerts:test_what_goes_wrong_raises_its_alert_and_the_safe_action_clears_it"
WITHIN = "tests.simulation.test_alerts_of_the_daemon:test_what_goes_wrong_within_raises_its_alert_and_the_safe_action_clears_it"
MEMORY = "tests.component.test_runbook:test_a_daemon_that_needs_too_much_memory_is_restarted"
START = "tests.component.test_runbook:test_what_keeps_it_from_starting_is_named_and_mended"
DIRECT = "tests.component.test_runbook:test_what_must_not_wait_is_done_past_the_daemon"
RELOAD = "tests.simulation.test_hot_reload:test_a_bad_edit_and_then_a_good_one"
MENU = "tests.simulation.test_menu:test_a_fault_alone_breaks_no_rule"

PROVOKED: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        (
            "AlchemiserDown",
            "AlchemiserNotReady",
            "AlchemiserGapOpen",
            "AlchemiserStreamDown",
            "AlchemiserLedgerDiffers",
            "AlchemiserSymbolParked",
            "AlchemiserGuardTripped",
            "AlchemiserTradingRestricted",
            "AlchemiserStrategyFailed",
            "AlchemiserRebalanceParked",
            "AlchemiserOrdersRefused",
            "AlchemiserOutcomeUnknown",
            "AlchemiserVenueErrors",
        ),
        AROUND,
    ),
    **dict.fromkeys(
        (
            "AlchemiserNotLive",
            "AlchemiserOffBacktest",
            "AlchemiserDecisionOverdue",
            "AlchemiserHandlerFailed",
            "AlchemiserMailboxFull",
            "AlchemiserJournalSlow",
            "AlchemiserLoopLag",
            "AlchemiserQuotaLow",
            "AlchemiserMessagesFailed",
        ),
        WITHIN,
    ),
    "AlchemiserMemoryHigh": MEMORY,
}
"""Where each alert stands, and is gone afterwards, by the daemon's own figures."""

SAFE_ACTIONS: Final[Mapping[str, tuple[tuple[str, str | None], ...]]] = {
    "AlchemiserDown": (
        ("Start it: every start is a recovery.", WITHIN),
        ("When it refuses to start, mend what it names; `alchemiser doctor` names it too.", START),
        ("What must not wait can be done with `alchemiser kill --direct` or on the broker's own page.", DIRECT),
    ),
    "AlchemiserNotLive": (("Restart it. The journal carries on, no order is lost or doubled.", WITHIN),),
    "AlchemiserNotReady": (
        ("Do what the remedy says.", AROUND),
        ("A restart helps in no case where the daemon is live.", None),
    ),
    "AlchemiserGapOpen": (
        ("Wait: the daemon asks by itself until the broker answers.", AROUND),
        ("`alchemiser reconcile` says what it waits for.", AROUND),
    ),
    "AlchemiserStreamDown": (
        ("End the other program,", MENU),
        ("or wait: it reconnects by itself.", AROUND),
    ),
    "AlchemiserLedgerDiffers": (
        ("`alchemiser reconcile`.", AROUND),
        ("Shares that no strategy owns are left alone; a symbol that stays different is parked.", AROUND),
        (
            "Cash that differs and that you can explain is [booked by hand](reconciliation.md#cash-that-a-person-explains).",
            AROUND,
        ),
        ("Do not restart in the hope that it goes away: it does not.", None),
    ),
    "AlchemiserSymbolParked": (("Compare with the broker's page; then `alchemiser reconcile --clear SYMBOL`.", AROUND),),
    "AlchemiserGuardTripped": (
        ("Understand first.", None),
        ("Then `alchemiser rearm GUARD`; what it restricted is lifted by that.", AROUND),
    ),
    "AlchemiserOffBacktest": (
        ("Trading goes on meanwhile.", None),
        ("`alchemiser pause --strategy NAME` when it decides otherwise and nobody knows why.", WITHIN),
        ("What each part means is in [live against backtest](live-against-backtest.md).", None),
    ),
    "AlchemiserTradingRestricted": (
        ("`alchemiser resume` when the reason is gone;", AROUND),
        ("a guard's restriction is lifted by `alchemiser rearm`.", AROUND),
    ),
    "AlchemiserStrategyFailed": (
        ("Mend the file or the data; the next decision takes it.", RELOAD),
        ("`alchemiser rebalance` decides again today.", AROUND),
    ),
    "AlchemiserDecisionOverdue": (("`alchemiser rebalance` in an open session.", WITHIN),),
    "AlchemiserRebalanceParked": (
        ("Usually none.", None),
        ("`alchemiser rebalance` tries again while the session is open.", AROUND),
    ),
    "AlchemiserOrdersRefused": (("`alchemiser pause` while you look, if it goes on.", AROUND),),
    "AlchemiserOutcomeUnknown": (("None. If it happens often, the way to the broker is bad.", None),),
    "AlchemiserHandlerFailed": (
        ("`alchemiser halt` if orders are concerned.", WITHIN),
        ("It is a fault of ours: keep the journal.", None),
    ),
    "AlchemiserMailboxFull": (("Restart if it does not clear; look at the disk and at the broker's answers.", WITHIN),),
    "AlchemiserJournalSlow": (("Move the state directory to a quick disk; `alchemiser doctor` measures it.", WITHIN),),
    "AlchemiserLoopLag": (("Give the daemon a core of its own.", WITHIN),),
    "AlchemiserVenueErrors": (("Wait.", AROUND),),
    "AlchemiserQuotaLow": (("A key of its own for every program.", WITHIN),),
    "AlchemiserMessagesFailed": (("Mend the address.", WITHIN),),
    "AlchemiserMemoryHigh": (
        ("A restart outside the session frees it.", MEMORY),
        ("Tell us.", None),
    ),
}


def alerts_of(test: Callable[..., object]) -> set[str]:
    """Return the alerts that a test provokes."""
    return {alert for alert, by in PROVOKED.items() if by == _name(test)}


def actions_of(test: Callable[..., object]) -> set[tuple[str, str]]:
    """Return the actions that a test carries out: the alert, and the words of the runbook."""
    return {(alert, phrase) for alert, parts in SAFE_ACTIONS.items() for phrase, by in parts if by == _name(test)}


def _name(test: Callable[..., object]) -> str:
    return f"{test.__module__}:{test.__name__}"
