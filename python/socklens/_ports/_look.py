"""One look at the socket table: the rows, who in this program has them, and what could not be seen."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from .._address import Address
from .._door import door
from .._socklens import _port_table
from ._mine import sockets
from ._table import PortTable
from ._wanted import AnyState, port_number


def ports(
    port: int | None = None,
    host: str | Address | None = None,
    state: AnyState | None = None,
    pid: int | None = None,
    mine: bool = False,
) -> PortTable:
    """The TCP sockets of this machine at this moment, as a table: which ports are in use, in which state, and by whom.

    Observed, without privileges: by sock_diag(7) on Linux, or /proc/net/tcp where that is refused, and /proc/PID/fd for the programs;
    through the package psutil elsewhere. Derived from all rows: who listens, who was accepted, who connected (`PortRow.role`). The
    table's `unseen` says what could not be seen. Sockets of other network namespaces (containers) are not of this machine's table.

    Args:
        port: only rows with this port at either end.
        host: only rows with this address at either end, and listeners on all addresses.
        state: only rows in this state: a TcpState, its name, such as "LISTEN", or several.
        pid: only sockets of this process.
        mine: only sockets of this program, and what is left of them.

    Raises:
        ValueError, TypeError, OverflowError: there is no such port, host or state.
        NotImplementedError: this system's table needs psutil, which is not installed.
    """
    frame = sys._getframe(1)
    # At the top of a program these are the variables that are looked at anyway.
    local = {} if frame.f_locals is frame.f_globals else dict(frame.f_locals)
    with door:
        number = None if port is None else port_number(port)
    table = look(number, local=local)
    with door:
        return table.filter(None, host, state, pid, mine)


def look(port: int | None = None, *, source: str | None = None, local: dict[str, object] | None = None) -> PortTable:
    """The table, or its rows with one port at either end; `source` asks one teller alone: "sock_diag", "/proc/net/tcp", "psutil"."""
    with _uncollected():
        told = None if source == "psutil" else _port_table(port, *sockets(local or {}), source)
        if told is not None:
            return PortTable.told(*told)
        from ._elsewhere import table

        return PortTable.told(*table(port))


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without Python's garbage collector, which would look through ten thousand new rows again and again: a quarter of all work (perf)."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
