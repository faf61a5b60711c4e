"""What the person at the keyboard calls a thing, and where in this program the other end of a connection is. Only looks."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from inspect import CO_OPTIMIZED
from types import FrameType
from typing import TypeAlias

from .. import Connection, _cells, _listen
from .._address import same

Names: TypeAlias = Mapping[str, object]


def scopes(frame: FrameType | None) -> list[Names]:
    """The variables around a call: the caller's own, its module's, and those of the notebook or main program."""
    around: list[Names] = [] if frame is None else [_locals(frame), frame.f_globals]
    return [*around, _cells.namespace()]


def _locals(frame: FrameType) -> Names:
    """A copy of the caller's own variables."""
    found = frame.f_locals
    copy = dict(found)
    if frame.f_code.co_flags & CO_OPTIMIZED and type(found) is dict:
        # Until Python 3.13 a function's frame keeps what it has shown, and with it every object in it: `del conn` would not end it.
        found.clear()
    return copy


def name_of(thing: object, around: list[Names], fallback: str) -> str:
    """The variable that holds it, or its place in one that holds it among others, as ``clients[3]`` or ``server.clients[0]``; or the
    fallback. The names are those of `sl.ports`.
    """
    found = (name for names in around for name, value in list(names.items()) if value is thing)
    name = next((name for name in found if _is_name(name)), None)
    return name or _place_of(thing, around) or fallback


def _is_name(name: str) -> bool:
    """Whether a person has given it; pytest's ``@py_assert1`` is nobody's."""
    return name.isidentifier() and not name.startswith("_")


def _place_of(thing: object, around: list[Names]) -> str | None:
    from .._ports._mine import sockets

    # The variables closest to the call come first, and hide those of the same name.
    closest: dict[str, object] = {}
    for names in around:
        closest |= {name: value for name, value in list(names.items()) if name not in closest and _is_name(name)}
    for name, places, values in sockets(closest)[0]:
        at = next((at for at, value in enumerate(values) if value is thing), None)
        if name is not None and at is not None:
            return name if places is None else f"{name}[{places[at]!r}]"
    return None


def other_end(conn: Connection, around: list[Names]) -> Connection | None:
    """The socklens connection of this program that is the other end: the one whose four-tuple is this one's, turned around.

    It is looked for among the variables (and in lists, tuples and dictionaries there), the connections that listeners have
    accepted, and the clients of servers.
    """
    ours, theirs = conn.local_addr, conn.peer_addr
    for candidate in _candidates(around):
        if candidate is conn or candidate.closed:
            continue
        if same(candidate.local_addr, theirs) and same(candidate.peer_addr, ours):
            return candidate
    return None


def _candidates(around: list[Names]) -> Iterator[Connection]:
    for names in around:
        for value in list(names.values()):
            if isinstance(value, Connection):
                yield value
            elif type(value) in (list, tuple, set):
                yield from (item for item in list(value) if isinstance(item, Connection))  # type: ignore[call-overload]
            elif type(value) is dict:
                yield from (item for item in list(value.values()) if isinstance(item, Connection))
    for listener in _listen.live():
        yield from listener.connections
    running = sys.modules.get("socklens.server._running")
    for server in list(running._running) if running is not None else ():
        yield from (client.conn for client in server.clients)
