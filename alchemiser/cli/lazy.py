"""Commands that are imported when they are called, so that starting the daemon does not load the backtest, nor asking for help anything."""

import sys
from collections.abc import Mapping
from typing import Any

import msgspec
import typer
from typer.core import TyperCommand, TyperGroup

from alchemiser.service.deferred import load


class Target(msgspec.Struct, frozen=True):
    """Where a command is (``package.module:function``) and what it does in one line."""

    path: str
    summary: str


class LazyGroup(TyperGroup):
    """A group that lists its commands without importing them and imports the one that is called.

    A key of two words, as in ``journal verify``, is a command of a group below this one. Where the first word is a command itself, as
    in ``backtest compare``, the second word chooses between the two.
    """

    def __init__(self, *, name: str, targets: Mapping[str, Target], help: str, summaries: Mapping[str, str] | None = None) -> None:  # noqa: A002
        """``summaries`` describe the groups below."""
        self._targets = {key: target for key, target in targets.items() if " " not in key}
        self._below_commands = {key: target for key, target in targets.items() if key.partition(" ")[0] in self._targets and " " in key}
        stubs: dict[str, Any] = {}
        for key, target in targets.items():
            first, _, rest = key.partition(" ")
            if not rest:
                stubs[key] = TyperCommand(name=key, callback=None, short_help=target.summary, rich_markup_mode=None)
            elif first not in stubs:
                below = {other.removeprefix(f"{first} "): value for other, value in targets.items() if other.startswith(f"{first} ")}
                stubs[first] = LazyGroup(name=first, targets=below, help=(summaries or {}).get(first, ""))
        super().__init__(name=name, commands=stubs, help=help, rich_markup_mode=None)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Show the help where no command is named, and end with 2: nothing was done."""
        if not args and not ctx.resilient_parsing:
            sys.stderr.write(f"{ctx.get_help()}\n")
            ctx.exit(2)
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Return the command that is called, imported now."""
        if (both := " ".join(args[:2])) in self._below_commands:
            return both, command_of(both, load(self._below_commands[both].path)), args[2:]
        name, command, rest = super().resolve_command(ctx, args)
        if name is not None and name in self._targets:
            command = command_of(name, load(self._targets[name].path))
        return name, command, rest


def command_of(name: str, function: Any) -> Any:
    """Return a command made of an annotated function; its docstring is the help."""
    single = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    single.command(name)(function)
    return typer.main.get_command(single)
