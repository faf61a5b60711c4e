"""The table as a picture: every ratio with its quartiles and its target, better to the right. Nothing is measured here.

A pure function of rows. The background is opaque and the letters are outlines, so that it reads the same in a light and in a
dark viewer, whatever fonts are there.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from table import Row, Spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INCHES_A_LINE, WIDTH, MARGINS = 0.205, 11.0, 1.3
INK, FAINT, GRID, PAPER = "#1c2733", "#66727f", "#d8dee4", "#ffffff"
# Told apart by shape as well as by color (Okabe and Ito's, for all eyes).
STYLES = {
    True: ("target met", "#0072b2", "o"),
    False: ("target missed", "#d55e00", "X"),
    None: ("no target", "#7f8a95", "D"),
}


class _Line(NamedTuple):
    """One line of the picture: a case's heading, or a ratio."""

    label: str
    row: Row | None = None


def _lines(rows: Sequence[Row]) -> list[_Line]:
    lines: list[_Line] = []
    case = ""
    for row in rows:
        if row.found is None:
            continue
        if row.case != case:
            case = row.case
            lines.append(_Line(case))
        what = row.ratio.rsplit(")", 1)[-1].strip() if ")" in row.ratio else row.ratio.split(" ", 1)[-1]
        lines.append(_Line(f"{row.ours} / {row.theirs}{f', {what}' if what else ''}", row))
    return lines


def _better_to_the_right(row: Row, found: Spread) -> tuple[Spread, float | None]:
    """A ratio and its target; where less is better, both upside down."""
    if not row.at_most:
        return found, row.goal
    upside_down = Spread(1 / found.median, 1 / found.high, 1 / found.low)
    return upside_down, None if row.goal is None else 1 / row.goal


def draw(rows: Sequence[Row], path: Path, caption: str) -> None:
    """Draws the rows that have a ratio into an SVG file; ImportError where matplotlib is not installed."""
    import matplotlib
    from matplotlib.figure import Figure

    lines = _lines(rows)
    with matplotlib.rc_context({"svg.hashsalt": "socklens", "font.size": 8, "text.color": INK, "axes.edgecolor": GRID}):
        height = MARGINS + INCHES_A_LINE * len(lines)
        figure = Figure(figsize=(WIDTH, height), facecolor=PAPER)
        # Margins in inches, whatever the number of lines.
        axes = figure.add_axes((0.36, 0.55 / height, 0.62, (height - MARGINS) / height), facecolor=PAPER)
        _scale(axes, len(lines))
        for place, line in enumerate(lines):
            _line(axes, place, line)
        _legend(axes)
        figure.text(
            0.01,
            1 - 0.3 / height,
            "socklens against its peers: ratios, better to the right",
            fontsize=12,
            weight="bold",
        )
        figure.text(0.01, 1 - 0.52 / height, caption, color=FAINT)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="svg", metadata={"Date": None})


def _scale(axes: Axes, count: int) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    axes.set_ylim(count - 0.3, -0.7)
    axes.set_yticks([])
    axes.xaxis.set_major_locator(LogLocator(base=10, subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}×"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(which="both", length=0, labelcolor=INK, labeltop=True)
    axes.grid(axis="x", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.axvline(1, color=FAINT, linewidth=1)
    for side in ("left", "right", "top", "bottom"):
        axes.spines[side].set_visible(False)


def _line(axes: Axes, place: int, line: _Line) -> None:
    beside: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "va": "center", "clip_on": False}
    if line.row is None or line.row.found is None:
        axes.text(-0.55, place, line.label, weight="bold", **beside)
        return
    found, goal = _better_to_the_right(line.row, line.row.found)
    _, color, marker = STYLES[line.row.met]
    axes.text(-0.54, place, line.label, **beside)
    axes.plot([found.low, found.high], [place, place], color=color, linewidth=1.6, solid_capstyle="round")
    axes.plot([found.median], [place], color=color, marker=marker, markersize=5.5, markeredgewidth=0)
    if goal is not None:
        axes.plot([goal], [place], color=INK, marker="|", markersize=11, markeredgewidth=1.6)


def _legend(axes: Axes) -> None:
    from matplotlib.lines import Line2D

    shown = [
        Line2D([], [], color=color, marker=marker, markersize=5.5, linewidth=1.6, markeredgewidth=0, label=name)
        for name, color, marker in STYLES.values()
    ]
    shown.append(
        Line2D([], [], color=INK, marker="|", markersize=11, markeredgewidth=1.6, linestyle="none", label="target")
    )
    axes.legend(handles=shown, loc="lower right", bbox_to_anchor=(1, 1), ncols=4, frameon=False, borderaxespad=1.6)
