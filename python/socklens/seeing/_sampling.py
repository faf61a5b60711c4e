"""Takes the looks for what is watched, and keeps how many bytes went by between them. It holds what it looks at weakly: to be
watched keeps nothing open.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias
from weakref import ref

from .. import Connection, Listener
from ..display.ends import end_view, pair_view
from ..display.live import SAMPLES, Drawn, GoneView, ServingView, Speed, WatchedView
from ..display.roster import MOST_LISTED, server_view
from ..display.views import connection_view, listener_view, told

if TYPE_CHECKING:
    from ..server import Server

_Counts: TypeAlias = Mapping[object, int]


class Meter:
    """The speed of bytes that are counted: a sample for each look."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._counts: _Counts | None = None
        self._at = 0.0
        self._samples: deque[int] = deque(maxlen=SAMPLES)

    def read(self, counts: _Counts, now: float) -> Speed:
        """The counts of all that is summed up, by whom they are of. Who is new counts from 0, who has left no more."""
        before, self._counts = self._counts, counts
        if before is not None and now > self._at:
            moved = sum(max(count - before.get(key, 0), 0) for key, count in counts.items())
            self._samples.append(round(moved / (now - self._at)))
        self._at = now
        return Speed(self._label, tuple(self._samples))


class Sampler:
    """Looks at one thing, again and again."""

    def __init__(
        self, what: str, things: tuple[object, ...], look: Callable[..., Drawn], labels: tuple[str, str]
    ) -> None:
        self._what = what
        self._things = [ref(thing) for thing in things]
        self._look = look
        self._meters = [Meter(label) for label in labels]
        self.over = False
        """Whether it has ended, so that there is nothing more to see."""

    def sample(self, now: float) -> WatchedView:
        """One look."""
        things = [held() for held in self._things]
        if any(thing is None for thing in things):
            self.over = True
            return WatchedView(GoneView(self._what))
        self.over = all(_is_over(thing) for thing in things)
        drawn = self._look(*things)
        counts = _counts(things)
        speeds = tuple(meter.read(each, now) for meter, each in zip(self._meters, counts, strict=True))
        return WatchedView(drawn, speeds)


def of_pair(a: Connection, b: Connection, names: tuple[str, str]) -> Sampler:
    """Both ends of a connection."""
    labels = (f"{names[0]} → {names[1]}", f"{names[1]} → {names[0]}")
    return Sampler(f"{names[0]} or {names[1]}", (a, b), lambda a, b: pair_view(a, b, names), labels)


def of_connection(conn: Connection, name: str) -> Sampler:
    """One end."""
    return Sampler(name or "the connection", (conn,), lambda conn: end_view(conn, name), ("arriving", "sent"))


def of_listener(listener: Listener, name: str) -> Sampler:
    """A listener with the connections that it accepted."""
    look: Callable[[Listener], Drawn] = lambda listener: replace(listener_view(listener), name=name)  # noqa: E731
    return Sampler(name or "the listener", (listener,), look, ("arriving", "sent"))


def of_server(server: Server, name: str) -> Sampler:
    """A server with its clients."""
    return Sampler(name or "the server", (server,), _serving, ("arriving", "sent"))


def _serving(server: Server) -> Drawn:
    clients = server.clients[:MOST_LISTED]
    rows = tuple(
        (f"{client.name or f'#{client.number}'} {client.peer_addr}", connection_view(client.conn)) for client in clients
    )
    return ServingView(server_view(server), rows)


def _is_over(thing: object) -> bool:
    if isinstance(thing, (Connection, Listener)):
        return thing.closed
    return bool(getattr(thing, "started", True)) and not getattr(thing, "running", False)


def _counts(things: list[object]) -> tuple[_Counts, _Counts]:
    """What went each way: of two ends what each has sent, else what was received and what was sent."""
    match things:
        case [Connection() as a, Connection() as b]:
            return {0: a.totals.sent}, {0: b.totals.sent}
        case [Connection() as conn]:
            conns = [conn]
        case [Listener() as listener]:
            conns = told(lambda: listener.connections) or []
        case [server]:
            conns = [client.conn for client in getattr(server, "clients", ())]
        case _:
            conns = []
    return {conn.peer_addr: _arrived(conn) for conn in conns}, {conn.peer_addr: conn.totals.sent for conn in conns}


def _arrived(conn: Connection) -> int:
    """What the kernel has received for it, whether it was read or not; of a closed one, what was read."""
    info = None if conn.closed else told(conn.info)
    count = None if info is None else info.bytes_received
    return conn.totals.received if count is None else count
