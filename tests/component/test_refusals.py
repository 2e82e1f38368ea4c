"""What prevents a start: one clear line, the documented exit code, no traceback."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.component.processes import run

NOBODY = {
    "APCA_API_KEY_ID": "key",
    "APCA_API_SECRET_KEY": "a-secret-nobody-may-see",
    "ALCHEMISER_ALPACA__TRADING_URL": "http://127.0.0.1:9",
    "ALCHEMISER_ALPACA__DATA_URL": "http://127.0.0.1:9",
    "ALCHEMISER_ALPACA__TRADING_STREAM_URL": "ws://127.0.0.1:9/stream",
    "ALCHEMISER_ALPACA__DATA_STREAM_URL": "ws://127.0.0.1:9/v2/sip",
}
TECL = ("BIL", "BSV", "KMLM", "SPXL", "SPY", "SQQQ", "TECL", "TQQQ", "UVXY", "XLK")


def _settings(text: str) -> Callable[[Path], None]:
    def write(place: Path) -> None:
        place.joinpath("alchemiser.toml").write_text(text)

    return write


def _broken_bars(place: Path) -> None:
    place.joinpath("bars").mkdir()
    for symbol in TECL:
        place.joinpath("bars", f"{symbol}.csv").write_text("date,close\n2025-01-02,abc\n")


def _stranger(place: Path) -> None:
    text = '(defsymphony "x" {:asset-class "EQUITIES" :rebalance-frequency :daily} (weight-equal [(asset "ZZZQ" "z")]))'
    place.joinpath("x.clj").write_text(text)
    place.joinpath("bars").mkdir()
    place.joinpath("bars", "SPY.csv").write_text("date,close\n2025-01-02,100\n")


def _nothing(place: Path) -> None:
    """Prepare nothing."""


CASES = [
    ("unknown setting", _settings("[portfolio]\nno_trade_bnd = 0.1\n"), ["run"], {}, 3, "alchemiser.toml, line 2: portfolio.no_trade_bnd"),
    ("wrong type", _settings('[portfolio]\nno_trade_band = "wide"\n'), ["run"], {}, 3, "portfolio.no_trade_band"),
    (
        "shares that do not add up",
        _settings('[strategies.a]\nsource = "tecl"\nallocation = 0.6\n[strategies.b]\nsource = "nuclear"\nallocation = 0.6\n'),
        ["run"],
        {},
        3,
        "add up to 1, found 1.2",
    ),
    ("broken file", _settings("[portfolio\n"), ["run"], {}, 3, "alchemiser.toml"),
    ("unknown variable", _nothing, ["run"], {"ALCHEMISER_PORTFOLIO__BAND": "1"}, 3, "ALCHEMISER_PORTFOLIO__BAND"),
    ("no credentials", _nothing, ["run", "--paper"], {}, 3, "APCA_API_KEY_ID"),
    ("venue away", _nothing, ["run", "--paper"], NOBODY, 5, "cannot be reached"),
    ("live without agreement", _settings('[alpaca]\nmode = "live"\n'), ["run"], NOBODY, 4, "--live"),
    ("modes together", _nothing, ["run", "--paper", "--live"], {}, 2, "exclude"),
    ("no such folder", _nothing, ["run", "--bars", "nowhere", "--days", "1"], {}, 3, "nowhere"),
    ("unreadable bars", _broken_bars, ["run", "--bars", "bars", "--days", "1"], {}, 3, "line 2"),
    ("unknown symbol", _stranger, ["run", "--bars", "bars", "--days", "1", "--strategy", "x.clj"], {}, 3, "ZZZQ"),
    ("unknown strategy", _nothing, ["run", "--strategy", "tekl"], {}, 3, "did you mean tecl"),
    ("beyond the bars", _nothing, ["run", "--start", "1999-01-04", "--days", "1"], {}, 3, "1999-01-04"),
    ("not a date", _nothing, ["run", "--start", "monday"], {}, 2, "monday"),
    ("open to the world", _nothing, ["run"], {"ALCHEMISER_SERVICE__HTTP": "0.0.0.0:0"}, 4, "token"),
    ("nobody to ask", _nothing, ["status"], {}, 7, "no daemon"),
]


@pytest.mark.parametrize(("prepare", "arguments", "env", "code", "words"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_refusal_is_one_line_and_its_exit_code(
    tmp_path: Path, prepare: Callable[[Path], None], arguments: list[str], env: dict[str, str], code: int, words: str
) -> None:
    """The message names what is wrong, the code is the documented one, secrets and tracebacks stay out."""
    prepare(tmp_path)
    done = run(*arguments, env=env, cwd=tmp_path)

    assert done.returncode == code, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("alchemiser: ")]
    assert len(lines) == 1, done.stderr
    assert words in lines[0]
    assert "Traceback" not in done.stderr
    assert "a-secret-nobody-may-see" not in done.stderr + done.stdout


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    """The port that somebody else has is named, with what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = run("run", "--days", "1", env={"ALCHEMISER_SERVICE__HTTP": address}, cwd=tmp_path)

    assert done.returncode == 3
    assert address in done.stderr
    assert "Traceback" not in done.stderr
