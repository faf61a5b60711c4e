"""What the kernel's table of sockets tells an explanation: few rows at a time, within its budget, by the way that `sl.ports()` goes.

What could not be seen is noted in the budget, never taken for empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from .. import TcpState
from .._address import same
from .._socklens import _port_rows

if TYPE_CHECKING:
    from .._address import Address
    from .._socklens import _PortRow
    from ._budget import Budget

Row: TypeAlias = "_PortRow"

TABLE = "the kernel's socket table (sock_diag)"
"""Where these rows are from, in words."""


def listeners(budget: Budget, port: int = 0) -> list[Row]:
    """All sockets that listen, on one port or on any. They are few, and asked for apart: 0.1 ms even where connections are many."""
    return _rows(budget, "who listens", "listening", port)


def bound(budget: Budget, address: Address) -> list[Row]:
    """Sockets with this port that neither listen nor are connected, of the address's family; for kernels from Linux 6.8 on.

    The kernel looks through its table of all ports for it, which was measured at 5 to 18 ms a family: ask for little else afterwards.
    """
    return _rows(budget, "who has bound the port without listening", "bound", address.port, ":" in address.host)


def connections(budget: Budget, port: int) -> list[Row]:
    """All connections with this local port, whatever their state, those in TIME_WAIT last. Some 4 ms."""
    rows = _rows(budget, f"the connections of port {port}", "connected", port)
    return sorted(rows, key=lambda row: row.state == TcpState.TIME_WAIT)


def connection(budget: Budget, local: Address, peer: Address) -> Row | None:
    """The connection with these endpoints, if the table has it."""
    return next(
        (row for row in connections(budget, local.port) if same(row.local, local) and same(row.peer, peer)), None
    )


def _rows(
    budget: Budget, what: str, kind: Literal["listening", "bound", "connected"], port: int, v6: bool | None = None
) -> list[Row]:
    if budget.spent(what):
        return []
    try:
        rows, whole = _port_rows(kind, port, v6, budget.left)
    except OSError as error:
        # Another system has no sock_diag, and a kernel may be built without it.
        budget.missed(what, f"{TABLE} cannot be asked here ({error})")
        return []
    if not whole:
        budget.spent(f"{what}, all of it")
    return sorted((rows[at] for at in range(len(rows))), key=lambda row: row.protocol)
