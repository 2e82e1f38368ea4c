"""What every test gets: the process's logging as it was before, whatever a command under test did to it.

And no bound on how long an example of a property may take: a slow machine is no counterexample. And what is logged has plain
tracebacks: structlog's own, with every variable of every frame, take longer to print than the days they tell of take to pass.
"""

import logging
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import HealthCheck, settings

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

structlog.configure(
    processors=[
        *structlog.get_config()["processors"][:-1],
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """Put back what ``configure_logging`` changes for the whole process: a stream that a test closed must not meet the next one."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    config, was_configured = structlog.get_config(), structlog.is_configured()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()
    if was_configured:
        structlog.configure(**config)
