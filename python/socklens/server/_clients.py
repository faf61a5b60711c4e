"""The clients that Python handlers serve: who is here, who is dropped, and what a handler's end means. Whether a client has a
thread or a task is not known in here.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from .._errors import ClosedError
from .._socklens import Connection, _record_handler
from . import _broadcast
from ._records import GOES_ON, TOO_SLOW, Dropped, Ledger, Left
from ._refusing import Refuser
from ._roster import Client

if TYPE_CHECKING:
    from typing_extensions import Buffer


class Clients:
    """Who is served now. Every use of the dictionary is one step of the interpreter's, and needs no lock."""

    def __init__(self, ledger: Ledger, limit: int | None, end: Callable[[Client], None]) -> None:
        self._ledger = ledger
        self._limit = limit
        self._end = end
        self._here: dict[int, Client] = {}
        self._marking = threading.Lock()
        self._refuser = Refuser()

    def admit(self, conn: Connection) -> Client | None:
        """Takes a client in; None if the server is full, and then the client is told so."""
        if self._limit is not None and len(self._here) >= self._limit:
            self._ledger.refused += 1
            self._refuser.refuse(conn, self._limit)
            return None
        self._ledger.accepted += 1
        client = Client(conn, next(self._ledger.numbers))
        self._here[client.number] = client
        return client

    def leave(self, client: Client, result: object = None, error: BaseException | None = None) -> None:
        """What the end of a handler means: an error is kept, the client is out of the roster, and its connection is closed.

        In this order: whoever has seen the end of its connection may come again at once, and must find its place free.
        """
        if inspect.iscoroutine(result):
            result.close()
            error = TypeError(
                f'the handler returned {result.__name__}(), a coroutine that nobody awaits: write async def, or mode="async"'
            )
        elif isinstance(result, bytes | bytearray | memoryview | str) and len(result):
            encoded = ".encode()" if isinstance(result, str) else ""
            error = TypeError(
                f"the handler returned {type(result).__name__}, and what a handler returns is not sent: write "
                f"conn.sendall(…{encoded}) before it returns; only OnMessage sends what its function returns"
            )
        # What the server's own close has caused is no error of the handler.
        if error is not None and not (client.reason is not None and isinstance(error, ClosedError)):
            _record_handler(client.conn, error)
            self._ledger.failed(client.who, error)
        self._ledger.leave(Left(client.peer_addr, unread(client.conn), datetime.now()))
        self._here.pop(client.number, None)
        try:
            client.conn.close()
        except OSError as why:
            self._ledger.failed(client.who, why)

    def snapshot(self) -> list[Client]:
        """Those that are here, oldest first."""
        return list(self._here.values())

    def has(self, client: Client) -> bool:
        """Whether its handler has not ended."""
        return client.number in self._here

    def drop(self, client: Client, reason: str) -> Dropped:
        """Ends the client's connection and notes it; only once, whoever else is dropping it at this moment."""
        dropped, first = self.mark(client, reason)
        if first:
            self._end(client)
            self._ledger.drop(dropped)
        return dropped

    def mark(self, client: Client, reason: str) -> tuple[Dropped, bool]:
        """Says why the client is about to be dropped, before its handler can notice; and whether nobody had said so before."""
        with self._marking:
            first = client.reason is None
            why = client.reason = client.reason or reason
        return Dropped(client.name, client.peer_addr, why, datetime.now(), unsent(client.conn)), first

    def rest(self, left: Iterable[tuple[Client, Dropped, bool]]) -> list[Dropped]:
        """Notes those whom a stop has dropped, once their handlers have had the time to notice; returns whom."""
        noted = []
        for client, dropped, first in left:
            if self.has(client):
                dropped = replace(dropped, reason=GOES_ON)
            elif not first:
                continue  # dropped before, and noted then
            self._ledger.drop(dropped)
            noted.append(dropped)
        return noted

    def broadcast(self, data: Buffer, but: Connection | None) -> int:
        """Sends to all but one; those who have not taken all of it in time are dropped."""
        taken, slow = _broadcast.to_all(self.snapshot(), data, but)
        for client in slow:
            if self.has(client):
                self.drop(client, TOO_SLOW)
        return taken

    def close(self) -> None:
        """Ends with what refused clients still have to say."""
        self._refuser.close()


def unsent(conn: Connection) -> int:
    """Bytes in its output buffer; 0 where that is not known any more."""
    try:
        return len(conn.output_buffer)
    except (OSError, NotImplementedError):
        return 0


def unread(conn: Connection) -> int:
    """Bytes in its input buffer; 0 where that is not known any more."""
    try:
        return len(conn.input_buffer)
    except (OSError, NotImplementedError):
        return 0
