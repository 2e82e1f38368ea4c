"""``alchemiser plan`` on a folder of prices: the orders, what was adjusted or refused, the exit codes; nothing is ever sent."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from alchemiser.cli.app import run

HALVES = """(defsymphony "Halves" {:rebalance-frequency :daily} (weight-equal [(asset "AAA") (asset "BBB")]))"""
LONG = """(defsymphony "Long" {:rebalance-frequency :daily}
  (if (> (rsi "AAA" {:window 10}) 50) [(asset "AAA")] [(asset "BBB")]))"""

Command = Callable[..., tuple[int, Any, str]]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]) -> Command:
    """Return the caller of ``plan`` in a directory with three days of prices and two symphonies."""
    monkeypatch.chdir(tmp_path)
    for symbol, price in (("AAA", 100), ("BBB", 50)):
        days = "".join(f"2025-03-0{day},{price}\n" for day in (3, 4, 5))
        (tmp_path / f"{symbol}.csv").write_text(f"date,close\n{days}")
    (tmp_path / "halves.clj").write_text(HALVES)
    (tmp_path / "long.clj").write_text(LONG)

    def call(*arguments: str) -> tuple[int, Any, str]:
        code = run(("plan", *arguments))
        captured = capsysbinary.readouterr()
        answer = msgspec.json.decode(captured.out) if "--json" in arguments and captured.out else captured.out.decode()
        return code, answer, captured.err.decode()

    return call


def test_the_orders_that_reach_the_target(command: Command) -> None:
    """From cash, every symbol is bought for its share of the capital; the document says that nothing is sent."""
    code, plan, _ = command("--strategy", "halves.clj", "--bars", ".", "--as-of", "2025-03-04", "--cash", "10000", "--json")

    assert code == 0
    assert (plan["sends"], plan["live"], plan["reason"]) == (False, False, None)
    assert plan["as_of"].startswith("2025-03-04T21:00")
    assert [(o["side"], o["symbol"], o["quantity"], o["notional"], o["cost"]) for o in plan["orders"]] == [
        ("buy", "AAA", "49.75", "4975", None),
        ("buy", "BBB", "99.5", "4975", None),
    ]
    assert plan["target"] == {"AAA": 0.5, "BBB": 0.5}
    assert "wash_trade" in plan["checks"]


def test_what_is_adjusted_and_denied_is_said(command: Command) -> None:
    """The settings' constraints and limits speak in the plan, each with its code."""
    Path("alchemiser.toml").write_text(
        '[portfolio]\nmax_turnover = 0.5\n[portfolio.groups.b]\nsymbols = ["BBB"]\nmax_weight = 0.3\n[risk]\nmax_order_notional = 3000\n'
    )
    code, text, _ = command("--strategy", "halves.clj", "--bars", ".", "--cash", "10000")

    assert code == 0
    assert "adjusted, group_weight: b would weigh 49.75%, its cap is 30.00%" in text
    assert "adjusted, turnover:" in text
    assert "denied, order_notional: AAA for" in text
    assert "buy   BBB" in text


def test_a_strategy_that_fails_keeps_its_share_and_the_exit_code_says_so(command: Command) -> None:
    """The other one trades its own half only."""
    code, plan, _ = command("--strategy", "halves.clj=0.5", "--strategy", "long.clj=0.5", "--bars", ".", "--cash", "10000", "--json")

    assert code == 3
    assert [(s["name"], s["status"]) for s in plan["strategies"]] == [("halves", "ok"), ("long", "failed")]
    assert "rsi(AAA, 10)" in plan["strategies"][1]["reason"]
    assert [(o["symbol"], o["notional"]) for o in plan["orders"]] == [("AAA", "2487.5"), ("BBB", "2487.5")]


def test_no_target_is_no_plan(command: Command) -> None:
    """Without a single target there is a reason instead of a plan."""
    code, text, _ = command("--strategy", "long.clj", "--bars", ".")

    assert code == 3
    assert "There is no plan: no strategy computed a target: long:" in text


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--bars", ".", "--strategy", "halves.clj", "--cash", "much"), 2, "--cash much: expected an amount of dollars"),
        (("--bars", ".", "--strategy", "halves.clj", "--cash", "-5"), 2, "above 0"),
        (("--bars", ".", "--strategy", "halves.clj", "--cash", "NaN"), 2, "above 0"),
        (("--bars", ".", "--strategy", "halves.clj", "--as-of", "tomorrow"), 2, "--as-of tomorrow"),
        (("--as-of", "2025-03-04"), 2, "belong to a plan on a folder"),
        (("--strategy", "halves.clj"), 2, "the account's own plan follows the settings"),
        (("--bars", "nowhere", "--strategy", "halves.clj"), 3, "nowhere"),
        (("--bars", ".", "--strategy", "halves.clj", "--as-of", "2020-01-02"), 3, ""),
        (("--state", "empty"), 7, "the embedded market is only there while it runs"),
    ],
)
def test_what_cannot_be_asked(command: Command, arguments: tuple[str, ...], code: int, words: str) -> None:
    """Wrong usage, wrong data and nobody to ask: each has its exit code and one line."""
    found, _, error = command(*arguments)

    assert found == code
    assert words in error
    assert "Traceback" not in error
