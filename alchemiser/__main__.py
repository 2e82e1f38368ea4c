"""``python -m alchemiser`` is the command line."""

from alchemiser.cli.app import main

if __name__ == "__main__":
    main()
