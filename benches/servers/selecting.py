"""The standard library's `selectors`: one thread, non-blocking sockets, level-triggered; the bare server in Python."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector

from servers import BACKLOG, HOST, READ


class _Client:
    """One client. While bytes wait for the kernel to take them, nothing more is read."""

    __slots__ = ("out", "selector", "sock")

    def __init__(self, sock: socket.socket, selector: DefaultSelector) -> None:
        self.sock, self.selector = sock, selector
        self.out = b""
        selector.register(sock, EVENT_READ, self.ready)

    def ready(self) -> None:
        try:
            if self.out:
                self._send(self.out)
            elif data := self.sock.recv(READ):
                self.take(data)
            else:
                self._leave()
        except BlockingIOError:
            return  # a false alarm
        except ConnectionError:
            self._leave()

    def take(self, data: bytes) -> None:
        self._send(data)

    def _send(self, data: bytes) -> None:
        waited = bool(self.out)
        sent = 0
        with contextlib.suppress(BlockingIOError):
            sent = self.sock.send(data)
        self.out = data[sent:]
        if bool(self.out) != waited:
            self.selector.modify(self.sock, EVENT_WRITE if self.out else EVENT_READ, self.ready)

    def _leave(self) -> None:
        self.selector.unregister(self.sock)
        self.sock.close()


class _LineClient(_Client):
    """Looks at each line, and sends those of one read in one call."""

    __slots__ = ("kept",)

    def __init__(self, sock: socket.socket, selector: DefaultSelector) -> None:
        super().__init__(sock, selector)
        self.kept = b""

    def take(self, data: bytes) -> None:
        lines = (self.kept + data).splitlines(keepends=True)
        self.kept = b"" if lines[-1].endswith(b"\n") else lines.pop()
        if lines:
            self._send(b"".join(lines))


CLIENTS = {"echo": _Client, "lines": _LineClient}


def _serve(listener: socket.socket, client: type[_Client]) -> None:
    with selectors.DefaultSelector() as selector:

        def accept() -> None:
            with contextlib.suppress(BlockingIOError):
                sock, _ = listener.accept()
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                client(sock, selector)

        selector.register(listener, EVENT_READ, accept)
        while True:
            for key, _ in selector.select():
                key.data()


def start(service: str) -> int:
    """Serves in a thread of its own; gives the port."""
    listener = socket.create_server((HOST, 0), backlog=BACKLOG)
    listener.setblocking(False)
    threading.Thread(target=_serve, args=(listener, CLIENTS[service]), daemon=True).start()
    port: int = listener.getsockname()[1]
    return port
