"""A curve in a terminal: several lines of braille dots, or one line of blocks. Pure functions.

A character of braille has two columns of four dots, so ten characters by two lines are a picture of 20 x 8 dots.
"""

from collections.abc import Sequence
from itertools import pairwise

BLOCKS = "▁▂▃▄▅▆▇█"
BLANK = 0x2800
# The bit of each dot, by its row and column in the character.
BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
# A wait so much longer than usual is shown as a gap.
GAP = 4

Point = tuple[float, float]


def sparkline(values: Sequence[float], width: int) -> str:
    """The last `width` values, lowest to highest."""
    shown = values[-width:]
    levels = _levels(shown, len(BLOCKS))
    return "".join(BLOCKS[level] for level in levels)


def braille(points: Sequence[Point], begin: float, end: float, width: int, height: int) -> list[str]:
    """`points` are (time, value), oldest first; the picture spans `begin` to `end` and the values' own range."""
    cells = [[BLANK] * width for _ in range(height)]
    columns, rows = width * 2, height * 4
    levels = _levels([value for _, value in points], rows)
    dots = [
        (min(max(int((time - begin) / (end - begin) * columns), 0), columns - 1), level)
        for (time, _), level in zip(points, levels, strict=True)
    ]
    for x, level in _joined(dots):
        y = rows - 1 - level
        cells[y // 4][x // 2] |= BITS[y % 4][x % 2]
    return ["".join(map(chr, line)) for line in cells]


def _joined(dots: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """With the dots between neighbours, except over gaps."""
    steps = sorted(right - left for (left, _), (right, _) in pairwise(dots))
    widest = max(GAP, GAP * steps[len(steps) // 2]) if steps else 0
    line = list(dots)
    for (left, low), (right, high) in pairwise(dots):
        if right - left <= widest:
            line += [(x, round(low + (high - low) * (x - left) / (right - left))) for x in range(left + 1, right)]
    return line


def _levels(values: Sequence[float], count: int) -> list[int]:
    """0 to count - 1; in the middle when all are the same."""
    low, high = min(values, default=0.0), max(values, default=0.0)
    if high == low:
        return [(count - 1) // 2] * len(values)
    return [round((value - low) / (high - low) * (count - 1)) for value in values]
