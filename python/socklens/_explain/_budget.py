"""How long an explanation may look: a deadline, and the list of what was left out because of it. Nothing here looks."""

from __future__ import annotations

from time import monotonic

LIMIT = 0.05
"""Seconds that an explanation may take in all."""

LOOKING = 0.03
"""Seconds after which no further look is begun; the rest is for the last look and for the words."""


class Budget:
    """One explanation's time."""

    __slots__ = ("_until", "unseen")

    def __init__(self) -> None:
        self._until = monotonic() + LOOKING
        self.unseen: list[str] = []

    @property
    def over(self) -> bool:
        """Whether no further look may begin."""
        return monotonic() >= self._until

    @property
    def left(self) -> float:
        """Seconds until then; 0 if it is over."""
        return max(self._until - monotonic(), 0.0)

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
