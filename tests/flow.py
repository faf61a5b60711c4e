"""Connections with buffers small enough to fill, streams whose every byte tells its position, and the moment when
both ends agree."""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import Iterator

import socklens as sl
from helpers import eventually

HOSTS = ("127.0.0.1", "::1")
SMALL = 16384
# A prime, so that no size of a buffer or a segment divides it.
_PERIOD = 1_048_573
_BLOCK = random.Random(6666).randbytes(_PERIOD)


def stream(start: int, size: int) -> bytes:
    """A piece of an endless stream in which a lost, doubled or moved byte shows."""
    start %= _PERIOD
    piece = _BLOCK[start : start + size]
    while len(piece) < size:
        piece += _BLOCK[: size - len(piece)]
    return piece


@contextlib.contextmanager
def ends(
    host: str = "127.0.0.1", *, recv_buffer: int | None = None, send_buffer: int | None = None
) -> Iterator[tuple[sl.Connection, sl.Connection]]:
    """Client and server; both ask for buffers of these sizes."""
    with (
        sl.listen(host, 0, recv_buffer=recv_buffer, send_buffer=send_buffer) as listener,
        sl.connect(listener.local_addr, timeout=10, recv_buffer=recv_buffer, send_buffer=send_buffer) as client,
        listener.accept(timeout=10) as server,
    ):
        client.nodelay = server.nodelay = True
        yield client, server


def arrived(conn: sl.Connection) -> int:
    """How many bytes the kernel has received for it, by TCP_INFO; to be asked before the peer's FIN, which it counts
    as one."""
    received = conn.info().to_dict()["bytes_received"]
    assert isinstance(received, int)
    return received


def settle(sender: sl.Connection, reader: sl.Connection) -> None:
    """Waits until all that has arrived is acknowledged: then what is outstanding is exactly what has not arrived."""

    def agreed() -> bool:
        # Sends a delayed ACK at once.
        reader.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return len(sender.output_buffer) == sender.totals.sent - arrived(reader)

    eventually(agreed, what="an agreement of both ends")


def stuff(sender: sl.Connection, reader: sl.Connection) -> int:
    """Sends the stream, from where it stands, until neither buffer takes more; gives the total of bytes sent."""
    while True:
        blocked = False
        while not blocked:
            try:
                sender.send(stream(sender.totals.sent, 1024), timeout=0)
            except BlockingIOError:
                blocked = True
        settle(sender, reader)
        with contextlib.suppress(BlockingIOError):
            sender.send(stream(sender.totals.sent, 1024), timeout=0)
            continue
        return sender.totals.sent
