"""`lens`: both ends of a connection in one picture. The look is frozen; the picture follows from it."""

from __future__ import annotations

import sys

from .. import Connection
from .._address import same
from .._door import door
from ..display.ends import PairView, pair_view, unaccepted_view
from ..display.flow import Flow, flows
from ..display.lens import lens_text
from ..display.lens_html import lens_html
from ..display.views import told
from . import _names


class Lens:
    """Both ends of one connection at one moment: prints as text, draws itself in a notebook.

    Each direction shows where its bytes are: in the sender's output buffer (not sent yet; sent, not arrived), in the receiver's
    receive queue, in its Rust memory, taken by its program. Bytes are coloured and numbered by the ``send`` that brought them:
    the last 64 sends of each end are remembered. TCP itself carries no such borders. An end is called as the variable that holds it, or,
    where none does, by its address.

    Observed: the queues (SIOCOUTQ, SIOCOUTQNSD, FIONREAD, MSG_PEEK), the states (TCP_INFO). Counted by socklens: what was sent,
    taken and lies in Rust memory, and the borders of sends. Derived: which bytes are on the way, from all of these.
    """

    __slots__ = {"flows": "Both directions: a to b, b to a.", "view": "The frozen look that it is drawn from."}

    view: PairView
    flows: tuple[Flow, Flow]

    def __init__(self, view: PairView) -> None:
        self.view = view
        self.flows = flows(view)

    @property
    def holds(self) -> bool | None:
        """Whether every byte is accounted for in both directions: sent = taken + buffered + outstanding. None: not to be checked."""
        laws = [flow.law.holds for flow in self.flows]
        return False if False in laws else None if None in laws else True

    def __repr__(self) -> str:
        return lens_text(self.view)

    def _repr_html_(self) -> str:
        return lens_html(self.view)


def lens(a: Connection | tuple[Connection, Connection], b: Connection | None = None) -> Lens:
    """Looks at both ends of a connection at once; nothing is read, and nothing waits.

        sl.lens(b, a_for_b)     # or sl.lens(sl.pair()), or sl.lens(b) if the other end is in this program

    Args:
        a: one end, or a pair of both ends.
        b: the other end. Left out, it is looked for in this program by its four-tuple: among variables, the connections that
            listeners accepted, and the clients of servers. If nobody has accepted it yet, the kernel's table tells what waits there
            (sock_diag), and that is drawn.

    Returns:
        A frozen Lens.

    Raises:
        ValueError: they are not the two ends of one connection, or the other end is not found in this program.
        TypeError: they are no connections.
    """
    around = _names.scopes(sys._getframe(1))
    with door:
        return Lens(_look(a, b, around))


def _look(a: Connection | tuple[Connection, Connection], b: Connection | None, around: list[_names.Names]) -> PairView:
    """One look at the two ends that are meant."""
    if isinstance(a, (tuple, list)) and b is None and len(a) == 2:
        a, b = a
    a = _checked(a)
    if b is not None:
        b = _checked(b)
    else:
        b = _names.other_end(a, around)
        if b is None:
            return _unaccepted(a, around)
    if not (same(a.local_addr, b.peer_addr) and same(a.peer_addr, b.local_addr)):
        raise ValueError(
            f"lens: these are not the two ends of one connection: {a.local_addr} -> {a.peer_addr} and {b.local_addr} -> {b.peer_addr}"
        )
    return pair_view(a, b, pair_names(a, b, around))


def _unaccepted(conn: Connection, around: list[_names.Names]) -> PairView:
    """The same where no object stands for the other end: it may wait in an accept queue."""
    name = _names.name_of(conn, around, str(conn.local_addr))
    seen = unaccepted_view(conn, name, lambda: told(lambda: _waiting(conn)))
    if seen is None:
        raise ValueError(
            f"lens: no connection of this program is the other end of {conn.local_addr} -> {conn.peer_addr}, as far as variables, "
            "listeners and servers show: it is another program's, or closed. Name it, lens(a, b), or look at this end alone: sl.look(a)"
        )
    return seen


def _waiting(conn: Connection) -> tuple[str, int] | None:
    """The state and the receive queue of the other end, if it waits to be accepted: a row of the kernel's table."""
    from .._ports._look import look
    from .._ports._row import Role

    for row in look(conn.peer_addr.port):
        if row.role is Role.WAITING and same(row.local, conn.peer_addr) and same(row.peer, conn.local_addr):
            return row.state.name, row.recv_queue or 0
    return None


def pair_names(a: Connection, b: Connection, around: list[_names.Names]) -> tuple[str, str]:
    """What the two ends are called in a picture: by their variables, or else by their own addresses."""
    addresses = (str(a.local_addr), str(b.local_addr))
    first = _names.name_of(a, around, addresses[0])
    second = _names.name_of(b, around, addresses[1])
    return (first, second) if first != second else addresses


def _checked(end: object) -> Connection:
    if isinstance(end, Connection):
        return end
    hint = "; sl.look() looks at a socket of another kind, one end at a time" if hasattr(end, "fileno") else ""
    raise TypeError(f"lens() takes the two ends of a connection, not {_kind(end)}{hint}")


def _kind(value: object) -> str:
    name = type(value).__name__
    return f"{'an' if name[:1] in 'AEIOUaeiou' else 'a'} {name}"
