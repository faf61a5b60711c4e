"""What the kernel's tables of sockets tell an explanation. The one place to change when `sl.ports()` can be asked instead.

Every look keeps to the budget; what could not be seen is noted there, never taken for empty.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from .. import TcpState
from . import _diag
from ._diag import BOUND, LISTEN, TIME_WAIT, Row

if TYPE_CHECKING:
    from .._address import Address
    from ._budget import Budget

TABLE = "the kernel's socket table (sock_diag)"
"""Where these rows are from, in words."""

_FAMILIES = (socket.AF_INET, socket.AF_INET6)
_CONNECTED = tuple(state for state in range(1, 13) if state not in (7, LISTEN))


def listeners(budget: Budget, port: int = 0) -> list[Row]:
    """All sockets that listen, on one port or on any. They are few, and asked for apart: 0.1 ms even where connections are many."""
    return _rows(budget, "who listens", (LISTEN,), port)


def bound(budget: Budget, address: Address) -> list[Row]:
    """Sockets with this port that neither listen nor are connected, of the address's family; for kernels from Linux 6.8 on.

    The kernel looks through its table of all ports for it, which was measured at 5 to 18 ms a family: ask for little else afterwards.
    """
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    return _rows(budget, "who has bound the port without listening", (BOUND,), address.port, (family,))


def connections(budget: Budget, port: int) -> list[Row]:
    """All connections with this local port, whatever their state, those in TIME_WAIT last. Some 3 ms a family."""
    rows = _rows(budget, f"the connections of port {port}", _CONNECTED, port)
    return sorted(rows, key=lambda row: row.state == TIME_WAIT)


def _rows(
    budget: Budget, what: str, states: tuple[int, ...], port: int, families: tuple[int, ...] = _FAMILIES
) -> list[Row]:
    found: list[Row] = []
    try:
        for family in families:
            if budget.spent(what):
                break
            for rows in _diag.dump(family, states, port):
                found += rows
                if budget.spent(f"{what}, all of it"):
                    break
    except (OSError, AttributeError) as error:
        # Another system has no netlink; a kernel may be built without sock_diag.
        budget.missed(what, f"{TABLE} cannot be asked here ({error})")
    return found


def state(row: Row) -> str:
    """The name of its state."""
    names = (name for name, value in vars(TcpState).items() if isinstance(value, TcpState) and int(value) == row.state)
    return next(names, str(row.state))
