"""``STATE/http.json``: where the running daemon listens. Commands find it there, also when the port was picked by the system."""

import contextlib
import os
from pathlib import Path
from typing import Final

import msgspec

FILE_NAME: Final = "http.json"

PROCESS_HEADER: Final = "Alchemiser-Process"
"""Names the process that a request is meant for; another daemon at the same address refuses it."""


class HttpAddress(msgspec.Struct, frozen=True, kw_only=True):
    """The door of one running daemon: its URL without a trailing slash, and the process behind it."""

    url: str
    host: str
    port: int
    pid: int


def write_http_address(state: Path, address: HttpAddress) -> None:
    """Write the address in one step: a reader sees the old file or the new one, never half of one."""
    path = state / FILE_NAME
    draft = path.with_name(f".{FILE_NAME}.{os.getpid()}")
    draft.write_bytes(msgspec.json.encode(address) + b"\n")
    draft.replace(path)


def read_http_address(state: Path) -> HttpAddress | None:
    """Return the address in the state directory, or ``None`` when there is none that can be read."""
    try:
        return msgspec.json.decode((state / FILE_NAME).read_bytes(), type=HttpAddress)
    except (OSError, msgspec.DecodeError):
        return None


def remove_http_address(state: Path) -> None:
    """Remove the address if it is ours: a later daemon may have written its own already."""
    address = read_http_address(state)
    if address is not None and address.pid == os.getpid():
        with contextlib.suppress(FileNotFoundError):
            (state / FILE_NAME).unlink()
