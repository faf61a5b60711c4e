"""A ladder diagram as SVG, and as HTML with its details. Pure strings of a layout; every text is escaped for markup here."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from .escape import cut, escape, quoted
from .ladder import Arrow, Column, Layout, Mark
from .ladder_places import ROW, TIME, TOP, Box, Words, fit, places, wide, y_of

if TYPE_CHECKING:
    from ..story._cast import Actor
    from ..story._events import Event

_MOST_LISTED = 20
_MOST_DETAILS = 80
_AT_ONCE = 8  # folded rows that are listed; more of them wait behind one line
_FEW = 4  # with the quote before them and the ellipsis behind
_FARTHEST = 600  # pixels
_LINE = 17  # pixels, of the legend
_HEAD = 42  # pixels, of the lifelines' names
_LEAST = 0.87  # of a drawing's own width: letters of 10.5 px, with which a chat of three fits a notebook's cell


def ladder_svg(layout: Layout, *, standalone: bool = True) -> str:
    """The drawing. `standalone` brings the style and the frame that a file needs."""
    xs, rooms, width = places(layout)
    legend = _lines(_legend(layout), width - 16) if standalone else []
    foot = TOP + layout.rows * ROW + 20
    height = foot + (16 + _LINE * len(legend) if legend else 0)
    names = _names(layout, xs)
    parts: list[str] = []
    if not standalone:
        # They stay in sight while the calls scroll away under them.
        who = ", ".join(column.label for column in layout.columns)
        parts += [_open(f"Lifelines: {who}", width, 0, _HEAD, "sl-names"), *names, "</svg>"]
    parts += [
        _open(_title(layout), width, 0 if standalone else _HEAD, height, "" if standalone else "sl-calls"),
        f"<title>{_t(_title(layout))}</title><desc>{_t(_description(layout))}</desc>",
    ]
    if standalone:
        parts.append(f'<style>{css()}</style><rect width="100%" height="100%" style="fill:var(--sl-paper)"/>')
        parts += names
    parts += _lifelines(layout, xs)
    fans = Counter(place for a in layout.arrows if a.line == "bytes" for place in (("from", a.start), ("to", a.end)))
    words = Words()
    for arrow in layout.arrows:
        if arrow.end[0] is not None:
            words.draw(*_ends(arrow, xs))
    marks = [_mark(mark, layout.columns, xs, rooms, width, words) for mark in layout.marks]
    marks += [_left(arrow, layout.columns, xs, words) for arrow in layout.arrows if arrow.end[0] is None]
    arrows = [
        _arrow(a, xs, fans["from", a.start] > 1, fans["to", a.end] > 1, words)
        for a in layout.arrows
        if a.end[0] is not None
    ]
    parts += [line for line, _ in arrows]
    parts += marks
    parts += [text for _, text in arrows]
    parts += [
        f'<text class="sl-time" x="{TIME - 8}" y="{y_of(row) + 4}" text-anchor="end">{_t(time)}</text>'
        for row, time in enumerate(layout.times)
        if time
    ]
    parts += [
        f'<text class="sl-seg" x="8" y="{foot + 18 + _LINE * i}">{_t(line)}</text>' for i, line in enumerate(legend)
    ]
    parts += [
        f'<text class="sl-time" x="8" y="{y_of(mark.row) + 4}">#{mark.numbers[0]}{"…" if len(mark.numbers) > 1 else ""}</text>'
        for mark in layout.marks
    ]
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
        f"<p>{_t(' · '.join(_legend(layout)))}</p>",
        *(f"<p>{_t(note)}</p>" for note in layout.notes),
    ]
    details = [_details(mark, by_number, actors) for mark in folds[:_MOST_DETAILS]]
    if len(folds) > _MOST_DETAILS:
        details.append(f"<p>{len(folds) - _MOST_DETAILS:,} more folded rows: to_json() has every call</p>")
    if len(folds) > _AT_ONCE:
        details = [f"<details><summary>{len(folds):,} folded rows, call by call</summary>", *details, "</details>"]
    parts += [*details, "</div>"]
    body = "".join(parts)
    if not page:
        return body
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{_t(title)}</title>'
        '<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">'
        f'<body class="socklens-story sl-page" style="margin:1rem">{body}</body></html>'
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


def _legend(layout: Layout) -> list[str]:
    words = [
        "● sends",
        "○ receives",
        "◆ opens or ends",
        "× fails",
        "a bar: the call waited",
        "solid arrows: bytes, from send to recv",
        "causes stand above their effects, with the times as measured",
    ]
    if any(len(mark.numbers) > 1 for mark in layout.marks):
        words.append("9 times: so many calls in one row")
    if any(arrow.line == "inferred" for arrow in layout.arrows):
        words.append("dashed: inferred, nobody saw these segments")
    return words


def _lines(words: Sequence[str], pixels: float) -> list[str]:
    """The parts of a legend in as many lines as they need."""
    lines: list[str] = []
    for word in words:
        together = f"{lines[-1]} · {word}" if lines else word
        if lines and wide(together) <= pixels:
            lines[-1] = together
        else:
            lines.append(word)
    return lines


# -- parts


def _open(label: str, width: int, top: int, bottom: int, part: str) -> str:
    """The tag of a drawing, or of the `part` of one between these heights. In a page it becomes narrower with its frame, as far as words
    can still be read; then the frame scrolls.
    """
    narrow = f'style="width:100%;max-width:{width}px;min-width:{round(width * _LEAST)}px;height:auto" ' if part else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="{f"socklens-story {part}".rstrip()}" role="img" aria-label="{_t(label)}" '
        f'{narrow}width="{width}" height="{bottom - top}" viewBox="0 {top} {width} {bottom - top}">'
    )


def _names(layout: Layout, xs: Sequence[int]) -> list[str]:
    return [
        f'<text class="sl-role" x="{x}" y="20" text-anchor="middle">{_t(title)}</text>'
        f'<text class="sl-head" x="{x}" y="36" text-anchor="middle">{_t(cut(column.endpoint, 30))}</text>'
        for column, title, x in zip(layout.columns, _titles(layout.columns, xs), xs, strict=True)
    ]


def _titles(columns: Sequence[Column], xs: Sequence[int]) -> list[str]:
    """What stands above each lifeline; where two would run into one another, the longer does without its role."""
    titles = [cut(column.title, 26) for column in columns]
    for i in range(len(titles) - 1):
        room = 2 * (xs[i + 1] - xs[i] - 4)
        longer, other = sorted((i, i + 1), key=lambda k: wide(titles[k]), reverse=True)
        for k in (longer, other):
            if wide(titles[i]) + wide(titles[i + 1]) > room:
                titles[k] = titles[k].removeprefix(f"{columns[k].role} ")
        if wide(titles[i]) + wide(titles[i + 1]) > room:
            titles[longer] = fit(titles[longer], room - wide(titles[other]))
    return titles


def _lifelines(layout: Layout, xs: Sequence[int]) -> list[str]:
    born = {a.end[0]: a.end[1] for a in layout.arrows if a.line == "birth"}
    bottom = TOP + layout.rows * ROW + 4
    return [
        f'<line class="sl-life" x1="{x}" y1="{y_of(born[i]) if i in born else TOP - 8}" x2="{x}" y2="{bottom}"/>'
        for i, x in enumerate(xs)
    ]


def _written(mark: Mark, room: int, edge: int) -> tuple[str, float]:
    """What is written of a call, and the room that its state takes beside it. A row has one call's words, so what was done goes on over
    lifelines, up to the `edge`, where its own `room` is too narrow; how long it took, and the state that followed, do not.
    """
    of_state = wide(mark.state) + 8 if mark.state else 0.0
    if of_state + wide(mark.text.partition(" [")[0]) > room:
        of_state = 0.0  # what was done comes before what followed; the title has both
    text = fit(mark.text, room - of_state)
    if text.endswith("…"):
        text = fit(mark.text.partition(" [")[0], max(room, min(edge, _FARTHEST)))
        what, _, letters = text.partition(" B ")
        if letters and len(letters) < _FEW:  # of the bytes some letters or none
            text = f"{what} B"
    return text, of_state


def _mark(
    mark: Mark, columns: Sequence[Column], xs: Sequence[int], rooms: Sequence[int], width: int, words: Words
) -> str:
    x, y, kind = xs[mark.column], y_of(mark.row), mark.kind
    parts = [f"<g><title>{_t(mark.label)} {_t(mark.text)} {_t(mark.state or '')}</title>"]
    if mark.top < mark.row:
        top = y_of(mark.top) - ROW // 3
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
    text, of_state = _written(mark, rooms[mark.column] - 14, (x - TIME if left else width - x) - 14)
    long = wide(text) + of_state
    words.write(Box(at - long, y - 8, at, y + 8) if left else Box(at, y - 8, at + long, y + 8))
    state = f'<tspan class="sl-state" dx="6">{_t(mark.state or "")}</tspan>' if of_state else ""
    parts.append(f'<text{style} x="{at}" y="{y + 4}" text-anchor="{anchor}">{_t(text)}{state}</text></g>')
    return "".join(parts)


def _left(arrow: Arrow, columns: Sequence[Column], xs: Sequence[int], words: Words) -> str:
    """What has not been taken: on the side of its sender where no arrows are."""
    x, y = xs[arrow.start[0]], y_of(arrow.start[1])
    way = -1 if columns[arrow.start[0]].outward == "left" else 1
    anchor = "end" if way < 0 else "start"
    low, high = sorted((x + 8 * way, x + (30 + wide(arrow.text)) * way))
    words.write(Box(low, y - 8, high, y + 8))
    return (
        f'<line class="sl-pending" x1="{x}" y1="{y - ROW + 7}" x2="{x}" y2="{y}"/>'
        f'<line class="sl-pending" x1="{x}" y1="{y}" x2="{x + 16 * way}" y2="{y}"/>'
        f'<text class="sl-seg" x="{x + 21 * way}" y="{y + 4}" text-anchor="{anchor}">{_t(arrow.text)}</text>'
    )


def _ends(arrow: Arrow, xs: Sequence[int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Where an arrow that arrives begins and ends."""
    assert arrow.end[0] is not None
    x1, x2 = xs[arrow.start[0]], xs[arrow.end[0]]
    way = 1 if x2 >= x1 else -1
    return (x1 + 7 * way, y_of(arrow.start[1])), (x2 - 7 * way, y_of(arrow.end[1]))


def _arrow(arrow: Arrow, xs: Sequence[int], fans_out: bool, fans_in: bool, words: Words) -> tuple[str, str]:
    """Its line, and its words, if there is a place for them."""
    (x1, y1), (x2, y2) = _ends(arrow, xs)
    dim = "" if arrow.line == "bytes" else "-dim"
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
    first = 0.82 if fans_out else 0.18 if fans_in else 0.3 if abs(y2 - y1) > ROW else 0.5
    place = words.beside((x1, y1), (x2, y2), arrow.text, first)
    line = f'<line class="sl-{arrow.line}" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/><polygon class="sl-tip{dim}" points="{tip}"/>'
    if place is None:
        return line, ""
    return (
        line,
        f'<text class="sl-seg" x="{place[0]:.0f}" y="{place[1]:.0f}" text-anchor="middle">{_t(arrow.text)}</text>',
    )


# -- what was folded


def _details(mark: Mark, by_number: Mapping[int, Event], actors: Mapping[int, Actor]) -> str:
    first = by_number[mark.numbers[0]]
    rows = [_detail(by_number[number]) for number in mark.numbers[:_MOST_LISTED]]
    more = len(mark.numbers) - len(rows)
    label = escape(actors[first.socket].label)
    rest = f"<p>and {more:,} more: to_json() has every call</p>" if more else ""
    return (
        f"<details><summary>{_t(mark.label)} {_t(label)}: {_t(mark.text)}</summary>"
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
