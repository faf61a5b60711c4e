"""One error under investigation: what it tells, what has been seen, and how much time is left. Says what is seen; decides nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._address import queue_words
from ..display.escape import quoted
from . import _process, _scene, _tables
from ._diagnosis import Fact

if TYPE_CHECKING:
    from ._budget import Budget
    from ._process import Named
    from ._tables import Row

SHOWN = 40
"""Bytes that a fact shows."""


class Case:
    """The error and what has been found out about it."""

    def __init__(self, scene: _scene.Scene, budget: Budget) -> None:
        self.scene = scene
        self.budget = budget
        self.owners = _process.Owners(scene, budget)
        self.facts: list[Fact] = []
        self._here: Named | None = None
        self._there: Named | None = None
        self._looked = False

    def saw(self, text: str, source: str) -> None:
        """Adds a fact."""
        fact = Fact(text, source)
        if fact not in self.facts:
            self.facts.append(fact)

    def saw_listener(self, row: Row) -> None:
        """Adds who listens, with what waits to be accepted."""
        self.saw(f"{self.owners.describe(row)} listens on {row.local}", _tables.TABLE)
        if row.accept_queue:
            self.saw(f"on {row.local}, {queue(row)}", _tables.TABLE)

    @property
    def itself(self) -> Named | None:
        """The object that the error is about, if this program can name it."""
        self._look()
        return self._here

    @property
    def partner(self) -> Named | None:
        """The other end of its connection, if this program has it."""
        self._look()
        return self._there

    def _look(self) -> None:
        ends = self.scene.ends
        if self._looked or ends is None:
            return
        self._looked = True
        self._here = _process.itself(self.scene, ends, self.budget)
        if ends[1] is not None:
            self._there = _process.partner(self.scene, ends, self.budget)


def queue(row: Row) -> str:
    """A listener's accept queue in words. A backlog of n lets n + 1 wait (listen(2), sk_acceptq_is_full)."""
    waiting, limit = row.accept_queue or 0, row.accept_limit or 0
    waits = "connection waits" if waiting == 1 else "connections wait"
    return queue_words(waiting, limit, f"{waits} to be accepted")


def is_full(row: Row) -> bool:
    """Whether a listener takes no more connections until one is accepted."""
    return (row.accept_queue or 0) > (row.accept_limit or 0)


def shown(data: bytes) -> str:
    """Bytes, escaped, the first of them if they are many."""
    return quoted(data[:SHOWN]) + (f" and {len(data) - SHOWN} more" if len(data) > SHOWN else "")


def count(number: int, what: str = "byte") -> str:
    """A number with its noun."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
