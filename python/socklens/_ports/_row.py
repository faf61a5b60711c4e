"""One row of the kernel's socket table: a frozen value. Nothing here asks the kernel."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from .. import _cells
from .._address import Address, queue_words
from .._socklens import TcpState
from ._jupyter import kernel_ports

if TYPE_CHECKING:
    from .._socklens import _PortRow


class Told(NamedTuple):
    """What was found out about a socket, as the compiled half hands it over too."""

    protocol: str
    local: Address
    peer: Address | None
    state: TcpState
    recv_queue: int | None = None
    send_queue: int | None = None
    pid: int | None = None
    program: str | None = None
    role: str | None = None
    accept_queue: int | None = None
    accept_limit: int | None = None
    seconds_left: float | None = None
    uid: int | None = None
    inode: int = 0
    cookie: int = 0
    owner: tuple[str | None, object, tuple[str, int, int | None] | None] | None = None


class Role(StrEnum):
    """What a socket is to others, derived from the whole table. Each is also its text: ``role == "client"``."""

    LISTENER = "listener"
    ACCEPTED = "accepted"
    WAITING = "not accepted yet"
    CLIENT = "client"
    BOUND = "bound"


@dataclass(frozen=True, slots=True)
class Owner:
    """Which variable of this program has a socket, and the cell or line that made it; either is None if it is not known.

    A connection that nobody has accepted yet is its listener's.
    """

    variable: str | None
    made_in: str | None

    def __str__(self) -> str:
        name = f"`{self.variable}`" if self.variable else "no variable"
        return name if self.made_in is None else f"{name}, {self.made_in}"


class PortRow:
    """One socket at one moment, as the kernel's table has it. What the system does not tell is None."""

    __slots__ = ("_told",)

    def __init__(self, told: Told | _PortRow) -> None:
        self._told = told

    @property
    def owner(self) -> Owner | None:
        """The variable of this program that has it, and the cell or line that made it; None for sockets of others."""
        found = self._told.owner
        if found is None:
            return None
        name, place, site = found
        variable = None if name is None else name + ("" if place is None else f"[{place!r}]")
        # No line has made a server's client: one in Rust becomes Python's where it is first asked for, which may be anywhere.
        of_server = name is not None and "." in name
        return Owner(variable, None if site is None or of_server else _cells.describe(*site))

    @property
    def of_jupyter(self) -> bool:
        """Whether it is a socket of the notebook's own kernel, in which this program runs. Derived: it is this process's, no variable has
        it, and one of its ports is the kernel's, as in its connection file.
        """
        if self._told.pid != os.getpid() or self._told.owner is not None:
            return False
        peer = self.peer
        return not kernel_ports().isdisjoint({self.local.port, 0 if peer is None else peer.port})

    @property
    def protocol(self) -> str:
        """``"tcp"``, or ``"tcp6"`` for a socket of IPv6, which may carry IPv4 too."""
        return self._told.protocol

    @property
    def local(self) -> Address:
        """This end of it."""
        return self._told.local

    @property
    def peer(self) -> Address | None:
        """The other end; None for a listener and for a socket that is only bound."""
        return self._told.peer

    @property
    def state(self) -> TcpState:
        """The TCP state; CLOSED for a socket that is only bound."""
        return self._told.state

    @property
    def recv_queue(self) -> int | None:
        """Bytes that wait to be read; None for a listener."""
        return self._told.recv_queue

    @property
    def send_queue(self) -> int | None:
        """Bytes that the peer has not acknowledged; None for a listener."""
        return self._told.send_queue

    @property
    def pid(self) -> int | None:
        """The process that has it open. None if no process has (TIME_WAIT, not accepted yet), or if this user may not know."""
        return self._told.pid

    @property
    def program(self) -> str | None:
        """The name of that process, as the program itself has set it: at most 15 bytes of anything."""
        return self._told.program

    @property
    def role(self) -> Role | None:
        """Its part: "listener", "accepted", "not accepted yet", "client" or "bound". Derived; None where the table does not settle it."""
        role = self._told.role
        return None if role is None else Role(role)

    @property
    def accept_queue(self) -> int | None:
        """How many connections wait to be accepted; None but for a listener."""
        return self._told.accept_queue

    @property
    def accept_limit(self) -> int | None:
        """The backlog that the kernel granted a listener; Linux lets one more wait, so that n + 1 are a full queue."""
        return self._told.accept_limit

    @property
    def seconds_left(self) -> float | None:
        """How long the kernel will keep what is left of a closed connection, in seconds: TIME_WAIT, and FIN_WAIT_2 that nobody has open."""
        return self._told.seconds_left

    @property
    def uid(self) -> int | None:
        """The number of the user whose socket it is."""
        return self._told.uid

    @property
    def note(self) -> str:
        """What is special about it, in a few words; empty if nothing is."""
        if self.accept_queue is not None:
            limit = self.accept_limit
            return f"{self.accept_queue:,} waiting" if limit is None else queue_words(self.accept_queue, limit)
        if self.role is Role.WAITING:
            return "handshake not finished" if self.state == TcpState.SYN_RECEIVED else "in the accept queue"
        if self.role is Role.BOUND:
            return "does not listen"
        if self.seconds_left is not None:
            return f"{self.seconds_left:.0f} s left"
        return "closed by its program" if self._told.inode == 0 and self.uid is not None else ""

    @property
    def is_nameless(self) -> bool:
        """Whether a process has it open, and this user may not know which."""
        return self.pid is None and self._told.inode != 0

    @property
    def key(self) -> tuple[str, Address, Address | None, int]:
        """The same for one socket as long as it lives, and no other's: what `PortTable.diff` goes by."""
        mark = self._told.cookie or (self._told.inode if self.peer is None else 0)
        return (self.protocol, self.local, self.peer, mark)

    @property
    def inode(self) -> int:
        """The number of the open socket, as ``os.fstat(fd).st_ino`` has it; 0 if no process has it open."""
        return self._told.inode

    def to_dict(self) -> dict[str, object]:
        """Plain values by name, the endpoints split into host and port."""
        return {
            "protocol": self.protocol,
            "local_host": self.local.host,
            "local_port": self.local.port,
            "peer_host": None if self.peer is None else self.peer.host,
            "peer_port": None if self.peer is None else self.peer.port,
            "state": self.state.name,
            "recv_queue": self.recv_queue,
            "send_queue": self.send_queue,
            "pid": self.pid,
            "program": self.program,
            "role": None if self.role is None else self.role.value,
            "owner": None if self.owner is None else str(self.owner),
            "accept_queue": self.accept_queue,
            "accept_limit": self.accept_limit,
            "seconds_left": self.seconds_left,
            "note": self.note,
        }

    def _all(self) -> Told:
        """Everything that was found out."""
        return Told(*(getattr(self._told, name) for name in Told._fields))

    def __eq__(self, other: object) -> bool:
        return self._all() == other._all() if isinstance(other, PortRow) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._all())

    def __repr__(self) -> str:
        from ..display.ports import row_line

        return f"<PortRow {row_line(self)}>"
