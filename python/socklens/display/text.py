"""Draws frozen views as text. Pure functions: the same view gives the same drawing, no line is wider than `width`
columns, and every byte from a peer has passed `escape`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from .escape import cells, cut, escape, pad, quoted
from .glyphs import UNICODE, Glyphs
from .views import ConnectionView, ListenerView, View

WIDTH = 80
_NARROWEST = 24
_LABEL = 6  # "local " and what stands under it
_GAP = 8  # between two ends: an arrow with air around it
_LEAST_BYTES = 16  # with less room beside a bar, the bytes get a row of their own
_MOST_LISTED = 8


def picture(views: Sequence[View], width: int = WIDTH, glyphs: Glyphs = UNICODE) -> str:
    """Draws what the views have in common: two ends of one connection side by side, sockets that share a local port in
    one table, anything else in a box of its own.
    """
    width = max(width, _NARROWEST)
    parts: list[str] = []
    rest = list(views)
    while rest:
        first = rest.pop(0)
        other = next((v for v in rest if _are_ends(first, v)), None)
        same_port = [v for v in rest if v.local.port == first.local.port and not any(_are_ends(v, w) for w in rest)]
        if isinstance(first, ConnectionView) and isinstance(other, ConnectionView):
            rest.remove(other)
            parts.append(ends(first, other, width, glyphs))
        elif same_port:
            for view in same_port:
                rest.remove(view)
            parts.append(shared_port([first, *same_port], width, glyphs))
        elif isinstance(first, ConnectionView):
            parts.append(connection(first, width, glyphs))
        else:
            parts.append(listener(first, width, glyphs))
    return "\n".join(parts)


def _are_ends(a: View, b: View) -> bool:
    if not (isinstance(a, ConnectionView) and isinstance(b, ConnectionView)):
        return False
    return a.peer is not None and a.local == b.peer and a.peer == b.local


def connection(view: ConnectionView, width: int = WIDTH, glyphs: Glyphs = UNICODE) -> str:
    """One connection: both endpoints, its state, both buffers and what went through it."""
    inner = width - 4
    rows = [f"{'local':<{_LABEL}}{view.local}"]
    peer = f"peer {_or_unknown(view.peer)}"
    if cells(rows[0]) + cells(peer) + 7 <= inner:
        rows = [f"{rows[0]}  {glyphs.both}  {peer}"]
    else:
        rows.append(f"{'peer':<{_LABEL}}{_or_unknown(view.peer)}")
    buffers = [b for b in (_input(view, glyphs), _output(view, glyphs)) if b is not None]
    widest = max((len(b.count) for b in buffers), default=0)
    for buffer in buffers:
        bar = _bar(buffer, min(16, inner - _LABEL - 1 - widest), glyphs)
        fill = f"{buffer.label:<{_LABEL}}{bar} {buffer.count:<{widest}}"
        if inner - len(fill) >= _LEAST_BYTES:
            rows.append(f"{fill}  {buffer.first}")
        else:
            rows += [fill, " " * _LABEL + buffer.first]
        if buffer.detail:
            rows.append(" " * _LABEL + buffer.detail)
    rows += _total_rows(view)
    return _box(view.name, _badge(view, glyphs), rows, width, glyphs)


def ends(left: ConnectionView, right: ConnectionView, width: int = WIDTH, glyphs: Glyphs = UNICODE) -> str:
    """The two ends of one connection side by side: what one sends is on its way into the other's input buffer."""
    one = (width - _GAP) // 2
    inner = one - 4
    if any(cells(str(a)) > inner - _LABEL for a in (left.local, right.local)):
        return connection(left, width, glyphs) + "\n" + connection(right, width, glyphs)
    buffers = (_input(left, glyphs), _output(right, glyphs), _output(left, glyphs), _input(right, glyphs))
    bar = min((inner - _LABEL - 1 - len(b.count) for b in buffers if b is not None), default=0)
    left_in, right_out, left_out, right_in = (_rows(b, bar, glyphs) for b in buffers)
    sections = (
        ("", _address_rows(left), _address_rows(right)),
        (glyphs.to_left, left_in, right_out),
        (glyphs.to_right, left_out, right_in),
        ("", _total_rows(left), _total_rows(right)),
    )
    rows: tuple[list[str], list[str]] = ([], [])
    arrows = [""]
    for arrow, at_left, at_right in sections:
        for i, (a, b) in enumerate(zip_longest(at_left, at_right, fillvalue="")):
            if a.strip() or b.strip():
                rows[0].append(a)
                rows[1].append(b)
                arrows.append(arrow if i == 0 and a and b else "")
    boxes = [
        _box(view.name, _badge(view, glyphs), side, one, glyphs).split("\n")
        for view, side in zip((left, right), rows, strict=True)
    ]
    lines = zip_longest(boxes[0], arrows, boxes[1], fillvalue="")
    return "\n".join(f"{a}{arrow:^{_GAP}}{b}" for a, arrow, b in lines)


def listener(view: ListenerView, width: int = WIDTH, glyphs: Glyphs = UNICODE) -> str:
    """One listener: its address, how many clients wait in its backlog, and the connections it accepted."""
    rows = [f"{'local':<9}{view.local}"]
    if view.waiting is not None and view.limit is not None:
        waiting = f"{view.waiting:,} waiting, limit {view.limit:,}"
        marks = glyphs.waiting * min(view.waiting, max(width - 16 - len(waiting), 0))
        rows.append(f"{'backlog':<9}{marks}{' ' if marks else ''}{waiting}")
    if view.accepted is not None:
        rows.append(f"{'accepted':<9}{view.accepted:,}")
    for conn in view.connections[:_MOST_LISTED]:
        fills = "".join(
            f"  {word} {n:,} B" for word, n in zip(("in", "out"), _totals(conn), strict=True) if n is not None
        )
        rows.append(f"{'':<9}{glyphs.both} {_or_unknown(conn.peer)}  {_badge(conn, glyphs)}{fills}")
    if len(view.connections) > _MOST_LISTED:
        rows.append(f"{'':<9}and {len(view.connections) - _MOST_LISTED:,} more")
    return _box(view.name, _badge(view, glyphs), rows, width, glyphs)


def shared_port(views: Sequence[View], width: int = WIDTH, glyphs: Glyphs = UNICODE) -> str:
    """Several sockets with one local port, a line each: different sockets, told apart by their four-tuples."""
    inner = width - 4
    table = [("socket", "local", "peer", "state", " in B", "out B")]
    for view in views:
        if isinstance(view, ConnectionView):
            peer = _or_unknown(view.peer)
            numbers = ["" if n is None else f"{n:>5,}" for n in _totals(view)]
        else:
            peer, numbers = "*", ["", ""]
        name = escape(view.name, ascii_only=glyphs.ascii_only)
        table.append((name, str(view.local), peer, _badge(view, glyphs), numbers[0], numbers[1]))
    widths = [max(map(cells, column)) for column in zip(*table, strict=True)]
    if sum(widths) + 2 * (len(widths) - 1) <= inner:
        rows = ["  ".join(pad(c, w) for c, w in zip(row, widths, strict=True)) for row in table]
    else:
        rows = []
        for name, local, peer, state, number_in, number_out in table[1:]:
            fills_text = f"  in {number_in.strip()} B  out {number_out.strip()} B" if number_in else ""
            rows += [f"{name}  {state}{fills_text}", f"  local {local}", f"  peer  {peer}"]
    ports = {view.local.port for view in views}
    title = f"local port {', '.join(map(str, sorted(ports)))} {glyphs.dot} {len(views)} sockets"
    return _box(title, "", rows, width, glyphs)


def line(view: ConnectionView, width: int = WIDTH, glyphs: Glyphs = UNICODE) -> str:
    """One connection in one line: its state, what is in both buffers (of how much, if there is room), and the bytes sent
    and received over its life.
    """
    forms = []
    for with_capacity in (True, False):
        words = [_badge(view, glyphs)]
        for label, buffer in (("in", view.input), ("out", view.output)):
            if buffer is not None:
                words.append(f"{label} {buffer.total:,}" + (f" of {buffer.capacity:,}" if with_capacity else ""))
        if view.sent is not None and view.received is not None:
            words.append(f"sent {view.sent:,}  received {view.received:,}")
        forms.append("  ".join(filter(None, words)))
    return next((form for form in forms if cells(form) <= width), cut(forms[-1], width, glyphs.ellipsis))


# -- the parts of a box


def _box(title: str, badge: str, rows: Iterable[str], width: int, g: Glyphs) -> str:
    title = escape(title, ascii_only=g.ascii_only)
    least = min(cells(title), 6)  # the state matters more than the whole of a long name
    badge = cut(badge, width - 9 - least, g.ellipsis)
    badge = f" {badge} " if badge else ""
    title = cut(title, width - 7 - len(badge), g.ellipsis)
    rule = g.horizontal * (width - 6 - cells(title) - len(badge))
    lines = [f"{g.top_left}{g.horizontal} {title} {rule}{badge}{g.horizontal}{g.top_right}"]
    lines += [f"{g.vertical} {pad(row, width - 4, g.ellipsis)} {g.vertical}" for row in rows]
    lines.append(g.bottom_left + g.horizontal * (width - 2) + g.bottom_right)
    return "\n".join(lines)


def _badge(view: View, g: Glyphs) -> str:
    if not view.closed:
        return view.state or ""
    return f"closed {g.dot} {view.state}" if view.state not in (None, "CLOSED") else "closed"


def _or_unknown(address: object) -> str:
    return "unknown" if address is None else str(address)


def _address_rows(view: ConnectionView) -> list[str]:
    return [f"{'local':<{_LABEL}}{view.local}", f"{'peer':<{_LABEL}}{_or_unknown(view.peer)}"]


def _total_rows(view: ConnectionView) -> list[str]:
    if view.sent is None or view.received is None:
        return []
    return [f"{'total':<{_LABEL}}sent {view.sent:,} B, received {view.received:,} B"]


# -- the parts of a buffer


@dataclass(frozen=True, slots=True)
class _Buffer:
    """One of a connection's two buffers, ready to be drawn."""

    label: str
    filled: int
    capacity: int
    first: str
    detail: str

    @property
    def count(self) -> str:
        return f"{self.filled:,} of {self.capacity:,} B"


def _input(view: ConnectionView, g: Glyphs) -> _Buffer | None:
    seen = view.input
    if seen is None:
        return None
    # The capacity is the kernel's, so the bar shows the kernel's part; what a framing read took ahead stands below it.
    detail = f"and {seen.rust:,} B already in this program" if seen.rust else ""
    return _Buffer("in", seen.kernel, seen.capacity, _first_bytes(seen.first, seen.total, g), detail)


def _output(view: ConnectionView, g: Glyphs) -> _Buffer | None:
    seen = view.output
    if seen is None:
        return None
    detail = f"{seen.unacknowledged:,} sent, {seen.unsent:,} not yet sent" if seen.unsent else ""
    return _Buffer("out", seen.total, seen.capacity, _first_bytes(seen.first, seen.total, g), detail)


def _totals(view: ConnectionView) -> tuple[int | None, int | None]:
    return (view.input.total if view.input else None, view.output.total if view.output else None)


def _rows(buffer: _Buffer | None, bar_width: int, g: Glyphs) -> list[str]:
    if buffer is None:
        return []
    rows = [f"{buffer.label:<{_LABEL}}{_bar(buffer, bar_width, g)} {buffer.count}", " " * _LABEL + buffer.first]
    return [*rows, " " * _LABEL + buffer.detail] if buffer.detail else rows


def _bar(buffer: _Buffer, width: int, g: Glyphs) -> str:
    """A bar that is empty only for nothing and full only for a full buffer (or beyond: the kernel may overcommit)."""
    width = max(width, 0)
    whole = width if buffer.filled >= buffer.capacity else buffer.filled * width // buffer.capacity
    trace = g.trace if buffer.filled and whole == 0 and width else ""
    return g.full * whole + trace + g.empty * (width - whole - len(trace))


def _first_bytes(first: bytes, total: int, g: Glyphs) -> str:
    if not total:
        return ""
    if not first:
        return "(content not kept)"
    text = quoted(first, ascii_only=g.ascii_only)
    return text if len(first) >= total else text[:-1] + g.ellipsis
