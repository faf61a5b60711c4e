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


def text(drawing: Drawing, width: int | None = None) -> str:
    """The table as lines, of `width` columns at the most if that is given; columns in which nothing stands are left out."""
    shown = _columns(drawing)
    rows = [tuple(_clean(row[i], i in drawing.prose) for i in shown) for group in drawing.groups for row in group.rows]
    head = tuple(drawing.head[i] for i in shown)
    widths = [max(map(cells, column)) for column in zip(head, *rows, strict=True)]
    remaining = iter(rows)
    lines = [escape(drawing.title)] if drawing.title else []
    if rows:
        lines.append(_line(head, widths, shown, drawing.numbers))
    for group in drawing.groups:
        lines += [_line(next(remaining), widths, shown, drawing.numbers) for _ in group.rows]
        if group.more:
            lines.append(f"  {escape(group.more)}")
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
    kind = "socklens-number" if column in drawing.numbers else "socklens-prose" if column in drawing.prose else ""
    shown = _clean(value, column in drawing.prose)
    start = f'<td class="{kind}">' if kind else "<td>"
    return f"{start}{html.escape(shown)}</td>"


def _safe(value: str) -> str:
    return html.escape(escape(value))


@cache
def _css() -> str:
    return resources.files(__package__).joinpath("ports.css").read_text(encoding="utf-8")
