"""The servers that run at this moment, so that none of them outlives the program: at the interpreter's exit they are stopped."""

from __future__ import annotations

import atexit
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._server import Server

_running: dict[Server, int] = {}


def servers() -> list[Server]:
    """The servers of this program that run now, oldest first, also those that no variable holds any more.

    ``sl.servers()[0].stop()`` stops the oldest one, ``for server in sl.servers(): server.stop()`` all of them.
    """
    # Those of another process are what a child of fork(2) has copied.
    return [server for server, process in list(_running.items()) if process == os.getpid()]


def add(server: Server) -> None:
    """A server has started."""
    _running[server] = os.getpid()


def remove(server: Server) -> None:
    """A server has stopped."""
    _running.pop(server, None)


@atexit.register
def _stop_all() -> None:
    # A child of fork(2) has the objects, and none of their threads: there is nothing for it to stop.
    for server in servers():
        try:
            server.stop(0)
        except Exception:
            # The others are stopped all the same; this is how Python tells of what fails at its end.
            sys.excepthook(*sys.exc_info())
