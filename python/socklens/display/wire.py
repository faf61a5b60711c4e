"""A wire and its connections, as a line, as a picture and in HTML; and its story as a table. Pure functions of frozen views, but for
the one that takes the look.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from .escape import escape, pad

if TYPE_CHECKING:
    from ..wire import Wire, WireConnection, WireEvent, WireStory

MOST_LISTED = 20
"""Connections that a picture shows."""
MOST_EVENTS = 200
"""Events that a table shows: the newest."""

RELAY = "a relay: each client has two TCP connections, client to wire and wire to target"
_HEAD = ("#", "client", "the wire's own end", "to_server", "to_client", "waiting to_server", "waiting to_client")
_NUMBERS = (0, 3, 4, 5, 6)


@dataclass(frozen=True, slots=True)
class WireView:
    """A wire at one moment. What is set is in words, empty where bytes pass as they come."""

    address: str
    target: str
    seed: int
    closed: bool
    accepted: int
    events: int
    arrivals: str
    to_server: str
    to_client: str
    waiting: tuple[int, int]
    first: tuple[WireConnection, ...]
    open: int


def wire_view(wire: Wire) -> WireView:
    """One look at a wire."""
    connections = wire.connections
    waiting = [conn.waiting for conn in connections]
    events = wire.story
    return WireView(
        address=str(wire.local_addr),
        target=str(wire.target),
        seed=wire.seed,
        closed=wire.closed,
        accepted=wire.accepted,
        events=len(events) + events.lost,
        arrivals=wire.arrivals,
        to_server=wire.to_server.words,
        to_client=wire.to_client.words,
        waiting=(sum(one.to_server for one in waiting), sum(one.to_client for one in waiting)),
        first=tuple(connections[:MOST_LISTED]),
        open=len(connections),
    )


# Text


def wire_line(view: WireView) -> str:
    """The wire in one line."""
    same = view.to_server == view.to_client
    ways = [f"both ways {view.to_server}" if view.to_server else "bytes pass as they come"] if same else _ways(view)
    facts = [*ways, *([view.arrivals] if view.arrivals else []), _life(view)]
    return f"<Wire {view.address} -> {view.target}, a relay (two TCP connections for each client); {'; '.join(facts)}>"


def _ways(view: WireView) -> list[str]:
    return [f"to_server {view.to_server or 'as it comes'}", f"to_client {view.to_client or 'as it comes'}"]


def _life(view: WireView) -> str:
    clients = f"{view.accepted:,} client{'' if view.accepted == 1 else 's'}"
    return f"closed after {clients}" if view.closed else f"{view.open:,} open of {clients}"


def wire_text(view: WireView) -> str:
    """The picture: client, wire, target; what is set and what waits in each direction; the connections."""
    ends = f"client <==> wire {view.address} <==> target {view.target}"
    lines = [ends, f"{RELAY}; {_life(view)}"]
    for name, words, waiting in _directions(view):
        lines.append(f"  {pad(name, 12)} {pad(words, max(24, len(words)))} {waiting:>9,} B waiting in the relay")
    if view.arrivals:
        lines.append(f"  {pad('new clients', 12)} {view.arrivals}")
    if view.first:
        table = [_HEAD, *map(_row, view.first)]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines += ["  ".join(_aligned(row[i], widths[i], i) for i in range(len(_HEAD))).rstrip() for row in table]
    return "\n".join([*lines, *_more(view)])


def _directions(view: WireView) -> list[tuple[str, str, int]]:
    return [
        ("to_server ->", view.to_server or "as it comes", view.waiting[0]),
        ("to_client <-", view.to_client or "as it comes", view.waiting[1]),
    ]


def _row(conn: WireConnection) -> tuple[str, ...]:
    onward = "" if conn.onward_addr is None else str(conn.onward_addr)
    return (
        str(conn.number),
        str(conn.client_addr),
        onward,
        *(f"{count:,} B" for count in (*conn.passed, *conn.waiting)),
    )


def _aligned(text: str, width: int, column: int) -> str:
    return text.rjust(width) if column in _NUMBERS else text.ljust(width)


def _more(view: WireView) -> list[str]:
    more = view.open - len(view.first)
    return [f"and {more:,} more"] if more else []


# HTML


def wire_html(view: WireView) -> str:
    """The same picture for a notebook."""
    boxes = [("client", f"{view.open:,} open"), ("wire", view.address), ("target", view.target)]
    ends = [f"<div class=socklens-end><strong>{name}</strong><br>{html.escape(what)}</div>" for name, what in boxes]
    link = "<div class=socklens-link>&#8644;<br><small>TCP</small></div>"
    picture = f"<div class=socklens-ends>{ends[0]}{link}{ends[1]}{link}{ends[2]}</div>"
    ways = "".join(
        f"<tr><td>{html.escape(name)}</td><td><code>{html.escape(words)}</code></td>"
        f"<td class=socklens-number>{waiting:,} B waiting in the relay</td></tr>"
        for name, words, waiting in _directions(view)
    )
    if view.arrivals:
        ways += f"<tr><td>new clients</td><td><code>{html.escape(view.arrivals)}</code></td><td></td></tr>"
    rows = _table(_HEAD, map(_row, view.first), _NUMBERS) if view.first else ""
    more = "".join(f"<p>{line}</p>" for line in _more(view))
    facts = f"<p><strong>Wire</strong> {RELAY}; {_life(view)}, seed {view.seed}, {view.events:,} events in .story</p>"
    return _html(f"{facts}{picture}<table>{ways}</table>{rows}{more}")


def story_html(story: WireStory) -> str:
    """The events as a table: the newest."""
    shown = story[-MOST_EVENTS:]
    older = len(story) - len(shown) + story.lost
    first = f"<p>{older:,} older events are not shown</p>" if older else ""
    if not story:
        return _html("<p>nothing has happened on this wire yet</p>")
    return _html(first + _table(("s", "#", "direction", "what", "bytes", ""), map(_event, shown), (0, 1)))


def _event(event: WireEvent) -> tuple[str, ...]:
    span = "" if event.start is None else f"[{event.start}:{event.end}]"
    whose = str(event.connection) if event.connection else ""
    return (f"{event.seconds:.6f}", whose, event.direction or "", event.what, span, escape(event.text))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[int]) -> str:
    top = "".join(_cell(word, i in numbers, "th") for i, word in enumerate(head))
    body = "".join(f"<tr>{''.join(_cell(text, i in numbers) for i, text in enumerate(row))}</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def _cell(text: str, number: bool, tag: str = "td") -> str:
    kind = ' class="socklens-number"' if number else ""
    return f"<{tag}{kind}>{html.escape(text)}</{tag}>"


def _html(body: str) -> str:
    return f'<style>{_css()}</style><div class="socklens-wire">{body}</div>'


@cache
def _css() -> str:
    return resources.files(__package__).joinpath("wire.css").read_text(encoding="utf-8")
