"""Runs a command line program as a person at a terminal would: type, wait for what it says, look how it ended."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from types import TracebackType
from typing import IO, Self

SOCKLENS = (sys.executable, "-m", "socklens")
DEADLINE = 20.0


class Program:
    """A child process whose output is kept as it comes. Every wait ends by a deadline, and the child with the test."""

    def __init__(self, *command: str, stdin: int = subprocess.PIPE, stdout: int = subprocess.PIPE) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONUTF8": "1"},
            bufsize=0,
        )
        self._came = threading.Condition()
        self.out, self.err = bytearray(), bytearray()
        pipes = ((self._process.stdout, self.out), (self._process.stderr, self.err))
        self._readers = [threading.Thread(target=self._read, args=pipe) for pipe in pipes if pipe[0] is not None]
        for reader in self._readers:
            reader.start()

    def _read(self, pipe: IO[bytes], into: bytearray) -> None:
        while data := pipe.read(65536):
            with self._came:
                into += data
                self._came.notify_all()

    def feed(self, data: bytes) -> None:
        """Types it, or sends it through the pipe."""
        assert self._process.stdin is not None
        self._process.stdin.write(data)

    def end_input(self) -> None:
        """Ends the program's stdin."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def wait_for(self, pattern: str, *, stdout: bool = False) -> re.Match[str]:
        """Waits until stderr (or stdout) has the pattern."""
        deadline = time.monotonic() + DEADLINE
        with self._came:
            while not (match := re.search(pattern, (self.out if stdout else self.err).decode(errors="replace"))):
                if not self._came.wait(deadline - time.monotonic()):
                    raise AssertionError(f"no {pattern!r}; stdout: {bytes(self.out)!r}, stderr: {self.err.decode()}")
            return match

    def interrupt(self) -> None:
        """Ctrl-C."""
        self._process.send_signal(signal.SIGINT)

    def ended(self) -> int:
        """Waits for the end of the program and of its output; the exit status."""
        status = self._process.wait(DEADLINE)
        for reader in self._readers:
            reader.join(DEADLINE)
        return status

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self.ended()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()
