"""The socket table of systems that the compiled half does not read, through psutil: fewer columns, and what it does not tell is None."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from .._address import Address
from .._socklens import TcpState
from ._row import Raw

# psutil's names, where they are not the RFC's.
_STATES = {
    "SYN_RECV": "SYN_RECEIVED",
    "FIN_WAIT1": "FIN_WAIT_1",
    "FIN_WAIT2": "FIN_WAIT_2",
    "CLOSE": "CLOSED",
    "NONE": "CLOSED",
    "DELETE_TCB": "CLOSED",
    "BOUND": "CLOSED",
    "IDLE": "CLOSED",
}


def table(port: int | None) -> tuple[list[Raw], str, int]:
    """(rows, "psutil", how many processes hide what they have), in the form of the compiled half.

    Raises:
        NotImplementedError: psutil is not installed.
    """
    try:
        psutil: Any = import_module("psutil")
    except ImportError:
        raise NotImplementedError(
            "this system's table of sockets is read through psutil, which is not installed: pip install psutil"
        ) from None
    found, closed_doors = _connections(psutil)
    names: dict[int, str | None] = {}
    listening = {conn.laddr.port for conn in found if conn.status == "LISTEN"}
    rows = [_row(psutil, conn, listening, names) for conn in found if conn.laddr]
    if port is not None:
        rows = [row for row in rows if row[1].port == port or (row[2] is not None and row[2].port == port)]
    rows.sort(key=lambda row: (row[1].port, row[3] != TcpState.LISTEN, row[1], row[2] or ("", 0)))
    return rows, "psutil", closed_doors


def _connections(psutil: Any) -> tuple[list[Any], int]:
    """All of them at once; where that is denied (macOS), those of each process that lets itself be asked."""
    try:
        return psutil.net_connections("tcp"), 0
    except psutil.AccessDenied:
        found: list[Any] = []
        closed_doors = 0
        for process in psutil.process_iter():
            try:
                ask = getattr(process, "net_connections", None) or process.connections
                found += [_Owned(conn, process.pid) for conn in ask("tcp")]
            except psutil.AccessDenied:
                closed_doors += 1
            except psutil.NoSuchProcess:
                continue
        return found, closed_doors


class _Owned:
    """A connection of one process, which psutil tells without its number."""

    def __init__(self, conn: Any, pid: int) -> None:
        self.laddr, self.raddr, self.status, self.family, self.pid = (
            conn.laddr,
            conn.raddr,
            conn.status,
            conn.family,
            pid,
        )


def _row(psutil: Any, conn: Any, listening: set[int], names: dict[int, str | None]) -> Raw:
    state: TcpState = getattr(TcpState, _STATES.get(conn.status, conn.status))
    peer = Address(conn.raddr.ip, conn.raddr.port) if conn.raddr else None
    pid = conn.pid or None
    program = None if pid is None else _name(psutil, pid, names)
    protocol = "tcp6" if conn.family.name == "AF_INET6" else "tcp"
    role = _role(state, conn.laddr.port, peer, listening)
    local = Address(conn.laddr.ip, conn.laddr.port)
    return (protocol, local, peer, state, None, None, pid, program, role, None, None, None, None, 0, 0, None)


def _role(state: TcpState, port: int, peer: Address | None, listening: set[int]) -> str | None:
    """Only what the ports settle; the rules of the compiled half need more than psutil tells."""
    if peer is None:
        return "listener" if state == TcpState.LISTEN else "bound"
    if state == TcpState.SYN_SENT:
        return "client"
    here, there = port in listening, peer.port in listening
    return None if here == there else "accepted" if here else "client"


def _name(psutil: Any, pid: int, names: dict[int, str | None]) -> str | None:
    if pid not in names:
        try:
            names[pid] = psutil.Process(pid).name()
        except psutil.Error:
            names[pid] = None
    return names[pid]
