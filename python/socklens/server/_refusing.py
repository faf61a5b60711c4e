"""Turns clients away so that they can read why: a line, then FIN. A close with their bytes unread would send RST, which takes the
line from them (RFC 1122, section 4.2.2.13); so what they say is read away until they finish, for a second at most.
"""

from __future__ import annotations

import selectors
import threading
import time
from collections import deque

from .._socklens import Connection

PATIENCE = 1.0
"""Seconds that a client has to finish."""

_MOST = 256
"""Clients that are turned away at one time; beyond that the oldest is closed at once, so that they cannot use up the descriptors."""

_LOOK = 0.05

# poll(2) needs no descriptor of its own: there may be none left.
_Selector = getattr(selectors, "PollSelector", selectors.SelectSelector)


class Refuser:
    """One thread for all who are being turned away, there only as long as there are some."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._came: deque[tuple[float, Connection]] = deque()
        self._thread: threading.Thread | None = None
        self._over = threading.Event()

    def refuse(self, conn: Connection, limit: int) -> None:
        """Tells the client that the server is full, and returns at once."""
        if not _farewell(conn, limit):
            return
        with self._lock:
            if self._over.is_set():
                conn.close()
                return
            self._came.append((time.monotonic() + PATIENCE, conn))
            if self._thread is not None:
                return
            self._thread = threading.Thread(target=self._run, name="socklens: refusing", daemon=True)
            try:
                self._thread.start()
            except RuntimeError:  # no thread is to be had: then without the second
                self._thread = None
                self._came.pop()
                conn.close()

    def close(self) -> None:
        """Closes those who are still here."""
        with self._lock:
            self._over.set()
            thread = self._thread
        if thread is not None:
            thread.join(PATIENCE)

    def _run(self) -> None:
        here: dict[Connection, float] = {}
        with _Selector() as selector:
            while self._go_on(here):
                while self._came:
                    deadline, conn = self._came.popleft()
                    here[conn] = deadline
                    selector.register(conn.fileno(), selectors.EVENT_READ, conn)
                for key, _ in selector.select(_LOOK):
                    if _finished(key.data):
                        here[key.data] = 0
                over = self._over.is_set()
                now = time.monotonic()
                oldest = len(here) - _MOST
                for place, (conn, deadline) in enumerate(list(here.items())):
                    if over or deadline <= now or place < oldest:
                        selector.unregister(conn.fileno())
                        del here[conn]
                        _finished(conn)
                        conn.close()

    def _go_on(self, here: dict[Connection, float]) -> bool:
        with self._lock:
            if here or self._came:
                return True
            self._thread = None
            return False


def _farewell(conn: Connection, limit: int) -> bool:
    """Whether the line and FIN are on their way; if not, the client is gone, and its connection closed."""
    clients = "1 client" if limit == 1 else f"{limit} clients"
    try:
        conn.sendall(f"The server is full ({clients}). Please try again later.\n".encode(), timeout=0)
        conn.shutdown("send")
    except OSError:
        conn.close()
        return False
    return True


def _finished(conn: Connection) -> bool:
    """Reads away what is here; whether the client has finished."""
    try:
        for _ in range(16):  # enough for one look at one client, who may send without end
            if not conn.recv(timeout=0):
                return True
    except BlockingIOError:
        return False
    except OSError:
        return True
    return False
