"""The socket table of systems that the compiled half does not read, through psutil: fewer columns, and what it does not tell is None."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from .._address import Address
from .._socklens import TcpState, _port_roles
from ._row import Told

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


def table(port: int | None) -> tuple[list[Told], str, int]:
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
    # The roles before any row is left out: they follow from all of them.
    rows = _with_roles([_row(psutil, conn, names) for conn in found if conn.laddr])
    if port is not None:
        rows = [row for row in rows if row.local.port == port or (row.peer is not None and row.peer.port == port)]
    rows.sort(key=lambda row: (row.local.port, row.state != TcpState.LISTEN, row.local, row.peer or ("", 0)))
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


def _row(psutil: Any, conn: Any, names: dict[int, str | None]) -> Told:
    pid = conn.pid or None
    return Told(
        protocol="tcp6" if conn.family.name == "AF_INET6" else "tcp",
        local=Address(conn.laddr.ip, conn.laddr.port),
        peer=Address(conn.raddr.ip, conn.raddr.port) if conn.raddr else None,
        state=getattr(TcpState, _STATES.get(conn.status, conn.status)),
        pid=pid,
        program=None if pid is None else _name(psutil, pid, names),
    )


def _with_roles(rows: list[Told]) -> list[Told]:
    """By the rules of the compiled half, as far as psutil tells what they need."""
    roles = _port_roles([(*_end(row.local), row.peer and _end(row.peer), int(row.state)) for row in rows])
    return [row._replace(role=None if _may_wait(row) else role) for row, role in zip(rows, roles, strict=True)]


def _end(address: Address) -> tuple[str, int]:
    """Without the zone, which says where an address is valid and is no part of it (RFC 4007)."""
    return address.host.partition("%")[0], address.port


def _may_wait(row: Told) -> bool:
    """Whether it is a connection that nobody is known to have: it may wait to be accepted."""
    return row.pid is None and row.state in (TcpState.ESTABLISHED, TcpState.CLOSE_WAIT)


def _name(psutil: Any, pid: int, names: dict[int, str | None]) -> str | None:
    if pid not in names:
        try:
            names[pid] = psutil.Process(pid).name()
        except psutil.Error:
            names[pid] = None
    return names[pid]
