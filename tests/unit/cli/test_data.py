"""``alchemiser data``: pulling from an exchange over real sockets, importing, listing, checking; and reading the store elsewhere."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from alchemiser.cli.exchange import ExchangeOptions, serve_exchange
from alchemiser.exchange.access import Credentials
from alchemiser.market.store.series import SeriesKey
from alchemiser.market.store.store import BarStore
from tests.unit.cli.conftest import AsyncCommand, Command

ROWS = [f"2025-02-{day},{close}" for day, close in ((20, 100), (21, 101), (24, 102), (25, 103), (26, 104), (27, 105), (28, 106))]
LAST = "2025-03-03,107"


@pytest.fixture
def bars(tmp_path: Path) -> Path:
    """A folder of two symbols, one with a gap."""
    folder = tmp_path / "csv"
    folder.mkdir()
    (folder / "SPY.csv").write_text("\n".join(["date,close", *ROWS, LAST, ""]))
    (folder / "GAP.csv").write_text("\n".join(["date,close", *ROWS[:2], *ROWS[3:], LAST, ""]))
    return folder


@pytest.fixture
async def venue(bars: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """An exchange that serves these bars on the morning of 3 March; the settings point to it."""
    where: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    options = ExchangeOptions(bars=bars, day=date(2025, 3, 3), credentials=Credentials("KEY", "SECRET"))
    async with asyncio.TaskGroup() as group:
        group.create_task(serve_exchange(options, announce=where.set_result, stop=stop), name="exchange")
        address = json.loads(await where)["rest"]
        monkeypatch.setenv("APCA_API_KEY_ID", "KEY")
        monkeypatch.setenv("APCA_API_SECRET_KEY", "SECRET")
        monkeypatch.setenv("ALCHEMISER_ALPACA__TRADING_URL", address)
        monkeypatch.setenv("ALCHEMISER_ALPACA__DATA_URL", address)
        yield address
        stop.set()


async def test_pulling_from_an_exchange(venue: str, alchemiser_beside: AsyncCommand) -> None:
    """Up to the last session that has ended, in every adjustment, with a line each; the second time nothing is new."""
    pull = ("data", "pull", "spy", "GAP", "--store", "bars", "--start", "2025-02-03")
    first = await alchemiser_beside(*pull)
    assert (first.code, first.out) == (0, "bars: 6 series up to 2025-02-28, 39 new bars\n")
    assert "1/6 GAP iex raw: pulled, 6 bars, 6 new\n" in first.err
    again = await alchemiser_beside(*pull, "--json")
    document = json.loads(again.out)
    assert {entry["outcome"] for entry in document["series"]} == {"up to date"}
    assert (document["end"], document["requests"], document["store"]) == ("2025-02-28", 0, "bars")

    series = BarStore(Path("bars")).read(SeriesKey("SPY", "iex", "all"))
    assert (series.bars.close.tolist(), series.info.source) == ([100, 101, 102, 103, 104, 105, 106], venue)


@pytest.fixture
def own(tmp_path: Path) -> None:
    """Settings with a strategy of our own."""
    rule = '(if (> (moving-average-price "SPY" {:window 5}) 50) [(asset "SPY")] [(asset "GAP")])'
    (tmp_path / "own.clj").write_text(f'(defsymphony "Own" {{:rebalance-frequency :daily}} {rule})')
    (tmp_path / "alchemiser.toml").write_text('[strategies.own]\nsource = "own.clj"\n')


@pytest.mark.usefixtures("own", "venue")
async def test_the_account_plan_reads_the_same_store(alchemiser_beside: AsyncCommand, monkeypatch: pytest.MonkeyPatch) -> None:
    """A decision on live prices asks the venue for its history once; then the store answers."""
    monkeypatch.setenv("ALCHEMISER_DATA__STORE", "bars")
    monkeypatch.setenv("ALCHEMISER_SERVICE__HTTP", "127.0.0.1:1")  # where no daemon is, whoever else runs one on this machine
    for _ in range(2):
        ended = await alchemiser_beside("plan", "--json")
        assert ended.code == 0, ended.err
        assert json.loads(ended.out)["target"] == {"SPY": 1.0}
    log = json.loads((await alchemiser_beside("data", "ls", "--json")).out)
    assert [(row["symbol"], row["adjustment"], row["rows"]) for row in log["series"]] == [("GAP", "all", 6), ("SPY", "all", 7)]


@pytest.mark.usefixtures("venue", "own")
async def test_a_terminal_shows_a_bar_and_what_was_found(alchemiser_beside: AsyncCommand, monkeypatch: pytest.MonkeyPatch) -> None:
    """The symbols are those of the strategies and of the store; what changed is told above the bar and in the sum."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    pull = ("data", "pull", "--store", "bars", "--adjustment", "all")
    ended = await alchemiser_beside(*pull, "--end", "2025-02-26")
    assert (ended.code, "2/2" in ended.err) == (0, True)
    store = BarStore(Path("bars"))
    series = store.read(SeriesKey("SPY", "iex", "all"))
    doubled = {name: 2 * getattr(series.bars, name) for name in ("open", "high", "low", "close")}
    store.write(replace(series, bars=replace(series.bars, **doubled)))
    ended = await alchemiser_beside(*pull)
    said = "SPY iex all: pulled again, 7 bars, 2 new (all closes differ by the factor 0.5"
    assert said in ended.out
    assert said in " ".join(ended.err.split())
    ended = await alchemiser_beside(*pull, "NEW")
    assert "the source has no bars of NEW" in ended.out
    ended = await alchemiser_beside(*pull, "--strategy", "own.clj", "--json")
    assert {entry["symbol"] for entry in json.loads(ended.out)["series"]} == {"GAP", "SPY"}


@pytest.mark.usefixtures("venue")
async def test_a_pull_without_a_venue_or_with_wrong_words(alchemiser_beside: AsyncCommand, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each mistake has its exit code and says what to do."""
    for arguments, code, said in (
        (("SPY",), 2, "no bar store is named"),
        (("SPY", "--store", "bars", "--start", "2025-03-03"), 2, "is after 2025-02-28"),
        (("SPY", "--store", "bars", "--start", "3.3.2025"), 2, "expected a date"),
        (("SPY", "--store", "bars", "--adjustment", "none"), 3, "expected one of raw, split, all"),
        (("../SPY", "--store", "bars"), 3, "expected letters"),
        (("SPY", "--store", "csv"), 3, "is not empty"),
    ):
        ended = await alchemiser_beside("data", "pull", *arguments)
        assert (ended.code, said in ended.err) == (code, True), ended
    monkeypatch.setenv("APCA_API_SECRET_KEY", "WRONG")
    assert (await alchemiser_beside("data", "pull", "SPY", "--store", "bars")).code == 5
    monkeypatch.delenv("APCA_API_KEY_ID")
    monkeypatch.delenv("APCA_API_SECRET_KEY")
    ended = await alchemiser_beside("data", "pull", "SPY", "--store", "bars")
    assert (ended.code, "APCA_API_KEY_ID" in ended.err) == (3, True)


def test_import_list_and_check(bars: Path, alchemiser: Command) -> None:
    """What was imported is listed with its gaps, which the check names with their days and exit code 6."""
    ended = alchemiser("data", "import", str(bars), "--store", "bars", "--feed", "mine")
    assert (ended.code, ended.out.splitlines()[-1]) == (0, "bars: 2 series from 2 files")
    rows = {row["symbol"]: row for row in json.loads(alchemiser("data", "ls", "--store", "bars", "--json").out)["series"]}
    assert [rows["GAP"][key] for key in ("feed", "adjustment", "first", "last", "rows", "gaps", "source")] == [
        "mine",
        "split",
        "2025-02-20",
        "2025-03-03",
        7,
        1,
        "GAP.csv",
    ]
    assert rows["SPY"]["gaps"] == 0
    assert "GAP     mine  split" in alchemiser("data", "ls", "--store", "bars").out

    ended = alchemiser("data", "check", "--store", "bars", "--through", "2025-03-04")
    assert ended.code == 6
    assert "GAP mine split: missing sessions, sessions without a bar: 1 (2025-02-24)\n" in ended.out
    assert "behind" in ended.out
    assert alchemiser("data", "check", "--store", "bars", "--no-gaps").code == 0
    assert alchemiser("data", "check", "SPY", "--store", "bars").out == "bars: 1 series; nothing is wrong\n"
    document = json.loads(alchemiser("data", "check", "--store", "bars", "--json").out)
    assert (document["ok"], document["series"], document["findings"][0]["days"]) == (False, 2, ["2025-02-24"])

    (Path("bars") / "mine" / "split" / "SPY.parquet").write_bytes(b"?")
    ended = alchemiser("data", "check", "SPY", "--store", "bars")
    assert (ended.code, "unreadable" in ended.out) == (6, True)
    ended = alchemiser("data", "ls", "--store", "bars")
    assert (ended.code, "GAP     mine  split" in ended.out, "SPY mine split: unreadable, bars/mine/split/SPY.parquet" in ended.out) == (
        3,
        True,
        True,
    )
    assert "1 of 2 series cannot be read; to mend one: alchemiser data pull SYMBOL, or data import FILE --replace" in ended.err
    document = json.loads(alchemiser("data", "ls", "--store", "bars", "--json").out)
    assert [[row["symbol"] for row in document[kind]] for kind in ("series", "unreadable")] == [["GAP"], ["SPY"]]
    assert alchemiser("data", "ls", "QQQ", "--store", "bars").code == 3


def test_mixed_adjustments_are_found(alchemiser: Command, tmp_path: Path) -> None:
    """A series put together from before and after a split does not match the raw one."""
    header = "date,open,high,low,close,volume,adj_close,dividend,split"
    whole = ["2025-02-27,50,50,50,50,9,50,,", "2025-02-28,50,50,50,50,9,50,,2"]
    (tmp_path / "SPY.csv").write_text("\n".join([header, *whole, ""]))
    assert alchemiser("data", "import", "SPY.csv", "--store", "bars").code == 0
    assert alchemiser("data", "check", "--store", "bars").code == 0
    Path("mixed").mkdir()
    Path("mixed/SPY.csv").write_text("date,close\n2025-02-27,100\n2025-02-28,50\n")
    assert alchemiser("data", "import", "mixed/SPY.csv", "--store", "bars", "--replace").code == 0
    ended = alchemiser("data", "check", "--store", "bars")
    assert (ended.code, "SPY import split: wrong adjustment" in ended.out) == (6, True)


def test_an_empty_store_is_said(alchemiser: Command) -> None:
    """And what is none."""
    BarStore.made(Path("bars"))
    assert alchemiser("data", "ls", "--store", "bars").out == "bars: the store is empty\n"
    ended = alchemiser("data", "check", "--store", "nowhere")
    assert (ended.code, "no bar store is there" in ended.err) == (3, True)


def test_the_settings_name_the_store(bars: Path, alchemiser: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --bars, signals and backtest read the store of the settings, the feed that is traded on where there are several."""
    monkeypatch.setenv("ALCHEMISER_DATA__STORE", "bars")
    Path("own.clj").write_text('(defsymphony "Own" {:rebalance-frequency :daily} (asset "SPY"))')
    for feed in ("iex", "mine"):
        assert alchemiser("data", "import", str(bars / "SPY.csv"), "--feed", feed).code == 0
    ended = alchemiser("signals", "--strategy", "own.clj", "--as-of", "2025-03-03", "--json")
    assert (ended.code, json.loads(ended.out)["target"]) == (0, {"SPY": 1.0})
    results = [
        json.loads(alchemiser("backtest", "--strategy", "own.clj", *more, "--json", "--bootstrap", "0").out)
        for more in ((), ("--bars", str(bars)), ("--bars", "bars/mine"))
    ]
    assert len({(result["data"]["version"], *result["equity"]) for result in results}) == 1
    assert [result["provenance"]["feed"].split(":")[0] for result in results] == ["iex", "not named", "mine"]
    ended = alchemiser("backtest", "--strategy", "own.clj", "--bars", "bars")
    assert (ended.code, "name one, as in bars/iex" in ended.err) == (3, True)


def test_without_a_feed_of_the_settings_the_only_one_is_read(bars: Path, alchemiser: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """An imported store needs no setting more."""
    monkeypatch.setenv("ALCHEMISER_DATA__STORE", "bars")
    Path("own.clj").write_text('(defsymphony "Own" {:rebalance-frequency :daily} (asset "SPY"))')
    assert alchemiser("data", "import", str(bars), "--feed", "mine").code == 0
    assert alchemiser("plan", "--strategy", "own.clj", "--bars", "bars", "--json").code == 0
    assert alchemiser("signals", "--strategy", "own.clj").code == 0
