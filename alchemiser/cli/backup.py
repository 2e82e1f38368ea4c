"""``backup`` and ``restore``: a state directory in one file, and back."""

import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from alchemiser.cli.options import ConfigOption, JsonOption, StateOption, load
from alchemiser.domain.errors import UsageError
from alchemiser.service.backup import Manifest, back_up, restore
from alchemiser.service.clock import WallClock

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="The backup.")]


def backup_command(file: FileArgument, *, state: StateOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Write the state directory into one file, also while the daemon runs: journal, books, settings without secrets. It is verified.

    Exit 3: there is no journal, or FILE exists or cannot be written. Exit 6: the journal, or what was written, does not verify.

    Example: alchemiser backup /var/backups/alchemiser.tgz --state state
    """
    loaded = load(config, state=state)
    _tell("backed up", file, loaded.settings.service.state, back_up(loaded, file, now=WallClock().now()), as_json=as_json)


def restore_command(file: FileArgument, *, state: StateOption = None, as_json: JsonOption = False) -> None:
    """Put a backup into an empty state directory. The settings are not touched: they are in the file, as settings.json.

    Exit 3: FILE is no backup. Exit 4: DIR is not empty, or a daemon runs there. Exit 6: FILE is damaged. Nothing has changed then.

    Example: alchemiser restore /var/backups/alchemiser.tgz --state state
    """
    if state is None:
        raise UsageError("--state DIR says where to; nothing was restored")
    _tell("restored", file, state, restore(file, state), as_json=as_json)


def _tell(done: str, file: Path, state: Path, manifest: Manifest, *, as_json: bool) -> None:
    if as_json:
        document = {"file": str(file), "state": str(state), **msgspec.to_builtins(manifest)}
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n")
        return
    size = sum(piece.bytes for piece in manifest.files.values())
    sys.stdout.write(f"{state}: {done}, {file}\n")
    sys.stdout.write(f"  {len(manifest.files)} files, {size} bytes, events up to {manifest.last_event}, epoch {manifest.epoch}\n")
    sys.stdout.write(f"  state hash: {manifest.state_hash}\n")
