"""``backtest --engine event`` along minute bars: by hand, without look-ahead, and what is refused."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from tests.unit.cli.test_signals_check_backtest import Command, command

__all__ = ["command"]

RISING = '(defsymphony "R" {:rebalance-frequency :daily} (if (> (cumulative-return "A" {:window 1}) 0) [(asset "A")] [(asset "B")]))'
RUN = ("backtest", "--engine", "event", "--strategy", "rising.clj", "--bars", "bars", "--cash", "10000", "--bootstrap", "0", "--json")
ALONG = (*RUN, "--minutes", "minutes")
VECTOR = ("backtest", "--strategy", "rising.clj", "--bars")

Minute = tuple[str, float]
"""The hour and minute at which a bar begins, in UTC, and its price."""


def write_daily(folder: Path, symbol: str, rows: Sequence[str], header: str = "date,close") -> None:
    (folder / f"{symbol}.csv").write_text("\n".join([header, *rows, ""]))


def write_minutes(path: Path, symbol: str, days: Mapping[str, Sequence[Minute]]) -> None:
    """Write bars of which open, high, low and close are one price."""
    bars = [f"{symbol},{day}T{at}:00Z,{price},{price},{price},{price},100000" for day, minutes in days.items() for at, price in minutes]
    (path / f"{symbol}_minutes.csv").write_text("\n".join(["symbol,ts,open,high,low,close,volume", *bars, ""]))


@pytest.fixture
def bars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a working directory with daily bars of three days, and minutes of the last two of them; the decision is at 20:50 UTC."""
    monkeypatch.chdir(tmp_path)
    for name in ("bars", "minutes"):
        (tmp_path / name).mkdir()
    (tmp_path / "rising.clj").write_text(RISING)
    write_daily(tmp_path / "bars", "A", ["2025-03-03,100", "2025-03-04,96", "2025-03-05,94"])
    write_daily(tmp_path / "bars", "B", ["2025-03-03,50", "2025-03-04,51", "2025-03-05,53"])
    write_minutes(
        tmp_path / "minutes",
        "A",
        {
            "2025-03-04": [("14:30", 101.0), ("20:48", 101.5), ("20:49", 102.0), ("20:50", 95.0), ("20:59", 96.0)],
            "2025-03-05": [("14:30", 99.0), ("20:49", 95.0), ("20:50", 120.0), ("20:59", 94.0)],
        },
    )
    write_minutes(
        tmp_path / "minutes",
        "B",
        {
            "2025-03-04": [("14:30", 50.0), ("20:45", 50.0), ("20:59", 51.0)],
            "2025-03-05": [("14:30", 51.0), ("20:49", 52.0), ("20:50", 40.0), ("20:59", 53.0)],
        },
    )
    return tmp_path


def test_two_days_by_hand(bars: Path, command: Command) -> None:
    """The minute that begins at the decision is not seen, and fills are made at what is.

    4th: A stands at 102, above its close of 100, so 10,000 dollars buy 98.0392 A at 102, worth 96 each at the close. 5th: A stands at 95,
    below its close of 96: they are sold for 9,313.73 dollars, which buy 179.1101 B at 52, worth 53 each at the close.
    """
    code, answer, _ = command(*ALONG)

    assert code == 0
    assert answer["dates"] == ["2025-03-04", "2025-03-05"]
    assert [round(value, 2) for value in answer["equity"]] == [9_411.76, 9_492.84]
    assert [target["weights"] for target in answer["targets"]] == [{"A": 1.0}, {"B": 1.0}]
    assert answer["provenance"]["intraday"] == {"decision": "close - 10m", "sessions_of_minutes": 2, "sessions_of_daily_bars": []}


def test_the_moment_of_the_decision_can_be_chosen(bars: Path, command: Command) -> None:
    """One minute later the minute from 20:50 on has ended, in which A fell to 95 on the 4th and rose to 120 on the 5th."""
    answer = command(*ALONG, "--decide", "close - 9m")[1]
    assert [target["weights"] for target in answer["targets"]] == [{"B": 1.0}, {"A": 1.0}]


def test_what_comes_after_the_decision_changes_nothing_that_was_done(bars: Path, command: Command) -> None:
    """Without the minutes from the last decision on, and without the daily bars of that day, everything is as it was but the last close."""
    whole = command(*ALONG)[1]
    for symbol, kept in (("A", ["2025-03-03,100", "2025-03-04,96"]), ("B", ["2025-03-03,50", "2025-03-04,51"])):
        write_daily(bars / "bars", symbol, kept)
        path = bars / "minutes" / f"{symbol}_minutes.csv"
        path.write_text("\n".join([row for row in path.read_text().splitlines() if "05T20:5" not in row] + [""]))
    cut = command(*ALONG)[1]

    assert cut["targets"] == whole["targets"]
    assert cut["equity"][0] == whole["equity"][0]
    assert round(cut["equity"][1], 2) == 9_313.73, "what B was bought for, for its last price is all that is known of it"


def test_orders_are_worked_along_the_minutes(bars: Path, command: Command) -> None:
    """With ``--fill path`` the ladder buys A from 20:50 on, where it costs 95 to 96, not at the 102 that the decision was made on."""
    answers = [command(*ALONG, "--fill", "path", "--end", "2025-03-04")[1] for _ in range(2)]
    (equity,) = answers[0]["equity"]

    assert answers[0]["targets"][0]["weights"] == {"A": 1.0}
    assert 10_000 * 0.94 < equity < 10_000 * 1.012
    assert equity != pytest.approx(9_411.76, abs=1.0)
    assert answers[0]["digest"] == answers[1]["digest"]


def test_the_same_inputs_give_the_same_bytes_and_a_changed_minute_others(bars: Path, command: Command) -> None:
    """The recorded minutes are part of the data version."""
    first, second = (command(*ALONG)[1] for _ in range(2))
    path = bars / "minutes" / "B_minutes.csv"
    path.write_text(path.read_text().replace("14:30:00Z,50.0,50.0,50.0,50.0", "14:30:00Z,50.0,50.1,50.0,50.1"))
    other = command(*ALONG)[1]

    assert {**first, "seconds": 0} == {**second, "seconds": 0}
    assert first["equity"] == other["equity"]
    assert first["data"]["version"] != other["data"]["version"]


def test_minutes_alone_are_bars_too(bars: Path, command: Command) -> None:
    """A folder with nothing but ``SYMBOL.csv`` of minutes: daily bars are made of them, and the first day has nothing to compare with."""
    for symbol in "AB":
        source = (bars / "minutes" / f"{symbol}_minutes.csv").read_text().replace("symbol,ts", "ts").replace(f"{symbol},2025", "2025")
        (bars / "bars" / f"{symbol}.csv").write_text(source)
    code, answer, _ = command(*RUN, "--benchmark", "B")

    assert code == 0
    assert answer["dates"] == ["2025-03-05"]
    assert round(answer["equity"][0], 2) == round(10_000 / 52 * 53, 2)


def test_prices_of_their_day_meet_adjusted_closes(bars: Path, command: Command) -> None:
    """A was split two for one before the 5th and paid since: its minutes of the 4th are of old shares, and the curve is the same."""
    before = command(*ALONG)[1]
    halves = ["2025-03-03,50,49,", "2025-03-04,48,47.04,", "2025-03-05,47,46.06,2", "2025-03-06,46,46,"]
    write_daily(bars / "bars", "A", halves, "date,close,adj_close,split")
    path = bars / "minutes" / "A_minutes.csv"
    path.write_text(
        path.read_text().replace("99.0", "49.5").replace("05T20:49:00Z,95.0,95.0,95.0,95.0", "05T20:49:00Z,47.5,47.5,47.5,47.5")
    )
    path.write_text(path.read_text().replace("120.0", "60.0").replace("94.0", "47.0"))
    after = command(*ALONG)[1]

    assert after["equity"] == pytest.approx(before["equity"], rel=1e-9)


def test_a_day_without_recent_trades_is_lived_as_a_daily_bar(bars: Path, command: Command) -> None:
    """B was last traded more than half an hour before the decision of the 5th: it is decided on and filled at the close, and told."""
    path = bars / "minutes" / "B_minutes.csv"
    path.write_text("\n".join([row for row in path.read_text().splitlines() if "05T20:4" not in row] + [""]))
    ends_before = command(*ALONG)[1]
    rows = {"A": [("20:49", 90.0)], "B": [("20:49", 53.0)]}
    for symbol, minutes in rows.items():
        daily = bars / "bars" / f"{symbol}.csv"
        daily.write_text(daily.read_text() + f"2025-03-06,{minutes[0][1]}\n")
        with (bars / "minutes" / f"{symbol}_minutes.csv").open("a") as file:
            file.write("".join(f"{symbol},2025-03-06T{at}:00Z,{price},{price},{price},{price},1000\n" for at, price in minutes))
    lived = command(*ALONG)[1]

    assert ends_before["dates"] == ["2025-03-04"], "the last day that can be lived along its minutes"
    assert lived["dates"] == ["2025-03-04", "2025-03-05", "2025-03-06"]
    assert lived["provenance"]["intraday"]["sessions_of_daily_bars"] == ["2025-03-05"]
    assert round(lived["equity"][1], 2) == round(10_000 / 102 * 94, 2), "sold at the close of the 5th, 94, and B bought at 53"


def test_what_is_delisted_is_valued_at_its_last_close(bars: Path, command: Command) -> None:
    """A ends on the 4th: on the 5th nothing can be decided, which is told, and the 98.0392 A that are held stay worth 96 dollars each."""
    write_daily(bars / "bars", "A", ["2025-03-03,100", "2025-03-04,96"])
    path = bars / "minutes" / "A_minutes.csv"
    path.write_text("\n".join([row for row in path.read_text().splitlines() if "2025-03-05" not in row] + [""]))
    answer = command(*ALONG)[1]

    assert answer["dates"] == ["2025-03-04", "2025-03-05"]
    assert [round(value, 2) for value in answer["equity"]] == [9_411.76, 9_411.76]
    assert [failure["first"] for failure in answer["failures"]] == ["2025-03-05"]
    assert "A has no bar on 2025-03-05, its latest is of 2025-03-04" in answer["failures"][0]["reason"]


@pytest.mark.parametrize(
    ("spoil", "arguments", "code", "words"),
    [
        (lambda here: None, (*ALONG, "--fill", "next-open"), 2, "a decision is filled in its own session"),
        (
            lambda here: None,
            ("backtest", "--strategy", "rising.clj", "--bars", "bars", "--minutes", "minutes"),
            2,
            "they need --engine event",
        ),
        (lambda here: None, (*RUN, "--decide", "close - 9m"), 2, "--decide is a moment inside a session"),
        (lambda here: None, (*ALONG, "--decide", "noon"), 2, '--decide "noon" is not a time of a session'),
        (lambda here: None, (*ALONG, "--decide", "close - 30s"), 2, "leaves no minute of the session"),
        (lambda here: None, (*RUN, "--minutes", "nowhere"), 3, "--minutes nowhere: there is no such file"),
        (lambda here: None, (*RUN, "--minutes", "bars"), 3, "--minutes bars: no minute bars"),
        (
            lambda here: write_daily(here / "bars", "A", ["2025-03-03,1000", "2025-03-04,960", "2025-03-05,940"]),
            ALONG,
            3,
            "A ends 2025-03-04 at 96 in its minutes and at 960 in its daily bars",
        ),
        (
            lambda here: (here / "minutes" / "B_minutes.csv").unlink(),
            ALONG,
            3,
            "on 2025-03-05, for one, B had no trade in the 30 minutes before the decision at 20:50 UTC",
        ),
    ],
)
def test_what_is_refused(
    spoil: Callable[[Path], object], arguments: Sequence[str], code: int, words: str, bars: Path, command: Command
) -> None:
    """Named, with the exit code of wrong usage or of bad data."""
    spoil(bars)
    answer = command(*arguments)

    assert answer[0] == code
    assert words in answer[2]


def test_minutes_that_lack_weeks_are_refused(bars: Path, command: Command) -> None:
    """Where nothing else is known of a symbol: indicators would be of other days than their names say."""
    for symbol in "AB":
        (bars / "bars" / f"{symbol}.csv").unlink()
        write_minutes(bars / "bars", symbol, {"2025-03-04": [("20:49", 50.0)], "2025-05-05": [("19:49", 50.0)]})
    code, _, words = command(*RUN)

    assert code == 3
    assert "A has no minute bars between 2025-03-04 and 2025-05-05, 42 sessions" in words


def test_half_days_are_decided_before_their_own_close(bars: Path, command: Command) -> None:
    """On 3 July 2025 the exchange closes at 13:00 in New York: at 16:50 UTC the minute before is the last that is seen."""
    for symbol, price in (("A", 101.0), ("B", 50.0)):
        write_daily(bars / "bars", symbol, [f"2025-07-02,{price - 1}", f"2025-07-03,{price - 2}"])
        write_minutes(bars / "minutes", symbol, {"2025-07-03": [("16:49", price), ("16:50", 1.5 * price), ("16:59", price - 2)]})
    answer = command(*ALONG)[1]

    assert answer["targets"] == [{"date": "2025-07-03", "weights": {"A": 1.0}}]
    assert round(answer["equity"][0], 2) == round(10_000 / 101 * 99, 2)
