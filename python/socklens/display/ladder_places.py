"""Where things stand in a drawn ladder, in pixels: how wide words are, how far lifelines are apart, where an arrow's words are not in the
way. Pure. A browser's font is not known here, so widths are those of a wide one (DejaVu Sans, 12 px).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

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
_HALF = 104  # between an end and the listener beside it: "SYN+ACK" has its place there
_TIGHT = 90
_NARROW = frozenset("iljtfrI.,:;'|!()[] \\/")
_WIDE = frozenset("mwMW@%—…→←")


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
    xs, width = _stand(layout.columns, rooms, _HALF)
    # What went wrong is the last to be cut.
    why = {mark.column for mark in layout.marks if mark.kind == "error"}
    for kept in (why, set[int]()):
        most = max((room for i, room in enumerate(rooms) if i not in kept), default=_ROOM)
        while width > WIDEST and most > _ROOM:
            most = max(most - 10, _ROOM)
            rooms = [room if i in kept else min(room, most) for i, room in enumerate(rooms)]
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
    """What is written already, so that the next words find a free place."""

    def __init__(self) -> None:
        self._rows: dict[int, list[Box]] = {}

    def write(self, box: Box) -> None:
        """Takes a place."""
        for band in _bands(box):
            self._rows.setdefault(band, []).append(box)

    def beside(
        self, start: tuple[float, float], end: tuple[float, float], text: str, first: float
    ) -> tuple[float, float]:
        """The middle of the foot of some words along an arrow, at `first` of its length if that is free."""
        half = wide(text) * 11 / 24 + 2
        best, least = (0.0, 0.0), float("inf")
        for at in (first, 0.5, 0.35, 0.65, 0.2, 0.8):
            x, y = start[0] + (end[0] - start[0]) * at, start[1] + (end[1] - start[1]) * at
            for foot in (y - 4, y + 13):
                box = Box(x - half, foot - 10, x + half, foot + 2)
                covered = sum(box.overlap(other) for band in _bands(box) for other in self._rows.get(band, ()))
                if covered < least:
                    best, least = (x, foot), covered
                if not covered:
                    break
            if not least:
                break
        x, foot = best
        self.write(Box(x - half, foot - 10, x + half, foot + 2))
        return best


def _bands(box: Box) -> Iterator[int]:
    return iter(range(int(box.top) // ROW, int(box.bottom) // ROW + 1))
