"""A student's function in a process of its own, made by fork(2): it may hang, exit, print, leak or end as it likes, and is ended with
SIGKILL, which nothing can refuse. A function that was defined in a notebook cell lives on there, with all that it knows, as a copy: what
it changes is not changed here.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from .._address import Address
from ._ending import Ending
from ._output import Output
from ._program import Program
from ._target import Function

_LAST = 2.0  # seconds that the kernel has to end a process that was killed
_LONGEST_LINE = 1 << 20  # bytes that are kept of what the child tells and has not ended with a newline


class Forked(Program):
    """One child."""

    def __init__(self, work: Callable[[Any], int], address: Address) -> None:
        self._work = work
        self.address = address
        self._pid: int | None = None
        self._status: int | None = None
        self._output: Output | None = None
        self._printed = ""
        self._told_pipe = self._life = -1
        self._rest = b""
        self.told: dict[str, Any] = {}
        """What the child has said: the first of each kind."""
        self._troubles: list[Ending] = []

    def start(self) -> None:
        """Forks. Raises OSError where the system has no process left."""
        held = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        try:
            # A Ctrl-C would go on as the caller's in the child, and leave a child that nobody knows in the parent.
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            self._fork(held)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)

    def _fork(self, held: set[int | signal.Signals]) -> None:
        from . import _child  # so that nothing has to be imported in the child

        pipes = [os.pipe() for _ in range(3)]
        (out_seen, out), (told_seen, told), (life, life_end) = pipes
        parent = os.getpid()
        with warnings.catch_warnings():
            # Python warns of forks where threads run. The child uses nothing of theirs: see _child.
            warnings.simplefilter("ignore", DeprecationWarning)
            try:
                pid = os.fork()
                if pid == 0:
                    for number in (out_seen, told_seen, life_end):
                        os.close(number)
                    _child.live(self._work, out, told, life, held)
            except OSError:
                for number in (number for pipe in pipes for number in pipe):
                    os.close(number)
                raise
            finally:
                if os.getpid() != parent:
                    os._exit(_child.BROKEN)
        self._pid, self._told_pipe, self._life = pid, told_seen, life_end
        for number in (out, told, life):
            os.close(number)
        os.set_blocking(told_seen, False)
        self._output = Output(out_seen)

    def _catch_up(self) -> None:
        if self._told_pipe >= 0:
            with contextlib.suppress(BlockingIOError):
                while data := os.read(self._told_pipe, 1 << 16):
                    self._rest += data
            *lines, self._rest = self._rest.split(b"\n")
            self._rest = self._rest[-_LONGEST_LINE:]
            for line in lines:
                # A program that writes to descriptors which are not its own writes here, too: what is no line of ours says nothing.
                with contextlib.suppress(ValueError, TypeError):
                    word, what = json.loads(line)
                    if word == "trouble":
                        self._troubles.append(Ending(**what))
                    else:
                        self.told.setdefault(word, what)
        if self._pid is not None and self._status is None:
            try:
                pid, status = os.waitpid(self._pid, os.WNOHANG)
            except ChildProcessError:  # somebody else in this process has waited for it
                self._status = 0
            else:
                self._status = os.waitstatus_to_exitcode(status) if pid else None

    def ready(self) -> bool:
        """Whether a handler is served; of a program that listens by itself only the kernel knows."""
        self._catch_up()
        if "listens" in self.told:
            self.address = Address(self.address.host, self.told["listens"])
        return "listens" in self.told

    def returned(self) -> bool:
        """Whether the function has returned, with threads of it perhaps still at work."""
        self._catch_up()
        return "ended" in self.told and not self.told["ended"]["error"] and self._status is None

    def ending(self) -> Ending | None:
        """How it has ended; None while it runs, also if the function has returned and its threads serve on."""
        self._catch_up()
        told = self.told.get("ended")
        if told is not None and (told["error"] or told["exit_called"]):
            return Ending(**told)
        if self._status is None:
            return None
        ending = Ending() if told is None else Ending(**told)
        return replace(ending, status=self._status)

    def troubles(self) -> list[Ending]:
        """What a handler raised."""
        self._catch_up()
        return list(self._troubles)

    def pids(self) -> frozenset[int]:
        """The child and what it has started."""
        from ._kernel import group

        return frozenset() if self._pid is None or self._status is not None else group(self._pid)

    def output(self) -> str:
        """What it has printed so far."""
        return self._printed if self._output is None else self._output.text()

    def stop(self) -> None:
        """Kills the child and its process group."""
        if self._pid is None or self._output is None:
            return
        _kill_group(self._pid)
        deadline = time.monotonic() + _LAST
        while self._status is None and time.monotonic() < deadline:
            self._catch_up()
            if self._status is None:
                time.sleep(0.001)
        _kill_group(self._pid)  # what it forked while it was being killed
        self._catch_up()
        os.close(self._told_pipe)
        os.close(self._life)
        self._told_pipe = self._life = -1
        output, self._output = self._output, None
        output.close()
        self._printed = output.text()


def _kill_group(pid: int) -> None:
    for kill in (os.killpg, os.kill):  # the child may not have its group yet
        try:
            kill(pid, signal.SIGKILL)
        except OSError as error:
            if error.errno not in (errno.ESRCH, errno.EPERM):
                raise


def forked_server(target: Function, address: Address) -> Forked:
    """A function as a server."""
    from ._child import serve

    return Forked(serve(target, address), address)
