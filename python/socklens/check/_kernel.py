"""What the kernel tells about a program under check: who listens, what lies unread, which processes and threads there are. Observed by
sock_diag(7) and /proc; None or nothing where this system does not tell, so that no mistake is named on its ground.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from .._address import Address
from .._ports._row import PortRow, Role
from .._ports._table import PortTable
from .._socklens import TcpState, _port_table

_PROC = Path("/proc")
_PAUSE = 0.002


def rows(port: int | None = None) -> list[PortRow] | None:
    """The socket table, or its rows with one port at either end; None where it is not told."""
    told = _port_table(port, [])
    return None if told is None else list(PortTable.told(*told))


def listeners_at(address: Address) -> list[PortRow]:
    """All who listen where this address can be reached."""
    found = [row for row in rows(address.port) or [] if row.state == TcpState.LISTEN]
    return [row for row in found if row.local.port == address.port and _reaches(row.local.host, address.host)]


def listener_at(address: Address) -> PortRow | None:
    """Who listens where this address can be reached."""
    return next(iter(listeners_at(address)), None)


def _reaches(listening: str, asked: str) -> bool:
    return listening in (asked, "0.0.0.0", "::", f"::ffff:{asked}")


def listener_pids(address: Address) -> frozenset[int]:
    """The processes that listen there, as far as this user may know."""
    row = listener_at(address)
    return frozenset() if row is None or row.pid is None else frozenset({row.pid})


def listening(pids: Collection[int]) -> list[Address]:
    """Where these processes listen."""
    return [row.local for row in rows() or [] if row.state == TcpState.LISTEN and row.pid in pids]


@dataclass(frozen=True)
class OtherEnd:
    """The program's end of one of the check's connections."""

    state: TcpState
    accepted: bool
    unread: int
    """Bytes that the program has not taken yet."""
    unsent: int
    """Bytes that it has sent and that have not arrived here."""
    inode: int
    """The kernel's number of it."""


def other_end(local: Address, peer: Address) -> OtherEnd | None:
    """The other end of the connection from `local` to `peer`; None if the kernel has none, or this system does not tell."""
    for row in rows(local.port) or []:
        # All four: other hosts of the loopback may have connections between the same two ports.
        if row.peer is not None and (_plain(row.local), _plain(row.peer)) == (_plain(peer), _plain(local)):
            accepted = row.role is not Role.WAITING
            return OtherEnd(row.state, accepted, row.recv_queue or 0, row.send_queue or 0, row.inode)
    return None


def _plain(address: Address) -> tuple[str, int]:
    """The same for an address of IPv4 and for the one that a socket of IPv6 has in its place (RFC 4291 section 2.5.5.2)."""
    return address.host.removeprefix("::ffff:"), address.port


def left_open(port: int) -> int:
    """How many connections at a listener's port were finished by their clients, and are still open here: CLOSE_WAIT."""
    found = [row for row in rows(port) or [] if row.local.port == port and row.state == TcpState.CLOSE_WAIT]
    return len([row for row in found if row.role is not Role.WAITING])


# -- processes


def group(leader: int) -> frozenset[int]:
    """The processes of a process group, as /proc has them; the leader alone where it does not tell."""
    found = {leader}
    with contextlib.suppress(OSError):  # there is no /proc, or no descriptor left to read it with
        for name in os.listdir(_PROC):
            if name.isdigit():
                with contextlib.suppress(OSError):  # it has ended meanwhile
                    if os.getpgid(int(name)) == leader:
                        found.add(int(name))
    return frozenset(found)


@dataclass(frozen=True)
class Holdings:
    """What processes have open: sockets and threads."""

    sockets: int
    threads: int


def holdings(pids: Collection[int]) -> Holdings | None:
    """What these processes have; None where /proc does not tell."""
    sockets = threads = 0
    seen = False
    for pid in pids:
        try:
            numbers = os.listdir(_PROC / str(pid) / "fd")
            threads += len(os.listdir(_PROC / str(pid) / "task"))
        except OSError:
            continue
        seen = True
        for number in numbers:
            try:
                sockets += os.readlink(_PROC / str(pid) / "fd" / number).startswith("socket:")
            except OSError:  # closed meanwhile
                continue
    return Holdings(sockets, threads) if seen else None


def holders(inode: int, pids: Collection[int]) -> int:
    """How many of these processes have one socket open."""
    return sum(f"socket:[{inode}]" in _open_in(pid) for pid in pids)


def _open_in(pid: int) -> Iterator[str]:
    """What the descriptors of a process stand for, as far as /proc tells."""
    with contextlib.suppress(OSError):
        for number in os.listdir(_PROC / str(pid) / "fd"):
            with contextlib.suppress(OSError):  # closed meanwhile
                yield os.readlink(_PROC / str(pid) / "fd" / number)


def processor_time(pids: Collection[int]) -> float | None:
    """Seconds of the processor that these processes have used; None where /proc does not tell (proc(5), stat)."""
    total, seen = 0, False
    for pid in pids:
        try:
            fields = (
                (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            )
        except OSError:
            continue
        total += int(fields[11]) + int(fields[12])
        seen = True
    return total / os.sysconf("SC_CLK_TCK") if seen else None


def until(condition: Callable[[], object], deadline: float) -> bool:
    """Asks until the condition is true; False if it is not by the deadline (of time.monotonic)."""
    pause = _PAUSE
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)
    return True
