"""A ladder diagram as SVG, and as HTML with its details. Pure strings of a layout; every text is escaped for markup here."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from .escape import cells, cut, escape, quoted
from .ladder import Arrow, Column, Layout, Mark

if TYPE_CHECKING:
    from ..story._cast import Actor
    from ..story._events import Event

_ROW = 24
_TOP = 58
_TIME = 74
_LABEL = 120  # room for a call's words, at the least
_LETTER = 6.5  # pixels, of the words' own 12; proportional letters are no wider on average
_HALF = 130  # between an end and the listener beside it
_LONGEST = 38
_MOST_LISTED = 20
_MOST_DETAILS = 80


def ladder_svg(layout: Layout, *, standalone: bool = True) -> str:
    """The drawing. `standalone` brings the style and the frame that a file needs."""
    xs, width = _places(layout.columns, _rooms(layout))
    height = _TOP + layout.rows * _ROW + 20 + (34 if standalone else 0)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="socklens-story" role="img" aria-label="{_t(_title(layout))}" '
        f'width="{width}" height="{height}" viewBox="0 0 {width} {height}">',
        f"<title>{_t(_title(layout))}</title><desc>{_t(_description(layout))}</desc>",
    ]
    if standalone:
        parts.append(f'<style>{css()}</style><rect width="100%" height="100%" style="fill:var(--sl-paper)"/>')
    parts += _lifelines(layout, xs)
    fans = Counter(arrow.start for arrow in layout.arrows if arrow.line == "bytes")
    parts += [_arrow(arrow, layout.columns, xs, fans[arrow.start] > 1) for arrow in layout.arrows]
    parts += [_mark(mark, layout.columns, xs) for mark in layout.marks]
    parts += [
        f'<text class="sl-time" x="{_TIME - 8}" y="{_y(row) + 4}" text-anchor="end">{_t(time)}</text>'
        for row, time in enumerate(layout.times)
        if time
    ]
    if standalone:
        parts.append(f'<text class="sl-seg" x="8" y="{height - 14}">{_t(_legend(layout))}</text>')
    parts.append("</svg>")
    return "".join(parts)


def ladder_html(
    layout: Layout, events: Sequence[Event], actors: Mapping[int, Actor], *, page: bool = False, title: str = "Story"
) -> str:
    """The drawing with what it folds, row by row; `page` makes a whole document of it."""
    by_number = {event.number: event for event in events}
    folds = [mark for mark in layout.marks if len(mark.numbers) > 1]
    parts = [
        f'<style>{css()}</style><div class="socklens-story"><p><strong>{_t(title)}</strong> {_t(layout.summary)}</p>',
        f'<div class="sl-scroll">{ladder_svg(layout, standalone=False)}</div>',
        f"<p>{_t(_legend(layout))}</p>",
        *(f"<p>{_t(note)}</p>" for note in layout.notes),
    ]
    parts += [_details(mark, by_number, actors) for mark in folds[:_MOST_DETAILS]]
    if len(folds) > _MOST_DETAILS:
        parts.append(f"<p>{len(folds) - _MOST_DETAILS:,} more folded rows: to_json() has every call</p>")
    parts.append("</div>")
    body = "".join(parts)
    if not page:
        return body
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{_t(title)}</title>'
        '<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">'
        f'<body class="socklens-story" style="margin:1rem">{body}</body></html>'
    )


@cache
def css() -> str:
    """The style of every form."""
    return resources.files(__package__).joinpath("ladder.css").read_text(encoding="utf-8")


def _t(text: str) -> str:
    return html.escape(text)


def _title(layout: Layout) -> str:
    return f"Ladder diagram: {layout.summary}"


def _description(layout: Layout) -> str:
    rows = [f"{layout.columns[mark.column].label}: {mark.text}" for mark in layout.marks[:30]]
    more = len(layout.marks) - len(rows)
    return "; ".join([*rows, *([f"and {more:,} more"] if more else [])])


def _legend(layout: Layout) -> str:
    words = [
        "● sends",
        "○ receives",
        "◆ opens or ends",
        "× fails",
        "a bar: the call waited",
        "solid arrows: bytes, from send to recv",
    ]
    if any(arrow.line == "inferred" for arrow in layout.arrows):
        words.append("dashed: inferred, nobody saw these segments")
    return " · ".join(words)


# -- places


def _rooms(layout: Layout) -> list[int]:
    """What the longest words beside each lifeline take."""
    rooms = [_LABEL] * len(layout.columns)
    for mark in layout.marks:
        letters = min(cells(mark.text), _LONGEST) + (len(mark.state) + 1 if mark.state else 0)
        rooms[mark.column] = max(rooms[mark.column], round(letters * _LETTER) + 16)
    return rooms


def _places(columns: Sequence[Column], rooms: Sequence[int]) -> tuple[list[int], int]:
    """Where each lifeline stands, and how wide all is."""
    xs: list[int] = []
    x = _TIME
    for i, column in enumerate(columns):
        before = columns[i - 1] if i else None
        room_on_left = rooms[i] if column.outward == "left" else 16 if before is None else 0
        if before is not None and before.outward == "left":
            x += _HALF + (_HALF // 2 if column.role == "listener" else 70)
        elif before is not None and before.role == "listener" and column.role == "accepted" and i > 1:
            x += _HALF + _HALF // 2
        elif before is not None:
            x += rooms[i - 1] + 16
        xs.append(x := x + room_on_left)
    return xs, x + (rooms[-1] if rooms else _LABEL) + 16


def _y(row: int) -> int:
    return _TOP + row * _ROW + _ROW // 2


def _lifelines(layout: Layout, xs: Sequence[int]) -> list[str]:
    born = {a.end[0]: a.end[1] for a in layout.arrows if a.line == "birth"}
    parts = []
    for i, (column, x) in enumerate(zip(layout.columns, xs, strict=True)):
        role, _, name = column.label.partition(" ")
        start = _y(born[i]) if i in born else _TOP - 8
        parts.append(
            f'<text class="sl-role" x="{x}" y="20" text-anchor="middle">{_t(role)}</text>'
            f'<text class="sl-head" x="{x}" y="36" text-anchor="middle">{_t(cut(name, 30))}</text>'
            f'<line class="sl-life" x1="{x}" y1="{start}" x2="{x}" y2="{_TOP + layout.rows * _ROW + 4}"/>'
        )
    return parts


def _mark(mark: Mark, columns: Sequence[Column], xs: Sequence[int]) -> str:
    x, y, kind = xs[mark.column], _y(mark.row), mark.kind
    parts = ["<g>"]
    numbers = f"#{mark.numbers[0]}" + (f"–#{mark.numbers[-1]}" if len(mark.numbers) > 1 else "")
    parts.append(f"<title>{_t(numbers)} {_t(mark.text)}</title>")
    if mark.top < mark.row:
        top = _y(mark.top) - _ROW // 3
        parts.append(f'<rect class="sl-bar sl-k-{kind}" x="{x - 4}" y="{top}" width="8" height="{y - top}" rx="3"/>')
    if kind == "error":
        parts.append(f'<path class="sl-k-error" d="M{x - 5} {y - 5}l10 10m0 -10l-10 10"/>')
    elif kind in ("life", "look"):
        parts.append(f'<path class="sl-k-{kind}" d="M{x} {y - 6}l6 6l-6 6l-6 -6z"/>')
    else:
        parts.append(f'<circle class="sl-k-{kind}" cx="{x}" cy="{y}" r="5" stroke-width="2"/>')
    left = columns[mark.column].outward == "left"
    at, anchor = (x - 11, "end") if left else (x + 11, "start")
    style = ' class="sl-t-error"' if kind == "error" else ""
    room = _LONGEST - (
        len(mark.state) + 5 if mark.state else 0
    )  # a state's letters are capitals, with a gap before them
    state = f'<tspan class="sl-state" dx="6">{_t(mark.state)}</tspan>' if mark.state else ""
    parts.append(
        f'<text{style} x="{at}" y="{y + 4}" text-anchor="{anchor}">{_t(cut(mark.text, room))}{state}</text></g>'
    )
    return "".join(parts)


def _arrow(arrow: Arrow, columns: Sequence[Column], xs: Sequence[int], in_a_fan: bool) -> str:
    x1, y1, y2 = xs[arrow.start[0]], _y(arrow.start[1]), _y(arrow.end[1])
    dim = "" if arrow.line in ("bytes", "pending") else "-dim"
    if arrow.end[0] is None:
        way = 1 if columns[arrow.start[0]].outward == "left" else -1
        x2 = x1 + 46 * way
        anchor = "start" if way > 0 else "end"
        return (
            f'<line class="sl-pending" x1="{x1 + 7 * way}" y1="{y1}" x2="{x2}" y2="{y1}"/>'
            f'<text class="sl-seg" x="{x2 + 5 * way}" y="{y1 + 4}" text-anchor="{anchor}">{_t(arrow.text)}</text>'
        )
    x2 = xs[arrow.end[0]]
    way = 1 if x2 >= x1 else -1
    x1, x2 = x1 + 7 * way, x2 - 7 * way
    long = max(1.0, ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5)
    dx, dy = (x2 - x1) / long, (y2 - y1) / long
    tip = " ".join(
        f"{px:.1f},{py:.1f}"
        for px, py in (
            (x2, y2),
            (x2 - 8 * dx + 4 * dy, y2 - 8 * dy - 4 * dx),
            (x2 - 8 * dx - 4 * dy, y2 - 8 * dy + 4 * dx),
        )
    )
    # Where other arrows are far: those of one send at their heads, those into one recv at their feet.
    at = 0.82 if in_a_fan else 0.3 if abs(y2 - y1) > _ROW else 0.5
    tx, ty = x1 + (x2 - x1) * at, y1 + (y2 - y1) * at
    return (
        f'<line class="sl-{arrow.line}" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/><polygon class="sl-tip{dim}" points="{tip}"/>'
        f'<text class="sl-seg" x="{tx:.0f}" y="{ty - 4:.0f}" text-anchor="middle">{_t(arrow.text)}</text>'
    )


# -- what was folded


def _details(mark: Mark, by_number: Mapping[int, Event], actors: Mapping[int, Actor]) -> str:
    first = by_number[mark.numbers[0]]
    rows = [_detail(by_number[number]) for number in mark.numbers[:_MOST_LISTED]]
    more = len(mark.numbers) - len(rows)
    label = escape(actors[first.socket].label)
    rest = f"<p>and {more:,} more: to_json() has every call</p>" if more else ""
    return (
        f"<details><summary>#{mark.numbers[0]}–#{mark.numbers[-1]} {_t(label)}: {_t(mark.text)}</summary>"
        "<table><tr><th>#</th><th>ended</th><th>took</th><th>bytes</th><th>from</th><th>first of them</th><th>thread</th></tr>"
        f"{''.join(rows)}</table>{rest}</details>"
    )


def _detail(event: Event) -> str:
    cells = (
        str(event.number),
        f"{event.ended * 1e3:.3f} ms",
        "began before" if event.seconds is None else f"{event.seconds * 1e6:,.0f} µs",
        "" if event.count is None else f"{event.count:,}",
        "" if event.offset is None else f"{event.offset:,}",
        quoted(event.head[:16]) if event.head else "",
        escape(event.thread),
    )
    return f"<tr>{''.join(f'<td>{_t(cell)}</td>' for cell in cells)}</tr>"
