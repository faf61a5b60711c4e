"""A student's program in any language, started by its command line in a process group of its own and ended with all of that group, and
with what has left the group by itself (setsid(2)), where the system tells of it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from functools import partial

from .._address import Address
from ._ending import Ending
from ._memory import WORDS, Watch
from ._output import Output
from ._processes import Leader, Mark
from ._program import Program
from ._signals import HeldBack
from ._target import Command

_PATIENCE = 1.0  # seconds between SIGTERM and SIGKILL
_PAUSE = 0.002


class CommandLine(Program):
    """One process, and what it starts."""

    def __init__(self, command: Command, address: Address, stdin: bytes = b"") -> None:
        self.address = address
        self._words = command.filled(address)
        self._stdin = stdin
        self._process: subprocess.Popen[bytes] | None = None
        self._leader: Leader | None = None
        self._mark = Mark()
        self._watch: Watch | None = None
        self._output: Output | None = None
        self._printed = ""
        self._failure: Ending | None = None
        self.had_to_be_killed = False
        """Whether SIGTERM alone did not end it."""

    def start(self) -> None:
        """Starts it, in this directory and environment. A command that cannot be started has ended."""
        if os.name != "posix":
            raise NotImplementedError(
                "this system has no process groups, so that a command could not be ended with all that it starts: run the program "
                "yourself, and check its address"
            )
        with HeldBack():  # what a Ctrl-C raises would leave a process that nobody knows
            self._start()
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError), self._process.stdin as keyboard:
                keyboard.write(self._stdin[: 1 << 16])  # what a pipe holds: more would have to wait for the program

    def _start(self) -> None:
        seen, out = os.pipe()
        # A program in Python would keep its prints to itself until its buffer is full, and lose them when it is ended.
        environment = os.environ | {"PYTHONUNBUFFERED": "1"} | self._mark.variables
        try:
            self._process = subprocess.Popen(
                self._words,
                stdin=subprocess.PIPE if self._stdin else subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=environment,
                start_new_session=True,
            )
        except BaseException as error:
            os.close(seen)
            if not isinstance(error, OSError):
                raise
            self._failure = Ending(error=f"{type(error).__name__}: {error}")
            return
        finally:
            os.close(out)
        self._leader = Leader(self._process.pid)
        self._output = Output(seen)
        self._watch = Watch(self._leader.pids, partial(self._leader.signal, signal.SIGKILL))

    def ready(self) -> bool:
        """Only the kernel knows."""
        return False

    def ending(self) -> Ending | None:
        """How its first process has ended, or is about to."""
        if self._leader is None:
            return self._failure
        status = self._leader.status()
        if self._watch is not None and self._watch.exceeded:  # its connections may end before it does
            return Ending(status, fault=f"was ended: {WORDS}")
        return None if status is None else Ending(status=status)

    def pids(self) -> frozenset[int]:
        """Its process group."""
        return frozenset() if self._leader is None else self._leader.pids()

    def owns(self, pid: int) -> bool:
        """Also a daemon of it is its own."""
        return self._leader is not None and (self._leader.has(pid) or self._mark.on(pid))

    def output(self) -> str:
        """What it has printed so far."""
        return self._printed if self._output is None else self._output.text()

    def stop(self) -> None:
        """SIGTERM, a second for it to end, and SIGKILL for whoever is left of the group."""
        if self._process is None or self._leader is None:
            return
        if self._watch is not None:
            self._watch.close()  # before its number can be another process's
        if self._leader.status() is None:
            self._leader.signal(signal.SIGTERM)
            deadline = time.monotonic() + _PATIENCE
            while self._leader.status() is None and time.monotonic() < deadline:
                time.sleep(_PAUSE)
            self.had_to_be_killed = self._leader.status() is None
        self._leader.kill()
        self._process.wait(_PATIENCE)  # it is reaped: this object of Python's is to know
        output, self._output = self._output, None
        if output is not None:
            output.close()
            self._printed = output.text()

    def sweep(self) -> None:
        """Kills what it has left behind elsewhere."""
        self._mark.sweep()
