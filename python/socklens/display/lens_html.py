"""Draws both ends of a connection in one picture, as HTML: the sender's output buffer, the receiver's queue and memory, and what
was taken, with every byte in the colour, the pattern and the number of its send. Pure functions of frozen views.
"""

from __future__ import annotations

import html
from collections.abc import Iterator

from .ends import EndView, PairView
from .escape import cells, escape
from .flow import Flow, Piece, Place, Stage, flows
from .forms import state_badge
from .lens import UNACCEPTED, law_mark, law_sentence, stage_name
from .markup import bar, element, facts, picture, text

_MOST_PIECES = 6
_LEAST = 10  # a send whose content needs fewer columns gets them, however small its share
_LOOKS = 24  # pairs of colour and pattern before one comes again


def lens_html(view: PairView) -> str:
    """The whole picture."""
    return picture(lens_body(view), f"Both ends of the connection {view.a.name} and {view.b.name}")


def lens_body(view: PairView) -> str:
    """The picture without its style, to be part of another."""
    there, back = flows(view)
    head = element("div", _end(view.a) + element("span", "⇄", "between", aria_hidden="true") + _end(view.b), "ends")
    notes = "".join(element("div", f"{text(name)}: {text(note)}", "note") for name, note in _notes(view))
    return head + notes + _lane(there) + _lane(back)


def _notes(view: PairView) -> Iterator[tuple[str, str]]:
    """What there is to say of an end, below both: beside them it would part them."""
    for end in (view.a, view.b):
        if end.queued is not None:
            yield end.name, UNACCEPTED
        if end.conn.waits_for:
            yield end.name, end.conn.waits_for


def _end(end: EndView) -> str:
    address = str(end.conn.local)
    name = f"<strong>{text(end.name)}</strong> " if end.name != address else ""
    return element("div", f"{name}<code>{text(address)}</code> {state_badge(end.conn)}", "end")


def _lane(flow: Flow) -> str:
    """One direction, from the sender at the left to the receiver at the right, as in the text form."""
    sends = [] if flow.sends is None else [("sends", f"{flow.sends:,}")]
    sent = [] if flow.law.sent is None else [("sent", f"{flow.law.sent:,} B")]
    title = f"<strong>{text(flow.sender)} → {text(flow.receiver)}</strong>"
    if flow.silent:
        quiet = f"{title} {element('span', 'nothing sent yet', 'note')}"
        return element("div", element("div", quiet, "lane-title"), "lane")
    title += facts([*sent, *sends])
    out = [stage for stage in flow.stages if stage.place not in (Place.QUEUE, Place.MEMORY, Place.TAKEN)]
    into = [stage for stage in flow.stages if stage.place in (Place.QUEUE, Place.MEMORY)]
    taken = flow.stages[-1]
    groups = (
        _group(f"{flow.sender}'s output buffer", out, flow),
        element("div", "→", "arrow", aria_hidden="true"),
        _group(f"{flow.receiver}'s input buffer", into, flow),
        element("div", "→", "arrow", aria_hidden="true"),
        _taken(taken, flow),
    )
    kind = "ok" if flow.law.holds else "wrong" if flow.law.holds is False else "over" if flow.law.over else "unknown"
    law = element(
        "div",
        f"<strong>{law_mark(flow.law)}</strong> {text(law_sentence(flow.law, flow.sender, flow.receiver))}",
        f"law law-{kind}",
    )
    lane = element("div", "".join(groups), "stages")
    return element("div", element("div", title, "lane-title") + lane + law, "lane")


def _group(title: str, stages: list[Stage], flow: Flow) -> str:
    capacity = next((stage.capacity for stage in stages if stage.capacity), None)
    # Rust memory has no capacity of its own, and is no part of the kernel's.
    known = [(stage, stage.count) for stage in stages if stage.count is not None]
    total = sum(count for _, count in known)
    drawn = "".join(_stage(stage, flow) for stage in stages if stage.count or stage.place in _ALWAYS)
    level = ""
    if capacity is not None and known:
        inside = [(_FILLS[stage.place], count) for stage, count in known if stage.place in _FILLS]
        filled = sum(count for _, count in inside)
        label = f"{filled:,} of {capacity:,} B"
        level = bar(inside, capacity, label) + element("div", label, "count")
    elif not known:
        drawn = ""
        level = element("div", stages[0].instead, "count")
    elif total == 0:
        level = element("div", "empty", "count")
    return element("div", element("div", text(title), "name") + element("div", drawn, "parts") + level, "stage")


_ALWAYS = (Place.UNSENT, Place.ON_THE_WAY, Place.QUEUE)
_FILLS = {
    Place.UNSENT: "unsent",
    Place.ON_THE_WAY: "sent",
    Place.IN_BOTH: "both",
    Place.QUEUE: "in",
}


def _stage(stage: Stage, flow: Flow) -> str:
    name = stage_name(stage, flow)
    count = stage.instead if stage.count is None else f"{stage.count:,} B"
    blocks = "".join(_blocks(stage))
    label = f"{name}: {count}"
    row = element("div", blocks, "blocks") if blocks else ""
    short = stage.place.value
    return element(
        "div",
        element("div", f"{text(short)} <b>{text(count)}</b>", "part-name") + row,
        "part",
        role="group",
        aria_label=label,
    )


def _taken(stage: Stage, flow: Flow) -> str:
    count = stage.instead if stage.count is None else f"{stage.count:,} B"
    last = stage.pieces[-1] if stage.pieces else None
    upto = ""
    if last is not None and last.send is not None:
        upto = f"to the end of #{last.send}" if last.whole else f"into #{last.send}"
    body = element("div", f"taken by {text(flow.receiver)}", "name") + element("div", text(count), "taken-count")
    return element("div", body + element("div", text(upto), "count"), "stage taken")


def _blocks(stage: Stage) -> list[str]:
    """The oldest pieces, and the newest if some between them have no room; from left to right as recv will return them."""
    pieces = stage.pieces
    blocks = [_block(piece, stage) for piece in pieces[:_MOST_PIECES]]
    if len(pieces) > _MOST_PIECES:
        between = pieces[_MOST_PIECES - 2 : -1]
        size = sum(piece.size for piece in between)
        label = f"+{len(between)}"
        told = f"{len(between)} more sends, {size:,} B"
        more = element("span", label, "block block-more", title=told, style=_width(size, stage))
        blocks = [*blocks[: _MOST_PIECES - 2], more, _block(pieces[-1], stage)]
    return blocks


def _width(size: int, stage: Stage, least: int = 0) -> str:
    """A share of what the place holds: a row in which little stands is not filled by it. `least` columns it has in any case."""
    return f"flex-grow:{size / (stage.count or size or 1):.6f}" + (f";min-width:{least}ch" if least else "")


def _block(piece: Piece, stage: Stage) -> str:
    if piece.send is None:
        kind, number, told = "block block-older", "?", "by a send that is not remembered"
    else:
        look = piece.send % _LOOKS
        kind, number = f"block send-{look % 8} pattern-{look % 3}", f"#{piece.send}"
        told = f"by send #{piece.send}" + ("" if piece.whole else ", a part of it")
    if stage.place is Place.IN_BOTH:
        kind += " block-ghost"
    size = f"{piece.size:,} B"
    content = escape(piece.first[:24])
    inner = f"<b>{number}</b> <code>{html.escape(content)}</code>" if content else f"<b>{number}</b>"
    # A few bytes beside many keep the room for what they say; the many give it.
    least = len(number) + 1 + (cells(content) + 1 if cells(content) < _LEAST else _LEAST // 2 if content else 0)
    title = f"{size} {told}: bytes {piece.start:,} to {piece.stop - 1:,} of the stream"
    return element("span", inner, kind, title=title, style=_width(piece.size, stage, least))
