"""How much memory a program under check may take, so that one that takes all does not end the notebook with it (Linux). A function meets a
limit of the kernel's, and raises MemoryError at the line that asked for more. A command is watched: the same limit would keep programs from
starting that reserve far more than they use, as those with AddressSanitizer do.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path

ROOM = 2 << 30
"""Bytes: for 50 clients, each with two threads whose stacks have 8 MiB, it is more than enough."""
WORDS = f"a check lets a program take {ROOM >> 30} GiB of memory, and no more"

_FOR_LAST_WORDS = 32 << 20  # bytes of it, to tell what has happened
_PAUSE = 0.05  # seconds between two looks
_REST = 4  # times as long as a look that took long, so that looking is not what the machine does
_PROC = Path("/proc")


_words = ""
_kept: list[mmap.mmap] = []


def limit() -> None:
    """Limits this process, and what it starts: private memory that can be written (RLIMIT_DATA of setrlimit(2)), beyond what it has.

    RLIMIT_AS would count what is only reserved, too: 128 MiB for the allocator of each thread. A lower limit that is there already stays.
    """
    import resource

    global _words
    if (had := _data()) is None:
        return
    most, _words = had + ROOM, WORDS
    for name in ("RLIMIT_DATA", "RLIMIT_AS"):
        soft = resource.getrlimit(getattr(resource, name))[0]
        if soft != resource.RLIM_INFINITY and soft < most:
            most, _words = soft, f"a limit from before the check lets this process have {soft >> 20:,} MiB ({name})"
    if _words == WORDS:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_DATA, (most, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    set_aside()


def words() -> str:
    """Why there is no more memory: the lowest limit that this process has; nothing where the check has not looked for one."""
    return _words


def let_go() -> None:
    """Some memory more to tell an exception with: what its frames hold is not free yet. To call this takes none."""
    _kept.clear()


def set_aside() -> None:
    """Sets that memory aside again, under whatever limit there is. It takes none of the machine's until it is written to."""
    if _words and not _kept:
        with contextlib.suppress(OSError):
            _kept.append(mmap.mmap(-1, _FOR_LAST_WORDS, flags=mmap.MAP_PRIVATE))


def _data() -> int | None:
    """Bytes of this process that RLIMIT_DATA counts (proc(5), status); None where that is not told."""
    try:
        lines = (_PROC / "self" / "status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("VmData:")), None)


class Watch:
    """Looks in a thread of its own how much memory processes have in use, until it is too much or `close` is called."""

    def __init__(self, pids: Callable[[], Collection[int]], end: Callable[[], None]) -> None:
        self.exceeded = False
        """Whether they took too much, and have been ended for it."""
        self._pids, self._end = pids, end
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="socklens: memory of a check", daemon=True)
        self._thread.start()

    def _look(self) -> None:
        pause = _PAUSE
        while not self._over.wait(pause):
            pause = _PAUSE
            # The sum of this says too much: pages that processes share since a fork are in it once for each.
            if sum(map(_in_use, self._pids())) > ROOM:
                began = time.monotonic()
                # Twice: a fork in the middle of a look makes its sum too large.
                if all(sum(map(_share, self._pids())) > ROOM for _ in range(2)):
                    self.exceeded = True
                    self._end()
                    return
                pause = max(_PAUSE, _REST * (time.monotonic() - began))

    def close(self) -> None:
        """Ends the thread."""
        self._over.set()
        self._thread.join()


def _in_use(pid: int) -> int:
    """Bytes of a process that are in no file (proc(5), statm: resident less shared), with what it shares since a fork. Known at once."""
    try:
        fields = (_PROC / str(pid) / "statm").read_text(encoding="ascii").split()
    except OSError:
        return 0
    return (int(fields[1]) - int(fields[2])) * os.sysconf("SC_PAGESIZE")


def _share(pid: int) -> int:
    """Bytes in use, of which those shared by several processes are divided among them (proc(5), smaps_rollup: Pss).

    The kernel looks at each page for it: 30 ms for a GiB (measured).
    """
    try:
        lines = (_PROC / str(pid) / "smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:  # it has ended; or it is another user's, or the kernel is older than 4.14
        return _in_use(pid)
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:")), 0)
