"""Handlers that run in Rust, and functions that Rust calls for each message. The reactor serves; this file only translates its face."""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Iterable
from datetime import datetime
from errno import EBADF
from typing import TYPE_CHECKING, TypeAlias

from .._address import Address
from .._errors import ClosedError
from .._socklens import Chat, Connection, Daytime, Discard, Echo, LineEcho, Listener, OnMessage, _Reactor
from ._broadcast import PATIENCE
from ._clients import unsent
from ._records import Dropped, Ledger, Who
from ._roster import Client

if TYPE_CHECKING:
    from typing_extensions import Buffer

RustHandler: TypeAlias = Echo | LineEcho | Chat | Discard | Daytime | OnMessage

_GRACE = 0.5


class Reactor:
    """The engine of Rust handlers and of `OnMessage`, whose callback runs on one thread of Python's."""

    def __init__(
        self,
        handler: RustHandler,
        ledger: Ledger,
        max_clients: int | None,
        idle_timeout: float | None,
        on_message: bool,
    ) -> None:
        self._handler = handler
        self._ledger = ledger
        self._limits = (max_clients, idle_timeout)
        self._on_message = on_message
        self._before = (ledger.accepted, ledger.refused)
        self._thread: threading.Thread | None = None
        self._reactor: _Reactor | None = None
        self._listener: Listener | None = None

    def start(self, listener: Listener) -> None:
        """One thread serves from now on."""
        self._listener = listener
        reactor = self._reactor = _Reactor(listener, self._handler, *self._limits)
        if not self._on_message:
            reactor.start()
            return
        # ipykernel finds the cell that a print belongs to by the context it runs in.
        run = contextvars.copy_context().run
        name = f"socklens: server on {listener.local_addr}"
        self._thread = threading.Thread(target=run, args=(reactor.run,), name=name, daemon=True)
        self._thread.start()

    def stop(self, timeout: float) -> list[Dropped]:
        """As `Engine.stop`."""
        reactor = self._reactor
        if reactor is None:
            return []
        self.catch_up()
        self._listener = None
        over = reactor.stop(timeout)
        if self._thread is not None and not self.is_mine():
            self._thread.join(_GRACE)
        dropped = self._take_notes()
        if over:
            self._reactor = None  # its descriptors go with it
        return dropped

    def clients(self) -> list[Client]:
        """As `Engine.clients`."""
        reactor = self._reactor
        rows = [] if reactor is None else reactor.clients()
        return [Client(conn, number, since, name, self._rename) for number, conn, since, name in rows]

    def _rename(self, client: Client, name: str) -> None:
        reactor = self._reactor
        if reactor is not None:
            reactor.set_name(client.number, name)

    def broadcast(self, data: Buffer, but: Connection | None) -> int:
        """As `Engine.broadcast`; on the reactor's own thread it does not wait."""
        reactor = self._reactor
        return 0 if reactor is None else reactor.broadcast(data, but, PATIENCE)

    def kick(self, client: Client, reason: str) -> Dropped:
        """As `Engine.kick`; returns when the reactor has done it, unless the reactor's own thread asks."""
        reactor = self._reactor
        dropped = Dropped(client.name, client.peer_addr, reason, datetime.now(), unsent(client.conn))
        if reactor is None or not reactor.kick(client.conn):
            raise ValueError(f"{client.peer_addr} is no client of this server any more")
        client.reason = reason
        self._ledger.drop(dropped)
        deadline = time.monotonic() + _GRACE
        while not client.conn.closed and not self.is_mine() and time.monotonic() < deadline:
            time.sleep(0.001)  # the reactor is at it, and tells nobody when it is done
        return dropped

    def catch_up(self) -> None:
        """As `Engine.catch_up`."""
        self._take_notes()
        listener = self._listener
        if listener is not None and listener.closed:  # by somebody else: the reactor hears nothing of it
            self._ledger.trouble(
                ClosedError(EBADF, f"{listener} was closed under its server; nobody is let in any more")
            )
            self._listener = None

    def _take_notes(self) -> list[Dropped]:
        """Writes what the reactor has noted to the ledger; returns whom it has dropped."""
        reactor = self._reactor
        if reactor is None:
            return []
        self._ledger.accepted = self._before[0] + reactor.accepted
        self._ledger.refused = self._before[1] + reactor.refused
        dropped = []
        for kind, _, name, peer, what, at, figure in reactor.notes():
            when = datetime.fromtimestamp(at)
            if kind == "lost":
                self._ledger.lost(what, figure)
            elif kind == "trouble" or peer is None:
                self._ledger.trouble(OSError(figure, what), when)
            elif kind == "error":
                self._ledger.failed(Who(name, Address(*peer)), what, when)
            else:
                dropped.append(Dropped(name, Address(*peer), what, when, figure))
        self._note(dropped)
        return dropped

    def _note(self, dropped: Iterable[Dropped]) -> None:
        for one in dropped:
            self._ledger.drop(one)

    def is_mine(self) -> bool:
        """As `Engine.is_mine`."""
        return threading.current_thread() is self._thread

    def check_stop(self) -> None:
        """Any thread may stop it; a callback is not waited for."""
