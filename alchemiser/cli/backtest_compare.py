"""``alchemiser backtest compare``: two results of ``backtest --json`` side by side."""

import math
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from alchemiser.backtest.compare import Comparison, compare, read_result
from alchemiser.cli.chart import line_chart
from alchemiser.cli.options import JsonOption


def backtest_compare(
    *,
    first: Annotated[Path, typer.Argument(metavar="A.json", help="A result written with backtest --json.")],
    second: Annotated[Path, typer.Argument(metavar="B.json", help="Another one.")],
    json: JsonOption = False,
) -> None:
    """Compare the figures of two results, and their equity on every day that both have.

    Example: alchemiser backtest compare before.json after.json
    """
    comparison = compare((str(first), read_result(first)), (str(second), read_result(second)))
    if json:
        typer.echo(msgspec.json.encode(comparison))
    else:
        _show(comparison)


def _show(comparison: Comparison) -> None:
    console = Console(highlight=False)
    if comparison.is_same:
        console.print(f"the same: {comparison.sessions} sessions, every equity and every figure", soft_wrap=True)
        return
    table = Table(box=None)
    for title in ("", comparison.first, comparison.second, "difference"):
        table.add_column(title, justify="right" if title else "left")
    for figure in comparison.figures:
        table.add_row(figure.name.replace("_", " "), *map(_number, (figure.first, figure.second, figure.difference)))
    console.print(table)
    console.print(f"{comparison.sessions} common sessions; {comparison.only_first} only in A, {comparison.only_second} only in B")
    console.print(f"furthest apart on {comparison.largest_on}: B {comparison.largest_relative:+.4%} against A, from one beginning")
    if comparison.first_difference is not None:
        console.print(f"the first day that differs is {comparison.first_difference}")
    if comparison.same_data is not None:
        console.print("both were made of the same bars" if comparison.same_data else "they were made of different bars")
    for term in comparison.terms:
        told = f"{term.name.replace('_', ' ')}: {term.first} in A, {term.second} in B"
        console.print(told, markup=False, soft_wrap=True)
    apart = [1.0 + change.relative for change in comparison.equity]
    if len(apart) > 1 and max(apart) < math.inf:
        console.print(line_chart(apart, label="{:.4f}", is_plain=not console.encoding.startswith("utf")), markup=False)


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:,.6f}"
