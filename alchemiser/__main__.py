"""The process: ``python -m alchemiser`` and the ``alchemiser`` script. It settles what must be settled before anything is imported."""

import os
import sys

from alchemiser.service.deferred import defer, load
from alchemiser.service.kill_signal import EARLY

# Pydantic asks every installed package whether it has a plugin: slow, and a stranger's plugin could change what a setting accepts.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

# What others import and nothing on the way to a ready daemon uses: together a twentieth of the start.
defer("importlib.metadata", "entry_points")  # pydantic, which would have asked for its plugins with it
defer("dotenv", "dotenv_values")  # pydantic-settings; our settings come from other files
defer("difflib", "get_close_matches")  # typer, for words that it does not know
defer("html", "escape")  # aiohttp, for the text of errors
defer("idna")  # yarl, for hosts that are not ASCII
defer("shutil", "get_terminal_size")  # typer, for the width of its help; with all ways of compressing behind it
defer("tomllib")  # our settings, when there is a file of them
defer("urllib.request", "getproxies", "proxy_bypass")  # aiohttp and websockets, which are told not to look for a proxy


def main() -> None:
    """Run the command line of this process and end it."""
    if "run" in sys.argv[1:2]:
        EARLY.listen()  # Before the daemon is even loaded: a signal that means a kill must not end the process.
    load("alchemiser.cli.app:main")()


if __name__ == "__main__":
    main()
