"""The servers that run at this moment, so that none of them outlives the program: at the interpreter's exit they are stopped."""

from __future__ import annotations

import atexit
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._server import Server

_running: dict[Server, int] = {}


def add(server: Server) -> None:
    """A server has started."""
    _running[server] = os.getpid()


def remove(server: Server) -> None:
    """A server has stopped."""
    _running.pop(server, None)


@atexit.register
def _stop_all() -> None:
    # A child of fork(2) has the objects, and none of their threads: there is nothing for it to stop.
    for server, process in list(_running.items()):
        if process == os.getpid():
            server.stop(0)
