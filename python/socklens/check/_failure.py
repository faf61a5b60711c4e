"""How a step fails: exceptions that never leave a check. They carry what was expected and what came, and a mistake where one is decided."""

from __future__ import annotations

from enum import Enum, unique
from typing import TYPE_CHECKING

from ._result import Mistake

if TYPE_CHECKING:
    from ._peer import Peer


class Failed(Exception):
    """Ends a step: it failed, for the reason in `reason`."""

    def __init__(
        self, reason: str, mistake: Mistake | None = None, *, expected: object = None, actual: object = None
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.mistake = mistake
        self.expected = expected
        self.actual = actual
        self.peer: Peer | None = None


class LeftOut(Exception):
    """Ends a step without a verdict: it cannot be looked at here, for the reason in its message."""


@unique
class What(Enum):
    """What came in place of the expected bytes."""

    NOTHING = "nothing (more) came"
    END = "the connection was closed"
    RESET = "the connection was reset"
    OTHER = "other bytes came"
    REFUSED = "the connection was refused"
    NO_CONNECTION = "no connection came about"


class Missed(Failed):
    """What was expected of a connection did not come. Who catches it may look for the cause; else its words stand."""

    def __init__(self, what: What, reason: str, peer: Peer | None, *, expected: object, actual: object) -> None:
        super().__init__(reason, expected=expected, actual=actual)
        self.what = what
        self.peer = peer
