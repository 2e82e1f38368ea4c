"""``STATE/http.json``."""

import os
from pathlib import Path

from alchemiser.service.state_file import HttpAddress, read_http_address, remove_http_address, write_http_address

OURS = HttpAddress(url="http://127.0.0.1:4711", host="127.0.0.1", port=4711, pid=os.getpid())


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """The file holds the address and nothing else is left in the directory."""
    write_http_address(tmp_path, OURS)

    assert OURS == read_http_address(tmp_path)
    assert ["http.json"] == [path.name for path in tmp_path.iterdir()]


def test_a_missing_or_broken_file_is_no_address(tmp_path: Path) -> None:
    """Half a file, or none, is as good as no daemon."""
    assert read_http_address(tmp_path) is None
    (tmp_path / "http.json").write_text('{"url": ')
    assert read_http_address(tmp_path) is None


def test_only_ones_own_address_is_removed(tmp_path: Path) -> None:
    """A daemon that ends late does not remove what its successor wrote."""
    theirs = HttpAddress(url="http://127.0.0.1:1", host="127.0.0.1", port=1, pid=os.getpid() + 1)
    write_http_address(tmp_path, theirs)
    remove_http_address(tmp_path)
    assert theirs == read_http_address(tmp_path)

    write_http_address(tmp_path, OURS)
    remove_http_address(tmp_path)
    remove_http_address(tmp_path)
    assert read_http_address(tmp_path) is None
