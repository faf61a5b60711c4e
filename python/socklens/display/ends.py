"""Takes one look at one end of a connection, or at both, and freezes all that a picture of them needs. Looking reads no byte,
waits for nothing and changes nothing; what is not known is None.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .. import Connection, TcpInfo
from .views import ConnectionView, OutputView, connection_view, input_view, output_view, told

if TYPE_CHECKING:
    from ..seeing import Look

CONTENT = 65536
"""How many bytes of each buffer are copied: all that a buffer's view holds."""

_TRIES = 5


@dataclass(frozen=True, slots=True)
class PathView:
    """What TCP_INFO tells of the way to the peer. Times in microseconds, windows in bytes, the rest in segments."""

    rtt: int | None
    rttvar: int | None
    peer_window: int | None
    own_window: int | None
    retransmitted: int | None
    congestion_window: int | None
    segment: int | None


@dataclass(frozen=True, slots=True)
class SendsView:
    """The sends of one end: how many bytes, how many sends, and where in the stream the last of them ended, oldest first."""

    sent: int
    count: int
    ends: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class EndView:
    """One end of a connection at one moment."""

    conn: ConnectionView
    path: PathView | None = None
    taken: int | None = None
    """Bytes that the program has taken and kept: read, less what it has put back."""
    sends: SendsView | None = None
    foreign: bool = False
    """Not a socklens connection: nobody counts or copies what its program sends and reads."""
    queued: int | None = None
    """Bytes in the receive queue of an end that nobody has accepted yet: all that the kernel's table tells of it. None for any other."""

    @property
    def name(self) -> str:
        """What it is called in a picture."""
        return self.conn.name


@dataclass(frozen=True, slots=True)
class PairView:
    """Both ends of one connection. Not steady: calls went on between the looks at its parts, so they may not fit together."""

    a: EndView
    b: EndView
    steady: bool = True


def path_view(info: TcpInfo | None) -> PathView | None:
    """What a picture shows of TCP_INFO; None where there is none."""
    if info is None:
        return None
    return PathView(info.rtt, info.rttvar, info.snd_wnd, info.rcv_wnd, info.total_retrans, info.snd_cwnd, info.snd_mss)


def end_view(end: Connection | Look, name: str = "") -> EndView:
    """One look at one end."""
    if not isinstance(end, Connection):
        return _looked(end, name)
    totals = told(lambda: end.totals)
    sends = end._sends
    return EndView(
        conn=replace(connection_view(end, CONTENT), name=name),
        path=None if end.closed else path_view(told(end.info)),
        taken=None if totals is None else totals.read - totals.put_back,
        sends=None if sends is None else SendsView(sends[0], sends[1], tuple(sends[2])),
    )


def pair_view(a: Connection, b: Connection, names: tuple[str, str] = ("a", "b")) -> PairView:
    """One look at both ends. If a call sends or takes bytes meanwhile, it looks again, a few times.

    Both output buffers are looked at before any input buffer: a byte that arrives in between is then seen twice, as one
    whose ACK is still to come, and none is missed.
    """
    for _ in range(_TRIES):
        before = (a.totals, b.totals)
        outputs = (_output_of(a), _output_of(b))
        first, second = end_view(a, names[0]), end_view(b, names[1])
        steady = before == (a.totals, b.totals)
        if steady:
            break
    return PairView(_with_output(first, outputs[0]), _with_output(second, outputs[1]), steady)


def unaccepted_view(conn: Connection, name: str, row: Callable[[], tuple[str, int] | None]) -> PairView | None:
    """One look at a connection whose other end waits in its listener's accept queue; None if it does not.

    Args:
        conn: the end that connected.
        name: what it is called in a picture. The other end is called by its address.
        row: tells the other end's state, and the bytes in its receive queue, as the kernel's table has them; None if no end waits.
    """
    other, steady = None, False
    for _ in range(_TRIES):
        before = conn.totals
        output = _output_of(conn)
        other = row()
        end = end_view(conn, name)
        steady = before == conn.totals
        if steady or other is None:
            break
    if other is None:
        return None
    state, queued = other
    # Nobody has its socket, so nothing was sent by it or taken from it.
    waits = ConnectionView(conn.peer_addr, conn.local_addr, state, sent=0, received=0, name=str(conn.peer_addr))
    return PairView(
        _with_output(end, output), EndView(waits, taken=0, sends=SendsView(0, 0, ()), queued=queued), steady
    )


def _with_output(end: EndView, output: OutputView | None) -> EndView:
    return replace(end, conn=replace(end.conn, output=output))


def _output_of(conn: Connection) -> OutputView | None:
    return None if conn.closed else told(lambda: output_view(conn.output_buffer, CONTENT))


def _looked(look: Look, name: str) -> EndView:
    seen, out, totals = look.input_buffer, look.output_buffer, look.totals
    conn = ConnectionView(
        local=look.local_addr,
        peer=look.peer_addr,
        state=None if look.state is None else look.state.name,
        input=None if seen is None else told(lambda: input_view(seen, CONTENT)),
        output=None if out is None else told(lambda: output_view(out, CONTENT)),
        sent=None if totals is None else totals.sent,
        received=None if totals is None else totals.received,
        name=name,
    )
    taken = None if totals is None else totals.read - totals.put_back
    return EndView(conn, path_view(look.info), taken, foreign=totals is None)
