"""The processes of a program under check, from their start to their end. A number is signalled only while the system cannot have given it
to another process: before the one that had it is reaped, or through a pidfd.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import secrets
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from ._kernel import group

_PROC = Path("/proc")
_LAST = 2.0  # seconds that the kernel has to end a process that was killed
_PAUSE = 0.001
_VARIABLE = "SOCKLENS_CHECK"


class Leader:
    """The first process of a program: a child of this one, with a process group of its own or about to have it."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._reaped = False
        self._status: int | None = None

    def status(self) -> int | None:
        """The status that it has ended with, below 0 for a signal; None while it runs. Its number stays its own."""
        if self._status is None:
            try:
                self._status = self._look()
            except ChildProcessError:  # somebody else in this process has waited for it
                self._status, self._reaped = 0, True
        return self._status

    def _look(self) -> int | None:
        if not hasattr(os, "waitid"):  # macOS before Python 3.13
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            self._reaped = pid != 0
            return os.waitstatus_to_exitcode(status) if pid else None
        found = os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if found is None:
            return None
        return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status

    def pids(self) -> frozenset[int]:
        """Its process group."""
        return frozenset() if self._reaped else group(self._pid)

    def has(self, pid: int) -> bool:
        """Whether a process is of its group."""
        try:
            return not self._reaped and (pid == self._pid or os.getpgid(pid) == self._pid)
        except OSError:  # it has ended
            return False

    def signal(self, number: signal.Signals) -> None:
        """Signals its group, or it alone if it has none yet."""
        if self._reaped:
            return
        for send in (os.killpg, os.kill):
            try:
                send(self._pid, number)
            except OSError as error:
                if error.errno not in (errno.ESRCH, errno.EPERM):
                    raise
            else:
                return

    def kill(self) -> None:
        """SIGKILL for its group, until it has ended; only then is it reaped."""
        self.signal(signal.SIGKILL)
        deadline = time.monotonic() + _LAST
        while self.status() is None and time.monotonic() < deadline:
            time.sleep(_PAUSE)
        self.signal(signal.SIGKILL)  # what it forked while it was being killed
        if self._status is not None and not self._reaped:
            self._reaped = True
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self._pid, os.WNOHANG)


class Mark:
    """What a program's processes have in common wherever they go, so that a daemon, which leaves its process group and its parent, is found
    again (Linux): an environment variable, which goes through exec(2), and a mapping in memory, which goes through fork(2) and has no
    descriptor that could be closed.
    """

    def __init__(self) -> None:
        self._token = secrets.token_hex(16)
        self._page: mmap.mmap | None = None
        self.variables = {_VARIABLE: self._token}

    def put(self) -> None:
        """Marks this process, which is the program's first."""
        os.environ.update(self.variables)
        if hasattr(os, "memfd_create"):
            with contextlib.suppress(OSError):  # a sandbox may forbid it
                number = os.memfd_create(self._token)
                os.ftruncate(number, mmap.PAGESIZE)
                self._page = mmap.mmap(number, mmap.PAGESIZE)
                os.close(number)

    def on(self, pid: int) -> bool:
        """Whether a process has it, as proc(5) tells: environ and maps."""
        for what in ("environ", "maps"):
            with contextlib.suppress(OSError):
                if self._token.encode() in (_PROC / str(pid) / what).read_bytes():
                    return True
        return False

    def sweep(self) -> None:
        """Kills all that have it, and what they fork meanwhile."""
        if not hasattr(os, "pidfd_open") or not _PROC.is_dir():
            return
        deadline = time.monotonic() + _LAST
        while (found := list(self._marked())) and time.monotonic() < deadline:
            for pid in found:
                with contextlib.suppress(OSError):
                    number = os.pidfd_open(pid)
                    try:
                        if self.on(pid):  # it has not ended meanwhile, and left its number to another
                            signal.pidfd_send_signal(number, signal.SIGKILL)
                    finally:
                        os.close(number)
            time.sleep(_PAUSE)

    def _marked(self) -> Iterator[int]:
        for name in os.listdir(_PROC):
            if name.isdigit() and int(name) != os.getpid() and self.on(int(name)):
                yield int(name)
