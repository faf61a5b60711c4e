"""Where the system cannot fork: a handler is served in this process, in threads. What it prints goes where prints go, and one that
computes for ever cannot be ended; a function that listens by itself could not be stopped at all, and is refused.
"""

from __future__ import annotations

import os

from .._address import Address
from ..server import Server
from ._ending import Ending
from ._program import Program
from ._serving import as_handler
from ._target import LOOPBACK, Function


class Inside(Program):
    """A handler in threads of this process."""

    def __init__(self, target: Function) -> None:
        if target.kind == "program":
            raise NotImplementedError(
                f"this system cannot fork, so that a function which listens by itself could not be stopped: give a handler "
                f"{target.name}(conn), or a command, such as 'python server.py {{port}}'"
            )
        self._troubles: list[Ending] = []
        self._server = Server(as_handler(target, self._troubles.append), LOOPBACK, 0)
        self.address = Address(LOOPBACK, 0)

    def start(self) -> None:
        """Starts the server."""
        self.address = self._server.start().local_addr

    def ready(self) -> bool:
        """A server listens when `start` returns."""
        return True

    def ending(self) -> Ending | None:
        """It ends when it is stopped."""
        return None

    def troubles(self) -> list[Ending]:
        """What the handler raised."""
        return list(self._troubles)

    def pids(self) -> frozenset[int]:
        """This process."""
        return frozenset({os.getpid()})

    def output(self) -> str:
        """It was printed where prints go."""
        return ""

    def stop(self) -> None:
        """Closes the listener and all connections, which ends all waits of handlers on them."""
        self._server.stop(0)

    def sweep(self) -> None:
        """What a handler has started goes on."""
