"""Runs a command line program in a pseudo-terminal of its own: all three streams, as a person has them."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import time
from types import TracebackType
from typing import Self

import pytest
from program import DEADLINE

needs_terminal = pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
COLUMNS = 80


class Terminal:
    """A child process, a keyboard and all that its terminal was told to show."""

    def __init__(self, *command: str, **env: str) -> None:
        import termios

        self._mine, theirs = os.openpty()
        termios.tcsetwinsize(theirs, (24, COLUMNS))
        kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
        self._process = subprocess.Popen(
            command,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**kept, "PYTHONUTF8": "1", "TERM": "xterm", **env},
        )
        os.close(theirs)
        self._raw = bytearray()

    @property
    def shown(self) -> str:
        """All of it so far; the terminal's own carriage return before a newline left out."""
        return self._raw.decode(errors="replace").replace("\r\n", "\n")

    def types(self, text: str) -> None:
        """Types the text, and waits until the terminal has echoed it: it stands on the screen."""
        before = len(self.shown)
        os.write(self._mine, text.encode())
        self.wait_for(re.escape(text), before)

    def press(self, key: bytes) -> None:
        """Presses a key that has no echo of its own, such as Ctrl-D."""
        os.write(self._mine, key)

    def interrupt(self) -> None:
        """What Ctrl-C does; the key itself works only in a terminal that controls the process."""
        self._process.send_signal(signal.SIGINT)

    def wait_for(self, pattern: str, start: int = 0) -> re.Match[str]:
        """Waits until the pattern is shown, at `start` or after it."""
        deadline = time.monotonic() + DEADLINE
        while not (match := re.compile(pattern).search(self.shown, start)):
            if not self._read(deadline):
                raise AssertionError(f"no {pattern!r} in {self.shown!r}")
        return match

    def ended(self) -> int:
        """Waits for the end of the program; the exit status."""
        deadline = time.monotonic() + DEADLINE
        while self._read(deadline):
            pass
        return self._process.wait(max(deadline - time.monotonic(), 0.1))

    def _read(self, deadline: float) -> bool:
        ready, _, _ = select.select([self._mine], [], [], max(deadline - time.monotonic(), 0))
        try:
            data = os.read(self._mine, 65536) if ready else b""
        except OSError:  # EIO: nobody has the other side open any more
            data = b""
        self._raw += data
        return bool(data)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait(DEADLINE)
        os.close(self._mine)
