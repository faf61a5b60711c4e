"""`socklens connect` and `socklens listen`: a small netcat that tells what the kernel sees as it goes. One thread reads
stdin, one thread reads each peer, and the main thread waits where Ctrl-C can end it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from .. import ClosedError, Connection, Listener
from .. import connect as _connect
from .. import listen as _listen
from ..display.screen import ScreenGone
from .console import Console
from .keyboard import Stdin, at_keyboard, wait_for

_CHUNK = 65536
_LEAVING = 2.0


def connect(host: str, port: int) -> int:
    """Connects, copies stdin to the peer and the peer to stdout, and returns 0 once the peer has finished; 1 if the
    connection broke, and then the reason was told before the end.

    The end of stdin becomes a FIN (``shutdown("send")``); the peer may still send. A peer that has finished may still
    be sent to: a pipe is sent to its end, while someone at a keyboard is done.

    Raises:
        OSError: the connection could not be made.
    """
    console = Console()
    failure: OSError | None = None
    with _connect(host, port) as conn:
        console.status(f"connected: local {conn.local_addr}, peer {conn.peer_addr}")
        console.look(conn)
        sender = _Sender(conn, console)
        stdin = Stdin(sender.send, sender.finish)
        stdin.start()
        try:
            _print_peer(conn, console)
            console.look(conn, "the peer finished (FIN): ")
            if not at_keyboard():
                stdin.wait()
        except KeyboardInterrupt:
            console.interrupted()
            raise
        except ScreenGone:
            return 1
        except OSError as error:
            failure = error
        finally:
            conn.close()
            stdin.stop()
            if failure := failure or sender.failure:
                console.failed(failure)
            console.look(conn, "connection ")
    return 0 if failure is None else 1


class _Sender:
    """Sends what is typed to the one peer, until that fails."""

    def __init__(self, conn: Connection, console: Console) -> None:
        self._conn = conn
        self._console = console
        self.failure: OSError | None = None

    def send(self, data: bytes) -> bool:
        """Whether more can be sent."""
        try:
            self._conn.sendall(data)
        except OSError as error:
            return self._failed(error)
        self._console.traffic(len(data), 0, self._conn)
        return True

    def finish(self) -> None:
        try:
            self._conn.shutdown("send")
        except OSError as error:
            self._failed(error)
        else:
            self._console.look(self._conn, "stdin ended, FIN sent: ")

    def _failed(self, error: OSError) -> bool:
        if not isinstance(error, ClosedError):  # that is the main thread, done with this connection
            self.failure = error
        return False


def _print_peer(conn: Connection, console: Console, who: str = "", prefix: Callable[[], bool] = lambda: False) -> None:
    """Prints what the peer sends until it finishes (FIN)."""
    while data := conn.recv(_CHUNK):
        console.data(data, who, prefix=prefix())
        console.traffic(0, len(data), conn, f"{who} " if who else "")
    console.end(who)


def listen(host: str, port: int | None) -> int:
    """Accepts clients, sends what is typed to every one of them and prints what they send.

    Runs until Ctrl-C; at the end of stdin it sends a FIN to every client and returns 0 once they have finished. A pipe
    is not read before the first client is there to get it.

    Raises:
        OSError: the address cannot be listened on.
    """
    console = Console()
    with _listen(host, port) as listener:
        waiting, limit = listener.backlog
        console.status(f"listening on {listener.local_addr}, backlog {waiting} waiting, limit {limit}")
        clients = _Clients(listener, console)
        try:
            clients.serve()
        except KeyboardInterrupt:
            console.interrupted()
            raise
        finally:
            clients.close()
    return 1 if clients.output_gone else 0


class _Client:
    def __init__(self, conn: Connection) -> None:
        self.conn = conn
        self.who = str(conn.peer_addr)
        self.thread = threading.Thread()
        self.sent_all = threading.Event()
        """Set when nothing more will be sent to this client."""


class _Clients:
    """The clients of one listener. The lock guards the list only; no socket is touched while it is held."""

    def __init__(self, listener: Listener, console: Console) -> None:
        self._listener = listener
        self._console = console
        self._changed = threading.Condition()
        self._clients: list[_Client] = []
        self._stdin = Stdin(self._send, self._finish)
        self._finished = False
        self._closing = False
        self.output_gone = False

    def serve(self) -> None:
        """Accepts until the listener is closed, which the end of stdin does; then sees the clients out."""
        if at_keyboard():
            self._stdin.start()
        try:
            while True:
                self._add(self._listener.accept(timeout=None))
        except ClosedError:
            pass
        for client in [] if self.output_gone else self._now():
            wait_for(client.thread)

    def close(self) -> None:
        """Closes every client's connection at once, and waits until no thread uses a socket any more."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        clients = self._now()
        for client in clients:
            client.sent_all.set()
            client.conn.close()
        self._stdin.stop()
        for client in clients:
            # A thread that waits for a reader of our stdout must not keep Ctrl-C from ending us.
            client.thread.join(_LEAVING)

    def _now(self) -> list[_Client]:
        with self._changed:
            return list(self._clients)

    def _add(self, conn: Connection) -> None:
        client = _Client(conn)
        client.thread = threading.Thread(target=self._serve_client, args=(client,), name=client.who, daemon=True)
        with self._changed:
            self._clients.append(client)
            self._changed.notify_all()
            finished = self._finished
        # Told only now: who reads this may type at once, and the line must reach this client too.
        self._console.status(f"{client.who} connected: local {conn.local_addr}, peer {conn.peer_addr}")
        client.thread.start()
        if finished:
            self._finish_client(client)
        else:
            self._stdin.start()

    def _serve_client(self, client: _Client) -> None:
        try:
            _print_peer(client.conn, self._console, client.who, prefix=lambda: len(self._now()) > 1)
            self._console.look(client.conn, f"{client.who} finished (FIN): ")
            if not at_keyboard():
                client.sent_all.wait()
        except ClosedError:
            pass  # Ctrl-C
        except ScreenGone:
            self.output_gone = True
            self._listener.close()
        except OSError as error:
            self._console.status(f"{client.who}: {error.strerror or error}")
        finally:
            client.sent_all.set()
            client.conn.close()
            self._console.look(client.conn, f"{client.who} ")
            # Last of all: as long as it is in the list, the program waits for this thread.
            with self._changed:
                self._clients.remove(client)

    # In stdin's thread

    def _send(self, data: bytes) -> bool:
        # Someone at a keyboard wants to hear that nobody got the line; what a pipe brings waits for a client.
        recipients = self._recipients(wait=not at_keyboard())
        if not recipients:
            self._console.status("nobody is connected: not sent")
        for client in recipients:
            try:
                client.conn.sendall(data)
                self._console.traffic(len(data), 0, client.conn, f"{client.who} ")
            except OSError as error:
                self._lost(client, error)
        return True

    def _recipients(self, *, wait: bool) -> list[_Client]:
        with self._changed:
            while True:
                found = [client for client in self._clients if not client.sent_all.is_set()]
                if found or not wait or self._closing:
                    return found
                self._changed.wait()

    def _finish(self) -> None:
        with self._changed:
            self._finished = True
        for client in self._now():
            self._finish_client(client)
        self._listener.close()

    def _finish_client(self, client: _Client) -> None:
        try:
            client.conn.shutdown("send")
        except OSError as error:
            self._lost(client, error)
        client.sent_all.set()

    def _lost(self, client: _Client, error: OSError) -> None:
        """The client cannot be sent to any more; its own thread tells how it ended and closes it."""
        if not isinstance(error, ClosedError):
            self._console.status(f"{client.who}: {error.strerror or error}")
        client.sent_all.set()
