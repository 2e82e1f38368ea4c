"""``alchemiser completion``: the few lines that let a shell complete commands, options and paths.

The shell then calls the program itself with each press of the tabulator key, so that what it offers is always what there is.
"""

from enum import StrEnum
from typing import Annotated

import typer
from typer.completion import get_completion_inspect_parameters, shell_complete

from alchemiser.cli.app import ASKED_BY_A_SHELL, application


class Shell(StrEnum):
    """The shells that can be taught."""

    bash = "bash"
    zsh = "zsh"
    fish = "fish"


def completion_command(shell: Annotated[Shell, typer.Argument(help="Which shell.", show_default=False)]) -> None:
    """Print the shell completion of this program, to be read by the shell when it starts.

    \b
    bash: echo 'source <(alchemiser completion bash)' >> ~/.bashrc
    zsh:  echo 'source <(alchemiser completion zsh)' >> ~/.zshrc
    fish: alchemiser completion fish > ~/.config/fish/completions/alchemiser.fish

    Example: alchemiser completion bash
    """  # noqa: D301 - the backslash keeps the lines apart
    know_the_shells()
    shell_complete(application(), {}, "alchemiser", ASKED_BY_A_SHELL, f"source_{shell.value}")


def know_the_shells() -> None:
    """Teach the command line the way in which each shell asks; needed only when one does."""
    get_completion_inspect_parameters()
