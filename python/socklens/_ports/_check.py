"""What is known of one port: its registered service, who may listen on it, who has it now, and who refuses to talk to it. Opens nothing."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from .._door import door
from .._socklens import TcpState
from ._look import look
from ._row import PortRow, Role
from ._table import PortTable
from ._wanted import port_number

_SYSCTL = Path("/proc/sys/net/ipv4")

BLOCKED_BY_BROWSERS = frozenset(
    (
        *(0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104),
        *(109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515),
        *(526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049),
        *(3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080),
    )
)
"""Ports that a browser does not connect to, so that no web page can talk to other services (Fetch standard, "port blocking")."""


@dataclass(frozen=True)
class PortCheck:
    """What was found about one port at one moment. It prints as a list of facts; what the system does not tell is None."""

    # As a dictionary, so that Shift-Tab explains them.
    __slots__ = {
        "blocked_by_browsers": "Whether browsers refuse to connect to it; 6665 to 6669 among others.",
        "ephemeral": "Whether the kernel gives it to clients by itself (net.ipv4.ip_local_port_range): it may be taken at any time.",
        "port": "The port that was asked about.",
        "privileged": "Whether only root may listen on it (net.ipv4.ip_unprivileged_port_start).",
        "reserved": "Whether the administrator keeps it from being given to clients (net.ipv4.ip_local_reserved_ports).",
        "rows": "The sockets that have it as their local port.",
        "service": "The name that is registered for it on this machine (services(5)); None if there is none.",
    }

    port: int
    service: str | None
    privileged: bool | None
    reserved: bool | None
    ephemeral: bool | None
    blocked_by_browsers: bool
    rows: PortTable

    @property
    def listeners(self) -> PortTable:
        """Who listens on it, or has bound it."""
        return self.rows.filter(where=lambda row: row.role in (Role.LISTENER, Role.BOUND))

    @property
    def connections(self) -> PortTable:
        """The connections that have it at this end, without those in TIME_WAIT."""
        return self.rows.filter(where=lambda row: row.peer is not None and row.state != TcpState.TIME_WAIT)

    @property
    def resting(self) -> PortTable:
        """What is left of closed connections, in TIME_WAIT."""
        return self.rows.filter(state=TcpState.TIME_WAIT)

    @property
    def taken(self) -> bool:
        """Whether somebody listens on it or has bound it, on any address of this machine."""
        return bool(self.listeners)

    @property
    def free(self) -> bool:
        """Whether no socket of this machine has it, in any state."""
        return not self.rows

    @property
    def seconds_left(self) -> float | None:
        """When the last of what rests in TIME_WAIT will be gone, in seconds; None if nothing rests, or if that is not told."""
        return max((row.seconds_left for row in self.resting if row.seconds_left is not None), default=None)

    def __repr__(self) -> str:
        from ..display.machine import check_text

        return check_text(self)

    def _repr_html_(self) -> str:
        from ..display.machine import check_html

        return check_html(self)


def port_check(port: int) -> PortCheck:
    """What is known of a port: its registered service, whether it is free, privileged, reserved or blocked by browsers, and who has it.

    Observed: services(5), the kernel's settings (ip(7)) and its table of sockets. Nothing is bound to try it.

    Args:
        port: 1 to 65535.

    Raises:
        OverflowError, TypeError, ValueError: there is no such port.
        NotImplementedError: this system's table needs psutil, which is not installed.
    """
    with door:
        number = port_number(port)
    if number == 0:
        raise ValueError("port 0 is no port to have: a listener that asks for it gets any free one")

    def here(row: PortRow) -> bool:
        return row.local.port == number

    # The one who asks may have its listener in a variable of a function.
    frame = sys._getframe(1)
    local = {} if frame.f_locals is frame.f_globals else dict(frame.f_locals)
    first = _number("ip_unprivileged_port_start")
    given = _numbers("ip_local_port_range")
    return PortCheck(
        port=number,
        service=_service(number),
        privileged=None if first is None else number < first,
        reserved=_in_ranges(number, _text("ip_local_reserved_ports")),
        ephemeral=None if len(given) != 2 else given[0] <= number <= given[1],
        blocked_by_browsers=number in BLOCKED_BY_BROWSERS,
        rows=look(number, local=local).filter(where=here),
    )


def _service(port: int) -> str | None:
    from socket import getservbyport

    try:
        return getservbyport(port, "tcp")
    except OSError:
        return None


def _text(name: str) -> str | None:
    """A setting of the kernel; None where there is none to read."""
    try:
        return (_SYSCTL / name).read_text(encoding="ascii").strip()
    except OSError:
        return None


def _numbers(name: str) -> list[int]:
    return [int(word) for word in (_text(name) or "").split()]


def _number(name: str) -> int | None:
    return next(iter(_numbers(name)), None)


def _in_ranges(port: int, text: str | None) -> bool | None:
    """Whether a port is in a list such as ``8080,9000-9010``."""
    if text is None:
        return None
    ends = [part.split("-") for part in text.split(",") if part]
    return any(int(end[0]) <= port <= int(end[-1]) for end in ends)
