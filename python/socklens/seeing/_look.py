"""`look`: any TCP socket of this program, whoever made it. It is asked once through a copy of its descriptor; nothing of it
changes, and nothing is read.
"""

from __future__ import annotations

from typing import Any, Protocol

from .. import Address, Backlog, Connection, InputBuffer, Listener, OutputBuffer, TcpInfo, TcpState, Totals
from .._door import door
from .._socklens import _look
from ..display.ends import EndView, end_view
from ..display.forms import connection_html, listener_html
from ..display.text import connection, listener
from ..display.views import ListenerView


class HasFileno(Protocol):
    """Whatever has a descriptor: a socket, a selector's key object, a stream."""

    def fileno(self) -> int:
        """The descriptor's number."""


class HasSocket(Protocol):
    """A transport or a stream writer of asyncio's."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Its socket, by the name "socket"."""


class Look:
    """A TCP socket at one moment, as the kernel tells it: prints as text, draws itself in a notebook.

    All of it is observed: getsockname(2), getpeername(2), TCP_INFO, FIONREAD, MSG_PEEK, SIOCOUTQ, SIOCOUTQNSD. What only the
    program that uses the socket knows is not there: the content of its output buffer, what it has sent and read in all. A socklens
    connection counts and keeps that itself, so of one it is there.
    """

    __slots__ = {
        "_drawn": None,
        "backlog": "A listener's accept queue (Backlog); None on other sockets.",
        "info": "All that the kernel tells (TcpInfo); None where it is not connected.",
        "input_buffer": "What has come and was not read (InputBuffer); None where it is not connected.",
        "local_addr": "Its own endpoint.",
        "output_buffer": "What is not acknowledged (OutputBuffer); its content is not known. None where it is not connected.",
        "peer_addr": "The other end's endpoint; None where it is not connected.",
        "state": "Its state (TcpState); None where the system does not tell.",
        "totals": "What a socklens connection has sent and received (Totals); None for any other socket: nobody counts it.",
    }

    local_addr: Address
    peer_addr: Address | None
    state: TcpState | None
    backlog: Backlog | None
    input_buffer: InputBuffer | None
    output_buffer: OutputBuffer | None
    info: TcpInfo | None
    totals: Totals | None
    _drawn: EndView | ListenerView

    def __init__(self, number: int, conn: Connection | None = None) -> None:
        self.local_addr, self.peer_addr, self.state, backlog, parts = _look(number)
        self.backlog = None if backlog is None else Backlog(*backlog)
        self.input_buffer, self.output_buffer, self.info = (None, None, None) if parts is None else parts
        self.totals = None
        if conn is not None:
            self.totals, self.input_buffer, self.output_buffer = conn.totals, conn.input_buffer, conn.output_buffer
        self._drawn = self._listener() if self.backlog is not None else end_view(self, "socket")

    def _listener(self) -> ListenerView:
        waiting, limit = (None, None) if self.backlog is None else self.backlog
        return ListenerView(
            self.local_addr, self.state and self.state.name, waiting=waiting, limit=limit, name="socket"
        )

    def __repr__(self) -> str:
        return listener(self._drawn) if isinstance(self._drawn, ListenerView) else connection(self._drawn.conn)

    def _repr_html_(self) -> str:
        drawn = self._drawn
        return listener_html(drawn) if isinstance(drawn, ListenerView) else connection_html(drawn)


def look(x: HasFileno | HasSocket | int) -> Look:
    """Looks at anything with a TCP socket in it, without taking it over: its descriptor stays its owner's, open and as it was.

        sl.look(sock)                                       # a socket.socket
        sl.look(writer)                                     # an asyncio stream or transport
        sl.look(sys.stdin)                                  # what a program started by inetd was given

    Args:
        x: an object with ``fileno()``, such as a `socket.socket`, a socklens connection or listener; an object with
            ``get_extra_info("socket")``, as asyncio's transports and stream writers have; or the number of a descriptor.

    Returns:
        A frozen Look.

    Raises:
        TypeError: it has no descriptor. ValueError: it is closed, or no TCP socket. OSError: ENOTSOCK, no socket at all; EBADF.
    """
    with door:
        return Look(_number(x), x if isinstance(x, Connection) else None)


def _number(x: object) -> int:
    if isinstance(x, int) and not isinstance(x, bool):
        return x
    if isinstance(x, (Connection, Listener)):
        if x.closed:
            raise ValueError("look: this socket is closed; its `state` tells what the kernel still keeps of it")
        return x.fileno()
    ask = getattr(x, "fileno", None)
    if ask is None and hasattr(x, "get_extra_info"):
        inner = x.get_extra_info("socket")
        if inner is None:
            raise ValueError("look: this transport has no socket any more: it is closed")
        ask = inner.fileno
    number = ask() if callable(ask) else None
    if not isinstance(number, int):
        many = (
            "; a server has many sockets: sl.watch(it) shows them, and its .clients are connections"
            if hasattr(x, "clients")
            else ""
        )
        raise TypeError(f"look() takes a socket, or something else with fileno(), not {type(x).__name__}{many}")
    return number
