"""Records when clients come, are accepted, served and done, for the picture of time lanes. It notes times where they happen, at the client
and in the handler, and touches no byte. What is drawn is `display.lanes`.
"""

from __future__ import annotations

import functools
import inspect
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import socklens as sl

from ..display.lanes import LanesView, LaneView, Phase, Span, in_order, lane_seconds, lanes_html, lanes_text

_Handler = TypeVar("_Handler", bound=Callable[..., Any])
_Ends = tuple[sl.Address, sl.Address]
"""The client's address and the server's: what both ends of a connection know."""


@dataclass
class _Guest:
    """What was noted at the client."""

    name: str
    came: float
    connected: float = 0.0
    ends: _Ends | None = None
    done: float | None = None
    failed: str = ""


@dataclass
class _Service:
    """What was noted in the handler."""

    begin: float
    end: float | None = None
    served: list[list[float | None]] = field(default_factory=list)


class Lanes:
    """A picture of time: a lane for each client, with the time in the accept queue, accepted and waiting, and being served.

        lanes = lesson.Lanes()

        @lanes.handler                                       # notes when the handler begins and ends
        def serve(conn):
            order = conn.recv_line()
            with lanes.serving(conn):                        # notes when the service begins and ends
                ...

        with lanes.client("B", server.local_addr) as conn:   # connects, and notes when the client is done
            ...

    Any thread may use it. In a notebook it draws itself as a picture, elsewhere as text.

    Args:
        seconds: how long the time axis is at least, so that pictures can be compared.
    """

    def __init__(self, seconds: float = 0.001) -> None:
        self._least = seconds
        self._lock = threading.Lock()
        self.clear()

    def clear(self, title: str = "") -> None:
        """Begins a new picture."""
        with self._lock:
            self._title = title
            self._guests: list[_Guest] = []
            self._services: dict[_Ends, _Service] = {}

    # At the client

    @contextmanager
    def client(self, name: str, address: sl.Address) -> Iterator[sl.Connection]:
        """A client of this name for the length of a block: connects, and closes. It is done when the block is."""
        guest = _Guest(name, _now())
        with self._lock:
            self._guests.append(guest)
        try:
            with sl.connect(address) as conn:
                guest.connected = _now()
                guest.ends = (conn.local_addr, conn.peer_addr)
                yield conn
                guest.done = _now()
        except BaseException as error:
            guest.failed = type(error).__name__
            raise
        finally:
            guest.done = guest.done or _now()

    # In the handler

    def handler(self, function: _Handler) -> _Handler:
        """The handler, ``def`` or ``async def``, with its begin and its end noted."""
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def noted_async(conn: sl.Connection) -> object:
                with self._handling(conn):
                    return await function(conn)

            return noted_async  # type: ignore[return-value]

        @functools.wraps(function)
        def noted(conn: sl.Connection) -> object:
            with self._handling(conn):
                return function(conn)

        return noted  # type: ignore[return-value]

    @contextmanager
    def _handling(self, conn: sl.Connection) -> Iterator[None]:
        service = _Service(_now())
        with self._lock:
            self._services[_ends(conn)] = service
        try:
            yield
        finally:
            service.end = _now()

    @contextmanager
    def serving(self, conn: sl.Connection) -> Iterator[None]:
        """Marks the block in which the handler serves this client; the rest of the handler's time counts as waiting."""
        with self._lock:
            service = self._services.setdefault(_ends(conn), _Service(_now()))
        served: list[float | None] = [_now(), None]
        service.served.append(served)
        try:
            yield
        finally:
            served[1] = _now()

    # What is seen

    @property
    def seconds(self) -> dict[str, float]:
        """For each client how long it took, from the moment it came to the moment it was done, or to now."""
        view = self.view()
        return {lane.name: lane_seconds(lane, view.now) for lane in view.lanes}

    def view(self) -> LanesView:
        """All lanes, frozen now."""
        with self._lock:
            now = _now()
            start = min((guest.came for guest in self._guests), default=now)
            lanes = [_lane(guest, self._services.get(guest.ends or _NOWHERE), start, now) for guest in self._guests]
            return LanesView(self._title, in_order(lanes), now - start, self._least)

    def __repr__(self) -> str:
        from ..display.screen import Screen

        screen = Screen(sys.stdout)
        return lanes_text(self.view(), screen.width, screen.glyphs)

    def _repr_html_(self) -> str:
        return lanes_html(self.view())


_NOWHERE: _Ends = (sl.Address("", 0), sl.Address("", 0))
_now = time.perf_counter


def _ends(conn: sl.Connection) -> _Ends:
    return (conn.peer_addr, conn.local_addr)


def _lane(guest: _Guest, service: _Service | None, start: float, now: float) -> LaneView:
    end = now if guest.done is None else guest.done
    spans = [] if guest.ends is None else list(_spans(guest.connected, service, end))
    done = None if guest.done is None else guest.done - start
    shifted = tuple(Span(span.phase, span.begin - start, span.end - start) for span in spans)
    return LaneView(guest.name, guest.came - start, shifted, done, guest.failed)


def _spans(connected: float, service: _Service | None, end: float) -> Iterator[Span]:
    """The phases of one client one after the other, up to the moment when it was done."""
    at = connected
    for phase, until in _turns(service, end):
        if min(until, end) > at:
            yield Span(phase, at, min(until, end))
            at = min(until, end)


def _turns(service: _Service | None, end: float) -> Iterator[tuple[Phase, float]]:
    if service is None:
        yield Phase.QUEUE, end
        return
    yield Phase.QUEUE, service.begin
    for begin, over in list(service.served):
        yield Phase.WAITING, begin or end
        yield Phase.SERVED, over or end
    yield Phase.WAITING, service.end or end
