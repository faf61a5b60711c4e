"""Draws the two buffers of a connection: a bar, the number of bytes beside or below it, and the bytes. A bar says the same
as its number, and no number is cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .escape import quoted
from .glyphs import Glyphs
from .rows import LABEL, wrapped
from .views import ConnectionView

_LEAST_BAR = 8
_LEAST_BYTES = 16  # with less room beside a bar, the bytes get a row of their own


@dataclass(frozen=True, slots=True)
class Buffer:
    """One of a connection's two buffers, ready to be drawn."""

    label: str
    filled: int
    capacity: int
    content: str
    notes: tuple[tuple[str, ...], ...]
    """What else there is to say, each note in rows of its own."""

    @property
    def count(self) -> str:
        """How full it is, to the byte."""
        return f"{self.filled:,} of {self.capacity:,} B"

    @property
    def short_count(self) -> str:
        """How full it is, in 19 columns at the most; rounded down, so that only a full buffer looks full."""
        filled, capacity = size(self.filled), size(self.capacity)
        number, unit = filled.split()
        return f"{number if unit == capacity.split()[1] else filled} of {capacity}"


def input_buffer(view: ConnectionView, g: Glyphs) -> Buffer | None:
    """What arrived and was not read; None where that is not known."""
    seen = view.input
    if seen is None:
        return None
    # The capacity is the kernel's, so the bar shows the kernel's part; what a framing read took ahead stands below it.
    notes = ((f"and {seen.rust:,} B already in this program",),) if seen.rust else ()
    return Buffer("in", seen.kernel, seen.capacity, _content(seen.first, seen.total, g), notes)


def output_buffer(view: ConnectionView, g: Glyphs) -> Buffer | None:
    """What was sent and is not acknowledged; None where that is not known."""
    seen = view.output
    if seen is None:
        return None
    notes: list[tuple[str, ...]] = []
    if seen.unsent:
        notes.append((f"{seen.unacknowledged:,} in flight", f"{seen.unsent:,} waiting here"))
    if seen.rust:
        notes.append((f"and {seen.rust:,} B more in this program",))
    if seen.total and not seen.first:
        notes.append(("content not shown: no copy of the oldest bytes",))
    return Buffer("out", seen.total - seen.rust, seen.capacity, _content(seen.first, seen.total, g), tuple(notes))


@dataclass(frozen=True, slots=True)
class Layout:
    """How the buffers of one picture are drawn: all their bars have one length, so that they can be compared."""

    inner: int
    bar: int
    count: int
    """Columns for the numbers beside the bars; 0 puts each below its bar."""


def layout(buffers: Sequence[Buffer], inner: int, longest: int) -> Layout:
    """Numbers stand beside the bars if that leaves these long enough to be read."""
    room = inner - LABEL
    widest = max((len(buffer.count) for buffer in buffers), default=0)
    beside = room - 1 - widest
    return Layout(inner, min(beside, longest), widest) if beside >= _LEAST_BAR else Layout(inner, min(room, longest), 0)


def buffer_rows(buffer: Buffer, plan: Layout, g: Glyphs, *, content_beside: bool = False) -> list[str]:
    """The rows of one buffer; its bytes beside the number if asked for and if there is room."""
    head = f"{buffer.label:<{LABEL}}{_bar(buffer, plan.bar, g)}"
    content = [" " * LABEL + buffer.content] if buffer.content else []
    if not plan.count:
        count = buffer.count if LABEL + len(buffer.count) <= plan.inner else buffer.short_count
        rows = [head, " " * min(LABEL, max(plan.inner - len(count), 0)) + count, *content]
    elif content_beside and plan.inner - len(head) - 1 - plan.count - 2 >= _LEAST_BYTES:
        rows = [f"{head} {buffer.count:<{plan.count}}  {buffer.content}"]
    else:
        rows = [f"{head} {buffer.count}", *content]
    notes = (row for note in buffer.notes for row in wrapped(note, plan.inner - LABEL))
    return [*rows, *(" " * LABEL + note for note in notes)]


def _bar(buffer: Buffer, width: int, g: Glyphs) -> str:
    """A bar that is empty only for nothing and full only for a full buffer (or beyond: the kernel may overcommit)."""
    if buffer.filled and buffer.filled >= buffer.capacity:
        return g.full * width
    whole = min(round(buffer.filled * width / max(buffer.capacity, 1)), width - 1)
    trace = g.trace if buffer.filled and whole == 0 else ""
    return g.full * whole + trace + g.empty * (width - whole - len(trace))


def _content(first: bytes, total: int, g: Glyphs) -> str:
    if not first:
        return ""
    text = quoted(first, ascii_only=g.ascii_only)
    return text if len(first) >= total else text[:-1] + g.ellipsis


def size(count: int) -> str:
    """The count with two or three digits and the largest unit that it fills, rounded down."""
    if count < 1024:
        return f"{count} B"
    power, unit = next(
        (10 * i, unit) for i, unit in enumerate(("KiB", "MiB", "GiB", "TiB"), 1) if count >> 10 * i < 1024
    )
    tenths = count * 10 >> power
    return f"{tenths / 10} {unit}" if tenths < 100 else f"{tenths // 10} {unit}"
