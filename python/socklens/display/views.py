"""Takes one look at a live socket and freezes it into plain values. Looking reads no byte, waits for nothing and
changes nothing; what this platform or a closed socket cannot tell is None.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias, TypeVar

from .. import Address, Connection, InputBuffer, Listener, OutputBuffer

FIRST_BYTES = 256
"""How many bytes of each buffer a view copies: more than a picture can show, little enough to be free."""

CLOSE_WAIT = "the other end has finished; this end has not closed yet"
"""What the state means to who reads it (RFC 9293 section 3.3.2)."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class InputView:
    """The input buffer: bytes that arrived and were not read yet, in the order in which recv will return them."""

    rust: int
    kernel: int
    capacity: int
    first: bytes

    @property
    def total(self) -> int:
        """Bytes in both places."""
        return self.rust + self.kernel


@dataclass(frozen=True, slots=True)
class OutputView:
    """The output buffer: bytes that send accepted and the peer has not acknowledged yet, oldest first."""

    unacknowledged: int
    unsent: int | None
    total: int
    capacity: int
    first: bytes
    rust: int = 0
    """Bytes that a server has for this client and the kernel has not taken yet."""


@dataclass(frozen=True, slots=True)
class ConnectionView:
    """A connection as it was at one moment. None: not known here, or closed."""

    local: Address
    peer: Address | None
    state: str | None
    closed: bool = False
    input: InputView | None = None
    output: OutputView | None = None
    sent: int | None = None
    received: int | None = None
    name: str = ""

    @property
    def waits_for(self) -> str:
        """What is left to do in a state that waits for this program, in words; empty in any other."""
        return CLOSE_WAIT if self.state == "CLOSE_WAIT" and not self.closed else ""


@dataclass(frozen=True, slots=True)
class ListenerView:
    """A listener as it was at one moment. None: not known here, or closed."""

    local: Address
    state: str | None
    closed: bool = False
    waiting: int | None = None
    limit: int | None = None
    accepted: int | None = None
    connections: tuple[ConnectionView, ...] = ()
    name: str = ""


View: TypeAlias = ConnectionView | ListenerView


def view_of(thing: Connection | Listener | View, name: str | None = None) -> View:
    """One frozen view of a connection or a listener. A view passes through, with its new name if one is given.

    Raises:
        TypeError: it is neither.
    """
    if isinstance(thing, Connection):
        view: View = connection_view(thing)
    elif isinstance(thing, Listener):
        view = listener_view(thing)
    elif isinstance(thing, (ConnectionView, ListenerView)):
        view = thing
    else:
        raise TypeError(f"show() draws connections and listeners, not {type(thing).__name__}")
    return view if name is None else replace(view, name=name)


def told(ask: Callable[[], _T]) -> _T | None:
    """The answer, or None where the socket is closed or the platform does not know."""
    try:
        return ask()
    except (OSError, NotImplementedError):
        return None


def connection_view(conn: Connection, first: int = FIRST_BYTES) -> ConnectionView:
    """One look at a connection, with so many bytes of each buffer."""
    totals = told(lambda: conn.totals)
    state = told(lambda: conn.state)
    return ConnectionView(
        local=conn.local_addr,
        peer=told(lambda: conn.peer_addr),
        state=state.name if state is not None else None,
        closed=conn.closed,
        input=told(lambda: _input(conn, first)),
        output=told(lambda: _output(conn, first)),
        sent=totals.sent if totals is not None else None,
        received=totals.received if totals is not None else None,
    )


def _input(conn: Connection, first: int) -> InputView | None:
    if conn.closed:
        return None
    return input_view(conn.input_buffer, first)


def _output(conn: Connection, first: int) -> OutputView | None:
    if conn.closed:
        return None
    return output_view(conn.output_buffer, first)


def input_view(seen: InputBuffer, first: int = FIRST_BYTES) -> InputView:
    """What a picture shows of an input buffer."""
    return InputView(rust=seen.rust, kernel=seen.kernel, capacity=seen.capacity, first=seen.peek(first))


def output_view(seen: OutputBuffer, first: int = FIRST_BYTES) -> OutputView:
    """What a picture shows of an output buffer."""
    return OutputView(
        unacknowledged=seen.unacknowledged,
        unsent=seen.unsent,
        total=len(seen),
        capacity=seen.capacity,
        # Where the oldest outstanding bytes are no longer held, the picture must not start in the middle of them.
        first=b"" if seen.not_kept else seen.peek(first),
        rust=seen.rust,
    )


def listener_view(listener: Listener) -> ListenerView:
    """One look at a listener and the connections it accepted."""
    backlog = None if listener.closed else told(lambda: listener.backlog)
    state = told(lambda: listener.state)
    return ListenerView(
        local=listener.local_addr,
        state=state.name if state is not None else None,
        closed=listener.closed,
        waiting=backlog.waiting if backlog is not None else None,
        limit=backlog.limit if backlog is not None else None,
        accepted=told(lambda: listener.accepted),
        connections=tuple(connection_view(conn) for conn in told(lambda: listener.connections) or ()),
    )
