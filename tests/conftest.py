"""What every test gets: the process's logging as it was before, whatever a command under test did to it."""

import logging
from collections.abc import Iterator

import pytest
import structlog


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
