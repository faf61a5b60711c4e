"""Draws frozen views as text. Pure functions: the same view gives the same drawing, no line is wider than `width`
columns, and every byte from a peer has passed `escape`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from types import MappingProxyType
from typing import TypeAlias

from .. import Address
from .._address import queue_words
from .buffers import Buffer, Layout, buffer_rows, input_buffer, layout, output_buffer
from .escape import cells, cut, escape, pad
from .glyphs import UNICODE, Glyphs
from .rows import LABEL, labelled, wrapped
from .views import ConnectionView, ListenerView, View

WIDTH = 80
_NARROWEST = 24
_GAP = 8  # between two ends: an arrow with air around it
_LONGEST_BAR = 16  # in a box of its own, where the bytes stand beside it
_MOST_LISTED = 8

_Names: TypeAlias = Mapping[tuple[Address, Address | None], str]
"""The names that sockets were given, by their local and peer address."""
_NO_NAMES: _Names = MappingProxyType({})


def picture(views: Sequence[View], width: int = WIDTH, glyphs: Glyphs = UNICODE) -> str:
    """Draws what the views have in common: two ends of one connection side by side, sockets that share a local port in
    one table, anything else in a box of its own.
    """
    width = max(width, _NARROWEST)
    names = {(v.local, v.peer): v.name for v in views if isinstance(v, ConnectionView) and v.name}
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
            parts.append(listener(first, width, glyphs, names))
    return "\n".join(parts)


def _are_ends(a: View, b: View) -> bool:
    if not (isinstance(a, ConnectionView) and isinstance(b, ConnectionView)):
        return False
    return a.peer is not None and a.local == b.peer and a.peer == b.local


def connection(view: ConnectionView, width: int = WIDTH, glyphs: Glyphs = UNICODE) -> str:
    """One connection: both endpoints, its state, both buffers and what went through it."""
    inner = width - 4
    rows = [f"{'local':<{LABEL}}{view.local}  {glyphs.both}  peer {_or_unknown(view.peer)}"]
    if cells(rows[0]) > inner:
        rows = _address_rows(view, inner)
    rows += _waits_rows(view, inner)
    buffers = _present(input_buffer(view, glyphs), output_buffer(view, glyphs))
    plan = layout(buffers, inner, _LONGEST_BAR)
    for buffer in buffers:
        rows += buffer_rows(buffer, plan, glyphs, content_beside=True)
    rows += _total_rows(view, inner)
    return _box(_name(view), _badge(view, glyphs), rows, width, glyphs)


def ends(left: ConnectionView, right: ConnectionView, width: int = WIDTH, glyphs: Glyphs = UNICODE) -> str:
    """The two ends of one connection side by side: what one sends is on its way into the other's input buffer. Where that
    would leave no room for an address or a number, one below the other.
    """
    one = (width - _GAP) // 2
    inner = one - 4
    left_in, right_in = input_buffer(left, glyphs), input_buffer(right, glyphs)
    left_out, right_out = output_buffer(left, glyphs), output_buffer(right, glyphs)
    buffers = _present(left_in, left_out, right_in, right_out)
    widest = max([*(cells(str(v.local)) for v in (left, right)), *(len(b.count) for b in buffers)])
    if widest > inner - LABEL:
        return connection(left, width, glyphs) + "\n" + connection(right, width, glyphs)
    plan = layout(buffers, inner, inner)
    sections = (
        ("", _address_rows(left, inner), _address_rows(right, inner)),
        ("", _waits_rows(left, inner), _waits_rows(right, inner)),
        (glyphs.to_left, _buffer_rows(left_in, plan, glyphs), _buffer_rows(right_out, plan, glyphs)),
        (glyphs.to_right, _buffer_rows(left_out, plan, glyphs), _buffer_rows(right_in, plan, glyphs)),
        ("", _total_rows(left, inner), _total_rows(right, inner)),
    )
    rows: tuple[list[str], list[str]] = ([], [])
    arrows = [""]
    for arrow, at_left, at_right in sections:
        for i, (a, b) in enumerate(zip_longest(at_left, at_right, fillvalue="")):
            rows[0].append(a)
            rows[1].append(b)
            arrows.append(arrow if i == 0 and a and b else "")
    boxes = [
        _box(_name(view), _badge(view, glyphs), side, one, glyphs).split("\n")
        for view, side in zip((left, right), rows, strict=True)
    ]
    lines = zip_longest(boxes[0], arrows, boxes[1], fillvalue="")
    return "\n".join(f"{a}{arrow:^{_GAP}}{b}" for a, arrow, b in lines)


def listener(view: ListenerView, width: int = WIDTH, glyphs: Glyphs = UNICODE, names: _Names = _NO_NAMES) -> str:
    """One listener: its address, how many clients wait in its backlog, and the connections it accepted; those whose
    sockets have names, with them.
    """
    indent = 9
    inner = width - 4
    rows = labelled("local", [str(view.local)], inner, indent)
    if view.waiting is not None and view.limit is not None:
        waiting = queue_words(view.waiting, view.limit)
        marks = glyphs.waiting * min(view.waiting, max(inner - indent - 1 - len(waiting), 0))
        rows += labelled("backlog", [f"{marks} {waiting}".strip()], inner, indent)
    if view.accepted is not None:
        rows += labelled("accepted", [f"{view.accepted:,}"], inner, indent)
    for conn in view.connections[:_MOST_LISTED]:
        fills = (f"{word} {n:,} B" for word, n in zip(("in", "out"), _totals(conn), strict=True) if n is not None)
        facts = [_four_tuple(conn, names, glyphs), _badge(conn, glyphs), *fills]
        rows += labelled("", filter(None, facts), inner, indent, gap="  ")
    if len(view.connections) > _MOST_LISTED:
        rows += labelled("", [f"and {len(view.connections) - _MOST_LISTED:,} more"], inner, indent)
    return _box(_name(view), _badge(view, glyphs), rows, width, glyphs)


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
        name = escape(_name(view), ascii_only=glyphs.ascii_only)
        table.append((name, str(view.local), peer, _badge(view, glyphs), numbers[0], numbers[1]))
    widths = [max(map(cells, column)) for column in zip(*table, strict=True)]
    if sum(widths) + 2 * (len(widths) - 1) <= inner:
        rows = ["  ".join(pad(c, w) for c, w in zip(row, widths, strict=True)) for row in table]
    else:
        rows = []
        for name, local, peer, state, number_in, number_out in table[1:]:
            fills = [f"in {number_in.strip()} B", f"out {number_out.strip()} B"] if number_in else []
            rows += wrapped([cut(name, inner, glyphs.ellipsis), *filter(None, [state]), *fills], inner, gap="  ")
            rows += labelled("  local", [local], inner, 8) + labelled("  peer", [peer], inner, 8)
    ports = {view.local.port for view in views}
    title = f"local port {', '.join(map(str, sorted(ports)))} {glyphs.dot} {_how_many(views)}"
    return _box(title, "", rows, width, glyphs)


def _how_many(views: Sequence[View]) -> str:
    closed = sum(view.closed for view in views)
    count = len(views) - closed
    sockets = f"{count} socket" if count == 1 else f"{count} sockets"
    return f"{sockets}, {closed} closed" if closed else sockets


def line(view: ConnectionView, width: int = WIDTH, glyphs: Glyphs = UNICODE) -> str:
    """One connection in one line: its state, what is in both buffers (of how much, if there is room), and the bytes sent
    and taken over its life. What has no room is left out, never cut.
    """
    forms = []
    for with_capacity in (True, False):
        words = [_badge(view, glyphs)]
        for label, buffer in (("in", view.input), ("out", view.output)):
            if buffer is not None:
                words.append(f"{label} {buffer.total:,}" + (f" of {buffer.capacity:,}" if with_capacity else ""))
        if view.sent is not None and view.received is not None:
            words.append(f"sent {view.sent:,}  taken {view.received:,}")
        forms.append(list(filter(None, words)))
    forms += [forms[-1][:count] for count in range(len(forms[-1]) - 1, 0, -1)]
    return next((form for form in map("  ".join, forms) if cells(form) <= width), "")


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


def _name(view: View) -> str:
    return view.name or ("connection" if isinstance(view, ConnectionView) else "listener")


def _four_tuple(conn: ConnectionView, names: _Names, g: Glyphs) -> str:
    """The peer of a connection that a listener accepted, and the names of both sockets as far as they have any."""
    own = names.get((conn.local, conn.peer))
    peer = None if conn.peer is None else names.get((conn.peer, conn.local))
    words = (own and escape(own, ascii_only=g.ascii_only), g.both, peer and escape(peer, ascii_only=g.ascii_only))
    return " ".join([*filter(None, words), _or_unknown(conn.peer)])


def _address_rows(view: ConnectionView, inner: int) -> list[str]:
    return labelled("local", [str(view.local)], inner) + labelled("peer", [_or_unknown(view.peer)], inner)


def _waits_rows(view: ConnectionView, inner: int) -> list[str]:
    return labelled("", view.waits_for.split(), inner, gap=" ")


def _total_rows(view: ConnectionView, inner: int) -> list[str]:
    if view.sent is None or view.received is None:
        return []
    return labelled("total", [f"sent {view.sent:,} B", f"taken {view.received:,} B"], inner)


def _totals(view: ConnectionView) -> tuple[int | None, int | None]:
    return (view.input.total if view.input else None, view.output.total if view.output else None)


def _present(*buffers: Buffer | None) -> list[Buffer]:
    return [buffer for buffer in buffers if buffer is not None]


def _buffer_rows(buffer: Buffer | None, plan: Layout, g: Glyphs) -> list[str]:
    return [] if buffer is None else buffer_rows(buffer, plan, g)
