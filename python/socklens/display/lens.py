"""Draws both ends of a connection in one picture, as text: each direction with the places of its bytes, the sends that they
came by, and the count that must come out even. Pure functions of frozen views.
"""

from __future__ import annotations

from .ends import EndView, PairView
from .escape import cells, cut, escape, pad, quoted
from .flow import Flow, Law, Piece, Place, Stage, flows
from .glyphs import UNICODE, Glyphs
from .rows import wrapped
from .text import WIDTH

UNACCEPTED = "nobody has accepted it yet"
_LABEL = 26
_LONGEST_LABEL = 40
_COUNT = 12
_MOST_PIECES = 3
_PREVIEW = 14


def lens_text(view: PairView, width: int = WIDTH, glyphs: Glyphs = UNICODE) -> str:
    """The picture: a line for the two ends, and a block of lines for each direction."""
    heads = wrapped([_end(view.a, glyphs), glyphs.both, _end(view.b, glyphs)], width, gap="  ")
    lines = [*heads, *(row for end in (view.a, view.b) for row in _waits(end, width, glyphs))]
    for flow in flows(view):
        lines += _flow(flow, width, glyphs)
    return "\n".join(cut(line, width, glyphs.ellipsis) for line in lines)


def law_sentence(law: Law, sender: str, receiver: str) -> str:
    """The count of one direction in words; the same in every form of the picture."""
    if law.sent is None or law.taken is None:
        return f"Not to be checked: {law.why}."
    right = [f"{law.taken:,} taken"]
    if law.memory:
        right.append(f"{law.memory:,} in Rust memory")
    if law.queue is not None:
        right.append(f"{law.queue:,} in the receive queue")
    if law.outstanding is not None:
        right.append(f"{law.outstanding:,} outstanding")
    if law.over:
        return f"{law.sent:,} sent, {', '.join(right)}; {law.why}."
    text = f"{law.sent:,} sent {'=' if law.holds else '≠' if law.holds is False else '?'} {' + '.join(right)}"
    if law.holds and law.both:
        text += f" - {law.both:,} in both queues"
        why = (
            f"{law.both:,} B have arrived in {receiver}'s queue and are still in {sender}'s, because their ACK is to come "
            "(a delayed ACK); they count once"
        )
        return f"{text}. {why}."
    return f"{text}; {law.why}." if law.why else f"{text}."


def law_mark(law: Law) -> str:
    """A sign for whether the count comes out even; a dash where an end is closed, and it can no longer be made."""
    if law.over:
        return "–"
    return "✓" if law.holds else "✗" if law.holds is False else "?"


def stage_name(stage: Stage, flow: Flow) -> str:
    """What a place is called, with whose it is."""
    return {
        Place.WAITING: f"in {flow.sender}'s program",
        Place.QUEUE: f"{flow.receiver}'s receive queue",
        Place.MEMORY: f"{flow.receiver}'s Rust memory",
        Place.TAKEN: f"taken by {flow.receiver}",
    }.get(stage.place, stage.place.value)


def _end(end: EndView, g: Glyphs) -> str:
    address = str(end.conn.local)
    name = escape(end.name, ascii_only=g.ascii_only) if end.name != address else ""
    state = "closed" if end.conn.closed else end.conn.state or ""
    return " ".join(filter(None, (name, address, state))) + ("" if end.queued is None else f", {UNACCEPTED}")


def _waits(end: EndView, width: int, g: Glyphs) -> list[str]:
    if not end.conn.waits_for:
        return []
    words = f"{escape(end.name, ascii_only=g.ascii_only)}: {end.conn.waits_for}".split()
    return ["  " + row for row in wrapped(words, width - 2, gap=" ")]


def _flow(flow: Flow, width: int, g: Glyphs) -> list[str]:
    sender, receiver = (escape(name, ascii_only=g.ascii_only) for name in (flow.sender, flow.receiver))
    sends = "" if flow.sends is None else "  1 send" if flow.sends == 1 else f"  {flow.sends:,} sends"
    lines = [f"{sender} {g.to_right} {receiver}{sends}"]
    if flow.silent:
        return [f"{sender} {g.to_right} {receiver}  nothing sent yet"]
    shown = [stage for stage in flow.stages if stage.count or stage.place is not Place.MEMORY]
    labels = [escape(stage_name(stage, flow), ascii_only=g.ascii_only) for stage in shown]
    beside = min(max(_LABEL, *map(cells, labels)), _LONGEST_LABEL, max(width - _COUNT - 2, 1))
    for stage, label in zip(shown, labels, strict=True):
        count = stage.instead if stage.count is None else f"{stage.count:,} B"
        line = f"  {pad(label, beside, g.ellipsis)}{count:>{_COUNT}}"
        capacity = "" if stage.capacity is None else f" of {stage.capacity:,}"
        if stage.place is Place.QUEUE and stage.count is not None and cells(line + capacity) <= width:
            line += capacity
        content = _content(stage, width - 4, g)
        if content and cells(line) + 2 + cells(content) <= width:
            lines.append(f"{line}  {content}")
        else:
            lines += [line, *(["    " + content] if content else [])]
    text = f"{law_mark(flow.law)} {law_sentence(flow.law, sender, receiver)}"
    if g.ascii_only:
        text = text.replace("✓", "ok:").replace("✗", "WRONG:").replace("–", "-").replace("≠", "is not")
    return [*lines, *("  " + row for row in wrapped(text.split(), width - 2, gap=" "))]


def _content(stage: Stage, room: int, g: Glyphs) -> str:
    """The oldest pieces, each with its number and with as much of its bytes as leaves room for the others."""
    if stage.place is Place.TAKEN:
        return ""
    shown = [_forms(piece, g) for piece in stage.pieces[:_MOST_PIECES]]
    more = len(stage.pieces) - len(shown)
    last = [f"and {more} more"] if more else []
    while cells(line := "  ".join([*(forms[0] for forms in shown), *last])) > room:
        widest = max((forms for forms in shown if len(forms) > 1), key=lambda forms: cells(forms[0]), default=None)
        if widest is None:
            return cut(line, room, g.ellipsis)
        widest.pop(0)
    return line


def _forms(piece: Piece, g: Glyphs) -> list[str]:
    """A piece in words, the longest first, with ever fewer bytes of it."""
    number = "older" if piece.send is None else f"#{piece.send}"
    forms = []
    for count in range(min(len(piece.first), _PREVIEW), 0, -1):
        text = quoted(piece.first[:count], ascii_only=g.ascii_only)
        forms.append(f"{number} {text}" if piece.size <= count else f"{number} {text[:-1]}{g.ellipsis}")
    return [*forms, number]
