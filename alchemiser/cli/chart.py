"""Curves, small ones and bars as text."""

import math
from collections.abc import Sequence

_EIGHTHS = " ▁▂▃▄▅▆▇█"
_BARS = " ▏▎▍▌▋▊▉"


def line_chart(values: Sequence[float], *, label: str = "{:,.0f}", width: int = 64, height: int = 7, is_plain: bool = False) -> str:
    """Return the area under a curve of values that are not negative, the last of each column, between its lowest and highest.

    A curve that grows more than fivefold is drawn on a logarithmic scale, and says so; one that does not move is one line. ``is_plain``
    uses ASCII alone.
    """
    columns = min(width, len(values))
    shown = [values[(place + 1) * len(values) // columns - 1] for place in range(columns)]
    low, high = min(shown), max(shown)
    height = height if high > low else 1
    is_log = high > 5.0 * low > 0.0
    rise = math.log(high / low) if is_log else high - low
    scale = (height * 8 - 1) / rise if rise > 0.0 else 0.0
    levels = [1 + round((math.log(value / low) if is_log else value - low) * scale) for value in shown]
    ends = {height - 1: label.format(high), 0: label.format(low)}
    margin = max(map(len, ends.values()))
    lines = []
    for row in range(height - 1, -1, -1):
        cells = (min(max(level - row * 8, 0), 8) for level in levels)
        drawn = "".join(("#" if cell >= 4 else " ") if is_plain else _EIGHTHS[cell] for cell in cells)
        lines.append(f"{ends.get(row, ''):>{margin}} {'|' if is_plain else '┤'}{drawn}".rstrip())
    if is_log:
        lines.append(f"{'log':>{margin}}")
    return "\n".join(lines)


def sparkline(values: Sequence[float], *, width: int = 24, is_plain: bool = False) -> str:
    """Return values as one line of blocks between their lowest and highest, the last of each column; nothing for no values.

    ``is_plain`` uses ASCII alone.
    """
    marks = "_.-=*#" if is_plain else _EIGHTHS[1:]
    columns = min(width, len(values))
    shown = [values[(place + 1) * len(values) // columns - 1] for place in range(columns)]
    low, high = min(shown, default=0.0), max(shown, default=0.0)
    scale = (len(marks) - 1) / (high - low) if high > low else 0.0
    return "".join(marks[round((value - low) * scale)] for value in shown)


def bar(share: float, *, width: int = 12, is_plain: bool = False) -> str:
    """Return a share from 0 to 1 as a bar; what lies beyond is cut off."""
    eighths = round(min(max(share, 0.0), 1.0) * width * 8)
    if is_plain:
        return "#" * round(eighths / 8)
    return _EIGHTHS[8] * (eighths // 8) + _BARS[eighths % 8].strip()
