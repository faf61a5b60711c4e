"""A server and its clients, as a line and as a table, in text and in HTML. Pure functions of frozen views, but for the two that take the
look; every name that a client has chosen passes `escape`.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from .escape import cells, cut, escape, pad
from .views import told

if TYPE_CHECKING:
    from ..server import Client, Server

MOST_LISTED = 20
"""Clients that a table shows: a server may have thousands."""

_LONGEST_NAME = 24
_HEAD = ("#", "name", "address", "since", "state", "taken", "sent", "unacked")
_NUMBERS = (0, 5, 6, 7)


@dataclass(frozen=True, slots=True)
class ClientView:
    """A client at one moment; bytes as the server's end has counted them: `taken` out of its receive queue, and sent. `unacked` is what
    its output buffer holds: the client has not acknowledged it yet, which it may do a moment after it has it (a delayed ACK), or does
    not read; None where that is not known. The words are those of `sl.ports` and of what is watched.
    """

    number: int
    name: str | None
    address: str
    since: str
    state: str
    taken: int
    sent: int
    unacked: int | None = 0


@dataclass(frozen=True, slots=True)
class RosterView:
    """The clients at one moment: the first of them, and how many there are."""

    first: tuple[ClientView, ...]
    total: int


@dataclass(frozen=True, slots=True)
class ServerView:
    """A server at one moment."""

    handler: str
    mode: str
    address: str
    started: bool
    running: bool
    accepted: int
    refused: int
    dropped: int
    errors: int
    roster: RosterView


def client_view(client: Client) -> ClientView:
    """One look at a client."""
    totals = told(lambda: client.totals)
    state = told(lambda: client.state.name)
    # What recv_line and its kin have read beyond their line is not the handler's yet.
    read_ahead = None if client.conn.closed else told(lambda: client.conn.input_buffer.rust)
    return ClientView(
        number=client.number,
        name=client.name,
        address=str(client.peer_addr),
        since=f"{client.since:%H:%M:%S}",
        state="closed" if client.conn.closed else state or "",
        taken=0 if totals is None else max(totals.received - (0 if read_ahead is None else read_ahead), 0),
        sent=0 if totals is None else totals.sent,
        unacked=None if client.conn.closed else told(lambda: len(client.conn.output_buffer)),
    )


def roster_view(clients: Sequence[Client]) -> RosterView:
    """One look at the first of the clients."""
    return RosterView(tuple(client_view(client) for client in clients[:MOST_LISTED]), len(clients))


def server_view(server: Server) -> ServerView:
    """One look at a server."""
    dropped, errors = server.dropped, server.errors
    return ServerView(
        handler=server.handler_name,
        mode=server.mode,
        address=str(server.local_addr) if server.started else server.asked,
        started=server.started,
        running=server.running,
        accepted=server.accepted,
        refused=server.refused,
        dropped=len(dropped) + dropped.lost,
        errors=len(errors) + errors.lost,
        roster=roster_view(server.clients),
    )


# Text


def as_text(clients: Sequence[Client]) -> str:
    """The table of a roster."""
    return roster_text(roster_view(clients))


def roster_text(view: RosterView) -> str:
    """The table as lines, or one line that says that nobody is here."""
    if not view.total:
        return "<Roster: no clients>"
    table = [_HEAD, *(_row(client) for client in view.first)]
    widths = [max(map(cells, column)) for column in zip(*table, strict=True)]
    lines = ["  ".join(_aligned(row[i], widths[i], i) for i in range(len(_HEAD))).rstrip() for row in table]
    return "\n".join([*lines, *_more(view)])


def server_line(view: ServerView) -> str:
    """The server in one line."""
    return f"<Server {server_sentence(view)}>"


def server_sentence(view: ServerView) -> str:
    """What there is to say of a server, in one line."""
    facts = [f"{escape(view.handler)} on {escape(view.address)}", f"mode {view.mode}", _life(view)]
    if view.refused:
        facts.append(f"{view.refused:,} refused")
    if view.dropped:
        facts.append(f"{view.dropped:,} dropped, see .dropped")
    if view.errors:
        facts.append(f"{_count(view.errors, 'error')}, see .errors")
    return ", ".join(facts)


def _life(view: ServerView) -> str:
    if view.running:
        return _count(view.roster.total, "client")
    return f"stopped after {_count(view.accepted, 'client')}" if view.started else "not started"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _row(client: ClientView) -> tuple[str, ...]:
    name = "" if client.name is None else cut(escape(client.name), _LONGEST_NAME)
    facts = (client.address, client.since, client.state)
    unacked = "" if client.unacked is None else f"{client.unacked:,} B"
    return (str(client.number), name, *facts, f"{client.taken:,} B", f"{client.sent:,} B", unacked)


def _aligned(text: str, width: int, column: int) -> str:
    return " " * (width - cells(text)) + text if column in _NUMBERS else pad(text, width)


def _more(view: RosterView) -> list[str]:
    more = view.total - len(view.first)
    return [f"and {more:,} more"] if more else []


# HTML


def as_html(clients: Sequence[Client]) -> str:
    """The table of a roster for a notebook."""
    return roster_html(roster_view(clients))


def roster_html(view: RosterView) -> str:
    """The table as HTML."""
    return styled(_table(view))


def server_html(view: ServerView) -> str:
    """The server's line, and the table of its clients below it."""
    line = f"<p><strong>Server</strong> {html.escape(server_sentence(view))}</p>"
    return styled(line + (_table(view.roster) if view.roster.total else ""))


def _table(view: RosterView) -> str:
    if not view.total:
        return "<p>no clients</p>"
    head = "".join(_cell(word, i, "th") for i, word in enumerate(_HEAD))
    rows = "".join(
        f"<tr>{''.join(_cell(text, i) for i, text in enumerate(_row(client)))}</tr>" for client in view.first
    )
    more = "".join(f"<p>{line}</p>" for line in _more(view))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{more}"


def _cell(text: str, column: int, tag: str = "td") -> str:
    kind = ' class="socklens-number"' if column in _NUMBERS else ""
    return f"<{tag}{kind}>{html.escape(text)}</{tag}>"


def styled(body: str) -> str:
    """The body with the style of a server and its clients."""
    return f'<style>{_css()}</style><div class="socklens-server">{body}</div>'


@cache
def _css() -> str:
    return resources.files(__package__).joinpath("roster.css").read_text(encoding="utf-8")
