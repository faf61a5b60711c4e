"""How long an accept loop rests when the system has no descriptor or memory for one more client. The client waits in the accept queue."""

from __future__ import annotations

FIRST = 0.1
MOST = 1.0


class Backoff:
    """A rest in seconds that doubles each time, until something has succeeded.

    An accept that fails with EMFILE would fail again at once, and for ever: accept(2) leaves the client in the queue.
    """

    def __init__(self) -> None:
        self._rest = FIRST

    def next(self) -> float:
        """The rest to take now."""
        rest, self._rest = self._rest, min(self._rest * 2, MOST)
        return rest

    def reset(self) -> None:
        """Something has succeeded."""
        self._rest = FIRST
