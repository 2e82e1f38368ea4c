"""Log lines: few and rich, JSON in service, readable on a terminal, all on standard error.

Lines of other packages, which use the standard library's logging, take the same road. Every line is stripped of known secrets last,
after tracebacks have become text. Standard output belongs to the answers of commands and is never written here.
"""

import logging
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, Literal, TextIO

import orjson

from alchemiser.service.log_repeats import Repeats
from alchemiser.service.secrets import SecretMasker

# structlog imports rich, with pygments behind it, wherever it can, to draw tracebacks that this daemon writes as plain text.
# For the moment of its import rich is hidden: that saves the start a tenth of a second and the process nine megabytes.
_RICH_WAS_THERE: Final = "rich" in sys.modules
if not _RICH_WAS_THERE:
    sys.modules["rich"] = None  # type: ignore[assignment]
try:
    import structlog
finally:
    if not _RICH_WAS_THERE:
        del sys.modules["rich"]

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["auto", "json", "pretty"]
Processor = Callable[[Any, str, Any], Any]

_QUIET: Final = {"aiohttp.access": logging.WARNING, "websockets": logging.WARNING, "asyncio": logging.WARNING}
"""Loggers of others that would write a line per request, frame or turn."""


def configure_logging(
    *,
    level: Level = "info",
    style: Format = "auto",
    masker: SecretMasker | None = None,
    stream: TextIO | None = None,
    repeats: Repeats | None = None,
) -> None:
    """Send every log line of the process to ``stream`` (standard error), in JSON or pretty; calling it again replaces the first call.

    ``auto`` is pretty on a terminal. ``masker`` strikes out secrets; more can be added to it later. With
    ``repeats`` lines that say the same again are counted instead of written.
    """
    stream = sys.stderr if stream is None else stream
    pretty = style == "pretty" or (style == "auto" and stream.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        _name_the_logger,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        _Mask(masker := masker or SecretMasker()),
    ]
    render: Processor = _pretty(stream) if pretty else _to_json
    structlog.configure(
        processors=[*shared, *([_Collapse(repeats)] if repeats else []), render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    if repeats is not None:
        write = structlog.WriteLogger(stream).msg
        repeats.write = lambda line: write(render(None, str(line.get("level", "info")), dict(line)))
        handler.addFilter(partial(_is_new, repeats, masker))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name, quiet in _QUIET.items():
        logging.getLogger(name).setLevel(max(quiet, logging.getLevelNamesMapping()[level.upper()]))
    logging.captureWarnings(True)


def get_logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """Return a logger whose lines carry ``logger=name``; bind context to it as work proceeds."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(logger_name=name)
    return logger


def _name_the_logger(logger: Any, method: str, event: dict[str, Any]) -> dict[str, Any]:
    if "logger_name" in event:  # structlog reserves the word "logger" for itself until here.
        event["logger"] = event.pop("logger_name")
    return event


class _Collapse:
    def __init__(self, repeats: Repeats) -> None:
        self._repeats = repeats

    def __call__(self, logger: Any, method: str, event: Any) -> Any:
        if not self._repeats.admit(event):
            raise structlog.DropEvent
        return event


def _is_new(repeats: Repeats, masker: SecretMasker, record: logging.LogRecord) -> bool:
    """Return whether a line of another package is to be written now. What its traceback says is not compared."""
    written_at = f"{datetime.fromtimestamp(record.created, UTC):%Y-%m-%dT%H:%M:%S.%fZ}"  # As structlog writes it: lines are sorted by it.
    line = {"timestamp": written_at, "level": record.levelname.lower()}
    return repeats.admit(masker.value(line | {"logger": record.name, "event": record.getMessage()}))


class _Mask:
    def __init__(self, masker: SecretMasker) -> None:
        self._masker = masker

    def __call__(self, logger: Any, method: str, event: Any) -> Any:
        return self._masker.value(event)


def _to_json(logger: Any, method: str, event: dict[str, Any]) -> str:
    ordered = {key: event.pop(key) for key in ("timestamp", "level", "logger", "event") if key in event}
    return orjson.dumps(ordered | event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def _pretty(stream: TextIO) -> Processor:
    return structlog.dev.ConsoleRenderer(
        colors=stream.isatty() and not os.environ.get("NO_COLOR"), exception_formatter=structlog.dev.plain_traceback, pad_event_to=0
    )
