"""``alchemiser reload``: the running daemon reads its settings again, takes what it can and says what that is."""

import sys
from typing import Annotated, Any

import msgspec
import typer

from alchemiser.cli.control import ReasonOption
from alchemiser.cli.daemon_client import tell
from alchemiser.cli.options import ConfigOption, JsonOption, StateOption, load
from alchemiser.domain.errors import ConfigError
from alchemiser.domain.setting_change import SettingChange, in_words
from alchemiser.service.settings_load import in_words_of_a_reload
from alchemiser.service.settings_section import When
from alchemiser.service.view import to_json


def reload_command(
    *,
    check: Annotated[bool, typer.Option("--check", help="Say what would change, and change nothing.")] = False,
    reason: ReasonOption = "operator",
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have the daemon read its settings again: the file it was started with, its secret files, its key ring.

    What differs is printed, each setting with when it takes effect: at once, at the next decision, or only at the next start.
    Settings that are wrong change nothing: each place to mend is named, and the exit code is 3.
    A new service.token is taken, too, but this command must show the old one: use systemctl reload or SIGHUP to change it.

    Example: alchemiser reload --check
    """
    try:
        settings = load(config, state=state).settings
    except ConfigError as error:
        raise ConfigError(in_words_of_a_reload(error)) from None
    done = tell(settings, "reload", {"reason": reason, "check": check})
    if as_json:
        sys.stdout.buffer.write(to_json(done) + b"\n")
    else:
        sys.stdout.write(_text(done, is_check=check))


def _text(done: dict[str, Any], *, is_check: bool) -> str:
    changes = msgspec.convert(done["changes"], list[SettingChange])
    if not changes:
        return "Nothing differs from the settings that run.\n"
    lines = [in_words(change) for change in changes]
    if is_check:
        lines.append("Nothing was changed: this was a check.")
    if done["waits_for"] is not None and any(change.takes_effect == When.NEXT_DECISION for change in changes):
        lines.append(f"What decisions are made of waits for the end of rebalance {done['waits_for']}.")
    late = [change.key for change in changes if change.takes_effect == When.NEXT_START]
    if late:
        lines.append(f"{len(late)} of them need a restart: {', '.join(late)}.")
    return "".join(f"{line}\n" for line in lines)
