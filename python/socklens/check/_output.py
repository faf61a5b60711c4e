"""What a student's program prints, taken from the pipe as it comes so that it never waits for that; the middle of much is dropped."""

from __future__ import annotations

import os
import select
import threading

_FIRST, _LAST = 2048, 6144
_MOST = 1 << 16


class Output:
    """Reads one pipe to its end in a thread of its own, or until ``close()``, which also closes it."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe
        self._first, self._last, self._lost = b"", b"", 0
        self._lock = threading.Lock()
        try:
            self._stop_seen, self._stop = os.pipe()
        except OSError:  # no descriptor is left
            os.close(pipe)
            raise
        os.set_blocking(pipe, False)
        self._thread = threading.Thread(target=self._read_all, name="socklens: output of a check", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # the system has no thread left
            self._close_all()
            raise

    def _read_all(self) -> None:
        poll = select.poll()
        poll.register(self._pipe, select.POLLIN)
        poll.register(self._stop_seen, select.POLLIN)
        while self._stop_seen not in [number for number, _ in poll.poll()]:
            if not self._read():
                return

    def _read(self) -> bool:
        """Takes what is there; False at the end."""
        try:
            data = os.read(self._pipe, _MOST)
        except BlockingIOError:
            return True
        except OSError:  # a terminal's other side is gone
            return False
        with self._lock:
            room = _FIRST - len(self._first)
            self._first += data[:room]
            self._last += data[room:]
            self._lost += max(0, len(self._last) - _LAST)
            self._last = self._last[-_LAST:]
        return bool(data)

    def text(self) -> str:
        """What has come so far."""
        with self._lock:
            first, last, lost = self._first, self._last, self._lost
        middle = f"\n… {lost:,} bytes more …\n".encode() if lost else b""
        return (first + middle + last).decode("utf-8", "backslashreplace")

    def close(self) -> None:
        """Takes what is there already, and ends."""
        os.write(self._stop, b"x")
        self._thread.join()
        for _ in range(16):
            before = len(self._first) + len(self._last) + self._lost
            if not self._read() or before == len(self._first) + len(self._last) + self._lost:
                break
        self._close_all()

    def _close_all(self) -> None:
        for number in (self._pipe, self._stop_seen, self._stop):
            os.close(number)
