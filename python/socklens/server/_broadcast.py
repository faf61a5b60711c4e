"""One message to many clients, in bounded time. A client gets all of it in one piece, between two of its handler's own messages, or
it is named as too slow: what it has got may then end in the middle.
"""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .._errors import ClosedError
from .._socklens import Connection
from ._roster import Client, same

if TYPE_CHECKING:
    from typing_extensions import Buffer

PATIENCE = 1.0
"""Seconds for one broadcast, for all of its clients together."""

_SMALL = 16 << 10
"""Fits into a send buffer that poll(2) calls writable: Linux does so when a third of it is free (sk_stream_is_writeable)."""


def to_all(clients: Sequence[Client], data: Buffer, but: Connection | None) -> tuple[int, list[Client]]:
    """Sends to all but one; returns how many took it, and those who did not within `PATIENCE`."""
    data = memoryview(data).tobytes()  # the caller's buffer may change while a thread still waits
    targets = [client for client in clients if but is None or not same(client.conn, but)]
    sending = _Sending(data)
    ready = _writable(targets) if len(data) <= _SMALL else set()
    waiting = []
    for client in targets:
        if client.number in ready:
            sending.to(client)
        else:
            waiting.append(threading.Thread(target=sending.to, args=(client,), daemon=True))
    for thread in waiting:
        thread.start()
    for thread in waiting:
        thread.join()
    return sending.taken, sending.slow


class _Sending:
    """One message on its way to many."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._deadline = time.monotonic() + PATIENCE
        self._lock = threading.Lock()
        self.taken = 0
        self.slow: list[Client] = []

    def to(self, client: Client) -> None:
        """One call, so that no other thread's bytes come between; the deadline bounds it."""
        client.told += len(self._data)
        try:
            client.conn.sendall(self._data, timeout=max(self._deadline - time.monotonic(), 0))
        except (TimeoutError, BlockingIOError):
            with self._lock:
                self.slow.append(client)
        except (ClosedError, OSError):
            # It is over, and its handler learns that from the connection itself: nothing is lost that could have been sent.
            client.told -= len(self._data)
        else:
            with self._lock:
                self.taken += 1


def _writable(clients: Sequence[Client]) -> set[int]:
    """The numbers of those who can take a little at once; where there is no poll(2), of all: the deadline holds all the same."""
    if not hasattr(select, "poll"):
        return {client.number for client in clients}
    poll = select.poll()
    numbers: dict[int, int] = {}
    for client in clients:
        try:
            descriptor = client.conn.fileno()
        except OSError:
            continue
        if descriptor >= 0:
            numbers[descriptor] = client.number
            poll.register(descriptor, select.POLLOUT)
    return {numbers[descriptor] for descriptor, _ in poll.poll(0)}
