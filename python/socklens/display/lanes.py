"""Draws the time of several clients as lanes: where each waited, and when it was served. Pure functions of frozen views, as text and as
SVG; names have passed `escape`. Times are seconds from the picture's beginning.
"""

from __future__ import annotations

import hashlib
import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from importlib import resources

from .escape import cells, cut, escape, pad
from .glyphs import UNICODE, Glyphs
from .rows import wrapped
from .text import WIDTH

_LONGEST_NAME = 16
_NARROWEST = 40


class Phase(Enum):
    """Where a client's time goes. The value is the word that a wide enough bar carries."""

    QUEUE = "accept queue"
    """Derived: from the return of the client's connect to the begin of its handler."""
    WAITING = "accepted, waits"
    """Its handler is at work, outside of what the handler marks as service."""
    SERVED = "served"
    """What the handler marks."""


@dataclass(frozen=True, slots=True)
class Span:
    """One phase of one client."""

    phase: Phase
    begin: float
    end: float


@dataclass(frozen=True, slots=True)
class LaneView:
    """One client: when it came, what happened, and when it was done; ``failed`` names the error that ended it."""

    name: str
    came: float
    spans: tuple[Span, ...]
    done: float | None = None
    failed: str = ""


@dataclass(frozen=True, slots=True)
class LanesView:
    """All clients up to one moment, in the order in which they came. The time axis is at least ``least`` seconds long."""

    title: str
    lanes: tuple[LaneView, ...]
    now: float
    least: float = 0.001

    @property
    def until(self) -> float:
        """Where the axis ends: now if somebody is still waiting, else when the last one was done."""
        return max([self.least, *(self.now if lane.done is None else lane.done for lane in self.lanes)])


_SOURCES = "Measured at the client and in its handler; the time in the accept queue is derived: from connected to the handler's begin."
_MEANING = {
    Phase.QUEUE: "in the accept queue",
    Phase.WAITING: "accepted, and waits",
    Phase.SERVED: "is being served",
}


def lane_seconds(lane: LaneView, now: float) -> float:
    """From the moment it came to the moment it was done, or to now."""
    return (now if lane.done is None else lane.done) - lane.came


def _name(lane: LaneView, g: Glyphs = UNICODE) -> str:
    return cut(escape(lane.name, ascii_only=g.ascii_only), _LONGEST_NAME, g.ellipsis)


def _ending(lane: LaneView, now: float) -> str:
    """How long it took, and how it ended if not well."""
    words = f"{lane_seconds(lane, now):.2f} s"
    if lane.done is None:
        return f"{words} so far"
    return f"{words} {cut(escape(lane.failed), 24)}" if lane.failed else words


def _ticks(until: float, most: int) -> list[float]:
    """Round moments from 0 on, at most so many."""
    step = next(step for step in _steps() if until / step < most)
    return [round(i * step, 3) for i in range(int(until / step) + 1)]


def _steps() -> Iterator[float]:
    size = 0.01
    while True:
        yield from (size, 2 * size, 5 * size)
        size *= 10


# Text


def lanes_text(view: LanesView, width: int = WIDTH, glyphs: Glyphs = UNICODE) -> str:
    """The lanes as lines, none wider than `width`; a phase too short for one column is not drawn."""
    width = max(width, _NARROWEST)
    title = [escape(view.title, ascii_only=glyphs.ascii_only)] if view.title else []
    if not view.lanes:
        return "\n".join([*title, "no clients yet"])
    names = [_name(lane, glyphs) for lane in view.lanes]
    endings = [_ending(lane, view.now) for lane in view.lanes]
    left, right = max(map(cells, names)) + 2, max(map(cells, endings)) + 2
    bar = width - left - right
    if bar < 10:  # the reasons of failures have no room
        endings = [cut(ending, 8, glyphs.ellipsis) for ending in endings]
        right = 10
        bar = width - left - right
    lines = [cut(line, width, glyphs.ellipsis) for line in title]
    lines.append((" " * left + _axis(view.until, bar)).rstrip())
    for name, lane, ending in zip(names, view.lanes, endings, strict=True):
        lines.append(pad(name, left) + _bar(lane, view, bar, glyphs) + "  " + ending)
    signs = {Phase.QUEUE: glyphs.empty, Phase.WAITING: glyphs.half, Phase.SERVED: glyphs.full}
    legend = [f"{signs[phase]} {meaning}" for phase, meaning in _MEANING.items()] + [f"{glyphs.waiting} done"]
    lines += wrapped(legend, width, gap="   ")
    lines += wrapped(_SOURCES.split(), width, gap=" ")
    return "\n".join(lines)


def _axis(until: float, bar: int) -> str:
    line = ""
    for tick in _ticks(until, max(bar // 10, 2)):
        label = f"{tick:g}" if tick else "0 s"
        column = _column(tick, until, bar)
        if column + len(label) <= bar:
            line = line.ljust(column) + label
    return line


def _column(moment: float, until: float, bar: int) -> int:
    """The last column is for the mark of the last one who is done."""
    return min(round(moment / until * (bar - 1)), bar - 1)


def _bar(lane: LaneView, view: LanesView, bar: int, g: Glyphs) -> str:
    line = [" "] * bar
    signs = {Phase.QUEUE: g.empty, Phase.WAITING: g.half, Phase.SERVED: g.full}
    for span in lane.spans:
        for column in range(_column(span.begin, view.until, bar), _column(span.end, view.until, bar)):
            line[column] = signs[span.phase]
    if lane.done is not None:
        line[_column(lane.done, view.until, bar)] = "x" if lane.failed else g.waiting
    return "".join(line)


# SVG

_WIDE = 760
_LANE = 30
_BAR = 20
_TOP = 44
_WORD = 6.6  # the mean width of a letter in a bar


def lanes_html(view: LanesView) -> str:
    """The picture for a notebook: an SVG with its text alternative, and where the times are from."""
    caption = html.escape(_SOURCES)
    body = lanes_svg(view) if view.lanes else f"<p>{html.escape(lanes_text(view))}</p>"
    return f'<style>{_css()}</style><figure class="socklens-lanes">{body}<figcaption>{caption}</figcaption></figure>'


def lanes_svg(view: LanesView) -> str:
    """The lanes as an SVG. Its size follows from the view alone, and its ids differ from those of any other view's."""
    mark = "socklens-" + hashlib.sha256(repr(view).encode()).hexdigest()[:12]
    names = [_name(lane) for lane in view.lanes]
    endings = [_ending(lane, view.now) for lane in view.lanes]
    left = 16 + max(map(cells, names)) * 8
    scale = (_WIDE - left - 24 - max(map(cells, endings)) * 8) / view.until
    bottom = _TOP + _LANE * len(view.lanes)
    parts = [_defs(mark), f'<text class="socklens-title" x="0" y="14">{html.escape(escape(view.title))}</text>']
    for tick in _ticks(view.until, 8):
        x = f"{left + tick * scale:.1f}"
        parts.append(f'<line class="socklens-moment" x1="{x}" y1="{_TOP - 6}" x2="{x}" y2="{bottom}"/>')
        parts.append(
            f'<text class="socklens-tick" x="{x}" y="{_TOP - 11}" text-anchor="middle">{f"{tick:g}" if tick else "0 s"}</text>'
        )
    for i, (name, lane, ending) in enumerate(zip(names, view.lanes, endings, strict=True)):
        top = _TOP + i * _LANE
        parts.append(f'<text x="0" y="{top + 16}">{html.escape(name)}</text>')
        parts += [_span(span, left, scale, top, mark) for span in lane.spans]
        end = left + lane_seconds(lane, view.now) * scale + lane.came * scale
        parts.append(_end(lane, end, top + 1 + _BAR / 2))
        parts.append(f'<text class="socklens-second" x="{end + 14:.1f}" y="{top + 16}">{html.escape(ending)}</text>')
    parts += _legend(bottom + 10, mark)
    title, desc = html.escape(escape(view.title) or "Time lanes"), html.escape(_in_words(view))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDE} {bottom + 36}" role="img" '
        f'aria-labelledby="{mark}-title {mark}-desc"><title id="{mark}-title">{title}</title>'
        f'<desc id="{mark}-desc">{desc}</desc>{"".join(parts)}</svg>'
    )


def _in_words(view: LanesView) -> str:
    """What the picture shows, for who does not see it."""
    lanes = []
    for lane in view.lanes:
        facts = [f"came at {lane.came:.2f} s"]
        facts += [f"{_MEANING[span.phase]} for {span.end - span.begin:.2f} s" for span in lane.spans]
        facts.append(
            f"not done after {_ending(lane, view.now)}"
            if lane.done is None
            else f"done after {_ending(lane, view.now)}"
        )
        lanes.append(f"{escape(lane.name)}: {', '.join(facts)}.")
    return " ".join(lanes)


def _defs(mark: str) -> str:
    return (
        f'<defs><pattern id="{mark}-queue" width="8" height="8" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        '<rect class="socklens-queue" width="8" height="8"/><line class="socklens-hatch" x1="0" y1="0" x2="0" y2="8"/></pattern>'
        f'<pattern id="{mark}-waiting" width="7" height="7" patternUnits="userSpaceOnUse">'
        '<rect class="socklens-waiting" width="7" height="7"/><circle class="socklens-dots" cx="2" cy="2" r="1.2"/></pattern></defs>'
    )


_WORDS = {
    Phase.QUEUE: ("queue", "accept queue", "Q"),
    Phase.WAITING: ("waiting", "waits", "W"),
    Phase.SERVED: ("served", "served", "S"),
}
"""The name of a phase in the style sheet, its word in a bar, and its letter where the word has no room."""


def _span(span: Span, left: float, scale: float, top: float, mark: str) -> str:
    return _block(span.phase, left + span.begin * scale, top, (span.end - span.begin) * scale, mark)


def _block(phase: Phase, x: float, top: float, wide: float, mark: str) -> str:
    kind, word, letter = _WORDS[phase]
    fill = f' fill="url(#{mark}-{kind})"' if phase is not Phase.SERVED else f' class="socklens-{kind}"'
    size = f'x="{x:.1f}" y="{top + 1:g}" width="{wide:.1f}" height="{_BAR}"'
    drawn = f"<rect {size}{fill}/>"
    if wide >= 2:
        drawn += f'<rect class="socklens-edge" {size}/>'
    said = next((text for text in (word, letter) if len(text) * _WORD + 8 <= wide), "")
    if said:
        place = f'x="{x + wide / 2:.1f}" y="{top + 15:g}" text-anchor="middle"'
        drawn += f'<text class="socklens-word socklens-word-{kind}" {place}>{said}</text>'
    return drawn


def _end(lane: LaneView, x: float, y: float) -> str:
    if lane.done is None:
        return ""
    if lane.failed:
        return f'<path class="socklens-failed" d="M{x - 4:.1f} {y - 4:g}l8 8m0 -8l-8 8"/>'
    return f'<circle class="socklens-done" cx="{x:.1f}" cy="{y:g}" r="5"/>'


def _legend(top: float, mark: str) -> list[str]:
    parts, x = [], 0.0
    for phase, meaning in _MEANING.items():
        parts.append(_block(phase, x, top, 18, mark))
        parts.append(f'<text x="{x + 24:g}" y="{top + 16:g}">{meaning}</text>')
        x += 50 + len(meaning) * 6.6
    parts.append(f'<circle class="socklens-done" cx="{x + 5:g}" cy="{top + 11:g}" r="5"/>')
    parts.append(f'<text x="{x + 16:g}" y="{top + 16:g}">done</text>')
    return parts


@cache
def _css() -> str:
    return resources.files(__package__).joinpath("lanes.css").read_text(encoding="utf-8")


def in_order(lanes: Sequence[LaneView]) -> tuple[LaneView, ...]:
    """As they came."""
    return tuple(sorted(lanes, key=lambda lane: lane.came))
