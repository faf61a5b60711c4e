"""What the tests of `Server` share: handlers as students write them, and a server that must end well."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import socklens as sl
from helpers import eventually

DEADLINE = 20.0


def echo(conn: sl.Connection) -> None:
    """Sends back what comes, until the client finishes."""
    while data := conn.recv():
        conn.sendall(data)


def echo_lines(conn: sl.Connection) -> None:
    for line in conn.lines():
        conn.sendall(line)


def greet(conn: sl.Connection) -> None:
    conn.sendall(b"hello\n")


@contextmanager
def serving(handler: Any = echo, **options: Any) -> Iterator[sl.Server]:
    """A running server whose clients must all have left by the end of the block, without an error."""
    server = sl.Server(handler, **options)
    with server:
        yield server
        eventually(lambda: not server.clients, what="an empty roster")
        assert server.stop(DEADLINE) == []
    assert not server.running
    assert server.errors == [], "\n".join(error.traceback for error in server.errors)


@contextmanager
def client_of(server: sl.Server, **options: Any) -> Iterator[sl.Connection]:
    """A client; all its calls wait no longer than `DEADLINE`."""
    with sl.connect(server.local_addr, timeout=DEADLINE, **options) as client:
        client.timeout = DEADLINE
        yield client


def ask(client: sl.Connection, line: bytes = b"a line\n") -> None:
    """One line there and back: whoever gets it is served."""
    client.sendall(line)
    assert client.recv_line() == line


def whole(server: sl.Server) -> None:
    """A new client is served as if nothing had happened."""
    with client_of(server) as client:
        ask(client)


def reason_of(server: sl.Server, wanted: str) -> sl.Dropped:
    """The only client that was dropped, for this reason."""
    eventually(lambda: server.dropped, what="a dropped client")
    (dropped,) = server.dropped
    assert dropped.reason == wanted
    return dropped


Handler = Callable[[sl.Connection], object]
