"""A student's function in a process of its own, made by fork(2): it may hang, exit, print, leak or end as it likes, and is ended with
SIGKILL, which nothing can refuse. A function that was defined in a notebook cell lives on there, with all that it knows, as a copy: what
it changes is not changed here.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import warnings
from collections.abc import Callable
from dataclasses import replace

from .._address import Address
from ._ending import Ending
from ._output import Output
from ._plain import Returned
from ._processes import Leader, Mark
from ._program import Program
from ._signals import HeldBack
from ._target import Function
from ._telling import Tell, Telling

_OF_THREADS = ".*use of fork"
"""Python warns of forks where threads run. The child uses nothing of theirs: see _child."""


class Forked(Program):
    """One child."""

    def __init__(self, work: Callable[[Tell], int], address: Address) -> None:
        self._work = work
        self.address = address
        self._leader: Leader | None = None
        self._mark = Mark()
        self._output: Output | None = None
        self._printed = ""
        self._told_pipe = self._life = -1
        self._telling = Telling()

    def start(self) -> None:
        """Forks. Raises OSError where the system has no process left."""
        # A Ctrl-C would go on as the caller's in the child, and leave a child that nobody knows in the parent.
        with HeldBack() as handlers:
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            try:
                self._fork(handlers, mask)
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def _fork(self, handlers: HeldBack, mask: set[int | signal.Signals]) -> None:
        from . import _child  # so that nothing has to be imported in the child

        with contextlib.ExitStack() as undo:  # a child that nobody knows would end with its pipe `life`
            (out_seen, out), (told_seen, told), (life, life_end) = [_pipe(undo) for _ in range(3)]
            os.set_blocking(told_seen, False)
            parent = os.getpid()
            # For this line alone, and for good: `catch_warnings` would undo what other threads do to the filters meanwhile.
            warnings.filterwarnings("ignore", _OF_THREADS, DeprecationWarning, re.escape(__name__))
            try:
                pid = os.fork()
                if pid == 0:
                    for number in (out_seen, told_seen, life_end):
                        os.close(number)
                    handlers.give_back()
                    _child.live(self._work, out, self._telling.to(told), life, mask, self._mark)
            finally:
                if os.getpid() != parent:
                    os._exit(_child.BROKEN)
            self._leader, self._told_pipe, self._life = Leader(pid), told_seen, life_end
            undo.pop_all()
        for number in (out, told, life):
            os.close(number)
        self._output = Output(out_seen)

    def _catch_up(self) -> None:
        if self._told_pipe >= 0:
            self._telling.take(self._told_pipe)

    def _status(self) -> int | None:
        # Before the pipe is looked at: what it told in its last moment is there then.
        status = None if self._leader is None else self._leader.status()
        self._catch_up()
        return status

    def ready(self) -> bool:
        """Whether a handler is served; of a program that listens by itself only the kernel knows."""
        self._catch_up()
        if self._telling.listens is None:
            return False
        self.address = Address(self.address.host, self._telling.listens)
        return True

    def returned(self) -> bool:
        """Whether the function has returned, with threads of it perhaps still at work."""
        status, told = self._status(), self._telling.ended
        return told is not None and not (told.error or told.fault) and status is None

    def value(self) -> Returned | None:
        """What the function of a client has returned; None if it has not."""
        self._catch_up()
        return self._telling.returned

    def ending(self) -> Ending | None:
        """How it has ended; None while it runs, also if the function has returned and its threads serve on."""
        status = self._status()
        told = self._telling.ended
        if told is not None and (told.error or told.exit_called or told.fault):
            return told
        return None if status is None else replace(told or Ending(), status=status)

    def troubles(self) -> list[Ending]:
        """What a handler raised."""
        self._catch_up()
        return list(self._telling.troubles)

    def pids(self) -> frozenset[int]:
        """The child and what it has started."""
        return frozenset() if self._leader is None else self._leader.pids()

    def owns(self, pid: int) -> bool:
        """Also a daemon of it is its own."""
        return self._leader is not None and (self._leader.has(pid) or self._mark.on(pid))

    def output(self) -> str:
        """What it has printed so far."""
        return self._printed if self._output is None else self._output.text()

    def stop(self) -> None:
        """Kills the child and its process group."""
        if self._leader is None:
            return
        self._leader.kill()
        self._catch_up()
        for number in (self._told_pipe, self._life):
            if number >= 0:
                os.close(number)
        self._told_pipe = self._life = -1
        output, self._output = self._output, None
        if output is not None:
            output.close()
            self._printed = output.text()

    def sweep(self) -> None:
        """Kills what it has left behind elsewhere."""
        self._mark.sweep()


def _pipe(undo: contextlib.ExitStack) -> tuple[int, int]:
    """Both ends of a new pipe, which are closed if what it is for does not come about."""
    ends = os.pipe()
    for number in ends:
        undo.callback(os.close, number)
    return ends


def forked_server(target: Function, address: Address) -> Forked:
    """A function as a server."""
    from ._child import serve

    return Forked(serve(target, address), address)
