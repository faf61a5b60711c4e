"""The stage of a lesson: which addresses and ports it plays on, and what it leaves in the kernel. It looks and tells; the
lesson's sockets are opened by the student's own cells. Where the lecture's numbers cannot be had, it says why.
"""

from __future__ import annotations

import errno
import select
import shutil
import socket
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar

import socklens as sl

A = sl.Address("127.0.0.101", 6666)
B = sl.Address("127.0.0.110", 50320)
C = sl.Address("127.0.0.115", 40520)
ROOM = sl.Address("127.0.0.1", 6666)

_LOOPBACK = "127.0.0.1"
_PROC_NET_TCP = Path("/proc/net/tcp")
# The numbers of include/net/tcp_states.h, in their order from 1.
_STATES = (
    "ESTABLISHED SYN_SENT SYN_RECEIVED FIN_WAIT_1 FIN_WAIT_2 TIME_WAIT CLOSED CLOSE_WAIT LAST_ACK LISTEN CLOSING"
).split()

_Kind = TypeVar("_Kind", sl.Connection, sl.Listener)


class Cast(NamedTuple):
    """The lecture's three endpoints: A listens, B and C connect."""

    a: sl.Address
    b: sl.Address
    c: sl.Address


def cast() -> Cast:
    """The endpoints of A, B and C, printed with whatever differs from the lecture and why.

    A machine whose loopback interface has only 127.0.0.1 (macOS) plays all three there. A port of A that somebody else
    holds is replaced by a free one; an open listener of this notebook on it is not in the way.
    """
    if all(_is_local(endpoint.host) for endpoint in (A, B, C)):
        a, b, c = A, B, C
    else:
        print(f"This machine's loopback interface has only {_LOOPBACK}: A, B and C share it and differ in their ports.")
        a, b, c = (sl.Address(_LOOPBACK, endpoint.port) for endpoint in (A, B, C))
    own = _open(sys._getframe(1).f_globals, sl.Listener)
    if not any(listener.local_addr == a for _, listener in own):
        a = _free_for_listening(a)
    print(f"A listens on     {a}")
    print(f"B connects from  {b}")
    print(f"C connects from  {c}")
    return Cast(a, b, c)


def room(endpoint: sl.Address = ROOM) -> sl.Address:
    """Where a server of the lesson listens: ``endpoint``, or a free port if somebody else holds it; says which.

    A server that the caller's cells have started there is not in the way: its own cell replaces it.
    """
    names = sys._getframe(1).f_globals
    own = [value for value in names.values() if isinstance(value, sl.Server) and value.running]
    if not any(server.local_addr == endpoint for server in own):
        endpoint = _free_for_listening(endpoint, "The server")
    print(f"The server listens on {endpoint}")
    return endpoint


def terminal_command(endpoint: sl.Address) -> None:
    """Print what joins the server from a terminal; where the shell may not find ``socklens``, by this kernel's Python."""
    program = "socklens" if shutil.which("socklens") else f"{sys.executable} -m socklens"
    print(f"{program} connect {endpoint}")


def usable(source: sl.Address) -> sl.Address:
    """``source`` if a client can connect from it now; else the same host with port 0, which lets the kernel choose.

    A connection that an earlier run of the cell left open at ``source`` is ended first: with RST, so that no TIME_WAIT
    keeps the port. If nobody had accepted it, it is taken out of the accept queue.
    """
    names = sys._getframe(1).f_globals
    for name, connection in _open(names, sl.Connection):
        if not connection.closed and connection.local_addr == source:
            _end(connection, names)
            print(f"{source} was held by the earlier `{name}`; it is closed now, and the port is free again.")
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.bind((source.host, source.port))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        print(f"{source} is in use, or in TIME_WAIT after an earlier connection: the kernel picks another port.")
        return sl.Address(source.host, 0)
    return source


def somebody_waits(listener: sl.Listener) -> bool:
    """Whether ``accept`` would return at once: select(2), which works also where ``listener.backlog`` does not."""
    return bool(select.select([listener], [], [], 0)[0])


def left_behind(endpoint: sl.Address) -> None:
    """Print every TCP socket that the kernel still knows at ``endpoint``, read from ``/proc/net/tcp`` (proc(5))."""
    if not _PROC_NET_TCP.exists():
        print("This system has no /proc/net/tcp; `netstat -an` in a terminal prints the same table.")
        return
    rows = [row for row in _table() if endpoint in row[:2]]
    print(f"The kernel's table (/proc/net/tcp) at {endpoint}:" + ("" if rows else " nothing"))
    for local, peer, state in sorted(rows):
        print(f"  {local!s:<21} -> {peer!s:<21}  {state}")


def _is_local(host: str) -> bool:
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.bind((host, 0))
    except OSError:
        return False
    return True


def _free_for_listening(endpoint: sl.Address, who: str = "A") -> sl.Address:
    """``endpoint`` if it can be listened on, else its host with a free port."""
    try:
        sl.listen(*endpoint).close()
    except OSError as error:
        print(f"{who} cannot listen on {endpoint}, so it takes a free port. {error}")
        with sl.listen(endpoint.host) as free:
            return free.local_addr
    return endpoint


def _open(names: Mapping[str, object], kind: type[_Kind]) -> list[tuple[str, _Kind]]:
    """The open sockets of one kind among the caller's variables; IPython's own start with an underscore."""
    return [
        (name, value)
        for name, value in names.items()
        if not name.startswith("_") and isinstance(value, kind) and not value.closed
    ]


def _end(connection: sl.Connection, names: Mapping[str, object]) -> None:
    """Abort a connection, close its other end, and take it out of the accept queue if it is still there."""
    here, there = connection.local_addr, connection.peer_addr
    connection.abort()
    others = [other for _, other in _open(names, sl.Connection) if (other.local_addr, other.peer_addr) == (there, here)]
    for other in others:
        other.close()
    for _, listener in _open(names, sl.Listener):
        while not others and listener.local_addr == there and somebody_waits(listener):
            listener.accept(timeout=0).close()


def _table() -> Iterator[tuple[sl.Address, sl.Address, str]]:
    for line in _PROC_NET_TCP.read_text(encoding="ascii").splitlines()[1:]:
        _, local, peer, state = line.split()[:4]
        number = int(state, 16)
        yield _address(local), _address(peer), _STATES[number - 1] if number <= len(_STATES) else f"state {number}"


def _address(text: str) -> sl.Address:
    """``6500007F:1A0A`` is 127.0.0.101:6666: four bytes in this machine's order, then the port."""
    host, port = text.split(":")
    return sl.Address(socket.inet_ntoa(int(host, 16).to_bytes(4, sys.byteorder)), int(port, 16))
