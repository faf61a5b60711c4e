"""A ladder diagram as text: lifelines on the left, a row for every call, what it did on the right. Pure; no line is wider than `width`."""

from __future__ import annotations

from collections import defaultdict

from .escape import cut, escape
from .glyphs import UNICODE, Glyphs
from .ladder import Arrow, Layout, Mark
from .text import WIDTH

_SPACE = 5
_TIME = 11
_ASCII = str.maketrans({"×": "x", "…": "...", "–": "-", "╌": "."})


def ladder_text(layout: Layout, width: int = WIDTH, glyphs: Glyphs = UNICODE) -> str:
    """Draws the layout."""
    u = not glyphs.ascii_only
    lines = [cut(f"story: {layout.summary}", width, glyphs.ellipsis)]
    if not layout.rows:
        lines += [cut(note, width, glyphs.ellipsis) for note in layout.notes]
        return "\n".join(lines if u else map(_plain, lines))
    most = max(2, (width - _TIME - 24) // _SPACE)
    columns = layout.columns[:most]
    for i, column in enumerate(columns):
        lines.append(cut(f"{i + 1:>4} {escape(column.label, ascii_only=not u)}", width, glyphs.ellipsis))
    marks: dict[int, Mark] = {mark.row: mark for mark in layout.marks}
    arrows: dict[int, list[Arrow]] = defaultdict(list)
    for arrow in layout.arrows:
        arrows[arrow.start[1] if arrow.line == "pending" else arrow.end[1]].append(arrow)
    born = _born(layout)
    lines.append(" " * _TIME + "".join(f"{i + 1:<{_SPACE}}" for i in range(len(columns))).rstrip())
    for row in range(layout.rows):
        grid = [" "] * (_SPACE * len(columns))
        for i in range(len(columns)):
            if born.get(i, 0) <= row:
                grid[i * _SPACE] = ("┃" if u else "#") if _waits(layout, i, row) else glyphs.vertical
        for arrow in arrows[row]:
            _draw(grid, arrow, len(columns), u)
        mark = marks.get(row)
        words = []
        if mark is not None and mark.column < len(columns):
            grid[mark.column * _SPACE] = {"out": "●", "in": "○", "error": "×"}.get(mark.kind, "◆") if u else "*"
            words = [f"{mark.label} {mark.text}", *([f"<{mark.state}>"] if mark.state else [])]
        elif mark is not None:
            words = [f"{mark.label} {mark.text}"]
        words += _told(arrows[row], u)
        text = f"{layout.times[row]:>{_TIME - 1}} {''.join(grid)}{'  '.join(words)}"
        lines.append(cut(text if u else _plain(text), width, glyphs.ellipsis).rstrip())
    if len(columns) < len(layout.columns):
        lines.append(
            cut(f"{len(layout.columns) - len(columns)} more lifelines have no room here", width, glyphs.ellipsis)
        )
    lines += [cut(note, width, glyphs.ellipsis) for note in layout.notes]
    if any(arrow.line == "inferred" for arrow in layout.arrows):
        how = "╌" if u else "."
        lines.append(
            cut(f"{how * 3} inferred: segments that follow from the calls, and that nobody saw", width, glyphs.ellipsis)
        )
    return "\n".join(lines if u else map(_plain, lines))


def _plain(text: str) -> str:
    """For a screen that has ASCII only."""
    return escape(text.translate(_ASCII), ascii_only=True, keep="\\")


def _born(layout: Layout) -> dict[int, int]:
    """The row in which an accepted socket begins."""
    return {a.end[0]: a.end[1] for a in layout.arrows if a.line == "birth" and a.end[0] is not None}


def _waits(layout: Layout, column: int, row: int) -> bool:
    return any(m.column == column and m.top <= row < m.row for m in layout.marks)


def _draw(grid: list[str], arrow: Arrow, columns: int, u: bool) -> None:
    start, end = arrow.start[0], arrow.end[0]
    if start >= columns or (end is not None and end >= columns):
        return
    stroke = (
        {"inferred": "╌", "birth": "┄"}.get(arrow.line, "─")
        if u
        else {"inferred": ".", "birth": "."}.get(arrow.line, "-")
    )
    if end is None:
        grid[start * _SPACE + 1 : start * _SPACE + 4] = [stroke, stroke, "┤" if u else "|"]
        return
    low, high = sorted((start * _SPACE, end * _SPACE))
    for x in range(low + 1, high):
        if x % _SPACE:  # a lifeline between the two goes on
            grid[x] = stroke
    if end > start:
        grid[high - 1] = "▸" if u else ">"
    elif end < start:
        grid[low + 1] = "◂" if u else "<"


def _told(arrows: list[Arrow], u: bool) -> list[str]:
    words = []
    for arrow in arrows:
        if arrow.line == "bytes":
            words.append(f"{'←' if u else '<-'} {arrow.text} of #{arrow.number}")
        elif arrow.line == "pending":
            words.append(f"{arrow.text}, of #{arrow.number}")
        elif arrow.line != "birth":
            words.append(arrow.text)
        else:
            words.append(f"{'→' if u else '->'} {arrow.text} {(arrow.end[0] or 0) + 1}")
    return words
