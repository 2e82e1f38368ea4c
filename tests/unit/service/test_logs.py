"""Log lines: their two forms, the road of other packages' lines, and secrets."""

import io
import json
import logging
import subprocess
import sys
import warnings

import pytest

from alchemiser.service.logs import Format, configure_logging, get_logger
from alchemiser.service.secrets import SecretMasker


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Return that it is one."""
        return True


def test_a_line_is_one_json_object() -> None:
    """Off a terminal each line is one JSON object: time in UTC, level, logger, event, then the context."""
    stream = io.StringIO()
    configure_logging(stream=stream)

    get_logger("daemon").bind(session="2025-03-03").info("rebalance completed", orders=3)

    line = json.loads(stream.getvalue())
    assert ["timestamp", "level", "logger", "event"] == list(line)[:4]
    assert line["timestamp"].endswith("Z")
    assert {"level": "info", "logger": "daemon", "event": "rebalance completed", "session": "2025-03-03", "orders": 3} == {
        key: value for key, value in line.items() if key != "timestamp"
    }


@pytest.mark.parametrize(
    ("style", "stream", "is_json"),
    [("auto", io.StringIO(), True), ("auto", Terminal(), False), ("json", Terminal(), True), ("pretty", io.StringIO(), False)],
)
def test_the_form_follows_the_terminal_unless_it_is_chosen(style: Format, stream: io.StringIO, is_json: bool) -> None:
    """``auto`` is pretty on a terminal and JSON elsewhere; the other two are what they say."""
    configure_logging(style=style, stream=stream)

    get_logger("x").info("hello")

    assert is_json == stream.getvalue().startswith("{")
    assert "hello" in stream.getvalue()


def test_lines_below_the_level_are_not_written() -> None:
    """The level holds for our lines and for those of others."""
    stream = io.StringIO()
    configure_logging(level="warning", stream=stream)

    get_logger("x").info("quiet")
    logging.getLogger("other").info("quiet")
    get_logger("x").warning("loud")
    logging.getLogger("other").warning("loud")

    assert ["loud", "loud"] == [json.loads(line)["event"] for line in stream.getvalue().splitlines()]


def test_lines_of_other_packages_take_the_same_road() -> None:
    """The standard library's logging ends up in the same form, with its tracebacks as text; Python's warnings too."""
    stream = io.StringIO()
    configure_logging(stream=stream)

    try:
        raise RuntimeError("lost")
    except RuntimeError:
        logging.getLogger("aiohttp.server").exception("request %s", 7)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old", DeprecationWarning, stacklevel=1)

    failed, warned = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert failed["logger"] == "aiohttp.server"
    assert failed["event"] == "request 7"
    assert failed["exception"].endswith("RuntimeError: lost")
    assert "DeprecationWarning: old" in warned["event"]


@pytest.mark.parametrize("style", ["json", "pretty"])
def test_no_line_shows_a_secret(style: Format) -> None:
    """Whatever road a secret comes by (event, context, nested value, traceback, other package), it is struck out."""
    stream = io.StringIO()
    configure_logging(style=style, masker=SecretMasker(["HUSHHUSH"]), stream=stream)
    log = get_logger("x")

    log.info("key HUSHHUSH", headers={"APCA-API-KEY-ID": ["HUSHHUSH"]}, raw=b"HUSHHUSH")
    logging.getLogger("other").warning("key %s", "HUSHHUSH")
    try:
        raise ValueError("HUSHHUSH")
    except ValueError:
        log.exception("failed")
        logging.getLogger("other").exception("failed")

    assert "HUSH" not in stream.getvalue()
    assert "**********" in stream.getvalue()


def test_values_that_json_does_not_know_are_written_as_text() -> None:
    """A log line never fails for the sake of a value in it."""
    stream = io.StringIO()
    configure_logging(stream=stream)

    get_logger("x").info("odd", value=object, mapping={1: "one"})

    line = json.loads(stream.getvalue())
    assert line["value"] == "<class 'object'>"
    assert line["mapping"] == {"1": "one"}


def test_rich_is_not_imported_and_stays_importable() -> None:
    """The start does not pay for drawn tracebacks, and others may still import rich afterwards."""
    program = "import sys, alchemiser.service.logs; assert 'rich' not in sys.modules; import rich; assert rich"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)
