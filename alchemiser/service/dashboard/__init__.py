"""The dashboard: three files, served as they are. It needs no build and nothing from elsewhere, and asks the API for all that it shows."""

from functools import cache
from pathlib import Path
from typing import Final

_TYPES: Final = {
    "index.html": "text/html; charset=utf-8",
    "dashboard.css": "text/css; charset=utf-8",
    "dashboard.js": "text/javascript; charset=utf-8",
    "charts.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}


@cache
def asset(name: str) -> tuple[bytes, str] | None:
    """Return the content and the content type of a file of the dashboard, ``None`` for a name that is not one."""
    if name not in _TYPES:
        return None
    return Path(__file__).with_name(name).read_bytes(), _TYPES[name]
