"""Every command of ``docs/backtest.md`` works as it stands on the page, and the page names every figure."""

import re
import shlex
from pathlib import Path

import msgspec
import numpy as np
import pytest

from alchemiser.backtest.metrics import Metrics
from alchemiser.cli.app import run
from alchemiser.strategies.sources import StrategySource, load_strategy
from tests.unit.cli.test_signals_check_backtest import sessions

PAGE = (Path(__file__).parents[3] / "docs" / "backtest.md").read_text()
LINES = [line for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]


def test_every_command_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """One after the other, in a folder with bars of every symbol that the strategies name, each ends well and says something."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "data" / "daily"
    folder.mkdir(parents=True)
    random = np.random.default_rng(11)
    days = sessions(300)
    loaded = [load_strategy(StrategySource(name, name, 0.5)) for name in ("tecl", "klm")]
    last = {}
    for symbol in sorted({"SPY", *(symbol for strategy in loaded for symbol in strategy.symbols)}):
        closes = 100 * np.cumprod(1 + random.normal(0, 0.01, len(days)))
        last[symbol] = closes.tolist()[-1]
        rows = [f"{day},{close}" for day, close in zip(days, closes.tolist(), strict=True)]
        (folder / f"{symbol}.csv").write_text("\n".join(["date,close", *rows, ""]))

    minutes = [
        f"{symbol},{days[-1]}T19:4{place}:00Z,{price},{price},{price},{price},1000" for place in (0, 1) for symbol, price in last.items()
    ]
    (tmp_path / "data" / "minutes.csv").write_text("\n".join(["symbol,ts,open,high,low,close,volume", *minutes, ""]))

    for line in LINES:
        command, _, target = line.partition(" > ")
        code = run(shlex.split(command)[1:])
        said = capsys.readouterr()
        assert (code, said.err) == (0, ""), line
        assert said.out
        if target:
            Path(target).write_text(said.out)
    assert len(LINES) == 12
    assert (tmp_path / "tecl.html").stat().st_size > 1_000_000
    assert "the first day that differs is" in said.out
    assert "both were made of the same bars" in said.out


def test_every_figure_is_explained() -> None:
    """A figure that is added is added to the table of the page too."""
    assert [] == [field for field in msgspec.structs.fields(Metrics) if f"`{field.name}`" not in PAGE]
