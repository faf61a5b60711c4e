"""`socklens ports`: the table of sockets in a terminal, once or again and again. It only looks."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator

from .. import PortTable, ports
from ..display.ports import as_text
from ..display.screen import Screen

EVERY = 1.0
"""Seconds between two looks."""

_HOME = "\x1b[H"
_REST_OF_LINE = "\x1b[K"
_REST_OF_SCREEN = "\x1b[J"
_OTHER_SCREEN = ("\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l")


def show_ports(
    screen: Screen, port: int | None, *, state: str | None, pid: int | None, watch: bool, every: float = EVERY
) -> int:
    """Prints the sockets that are asked for, all of them; with `watch` again and again until Ctrl-C. Returns the exit status.

    A terminal shows one table that changes; a pipe or file gets a new one whenever something is not as it was.

    Raises:
        ValueError, OverflowError: there is no such port or state.
    """
    if not watch:
        screen.write(as_text(ports(port, state=state, pid=pid), most=None, width=_columns(screen)) + "\n")
        return 0
    looks = _looks(port, state, pid, every)
    if not screen.colour and not screen.is_tty:
        before: PortTable | None = None
        for table in looks:
            if before is None or table.diff(before):
                screen.write(f"{time.strftime('%H:%M:%S')}\n{as_text(table, most=None)}\n\n")
            before = table
        return 0
    last: PortTable | None = None
    screen.write(_OTHER_SCREEN[0])
    try:
        for last in looks:
            screen.write(_frame(screen, last))
    except KeyboardInterrupt:
        screen.write(_OTHER_SCREEN[1])
        if last is not None:  # what was seen stays to be read
            screen.write(as_text(last, width=_columns(screen)) + "\n")
        raise
    except BaseException:
        screen.write(_OTHER_SCREEN[1])
        raise
    return 0


def _looks(port: int | None, state: str | None, pid: int | None, every: float) -> Iterator[PortTable]:
    """One table now, and one every so many seconds."""
    while True:
        yield ports(port, state=state, pid=pid)
        time.sleep(every)


def _frame(screen: Screen, table: PortTable) -> str:
    """What fits on the screen, from its first line on; each line ends what stood there before."""
    columns, rows = shutil.get_terminal_size()
    lines = as_text(table, most=max(rows - 6, 1), width=columns).splitlines()
    if len(lines) > rows - 2:
        # The counts stand below the rows, and are worth more than the last of those.
        below = 1 + len(table.unseen)
        lines = [*lines[: rows - 2 - below], *lines[-below:]]
    head = screen.dim(f"socklens ports, {time.strftime('%H:%M:%S')}; Ctrl-C ends it")
    return _HOME + "".join(f"{line}{_REST_OF_LINE}\n" for line in (head, *lines)) + _REST_OF_SCREEN


def _columns(screen: Screen) -> int | None:
    """The width of the terminal; None where lines may have any length."""
    return shutil.get_terminal_size().columns if screen.is_tty else None
