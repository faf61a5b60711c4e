"""Python handlers in threads: one thread for each client, or one for all, which serves one client after the other. The handler gets the
connection itself, and nothing stands between them.
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from .._errors import ClosedError
from .._socklens import Connection, Listener
from ._backoff import Backoff
from ._clients import Clients
from ._idle import Sweeper
from ._records import STOPPED, Dropped, Ledger
from ._roster import Client

if TYPE_CHECKING:
    from typing_extensions import Buffer

LAST_WORDS = 0.5
"""Seconds that a handler has to end once its connection is closed. One that waits for its client ends at once."""


class Threads:
    """The engine of the modes "threads" and "one"."""

    def __init__(
        self,
        handler: Callable[[Connection], object],
        ledger: Ledger,
        max_clients: int | None,
        idle_timeout: float | None,
        one: bool,
    ) -> None:
        self._handler = handler
        self._ledger = ledger
        self._one = one
        self._clients = Clients(ledger, max_clients, lambda client: client.conn.close())
        self._workers: dict[int, threading.Thread] = {}
        self._stopping = threading.Event()
        self._sweeper = None if idle_timeout is None else Sweeper(self._clients, idle_timeout)
        # ipykernel finds the cell that a print belongs to by the context it runs in.
        self._context = contextvars.copy_context()

    def start(self, listener: Listener) -> None:
        """One thread accepts from now on."""
        self._listener = listener
        self._acceptor = threading.Thread(
            target=self._context.copy().run,
            args=(self._accept_all,),
            name=f"socklens: server on {listener.local_addr}",
            daemon=True,
        )
        self._acceptor.start()
        if self._sweeper is not None:
            self._sweeper.start()

    def _accept_all(self) -> None:
        accept, serve = self._listener.accept, self._serve_here if self._one else self._serve_in_a_thread
        backoff = Backoff()
        while not self._stopping.is_set():
            conn = None
            try:
                conn = accept(timeout=None)
                serve(conn)
            except ClosedError as error:
                if not self._stopping.is_set():  # somebody else has closed it, and should find out why nobody is let in
                    self._ledger.trouble(error)
                return
            except (OSError, RuntimeError, MemoryError) as error:  # no descriptor, no thread, no memory
                if conn is not None:
                    conn.close()
                self._ledger.trouble(error)
                self._stopping.wait(backoff.next())
            else:
                backoff.reset()

    def _serve_here(self, conn: Connection) -> None:
        client = self._clients.admit(conn)
        if client is not None:
            self._serve(client)

    def _serve_in_a_thread(self, conn: Connection) -> None:
        client = self._clients.admit(conn)
        if client is None:
            return
        thread = threading.Thread(
            target=self._context.copy().run,
            args=(self._serve_and_leave, client),
            name=f"socklens: client {client.number}",
            daemon=True,
        )
        self._workers[client.number] = thread
        try:
            thread.start()
        except RuntimeError:
            del self._workers[client.number]
            self._clients.leave(client)
            raise

    def _serve_and_leave(self, client: Client) -> None:
        try:
            self._serve(client)
        finally:
            self._workers.pop(client.number, None)

    def _serve(self, client: Client) -> None:
        result, raised = None, None
        try:
            result = self._handler(client.conn)
        except BaseException as error:  # SystemExit too: it would end this thread alone, and nobody would know
            raised = error
        try:
            self._clients.leave(client, result, raised)
        finally:
            del raised  # or its traceback and this frame would keep each other

    def stop(self, timeout: float) -> list[Dropped]:
        """As `Engine.stop`. Ctrl-C ends the patience with handlers, and nothing else."""
        deadline = time.monotonic() + timeout
        self._stopping.set()
        self._listener.close()
        try:
            self._wait(deadline)
        finally:
            dropped = self._drop_the_rest()
            if self._sweeper is not None:
                self._sweeper.stop()
            self._clients.close()
        return dropped

    def _wait(self, deadline: float) -> None:
        """Until the handlers have ended; not for the one that has called stop."""
        # With a thread for each client the acceptor ends at once, and only then it is known who is here.
        _join([self._acceptor], deadline if self._one else time.monotonic() + LAST_WORDS)
        _join(list(self._workers.values()), deadline)

    def _drop_the_rest(self) -> list[Dropped]:
        """Closes the connections of those who are left, and says of each how its handler took it."""
        mine = self._my_numbers()
        left = [client for client in self._clients.snapshot() if client.number not in mine]
        marked = [(client, *self._clients.mark(client, STOPPED)) for client in left]
        for client in left:
            client.conn.close()
        self._wait(time.monotonic() + LAST_WORDS)
        return self._clients.rest(marked)

    def _my_numbers(self) -> set[int]:
        """The client that the calling thread serves, if it serves one."""
        me = threading.current_thread()
        if self._one:
            return {client.number for client in self._clients.snapshot()} if me is self._acceptor else set()
        return {number for number, worker in list(self._workers.items()) if worker is me}

    def clients(self) -> list[Client]:
        """As `Engine.clients`."""
        return self._clients.snapshot()

    def broadcast(self, data: Buffer, but: Connection | None) -> int:
        """As `Engine.broadcast`."""
        return self._clients.broadcast(data, but)

    def kick(self, client: Client, reason: str) -> Dropped:
        """As `Engine.kick`."""
        return self._clients.drop(client, reason)

    def catch_up(self) -> None:
        """The ledger is written as things happen."""

    def is_mine(self) -> bool:
        """As `Engine.is_mine`."""
        return bool(self._my_numbers())

    def check_stop(self) -> None:
        """Any thread may stop it; a handler that does is not waited for."""


def _join(threads: Iterable[threading.Thread], deadline: float) -> None:
    for thread in threads:
        if thread is not threading.current_thread() and thread.ident is not None:
            thread.join(max(deadline - time.monotonic(), 0))
