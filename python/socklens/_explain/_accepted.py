"""A server's end of a connection: how it is known to be one, and what is known of a client that this program has no object of. Never takes
the client's port for one where somebody listened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import Listener
from . import _machine, _process, _servers, _tables
from ._diagnosis import Cause

if TYPE_CHECKING:
    from .._address import Address
    from ._case import Case


def is_accepted(case: Case, local: Address, peer: Address) -> bool:
    """Whether this is a server's end: its port is a listener's, so that nobody ever listened at the peer's."""
    if _servers.at(case.scene, local) is not None:
        return True
    for _, thing in _process.objects(case.scene, case.budget):
        if isinstance(thing, Listener) and thing.local_addr.port == local.port:
            return True
    return bool(_tables.listeners(case.budget, local.port)) and not _tables.listeners(case.budget, peer.port)


def reset(case: Case, local: Address, peer: Address) -> tuple[Cause, str]:
    """Says what is known of a client that this program has no object of."""
    row = _tables.connection(case.budget, peer, local)
    if row is not None:
        case.saw(
            f"the client's socket {peer} is of {case.owners.describe(row)}, in state {row.state.name}", _tables.TABLE
        )
    elif _machine.is_here(peer.host, case.budget) is False:
        case.saw(f"the client {peer} is on another machine", _machine.ADDRESSES)
    elif not case.budget.unseen:
        case.saw(f"the client's socket {peer} is gone; whose it was, the table no longer tells", _tables.TABLE)
    return (
        Cause.RESET,
        "Look at the client's program: it ended, or it aborted, or closed with bytes unread; a server goes on with its other clients",
    )
