"""The how-to pages, each walked through: an account that they need is one of an exchange that runs beside."""

import json
import os
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from alchemiser.strategies.catalog import shipped_symphony
from alchemiser.strategies.symphony.check import check_bytes
from tests.component.processes import PROGRAM, environment
from tests.component.walk import DOCS, steps, walk
from tests.unit.cli.test_signals_check_backtest import sessions

WITHOUT_ACCOUNT = ("how-to-own-strategy", "how-to-composer", "how-to-backtest", "how-to-monitor", "how-to-recover", "logs")
OWN_DOOR = ("how-to-monitor", "how-to-recover")
"""Those that name the address of their daemon."""

WITH_ACCOUNT = ("how-to-paper", "how-to-live")


@pytest.fixture(scope="module")
def bars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two years of daily bars of what the pages trade."""
    folder = tmp_path_factory.mktemp("history") / "bars"
    folder.mkdir()
    random, days = np.random.default_rng(11), sessions(500)
    for symbol in sorted({*check_bytes(shipped_symphony("tecl")).symbols, "SPY", "BIL"}):
        closes = (100 * np.cumprod(1 + random.normal(0.0005, 0.01, len(days)))).round(4).tolist()
        rows = [f"{day},{close},{close},{close},{close},1000000" for day, close in zip(days, closes, strict=True)]
        (folder / f"{symbol}.csv").write_text("\n".join(["date,open,high,low,close,volume", *rows, ""]))
    return folder


@pytest.mark.slow
@pytest.mark.timeout(200)
@pytest.mark.parametrize("page", WITHOUT_ACCOUNT)
def test_a_page_works_as_it_is_written(tmp_path: Path, bars: Path, page: str) -> None:
    """Every file is saved and every command is run, in a folder of its own."""
    missing = [tool for tool in ("jq", "curl") if shutil.which(tool) is None]
    if missing and page in ("logs", "how-to-monitor"):
        pytest.skip(f"{page} needs {' and '.join(missing)}")
    folder = tmp_path / "empty"
    folder.mkdir()
    (folder / "bars").symlink_to(bars)
    walk(DOCS / f"{page}.md", folder, env={"ALCHEMISER_SERVICE__HTTP": "127.0.0.1:0"} if page not in OWN_DOOR else None)


@pytest.fixture
def venue() -> Iterator[dict[str, str]]:
    """Run an exchange of another process, in real time, and return what it prints of itself."""
    arguments = [*PROGRAM, "exchange", "--day", "2025-03-03", "--port", "0"]
    with subprocess.Popen(arguments, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        try:
            found: dict[str, str] = json.loads(process.stdout.readline())
            open_market(found)
            yield found
        finally:
            process.terminate()
            process.wait()


@pytest.mark.slow
@pytest.mark.timeout(200)
@pytest.mark.parametrize("page", WITH_ACCOUNT)
def test_a_page_works_with_an_account(tmp_path: Path, venue: dict[str, str], page: str) -> None:
    """The account is one of the exchange: the same protocol at another address, and its number where the page has one."""
    folder = tmp_path / "empty"
    folder.mkdir()
    env = {
        "APCA_API_KEY_ID": venue["key_id"],
        "APCA_API_SECRET_KEY": venue["secret_key"],
        "ALCHEMISER_ALPACA__TRADING_URL": venue["rest"],
        "ALCHEMISER_ALPACA__DATA_URL": venue["rest"],
        "ALCHEMISER_ALPACA__TRADING_STREAM_URL": venue["trading_stream"],
        "ALCHEMISER_ALPACA__DATA_STREAM_URL": venue["data_stream"],
        "XDG_RUNTIME_DIR": os.fspath(tmp_path),
    }
    walk(DOCS / f"{page}.md", folder, env=env, replace={"PA0000000000": account_number(venue)})


def open_market(venue: dict[str, str]) -> None:
    """Go to a moment of the session: the pages are followed while the exchange is open."""
    body = json.dumps({"to": "2025-03-03T15:00:00Z"}).encode()
    with urllib.request.urlopen(f"{venue['rest']}/_exchange/clock", data=body, timeout=60) as answer:  # noqa: S310 - our own exchange
        assert answer.status == 200


def account_number(venue: dict[str, str]) -> str:
    """Return the number of the exchange's account."""
    headers = {"APCA-API-KEY-ID": venue["key_id"], "APCA-API-SECRET-KEY": venue["secret_key"]}
    request = urllib.request.Request(f"{venue['rest']}/v2/account", headers=headers)  # noqa: S310 - our own exchange
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - our own exchange
        number: str = json.load(answer)["account_number"]
    return number


def test_every_how_to_page_is_walked() -> None:
    """A new page comes with its walk, and each has something to do."""
    assert {*WITHOUT_ACCOUNT, *WITH_ACCOUNT} >= {page.stem for page in DOCS.glob("how-to-*.md")}
    for page in (*WITHOUT_ACCOUNT, *WITH_ACCOUNT):
        assert sum(not name for name, _ in steps(DOCS / f"{page}.md")) > 3, page
