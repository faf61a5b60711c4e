"""What a `Server` needs of the thing that serves its clients. One engine serves from one start to one stop; what is to be
remembered longer goes to the server's `Ledger`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from .._socklens import Connection, Listener
from ._records import Dropped
from ._roster import Client

if TYPE_CHECKING:
    from typing_extensions import Buffer


class Engine(Protocol):
    """Serves the clients of one listener."""

    def start(self, listener: Listener) -> None:
        """Begins to accept and to serve, and returns at once. Raises what keeps it from that; the listener stays open then."""

    def stop(self, timeout: float) -> list[Dropped]:
        """Closes the listener, lets handlers finish for `timeout` seconds, and drops the rest: returns who that was."""

    def clients(self) -> list[Client]:
        """Those that are being served now, oldest first."""

    def broadcast(self, data: Buffer, but: Connection | None) -> int:
        """Sends to all but one; returns to how many. Bounded in time."""

    def kick(self, client: Client, reason: str) -> Dropped:
        """Ends a client's connection, and notes that."""

    def catch_up(self) -> None:
        """Brings the server's ledger up to date, where that does not happen by itself."""

    def is_mine(self) -> bool:
        """Whether the calling thread is one that this engine serves a client with."""

    def check_stop(self) -> None:
        """Raises RuntimeError if the calling thread cannot wait for a stop."""
