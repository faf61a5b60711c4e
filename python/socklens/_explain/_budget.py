"""How long an explanation may look: a deadline, and the list of what was left out because of it. Nothing here looks."""

from __future__ import annotations

from time import monotonic, thread_time

LIMIT = 0.05
"""Seconds of work that an explanation may take in all: processor time of its thread, so that a busy machine loses no answer."""

LOOKING = 0.03
"""Seconds of work after which no further look is begun; the rest is for the last look and for the words."""

CAP = 0.25
"""Seconds on the clock after which none is begun either, however little of them this thread had for itself."""


class Budget:
    """One explanation's time."""

    __slots__ = ("_until", "_worked", "unseen")

    def __init__(self) -> None:
        self._worked = thread_time() + LOOKING
        self._until = monotonic() + max(CAP, LOOKING)
        self.unseen: list[str] = []

    @property
    def over(self) -> bool:
        """Whether no further look may begin."""
        return thread_time() >= self._worked or monotonic() >= self._until

    @property
    def left(self) -> float:
        """Seconds on the clock that one look may take; 0 if the time is over. Twice the work that is left: others work here too."""
        return max(min(2 * (self._worked - thread_time()), self._until - monotonic()), 0.0)

    def spent(self, what: str) -> bool:
        """Whether the time is over; then it is noted that `what` was not looked at."""
        if not self.over:
            return False
        self.missed(what, f"the {LIMIT * 1000:.0f} ms that an explanation may take were over")
        return True

    def missed(self, what: str, why: object) -> None:
        """Notes what could not be looked at, once."""
        said = f"{what}: {why}"
        if said not in self.unseen:
            self.unseen.append(said)
