"""Tables with groups of rows, in text and in HTML. Pure functions of frozen values; whatever is put in a cell passes `escape` here, so
that no caller can leave it out.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from .escape import cells, cut, escape, pad

_WIDEST = 60
"""Columns that one cell gets in text: a name may be as long as somebody likes."""
_LEAST = 20
"""Columns that a cell keeps which is cut for want of room."""


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that belong together, below a title if they have one; `more` says what is left out."""

    rows: tuple[tuple[str, ...], ...]
    title: str = ""
    more: str = ""


@dataclass(frozen=True, slots=True)
class Drawing:
    """A table at one moment. Columns are counted from 0: numbers stand at the right, prose may be broken in HTML."""

    head: tuple[str, ...]
    groups: tuple[Group, ...]
    numbers: tuple[int, ...] = ()
    prose: tuple[int, ...] = ()
    title: str = ""
    below: tuple[str, ...] = ()
    gives: tuple[int, ...] = ()
    """The columns that a narrow window does without, the first to go first."""
    shortens: int | None = None
    """The column that is cut to `_LEAST` before others go."""
    soft: tuple[int, ...] = ()
    """Columns that HTML breaks into lines where the page is narrow."""


def text(drawing: Drawing, width: int | None = None) -> str:
    """The table as lines, of `width` columns at the most if that is given; columns in which nothing stands are left out, and a
    line below says which had no room.
    """
    shown = _columns(drawing)
    every = [
        tuple(_clean(cell, i in drawing.prose) for i, cell in enumerate(row))
        for group in drawing.groups
        for row in group.rows
    ]
    needed = {i: max(cells(row[i]) for row in (drawing.head, *every)) for i in shown}
    room, left_out = _fitting(drawing, needed, width)
    shown = list(room)
    widths = list(room.values())
    rows = [tuple(row[i] for i in shown) for row in every]
    head = tuple(drawing.head[i] for i in shown)
    remaining = iter(rows)
    lines = [escape(drawing.title)] if drawing.title else []
    if rows:
        lines.append(_line(head, widths, shown, drawing.numbers))
    for group in drawing.groups:
        lines += [_line(next(remaining), widths, shown, drawing.numbers) for _ in group.rows]
        if group.more:
            lines.append(f"  {escape(group.more)}")
    if left_out:
        lines.append(f"no room for: {', '.join(drawing.head[i] for i in left_out)}")
    lines += [escape(line) for line in drawing.below]
    return "\n".join(line if width is None else cut(line, width) for line in lines)


def markup(drawing: Drawing) -> str:
    """The table as HTML, with its style."""
    shown = _columns(drawing)
    parts = [f'<p class="socklens-title">{_safe(drawing.title)}</p>'] if drawing.title else []
    if any(group.rows for group in drawing.groups):
        head = "".join(f'<th scope="col">{_safe(drawing.head[i])}</th>' for i in shown)
        bodies = "".join(_body(group, shown, drawing) for group in drawing.groups)
        parts.append(f"<table><thead><tr>{head}</tr></thead>{bodies}</table>")
    parts += [f"<p>{_safe(line)}</p>" for line in drawing.below]
    return f'<style>{_css()}</style><div class="socklens-ports">{"".join(parts)}</div>'


def _columns(drawing: Drawing) -> list[int]:
    """The columns in which something stands."""
    return [i for i in range(len(drawing.head)) if any(row[i] for group in drawing.groups for row in group.rows)]


def _fitting(drawing: Drawing, needed: dict[int, int], width: int | None) -> tuple[dict[int, int], list[int]]:
    """The columns that have room in `width`, with their widths, and those that have none."""
    room, left_out = dict(needed), []
    for column in (*drawing.gives, None):
        too_much = 0 if width is None else sum(room.values()) + 2 * (len(room) - 1) - width
        short = drawing.shortens
        if too_much > 0 and short in room and room[short] - too_much >= _LEAST:
            room[short] -= too_much
            too_much = 0
        if too_much <= 0 or column is None:
            break
        if room.pop(column, None) is not None:
            left_out.append(column)
    return room, sorted(left_out)


def _line(row: Sequence[str], widths: Sequence[int], shown: Sequence[int], numbers: Iterable[int]) -> str:
    aligned = (
        " " * (width - cells(cell)) + cell if column in numbers else pad(cell, width)
        for cell, width, column in zip(row, widths, shown, strict=True)
    )
    return "  ".join(aligned).rstrip()


def _clean(value: str, prose: bool) -> str:
    value = escape(value)
    return value if prose else cut(value, _WIDEST)


def _body(group: Group, shown: Sequence[int], drawing: Drawing) -> str:
    title = f'<tr><th scope="rowgroup" colspan="{len(shown)}">{_safe(group.title)}</th></tr>' if group.title else ""
    rows = "".join(f"<tr>{''.join(_cell(row[i], i, drawing) for i in shown)}</tr>" for row in group.rows)
    more = f'<tr class="socklens-more"><td colspan="{len(shown)}">{_safe(group.more)}</td></tr>' if group.more else ""
    start = '<tbody class="socklens-shared">' if group.title else "<tbody>"
    return f"{start}{title}{rows}{more}</tbody>"


def _cell(value: str, column: int, drawing: Drawing) -> str:
    kinds = (("number", drawing.numbers), ("prose", drawing.prose), ("soft", drawing.soft))
    kind = next((f"socklens-{word}" for word, columns in kinds if column in columns), "")
    shown = _clean(value, column in drawing.prose)
    start = f'<td class="{kind}">' if kind else "<td>"
    return f"{start}{html.escape(shown)}</td>"


def _safe(value: str) -> str:
    return html.escape(escape(value))


@cache
def _css() -> str:
    return resources.files(__package__).joinpath("ports.css").read_text(encoding="utf-8")
