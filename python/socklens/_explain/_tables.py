"""What the kernel's tables of sockets tell an explanation. The one place to change when `sl.ports()` can be asked instead.

Every look keeps to the budget; what could not be seen is noted there, never taken for empty.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING

from .. import TcpState
from . import _diag
from ._diag import BOUND, LISTEN, TIME_WAIT, Row

if TYPE_CHECKING:
    from ._budget import Budget

TABLE = "the kernel's socket table (sock_diag)"
"""Where these rows are from, in words."""

_FAMILIES = (socket.AF_INET, socket.AF_INET6)
_CONNECTED = tuple(state for state in range(1, 13) if state not in (7, LISTEN))


def listeners(budget: Budget, port: int = 0) -> list[Row]:
    """All sockets that listen, on one port or on any. They are few, even where connections are many."""
    return _rows(budget, "who listens", (LISTEN,), port)


def bound(budget: Budget, port: int) -> list[Row]:
    """Sockets that have this port and neither listen nor are connected; for kernels from Linux 6.8 on.

    The kernel takes some 6 ms for it: it looks through a table of all ports.
    """
    return _rows(budget, "who has bound the port without listening", (BOUND,), port)


def connections(budget: Budget, port: int) -> list[Row]:
    """All connections with this local port, whatever their state, those in TIME_WAIT last."""
    rows = _rows(budget, f"the connections of port {port}", _CONNECTED, port)
    return sorted(rows, key=lambda row: row.state == TIME_WAIT)


def _rows(budget: Budget, what: str, states: tuple[int, ...], port: int) -> list[Row]:
    found: list[Row] = []
    try:
        for rows in _asked(states, port):
            found += rows
            if budget.spent(f"{what}, all of it"):
                break
    except (OSError, AttributeError) as error:
        # Another system has no netlink; a kernel may be built without sock_diag.
        budget.missed(what, f"{TABLE} cannot be asked here ({error})")
    return found


def _asked(states: tuple[int, ...], port: int) -> Iterator[list[Row]]:
    for family in _FAMILIES:
        yield from _diag.dump(family, states, port)


def state(row: Row) -> str:
    """The name of its state."""
    names = (name for name, value in vars(TcpState).items() if isinstance(value, TcpState) and int(value) == row.state)
    return next(names, str(row.state))
