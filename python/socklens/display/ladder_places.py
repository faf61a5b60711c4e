"""Where things stand in a drawn ladder, in pixels: how wide words are, how far lifelines are apart, where an arrow's words are not in the
way. Pure. A browser's font is not known here, so widths are those of a wide one (DejaVu Sans, 12 px).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeAlias

from .escape import cells
from .ladder import Column, Layout, Mark

ROW = 24
TOP = 58
TIME = 122
WIDEST = 1080
"""What a cell of a notebook shows without scrolling. A drawing is made wider only if its words would be cut too short."""

_ROOM = 124  # for a call's words, at the least: "server send 46 B"
_LONGEST = 300
_SAYS_WHY = 540  # for those of one that failed
_AT_EDGE = 60  # so much more for the first and the last column, whose words cannot go on over a lifeline
_HALF = 104  # between an end and the listener beside it: "SYN+ACK" has its place there
_TIGHT = 90
_HIDDEN = 0.3
"""Of an arrow's words, at the most, behind others: else they are left out."""
_NARROW = frozenset("iljtfrI.,:;'|!()[] \\/")
_WIDE = frozenset("mwMW@%—…→←")


Point: TypeAlias = tuple[float, float]
_Line: TypeAlias = tuple[Point, Point]


class Box(NamedTuple):
    """A piece of the drawing."""

    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: Box) -> float:
        """How many square pixels both have."""
        across = min(self.right, other.right) - max(self.left, other.left)
        down = min(self.bottom, other.bottom) - max(self.top, other.top)
        return across * down if across > 0 and down > 0 else 0.0


def wide(text: str) -> float:
    """The width of words, in pixels."""
    pixels = 0.0
    for letter in text:
        if letter in _NARROW:
            pixels += 4.7
        elif letter in _WIDE:
            pixels += 11.7
        elif cells(letter) > 1:
            pixels += 12.5
        else:
            pixels += 8.1 if letter.isupper() else 7.5
    return pixels


def fit(text: str, pixels: float) -> str:
    """The words, cut so that they take no more than this."""
    if wide(text) <= pixels:
        return text
    # The bytes and the outcome say more than how long it took.
    text = text.partition(" [")[0]
    if wide(text) <= pixels:
        return text
    while text and wide(text) > pixels - 12:
        text = text[:-1]
    return text + "…"


def y_of(row: int) -> int:
    """The middle of a row."""
    return TOP + row * ROW + ROW // 2


def words_of(mark: Mark) -> float:
    """What all the words of a call take."""
    return wide(mark.text) + (wide(mark.state) + 8 if mark.state else 0)


def places(layout: Layout) -> tuple[list[int], list[int], int]:
    """Where each lifeline stands, how much room its words have, and how wide all is."""
    rooms = [_ROOM] * len(layout.columns)
    for mark in layout.marks:
        most = _SAYS_WHY if mark.kind == "error" else _LONGEST
        rooms[mark.column] = max(rooms[mark.column], min(most, round(words_of(mark)) + 18))
    for arrow in layout.arrows:
        if arrow.end[0] is None:
            rooms[arrow.start[0]] = max(rooms[arrow.start[0]], round(wide(arrow.text)) + 40)
    for i, column in enumerate(layout.columns[:-1]):
        if column.role == "listener" and layout.columns[i + 1].role == "accepted":
            rooms[i] = min(rooms[i], _TIGHT + _TIGHT // 2 - 8)
    wanted = tuple(rooms)
    xs, width = _stand(layout.columns, rooms, _HALF)
    # What went wrong is the last to be cut.
    why = {mark.column for mark in layout.marks if mark.kind == "error"}
    edges = (0, len(rooms) - 1)
    for kept in (why, set[int]()):
        most = max((room for i, room in enumerate(rooms) if i not in kept), default=_ROOM)
        while width > WIDEST and most > _ROOM - _AT_EDGE:
            most -= 10
            rooms = [
                room if i in kept else min(room, max(most + (_AT_EDGE if i in edges else 0), _ROOM))
                for i, room in enumerate(rooms)
            ]
            xs, width = _stand(layout.columns, rooms, _TIGHT)
    # Some pixels are left over at the end.
    for i in reversed(range(len(rooms))):
        if rooms[i] < wanted[i] and width < WIDEST:
            rooms[i] = min(wanted[i], rooms[i] + WIDEST - width)
            xs, width = _stand(layout.columns, rooms, _TIGHT)
    return xs, rooms, width


def _stand(columns: Sequence[Column], rooms: Sequence[int], half: int) -> tuple[list[int], int]:
    xs: list[int] = []
    x = TIME
    for i, column in enumerate(columns):
        before = columns[i - 1] if i else None
        room_on_left = rooms[i] if column.outward == "left" else 16 if before is None else 0
        if before is not None and before.outward == "left":
            x += half + (half // 2 if column.role == "listener" else half // 2 + 5)
        elif before is not None and before.role == "listener" and column.role == "accepted" and i > 1:
            x += half + half // 2
        elif before is not None:
            # Words of both sides share this room: a row has those of one call.
            x += max(rooms[i - 1], room_on_left) + 24
            room_on_left = 0
        xs.append(x := x + room_on_left)
    return xs, x + (rooms[-1] if rooms else _LONGEST) + 16


class Words:
    """What is written and drawn already, so that the next words find a free place."""

    def __init__(self) -> None:
        self._rows: dict[int, list[Box]] = {}
        self._lines: dict[int, list[tuple[float, float, _Line]]] = {}

    def write(self, box: Box) -> None:
        """Takes a place."""
        for band in _bands(box):
            self._rows.setdefault(band, []).append(box)

    def draw(self, start: Point, end: Point) -> None:
        """Draws a line."""
        (x, y), (to_x, to_y) = start, end
        low, high = sorted((y, to_y))
        for band in _bands(Box(0, low, 0, high)):
            # From where to where it goes in this row: most lines are ruled out by that.
            ys = (max(low, band * ROW), min(high, (band + 1) * ROW))
            one, other = (x + (to_x - x) * (at - y) / (to_y - y) for at in ys) if to_y != y else (x, to_x)
            self._lines.setdefault(band, []).append((min(one, other), max(one, other), (start, end)))

    def beside(self, start: Point, end: Point, text: str, first: float) -> Point | None:
        """The middle of the foot of some words along an arrow, at `first` of its length if that is free; None if other words are
        everywhere.
        """
        half = wide(text) * 11 / 24 + 2
        best, least = Box(0, 0, 0, 0), (float("inf"), float("inf"))
        for at in (first, 0.5, 0.35, 0.65, 0.2, 0.8):
            x, y = start[0] + (end[0] - start[0]) * at, start[1] + (end[1] - start[1]) * at
            for foot in (y - 4, y + 13):
                box = Box(x - half, foot - 10, x + half, foot + 2)
                bands = tuple(_bands(box))
                covered = sum(box.overlap(other) for band in bands for other in self._rows.get(band, ()))
                if covered > least[0]:
                    continue
                crossed = {
                    line
                    for band in bands
                    for low, high, line in self._lines.get(band, ())
                    if low < box.right and high > box.left and line != (start, end)
                }
                ill = covered, sum(_inside(box, line) for line in crossed)
                if ill < least:
                    best, least = box, ill
            if not any(least):
                break
        if least[0] > _HIDDEN * (best.right - best.left) * (best.bottom - best.top):
            return None
        self.write(best)
        return (best.left + best.right) / 2, best.bottom - 2


def _inside(box: Box, line: _Line) -> float:
    """How many pixels of a line are in a box (Liang and Barsky)."""
    (x, y), (to_x, to_y) = line
    enter, leave = 0.0, 1.0
    for start, way, low, high in ((x, to_x - x, box.left, box.right), (y, to_y - y, box.top, box.bottom)):
        if not way:
            if not low < start < high:
                return 0.0
            continue
        one, other = sorted(((low - start) / way, (high - start) / way))
        enter, leave = max(enter, one), min(leave, other)
    return max(0.0, leave - enter) * math.dist(*line)


def _bands(box: Box) -> Iterator[int]:
    return iter(range(int(box.top) // ROW, int(box.bottom) // ROW + 1))
