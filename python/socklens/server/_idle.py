"""Finds clients from which nothing has come for too long. One thread for all clients of a server; it looks, and never reads."""

from __future__ import annotations

import contextlib
import threading
import time

from ._clients import Clients
from ._records import IDLE
from ._roster import Client


class Sweeper:
    """Drops who has been silent for `limit` seconds.

    Silent is who has sent nothing, while its handler has sent it nothing either: a handler that sends (a clock, a download) does
    not wait for its client. What others broadcast to it does not count. A handler that has not read yet what came is at work, too.
    """

    def __init__(self, clients: Clients, limit: float) -> None:
        self._clients = clients
        self._limit = limit
        self._over = threading.Event()
        self._heard: dict[int, tuple[tuple[int, int], float]] = {}
        self._thread = threading.Thread(target=self._run, name="socklens: idle clients", daemon=True)

    def start(self) -> None:
        """Begins to look."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread."""
        self._over.set()
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(1.0)

    def _run(self) -> None:
        pause = min(max(self._limit / 4, 0.02), 1.0)
        while not self._over.wait(pause):
            self._look()

    def _look(self) -> None:
        now = time.monotonic()
        before, self._heard = self._heard, {}
        for client in self._clients.snapshot():
            # It may be closed, by itself or by its handler, at any moment.
            with contextlib.suppress(OSError):
                totals = client.conn.totals
                seen = (totals.received, totals.sent - client.told)
                known, since = before.get(client.number, (seen, client.since.timestamp() - time.time() + now))
                if seen[0] > known[0] or seen[1] > known[1]:
                    since = now
                elif now - since >= self._limit:
                    if client.conn.input_buffer.kernel == 0:
                        self._drop(client)
                        continue
                    since = now
                self._heard[client.number] = ((max(seen[0], known[0]), max(seen[1], known[1])), since)

    def _drop(self, client: Client) -> None:
        if client.reason is None and self._clients.has(client):
            self._clients.drop(client, IDLE)
