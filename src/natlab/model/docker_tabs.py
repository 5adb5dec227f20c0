"""Columns as Go's text/tabwriter aligns them, which Docker's tables go through.

A cell ends with a tab; what follows a line's last tab belongs to no column. Cells of lines that
follow each other form a column, as wide as its widest cell.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Final

LIST: Final = (10, 3)
"""The least width and the padding of Docker's lists."""

TOP: Final = (20, 3)
"""The same for `docker top`."""


def align(text: str, least: int = LIST[0], padding: int = LIST[1]) -> str:
    """Align text whose cells end with tabs.

    Args:
        text: Lines.
        least: How wide a column is at least, its padding counted.
        padding: How many spaces stand between the widest cell and the next column.
    """
    lines = [line.split("\t") for line in text.split("\n")]
    widths: list[list[int]] = [[0] * (len(cells) - 1) for cells in lines]
    for first, end, column in _columns([len(known) for known in widths]):
        widest = max(len(cells[column]) for cells in lines[first:end])
        for known in widths[first:end]:
            known[column] = max(least, widest + padding)
    return "\n".join(
        "".join(cell.ljust(width) for cell, width in zip(cells, (*known, 0), strict=True))
        for cells, known in zip(lines, widths, strict=True)
    )


def _columns(counts: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Find the columns of lines that have so many cells each: first line, end, number."""
    for column in range(max(counts, default=0)):
        first = 0
        for reaches, group in itertools.groupby(counts, key=lambda count: count > column):
            end = first + len(list(group))
            if reaches:
                yield first, end, column
            first = end
