"""What the tests of the wire share: both ends of a connection through a wire."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import helpers
import socklens as sl


@contextmanager
def through(**mischief: Any) -> Iterator[tuple[sl.Wire, sl.Connection, sl.Connection]]:
    """A wire, the client's end and the server's end of one connection through it."""
    with sl.listen(port=0) as listener, sl.Wire(listener, **mischief) as wire:
        client = sl.connect(wire.local_addr, timeout=5)
        with client, listener.accept(timeout=5) as server:
            server.timeout = client.timeout = 10
            told(wire, "connected")  # the kernel's connection is there before the relay knows of it
            yield wire, client, server


def pieces(conn: sl.Connection, count: int) -> list[bytes]:
    """What so many calls of recv return."""
    return [conn.recv(100_000) for _ in range(count)]


def until_end(conn: sl.Connection) -> list[bytes]:
    """What the calls of recv return until the end of the stream."""
    return list(iter(lambda: conn.recv(100_000), b""))


def told(wire: sl.Wire, what: str, count: int = 1) -> list[sl.WireEvent]:
    """The events of one kind, as soon as there are so many."""
    return helpers.eventually(
        lambda: found if len(found := [event for event in wire.story if event.what == what]) >= count else [],
        what=f"{count} events {what!r}",
    )
