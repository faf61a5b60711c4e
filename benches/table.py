"""Rows of text, and how they are laid out: Markdown whose columns also line up on a terminal."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple

HEADER = ("case", "socklens", "", "against", "", "ratio", "target", "met")


class Spread(NamedTuple):
    """Median and quartiles over the rounds."""

    median: float
    low: float
    high: float


class Row(NamedTuple):
    """One comparison, as shown."""

    case: str
    ours: str
    our_figure: str
    theirs: str
    their_figure: str
    ratio: str
    target: str
    met: bool | None  # None where there is no target
    found: Spread | None = None  # the ratio as numbers, for the plot; None where the row has another figure
    goal: float | None = None  # and the target
    at_most: bool = False  # whether less is better


def spread(values: Sequence[float]) -> Spread:
    """Median and quartiles; of a single value, that value three times."""
    if len(values) < 2:
        return Spread(values[0], values[0], values[0])
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(median, low, high)


def times(value: float) -> str:
    """A factor."""
    return f"{value:.2f}\N{MULTIPLICATION SIGN}"


def ratio(of: Spread) -> str:
    """A ratio with its quartiles, which tell how noisy the machine was."""
    return f"{times(of.median)} ({of.low:.2f}…{of.high:.2f})"


def duration(seconds: float) -> str:
    """Three significant digits with the unit that keeps them readable."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.0f} ns"


def markdown(rows: Sequence[Row]) -> str:
    """The table; a case's name stands only on its first row."""
    lines = [list(HEADER)]
    before = ""
    for row in rows:
        met = {True: "yes", False: "**no**", None: ""}[row.met]
        lines.append([row.case if row.case != before else "", *row[1:7], met])
        before = row.case
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADER))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    )
