"""Reads stdin, a keyboard or a pipe, in a thread of its own. What comes is handed to a function; no socket is known here."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator

_CHUNK = 65536
_PATIENCE = 2.0


class Stdin:
    """Calls `take` with what is typed or piped in, as it comes, until that says False; at the end of stdin `ended`."""

    def __init__(self, take: Callable[[bytes], bool], ended: Callable[[], None]) -> None:
        self._take = take
        self._ended = ended
        self._working = threading.Lock()
        # A daemon, because nothing ends a read of stdin.
        self._thread = threading.Thread(target=self._run, name="stdin", daemon=True)

    def start(self) -> None:
        """Begins to read; a second call does nothing."""
        if self._thread.ident is None:
            self._thread.start()

    def wait(self) -> None:
        """Waits until everything was read and taken, or `take` has said False."""
        wait_for(self._thread)

    def stop(self) -> None:
        """Returns when no `take` is under way, and lets none begin any more."""
        # Never released: the interpreter must not end while this thread works, for it ends a daemon thread in the middle of
        # what it does.
        self._working.acquire(timeout=_PATIENCE)

    def _run(self) -> None:
        for data in _read():
            with self._working:
                if not self._take(data):
                    return
        with self._working:
            self._ended()


def at_keyboard() -> bool:
    """Whether a person types, rather than a pipe or a file."""
    return sys.stdin is not None and sys.stdin.isatty()


def wait_for(thread: threading.Thread) -> None:
    """Joins in slices, because on Windows Ctrl-C does not end a join."""
    while thread.is_alive():
        thread.join(0.1)


def _read() -> Iterator[bytes]:
    """Reads the descriptor: a thread that waits inside `sys.stdin` holds its lock, and the interpreter could not exit."""
    if sys.stdin is None:
        return
    try:
        while data := os.read(sys.stdin.fileno(), _CHUNK):
            yield data
    except (OSError, ValueError):
        return  # no stdin to read, such as that of a background job: it has ended
