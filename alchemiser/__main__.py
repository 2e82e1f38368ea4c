"""The process: ``python -m alchemiser`` and the ``alchemiser`` script. It settles what must be settled before anything is imported."""

import os

from alchemiser.service.deferred import defer, load

# Pydantic asks every installed package whether it has a plugin: slow, and a stranger's plugin could change what a setting accepts.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

# What pydantic would have asked them with; nothing else on the way to a ready daemon wants it.
defer("importlib.metadata", "entry_points")


def main() -> None:
    """Run the command line of this process and end it."""
    load("alchemiser.cli.app:main")()


if __name__ == "__main__":
    main()
